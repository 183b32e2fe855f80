"""What the edges of compact kernels add to the gradients of the exact integral, beyond what its nodes see.

For `uniform`, which jumps there, see `kdegrad.exact.jumps`. The other compact kernels go to 0 continuously:
∫ S_i ∂K_i/p dx is all in principle. But where little else covers an edge, p_out ≪ p_in on its two sides, the integrand
is like 1/(s + δ) in the distance s to the edge, with a δ that may be below the
rounding of a coordinate, where no node can be. There the rise of log p is known,

    ∫ (log p)' dx = log p(end) - log p(start),    (log p)' = Σ_j S_j ∂K_j/p,

and what the nodes miss of it belongs to the one ∂K_i/p that is steep, that of the point whose edge it is.

An edge is known to a rounding δ of its coordinate. That puts ∫ S_i ∂K_i/p dx in doubt by

    log(1 + S_i K(h - δ)/p_out)/(b-a),

but where the rise of log p is known by the rounding of the two log p alone. An edge that is as near to an end of the
target as places that count as one may be inside or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.exact.jumps import Jumps
from kdegrad.exact.kinks import breakpoints, rounding_unit, shifted, smallest_gap
from kdegrad.exact.refinement import MOST_NODES
from kdegrad.mixture import density_slope, log_density, log_share
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule


@final
@dataclass(frozen=True, eq=False)
class EdgeTerms:
    """What edges add to ∂L/∂x_i, shape (N,), and to ∂L/∂log h; or to their errors."""

    angles: FloatArray
    log_bandwidth: float


def edge_terms(problem: Problem, rule: Rule, log_p: FloatArray) -> EdgeTerms:
    """Return the terms of the edges, given log p̃ (B,) at the nodes of the rule ``exact``."""
    if problem.kernel.edge is None:
        return EdgeTerms(np.zeros(len(problem.angles)), 0.0)
    if problem.kernel.jumps:
        edge, width = problem.kernel.edge, problem.interval.width
        angles, log_bandwidth = Jumps(problem, edge, rule, log_p).terms()
        return EdgeTerms(angles / width, edge * log_bandwidth / width)
    return _steep_edges(problem, problem.kernel.edge, rule, log_p)


def edge_doubts(problem: Problem, rule: Rule, log_p: FloatArray, rounding: float) -> tuple[EdgeTerms, BoolArray]:
    """Return by how much the terms of the edges may be off, where log p̃ is known to `rounding`.

    And the nodes (B,) on which no gradient hangs, as the rise of log p over them is known otherwise.
    """
    edge, none = problem.kernel.edge, np.zeros(rule.bins, dtype=bool)
    if edge is None:
        return EdgeTerms(np.zeros(len(problem.angles)), 0.0), none
    if problem.kernel.jumps:
        width = problem.interval.width
        angles, log_bandwidth = Jumps(problem, edge, rule, log_p).doubts(rounding)
        return EdgeTerms(angles / width, edge * log_bandwidth / width), ~none
    return _steep_doubts(problem, edge, rule, rounding)


@final
@dataclass(frozen=True, eq=False)
class _Rise:
    """The half of a piece between breakpoints that ends at a steep edge, and the mean of (log p)' over it."""

    side: int  # -1 where the kernel begins, 1 where it ends
    piece: int
    own: BoolArray  # the points whose edge it is
    mean: float


def _steep_edges(problem: Problem, edge: float, rule: Rule, log_p: FloatArray) -> EdgeTerms:
    """Return what the nodes miss at continuous edges, in the pieces between breakpoints that had to be halved."""
    pieces = _pieces(problem, rule)
    angles, log_bandwidth = np.zeros(len(problem.angles)), 0.0
    if not pieces.halved.any():
        return EdgeTerms(angles, log_bandwidth)
    seen = _rises(problem, rule, log_p, pieces)
    for rise in _steep_rises(problem, edge, pieces):
        missed = rise.mean - seen[rise.side][rise.piece]
        share = np.exp(problem.log_weights[rise.own] - problem.log_weights[rise.own].max())
        angles[rise.own] += missed * share / share.sum()  # NaN for a bare edge on both sides: no derivative at all
        log_bandwidth += rise.side * edge * missed
    return EdgeTerms(angles, log_bandwidth)


