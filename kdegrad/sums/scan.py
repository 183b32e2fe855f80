"""Laplace kernels, exactly and in O(N + B): sums to the ends of cells, and a run over the breakpoints.

e^(-|t-x|/h) factorises at any place between t and x. So the points of a cell, the stretch between two breakpoints
(`reach.py`), act on all nodes to its right by one number and on all to its left by another, and the nodes act on a
point by two numbers of its cell. With v = (x - c)/h from a reference c in the cell, and its ends at c - λh and c + μh,

    to the right end  A = e^(-μ) Σ S_j e^(v_j),       to the left end  D = e^(-λ) Σ S_j e^(-v_j)
    at a node         p = left[A] + right[D]          (running sums over the breakpoints)
    at a point        ρ = e^(log F - λ - v) + e^(log G - μ + v),  F = left[q], G = right[q] at the cell's ends.

Differences of places go into exponentials, never places. e^v is formed once for each point and serves every pass.
Points and cells are of two sorts: ordinary ones, |v| ≤ 300 with weights or table entries between 1e-150 and its
inverse, where products neither under- nor overflow, and extreme ones (far away, steep logits), which go by logarithms
throughout, a cell's largest exponent taken out first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.domain import FloatArray
from kdegrad.kernels import Factored, Kernel
from kdegrad.kernels.circle import Geodesic, WrappedLaplace
from kdegrad.kernels.line import Laplace
from kdegrad.sums.base import KernelSums, Shares
from kdegrad.sums.breakpoints import BoolArray, IntArray
from kdegrad.sums.logs import common_log, cut_exp, log_of, log_sum
from kdegrad.sums.reach import AllTurnsReach, LineReach, Reach, ShorterWayReach

_CHUNK: Final = 16_384  # points at a time: some ten arrays of them stay in the second-level cache
_SMALL: Final = 1e-150  # the least of an ordinary weight or table entry; times e^-300 it is still far above underflow
_MOST_TURN: Final = {False: 1e12, True: 4e3}  # bandwidths of a whole turn: by all turns, by the shorter way
_FARTHEST: Final = 300.0  # the largest |v| of an ordinary point


@final
class ScanSums(KernelSums):
    """Running sums over breakpoints, for the kernels that are exponentials of the distance."""

    name = "scan"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        self.reach = make_reach(kernel, nodes)
        references = self.reach.breakpoints.references
        self.from_left_end = (references - self.reach.left_ends) / kernel.bandwidth
        self.to_right_end = (self.reach.right_ends - references) / kernel.bandwidth
        self.per_unit = 1.0 / kernel.bandwidth
        self.cells = np.empty(len(points), dtype=np.min_scalar_type(len(self.to_right_end)))  # small: memory is time
        self.far: BoolArray | None = None
        self.growth: FloatArray | None = np.empty(len(points))  # e^v; 1 for far points
        for chunk in self._chunks():
            places = self.reach.coordinates(points[chunk])
            cells, references = self.reach.breakpoints.locate(places)
            self.cells[chunk] = cells
            v = np.subtract(places, references, out=references)
            v *= self.per_unit
            self._grow(v, chunk, self.growth)

    @classmethod
    def serves(cls, kernel: Kernel) -> bool:
        """Return whether the kernel is an exponential of the distance, with a bandwidth that running sums can bear.

        Its inverse has to be a float64. On a circle a whole turn or half of it, in bandwidths, takes part in
        logarithms: by all turns that is rounded off with the far images, but the shorter way has cells as wide as half
        a turn, of which an ε is to stay below 1e-12.
        """
        exponential = kernel.line if isinstance(kernel, Geodesic) else kernel
        turn = kernel.domain.measure if kernel.domain.measure < math.inf else 0.0
        per_unit = 1.0 / kernel.bandwidth
        return (
            isinstance(exponential, (Laplace, WrappedLaplace))
            and per_unit < math.inf
            and turn * per_unit < _MOST_TURN[isinstance(kernel, Geodesic)]
        )

    def at_nodes(self, log_weights: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """Return log Σ_j exp(l_j) K_h(t_m ⊖ x_j), shape (B,)."""
        weights = np.exp(log_weights) if weights is None else weights
        charges = self.reach.of_cells(*self._cell_sums(log_weights, weights))
        at_breakpoints = log_sum(*self.reach.running(*charges))
        return at_breakpoints[self.reach.index] - self.reach.log_norm

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,)."""
        tables = self._tables(log_weights)
        result = np.empty(len(self.points))
        for chunk in self._chunks():
            result[chunk] = log_sum(*self._terms(tables, chunk))
        return result

    def shares(self, log_weights: FloatArray, weights: FloatArray, log_pulls: FloatArray) -> Shares:
        """Return R_i = S_i ρ_i and ρ_i = Σ_m exp(l_m) K_h(t_m ⊖ x_i), each (N,)."""
        log_tables = self._tables(log_pulls)
        extreme_cells = is_extreme(log_tables[0]) | is_extreme(log_tables[1])
        table = np.empty(len(extreme_cells), dtype=np.complex128)
        table.real, table.imag = (np.exp(np.where(extreme_cells, -np.inf, side)) for side in log_tables)
        any_extreme_cell = bool(extreme_cells.any())
        shares, ratios = np.empty(len(self.points)), self._grown()
        self.growth = None  # its array becomes that of the ratios: fresh memory costs more than the sums
        for chunk in self._chunks():
            cells, ratio, weight = self.cells[chunk].astype(np.intp), ratios[chunk], weights[chunk]
            sides = table[cells]
            sides.imag *= ratio
            np.divide(sides.real, ratio, out=ratio)
            ratio += sides.imag
            np.multiply(weight, ratio, out=shares[chunk])
            extreme = self._extreme(chunk, weight, extreme_cells[cells] if any_extreme_cell else None)
            if len(extreme) > 0:
                log_ratio = log_sum(*self._terms(log_tables, extreme))
                with np.errstate(over="ignore"):
                    shares[extreme], ratios[extreme] = np.exp(log_weights[extreme] + log_ratio), np.exp(log_ratio)
        return Shares(shares, ratios)

    def slope_at_points(self, log_weights: FloatArray) -> Factored:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i): 1/h times what lies to the left less what lies to the right."""
        charges = self.reach.charges(log_weights)
        sides = self.reach.running(charges, charges)
        tables = self._cell_tables(*sides)
        beside = self.reach.beside(*sides, charges)
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self._chunks():
            places = self.reach.coordinates(self.points[chunk])
            cells = self.reach.breakpoints.exact_cells(places, self.cells[chunk].astype(np.intp))
            left, right = self._terms(tables, chunk, cells)
            for ends, step in ((self.reach.left_ends, -1), (self.reach.right_ends, 0)):  # on a breakpoint: a kink
                on = np.flatnonzero(places == ends[cells])
                at = (cells[on] + step) % len(beside[0])
                left[on], right[on] = (side[at] - self.reach.log_norm for side in beside)
            logs[chunk], (from_left, from_right) = common_log(left, right)
            factors[chunk] = (from_left - from_right) * self.per_unit
        return Factored(logs, factors)

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Factored:
        """Return Σ_m exp(l_m) (|d|/h - shift) K_h, with |d| = |t_m ⊖ x_i| split at the end of the cell."""
        charges = self.reach.charges(log_weights)
        tables = self._cell_tables(*self.reach.running(charges, charges))
        moments = self._cell_tables(*self.reach.moments(charges))
        width_left, width_right = (
            np.where(np.isinf(width), 0.0, width) for width in (self.from_left_end, self.to_right_end)
        )
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self._chunks():
            cells = self.cells[chunk].astype(np.intp)
            v = self._from_reference(self.reach.coordinates(self.points[chunk]), cells)
            log, scaled = common_log(*self._terms(tables, chunk), *self._terms(moments, chunk))
            left, right, left_moment, right_moment = scaled
            logs[chunk] = log
            factors[chunk] = (
                (left_moment + right_moment) + left * (width_left[cells] + v) + right * (width_right[cells] - v)
            )
            factors[chunk] -= self.reach.shift * (left + right)
        return Factored(logs, factors)

    def _chunks(self) -> Iterator[slice]:
        """Yield slices that cover the points."""
        for start in range(0, len(self.points), _CHUNK):
            yield slice(start, min(start + _CHUNK, len(self.points)))

    def _grown(self) -> FloatArray:
        """Return e^v for all points, formed again if it was given away."""
        if self.growth is None:
            self.growth = np.empty(len(self.points))
            for chunk in self._chunks():
                cells = self.cells[chunk].astype(np.intp)
                v = self._from_reference(self.reach.coordinates(self.points[chunk]), cells)
                self._grow(v, chunk, self.growth)
        return self.growth

    def _grow(self, v: FloatArray, chunk: slice, growth: FloatArray) -> None:
        """Write e^v, and mark the points that are too far for it."""
        if v.min() < -_FARTHEST or v.max() > _FARTHEST:
            self.far = np.zeros(len(self.points), dtype=np.bool_) if self.far is None else self.far
            self.far[chunk] = np.abs(v) > _FARTHEST
            v[self.far[chunk]] = 0.0
        np.exp(v, out=growth[chunk])

    def _from_reference(self, places: FloatArray, cells: IntArray) -> FloatArray:
        """Return v = (x - c)/h."""
        v = places - self.reach.breakpoints.references[cells]
        v *= self.per_unit
        return v

    def _extreme(self, chunk: slice, weight: FloatArray, also: BoolArray | None = None) -> IntArray:
        """Return the indices of a chunk's points that are far, or of too small a weight, or marked in `also`."""
        if self.far is None and also is None and weight.min() >= _SMALL:
            return np.empty(0, dtype=np.intp)
        extreme = weight < _SMALL
        for marked in (also, None if self.far is None else self.far[chunk]):
            if marked is not None:
                extreme |= marked
        indices: IntArray = np.flatnonzero(extreme)
        indices += chunk.start
        return indices

    def _terms(
        self, tables: tuple[FloatArray, FloatArray], which: slice | IntArray, cells: IntArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of what reaches the points `which` from the left and from the right."""
        cells = self.cells[which].astype(np.intp) if cells is None else cells
        v = self._from_reference(self.reach.coordinates(self.points[which]), cells)
        left, right = tables[0][cells], tables[1][cells]
        left -= v
        right += v
        return left, right

    def _tables(self, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log F - λ - log_norm and log G - μ - log_norm for the cells, each (n+1,)."""
        charges = self.reach.charges(log_weights)
        return self._cell_tables(*self.reach.running(charges, charges))

    def _cell_tables(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        at_ends = self.reach.in_cells(left, right)
        return (
            at_ends[0] - self.from_left_end - self.reach.log_norm,
            at_ends[1] - self.to_right_end - self.reach.log_norm,
        )

    def _cell_sums(self, log_weights: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log D and log A of the cells, each (n+1,)."""
        sums = np.zeros(
            len(self.to_right_end), dtype=np.complex128
        )  # D and A as the parts of a number: one pass for both
        extremes, growth = [], self._grown()
        for chunk in self._chunks():
            cells, grown, weight = self.cells[chunk].astype(np.intp), growth[chunk], weights[chunk]
            extreme = self._extreme(chunk, weight)
            if len(extreme) > 0:
                weight = weight.copy()
                weight[extreme - chunk.start] = 0.0
                extremes.append(extreme[log_weights[extreme] > -np.inf])
            terms = np.empty(len(weight), dtype=np.complex128)
            np.divide(weight, grown, out=terms.real)
            np.multiply(weight, grown, out=terms.imag)
            np.add.at(sums, cells, terms)
        log_left, log_right = log_of(sums.real), log_of(sums.imag)
        if extremes:
            log_left = np.logaddexp(log_left, self._log_sums(log_weights, extremes, -1.0))
            log_right = np.logaddexp(log_right, self._log_sums(log_weights, extremes, 1.0))
        return log_left - self.from_left_end, log_right - self.to_right_end

    def _log_sums(self, log_weights: FloatArray, extremes: list[IntArray], sign: float) -> FloatArray:
        """Return log Σ exp(l_j ± v_j) over the extreme points of each cell, the largest exponent taken out first."""

        def exponents(which: IntArray) -> tuple[IntArray, FloatArray]:
            cells = self.cells[which].astype(np.intp)
            return cells, log_weights[which] + sign * self._from_reference(
                self.reach.coordinates(self.points[which]), cells
            )

        peaks, totals = np.full(len(self.to_right_end), -np.inf), np.zeros(len(self.to_right_end))
        for which in extremes:
            np.maximum.at(peaks, *exponents(which))
        for which in extremes:
            cells, logs = exponents(which)
            logs -= peaks[cells]
            np.add.at(totals, cells, cut_exp(logs))
        peaks += log_of(totals)
        return peaks


def is_extreme(logs: FloatArray) -> BoolArray:
    """Return where numbers are so large or so small, but not 0, that products might lose them."""
    return (np.abs(logs) > -math.log(_SMALL)) & (logs > -np.inf)


def make_reach(kernel: Kernel, nodes: FloatArray) -> Reach:
    """Return the reach of a kernel that `ScanSums` serves."""
    if isinstance(kernel, WrappedLaplace):
        return AllTurnsReach(kernel, nodes)
    if isinstance(kernel, Geodesic):
        return ShorterWayReach(kernel, nodes, kernel.log_mass_slope)
    return LineReach(kernel, nodes)
