"""Laplace kernels, exactly and in O(N + B): sums to the ends of cells, and a run over the breakpoints.

e^(-|t-x|/h) factorises at any place between t and x. So the points of a cell, the stretch between two breakpoints
(`reach.py`), act on all nodes to its right by one number and on all to its left by another, and the nodes act on a point
by two numbers of its cell. With v = (x - c)/h from the cell's middle c, half width w/h,

    to the right end  A = e^(-w/h) Σ S_j e^(v_j),       to the left end  D = e^(-w/h) Σ S_j e^(-v_j)
    at a node         p = left[A] + right[D]            (running sums over the breakpoints)
    at a point        ρ = e^(log F - w/h - v) + e^(log G - w/h + v),  F = left[q], G = right[q] at the cell's two ends.

Differences of places go into the exponentials, never places. The sums of a cell are formed as they stand, by one pass
over all points; those cells where that came out near the ends of the range of a float64 (far away, steep logits) are
summed again with their largest exponent taken out first. In the same way ρ and R = S ρ are products where nothing comes
near those ends, and logarithms elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.domain import FloatArray
from kdegrad.kernels import Factored, Kernel
from kdegrad.kernels.base import log_or_minus_infinity
from kdegrad.kernels.circle import Geodesic, WrappedLaplace
from kdegrad.kernels.line import Laplace
from kdegrad.sums.base import KernelSums, Shares
from kdegrad.sums.breakpoints import IntArray
from kdegrad.sums.reach import AllTurnsReach, LineReach, Reach, ShorterWayReach

_CHUNK: Final = 16_384  # points at a time: some ten arrays of them stay in the second-level cache
_SMALL: Final = 1e-250  # results between this and its inverse have lost nothing to underflow or overflow


@final
class ScanSums(KernelSums):
    """Running sums over breakpoints, for the kernels that are exponentials of the distance."""

    name = "scan"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        self.reach = make_reach(kernel, nodes)
        left, right = self.reach.left_ends, self.reach.right_ends
        inner = np.isfinite(left) & np.isfinite(right)
        with np.errstate(invalid="ignore"):
            self.half_widths = np.where(inner, 0.5 * (right - left), 0.0)
        self.middles = np.where(np.isfinite(left), left + self.half_widths, right)
        self.log_width = self.half_widths / kernel.bandwidth
        self.per_unit = 1.0 / kernel.bandwidth
        self.cells = np.empty(len(points), dtype=np.intp)
        for chunk in self._chunks():
            self.cells[chunk] = self.reach.breakpoints.cells(self.reach.coordinates(points[chunk]))

    @classmethod
    def serves(cls, kernel: Kernel) -> bool:
        """Return whether the kernel is an exponential of the distance, with a bandwidth whose inverse is a float64."""
        exponential = kernel.line if isinstance(kernel, Geodesic) else kernel
        return isinstance(exponential, (Laplace, WrappedLaplace)) and bool(np.isfinite(1.0 / kernel.bandwidth))

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j exp(l_j) K_h(t_m ⊖ x_j), shape (B,)."""
        charges = self.reach.of_cells(*self._cell_sums(log_weights))
        at_breakpoints = np.logaddexp(*self.reach.running(*charges))
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
        tables = self._tables(log_pulls)
        shares, ratios = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self._chunks():
            share, ratio, weight = shares[chunk], ratios[chunk], weights[chunk]
            with np.errstate(over="ignore", invalid="ignore"):  # what comes out as inf or 0·inf is redone
                left, right = (np.exp(term, out=term) for term in self._terms(tables, chunk))
                np.add(left, right, out=ratio)
                np.multiply(weight, ratio, out=share)
            if weight.min() < _SMALL or ratio.min() < _SMALL or ratio.max() > 1.0 / _SMALL:
                extreme = (weight < _SMALL) | (ratio < _SMALL) | (ratio > 1.0 / _SMALL)
                redone = np.flatnonzero(extreme) + chunk.start
                log_ratio = log_sum(*self._terms(tables, redone))
                with np.errstate(over="ignore"):
                    shares[redone], ratios[redone] = np.exp(log_weights[redone] + log_ratio), np.exp(log_ratio)
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
            cells = self.reach.breakpoints.exact_cells(places, self.cells[chunk])
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
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self._chunks():
            cells = self.cells[chunk]
            v = self._from_middle(chunk, cells)
            log, scaled = common_log(*self._terms(tables, chunk), *self._terms(moments, chunk))
            left, right, left_moment, right_moment = scaled
            width = self.log_width[cells]
            logs[chunk] = log
            factors[chunk] = (left_moment + right_moment) + left * (width + v) + right * (width - v)
            factors[chunk] -= self.reach.shift * (left + right)
        return Factored(logs, factors)

    def _chunks(self) -> Iterator[slice]:
        """Yield slices that cover the points."""
        for start in range(0, len(self.points), _CHUNK):
            yield slice(start, min(start + _CHUNK, len(self.points)))

    def _from_middle(self, which: slice | IntArray, cells: IntArray) -> FloatArray:
        """Return v = (x - c)/h for the points `which`, c the middle of the cell (the end of an outer one)."""
        v = self.reach.coordinates(self.points[which]) - self.middles[cells]
        v *= self.per_unit
        return v

    def _terms(
        self, tables: tuple[FloatArray, FloatArray], which: slice | IntArray, cells: IntArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of what reaches the points from the left and from the right."""
        cells = self.cells[which] if cells is None else cells
        v = self._from_middle(which, cells)
        left, right = tables[0][cells], tables[1][cells]
        left -= v
        right += v
        return left, right

    def _tables(self, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log F - w/h - log_norm and log G - w/h - log_norm for the cells, each (n+1,)."""
        charges = self.reach.charges(log_weights)
        return self._cell_tables(*self.reach.running(charges, charges))

    def _cell_tables(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        at_ends = self.reach.in_cells(left, right)
        return at_ends[0] - self.log_width - self.reach.log_norm, at_ends[1] - self.log_width - self.reach.log_norm

    def _cell_sums(self, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log D and log A of the cells, each (n+1,)."""
        to_left, to_right = np.zeros(len(self.middles)), np.zeros(len(self.middles))
        for chunk in self._chunks():
            cells, logs = self.cells[chunk], log_weights[chunk]
            v = self._from_middle(chunk, cells)
            with np.errstate(over="ignore"):
                np.add.at(to_right, cells, np.exp(logs + v))
                np.add.at(to_left, cells, np.exp(logs - v))
        log_left, log_right = log_or_minus_infinity(to_left), log_or_minus_infinity(to_right)
        extreme = (np.minimum(to_left, to_right) < _SMALL) | (np.maximum(to_left, to_right) > 1.0 / _SMALL)
        redone = np.flatnonzero(extreme[self.cells] & (log_weights > -np.inf)) if extreme.any() else []
        if len(redone) > 0:
            cells, logs = self.cells[redone], log_weights[redone]
            v = self._from_middle(redone, cells)
            for log_total, exponents in ((log_left, logs - v), (log_right, logs + v)):
                again = log_sums_by_cell(exponents, cells, len(self.middles))
                log_total[extreme] = again[extreme]
        return log_left - self.log_width, log_right - self.log_width


def make_reach(kernel: Kernel, nodes: FloatArray) -> Reach:
    """Return the reach of a kernel that `ScanSums` serves."""
    if isinstance(kernel, WrappedLaplace):
        return AllTurnsReach(kernel, nodes)
    if isinstance(kernel, Geodesic):
        return ShorterWayReach(kernel, nodes, kernel.log_mass_slope)
    return LineReach(kernel, nodes)


def log_sum(log_a: FloatArray, log_b: FloatArray) -> FloatArray:
    """Return log(a + b) as max + log(1 + e^-|difference|): np.logaddexp is not vectorised."""
    larger = np.maximum(log_a, log_b)
    with np.errstate(invalid="ignore"):
        smaller = np.minimum(log_a, log_b) - larger
    smaller[np.isneginf(larger)] = 0.0
    np.exp(smaller, out=smaller)
    np.log1p(smaller, out=smaller)
    smaller += larger
    return smaller


def common_log(*logs: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Return the largest of some logarithms, element by element, and all of them as multiples of its exponential."""
    peak = np.maximum.reduce(logs)
    shift = np.where(np.isneginf(peak), 0.0, peak)
    return peak, [np.exp(log - shift) for log in logs]


def log_sums_by_cell(exponents: FloatArray, cells: IntArray, count: int) -> FloatArray:
    """Return log Σ exp(e_j) over the j of each cell, the largest exponent taken out first; -inf for an empty cell."""
    peaks = np.full(count, -np.inf)
    np.maximum.at(peaks, cells, exponents)
    totals = np.bincount(cells, np.exp(exponents - peaks[cells]), count)
    return log_or_minus_infinity(totals) + peaks
