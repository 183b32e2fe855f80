"""Pins down the running sums of blocks of problems: where they serve, they are the sums over all pairs.

As in `test_blocks.py` each problem is compared with `DenseDensity`, for the kernels that are exponentials of the
distance: on the line, the shorter way round three circles, and over all turns.
"""

from __future__ import annotations

import numpy as np
import pytest

from kdegrad.kernel import make_kernel
from kdegrad.sums import DenseDensity
from kdegrad.sums.windows import WindowDensity
from tests.test_blocks import DOMAINS, assert_same, log_weights_of

KERNELS = [(where, "laplace") for where in DOMAINS]
KERNELS += [(where, "wrapped-laplace") for where in DOMAINS if where != "line"]


@pytest.mark.parametrize("layout", ["even", "random", "two decimals"])
@pytest.mark.parametrize(("where", "name"), KERNELS)
def test_running_sums_are_the_sums_over_all_pairs(where, name, layout):
    """Narrow targets to all but the whole circle; points on nodes, with antipodes among them, masked, of logits 10⁴."""
    rng = np.random.default_rng(len(where))
    turn = 360.0 if where == "line" else DOMAINS[where].measure
    served = 0
    for count, n, b in ((5, 9, 30), (4, 40, 20)):
        for relative in (0.01, 0.15, 0.4, 2.0):
            for width in (0.1, 0.5, 0.99):
                kernel = make_kernel(name, turn * relative, DOMAINS[where])
                points, centres = rng.uniform(-turn, turn, (count, n)), rng.uniform(-turn, turn, (count, 1))
                nodes = centres + turn * width * ((np.arange(b) + 0.5) / b - 0.5)
                if layout != "even":
                    nodes = np.sort(centres + rng.uniform(-0.5, 0.5, (count, b)) * turn * width, axis=1)
                if layout == "two decimals":
                    points, nodes = (np.round(part / turn * 100.0) * turn / 100.0 for part in (points, nodes))
                logits = rng.normal(size=(count, n))
                logits[0] *= 1e4
                logits[1, 2] = logits[0, :2] = -np.inf
                weights, share = log_weights_of(logits), rng.dirichlet(np.ones(b), count)
                which = WindowDensity.serves(kernel, points, nodes, weights)
                served += which.sum()
                parts = [part[which] for part in (points, nodes, weights)]
                singles = [DenseDensity(kernel, *row) for row in zip(*parts, strict=True)]
                assert_same(WindowDensity(kernel, *parts), singles, share[which])
    assert served > 50
