"""Pins down the oracle itself: its derivatives, that its densities integrate to 1, that its two series agree.

An error in the oracle would be an error in every test that uses it, so it is compared with quadrature and differences
by mpmath in 50 digits.
"""

from __future__ import annotations

import pytest
from mpmath import mp, mpf

from tests import oracle, problems

PERIOD = 7.0
BANDWIDTH = 0.93
# A central difference with step 1e-12 in 50 digits has an error of step² times a third derivative of order 1 to 100.
STEP = mpf(10) ** -12
DIFFERENCE = mpf(10) ** -20
# Tanh-sinh quadrature between kinks has 40 digits; tails are cut off by the oracle's own mass function.
INTEGRAL = mpf(10) ** -25
# A few roundings in 50 digits.
EXACT = mpf(10) ** -45
PLACES = [mpf("0.11"), mpf("0.57"), mpf("0.9"), mpf("1.3"), mpf("3.1")]

EVERY = [
    *[pytest.param(options, None, id=f"line-{label}") for label, options in problems.ON_LINE.items()],
    *[pytest.param(options, PERIOD, id=f"circle-{label}") for label, options in problems.ON_CIRCLE.items()],
]


@pytest.mark.parametrize(("options", "period"), EVERY)
def test_slopes_are_the_derivatives(options, period):
    name, df = options["kernel"], options.get("df", 3.0)
    with mp.workdps(oracle.DIGITS):
        h = mpf(BANDWIDTH)
        for sign in (1, -1):
            for d in (sign * place for place in PLACES):
                found = oracle.kernel(name, h, period, df)(d)
                along = [oracle.kernel(name, h, period, df)(d + s * STEP).density for s in (1, -1)]
                wider = [oracle.kernel(name, h * mp.exp(s * STEP), period, df)(d).density for s in (1, -1)]
                assert abs(found.slope - (along[0] - along[1]) / (2 * STEP)) < DIFFERENCE
                assert abs(found.bandwidth_slope - (wider[0] - wider[1]) / (2 * STEP)) < DIFFERENCE


@pytest.mark.parametrize("label", problems.ON_CIRCLE)
def test_densities_on_the_circle_integrate_to_one(label):
    options = problems.ON_CIRCLE[label]
    with mp.workdps(oracle.DIGITS):
        k = oracle.kernel(options["kernel"], BANDWIDTH, PERIOD, options.get("df", 3.0))
        pieces = [mpf(0), mpf(BANDWIDTH), 2 * mpf(BANDWIDTH), mpf(PERIOD) / 2]
        total = 2 * mp.quad(lambda d: k(d).density, pieces)
        assert abs(total - 1) < INTEGRAL


@pytest.mark.parametrize("label", problems.ON_LINE)
def test_masses_are_integrals(label):
    options = problems.ON_LINE[label]
    name, df = options["kernel"], options.get("df", 3.0)
    with mp.workdps(oracle.DIGITS):
        shape = oracle.line_shape(name, df)
        for v in (mpf("0.37"), mpf("2.9")):
            upper = min(v, mpf(1)) if name in oracle.COMPACT else v
            total = 2 * mp.quad(lambda u: shape(u)[0], mp.linspace(0, upper, 5), method="gauss-legendre")
            assert abs(total - oracle.mass(name, v, df)) < INTEGRAL


def test_both_series_of_the_wrapped_gaussian_agree():
    with mp.workdps(oracle.DIGITS):
        for ratio in (mpf("0.1"), mpf("0.25"), mpf("0.6")):
            turns = oracle.gaussian_over_turns(ratio * PERIOD, mpf(PERIOD))
            cosines = oracle.gaussian_by_cosines(ratio * PERIOD, mpf(PERIOD))
            for d in (mpf(0), mpf("0.3"), mpf("2.1"), mpf("3.5")):
                for one, other in zip(turns(d), cosines(d), strict=True):
                    assert abs(one - other) < EXACT


def test_a_single_point_and_a_symmetric_pair_by_hand():
    """One point: R = S = 1. Two laplace points at ±1, one node between at 1/2: r = e^(±1/2)/(2 cosh 1/2) each."""
    alone = oracle.truth(problems.LINE["one point"].problem(kernel="cauchy"))
    assert abs(alone.logits[0]) < EXACT
    pair = oracle.truth(problems.Case([-1.0, 1.0], None, {"at": 0.5, "bandwidth": 1.0}).problem(kernel="laplace"))
    with mp.workdps(oracle.DIGITS):
        assert abs(pair.responsibilities[1] - 1 / (1 + mp.exp(-1))) < EXACT
        assert abs(pair.loss + mp.log((mp.exp("-0.5") + mp.exp("-1.5")) / 4)) < EXACT
