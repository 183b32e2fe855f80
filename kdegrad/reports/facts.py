"""The facts of a result under the names of SPEC section 6, shared by every form of report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import euclidean_norm, largest_first
from kdegrad.kernel import KERNELS
from kdegrad.objective import Evaluation, responsibilities_by_bin
from kdegrad.problem import Problem

if TYPE_CHECKING:
    from kdegrad.descent import Descent
    from kdegrad.sweeps import Sweep

UNCOVERED_SHOWN = 20


def problem_facts(problem: Problem) -> dict[str, Any]:
    """Return what was computed, in JSON's types: the field ``problem``."""
    settings = problem.settings
    return {
        "points": len(problem.angles),
        "target": None if problem.target is None else [float(edge) for edge in problem.target],
        "kernel": problem.kernel.name,
        "bandwidth": problem.kernel.bandwidth,
        "df": float(settings.df) if "df" in problem.kernel.parameters else None,
        "rule": problem.rule.name,
        "bins": problem.rule.bins,
        "at": None if settings.at is None else float(settings.at),
        "scale": float(settings.scale),
        "background": float(settings.background),
        "domain": problem.domain.name,
        "period": settings.circumference,
        "unit": settings.unit,
        "sums": settings.sums,
    }


def loss_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return the fields of ``loss``; with a density that is 0 somewhere also ``uncovered``."""
    facts: dict[str, Any] = {
        "loss": evaluation.loss,
        "kl": evaluation.kl,
        "quadrature_error": evaluation.diagnostics.quadrature_error if evaluation.is_finite else None,
        "problem": problem_facts(evaluation.problem) | {"sums": evaluation.diagnostics.sums},
    }
    if not evaluation.is_finite:
        nodes = evaluation.diagnostics.uncovered
        facts["uncovered"] = {"count": len(nodes), "nodes": nodes[:UNCOVERED_SHOWN].tolist()}
    return facts


def gradient_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return the fields that ``grad`` adds for the whole: the sum, the norms, the bandwidth's gradient if asked for."""
    gradient = evaluation.gradients.logits
    assert gradient is not None  # grad asks for it
    size = np.abs(gradient)
    facts: dict[str, Any] = {
        "sum": float(gradient.sum()),
        "norms": {"l1": float(size.sum()), "l2": euclidean_norm(gradient), "max": float(size.max())},
    }
    if evaluation.gradients.log_bandwidth is not None:
        facts["gradient_log_bandwidth"] = evaluation.gradients.log_bandwidth
    return facts


def point_columns(evaluation: Evaluation, top: int | None = None) -> dict[str, NDArray[Any]]:
    """Return each column of a gradient report by name: float64, but for the labels, which are text.

    Parameters
    ----------
    evaluation
        With the gradient of the logits.
    top
        Only the `top` points of largest absolute gradient, the largest first; None: all, in the order of the input.
    """
    problem, gradients = evaluation.problem, evaluation.gradients
    assert gradients.logits is not None  # grad asks for it
    order = slice(None) if top is None else largest_first(gradients.logits, top)
    arrays = {
        "angle": problem.angles,
        "logit": problem.logits,
        "label": None if problem.labels is None else np.array(problem.labels, dtype=object),
        "weight": evaluation.weights,
        "responsibility": evaluation.responsibilities,
        "gradient": gradients.logits,
        "gradient_per_weight": gradients.per_weight,
        "gradient_angle": gradients.angles,
    }
    return {name: array[order] for name, array in arrays.items() if array is not None}


BIN_COLUMNS = ("bin", "node", "point", "angle", "responsibility", "gradient")


def bin_rows(evaluation: Evaluation) -> Iterator[tuple[int, float, int, float, float, float]]:
    """Yield `BIN_COLUMNS` for each bin and point, the points of a bin together."""
    nodes, angles = evaluation.problem.rule.nodes.tolist(), evaluation.problem.angles.tolist()
    bins = zip(nodes, responsibilities_by_bin(evaluation), strict=True)
    for number, (node, (responsibilities, gradient)) in enumerate(bins):
        points = zip(angles, responsibilities.tolist(), gradient.tolist(), strict=True)
        for point, (angle, responsibility, slope) in enumerate(points):
            yield number, node, point, angle, responsibility, slope


def sweep_facts(family: Sweep) -> dict[str, Any]:
    """Return the fields of ``sweep`` for the whole: the parameter, and the problem that it starts from."""
    return {"over": family.over, "problem": problem_facts(family.problem)}


def sweep_rows(family: Sweep) -> list[dict[str, Any]]:
    """Return the fields of ``sweep`` for each kernel and value; None where the loss is infinite."""
    return [asdict(step) for step in family.steps]


def descent_facts(done: Descent) -> dict[str, Any]:
    """Return the fields of ``descend`` for the whole: the end, how it was reached, why there."""
    return {
        "loss": done.end.loss,
        "kl": done.end.kl,
        "gap": done.gap,
        "converged": done.converged,
        "stopped": done.stopped,
        "steps": len(done.course) - 1,
        "rises": done.rises,
        "optimizer": done.optimizer,
        "rate": None if done.optimizer == "em" else done.rate,
        "wrt": list(done.wrt),
        "tolerance": done.tolerance,
        "problem": problem_facts(done.end.problem) | {"sums": done.end.diagnostics.sums},
    }


def end_columns(problem: Problem) -> dict[str, NDArray[Any]]:
    """Return the columns of points that read back: angle, logit, label if there are labels."""
    columns: dict[str, NDArray[Any]] = {"angle": problem.angles, "logit": problem.logits}
    return columns if problem.labels is None else columns | {"label": np.array(problem.labels, dtype=object)}


def kernel_facts() -> list[dict[str, Any]]:
    """Return one dictionary a kernel: name, aliases, formula, support, tail, domains, the note's claims that hold."""
    from kdegrad.properties import PROPERTIES

    claims = [property_ for property_ in PROPERTIES if property_.family == "claim"]
    rows = []
    for kind in KERNELS:
        hold = [
            c.id
            for c in claims
            if all(c.theory(kind.name, domain, background=False) == "holds" for domain in kind.domains)
        ]
        rows.append(
            {
                "name": kind.name,
                "aliases": list(kind.aliases),
                "formula": kind.formula,
                "support": kind.support,
                "tail": kind.tail,
                "domains": list(kind.domains),
                "claims": hold,
            }
        )
    return rows
