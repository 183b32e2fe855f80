"""Pins down random problems (`tests.scale`): finite or exit code 3, the ground properties, the promised accuracy.

This module draws a few hundred, with KDEGRAD_EXPLORE=1 new ones; `python -m tests.scale 20000` draws any number.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdegrad import evaluate
from tests.scale import WRT, a_problem, accuracy, by_seed, fault

MANY = 10 if os.environ.get("KDEGRAD_EXPLORE") else 1


@st.composite
def drawn(draw, small=False):
    return a_problem(lambda some: draw(st.sampled_from(some)), draw(st.integers(0, 2**32 - 1)), small)


@settings(max_examples=50 * MANY, deadline=None)
@given(drawn())
def test_any_problem_is_finite_or_uncovered_and_has_the_ground_properties(problem):
    assert fault(problem) == ""


def test_any_problem_is_as_accurate_as_promised():
    measured = []

    @settings(max_examples=100 * MANY, deadline=None)
    @given(drawn(small=True))
    def look(problem):
        ratios = accuracy(problem)
        measured.append(not isinstance(ratios, str))
        assert isinstance(ratios, str) or max(ratios.values()) <= 1.0, ratios

    look()
    assert sum(measured) > 0.7 * len(measured)  # the others have too many nodes, or a bound that leaves few digits


SEEDS = range(30, 50)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_command_prints_the_same_numbers_or_exits_with_3(seed, kdegrad, tmp_path):
    problem = by_seed(seed)
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
    assert {evaluate(by_seed(seed), wrt=WRT).is_finite for seed in SEEDS} == {True, False}
