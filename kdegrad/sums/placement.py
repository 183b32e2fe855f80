"""Where many points are among the breakpoints: the cell of each, and its growth from the cell's reference.

With v = (x - c)/h from the reference c of its cell (`breakpoints.py`), a point's growth is e^v. Points with |v| ≤ 300
are ordinary; for the others, which are far outside the breakpoints or in a wide gap, it is 1, and they are marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.sums.reach import Reach

_CHUNK: Final = 16_384  # points at a time: some ten arrays of them stay in the second-level cache
_FARTHEST: Final = 300.0  # the largest |v| of an ordinary point


@final
class Placement:
    """Points (N,) among the breakpoints of a reach; they are placed chunk by chunk in the first pass over them.

    Attributes
    ----------
    far
        Which points are not ordinary, (N,); None if all are.
    """

    def __init__(self, reach: Reach, points: FloatArray) -> None:
        self.reach, self.points = reach, points
        self.per_unit = 1.0 / reach.bandwidth
        self.far: BoolArray | None = None
        self._cells = np.empty(len(points), dtype=np.min_scalar_type(reach.cells))  # small: memory is time
        self._are_placed = False
        self._growth: FloatArray | None = None

    def chunks(self) -> Iterator[slice]:
        """Yield slices that cover the points."""
        for start in range(0, len(self.points), _CHUNK):
            yield slice(start, min(start + _CHUNK, len(self.points)))

    def walk(self) -> Iterator[tuple[slice, IntArray, FloatArray]]:
        """Yield chunks of the points with their cells and their growth.

        The growth is kept for the next walk. Whoever overwrites it takes it away with `give_away` when it is walked.
        """
        known = self._growth is not None
        growth = np.empty(len(self.points)) if self._growth is None else self._growth
        for chunk in self.chunks():
            cells = self._cells[chunk].astype(np.intp) if known else self._place(chunk, growth[chunk])
            yield chunk, cells, growth[chunk]
        self._are_placed, self._growth = True, growth

    def give_away(self) -> FloatArray:
        """Return the array that was walked through last; the next walk makes another."""
        growth, self._growth = self._growth, None
        assert growth is not None  # somebody walked
        return growth

    def cells(self, which: slice | IntArray) -> IntArray:
        """Return the cells of some points."""
        if not self._are_placed:
            for _ in self.walk():
                pass
        return self._cells[which].astype(np.intp)

    def places(self, which: slice | IntArray) -> FloatArray:
        """Return the places of some points among the breakpoints."""
        return self.reach.coordinates(self.points[which])

    def from_reference(self, which: slice | IntArray, cells: IntArray) -> FloatArray:
        """Return v = (x - c)/h of some points, whose cells are given."""
        v = self.places(which) - self.reach.breakpoints.references_of(cells)
        v *= self.per_unit
        return v

    def _place(self, chunk: slice, growth: FloatArray) -> IntArray:
        """Return the cells of a chunk, written down, and write its growth."""
        places = self.places(chunk)
        located, references = self.reach.breakpoints.locate(places)
        v = np.subtract(places, references, out=references)
        v *= self.per_unit
        if v.min() < -_FARTHEST or v.max() > _FARTHEST:
            self.far = np.zeros(len(self.points), dtype=np.bool_) if self.far is None else self.far
            self.far[chunk] = np.abs(v) > _FARTHEST
            v[self.far[chunk]] = 0.0
        np.exp(v, out=growth)
        cells = located.astype(np.intp, copy=False)
        self._cells[chunk] = cells
        return cells
