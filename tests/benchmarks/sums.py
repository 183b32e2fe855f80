"""What a pair of point and node costs in the dense sum, beside a plain NumPy version."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from kdegrad.domain import Line
from kdegrad.kernels import make_kernel
from kdegrad.sums import log_kernel_sum
from tests.benchmarks.timing import medians

POINTS, NODES, ROUNDS = 20_000, 360, 7


def lines() -> Iterator[str]:
    """Yield nanoseconds a pair for some kernels, and for a textbook log-sum-exp with Laplace."""
    random = np.random.default_rng(0)
    angles, nodes = random.normal(0.0, 60.0, POINTS), np.linspace(-30.0, 30.0, NODES)
    logits = random.normal(size=POINTS)
    kernels = {name: make_kernel(name, 10.0, Line()) for name in ("laplace", "gaussian", "cauchy", "student-t")}
    tasks = {name: partial(log_kernel_sum, kernel, nodes, angles, logits) for name, kernel in kernels.items()}
    tasks["textbook laplace"] = partial(textbook, nodes, angles, logits)
    yield f"dense sum, {POINTS} points and {NODES} nodes, ns a pair (limit 6)"
    for name, seconds in medians(tasks, ROUNDS).items():
        yield f"  {name:16} {seconds / (POINTS * NODES) * 1e9:6.2f}"


def textbook(nodes: np.ndarray, angles: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the same sum for Laplace with h = 10, all pairs at once."""
    exponents = logits - np.abs(nodes[:, None] - angles) / 10.0 - np.log(20.0)
    peaks = exponents.max(axis=1, keepdims=True)
    return np.log(np.exp(exponents - peaks).sum(axis=1)) + peaks[:, 0]
