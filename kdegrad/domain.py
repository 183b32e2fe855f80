"""Where angles live: the line or a circle, and what "difference" means there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from kdegrad.arrays import FloatArray


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
    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        """Return the coordinate of the place x as one meets it when walking upward from `start`."""


@final
@dataclass(frozen=True)
class Line(Domain):
    """The real line: x ⊖ y = x - y."""

    name: ClassVar[str] = "line"

    @property
    def measure(self) -> float:
        """Total length: infinite."""
        return math.inf

    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return x - y."""
        return x - y

    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        """Return x."""
        return x


@final
@dataclass(frozen=True)
class Circle(Domain):
    """The circle of circumference P: x ⊖ y is the signed shorter way round, in [-P/2, P/2]."""

    period: float
    name: ClassVar[str] = "circle"

    @property
    def measure(self) -> float:
        """Total length: the circumference P."""
        return self.period

    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return d - P·round(d/P) with d = x - y; the multiple of P is subtracted, never a remainder accumulated."""
        d = x - y
        turns = d / self.period
        np.rint(turns, out=turns)
        turns *= self.period
        d -= turns
        return d

    def unrolled(self, x: FloatArray, start: float) -> FloatArray:
        """Return x + nP in [start, start + P]."""
        return start + np.mod(x - start, self.period)
