"""Speed never changes a number: every fast sum against the dense one.

The reference is `DenseSums`, which other tests bind to a 50-digit evaluation. Here both schemes get the same points,
nodes and weights, for every kernel on each of its domains, under hypothesis and on inputs picked to break them.
What is compared, and how closely, is in kdegrad/properties/README.md, section "Accuracy": log p at every node and
log R_i/S_i at every point to 1e-12 + 8 eps A, the sums of derivatives to that share of what their terms sum to in
absolute value. Further down: the choice of a scheme, and sabotage, which the comparison must notice.
"""

from __future__ import annotations

import math
import tracemalloc
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kdegrad
import kdegrad.sums.chebyshev
import kdegrad.sums.decays
import kdegrad.sums.exponential
from kdegrad import Problem
from kdegrad.domain import Circle, Line
from kdegrad.kernel import KERNELS, Kernel, make_kernel
from kdegrad.objective import evaluate
from kdegrad.quadrature import Rule, gauss, midpoint
from kdegrad.sums import DenseSums, KernelSums, Shares, make_sums
from kdegrad.sums.base import log_ratio
from kdegrad.sums.locate import Breakpoints
from kdegrad.weights import log_softmax

EPS = np.finfo(np.float64).eps
ABSOLUTE = 1e-12  # kdegrad/properties/README.md#accuracy
ROUNDINGS = 8.0  # the same: eps times this and A
DERIVATIVES = 4.0  # these bound the loss and the logits; an interpolant's slope is worse than its value by some factor

ON_LINE = [(kind.name, None) for kind in KERNELS if "line" in kind.domains]
ON_CIRCLE = [(kind.name, 360.0) for kind in KERNELS]
PLACES = [*ON_LINE, *ON_CIRCLE]
PLACE_IDS = [f"{name}-{'line' if period is None else 'circle'}" for name, period in PLACES]
every_kernel = pytest.mark.parametrize(("name", "period"), PLACES, ids=PLACE_IDS)


@dataclass(frozen=True)
class Case:
    """Points, log weights, nodes and their weights, a bandwidth."""

    points: np.ndarray
    log_weights: np.ndarray
    nodes: np.ndarray
    node_weights: np.ndarray
    bandwidth: float
    df: float = 3.0

    def kernel(self, name: str, period: float | None) -> Kernel:
        return make_kernel(name, self.bandwidth, Line() if period is None else Circle(period), self.df)


def case(points, rule, bandwidth, logits=None, df=3.0) -> Case:
    points = np.asarray(points, dtype=np.float64)
    logits = np.zeros_like(points) if logits is None else np.asarray(logits, dtype=np.float64)
    return Case(points, log_softmax(logits), rule.nodes, rule.weights, bandwidth, df)


def single(node: float) -> Rule:
    return Rule(np.array([node]), np.ones(1))


def shares_of(sums: KernelSums, logits: np.ndarray, node_shares: np.ndarray) -> Shares:
    """Return the shares without a background."""
    density = sums.density(logits)
    return density.shares(node_shares, log_ratio(node_shares, density.log))


def fast_sums(kernel: Kernel, points: np.ndarray, nodes: np.ndarray) -> KernelSums:
    return make_sums("fast", kernel, points, nodes)


