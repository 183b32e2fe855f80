"""Which places cut the domain, and where a point falls between them without sorting the points.

Breakpoints s_0 ≤ … ≤ s_{n-1} cut the line into cells 0 … n: cell c holds the x with s_{c-1} ≤ x < s_c. A grid of
equal buckets laid over the breakpoints gives a first guess by a multiplication. For evenly spaced breakpoints the grid
is the breakpoints and the guess is right up to the rounding of the multiplication; for others the guess is the first
cell of the bucket, which moves on, or is searched for, where a breakpoint is at or below x.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray

_BUCKETS_PER_BREAKPOINT: Final = 2
_FEW: Final = 1_000  # numbers that are sorted as fast one way as the other
_STEPS: Final = 65_535.0
_ROUNDING: Final = 4.0 * np.finfo(np.float64).eps


@final
class Breakpoints:
    """Sorted breakpoints, shape (n,), and the grid that finds the cell of a point."""

    def __init__(self, positions: FloatArray) -> None:
        self.positions = positions
        low, high, count = float(positions[0]), float(positions[-1]), len(positions)
        self.is_even = _is_even(positions)
        self.buckets = count if self.is_even else _BUCKETS_PER_BREAKPOINT * count
        self.width = width = (high - low) / (count - 1 if self.is_even else self.buckets - 1)
        self.per_unit = _inverse(width)
        self.origin = low - (width if self.per_unit > 0.0 else 0.0)  # bucket 0 ends at s_0
        if not self.is_even:
            edges = self.origin + np.arange(self.buckets + 1) * width
            edges[0] = -math.inf
            self.first_cells = np.searchsorted(positions, edges - _ROUNDING * np.abs(positions).max(), side="right")
            middles = 0.5 * (positions[1:] + positions[:-1])
            self.middles = np.concatenate([positions[:1], middles, positions[-1:]])

    @cached_property
    def ends(self) -> FloatArray:
        """The ends of the cells, minus and plus infinity among them: entries c and c + 1 for cell c."""
        return np.concatenate([[-math.inf], self.positions, [math.inf]])

    @property
    def references(self) -> FloatArray:
        """The reference places of all cells, (n+1,)."""
        return self.references_of(np.arange(len(self.positions) + 1.0)) if self.is_even else self.middles

    def references_of(self, cells: FloatArray | IntArray) -> FloatArray:
        """Return the middles of some cells: on an even grid by a formula, which is faster than a table lookup."""
        if self.is_even:
            references: FloatArray = np.multiply(cells, self.width)
            references += self.origin + 0.5 * self.width
            return references
        return self.middles[cells]

    def locate(self, x: FloatArray) -> tuple[FloatArray | IntArray, FloatArray]:
        """Return the cell of each x and a reference place in that cell (outer cells: near it), one for all its points.

        A point within rounding of a breakpoint may be found on its other side.
        """
        with np.errstate(over="ignore"):  # infinitely many cells away is far enough
            place = x - self.origin if self.per_unit > 0.0 else np.zeros_like(x)
            place *= self.per_unit
        np.maximum(place, 0.0, out=place)
        np.minimum(place, self.buckets, out=place)
        cells = (
            np.trunc(place, out=place) if self.is_even else self._moved_on(self.first_cells[place.astype(np.intp)], x)
        )
        return cells, self.references_of(cells)

    def exact_cells(self, x: FloatArray, cells: IntArray) -> IntArray:
        """Return the cells, corrected in place where rounding put x on the wrong side of a breakpoint."""
        wrong = np.flatnonzero((x < self.ends[cells]) | (x >= self.ends[cells + 1]))
        cells[wrong] = np.searchsorted(self.positions, x[wrong], side="right")
        return cells

    def _moved_on(self, cells: IntArray, x: FloatArray) -> IntArray:
        """Return the cells after as many steps to the right as there are breakpoints at or below x in its bucket."""
        cells += x >= self.ends[cells + 1]
        behind = np.flatnonzero(x >= self.ends[cells + 1])
        cells[behind] = np.searchsorted(self.positions, x[behind], side="right")
        return cells


def places_of(nodes: FloatArray, period: float, reach: float) -> tuple[FloatArray, IntArray | slice]:
    """Return the places of reduced nodes in order, and what finds each node among them.

    Where the reach is half a turn, antipodes are places too, and s_{k+n/2} is the antipode of s_k. Places that are
    nodes are so without rounding.
    """
    if period < math.inf:
        nodes = np.where(nodes == 0.5 * period, -nodes, nodes)
    found: IntArray | slice = slice(None)
    if not (nodes[1:] > nodes[:-1]).all():
        nodes, found = np.unique(nodes, return_inverse=True)
    if reach == period:
        return nodes, found
    is_early = nodes < 0.0
    early = np.where(is_early, nodes, nodes - reach)
    order = np.argsort(early, kind="stable")
    early, is_early = early[order], is_early[order]
    is_new = np.append(True, (early[1:] > early[:-1]) | (is_early[1:] | ~is_early[:-1]))
    pair = np.cumsum(is_new) - 1
    late = np.empty(pair[-1] + 1)
    late[pair] = np.where(is_early, early + reach, nodes[order])  # if both are nodes, the later one's
    index = np.empty(len(nodes), dtype=np.intp)
    index[order] = np.where(is_early, pair, pair + len(late))
    return np.concatenate([early[is_new], late]), index[found]


def nearly_sorted(x: FloatArray, tolerance: float) -> tuple[IntArray, FloatArray]:
    """Return an order of x, in as few bytes as will do, and x in that order.

    A number may stand behind another that is larger by up to the tolerance, and is then raised to it: what is returned
    ascends. Where 65,535 tolerances make up the spread of x, integers of 16 bits are sorted in its place, which NumPy
    does by their digits, six times as fast.
    """
    low, spread = float(x.min()), float(np.ptp(x))
    if len(x) >= _FEW and 0.0 < spread <= _STEPS * tolerance and _STEPS / spread < math.inf:
        order = np.argsort(((x - low) * (_STEPS / spread)).astype(np.uint16), kind="stable")
        x = np.maximum.accumulate(x[order])
    else:
        order = np.argsort(x)
        x = x[order]
    return order.astype(np.min_scalar_type(len(x))), x


def _is_even(positions: FloatArray) -> bool:
    """Return whether the positions are those of an even grid, up to the rounding of the grid itself."""
    count = len(positions)
    width = float(positions[-1] - positions[0]) / max(count - 1, 1)
    if _inverse(width) == 0.0:
        return False
    distance = np.arange(float(count))
    distance *= width
    distance += positions[0]
    distance -= positions
    rounding = _ROUNDING * max(abs(float(positions[0])), abs(float(positions[-1])))
    return bool(-distance.min() <= rounding >= distance.max() and rounding < 0.25 * width)


def _inverse(width: float) -> float:
    """Return 1/width, or 0 where that overflows."""
    return 1.0 / width if width > 0.0 and math.isfinite(1.0 / width) else 0.0
