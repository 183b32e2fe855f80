"""What an evaluation gives: the loss, the gradients, and how they were found; of one problem or of a batch."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray, stretches
from kdegrad.batch import Batch
from kdegrad.crossentropy import CrossEntropy, Gradients
from kdegrad.errors import SettingError
from kdegrad.kernel import Kernel
from kdegrad.mixture import kernel_sums
from kdegrad.notebook import InNotebook
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.settings import WRT
from kdegrad.sums import KernelSums, weighted
from kdegrad.targets import Interval
from kdegrad.text import counted, five_digits, nine_digits, summary

if TYPE_CHECKING:
    from kdegrad.exact import ExactRule, GradientError

_EPS: Final = float(np.finfo(np.float64).eps)
NOTICEABLE: Final = 1e-6  # applies to the part of a share that the rounding of the inputs may move
_NO_SHARE: Final = 1e-12  # a responsibility within this of 0 or 1 is not moved noticeably


@final
@dataclass(frozen=True, eq=False)
class Diagnostics:
    """How the numbers were found.

    Attributes
    ----------
    log_density
        log p̃ at the nodes, shape (B,).
    uncovered
        The nodes where the density is 0, in the unit of the angles: these make a loss infinite.
    quadrature_error
        An upper estimate of the error of the loss by the rule ``exact``; None for the other rules.
    sums
        The summation that was used.
    exact
        What the rule ``exact`` knows of its errors; None for the other rules.
    """

    log_density: FloatArray
    uncovered: FloatArray
    quadrature_error: float | None
    sums: str
    exact: ExactRule | None = None

    def __repr__(self) -> str:
        error = "" if self.quadrature_error is None else f"quadrature error {five_digits(self.quadrature_error)}"
        nodes = counted(len(self.log_density), "node")
        return summary("Diagnostics", f"{nodes}, {len(self.uncovered)} uncovered", f"sums {self.sums}", error)


@final
@dataclass(frozen=True, eq=False)
class Evaluation(InNotebook):
    """The loss of a problem, with the gradients that were asked for.

    Attributes
    ----------
    problem
        What was evaluated.
    rule
        The nodes and weights of the quadrature, or the target points that take part.
    loss
        L, in nats; infinite if the density is 0 at a node.
    kl
        L - log(b-a), the divergence from the target; None where that is no interval.
    weights
        S_i, shape (N,).
    gradients
        See `Gradients`; None if none was asked for.
    diagnostics
        See `Diagnostics`.
    """

    problem: Problem
    rule: Rule
    loss: float
    kl: float | None
    weights: FloatArray
    gradients: Gradients | None
    diagnostics: Diagnostics

    def __repr__(self) -> str:
        kl = "" if self.kl is None else f"KL {nine_digits(self.kl)}"
        points = counted(len(self.weights), "point")
        return summary("Evaluation", f"loss {nine_digits(self.loss)}", kl, points, _asked_text(self.gradients))

    @property
    def responsibilities(self) -> FloatArray | None:
        """R_i, shape (N,); None if no gradient was asked for."""
        return None if self.gradients is None else self.gradients.responsibilities

    def require_gradients(self) -> Gradients:
        """Return the gradients.

        Raises
        ------
        SettingError
            If none was asked for.
        """
        return _asked_for(self.gradients)

    @cached_property
    @np.errstate(over="ignore", invalid="ignore")
    def gradient_error(self) -> GradientError | None:
        """Upper estimates of the largest absolute error of each gradient by the rule ``exact``, in the gradient's unit.

        None for the other rules, if no gradient was asked for, and where the loss is infinite. They are found when they
        are first asked for, by forming the gradients a second time.
        """
        found, exact, problem = self.gradients, self.diagnostics.exact, self.problem
        if found is None or exact is None or not math.isfinite(self.loss):
            return None
        from kdegrad.exact import gradient_error  # imported here because few problems need it

        asked = {"angles": found.angles, "bandwidth": found.log_bandwidth}
        wrt = [name for name, values in asked.items() if values is not None]
        sums, at_nodes = summed(problem, exact.finer)
        finer = gradients(problem, exact.finer, at_nodes, wrt)
        widenings = weighted(problem.log_weights, sums.bandwidth_slope_at_points(at_nodes.pulls[1]))
        return gradient_error(problem, exact, self.diagnostics.log_density, found, finer, widenings)

    @property
    def is_finite(self) -> bool:
        """Whether the loss and the gradients that were asked for are finite."""
        if self.gradients is None:
            return math.isfinite(self.loss)
        found = (self.loss, self.gradients.logits, self.gradients.angles, self.gradients.log_bandwidth)
        return all(bool(np.isfinite(number).all()) for number in found if number is not None)

    @property
    def approximates_integral(self) -> bool:
        """Whether the loss is finite and approximates, by bins, an integral over a target."""
        return math.isfinite(self.loss) and self.problem.rule_name in ("midpoint", "gauss")

    @cached_property
    def input_rounding(self) -> float:
        """By what part of itself a responsibility may move when the angles are rounded: the largest ε |x_i| |k'|.

        The responsibilities are those of the angles as they are, to the last digits; but an angle of 10⁸ is known to
        10⁻⁸ only, and so is a logarithm k = log K that is steep there. k' is taken at the distance from the point to
        the target. Points whose responsibility is all but 0 or 1 do not count; 0 where no gradient was asked for.
        """
        if self.gradients is None:
            return 0.0
        return input_rounding(self.problem, self.rule, self.problem.angles, self.gradients.responsibilities)


@final
@dataclass(frozen=True, eq=False)
class BatchEvaluation(InNotebook):
    """The losses of many problems, with the gradients that were asked for.

    What belongs to the points has the shape of the batch's angles, (G, N) or (M,).

    Attributes
    ----------
    batch
        What was evaluated.
    losses
        L of each problem, shape (G,), in nats; infinite if the density is 0 at one of its nodes.
    kl
        L - log(b-a), shape (G,); None where the targets are no intervals.
    weights
        S_i.
    gradients
        Of each problem's own loss, NaN in a problem whose loss is infinite; None if none was asked for.
    log_bandwidth
        ∂L/∂log h of each problem, shape (G,); None unless asked for.
    uncovered
        How many nodes of each problem have the density 0, shape (G,).
    sums
        How many problems each summation did: ``blocks`` by all pairs, ``windows`` by running sums, or, of those that
        were evaluated on their own, the name of its sums as in `Diagnostics`.
    """

    batch: Batch
    losses: FloatArray
    kl: FloatArray | None
    weights: FloatArray
    gradients: Gradients | None
    log_bandwidth: FloatArray | None
    uncovered: IntArray
    sums: dict[str, int]

    def __repr__(self) -> str:
        infinite = len(self.losses) - int(np.isfinite(self.losses).sum())
        return summary(
            "BatchEvaluation",
            f"mean loss {nine_digits(self.loss)}",
            f"{infinite} infinite" if infinite else "",
            counted(len(self.losses), "problem"),
            counted(self.weights.size, "point"),
            _asked_text(self.gradients),
        )

    @property
    def loss(self) -> float:
        """The mean of the losses; infinite if one is."""
        return float(self.losses.mean())

    @property
    def responsibilities(self) -> FloatArray | None:
        """R_i of each problem's own points; None if no gradient was asked for."""
        return None if self.gradients is None else self.gradients.responsibilities

    def require_gradients(self) -> Gradients:
        """Return the gradients; raises as that of `Evaluation` does."""
        return _asked_for(self.gradients)

    @cached_property
    def are_finite(self) -> BoolArray:
        """Whether the loss and the gradients that were asked for are finite, of each problem, shape (G,)."""
        finite: BoolArray = np.isfinite(self.losses)
        if self.log_bandwidth is not None:
            finite &= np.isfinite(self.log_bandwidth)
        of_points = () if self.gradients is None else (self.gradients.logits, self.gradients.angles)
        for values in of_points:
            if values is not None and not (good := np.isfinite(values.ravel())).all():
                finite[self.batch.problem_of_point[~good]] = False
        return finite

    @property
    def is_finite(self) -> bool:
        """Whether all losses, and the gradients that were asked for, are finite."""
        return bool(self.are_finite.all())

    @cached_property
    def input_rounding(self) -> float:
        """By what part of itself a responsibility may move when the angles are rounded: see `Evaluation`."""
        if self.gradients is None:
            return 0.0
        batch, found = self.batch, [0.0]
        lows, highs = batch.hulls
        middles, widths, bins = 0.5 * lows + 0.5 * highs, highs - lows, batch.node_counts
        angles, shares = batch.angles.ravel(), self.gradients.responsibilities.ravel()
        for some in stretches(angles.size):
            of, known = batch.problem_of_point[some], np.nan_to_num(shares[some])
            found.append(_input_rounding(batch.kernel, angles[some], known, middles[of], widths[of], bins[of]))
        return max(found)


