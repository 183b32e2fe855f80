"""What the edges of `uniform`, where p jumps, add to the gradients of the exact integral, and how far that is known.

An edge at e that moves outward by δ changes L by -δ log(p_in/p_out)/(b-a), so that

    ∂L/∂x_i   = [log(p_in/p_out) at x_i - h minus the same at x_i + h]/(b-a)
    ∂L/∂log h = the smooth part - h Σ_edges log(p_in/p_out)/(b-a)

each only for e inside (a, b). Where edges coincide L has a kink, and the mean of its one-sided derivatives is given:
with s the jump of what moves, log((p_out + s)/p_out) outward and log(p_in/(p_in - s)) inward.

Edges that are nearer to each other than a few roundings count as one. There the base is p without the points
whose kernel begins or ends there, and the total is the base and the jumps of all these edges. Which edge comes first
decides how many of the other jumps are in p_out: none (p_out = base) to all (p_out + s = total). So
log((p_out + s)/p_out) is between

    -log(1 - s/total)    and    log(1 + s/base);

and whether one that near to an end of the target is inside decides between the second of these and 0.
"""

from __future__ import annotations

import math

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.exact.kinks import shifted, smallest_gap
from kdegrad.kernel import make_kernel
from kdegrad.mixture import log_mixture, log_share
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.sums import make_sums

_BEGIN, _END = 0, 1  # the two edges of a kernel


