"""How pairs of cells are planned and sorted: each rule of `sums/chebyshev.py` beside a plain twin, pair by pair.

That the sums come out right is for `test_fast_sums.py`; a plan that wastes work, or that comes right by luck, is
noticed here.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdegrad.domain import Circle, Line
from kdegrad.kernel import BY_NAME, Kernel, Smoothness, make_kernel
from kdegrad.logs import scaled_sum
from kdegrad.sums import DenseSums, chebyshev, make_sums
from kdegrad.sums.chebyshev import Cells, ChebyshevSums, Pairs, cell_starts
from kdegrad.sums.locate import nearly_sorted

KERNELS = [
    ("gaussian", 0.05, None),
    ("gaussian", 0.7, 6.0),
    ("gaussian", 0.2, 6.0),
    ("cauchy", 0.01, None),
    ("student-t", 0.2, 6.0),
    ("epanechnikov", 0.4, None),
    ("tricube", 0.9, 6.0),
    ("uniform", 0.3, None),
    ("von-mises", 0.1, 6.0),
]
IDS = [f"{name} {h} {period}" for name, h, period in KERNELS]


def kernel_of(name: str, h: float, period: float | None) -> Kernel:
    return make_kernel(name, h, Line() if period is None else Circle(period))


def sums_of(kernel: Kernel, count: int = 300, bins: int = 60) -> ChebyshevSums:
    """Return sums over points in a cluster, on a stretch and far out, as cells of many points and of few."""
    rng = np.random.default_rng(count)
    points = np.concatenate([rng.normal(0.5, 0.01, count), rng.uniform(-2.0, 2.0, count), rng.uniform(-2.9, 2.9, 5)])
    return ChebyshevSums(kernel, points, np.linspace(-1.0, 1.0, bins))


@pytest.mark.parametrize(
    ("name", "h", "period", "felt"),
    [
        ("gaussian", 16.5, 360.0, True),  # e^-59 half a turn away
        ("gaussian", 16.3, 360.0, False),  # e^-61
        ("gaussian", 30.0, 360.0, True),
        ("cauchy", 1e-3, 360.0, True),
        ("epanechnikov", 10.0, None, True),
    ],
)
@pytest.mark.parametrize(("spread", "span"), [(300.0, 60.0), (2.0, 50.0), (40.0, 1.0)])
@pytest.mark.parametrize(("count", "bins"), [(10, 5), (3_000, 30), (20_000, 200), (20_000, 500), (100_000, 3_000)])
def test_cells_beside_kinks_are_as_wide_as_costs_least(name, h, period, felt, spread, span, count, bins):
    kernel = kernel_of(name, h, period)
    points, nodes = np.linspace(0.0, spread, count), np.linspace(0.0, span, bins)
    sums = ChebyshevSums(kernel, points, nodes)
    kink = min(kink for kink in kernel.kinks if kink > 0.0)
    alone = ChebyshevSums(kernel, np.zeros(1), np.zeros(1)).widest  # where all is in one place, no kink is in reach

    def cost(a: float) -> float:
        pairs_of_cells = spread / (2.0 * a) * span / (2.0 * a)
        along_kinks = span / (2.0 * a) * 2.0 * 4_000.0 + count * bins * min(2.0 * 6.0 * a / spread, 1.0)
        return pairs_of_cells * (sums.degree + 1) ** 2 + along_kinks

    widths = [kink * 10.0 ** (-4.0 + 4.0 * k / 49.0) for k in range(50)]
    least = min(widths, key=cost)
    chosen = sums.cheapest_beside_kinks()
    if felt:
        assert chosen == pytest.approx(least, rel=1e-12)
        assert sums.widest == min(chosen, alone)
    else:
        assert chosen == math.inf
        assert sums.widest == alone


def test_kinks_matter_not_where_all_is_in_one_place():
    for points, nodes in ((np.zeros(9), np.arange(9.0)), (np.arange(9.0), np.zeros(9))):
        sums = ChebyshevSums(make_kernel("epanechnikov", 10.0, Line()), points, nodes)
        assert sums.cheapest_beside_kinks() == math.inf


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("far", "outlying"), [(2.0, 2.0), (500.0, 60.0)])
def test_a_plan_is_nine_tenths_of_the_rule_for_what_lies_beyond(monkeypatch, far, outlying, side):
    """With h = 2: up to 30 h outside the others' stretch count, and 9 h more for a gaussian's reach."""
    plans = []
    monkeypatch.setattr(chebyshev, "Cells", lambda *arguments: plans.append(arguments[-1]))
    points, nodes = np.array([-10.0, 10.0 + far]), np.array([-10.0, 0.0, 10.0])
    sums = ChebyshevSums(make_kernel("gaussian", 2.0, Line()), side * points, side * nodes)
    of_points, of_nodes = plans
    places = np.array([-50.0, -10.0, 0.0, 10.0, 12.0, 700.0])
    outside = np.array([40.0, 0.0, 0.0, 0.0, 2.0, 690.0])
    np.testing.assert_allclose(of_points(side * places), 0.9 * sums.half_widths(outside, outside + 18.0))
    outside = np.maximum(np.maximum(-10.0 - places, places - (10.0 + far)), 0.0)
    wanted = 0.9 * sums.half_widths(outside, np.maximum(outside, outlying) + 18.0)
    np.testing.assert_allclose(of_nodes(side * places), wanted)


@pytest.mark.parametrize(("name", "h", "period"), KERNELS, ids=IDS)
@pytest.mark.parametrize("size", [1.0, 60.0])
def test_pairs_are_sorted_as_the_rules_say(name, h, period, size):
    kernel = kernel_of(name, h, period)
    sums = sums_of(kernel)
    targets, sources = sums.node_cells, sums.point_cells
    rows = slice(1, len(targets.starts))
    log_mass = np.random.default_rng(3).normal(size=len(sources.starts)) * size
    pairs = Pairs(sums, targets, sources, rows, log_mass)
    far, near = pairs.far, pairs.near
    half_turn = math.inf if period is None else 0.5 * period
    log_k = {}
    for i, j in itertools.product(range(far.shape[0]), range(far.shape[1])):
        [between] = np.abs(kernel.domain.difference(targets.centres[i + 1 : i + 2], sources.centres[j]))
        extent = targets.halves[i + 1] + sources.halves[j]
        extent += 1e-12 * (extent + between)
        ends = np.array([max(between - extent, 0.0), min(between + extent, half_turn)])
        log_k[i, j] = ends, kernel.log_shape(ends)
    for i in range(far.shape[0]):
        surest = max(log_k[i, j][1][1] + log_mass[j] for j in range(far.shape[1]))
        for j in range(far.shape[1]):
            (nearest, farthest), (most, least) = log_k[i, j]
            counts = most > -math.inf and most + log_mass[j] >= surest - 40.0 - math.log(far.shape[1])
            widest = max(
                targets.halves[i + 1] * targets.interpolated[i + 1], sources.halves[j] * sources.interpolated[j]
            )
            limit = sums.half_widths(np.array([nearest + widest]), np.array([farthest]))[0]
            is_smooth = (
                most <= chebyshev.MOST_FALL + least
                and widest <= limit
                and not any(nearest <= kink <= farthest for kink in kernel.kinks)
            )
            assert (far[i, j], near[i, j]) == (counts and bool(is_smooth), counts and not is_smooth)


@pytest.mark.parametrize(("name", "h", "period"), KERNELS, ids=IDS)
@pytest.mark.parametrize("pairs", [1, 100])
def test_the_table_of_pairs_may_be_cut_anywhere(monkeypatch, name, h, period, pairs):
    """By rows, and a pair of cells at a time, the sums are those of the whole table, and the dense ones."""
    kernel = kernel_of(name, h, period)
    sums = sums_of(kernel)
    weights = np.random.default_rng(4).normal(size=len(sums.points))
    whole = sums.at_nodes(weights)
    monkeypatch.setattr(chebyshev, "TABLE_PAIRS", pairs)
    monkeypatch.setattr(chebyshev, "PROXY_PAIRS", sums.node_cells.proxies * sums.point_cells.proxies)
    np.testing.assert_allclose(sums.at_nodes(weights), whole, rtol=1e-13)
    np.testing.assert_allclose(whole, DenseSums(kernel, sums.points, sums.nodes).at_nodes(weights), rtol=1e-11)


def test_signed_quantities_are_added_in_units_of_the_larger():
    log, factor = scaled_sum(*np.array([[0.0, 700.0, -np.inf, -np.inf], [2.0, 1.0, 5.0, 0.0],
                                    [math.log(4.0), -700.0, 3.0, -np.inf], [-1.0, 1e300, -2.0, 0.0]]))  # fmt: skip
    np.testing.assert_allclose(log, [math.log(4.0), 700.0, 3.0, -np.inf])
    np.testing.assert_allclose(factor, [0.5 - 1.0, 1.0, -2.0, 0.0])


def test_a_cell_is_as_wide_as_planned_where_a_plan_narrows_and_widens_again():
    x = np.linspace(0.0, 10.0, 10_001)

    def planned(places: np.ndarray) -> np.ndarray:
        return 0.02 + 0.1 * np.abs(places - 5.0)

    starts = cell_starts(x, planned, 1)
    ends = np.append(starts[1:], len(x)) - 1
    widths, narrower, wider = x[ends] - x[starts], *np.sort([2.0 * planned(x[starts]), 2.0 * planned(x[ends])], axis=0)
    assert (widths <= wider).all()
    assert (widths[:-1] >= 0.8 * narrower[:-1]).all()


# --- cells: which points share one, and their proxies


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 2, 40, 2048, 2049, 2050, 5000]),
    half_width=st.sampled_from([1e-4, 0.01, 0.3, 50.0]),
    fewest=st.sampled_from([1, 4, 16]),
)
def test_a_cell_is_no_wider_than_planned_and_none_is_needless(seed, count, half_width, fewest):
    """From each to the next but one it is a plan's width, or `fewest` points: only for so many may it be wider."""
    rng = np.random.default_rng(seed)
    x = np.sort(np.where(rng.random(count) < 0.5, rng.uniform(0, 10, count), rng.normal(3, 0.01, count)))
    starts = cell_starts(x, lambda places: half_width * (1.0 + np.abs(places)), fewest)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert starts[-1] < count
    last = np.append(starts[1:], count) - 1
    narrowest, widest = (2.0 * half_width * (1.0 + x[ends]) for ends in (starts, last))
    if fewest == 1:
        assert (x[last] - x[starts] <= widest + 1e-12).all()
    apart = x[starts[2:]] - x[starts[:-2]]
    assert ((apart >= narrowest[:-2] - 1e-12) | (starts[2:] - starts[:-2] >= fewest)).all()