class Reference:
    """The dense sums of a case, and how far another scheme may be from each of them."""

    def __init__(self, kernel: Kernel, given_case: Case) -> None:
        self.kernel, self.case = kernel, given_case
        self.dense = DenseSums(kernel, given_case.points, given_case.nodes)
        self.log_p = self.dense.at_nodes(given_case.log_weights)
        covered = np.isfinite(self.log_p)
        with np.errstate(invalid="ignore"):
            pulls = np.log(given_case.node_weights) - self.log_p
        self.pulls = np.where(covered, pulls, -np.inf)
        self.log_ratio = self.dense.at_points(self.pulls)
        self._measure_pairs()
        with np.errstate(invalid="ignore"):
            responsibilities = np.exp(given_case.log_weights + self.log_k - self.log_p[:, np.newaxis])
        responsibilities[~covered] = 0.0
        terms = np.abs(np.where(np.isneginf(given_case.log_weights), 0.0, given_case.log_weights)) + self.size
        self.p_allowance = self._share(np.sum(responsibilities * terms, axis=1))
        most = self.p_allowance.max()
        with np.errstate(invalid="ignore"):
            shares = np.exp(self.pulls[:, np.newaxis] + self.log_k - self.log_ratio)
        shares[:, np.isneginf(self.log_ratio)] = 0.0
        pull_size = np.abs(np.where(np.isneginf(self.pulls), 0.0, self.pulls))[:, np.newaxis]
        self.ratio_allowance = self._share(np.sum(shares * (self.size + pull_size), axis=0)) + most
        self.shares = shares

    def _measure_pairs(self) -> None:
        """Set log K and |log K| + |k'| (|t| + |x|), 0 where K is 0, for all pairs (B, N)."""
        nodes, points = self.case.nodes[:, np.newaxis], self.case.points
        self.d = self.kernel.domain.difference(nodes, points)
        self.log_k = self.kernel.log_density(self.d)
        reached = np.isfinite(self.log_k)
        self.steepness = np.abs(self._relative(self.kernel.slope(self.d)))
        self.size = np.where(
            reached, np.abs(np.where(reached, self.log_k, 0.0)) + self.steepness * (np.abs(nodes) + np.abs(points)), 0.0
        )

    def _relative(self, quantity) -> np.ndarray:
        """Return a derivative of K divided by K."""
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = quantity.factor * np.exp(quantity.log - self.kernel.log_norm - self.log_k)
        return np.where(np.isfinite(self.log_k) & np.isfinite(ratio), ratio, 0.0)

    @staticmethod
    def _share(amount: np.ndarray) -> np.ndarray:
        return ABSOLUTE + ROUNDINGS * EPS * amount

    def check(self, sums: KernelSums) -> None:
        self.check_logs("log p", sums.at_nodes(self.case.log_weights), self.log_p, self.p_allowance)
        if np.isneginf(self.log_p).all():
            return
        self.check_logs("log R/S", sums.at_points(self.pulls), self.log_ratio, self.ratio_allowance)
        self.check_shares(sums)
        self.check_steep_pulls(sums)
        slope, bandwidth_slope = self.kernel.slope(self.d), self.kernel.bandwidth_slope(self.d)
        # an interpolant is as good as the largest |k'| in its cell: of the order of 1/h, though it vanish at one place
        per_unit = self.steepness + 1.0 / self.kernel.bandwidth
        self.check_derivative(
            "∂/∂x", sums.slope_at_points(self.pulls), self.dense.slope_at_points(self.pulls), per_unit
        )
        per_log = np.abs(self._relative(bandwidth_slope)) + np.abs(self._relative(slope) * self.d) + 1.0
        self.check_derivative(
            "∂/∂log h",
            sums.bandwidth_slope_at_points(self.pulls),
            self.dense.bandwidth_slope_at_points(self.pulls),
            per_log,
        )

    def check_logs(self, what: str, got: np.ndarray, wanted: np.ndarray, allowance: np.ndarray) -> None:
        assert np.array_equal(np.isneginf(got), np.isneginf(wanted)), f"{what}: zeros are exact"
        finite = np.isfinite(wanted)
        excess = np.abs(got[finite] - wanted[finite]) / allowance[finite]
        assert (excess <= 1.0).all(), f"{what}: {excess.max():.3g} times the allowance, at {np.argmax(excess)}"

    def check_shares(self, sums: KernelSums) -> None:
        with np.errstate(over="ignore"):
            wanted = np.exp(self.case.log_weights + self.log_ratio)
            ratios = np.exp(self.log_ratio)
        density = sums.density(self.case.log_weights)
        node_shares = np.where(np.isfinite(self.log_p), self.case.node_weights, 0.0)
        pulls = node_shares, log_ratio(node_shares, density.log)
        got = density.shares(*pulls)
        allowance = self.ratio_allowance + self._share(np.abs(np.where(wanted > 0.0, self.case.log_weights, 0.0)))
        assert (np.abs(got.shares - wanted) <= allowance * wanted + 1e-300).all()
        weights = np.exp(self.case.log_weights)
        excess = density.excess(*pulls) - (weights - got.shares)
        assert (np.abs(excess) <= 1e-13 * np.maximum(weights, got.shares) + 1e-300).all()
        assert np.array_equal(np.isfinite(got.ratios), np.isfinite(ratios))
        finite = np.isfinite(ratios)
        assert (
            np.abs(got.ratios[finite] - ratios[finite]) <= self.ratio_allowance[finite] * ratios[finite] + 1e-300
        ).all()
        if sums.name == "scan":
            assert got.shares.sum() == pytest.approx(node_shares.sum(), rel=ABSOLUTE)

    def check_steep_pulls(self, sums: KernelSums) -> None:
        """Check what hardly a density would give: pulls from e^-1000 to e^750, shares of nodes from e^-200 to 1."""
        pulls = np.linspace(-1000.0, 750.0, len(self.case.nodes))
        log_weights = self.case.log_weights
        size = np.abs(pulls).max() + np.max(self.size) + np.abs(log_weights[log_weights > -np.inf]).max()
        wanted, got = self.dense.at_points(pulls), sums.at_points(pulls)
        assert np.array_equal(np.isneginf(got), np.isneginf(wanted))
        reached = np.isfinite(wanted)
        assert (np.abs(got[reached] - wanted[reached]) <= self._share(size + np.abs(wanted[reached]))).all(), (
            "steep pulls"
        )
        node_shares = np.where(np.isfinite(self.log_p), np.exp(np.linspace(-200.0, 0.0, len(pulls))), 0.0)
        for some, others in zip(
            shares_of(sums, log_weights, node_shares), shares_of(self.dense, log_weights, node_shares), strict=True
        ):
            assert np.array_equal(np.isfinite(some), np.isfinite(others))
            some, others = some[np.isfinite(some)], others[np.isfinite(others)]
            assert (np.abs(some - others) <= self._share(size) * others + 1e-290).all(), "steep shares"

    def check_derivative(self, what, got, wanted, per_pair: np.ndarray) -> None:
        """Check a sum of derivatives against the sum of its terms' absolute values, in units of Σ q K."""
        reached = np.isfinite(self.log_ratio)
        values = [
            (factor * np.exp(log - np.where(reached, self.log_ratio, np.inf)))[reached] for log, factor in (got, wanted)
        ]
        amount = np.sum(self.shares * per_pair, axis=0)[reached]
        excess = np.abs(values[0] - values[1]) - DERIVATIVES * self.ratio_allowance[reached] * amount
        assert (excess <= 0.0).all(), f"{what}: off by {excess.max():.3g} beyond the allowance"


