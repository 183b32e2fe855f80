"""Reports of groups for people: the losses and the far points of all in a few lines, then the largest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from rich.text import Text

from kdegrad.output import Look
from kdegrad.overview import FAR, FULL_RATE, Overview
from kdegrad.reports.group_records import groups_without_result
from kdegrad.reports.headline import BOLD, described, framed, written
from kdegrad.reports.records import Record, point_columns
from kdegrad.reports.sketch import noise_of
from kdegrad.reports.tables import (
    ROWS_SHOWN,
    Column,
    bars,
    columns_of,
    drawn_of,
    fitted,
    gradient_columns,
    largest_of,
    paragraph,
)
from kdegrad.text import five_digits, safe_text

_GROUPS_SHOWN: Final = 10


def loss_of_groups(record: Record, look: Look) -> Iterator[str]:
    """Yield the summary and the groups of largest loss, each with its point that is nearest to the target."""
    yield from _summary(record, look)
    overview: Overview = record.result
    yield from _slope(overview, look)
    chosen = overview.largest(record.top or _GROUPS_SHOWN)
    values = {
        "points": overview.points[chosen].tolist(),
        "loss": _or_none(overview.losses[chosen]),
        "nearest_angle": overview.nearest_angles[chosen].tolist(),
        "distance": overview.distances[chosen].tolist(),
        "bandwidths": overview.bandwidths[chosen].tolist(),
    }
    if overview.kl is not None:
        values["kl"] = _or_none(overview.kl[chosen])
    soon = {"points": 3, "loss": 0, "kl": 2, "nearest_angle": 1, "distance": 1, "bandwidths": 0}  # left out, for room
    columns = columns_of(values, soon, {"bandwidths": "in\nbandwidths"})
    columns.insert(0, _named([overview.names[group] for group in chosen.tolist()]))
    yield from fitted(look, columns, "--format json")  # CSV has no nearest points
    if len(chosen) < len(overview.names):
        top = "" if "output" in record.facts else "--top K shows K, "  # `grad` of parts has no --top
        said = f"{largest_of(len(chosen), len(overview.names), 'groups')} ({top}--format csv has all)"
        yield from paragraph(look, said, "dim")
    if "output" in record.facts:
        yield from paragraph(look, written(record.facts))


def gradient_of_groups(record: Record, look: Look) -> Iterator[str]:
    """Yield the summary and the first points, or those of largest gradient, with a bar for sign and size."""
    yield from _summary(record, look)
    overview: Overview = record.result
    assert overview.of_points is not None  # as in the record
    evaluation = overview.of_points.evaluation
    count = evaluation.batch.angles.size
    columns = point_columns(evaluation, record.top)
    values: dict[str, Any] = {}
    for name, column in columns.items():
        first = column[:ROWS_SHOWN] if record.top is None else column
        values[name] = _or_none(first) if name not in ("group", "label", "logit") else first.tolist()
    yield from _slope(overview, look)
    gradients = evaluation.require_gradients()
    if gradients.first_of_points is None:
        return
    drawn = bars(values[drawn_of(gradients.wrt)], look, noise_of(evaluation), 2)
    yield from fitted(look, [_named(values["group"]), *gradient_columns(values, gradients.wrt), drawn])
    if (shown_count := len(values["gradient"])) < count:
        said = f"the first {shown_count} of {count} points (--top K shows the K largest, --format csv has all)"
        if record.top is not None:
            said = largest_of(shown_count, count, "points")
        yield from paragraph(look, said, "dim")


def _summary(record: Record, look: Look) -> Iterator[str]:
    """Yield the means in a frame over the problem in one line, the spread of the losses, and the far points."""
    overview: Overview = record.result
    large = Text()
    for name, value in (("mean loss ", record.facts["loss"]), ("mean KL ", record.facts["kl"])):
        if value is not None:
            large.append(name).append(f"{value:.12g}", style=BOLD).append(" nats     ")
    yield from framed(look, large, described(record.facts["problem"], own_targets=not overview.has_one_target))
    if not overview.is_finite:
        yield from paragraph(look, groups_without_result(overview), "bold")
    for sentence in sentences(overview):
        yield from paragraph(look, sentence)


def _slope(overview: Overview, look: Look) -> Iterator[str]:
    """Yield the mean gradient of log h, if it was asked for."""
    if overview.mean_slope is not None:
        mean = five_digits(overview.mean_slope)
        yield from paragraph(look, f"gradient of log h   mean {mean} (--format json has that of each group)")


def sentences(overview: Overview) -> Iterator[str]:
    """Yield how the losses are spread, if there are several, and what is known of the points far from their target."""
    facts: dict[str, Any] = overview.facts
    if len(overview.finite) > 1:
        which = f"the other losses: mean {five_digits(facts['mean'])}, " if overview.infinite else "losses: "
        numbers = {name: five_digits(value) for name, value in facts.items() if isinstance(value, float)}
        spread = (
            "smallest {smallest}, quartiles {lower_quartile}, {median} and {upper_quartile}, largest {largest}; "
            "standard deviation {deviation}"
        )
        yield which + spread.format(**numbers)
    yield _far(facts)


def _far(facts: dict[str, Any]) -> str:
    """Return what is known of the points that are far from their target."""
    far, judged = facts["far_points"], facts["far_points_judged"]
    said = f"{_share(far, facts['points'])} of the points are far (more than {FAR:g} bandwidths outside their target)"
    if judged:
        of = "these" if judged == far else "those whose group has a finite loss"
        said += f"; {_share(facts['far_points_at_full_rate'], judged)} of {of} learn at the full rate "
        said += f"(|∂L/∂z|/S of at least {FULL_RATE:g})"
    alone = facts["far_groups"]
    which = {0: "every group has a", 1: "1 group has no"}.get(alone, f"{alone} groups have no")
    return f"{said}; {which} point within {FAR:g} bandwidths of {'its' if alone < 2 else 'their'} target"


def _share(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.3g} %"


def _named(names: list[str]) -> Column:
    return Column("group", [Text(safe_text(name)) for name in names], right=False, widest=20)


def _or_none(values: Any) -> list[float | None]:
    """Return numbers, None in place of those that are not finite."""
    return [value if np.isfinite(value) else None for value in values.tolist()]
