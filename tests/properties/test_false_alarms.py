"""Sound problems pass: samples with many settings, named hard problems, and some of those drawn (`tests.false_alarms`).

Where the rounding of the input decides (a point within rounding of an edge, a target that a shift rounds away), the
check is skipped with the reason. A warning is a false alarm too.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import Problem
from kdegrad.properties import verify
from kdegrad.properties.base import Comparison
from kdegrad.properties.cases import input_case
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import Formula
from tests.false_alarms import alarms, look, sample, samples

ALL_SAMPLES = list(samples())
NAMED = [
    ("wind", "laplace", 7.0, 60),
    ("wind", "laplace", 60.0, 360),
    ("wind", "wrapped-laplace", 7.0, 60),
    ("turtles", "triangular", 1.0, 10),
    ("turtles", "triangular", 7.0, 90),
]
COPRIME = 41  # with 6: a stride that meets all samples, kernels, bandwidths and numbers of bins
SEEDS = range(30)


def test_there_are_792_samples_and_the_named_ones_are_among_them() -> None:
    assert len(ALL_SAMPLES) == 792
    assert set(NAMED) <= set(ALL_SAMPLES)


@pytest.mark.parametrize("chosen", sorted({*NAMED, *ALL_SAMPLES[::COPRIME]}), ids=str)
def test_a_sample_with_other_settings_passes(chosen: tuple[str, str, float, int]) -> None:
    assert alarms(input_case(sample(*chosen), 0, "input")) == []


EDGE_AT_LOW = {"target": (-24.776010590885477, 35.22398940911452), "bandwidth": 704698.2675875132}
EXTREME = {"target": (-3e-43, 3e-43), "bandwidth": 2.6e-42, "scale": 1e-300, "background": 1e-12}
WRAPPED = {"circular": True, "bandwidth": 20.0}
HARD: dict[str, Problem] = {
    "within rounding of an edge": Problem([-704723.043598104], kernel="triangular", **EDGE_AT_LOW),
    "one bin, and the same": Problem(
        [-704723.043598104], kernel="triangular", at=EDGE_AT_LOW["target"][0], **EDGE_AT_LOW
    ),
    "a background that underflows": Problem([0.5e30, 1e30], target=(0.0, 3e30), background=1e-300, bandwidth=1e29),
    "a bound that underflows": Problem([-1.59e-42, 1.83e-42], kernel="cauchy", **EXTREME),
    "antipodes within rounding": Problem(
        [194.5, np.nextafter(224.5, 999.0), -105.5], target=(-0.5, 89.5), bins=3, kernel="student-t", **WRAPPED
    ),
    "a target that a shift rounds away": Problem([-3.0, 4.0], target=(0.3, 0.3 + 1e-13), bandwidth=10.0, bins=2),
    "logits at the end of the range": Problem(
        [-50.0, 60.0], [-1e308, 1e308], target=(-30.0, 30.0), bandwidth=9.0, scale=1e300
    ),
    "whole turns from a node": Problem(15.0 + 360.0 * np.arange(-3, 4), target=(0.0, 90.0), bins=3, **WRAPPED),
    "a density of 0 at one place": Problem(
        [-0.45, 1.55], target=(-0.45, 1.55), kernel="triweight", bandwidth=1.0, bins=60, circular=True, rule="exact"
    ),
    "slopes that overflow": Problem([-1e-4, 2e-4], target=(0.0, 1e-4), bandwidth=1e-44, background=0.3, scale=1e300),
    "a mirror image that rounds away": Problem(
        [-35999650.0, 36000350.0, 144000350.0], at=36000350.000703804, bandwidth=2.7e-15, circular=True
    ),
    "an edge beside a background": Problem(
        [-9955.0, 10045.0], target=(0.0, 90.0), bins=1, kernel="tricube", bandwidth=1e4, background=1e-300
    ),
    "a light target point far away": Problem(
        [350.0, 710.0],
        [-12954.99244967, 13579.39580044],
        target=kg.Points([12.20958218, -59.9000265, 146.95791998], [1e-294, 1e239, 1e279]),
        kernel="gaussian",
        bandwidth=1e-6,
    ),
    "a circle of 1e300 bandwidths": Problem(
        [29.6, 31.0, 29.4], at=30.0, kernel="wrapped-gaussian", bandwidth=10.0, period=1e300
    ),
    "a target of one rounding": Problem([1e-323], [-1e308], target=(0.0, 5e-324), kernel="gaussian", bandwidth=1e-13),
    "weights that differ by e^1e308": Problem(
        [-5.0, 5.0, 0.0], [1e308, -math.inf, 0.0], target=(-1.0, 1.0), kernel="cauchy"
    ),
    "coordinates of 1e28 bandwidths": Problem(
        [1e-300], target=(-5e14, 5e14), bins=1, kernel="student-t", bandwidth=1e-13
    ),
    "nodes far nearer to 0 than the ends": Problem(
        [24.9, 27.3, 49.8], target=(-5e14 + 30.0, 5e14 + 30.0), bins=7, bandwidth=10.0, background=0.999
    ),
    "distances that overflow": Problem([1e15], at=1e15, kernel="wrapped-cauchy", bandwidth=1e300, period=1e300),
    "many turns away": Problem([-8.7e17, 40.0], target=(0.0, 90.0), kernel="von-mises", **WRAPPED),
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_problem_is_no_alarm(name: str) -> None:
    assert alarms(input_case(HARD[name], 0, "input")) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drawn_problem_is_no_alarm(seed: int) -> None:
    assert look(seed)[1] == []


def test_where_rounding_decides_the_check_says_so() -> None:
    (verdict,) = verify(HARD["a target that a shift rounds away"], cases=0, only=["translation"])
    assert verdict.verdict == "skip"
    assert "its ends round to one" in verdict.reason
    (verdict,) = verify(HARD["one bin, and the same"], cases=0, only=["sums-agree"])
    assert (verdict.verdict, verdict.reason) == ("skip", "the density is 0 at 1 of 1 nodes: no gradient is defined")


def test_what_a_check_cannot_build_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shift of 1234 bandwidths, to where a target 1e-13 wide has its ends at one place, refused by Problem itself."""
    monkeypatch.setattr("kdegrad.properties.ground.mapped", lambda problem, **_: problem.replace(target=(2.0, 2.0)))
    (verdict,) = verify(HARD["a target that a shift rounds away"], cases=0, only=["translation"])
    assert verdict.verdict == "skip"
    assert "target: low 2 is not below high 2" in verdict.reason


