"""Pins down the rule `exact`: bins converge to it, gaps and narrow features are found, rounding is not refined.

That its numbers are the integrals is pinned down by `test_exact.py`.
"""

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import kdegrad as kg
from kdegrad import Problem
from kdegrad.exact.kinks import breakpoints, rounding_unit, smallest_gap
from kdegrad.exact.refinement import panel_rule
from kdegrad.objective import exact_loss, nodes_of
from kdegrad.reports.causes import not_finite
from tests.integrals import drawn, integrals, steps
from tests.oracle import softmax

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
    evaluation = kg.evaluate(problem, wrt=WRT)
    assert EPS < evaluation.diagnostics.quadrature_error < 1e3 * EPS
    error = evaluation.gradient_error
    assert EPS < error.logits < 1e3 * EPS
    assert EPS / 30.0 < error.angles < 1e3 * EPS / 30.0
    assert EPS < error.log_bandwidth < 1e3 * EPS


def test_gradients_have_an_estimate_by_the_rule_exact_alone_and_where_they_are_asked_for():
    problem = Problem([-9.1, 2.2], target=(-10, 10), bandwidth=30.0, rule="exact")
    of_logits = kg.evaluate(problem).gradient_error
    assert of_logits.angles is of_logits.log_bandwidth is None
    of_angles = kg.evaluate(problem, wrt="angles").gradient_error
    assert of_angles.log_bandwidth is None
    assert of_angles.logits == of_logits.logits
    both = kg.evaluate(problem, wrt=WRT).gradient_error
    assert (both.logits, both.angles) == (of_angles.logits, of_angles.angles)
    assert kg.evaluate(problem, wrt=()).gradient_error is None
    assert kg.evaluate(problem.replace(rule="gauss"), wrt=WRT).gradient_error is None
    uncovered = problem.replace(kernel="triangular", bandwidth=1.0)
    assert kg.evaluate(uncovered, wrt=WRT).gradient_error is None
    assert kg.evaluate(uncovered).diagnostics.quadrature_error == math.inf


