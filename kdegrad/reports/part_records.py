"""What ``loss`` and ``grad`` report of a table in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdegrad.parts import Tally, Whole
from kdegrad.reading.parts import Part
from kdegrad.reports.records import Record, facts_of, facts_of_uncovered, row_of_loss, table_of_columns


def loss_record(whole: Whole, parts: Sequence[Part], counted: int | None, input_: str) -> Record:
    """Return the record of ``kdegrad loss`` of parts: as CSV one row, as that of a file.

    `counted` is the sum of weights that are counts.
    """
    facts = _facts(whole, parts, counted)
    rows = row_of_loss(facts, is_finite=whole.is_finite)
    return Record("loss --stream", facts, (), rows, whole, input=input_)


def gradient_record(
    whole: Whole,
    parts: Sequence[Part],
    counted: int | None,
    tallies: Sequence[Tally],
    wrt: Sequence[str],
    input_: str,
    folder: str,
) -> Record:
    """Return the record of ``kdegrad grad`` of parts: as CSV a row for each part that was written to a folder."""
    tally = sum(tallies, Tally())
    facts = _facts(whole, parts, counted) | {"sum": tally.total, "norms": tally.logits.norms, "output": folder}
    if "angles" in wrt:
        facts["angle_norms"] = tally.angles.norms
    if "bandwidth" in wrt:
        facts["gradient_log_bandwidth"] = tally.log_bandwidth
    columns = {
        "part": [part.name for part in parts],
        "points": [of.points for of in tallies],
        "sum": [of.total for of in tallies],
        "l1": [of.logits.l1 for of in tallies],
    }
    table = table_of_columns("parts", columns)
    return Record("grad --stream", facts, (table,), table, whole, input=input_)


def _facts(whole: Whole, parts: Sequence[Part], counted: int | None) -> dict[str, Any]:
    like = whole.like
    target = None if like.target is None else list(like.target)
    bins = like.rule.bins if like.observed is None else len(like.observed)
    counts = {"points": whole.points, "parts": len(parts), "counted": counted}
    facts: dict[str, Any] = {
        "loss": whole.loss,
        "kl": whole.kl,
        "quadrature_error": None,
        "problem": counts | facts_of(like, target, bins),
    }
    if not whole.is_finite:
        facts["uncovered"] = facts_of_uncovered(whole.uncovered)
    return facts