def _asked_text(found: Gradients | None) -> str:
    return "no gradient" if found is None else f"gradients of {', '.join(found.wrt)}"


def _asked_for(found: Gradients | None) -> Gradients:
    if found is None:
        raise SettingError("wrt", f"no gradient was asked for: name one or more of {', '.join(WRT)}")
    return found


def input_rounding(problem: Problem, rule: Rule, angles: FloatArray, shares: FloatArray) -> float:
    """Return by what part of itself a share may move when the angles, (N,) as the shares, are rounded."""
    hull = Interval(float(rule.nodes[0]), float(rule.nodes[-1])) if problem.observed is None else problem.nodes_hull
    middle, width = np.array([hull.centre]), np.array([hull.width])
    return _input_rounding(problem.kernel, angles, shares, middle, width, rule.bins)


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def _input_rounding(
    kernel: Kernel,
    angles: FloatArray,
    shares: FloatArray,
    middles: FloatArray,
    widths: FloatArray,
    bins: int | IntArray,
) -> float:
    """Return the largest ε |x_i| |k'| of points (N,) whose share is neither 0 nor 1.

    Their targets have a middle, a width and a number of nodes each, (N,), or (1,) for all. A point inside counts as a
    bin's width away.
    """
    beyond = np.abs(kernel.domain.difference(angles, middles)) - 0.5 * widths
    distances = np.maximum(beyond, widths / bins)
    log, slope = kernel.slope(distances)
    log = log - kernel.log_shape(distances)  # 0 for most kernels; NaN at and beyond a compact edge
    steepness = np.abs(slope) * np.exp(log) if log.any() else np.abs(slope)
    moved = _EPS * np.abs(angles) * steepness
    counts = (shares > _NO_SHARE) & (shares < 1.0 - _NO_SHARE) & np.isfinite(moved)
    return float(moved.max(initial=0.0, where=counts))


