"""Sound problems that `verify-props` must not fail: the samples with many settings, and hard problems drawn at random.

`SAMPLES` are the four sample problems by six kernels, six bandwidths and six numbers of bins. `hard_problem` draws
problems whose points lie on nodes, kinks, edges and antipodes within rounding, whole turns away, far out, with targets,
backgrounds, logits and scales at the ends of the range of a float64, three in ten with weighted angles as target.
`python -m tests.false_alarms samples` judges all samples, `python -m tests.false_alarms COUNT [START]` the problems of
COUNT seeds.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import Pool
from typing import Any, Final

import numpy as np

import kdegrad as kg
from kdegrad import KdegradError, Problem
from kdegrad.arrays import FloatArray
from kdegrad.properties.base import Case
from kdegrad.properties.cases import input_case, random_cases
from kdegrad.properties.judge import PROPERTIES, judge
from tests import problems, scale

NAMES: Final = ("mallards", "turtles", "two_sided", "wind")
SAMPLE_KERNELS: Final = ("laplace", "wrapped-laplace", "triangular", "uniform", "gaussian", "von-mises")
BANDWIDTHS: Final = (0.5, 1.0, 7.0, 10.0, 20.0, 60.0)
BINS: Final = (7, 10, 60, 90, 180, 360)


@cache
def loaded(name: str) -> Problem:
    return kg.load(problems.SAMPLES / f"{name}.yaml")


def samples() -> Iterator[tuple[str, str, float, int]]:
    """Yield 792 combinations of a sample with a kernel that its domain has, a bandwidth and a number of bins."""
    for name, kernel, bandwidth, bins in itertools.product(NAMES, SAMPLE_KERNELS, BANDWIDTHS, BINS):
        if loaded(name).settings.circumference is not None or kernel not in problems.NATIVE:
            yield name, kernel, bandwidth, bins


def sample(name: str, kernel: str, bandwidth: float, bins: int) -> Problem:
    return loaded(name).replace(kernel=kernel, bandwidth=bandwidth, bins=bins)


class Scene:
    """What a hard problem is made of: a target with its bins, a bandwidth, a circle or a line."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.kernel, circular = self.pick(scale.KERNELS)
        self.bins = self.pick([1, 2, 7, 10, 43, 60])
        self.low = self.pick([0.0, -30.0, 350.0, -24.776010590885477, rng.uniform(-180.0, 180.0)])
        self.width = self.pick([60.0, 360.0, 90.0, 1.0, rng.uniform(1.0, 100.0)])
        self.period = self.pick([360.0, 360.0, 2.0 * math.pi * 100.0, 400.0]) if circular else None
        spans = [1e-6, 0.01, 0.5, 1.0, 1.0, 2.0, 7.0, 10.0, 60.0, 90.0, 180.0, 720.0, 1e4, 704698.2675875132]
        self.bandwidth = self.pick(spans) * self.pick([1.0, 1.0, rng.uniform(0.5, 2.0)])
        self.count = self.pick([1, 2, 3, 5, 9, 20])
        self.options: dict[str, Any] = {}

    def pick(self, some: Any) -> Any:
        return some[self.rng.integers(len(some))]

    def nodes(self) -> FloatArray:
        """Return some nodes of the midpoint rule, as its formula rounds them."""
        return self.low + (self.rng.integers(0, self.bins, self.count) + 0.5) * (self.width / self.bins)

    def nudged(self, places: FloatArray) -> FloatArray:
        """Return places moved by no, one or a few roundings."""
        ulps = self.rng.integers(-2, 3, len(places)) * self.pick([0, 1, 1, 8])
        return np.asarray(places + ulps * np.spacing(np.abs(places)))


def _on_nodes(scene: Scene) -> FloatArray:
    return scene.nudged(scene.nodes())


def _turns_from_nodes(scene: Scene) -> FloatArray:
    turns = scene.rng.integers(-3, 4, scene.count) * (scene.period or 0.0)
    return np.asarray(_on_nodes(scene) + turns * scene.pick([1.0, 1.0, 1e5]))


def _at_edges(scene: Scene) -> FloatArray:
    """Nodes, or the target's ends, are within rounding of |d| = h."""
    places = scene.pick([scene.nodes(), scene.low + scene.pick([0.0, scene.width]) * np.ones(scene.count)])
    return scene.nudged(places + scene.rng.choice([-1.0, 1.0], scene.count) * scene.bandwidth)


def _at_antipodes(scene: Scene) -> FloatArray:
    return scene.nudged(scene.nodes() + scene.rng.choice([-0.5, 0.5], scene.count) * (scene.period or 360.0))


def _two_decimals(scene: Scene) -> FloatArray:
    return np.asarray(np.round(scene.rng.uniform(0.0, 360.0, scene.count), scene.pick([0, 1, 2])))


def _symmetric(scene: Scene) -> FloatArray:
    middle, distance = scene.low + 0.5 * scene.width, scene.pick([scene.bandwidth, 0.5 * scene.width, 50.0])
    return np.asarray(middle + np.resize([-1.0, 1.0], scene.count) * distance)


def _far_out(scene: Scene) -> FloatArray:
    distance = scene.bandwidth * 10.0 ** scene.rng.uniform(1.0, 16.0)
    spread = scene.pick([0.0, 1.0, 1e3]) * scene.bandwidth * scene.rng.normal(size=scene.count)
    return np.asarray(scene.rng.choice([-1.0, 1.0], scene.count) * distance + spread)


