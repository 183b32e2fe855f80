"""The evaluators that a property can ask: kdegrad itself, and the plain reference."""

from __future__ import annotations

from kdegrad.objective import evaluate
from kdegrad.problem import Problem
from kdegrad.properties.base import Answer, Unmet
from kdegrad.properties.reference import reference_of


def reference(problem: Problem) -> Answer:
    """Return the answer of the plain second implementation.

    Raises
    ------
    Unmet
        Where the density is 0 at a node.
    """
    plain = reference_of(problem)
    if plain.uncovered:
        raise Unmet(
            f"the density is 0 at {plain.uncovered} of {len(plain.answer.log_density)} nodes: no gradient is defined"
        )
    return plain.answer


def production(problem: Problem) -> Answer:
    """Return the answer of `kdegrad.evaluate`, the path that every command uses.

    Raises
    ------
    Unmet
        Where the density is 0 at a node: the reference decides that, not the code under test.
    """
    reference(problem)
    e = evaluate(problem, wrt=("logits", "angles", "bandwidth"))
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
    )