def summed(problem: Problem, rule: Rule) -> tuple[KernelSums, CrossEntropy]:
    """Return the sums, and the loss that they make at the nodes of a rule."""
    sums = kernel_sums(problem, rule.nodes)
    density = sums.density(problem.logits)
    return sums, CrossEntropy(density, rule.weights, problem.settings, problem.background_width)


def gradients(problem: Problem, rule: Rule, at_nodes: CrossEntropy, wrt: Collection[str]) -> Gradients:
    """Return the gradients that are asked for, with what the moving edges add by the rule ``exact``."""
    found = at_nodes.gradients(lambda: np.exp(problem.log_weights), wrt)
    angles = found.angles
    log_bandwidth = float(at_nodes.log_bandwidth()) if "bandwidth" in wrt else None
    if problem.rule_name == "exact" and (angles is not None or log_bandwidth is not None):
        from kdegrad.exact import edge_terms  # as in `Evaluation.gradient_error`

        edges = edge_terms(problem, rule, at_nodes.log_density)
        angles = None if angles is None else angles + edges.angles
        log_bandwidth = None if log_bandwidth is None else log_bandwidth + edges.log_bandwidth
    return replace(found, angles=angles, log_bandwidth=log_bandwidth, wrt=tuple(wrt))


@np.errstate(all="ignore")  # what overflows is reported as not finite, whatever the caller has set
def evaluation_of(problem: Problem, wrt: Collection[str]) -> Evaluation:
    """Return the loss of one problem, and its gradients with respect to what `wrt` names of `WRT`."""
    rule, exact = quadrature(problem)
    sums, at_nodes = summed(problem, rule)
    loss, log_density = float(at_nodes.loss), at_nodes.log_density
    found = None
    if wrt and math.isfinite(loss):
        found = gradients(problem, rule, at_nodes, wrt)
    elif wrt:
        undefined = np.full(len(problem.angles), np.nan)
        found = Gradients(
            *(undefined, undefined, undefined),
            angles=undefined if "angles" in wrt else None,
            log_bandwidth=math.nan if "bandwidth" in wrt else None,
            wrt=tuple(wrt),
        )
    return Evaluation(
        problem=problem,
        rule=rule,
        loss=loss,
        kl=None if problem.target is None else loss - math.log(problem.target.width),
        weights=np.exp(problem.log_weights),
        gradients=found,
        diagnostics=Diagnostics(
            log_density=log_density,
            uncovered=rule.nodes[np.isneginf(log_density)],
            quadrature_error=_quadrature_error(problem, exact, log_density),
            sums=sums.name,
            exact=exact,
        ),
    )


def quadrature(problem: Problem) -> tuple[Rule, ExactRule | None]:
    """Return the rule, and for the rule ``exact`` what is known of its errors."""
    if problem.rule_name != "exact":
        return problem.rule, None
    from kdegrad.exact import exact_rule  # imported here because few problems need it

    exact = exact_rule(problem)
    return exact.rule, exact


def _quadrature_error(problem: Problem, exact: ExactRule | None, log_density: FloatArray) -> float | None:
    """Return the estimate of the loss's error for the rule ``exact``, given log p̃ (B,) at its nodes."""
    if exact is None:
        return None
    from kdegrad.exact import loss_error  # as in `quadrature`

    return loss_error(problem, exact, log_density)