def check(name: str, period: float | None, given_case: Case) -> None:
    kernel = given_case.kernel(name, period)
    Reference(kernel, given_case).check(fast_sums(kernel, given_case.points, given_case.nodes))


def _spread(count: int, low: float, high: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, count)


def _normal(count: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


THREE_FAR_NODES = Rule(np.array([0.0, 600.0, 1200.0]), np.full(3, 1 / 3))
HARD = {
    "many points, moderate": case(_spread(700, -180, 180), midpoint(-30, 30, 90), 10.0, _normal(700)),
    "uneven nodes": case(_spread(400, -60, 60), gauss(-30, 30, 70), 5.0, _normal(400)),
    "clusters at 1e-12": case(
        np.concatenate([10.0 + 1e-12 * np.arange(60), -20.0 + 1e-12 * np.arange(60)]), midpoint(-30, 30, 40), 7.0
    ),
    "a cluster, in small units": case(1e-12 * np.arange(60), midpoint(-3e-3, 3e-3, 40), 1e-3),
    "one place": case(np.full(100, 3.25), midpoint(-30, 30, 40), 7.0, _normal(100)),
    "all in one cell": case(_spread(200, 0.01, 0.9), midpoint(-30, 30, 60), 8.0, _normal(200)),
    "far on one side": case(_spread(300, 1.0e4, 1.0e4 + 50.0), midpoint(-30, 30, 40), 10.0, _normal(300)),
    "1e9 bandwidths away": case(1e9 + _spread(50, 0, 1), midpoint(-0.5, 0.5, 20), 1.0, _normal(50)),
    "an outlier": case(np.append(_spread(300, -40, 40), 3e5), midpoint(-30, 30, 50), 6.0),
    "outliers on both sides": case(np.append(_spread(300, -40, 40), [3e3, -3e3]), midpoint(-30, 30, 50), 6.0),
    "steep logits": case(_spread(300, -90, 90), midpoint(-30, 30, 50), 10.0, 1e4 * _normal(300)),
    "a slope of logits against the kernel's": case(
        np.linspace(-400, -30, 500), midpoint(-30, 30, 50), 5.0, -np.linspace(-400, -30, 500) / 5.0
    ),
    "masked points": case(
        _spread(200, -60, 60), midpoint(-30, 30, 50), 9.0, np.where(np.arange(200) % 3 == 0, -np.inf, _normal(200))
    ),
    "one node": case(_spread(300, -60, 60), single(4.0), 9.0, _normal(300)),
    "one node, many points some bandwidths away": case(_spread(600, 40, 60), single(4.0), 8.0, _normal(600)),
    "one point": case([12.5], midpoint(-30, 30, 50), 9.0),
    "nodes in no order": case(
        _spread(30, -20, 20), Rule(np.array([-5.0, 7.0, 3.0, 12.0, -1.0]), np.full(5, 0.2)), 12.0
    ),
    "nodes from right to left": case(
        _spread(30, -20, 20), Rule(np.array([12.0, 7.0, 3.0, -1.0, -5.0]), np.full(5, 0.2)), 12.0
    ),
    "nodes that coincide": case(
        [-5.0, 3.0, 7.0, *_spread(30, -20, 20)],
        Rule(np.array([-5.0, 3.0, 3.0, 7.0, 7.0]), np.full(5, 0.2)),
        12.0,
    ),
    "one point, one node": case([12.5], single(12.5), 9.0),
    "points on nodes": case(np.arange(-180.0, 181.0), midpoint(-30.5, 30.5, 61), 12.0, _normal(361)),
    "points on antipodes": case(np.arange(-180.0, 180.5, 0.5), midpoint(-180, 180, 36), 50.0, _normal(721)),
    "points on edges": case(np.arange(-60.0, 61.0), midpoint(-20.5, 20.5, 41), 12.0),
    "whole circle": case(_spread(400, -180, 180), midpoint(-180, 180, 100), 20.0, _normal(400)),
    "across the wrap": case(_spread(400, -720, 720), midpoint(350, 370, 60), 15.0, _normal(400)),
    "huge bandwidth": case(_spread(300, -180, 180), midpoint(-30, 30, 50), 1e6, _normal(300)),
    "hundreds of bandwidths": case(_spread(300, -180, 180), midpoint(-30, 30, 50), 0.5, _normal(300)),
    "tiny bandwidth": case(_spread(300, -30, 30), midpoint(-30, 30, 50), 1e-4, _normal(300)),
    "a thousand bandwidths, a node in each": case(_spread(500, -500, 500), midpoint(-500, 500, 1000), 1.0),
    "all weight far to the left, a point on the right": case([-600.0, 80.0], midpoint(0, 60, 50), 1.0, [0.0, -np.inf]),
    "a light point as near as a heavy one is far": case([1190.0, 590.0], THREE_FAR_NODES, 1.0, [0.0, -600.0]),
    "heavy tail": case(_spread(300, -180, 180), midpoint(-30, 30, 50), 2.0, _normal(300), df=0.3),
    "nearly gaussian": case(_spread(300, -180, 180), midpoint(-30, 30, 50), 20.0, _normal(300), df=1e5),
    "coordinates far from 0": case(1e6 + _spread(300, -90, 90), midpoint(1e6 - 30, 1e6 + 30, 50), 10.0, _normal(300)),
    "most of a cell at an edge": case(
        np.concatenate([8.0 - 1e-8 * _spread(40, 0, 1), np.full(40, 7.7)]),
        single(0.0),
        8.0,
        np.repeat([0.0, -60.0], 40),
    ),
    "a gap in the points": case(
        np.concatenate([_spread(200, -90, -60), _spread(200, 60, 90)]), midpoint(-30, 30, 60), 4.0, _normal(400)
    ),
}


@every_kernel
@pytest.mark.parametrize("hard", HARD.values(), ids=HARD.keys())
def test_hard_inputs_agree_with_the_dense_sums(name, period, hard):
    check(name, period, hard)


@st.composite
def cases(draw) -> Case:
    """Problems of all scales: up to 300 points and 80 nodes, bandwidths from 1e-3 to 1e5."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count = draw(st.sampled_from([1, 2, 3, 17, 60, 300]))
    points = {
        "spread": lambda: rng.uniform(-180, 180, count),
        "near": lambda: rng.normal(0, 15, count),
        "wide": lambda: rng.uniform(-1e5, 1e5, count),
        "two clusters": lambda: np.where(rng.random(count) < 0.5, -50, 50) + 1e-12 * rng.integers(0, 100, count),
        "whole numbers": lambda: rng.integers(-200, 200, count).astype(np.float64),
        "skewed": lambda: 10.0 * rng.standard_cauchy(count),
    }[draw(st.sampled_from(["spread", "near", "wide", "two clusters", "whole numbers", "skewed"]))]()
    logits = rng.normal(size=count) * draw(st.sampled_from([0.0, 1.0, 30.0, 1e4]))
    logits[1:][rng.random(count - 1) < draw(st.sampled_from([0.0, 0.5]))] = -np.inf
    low = draw(st.sampled_from([-30.0, -180.0, 350.0, 17.3]))
    width = draw(st.sampled_from([360.0, 60.0, 20.0, 1.0, 1e-3]))
    rule = draw(st.sampled_from([midpoint, gauss]))(low, low + width, draw(st.sampled_from([1, 2, 20, 80])))
    df = draw(st.sampled_from([0.5, 3.0, 30.0, 1e4]))
    return case(points, rule, 10.0 ** draw(st.floats(-3, 5)), logits, df)


@every_kernel
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(given_case=cases())
def test_any_input_agrees_with_the_dense_sums(name, period, given_case):
    check(name, period, given_case)


@pytest.mark.parametrize("name", ["gaussian", "biweight", "laplace"])
def test_many_chunks_of_points(name):
    """Wherever a chunk begins: at the first point of a cell, at its last, at its only one."""
    check(name, None, case(_spread(30_001, -60, 60), midpoint(-30, 30, 3), 0.2, _normal(30_001)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_light_point_in_another_chunk(sign):
    nodes = Rule(np.sort(sign * THREE_FAR_NODES.nodes), THREE_FAR_NODES.weights)
    points = sign * np.append(np.full(16_384, 1190.0), 590.0)
    check("laplace", None, case(points, nodes, 1.0, np.append(np.zeros(16_384), -600.0)))


def test_long_scans_keep_their_digits():
    """10⁶ nodes: a recursion by one rounded factor would be off by 1e-11 and more."""
    rng = np.random.default_rng(5)
    points, z = rng.uniform(-40, 40, 50), rng.normal(size=50)
    problem = Problem(points, z, target=(-30, 30), bandwidth=25.0, bins=1_000_000)
    sums = fast_sums(problem.kernel, problem.angles, problem.rule.nodes)
    assert sums.name == "scan"
    some = np.arange(0, 1_000_000, 9973)
    dense = DenseSums(problem.kernel, problem.angles, problem.rule.nodes[some])
    assert np.abs(sums.at_nodes(problem.log_weights)[some] - dense.at_nodes(problem.log_weights)).max() < 2e-14
    log_weights = rng.normal(size=1_000_000)
    few = slice(None, None, 5)
    total = [math.fsum(np.exp(log_weights + problem.kernel.log_density(problem.rule.nodes - x))) for x in points[few]]
    assert np.abs(sums.at_points(log_weights)[few] - np.log(total)).max() < 1e-13


@pytest.mark.parametrize("name", ["laplace", "gaussian", "epanechnikov"])
def test_the_order_of_points_changes_nothing_but_roundings(name):
    rng = np.random.default_rng(3)
    x, z, shuffled = rng.uniform(-90, 90, 3000), rng.normal(size=3000), rng.permutation(3000)
    options = {"target": (-30, 30), "kernel": name, "bandwidth": 10.0, "bins": 200, "sums": "fast"}
    wrt = ("logits", "angles", "bandwidth")
    one, other = evaluate(Problem(x, z, **options), wrt), evaluate(Problem(x[shuffled], z[shuffled], **options), wrt)
    assert one.loss == pytest.approx(other.loss, rel=1e-13)
    assert other.gradients.logits == pytest.approx(one.gradients.logits[shuffled], rel=1e-10, abs=1e-18)
    assert other.gradients.angles == pytest.approx(one.gradients.angles[shuffled], rel=1e-10, abs=1e-18)
    assert one.gradients.log_bandwidth == pytest.approx(other.gradients.log_bandwidth, rel=1e-10)


@every_kernel
def test_whole_evaluations_agree(name, period):
    rng = np.random.default_rng(4)
    x, z = rng.uniform(-60, 60, 2500), rng.normal(size=2500)
    problem = Problem(x, z, target=(-30, 30), kernel=name, bandwidth=9.0, bins=150, period=period, background=0.1)
    wrt = ("logits", "angles", "bandwidth")
    fast, dense = (evaluate(problem.replace(sums=sums), wrt) for sums in ("fast", "dense"))
    assert fast.loss == pytest.approx(dense.loss, rel=1e-13)
    assert fast.gradients.logits == pytest.approx(dense.gradients.logits, rel=1e-10, abs=1e-16)
    assert fast.gradients.per_weight == pytest.approx(dense.gradients.per_weight, rel=1e-11, abs=1e-11)
    assert fast.gradients.angles == pytest.approx(dense.gradients.angles, rel=1e-9, abs=1e-16)
    assert fast.gradients.log_bandwidth == pytest.approx(dense.gradients.log_bandwidth, rel=1e-10)


# --- the choice


def chosen(kernel: Kernel, points: int, bins: int, choice: str = "auto") -> str:
    return make_sums(choice, kernel, np.linspace(-90, 90, points), midpoint(-30, 30, bins).nodes).name


@every_kernel
def test_small_problems_stay_dense_and_large_ones_do_not(name, period):
    kernel = make_kernel(name, 10.0, Line() if period is None else Circle(period))
    scheme = "scan" if "laplace" in name else "cells"
    assert chosen(kernel, 10, 36) == "dense"
    assert chosen(kernel, 50_000, 360) == scheme
    assert chosen(kernel, 10, 36, "fast") == scheme
    assert chosen(kernel, 50_000, 360, "dense") == "dense"


def test_a_bandwidth_may_be_of_any_size_on_the_line():
    for bandwidth in (1e-300, 1e300):
        assert chosen(make_kernel("laplace", bandwidth, Line()), 10, 36, "fast") == "scan"


def test_the_report_says_which_scheme_was_used():
    x = np.linspace(-90, 90, 2000)
    assert evaluate(Problem(x, target=(-30, 30))).diagnostics.sums == "scan"
    assert evaluate(Problem(x, target=(-30, 30), sums="dense")).diagnostics.sums == "dense"
    assert evaluate(Problem(x, target=(-30, 30), kernel="gaussian", sums="fast")).diagnostics.sums == "cells"


def test_fast_falls_back_on_pairs_where_lengths_in_bandwidths_are_no_float64():
    assert evaluate(Problem([1.0, 1.0], at=1.0, sums="fast", bandwidth=1e-310)).diagnostics.sums == "dense"


@pytest.mark.parametrize("name", ["laplace", "wrapped-laplace"])
@pytest.mark.parametrize("turn", [3e3, 2e5, 1e9])
def test_a_turn_of_many_bandwidths_costs_no_digits(name, turn):
    """One point less than a bandwidth from the node: log p is -|d| - log 2, however far the antipode (h = 1)."""
    for d in np.linspace(-0.9, 0.9, 20):
        loss = kdegrad.loss([d], at=0.0, kernel=name, period=1.0371 * turn, sums="fast")
        assert loss == pytest.approx(abs(d) + math.log(2.0), abs=ABSOLUTE)


@pytest.mark.parametrize("turns", [0.3, 9.0, 11.0, 1e3, 1e6])
def test_the_slope_keeps_its_digits_where_the_bandwidth_is_many_turns(turns):
    """All turns of one point: K is cosh((P/2 - |d|)/h) but for a factor, all but flat."""
    h = 360.0 * turns
    for x in (-100.0, 0.5, 60.0):
        problem = Problem([x], at=0.0, kernel="wrapped-laplace", period=360.0, bandwidth=h, sums="fast")
        slope = math.copysign(math.tanh((180.0 - abs(x)) / h) / h, x)
        assert evaluate(problem, "angles").gradients.angles == pytest.approx([slope], rel=1e-13, abs=0.0)


@pytest.mark.parametrize("period", [None, 360.0])
def test_a_density_of_zero_stays_zero(period):
    x = np.concatenate([np.linspace(-100, -20, 4000), np.linspace(20, 100, 4000)])
    problem = Problem(x, target=(-30, 30), kernel="biweight", bandwidth=5.0, bins=300, period=period, sums="fast")
    result = evaluate(problem)
    assert result.loss == math.inf
    inside = np.abs(problem.rule.nodes) < 15.0
    assert np.array_equal(result.diagnostics.uncovered, problem.rule.nodes[inside])


# --- far out, on kinks, at antipodes

LAPLACES = [("laplace", None), ("laplace", 360.0), ("wrapped-laplace", 360.0)]
every_laplace = pytest.mark.parametrize(("name", "period"), LAPLACES, ids=["line", "shorter way", "all turns"])


@every_laplace
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 2, 17, 300]),
    log_bandwidth=st.floats(-12.0, 12.0),
    distance=st.sampled_from([0.0, 1.0, 1e3, 1e6, 1e12]),
    steepness=st.sampled_from([0.0, 1.0, 1e4, 1e8]),
    bins=st.sampled_from([1, 2, 33, 100]),
    on_nodes=st.booleans(),
)
def test_shares_sum_to_one_at_any_distance(
    name, period, seed, count, log_bandwidth, distance, steepness, bins, on_nodes
):
    """And a point that is there twice shares as its weights do."""
    rng = np.random.default_rng(seed)
    h, nodes = 10.0**log_bandwidth, midpoint(-30.0, 30.0, bins).nodes
    points = rng.uniform(-180.0, 180.0, count) + rng.choice([-1.0, 0.0, 1.0], count) * distance * h
    points = np.where(on_nodes & (rng.random(count) < 0.5), rng.choice(nodes, count), points)
    logits = steepness * rng.normal(size=count)
    logits[1:][rng.random(count - 1) < 0.2] = -np.inf
    logits[1:] -= 0.0 if steepness < 1e8 else 1e8 * rng.random(count - 1)
    points, logits = np.append(points, points), np.append(logits, logits - math.log(3.0))
    kernel = make_kernel(name, h, Line() if period is None else Circle(period))
    log_weights = log_softmax(logits)
    node_shares = rng.uniform(0.5, 2.0, bins)
    found = shares_of(fast_sums(kernel, points, nodes), log_weights, node_shares).shares
    assert abs(found.sum() / node_shares.sum() - 1.0) <= ABSOLUTE
    one, other = found[:count], 3.0 * found[count:]
    sizes = np.abs(logits[:count]) + np.abs(log_weights[:count])
    roundings = EPS * np.where(one > 0.0, sizes, 0.0)  # that log S - log 3 has by itself
    assert (np.abs(one - other) <= (ABSOLUTE + 4.0 * roundings) * one + 1e-299).all()


@every_laplace
@pytest.mark.parametrize("far", [1e3, 1e6, 1e9, 1e12])
def test_points_at_one_distance_share_as_their_weights_do(name, period, far):
    """The gradient is 0, or what the logits say, however far all points are in bandwidths."""
    h = 1.0 if period is None else 64.0 / far
    d = 64.0 if period else far
    logits = np.array([0.5, -0.25, 0.0, 3.0])
    problem = Problem([d, -d, d, -d], logits, at=0.0, kernel=name, period=period, bandwidth=h, sums="fast")
    result = evaluate(problem)
    assert result.diagnostics.sums == "scan"
    np.testing.assert_allclose(result.responsibilities, result.weights, rtol=4e-16)
    assert np.abs(result.gradients.logits).max() <= 4e-16


@every_laplace
@pytest.mark.parametrize("h", [1e-10, 1e-7, 1e-4])
def test_points_on_nodes_of_a_very_narrow_kernel(name, period, h):
    """Each bin sees its own points alone: L = -Σ log(mass of the bin's points / 2h)/B."""
    rng = np.random.default_rng(7)
    nodes = midpoint(0.0, 1.0, 50).nodes
    which = np.concatenate([np.arange(50), rng.integers(0, 50, 19_950)])
    z = rng.normal(size=len(which))
    problem = Problem(nodes[which], z, target=(0.0, 1.0), bins=50, kernel=name, period=period and 1.0, bandwidth=h)
    masses = np.bincount(which, np.exp(z)) / math.fsum(np.exp(z))
    result = evaluate(problem, ("logits", "angles", "bandwidth"))
    assert result.diagnostics.sums == "scan"
    assert result.loss == pytest.approx(math.log(2.0 * h) - math.fsum(np.log(masses)) / 50, rel=0.0, abs=2e-12)
    np.testing.assert_allclose(result.responsibilities, result.weights / masses[which] / 50, rtol=1e-11)
    np.testing.assert_array_equal(result.gradients.angles, 0.0)
    assert result.gradients.log_bandwidth == pytest.approx(1.0, rel=1e-12)


def test_a_background_and_a_target_of_ten_million_bandwidths():
    points = midpoint(0.0, 1e7, 1000).nodes[::10].repeat(30)
    problem = Problem(points, target=(0.0, 1e7), bins=1000, background=0.25, sums="fast")
    near = math.log(0.75 * 0.01 / 2.0 + 0.25e-7)
    far = math.log(0.25e-7)
    assert evaluate(problem).loss == pytest.approx(-(0.1 * near + 0.9 * far), rel=1e-14)


@pytest.mark.parametrize(("period", "bins"), [(360.0, 43), (360.0, 36), (360.0, 35), (1.0, 43), (1.0, 36)])
def test_at_an_antipode_the_slope_is_the_mean_of_both_sides(period, bins):
    """Points on nodes, on antipodes of nodes and beside them, by one rounding: t - x decides, as in dense."""
    nodes = midpoint(0.0, period, bins).nodes
    opposite = np.concatenate([nodes + 0.5 * period, nodes - 0.5 * period])
    points = np.concatenate([nodes, opposite, np.nextafter(opposite, 1e9), np.nextafter(opposite, -1e9), [0.0]])
    points = points[(points >= -0.5 * period) & (points <= 0.5 * period)]
    kernel = make_kernel("laplace", 2.0 * period, Circle(period))
    nodes = np.where(nodes > 0.5 * period, nodes - period, nodes)
    wanted, got = (
        factor * np.exp(log)
        for log, factor in (
            make_sums(choice, kernel, points, nodes).slope_at_points(np.zeros(bins)) for choice in ("dense", "fast")
        )
    )
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=1e-13 * np.abs(wanted).max() * bins)


def test_a_point_at_0_opposite_to_a_node_at_180_is_not_pulled_to_either_side():
    problem = Problem([0.0], target=(0.0, 360.0), circular=True, bandwidth=720.0, bins=43, sums="fast")
    assert abs(evaluate(problem, "angles").gradients.angles[0]) * 720.0 <= 1e-15


@every_laplace
def test_a_masked_point_has_its_rate_wherever_it_is(name, period):
    """Its gradient per weight is defined, near the others, far from them and in a cell of its own."""
    x = np.array([0.0, 1.0, 40.0, 100.0, 20.0, -170.0, 7.0])
    z = np.array([0.0, 0.3, -np.inf, -np.inf, -np.inf, -np.inf, -2000.0])
    for h in (30.0, 1.0, 0.1):
        problem = Problem(x, z, target=(-5.0, 25.0), bins=30, kernel=name, period=period, bandwidth=h, sums="fast")
        fast, dense = (evaluate(problem.replace(sums=sums)).gradients.per_weight for sums in ("fast", "dense"))
        np.testing.assert_allclose(fast, dense, rtol=1e-11, atol=1e-11)


@every_laplace
def test_memory_is_in_proportion_to_points_and_nodes_far_out(name, period):
    """On logarithms every sum keeps its factors for the way back."""
    bins = 200_000
    problem = Problem(
        np.linspace(-1.0, 1.0, 50), target=(20.0, 60.0), kernel=name, period=period, bandwidth=0.01, bins=bins
    )
    tracemalloc.start()
    evaluate(problem)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 130 * 8 * bins, f"{peak / 8 / bins} arrays of the nodes"


# --- the pieces


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 2, 3, 40, 333]),
    kind=st.sampled_from(["even", "gauss", "random", "crowded", "equal", "on edges", "close", "next to equal"]),
)
def test_cells_are_those_of_a_search(seed, count, kind):
    """On an even grid but for rounding beside a breakpoint, elsewhere exactly, on edges of the buckets too."""
    rng = np.random.default_rng(seed)
    positions = {
        "even": lambda: midpoint(-30, 30, count).nodes,
        "gauss": lambda: gauss(-30, 30, count).nodes,
        "random": lambda: np.sort(rng.uniform(-30, 30, count)),
        "crowded": lambda: np.sort(rng.standard_cauchy(count) ** 3),
        "equal": lambda: np.full(count, 2.5),
        "on edges": lambda: 0.1 * np.cumsum(rng.integers(0, 4, count)) - 3.0,
        "close": lambda: 1e-12 * np.cumsum(rng.integers(0, 4, count)),
        "next to equal": lambda: 1e-310 * rng.integers(0, 4, count).cumsum(),
    }[kind]()
    beside = [np.nextafter(positions, -math.inf), positions, np.nextafter(positions, math.inf)]
    x = np.concatenate([rng.uniform(-50, 50, 200), *beside, [-1e300, 1e300], positions[0] + rng.normal(size=50) * 1e-9])
    breakpoints = Breakpoints(positions)
    with np.errstate(all="raise", under="ignore"):
        cells, references = breakpoints.locate(x)
    assert np.array_equal(references, breakpoints.references[cells.astype(np.intp)])
    wanted = np.searchsorted(positions, x, side="right")
    assert breakpoints.is_even or np.array_equal(cells, wanted)
    middles = 0.5 * (positions[1:] + positions[:-1])
    np.testing.assert_allclose(breakpoints.references[1:-1], middles, rtol=1e-12, atol=1e-12)
    off = np.abs(positions[np.clip(np.minimum(cells, wanted).astype(np.intp), 0, count - 1)] - x)
    assert (off[cells != wanted] <= 1e-13 * 60.0).all()
    assert np.array_equal(breakpoints.exact_cells(x, cells.astype(np.intp)), wanted)


