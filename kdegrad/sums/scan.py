"""Laplace kernels, exactly and in O(N + B): sums to the ends of cells, and a run over the breakpoints.

e^(-|t-x|/h) factorises at any place between t and x. So the points of a cell, the stretch between two breakpoints
(`reach.py`), act on all nodes to its right by one number and on all to its left by another, and the nodes act on a
point by two numbers of its cell. With v = (x - c)/h from a reference c in the cell, and its ends at c - λh and c + μh,

    to the right end  A = e^(-μ) Σ S_j e^(v_j),       to the left end  D = e^(-λ) Σ S_j e^(-v_j)
    at a node         p = left[A] + right[D]          (running sums over the breakpoints)
    at a point        ρ = e^(log F - λ - v) + e^(log G - μ + v),  F = left[q], G = right[q] at the cell's ends.

Differences of places go into exponentials, never places. e^v is formed once for each point and serves every pass
(`placement.py`). Points and cells are of two sorts: ordinary ones, |v| ≤ 300 with weights of 1e-100 at least or table
entries between that and its inverse, where products neither under- nor overflow, and extreme ones (far away, steep
logits), which go by logarithms throughout, a cell's largest exponent taken out first. The running sums too go by
logarithms (`decay.py`), but on a line with nodes close together (`narrow.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, common_log, cut_exp, log_or_minus_infinity, log_sum
from kdegrad.sums.base import KernelSums, Shares
from kdegrad.sums.dense import DenseSums
from kdegrad.sums.narrow import are_moderate
from kdegrad.sums.placement import Placement
from kdegrad.sums.reach import AllTurnsReach, LineReach, Reach, ShorterWayReach

_SMALL: Final = 1e-100  # the least of an ordinary weight or table entry; times e^-450 it is still above underflow
_MOST_TURN: Final = {False: 1e12, True: 4e3}  # bandwidths of a whole turn: by all turns, by the shorter way
_SLOPING_TURN: Final = 0.1  # bandwidths of a whole turn from which the slope is a difference that keeps its digits


@final
class ScanSums(KernelSums):
    """Running sums over breakpoints, for the kernels that are exponentials of the distance."""

    name = "scan"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        self.reach = make_reach(kernel, nodes)
        self.placement = Placement(self.reach, points)

    @classmethod
    def serves(cls, kernel: Kernel) -> bool:
        """Return whether the kernel is an exponential of the distance, with a bandwidth that running sums can bear.

        Its inverse has to be a float64. On a circle a whole turn or half of it, in bandwidths, takes part in
        logarithms: by all turns that is rounded off with the far images, but the shorter way has cells as wide as half
        a turn, of which an ε is to stay below 1e-12.
        """
        turn = kernel.domain.measure if kernel.domain.measure < math.inf else 0.0
        per_unit = 1.0 / kernel.bandwidth
        return (
            kernel.exponential_way > 0.0
            and per_unit < math.inf
            and turn * per_unit < _MOST_TURN[kernel.exponential_way < kernel.domain.measure]
        )

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,)."""
        to_left, to_right, extremes = self._cell_sums(log_weights)
        narrow = self.reach.narrow
        if narrow is not None and not extremes:
            at_breakpoints = log_or_minus_infinity(narrow.density(to_left, to_right))
        else:
            log_sides = self._log_sides(to_left, to_right, log_weights, extremes)
            at_breakpoints = log_sum(*self.reach.running(*self.reach.of_cells(*log_sides)))
        at_nodes: FloatArray = at_breakpoints[self.reach.index]
        at_nodes -= self.reach.log_norm
        return at_nodes

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,)."""
        tables = self._tables(log_weights).logs
        result = np.empty(len(self.points))
        for chunk in self.placement.chunks():
            result[chunk] = log_sum(*self._terms(tables, chunk, self.placement.cells(chunk)))
        return result

    def shares(self, log_weights: FloatArray, log_pulls: FloatArray) -> Shares:
        """Return R_i = S_i ρ_i and ρ_i = Σ_m exp(l_m) K_h(t_m ⊖ x_i), each (N,)."""
        shares = np.empty(len(self.points))
        for chunk, _, share, _ in self._walk_shares(log_weights, log_pulls):
            shares[chunk] = share
        return Shares(shares, self.placement.give_away())

    def excess(self, log_weights: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return S_i - R_i, shape (N,)."""
        for _, weight, share, ratio in self._walk_shares(log_weights, log_pulls):
            np.subtract(weight, share, out=ratio)
        return self.placement.give_away()

    def _walk_shares(
        self, log_weights: FloatArray, log_pulls: FloatArray
    ) -> Iterator[tuple[slice, FloatArray, FloatArray, FloatArray]]:
        """Yield chunks of the points with S_i, R_i and ρ_i; the last lies where the growth was."""
        tables = self._tables(log_pulls)
        for chunk, cells, ratio in self.placement.walk():
            weight = np.exp(log_weights[chunk])
            extreme = self._extreme(chunk, weight, None if tables.extreme is None else tables.extreme[cells])
            sides = tables.values.take(cells, mode="clip")
            left = sides.real / ratio
            ratio *= sides.imag
            ratio += left
            share = np.multiply(weight, ratio, out=left)
            if len(extreme) > 0:
                which = extreme + chunk.start
                log_ratio = log_sum(*self._terms(tables.logs, which, cells[extreme]))
                with np.errstate(over="ignore"):
                    share[extreme], ratio[extreme] = np.exp(log_weights[which] + log_ratio), np.exp(log_ratio)
            yield chunk, weight, share, ratio

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i): 1/h times what lies to the left less what lies to the right.

        By all turns of a circle that is small in bandwidths the two are all but equal: there every pair is summed.
        """
        if self.kernel.exponential_way == self.kernel.domain.measure < _SLOPING_TURN * self.kernel.bandwidth:
            return DenseSums(self.kernel, self.points, self.nodes).slope_at_points(log_weights)
        charges = self.reach.charges(log_weights)
        sides = self.reach.running(charges, charges)
        tables = self._cell_tables(*sides)
        beside = self.reach.beside(*sides, charges)
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self.placement.chunks():
            places = self.placement.places(chunk)
            cells = self.reach.breakpoints.exact_cells(places, self.placement.cells(chunk))
            left, right = self._terms(tables, chunk, cells)
            for ends, step in ((self.reach.left_ends, -1), (self.reach.right_ends, 0)):  # on a breakpoint: a kink
                on = np.flatnonzero(places == ends[cells])
                at = (cells[on] + step) % len(beside[0])
                left[on], right[on] = (side[at] - self.reach.log_norm for side in beside)
            logs[chunk], (from_left, from_right) = common_log(left, right)
            factors[chunk] = (from_left - from_right) / self.kernel.bandwidth
        return Scaled(logs, factors)

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) (|d|/h - shift) K_h, with |d| = |t_m ⊖ x_i| split at the end of the cell."""
        charges = self.reach.charges(log_weights)
        tables = self._cell_tables(*self.reach.running(charges, charges))
        moments = self._cell_tables(*self.reach.moments(charges))
        width_left, width_right = (
            np.where(np.isinf(width), 0.0, width) for width in (self.reach.from_left_end, self.reach.to_right_end)
        )
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk in self.placement.chunks():
            cells = self.placement.cells(chunk)
            v = self.placement.from_reference(chunk, cells)
            log, scaled = common_log(*self._terms(tables, chunk, cells), *self._terms(moments, chunk, cells))
            left, right, left_moment, right_moment = scaled
            logs[chunk] = log
            factors[chunk] = (
                (left_moment + right_moment) + left * (width_left[cells] + v) + right * (width_right[cells] - v)
            )
            factors[chunk] -= self.reach.shift * (left + right)
        return Scaled(logs, factors)

    def _extreme(self, chunk: slice, weight: FloatArray, also: BoolArray | None = None) -> IntArray:
        """Return which of a chunk's points are far, or of too small a weight, or marked in `also`."""
        far = self.placement.far
        if far is None and also is None and weight.min() >= _SMALL:
            return np.empty(0, dtype=np.intp)
        extreme = weight < _SMALL
        for marked in (also, None if far is None else far[chunk]):
            if marked is not None:
                extreme |= marked
        return np.flatnonzero(extreme)

    def _terms(
        self, tables: tuple[FloatArray, FloatArray], which: slice | IntArray, cells: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of what reaches the points `which` from the left and from the right."""
        v = self.placement.from_reference(which, cells)
        left, right = tables[0][cells], tables[1][cells]
        left -= v
        right += v
        return left, right

    def _tables(self, log_weights: FloatArray) -> _Tables:
        """Return F e^(-λ) and G e^(-μ) over the kernel's norm."""
        narrow = self.reach.narrow
        if narrow is not None:
            logs = log_weights - self.reach.log_norm
            if are_moderate(logs):
                return _Tables(values=narrow.tables(np.exp(logs, out=logs)))
        charges = self.reach.charges(log_weights)
        return _Tables(logs=self._cell_tables(*self.reach.running(charges, charges)))

    def _cell_tables(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        at_ends = self.reach.in_cells(left, right)
        return (
            at_ends[0] - self.reach.from_left_end - self.reach.log_norm,
            at_ends[1] - self.reach.to_right_end - self.reach.log_norm,
        )

    def _cell_sums(self, log_weights: FloatArray) -> tuple[FloatArray, FloatArray, list[IntArray]]:
        """Return Σ S_j e^(-v_j) and Σ S_j e^(v_j) over ordinary points, each (n+1,), and the extreme points."""
        sums = np.zeros(self.reach.cells, dtype=np.complex128)  # both as one number's parts: one pass
        extremes = []
        for chunk, cells, growth in self.placement.walk():
            weight = np.exp(log_weights[chunk])
            extreme = self._extreme(chunk, weight)
            if len(extreme) > 0:
                weight[extreme] = 0.0
                extreme += chunk.start
                extremes.append(extreme[log_weights[extreme] > -np.inf])
            terms = np.empty(len(weight), dtype=np.complex128)
            np.divide(weight, growth, out=terms.real)
            np.multiply(weight, growth, out=terms.imag)
            np.add.at(sums, cells, terms)
        return sums.real, sums.imag, extremes

    def _log_sides(
        self, to_left: FloatArray, to_right: FloatArray, log_weights: FloatArray, extremes: list[IntArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Return log D and log A of the cells, the extreme points among them, each (n+1,)."""
        log_left, log_right = log_or_minus_infinity(to_left), log_or_minus_infinity(to_right)
        if extremes:
            log_left = np.logaddexp(log_left, self._log_sums(log_weights, extremes, -1.0))
            log_right = np.logaddexp(log_right, self._log_sums(log_weights, extremes, 1.0))
        return log_left - self.reach.from_left_end, log_right - self.reach.to_right_end

    def _log_sums(self, log_weights: FloatArray, extremes: list[IntArray], sign: float) -> FloatArray:
        """Return log Σ exp(l_j ± v_j) over the extreme points of each cell, the largest exponent taken out first."""

        def exponents(which: IntArray) -> tuple[IntArray, FloatArray]:
            cells = self.placement.cells(which)
            return cells, log_weights[which] + sign * self.placement.from_reference(which, cells)

        peaks, totals = np.full(self.reach.cells, -np.inf), np.zeros(self.reach.cells)
        for which in extremes:
            np.maximum.at(peaks, *exponents(which))
        for which in extremes:
            cells, logs = exponents(which)
            logs -= peaks[cells]
            np.add.at(totals, cells, cut_exp(logs))
        peaks += log_or_minus_infinity(totals)
        return peaks


@final
class _Tables:
    """What reaches the points of the cells from the left and from the right, at v = 0, each (n+1,).

    Attributes
    ----------
    logs
        The logarithms of both.
    values
        Both as numbers, the real and the imaginary part of one; 0 in cells that are extreme.
    extreme
        The cells where one of the numbers might lose digits in a product, (n+1,); None where none is.
    """

    def __init__(
        self,
        logs: tuple[FloatArray, FloatArray] | None = None,
        values: ComplexArray | None = None,
    ) -> None:
        self.extreme: BoolArray | None = None
        if values is None:
            assert logs is not None  # one of the two is given
            extreme = is_extreme(logs[0]) | is_extreme(logs[1])
            values = np.empty(len(extreme), dtype=np.complex128)
            for part, log in zip((values.real, values.imag), logs, strict=True):
                np.exp(np.where(extreme, -np.inf, log), out=part)
            self.extreme = extreme if extreme.any() else None
        self.values, self._logs = values, logs

    @property
    def logs(self) -> tuple[FloatArray, FloatArray]:
        """The logarithms."""
        if self._logs is None:
            self._logs = log_or_minus_infinity(self.values.real), log_or_minus_infinity(self.values.imag)
        return self._logs


def is_extreme(logs: FloatArray) -> BoolArray:
    """Return where numbers are so large or so small, but not 0, that products might lose them."""
    return (np.abs(logs) > -math.log(_SMALL)) & (logs > -np.inf)


def make_reach(kernel: Kernel, nodes: FloatArray) -> Reach:
    """Return the reach of a kernel that `ScanSums` serves."""
    if kernel.domain.measure == math.inf:
        return LineReach(kernel, nodes)
    return (
        AllTurnsReach(kernel, nodes)
        if kernel.exponential_way == kernel.domain.measure
        else ShorterWayReach(kernel, nodes)
    )