def _uniformly(scene: Scene) -> FloatArray:
    return np.asarray(scene.rng.uniform(-180.0, 180.0, scene.count))


PLACES: Final[tuple[Callable[[Scene], FloatArray], ...]] = (
    *(_on_nodes, _turns_from_nodes, _at_edges, _at_antipodes, _two_decimals, _symmetric, _far_out, _uniformly),
)


def hard_problem(seed: int) -> Problem:
    """Return the hard problem of a seed; every fifth is one of `tests.scale`."""
    if seed % 5 == 0:
        return scale.by_seed(seed)
    rng = np.random.default_rng((seed, 2))
    scene = Scene(rng)
    pick = scene.pick
    angles = pick(PLACES)(scene)
    logits = rng.normal(size=scene.count) * pick([1.0, 1.0, 0.0, 30.0, 1e4, 1e15, 1e307])
    logits = np.where(rng.random(scene.count) < pick([0.0, 0.0, 0.3]), -np.inf, logits)
    logits[0] = pick(
        [
            0.0,
            logits[0] if np.isfinite(logits[0]) else 0.0,
            pick([-1.0, 1.0]) * np.abs(logits[np.isfinite(logits)]).max(initial=1.0),
        ]
    )
    target = (scene.low, scene.low + scene.width)
    if rng.random() < 0.1:  # a target that shifts of a few bandwidths round away
        target = (scene.low, max(scene.low + 1e-13, math.nextafter(scene.low, math.inf)))
    unit = pick([1.0] * 6 + [1e-30, 3e30 / scene.width, math.pi / 180.0, 1e-44])
    options: dict[str, Any] = {
        "target": (target[0] * unit, target[1] * unit),
        "bandwidth": scene.bandwidth * unit,
        "bins": scene.bins,
        "rule": pick(["midpoint", "midpoint", "gauss", "exact"]),
        "scale": pick([1.0, 1.0, 3.0, 1e300, 1e-300]),
        "background": pick([0.0, 0.0, 0.0, 0.3, 1e-12, 1e-300, 0.999]),
        "sums": pick(["auto", "fast", "dense"]),
        "period": None if scene.period is None else scene.period * unit,
        "at": float(scene.nodes()[0] * unit) if rng.random() < 0.15 else None,
    }
    if rng.random() < 0.3 and options["at"] is None:
        options |= _target_points(scene, rng, unit)
    return Problem(angles * unit, logits, **{**options, **scene.kernel})


def _target_points(scene: Scene, rng: np.random.Generator, unit: float) -> dict[str, Any]:
    """Return weighted angles in place of the interval, near it, on nodes of bins, or any; on a line no background."""
    places = scene.pick([scene.nodes(), scene.low + scene.width * rng.random(scene.count), _uniformly(scene)])
    turns = rng.integers(-2, 3, scene.count) * (scene.period or 0.0)
    weights = scene.pick([np.ones(scene.count), 10.0 ** rng.uniform(-300.0, 300.0, scene.count)])
    weights = np.where(rng.random(scene.count) < 0.3, 0.0, weights)
    weights[-1] = weights[-1] or 1.0
    points = kg.Points(scene.nudged(places + turns) * unit, weights)
    return {"target": points} if scene.period is not None else {"target": points, "background": 0.0}


def alarms(case: Case) -> list[str]:
    """Return what fails in a case, with the reason; a warning is an alarm too."""
    found = []
    for property_ in PROPERTIES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            verdict = judge(property_, case)
        if verdict.verdict == "fail":
            found.append(f"{verdict.property}: {verdict.reason}")
        found += [f"{property_.id}: {type(w.message).__name__}: {w.message}" for w in caught]
    return found


def look(chosen: tuple[str, str, float, int] | int) -> tuple[str, list[str]]:
    """Return the name of a sample or of the problem of a seed, and its alarms; of a seed, two random cases too."""
    if isinstance(chosen, tuple):
        return " ".join(map(str, chosen)), alarms(input_case(sample(*chosen), 0, "input"))
    try:
        problem = hard_problem(chosen)
    except KdegradError as error:
        return f"seed {chosen}", [f"refused: {error}"]
    found = alarms(input_case(problem, chosen, "input"))
    for case in itertools.islice(random_cases(problem.settings, range(1, 21), chosen), chosen % 19, chosen % 19 + 1):
        found += [f"case {case.name}: {line}" for line in alarms(case)]
    return f"seed {chosen}", found


def report(chosen: list[Any], jobs: int) -> None:
    """Print the alarms of samples or seeds, and how many there were."""
    outcomes = Counter[str]()
    with Pool(jobs) as pool:
        for name, found in pool.imap_unordered(look, chosen, chunksize=4):
            kind = "refused" if found and found[0].startswith("refused") else "alarm" if found else "sound"
            outcomes[kind] += 1
            for line in found if kind == "alarm" else []:
                print(f"{name}: {line}", flush=True)
    print(f"{len(chosen)} problems: {dict(outcomes)}")


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["samples"]
    if arguments[0] == "samples":
        report(list(samples()), os.cpu_count() or 1)
    else:
        count, start = (*map(int, arguments), 0)[:2]
        report(list(range(start, start + count)), os.cpu_count() or 1)
