"""The evaluators that a property can ask: kdegrad itself, and the plain reference."""

from __future__ import annotations

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.objective import evaluate
from kdegrad.problem import Problem
from kdegrad.properties.base import Answer, Unmet
from kdegrad.properties.reference import log_densities, reference_of
from kdegrad.properties.reference_kernels import formula_of


def reference(problem: Problem) -> Answer:
    """Return the answer of the plain second implementation, or raise `Unmet` where the density is 0 at a node.

    The problem's rule must be one of bins.
    """
    answer = reference_of(problem).answer
    _require_density(answer.log_density)
    return answer


def production(problem: Problem) -> Answer:
    """Return the answer of `kdegrad.evaluate`, the path that every command uses.

    It raises `Unmet` where the density is 0 at a node: the reference decides that, not the code under test.
    """
    may_be_0 = formula_of(problem).is_compact and problem.settings.background == 0.0
    is_exact = problem.rule_name == "exact"
    if may_be_0 and not is_exact:
        reference(problem)
    e = evaluate(problem, wrt=("logits", "angles", "bandwidth"))
    if may_be_0 and is_exact:  # the nodes are found by the evaluation
        _require_density(log_densities(problem, e.rule.nodes))
    gradients = e.require_gradients()
    assert gradients.angles is not None  # they were asked for
    assert gradients.log_bandwidth is not None
    return Answer(
        loss=e.loss,
        log_density=e.diagnostics.log_density,
        weights=e.weights,
        responsibilities=gradients.responsibilities,
        logits=gradients.logits,
        per_weight=gradients.per_weight,
        angles=problem.settings.bandwidth * gradients.angles,
        log_bandwidth=gradients.log_bandwidth,
        error=e.diagnostics.quadrature_error,
    )


def _require_density(log_density: FloatArray) -> None:
    uncovered = int(np.isneginf(log_density).sum())
    if uncovered:
        raise Unmet(f"the density is 0 at {uncovered} of {len(log_density)} nodes: no gradient is defined")
