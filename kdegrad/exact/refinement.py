"""The rule ``exact``: nodes and weights that integrate the loss and every gradient over [a, b] to round-off.

L, R_i and the derivatives are means over the target of

    log p,    S_i K_i/p,    S_i ∂K_i/p

which between the breakpoints of p share their singularities: the complex zeros of p and the poles of K. So one set of
Gauss-Legendre panels serves them all, and once it is found, `exact` is a rule like any other: the loss and the
gradient are sums over the same nodes. Panels start at the breakpoints, rise through a few orders, and are halved
until two functions are known from their values (`panels`):

- log p, for the loss. Near a zero of p at distance s it behaves as m log s, and halving grades the panels toward it,
  be it beside the real line or on it (the edge of a compact kernel that nothing else covers).
- v = Σ_i c_i K_i/p with random c_i, for the responsibilities. Where many points make p flat, log p is smooth over
  many bandwidths while each K_i/p is not; equal c_i would cancel in the same way, random ones do not. They take no
  account of S, so that the gradient per weight is right for a point of little or no weight too.

v is measured in units of its largest value between two breakpoints: it may grow by e^1000 from one to the next.
What this leaves: L, R_i and the gradients have errors of round-off in absolute terms; a gradient per weight has one
relative to the largest of all points, which may be much above that of a point that is both light and nowhere near.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.exact.kinks import breakpoints, rounding_unit
from kdegrad.exact.panels import PanelRule, panel_rule
from kdegrad.quadrature import Rule
from kdegrad.sums import make_sums

if TYPE_CHECKING:
    from kdegrad.problem import Problem

_GOLDEN: Final = 0.6180339887498949  # (√5 - 1)/2
_EPS: Final = float(np.finfo(np.float64).eps)
HIGHEST_ORDER: Final = 16  # of a panel, until it is halved
_ORDERS: Final = (4, 8, HIGHEST_ORDER)
_TOLERANCE: Final = 1e-15  # on e, which overstates: a panel that just passes is the exception
_NOISE: Final = 32.0  # roundings by which an interpolant may be off where it is carried to an end
_NARROWEST: Final = 2048.0  # rounding units: the nodes of its halves would run into its ends
_SLIVER: Final = 64.0  # rounding units: between breakpoints so close, one node is as good as any
_CROWD: Final = 16  # if more panels than so many for each first one, and some, want halving, the doubt is noise


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


def exact_rule(problem: Problem) -> Rule:
    """Return the rule whose sums are the integrals over the target, with an estimate of the loss's error.

    A part of the target that no point reaches (compact kernels) gets one node, in its middle.
    """
    return Refinement(problem).run()


@final
class Refinement:
    """The panels of one problem on their way to a rule: those accepted so far, and the error they leave."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.unit = rounding_unit(problem)
        self.probe = _log_probe(problem)
        self.nodes: list[FloatArray] = []
        self.weights: list[FloatArray] = []
        self.error = 0.0

    def run(self) -> Rule:
        """Refine until no panel is in doubt."""
        cuts = breakpoints(self.problem)
        panels = Panels(cuts[:-1], cuts[1:], np.full(len(cuts) - 1, np.finfo(np.float64).min))
        most = _CROWD * (len(panels) + _CROWD)
        if self.problem.kernel.jumps:  # p is constant between its breakpoints
            self.accept(panels, panel_rule(1), 4.0 * _EPS + self.unit / panels.width)
            return self.rule()
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
        error_of_v, tail_of_v = rule.judge(np.exp(log_v - panels.log_unit[:, np.newaxis]))
        known = ((error <= _TOLERANCE) | (tail <= noise)) & ((error_of_v <= _TOLERANCE) | (tail_of_v <= noise))
        known |= (panels.width <= _NARROWEST * self.unit) | last | empty.any()  # an infinite loss needs no digits
        spread = np.ptp(log_density[:, 1:-1], axis=1)
        self.accept(panels.those(known), rule, (np.minimum(error, spread) + noise / _NOISE)[known])
        return panels.those(~known)

    def values(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log p̃ and log v at the places t; where p̃ is 0, v is not asked for and set to 0."""
        problem = self.problem
        sums = make_sums(problem.settings.sums, problem.kernel, problem.angles, t.ravel())
        log_density = problem.log_mixture(sums.at_nodes(problem.log_weights))
        log_v = sums.at_nodes(self.probe)
        np.subtract(log_v, log_density, out=log_v, where=log_density > -np.inf)
        return log_density.reshape(t.shape), log_v.reshape(t.shape)

    def noise(self, panels: Panels, log_density: FloatArray, rule: PanelRule) -> FloatArray:
        """Return by how much rounding may move log p or log v: of their terms, and of t where they are steep."""
        constants = abs(self.problem.kernel.log_norm) + abs(self.problem.log_share) + 1.0
        apart = 0.5 * np.diff(rule.nodes) * panels.width[:, np.newaxis]
        steepest: FloatArray = np.max(np.abs(np.diff(log_density)) / apart, axis=1)
        of_terms = _EPS * (np.abs(log_density).max(axis=1) + constants)
        of_places = self.unit * (steepest + 1.0 / self.problem.kernel.bandwidth)
        noise: FloatArray = _NOISE * (of_terms + of_places)
        return noise

    def accept(self, panels: Panels, rule: PanelRule, error: FloatArray) -> None:
        """Take the nodes of `panels` into the rule, and note the error that they leave in the mean."""
        self.nodes.append(panels.at(rule.nodes).ravel())
        self.weights.append((panels.width[:, np.newaxis] * rule.weights).ravel())
        self.error += float(panels.width @ error)

    def rule(self) -> Rule:
        """Return what was accepted, in ascending order."""
        nodes, weights = np.concatenate(self.nodes), np.concatenate(self.weights)
        order = np.argsort(nodes)
        total = float(weights.sum())
        return Rule("exact", nodes[order], weights[order] / total, error=self.error / total)


def _log_probe(problem: Problem) -> FloatArray:
    """Return log c_i, c_i in (0, 1]: arbitrary, but the same for the same points in whatever order they come."""
    draws = 1.0 - np.modf(np.arange(1.0, len(problem.angles) + 1.0) * _GOLDEN)[0]  # Weyl's sequence: no two alike
    log_probe = np.empty_like(draws)
    log_probe[np.lexsort((problem.log_weights, problem.angles))] = np.log(draws)
    return log_probe
