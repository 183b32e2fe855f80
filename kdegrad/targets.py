"""What a model's density is compared with: an interval, or weighted angles.

    L = -Σ_m q_m log p(t_m),    Σ_m q_m = 1

Of an interval, on which the target density is uniform, a quadrature rule gives the nodes t_m and their weights q_m.
Target points are nodes themselves: angles that were observed, or a soft label over bins. One node is one such point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import (
    FloatArray,
    IntArray,
    checked_offsets,
    group_totals,
    numbers,
    require_everywhere,
    vector,
)
from kdegrad.domain import Domain
from kdegrad.errors import InputError, ProblemFaults, SettingError
from kdegrad.option import is_real, require_no_gradient
from kdegrad.quadrature import Ends, Rule
from kdegrad.text import angle_texts, counted, enumerated, interval_text, shortened, spoken, summary

_LEAST_WEIGHT: Final = 1e-305  # of a target point with a part: its product with log p = -inf is infinite, not 0


class Interval(NamedTuple):
    """The interval [a, b] in the unit of the angles; on a circle it may cross the wrap (350 to 370)."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Return b - a."""
        return self.high - self.low

    @property
    def centre(self) -> float:
        """Return (a + b)/2, formed without overflow."""
        return 0.5 * self.low + 0.5 * self.high


