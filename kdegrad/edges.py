"""What the moving edges of compact kernels add to the gradients of the exact integral.

A breakpoint moves with its point. Where p is continuous this adds nothing to the derivative of ∫ log p: what one side
gains the other loses. Two cases remain.

`uniform` jumps at its edges. An edge at e between densities p_in (on the point's side) and p_out, moving outward by
δ, turns a stretch δ from p_out to p_in and L by -δ log(p_in/p_out)/(b-a), so that

    ∂L/∂x_i   = [log(p_in/p_out) at x_i - h minus the same at x_i + h]/(b-a)
    ∂L/∂log h = the smooth part - h Σ_edges log(p_in/p_out)/(b-a)

each only for e inside (a, b). Edges that coincide (twins; one kernel ending where the next begins) make L a function
with a kink, and the mean of its one-sided derivatives is given. With s the jump of what moves, these are
log((p_out + s)/p_out) outward and log(p_in/(p_in - s)) inward.

The other compact kernels go to 0 at their edges. Where nothing else covers such an edge in [a, b], p has a zero there
(the loss stays finite: ∫ log s ds is), but S_i ∂K/p is like 1/s: the derivative is infinite, as moving the point away
opens a gap. These edges are found by counting what covers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from kdegrad.domain import BoolArray, FloatArray
from kdegrad.kernels.base import log_or_minus_infinity

if TYPE_CHECKING:
    from kdegrad.problem import Problem


@final
@dataclass(frozen=True, eq=False)
class EdgeTerms:
    """What is to be added to ∂L/∂x_i, shape (N,), and to ∂L/∂log h."""

    angles: FloatArray
    log_bandwidth: float


def edge_terms(problem: Problem, log_density: FloatArray) -> EdgeTerms:
    """Return the terms of the edges, with log p̃ at the nodes of the rule ``exact``."""
    if problem.kernel.edge is None or problem.rule.name != "exact":
        return EdgeTerms(np.zeros(len(problem.angles)), 0.0)
    if problem.kernel.jumps:
        return _jumps(problem, problem.kernel.edge, log_density)
    return _divergences(problem, problem.kernel.edge)


def _jumps(problem: Problem, edge: float, log_density: FloatArray) -> EdgeTerms:
    """Return the terms of `uniform`, whose rule has one node between each edge and the next."""
    assert problem.width is not None
    log_jump = problem.log_weights + problem.log_share + problem.kernel.log_density(np.zeros(1))
    first = np.searchsorted(problem.rule.nodes, _unrolled(problem, problem.angles - edge))
    last = np.searchsorted(problem.rule.nodes, _unrolled(problem, problem.angles + edge))
    # Cut c lies between the nodes c - 1 and c; the first and the last are the target's ends, and nothing passes there.
    log_left = np.concatenate([[0.0], log_density])
    log_right = np.concatenate([log_density, [0.0]])
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
    return EdgeTerms(angles / problem.width, -problem.kernel.bandwidth * float(outward[inside].sum()) / problem.width)


def _log_ratio(log_in: FloatArray, log_out: FloatArray, log_jump: FloatArray, shared: BoolArray) -> FloatArray:
    """Return log(p_in/p_out) as log((p_out + s)/p_out); at a shared cut the mean of this and the inward one."""
    outward = np.logaddexp(0.0, log_jump - log_out)
    with np.errstate(divide="ignore"):  # s = p_in: to move inward opens a gap
        inward = -np.log1p(-np.exp(np.minimum(log_jump - log_in, 0.0)))
    return np.where(shared, 0.5 * (outward + inward), outward)


def _divergences(problem: Problem, edge: float) -> EdgeTerms:
    """Return infinities for the points that touch a zero of p in the target, 0 for the others."""
    assert problem.target is not None
    low, high = map(float, problem.target)
    heavy = (problem.log_weights > -np.inf) & (problem.settings.background == 0.0)
    first, last = _unrolled(problem, problem.angles - edge), _unrolled(problem, problem.angles + edge)
    begins, ends = np.sort(first[heavy]), np.sort(last[heavy])
    around = int((last < first)[heavy].sum())  # on a circle: those that reach over the target's low end

    def bare(places: FloatArray) -> BoolArray:
        count = around + np.searchsorted(begins, places) - np.searchsorted(ends, places, "right")
        return np.asarray(count == 0)

    opens = heavy & (low <= first) & (first < high) & bare(first)
    closes = heavy & (low < last) & (last <= high) & bare(last)
    with np.errstate(invalid="ignore"):  # a point that touches on both sides has no derivative at all
        angles = np.where(opens, np.inf, 0.0) - np.where(closes, np.inf, 0.0)
    return EdgeTerms(angles, -np.inf if (opens | closes).any() else 0.0)


def _unrolled(problem: Problem, places: FloatArray) -> FloatArray:
    assert problem.target is not None
    return problem.domain.unrolled(places, float(problem.target[0]))
