"""What ``loss`` and ``grad`` report of groups, each a problem of its own."""

from __future__ import annotations

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
    group_names,
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
        input=overview.evaluation.batch.name,
    )


def gradient_record(overview: Overview, top: int | None = None) -> Record:
    """Return the record of ``kdegrad grad --group-by``: as CSV a row for each point, in the order of the file.

    With `top` only so many points, those of largest absolute gradient, the largest first.
    """
    points = table_of_columns("points", without_infinities(point_columns(overview.evaluation, top)))
    groups = _table(_groups(overview))
    return Record(
        "grad --group-by",
        _facts(overview),
        (groups, points),
        points,
        overview,
        top,
        input=overview.evaluation.batch.name,
    )


def _groups(overview: Overview) -> dict[str, Values]:
    """Return what is known of each group, by columns: its loss, and its point that is nearest to the target."""
    evaluation, batch = overview.evaluation, overview.evaluation.batch
    columns: dict[str, Values] = {
        "group": Texts(group_names(batch), np.arange(len(batch))),
        "points": batch.counts,
        "loss": evaluation.losses,
        "kl": np.full(len(batch), np.nan) if evaluation.kl is None else evaluation.kl,
        "nearest_angle": batch.angles.ravel()[overview.nearest],
        "distance": overview.distances[overview.nearest],
    }
    if evaluation.log_bandwidth is not None:
        columns["gradient_log_bandwidth"] = evaluation.log_bandwidth
    return columns


def _table(columns: dict[str, Values], chosen: Any = slice(None)) -> Table:
    return table_of_columns("groups", without_infinities({name: c[chosen] for name, c in columns.items()}))


def _facts(overview: Overview) -> dict[str, Any]:
    """Return the means, null where one loss is infinite, what was computed, and the summary.

    Of what was computed the target and the number of bins are null where they differ between the groups.
    """
    evaluation = overview.evaluation
    batch = evaluation.batch
    target: list[float] | None = None
    if batch.intervals is not None and all((ends == ends[0]).all() for ends in batch.intervals):
        target = [float(ends[0]) for ends in batch.intervals]
    bins: int | None = batch.settings.bins if batch.rule_name != "exact" else None
    if batch.observed is not None:
        offsets = batch.observed.offsets
        numbers = np.array([len(batch.observed)]) if offsets is None else np.diff(offsets)
        bins = int(numbers[0]) if (numbers == numbers[0]).all() else None
    counts = {"points": batch.angles.size, "groups": len(batch)}
    sums = ", ".join(sorted(evaluation.sums))
    return {
        "loss": evaluation.loss,
        "kl": None if evaluation.kl is None else float(evaluation.kl.mean()),
        "problem": counts | facts_of(batch, target, bins) | {"sums": sums},
        "summary": overview.facts,
    }


def groups_without_result(evaluation: BatchEvaluation) -> str:
    """Return how many groups have no finite result, and the first of them."""
    bad, names = np.flatnonzero(~evaluation.are_finite), group_names(evaluation.batch)
    verb = "has" if len(bad) == 1 else "have"
    listed = enumerated((names[group] for group in bad.tolist()), _NAMED)
    return f"{len(bad)} of {len(names)} groups {verb} no finite result: {listed}"


def not_finite_groups(evaluation: BatchEvaluation) -> str:
    """Return which groups have no finite result, and of the first of them why, and what to do about it."""
    batch, gradients = evaluation.batch, evaluation.gradients
    parts = {"logits": gradients, "angles": gradients and gradients.angles, "bandwidth": evaluation.log_bandwidth}
    first = int(np.argmin(evaluation.are_finite))
    alone = evaluation_of(batch.problem(first), [name for name, part in parts.items() if part is not None])
    return f"{groups_without_result(evaluation)}\n{batch.called(first)}: {not_finite(alone)}"
