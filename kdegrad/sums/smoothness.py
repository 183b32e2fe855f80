"""How wide a cell may be for a polynomial to stand for a kernel on it, to round-off of the kernel itself.

Interpolation at P Chebyshev nodes on a cell of half width a is off by about ρ^-P, where ρ = r/a + √((r/a)² ± 1)
grows with the distance r of the nearest pole, and by about (s a/2)^P/P! for a slope s of log K: both have to be small,
as what is wanted is the kernel's relative error. For P = 16 and 5·10⁻¹⁴ this comes to (measured at 40 digits)

    r/a ≥ 4.1, r² = d² + pole²,     cauchy: pole at i h;  student-t: i h√ν;  logistic: iπh;  sigmoid: iπh/2
    a ≤ 0.7 h and a |k'| ≤ 1.6       gaussian and its circular kin: no pole, but a curvature, and a slope that grows

Compact kernels are polynomials between their kinks (|d| = 0 and h): P above their degree interpolates them exactly.
A pair of cells that a kink may divide is never interpolated; nor is one on which K falls by more than e^8, as rounding
is relative to its largest value there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel

MOST_FALL: Final = 8.0  # of log K over a pair of cells
_DEGREE: Final = 15
_POLE_DISTANCES: Final = 4.1
_CURVATURE: Final = 0.7
_SLOPE: Final = 1.6
_COMPACT: Final = 0.125  # half width of a compact kernel's cell, in bandwidths: a polynomial knows no limit


@dataclass(frozen=True)
class Smoothness:
    """The widest cells, in the unit of the angles.

    Attributes
    ----------
    degree
        P - 1, the degree of a cell's polynomials.
    widest
        The half width that no cell exceeds, however far.
    pole
        The distance of the nearest pole from the real axis, at d = 0; infinite for none.
    curvature
        c, if |k'(d)| may be as large as c·d.
    steepest
        The distance at which the bound c·d meets the largest |k'| there is; infinite where |k'| grows on.
    kinks
        The |d| at which the kernel is not smooth.
    """

    degree: int
    widest: float = math.inf
    pole: float = math.inf
    curvature: float = 0.0
    steepest: float = math.inf
    kinks: tuple[float, ...] = ()

    def half_widths(self, nearest: FloatArray, farthest: FloatArray) -> FloatArray:
        """Return the widest half width, the centre at `nearest` and no point beyond `farthest`."""
        widths = np.full_like(farthest, self.widest)
        if self.pole < math.inf:
            np.minimum(widths, np.hypot(self.pole, nearest) / _POLE_DISTANCES, out=widths)
        if self.curvature > 0.0:
            slope = self.curvature * np.minimum(farthest, self.steepest)
            np.minimum(widths, _SLOPE / np.maximum(slope, 1e-300), out=widths)
        return widths


def smoothness(kernel: Kernel) -> Smoothness | None:
    """Return the rule of a kernel, or None for one that says nothing of its smoothness."""
    facts = kernel.smoothness
    if facts is None:
        return None
    analytic = facts.degree is None
    return Smoothness(
        _DEGREE if facts.degree is None else facts.degree,
        (_CURVATURE if analytic else _COMPACT) * facts.bend,
        facts.pole,
        facts.curvature,
        facts.steepest,
        kernel.kinks,
    )