def test_a_grid_is_even_if_it_is_so_but_for_rounding():
    even = [midpoint(-30, 30, count).nodes for count in (2, 3, 360)]
    even += [1e12 + np.arange(4.0), np.array([0.0, 1e-300])]
    uneven = [gauss(-30, 30, 9).nodes, np.array([0.0, 1.0, 2.0, 3.0001]), 1e16 + 2.0 * np.arange(4.0)]
    uneven += [np.zeros(1), np.ones(3), np.array([0.0, 1e-310]), 1e12 + 1e-3 * np.arange(4.0)]
    assert [Breakpoints(positions).is_even for positions in even + uneven] == [True] * 5 + [False] * 7


@pytest.mark.parametrize("beyond", [-299.0, 0.0, 299.0, 301.0])
@pytest.mark.parametrize("faint", [0.0, -229.0, -231.0, -800.0])
def test_plain_numbers_bear_what_is_ordinary(beyond, faint):
    """The widest narrow line, the farthest ordinary point and the least ordinary weight at once: no digit is lost."""
    nodes = np.linspace(0.0, 150.0, 7)
    points = np.array([beyond if beyond < 0.0 else 150.0 + beyond, 75.0, 149.0, -299.0])
    for logits in (np.array([0.0, faint, faint, faint]), np.array([faint, faint, 0.0, faint])):
        kernel, weights = make_kernel("laplace", 1.0, Line()), log_softmax(logits)
        fast, dense = fast_sums(kernel, points, nodes), DenseSums(kernel, points, nodes)
        wanted = dense.at_nodes(weights)
        np.testing.assert_allclose(fast.at_nodes(weights), wanted, rtol=1e-13, atol=1e-12)
        shares = (shares_of(sums, weights, np.ones(7)) for sums in (fast, dense))
        for got, right in zip(*shares, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("kernel", "target", "options"),
    [
        ("cauchy", (-305_000.0, 695_000.0), {}),
        ("student-t", (-30_500.0, 69_500.0), {"df": 2.5}),
        ("cauchy", (-1.8, 358.2), {"circular": True}),
        ("wrapped-cauchy", (-1.8, 358.2), {"circular": True}),
    ],
)
def test_a_wide_target_leaves_near_points_their_digits(kernel, target, options):
    """A node at 0 lies among points whose coordinates are far smaller than the middle of the nodes.

    A heavy tail is so flat that the large coordinates of the far nodes ask for no tolerance.
    """
    x = np.random.default_rng(0).uniform(-3e-6, 3e-6, 2000)
    width = (target[1] - target[0]) / 101
    nearest = min(target[0] + (np.arange(101) + 0.5) * width, key=abs)
    problem = Problem(
        x, target=(target[0] - nearest, target[1] - nearest), kernel=kernel, bandwidth=1e-6, bins=101, **options
    )
    dense, fast = (evaluate(problem.replace(sums=sums)) for sums in ("dense", "fast"))
    assert fast.diagnostics.sums == "cells"
    assert abs(fast.loss - dense.loss) < 2e-12
    np.testing.assert_allclose(fast.responsibilities, dense.responsibilities, rtol=2e-12)


