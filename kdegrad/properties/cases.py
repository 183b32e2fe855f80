"""Random problems, each of a named kind, on which the properties are checked beside the user's own points.

A kind says where the points lie as seen from the target. Lengths are in bandwidths (on a circle not above P/24), so
that every kernel sees the same picture; those of a compact kernel are drawn in far enough for every bin to be covered.
The kinds together meet every precondition that the kernel can meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import BY_NAME
from kdegrad.problem import Problem
from kdegrad.properties.base import Case
from kdegrad.properties.reference_kernels import COMPACT, NATIVE
from kdegrad.settings import Settings

_CARRIED: Final = ("kernel", "bandwidth", "df", "unit", "sums")  # what a random problem takes over from the user's
_PERIOD_IN_BANDWIDTHS: Final = 30.0  # of the circles beside a problem on the line
_WIDEST: Final = 1e50  # bandwidth of a random problem, and one over the narrowest: their squares are within float64
_WIDEST_ON_CIRCLE: Final = 1e9  # of P, and one over the narrowest: the target must be many roundings wide
_OWN_PAIRS: Final = 500_000  # N·B of the user's own points, beyond which their bins are cut
_FEWEST_BINS: Final = 4


@dataclass(frozen=True)
class Scene:
    """What the points of a random problem are drawn in: lengths are in units of `length`, seen from the centre.

    Attributes
    ----------
    rng
        Draws everything.
    half
        Half the target's width.
    reach
        How far beyond the target's edge a point may lie.
    far
        How far beyond it a far point may lie; None for a compact kernel, of which a far point is just out of reach.
    half_circle
        P/2; infinite on the line.
    """

    rng: np.random.Generator
    half: float
    reach: float
    far: float | None
    half_circle: float

    def outside(self, count: int, reach: float | None = None) -> FloatArray:
        """Return distances beyond the edge, shape (count,)."""
        reach = self.reach if reach is None else reach
        return np.asarray(self.half + reach * self.rng.uniform(0.03, 1.0, count))

    def sides(self, count: int) -> FloatArray:
        """Return signs, both of them among the first two."""
        return np.append([-1.0, 1.0], self.rng.choice([-1.0, 1.0], max(0, count - 2)))[:count]


Drawing = tuple[FloatArray, dict[str, Any]]  # offsets from the centre, and what else the kind sets
Kind = Callable[[Scene], Drawing]


def _both_sides(scene: Scene) -> Drawing:
    n = int(scene.rng.integers(4, 10))
    return scene.sides(n) * scene.outside(n), {}


def _one_side(scene: Scene) -> Drawing:
    n = int(scene.rng.integers(3, 8))
    return scene.rng.choice([-1.0, 1.0]) * scene.outside(n), {}


def _some_inside(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return np.append(offsets, scene.rng.uniform(-scene.half, scene.half, 3)), {"scale": 2.5}


def _twins(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return np.concatenate([offsets, offsets[:3]]), {}


def _far(scene: Scene) -> Drawing:
    """One near and three far; those of a compact kernel come into reach when all move in by the way of the near one."""
    near = scene.outside(1)
    just_out = 1.0 + near * scene.rng.uniform(0.1, 0.9, 3)
    strays = just_out if scene.far is None else scene.outside(3, scene.far)
    return np.append(near, scene.sides(3) * strays), {"logits": np.array([0.0, 2.0, -1.0, 1.0])}


def _skewed_logits(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return offsets, {"logits": 50.0 * scene.rng.normal(size=len(offsets))}


def _masks(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    logits = scene.rng.normal(size=len(offsets))
    logits[2:4] = -math.inf
    return offsets, {"logits": logits}


def _equal_distances(scene: Scene) -> Drawing:
    return scene.sides(5) * scene.outside(1), {}


def _background(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return offsets, {"background": float(scene.rng.uniform(0.05, 0.5))}


def _background_one_side(scene: Scene) -> Drawing:
    offsets, _ = _one_side(scene)
    return offsets, {"background": float(scene.rng.uniform(0.05, 0.5)), "scale": 0.3}


def _single_point(scene: Scene) -> Drawing:
    return scene.outside(1), {}


def _gauss_rule(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return offsets, {"rule": "gauss", "scale": 1e-3}


def _one_bin(scene: Scene) -> Drawing:
    offsets, _ = _both_sides(scene)
    return offsets, {"bins": 1}


def _all_round(scene: Scene) -> Drawing:
    reach = scene.reach if math.isinf(scene.half_circle) else scene.half_circle - scene.half
    return np.append(scene.sides(6) * scene.outside(6, reach), 0.3 * scene.half), {}


def _far_side(scene: Scene) -> Drawing:
    """Near the antipode of the target's far edge: as far as points can be without their antipode in the target."""
    distances = scene.half_circle - scene.half - scene.rng.uniform(0.0, 3.0, 4)
    return scene.sides(4) * distances, {}


