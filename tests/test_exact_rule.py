"""Pins down the rule `exact`: bins converge to it, gaps and narrow features are found, rounding is not refined.

That its numbers are the integrals is pinned down by `test_exact.py`.
"""

import math

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import Problem
from kdegrad.exact import exact_rule
from kdegrad.exact.kinks import breakpoints, rounding_unit
from kdegrad.exact.refinement import panel_rule
from kdegrad.objective import exact_loss, nodes_of
from tests.integrals import drawn, integrals

WRT = ("logits", "angles", "bandwidth")
EPS = np.finfo(np.float64).eps
HONEST = 3.0  # the error may be this many times the estimate
LOSS = 1e-12  # the promised agreement with the integral, times max(1, |L|)
ROUNDING = 1e-15  # a few roundings of a number of size 1
FEW_ROUNDINGS = 1e-13  # the same integral from turned coordinates, which round differently
NARROW = 1e-10  # responsibilities where bumps are a thousandth of the target wide
PER_WEIGHT = 1e-11  # relative, of K/p at a point without weight
SAME_ESTIMATE = 1e-9  # relative, of an estimate by another order of summation
PLACE = 1e-12  # of a coordinate of some tens


# --- The estimate on one panel ----------------------------------------------------------------------------------------

PANEL_FUNCTIONS = {
    "analytic": (lambda x: np.exp(3.0 * x), (np.exp(3.0) - np.exp(-3.0)) / 6.0),
    "a pole nearby": (lambda x: 1.0 / (x + 1.1), math.log(21.0) / 2.0),
    "a logarithm nearby": (lambda x: np.log(x + 1.01), (2.01 * math.log(2.01) - 0.01 * math.log(0.01)) / 2.0 - 1.0),
    "a kink": (lambda x: np.abs(x - 0.3), (1.3**2 + 0.7**2) / 4.0),
    "a spike at the end": (lambda x: np.exp(-100.0 * (x + 1.0)), -math.expm1(-200.0) / 200.0),
    "a small wave on a parabola": (lambda x: x * x + 1e-8 * np.cos(4.0 * x), 1.0 / 3.0 + 1e-8 * math.sin(4.0) / 4.0),
}


@pytest.mark.parametrize("order", [4, 8, 16])
@pytest.mark.parametrize("name", PANEL_FUNCTIONS)
def test_the_estimate_on_a_panel_is_not_much_smaller_than_the_error(name, order):
    function, mean = PANEL_FUNCTIONS[name]
    rule = panel_rule(order)
    estimate, tail = rule.judge(function(rule.places)[np.newaxis])
    assert abs(rule.weights @ function(rule.nodes) - mean) <= HONEST * estimate[0] + 4.0 * EPS
    assert estimate[0] <= tail[0]


def test_the_estimate_is_infinite_where_p_is_zero_at_an_end():
    rule = panel_rule(8)
    with np.errstate(divide="ignore"):
        estimate, tail = rule.judge(np.log(rule.places + 1.0)[np.newaxis])
    assert estimate[0] == tail[0] == math.inf


def test_the_estimate_extrapolates_a_steep_fall_and_judges_each_function_alone():
    """Every second coefficient of cos is 0, which is not taken for a fall; a constant has the estimate 0."""
    rule = panel_rule(8)
    cosine, kink = np.cos(3.0 * rule.places), np.abs(rule.places - 0.3)
    functions = np.stack([cosine, np.full_like(cosine, 5.0), kink, 100.0 * cosine])
    estimate, tail = rule.judge(functions)
    assert estimate[0] < 1e-2 * tail[0]
    assert estimate[1] == tail[1] == 0.0
    for index, function in enumerate(functions):
        alone = np.ravel(rule.judge(function[np.newaxis]))
        np.testing.assert_allclose(alone, [estimate[index], tail[index]], rtol=SAME_ESTIMATE)
    np.testing.assert_array_equal(rule.places[[0, -1]], [-1.0, 1.0])
    gap = np.where(rule.places < 0.1, functions[0], -np.inf)
    assert rule.judge(gap[np.newaxis])[0] == math.inf