class Jumps:
    """The edges of `uniform` at the cuts between the nodes of its rule, which has one node between edge and edge.

    Cut c lies between the nodes c - 1 and c; the first and the last are the target's ends, and nothing passes there.

    Parameters
    ----------
    problem, edge
        The points, and the |d| at which their kernel ends.
    rule, log_p
        The rule ``exact`` and log p̃ (B,) at its nodes.

    Attributes
    ----------
    log_jump
        Shape (N,): the logarithms of the jumps of p̃ at an edge of each point.
    cuts, parts
        Two arrays (N,) each, for the edges where kernels begin, and where they end: the cut that an edge is at, and
        whether it counts, as one in the target or at an end of it of a point of positive weight.
    inside, shared
        Shape (B + 1,): whether a cut is inside the target, and whether it has several edges.
    counts, log_sums
        Shape (2, B + 1): how many kernels begin, and end, at a cut, and the logarithm of the sum of their jumps.
    log_out, log_in
        log p̃ (B + 1,) outside and inside the kernels that begin, and end, at a cut.
    log_base
        Shape (B + 1,): the logarithm of the base where edges meet each other or an end of the target; elsewhere -inf.
    """

    def __init__(self, problem: Problem, edge: float, rule: Rule, log_p: FloatArray) -> None:
        (low, high), gap = problem.reduced_interval, smallest_gap(problem)
        self.log_jump = problem.log_weights + log_share(problem.settings) + problem.kernel.log_density(np.zeros(1))
        places = [shifted(problem, way * edge, low - gap) for way in (-1.0, 1.0)]
        self.cuts: list[IntArray] = [np.searchsorted(rule.nodes, place) for place in places]
        self.inside = np.ones(rule.bins + 1, dtype=bool)
        self.inside[[0, -1]] = False
        beyond = np.array([-np.inf])  # p̃ behind the ends of the target, which is not asked for
        sides = np.concatenate([beyond, log_p]), np.concatenate([log_p, beyond])
        self.log_out, self.log_in = sides, sides[::-1]
        self.counts = np.zeros((2, rule.bins + 1))
        self.log_sums = np.full((2, rule.bins + 1), -np.inf)
        self.parts: list[BoolArray] = []
        for which, place in enumerate(places):
            near_an_end = np.minimum(np.abs(place - low), np.abs(place - high)) <= gap
            part = (self.inside[self.cuts[which]] | near_an_end) & (self.log_jump > -np.inf)
            cut = self.cuts[which][part]
            self.parts.append(part)
            self.counts[which] += np.bincount(cut, minlength=rule.bins + 1)
            np.logaddexp.at(self.log_sums[which], cut, self.log_jump[part])
        edges = self.counts.sum(axis=0)
        self.shared = edges > 1.0
        self.log_base = np.full(rule.bins + 1, -np.inf)
        met = self.shared | (~self.inside & (edges > 0.0))
        if met.any():
            lowest, highest = np.full(rule.bins + 1, np.inf), np.full(rule.bins + 1, -np.inf)
            for part, cut, place in zip(self.parts, self.cuts, places, strict=True):
                np.minimum.at(lowest, cut[part], place[part])
                np.maximum.at(highest, cut[part], place[part])
            self.log_base[met] = _log_cover(problem, edge - 0.5 * gap, 0.5 * (lowest[met] + highest[met]))

    def terms(self) -> tuple[FloatArray, float]:
        """Return (b-a) times what is added to ∂L/∂x_i, shape (N,), and (b-a)/h times what is added to ∂L/∂log h."""
        begins, ends = (self._log_ratios(which) for which in (_BEGIN, _END))
        together = sum(float(self._log_ratios_together(which).sum()) for which in (_BEGIN, _END))
        return begins - ends, -together

    def doubts(self, rounding: float) -> tuple[FloatArray, float]:
        """Return how far these may be off where log p̃ is known to `rounding`.

        If log p_out and log s are off by ε each, log((p_out + s)/p_out) is off by 2ε s/(p_out + s) at most, and thus by
        at most 2ε log((p_out + s)/p_out), since x/(1 + x) ≤ log(1 + x).
        """
        log_sum = np.logaddexp(*self.log_sums)

        def doubt(log_ratio: FloatArray, log_jump: FloatArray, cut: IntArray) -> FloatArray:
            of_rounding = log_jump + math.log(2.0 * rounding)
            log_others = np.logaddexp(_log_difference(log_sum[cut], log_jump), of_rounding)
            widest = np.logaddexp(0.0, log_jump - self.log_base[cut])
            narrowest = np.logaddexp(0.0, log_jump - np.logaddexp(self.log_base[cut], log_others))
            of_order = np.fmax(widest - log_ratio, log_ratio - narrowest)  # fmax: both may be infinite
            of_order = np.where(self.shared[cut], of_order, 0.0)
            inside = of_order + 2.0 * rounding * (log_ratio + of_order)
            return np.where(self.inside[cut], inside, (1.0 + 2.0 * rounding) * widest)

        angles, together = np.zeros(len(self.log_jump)), 0.0
        for which, part in enumerate(self.parts):
            angles[part] += doubt(self._log_ratios(which)[part], self.log_jump[part], self.cuts[which][part])
            used = np.flatnonzero(self.counts[which])
            together += float(doubt(self._log_ratios_together(which)[used], self.log_sums[which][used], used).sum())
        return angles, together

    def _log_ratios(self, which: int) -> FloatArray:
        """Return log(p_in/p_out) at one edge of each point, 0 where that is not inside the target."""
        cut, nothing = self.cuts[which], np.full(len(self.log_jump), -np.inf)
        if not self.shared.any():
            return self._mean_log_ratio(which, cut, self.log_jump, nothing)
        others = np.where(self.counts[which][cut] > 1, self.log_sums[which][cut], -np.inf)
        return self._mean_log_ratio(which, cut, self.log_jump, _log_difference(others, self.log_jump))

    def _log_ratios_together(self, which: int) -> FloatArray:
        """Return log(p_in/p_out) at each cut for all kernels that begin there, or end, and move together."""
        cut = np.arange(len(self.inside))
        return self._mean_log_ratio(which, cut, self.log_sums[which], np.full(len(cut), -np.inf))

    def _mean_log_ratio(self, which: int, cut: IntArray, log_jump: FloatArray, log_others: FloatArray) -> FloatArray:
        """Return log((p_out + s)/p_out), and the mean of this and log(p_in/(p_in - s)) where edges meet.

        p_in - s is the base and the `log_others` that begin, or end, at the same cut.
        """
        log_out = np.where(self.inside[cut], self.log_out[which][cut], np.inf)
        outward = np.logaddexp(0.0, log_jump - log_out)
        if not self.shared.any():
            return outward
        inward = np.logaddexp(0.0, log_jump - np.logaddexp(self.log_base[cut], log_others))
        return np.where(self.shared[cut] & self.inside[cut], 0.5 * (outward + inward), outward)


def _log_cover(problem: Problem, reach: float, places: FloatArray) -> FloatArray:
    """Return log p̃ at `places` of the points that are nearer than `reach`: their kernels narrowed, at the same height.

    This is not p̃ less the jumps of the edges there: the rounding of that difference may be larger than what is left.
    """
    settings, log_cover = problem.settings, np.full(len(places), -np.inf)
    if reach > 0.0:
        kernel = make_kernel(settings.kernel, reach, problem.domain, settings.df)
        sums = make_sums(settings.sums, kernel, problem.angles, places).at_nodes(problem.log_weights)
        log_cover = sums + kernel.log_norm - problem.kernel.log_norm
    return log_mixture(problem, log_cover)


def _log_difference(log_a: FloatArray, log_b: FloatArray) -> FloatArray:
    """Return log(a - b), -inf where that is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = log_a + np.log1p(-np.exp(np.minimum(log_b - log_a, 0.0)))
    return np.where(log_a > log_b, difference, -np.inf)
