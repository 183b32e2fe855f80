"""Pins down sweeps: what distance does to the gradient of each kind of kernel, and what each step records."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.objective import responsibilities_by_bin
from kdegrad.settings import OVER
from kdegrad.sweeps import members, moved_away, only_pushed_down, spaced
from tests.readme import ROOT

TWO_SIDED = kg.load(ROOT / "sample_inputs" / "two_sided.yaml")
ROUND_OFF = 1e-12  # sums of some hundred numbers of size 1
FAR = 1e-10  # relative, of a gradient at 10⁴ bandwidths: ε·10⁴ and some
NORM = 1e-15  # relative, of a norm of six numbers
NEAR_LEFT, NEAR_RIGHT = 2, 3  # the points at -42 and 50


def gradient_at(distance: float, kernel: str, **options: object) -> np.ndarray:
    problem = TWO_SIDED.replace(kernel=kernel, angles=moved_away(TWO_SIDED, distance), **options)
    return kg.evaluate(problem).gradients.logits


# --- far points: a constant gradient, the nearest point takes all, a falling gradient ---------------------------------


def test_the_laplace_gradient_does_not_depend_on_distance() -> None:
    family = kg.sweep(TWO_SIDED, "distance", [0, 1, 100, 10_000], kernels=["laplace"])
    for name in ("l1", "l2", "max", "gradient_per_weight_max", "gradient_per_weight_min", "only_pushed_down"):
        values = [getattr(step, name) for step in family.steps]
        np.testing.assert_allclose(values, values[0], rtol=FAR)
    losses = [step.loss for step in family.steps]
    np.testing.assert_allclose(np.diff(losses), [0.1, 9.9, 990], rtol=FAR)  # D/h


def test_the_nearest_point_takes_all_of_the_gaussian_far_away() -> None:
    """R_i tends to the share of nodes where i is the nearest: -42-D is nearer than 50+D for t < 4."""
    expected = kg.evaluate(TWO_SIDED).weights.copy()
    expected[NEAR_LEFT] -= 34 / 60
    expected[NEAR_RIGHT] -= 26 / 60
    errors = [np.abs(gradient_at(distance, "gaussian") - expected).max() for distance in (0, 1e3, 1e5)]
    assert errors[2] < errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-5


def test_the_cauchy_gradient_falls_like_1_over_d() -> None:
    weights = kg.evaluate(TWO_SIDED).weights
    distance_to_nodes = np.abs(TWO_SIDED.angles)  # the mean distance to the nodes of a target about 0
    expected = 2.0 * weights * (distance_to_nodes - weights @ distance_to_nodes)
    for distance in (1e5, 1e6):
        np.testing.assert_allclose(distance * gradient_at(distance, "cauchy"), expected, rtol=500 / distance, atol=0)


def test_with_a_background_the_gradient_of_far_points_vanishes() -> None:
    family = kg.sweep(TWO_SIDED.replace(background=0.1), "distance", [0, 100, 300])
    sizes = [step.l1 for step in family.steps]
    assert sizes[0] > 0.1
    assert sizes[1] < 1e-3 * sizes[0]
    assert 0 < sizes[2] < 1e-3 * sizes[1]


# --- what a step records ----------------------------------------------------------------------------------------------


def test_a_step_is_the_evaluation_of_the_changed_problem() -> None:
    family = kg.sweep(TWO_SIDED, "bandwidth", [5.0, 20.0], kernels=["cauchy", "t"])
    assert [(step.kernel, step.value) for step in family.steps] == [
        ("cauchy", 5.0), ("cauchy", 20.0), ("student-t", 5.0), ("student-t", 20.0),
    ]  # fmt: skip
    evaluation = kg.evaluate(TWO_SIDED.replace(kernel="student-t", bandwidth=20))
    last = family.steps[-1]
    gradient = evaluation.gradients.logits
    assert (last.loss, last.kl) == (evaluation.loss, evaluation.kl)
    assert last.l1 == np.abs(gradient).sum()
    assert last.l2 == pytest.approx(np.linalg.norm(gradient), rel=NORM)
    assert last.max == np.abs(gradient).max()
    assert last.gradient_per_weight_max == evaluation.gradients.per_weight.max()
    assert last.gradient_per_weight_min == evaluation.gradients.per_weight.min()


@pytest.mark.parametrize("background", [0.0, 0.2])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "cauchy", "triangular"])
def test_only_pushed_down_is_the_weight_of_points_whose_gradient_is_positive_in_every_bin(
    kernel: str, background: float
) -> None:
    problem = TWO_SIDED.replace(kernel=kernel, background=background, bins=50, bandwidth=70)
    evaluation = kg.evaluate(problem)
    slopes = np.array([gradient for _, gradient in responsibilities_by_bin(evaluation)])
    expected = evaluation.weights[(slopes > -1e-15).all(axis=0) & (slopes > 1e-15).any(axis=0)].sum()
    assert only_pushed_down(evaluation) == pytest.approx(expected, abs=ROUND_OFF)
    assert 0.0 < expected < 1.0


def test_points_at_one_distance_are_not_pushed_down() -> None:
    assert only_pushed_down(kg.evaluate(kg.Problem([-50, 50, 50], [0.1, 0.5, 2.0], at=0, bandwidth=3))) == 0.0
    assert only_pushed_down(kg.evaluate(kg.Problem([1e6], target=(0, 1)))) == 0.0


def test_an_infinite_loss_is_a_step_without_numbers() -> None:
    family = kg.sweep(TWO_SIDED, "bandwidth", [10, 200], kernels=["epanechnikov"])
    assert family.is_finite
    assert family.steps[0].loss is None
    assert family.steps[0].l1 is None
    assert math.isfinite(family.steps[1].loss)
    assert not kg.sweep(TWO_SIDED, "bandwidth", [10], kernels=["epanechnikov"]).is_finite


def test_over_kernel_takes_all_kernels_of_the_domain() -> None:
    on_line = kg.sweep(TWO_SIDED, "kernel")
    assert len(on_line.steps) == 13
    assert all(step.value == step.kernel for step in on_line.steps)
    on_circle = kg.sweep(TWO_SIDED.replace(circular=True), "kernel")
    assert len(on_circle.steps) == 17
    named = kg.sweep(TWO_SIDED, "kernel", kernels=["normal", "t", "gaussian"])
    assert [step.kernel for step in named.steps] == ["gaussian", "student-t"]


def test_scale_moves_the_loss_alone() -> None:
    first, second = kg.sweep(TWO_SIDED, "scale", [1, math.e]).steps
    assert second.loss == pytest.approx(first.loss - 1, abs=ROUND_OFF)
    assert second.l2 == pytest.approx(first.l2, abs=ROUND_OFF)


def test_watch_is_called_with_each_step() -> None:
    seen: list[object] = []
    family = kg.sweep(TWO_SIDED, "bins", [1, 10, 100], watch=seen.append)
    assert tuple(seen) == family.steps
    assert len(members(TWO_SIDED, "bins", [1, 10, 100], None)) == 3
    assert len(members(TWO_SIDED, "kernel", None, None)) == 13


# --- where values come from, and what is refused ----------------------------------------------------------------------


def test_values_are_equally_spaced_or_in_equal_ratios() -> None:
    assert spaced("distance", 0, 10, 3) == [0, 5, 10]
    np.testing.assert_allclose(spaced("scale", 1, 100, 3, log=True), [1, 10, 100])
    assert spaced("bins", 1, 4, 10) == [1, 2, 3, 4]
    assert spaced("distance", 7, 7, 1) == [7]
    with pytest.raises(kg.SettingError, match="steps: 1 is one value"):
        spaced("distance", 7, 9, 1)


@pytest.mark.parametrize(("start", "stop"), [(-1e308, 1e308), (1e308, -1e308)])
def test_a_range_wider_than_the_numbers_is_refused(start: float, stop: float) -> None:
    with pytest.raises(kg.SettingError, match=r"to: -?1e\+308: the range from -?1e\+308 is wider") as caught:
        spaced("distance", start, stop, 3)
    assert caught.value.name == "to"
    assert np.isfinite(spaced("distance", start / 2, stop / 2, 3)).all()


def test_a_point_in_the_centre_stays_and_the_others_move_away() -> None:
    problem = kg.Problem([-5, 10, 25], target=(0, 20))
    np.testing.assert_array_equal(moved_away(problem, 3), [-8, 10, 28])
    np.testing.assert_array_equal(moved_away(kg.Problem([-5, 10], target=(0, 20), at=-6), 3), [-2, 13])


def test_on_a_circle_points_move_the_shorter_way_up_to_the_antipode() -> None:
    problem = kg.Problem([350, 20, 300], target=(-20, 20), circular=True)
    np.testing.assert_array_equal(moved_away(problem, 100), [250, 120, 200])
    np.testing.assert_array_equal(moved_away(problem, 120), [230, 140, 180])
    with pytest.raises(kg.SettingError, match="give 120 at most"):
        moved_away(problem, 121)


def test_no_point_moves_past_the_centre() -> None:
    np.testing.assert_array_equal(moved_away(TWO_SIDED, -42)[NEAR_LEFT], 0)
    with pytest.raises(kg.SettingError, match="give -42 or more"):
        moved_away(TWO_SIDED, -43)


@pytest.mark.parametrize(
    ("over", "values", "options", "said"),
    [
        ("distanse", [1], {}, "did you mean 'distance'"),
        ("bandwidth", [-1], {}, "out of range"),
        ("bins", [0], {}, "out of range"),
        ("bins", [3], {"at": 0.0}, "one bin"),
        ("background", [0.1], {"at": 0.0, "target": None}, "target"),
        ("background", [1.0], {}, "from 0 to below 1"),
        ("kernel", [1], {}, "names"),
        ("scale", None, {}, "needs values"),
        ("scale", [], {}, "needs values"),
    ],
)
def test_invalid_sweeps_are_refused(over: str, values: list[float], options: dict, said: str) -> None:
    with pytest.raises(kg.SettingError, match=said):
        kg.sweep(TWO_SIDED.replace(**options), over, values)


def test_unknown_kernels_and_logarithms_of_zero_are_refused() -> None:
    with pytest.raises(kg.SettingError, match="did you mean 'gaussian'"):
        kg.sweep(TWO_SIDED, "distance", [1], kernels=["gausian"])
    with pytest.raises(kg.SettingError, match="no logarithm"):
        spaced("distance", 0, 10, 3, log=True)
    assert "distance" in OVER


@pytest.mark.parametrize("options", [{"kernel": "gaussian"}, {"kernel": "cauchy", "bandwidth": 1e-307}])
def test_distances_beyond_the_range_of_float64_raise_no_warning(options: dict) -> None:
    """Warnings are errors in the tests: log K overflows to -inf there, which is what it is."""
    problem = kg.Problem([1e160, 0.0], target=(-30, 30), bins=3, background=0.1, **options)
    assert kg.sweep(problem, "scale", [1.0, 2.0]).is_finite
    assert [one.shape for one, _ in responsibilities_by_bin(kg.evaluate(problem))] == [(2,)] * 3
