"""How pairs of cells are planned and sorted: each rule of `sums/cellsums.py` beside a plain twin, pair by pair.

That the sums come out right is for `test_fast_sums.py`; a plan that wastes work, or that comes right by luck, is
noticed here.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from kdegrad.domain import Circle, Line
from kdegrad.kernel import Kernel, make_kernel
from kdegrad.logs import scaled_sum
from kdegrad.sums import DenseSums, cellsums
from kdegrad.sums.cells import _cell_starts
from kdegrad.sums.cellsums import CellSums, _Pairs
from kdegrad.sums.smoothness import MOST_FALL, smoothness

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


def sums_of(kernel: Kernel, count: int = 300, bins: int = 60) -> CellSums:
    """Return sums over points in a cluster, on a stretch and far out, as cells of many points and of few."""
    rng = np.random.default_rng(count)
    points = np.concatenate([rng.normal(0.5, 0.01, count), rng.uniform(-2.0, 2.0, count), rng.uniform(-2.9, 2.9, 5)])
    return CellSums(kernel, points, np.linspace(-1.0, 1.0, bins))


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
    sums = CellSums(kernel, points, nodes)
    rule = smoothness(kernel)
    kink = min(kink for kink in rule.kinks if kink > 0.0)

    def cost(a: float) -> float:
        pairs_of_cells = spread / (2.0 * a) * span / (2.0 * a)
        along_kinks = span / (2.0 * a) * 2.0 * 4_000.0 + count * bins * min(2.0 * 6.0 * a / spread, 1.0)
        return pairs_of_cells * (rule.degree + 1) ** 2 + along_kinks

    widths = [kink * 10.0 ** (-4.0 + 4.0 * k / 49.0) for k in range(50)]
    least = min(widths, key=cost)
    chosen = sums._width_for_kinks(rule)
    if felt:
        assert chosen == pytest.approx(least, rel=1e-12)
        assert sums.rule.widest == min(chosen, rule.widest)
    else:
        assert chosen == math.inf
        assert sums.rule.widest == rule.widest


def test_kinks_matter_not_where_all_is_in_one_place():
    for points, nodes in ((np.zeros(9), np.arange(9.0)), (np.arange(9.0), np.zeros(9))):
        sums = CellSums(make_kernel("epanechnikov", 10.0, Line()), points, nodes)
        assert sums._width_for_kinks(sums.rule) == math.inf


@pytest.mark.parametrize(("far", "outlying"), [(2.0, 2.0), (500.0, 60.0)])
def test_a_plan_is_nine_tenths_of_the_rule_for_what_lies_beyond(monkeypatch, far, outlying):
    """With h = 2: up to 30 h outside the others' stretch count, and 9 h more for a gaussian's reach."""
    plans = []
    monkeypatch.setattr(cellsums, "Cells", lambda *arguments: plans.append(arguments[-1]))
    sums = CellSums(make_kernel("gaussian", 2.0, Line()), np.array([-10.0, 10.0 + far]), np.array([-10.0, 0.0, 10.0]))
    of_points, of_nodes = plans
    places = np.array([-50.0, -10.0, 0.0, 10.0, 12.0, 700.0])
    outside = np.array([40.0, 0.0, 0.0, 0.0, 2.0, 690.0])
    rule = sums.rule
    np.testing.assert_allclose(of_points(places), 0.9 * rule.half_widths(outside, outside + 18.0))
    outside = np.maximum(np.maximum(-10.0 - places, places - (10.0 + far)), 0.0)
    np.testing.assert_allclose(of_nodes(places), 0.9 * rule.half_widths(outside, np.maximum(outside, outlying) + 18.0))


@pytest.mark.parametrize(("name", "h", "period"), KERNELS, ids=IDS)
@pytest.mark.parametrize("size", [1.0, 60.0])
def test_pairs_are_sorted_as_the_rules_say(name, h, period, size):
    kernel = kernel_of(name, h, period)
    sums = sums_of(kernel)
    targets, sources = sums.node_cells, sums.point_cells
    rows = slice(1, len(targets.starts))
    pairs = _Pairs(sums, targets, sources, rows)
    log_mass = np.random.default_rng(3).normal(size=len(sources.starts)) * size
    smooth, direct = pairs.sorted_out(log_mass)
    half_turn = math.inf if period is None else 0.5 * period
    log_k = {}
    for i, j in itertools.product(range(smooth.shape[0]), range(smooth.shape[1])):
        [between] = np.abs(kernel.domain.difference(targets.centres[i + 1 : i + 2], sources.centres[j]))
        extent = targets.halves[i + 1] + sources.halves[j]
        extent += 1e-12 * (extent + between)
        ends = np.array([max(between - extent, 0.0), min(between + extent, half_turn)])
        log_k[i, j] = ends, kernel.log_shape(ends)
    for i in range(smooth.shape[0]):
        surest = max(log_k[i, j][1][1] + log_mass[j] for j in range(smooth.shape[1]))
        for j in range(smooth.shape[1]):
            (nearest, farthest), (most, least) = log_k[i, j]
            counts = most > -math.inf and most + log_mass[j] >= surest - 40.0 - math.log(smooth.shape[1])
            widest = max(
                targets.halves[i + 1] * targets.interpolated[i + 1], sources.halves[j] * sources.interpolated[j]
            )
            assert pairs.widest[i, j] == widest
            limit = sums.rule.half_widths(np.array([nearest + widest]), np.array([farthest]))[0]
            is_smooth = (
                most <= MOST_FALL + least
                and widest <= limit
                and not any(nearest <= kink <= farthest for kink in sums.rule.kinks)
            )
            assert (smooth[i, j], direct[i, j]) == (counts and bool(is_smooth), counts and not is_smooth)


@pytest.mark.parametrize(("name", "h", "period"), KERNELS, ids=IDS)
def test_the_table_of_pairs_may_be_cut_anywhere(monkeypatch, name, h, period):
    """Row by row, and a pair of cells at a time, the sums are those of the whole table, and the dense ones."""
    kernel = kernel_of(name, h, period)
    sums = sums_of(kernel)
    weights = np.random.default_rng(4).normal(size=len(sums.points))
    whole = sums.at_nodes(weights)
    monkeypatch.setattr(cellsums, "_PAIR_ROWS", 1)
    monkeypatch.setattr(cellsums, "_PAIR_TERMS", sums.node_cells.proxies * sums.point_cells.proxies)
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

    starts = _cell_starts(x, planned, 1)
    ends = np.append(starts[1:], len(x)) - 1
    widths, narrower, wider = x[ends] - x[starts], *np.sort([2.0 * planned(x[starts]), 2.0 * planned(x[ends])], axis=0)
    assert (widths <= wider).all()
    assert (widths[:-1] >= 0.8 * narrower[:-1]).all()