@final
@dataclass(frozen=True, init=False, eq=False)
class Points:
    """Weighted angles as a target, or those of many problems.

    Parameters
    ----------
    angles
        Shape (M,), finite, in the unit of the model's angles. Of G problems (M,) with `offsets`, or (G, K): a row for
        each.
    weights
        Of the shape of the angles, finite and ≥ 0, some above 0 for each problem; they are normalised. None: all equal.
        A point of weight 0 takes no part, not even where the density is 0. (G, K) beside angles (K,): soft labels of G
        problems over the same angles.
    offsets
        Shape (G+1,), from 0 to M, as in CSR: the points of problem g are those from ``offsets[g]`` to
        ``offsets[g+1]``. None, and no rows: the points are one target.

    Raises
    ------
    InputError
        For anything else, naming the points.
    """

    angles: FloatArray
    weights: FloatArray
    offsets: IntArray | None

    def __init__(self, angles: ArrayLike, weights: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        places = numbers("target points", angles, copy=True)
        shares = np.ones_like(places)
        if weights is not None:
            shares = numbers("weights of the target points", weights, copy=True)
        if 2 in (places.ndim, shares.ndim) and offsets is None:
            places, shares, offsets = _in_rows(places, shares)
        places, shares = vector("target points", places, copy=False), vector("weights", shares, copy=False)
        require_everywhere(np.isfinite(places), places, "angle", "give a finite number", "target point")
        if len(shares) != len(places):
            raise InputError(f"{len(places)} target points but {len(shares)} weights: give one weight for each point")
        good = (shares >= 0.0) & (shares < np.inf)
        require_everywhere(good, shares, "weight", "give a finite number of at least 0", "target point")
        bounds = None if offsets is None else checked_offsets(offsets, len(places), "target points")
        totals = group_totals(
            (shares > 0.0).astype(np.float64), np.array([0, len(places)]) if bounds is None else bounds
        )
        if not totals.all():
            where = "" if bounds is None else f" of problem {int(np.argmin(totals > 0.0))}"
            raise InputError(f"no target point{where} has a positive weight: give one above 0")
        for name, part in {"angles": places, "weights": shares, "offsets": bounds}.items():
            object.__setattr__(self, name, part)

    def __len__(self) -> int:
        """Return M."""
        return len(self.angles)

    def __repr__(self) -> str:
        of = "" if self.offsets is None else f" of {counted(len(self.offsets) - 1, 'problem')}"
        return summary("Points", f"{counted(len(self), 'target point')}{of}")

    def part(self, problem: int) -> Points:
        """Return the target points of one problem."""
        if self.offsets is None:
            return self
        chosen = slice(*self.offsets[problem : problem + 2])
        return Points(self.angles[chosen], self.weights[chosen])

    @property
    def active(self) -> IntArray:
        """The indices of the points that take part: those of positive weight."""
        return np.flatnonzero(self.weights)

    def rule(self) -> Rule:
        """Return the points of one target as nodes, those of weight 0 left out, and q_m = w_m/Σ w."""
        chosen = self.active
        return Rule(self.angles[chosen], normalised(self.weights[chosen], np.array([0, len(chosen)])))

    def hull(self, domain: Domain) -> Interval:
        """Return the smallest interval that holds the points of one target with a part: see `arranged`."""
        of = arranged(self, domain)
        return Interval(float(of.lows[0]), float(of.highs[0]))


def _in_rows(angles: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the points of G problems in one row and their offsets, from arrays (G, K), or (K,) for all."""
    try:
        angles, weights = np.broadcast_arrays(angles, weights)
    except ValueError:
        raise InputError(
            f"target points of shape {angles.shape} but weights of shape {weights.shape}: give equal shapes (G, K), or "
            "angles (K,) for all"
        ) from None
    return angles.ravel(), weights.ravel(), np.arange(len(angles) + 1) * angles.shape[1]


# Two numbers, or two arrays (G,) for many problems: an interval. `Points`, or a mapping of their angles and weights. A
# number, or an array (G,): observed angles.
TargetLike = tuple[ArrayLike, ArrayLike] | Points | Mapping[str, ArrayLike] | ArrayLike


class Arranged(NamedTuple):
    """The target points of G problems that take part, in ascending order from the low end of each problem's hull.

    Attributes
    ----------
    nodes, weights
        Shape (M',): their angles as given, and their weights, which sum to 1 for each problem.
    offsets
        Shape (G+1,).
    lows, highs
        The ends of the hulls, shape (G,).
    """

    nodes: FloatArray
    weights: FloatArray
    offsets: IntArray
    lows: FloatArray
    highs: FloatArray


def arranged(points: Points, domain: Domain) -> Arranged:
    """Return target points in order, with the smallest interval that holds those of each problem; on a circle an arc.

    That is the complement of the largest gap between neighbours, of equal ones the first from 0 upward.
    """
    bounds = np.array([0, len(points)]) if points.offsets is None else points.offsets
    chosen = points.active
    offsets = np.searchsorted(chosen, bounds)
    angles, counts, firsts = points.angles[chosen], np.diff(offsets), offsets[:-1]
    if len(angles) == len(counts):  # one observed angle each
        return Arranged(angles, np.ones(len(angles)), offsets, angles, angles)
    problem = np.repeat(np.arange(len(counts)), counts)
    weights = normalised(points.weights[chosen], offsets)
    places = angles
    if domain.measure < math.inf:
        places = np.mod(domain.reduced(angles), domain.measure)
        order = np.lexsort((places, problem))
        gaps = np.roll(places[order], -1) - places[order]
        lasts = offsets[1:] - 1
        gaps[lasts] = places[order[firsts]] + domain.measure - places[order[lasts]]
        is_largest = np.flatnonzero(gaps == np.repeat(np.maximum.reduceat(gaps, firsts), counts))
        ends = is_largest[np.searchsorted(is_largest, firsts)]  # the first of the largest gaps of each problem
        starts = np.where(ends == lasts, firsts, ends + 1)
        places = np.mod(places - np.repeat(places[order[starts]], counts), domain.measure)
    order = np.lexsort((places, problem))
    lows, highs = angles[order[firsts]], angles[order[offsets[1:] - 1]]
    if domain.measure < math.inf:  # the high end as many turns on as the low one
        highs = lows + (places[order[offsets[1:] - 1]] - places[order[firsts]])
    return Arranged(angles[order], weights[order], offsets, lows, highs)


def normalised(weights: FloatArray, offsets: IntArray) -> FloatArray:
    """Return w_m/Σ w, shape (M,), for the weights of each of the problems between `offsets`; what is not 0 stays so."""
    counts = np.diff(offsets)
    peaks = np.maximum.reduceat(weights, offsets[:-1])  # weights of up to 1e300 are not added up
    shares: FloatArray = weights / np.repeat(peaks, counts)
    shares /= np.repeat(group_totals(shares, offsets), counts)
    return np.where(weights > 0.0, np.maximum(shares, _LEAST_WEIGHT), 0.0)


def checked_target(target: Any, period: float | None) -> Interval | Points:
    """Return the target of one problem, in any of its forms.

    Parameters
    ----------
    target
        Two numbers, low and high; `Points`, or a mapping of ``angle`` and perhaps ``weight``; a number, which is one
        observed angle.
    period
        The circumference P, which an interval may not exceed; None on the line.

    Raises
    ------
    SettingError
        For anything else.
    InputError
        For target points that cannot be used.
    """
    require_no_gradient("target", *(target if isinstance(target, (tuple, list)) else (target,)))
    if isinstance(target, Mapping):
        target = points_of(target)
    if isinstance(target, Points):
        if target.offsets is not None:
            raise SettingError(
                "target",
                "the target points are those of several problems, and this is one: give one row, without offsets",
            )
        return target
    if is_real(target):
        return Points([float(target)])
    return checked_interval(target, period)


def points_of(target: Mapping[Any, Any]) -> Points:
    """Return the target points that a mapping of ``angle`` and perhaps ``weight`` describes."""
    return Points(*parts_of(target))


def parts_of(target: Mapping[Any, Any]) -> tuple[Any, Any]:
    """Return ``angle`` and ``weight`` of a mapping that describes target points; None for weights that it has not."""
    if "angle" not in target or not set(target) <= {"angle", "weight"}:
        keys = enumerated(map(str, target)) if target else "nothing"
        raise SettingError("target", f"a mapping of {keys}: give 'angle', and 'weight' or nothing")
    return target["angle"], target.get("weight")


def checked_interval(target: Any, period: float | None) -> Interval:
    """Return the interval that `target`, two numbers, describes.

    Parameters
    ----------
    target
        Two numbers, low and high.
    period
        The circumference P, which the interval may not exceed; None on the line.

    Raises
    ------
    SettingError
        For anything else; low must be below high, both finite.
    """
    try:
        if isinstance(target, Set):
            raise TypeError("a set has no order")
        low, high = (float(end) if is_real(end) else math.nan for end in target)
    except (TypeError, ValueError):
        low = high = math.nan
    if math.isnan(low) or math.isnan(high):
        raise SettingError(
            "target",
            f"{shortened(target)} is not an interval: give two numbers, low and high; several observed angles "
            f"are {spoken('--target-points FILE', 'kdegrad.Points(angles)')}",
        )
    fault = interval_fault(low, high, period)
    if fault is not None:
        raise SettingError("target", fault)
    return Interval(low, high)


def interval_fault(
    low: float, high: float, period: float | None, *, of_many: bool = False, is_swapped: bool = False
) -> str | None:
    """Return why two numbers are no interval, and what to do; None if they are one.

    Parameters
    ----------
    low, high
        The numbers.
    period
        The circumference P; None on the line.
    of_many
        Whether they are those of one of many problems.
    is_swapped
        Whether the ends of many problems look as if they were given the other way round.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"[{low!r}, {high!r}] is not finite: give two finite angles"
    interval = Interval(low, high)
    if math.isinf(interval.width):
        return f"[{low!r}, {high!r}] is wider than the range of float64: make it narrower"
    if low >= high:
        ends = angle_texts(interval)
        if low == high:
            one = spoken(f"--at {ends[0]}", f"target={low!r}")
            each = spoken("--target-columns ANGLE, its column", "target=ANGLES, one for each problem")
            remedy = f"one observed angle? give {each if of_many else one}"
        elif is_swapped:
            remedy = f"swapped? {spoken('give --target-columns HIGH,LOW', 'exchange the two')}"
        else:
            remedy = f"give low < high{_across(low, high, period, of_many=of_many)}"
        return f"low {ends[0]} is not below high {ends[1]}: {remedy}"
    if period is not None and interval.width > _widest(low, high, period):
        return (
            f"{interval_text(interval)} is {interval.width:g} wide, wider than the circle ({period:g}): "
            "make it narrower"
        )
    return None


def _across(low: float, high: float, period: float | None, *, of_many: bool) -> str:
    """Return the ends to give if an interval whose `low` is above its `high` crosses the wrap; empty on the line."""
    if period is None:
        return ""
    turns = math.floor((low - high) / period) + 1
    ends = angle_texts((low, high + turns * period))
    added = f": add {turns * period:g} to high" if of_many else ""
    given = f"{ends[0]} {ends[1]}"
    if not of_many:
        given = spoken(given, f"target=({ends[0]}, {ends[1]})")
    return f" ({given} if it crosses the wrap{added})"


def _widest(low: Ends, high: Ends, period: float) -> Ends:
    """Return the greatest width on a circle, allowing the rounding of the ends: 512.2 - 152.2 exceeds 360 by one."""
    return period + 2.0 * np.spacing(np.maximum(np.abs(low), np.abs(high)))


def checked_targets(
    target: TargetLike | None, count: int, period: float | None, faults: ProblemFaults
) -> tuple[tuple[FloatArray, FloatArray] | None, Points | None]:
    """Return the targets of `count` problems: the ends of intervals, each (G,), or target points; None is the other.

    An interval that is none is added to the faults.

    Raises
    ------
    InputError
        For targets of another number of problems, and what are no numbers.
    """
    if target is None:
        return None, None
    if isinstance(target, Mapping):
        target = points_of(target)
    if isinstance(target, Points):
        if target.offsets is not None and len(target.offsets) - 1 != count:
            raise InputError(f"target: points of {len(target.offsets) - 1} problems, but there are {count}")
        return None, target
    if isinstance(target, (tuple, list)) and len(target) == 2:
        low, high = (
            _for_each(f"target: {name}", end, count) for name, end in zip(("low", "high"), target, strict=True)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            width = high - low
            good = (low < high) & np.isfinite(width)
            if period is not None:
                good &= width <= _widest(low, high, period)
        if good.all():
            return (low, high), None
        bad = np.flatnonzero(~good)
        # most ends the wrong way round, and on a circle the nearer way is from high to low: not across the wrap
        is_swapped = bool(2 * np.count_nonzero(low > high) > count)
        if is_swapped and period is not None:
            is_swapped = bool(np.median((low - high)[low > high]) < 0.5 * period)

        def fault(k: int) -> str:
            ends = float(low[bad[k]]), float(high[bad[k]])
            return f"target: {interval_fault(*ends, period, of_many=True, is_swapped=is_swapped)}"

        faults.add(bad.tolist(), fault)
        return (low, high), None
    if is_real(target):
        return None, Points(np.array([target], dtype=np.float64))
    angles = _for_each("target", target, count)
    bad = np.flatnonzero(~np.isfinite(angles))
    faults.add(bad.tolist(), lambda k: f"target {angles[bad[k]]}: give a finite angle")
    return None, Points(np.where(np.isfinite(angles), angles, 0.0), offsets=np.arange(count + 1))


def _for_each(name: str, values: Any, count: int) -> FloatArray:
    """Return a number for each problem, shape (G,), from one number or from as many as there are problems."""
    given = numbers(name, values, copy=True)
    if given.shape not in ((), (count,)):
        raise InputError(
            f"{name}: {shortened(values)} has the shape {given.shape}, and there are {count} problems: give a number "
            "for each, or one for all; an interval is a tuple of low and high"
        )
    return given if given.ndim else np.full(count, given)