def _steep_rises(problem: Problem, edge: float, pieces: _Pieces) -> Iterator[_Rise]:
    """Yield the halves of pieces over which the rise of log p is more than the nodes see of it.

    That is where the point's own S_i K_i exceeds p_out in the middle of the piece: if not, nothing is steep.
    """
    for side in (-1, 1):
        into = 0 if side < 0 else -1  # the piece of the kernel's inside follows the cut where it begins
        cut_of, opposite = (_cut_of_edges(problem, pieces.cuts, way * edge) for way in (side, -side))
        for cut in np.unique(cut_of):
            piece = int(cut) + into
            if cut < 0 or not 0 <= piece < len(pieces.middles) or not pieces.halved[piece]:
                continue
            own = cut_of == cut
            others = np.where(own | (opposite == cut), -np.inf, problem.log_weights)
            places = np.array([pieces.middles[piece], pieces.cuts[cut]])
            log_in = float(log_density(problem, places[:1])[0])
            of_others, log_out = log_density(problem, places, others).tolist()
            if -np.expm1(min(of_others - log_in, 0.0)) > np.exp(log_out - log_in):
                yield _Rise(side, piece, own, side * (log_out - log_in) / problem.interval.width)


def _steep_doubts(problem: Problem, edge: float, rule: Rule, rounding: float) -> tuple[EdgeTerms, BoolArray]:
    """Return the doubts of continuous edges, and the nodes of the rises that are known."""
    (low, high), gap, width = problem.reduced_interval, smallest_gap(problem), problem.interval.width
    pieces = _pieces(problem, rule)
    rises = list(_steep_rises(problem, edge, pieces)) if pieces.halved.any() else []
    known = np.zeros(rule.bins, dtype=bool)
    log_own = problem.log_weights + log_share(problem.settings)
    log_k = problem.kernel.log_density(edge - np.array([rounding_unit(problem), gap]))
    angles = np.zeros(len(problem.angles))
    for side in (-1, 1):
        places = shifted(problem, side * edge, low - gap)
        at_an_end = np.minimum(np.abs(places - low), np.abs(places - high)) <= gap
        near = ((places > low) & (places < high) | at_an_end) & (log_own > -np.inf)
        for rise in rises:
            if rise.side == side:
                near &= ~rise.own | at_an_end
                angles[rise.own] += 2.0 * rounding / width
                known |= (pieces.of_node == rise.piece) & ((rule.nodes > pieces.middles[rise.piece]) == (side > 0))
        if near.any():
            log_beside = log_own[near] + np.where(at_an_end[near], log_k[1], log_k[0])
            log_out = log_density(problem, np.clip(places[near], low, high))
            angles[near] += np.logaddexp(0.0, log_beside - log_out) / width
    return EdgeTerms(angles, edge * float(angles.sum())), known


class _Pieces(NamedTuple):
    """The intervals between breakpoints: their ends and middles, which had to be halved, and in which a node is."""

    cuts: FloatArray
    middles: FloatArray
    halved: BoolArray
    of_node: IntArray


def _pieces(problem: Problem, rule: Rule) -> _Pieces:
    cuts = breakpoints(problem)
    middles = cuts[:-1] + 0.5 * np.diff(cuts)  # as panels are halved
    piece = np.maximum(np.searchsorted(cuts, rule.nodes) - 1, 0)  # a node may be rounded onto the first cut
    return _Pieces(cuts, middles, np.bincount(piece, minlength=len(middles)) > MOST_NODES, piece)


def _rises(problem: Problem, rule: Rule, log_p: FloatArray, pieces: _Pieces) -> dict[int, FloatArray]:
    """Return the nodes' estimate of the mean of (log p)' over a halved piece: first half (-1), second half (1)."""
    near = pieces.halved[pieces.of_node]
    nodes, piece = rule.nodes[near], pieces.of_node[near]
    log, factor = density_slope(problem, nodes)
    slopes = factor * np.exp(log + log_share(problem.settings) - log_p[near])
    terms = rule.weights[near] * slopes
    second = nodes > pieces.middles[piece]
    return {
        side: np.bincount(piece, np.where(second == (side > 0), terms, 0.0), len(pieces.middles)).astype(np.float64)
        for side in (-1, 1)
    }


def _cut_of_edges(problem: Problem, cuts: FloatArray, shift: float) -> IntArray:
    """Return for each point the breakpoint at which its edge x_i + `shift` is, -1 for one outside or of no weight."""
    places = shifted(problem, shift, problem.reduced_interval.low)
    gap = smallest_gap(problem)
    cut = np.minimum(np.searchsorted(cuts, places - gap), len(cuts) - 1)
    met = (np.abs(cuts[cut] - places) <= gap) & (problem.log_weights > -np.inf)
    return np.where(met, cut, -1)
