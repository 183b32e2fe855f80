"""Random problems, each of a named kind, on which the properties are checked in addition to the user's own points.

A kind says where the points lie as seen from the target. Lengths are in bandwidths (on a circle at most P/24), so
that every kernel meets the same geometry; those of a compact kernel are drawn in until every bin is covered.
The kinds together meet every precondition that the kernel can meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any, Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import BY_NAME
from kdegrad.problem import Problem
from kdegrad.properties.base import Case
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.features import features_of
from kdegrad.properties.geometry import offsets
from kdegrad.settings import Settings
from kdegrad.targets import Points, TargetLike

_CARRIED: Final = ("kernel", "bandwidth", "df", "unit", "sums")  # what a random problem takes over from the user's
_PERIOD_IN_BANDWIDTHS: Final = 30.0  # circumference of the circles that are drawn for a problem on the line
_WIDEST: Final = 1e50  # bandwidth of a random problem, and one over the narrowest: their squares are within float64
_WIDEST_ON_CIRCLE: Final = 1e9  # the same in units of P: the target must be many roundings wide
_MOST_OBSERVED: Final = 12  # target points
_ACROSS: Final = 0.5  # of the circles with target points: how many have these across the wrap
_JUDGED_POINTS: Final = 6  # in each random problem for a judged loss
_FEW: Final = 64
_DIGITS: Final = 3  # of their numbers, which a person is shown, after the first one of the target's half width
_MOST_DECIMALS: Final = 15
_OWN_PAIRS: Final = 500_000  # N·B of the user's own points, beyond which their bins are cut
_FEWEST_BINS: Final = 4


@final
@dataclass(frozen=True)
class Scene:
    """What the points of a random problem are drawn in: lengths are in bandwidths, seen from the target's centre."""

    rng: np.random.Generator
    half: float  # the target's half width
    reach: float  # how far beyond the target's edge a point may lie
    far: float | None  # and a far point; None for a compact kernel, of which a far point is just out of reach
    half_circle: float  # P/2; infinite on the line

    def outside(self, count: int, reach: float | None = None) -> FloatArray:
        """Return distances beyond the edge, shape (count,)."""
        reach = self.reach if reach is None else reach
        return np.asarray(self.half + reach * self.rng.uniform(0.03, 1.0, count))

    def sides(self, count: int) -> FloatArray:
        """Return signs, both of them among the first two."""
        return np.append([-1.0, 1.0], self.rng.choice([-1.0, 1.0], max(0, count - 2)))[:count]


def _both_sides(scene: Scene) -> FloatArray:
    n = int(scene.rng.integers(4, 10))
    return scene.sides(n) * scene.outside(n)


def _one_side(scene: Scene) -> FloatArray:
    n = int(scene.rng.integers(3, 8))
    return np.asarray(scene.rng.choice([-1.0, 1.0]) * scene.outside(n))


def _far(scene: Scene) -> FloatArray:
    """One near and three far; these come into reach of a compact kernel when all move in until the near one is at c."""
    near = scene.outside(1)
    just_out = 1.0 + near * scene.rng.uniform(0.1, 0.9, 3)
    strays = just_out if scene.far is None else scene.outside(3, scene.far)
    return np.append(near, scene.sides(3) * strays)


def _far_side(scene: Scene) -> FloatArray:
    """Near the antipode of the target's far edge: as far as points can be without their antipode in the target."""
    distances = scene.half_circle - scene.half - scene.rng.uniform(0.0, 3.0, 4)
    return scene.sides(4) * distances


@final
@dataclass(frozen=True)
class Kind:
    """A kind of random problem: where its points lie as seen from the centre, and what else is particular."""

    offsets: Callable[[Scene], FloatArray]
    logits: Callable[[np.random.Generator, int], FloatArray] | None = None
    has_background: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def _observations(rng: np.random.Generator) -> tuple[FloatArray, FloatArray | None]:
    return rng.uniform(-1.0, 1.0, int(rng.integers(1, _MOST_OBSERVED + 1))), None


def _soft_label(rng: np.random.Generator) -> tuple[FloatArray, FloatArray | None]:
    """Return the centres of bins, some of them without weight."""
    bins = int(rng.integers(5, _MOST_OBSERVED + 1))
    weights = np.where(np.arange(bins) % 3 == rng.integers(0, 3), 0.0, rng.uniform(0.1, 1.0, bins))
    return (2.0 * np.arange(bins) + 1.0) / bins - 1.0, weights


def _one_heavy(rng: np.random.Generator) -> tuple[FloatArray, FloatArray | None]:
    count = int(rng.integers(2, _MOST_OBSERVED + 1))
    return rng.uniform(-1.0, 1.0, count), np.where(np.arange(count) == 1, 1e6, rng.uniform(0.1, 1.0, count))