@pytest.mark.parametrize("kernel", ["laplace", "triangular", "tricube"])
def test_no_panel_between_kinks_is_halved(kernel):
    """16 nodes are enough for each interval between kinks; with a kink inside, 100 would be needed."""
    problem = Problem([-9.1, -3.3, 2.2, 7.9], target=(-10, 10), bandwidth=30.0, kernel=kernel, rule="exact")
    assert nodes_of(problem).bins <= 16 * 5


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "uniform", "biweight"])
def test_the_estimate_of_an_easy_problem_is_some_roundings(kernel):
    problem = Problem([-9.1, -3.3, 2.2, 7.9], target=(-10, 10), bandwidth=30.0, kernel=kernel, rule="exact")
    assert 0.1 * EPS < exact_rule(problem)[1] < 1e3 * EPS


def test_the_estimate_for_jumps_is_one_rounding_per_edge():
    """Three intervals between the edges at -1 and 7 and the ends; coordinates have the rounding of 12."""
    problem = Problem([3.0], target=(-10, 12), bandwidth=4.0, kernel="uniform", background=0.1, rule="exact")
    assert exact_rule(problem)[1] == pytest.approx(EPS * (4.0 + 3 * 12.0 / 22.0), rel=SAME_ESTIMATE, abs=0.0)


# --- Where it is split ------------------------------------------------------------------------------------------------

ON_A_CIRCLE = {"period": 40.0, "target": (-10, 25)}
SPLITS = {
    "at each kink": ({"angles": [-20.0, 3.0, 3.0 + 4 * EPS, 14.0]}, [-10, 3, 12]),
    "not beside an end": ({"angles": [-10.0 + 8 * EPS, -10.0, 3.0, 12.0 - 8 * EPS, 12.0]}, [-10, 3, 12]),
    "at edges, from points": ({"angles": [3.0], "kernel": "epanechnikov"}, [-10, -1, 3, 7, 12]),
    "at jumps alone": ({"angles": [3.0], "kernel": "uniform"}, [-10, -1, 7, 12]),
    "at a point a bandwidth": ({"angles": [9.0, 3.5, 3.0], "kernel": "gaussian"}, [-10, 3, 9, 12]),
    "at an antipode that matters": ({"angles": [3.0], "bandwidth": 30.0, **ON_A_CIRCLE}, [-10, 3, 23, 25]),
    "not at an antipode below rounding": ({"angles": [3.0, 22.5], "bandwidth": 0.1, **ON_A_CIRCLE}, [-10, 3, 22.5, 25]),
    "at an antipode where nothing else reaches": (
        {"angles": [-17.0], "bandwidth": 0.1, **ON_A_CIRCLE},
        [-10, 3, 23, 25],
    ),
}


@pytest.mark.parametrize(("options", "places"), SPLITS.values(), ids=SPLITS)
def test_the_integral_is_split(options, places):
    problem = Problem(**{"target": (-10, 12), "bandwidth": 4.0, "rule": "exact", **options})
    np.testing.assert_array_equal(breakpoints(problem), places)


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({"angles": [50.0]}, 12.0),
        ({"angles": [50.0], "target": (-13, 12)}, 13.0),
        ({"angles": [0.0], "kernel": "biweight", "bandwidth": 99.0}, 99.0),
        ({"angles": [-5000.0, 1.0], "circular": True}, 5000.0),
        ({"angles": [0.01], "target": (-0.1, 0.2)}, 0.2),
    ],
)
def test_the_rounding_of_a_coordinate_is_that_of_the_largest_number_involved(options, largest):
    assert rounding_unit(Problem(**{"target": (-10, 12), "bandwidth": 4.0, **options})) == EPS * largest


# --- Convergence of the bins to it ------------------------------------------------------------------------------------


def errors_by_bins(kernel, rule, bins):
    """Return the errors of a rule of bins for points in and around a target, without a kink on the edge of a bin."""
    problem = Problem([-20.0, 3.3, 14.1], [0.3, 0.0, 0.8], target=(-10, 12.7), bandwidth=24.1, kernel=kernel)
    exact = exact_loss(problem)
    return np.array([abs(kg.evaluate(problem.replace(rule=rule, bins=int(b)), wrt=()).loss - exact) for b in bins])


