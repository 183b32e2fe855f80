"""Pins down the densities of blocks of problems: they are those of the problems one by one, by all pairs.

Each problem of a block is compared with `DenseDensity`, the reference of one problem: density, shares, R/S, S - R and
both slopes, for every kernel on the line and on three circles, for blocks that are longer in points or in nodes. Hard
inputs stand beside ordinary ones in a block: masks, far points, logits of 10⁴, nodes that no point reaches, problems
that fill up their rows. Some losses and gradients are compared with the oracle of 50 digits.
"""

from __future__ import annotations

import numpy as np
import pytest

from kdegrad.domain import Circle, Line
from kdegrad.kernel import make_kernel
from kdegrad.sums import DenseDensity
from kdegrad.sums.blocks import BlockDensity
from kdegrad.weights import log_softmax
from tests import problems

AGREE = 1e-12  # both sum positive terms of the same exponents, in another order
EPS = float(np.finfo(np.float64).eps)
NOTHING = 1e-30  # R/S of a point that is all but out of reach: 1 - R/S is what is reported
DOMAINS = {"line": Line(), "360": Circle(360.0), "2π": Circle(2.0 * np.pi), "1": Circle(1.0)}
KERNELS = [
    (where, label) for where in DOMAINS for label in (problems.ON_LINE if where == "line" else problems.ON_CIRCLE)
]


def made(label, where, bandwidth):
    options = problems.ON_CIRCLE[label]
    return make_kernel(options["kernel"], bandwidth, DOMAINS[where], options.get("df", 3.0))


def log_weights_of(logits):
    return np.stack([log_softmax(row) for row in logits])


def pulls_of(density, share):
    """Return q and log(q/p) as the loss of weights `share` has them; -inf where q is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return share, np.where(share > 0.0, np.log(share) - density.log, -np.inf)


def assert_same(block, singles, share):
    """Compare a block with its problems one by one; share q of shape (g, B)."""
    pulls = pulls_of(block, share)
    shares, ratios = block.shares(*pulls)
    excess, slopes, spread = block.excess(*pulls), block.slopes(*pulls), block.bandwidth_slope(*pulls)
    for g, single in enumerate(singles):
        logs = single.log_weights[single.log_weights > -np.inf]
        agree = AGREE + 8.0 * EPS * (np.abs(logs).max() + np.abs(single.log[np.abs(single.log) < 1e3]).max(initial=0.0))
        np.testing.assert_allclose(block.log[g], single.log, rtol=agree, atol=agree)
        if (np.isneginf(single.log) & (share[g] > 0.0)).any():
            continue  # an infinite loss has no gradients
        own = pulls_of(single, share[g])
        with np.errstate(over="ignore", invalid="ignore"):
            expected = single.shares(*own)
            np.testing.assert_allclose(ratios[g], expected.ratios, rtol=agree, atol=NOTHING)
            larger = np.maximum(np.exp(single.log_weights), expected.shares)
            assert (np.abs(shares[g] - expected.shares) <= agree * larger + 1e-300).all()
            assert (np.abs(excess[g] - single.excess(*own)) <= agree * larger + 1e-300).all()
            wanted = single.slopes(*own)
            np.testing.assert_allclose(slopes[g], wanted, rtol=agree, atol=agree * np.abs(wanted).max())
            np.testing.assert_allclose(spread[g], single.bandwidth_slope(*own), rtol=agree, atol=agree)
        assert abs(shares[g].sum() - share[g].sum()) <= AGREE


@pytest.mark.parametrize(("where", "label"), KERNELS)
def test_a_block_is_its_problems_one_by_one(where, label):
    """Longer in nodes, longer in points, one of either; masks and logits of 10⁴ in some problems."""
    rng = np.random.default_rng(len(label))
    turn = 360.0 if where == "line" else DOMAINS[where].measure
    for count, n, b in ((6, 5, 9), (6, 9, 4), (3, 1, 1), (4, 6, 1), (2, 1, 6)):
        for relative in (1e-3, 0.15, 2.0):
            kernel = made(label, where, turn * relative)
            points = rng.uniform(-turn, turn, (count, n))
            nodes = np.sort(rng.uniform(-turn / 3, turn / 3, (count, b)), axis=1)
            logits = rng.normal(size=(count, n))
            logits[0] *= 1e4
            if n > 3:
                logits[1, 2] = logits[0, :2] = -np.inf
            weights, share = log_weights_of(logits), rng.dirichlet(np.ones(b), count)
            singles = [DenseDensity(kernel, *row) for row in zip(points, nodes, weights, strict=True)]
            assert_same(BlockDensity(kernel, points, nodes, weights), singles, share)