POINTS: Final = {"observations": _observations, "soft label": _soft_label, "one heavy": _one_heavy}
KINDS: Final = {
    "both sides": Kind(_both_sides),
    "one side": Kind(_one_side),
    "some inside": Kind(
        lambda scene: np.append(_both_sides(scene), scene.rng.uniform(-scene.half, scene.half, 3)),
        options={"scale": 2.5},
    ),
    "twins": Kind(lambda scene: np.append(offsets := _both_sides(scene), offsets[:3])),
    "far": Kind(_far, lambda _, n: np.array([0.0, 2.0, -1.0, 1.0])),
    "skewed logits": Kind(_both_sides, lambda rng, n: 50.0 * rng.normal(size=n)),
    "masks": Kind(_both_sides, lambda rng, n: np.where(np.arange(n) // 2 == 1, -math.inf, rng.normal(size=n))),
    "equal distances": Kind(lambda scene: scene.sides(5) * scene.outside(1)),
    "background": Kind(_both_sides, has_background=True),
    "background, one side": Kind(_one_side, has_background=True, options={"scale": 0.3}),
    "single point": Kind(lambda scene: scene.outside(1)),
    "Gauss rule": Kind(_both_sides, options={"rule": "gauss", "scale": 1e-3}),
    "one bin": Kind(_both_sides, options={"bins": 1}),
    "all round": Kind(
        lambda scene: np.append(scene.sides(6) * scene.outside(6, scene.half_circle - scene.half), 0.3 * scene.half)
    ),
    "far side": Kind(_far_side),
    "far side, one side": Kind(lambda scene: np.abs(_far_side(scene))),
}
ON_LINE: Final = (
    *("both sides", "one side", "Gauss rule", "skewed logits", "background", "far", "twins", "some inside"),
    *("background, one side", "masks", "equal distances", "single point", "one bin"),
)
ON_CIRCLE: Final = (
    *("both sides", "all round", "one side", "far side", "background", "far", "far side, one side", "twins"),
    *("some inside", "skewed logits", "masks", "equal distances", "Gauss rule"),
)
POINTS_ON_LINE: Final = (
    *("both sides", "one side", "far", "some inside", "twins", "masks", "skewed logits", "single point"),
)
POINTS_ON_CIRCLE: Final = (
    *("both sides", "background", "all round", "one side", "far side", "some inside", "masks", "skewed logits"),
    "background, one side",
)


def input_case(problem: Problem, seed: int, name: str) -> Case:
    """Return the user's own points as the case `name`: by bins, no more of them than the reference can sum."""
    settings, kind = problem.settings, ""
    exact = settings.rule == "exact"
    bins = max(_FEWEST_BINS, _OWN_PAIRS // len(problem.angles))
    if (observed := problem.target_points) is not None:
        exact = False
        if len(observed.active) > bins:
            chosen = observed.active[np.linspace(0, len(observed.active) - 1, bins).astype(int)]
            fewer = Points(observed.angles[chosen], observed.weights[chosen])
            kind, problem = f"{bins} of its target points", problem.replace(target=fewer)
    elif settings.bins > bins:
        kind, problem = f"by fewer bins than its {settings.bins}", problem.replace(bins=bins, rule="midpoint")
    elif exact:
        problem = problem.replace(rule="midpoint")
    return Case(name, problem, seed, 0, exact, kind)


def random_cases(like: Settings, numbers: Iterable[int], seed: int, several: bool = False) -> Iterator[Case]:
    """Yield the problems of these numbers, from 1 on, with the kernel, bandwidth (within reason) and sums of `like`.

    Each depends on its number and the seed alone. Those with a feature come first: in a run over several kernels all
    of them, each with its own kernel. A third of the others, on the line and on the circle, have weighted angles as
    target.
    """
    wanted = set(numbers)
    features = features_of(BY_NAME[like.kernel.lower()].name, several)
    domains = BY_NAME[like.kernel.lower()].domains
    kinds = {"line": cycle(ON_LINE), "circle": cycle(ON_CIRCLE)}
    kinds_with_points = {"line": cycle(POINTS_ON_LINE), "circle": cycle(POINTS_ON_CIRCLE)}
    layouts = cycle(POINTS)
    for index in range(1, max(wanted, default=0) + 1):
        if index <= len(features):
            feature, kernel = features[index - 1]
            if index in wanted:
                yield feature.case(like, kernel, seed, index)
            continue
        domain = "circle" if "line" not in domains or index % 3 == 2 else "line"
        has_points = (index + index // 3) % 3 == 0  # 5, 7, 9, 14, 16, 18, ...: the first of three is on the circle
        kind, layout = next((kinds_with_points if has_points else kinds)[domain]), next(layouts) if has_points else ""
        if index in wanted:  # the kinds take turns all the same
            rng, about = np.random.default_rng((seed, index, 0)), ", ".join(filter(None, (kind, layout, domain)))
            problem = _problem(like, domain == "circle", KINDS[kind], rng, layout)
            yield Case(f"#{index}", problem, seed, index, kind=about)


def judged_cases(
    like: Settings, numbers: Iterable[int], seed: int, ask: Judged, own: Sequence[Case] = ()
) -> Iterator[Case]:
    """Yield the problems of these numbers for a judged loss, of the domain and the settings of `like`, as it sees them.

    Scale and background are drawn where the loss can be told them. Each problem has as many points as the others: JAX
    compiles a loss anew for each shape, and there they are as many as in the first of the user's `own` cases, if few.
    """
    is_compiled = ask.of.backend == "jax"
    usual = _JUDGED_POINTS
    if is_compiled and own and len(own[0].problem.angles) <= _FEW:
        usual = len(own[0].problem.angles)
    circular = like.circumference is not None
    kinds = [name for name in (ON_CIRCLE if circular else ON_LINE) if _is_judged(KINDS[name], ask)]
    for index in numbers:
        name = kinds[(index - 1) % len(kinds)]
        drawn = _problem(like, circular, KINDS[name], np.random.default_rng((seed, index, 0)))
        told = {option: getattr(drawn.settings, option) for option in ("scale", "background") if ask.takes(option)}
        points = 1 if len(drawn.angles) == 1 and not is_compiled else usual
        centre, half = ask.precision.spread * drawn.centre, 0.5 * drawn.interval.width
        decimals = min(max(_DIGITS - math.floor(math.log10(half)), -_MOST_DECIMALS), _MOST_DECIMALS)
        low, high = np.round([centre - half, centre + half], decimals).tolist()
        if not low < high:  # smaller than any number with so many decimals
            low, high = centre - half, centre + half
        problem = Problem(
            np.round(centre + np.resize(offsets(drawn), points), decimals),
            np.round(np.resize(drawn.logits, points), _DIGITS),
            target=(low, high),
            **{**asdict(like), "rule": "midpoint", **told},
        )
        about = f"{name}, {'circle' if circular else 'line'}"
        yield Case(f"#{index}", ask.case_of(problem), seed, index, kind=about)


def _is_judged(kind: Kind, ask: Judged) -> bool:
    """Return whether a judged loss can be given such problems: their bins and rule are not those that are declared."""
    return not kind.options.keys() & {"bins", "rule"} and (ask.takes("background") or not kind.has_background)


def _problem(like: Settings, circular: bool, kind: Kind, rng: np.random.Generator, layout: str = "") -> Problem:
    """Return a problem of one kind round a centre of its own, whose target is an interval or points of a layout."""
    options: dict[str, Any] = {name: getattr(like, name) for name in _CARRIED}
    length = options["bandwidth"] = min(max(like.bandwidth, 1.0 / _WIDEST), _WIDEST)
    half_circle, spread = math.inf, 20.0 * length
    if circular:
        period = options["period"] = like.circumference or _PERIOD_IN_BANDWIDTHS * length
        if like.circumference is None:  # the circle that is made up is no full turn of the user's unit
            del options["unit"]
        options["bandwidth"] = min(max(length, period / _WIDEST_ON_CIRCLE), period * _WIDEST_ON_CIRCLE)
        length = min(options["bandwidth"], period / 24.0)
        half_circle, spread = 0.5 * period / length, period
    compact = BY_NAME[like.kernel.lower()].tail == "compact"
    scene = Scene(
        rng,
        half=float(rng.uniform(0.15, 0.3) if compact else rng.uniform(0.5, 3.0)),
        reach=0.3 if compact else 6.0,
        far=None if compact else (8.0 if circular else 1e3),
        half_circle=half_circle,
    )
    offsets = kind.offsets(scene)
    logits = None if kind.logits is None else kind.logits(rng, len(offsets))
    if kind.has_background:
        options["background"] = float(rng.uniform(0.05, 0.5))
    middle = float(rng.uniform(-spread, spread))
    if layout and circular and rng.random() < _ACROSS:
        middle = length * scene.half * float(rng.uniform(-0.5, 0.5))
    usual = rng.normal(size=len(offsets))  # drawn for every kind: the later draws do not depend on it
    angles = middle + length * offsets
    if circular:
        angles = np.mod(angles, options["period"])  # the target stays where it is, across the wrap or not
    options["bins"] = int(rng.integers(9, 65))
    target: TargetLike = (middle - length * scene.half, middle + length * scene.half)
    if layout:
        places, weights = POINTS[layout](rng)
        places = middle + length * scene.half * places
        target = Points(np.mod(places, options["period"]) if circular else places, weights)
    return Problem(angles, usual if logits is None else logits, target=target, **{**options, **kind.options})
