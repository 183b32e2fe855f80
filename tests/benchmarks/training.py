"""The loss in training: `kdegrad.torch` beside PyTorch's autograd of the formula, forward and backward on the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.batches import OBSERVED, Shape, drawn, nodes_of
from tests.benchmarks.peers import BANDWIDTH, TORCH_KERNELS, by_hand, options
from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import least
from tests.readme import ROOT

TRAINED, TINY = Shape(512, 64, 360), Shape(5, 7, 10)
WANTED = {"laplace": 25, "gaussian": 8, "von-mises": 4}  # how many times as fast as by hand kdegrad is to be
SMOOTH = ("laplace", "gaussian", "cauchy", "von-mises")
COMPARED = ("float64: kdegrad", "by hand", "ratio", "float32: kdegrad", "by hand", "ratio")
BOUNDS = {"float64": 1e-9, "float32": 1e-5}  # of the error of kdegrad, which sums in float64; by hand it may be more
ROUNDS = 5
THREADS = 2
MOST_MEMORY = 100  # MB

KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "8000000000"}  # glibc then returns no memory to the system

Task = Callable[[], tuple[Any, ...]]
Formula = Callable[[Any, Any, Any, str], Any]


def lines() -> Iterator[str]:
    """Yield the tables of this module."""
    if not find_spec("torch"):
        yield "(PyTorch is not installed: training is not compared)"
        return
    yield from kernels()
    yield from shapes()
    yield from faster_by_hand()
    yield from memory()


def tasks(shape: Shape, kernel: str, dtype: str, device: str = "cpu", formula: Formula = by_hand) -> dict[str, Task]:
    """Return what is compared: tasks that return the losses and their gradients of angles and logits."""
    import torch

    from kdegrad.torch import kde_cross_entropy

    angles, logits, target = (  # the same numbers in both dtypes
        torch.from_numpy(np.array(part, np.float32)).to(device, getattr(torch, dtype)) for part in drawn(shape)
    )
    points = angles.requires_grad_(), logits.requires_grad_()
    wanted: Any = target if shape.nodes == 1 else tuple(target)
    given = {"bandwidth": BANDWIDTH, "bins": shape.nodes, "reduction": "none", **options(kernel)}

    def differentiated(losses: Any) -> tuple[Any, ...]:
        gradients = torch.autograd.grad(losses.sum(), points, allow_unused=True, materialize_grads=True)
        return losses.detach(), *gradients

    return {
        "kdegrad": lambda: differentiated(kde_cross_entropy(*points, wanted, **given)),
        "by hand": lambda: differentiated(formula(*points, nodes_of(shape, wanted), kernel)),
    }


def largest_error(found: tuple[Any, ...], expected: tuple[Any, ...]) -> float:
    """Return the largest of ‖found - expected‖/‖expected‖, where no density is 0: by hand it has a floor."""
    found, expected = ([part.double().cpu() for part in parts] for parts in (found, expected))
    defined = found[0].isfinite() & expected[0].isfinite()
    pairs = ((one[defined], other[defined]) for one, other in zip(found, expected, strict=True))
    return max(float((one - other).norm() / other.norm().clamp(min=1e-9)) for one, other in pairs)


def kernels() -> Iterator[str]:
    """Yield the times of all kernels in both dtypes, on one thread."""
    rows = []
    for kernel in TORCH_KERNELS:
        double, single = _compared(TRAINED, kernel, 1)
        rows.append((kernel, *double, str(WANTED.get(kernel, "")), *single))
    header = ("kernel", *COMPARED[:3], "at least", *COMPARED[3:])
    title = f"Training: losses, and gradients of angles and logits, of {TRAINED}, CPU, one thread; least times"
    yield from table(title, header, rows)


def shapes() -> Iterator[str]:
    """Yield the times of other shapes, and with more threads."""
    rows = []
    cases = ((TRAINED, THREADS), (OBSERVED, 1), (OBSERVED, THREADS), (TINY, 1))
    for (shape, threads), kernel in product(cases, SMOOTH):
        double, single = _compared(shape, kernel, threads)
        rows.append((str(shape), str(threads), kernel, *double, *single))
    header = ("problems × (points × nodes)", "threads", "kernel", *COMPARED)
    yield from table("The same of other shapes, and with more threads of PyTorch's", header, rows)


def faster_by_hand() -> Iterator[str]:
    """Yield the times where the heap keeps what is freed, by hand as it is and compiled."""
    if sys.platform != "linux" or not shutil.which("g++"):
        yield "(torch.compile is measured on Linux with g++ only)"
        return
    rows = []
    for kernel in SMOOTH:
        ours, *theirs = map(float, _in_process("kept", kernel, **KEPT).split())
        rows.append((kernel, seconds(ours), *(text for t in theirs for text in (seconds(t), f"{t / ours:.1f}"))))
    header = ("kernel", "kdegrad", "by hand", "ratio", "by hand, torch.compile", "ratio")
    title = f"The same of {TRAINED}, float64, one thread, where malloc keeps freed memory (MALLOC_MMAP_MAX_=0)"
    yield from table(title, header, rows)


def kept(kernel: str) -> str:
    """Return the least seconds by kdegrad, by hand, and by hand as `torch.compile` makes it."""
    import torch

    torch.set_num_threads(1)
    compared = tasks(TRAINED, kernel, "float64")
    compared["compiled"] = tasks(TRAINED, kernel, "float64", formula=torch.compile(by_hand))["by hand"]
    compared["compiled"]()  # which compiles
    return " ".join(map(str, least(compared, ROUNDS).values()))


def memory() -> Iterator[str]:
    """Yield by how much the memory of a process grows at its peak, beside the tensors that are given."""
    if not Path("/proc/self/clear_refs").exists():
        yield "(the peak memory of training is measured on Linux only)"
        return
    rows = []
    for kernel, dtype in product((*SMOOTH, "epanechnikov"), BOUNDS):
        peaks = (f"{float(_in_process('peak', kernel, dtype, name)):.0f} MB" for name in ("kdegrad", "by hand"))
        rows.append((kernel, dtype, *peaks, f"{MOST_MEMORY} MB"))
    header = ("kernel", "dtype", "kdegrad", "by hand", "kdegrad at most")
    yield from table(f"Peak memory of the same above its tensors, {TRAINED}", header, rows)


def peak(kernel: str, dtype: str, name: str) -> float:
    """Return by how many MB the resident memory of this process grows while a task runs, after one that is small."""
    import torch

    torch.set_num_threads(1)
    tasks(TINY, kernel, dtype)[name]()
    task = tasks(TRAINED, kernel, dtype)[name]
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is now what is resident
    before = _high_water()
    task()
    return (_high_water() - before) / 1e3


def _high_water() -> int:
    """Return the peak of this process's resident memory in kB; `ru_maxrss` would include its parent's."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _in_process(function: str, *arguments: str, **environment: str) -> str:
    """Return what a function of this module gives in a process of its own."""
    code = f"import sys; from tests.benchmarks.training import {function}; print({function}(*sys.argv[1:]))"
    command, environment = [sys.executable, "-c", code, *arguments], {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def _compared(shape: Shape, kernel: str, threads: int) -> Iterator[tuple[str, str, str]]:
    """Yield both times and their ratio, of float64 and of float32; what kdegrad computes is compared first."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    compared = {(dtype, by): task for dtype in BOUNDS for by, task in tasks(shape, kernel, dtype).items()}
    expected = compared["float64", "by hand"]()
    for dtype, bound in BOUNDS.items():
        if not (error := largest_error(compared[dtype, "kdegrad"](), expected)) < bound:
            raise AssertionError(f"{shape}, {kernel}, {dtype}: {error:.1g}")
    taken = least(compared, ROUNDS)
    torch.set_num_threads(before)
    for dtype in BOUNDS:
        ours, theirs = taken[dtype, "kdegrad"], taken[dtype, "by hand"]
        yield seconds(ours), seconds(theirs), f"{theirs / ours:.1f}"
