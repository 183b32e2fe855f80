"""Pins down random problems (`tests.scale`): finite or exit code 3, the ground properties, the promised accuracy.

This module draws a few hundred, with KDEGRAD_EXPLORE=1 new ones; `python -m tests.scale 100000` draws any number. The
oracle that is fast enough for them (`tests.extended`) is bound to the one of 50 digits, and what measures errors is
shown to see some.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdegrad import Problem, evaluate
from tests import extended, problems
from tests.measure import WRT, against, agreement, in_digits, rules
from tests.scale import a_problem, accuracy, by_schemes, by_seed, fault, look

MANY = 10 if os.environ.get("KDEGRAD_EXPLORE") else 1
# What 11 bits more leave of an error of a few roundings, where a bound has eight of them.
OF_THE_BOUND = 1.0 / 200.0


@st.composite
def drawn(draw, tame=False):
    return a_problem(lambda some: draw(st.sampled_from(some)), draw(st.integers(0, 2**32 - 1)), tame)


@settings(max_examples=25 * MANY, deadline=None)
@given(drawn(tame=True))
def test_any_problem_is_finite_or_uncovered_and_has_the_ground_properties(problem):
    assert fault(problem) == ""


@settings(max_examples=50 * MANY, deadline=None)
@given(drawn())
def test_any_problem_is_as_accurate_as_promised(problem):
    ratios = accuracy(by_schemes(problem))
    assert {key: ratio for key, ratio in ratios.items() if not ratio <= 1.0} == {}


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_the_first_of_a_hundred_thousand_are_as_accurate_as_promised(start):
    for outcome in map(look, range(start, start + 50)):
        assert outcome.wrong == ""
        assert {key: ratio for key, ratio in outcome.ratios.items() if not ratio <= 1.0} == {}, outcome.seed


SEEDS = range(30, 50)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_command_prints_the_same_numbers_or_exits_with_3(seed, kdegrad, tmp_path):
    problem = by_seed(seed, tame=True)
    rows = zip(problem.angles.tolist(), problem.logits.tolist(), strict=True)
    points = tmp_path / "points.csv"
    points.write_text("angle,logit\n" + "".join(f"{x!r},{z!r}\n" for x, z in rows))
    s = problem.settings
    options = ["--target", *problem.interval, "--kernel", s.kernel, "--bandwidth", s.bandwidth, "--df", s.df]
    options += ["--scale", s.scale, "--background", s.background, "--sums", s.sums]
    options += ["--rule", s.rule, "--bins", s.bins] if problem.at is None else ["--at", problem.at]
    options += [] if s.period is None else ["--period", s.period]
    ran = kdegrad("grad", points, *options, "--wrt", ",".join(WRT), "--format", "csv")
    found = evaluate(problem, wrt=WRT)
    assert ran.code == (0 if found.is_finite else 3), ran.err
    assert len(ran.rows) == (len(problem.angles) if found.is_finite else 0)
    for column, values in (
        ("responsibility", found.responsibilities),
        ("gradient", found.gradients.logits),
        ("gradient_per_weight", found.gradients.per_weight),
        ("gradient_angle", found.gradients.angles),
    ):
        read = [float(row[column] or "nan") for row in ran.rows]  # a number that overflowed is an empty cell
        np.testing.assert_array_equal(read, np.where(np.isfinite(values), values, np.nan)[: len(read)])


def test_some_of_these_problems_have_no_gradient():
    assert {evaluate(by_seed(seed, tame=True), wrt=WRT).is_finite for seed in SEEDS} == {True, False}


# --- The oracle that they are compared with, and the measure ---------------------------------------------------------


@pytest.mark.skipif(extended.BITS < 63, reason="longdouble has no more bits than float64 here")
@pytest.mark.parametrize("label", problems.ON_CIRCLE)
def test_the_fast_oracle_agrees_with_50_digits(label):
    kernel = problems.ON_CIRCLE[label]
    cases = [*problems.CIRCLE.values(), *(problems.LINE.values() if label in problems.ON_LINE else ())]
    finite = 0
    for case in cases[:: 1 if MANY > 1 else 3]:
        found = evaluate(case.problem(**kernel), wrt=WRT)
        true = extended.truth(found.problem, found.rule)
        exact = in_digits(found, true)
        assert (true.loss == np.inf) == (exact.loss == np.inf)
        if true.loss == np.inf:
            continue
        finite += 1
        for name, bound in (
            ("loss", true.loss_bound),
            ("logits", true.logit_bounds),
            ("per_weight", true.per_weight_bounds),
            ("angles", true.angle_bounds),
            ("log_bandwidth", true.bandwidth_bound),
        ):
            one, other = getattr(true, name), getattr(exact, name)
            with np.errstate(invalid="ignore"):
                off = np.where(one == other, 0, np.abs(one - other) / bound)  # inf where both overflow
            assert off.max() < OF_THE_BOUND, (case, name)
    assert finite > 2


def pair(angles, **options):
    return evaluate(Problem(angles, None, **{"at": 0.0, "kernel": "laplace", "bandwidth": 1.0, **options}), wrt=WRT)


def test_an_error_of_ten_bounds_is_ten_bounds():
    found = pair([1.0, 2.5])
    true = extended.truth(found.problem, found.rule)
    for name, number, bound in (("logits", "logits", true.logit_bounds), ("angles", "angles", true.angle_bounds)):
        gradients = found.gradients
        wrong = replace(gradients, **{number: getattr(gradients, number) + 10.0 * bound.astype(float)})
        assert against(replace(found, gradients=wrong), true)[name] == pytest.approx(10.0, abs=0.5)
    assert against(replace(found, loss=found.loss + 1e-11), true)["loss"] == pytest.approx(9.9, abs=0.5)
    assert max(against(found, true).values()) < 0.25


def test_the_rules_see_shares_that_do_not_add_up():
    found = pair([1.0, 1.0, -1.0])
    assert max(rules(found).values()) <= 1.0
    shares = np.array([0.3, 0.4, 0.5])
    wrong = replace(found.gradients, responsibilities=shares, logits=1.0 / 3.0 - shares)
    seen = rules(replace(found, gradients=wrong))
    assert {name for name, ratio in seen.items() if ratio > 1.0} == {
        "sum of shares",
        "sum of gradient",
        "identical points",
        "one distance",
    }


@pytest.mark.parametrize(
    ("angles", "options"),
    [
        ([1.0 + 2.0**-52, 0.5], {"kernel": "uniform", "at": 2.0**-52 / 8}),  # the edge, in a pair that rounds
        ([-0.01, 3.0], {"period": 359.9, "at": 359.89 + 2e-14}),  # the kink at 0
    ],
)
def test_within_rounding_of_an_edge_or_a_kink_either_side_is_right(angles, options):
    found = pair(angles, **options)
    true = extended.truth(found.problem, found.rule)
    assert true.either or true.sides.max() > 0.1
    assert max(against(found, true).values()) <= 1.0
    assert max(agreement(found, found, true).values()) == 0.0
    if true.either:
        assert true.lowest_loss < true.highest_loss
    moved = replace(found.gradients, angles=found.gradients.angles + true.sides.astype(float))
    assert true.either or max(agreement(found, replace(found, gradients=moved), true).values()) > 1.0


@pytest.mark.parametrize("options", [{}, {"period": 2.0, "at": 1.0}])
def test_an_exact_kink_has_the_mean_slope(options):
    """A point on the node, or at its antipode: |∂L/∂x| of 0.1 is not within rounding."""
    found = pair([0.0], **options)
    true = extended.truth(found.problem, found.rule)
    assert true.sides.max() == 0.0
    moved = replace(found.gradients, angles=np.array([0.1]))
    assert against(found, true)["angles"] == 0.0
    assert against(replace(found, gradients=moved), true)["angles"] > 1e6


@pytest.mark.parametrize("kernel", ["laplace", "triangular"])
def test_the_smallest_displacement_has_a_side(kernel):
    """A point 1e-323 above the node: ∂L/∂x = 1/h, as at any small distance, though d/h is 0 in float64."""
    assert pair([1e-323], kernel=kernel, bandwidth=4.0).gradients.angles == pytest.approx(0.25, rel=1e-12)


def test_a_seed_makes_the_same_problem_again():
    one, other = look(11), look(11)
    assert one == other
    assert one.kind in ("finite", "infinite")