@pytest.mark.parametrize("bins", [1, 7])
@pytest.mark.parametrize("h", [5e-324, 1e-300, 1.0, 1e300])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "student-t", "epanechnikov"])
def test_numbers_at_the_ends_of_the_range_are_no_error(kernel, h, bins):
    """A distance of more than a float64, a bandwidth of less: the loss is that of all pairs, or no number."""
    for x, target in (([1e308, -1e308], (-1e308, -0.9e308)), ([1e308], (-1e308, -0.9e308)), ([0.0, 1.0], (0.0, 1.0))):
        problem = Problem(x, target=target, kernel=kernel, bandwidth=h, bins=bins)
        dense, fast = (evaluate(problem.replace(sums=sums)).loss for sums in ("dense", "fast"))
        assert fast == pytest.approx(dense, rel=1e-12) or (kernel == "laplace" and not np.isfinite(fast))


@pytest.mark.parametrize(
    ("points", "nodes", "spread"),
    [([1, 5, 2], [3, 4], 4), ([3, 4], [1, 9], 8), ([3, 4], [1, 2], 3), ([1, 2], [3, 4], 3)],
)
def test_cells_serve_where_points_and_nodes_together_span_at_most_1e300(points, nodes, spread):
    kernel = make_kernel("gaussian", 1e299, Line())
    for span, name in ((0.99e300, "cells"), (1.01e300, "dense")):
        sums = make_sums("fast", kernel, np.array(points) * (span / spread), np.array(nodes) * (span / spread))
        assert sums.name == name


