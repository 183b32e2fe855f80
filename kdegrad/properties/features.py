"""Random problems each of which has a feature that few others have, and by which one kind of error shows.

Lengths are in units of a power of two near the bandwidth (on a circle, of P/32), and places that are to coincide are
multiples of 1/16: so points lie on nodes, edges and antipodes to the last bit, where a slope is the mean of both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Case
from kdegrad.properties.reference_kernels import COMPACT, UNBOUNDED
from kdegrad.settings import Settings
from kdegrad.targets import Points

_UNITS_IN_A_CIRCLE: Final = 32.0
_FARTHEST_CENTRE: Final = 20  # from 0, in units
_CROWD: Final = 300  # points, more in a cell of the fast sums than a cell has proxies
_LIGHT: Final = ("gaussian", "laplace", "logistic", "sigmoid")  # whose tails are not heavy

Draw = Callable[[np.random.Generator], FloatArray]


@final
@dataclass(frozen=True)
class Feature:
    """A kind of problem; angles, the target's half width, the one bin and the bandwidth are in units, from its centre.

    Attributes
    ----------
    kernel
        Its kernel in a run over several.
    kernels
        Those that have the feature: it is drawn in a run over one of them.
    has_points
        Whether its target is the nodes of the bins as points, with weights of their own.
    """

    name: str
    kernel: str
    kernels: Collection[str]
    angles: Draw
    half: float
    bins: int = 1
    at: float | None = None
    logits: Draw | None = None
    bandwidth: float = 1.0
    background: float = 0.0
    circular: bool = False
    exact: bool = False
    has_points: bool = False

    def case(self, like: Settings, kernel: str, seed: int, index: int) -> Case:
        """Return the case of a seed, with a kernel and in lengths like those of some settings."""
        rng = np.random.default_rng((seed, index, 0))
        period, name = None, like.unit
        if self.circular:
            name = like.unit if like.circumference else "degrees"  # which any other circumference may stand beside
            unit = (like.circumference or 2.0 ** _exponent(like.bandwidth * _UNITS_IN_A_CIRCLE)) / _UNITS_IN_A_CIRCLE
            period = unit * _UNITS_IN_A_CIRCLE
        else:
            unit = 2.0 ** _exponent(like.bandwidth)
        angles = self.angles(rng)
        logits = rng.normal(size=len(angles)) if self.logits is None else self.logits(rng)
        centre = float(rng.integers(-_FARTHEST_CENTRE, _FARTHEST_CENTRE + 1))
        problem = Problem(
            unit * (centre + angles),
            logits,
            target=(unit * (centre - self.half), unit * (centre + self.half)),
            kernel=kernel,
            bandwidth=unit * self.bandwidth,
            background=self.background,
            bins=self.bins,
            at=None if self.at is None else unit * (centre + self.at),
            period=period,
            df=like.df,
            unit=name,
            sums=like.sums,
        )
        domain = "circle" if self.circular else "line"
        if self.has_points:
            nodes = problem.rule.nodes
            problem = problem.replace(target=Points(nodes, rng.uniform(0.2, 1.0, len(nodes))))
            domain = f"target points, {domain}"
        return Case(f"#{index}", problem, seed, index, self.exact, f"{self.name}, {domain}")


def features_of(kernel: str, several: bool) -> list[tuple[Feature, str]]:
    """Return the features of a run over one kernel or over several, each with its kernel."""
    if several:
        return [(feature, feature.kernel) for feature in FEATURES]
    return [(feature, kernel) for feature in FEATURES if kernel in feature.kernels]


def _exponent(length: float) -> int:
    """Return the binary exponent of a length, such that 2^it is within the range in which kernels are compared."""
    return max(-100, min(100, math.frexp(length)[1] - 1))


def _sixteenths(*places: int) -> Draw:
    return lambda rng: np.array(places) / 16.0


def _unseen(rng: np.random.Generator) -> FloatArray:
    """Return logits that mask the nearest point and give the next e^-800: for laplace p is that of the far points."""
    return np.append([-math.inf, -800.0], rng.normal(size=3))


_ON_LINE: Final = (*UNBOUNDED, *COMPACT)
# Nodes are the odd sixteenths from -7 to 7. A compact kernel ends 16 sixteenths from its point: at the nodes 5, -1, 7.
_ON_NODES: Final = _sixteenths(-3, 1, 5 + 16, -1 - 16, 7 - 16, 4)
# Nodes are 8, 24, ... sixteenths, and P/2 is 256.
_ON_ANTIPODES: Final = _sixteenths(8 - 256, -56 + 256, 120 - 256, 40, 163)

FEATURES: Final = (
    Feature("on nodes", "laplace", ("laplace",), _ON_NODES, half=0.5, bins=8),
    Feature("on nodes and edges", "triangular", tuple(COMPACT), _ON_NODES, half=0.5, bins=8),
    Feature(
        *("antipodes", "laplace", (*UNBOUNDED, "wrapped-laplace"), _ON_ANTIPODES),
        half=8.0,
        bins=16,
        bandwidth=8.0,
        circular=True,
        has_points=True,
    ),
    Feature(
        *("jumps in the target", "uniform", ("uniform",)),
        lambda rng: np.linspace(-1.3, 1.3, 5) + rng.uniform(-0.1, 0.1, 5),
        half=1.5,
        bins=16,
        exact=True,
    ),
    Feature(
        *("a steep edge", "epanechnikov", ("epanechnikov", "triangular", "cosine")),
        lambda rng: np.array([-0.5, 0.6, 0.4, 0.0]) + rng.uniform(-0.05, 0.05, 4),
        half=0.8,
        bins=16,
        exact=True,
        logits=lambda rng: np.append(0.0, rng.normal(size=3) - 36.0),  # where the first ends, p falls to e^-36 of it
    ),
    Feature(
        *("many turns", "wrapped-gaussian", ("wrapped-gaussian",)),
        lambda rng: rng.uniform(-16.0, 16.0, 5),
        half=9.0,
        bins=12,
        bandwidth=0.37 * _UNITS_IN_A_CIRCLE,
        circular=True,
        has_points=True,
    ),
    Feature(
        *("waves", "wrapped-gaussian", ("wrapped-gaussian",)),
        lambda rng: rng.uniform(-16.0, 16.0, 5),
        half=9.0,
        bins=12,
        bandwidth=0.45 * _UNITS_IN_A_CIRCLE,
        circular=True,
    ),
    Feature(
        *("an integral", "cauchy", tuple(UNBOUNDED)),
        lambda rng: rng.uniform(-3.5, 3.5, 5),
        half=3.0,
        bins=16,
        exact=True,
    ),
    Feature(
        *("one bin beside a background", "laplace", _ON_LINE),
        lambda rng: rng.uniform(-0.9, 0.9, 5),
        half=0.5,
        at=0.25,
        background=0.25,
    ),
    Feature(
        *("unseen", "laplace", _LIGHT),
        lambda rng: np.append([0.9, 1.2], rng.uniform(720.0, 780.0, 3) * [-1.0, 1.0, 1.0]),
        half=0.5,
        bins=8,
        logits=_unseen,
    ),
    Feature(
        *("a crowd", "cauchy", tuple(UNBOUNDED)),
        lambda rng: rng.uniform(-7.0, 7.0, _CROWD),
        half=3.0,
        bins=24,
        has_points=True,
    ),
    Feature("a wide crowd", "gaussian", ("gaussian",), lambda rng: rng.uniform(-7.0, 7.0, _CROWD), half=3.0, bins=24),
)
