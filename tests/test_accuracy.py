"""L and ∂L/∂z are within the promised bound of a 50-digit evaluation, for every kernel on every case.

The promise is that of kdegrad/properties/README.md, section "Accuracy". The bound is formed by the oracle from the
problem itself: it grows with distances in bandwidths and with logits, and is 1e-12 where there are none. It is a
first-order bound: where ε·A passes some units (gaussian from 10⁸ bandwidths on), r = exp(log) has no digits left to
promise, and no case goes there. ∂L/∂x and ∂L/∂log h, for which nothing is promised, are held to the bound that the same
rounding errors allow (`oracle.truth`).
`python -m tests.accuracy_report` prints the largest error over its bound.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdegrad import evaluate
from tests import problems
from tests.measure import measure

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
        assert math.isclose(above.loss, below.loss, rel_tol=1e-12)
        np.testing.assert_allclose(above.gradients.logits, below.gradients.logits, rtol=1e-10, atol=1e-15)