def test_memory_stays_at_a_dozen_arrays():
    rng = np.random.default_rng(0)
    count = 1_000_000
    for name, bins in (("laplace", 100_000), ("gaussian", 360), ("epanechnikov", 2000)):
        tracemalloc.start()
        x, z = rng.uniform(-180, 180, count), rng.normal(size=count)
        evaluate(Problem(x, z, target=(-30, 30), kernel=name, bandwidth=10.0, bins=bins))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12.5 * 8 * count, f"{name}: {peak / 8 / count} arrays, the caller's two among them"


# --- sabotage

TRUE_JOINED, TRUE_SHARED = kdegrad.sums.decays.joined, kdegrad.sums.decays.shared


def is_refused(kernels: tuple[str, ...]) -> bool:
    """Return whether the comparison refuses one of the hard inputs."""
    for name in kernels:
        for hard in HARD.values():
            try:
                check(name, None, hard)
            except AssertionError:
                return True
    return False


is_refused_unchanged = cache(is_refused)  # the same for every rule


@pytest.mark.parametrize(
    ("module", "rule", "looser"),
    [
        (kdegrad.sums.chebyshev, "POLE_DISTANCES", 1.5),
        (kdegrad.sums.chebyshev, "MOST_SLOPE", 20.0),
        (kdegrad.sums.chebyshev, "DEGREE", 9),
        (kdegrad.sums.chebyshev, "NEGLIGIBLE", 5.0),
        (kdegrad.sums.chebyshev, "MOST_FALL", 60.0),
        (kdegrad.sums.decays, "joined", lambda first, second, _: TRUE_JOINED(first, second, 0.0)),
        (kdegrad.sums.exponential, "shared", lambda excess: TRUE_SHARED(0.5 * excess)),
        (kdegrad.sums.exponential.PlainDensity, "is_ordinary", True),
        (Line, "reduced", lambda _, x: 1.0001 * x),
    ],
)
def test_a_looser_rule_is_noticed(monkeypatch, module, rule, looser):
    kernels = ("gaussian", "cauchy", "biweight") if module is kdegrad.sums.chebyshev else ("laplace",)
    assert not is_refused_unchanged(kernels)
    monkeypatch.setattr(module, rule, looser)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        assert is_refused(kernels)