@pytest.mark.parametrize("kernel", ["gaussian", "cauchy", "laplace", "triangular", "biweight"])
def test_midpoint_converges_at_second_order(kernel):
    bins = np.arange(50, 1000, 7)
    scaled = errors_by_bins(kernel, "midpoint", bins) * bins**2.0
    few, many = scaled[:20].max(), scaled[-20:].max()  # kinks fall anywhere in a bin, so the error varies
    assert 0.5 < many / few < 2.0


def test_midpoint_converges_at_first_order_where_the_kernel_jumps():
    bins = np.arange(50, 1000, 7)
    scaled = errors_by_bins("uniform", "midpoint", bins) * bins
    assert 0.5 < scaled[-20:].max() / scaled[:20].max() < 2.0


def test_gauss_converges_geometrically_where_p_is_smooth():
    few, more, many = errors_by_bins("cauchy", "gauss", [3, 6, 40])
    assert more < 0.05 * few
    assert many < 10 * ROUNDING


# --- Gaps -------------------------------------------------------------------------------------------------------------


def test_a_gap_makes_the_loss_infinite_and_is_reported_by_its_midpoint():
    problem = Problem([0.0, 10.0, 30.0], target=(-5, 33), bandwidth=4.0, kernel="epanechnikov", rule="exact")
    evaluation = kg.evaluate(problem, wrt=WRT)
    assert evaluation.loss == math.inf
    np.testing.assert_allclose(evaluation.diagnostics.uncovered, [-4.5, 5.0, 20.0], atol=PLACE)
    assert np.isnan(evaluation.gradients.logits).all()
    assert math.isfinite(kg.evaluate(problem.replace(background=1e-3), wrt=()).loss)


def test_a_gap_of_any_width_is_found():
    """The nodes of bins miss it."""
    for kernel in ("uniform", "triangular", "triweight"):
        problem = Problem([0.0, 2.0 + 1e-9], target=(-1, 3), bandwidth=1.0, kernel=kernel)
        assert math.isfinite(kg.evaluate(problem, wrt=()).loss)
        assert exact_loss(problem) == math.inf
        assert math.isfinite(exact_loss(problem.replace(bandwidth=1.0 + 1e-9)))


def test_points_of_weight_zero_cover_nothing():
    problem = Problem([0.0, 1.0], [0.0, -math.inf], target=(0, 1.5), bandwidth=1.0, kernel="uniform", rule="exact")
    np.testing.assert_allclose(kg.evaluate(problem).diagnostics.uncovered, [1.25])


# --- Features hard to find --------------------------------------------------------------------------------------------


def test_responsibilities_are_right_where_p_itself_is_flat():
    """Evenly spaced points make log p constant to 1e-15 over hundreds of bandwidths: log p alone asks for few nodes."""
    angles = np.arange(-300.0, 300.5)
    problem = Problem(angles, target=(-200, 200), bandwidth=2.0, kernel="gaussian", rule="exact")
    expected = kg.evaluate(problem.replace(rule="gauss", bins=1500)).responsibilities
    np.testing.assert_allclose(kg.evaluate(problem).responsibilities, expected, atol=ROUNDING)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "logistic"])
def test_bumps_far_narrower_than_the_target_are_found(kernel):
    problem = Problem([-70.1, 61.7], [0.0, -9.0], target=(-90, 90), bandwidth=0.03, kernel=kernel, rule="exact")
    truth = integrals(problem)
    evaluation = kg.evaluate(problem)
    assert evaluation.loss == pytest.approx(float(truth["loss"]), rel=LOSS)
    np.testing.assert_allclose(
        evaluation.responsibilities, np.array(truth["responsibilities"], dtype=float), atol=NARROW
    )


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "wrapped-laplace"])
def test_the_gradient_per_weight_of_a_masked_point(kernel):
    circle = {"circular": True} if kernel == "wrapped-laplace" else {}
    problem = Problem(
        [-20.0, 0.3, 25.0],
        [0.0, -math.inf, 0.5],
        target=(-30, 30),
        bandwidth=1.7,
        kernel=kernel,
        rule="exact",
        **circle,
    )
    expected = 1.0 - np.array(integrals(problem)["over_weight"], dtype=float)
    np.testing.assert_allclose(kg.evaluate(problem).gradients.per_weight, expected, rtol=PER_WEIGHT)


