"""Points far from the target, many turns away, or in tiny units: shares are a softmax of numbers that are not rounded.

The expected values are closed forms (points at one distance, identical points), 50 digits, or those of the same problem
in another place or unit. A share may be off by `SHARE` of itself.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

import kdegrad as kg
from kdegrad import Problem, evaluate
from kdegrad.domain import Circle
from kdegrad.objective import responsibilities_by_bin
from tests import problems
from tests.measure import measure
from tests.oracle import COMPACT

SHARE = 1e-12  # relative
ON_LINE = sorted(set(problems.ON_LINE) - {"uniform"})
SCHEMES = ("dense", "fast")


def softmax(logits: list[float]) -> np.ndarray:
    """Return the weights in 50 digits."""
    with mp.workdps(50):
        terms = [mp.exp(mpf(z)) for z in logits]
        return np.array([float(term / mp.fsum(terms)) for term in terms])


@pytest.mark.parametrize("sums", SCHEMES)
@pytest.mark.parametrize("distance", [1e6, 1e8, 1e12, 1.7e18])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "logistic", "sigmoid", "cauchy", "student-t"])
def test_points_at_one_distance_have_no_gradient(kernel: str, distance: float, sums: str) -> None:
    logits = [0.5, -0.25, -30.0, 3.0]
    angles = distance * np.array([-1.0, 1.0, 1.0, -1.0])
    found = evaluate(Problem(angles, logits, at=0.0, kernel=kernel, sums=sums)).require_gradients()
    weights = softmax(logits)
    assert (np.abs(found.logits) <= SHARE * weights).all()
    np.testing.assert_allclose(found.responsibilities, weights, rtol=SHARE)
    assert np.abs(found.per_weight).max() <= SHARE


@pytest.mark.parametrize("sums", SCHEMES)
@pytest.mark.parametrize("kappa", [1e3, 1e9, 1e15])
def test_von_mises_keeps_its_shares_at_any_concentration(kappa: float, sums: str) -> None:
    """κ = 1/(2πh/P)²; two points at the same distance, and one 10⁻⁹ of a turn farther on each side of the node."""
    bandwidth = 360.0 / (2.0 * math.pi * math.sqrt(kappa))
    logits = [1.0, -2.0, 0.5]
    problem = Problem([-100.0, 100.0, 100.0], logits, at=0.0, kernel="von-mises", bandwidth=bandwidth, circular=True)
    found = evaluate(problem.replace(sums=sums)).require_gradients()
    np.testing.assert_allclose(found.responsibilities, softmax(logits), rtol=SHARE)


def test_von_mises_at_the_antipode_of_a_narrow_target() -> None:
    """κ = 3·10²¹: log K is flat there, but has a spacing of 10⁶. L = 2κ sin²(θ/2) + log(P e^-κ I0(κ)) at 50 digits."""
    options = {"kernel": "von-mises", "bandwidth": 1e-9, "period": 360, "bins": 40}
    with mp.workdps(50):
        kappa = 1 / (2 * mp.pi * mpf(1e-9) / 360) ** 2
        nodes = Problem([530.0], target=(350, 350.001), **options).rule.nodes
        peaks = [2 * kappa * mp.sin(mp.pi * (mpf(float(t)) - 530) / 360) ** 2 for t in nodes]
        expected = float(mp.fsum(peaks) / 40 + mp.log(360) - mp.log(2 * mp.pi * kappa) / 2)
    for sums in SCHEMES:
        assert kg.loss([530.0], target=(350, 350.001), sums=sums, **options) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("sums", SCHEMES)
@pytest.mark.parametrize("place", [-3e4, 1e9, 1.7e18])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "cauchy"])
def test_identical_points_share_as_their_weights(kernel: str, place: float, sums: str) -> None:
    logits = [0.0, -700.0, 2.0, 1.0]
    found = evaluate(Problem([place] * 4, logits, target=(-30, 30), kernel=kernel, bins=7, sums=sums))
    np.testing.assert_allclose(found.responsibilities, softmax(logits), rtol=SHARE)


@pytest.mark.parametrize("sums", SCHEMES)
def test_the_distance_to_a_far_target_decides_by_its_own_digits(sums: str) -> None:
    """With D = 2²⁴ and a step of 2⁻²⁴, log K differs by D·2⁻²⁴ + 2⁻⁴⁹ = 1 + 2⁻⁴⁹, beside log K = -2⁴⁷."""
    far = Problem([2.0**24, 2.0**24 + 2.0**-24], [0.0, 0.0], at=0.0, kernel="gaussian", sums=sums)
    odds = math.exp(-1.0 - 2.0**-49)
    found = evaluate(far).responsibilities
    assert found is not None
    # log K itself is a float64 with a spacing of 2⁻⁶: of the difference of 1 that is what remains
    np.testing.assert_allclose(found, [1.0 / (1.0 + odds), odds / (1.0 + odds)], rtol=1e-12)


@given(
    kernel=st.sampled_from(ON_LINE),
    sums=st.sampled_from(SCHEMES),
    distance=st.floats(0.0, 12.0).map(lambda power: 10.0**power),
    spread=st.floats(-3.0, 3.0).map(lambda power: 10.0**power),
    steepness=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_responsibilities_sum_to_one_at_every_node(
    kernel: str, sums: str, distance: float, spread: float, steepness: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bandwidth = 2.0 * (distance + spread + 10.0) if kernel in COMPACT else 1.0
    angles = rng.choice([-1.0, 1.0], 12) * distance + spread * rng.normal(size=12)
    logits = steepness * rng.normal(size=12)
    options = {"target": (-5.0, 5.0), "bins": 6, "sums": sums, "bandwidth": bandwidth, **problems.ON_LINE[kernel]}
    found = evaluate(Problem(angles, logits, **options))
    if math.isinf(found.loss):
        return
    responsibilities = found.responsibilities
    assert responsibilities is not None
    assert abs(responsibilities.sum() - 1.0) <= SHARE
    assert abs(found.require_gradients().logits.sum()) <= SHARE
    for one, _ in responsibilities_by_bin(found):
        assert abs(one.sum() - 1.0) <= SHARE
        assert one.max() <= 1.0 + SHARE


@pytest.mark.parametrize("kernel", ["gaussian", "student-t", "epanechnikov"])
def test_many_far_points_by_cells_share_as_by_all_pairs(kernel: str) -> None:
    rng = np.random.default_rng(7)
    angles, logits = 1e7 + 1e-6 * rng.normal(size=3_000), rng.normal(size=3_000)
    options = {"target": (-30, 30), "bins": 50, "bandwidth": 2e7 if kernel == "epanechnikov" else 1.0}
    by_pairs, by_cells = (
        evaluate(Problem(angles, logits, kernel=kernel, sums=sums, **options), ("logits", "angles", "bandwidth"))
        for sums in SCHEMES
    )
    one, other = by_pairs.require_gradients(), by_cells.require_gradients()
    np.testing.assert_allclose(other.responsibilities, one.responsibilities, rtol=SHARE)
    np.testing.assert_allclose(other.angles, one.angles, rtol=SHARE)
    assert other.log_bandwidth == pytest.approx(one.log_bandwidth, rel=SHARE)


def test_em_far_out_reaches_the_weights_that_are_best() -> None:
    """Two points at ±10⁵ from a node: by symmetry any weights are the best, and em says so."""
    far = Problem([-1e5, 1e5], [0.3, 0.0], target=(-1, 1), kernel="gaussian", bins=4)
    done = kg.descend(far, optimizer="em", steps=5)
    assert done.converged
    np.testing.assert_allclose(done.end.responsibilities, [0.5, 0.5], rtol=SHARE)


def test_an_angle_many_turns_away_is_the_one_on_the_circle() -> None:
    """-8.7·10¹⁷ = 120 - 360 · 2416666666666667, in integers; the value is that of 120 in 50 digits."""
    assert -870_000_000_000_000_000 == 120 - 360 * 2_416_666_666_666_667
    options = {"target": (0, 90), "kernel": "von-mises", "bandwidth": 30.0, "circular": True, "bins": 4}
    with mp.workdps(50):
        kappa = 1 / (2 * mp.pi * 30 / 360) ** 2
        nodes = [mpf(90) * (2 * m + 1) / 8 for m in range(4)]
        density = [
            mp.fsum(mp.exp(kappa * mp.cos(2 * mp.pi * (t - x) / 360)) for x in (120, 40))
            / (2 * 360 * mp.besseli(0, kappa))
            for t in nodes
        ]
        expected = float(-mp.fsum(map(mp.log, density)) / 4)
    for sums in SCHEMES:
        assert kg.loss([-8.7e17, 40], sums=sums, **options) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kernel", sorted(problems.ON_CIRCLE))
@pytest.mark.parametrize("sums", SCHEMES)
def test_whole_turns_change_nothing(kernel: str, sums: str) -> None:
    """Turns of 256 = 2⁸ are added to points, and taken off the target, without rounding."""
    angles, logits = np.array([3.0, -77.5, 100.25, 128.0]), np.array([0.0, 1.0, -0.5, 0.25])
    options = {"period": 256.0, "bandwidth": 140.0, "bins": 9, "sums": sums, **problems.ON_CIRCLE[kernel]}
    turned = angles + 256.0 * np.array([0.0, -(2.0**30), 2.0**38, 1.0])
    one = evaluate(Problem(angles, logits, target=(-32, 96), **options), ("logits", "angles"))
    for low in (-32.0, -32.0 + 256.0 * 2.0**32):
        other = evaluate(Problem(turned, logits, target=(low, low + 128.0), **options), ("logits", "angles"))
        assert other.loss == pytest.approx(one.loss, rel=1e-13)
        np.testing.assert_allclose(other.gradients.logits, one.gradients.logits, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(other.gradients.angles, one.gradients.angles, rtol=1e-11, atol=1e-13)


def test_a_target_many_turns_away_keeps_its_width() -> None:
    """10¹⁷ = 280 + 360 k; the ends are 16 apart as float64, 10¹⁷ + 96 is one of them."""
    assert 10**17 % 360 == 280
    far = Problem([300.0], target=(1e17, 1e17 + 96), bandwidth=20.0, circular=True)
    near = Problem([300.0], target=(280, 376), bandwidth=20.0, circular=True)
    assert far.rule.nodes.tolist() == near.rule.nodes.tolist()
    assert far.options["target"] == (1e17, 1e17 + 96)
    assert evaluate(far).loss == evaluate(near).loss


@pytest.mark.parametrize(
    ("target", "reduced"),
    [
        ((350, 370), (350, 370)),  # where people write it
        ((730, 750), (730, 750)),
        ((-3610, -3590), (-3610, -3590)),
        ((360 * 2**30 + 350, 360 * 2**30 + 370), (350, 370)),
        ((-360 * 2**40 - 10, -360 * 2**40 + 10), (-10, 10)),
    ],
)
def test_the_nodes_stand_where_the_target_is_given_if_there_are_digits_for_them(
    target: tuple[float, float], reduced: tuple[float, float]
) -> None:
    nodes = Problem([0.0], target=target, bins=5, circular=True).rule.nodes
    width = (reduced[1] - reduced[0]) / 5
    assert nodes.tolist() == [reduced[0] + (m + 0.5) * width for m in range(5)]


@pytest.mark.parametrize("kernel", ["laplace", "wrapped-laplace"])
@pytest.mark.parametrize("sums", SCHEMES)
@pytest.mark.parametrize("ulps", [-2, -1, 0, 1, 2])
def test_the_displacement_decides_on_the_side_at_half_a_turn(kernel: str, sums: str, ulps: int) -> None:
    """Points beside a node at 180, where coordinates go from 180 to -180, as beside the same node at 20."""
    for node in (180.0, 20.0):
        angles = [node + ulps * math.ulp(node), node - 120.0]
        problem = Problem(angles, at=node, kernel=kernel, bandwidth=1.4e-6, circular=True, sums=sums)
        slope = evaluate(problem, ("angles",)).require_gradients().angles[0] * 1.4e-6
        if node == 20.0 or ulps <= 0:
            assert slope == pytest.approx(np.sign(ulps), abs=1e-7)
        else:  # 180 + 3e-14 is -180 + 3e-14, and 360 - 3e-14 may be rounded to 360
            assert min(abs(slope), abs(slope - 1.0)) <= 1e-7
            other = evaluate(problem.replace(sums="dense"), ("angles",)).require_gradients().angles[0] * 1.4e-6
            assert slope == pytest.approx(other, abs=1e-7)


@pytest.mark.parametrize("turns", [-3, -1, 0, 1, 2, 2**40])
def test_reduction_is_exact(turns: int) -> None:
    circle = Circle(360.0)
    places = np.array([-179.5, -(2.0**-10) if abs(turns) < 2**40 else -1.0, 0.0, 100.25, 179.75])
    assert circle.reduced(places + 360.0 * turns).tolist() == places.tolist()
    assert circle.unrolled(places + 360.0 * turns, -180.0).tolist() == places.tolist()
    assert circle.unrolled(places + 360.0 * turns, 180.0).tolist() == (places + 360.0).tolist()


def test_a_masked_point_turns_away_does_not_round_its_cell() -> None:
    problem = Problem(
        [1e-6, 1.2e-6, -1.9999991],
        [0.0, 0.5, -math.inf],
        target=(0, 3e-6),
        kernel="gaussian",
        bandwidth=1e-6,
        period=1.0,
        bins=3,
    )
    dense, fast = (kg.grad(problem.angles, problem.logits, **{**problem.options, "sums": s}) for s in SCHEMES)
    with mp.workdps(50):
        ends = [mpf(x) for x in (1e-6, 1.2e-6)]
        scores = []
        for t in problem.rule.nodes:
            terms = [
                w * mp.exp(-(((mpf(float(t)) - x) / mpf(1e-6)) ** 2) / 2)
                for w, x in zip((1, mp.exp(0.5)), ends, strict=True)
            ]
            scores.append(terms[0] / mp.fsum(terms))
        expected = float(1 / (1 + mp.exp(mpf(0.5))) - mp.fsum(scores) / 3)
    for found in (dense, fast):
        np.testing.assert_allclose(found, [expected, -expected, 0.0], rtol=0.0, atol=1e-15)


def test_masked_points_many_turns_away_leave_the_fast_gradients_as_the_dense_ones() -> None:
    rng = np.random.default_rng(5)
    angles, logits = rng.uniform(0.0, 360.0, 4_000), rng.normal(size=4_000)
    masked = rng.random(4_000) < 0.05
    angles[masked] += 360.0 * 1e5
    logits[masked] = -math.inf
    options = {"target": (0, 90), "kernel": "gaussian", "bandwidth": 5.0, "circular": True, "bins": 500}
    dense, fast = (kg.grad(angles, logits, sums=sums, **options) for sums in ("dense", "auto"))
    assert np.abs(fast - dense).max() <= 1e-14


@pytest.mark.parametrize("kernel", ["gaussian", "cauchy", "laplace", "epanechnikov"])
@pytest.mark.parametrize("sums", SCHEMES)
def test_an_angle_gradient_of_a_tiny_weight_in_a_tiny_unit(kernel: str, sums: str) -> None:
    """∂L/∂x is divided by the unit, 2⁻¹⁴⁶ = 10⁻⁴⁴: e^-740 has no digits as a float64, e^-740 · 10⁴⁴ has all."""
    unit = 2.0**-146
    angles, logits = np.array([-4.0, 7.0, 3.0]), np.array([0.0, -740.0, 0.5])
    options = {"kernel": kernel, "bins": 8, "sums": sums}
    tiny = Problem(angles * unit, logits, target=(-8 * unit, 8 * unit), bandwidth=16 * unit, **options)
    gradients = evaluate(tiny, ("angles",)).require_gradients()
    larger = Problem(angles, logits + np.array([0.0, 400.0, 0.0]), target=(-8, 8), bandwidth=16, **options)
    expected = evaluate(larger, ("angles",)).require_gradients()
    with mp.workdps(50):
        wanted = float(mpf(float(expected.angles[1])) * mp.exp(-400) / mpf(unit))
    assert gradients.angles[1] == pytest.approx(wanted, rel=1e-12)
    assert gradients.angles[0] == pytest.approx(expected.angles[0] / unit, rel=1e-12)


def test_a_background_does_not_hide_the_ratio_of_a_masked_point() -> None:
    """Where p is 0 and p̃ is not, R_i/S_i = (1-E) K/p̃: uniform, K = 1/2, p̃ = 0.3/2."""
    problem = Problem(
        [9.0, 0.5], [0.0, -math.inf], at=0.0, target=(-1, 1), kernel="uniform", bandwidth=1, background=0.3
    )
    assert evaluate(problem).require_gradients().per_weight[1] == pytest.approx(-0.7 * 0.5 / 0.15, rel=1e-15)


def test_a_background_does_not_hide_the_ratio_of_a_light_point_far_from_the_others() -> None:
    """P of the heavy point underflows at 400 bandwidths; K of the masked one is h⁻¹/(e⁵ + 2 + e⁻⁵)."""
    problem = Problem(
        [400.0, 0.5], [0.0, -math.inf], at=0.0, target=(-1, 1), kernel="logistic", bandwidth=0.1, background=0.3
    )
    wanted = -0.7 * 10.0 / (math.exp(5.0) + 2.0 + math.exp(-5.0)) / 0.15
    for sums in SCHEMES:
        found = evaluate(problem.replace(sums=sums)).require_gradients()
        assert found.per_weight[1] == pytest.approx(wanted, rel=1e-13)
        laplace = evaluate(problem.replace(sums=sums, kernel="laplace")).require_gradients()
        assert laplace.per_weight[1] == pytest.approx(-0.7 * 5.0 * math.exp(-5.0) / 0.15, rel=1e-13)


def test_a_slope_of_zero_beside_a_pull_that_overflows_is_zero() -> None:
    """At the edge of tricube K = K' = 0, beside p̃ = 10⁻³⁰⁰."""
    problem = Problem(
        [-39.5], target=(-30, -29), bins=1, kernel="tricube", bandwidth=10, scale=1e300, background=1e-300
    )
    found = evaluate(problem, ("angles", "bandwidth")).require_gradients()
    assert (found.angles[0], found.log_bandwidth) == (0.0, 0.0)