def test_crowded_cells_are_divided_as_planned_and_others_hold_the_fewest():
    """Gaps of 1: at a planned width of 40 that is 40 points a cell, at one of 4 it is the fewest, 16."""
    x = np.arange(4000.0)
    for half_width, points in ((20.0, 40), (10.0, 20), (2.0, 16)):
        counts = np.diff(cell_starts(x, lambda places, a=half_width: np.full_like(places, a), 16))
        assert np.abs(counts - points).max() <= 1


@pytest.mark.parametrize(("points", "fewest"), [(1, 1), (63, 1), (64, 1), (640, 10), (1024, 16), (10**5, 16)])
def test_many_points_share_a_cell_few_need_not(points, fewest):
    """A plan of next to no width leaves a cell a 64th of the points, but no more than proxies."""
    cells = Cells(Line(), np.arange(float(points)), 0.0, 15, lambda places: np.full_like(places, 1e-9))
    assert np.median(cells.counts) == fewest


@pytest.mark.parametrize(("nearest", "farthest"), [(-2e-13, 3e-13), (-5e-13, 1e-13)])
def test_a_cell_reaches_over_points_that_a_far_origin_cannot_tell_apart(nearest, farthest):
    """From 10⁵ all points are one; the cell's centre is the first of them, and its half width the farthest's way."""
    points = np.array([0.0, nearest, *np.linspace(nearest, farthest, 40), farthest])
    cells = Cells(Line(), points, 1e5, 3, lambda places: np.ones_like(places))
    np.testing.assert_array_equal(cells.counts, [43])
    np.testing.assert_array_equal(cells.halves, [max(-nearest, farthest)])
    np.testing.assert_array_equal(np.sort(cells.from_centre), np.sort(points))