def _far_side_one_side(scene: Scene) -> Drawing:
    offsets, _ = _far_side(scene)
    return np.abs(offsets), {}


LINE_KINDS: Final[dict[str, Kind]] = {
    "both sides": _both_sides,
    "one side": _one_side,
    "some inside": _some_inside,
    "background": _background,
    "far": _far,
    "twins": _twins,
    "skewed logits": _skewed_logits,
    "background, one side": _background_one_side,
    "masks": _masks,
    "equal distances": _equal_distances,
    "Gauss rule": _gauss_rule,
    "single point": _single_point,
    "one bin": _one_bin,
}
CIRCLE_KINDS: Final[dict[str, Kind]] = {
    "both sides": _both_sides,
    "all round": _all_round,
    "one side": _one_side,
    "far side": _far_side,
    "background": _background,
    "far": _far,
    "far side, one side": _far_side_one_side,
    "twins": _twins,
    "some inside": _some_inside,
    "skewed logits": _skewed_logits,
    "masks": _masks,
    "equal distances": _equal_distances,
    "Gauss rule": _gauss_rule,
}
_SHARED_PATTERN: Final = ("line", "circle", "line")  # of the domains, for a kernel that lives on both


def input_case(problem: Problem, seed: int, name: str) -> Case:
    """Return the user's own points as the case `name`: by bins, and no more of them than a plain check can bear."""
    settings, n = problem.settings, len(problem.angles)
    exact = settings.rule == "exact"
    bins = max(_FEWEST_BINS, _OWN_PAIRS // n)
    if settings.bins > bins:
        name, problem = f"{name} by {bins} bins", problem.replace(bins=bins, rule="midpoint")
    elif exact:
        problem = problem.replace(rule="midpoint")
    return Case(name, problem, seed, 0, exact)


def random_cases(like: Settings, count: int, seed: int) -> Iterator[Case]:
    """Yield `count` problems with the kernel, bandwidth (within reason) and sums of `like`, the same for a seed."""
    pattern = ("circle",) if _full_name(like) in NATIVE else _SHARED_PATTERN
    drawn = {"line": 0, "circle": 0}
    for index in range(1, count + 1):
        domain = pattern[(index - 1) % len(pattern)]
        kinds = LINE_KINDS if domain == "line" else CIRCLE_KINDS
        kind = list(kinds)[drawn[domain] % len(kinds)]
        drawn[domain] += 1
        rng = np.random.default_rng((seed, index, 0))
        problem = _problem(like, domain == "circle", kinds[kind], rng)
        yield Case(f"{index} {kind}, {domain}", problem, seed, index)


def _problem(like: Settings, circular: bool, kind: Kind, rng: np.random.Generator) -> Problem:
    """Return a problem of one kind round a centre of its own."""
    options: dict[str, Any] = {name: getattr(like, name) for name in _CARRIED}
    length = options["bandwidth"] = min(max(like.bandwidth, 1.0 / _WIDEST), _WIDEST)
    half_circle, spread = math.inf, 20.0 * length
    if circular:
        period = options["period"] = like.circumference or _PERIOD_IN_BANDWIDTHS * length
        options["bandwidth"] = min(max(length, period / _WIDEST_ON_CIRCLE), period * _WIDEST_ON_CIRCLE)
        length = min(options["bandwidth"], period / 24.0)
        half_circle, spread = 0.5 * period / length, period
    compact = _full_name(like) in COMPACT
    scene = Scene(
        rng,
        half=float(rng.uniform(0.15, 0.3) if compact else rng.uniform(0.5, 3.0)),
        reach=0.3 if compact else 6.0,
        far=None if compact else (8.0 if circular else 1e3),
        half_circle=half_circle,
    )
    offsets, extras = kind(scene)
    middle = float(rng.uniform(-spread, spread))
    logits = extras.pop("logits", rng.normal(size=len(offsets)))
    angles = middle + length * offsets
    return Problem(
        np.mod(angles, options["period"])
        if circular
        else angles,  # the target stays where it is, across the wrap or not
        logits,
        target=(middle - length * scene.half, middle + length * scene.half),
        **{**options, "bins": int(rng.integers(9, 65)), **extras},
    )


def _full_name(settings: Settings) -> str:
    """Return the kernel's name, where the settings may have an alias."""
    return BY_NAME[settings.kernel.lower()].name
