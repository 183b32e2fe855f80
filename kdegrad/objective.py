"""The loss and its gradients, of one problem or of many at once: the functions of the library.

The formulas are those of `kdegrad.crossentropy`; here a rule of nodes, a scheme of sums and the results come together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, overload

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray, numbers
from kdegrad.batch import Batch
from kdegrad.crossentropy import CrossEntropy
from kdegrad.errors import SettingError
from kdegrad.evaluation import BatchEvaluation, Evaluation, evaluation_of, gradients, quadrature, summed
from kdegrad.option import choice, several
from kdegrad.problem import Problem, require_problem
from kdegrad.quadrature import Rule
from kdegrad.settings import GradientOptions, Settings
from kdegrad.sums import DenseDensity
from kdegrad.targets import TargetLike

REDUCTIONS: Final = ("none", "mean", "sum")


@overload
def evaluate(problem: Problem, wrt: str | Iterable[str] = ("logits",)) -> Evaluation: ...
@overload
def evaluate(problem: Batch, wrt: str | Iterable[str] = ("logits",)) -> BatchEvaluation: ...
def evaluate(problem: Problem | Batch, wrt: str | Iterable[str] = ("logits",)) -> Evaluation | BatchEvaluation:
    """Return the loss of `problem` and its gradients with respect to what `wrt` names.

    Parameters
    ----------
    problem
        Points, target, kernel and quadrature; or a batch of problems.
    wrt
        Any of ``logits``, ``angles``, ``bandwidth``, or one of them; empty for the loss alone. The gradient of the
        logits comes with the others.

    Raises
    ------
    SettingError
        For an unknown name in `wrt`.
    InputError
        For what is neither a problem nor a batch.
    """
    wrt = GradientOptions(wrt=several("wrt", wrt)).wrt
    if isinstance(problem, Batch):
        from kdegrad.blockwise import batch_evaluation  # a single problem does not wait for it

        return batch_evaluation(problem, wrt)
    require_problem(problem)
    return evaluation_of(problem, wrt)


def exact_loss(problem: Problem) -> float:
    """Return the integral that the rule of `problem` approximates; of an interval without ``at``."""
    return evaluate(problem.replace(rule="exact"), wrt=()).loss


def nodes_of(problem: Problem) -> Rule:
    """Return the nodes and weights of the problem's quadrature; those of the rule ``exact`` depend on the density."""
    return quadrature(problem)[0]


