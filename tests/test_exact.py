"""Pins down that the rule `exact` gives the integrals, and that its error estimate is reliable.

It is compared with 276 problems that mpmath integrated (`tests.integrals`: every kernel, line and circle, nine
situations, and named ones), with closed forms, with Richardson differences of the exact loss, and with laws that need
no quadrature.
"""

import json
import math
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from mpmath import mp

import kdegrad as kg
from kdegrad import Problem
from kdegrad.objective import exact_loss
from tests.integrals import STORE, all_problems, as_text, drawn, hard_problems, integrals
from tests.oracle import softmax

WRT = ("logits", "angles", "bandwidth")
EPS = np.finfo(np.float64).eps
LOSS = 1e-12  # the promised agreement with the integral, times max(1, |L|)
GRADIENT = 1e-12  # absolute for R_i ≤ 1, relative for other gradients (times h) above 1
ROUNDINGS = 8.0  # the promised bound adds this many roundings of the largest logarithm
TOO_LARGE = 1e3  # an estimate may be this many times what is promised where nothing is special
RECOMPUTED = 6  # problems that mpmath integrates again in each run, as a check of the stored numbers
DIFFERENCES = 2e-9  # Richardson differences of a loss with an error of 1e-14, over steps of 1e-3 bandwidths
SAME = 1e-14  # two formulas for the same number of size 1
STEEP_SLOPE = 1e-9  # relative: jumps of log p of 60 are differences of logarithms at rounded places
BY_NODES = 1e-12  # relative, of a gradient by 40 Gauss nodes

LABELS = list(all_problems())
HARD_LABELS = list(hard_problems())
STORED = json.loads(STORE.read_text())


@cache
def evaluated(label):
    return kg.evaluate(Problem(**(all_problems() | hard_problems())[label]), wrt=WRT)


def numbers(label, key):
    return np.array(STORED[label][key], dtype=float)


def derivative(f, step):
    """Return f'(0) from central differences at step, step/2 and step/4: the error is of order step⁶."""
    wide, half, quarter = ((f(s) - f(-s)) / (2.0 * s) for s in (step, step / 2.0, step / 4.0))
    return (64.0 * quarter - 20.0 * half + wide) / 45.0


def differences(problem):
    """Return ∂L/∂z, ∂L/∂x·h and ∂L/∂log h by differences of the exact loss."""
    z, x, h = problem.logits, problem.angles, problem.kernel.bandwidth

    def loss(**changes):
        return exact_loss(problem.replace(**changes))

    unit = np.eye(len(x))
    return (
        np.array([derivative(lambda s, e=e: loss(logits=z + s * e), 1e-2) for e in unit]),
        np.array([derivative(lambda s, e=e: loss(angles=x + s * h * e), 1e-3) for e in unit]),
        derivative(lambda s: loss(bandwidth=h * math.exp(s)), 1e-3),
    )


# --- Against mpmath ---------------------------------------------------------------------------------------------------


def test_every_problem_is_stored():
    assert set(STORED) == {*LABELS, *HARD_LABELS}
    assert len(LABELS) >= 200


