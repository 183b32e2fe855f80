"""Pins down the running sums of blocks of problems: where they serve, they are the sums over all pairs.

As in `test_blocks.py` each problem is compared with `DenseDensity`, for the kernels that are exponentials of the
distance: on the line, the shorter way round three circles, and over all turns.
"""

from __future__ import annotations

import numpy as np
import pytest

from kdegrad.kernel import make_kernel
from kdegrad.sums import DenseDensity
from kdegrad.sums.windows import WindowDensity, window_block_size, windows_pay
from tests.test_blocks import DOMAINS, assert_same, log_weights_of, results_of

KERNELS = [(where, "laplace") for where in DOMAINS]
KERNELS += [(where, "wrapped-laplace") for where in DOMAINS if where != "line"]


def compared(kernel, points, nodes, weights, share):
    """Compare the problems for which running sums apply, and return how many these are."""
    which = WindowDensity.applies(kernel, nodes)
    parts = [part[which] for part in (points, nodes, weights)]
    if which.any():
        singles = [DenseDensity(kernel, *row) for row in zip(*parts, strict=True)]
        assert_same(WindowDensity(kernel, *parts), singles, share[which])
    return which.sum()


@pytest.mark.parametrize("layout", ["even", "random", "whole degrees"])
@pytest.mark.parametrize(("where", "name"), KERNELS)
def test_running_sums_are_the_sums_over_all_pairs(where, name, layout):
    """Narrow targets to all but the whole circle; points on nodes, with antipodes among them, masked, of logits 10⁴."""
    rng = np.random.default_rng(len(where))
    turn = 360.0 if where == "line" else DOMAINS[where].measure
    count = 0
    for g, n, b in ((5, 9, 30), (4, 40, 20), (3, 4, 1), (3, 4, 2)):
        for relative in (0.01, 0.15, 0.4, 2.0):
            for width in (0.1, 0.5, 0.99):
                kernel = make_kernel(name, turn * relative, DOMAINS[where])
                points, centres = rng.uniform(-turn, turn, (g, n)), rng.uniform(-turn, turn, (g, 1))
                nodes = centres + turn * width * ((np.arange(b) + 0.5) / b - 0.5)
                if layout != "even":
                    nodes = np.sort(centres + rng.uniform(-0.5, 0.5, (g, b)) * turn * width, axis=1)
                if layout == "whole degrees":
                    points, nodes = (np.round(part / turn * 360.0) * turn / 360.0 for part in (points, nodes))
                logits = rng.normal(size=(g, n))
                logits[0] *= 1e4
                logits[1, 2] = logits[0, :2] = -np.inf
                count += compared(kernel, points, nodes, log_weights_of(logits), rng.dirichlet(np.ones(b), g))
    assert count > 150  # of 180


@pytest.mark.parametrize(("where", "name"), KERNELS)
def test_far_points_and_narrow_kernels(where, name):
    """To 10⁹ bandwidths away, at a span of the nodes of up to 150 bandwidths; some problems are summed apart."""
    rng = np.random.default_rng(9)
    turn = 360.0 if where == "line" else DOMAINS[where].measure
    for h in (1e-6 * turn, 1e-3 * turn, 0.01 * turn):
        kernel = make_kernel(name, h, DOMAINS[where])
        nodes = rng.uniform(0.0, turn, (6, 1)) + min(149.0 * h, 0.9 * turn) * np.linspace(0.0, 1.0, 15)
        points = nodes[:, [7]] + h * rng.uniform(-200.0, 200.0, (6, 8))
        points[1] += np.linspace(-1e9, 1e9, 8) * h
        points[2, 1:] += 0.5 * turn
        points[3] = nodes[3, 0] - np.array([1.0, 2.0, 100.0, 900.0, 1e4, 1e5, 3.0, 1.0]) * h
        points[4] = nodes[4, -1] + np.array([1.0, 2.0, 100.0, 900.0, 1e4, 1e5, 3.0, 1.0]) * h
        weights, share = log_weights_of(rng.normal(size=(6, 8))), rng.dirichlet(np.ones(15), 6)
        assert compared(kernel, points, nodes, weights, share) == 6


def test_points_at_the_end_of_the_range():
    """What is out of reach may be any distance away, also where it overflows in bandwidths."""
    kernel, nodes, share = make_kernel("laplace", 1e-3, DOMAINS["line"]), np.linspace(0.0, 0.1, 9), np.full(9, 1 / 9)
    near, weights = np.array([0.02, 0.07]), log_weights_of(np.zeros((1, 4)))
    found, expected = (
        results_of(WindowDensity(kernel, np.append(near, [-far, far])[np.newaxis], nodes, weights), share)
        for far in (1e308, 1e3)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("where", "name"), KERNELS)
def test_nodes_may_coincide(where, name):
    """Angles that were observed twice, with points on them."""
    rng = np.random.default_rng(10)
    turn = 360.0 if where == "line" else DOMAINS[where].measure
    nodes = turn * np.array([[0.1, 0.1, 0.1, 0.2, 0.4, 0.4], [0.3] * 6, [0.9, 0.9, 1.0, 1.1, 1.2, 1.2]])
    points = turn * np.array([[0.1, 0.15, 0.4, 0.6, 0.9], [0.3, 0.2, 0.8, 0.81, 0.3], [0.1, 0.9, 0.7, 0.4, 0.2]])
    weights, share = log_weights_of(rng.normal(size=(3, 5))), rng.dirichlet(np.ones(6), 3)
    assert compared(make_kernel(name, 0.2 * turn, DOMAINS[where]), points, nodes, weights, share) == 3


def test_where_running_sums_apply():
    nodes = np.linspace(0.0, 60.0, 20)[np.newaxis]
    line, circle = DOMAINS["line"], DOMAINS["360"]
    for kernel, places, expected in (
        (make_kernel("laplace", 1.0, line), nodes, True),
        (make_kernel("gaussian", 1.0, line), nodes, False),
        (make_kernel("laplace", 0.39, line), nodes, False),  # 154 bandwidths
        (make_kernel("laplace", 1.0, line), nodes[:, ::-1], False),
        (make_kernel("laplace", 1e-310, line), nodes * 0.0, False),
        (make_kernel("laplace", 1.0, line), np.zeros((1, 4097)), False),
        (make_kernel("laplace", 30.0, circle), nodes + 330.0, True),
        (make_kernel("laplace", 30.0, circle), (nodes + 330.0) % 360.0, True),
        (make_kernel("laplace", 30.0, circle), nodes * 5.99, True),
        (make_kernel("laplace", 30.0, circle), nodes * 5.9999, False),
        (make_kernel("laplace", 30.0, circle), nodes * 7.0, False),
        (make_kernel("wrapped-laplace", 3599.0, circle), nodes, True),
        (make_kernel("wrapped-laplace", 3601.0, circle), nodes, False),
    ):
        assert WindowDensity.applies(kernel, places).tolist() == [expected]
    both = np.concatenate([nodes, nodes * 10.0])
    assert WindowDensity.applies(make_kernel("laplace", 1.0, line), both).tolist() == [True, False]
    counts = np.array([20, 20, 1, 1000])
    assert windows_pay(counts, np.array([20, 2, 1000, 20])).tolist() == [True, False, False, True]
    assert window_block_size(10**9, 1) == 1
