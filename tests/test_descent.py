"""Pins down descents: `em` never raises the loss, the duality gap bounds the excess loss, the optimizers' formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad as kg
from kdegrad.descent import DescentStep, Path
from tests.readme import ROOT

TWO_SIDED = kg.load(ROOT / "sample_inputs" / "two_sided.yaml")
ROUND_OFF = 1e-12  # of a loss, relative to 1 + |L|
ONE_STEP = 1e-14  # relative, of one step written out
NORMALIZED = 1e-13  # relative, of softmax(log(R/ΣR)) beside R/ΣR
FIVE_STEPS = 1e-12  # relative, of five steps of Adam written out
ADAM_EPSILON = 1e-6  # relative: Adam's first step is g/(|g| + 1e-8), with g above 0.01
RESCALED = 1e-9  # relative, of 20 steps in two units, whose roundings differ
KERNELS = ["laplace", "gaussian", "cauchy", "student-t", "logistic", "triangular", "uniform", "von-mises"]

coordinate = st.floats(-150, 150)


@st.composite
def problems(draw: st.DrawFn) -> kg.Problem:
    """Return a problem of finite loss: line or circle, with and without background and masks."""
    count = draw(st.integers(1, 7))
    angles = draw(st.lists(coordinate, min_size=count, max_size=count))
    logits = draw(st.lists(st.floats(-30, 30) | st.just(-math.inf), min_size=count, max_size=count))
    logits[0] = max(logits[0], -30.0)
    kernel = draw(st.sampled_from(KERNELS))
    compact = kernel in ("triangular", "uniform")
    return kg.Problem(
        angles,
        logits,
        target=(-30, draw(st.sampled_from([-29.0, 20.0, 90.0]))),
        kernel=kernel,
        bandwidth=draw(st.sampled_from([300.0] if compact else [0.5, 10.0, 100.0])),
        bins=draw(st.integers(1, 40)),
        circular=kernel == "von-mises" or draw(st.booleans()),
        background=draw(st.sampled_from([0.0, 0.3])),
        scale=draw(st.sampled_from([1.0, 1e-3])),
    )


@settings(max_examples=60, deadline=None)
@given(problems())
def test_em_never_raises_the_loss(problem: kg.Problem) -> None:
    losses = [row.loss for row in kg.descend(problem, optimizer="em", steps=12, tolerance=0).course]
    for before, after in itertools.pairwise(losses):
        assert after <= before + ROUND_OFF * (1 + abs(before))


@settings(max_examples=25, deadline=None)
@given(problems())
def test_the_gap_bounds_the_distance_to_the_least_loss(problem: kg.Problem) -> None:
    least = kg.descend(problem, optimizer="em", steps=400, tolerance=1e-10).course[-1].loss  # never below the least
    for row in kg.descend(problem, optimizer="em", steps=5, tolerance=0).course:
        assert row.gap >= row.loss - least - ROUND_OFF * (1 + abs(row.loss))
    for row in kg.descend(problem, rate=2.0, steps=5, tolerance=0).course:
        assert row.gap >= row.loss - least - ROUND_OFF * (1 + abs(row.loss))


def test_the_gap_is_tight_at_the_least_loss() -> None:
    """Two points symmetric about the centre of the target: equal weights minimise the loss, where the gap is 0."""
    problem = kg.Problem([-20, 20], [1.0, 0.0], target=(-30, 30), kernel="gaussian", bandwidth=15)
    done = kg.descend(problem, optimizer="em", steps=5000, tolerance=1e-12)
    assert done.converged
    np.testing.assert_allclose(done.end.weights, 0.5, atol=1e-6)
    assert done.gap <= 1e-12


@pytest.mark.parametrize("tolerance", [0.0, 1e-8])
def test_em_does_not_move_where_no_point_reaches_the_target(tolerance: float) -> None:
    """With a background all R are 0, and the loss does not depend on the weights."""
    problem = kg.Problem(
        [0.0, 1.0], [0.0, -1.0], target=(-30, -29), kernel="gaussian", bandwidth=0.5, bins=1, background=0.3
    )
    done = kg.descend(problem, optimizer="em", steps=3, tolerance=tolerance)
    assert done.converged == (tolerance > 0.0)
    np.testing.assert_array_equal(done.end.problem.logits, problem.logits)
    assert {row.loss for row in done.course} == {done.start.loss}


def test_em_is_the_fixed_point_step() -> None:
    for background in (0.0, 0.2):
        problem = TWO_SIDED.replace(background=background)
        responsibilities = kg.evaluate(problem).responsibilities
        end = kg.descend(problem, optimizer="em", steps=1).end
        np.testing.assert_allclose(end.weights, responsibilities / responsibilities.sum(), rtol=NORMALIZED)


def test_gradient_subtracts_rate_times_the_gradient_from_each_coordinate() -> None:
    wrt = ("logits", "angles", "bandwidth")
    start = kg.evaluate(TWO_SIDED, wrt=wrt)
    end = kg.descend(TWO_SIDED, wrt=wrt, steps=1, rate=0.5).end.problem
    np.testing.assert_allclose(end.logits, TWO_SIDED.logits - 0.5 * start.gradients.logits, rtol=ONE_STEP)
    np.testing.assert_allclose(end.angles, TWO_SIDED.angles - 0.5 * 10**2 * start.gradients.angles, rtol=ONE_STEP)
    assert end.kernel.bandwidth == pytest.approx(10 * math.exp(-0.5 * start.gradients.log_bandwidth), rel=ONE_STEP)


def test_only_the_named_variables_move() -> None:
    end = kg.descend(TWO_SIDED, wrt=("angles",), steps=3).end.problem
    assert not np.array_equal(end.angles, TWO_SIDED.angles)
    np.testing.assert_array_equal(end.logits, TWO_SIDED.logits)
    assert end.kernel.bandwidth == 10
    end = kg.descend(TWO_SIDED, wrt=("bandwidth",), steps=3).end.problem
    np.testing.assert_array_equal(end.angles, TWO_SIDED.angles)
    assert end.kernel.bandwidth != 10


def test_the_first_step_of_adam_is_the_rate_against_the_sign() -> None:
    gradient = kg.evaluate(TWO_SIDED).gradients.logits
    end = kg.descend(TWO_SIDED, optimizer="adam", steps=1, rate=0.25).end.problem
    np.testing.assert_allclose(end.logits, TWO_SIDED.logits - 0.25 * np.sign(gradient), rtol=ADAM_EPSILON)


def test_adam_agrees_with_its_formula() -> None:
    logits, mean, square = TWO_SIDED.logits.copy(), np.zeros(6), np.zeros(6)
    for k in range(1, 6):
        g = kg.evaluate(TWO_SIDED.replace(logits=logits)).gradients.logits
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        logits = logits - 0.1 * (mean / (1 - 0.9**k)) / (np.sqrt(square / (1 - 0.999**k)) + 1e-8)
    end = kg.descend(TWO_SIDED, optimizer="adam", steps=5, rate=0.1).end.problem
    np.testing.assert_allclose(end.logits, logits, rtol=FIVE_STEPS)


def test_a_change_of_unit_changes_no_step() -> None:
    wrt = ("logits", "angles", "bandwidth")
    scaled = TWO_SIDED.replace(angles=TWO_SIDED.angles * 8, target=(-240, 240), bandwidth=80)
    for optimizer, rate in (("gradient", 1.0), ("adam", 0.1)):
        small = kg.descend(TWO_SIDED, wrt=wrt, optimizer=optimizer, rate=rate, steps=20)
        large = kg.descend(scaled, wrt=wrt, optimizer=optimizer, rate=rate, steps=20)
        np.testing.assert_allclose(large.end.problem.angles, 8 * small.end.problem.angles, rtol=RESCALED)
        assert large.course[-1].norm == pytest.approx(small.course[-1].norm, rel=RESCALED)


def test_a_masked_point_stays_masked_and_does_not_enter_the_gap() -> None:
    """The masked point would lower the loss most; the gap refers to the least loss over the others."""
    problem = kg.Problem([0, -50, 60], [-math.inf, 0, 0], target=(-30, 30), bandwidth=10)
    for optimizer in ("gradient", "adam", "em"):
        done = kg.descend(problem, optimizer=optimizer, steps=300, rate=None if optimizer == "em" else 0.5)
        assert done.end.problem.logits[0] == -math.inf
        assert done.gap < 0.05


def test_it_stops_by_the_documented_rule() -> None:
    done = kg.descend(TWO_SIDED, optimizer="em", steps=1000, tolerance=1e-6)
    assert done.converged
    assert "duality gap is at most 1e-06" in done.stopped
    assert done.course[-1].gap <= 1e-6 < done.course[-2].gap
    done = kg.descend(TWO_SIDED, wrt=("bandwidth",), steps=1000, tolerance=1e-6)
    assert done.course[-1].norm <= 1e-6 < done.course[-2].norm
    assert done.gap is None
    done = kg.descend(TWO_SIDED, steps=3)
    assert (done.converged, done.stopped, len(done.course)) == (False, "all 3 steps are taken", 4)
    assert len(kg.descend(TWO_SIDED, steps=0).course) == 1


def test_a_step_to_an_infinite_loss_is_not_taken() -> None:
    covered = TWO_SIDED.replace(kernel="epanechnikov", bandwidth=60)
    done = kg.descend(covered, wrt=("angles",), steps=50, rate=100)
    assert done.diverged
    assert math.isfinite(done.end.loss)
    assert "smaller rate" in done.stopped
    overflowing = kg.descend(TWO_SIDED, wrt=("bandwidth",), rate=1e300)
    assert overflowing.diverged
    assert overflowing.end.loss == kg.evaluate(TWO_SIDED).loss
    nowhere = kg.descend(TWO_SIDED.replace(kernel="epanechnikov"))
    assert nowhere.diverged
    assert "at the start" in nowhere.stopped


def test_rises_counts_the_steps_that_went_up() -> None:
    assert kg.descend(TWO_SIDED, steps=20).rises == 0
    assert kg.descend(TWO_SIDED, steps=20, rate=100, wrt=("angles",)).rises > 0


def test_watch_sees_each_step_and_the_path_keeps_both_ends() -> None:
    seen: list[DescentStep] = []
    done = kg.descend(TWO_SIDED, steps=9, tolerance=0, watch=seen.append)
    assert [now.step for now in seen] == list(range(10))
    assert [now.row() for now in seen] == list(done.course)
    assert [shot.step for shot in done.path] == list(range(10))


@pytest.mark.parametrize("points", [1, 10**5, 10**7])
def test_the_path_is_thinned_evenly(points: int) -> None:
    path = Path(points)
    evaluation = kg.evaluate(TWO_SIDED)
    for step in range(3001):
        end = DescentStep(step, evaluation, 0.0, None).snapshot()
        path.add(end)
    kept = [shot.step for shot in path.up_to(end)]
    assert (kept[0], kept[-1]) == (0, 3000)
    assert len(kept) <= min(Path.STEPS, max(2, Path.NUMBERS // points)) + 1
    assert len(set(np.diff(kept[:-1]))) <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wrt": ("logit",)}, "unknown 'logit'"),
        ({"wrt": ()}, "nothing moves"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"optimizer": "em", "wrt": ("logits", "angles")}, "em moves the logits alone"),
        ({"rate": 0.0}, "rate"),
        ({"rate": math.nan}, "rate"),
        ({"steps": -1}, "steps"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_invalid_options_are_refused(options: dict, said: str) -> None:
    with pytest.raises(kg.SettingError, match=said):
        kg.descend(TWO_SIDED, **options)


def test_far_out_the_gap_proves_nothing_and_the_norm_decides() -> None:
    """At 10⁵ bandwidths the rounding of an angle moves a responsibility by 2e-6, but the gradients are exact: 0."""
    far = kg.Problem([-1e5, 1e5], [0.0, 1.0], at=0.0, kernel="gaussian")
    done = kg.descend(far, optimizer="em", steps=3)
    assert done.input_rounding == pytest.approx(2.0**-52 * 1e10, rel=1e-12)
    assert (done.converged, done.gap, len(done.course)) == (True, None, 1)
    assert "norm of the gradient" in done.stopped


def test_em_goes_on_far_out_where_the_weights_are_not_the_best() -> None:
    """Of two points at 10⁶ and 10⁶ + 10⁻⁶ bandwidths the nearer gains e¹ on the farther in each step."""
    far = kg.Problem([1e6, 1e6 + 2.0**-20], at=0.0, kernel="gaussian")
    done = kg.descend(far, optimizer="em", steps=40)
    ratios = [math.log(now.weights[0] / now.weights[1]) for now in done.path[:9]]
    gain = 1e6 * 2.0**-20 + 0.5 * 2.0**-40
    np.testing.assert_allclose(ratios, [k * gain for k in range(9)], rtol=1e-11)  # log K has a spacing of 6e-5
    assert done.converged


def test_a_rate_is_refused_where_the_optimizer_has_none() -> None:
    assert kg.descend(TWO_SIDED, steps=1).rate == 1.0
    with pytest.raises(kg.SettingError, match=r"^rate: em has none, its step is exact: leave it out$"):
        kg.descend(TWO_SIDED, optimizer="em", rate=0.1)
