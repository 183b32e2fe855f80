"""Times taken in turn, so that a slow phase of the machine affects everything that is compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)
SHORTEST = 0.05  # seconds: a shorter task is repeated, as in timeit, so that its arrays are in the cache


def medians(tasks: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, float]:
    """Return the median seconds of each task over `rounds`, each of which runs every task."""
    return {name: statistics.median(times) for name, times in _taken(tasks, rounds).items()}


def least(tasks: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, float]:
    """Return the least seconds of each task over `rounds`: what it takes where nothing else slows the machine."""
    return {name: min(times) for name, times in _taken(tasks, rounds).items()}


def _taken(tasks: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, list[float]]:
    taken: dict[Name, list[float]] = {name: [] for name in tasks}
    repeats = {name: 1 + int(SHORTEST / max(_seconds(task, 1), 1e-6)) for name, task in tasks.items()}
    for _ in range(rounds):
        for name, task in tasks.items():
            taken[name].append(_seconds(task, repeats[name]))
    return taken


def _seconds(task: Callable[[], object], repeats: int) -> float:
    """Return the seconds that a task takes, the mean of `repeats` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        task()
    return (time.perf_counter() - start) / repeats
