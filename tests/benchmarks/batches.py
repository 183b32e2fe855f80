"""Many small problems at once, beside PyTorch's autograd on the same batch, and beside one problem after another."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import kdegrad as kg
from tests.benchmarks.peers import BANDWIDTH, by_hand, options
from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import least, medians


class Shape(NamedTuple):
    """G problems of N points and B nodes; at one node the targets are observed angles, else intervals in bins."""

    problems: int
    points: int
    nodes: int

    def __str__(self) -> str:
        return f"{self.problems:,} × ({self.points} × {self.nodes})"


SMALL, LARGE, OBSERVED = Shape(20_000, 10, 36), Shape(1_500, 20, 360), Shape(4_096, 64, 1)
# How many times as fast as PyTorch kdegrad is to be. Running sums make Laplace's O(N + B); of the others every pair
# takes an exponential or a logarithm, and of von-mises a tangent too.
WANTED = {
    SMALL: {"laplace": 8.0, "gaussian": 3.0, "cauchy": 3.0, "von-mises": 2.0},
    LARGE: {"laplace": 20.0, "gaussian": 4.5, "cauchy": 4.5, "von-mises": 2.0},
    OBSERVED: {"laplace": 1.0, "gaussian": 1.0, "cauchy": 1.0, "von-mises": 0.5},
}
WANTED_BESIDE_LOOP = 25.0
ROUNDS = 7
LOOPED = 500  # of the problems, for the loop over single ones

GROUPS, GROUP_POINTS, GROUP_BINS = 100_000, 10, 36
MOST_MEMORY = 100  # MB
MOST_BESIDE_ARROW = 4.0

_PEAK = """
import sys, tracemalloc
import numpy as np
import kdegrad as kg
groups, points, bins, kernel = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
random = np.random.default_rng(0)
angles, logits = random.normal(0.0, 60.0, groups * points), random.normal(size=groups * points)
offsets, lows = points * np.arange(groups + 1), random.uniform(-90.0, 60.0, groups)
options = dict(target=(lows, lows + 30.0), bins=bins, bandwidth=10.0, kernel=kernel, offsets=offsets)
kg.loss_and_grad(angles[:points], logits[:points], target=(-30, 0), kernel=kernel, offsets=[0, points])
tracemalloc.start()  # NumPy reports to it; the peak of the process would include its parent's
result = kg.loss_and_grad(angles, logits, **options)
left, peak = tracemalloc.get_traced_memory()
print((peak - sum(part.nbytes for part in result)) / 1e6)
"""


def lines() -> Iterator[str]:
    """Yield the tables of this module."""
    yield from beside_torch()
    yield from beside_loop()
    yield from memory()
    yield from files()


def drawn(shape: Shape) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return angles and logits (G, N), and the targets: the two ends of intervals, or observed angles."""
    random = np.random.default_rng(shape)
    angles = random.normal(0.0, 60.0, (shape.problems, shape.points))
    logits = random.normal(size=angles.shape)
    places = random.uniform(-90.0, 60.0, shape.problems)
    return angles, logits, (places, places + 30.0) if shape.nodes > 1 else places


def kdegrad_batch(shape: Shape, angles: np.ndarray, logits: np.ndarray, target: Any, kernel: str) -> Any:
    """Return the losses (G,) and their gradients of the logits (G, N)."""
    bins = {"bins": shape.nodes} if shape.nodes > 1 else {}
    return kg.loss_and_grad(angles, logits, target=target, bandwidth=BANDWIDTH, **bins, **options(kernel))


def torch_batch(shape: Shape, angles: np.ndarray, logits: np.ndarray, target: Any, kernel: str) -> Any:
    """Return the same by PyTorch's autograd, on one thread."""
    import torch

    torch.set_num_threads(1)
    ends = torch.from_numpy(np.array(target))
    z = torch.from_numpy(logits).requires_grad_()
    losses = by_hand(torch.from_numpy(angles), z, nodes_of(shape, ends), kernel)
    losses.sum().backward()
    return losses.detach().numpy(), z.grad.numpy()


def nodes_of(shape: Shape, target: Any) -> Any:
    """Return the nodes (G, B) of intervals, a tensor (2, G) or a pair, or of observed angles (G,)."""
    import torch

    if shape.nodes == 1:
        return target[:, None]
    low, high = (ends[:, None] for ends in target)
    return low + (high - low) * (torch.arange(shape.nodes, dtype=low.dtype, device=low.device) + 0.5) / shape.nodes


