"""How far the numbers of the rule ``exact`` may be from the integrals.

The loss: the doubt that its panels leave, the pieces of the target without a node, and the rounding of log p̃. That is
ε times the size of what log p̃ is made of, log S_j and log K: as both have an upper bound, these are at most

    A = |log p̃| + 2 |log K(0)| + |log((1-E) C)| + log N + 1.

The gradients: panels end where log p̃ and the responsibilities are known, not where each ∂K_i/p̃ is. So every gradient is
formed a second time, on the same panels with half as many nodes again, and the difference says how well the panels do
and how far rounding throws the numbers about. To it is added what both have in common:

- the rounding ε (A + |log S_i|) of each r_i, times ∫ r_i, ∫ r_i |k'| or ∫ r_i (1 + |d k'|), and the rounding δ of a
  coordinate times ∫ r_i |k'|. With B_i = ∫ r_i ∂k/∂log h, where k(d) = log(K(d/h)/h) gives ∂k/∂log h = -1 - d k',

      ∫ r_i |d k'| = R_i + B_i,    ∫ r_i |k'| ≤ (4 R_i + 2 (R_i + B_i))/h

  (|h k'| ≤ 4 for |d| ≤ h/2, and |h k'| ≤ 2 |d k'| for |d| ≥ h/2);
- δ V/(b-a), with V the variation of (log p̃)' over the nodes: a place that is δ off changes the integral of a function
  by at most δ times its variation;
- what the rounding of a kink does, whose k' jumps by 2/h, and that of an edge: see `kdegrad.exact.edges`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.exact.edges import edge_doubts
from kdegrad.exact.kinks import rounding_unit, smallest_gap
from kdegrad.exact.refinement import ExactRule
from kdegrad.exact.steps import lost_range
from kdegrad.mixture import log_share
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule

_EPS: Final = float(np.finfo(np.float64).eps)
_ROUNDINGS: Final = 4.0  # of a logarithm, from its parts to the sum
_DIFFERENCES: Final = 4.0  # an error may be so many times the difference of two rules


@final
@dataclass(frozen=True)
class GradientError:
    """The largest absolute error that a gradient of the rule ``exact`` may have; None where it was not asked for.

    Infinite if the gradient itself is: where the edges of compact kernels meet and nothing else covers the place.

    Attributes
    ----------
    logits
        Of ∂L/∂z_i.
    angles
        Of ∂L/∂x_i.
    log_bandwidth
        Of ∂L/∂log h.
    """

    logits: float
    angles: float | None = None
    log_bandwidth: float | None = None


class Found(Protocol):
    """The gradients by one rule, as `kdegrad.Gradients` has them."""

    @property
    def logits(self) -> FloatArray: ...
    @property
    def responsibilities(self) -> FloatArray: ...
    @property
    def angles(self) -> FloatArray | None: ...
    @property
    def log_bandwidth(self) -> float | None: ...


def loss_error(problem: Problem, exact: ExactRule, log_p: FloatArray) -> float:
    """Return the estimate for the loss, given log p̃ (B,) at the nodes; infinite as the loss is."""
    if not math.isfinite(float(log_p.min())):
        return math.inf
    rounding = _ROUNDINGS * _EPS * (float((exact.rule.weights * np.abs(log_p)).sum()) + _constants(problem))
    lost = exact.lost * lost_range(problem, log_p) if exact.lost > 0.0 else 0.0
    return exact.error + rounding + lost


def gradient_error(
    problem: Problem, exact: ExactRule, log_p: FloatArray, found: Found, finer: Found, widenings: FloatArray
) -> GradientError:
    """Return the estimates for the gradients.

    Parameters
    ----------
    problem, exact, log_p
        What was evaluated: log p̃ (B,) at the nodes.
    found, finer
        The gradients by the rule and by the finer one.
    widenings
        B_i, shape (N,).
    """
    weights, h, shares = np.exp(problem.log_weights), problem.kernel.bandwidth, found.responsibilities
    sizes = np.where(weights > 0.0, -problem.log_weights, 0.0) + np.abs(log_p).max() + _constants(problem)
    rounding = _ROUNDINGS * _EPS * sizes
    stretches = np.maximum(shares + widenings, 0.0)  # ∫ r_i |d k'|
    slopes = (4.0 * shares + 2.0 * stretches) / h  # ∫ r_i |k'| at most
    of_distances = rounding_unit(problem) * slopes
    logits = rounding * np.maximum(weights, shares) + of_distances + exact.lost
    of_logits = _off(found.logits, finer.logits) + float(logits.max())
    if found.angles is None and found.log_bandwidth is None:
        return GradientError(of_logits)
    edges, known = edge_doubts(problem, exact.rule, log_p, float(rounding.max()))
    of_places = _of_places(problem, exact.rule, log_p, known, float(rounding.max()))
    of_angles, of_log_bandwidth = None, None
    if found.angles is not None and finer.angles is not None:
        of_kinks = 2.0 * smallest_gap(problem) / h / problem.interval.width if problem.kernel.kinked else 0.0
        common = float((rounding * slopes + edges.angles).max()) + of_places + of_kinks
        of_angles = _off(found.angles, finer.angles) + common
    if found.log_bandwidth is not None and finer.log_bandwidth is not None:
        terms = rounding * (2.0 * shares + stretches) + of_distances
        common = float(terms.sum()) + edges.log_bandwidth + h * of_places
        of_log_bandwidth = _off(np.array(found.log_bandwidth), np.array(finer.log_bandwidth)) + common
    return GradientError(of_logits, of_angles, of_log_bandwidth)


def _of_places(problem: Problem, rule: Rule, log_p: FloatArray, known: BoolArray, rounding: float) -> float:
    """Return δ V/(b-a), with V the variation of (log p̃)' from node to node, but for those `known` otherwise.

    Nodes that are a rounding δ off change the integral of a function by at most δ times its variation.
    """
    unit = rounding_unit(problem)
    gaps = np.maximum(np.diff(rule.nodes), unit)
    slopes = np.diff(log_p) / gaps
    changes = np.abs(np.diff(slopes)) + 2.0 * rounding / np.minimum(gaps[:-1], gaps[1:])
    variation = float(changes[~(known[:-2] | known[1:-1] | known[2:])].sum())
    return unit * variation / problem.interval.width


def _off(found: FloatArray, finer: FloatArray) -> float:
    """Return by how much what is found may be off, judged by the finer rule; infinite if it is not finite."""
    off = np.abs(found - finer)
    return _DIFFERENCES * float(np.where(np.isnan(off), np.inf, off).max())


def _constants(problem: Problem) -> float:
    """Return 2 |log K(0)| + |log((1-E) C)| + log N + 1, and with a background its logarithm."""
    constants = (
        2.0 * abs(problem.kernel.log_norm) + abs(log_share(problem.settings)) + math.log(len(problem.angles)) + 1.0
    )
    if problem.settings.background > 0.0:
        constants += abs(math.log(problem.settings.background)) + abs(math.log(problem.interval.width))
    return constants