def test_reports_have_the_estimates_of_the_gradients(kdegrad, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("angle,logit\n-9.1,0.5\n2.2,0\n")
    problem = Problem([-9.1, 2.2], [0.5, 0.0], target=(-10, 10), bandwidth=30.0, rule="exact")
    error = kg.evaluate(problem, wrt=("logits", "angles")).gradient_error
    by_bins = ("grad", path, "--target", "-10", "10", "--bandwidth", "30", "--wrt", "logits,angles")
    exact = (*by_bins, "--rule", "exact")
    wanted = {"logits": error.logits, "angles": error.angles, "log_bandwidth": None}
    assert kdegrad(*exact, "--format", "json").json["gradient_error"] == wanted
    assert f"the gradients, to about: logits {error.logits:.1g}, angles {error.angles:.1g}\n" in kdegrad(*exact).out
    assert kdegrad(*by_bins, "--format", "json").json["gradient_error"] is None
    assert "to about" not in kdegrad(*by_bins).out


# --- Steps: the kernel `uniform` --------------------------------------------------------------------------------------


def test_a_step_has_one_node_in_its_middle():
    problem = Problem([3.0], target=(-10, 12), bandwidth=4.0, kernel="uniform", background=0.1, rule="exact")
    rule = nodes_of(problem)
    np.testing.assert_array_equal(rule.nodes, [-5.5, 3.0, 9.5])
    np.testing.assert_allclose(rule.weights, np.array([9.0, 8.0, 5.0]) / 22.0, rtol=EPS)


def test_the_whole_circle_without_an_edge_is_one_step():
    problem = Problem([3.0, 9.0], target=(-10, 12), bandwidth=30.0, kernel="uniform", period=40.0, rule="exact")
    np.testing.assert_array_equal(nodes_of(problem).nodes, [1.0])


STEPS = {  # the two that were off by more than their estimates said
    "logits of 10^4": {
        "angles": [0.1, 0.6 + 1 / 30],
        "logits": [1e4, 0.0],
        "target": (0, 1),
        "bandwidth": 0.5123456789,
    },
    "angles of 10^6": {
        "angles": 1e6 + np.linspace(-3.1, 4.3, 8),
        "logits": [1.6e4, -1.2e4, 300.0, -1.6e4, 8e3, 1.1e4, -5e3, 0.0],
        "target": (1e6 - 2.2, 1e6 + 3.3),
        "bandwidth": 2.123456789,
    },
}


@pytest.mark.parametrize("name", STEPS)
def test_the_ends_of_steps_are_not_rounded(name):
    problem = Problem(**STEPS[name], kernel="uniform", rule="exact")
    evaluation, truth = kg.evaluate(problem), steps(problem)
    size = float(sum(width * abs(log) for width, log in truth.pieces))
    assert abs(evaluation.loss - truth.loss) <= min(evaluation.diagnostics.quadrature_error, LOSS + 8.0 * EPS * size)


def test_edges_are_found_after_whole_turns_are_taken_off():
    """69.6 + 3.4 is rounded ten turns away from where it is needed: it is an end of the target, or beside it."""
    problem = Problem(
        [69.60000000000001, 85.0, 68.3, 95.80000000000001, 61.6, 90.0, 92.3],
        target=(73.0, 76.65),
        kernel="uniform",
        bandwidth=3.4,
        background=0.1,
        period=7.3,
        rule="exact",
    )
    evaluation, truth = kg.evaluate(problem, wrt=WRT), steps(problem)
    assert largest_error(evaluation.gradients.angles, truth.angles) <= evaluation.gradient_error.angles
    log_bandwidth = np.array([evaluation.gradients.log_bandwidth])
    assert largest_error(log_bandwidth, [truth.log_bandwidth]) <= evaluation.gradient_error.log_bandwidth


def drawn_steps(seed: int) -> dict[str, Any]:
    """Return the keywords of a problem: edges anywhere, on a grid of decimals, or together but for roundings."""
    rng = np.random.default_rng(seed)
    count, circular = int(rng.integers(1, 9)), rng.random() < 0.4
    if circular:
        period = float(rng.choice([360.0, 2.0 * math.pi, 1.0, 7.3]))
        low, width = float(rng.choice([0.0, -0.1, 0.77, 10.0])) * period, float(rng.choice([0.1, 0.5, 1.0])) * period
    else:
        period, low, width = None, float(rng.choice([0.0, 0.1, 1e3, 1e6])), float(rng.choice([1.0, 0.3, 20.0]))
    bandwidth = width * 10.0 ** rng.uniform(-1.0, 0.5)
    angles = rng.uniform(low - 0.3 * width, low + 1.3 * width, count)
    situation = rng.choice(["anywhere", "decimals", "together"])
    if situation == "decimals":
        angles, bandwidth = np.round(angles, 2 if width < 2.0 else 1), round(bandwidth, 1) or 0.1
    elif situation == "together":
        angles = angles[0] + bandwidth * rng.integers(-4, 5, count) * (1.0 + 1e-16 * rng.integers(-1, 2, count))
    high = low + width
    return {
        "angles": angles + (period or 0.0) * rng.integers(-3, 4, count),
        "logits": rng.normal(size=count) * rng.choice([0.1, 3.0, 100.0, 1.6e4]),
        "target": (low, high if period is None or high - low <= period else float(np.nextafter(high, low))),
        "bandwidth": bandwidth,
        "background": float(rng.choice([0.0, 0.0, 1e-12, 0.1])),
        "scale": float(rng.choice([1.0, 1.0, 1e5])),
        "period": period,
        "kernel": "uniform",
        "rule": "exact",
    }


@pytest.mark.parametrize("block", range(8))
def test_estimates_cover_the_errors_of_steps(block):
    """Against rational breakpoints. The largest error that rounding may bring is a known multiple of the estimates.

    Where nothing but edges that meet covers a place, a move opens a gap: the derivative is infinite.
    """
    seen = 0
    for seed in range(50 * block, 50 * (block + 1)):
        problem = Problem(**drawn_steps(seed))
        evaluation, truth = kg.evaluate(problem, wrt=WRT), steps(problem)
        if not mp.isfinite(truth.loss):  # where edges all but meet the gap between them may not be seen
            gap = min(float(width) for width, log in truth.pieces if not mp.isfinite(log)) * problem.interval.width
            assert evaluation.loss == math.inf or gap <= smallest_gap(problem)
            continue
        assert math.isfinite(evaluation.loss)
        estimate, of_gradients = evaluation.diagnostics.quadrature_error, evaluation.gradient_error
        assert abs(evaluation.loss - truth.loss) <= estimate
        total = mp.fsum(truth.responsibilities) if problem.settings.background else 1
        logits = [s * total - r for s, r in zip(softmax(problem.logits), truth.responsibilities, strict=True)]
        assert largest_error(evaluation.gradients.logits, logits) <= of_gradients.logits
        assert largest_error(evaluation.gradients.angles, truth.angles) <= of_gradients.angles
        log_bandwidth = np.array([evaluation.gradients.log_bandwidth])
        assert largest_error(log_bandwidth, [truth.log_bandwidth]) <= of_gradients.log_bandwidth
        sizes = [abs(log) for _, log in truth.pieces]
        constants = 2.0 * abs(problem.kernel.log_norm) + abs(math.log(problem.settings.scale)) + 30.0
        of_terms = EPS * (float(sum(width * abs(log) for width, log in truth.pieces)) + constants)
        spread = float(max(sizes)) + constants + float(np.ptp(problem.logits))
        of_edges = smallest_gap(problem) * 2.0 * len(problem.angles) * spread / problem.interval.width
        assert estimate <= 10.0 * of_terms + of_edges
        if evaluation.diagnostics.exact.lost == 0.0:  # no edges that meet but for roundings
            assert estimate <= 10.0 * of_terms
            assert abs(evaluation.loss - truth.loss) <= LOSS + 8.0 * of_terms
            seen += 1
    assert seen > 10


def largest_error(found: np.ndarray, wanted: list[Any]) -> float:
    """Return the largest absolute error of what is finite and known."""
    pairs = zip(found.tolist(), wanted, strict=True)
    return max((abs(float(x - y)) for x, y in pairs if y is not None and math.isfinite(x)), default=0.0)


# --- Where it is split ------------------------------------------------------------------------------------------------

ON_A_CIRCLE = {"period": 40.0, "target": (-10, 25)}
SPLITS = {
    "at each kink": ({"angles": [-20.0, 3.0, 3.0 + 4 * EPS, 14.0]}, [-10, 3, 12]),
    "not beside an end": ({"angles": [-10.0 + 8 * EPS, -10.0, 3.0, 12.0 - 8 * EPS, 12.0]}, [-10, 3, 12]),
    "at edges, from points": ({"angles": [3.0], "kernel": "epanechnikov"}, [-10, -1, 3, 7, 12]),
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
        ({"angles": [-5000.0, 1.0], "circular": True}, 360.0),
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


def test_the_rounding_of_a_light_point_is_not_taken_for_a_feature():
    """Between two edges p is flat, and K/p of a light point steep and known to 10⁻¹¹: 11,000 nodes would not help."""
    problem = Problem(
        [10.000117001370677, 10.000729920745115],
        [-210.0, 0.0],
        target=(-10, 10),
        bandwidth=1.7544437954013758,
        kernel="triangular",
        background=1e-12,
        rule="exact",
    )
    assert nodes_of(problem).bins < 3000


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


@pytest.mark.parametrize("kernel", ["uniform", "triangular", "epanechnikov"])
def test_edges_that_meet_over_nothing_are_named(kernel: str) -> None:
    """The supports [-1, 1] and [1, 3] touch at 1: the loss is finite, and a gap as wide as any makes it infinite."""
    problem = kg.Problem([0.0, 2.0], target=(-0.5, 2.5), kernel=kernel, rule="exact")
    found = kg.evaluate(problem, ("logits", "angles"))
    assert np.isfinite(found.loss)
    assert not found.is_finite
    assert "edges of" in not_finite(found)