def test_a_cell_reaches_over_its_points():
    """Of more than P points the proxies are Chebyshev's nodes; of fewer, the points themselves."""
    clusters = [np.zeros(5), 10.0 + np.linspace(0.0, 0.5, 9), [20.0, 20.25], [30.0]]
    points = np.concatenate(clusters)[np.random.default_rng(0).permutation(17)]
    cells = Cells(Line(), points, 7.0, 3, lambda places: np.ones_like(places))
    np.testing.assert_array_equal(cells.counts, [5, 9, 2, 1])
    np.testing.assert_array_equal(cells.interpolated, [True, True, False, False])
    np.testing.assert_allclose(cells.centres, [0.0, 10.25, 20.125, 30.0])
    np.testing.assert_allclose(cells.halves, [0.0, 0.25, 0.125, 0.0], rtol=1e-9)
    assert cells.proxies == 4
    np.testing.assert_allclose(cells.offsets[1], 0.25 * np.cos((np.arange(4) + 0.5) * np.pi / 4), rtol=1e-9)
    np.testing.assert_allclose(cells.offsets[2], [-0.125, 0.125, 0.0, 0.0])
    few = Cells(Line(), np.array([1.0, 2.0, 30.0]), 7.0, 15, lambda places: np.ones_like(places))
    assert few.proxies == 2


