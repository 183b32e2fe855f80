"""The loss and its gradients, on logarithms.

With S_j the softmax of the logits, t_m, w_m the quadrature and p̃(x) = (1-E) C Σ_j S_j K_h(x ⊖ x_j) + E/(b-a),

    L          = -Σ_m w_m log p̃(t_m)
    R_i        = Σ_m w_m r_i(t_m),  r_i = (1-E) C S_i K_h/p̃
    ∂L/∂z_i    = S_i Σ_j R_j - R_i
    ∂L/∂x_i    = S_i (1-E) C Σ_m (w_m/p̃_m) ∂K_h/∂d (t_m ⊖ x_i)
    ∂L/∂log h  = -Σ_i S_i (1-E) C Σ_m (w_m/p̃_m) ∂K_h/∂log h (t_m ⊖ x_i)

(and, for the rule `exact`, what the moving edges of compact kernels add: see `kdegrad.exact.edges`), so the loss is one
kernel sum at the nodes, and each gradient is one more at the points. Every product is formed as exp of a sum of
logarithms: S_i may be 0 where its factor is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.errors import SettingError
from kdegrad.mixture import kernel_sums, log_mixture, log_share
from kdegrad.option import several
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.settings import WRT, GradientOptions
from kdegrad.sums import DenseDensity, Density, KernelSums, weighted

if TYPE_CHECKING:
    from kdegrad.exact import ExactRule, GradientError

_EPS: Final = float(np.finfo(np.float64).eps)
NOTICEABLE: Final = 1e-6  # applies to the part of a share that the rounding of the inputs may move
_NO_SHARE: Final = 1e-12  # a responsibility within this of 0 or 1 is not moved noticeably


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """The derivatives of the loss; NaN where the loss is infinite.

    Attributes
    ----------
    logits
        ∂L/∂z_i, shape (N,).
    per_weight
        ∂L/∂z_i / S_i = Σ_j R_j - R_i/S_i, shape (N,), defined for a point of weight 0 too; infinite where it overflows.
    responsibilities
        R_i, shape (N,), each point's mean share in the density over the target.
    angles
        ∂L/∂x_i, shape (N,), per unit of the angles; None unless asked for.
    log_bandwidth
        ∂L/∂log h; None unless asked for.
    """

    logits: FloatArray
    per_weight: FloatArray
    responsibilities: FloatArray
    angles: FloatArray | None = None
    log_bandwidth: float | None = None


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


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """The loss of a problem, with the gradients that were asked for.

    Attributes
    ----------
    problem
        What was evaluated.
    rule
        The nodes and weights of the quadrature.
    loss
        L, in nats; infinite if the density is 0 at a node.
    kl
        L - log(b-a), the divergence from the target; None where a single node stands without a target.
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
        if self.gradients is None:
            raise SettingError("wrt", f"no gradient was asked for: name one or more of {', '.join(WRT)}")
        return self.gradients

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
        from kdegrad.exact import gradient_error  # as in `_quadrature`

        asked = {"angles": found.angles, "bandwidth": found.log_bandwidth}
        wrt = [name for name, values in asked.items() if values is not None]
        rule = exact.finer
        sums, density, log_density, _ = _forward(problem, rule)
        finer = _gradients(problem, rule, density, log_density, wrt)
        log_pulls = _pulls(problem, rule, density, log_density)[1]
        widenings = weighted(problem.log_weights, sums.bandwidth_slope_at_points(log_pulls))
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
        kernel, domain, nodes = self.problem.kernel, self.problem.domain, self.rule.nodes
        shares = self.gradients.responsibilities
        angles = self.problem.angles[(shares > _NO_SHARE) & (shares < 1.0 - _NO_SHARE)]
        low, high = float(nodes[0]), float(nodes[-1])
        beyond = np.abs(domain.difference(angles, np.array(0.5 * low + 0.5 * high))) - 0.5 * (high - low)
        distances = np.maximum(beyond, (high - low) / len(nodes))
        log, slope = kernel.slope(distances)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            steepness = np.abs(slope) * np.exp(log - kernel.log_shape(distances))  # NaN at and beyond a compact edge
        return float(np.nan_to_num(_EPS * np.abs(angles) * steepness, posinf=0.0).max(initial=0.0))