@pytest.mark.parametrize("label", LABELS[:: len(LABELS) // RECOMPUTED] + HARD_LABELS[:: len(HARD_LABELS) // RECOMPUTED])
def test_the_stored_numbers_are_those_of_mpmath(label):
    assert as_text(integrals(evaluated(label).problem)) == STORED[label]


@pytest.mark.parametrize("label", LABELS)
def test_loss_is_the_integral(label):
    expected = float(STORED[label]["loss"])
    evaluation = evaluated(label)
    assert evaluation.loss == pytest.approx(expected, rel=LOSS, abs=LOSS)
    estimate = evaluation.diagnostics.quadrature_error
    assert estimate >= EPS
    assert estimate <= LOSS * max(1.0, abs(expected))


@pytest.mark.parametrize("label", LABELS)
def test_gradients_are_the_integrals(label):
    evaluation = evaluated(label)
    gradients, h = evaluation.gradients, evaluation.problem.kernel.bandwidth
    allowance = GRADIENT + ROUNDINGS * EPS * np.abs(evaluation.diagnostics.log_density).max()

    def agree(actual, expected):
        assert np.abs(actual - expected).max() <= allowance * max(1.0, np.abs(expected).max())

    shares, over_weight = numbers(label, "responsibilities"), numbers(label, "over_weight")
    total = shares.sum() if evaluation.problem.settings.background else 1.0
    agree(evaluation.responsibilities, shares)
    agree(gradients.logits, evaluation.weights * total - shares)
    agree(gradients.per_weight, total - over_weight)
    agree(gradients.angles * h, numbers(label, "angles") * h)
    agree(gradients.log_bandwidth, numbers(label, "log_bandwidth"))


@pytest.mark.parametrize("label", LABELS + HARD_LABELS)
def test_estimates_cover_the_errors(label):
    """And they are not too large, but where coordinates of 10⁶ or edges within rounding leave more in doubt."""
    evaluation = evaluated(label)
    gradients, error = evaluation.gradients, evaluation.gradient_error
    shares = [mp.mpf(share) for share in STORED[label]["responsibilities"]]
    total = mp.fsum(shares) if evaluation.problem.settings.background else 1
    wanted = {
        "logits": [s * total - r for s, r in zip(softmax(evaluation.problem.logits), shares, strict=True)],
        "angles": [mp.mpf(slope) for slope in STORED[label]["angles"]],
        "log_bandwidth": [mp.mpf(STORED[label]["log_bandwidth"])],
    }
    found = {"logits": gradients.logits, "angles": gradients.angles, "log_bandwidth": [gradients.log_bandwidth]}
    assert abs(evaluation.loss - mp.mpf(STORED[label]["loss"])) <= evaluation.diagnostics.quadrature_error
    for name, estimate in asdict(error).items():
        off = max(abs(float(x) - y) for x, y in zip(found[name], wanted[name], strict=True))
        assert off <= estimate
        if label in LABELS:
            unit = evaluation.problem.settings.bandwidth if name == "angles" else 1.0
            size = max(1.0, np.abs(found[name]).max() * unit)
            allowance = GRADIENT + ROUNDINGS * EPS * np.abs(evaluation.diagnostics.log_density).max()
            assert estimate * unit <= TOO_LARGE * allowance * size


def test_a_gradient_that_is_not_known_is_said_to_be_so():
    """Edges a rounding from the target's end, where p falls to 10⁻¹²: that end decides about the gradient."""
    problem = Problem(
        [0.1 + 0.2 + 1.0, -0.4], target=(0.0, 0.3), bandwidth=1.0, kernel="triangular", background=1e-12, rule="exact"
    )
    beside = problem.replace(angles=[0.1 + 0.2 + 1.0 - 1e-15, -0.4])
    here, there = (kg.evaluate(each, wrt=WRT) for each in (problem, beside))
    change = np.abs(here.gradients.angles - there.gradients.angles).max()
    assert change <= here.gradient_error.angles + there.gradient_error.angles


# --- Closed forms -----------------------------------------------------------------------------------------------------

CLOSED_FORMS = {
    "laplace, one point in the centre": (
        {"angles": [1.0], "target": (-3, 5), "bandwidth": 2.5},
        math.log(5.0) + 2.0 / 2.5,
    ),
    "laplace, far": ({"angles": [1e6], "target": (-1, 1), "bandwidth": 1.0}, math.log(2.0) + 1e6),
    "laplace, far on both sides": (
        {"angles": [-40.0, 40.0], "target": (-1, 1), "bandwidth": 1.0},
        float(math.log(2.0) + 40.0 - mp.quad(lambda t: mp.log(mp.cosh(t)), [0, 1])),
    ),
    "gaussian": (
        {"angles": [0.0], "target": (0, 6), "bandwidth": 2.0, "kernel": "gaussian"},
        math.log(2.0 * math.sqrt(2.0 * math.pi)) + 6.0**2 / 3.0 / (2.0 * 2.0**2),
    ),
    "uniform, covering all": (
        {"angles": [0.3, -0.2], "target": (-1, 1), "bandwidth": 7.0, "kernel": "uniform"},
        math.log(14.0),
    ),
    "uniform, in thirds": (
        {"angles": [0.0, 3.0], "target": (-1, 5), "bandwidth": 2.0, "kernel": "uniform"},
        (5.0 * math.log(8.0) + math.log(4.0)) / 6.0,
    ),
    "uniform, the whole circle": (
        {"angles": [5.0], "target": (-90, 270), "bandwidth": 200.0, "kernel": "uniform", "circular": True},
        math.log(360.0),
    ),
    "triangular, to its edge": ({"angles": [0.0], "target": (0, 1), "bandwidth": 1.0, "kernel": "triangular"}, 1.0),
    "triangular, tiled": (
        {"angles": [0.0, 2.0, 4.0], "target": (-1, 5), "bandwidth": 1.0, "kernel": "triangular"}, 1.0 + math.log(3.0)
    ),
    "epanechnikov, all of it": (
        {"angles": [0.0], "target": (-1, 1), "bandwidth": 1.0, "kernel": "epanechnikov"},
        -math.log(0.75) - (2.0 * math.log(2.0) - 2.0),
    ),
    "wrapped cauchy, all of it": (  # the mean of log(1 - 2ρ cos θ + ρ²) over a turn is 0
        {"angles": [77.0], "target": (0, 360), "bandwidth": 20.0, "kernel": "wrapped-cauchy", "circular": True},
        -math.log((1.0 - math.exp(-math.tau / 9.0)) / 360.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms(name):
    options, expected = CLOSED_FORMS[name]
    assert exact_loss(Problem(**options)) == pytest.approx(expected, rel=LOSS, abs=LOSS)


# --- Derivatives ------------------------------------------------------------------------------------------------------

# Where only the points of small weight are left, p falls by e^-57 at an edge.
STEEP_FALL = {"angles": [-1.3, 0.2, 3.7], "logits": [0.0, -60.0, -57.0], "target": (-2, 5), "bandwidth": 3.1}
DIFFERENTIATED = {
    "laplace": drawn("laplace", False, "among"),
    "laplace, circle": drawn("laplace", True, "wrap"),
    "gaussian": drawn("gaussian", False, "among"),
    "student-t": drawn("student-t", True, "background"),
    "biweight": drawn("biweight", False, "among"),
    "uniform": drawn("uniform", False, "among"),
    "uniform, background": drawn("uniform", True, "background"),
    "uniform, wrap": drawn("uniform", True, "wrap"),
    "wrapped-laplace": drawn("wrapped-laplace", True, "among"),
    "steep triangular": {**STEEP_FALL, "kernel": "triangular"},
    "steep cosine": {**STEEP_FALL, "kernel": "cosine"},
    "steep triweight": {**STEEP_FALL, "kernel": "triweight", "circular": True, "period": 8.0},
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_are_the_derivatives_of_the_exact_loss(name):
    problem = Problem(**{**DIFFERENTIATED[name], "rule": "exact"})
    gradients = kg.evaluate(problem, wrt=WRT).gradients
    logits, angles, log_bandwidth = differences(problem)
    near = {"rtol": DIFFERENCES, "atol": DIFFERENCES}
    np.testing.assert_allclose(gradients.logits, logits, **near)
    np.testing.assert_allclose(gradients.angles * problem.kernel.bandwidth, angles, **near)
    np.testing.assert_allclose(gradients.log_bandwidth, log_bandwidth, **near)


@pytest.mark.parametrize("label", [label for label in LABELS if not label.startswith("uniform")])
def test_the_angle_gradients_sum_to_the_rise_of_log_p(label):
    """Σ_i ∂L/∂x_i = 1/(b-a) ∫ (log p)' dx, which needs no quadrature."""
    evaluation = evaluated(label)
    problem = evaluation.problem
    low, high = problem.target
    ends = [kg.evaluate(problem.replace(at=end), wrt=()).loss for end in (low, high)]
    expected = (ends[0] - ends[1]) / problem.interval.width
    size = max(1.0, np.abs(evaluation.gradients.angles).max())
    allowance = LOSS + ROUNDINGS * EPS * np.abs(evaluation.diagnostics.log_density).max()
    assert abs(evaluation.gradients.angles.sum() - expected) <= allowance * size


def test_two_uniform_points_at_one_place_share_the_gradient_of_one():
    merged = Problem([0.0, 3.0], [math.log(2.0), 0.0], target=(-1, 5), bandwidth=2.5, kernel="uniform", rule="exact")
    split = merged.replace(angles=[0.0, 0.0, 3.0], logits=[0.0, 0.0, 0.0])
    whole, halves = (kg.evaluate(problem, wrt=WRT).gradients for problem in (merged, split))
    np.testing.assert_allclose(
        halves.angles, [whole.angles[0] / 2.0, whole.angles[0] / 2.0, whole.angles[1]], atol=SAME
    )
    assert halves.log_bandwidth == pytest.approx(whole.log_bandwidth, abs=SAME)


def test_where_uniform_edges_meet_the_gradient_is_the_mean_of_the_one_sided_ones():
    # 0 + h = 4 - h, in the target
    problem = Problem([0.0, 4.0, 1.0], target=(-1.9, 4), bandwidth=2.0, kernel="uniform", rule="exact")
    gradients = kg.evaluate(problem, wrt=WRT).gradients
    step, near = 1e-6, 1e-5  # a central difference is that mean up to a multiple of its step

    def mean_of_sides(change):
        return (exact_loss(problem.replace(**change(step))) - exact_loss(problem.replace(**change(-step)))) / (
            2.0 * step
        )

    angles = [mean_of_sides(lambda s, e=e: {"angles": problem.angles + s * e}) for e in np.eye(3)]
    np.testing.assert_allclose(gradients.angles, angles, atol=near)
    log_bandwidth = mean_of_sides(lambda s: {"bandwidth": 2.0 * math.exp(s)})
    assert gradients.log_bandwidth == pytest.approx(log_bandwidth, abs=near)


@pytest.mark.parametrize("kernel", ["triangular", "epanechnikov", "tricube"])
def test_points_at_one_place_share_a_steep_edge_by_their_weights(kernel):
    whole = STEEP.replace(kernel=kernel)
    parts = np.array([0.25, 0.0, 0.75])
    logits = [0.0, math.log(0.25), -math.inf, math.log(0.75), 0.0]
    split = whole.replace(angles=[0.0, 1.9, 1.9, 1.9, 4.0], logits=logits)
    one, many = (kg.evaluate(problem, wrt=WRT).gradients for problem in (whole, split))
    np.testing.assert_allclose(many.angles[1:4], parts * one.angles[1], rtol=STEEP_SLOPE)
    np.testing.assert_allclose(many.angles[[0, 4]], one.angles[[0, 2]], rtol=STEEP_SLOPE)


STEEP = Problem([0.0, 1.9, 4.0], target=(-1, 4), bandwidth=1.0, kernel="triangular", background=1e-30, rule="exact")


@pytest.mark.parametrize("kernel", ["uniform", "triangular", "cosine"])
def test_a_factor_on_the_kernel_moves_no_edge(kernel):
    covered = STEEP.replace(background=0.0, kernel=kernel, angles=[-0.3, 1.5, 3.33], bandwidth=0.92, target=(-1, 4))
    one, many = (kg.evaluate(covered.replace(scale=c), wrt=WRT).gradients for c in (1.0, 1e5))
    np.testing.assert_allclose(many.angles, one.angles, rtol=STEEP_SLOPE)
    assert many.log_bandwidth == pytest.approx(one.log_bandwidth, rel=STEEP_SLOPE)


def test_points_of_no_weight_or_beyond_the_end_leave_a_steep_edge_alone():
    """The edge of a point without weight is in or next to a steep interval; another edge is the end of the target."""
    plain = kg.evaluate(STEEP, wrt=WRT).gradients
    for place in (2.0 - 1e-5, 1.7):
        masked = STEEP.replace(angles=[0.0, 1.9, 4.0, place], logits=[0.0, 0.0, 0.0, -math.inf])
        np.testing.assert_allclose(
            kg.evaluate(masked, wrt=WRT).gradients.angles, [*plain.angles, 0.0], rtol=STEEP_SLOPE
        )
    beyond = STEEP.replace(angles=[0.0, 1.9, 4.0, 5.0], logits=[0.0, 0.0, 0.0, 0.0])
    fewer = STEEP.replace(scale=0.75)
    np.testing.assert_allclose(
        kg.evaluate(beyond, wrt=WRT).gradients.angles,
        [*kg.evaluate(fewer, wrt=WRT).gradients.angles, 0.0],
        rtol=STEEP_SLOPE,
    )


@pytest.mark.parametrize("sums", ["dense", "fast"])
def test_edges_outside_the_target_add_nothing(sums):
    """L(x) = 1/2 ∫ -log(3/4 (1 - ((t - x)/h)²)/h) dt is smooth: 40 Gauss nodes give it."""
    problem = Problem([0.5], target=(-1, 1), bandwidth=100.0, kernel="epanechnikov", rule="exact", sums=sums)
    by_nodes = kg.evaluate(problem.replace(rule="gauss", bins=40), wrt=WRT)
    found = kg.evaluate(problem, wrt=WRT)
    assert found.loss == pytest.approx(by_nodes.loss, abs=SAME)
    assert found.gradients.angles == pytest.approx(by_nodes.gradients.angles, rel=BY_NODES)
    assert found.gradients.log_bandwidth == pytest.approx(by_nodes.gradients.log_bandwidth, rel=BY_NODES)


@pytest.mark.parametrize("kernel", ["triangular", "epanechnikov", "tricube", "cosine"])
def test_a_bare_edge_has_a_finite_loss_and_an_infinite_derivative(kernel):
    tiled = Problem([0.0, 2.0, 4.0], target=(-1, 4), bandwidth=1.0, kernel=kernel, rule="exact")
    evaluation = kg.evaluate(tiled, wrt=WRT)
    assert math.isfinite(evaluation.loss)
    assert np.isfinite(evaluation.gradients.logits).all()
    assert evaluation.gradients.log_bandwidth == -math.inf
    assert np.isnan(evaluation.gradients.angles[1])  # its edges touch others on both sides: any move opens a gap
    np.testing.assert_array_equal(np.isinf(evaluation.gradients.angles), [False, False, True])
    assert evaluation.gradients.angles[2] == math.inf  # from its left edge; the right one is not in the target
    kept = kg.evaluate(tiled.replace(background=0.1), wrt=WRT).gradients
    assert np.isfinite(kept.angles).all()
    assert math.isfinite(kept.log_bandwidth)


def test_edges_that_coincide_up_to_rounding_count_as_one():
    """0.1 + 0.2 is one rounding above 0.5 - 0.2, an overlap of 6e-17 that the data do not have."""
    problem = Problem([0.1, 0.5], target=(0.1, 0.5), bandwidth=0.2, kernel="triangular", rule="exact")
    np.testing.assert_array_equal(kg.evaluate(problem, wrt=WRT).gradients.angles, [-math.inf, math.inf])