@pytest.mark.parametrize("first", [2047, 2048, 2049, 4097])
def test_no_weight_is_lost_between_chunks(first):
    """Chunks of 2048 points that begin with a cell, behind its first point, or at its last."""
    points = np.concatenate([np.linspace(0.0, 0.5, first), np.linspace(10.0, 10.5, 2500), [20.0, 20.1]])
    logits = np.random.default_rng(first).normal(size=len(points))
    cells = Cells(Line(), points, 7.0, 3, lambda places: np.ones_like(places))
    gathered = cells.anterpolate(logits)
    masses = [np.exp(logits[points // 10.0 == cell]).sum() for cell in range(3)]
    np.testing.assert_allclose(np.exp(gathered.log_mass), masses, rtol=1e-13)
    np.testing.assert_allclose(np.exp(gathered.log_scale) * gathered.weights.sum(axis=1), masses, rtol=1e-12)
    values = np.where(np.arange(4) < 2, [[1.0], [2.0], [3.0]], [[1.0], [2.0], [0.0]])  # of a constant on each cell
    found = np.concatenate([interpolant for _, _, interpolant in cells.interpolate(values)])
    np.testing.assert_allclose(found, 1.0 + points // 10.0, rtol=1e-13)


def test_points_apart_before_and_after_a_crowd_keep_their_own_values():
    """Whole chunks of points that are proxies themselves come before one that is interpolated, and after it."""
    apart = 10.0 * np.arange(5_000)
    points = np.concatenate([apart, 60_000.0 + np.linspace(0.0, 0.5, 100), 100_000.0 + apart])
    cells = Cells(Line(), points, 7.0, 3, lambda places: np.ones_like(places))
    wanted = np.where(cells.interpolated, 1.0, cells.centres)
    values = np.repeat(wanted[:, np.newaxis], cells.proxies, axis=1)
    found = np.concatenate([interpolant for _, _, interpolant in cells.interpolate(values)])
    np.testing.assert_allclose(found, wanted[cells.cells], rtol=1e-13)


@pytest.mark.parametrize(
    ("name", "h", "served"), [("gaussian", 1e-153, True), ("gaussian", 1e-155, False), ("laplace", 1.0, False)]
)
def test_a_kernel_is_served_that_is_not_an_exponential_and_whose_curvature_is_a_float64(name, h, served):
    assert ChebyshevSums.serves(make_kernel(name, h, Line())) == served


# --- how wide a cell may be

RADIAN = 180.0 / math.pi
RULES = [  # kernel, period, bandwidth; widest, pole, curvature, steepest, kinks, for df = 4
    ("gaussian", None, 3.0, (2.1, math.inf, 1 / 9, math.inf, ())),
    ("cauchy", None, 3.0, (math.inf, 3.0, 0.0, math.inf, ())),
    ("student-t", None, 3.0, (2.1, 6.0, 5 / 36, 3.0, ())),
    ("logistic", None, 3.0, (2.1, 3.0 * math.pi, 0.0, math.inf, ())),
    ("sigmoid", None, 3.0, (2.1, 1.5 * math.pi, 0.0, math.inf, ())),
    ("biweight", None, 3.0, (0.375, math.inf, 0.0, math.inf, (3.0,))),
    ("triangular", None, 3.0, (0.375, math.inf, 0.0, math.inf, (0.0, 3.0))),
    ("tricube", 360.0, 3.0, (0.375, math.inf, 0.0, math.inf, (0.0, 3.0))),
    ("gaussian", 360.0, 3.0, (2.1, math.inf, 1 / 9, math.inf, (180.0,))),
    ("wrapped-cauchy", 360.0, 3.0, (math.inf, 3.0, 0.0, math.inf, ())),
    ("wrapped-gaussian", 360.0, 3.0, (2.1, math.inf, 1 / 9, math.inf, ())),
    ("wrapped-gaussian", 360.0, 100.0, (0.7 * RADIAN, math.inf, 1e-4, math.inf, ())),
    ("von-mises", 360.0, 3.0, (2.1, math.inf, 1 / 9, RADIAN, ())),
    ("von-mises", 360.0, 100.0, (0.7 * RADIAN, math.inf, 1e-4, RADIAN, ())),
]


@pytest.mark.parametrize(("name", "period", "bandwidth", "wanted"), RULES)
def test_the_rule_of_each_kernel_is_that_of_its_pole_or_its_slope(name, period, bandwidth, wanted):
    """And |k'| is nowhere above what a rule with a curvature allows."""
    kernel = make_kernel(name, bandwidth, Line() if period is None else Circle(period), 4.0)
    rule = kernel.smoothness
    widest = ChebyshevSums(kernel, np.zeros(1), np.zeros(1)).widest
    assert (widest, rule.pole, rule.curvature, rule.steepest) == pytest.approx(wanted[:4], rel=1e-14)
    assert kernel.kinks == wanted[4]
    if rule.curvature > 0.0:
        d = np.linspace(1e-3, 10.0 * bandwidth if period is None else 179.0, 500)
        slope = kernel.slope(d)
        steepness = np.abs(slope.factor * np.exp(slope.log - kernel.log_shape(d)))
        assert (steepness <= rule.curvature * np.minimum(d, rule.steepest) * (1.0 + 1e-9)).all()


SMOOTHNESS = {  # for h = 3, df = 4, P = 360: degree, bend, pole, curvature, steepest
    "gaussian": (None, 3.0, math.inf, 1 / 9, math.inf),
    "laplace": (None, 3.0, math.inf, 0.0, math.inf),
    "logistic": (None, 3.0, 3.0 * math.pi, 0.0, math.inf),
    "sigmoid": (None, 3.0, 1.5 * math.pi, 0.0, math.inf),
    "cauchy": (None, math.inf, 3.0, 0.0, math.inf),
    "student-t": (None, 3.0, 6.0, 5 / 36, 3.0),
    "epanechnikov": (2, 3.0, math.inf, 0.0, math.inf),
    "biweight": (4, 3.0, math.inf, 0.0, math.inf),
    "triweight": (6, 3.0, math.inf, 0.0, math.inf),
    "tricube": (9, 3.0, math.inf, 0.0, math.inf),
    "triangular": (1, 3.0, math.inf, 0.0, math.inf),
    "cosine": (9, 3.0, math.inf, 0.0, math.inf),
    "uniform": (0, 3.0, math.inf, 0.0, math.inf),
    "von-mises": (None, 3.0, math.inf, 1 / 9, RADIAN),
    "wrapped-gaussian": (None, 3.0, math.inf, 1 / 9, math.inf),
    "wrapped-laplace": (None, 3.0, math.inf, 0.0, math.inf),
    "wrapped-cauchy": (None, math.inf, 3.0, 0.0, math.inf),
}


@pytest.mark.parametrize("name", list(SMOOTHNESS))
def test_how_smooth_each_kernel_is(name):
    degree, *lengths = astuple(make_kernel(name, 3.0, Circle(360.0), 4.0).smoothness)
    assert degree == SMOOTHNESS[name][0]
    assert lengths == pytest.approx(SMOOTHNESS[name][1:], rel=1e-14)


@pytest.mark.parametrize("domain", [Line(), Circle(360.0)], ids=["line", "circle"])
def test_a_kernel_that_does_not_say_how_smooth_it_is_has_all_its_pairs_summed(domain, monkeypatch):
    kernel = make_kernel("cauchy", 3.0, domain)
    places = np.linspace(-30.0, 30.0, 50)
    assert isinstance(make_sums("fast", kernel, places, places), ChebyshevSums)
    monkeypatch.setattr(BY_NAME["cauchy"], "smoothness", Kernel.smoothness)
    assert kernel.smoothness == Smoothness()
    assert not ChebyshevSums.serves(kernel)
    assert isinstance(make_sums("fast", kernel, places, places), DenseSums)


def test_a_piece_of_polynomial_takes_as_many_proxies_as_coefficients():
    degrees = {"epanechnikov": 2, "biweight": 4, "triweight": 6, "tricube": 9, "triangular": 1, "uniform": 0}
    for name, degree in {**degrees, "cosine": 9, "gaussian": 15, "cauchy": 15}.items():
        assert ChebyshevSums(make_kernel(name, 3.0, Line()), np.zeros(1), np.zeros(1)).degree == degree


def test_a_cell_may_be_as_wide_as_the_tightest_of_its_limits():
    nearest, farthest = np.array([0.0, 4.0, 40.0]), np.array([0.0, 5.0, 50.0])
    sums = ChebyshevSums(make_kernel("cauchy", 3.0, Line()), np.zeros(1), np.zeros(1))
    for widest, rule, wanted in (
        (math.inf, Smoothness(bend=math.inf), math.inf),
        (2.0, Smoothness(bend=math.inf, pole=3.0), [3.0 / 4.1, 5.0 / 4.1, 2.0]),
        (7.0, Smoothness(bend=math.inf, curvature=0.08, steepest=10.0), [7.0, 4.0, 2.0]),
    ):
        sums.widest, sums.smoothness = widest, rule
        np.testing.assert_allclose(sums.half_widths(nearest, farthest), wanted)


@pytest.mark.parametrize("outlier", [0.0, 1e6, 1e300])
def test_points_are_out_of_order_by_no_more_than_is_allowed(outlier):
    """With an outlier 16 bits do not tell the others apart, and they are sorted exactly."""
    rng = np.random.default_rng(3)
    x = np.append(rng.normal(size=100_000), outlier)
    order, ascending = nearly_sorted(x, 0.01)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(x)))
    assert (np.diff(ascending) >= 0.0).all()
    assert np.abs(x[order] - np.sort(x)).max() <= (0.0 if outlier else 0.01)
    np.testing.assert_allclose(ascending, np.sort(x), rtol=0.0, atol=0.01)


def test_points_at_one_place_are_in_order():
    order, ascending = nearly_sorted(np.full(2000, 3.0), 0.01)
    np.testing.assert_array_equal(np.sort(order), np.arange(2000))
    np.testing.assert_array_equal(ascending, 3.0)