@np.errstate(over="ignore", invalid="ignore")  # what overflows is reported as not finite, without a warning
def evaluate(problem: Problem, wrt: str | Iterable[str] = ("logits",)) -> Evaluation:
    """Return the loss of `problem` and its gradients with respect to what `wrt` names.

    Parameters
    ----------
    problem
        Points, target, kernel and quadrature.
    wrt
        Any of ``logits``, ``angles``, ``bandwidth``, or one of them; empty for the loss alone. The gradient of the
        logits comes with the others.

    Raises
    ------
    SettingError
        For an unknown name in `wrt`.
    """
    wrt = GradientOptions(wrt=several("wrt", wrt)).wrt
    rule, exact = _quadrature(problem)
    sums, density, log_density, loss = _forward(problem, rule)
    gradients = None
    if wrt and math.isfinite(loss):
        gradients = _gradients(problem, rule, density, log_density, wrt)
    elif wrt:
        undefined = np.full(len(problem.angles), np.nan)
        gradients = Gradients(
            *(undefined, undefined, undefined),
            angles=undefined if "angles" in wrt else None,
            log_bandwidth=math.nan if "bandwidth" in wrt else None,
        )
    return Evaluation(
        problem=problem,
        rule=rule,
        loss=loss,
        kl=None if problem.target is None else loss - math.log(problem.target.width),
        weights=np.exp(problem.log_weights),
        gradients=gradients,
        diagnostics=Diagnostics(
            log_density=log_density,
            uncovered=rule.nodes[np.isneginf(log_density)],
            quadrature_error=_quadrature_error(problem, exact, log_density),
            sums=sums.name,
            exact=exact,
        ),
    )


def exact_loss(problem: Problem) -> float:
    """Return the integral that the rule of `problem` approximates; it needs a target, and no ``at``."""
    return evaluate(problem.replace(rule="exact"), wrt=()).loss


def nodes_of(problem: Problem) -> Rule:
    """Return the nodes and weights of the problem's quadrature; those of the rule ``exact`` depend on the density."""
    return _quadrature(problem)[0]


def responsibilities_by_bin(evaluation: Evaluation) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield for each node t_m the responsibilities r_i(t_m) and S_i Σ_j r_j - r_i, each of shape (N,)."""
    problem, rule = evaluation.problem, evaluation.rule
    with np.errstate(over="ignore"):  # as in `evaluate`
        density = DenseDensity(problem.kernel, problem.angles, rule.nodes, problem.log_weights)
    shares = _node_shares(problem, rule, density, log_mixture(problem, density.log)) / rule.weights
    for node, share in enumerate(shares):
        with np.errstate(over="ignore"):  # as in `evaluate`
            responsibilities = share * density.responsibilities(node)
        yield responsibilities, _logit_gradient(problem, evaluation.weights, responsibilities)


def _quadrature(problem: Problem) -> tuple[Rule, ExactRule | None]:
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
    from kdegrad.exact import loss_error  # as in `_quadrature`

    return loss_error(problem, exact, log_density)


def _forward(problem: Problem, rule: Rule) -> tuple[KernelSums, Density, FloatArray, float]:
    """Return the sums, the density p at the nodes, log p̃ there, and the loss."""
    sums = kernel_sums(problem, rule.nodes)
    density = sums.density(problem.logits)
    log_density = log_mixture(problem, density.log)
    loss = -float((rule.weights * log_density).sum())  # not @, for which BLAS starts its threads
    return sums, density, log_density, loss


def _node_shares(problem: Problem, rule: Rule, density: Density, log_density: FloatArray) -> FloatArray:
    """Return q_m = w_m (1-E) C p_m/p̃_m, shape (B,): what all points together have in the mixture at a node."""
    if problem.settings.background == 0.0:
        return rule.weights
    shares: FloatArray = rule.weights * np.exp(density.log + log_share(problem) - log_density)
    return shares


def _pulls(problem: Problem, rule: Rule, density: Density, log_density: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return q_m, and log(q_m/p_m) = log(w_m (1-E) C/p̃_m), each of shape (B,)."""
    node_shares = _node_shares(problem, rule, density, log_density)
    return node_shares, np.log(rule.weights) - log_density + log_share(problem)