def test_two_numbers_that_overflowed_agree_if_their_signs_do() -> None:
    assert Comparison("angles", [math.inf, 1.0], [math.inf, 1.0], 1e-13).excess == 0.0
    assert Comparison("angles", [math.inf, 1.0], [-math.inf, 1.0], 1e-13).excess == math.inf
    assert Comparison("angles", [math.nan, 1.0], [math.nan, 1.0], 1e-13).excess == math.inf


def test_the_reference_takes_whole_turns_off_exactly() -> None:
    """-8.7e17 = 120 - 2416666666666667·360, and 1e17 = 280 + 277777777777777·360, in integers."""
    assert (-870_000_000_000_000_000 % 360, 100_000_000_000_000_000 % 360) == (120, 280)
    far, zero = np.array([-8.7e17, 1e17]), np.zeros(2)
    np.testing.assert_array_equal(Formula("laplace", 3.0, 360.0).difference(far, zero), [120.0, -80.0])


@pytest.mark.parametrize("kernel", ["triangular", "cosine", "tricube"])
def test_at_its_very_edge_a_compact_kernel_is_0_in_the_reference(kernel: str) -> None:
    plain = reference_of(Problem([-1.0, 1.0], at=0.0, kernel=kernel, bandwidth=1.0))
    assert plain.answer.loss == math.inf
    assert plain.uncovered == 1
