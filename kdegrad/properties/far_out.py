"""What a judged loss does as its points move away: a table, and whether a floor, a clamp or an underflow ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Unmet
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.geometry import starts
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.reference import Reference, reference_of
from kdegrad.properties.reference_kernels import HEAVY_TAILS, formula_of

_DISTANCES: Final = (4.0, 6.0, 8.0, 20.0, 100.0, 1e4)  # bandwidths; on a circle P/2 in them
_NOT_SHOWN: Final = (12.0, 50.0, 2e3)  # p may be near ε at one; at the last e^(-u/2) is below any ε, also on a circle
_HEAVY: Final = 1e7  # where a heavy tail is below an ε of 1e-12
_LEARNS: Final = 1e-3  # of the right gradient: less is next to nothing
_ROUND: Final = 1e-3  # relative: how near an ε is to a round one
_FITS: Final = 100.0  # roundings by which a loss may differ from that of a floor or a clamp
_SMALLEST: Final = 1e-300  # an ε that is written as a number
_NEAR: Final = 1e-2  # fraction: how right a loss is near the target that is called clamped far out
_AWAY: Final = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of P/2, where the bandwidth cannot be less
_WIDEST: Final = 40.0  # how far log c or log ε may be from what a row gives at once
_HALVINGS: Final = 60  # of that interval: 40·2⁻⁶⁰ is below the rounding of a logarithm
_LOGARITHMS: Final = "-logsumexp(log_softmax(z) + log K), with nothing added or clamped"


class FarStart(NamedTuple):
    """What is wrong far out; all empty where nothing in particular is."""

    difference: str = ""
    names_fault: bool = False
    means: str | None = None
    table: str = ""
    remedy: str = ""


class _Row(NamedTuple):
    distance: float
    place: str  # "4 h"; on a circle the bandwidth, "P/8"
    problem: Problem
    given: Given
    plain: Reference

    @property
    def log_mass(self) -> float:
        """The log of what a line kernel integrates to over the circle, 0 elsewhere."""
        return formula_of(self.problem).log_mass(self.problem.settings.bandwidth)

    def log_mixed(self, way: np.ufunc, log_factor: float, log_epsilon: float) -> float:
        """Return Σ_m w_m log of c p + ε, or of max(c p, ε)."""
        logs: FloatArray = way(self.plain.answer.log_density + log_factor, log_epsilon)
        return float(self.problem.rule.weights @ logs)


class _Mixed(NamedTuple):
    """An ε in the density: the loss is -log of c p + ε, or of max(c p, ε), at all rows."""

    log_epsilon: float
    is_added: bool
    is_clamped: bool
    besides: str  # what c is

    @property
    def is_sum(self) -> bool:
        """Whether it is p + ε, and cannot be a clamp."""
        return self.is_added and not self.is_clamped


def far_start(problem: Problem, judged: Judged) -> FarStart:
    """Return what ends the growth of the loss, or its gradient, with the numbers at growing distances."""
    rows = list(_rows(problem, judged))
    if not rows:
        return FarStart()
    named, remedy = _end_of_growth(rows, problem, judged)
    rows = [row for row in rows if row.distance not in _NOT_SHOWN]
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


def epsilon(judged: Judged, problem: Problem) -> str:
    """Return what is added to p, or clamps it, on a circle of a bandwidth that cannot be changed; empty if nothing is.

    No start is far there: the points are taken around, to the antipode of the target.
    """
    half = formula_of(problem).half_period
    if judged.takes("bandwidth") or math.isinf(half):
        return ""
    sides = np.where(np.arange(len(problem.angles)) % 2, -1.0, 1.0)
    around = (judged.seen(problem.replace(angles=problem.centre + sides * (share * half))) for share in _AWAY)
    rows = [_Row(math.nan, "", p, judged.given(p, gradient=False), reference_of(p)) for p in around]
    if any(row.plain.uncovered for row in rows) or (mixed := _mixed(rows, judged)) is None:
        return ""
    return _cause(mixed)


def _rows(problem: Problem, judged: Judged) -> Iterator[_Row]:
    farthest = (_HEAVY,) if problem.kernel.name in HEAVY_TAILS else ()
    for u in sorted((*_DISTANCES, *_NOT_SHOWN, *farthest)):
        try:
            ((where, start),) = starts(problem, (u,))
            seen = judged.seen(start)
            given = judged.given(seen, gradient=True)
            yield _Row(u, where.removeprefix("h = "), seen, given, reference_of(seen))
        except (Unmet, LossError):
            continue


def _ratio(row: _Row) -> float:
    """Return the length of the logits' gradient in units of the right one's."""
    assert row.given.logits is not None  # the caller looks
    return float(np.linalg.norm(row.given.logits) / np.linalg.norm(row.plain.answer.logits))


def _end_of_growth(rows: list[_Row], problem: Problem, judged: Judged) -> tuple[str, str]:
    """Return what ends the growth of the loss, and the remedy; empty if nothing does, or nothing in particular."""
    value = rows[-1].given.loss + 0.0
    if rows[-1].plain.uncovered:
        said = f"the loss is {value:.6g} where no point reaches the target, and infinite is right"
        return ("" if value == math.inf else said), ""
    if math.isnan(value):
        return "the loss is NaN far out, as 0/0 and inf - inf are", _LOGARITHMS
    if math.isinf(value):
        return "the loss is infinite far out: something under- or overflows before the logarithm is taken", _LOGARITHMS
    near = _loss(problem, judged)
    has_stopped = len(rows) > 1 and rows[-2].given.loss == value
    if near == value:  # it has never grown
        return "", ""
    if has_stopped and value == 0.0:
        return "the loss is 0 far out: nodes of density 0 are left out, with their share of the target", ""
    stops = f"the loss stops growing at {value:.4g}"
    if (mixed := _mixed(rows, judged)) is not None:
        return _named(mixed, value)
    want = reference_of(problem).answer.loss
    if not has_stopped or not abs(near - want) <= _NEAR * max(1.0, abs(want)):
        return "", ""
    if all(row.given.loss == value or _is_near(row, row.plain.answer.loss, judged) for row in rows):
        return f"{stops}: it, or a term of it, is clamped", _LOGARITHMS
    return f"{stops}, by an ε or a clamp of about {_power_text(value)}", _LOGARITHMS


def _named(mixed: _Mixed, value: float) -> tuple[str, str]:
    """Return what is added or clamped, at which value of the loss, and the remedy."""
    end, said = -mixed.log_epsilon, _cause(mixed)
    stops = f"the loss stops growing at {value:.4g}"
    if abs(end - value) > _ROUND * abs(value):  # with a heavy tail p may still be beside ε
        stops = "the loss grows too little"
    elif not said.startswith("log p"):
        stops += f" = -log({_power_text(end)})"
    is_meant = f"; if {_power_text(end)} is meant: --floor {_power_text(end)}" if mixed.is_sum else ""
    return f"{stops}: {said}", _LOGARITHMS + is_meant


def _cause(mixed: _Mixed) -> str:
    """Return what is added or clamped."""
    end, floor = -mixed.log_epsilon, _power_text(-mixed.log_epsilon)
    if mixed.is_sum:
        return f"{floor} is added to p in the logarithm{mixed.besides}"
    if abs(end - round(end)) <= _ROUND * _ROUND * end:
        return f"log p is clamped at -{round(end)}{mixed.besides}"
    return f"p is clamped at {floor} in the logarithm{', or added to p' if mixed.is_added else ''}{mixed.besides}"


def _loss(problem: Problem, judged: Judged) -> float:
    """Return the loss of the points where they are; NaN if it raises."""
    try:
        return judged.given(problem, gradient=False).loss
    except LossError:
        return math.nan


def _mixed(rows: Sequence[_Row], judged: Judged) -> _Mixed | None:
    """Return the ε that all rows show, beside p itself, or p with K as it is normalised on the line."""
    masses = [row.log_mass for row in rows]
    kinds = [("", [0.0] * len(rows))]
    if any(masses):
        kinds.append((", and K is not normalised over the circle", masses))
    ways = (np.logaddexp, np.maximum)
    for besides, factors in kinds:
        found = [_epsilon(rows, factors, way, judged) for way in ways]
        if (log_epsilon := next((x for x in found if x is not None), None)) is not None:
            return _Mixed(log_epsilon, found[0] is not None, found[1] is not None, besides)
    return None


def _epsilon(rows: Sequence[_Row], factors: Sequence[float], way: np.ufunc, judged: Judged) -> float | None:
    """Return the log ε that makes the last row's loss, if with it every row has its own, and two of them show it."""
    last, factor, value = rows[-1], factors[-1], rows[-1].given.loss
    log_epsilon = _root(lambda x: last.log_mixed(way, factor, x) + value, -value - _WIDEST, -value)
    shown = 0
    for row, log_factor in zip(rows, factors, strict=True):
        if not _is_near(row, -row.log_mixed(way, log_factor, log_epsilon), judged):
            return None
        shown += not _is_near(row, -row.log_mixed(way, log_factor, -math.inf), judged)
    return log_epsilon if shown > 1 else None


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function is 0, between ends that it has other signs at; else one of the ends."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return high


def _is_near(row: _Row, expected: float, judged: Judged) -> bool:
    """Return whether a row's loss is what is expected, but for rounding."""
    allowed = _FITS * judged.precision.rounding * max(1.0, abs(expected))
    return math.isfinite(expected) and abs(row.given.loss - expected) <= allowed


def _power_text(loss: float) -> str:
    """Return e^-loss in one digit if it is that round, else in three; as a power where it is no number of float64."""
    value = float(np.exp(-loss))
    if not _SMALLEST < value < 1.0 / _SMALLEST:
        return f"e^{-loss:.4g}"
    digits = next((d for d in (1, 3) if abs(value / float(f"{value:.{d}g}") - 1.0) <= _ROUND), 3)
    return f"{value:.{digits}g}".replace("e-0", "e-")