def test_a_slope_at_an_edge_where_the_kernel_itself_is_negligible() -> None:
    """Node 3 is one bandwidth from the light point: K is 0 there beside a pull of 10⁹, and K' is not."""
    problem = Problem(
        [0.3141592653589793, 0.10471975511965978],
        [47.0, -21.0],
        target=(0.0, 0.3490658503988659),
        kernel="cosine",
        bandwidth=0.13962634015954636,
        bins=5,
        background=1e-9,
    )
    for sums in SCHEMES:
        found = evaluate(problem.replace(sums=sums), ("angles",)).require_gradients()
        assert found.angles[1] == pytest.approx(-4.6735032694436581582e-30, rel=1e-12)  # 50 digits


@pytest.mark.parametrize("place", [1e9, 1.7e18])
@pytest.mark.parametrize("count", [4, 5_000])
def test_the_strongest_point_is_found_where_log_k_hides_the_weights(place: float, count: int) -> None:
    """Log K = -10³⁶ has a spacing of 10²⁰: among identical points log S alone decides, in each block of them."""
    logits = np.linspace(-1e4, 1.0, count)
    for order in (slice(None), slice(None, None, -1)):
        found = evaluate(Problem(np.full(count, place), logits[order], target=(-3, 3), kernel="gaussian", bins=2))
        expected = np.exp(logits - 1.0)
        np.testing.assert_allclose(found.responsibilities[order], expected / expected.sum(), rtol=SHARE, atol=1e-300)
        assert abs(found.responsibilities.sum() - 1.0) <= SHARE


