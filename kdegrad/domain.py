"""The domains of the angles, the line and circles, and the difference ⊖ of two places on each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from kdegrad.arrays import FloatArray

_FINE: Final = 2.0**-40  # rounding of a coordinate in an interval, in units of its width


class Domain(ABC):
    """A one-dimensional space on which ⊖ is defined."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def measure(self) -> float:
        """Total length: infinite, or the circumference."""

    @abstractmethod
    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return x ⊖ y, the signed displacement from y to x, broadcast, in the unit of the angles."""

    @abstractmethod
    def reduced(self, x: FloatArray) -> FloatArray:
        """Return the coordinate of the place x that is nearest to 0, without rounding."""

    @abstractmethod
    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        """Return the coordinate of x that is reached first going upward from `start`."""

    @abstractmethod
    def reduced_interval(self, low: float, high: float) -> tuple[float, float]:
        """Return the ends of an interval, on a circle without whole turns where they leave few digits to its places.

        The width stays as it is.
        """

    def reduced_intervals(self, lows: FloatArray, highs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what `reduced_interval` does to the ends of many intervals, each (G,)."""
        if self.measure == math.inf:
            return lows, highs
        is_coarse = np.spacing(np.maximum(np.abs(lows), np.abs(highs))) > _FINE * (highs - lows)
        if not is_coarse.any():
            return lows, highs
        lows, highs = lows.copy(), highs.copy()
        for each in np.flatnonzero(is_coarse):
            lows[each], highs[each] = self.reduced_interval(float(lows[each]), float(highs[each]))
        return lows, highs


@final
@dataclass(frozen=True)
class Line(Domain):
    """The real line: x ⊖ y = x - y."""

    name: ClassVar[str] = "line"

    @property
    def measure(self) -> float:
        return math.inf

    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        return x - y

    def reduced(self, x: FloatArray) -> FloatArray:
        return x

    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        return x

    def reduced_interval(self, low: float, high: float) -> tuple[float, float]:
        return low, high


@final
@dataclass(frozen=True)
class Circle(Domain):
    """The circle of circumference P: x ⊖ y is the signed length of the shorter arc, in [-P/2, P/2]."""

    period: float
    name: ClassVar[str] = "circle"

    @property
    def measure(self) -> float:
        return self.period

    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        # d - P·round(d/P), in place. Both places are reduced first, which is exact: d has one rounding, of less than P
        d = self.reduced(x) - self.reduced(y)
        turns = d / self.period
        np.rint(turns, out=turns)
        turns *= self.period
        d -= turns
        return d

    def reduced(self, x: FloatArray) -> FloatArray:
        if np.abs(x).max(initial=0.0) <= 0.5 * self.period:
            return x
        turns = np.rint(x / self.period)
        if np.abs(turns).max(initial=0.0) > 1.0:  # fmod is exact, and so is it to subtract the first turn
            x = np.fmod(x, self.period)
            turns = np.rint(x / self.period)
        turns *= -self.period
        turns += x
        return turns

    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        return start + np.mod(self.reduced(x) - start, self.period)

    def reduced_interval(self, low: float, high: float) -> tuple[float, float]:
        if math.ulp(max(abs(low), abs(high))) <= _FINE * (high - low):  # the nodes stand where the target is given
            return low, high
        from fractions import Fraction  # imported here because few targets need it

        start = Fraction(math.fmod(low, self.period))  # fmod is exact
        return float(start), float(start + Fraction(high) - Fraction(low))
