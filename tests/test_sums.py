"""Pins down the dense sums: for all sizes of blocks, with masks, with targets that no source reaches.

They are compared with scipy's `logsumexp` over the whole matrix, and with mpmath on a small one. Their memory is
O(M + N), as measured by `tracemalloc` (to which NumPy reports its arrays).
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.special
from mpmath import mp, mpf

from kdegrad import Problem, evaluate, loss, loss_and_grad
from kdegrad.domain import Circle, Line
from kdegrad.kernel import make_kernel
from kdegrad.sums import DenseSums, log_kernel_sum, make_sums
from tests import oracle, problems

# Both sum N positive terms; their errors are some √N roundings of the exponents (up to 10³ here).
AGREE = 1e-12
# A few blocks of 128 KiB and a few vectors of 10⁵ numbers (0.8 MB each). The matrix of all pairs of 10⁵ points and
# 10⁴ nodes would be 8000 MB.
MEGABYTES = 10

# Blocks are 2048 columns wide and hold 16384 pairs: 8 rows there, more of fewer columns.
SIZES = [
    (1, 1),
    (1, 2048),
    (1, 2049),
    (7, 2047),
    (8, 2048),
    (9, 2049),
    (17, 4097),
    (16384, 1),
    (16385, 1),
    (5461, 3),
    (5462, 3),
    (163, 100),
    (164, 100),
    (2, 6145),
]


def plain(kernel, targets, sources, log_weights):
    d = kernel.domain.difference(targets[:, np.newaxis], sources)
    with np.errstate(divide="ignore"):
        return scipy.special.logsumexp(kernel.log_density(d) + log_weights, axis=1)


def drawn(rows, columns, spread=50.0):
    rng = np.random.default_rng(rows * 100_003 + columns)
    return rng.uniform(-spread, spread, rows), rng.uniform(-spread, spread, columns), rng.normal(size=columns)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", ["laplace", "gaussian", "uniform"])
def test_the_sizes_of_blocks_do_not_matter(name, size):
    targets, sources, log_weights = drawn(*size)
    kernel = make_kernel(name, 3.0, Line())
    found = log_kernel_sum(kernel, targets, sources, log_weights)
    np.testing.assert_allclose(found, plain(kernel, targets, sources, log_weights), rtol=AGREE, atol=AGREE)


@pytest.mark.parametrize("label", problems.ON_CIRCLE)
def test_every_kernel_on_the_circle(label):
    options = problems.ON_CIRCLE[label]
    kernel = make_kernel(options["kernel"], 40.0, Circle(360.0), options.get("df", 3.0))
    targets, sources, log_weights = drawn(37, 2500, 400.0)
    found = log_kernel_sum(kernel, targets, sources, log_weights)
    np.testing.assert_allclose(found, plain(kernel, targets, sources, log_weights), rtol=AGREE, atol=AGREE)


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_block_maxima_that_rise_or_fall(order):
    """Log weights from -10⁴ to 10⁴, so that each block makes the one before it negligible, or is negligible itself."""
    targets, sources, _ = drawn(3, 9000)
    log_weights = np.linspace(-1e4, 1e4, 9000)[:: 1 if order == "ascending" else -1]
    kernel = make_kernel("cauchy", 1.0, Line())
    found = log_kernel_sum(kernel, targets, sources, log_weights)
    np.testing.assert_allclose(found, plain(kernel, targets, sources, log_weights), rtol=AGREE)


def test_sources_of_weight_zero_have_no_effect():
    targets, sources, log_weights = drawn(5, 5000)
    masked = np.arange(5000) % 3 != 0
    masked[:2048] = True  # a whole block
    kernel = make_kernel("logistic", 2.0, Line())
    found = log_kernel_sum(kernel, targets, sources, np.where(masked, -np.inf, log_weights))
    bare = log_kernel_sum(kernel, targets, sources[~masked], log_weights[~masked])
    np.testing.assert_allclose(found, bare, rtol=AGREE)


@pytest.mark.parametrize("columns", [3, 2049])
def test_targets_that_no_source_reaches_are_minus_infinity(columns):
    kernel = make_kernel("biweight", 1.0, Line())
    sources = np.linspace(0.0, 1.0, columns)
    found = log_kernel_sum(kernel, np.array([0.5, 5.0, -3.0]), sources, np.zeros(columns))
    assert np.isfinite(found[0])
    np.testing.assert_array_equal(found[1:], -np.inf)
    sums = DenseSums(kernel, np.array([5.0, 0.5]), sources)
    for slope in (sums.slope_at_points(np.zeros(columns)), sums.bandwidth_slope_at_points(np.zeros(columns))):
        assert slope.factor[0] * np.exp(slope.log[0]) == 0.0
    np.testing.assert_array_equal(log_kernel_sum(kernel, sources[:2], sources, np.full(columns, -np.inf)), -np.inf)


def test_sums_at_nodes_at_points_and_their_slopes_are_those_of_mpmath():
    points, nodes, log_weights = drawn(4, 6, 300.0)
    for label, options in problems.ON_CIRCLE.items():
        df = options.get("df", 3.0)
        sums = make_sums("auto", make_kernel(options["kernel"], 90.0, Circle(360.0), df), points, nodes)
        slope, widening = sums.slope_at_points(log_weights), sums.bandwidth_slope_at_points(log_weights)
        at_points, at_nodes = sums.at_points(log_weights), sums.at_nodes(log_weights[:4])
        with mp.workdps(oracle.DIGITS):
            k = oracle.kernel(options["kernel"], 90.0, 360.0, df)
            pairs = [[k(oracle.displacement(t, x, 360.0)) for x in points] for t in nodes]
            weights = [mp.exp(mpf(w)) for w in log_weights]
            for i in range(4):
                column = [row[i] for row in pairs]
                scale = mp.fdot(weights, [v.density + abs(v.slope) + abs(v.bandwidth_slope) for v in column])
                exact = mp.fdot(weights, [v.density for v in column])
                assert abs(mp.exp(mpf(at_points[i])) - exact) <= AGREE * exact, label
                for found, field in ((slope, "slope"), (widening, "bandwidth_slope")):
                    value = mpf(found.factor[i]) * mp.exp(mpf(found.log[i]))
                    assert abs(value - mp.fdot(weights, [getattr(v, field) for v in column])) <= AGREE * scale, label
            for m in range(6):
                exact = mp.fdot(weights[:4], [v.density for v in pairs[m]])
                assert abs(mp.exp(mpf(at_nodes[m])) - exact) <= AGREE * exact, label


@pytest.mark.parametrize("sums", ["dense", "fast"])
@pytest.mark.parametrize(("name", "bandwidth"), [("laplace", 40.0), ("laplace", 0.01), ("von-mises", 40.0)])
def test_weights_may_have_any_total(name, bandwidth, sums):
    points, nodes, log_weights = drawn(40, 40)
    made = make_sums(sums, make_kernel(name, bandwidth, Circle(360.0)), points, nodes)
    for times in (made.at_nodes, made.at_points):
        np.testing.assert_allclose(times(log_weights + 5.0), times(log_weights) + 5.0, rtol=AGREE)


def test_the_choice_of_sums():
    for name, domain, fast in (
        ("tricube", Line(), "cells"),
        ("laplace", Line(), "scan"),
        ("von-mises", Circle(9.0), "cells"),
    ):
        kernel = make_kernel(name, 1.0, domain)
        assert make_sums("dense", kernel, np.zeros(1), np.zeros(1)).name == "dense"
        assert make_sums("auto", kernel, np.zeros(10), np.zeros(10)).name == "dense"
        assert make_sums("auto", kernel, np.zeros(10_000), np.zeros(1_000)).name == fast
        assert make_sums("fast", kernel, np.zeros(1), np.zeros(1)).name == fast


def peak_megabytes(work):
    """Return the peak of what NumPy and Python allocate during `work()`, without what was allocated before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_pairs():
    """10⁵ points and 10⁴ nodes, every 20th target in both directions: the others would take time but no memory."""
    points, nodes = np.random.default_rng(0).normal(size=100_000), np.linspace(-3.0, 3.0, 10_000)
    kernel = make_kernel("laplace", 1.0, Line())
    assert peak_megabytes(lambda: log_kernel_sum(kernel, nodes[::20], points, np.zeros(100_000))) < MEGABYTES
    assert peak_megabytes(lambda: log_kernel_sum(kernel, points[::20], nodes, np.zeros(10_000))) < MEGABYTES


def test_an_evaluation_needs_memory_for_a_few_vectors():
    """10⁵ points, 60 nodes, all gradients: the matrix of pairs would be 48 MB."""
    problem = Problem(np.linspace(-5.0, 5.0, 100_000), target=(-3, 3), bins=60)
    assert peak_megabytes(lambda: evaluate(problem, wrt=("logits", "angles", "bandwidth"))) < 2 * MEGABYTES


@pytest.mark.parametrize("short", [loss, loss_and_grad])
def test_loss_and_gradient_copy_nothing(short):
    """Less than four vectors at once: the log weights are one; copies of points and logits would be two more."""
    x, z = np.random.default_rng(0).normal(0.0, 60.0, (2, 200_000))
    options = {"target": (-30, 30), "bandwidth": 10.0, "bins": 360}
    short(x[:10], z[:10], sums="fast", **options)  # imports that happen once
    assert peak_megabytes(lambda: short(x, z, **options)) < 4 * x.nbytes / 2**20