def beside_torch() -> Iterator[str]:
    """Yield times of loss and logit gradients of a batch, beside PyTorch's; what both compute is compared first."""
    if not find_spec("torch"):
        yield "(PyTorch is not installed: batches are not compared)"
        return
    rows = []
    for shape, wanted in WANTED.items():
        batch = drawn(shape)
        for kernel, ratio in wanted.items():
            ours, theirs = (partial(make, shape, *batch, kernel) for make in (kdegrad_batch, torch_batch))
            for found, expected in zip(ours(), theirs(), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
            taken = least({"ours": ours, "theirs": theirs}, ROUNDS)
            rows.append((str(shape), kernel, *_compared(taken["ours"], taken["theirs"], shape.problems, ratio)))
    header = ("problems × (points × nodes)", "kernel", "kdegrad, a problem", "PyTorch", "ratio", "at least")
    yield from table("Batches: loss and all logit gradients, float64, one thread; least times", header, rows)


def beside_loop() -> Iterator[str]:
    """Yield the time of a problem in a batch, beside one problem after another."""
    angles, logits, (lows, highs) = drawn(SMALL)
    rows = []
    for kernel in WANTED[SMALL]:

        def one_by_one(kernel: str = kernel) -> None:
            for problem in range(LOOPED):
                target = float(lows[problem]), float(highs[problem])
                given: dict[str, Any] = {"target": target, "bins": SMALL.nodes, **options(kernel)}
                kg.loss_and_grad(angles[problem], logits[problem], bandwidth=BANDWIDTH, **given)

        together = partial(kdegrad_batch, SMALL, angles, logits, (lows, highs), kernel)
        taken = least({"together": together, "one by one": one_by_one}, ROUNDS)
        one = taken["one by one"] * SMALL.problems / LOOPED
        rows.append((kernel, *_compared(taken["together"], one, SMALL.problems, WANTED_BESIDE_LOOP)))
    header = ("kernel", "a problem in a batch", "one by one", "ratio", "at least")
    yield from table(f"A batch of {SMALL} beside a loop over single problems", header, rows)


def memory() -> Iterator[str]:
    """Yield the peak memory of a batch without the interpreter, the input and the output."""
    sizes = [str(size) for size in (GROUPS, GROUP_POINTS, GROUP_BINS)]
    rows = []
    for kernel in WANTED[SMALL]:
        if kernel != "von-mises":  # needs a circle, and holds what the others do
            command = [sys.executable, "-c", _PEAK, *sizes, kernel]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append((kernel, f"{float(done.stdout):.0f} MB", f"{MOST_MEMORY} MB"))
    title = f"Peak memory of loss_and_grad above input and output, {GROUPS:,} problems with offsets"
    yield from table(f"{title}, {GROUPS * GROUP_POINTS:,} points", ("kernel", "peak", "at most"), rows)


def files() -> Iterator[str]:
    """Yield the time of a command over groups of rows, beside pyarrow reading the file and writing as many columns."""
    if not find_spec("pyarrow"):
        yield "(pyarrow is not installed: reading and writing groups are not compared)"
        return
    import pyarrow.csv

    angles, logits, (lows, highs) = drawn(Shape(GROUPS, GROUP_POINTS, GROUP_BINS))
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder) / name for name in ("points.csv", "ours.csv", "theirs.csv"))
        with source.open("w", encoding="utf-8") as file:
            file.write("image_id,angle,logit,low,high\n")
            groups = zip(angles.tolist(), logits.tolist(), lows.tolist(), highs.tolist(), strict=True)
            for group, (places, values, low, high) in enumerate(groups):
                file.writelines(f"{group},{x!r},{z!r},{low!r},{high!r}\n" for x, z in zip(places, values, strict=True))
        flags = f"--group-by image_id --target-columns low,high --bins {GROUP_BINS} --bandwidth {BANDWIDTH}"
        command = ["grad", str(source), *flags.split(), "--format", "csv", "--output", str(ours)]
        run = partial(subprocess.run, [sys.executable, "-m", "kdegrad", *command], check=True)
        run()
        result = pyarrow.csv.read_csv(ours)
        if result.num_rows != angles.size or result.num_columns != 7:
            raise AssertionError(f"{result.num_rows} rows of {result.column_names}")

        def arrow() -> None:
            pyarrow.csv.read_csv(source)
            pyarrow.csv.write_csv(result, theirs)

        taken = medians({"kdegrad, the whole command": run, "pyarrow, read and write": arrow}, 3)
    base = taken["pyarrow, read and write"]
    limits = (f"{MOST_BESIDE_ARROW:.0f}", "")
    rows = [
        (name, seconds(time), f"{time / base:.2f}", limit)
        for (name, time), limit in zip(taken.items(), limits, strict=True)
    ]
    title = f"{angles.size:,} rows of CSV in {GROUPS:,} groups in, seven columns out"
    yield from table(title, ("by", "time", "ratio", "at most"), rows)


def _compared(ours: float, theirs: float, problems: int, wanted: float) -> tuple[str, ...]:
    """Return both times a problem, their ratio and the ratio that is wanted."""
    return seconds(ours / problems), seconds(theirs / problems), f"{theirs / ours:.1f}", f"{wanted:g}"
