"""What is said of many problems together: the spread of the losses, and whether far points learn at the full rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeVar, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray, stretches
from kdegrad.batch import Batch
from kdegrad.evaluation import BatchEvaluation
from kdegrad.problem import Problem

FAR: Final = 3.0  # bandwidths outside the target
FULL_RATE: Final = 0.9  # of the weight

# The attributes of an `Overview` that are arrays with a value for each group, (G,), or None.
_OF_GROUPS: Final = ("points", "losses", "kl", "log_bandwidth", "are_finite", "nearest_angles", "distances")

_Value = TypeVar("_Value")


@final
class Distances:
    """The points of a batch by their distance from the target of their problem.

    With [a, b] the hull of the target, c its middle and h the bandwidth, a point is

    - *far* if it is more than 3 h outside the target: |x_i ⊖ c| > (b-a)/2, and from a and b it is more than 3 h away;
    - one that learns *at the full rate* if |∂L/∂z_i| / S_i ≥ 0.9. That is 1 for a point that has no responsibility,
      and more for one that is pulled up.

    Points of weight 0 (logit -inf) are not counted. Where a loss is infinite the gradient is undefined: the points of
    such a problem count as far or not, but not as points that learn or do not.

    Attributes
    ----------
    evaluation
        What is described.
    takes_part
        Which points have a weight above 0, (M,).
    distances
        How far each point is outside the target of its problem, (M,), in the unit of the angles; 0 inside it.
    nearest
        The place of each problem's point that is nearest to the middle of its target, (G,).
    """

    @np.errstate(over="ignore")  # a distance may be infinite
    def __init__(self, evaluation: BatchEvaluation) -> None:
        self.evaluation = evaluation
        batch = evaluation.batch
        self.takes_part: BoolArray = batch.logits.ravel() > -np.inf
        lows, highs = batch.hulls
        middles, halves = 0.5 * lows + 0.5 * highs, 0.5 * (highs - lows)
        angles, difference = batch.angles.ravel(), batch.domain.difference
        self.distances: FloatArray = np.zeros(angles.size)
        from_middle = np.empty(angles.size)
        for some in stretches(angles.size):
            of, x = batch.problem_of_point[some], angles[some]
            from_middle[some] = np.abs(difference(x, middles[of]))
            to_ends = np.minimum(np.abs(difference(x, lows[of])), np.abs(difference(x, highs[of])))
            self.distances[some] = np.where(from_middle[some] > halves[of], to_ends, 0.0)
        from_middle[~self.takes_part] = np.inf
        self.nearest = _first_smallest(from_middle, batch.offsets, batch.order)

    @property
    @np.errstate(over="ignore")
    def bandwidths(self) -> FloatArray:
        """The distances in bandwidths, (M,)."""
        return np.asarray(self.distances / self.evaluation.batch.kernel.bandwidth)

    @cached_property
    def is_far(self) -> BoolArray:
        """Which points are far, (M,)."""
        return np.asarray((self.bandwidths > FAR) & self.takes_part)

    @np.errstate(invalid="ignore")
    def counts(self) -> dict[str, int | None]:
        """Return how many points and problems are far: see `Overview.facts`."""
        judged = at_full_rate = None
        if self.evaluation.gradients is not None:
            rates = np.abs(self.evaluation.gradients.per_weight.ravel()[self.is_far])
            judged, at_full_rate = int((~np.isnan(rates)).sum()), int((rates >= FULL_RATE).sum())
        return {
            "points": int(self.takes_part.sum()),
            "far_points": int(self.is_far.sum()),
            "far_points_judged": judged,
            "far_points_at_full_rate": at_full_rate,
            "far_groups": int(self.is_far[self.nearest].sum()),
        }


@final
@dataclass(frozen=True, eq=False)
class Overview:
    """What is known of G problems, each of which is a group of points: plain data, which can be joined.

    Attributes
    ----------
    name
        The file that they are from, or None.
    names
        Of the groups, or their numbers where they have none.
    points
        How many points each has, (G,).
    losses, kl, log_bandwidth, are_finite
        As in `BatchEvaluation`, (G,).
    nearest_angles, distances
        Of each group's point that is nearest to the middle of its target, (G,): see `Distances`.
    counts
        How many points there are, and how many of them are far: see `facts`.
    sums
        How many problems each summation did.
    like
        A problem with the settings and the target of the first, whose points are those of none of the groups.
    target
        The interval, if it is the same for all.
    bins
        How many bins or target points each has; None where they differ, or by the rule ``exact``.
    has_one_target
        Whether all have the same target.
    of_points
        The points one by one; None where these are no longer in memory.
    """

    name: str | None
    names: tuple[str, ...]
    points: IntArray
    losses: FloatArray
    kl: FloatArray | None
    log_bandwidth: FloatArray | None
    are_finite: BoolArray
    nearest_angles: FloatArray
    distances: FloatArray
    counts: dict[str, int | None]
    sums: dict[str, int]
    like: Problem
    target: tuple[float, float] | None
    bins: int | None
    has_one_target: bool
    of_points: Distances | None = None

    @staticmethod
    def of(evaluation: BatchEvaluation) -> Overview:
        """Return what is known of the problems of a batch."""
        batch, of_points = evaluation.batch, Distances(evaluation)
        target = None
        if batch.intervals is not None and all((ends == ends[0]).all() for ends in batch.intervals):
            low, high = (float(ends[0]) for ends in batch.intervals)
            target = low, high
        return Overview(
            name=batch.name,
            names=group_names(batch),
            points=batch.counts,
            losses=evaluation.losses,
            kl=evaluation.kl,
            log_bandwidth=evaluation.log_bandwidth,
            are_finite=evaluation.are_finite,
            nearest_angles=batch.angles.ravel()[of_points.nearest],
            distances=of_points.distances[of_points.nearest],
            counts=of_points.counts(),
            sums=evaluation.sums,
            like=batch.problem(0).replace(angles=[0.0], logits=[0.0], labels=None, name=None),
            target=target,
            bins=_same(_numbers_of_nodes(batch)),
            has_one_target=batch.has_one_target,
            of_points=of_points,
        )

    def without_points(self) -> Overview:
        """Return what is known of the groups alone."""
        return replace(self, of_points=None)

    def in_order(self, order: IntArray) -> Overview:
        """Return what is known of the groups alone, in another order: group g is then the one that was ``order[g]``."""
        found = {name: getattr(self, name) for name in _OF_GROUPS}
        arrays: dict[str, Any] = {name: None if values is None else values[order] for name, values in found.items()}
        return replace(self, **arrays, names=tuple(self.names[group] for group in order.tolist()), of_points=None)

    @cached_property
    def finite(self) -> FloatArray:
        """The losses that are finite, in the order of the groups."""
        return np.asarray(self.losses[np.isfinite(self.losses)])

    @property
    def infinite(self) -> int:
        """How many groups have an infinite loss."""
        return len(self.losses) - len(self.finite)

    @property
    def is_finite(self) -> bool:
        """Whether all losses, and the gradients that were asked for, are finite."""
        return bool(self.are_finite.all())

    @property
    def loss(self) -> float:
        """The mean of all losses, infinite if one is; that of the finite ones is in `facts`."""
        return float(self.losses.mean())

    @property
    def mean_slope(self) -> float | None:
        """The mean of ∂L/∂log h over the groups of finite loss; None if it was not asked for, or there are none."""
        if self.log_bandwidth is None or not len(self.finite):
            return None
        return float(self.log_bandwidth[np.isfinite(self.losses)].mean())

    @property
    @np.errstate(over="ignore")
    def bandwidths(self) -> FloatArray:
        """The distances of the nearest points in bandwidths, (G,)."""
        return np.asarray(self.distances / self.like.kernel.bandwidth)

    @cached_property
    @np.errstate(over="ignore", invalid="ignore")
    def facts(self) -> dict[str, float | int | None]:
        """What is known of the losses that are finite, and of the points, by names; None where there is nothing.

        mean, deviation
            Of the finite losses; the deviation is the root of the mean square.
        smallest, lower_quartile, median, upper_quartile, largest
            Of the finite losses.
        infinite
            How many losses are not.
        points, far_points
            How many points of positive weight there are, and how many of them are far.
        far_points_judged, far_points_at_full_rate
            How many of the far points have a gradient, and how many of them learn at the full rate; None if no gradient
            was asked for.
        far_groups
            How many problems have far points alone: those whose nearest point is far.
        """
        losses: dict[str, float | int | None] = dict.fromkeys(
            ("mean", "deviation", "smallest", "lower_quartile", "median", "upper_quartile", "largest")
        )
        if len(self.finite):
            quantiles = np.quantile(self.finite, [0.0, 0.25, 0.5, 0.75, 1.0])
            losses = dict(zip(losses, map(float, (self.finite.mean(), self.finite.std(), *quantiles)), strict=True))
        return losses | {"infinite": self.infinite} | self.counts

    def largest(self, count: int) -> IntArray:
        """Return the groups of the `count` largest losses, the largest first, ties in their order."""
        return np.argsort(-self.losses, kind="stable")[:count]


def joined(overviews: Sequence[Overview], name: str) -> Overview:
    """Return what is known of all groups, in their order, without the points; all have the same settings."""
    first = overviews[0]
    arrays: dict[str, Any] = {}
    for one in _OF_GROUPS:
        found = [getattr(overview, one) for overview in overviews]
        arrays[one] = None if found[0] is None else np.concatenate(found)
    counts: dict[str, int | None] = {}
    for one, count in first.counts.items():
        counts[one] = None if count is None else sum(overview.counts[one] or 0 for overview in overviews)
    return replace(
        first,
        **arrays,
        name=name,
        names=tuple(chain.from_iterable(overview.names for overview in overviews)),
        counts=counts,
        sums=dict(sum((Counter(overview.sums) for overview in overviews), Counter())),
        target=_same([overview.target for overview in overviews]),
        bins=_same([overview.bins for overview in overviews]),
        has_one_target=all(of.has_one_target and _have_same_target(of.like, first.like) for of in overviews),
        of_points=None,
    )


def group_names(batch: Batch) -> tuple[str, ...]:
    """Return the names of the groups, or their numbers where they have none."""
    return tuple(map(str, range(len(batch)))) if batch.names is None else batch.names


def _have_same_target(one: Problem, other: Problem) -> bool:
    if one.observed is None or other.observed is None:
        return one.target == other.target
    pairs = ((getattr(problem.observed, name) for problem in (one, other)) for name in ("angles", "weights"))
    return all(np.array_equal(*pair) for pair in pairs)


def _same(values: Sequence[_Value | None]) -> _Value | None:
    """Return the one value of all; None if they differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _numbers_of_nodes(batch: Batch) -> list[int | None]:
    """Return the numbers of bins, or of target points, that the problems have."""
    if batch.observed is None:
        return [None if batch.rule_name == "exact" else batch.settings.bins]
    offsets = batch.observed.offsets
    return [len(batch.observed)] if offsets is None else np.unique(np.diff(offsets)).tolist()


def _first_smallest(values: FloatArray, offsets: IntArray, order: IntArray | None) -> IntArray:
    """Return the place of the smallest of the values (M,) of each group, (G,); of equal ones the first.

    NumPy has no argmin of groups: it is the first place, from where a group begins, that holds the group's minimum.
    """
    in_order = values if order is None else values[order]
    smallest = np.minimum.reduceat(in_order, offsets[:-1])
    found = np.flatnonzero(in_order == np.repeat(smallest, np.diff(offsets)))
    places = found[np.searchsorted(found, offsets[:-1])]
    return places if order is None else order[places]