def test_logits_that_hide_log_k_decide() -> None:
    """Beside logits of ±10³⁰⁰ no digit of log K is left: the heaviest has everything."""
    found = evaluate(Problem([3.0, -2e5, 7.0], [-1e300, 1e300, 1e299], at=0.0, kernel="gaussian"))
    assert found.responsibilities.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("kernel", ["gaussian", "logistic", "student-t", "triweight"])
@pytest.mark.parametrize("background", [0.0, 1e-300, 0.3])
@pytest.mark.parametrize("sums", SCHEMES)
def test_near_and_far_nodes_together(kernel: str, background: float, sums: str) -> None:
    """From the first node, among the points, to the last log p falls beyond -10³; the bounds are those of 50 digits."""
    rng = np.random.default_rng(11)
    angles, logits = rng.normal(size=11), rng.normal(size=11)
    logits[3], logits[5] = -math.inf, -600.0
    options = {"bandwidth": {"logistic": 0.02, "triweight": 120.0}.get(kernel, 1.0), "df": 2_000.0}
    if kernel in COMPACT:  # log K is never far there: log S is
        logits[:10] -= 2e3
        angles[10] = -119.9
    problem = Problem(
        angles, logits, target=(-5.0, 95.0), bins=10, kernel=kernel, background=background, sums=sums, **options
    )
    log_density = evaluate(problem.replace(background=0.0)).diagnostics.log_density
    assert (np.abs(log_density) > 1e3).any()
    assert (np.abs(log_density) < 1e3).any()
    ratios = measure(problem)
    assert max(ratios.values()) <= 1.0, ratios
    loss, gradient = kg.loss_and_grad(problem.angles, problem.logits, **problem.options)
    found = evaluate(problem)
    assert loss == found.loss
    np.testing.assert_allclose(gradient, found.require_gradients().logits, rtol=SHARE, atol=1e-15)


@pytest.mark.parametrize("sums", SCHEMES)
def test_the_slopes_of_one_far_point(sums: str) -> None:
    """Of one gaussian point ∂L/∂x = (x - mean t)/h² and ∂L/∂log h = 1 - mean d²/h²; dyadic numbers, so exactly."""
    problem = Problem([2.0**20], target=(-8, 8), bins=4, kernel="gaussian", bandwidth=0.5, sums=sums)
    found = evaluate(problem, ("logits", "angles", "bandwidth")).require_gradients()
    distances = 2.0**20 - problem.rule.nodes
    assert found.angles[0] == pytest.approx(4.0 * 2.0**20, rel=1e-15)
    assert found.log_bandwidth == pytest.approx(1.0 - 4.0 * float((distances**2).mean()), rel=1e-15)
    loss, gradient = kg.loss_and_grad(problem.angles, problem.logits, **problem.options)
    assert loss == pytest.approx(
        2.0 * float((distances**2).mean()) + math.log(0.5 * math.sqrt(2.0 * math.pi)), rel=1e-15
    )
    assert gradient.tolist() == [0.0]
