"""The pieces of the target on which p is constant, for a kernel that jumps: one node each, of the exact width.

An edge x_j ± h is rarely a float64. Rounded, it moves L by up to a rounding of the coordinate times the jump of log p,
which grows with the logits. So edges are kept as two numbers, high + low, from the target's low end a: x_j ± h - a by
error-free sums (Knuth's TwoSum; Shewchuk 1997), on a circle with whole turns taken off, which is exact too. The widths
of the pieces are differences of such sums.

A piece that is no wider than a few roundings may have no float64 inside, so it gets no node. What p is there is known
only within the range that the weights allow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.exact.kinks import smallest_gap
from kdegrad.mixture import log_share
from kdegrad.problem import Problem


class Steps(NamedTuple):
    """The pieces that have a node, in ascending order.

    Attributes
    ----------
    nodes, widths
        Shape (B,).
    lost
        The total width of the pieces without a node.
    """

    nodes: FloatArray
    widths: FloatArray
    lost: float


def steps(problem: Problem) -> Steps:
    """Return the pieces between the edges of all points."""
    low, high = problem.reduced_interval
    width = np.array(two_sum(problem.interval.high, -problem.interval.low))
    edges = _edges(problem)
    edges = edges[:, (edges[0] > 0.0) & ((edges - width[:, np.newaxis]).sum(axis=0) < 0.0)]
    edges = edges[:, np.lexsort(edges[::-1])]
    edges = np.concatenate([np.zeros((2, 1)), edges, width[:, np.newaxis]], axis=1)
    widths = np.diff(edges, axis=1).sum(axis=0)
    nodes = np.minimum(low + (edges[0, :-1] + 0.5 * widths), high)
    wide = widths > smallest_gap(problem)
    if not wide.any():
        return Steps(np.array([problem.reduced_interval.centre]), width[:1], float(width[0]))
    beyond = max(problem.interval.width - problem.domain.measure, 0.0)  # of a full turn, by rounding
    return Steps(nodes[wide], widths[wide], float(widths[~wide].sum()) + beyond)


def lost_range(problem: Problem, log_p: FloatArray) -> float:
    """Return by how much log p̃ may differ between a piece without a node and another, given log p̃ at the nodes (B,).

    A piece without a node may be covered by the lightest point alone, or by the background alone.
    """
    weights = problem.log_weights[problem.log_weights > -np.inf]
    lowest = float(weights.min()) + log_share(problem.settings) - problem.kernel.log_norm
    if problem.settings.background > 0.0:
        lowest = float(np.log(problem.settings.background) - np.log(problem.interval.width))
    return float(log_p.max()) - min(lowest, float(log_p.min()))


def two_sum(a: FloatArray | float, b: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Return the rounded sum of a and b and what rounding took from it: together they are a + b."""
    total = np.asarray(a + b)
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _edges(problem: Problem) -> FloatArray:
    """Return the edges of all points from the target's low end, as high + low: shape (2, 2N); on a circle in [0, P]."""
    domain, h = problem.domain, problem.kernel.edge
    if h is None:
        return np.empty((2, 0))  # wider than half the circle: constant
    start = float(domain.reduced(np.array([problem.interval.low]))[0])
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the range of a float64 is beyond the target
        edge, rest = two_sum(domain.reduced(problem.angles), np.array([[-h], [h]]))
        edge, more = two_sum(edge, -start)
        edge, rest = two_sum(edge, rest + more)
        if np.isfinite(domain.measure):
            edge, more = two_sum(edge, -domain.measure * np.floor(edge / domain.measure))
            edge, rest = two_sum(edge, rest + more)
    return np.stack([edge.ravel(), rest.ravel()])
