"""What is said of many problems together: the spread of the losses, and whether far points learn at the full rate."""

from __future__ import annotations

from functools import cached_property
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray, stretches
from kdegrad.evaluation import BatchEvaluation

FAR: Final = 3.0  # bandwidths outside the target
FULL_RATE: Final = 0.9  # of the weight


@final
class Overview:
    """The losses of a batch in a few numbers, and its points by their distance from the target of their problem.

    With [a, b] the hull of the target, c its middle and h the bandwidth, a point is

    - *far* if it is more than 3 h outside the target: |x_i ⊖ c| > (b-a)/2, and from a and b it is more than 3 h away;
    - one that learns *at the full rate* if |∂L/∂z_i| / S_i ≥ 0.9. That is 1 for a point that has no responsibility,
      and more for one that is pulled up.

    Points of weight 0 (logit -inf) are not counted. Where a loss is infinite the gradient is undefined: such a problem
    counts among the `infinite` ones, and its points as far or not, but not as points that learn or do not.

    Attributes
    ----------
    evaluation
        What is described.
    finite
        The losses that are finite, in the order of the problems.
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
        self.finite: FloatArray = evaluation.losses[np.isfinite(evaluation.losses)]
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
    def infinite(self) -> int:
        """How many problems have an infinite loss."""
        return len(self.evaluation.losses) - len(self.finite)

    @property
    def mean_slope(self) -> float | None:
        """The mean of ∂L/∂log h over the problems of finite loss; None if it was not asked for, or there are none."""
        slopes = self.evaluation.log_bandwidth
        if slopes is None or not len(self.finite):
            return None
        return float(slopes[np.isfinite(self.evaluation.losses)].mean())

    @property
    @np.errstate(over="ignore")
    def bandwidths(self) -> FloatArray:
        """The distances in bandwidths, (M,)."""
        return np.asarray(self.distances / self.evaluation.batch.kernel.bandwidth)

    @cached_property
    def is_far(self) -> BoolArray:
        """Which points are far, (M,)."""
        return np.asarray((self.bandwidths > FAR) & self.takes_part)

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
            How many problems have far points alone.
        """
        losses: dict[str, float | int | None] = dict.fromkeys(
            ("mean", "deviation", "smallest", "lower_quartile", "median", "upper_quartile", "largest")
        )
        if len(self.finite):
            quantiles = np.quantile(self.finite, [0.0, 0.25, 0.5, 0.75, 1.0])
            losses = dict(zip(losses, map(float, (self.finite.mean(), self.finite.std(), *quantiles)), strict=True))
        judged = at_full_rate = None
        if self.evaluation.gradients is not None:
            rates = np.abs(self.evaluation.gradients.per_weight.ravel()[self.is_far])
            judged, at_full_rate = int((~np.isnan(rates)).sum()), int((rates >= FULL_RATE).sum())
        return losses | {
            "infinite": self.infinite,
            "points": int(self.takes_part.sum()),
            "far_points": int(self.is_far.sum()),
            "far_points_judged": judged,
            "far_points_at_full_rate": at_full_rate,
            "far_groups": int(self.is_far[self.nearest].sum()),
        }

    def largest(self, count: int) -> IntArray:
        """Return the problems of the `count` largest losses, the largest first, ties in their order."""
        return np.argsort(-self.evaluation.losses, kind="stable")[:count]


def _first_smallest(values: FloatArray, offsets: IntArray, order: IntArray | None) -> IntArray:
    """Return the place of the smallest of the values (M,) of each group, (G,); of equal ones the first."""
    in_order = values if order is None else values[order]
    smallest = np.minimum.reduceat(in_order, offsets[:-1])
    found = np.flatnonzero(in_order == np.repeat(smallest, np.diff(offsets)))
    places = found[np.searchsorted(found, offsets[:-1])]
    return places if order is None else order[places]
