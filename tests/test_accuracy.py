"""Pins down that L and ∂L/∂z are within the promised bound of a 50-digit evaluation, for every kernel on every case.

The rules that hold at any size of log p, such as Σ_i R_i = 1, are measured too (`tests.measure`).

The bound is that of kdegrad/properties/README.md, section "Accuracy"; `tests.extended` computes it from the problem: it
grows with distances in bandwidths and with logits, and is 1e-12 without them. For ∂L/∂x and ∂L/∂log h nothing is
promised; they are compared with the bound that follows from the same rounding errors. `python -m tests.accuracy_report`
prints the largest ratios of error and bound.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdegrad import evaluate
from tests import problems
from tests.measure import measure

SAME_LOSS = 1e-12  # relative: the two targets have different coordinates, so that displacements round differently
SAME_GRADIENT = 1e-10  # relative, of differences S - R; where these are below 1e-15, absolute
EVERYTHING = [
    pytest.param(case.problem(**kernel), id=f"{domain}-{label}-{name}")
    for domain, cases, kernels in (
        ("line", problems.LINE, problems.ON_LINE),
        ("circle", problems.CIRCLE, problems.ON_CIRCLE),
    )
    for label, kernel in kernels.items()
    for name, case in cases.items()
]


@pytest.mark.parametrize("problem", EVERYTHING)
def test_all_numbers_are_within_their_bound(problem):
    found = measure(problem)
    assert {name: ratio for name, ratio in found.items() if not ratio <= 1.0} == {}


def test_both_spellings_of_a_target_across_the_wrap_agree():
    for kernel in problems.ON_CIRCLE.values():
        above = evaluate(problems.CIRCLE["turtles, target 350 to 370"].problem(**kernel))
        below = evaluate(problems.CIRCLE["turtles, target -10 to 10"].problem(**kernel))
        assert math.isclose(above.loss, below.loss, rel_tol=SAME_LOSS)
        np.testing.assert_allclose(above.gradients.logits, below.gradients.logits, rtol=SAME_GRADIENT, atol=1e-15)
