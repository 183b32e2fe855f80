"""The loss in training on a GPU: ``python -m tests.benchmarks gpu``, on a machine with PyTorch for CUDA and kdegrad."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from tests.benchmarks.batches import Shape
from tests.benchmarks.peers import TORCH_KERNELS
from tests.benchmarks.table import seconds, table
from tests.benchmarks.training import Task, largest_error, tasks

SHAPE = Shape(4_096, 64, 360)
ROUNDS = 10
DTYPE = "float32"


def lines(device: str = "cuda", shape: Shape = SHAPE) -> Iterator[str]:
    """Yield a row of each kernel: least times, peak memory, and errors beside the sums on the CPU in float64.

    On the CPU, where this code is tried without a GPU, memory is not measured.
    """
    if not find_spec("torch"):
        yield "(PyTorch is not installed: no GPU is measured)"
        return
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        yield f"(PyTorch {torch.__version__} finds no CUDA device here: `python -m tests.benchmarks gpu` measures one)"
        return
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    rows = []
    for kernel in TORCH_KERNELS:
        expected = tasks(shape, kernel, "float64")["kdegrad"]()
        compared = tasks(shape, kernel, DTYPE, device)
        (ours, *about_ours), (theirs, *about_theirs) = (_measured(task, device, expected) for task in compared.values())
        rows.append((kernel, *about_ours, *about_theirs, f"{theirs / ours:.1f}"))
    header = ("kernel", "kdegrad", "its peak", "its error", "by hand", "its peak", "its error", "ratio")
    title = f"Training on {name}: loss, and gradients of angles and logits, of {shape}, {DTYPE}; least times"
    yield from table(title, header, rows)


def _measured(task: Task, device: str, expected: tuple[Any, ...]) -> tuple[float, str, str, str]:
    """Return the least seconds of a task, also as text, its peak memory above its tensors and its error."""
    import torch

    is_gpu = device == "cuda"
    memory = "-"
    try:
        error = largest_error(task(), expected)  # the first call warms up
        if is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            task()
            memory = f"{(torch.cuda.max_memory_allocated() - before) / 1e6:,.0f} MB"
        taken = min(_seconds(task, is_gpu) for _ in range(ROUNDS))
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return math.nan, "does not fit", "-", "-"
    return taken, seconds(taken), memory, f"{error:.0e}"


def _seconds(task: Task, is_gpu: bool) -> float:
    """Return the seconds that a task takes: on a GPU those between two of its events."""
    import torch

    if not is_gpu:
        start = time.perf_counter()
        task()
        return time.perf_counter() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    task()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / 1e3