def _gradients(
    problem: Problem, rule: Rule, density: Density, log_density: FloatArray, wrt: Collection[str]
) -> Gradients:
    """Return the gradients that are asked for."""
    pulls = _pulls(problem, rule, density, log_density)
    responsibilities, ratios = density.shares(*pulls)
    per_weight = np.subtract(_total(problem, responsibilities), ratios, out=ratios)
    angles, log_bandwidth = None, None
    if "angles" in wrt:
        angles = density.slopes(*pulls)
    if "bandwidth" in wrt:
        log_bandwidth = -float(density.bandwidth_slope(*pulls))
    if problem.rule_name == "exact" and (angles is not None or log_bandwidth is not None):
        from kdegrad.exact import edge_terms  # as in `_quadrature`

        edges = edge_terms(problem, rule, log_density)
        angles = None if angles is None else angles + edges.angles
        log_bandwidth = None if log_bandwidth is None else log_bandwidth + edges.log_bandwidth
    logits = _logit_gradient(problem, np.exp(problem.log_weights), responsibilities)
    return Gradients(logits, per_weight, responsibilities, angles, log_bandwidth)


def _logit_gradient(problem: Problem, weights: FloatArray, responsibilities: FloatArray) -> FloatArray:
    """Return S_i Σ_j R_j - R_i."""
    total = _total(problem, responsibilities)
    return (weights if total == 1.0 else weights * total) - responsibilities


def _total(problem: Problem, responsibilities: FloatArray) -> float:
    """Return Σ_j R_j, which is 1 without a background."""
    return 1.0 if problem.settings.background == 0.0 else float(responsibilities.sum())


def loss(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    target: tuple[float, float] | None = None,
    at: float | None = None,
    kernel: str = "laplace",
    bandwidth: float = 1.0,
    df: float = 3.0,
    rule: str = "midpoint",
    bins: int = 360,
    scale: float = 1.0,
    background: float = 0.0,
    circular: bool = False,
    period: float | None = None,
    unit: str = "degrees",
    sums: str = "auto",
) -> float:
    """Return the cross-entropy L of the target and the model's density, in nats; inf if the density is 0 at a node.

    Parameters
    ----------
    angles
        Shape (N,), in the unit of the bandwidth and the target.
    logits
        Shape (N,), finite or -inf; None: all equal.
    target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options; see `kdegrad.Settings`.

    Raises
    ------
    KdegradError
        For points or options that cannot be used.
    """
    return evaluate(Problem(**locals(), copy=False), wrt=()).loss  # the parameters as they came


def grad(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    target: tuple[float, float] | None = None,
    at: float | None = None,
    kernel: str = "laplace",
    bandwidth: float = 1.0,
    df: float = 3.0,
    rule: str = "midpoint",
    bins: int = 360,
    scale: float = 1.0,
    background: float = 0.0,
    circular: bool = False,
    period: float | None = None,
    unit: str = "degrees",
    sums: str = "auto",
) -> FloatArray:
    """Return ∂L/∂z, the gradient of the logits, shape (N,); NaN if the loss is infinite. Parameters as for `loss`."""
    return loss_and_grad(**locals())[1]


@np.errstate(over="ignore", invalid="ignore")
def loss_and_grad(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    target: tuple[float, float] | None = None,
    at: float | None = None,
    kernel: str = "laplace",
    bandwidth: float = 1.0,
    df: float = 3.0,
    rule: str = "midpoint",
    bins: int = 360,
    scale: float = 1.0,
    background: float = 0.0,
    circular: bool = False,
    period: float | None = None,
    unit: str = "degrees",
    sums: str = "auto",
) -> tuple[float, FloatArray]:
    """Return the loss and the gradient of the logits in one pass. Parameters as for `loss`."""
    problem = Problem(**locals(), copy=False)
    nodes = nodes_of(problem)
    _, density, log_density, loss = _forward(problem, nodes)
    if not math.isfinite(loss):
        return loss, np.full(len(problem.angles), np.nan)
    pulls = _pulls(problem, nodes, density, log_density)
    if problem.settings.background == 0.0:  # one array of N is all it takes
        return loss, density.excess(*pulls)
    return loss, _logit_gradient(problem, np.exp(problem.log_weights), density.shares(*pulls).shares)
