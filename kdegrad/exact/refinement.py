"""The rule ``exact``: nodes and weights that integrate the loss and every gradient over [a, b] to round-off.

L, R_i and the derivatives are means over the target of

    log p,    S_i K_i/p,    S_i ∂K_i/p

which between the breakpoints of p share their singularities: the complex zeros of p and the poles of K. So one set of
Gauss-Legendre panels serves them all. Panels start at the breakpoints, rise through a few orders, and are halved
(adaptive quadrature; Piessens et al., QUADPACK, 1983) until two functions are known from their values:

- log p, for the loss. Near a zero of p at distance s it behaves as m log s, and halving grades the panels toward it.
- v = Σ_i c_i K_i/p with random c_i, for the responsibilities. Where many points make p flat, log p is smooth over
  many bandwidths while each K_i/p is not; equal c_i would cancel in the same way, random ones do not. They do not
  depend on S, so that the gradient per weight is right for a point of little or no weight too.

v is measured in units of its largest value between two breakpoints: it may grow by e^1000 from one to the next.
L, R_i and the gradients have absolute errors of round-off; a gradient per weight has one relative to the largest of
all points, which may be much above that of a point that is both light and nowhere near.

**How well a panel is known.** A function with n values f_m at the Gauss nodes ξ_m of [-1, 1] has the interpolant
Σ_{k<n} a_k P_k with a_k = (2k+1)/2 Σ_m ω_m f_m P_k(ξ_m), exact for degree 2n - 1. Two numbers are measured:

- the tail τ: by how much the interpolant misses f at the two ends, where P_k = (±1)^k shows the first terms that were
  left out in full, and where a feature between the last node and a breakpoint would hide;
- the middle μ = max(a_k), k = n/2 and the next.

If the coefficients fall geometrically, (τ/μ)² is the fall from order n to 2n, and since the Gauss rule integrates P_k
exactly for k < 2n, its error is about

    e = τ q²,    q = τ/μ within [q₀, 1]

far below τ for a smooth function, and τ itself where the coefficients do not fall: a missed kink and a spike narrower
than the panel do not pass for convergence. A fall steeper than q₀ is not believed: a large part may have ended between
the middle and the tail (log p of a far gaussian is a parabola) and left a small one that falls more slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.exact.kinks import breakpoints, rounding_unit
from kdegrad.exact.steps import steps
from kdegrad.mixture import kernel_sums, log_mixture, log_share
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule, legendre, legendre_values
from kdegrad.text import counted, five_digits, summary

_GOLDEN: Final = 0.6180339887498949  # (√5 - 1)/2
_EPS: Final = float(np.finfo(np.float64).eps)
HIGHEST_ORDER: Final = 16  # beyond it a panel is halved
_ORDERS: Final = (4, 8, HIGHEST_ORDER)
MOST_NODES: Final = HIGHEST_ORDER * 3 // 2  # of a panel of the rule and of the finer one: halves have more together
_TOLERANCE: Final = 1e-15  # limit for e; e is pessimistic, most panels pass by far
_NOISE: Final = 32.0  # roundings by which an interpolant may be off where it is carried to an end
_NARROWEST: Final = 2048.0  # width, in rounding units, below which the nodes of its halves would coincide with its ends
_SLIVER: Final = 64.0  # width, in rounding units, below which one node between two breakpoints is as good as any
_STEEPEST_FALL: Final = {4: 1e-1, 8: 1e-3, 16: 1e-3}  # q₀ by n: the fewer the orders, the likelier is a false fall
_CROWD: Final = 16  # give up (treat as noise) when over _CROWD·(initial panels + _CROWD) panels still need halving


@final
@dataclass(frozen=True, eq=False)
class PanelRule:
    """The n-point rule of [-1, 1] and the linear forms in n values that judge it.

    Attributes
    ----------
    nodes, weights
        Shape (n,); the weights sum to 1.
    places
        The nodes with the two ends around them, shape (n + 2,): where a function is asked for.
    ends
        Values → the interpolant at -1 and 1, shape (n, 2).
    middle
        Values → a_k for k = n/2 and the next, shape (n, 2).
    """

    nodes: FloatArray
    weights: FloatArray
    places: FloatArray
    ends: FloatArray
    middle: FloatArray

    def judge(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return e and τ, each of shape (M,), of M functions by their values at the `places`, shape (M, n + 2).

        A value of -inf at an end or among the nodes makes both infinite.
        """
        with np.errstate(invalid="ignore"):
            # subtract a constant: it adds rounding but no information
            values = values - values[:, [len(self.nodes) // 2]]
            inner = values[:, 1:-1]
            tail = np.abs(values[:, [0, -1]] - inner @ self.ends).max(axis=1)
            middle = np.abs(inner @ self.middle).max(axis=1)
        known = np.isfinite(tail)
        tail = np.where(known, tail, np.inf)
        ratio = np.ones_like(tail)
        np.divide(tail, middle, out=ratio, where=known & (middle > tail))
        return tail * np.maximum(ratio, _STEEPEST_FALL[len(self.nodes)]) ** 2, tail


@cache
def panel_rule(order: int) -> PanelRule:
    """Return the rule of `order` nodes."""
    nodes, weights = legendre(order)
    k = np.arange(order)
    basis = np.stack([legendre_values(degree, nodes) for degree in range(order)], axis=1)
    coefficients = weights[:, np.newaxis] * basis * (k + 0.5)  # values @ this = a
    ends = np.stack([(-1.0) ** k, np.ones(order)], axis=1)
    return PanelRule(
        nodes=nodes,
        weights=0.5 * weights,
        places=np.concatenate([[-1.0], nodes, [1.0]]),
        ends=coefficients @ ends,
        middle=coefficients[:, order // 2 : order // 2 + 2],
    )


@final
@dataclass(frozen=True, eq=False)
class Panels:
    """M intervals of the target, each with the logarithm of the largest v met so far between its breakpoints."""

    left: FloatArray
    right: FloatArray
    log_unit: FloatArray

    def __len__(self) -> int:
        return len(self.left)

    @property
    def width(self) -> FloatArray:
        """The widths, shape (M,)."""
        return self.right - self.left

    def at(self, places: FloatArray) -> FloatArray:
        """Return the coordinates of `places` in [-1, 1], shape (M, n)."""
        coordinates = self.left[:, np.newaxis] + 0.5 * (1.0 + places) * self.width[:, np.newaxis]
        return np.minimum(coordinates, self.right[:, np.newaxis])

    def those(self, which: BoolArray) -> Panels:
        """Return some of the panels."""
        return Panels(self.left[which], self.right[which], self.log_unit[which])

    def halves(self) -> Panels:
        """Return twice as many, in ascending order if these were."""
        middle = self.left + 0.5 * self.width
        left, right = np.stack([self.left, middle], axis=1), np.stack([middle, self.right], axis=1)
        return Panels(left.ravel(), right.ravel(), np.repeat(self.log_unit, 2))


@final
@dataclass(frozen=True, eq=False)
class ExactRule:
    """A rule whose sums are integrals over the target, and what is known of its errors.

    Attributes
    ----------
    rule
        Its nodes and weights.
    error
        An estimate of how far the mean of log p̃ is off, beside the rounding of log p̃ itself.
    lost
        The fraction of the target whose log p̃ no node shows; see `kdegrad.exact.steps`.
    panels
        The panels, in groups that have the same number of nodes; none where p̃ is constant between its edges.
    """

    rule: Rule
    error: float
    lost: float = 0.0
    panels: tuple[tuple[Panels, PanelRule], ...] = ()

    def __repr__(self) -> str:
        return summary("ExactRule", counted(self.rule.bins, "node"), f"error {five_digits(self.error)}")

    @property
    def finer(self) -> Rule:
        """The same panels with half as many nodes again: what another choice of nodes makes of the gradients."""
        if not self.panels:
            return self.rule
        return _joined([(panels, panel_rule(max(len(rule.nodes) * 3 // 2, 2))) for panels, rule in self.panels])


def exact_rule(problem: Problem) -> ExactRule:
    """Return the rule whose sums are the integrals over the target, and estimates of its error.

    A part of the target that no point reaches (compact kernels) gets one node, in its middle.
    """
    if problem.kernel.jumps:  # p is constant between its breakpoints
        nodes, widths, lost = steps(problem)
        total = float(widths.sum())
        rule = Rule(nodes, widths / total)
        return ExactRule(rule, 0.0, lost / (total + lost))
    return Refinement(problem).run()


@final
class Refinement:
    """The panels of one problem on their way to a rule: those accepted so far, and the error they leave."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.unit = rounding_unit(problem)  # one rounding of a coordinate t
        self.probe = _log_probe(problem)  # log c_i of v = Σ_i c_i K_i/p, shape (N,)
        self.accepted: list[tuple[Panels, PanelRule]] = []
        self.error = 0.0

    def run(self) -> ExactRule:
        """Refine until no panel is in doubt."""
        cuts = breakpoints(self.problem)
        smallest_unit = -log_share(
            self.problem.settings
        )  # where v is below 1, its absolute error counts: Σ_i (1-E) C S_i K_i/p̃ ≤ 1
        panels = Panels(cuts[:-1], cuts[1:], np.full(len(cuts) - 1, smallest_unit))
        most = _CROWD * (len(panels) + _CROWD)
        slivers = panels.width <= _SLIVER * self.unit
        self.accept(panels.those(slivers), panel_rule(1), np.ones(int(slivers.sum())))
        panels = panels.those(~slivers)
        for order in _ORDERS:
            panels = self.sift(panels, order)
        while len(panels):
            panels = self.sift(panels.halves(), HIGHEST_ORDER, last=len(panels) > most)
        return self.rule()

    def sift(self, panels: Panels, order: int, last: bool = False) -> Panels:
        """Accept those of `panels` on which `order` nodes suffice (or all, the `last` time), and return the others."""
        if not len(panels):
            return panels
        rule = panel_rule(order)
        log_density, log_v = self.values(panels.at(rule.places))
        empty = log_density[:, 1:-1].max(axis=1) == -np.inf
        self.accept(panels.those(empty), panel_rule(1), np.zeros(int(empty.sum())))
        panels, log_density, log_v = panels.those(~empty), log_density[~empty], log_v[~empty]

        panels = Panels(panels.left, panels.right, np.maximum(panels.log_unit, log_v.max(axis=1)))
        noise = self.noise(panels, log_density[:, 1:-1], rule)
        error, tail = rule.judge(log_density)
        v = np.exp(log_v - panels.log_unit[:, np.newaxis])
        error_of_v, tail_of_v = rule.judge(v)
        noise_of_v = noise + _NOISE * self.unit * steepest(panels, v[:, 1:-1], rule)
        known = ((error <= _TOLERANCE) | (tail <= noise)) & ((error_of_v <= _TOLERANCE) | (tail_of_v <= noise_of_v))
        # one empty panel stops the refinement, as the loss is infinite then
        known |= (panels.width <= _NARROWEST * self.unit) | last | empty.any()
        spread = np.ptp(log_density[:, 1:-1], axis=1)
        self.accept(panels.those(known), rule, (np.minimum(error, spread) + noise / _NOISE)[known])
        return panels.those(~known)

    def values(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log p̃ and log v at the places t; where p̃ is 0, v is not asked for and set to 0."""
        problem = self.problem
        sums = kernel_sums(problem, t.ravel())
        log_density = log_mixture(problem, sums.at_nodes(problem.log_weights))
        log_v = sums.at_nodes(self.probe)
        np.subtract(log_v, log_density, out=log_v, where=log_density > -np.inf)
        return log_density.reshape(t.shape), log_v.reshape(t.shape)

    def noise(self, panels: Panels, log_density: FloatArray, rule: PanelRule) -> FloatArray:
        """Return by how much rounding may move log p: of its terms, and of t where it is steep."""
        constants = abs(self.problem.kernel.log_norm) + abs(log_share(self.problem.settings)) + 1.0
        of_terms = _EPS * (np.abs(log_density).max(axis=1) + constants)
        of_places = self.unit * (steepest(panels, log_density, rule) + 1.0 / self.problem.kernel.bandwidth)
        noise: FloatArray = _NOISE * (of_terms + of_places)
        return noise

    def accept(self, panels: Panels, rule: PanelRule, error: FloatArray) -> None:
        """Take the nodes of `panels` into the rule, and note the error that they leave in the mean."""
        self.accepted.append((panels, rule))
        self.error += float(panels.width @ error)

    def rule(self) -> ExactRule:
        """Return the accepted nodes in ascending order with their weights, and the error's estimate."""
        width = self.problem.interval.width
        return ExactRule(_joined(self.accepted), self.error / width, panels=tuple(self.accepted))


def steepest(panels: Panels, values: FloatArray, rule: PanelRule) -> FloatArray:
    """Return the largest slope, shape (M,), of functions with these values at the nodes of the panels, shape (M, n)."""
    apart = 0.5 * np.diff(rule.nodes) * panels.width[:, np.newaxis]
    slopes: FloatArray = np.max(np.abs(np.diff(values)) / apart, axis=1)
    return slopes


def _joined(parts: Sequence[tuple[Panels, PanelRule]]) -> Rule:
    """Return one rule of all panels."""
    nodes = np.concatenate([panels.at(rule.nodes).ravel() for panels, rule in parts])
    weights = np.concatenate([(panels.width[:, np.newaxis] * rule.weights).ravel() for panels, rule in parts])
    order = np.argsort(nodes)
    return Rule(nodes[order], weights[order] / weights.sum())


def _log_probe(problem: Problem) -> FloatArray:
    """Return log c_i, c_i in (0, 1]: arbitrary, but the same for the same points in whatever order they come."""
    draws = 1.0 - np.modf(np.arange(1.0, len(problem.angles) + 1.0) * _GOLDEN)[0]  # Weyl's sequence: all different
    log_probe = np.empty_like(draws)
    log_probe[np.lexsort((problem.log_weights, problem.angles))] = np.log(draws)
    return log_probe
