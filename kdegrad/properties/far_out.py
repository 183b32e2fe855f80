"""What a judged loss does as its points move away: a table, and whether a floor, a clamp or an underflow ends it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Unmet
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.geometry import starts
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.reference import Reference, reference_of

_DISTANCES: Final = (4.0, 6.0, 8.0, 20.0, 100.0, 1e4)  # bandwidths; on a circle P/2 in them
_LEARNS: Final = 1e-3  # of the right gradient: less is next to nothing
_ROUND: Final = 1e-3  # relative: how near an ε is to a round one
_FITS: Final = 100.0  # roundings by which a loss may differ from that of a floor or a clamp
_SMALLEST: Final = 1e-300  # an ε that is written as a number
_NEAR: Final = 1e-2  # fraction: how right a loss is near the target that is called clamped far out
_LOGARITHMS: Final = "-logsumexp(log_softmax(z) + log K), with nothing added or clamped"


class FarStart(NamedTuple):
    """What is wrong far out; all empty where nothing in particular is."""

    difference: str = ""
    names_fault: bool = False
    means: str | None = None
    table: str = ""
    remedy: str = ""


class _Row(NamedTuple):
    place: str  # "4 h"; on a circle the bandwidth, "P/8"
    problem: Problem
    given: Given
    plain: Reference


def far_start(problem: Problem, judged: Judged) -> FarStart:
    """Return what ends the growth of the loss, or its gradient, with the numbers at growing distances."""
    rows = list(_rows(problem, judged))
    if not rows:
        return FarStart()
    named, remedy = _end_of_growth(rows, problem, judged)
    is_line = problem.settings.circumference is None
    lines = [
        ["all points away by" if is_line else "points opposite, h =", *(row.place for row in rows)],
        ["loss", *(f"{row.given.loss + 0.0:.2f}" for row in rows)],  # no -0
        ["right", *(f"{row.plain.answer.loss:.2f}" for row in rows)],
    ]
    means = None
    if "logits" in judged.gives and not any(row.plain.uncovered for row in rows):
        ratios = [_ratio(row) for row in rows]
        lines.append(["gradient / right", *(f"{ratio:.1g}" for ratio in ratios)])
        dead = next((row for row, ratio in zip(rows, ratios, strict=True) if not ratio > _LEARNS), None)
        if dead is not None:
            what = "{} or more away" if is_line else "opposite the target, with a bandwidth of {} or less,"
            means = f"points that start {what.format(dead.place)} hardly learn, or not at all"
    if not named and means is None:
        return FarStart()
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    table = "".join("  ".join(line) + "\n" for line in aligned)
    return FarStart(named or "the gradient ends far out", bool(named), means, table, remedy)


def _rows(problem: Problem, judged: Judged) -> Iterator[_Row]:
    for u in _DISTANCES:
        try:
            ((where, start),) = starts(problem, (u,))
            seen = judged.seen(start)
            yield _Row(where.removeprefix("h = "), seen, judged.given(seen, gradient=True), reference_of(seen))
        except (Unmet, LossError):
            continue


def _ratio(row: _Row) -> float:
    """Return the length of the logits' gradient in units of the right one's."""
    assert row.given.logits is not None  # the caller looks
    return float(np.linalg.norm(row.given.logits) / np.linalg.norm(row.plain.answer.logits))


def _end_of_growth(rows: list[_Row], problem: Problem, judged: Judged) -> tuple[str, str]:
    """Return why the loss is the same at the two largest distances, and the remedy; empty if it is not."""
    value = rows[-1].given.loss + 0.0
    if rows[-1].plain.uncovered:
        said = f"the loss is {value:.6g} where no point reaches the target, and infinite is right"
        return ("" if value == math.inf else said), ""
    if math.isnan(value):
        return "the loss is NaN far out, as 0/0 and inf - inf are", _LOGARITHMS
    if math.isinf(value):
        return "the loss is infinite far out: something under- or overflows before the logarithm is taken", _LOGARITHMS
    if len(rows) < 2 or rows[-2].given.loss != value:
        return "", ""
    if value == 0.0:
        return "the loss is 0 far out: nodes of density 0 are left out, with their share of the target", ""
    near = _loss(problem, judged)
    if near == value:  # it has never grown
        return "", ""
    floor, stops = _power_text(value), f"the loss stops growing at {value:.4g}"
    is_added, is_clamped = (all(_fits(row, value, way, judged) for row in rows) for way in (np.logaddexp, np.maximum))
    if is_added and not is_clamped:
        remedy = f"{_LOGARITHMS}; if {floor} is meant: --floor {floor}"
        return f"{stops} = -log({floor}): {floor} is added to p in the logarithm", remedy
    if is_clamped and abs(value - round(value)) <= _ROUND * _ROUND * value:
        return f"{stops}: log p is clamped at -{round(value)}", _LOGARITHMS
    if is_clamped:
        or_added = ", or added to p" if is_added else ""
        return f"{stops} = -log({floor}): p is clamped at {floor} in the logarithm{or_added}", _LOGARITHMS
    want = reference_of(problem).answer.loss
    if abs(near - want) <= _NEAR * max(1.0, abs(want)):
        return f"{stops}: it, or a term of it, is clamped", _LOGARITHMS
    return "", ""


def _loss(problem: Problem, judged: Judged) -> float:
    """Return the loss of the points where they are; NaN if it raises."""
    try:
        return judged.given(problem, gradient=False).loss
    except LossError:
        return math.nan


def _fits(row: _Row, value: float, mixed: np.ufunc, judged: Judged) -> bool:
    """Return whether the loss is Σ_m w_m -log of p + ε, or of max(p, ε), with ε = e^-value."""
    logs: FloatArray = mixed(row.plain.answer.log_density, -value)
    expected = -float(row.problem.rule.weights @ logs)
    return abs(row.given.loss - expected) <= _FITS * judged.precision.rounding * max(1.0, abs(expected))


def _power_text(loss: float) -> str:
    """Return e^-loss in one digit if it is that round, else in three; as a power where it is no number of float64."""
    value = float(np.exp(-loss))
    if not _SMALLEST < value < 1.0 / _SMALLEST:
        return f"e^{-loss:.4g}"
    digits = next((d for d in (1, 3) if abs(value / float(f"{value:.{d}g}") - 1.0) <= _ROUND), 3)
    return f"{value:.{digits}g}".replace("e-0", "e-")