def responsibilities_by_bin(evaluation: Evaluation) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield for each node t_m the responsibilities r_i(t_m) and S_i Σ_j r_j - r_i, each of shape (N,)."""
    problem, rule = evaluation.problem, evaluation.rule
    with np.errstate(over="ignore"):  # as in `evaluate`
        density = DenseDensity(problem.kernel, problem.angles, rule.nodes, problem.log_weights)
    at_nodes = CrossEntropy(density, rule.weights, problem.settings, problem.background_width)
    for node, share in enumerate(at_nodes.node_shares / rule.weights):
        with np.errstate(over="ignore"):  # as in `evaluate`
            responsibilities = share * density.responsibilities(node)
        yield responsibilities, evaluation.weights * share - responsibilities


def loss(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    target: TargetLike | None = None,
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
    offsets: ArrayLike | None = None,
    reduction: str = "none",
) -> Any:
    """Return the cross-entropy L of the target and the model's density, in nats; inf if the density is 0 at a node.

    Of one problem that is a float, of a batch an array (G,), or a float if it is reduced.

    Parameters
    ----------
    angles
        Shape (N,), in the unit of the bandwidth and the target. A batch of G problems: (G, N), or (M,) with `offsets`.
    logits
        Of the shape of the angles, finite or -inf; None: all equal.
    weights
        In place of logits, finite and ≥ 0: a logit is the logarithm of a weight.
    target
        (low, high), the interval [a, b]; `kdegrad.Points` or ``{"angle": [...], "weight": [...]}``, weighted angles; a
        number, one observed angle. Of a batch low and high are numbers or arrays (G,), and observed angles an array
        (G,): of two problems too, where a tuple or a list of two is an interval, and an array (2,) is none.
    at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options; see `kdegrad.Problem` and `kdegrad.Settings`.
    offsets
        Shape (G+1,), as in CSR: the points of problem g are those from ``offsets[g]`` to ``offsets[g+1]``.
    reduction
        Of the losses of a batch: ``none``, ``mean`` (unweighted) or ``sum``.

    Raises
    ------
    KdegradError
        For points or options that cannot be used.
    """
    problem = _given(reduction, offsets, angles, logits, weights, **_options(locals()))
    if isinstance(problem, Batch):
        from kdegrad.blockwise import computed  # as in `evaluate`

        return _reduced(computed(problem, ["losses"])[0]["losses"], reduction)
    return evaluation_of(problem, ()).loss


def grad(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    target: TargetLike | None = None,
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
    offsets: ArrayLike | None = None,
    reduction: str = "none",
    wrt: str | Iterable[str] = "logits",
) -> Any:
    """Return the gradient of the loss; NaN in a problem whose loss is infinite. Parameters as for `loss`.

    That of the logits is ∂L/∂z also where weights are given: of a weight w it is ∂L/∂z divided by w.

    Parameters
    ----------
    wrt
        ``logits`` (∂L/∂z, of the shape of the angles), ``angles`` (∂L/∂x) or ``bandwidth`` (∂L/∂log h, a float, of a
        batch an array (G,), or a float if the losses are reduced). For several of them a dict is returned.
    reduction
        Of a batch. The gradients are those of the reduced loss; with ``none`` those of each problem's own.
    """
    return loss_and_grad(**locals())[1]


@np.errstate(all="ignore")  # as in `evaluate`
def loss_and_grad(
    angles: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    target: TargetLike | None = None,
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
    offsets: ArrayLike | None = None,
    reduction: str = "none",
    wrt: str | Iterable[str] = "logits",
) -> tuple[Any, Any]:
    """Return the loss and its gradient in one pass. Parameters as for `loss` and `grad`."""
    names = GradientOptions(wrt=several("wrt", wrt)).wrt
    if not names:
        raise SettingError("wrt", "names nothing: give logits, angles or bandwidth")
    problem = _given(reduction, offsets, angles, logits, weights, **_options(locals()))
    if isinstance(problem, Batch):
        value, found = _of_batch(problem, names, reduction)
    else:
        value, found = _of_problem(problem, names)
    return value, found[names[0]] if isinstance(wrt, str) or len(names) == 1 else found


def _of_problem(problem: Problem, wrt: tuple[str, ...]) -> tuple[float, dict[str, Any]]:
    """Return the loss of one problem, and its gradients by name."""
    nodes = nodes_of(problem)
    _, at_nodes = summed(problem, nodes)
    value = float(at_nodes.loss)
    if not math.isfinite(value):
        undefined = np.full(len(problem.angles), np.nan)
        return value, {name: math.nan if name == "bandwidth" else undefined for name in wrt}
    if wrt == ("logits",):
        return value, {"logits": at_nodes.excess(lambda: np.exp(problem.log_weights))}
    found = gradients(problem, nodes, at_nodes, wrt)
    every = {"logits": found.logits, "angles": found.angles, "bandwidth": found.log_bandwidth}
    return value, {name: every[name] for name in wrt}


def _of_batch(batch: Batch, wrt: tuple[str, ...], reduction: str) -> tuple[Any, dict[str, Any]]:
    """Return the losses of a batch and their gradients by name, reduced if asked for."""
    from kdegrad.blockwise import computed  # as in `evaluate`

    parts = {name: "log_bandwidth" if name == "bandwidth" else name for name in wrt}
    found, _ = computed(batch, ["losses", *parts.values()])
    each: dict[str, Any] = {name: found[part] for name, part in parts.items()}
    for name, values in each.items():
        if reduction == "mean":
            values /= len(batch)
        if name != "bandwidth":
            each[name] = values.reshape(batch.angles.shape)
        elif reduction != "none":
            each[name] = float(values.sum())
    return _reduced(found["losses"], reduction), each


def _reduced(losses: FloatArray, reduction: str) -> Any:
    """Return the losses (G,), their mean or their sum."""
    if reduction == "none":
        return losses
    return float(losses.mean() if reduction == "mean" else losses.sum())


def _given(
    reduction: str,
    offsets: ArrayLike | None,
    angles: ArrayLike,
    logits: ArrayLike | None,
    weights: ArrayLike | None,
    **options: Any,
) -> Problem | Batch:
    """Return the problem, or the batch where the angles are those of several, from the parameters of a function."""
    reduction = choice("reduction", reduction, REDUCTIONS)
    points = numbers("angles", angles, copy=False)
    if offsets is not None or points.ndim == 2:
        return Batch(points, logits, weights=weights, offsets=offsets, copy=False, **options)
    if reduction != "none":
        raise SettingError("reduction", f"{reduction!r} is for the losses of a batch, and this is one: leave it out")
    return Problem(points, logits, weights=weights, copy=False, **options)


def _options(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a problem among the parameters of a function."""
    names = ("target", "at", *(row.name for row in Settings.rows))
    return {name: parameters[name] for name in names}
