"""How time and memory grow with N and B, beside lower limits: one np.add and one np.exp over N doubles."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import kdegrad as kg
from tests.benchmarks.peers import BANDWIDTH, TARGET, swarm
from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import medians

SIZES = ((1_000, 360), (10_000, 360), (100_000, 360), (1_000_000, 36), (1_000_000, 360), (1_000_000, 10_000),
         (1_000_000, 100_000), (4_000_000, 360), (10_000_000, 360))  # fmt: skip

ROUNDS = 15

_PEAK = """
import sys, tracemalloc
import numpy as np
import kdegrad as kg
import kdegrad.sums, kdegrad.objective
count, bins, kernel = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random = np.random.default_rng(0)
angles, logits = random.normal(0.0, 60.0, count), random.normal(size=count)
kg.loss_and_grad(angles[:10], logits[:10], target=(-30, 30), bandwidth=10.0, kernel=kernel)
tracemalloc.start()  # NumPy reports to it; the peak of the process would include its parent's
kg.loss_and_grad(angles, logits, target=(-30, 30), bandwidth=10.0, kernel=kernel, bins=bins)
print(tracemalloc.get_traced_memory()[1] / (8 * count))
"""


def lines() -> Iterator[str]:
    """Yield the tables of this module."""
    yield from growth()
    yield from memory()
    yield from small()


def growth() -> Iterator[str]:
    """Yield times of the loss and all logit gradients with Laplace as N and B grow, all sizes in turn."""
    swarms = {count: swarm(count) for count, _ in SIZES}
    tasks: dict[tuple[object, ...], Callable[[], object]] = {
        (count, bins): partial(kg.loss_and_grad, *swarms[count], target=TARGET, bandwidth=BANDWIDTH, bins=bins)
        for count, bins in SIZES
    }
    for count, (angles, logits) in swarms.items():
        tasks[count, "add"] = partial(np.add, angles, logits)
        tasks[count, "exp"] = partial(np.exp, logits)
    taken = medians(tasks, ROUNDS)
    rows = []
    for count, bins in SIZES:
        ours = taken[count, bins]
        ratios = (f"{ours / taken[count, limit]:.1f}" for limit in ("exp", "add"))
        rows.append((f"{count:,}", f"{bins:,}", seconds(ours), f"{ours / count * 1e9:.1f}", *ratios))
    header = ("points", "bins", "time", "ns a point", "in np.exp", "in np.add")
    yield from table("Growth: loss and all logit gradients, Laplace", header, rows)
    pairs = (((1_000_000, 100_000), (1_000_000, 360)), ((10_000_000, 360), (1_000_000, 360)))
    rows = [(*(f"{n:,} × {b:,}" for n, b in pair), f"{taken[pair[0]] / taken[pair[1]]:.2f}") for pair in pairs]
    yield from table("Of these, points × bins beside points × bins", ("", "beside", "ratio"), rows)


def memory() -> Iterator[str]:
    """Yield the peak memory without the interpreter and the input, in arrays of N doubles."""
    rows = []
    for kernel in ("laplace", "gaussian", "epanechnikov"):
        for count, bins in ((1_000_000, 360), (1_000_000, 100_000)):
            if kernel == "laplace" or bins == 360:
                done = subprocess.run(
                    [sys.executable, "-c", _PEAK, str(count), str(bins), kernel],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                rows.append((kernel, f"{count:,}", f"{bins:,}", f"{float(done.stdout):.1f}"))
    yield from table(
        "Peak memory of loss_and_grad, beside its input, in arrays of N doubles",
        ("kernel", "points", "bins", "arrays"),
        rows,
    )


def small() -> Iterator[str]:
    """Yield the time of a small problem."""
    angles, logits = swarm(10)
    taken = medians(
        {"ours": partial(kg.loss_and_grad, angles, logits, target=TARGET, bandwidth=BANDWIDTH, bins=36)}, 21
    )
    yield from table("A small problem", ("points", "bins", "kg.loss_and_grad"), [("10", "36", seconds(taken["ours"]))])
