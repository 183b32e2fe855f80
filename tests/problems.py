"""Named problems: real data, extreme numbers, and a few whose answer is known in closed form.

A `Case` is a problem without its kernel. Cases are small (some hundred pairs), so that the 50-digit oracle can evaluate
them with every kernel; the angles are odd fractions, so that no pair is by accident within rounding of an edge of the
kernel `uniform`, where either side is correct.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdegrad import Problem
from kdegrad.kernel import KERNELS

SAMPLES = Path(__file__).parent.parent / "sample_inputs"

# Every kernel with its options: several df of student-t, from no moments at all to nearly a gaussian.
STUDENT = {"student-t ν=0.3": 0.3, "student-t ν=3": 3.0, "student-t ν=30": 30.0, "student-t ν=1e6": 1e6}
ON_LINE: dict[str, dict[str, Any]] = {
    **{kind.name: {"kernel": kind.name} for kind in KERNELS if "line" in kind.domains and kind.name != "student-t"},
    **{label: {"kernel": "student-t", "df": df} for label, df in STUDENT.items()},
}
NATIVE: dict[str, dict[str, Any]] = {kind.name: {"kernel": kind.name} for kind in KERNELS if "line" not in kind.domains}
ON_CIRCLE = {**ON_LINE, **NATIVE}


@dataclass(frozen=True)
class Case:
    """A problem without its kernel."""

    angles: Sequence[float]
    logits: Sequence[float] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def problem(self, **changes: Any) -> Problem:
        """Return the problem with a kernel and any other changes."""
        return Problem(self.angles, self.logits, **{**self.options, **changes})


def sample(name: str, column: str) -> np.ndarray:
    """Return a column of a file in `sample_inputs`."""
    with (SAMPLES / name).open(encoding="utf-8") as file:
        return np.array([float(row[column]) for row in csv.DictReader(file)])


MALLARDS = sample("mallards.csv", "angle")
MALLARD_COUNTS = sample("mallards.csv", "weight")
TURTLES = sample("turtles.csv", "angle")[::6]
WIND = sample("wind.csv", "angle")[::25]

# The example of the note of 2022 (kdegrad/properties/README.md): two points outside the target, one inside.
NOTE = Case([-75.3, 50.7, 11.9], [0.4, -0.2, -1.3], {"target": (-30, 30), "bandwidth": 100, "bins": 9})
SPREAD = np.array([-91.3, -60.1, -44.7, -20.9, -8.1, -3.3, 1.7, 12.9, 33.1, 58.3, 87.7])
LOGITS = np.array([0.3, -1.2, 2.1, 0.0, -0.7, 1.1, -2.9, 0.4, 0.9, -1.8, 0.2])
OBSERVED = np.array([31.7, -49.3, 5.9, 5.9, -49.3 + 1e-13, 77.1])
SHARES = np.array([2.0, 0.5, 0.0, 1.0, 3.0, 0.7])
EXTREME = np.array([1e300, 1e-300, 0.0, 1.0, 3e-7, 2e299])


def far(bandwidths: float) -> list[float]:
    """Return points that many bandwidths of 1 away from 0, on both sides, some a little farther."""
    return [bandwidths, bandwidths + 0.7, bandwidths + 31.3, -bandwidths, -bandwidths - 2.9]


LINE: dict[str, Case] = {
    "note": NOTE,
    "mallards": Case(MALLARDS, np.log(MALLARD_COUNTS), {"target": (100.1, 250.2), "bandwidth": 97.3, "bins": 8}),
    "turtles": Case(TURTLES, None, {"target": (40.1, 300.2), "bandwidth": 61.7, "bins": 10, "rule": "gauss"}),
    "wind": Case(WIND, None, {"target": (0.1, 1.3), "bandwidth": 1.9, "bins": 8, "unit": "radians"}),
    "spread": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 23.9, "bins": 12}),
    "narrow, far from all": Case(SPREAD, LOGITS, {"target": (-100, 100), "bandwidth": 0.37, "bins": 11}),
    "one point": Case([17.3], [3.0], {"target": (-30, 30), "bandwidth": 53.0, "bins": 7}),
    "twins": Case(
        [3.1, 3.1, 3.1 + 1e-13, -7.7], [0.1, 0.1, 2.0, 0.5], {"target": (-4, 6), "bandwidth": 15.0, "bins": 6}
    ),
    "on a node": Case([0.0, 2.5, -7.3], [0.0, 0.3, 0.1], {"at": 2.5, "bandwidth": 11.0}),
    "masks": Case(SPREAD, np.where(LOGITS > 1.0, -np.inf, LOGITS), {"target": (-30, 30), "bandwidth": 44.1, "bins": 9}),
    "10^3 bandwidths away": Case(
        far(1e3), [0.0, 1.0, 2.0, 0.5, -1.0], {"target": (-2, 3), "bandwidth": 1.0, "bins": 8}
    ),
    "10^6 bandwidths away": Case(
        far(1e6), [0.0, 1.0, 2.0, 0.5, -1.0], {"target": (-2, 3), "bandwidth": 1.0, "bins": 8}
    ),
    "logits of 10^4": Case(SPREAD, 1e4 * np.sin(SPREAD), {"target": (-40, 40), "bandwidth": 71.0, "bins": 10}),
    "logits against distance": Case(
        [0.0, 141.1, -141.7, 9999.3, 40.0],
        [-1e4, 0.0, 1.0, 1e4, -9e3],
        {"target": (-9, 8), "bandwidth": 1.0, "bins": 9},
    ),
    "logits against reach": Case(
        [0.0, 0.3, -0.7, 10.0], [-1e4, -9990.0, -9999.0, 1e4], {"target": (-0.2, 0.25), "bandwidth": 1.0, "bins": 9}
    ),
    "bandwidth 1e-6": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 1e-6, "bins": 9}),
    "bandwidth 1e-6, near": Case(
        [1e-7, -3e-7, 5.1e-7], [0.0, 1.0, 0.5], {"target": (-4e-7, 3e-7), "bandwidth": 1e-6, "bins": 9}
    ),
    "bandwidth 1e9": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 1e9, "bins": 9}),
    "near the edge": Case([1.0 - 1e-9, -1.0 + 1e-13, 0.999], [0.0, 0.5, -30.0], {"at": 0.0, "bandwidth": 1.0}),
    "only the edge reaches": Case([1.0 - 1e-12, 5.0], [0.0, 1.0], {"at": 0.0, "bandwidth": 1.0}),
    "far from the origin": Case(1e8 + SPREAD, LOGITS, {"target": (1e8 - 50, 1e8 + 20), "bandwidth": 83.9, "bins": 8}),
    "background": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 23.9, "bins": 9, "background": 0.3}),
    "background, far": Case(
        far(40.0), [0.0, 1.0, 2.0, 0.5, -1.0], {"target": (-2, 3), "bandwidth": 1.0, "bins": 8, "background": 1e-9}
    ),
    "scale 1e300": Case(SPREAD, LOGITS, {"target": (-30, 30), "bandwidth": 99.1, "bins": 8, "scale": 1e300}),
    "scale 1e-300, background": Case(
        SPREAD, LOGITS, {"target": (-30, 30), "bandwidth": 99.1, "bins": 8, "scale": 1e-300, "background": 1e-301}
    ),
    "one observed angle": Case(SPREAD, LOGITS, {"target": 14.3, "bandwidth": 71.3}),
    "target points": Case(SPREAD, LOGITS, {"target": {"angle": OBSERVED, "weight": SHARES}, "bandwidth": 143.9}),
    "target points of any weight": Case(
        SPREAD, LOGITS, {"target": {"angle": OBSERVED[::-1], "weight": EXTREME}, "bandwidth": 131.7, "scale": 1e-300}
    ),
    "target points, far from all": Case(
        far(1e6), [0.0, 1.0, 2.0, 0.5, -1.0], {"target": {"angle": OBSERVED, "weight": EXTREME}, "bandwidth": 1.0}
    ),
}


def of_kappa(kappa: float, period: float = 360.0) -> float:
    """Return the bandwidth of the von Mises kernel of concentration κ."""
    return period / (2.0 * math.pi * math.sqrt(kappa))


_ROUND = {"circular": True}
CIRCLE: dict[str, Case] = {
    "note": Case(NOTE.angles, NOTE.logits, {**NOTE.options, **_ROUND}),
    "mallards": Case(
        MALLARDS, np.log(MALLARD_COUNTS), {"target": (250.1, 350.2), "bandwidth": 61.3, "bins": 7, **_ROUND}
    ),
    "turtles, target 350 to 370": Case(
        TURTLES, None, {"target": (350.0, 370.0), "bandwidth": 57.3, "bins": 9, **_ROUND}
    ),
    "turtles, target -10 to 10": Case(TURTLES, None, {"target": (-10.0, 10.0), "bandwidth": 57.3, "bins": 9, **_ROUND}),
    "wind": Case(WIND, None, {"target": (-0.3, 0.9), "bandwidth": 0.9, "bins": 8, "unit": "radians", **_ROUND}),
    "turns": Case(
        [0.11, 0.93, 0.507], None, {"target": (0.9, 1.2), "bandwidth": 0.31, "bins": 9, "unit": "turns", **_ROUND}
    ),
    "whole circle": Case(
        SPREAD, LOGITS, {"target": (0, 360), "bandwidth": 143.0, "bins": 12, "rule": "gauss", **_ROUND}
    ),
    "narrow, far from all": Case(SPREAD, LOGITS, {"target": (90, 270), "bandwidth": 0.37, "bins": 11, **_ROUND}),
    "one point": Case([17.3], [3.0], {"target": (300, 400), "bandwidth": 149.0, "bins": 7, **_ROUND}),
    "masks and twins": Case(
        [3.1, 3.1, 3.1 + 1e-13, -7.7, 90.0],
        [0.1, 0.1, -np.inf, 0.5, -np.inf],
        {"target": (340, 365), "bandwidth": 50.0, "bins": 6, **_ROUND},
    ),
    "on a node and its antipode": Case(
        [30.0, 210.0, 390.0, 75.5], [0.0, 0.4, 1.0, -1.0], {"at": 30.0, "bandwidth": 77.7, **_ROUND}
    ),
    "antipode alone": Case([190.0, 189.9, -170.0], None, {"at": 10.0, "bandwidth": 0.9, **_ROUND}),
    "10^5 turns away": Case(
        36_000_000.0 + SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 59.1, "bins": 8, **_ROUND}
    ),
    "logits of 10^4": Case(SPREAD, 1e4 * np.sin(SPREAD), {"target": (-40, 40), "bandwidth": 95.0, "bins": 9, **_ROUND}),
    "bandwidth 1e-6": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 1e-6, "bins": 9, **_ROUND}),
    "bandwidth 1e9": Case(SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 1e9, "bins": 9, **_ROUND}),
    **{
        f"κ = {kappa:g}": Case(
            SPREAD[::2], LOGITS[::2], {"target": (-50, 20), "bandwidth": of_kappa(kappa), "bins": 7, **_ROUND}
        )
        for kappa in (1e-6, 1e-3, 0.5, 24.9, 25.1, 1e3, 1e9)
    },
    "background": Case(
        SPREAD, LOGITS, {"target": (-50, 20), "bandwidth": 23.9, "bins": 9, "background": 0.3, **_ROUND}
    ),
    "scale 1e300, period 7": Case(
        [1.1, 3.3, 6.7], None, {"target": (6, 9), "bandwidth": 1.7, "bins": 8, "scale": 1e300, "period": 7.0}
    ),
    "one observed angle": Case(SPREAD, LOGITS, {"target": 374.3, "bandwidth": 71.3, **_ROUND}),
    "target points, background": Case(
        SPREAD,
        LOGITS,
        {"target": {"angle": 139.7 + OBSERVED, "weight": SHARES}, "bandwidth": 83.9, "background": 0.3, **_ROUND},
    ),
    "target points of any weight": Case(
        SPREAD, LOGITS, {"target": {"angle": 7.0 * OBSERVED, "weight": EXTREME}, "bandwidth": 131.7, **_ROUND}
    ),
    "target points, far from all": Case(
        SPREAD, LOGITS, {"target": {"angle": 180.0 + 0.1 * OBSERVED, "weight": SHARES}, "bandwidth": 0.37, **_ROUND}
    ),
}
# The values of κ are meant for von Mises; compact kernels leave nodes uncovered there, which is tested too.
