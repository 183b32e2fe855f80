"""What ``loss`` and ``grad`` report of groups, each a problem of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from kdegrad.arrays import Texts
from kdegrad.evaluation import BatchEvaluation, evaluation_of
from kdegrad.overview import Overview
from kdegrad.reports.causes import not_finite
from kdegrad.reports.records import (
    Record,
    Table,
    Values,
    facts_of,
    point_columns,
    table_of_columns,
    without_infinities,
)
from kdegrad.text import enumerated

_NAMED: Final = 5  # groups without a finite result


def loss_record(overview: Overview, top: int | None = None) -> Record:
    """Return the record of ``kdegrad loss --group-by``: as CSV a row for each group.

    With `top` only so many groups, those of largest loss, the largest first.
    """
    chosen = slice(None) if top is None else overview.largest(top)
    columns = _groups(overview)
    rows = _table({name: columns[name] for name in ("group", "points", "loss", "kl")}, chosen)
    return Record(
        "loss --group-by",
        _facts(overview),
        (_table(columns, chosen),),
        rows,
        overview,
        top,
        input=overview.name,
    )


def record_of_parts(overview: Overview, top: int | None, parts: int, folder: str | None) -> Record:
    """Return the same of so many parts, and where a part was written for each."""
    record = loss_record(overview, top)
    facts = record.facts | {"problem": record.facts["problem"] | {"parts": parts}}
    return replace(record, facts=facts if folder is None else facts | {"output": folder})


def gradient_record(overview: Overview, top: int | None = None) -> Record:
    """Return the record of ``kdegrad grad --group-by``: as CSV a row for each point, in the order of the file.

    The points are in memory. With `top` only so many of them, those of largest absolute gradient, the largest first.
    """
    assert overview.of_points is not None  # a caller has them
    columns = point_columns(overview.of_points.evaluation, top)
    points = table_of_columns("points", without_infinities(columns))
    groups = _table(_groups(overview))
    return Record(
        "grad --group-by",
        _facts(overview),
        (groups, points),
        points,
        overview,
        top,
        input=overview.name,
    )


def _groups(overview: Overview) -> dict[str, Values]:
    """Return what is known of each group, by columns: its loss, and its point that is nearest to the target."""
    count = len(overview.names)
    columns: dict[str, Values] = {
        "group": Texts(overview.names, np.arange(count)),
        "points": overview.points,
        "loss": overview.losses,
        "kl": np.full(count, np.nan) if overview.kl is None else overview.kl,
        "nearest_angle": overview.nearest_angles,
        "distance": overview.distances,
    }
    if overview.log_bandwidth is not None:
        columns["gradient_log_bandwidth"] = overview.log_bandwidth
    return columns


def _table(columns: dict[str, Values], chosen: Any = slice(None)) -> Table:
    return table_of_columns("groups", without_infinities({name: c[chosen] for name, c in columns.items()}))


def _facts(overview: Overview) -> dict[str, Any]:
    """Return the means, null where one loss is infinite, what was computed, and the summary.

    Of what was computed the target and the number of bins are null where they differ between the groups.
    """
    target = None if overview.target is None else list(overview.target)
    counts = {"points": int(overview.points.sum()), "groups": len(overview.names)}
    sums = ", ".join(sorted(overview.sums))
    return {
        "loss": overview.loss,
        "kl": None if overview.kl is None else float(overview.kl.mean()),
        "problem": counts | facts_of(overview.like, target, overview.bins) | {"sums": sums},
        "summary": overview.facts,
    }


def groups_without_result(overview: Overview) -> str:
    """Return how many groups have no finite result, and the first of them."""
    bad, names = np.flatnonzero(~overview.are_finite), overview.names
    verb = "has" if len(bad) == 1 else "have"
    listed = enumerated((names[group] for group in bad.tolist()), _NAMED)
    return f"{len(bad)} of {len(names)} groups {verb} no finite result: {listed}"


def cause_of_first(evaluation: BatchEvaluation) -> str:
    """Return why the first group without a finite result has none, and what to do about it; empty where all have."""
    if evaluation.is_finite:
        return ""
    batch, gradients = evaluation.batch, evaluation.gradients
    parts = {"logits": gradients, "angles": gradients and gradients.angles, "bandwidth": evaluation.log_bandwidth}
    first = int(np.argmin(evaluation.are_finite))
    alone = evaluation_of(batch.problem(first), [name for name, part in parts.items() if part is not None])
    return f"{batch.called(first)}: {not_finite(alone)}"
