"""What the edges of compact kernels add to the gradients of the exact integral, beyond what its nodes see.

An edge at e between the densities p_in (on the point's side) and p_out that moves outward by δ changes L by
-δ log(p_in/p_out)/(b-a). For `uniform`, which jumps there,

    ∂L/∂x_i   = [log(p_in/p_out) at x_i - h minus the same at x_i + h]/(b-a)
    ∂L/∂log h = the smooth part - h Σ_edges log(p_in/p_out)/(b-a)

each only for e inside (a, b). Where edges coincide L has a kink, and the mean of its one-sided derivatives is given:
with s the jump of what moves, log((p_out + s)/p_out) outward and log(p_in/(p_in - s)) inward.

The other compact kernels go to 0 continuously: ∫ S_i ∂K_i/p dx is all in principle. But where little else covers the
edge, p_out ≪ p_in, the integrand is like 1/(s + δ) in the distance s to the edge, with a δ that may be below the
rounding of a coordinate, where no node can be. There the rise of log p is known,

    ∫ (log p)' dx = log p(end) - log p(start),    (log p)' = Σ_j S_j ∂K_j/p,

and what the nodes miss of it belongs to the one ∂K_i/p that is steep, that of the point whose edge it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.exact.kinks import breakpoints, smallest_gap
from kdegrad.exact.refinement import HIGHEST_ORDER
from kdegrad.logs import log_or_minus_infinity
from kdegrad.mixture import density_slope, log_density, log_share
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule


@final
@dataclass(frozen=True, eq=False)
class EdgeTerms:
    """What is to be added to ∂L/∂x_i, shape (N,), and to ∂L/∂log h."""

    angles: FloatArray
    log_bandwidth: float


def edge_terms(problem: Problem, rule: Rule, log_p: FloatArray) -> EdgeTerms:
    """Return the terms of the edges, given log p̃ (B,) at the nodes of the rule ``exact``."""
    if problem.kernel.edge is None:
        return EdgeTerms(np.zeros(len(problem.angles)), 0.0)
    find = _jumps if problem.kernel.jumps else _steep_edges
    return find(problem, problem.kernel.edge, rule, log_p)


def _jumps(problem: Problem, edge: float, rule: Rule, log_p: FloatArray) -> EdgeTerms:
    """Return the terms of `uniform`, whose rule has one node between each edge and the next."""
    log_jump = problem.log_weights + log_share(problem) + problem.kernel.log_density(np.zeros(1))
    first = np.searchsorted(rule.nodes, problem.domain.unrolled(problem.angles - edge, problem.interval.low))
    last = np.searchsorted(rule.nodes, problem.domain.unrolled(problem.angles + edge, problem.interval.low))
    # Cut c lies between the nodes c - 1 and c; the first and the last are the target's ends, and nothing passes there.
    log_left = np.concatenate([[0.0], log_p])
    log_right = np.concatenate([log_p, [0.0]])
    count = len(log_left)
    jump = np.exp(log_jump)
    begins: FloatArray = np.bincount(first, jump, count).astype(np.float64)
    ends: FloatArray = np.bincount(last, jump, count).astype(np.float64)
    crowd = np.bincount(first, jump > 0.0, count) + np.bincount(last, jump > 0.0, count)
    inside = np.ones(count, dtype=bool)
    inside[[0, -1]] = False

    at_first = _log_ratio(log_right[first], log_left[first], log_jump, crowd[first] > 1)
    at_last = _log_ratio(log_left[last], log_right[last], log_jump, crowd[last] > 1)
    angles = np.where(inside[first], at_first, 0.0) - np.where(inside[last], at_last, 0.0)
    outward = _log_ratio(log_right, log_left, log_or_minus_infinity(begins), ends > 0.0)
    outward += _log_ratio(log_left, log_right, log_or_minus_infinity(ends), begins > 0.0)
    return EdgeTerms(angles / problem.interval.width, -edge * float(outward[inside].sum()) / problem.interval.width)


def _log_ratio(log_in: FloatArray, log_out: FloatArray, log_jump: FloatArray, shared: BoolArray) -> FloatArray:
    """Return log(p_in/p_out) as log((p_out + s)/p_out); at a shared cut the mean of this and the inward one."""
    outward = np.logaddexp(0.0, log_jump - log_out)
    with np.errstate(divide="ignore"):  # s = p_in: to move inward opens a gap
        inward = -np.log1p(-np.exp(np.minimum(log_jump - log_in, 0.0)))
    return np.where(shared, 0.5 * (outward + inward), outward)


def _steep_edges(problem: Problem, edge: float, rule: Rule, log_p: FloatArray) -> EdgeTerms:
    """Return what the nodes miss at continuous edges, in the pieces between breakpoints that had to be halved."""
    cuts = breakpoints(problem)
    middles = 0.5 * (cuts[:-1] + cuts[1:])
    piece = np.maximum(np.searchsorted(cuts, rule.nodes) - 1, 0)  # a node may be rounded onto the first cut
    halved = np.bincount(piece, minlength=len(middles)) > HIGHEST_ORDER
    if not halved.any():
        return EdgeTerms(np.zeros(len(problem.angles)), 0.0)
    seen = _rises(problem, rule, log_p, piece, middles, halved)
    cut_of = {
        side: _cut_of_edges(problem, cuts, side * edge) for side in (-1, 1)
    }  # where kernels begin (-1) and end (1)

    angles, log_bandwidth = np.zeros(len(problem.angles)), 0.0
    for side in (-1, 1):
        into = 0 if side < 0 else -1  # the piece of the kernel's inside follows the cut where it begins
        for cut in np.unique(cut_of[side]):
            if not (cut >= 0 and 0 <= cut + into < len(middles) and halved[cut + into]):
                continue
            own = cut_of[side] == cut
            others = np.where(own | (cut_of[-side] == cut), -np.inf, problem.log_weights)
            log_in = float(log_density(problem, middles[[cut + into]])[0])
            log_out = float(log_density(problem, cuts[[cut]], others)[0])
            missed = side * (log_out - log_in) / problem.interval.width - seen[side][cut + into]
            share = np.exp(problem.log_weights[own] - problem.log_weights[own].max())
            angles[own] += missed * share / share.sum()  # NaN for a bare edge on both sides: no derivative at all
            log_bandwidth += side * edge * missed
    return EdgeTerms(angles, log_bandwidth)


def _rises(
    problem: Problem, rule: Rule, log_p: FloatArray, piece: IntArray, middles: FloatArray, halved: BoolArray
) -> dict[int, FloatArray]:
    """Return the nodes' estimate of the mean of (log p)' over a halved piece: first half (-1), second half (1)."""
    near = halved[piece]
    nodes, piece = rule.nodes[near], piece[near]
    log, factor = density_slope(problem, nodes)
    slopes = factor * np.exp(log + log_share(problem) - log_p[near])
    terms = rule.weights[near] * slopes
    second = nodes > middles[piece]
    return {
        side: np.bincount(piece, np.where(second == (side > 0), terms, 0.0), len(middles)).astype(np.float64)
        for side in (-1, 1)
    }


def _cut_of_edges(problem: Problem, cuts: FloatArray, shift: float) -> IntArray:
    """Return for each point the breakpoint at which its edge x_i + `shift` is, -1 for one outside or of no weight."""
    places = problem.domain.unrolled(problem.angles + shift, problem.interval.low)
    gap = smallest_gap(problem)
    cut = np.minimum(np.searchsorted(cuts, places - gap), len(cuts) - 1)
    met = (np.abs(cuts[cut] - places) <= gap) & (problem.log_weights > -np.inf)
    return np.where(met, cut, -1)