def test_rounding_is_not_taken_for_a_kink():
    """Coordinates of 1e9 are rounded to 1e-7; halving panels cannot improve on that."""
    rng = np.random.default_rng(5)
    angles = 1e9 + rng.uniform(-20.0, 20.0, 7)
    for kernel in ("gaussian", "laplace", "cauchy", "triweight"):
        problem = Problem(angles, target=(1e9 - 10, 1e9 + 10), bandwidth=17.0, kernel=kernel, rule="exact")
        assert nodes_of(problem).bins < 1000
        near = kg.evaluate(problem.replace(angles=angles - 1e9, target=(-10, 10)), wrt=()).loss
        assert kg.evaluate(problem, wrt=()).loss == pytest.approx(near, abs=1e-7)


def test_points_a_million_bandwidths_away():
    problem = Problem([-1e6, 1e6 + 3.0, 1e6 + 5.0], target=(-2, 2), bandwidth=1.0, kernel="gaussian", rule="exact")
    assert nodes_of(problem).bins < 1000
    assert kg.evaluate(problem).loss == pytest.approx(5e11, rel=1e-4)


# --- The rule itself --------------------------------------------------------------------------------------------------


def test_exact_is_a_rule_of_nodes_and_weights():
    problem = Problem([0.0, 7.0], target=(-3, 9), bandwidth=4.0, bins=5, rule="exact")
    evaluation = kg.evaluate(problem)
    rule = evaluation.rule
    assert problem.rule_name == "exact"
    assert rule.bins == len(rule.weights) == len(evaluation.diagnostics.log_density)
    assert rule.weights.sum() == pytest.approx(1.0, abs=ROUNDING)
    assert (np.diff(rule.nodes) > 0.0).all()
    assert -3.0 < rule.nodes[0] < rule.nodes[-1] < 9.0
    assert kg.evaluate(problem.replace(rule="gauss")).diagnostics.quadrature_error is None
    assert problem.replace(at=2.0).rule_name == "at"


def test_few_nodes_where_points_are_dense():
    angles = np.random.default_rng(6).uniform(-30.0, 30.0, 2000)
    assert nodes_of(Problem(angles, target=(-30, 30), bandwidth=10.0, rule="exact")).bins <= 8 * len(angles)
    assert nodes_of(Problem(angles, target=(-30, 30), bandwidth=10.0, kernel="gaussian", rule="exact")).bins <= 300


@pytest.mark.parametrize("kernel", ["laplace", "uniform", "von-mises", "biweight"])
def test_a_target_across_360_degrees_gives_the_same(kernel):
    angles = np.array([3.0, 352.0, 340.0, 20.0])
    problem = Problem(angles, target=(350, 385), bandwidth=31.0, kernel=kernel, circular=True, rule="exact")
    turned = problem.replace(angles=angles + 90.0, target=(80, 115))
    here, there = (kg.evaluate(each, wrt=WRT) for each in (problem, turned))
    assert here.loss == pytest.approx(there.loss, abs=FEW_ROUNDINGS)
    np.testing.assert_allclose(here.gradients.logits, there.gradients.logits, atol=FEW_ROUNDINGS)
    np.testing.assert_allclose(here.gradients.angles, there.gradients.angles, atol=FEW_ROUNDINGS)


def test_the_order_of_the_points_does_not_matter():
    options = drawn("gaussian", False, "among")
    problem = Problem(**options)
    turned = problem.replace(angles=problem.angles[::-1], logits=problem.logits[::-1])
    np.testing.assert_allclose(nodes_of(problem).nodes, nodes_of(turned).nodes, rtol=0.0, atol=0.0)


def test_a_target_a_few_roundings_wide():
    """It is narrower than the narrowest panel: one node."""
    problem = Problem([0.0], target=(1.0, 1.0 + 8.0 * EPS), kernel="laplace", rule="exact")
    assert kg.evaluate(problem).loss == pytest.approx(math.log(2.0) + 1.0, abs=1e-14)
    assert nodes_of(problem).bins == 1
