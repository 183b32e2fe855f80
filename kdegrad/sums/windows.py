"""Exponentials of the distance for many small problems at once, exactly and in O(N + B) for each.

With places u of the nodes and y of the points in bandwidths from a problem's first node, the points to the left of a
node act on it by e^(y-u), those to its right by e^(u-y). Running sums along the nodes are all that is needed:

    s_m = e^-u_m Σ_(index ≤ m) S f  +  e^u_m Σ_(index > m) S f,    f = e^y and f = e^-y.

A point enters the first sum, to the right, and the second, to the left, at index k, the number of nodes up to it. On a
circle its images at y ± P act too. They are more entries, and one with a minus sign ends what another began:

    all turns      to the right e^(y-P) at 0, -e^(y-P) at k;  to the left e^-(y+P) at B, -e^-(y+P) at k
    shorter way    where the antipode of a point before the middle of the nodes has a nodes up to it:
                   to the right -e^y at a;  to the left e^-(y+P) at B, -e^-(y+P) at a;  mirrored after the middle

No digits are lost: what is taken away at a node is never larger than what the other way round gives there. The way back
is the same entries, read at the points from the running sums of c_m e^-u_m and of c_m e^u_m.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from kdegrad.kernel import Kernel
from kdegrad.sums.blocks import BlockPairs, PlainBlockDensity

_BLOCK_PLACES: Final = 32_768  # of points and nodes: larger arrays leave the cache, smaller ones wait for Python
_CLOSE_PAIRS: Final = 32_768  # at a time
_LONG: Final = 150.0  # bandwidths that the nodes may span: e^150 = 1e65
_FARTHEST: Final = 800.0  # bandwidths beyond which a point is taken to be there: e^-800 is 0
_LARGEST: Final = 700.0  # whose exponential is still finite: no node is read by what is larger
_MOST_NODES: Final = 4_096  # whose running sum loses some 1e-14
_EACH: Final = 6  # pairs that cost as much as a point or a node here
_WIDEST: Final = 0.999  # turns that the nodes may span
_SLOPING: Final = 0.1  # circumference/h below which a kernel of all turns is all but flat
_ROUNDING: Final = 8.0 * np.finfo(np.float64).eps  # rounding of places, in units of a turn


def window_block_size(points: int, nodes: int) -> int:
    """Return how many problems of so many points and nodes belong in one block."""
    return max(1, _BLOCK_PLACES // (points + nodes))


def windows_pay(points: IntArray, nodes: IntArray) -> BoolArray:
    """Return which problems of so many points and nodes take less time by running sums than by all pairs."""
    return points * nodes >= _EACH * (points + nodes)


class Entries(NamedTuple):
    """Entries of k points, or of all (g, N), in the running sums to one side.

    Attributes
    ----------
    point
        The points, counted through all problems.
    place, factor
        Where the point or its image is, in bandwidths, and f with its sign.
    begins, read
        Where it enters the sums at the nodes, and where those at the points are read: among B + 1 numbers a problem.
    """

    point: IntArray
    place: FloatArray
    factor: FloatArray
    begins: IntArray
    read: IntArray


@final
class WindowDensity(PlainBlockDensity):
    """The densities of g problems by running sums, for log S of shape (g, N), where `applies` says so.

    Parameters
    ----------
    points, log_weights
        Shape (g, N); log S may be -inf, also that of points that only fill a row.
    nodes
        Shape (g, B), or (1, B) or (B,) for all problems; ascending, on a circle within a turn from the first one.
    """

    @staticmethod
    def applies(kernel: Kernel, nodes: FloatArray) -> BoolArray:
        """Return for which nodes (g, B) running sums are right to round-off, (g,)."""
        way, period, h = kernel.exponential_way, kernel.domain.measure, kernel.bandwidth
        is_level = way == period and period < _SLOPING * h  # left minus right would cancel
        if way <= 0.0 or nodes.shape[1] > _MOST_NODES or not 1.0 / h < math.inf or is_level:
            return np.zeros(len(nodes), dtype=np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):
            places = nodes if period == math.inf else _from_first(kernel, nodes)
            is_right = (places[:, 1:] >= places[:, :-1]).all(axis=1)
            is_right &= places[:, -1] - places[:, 0] <= min(_LONG * h, _WIDEST * period)
        return np.asarray(is_right)

    def _prepare(self) -> None:
        count, n = self.points.shape
        kernel, self.per_unit, self.period = self.kernel, 1.0 / self.kernel.bandwidth, self.kernel.domain.measure
        ends = _from_first(kernel, self.nodes)
        self.growth = np.exp(ends * self.per_unit)
        self.shrinkage = 1.0 / self.growth
        self.bounds = np.empty((len(ends), ends.shape[1] + 2))  # of the cells between nodes
        self.bounds[:, 0], self.bounds[:, 1:-1], self.bounds[:, -1] = -np.inf, ends, np.inf
        self.rows = np.arange(count)[:, np.newaxis]
        self.x = kernel.domain.difference(self.points, self.nodes[:, :1])
        if self.period < math.inf:  # within half a turn of the middle of the nodes
            self.x += self.period * (self.x < 0.5 * (ends[:, -1:] - self.period))
        self.index = self._located(self.x, self.rows)
        self.to_right: list[Entries] = []
        self.to_left: list[Entries] = []
        self.crossing = np.empty(0, dtype=np.intp)  # points with an antipode among the nodes, counted through
        every, y = np.arange(count * n).reshape(count, n), np.clip(self.x * self.per_unit, -_FARTHEST, _FARTHEST)
        self._enter_right(every, self.rows, y, self.index)
        self._enter_left(every, self.rows, y, self.index)
        if kernel.exponential_way == self.period < math.inf:
            self._enter_all_turns(every, y)
        elif self.period < math.inf:
            self._enter_antipodes(y, 0.5 * ends[:, -1:])

    def _enter_right(
        self, point: IntArray, rows: IntArray, place: FloatArray, index: IntArray | int, sign: float = 1.0
    ) -> None:
        """Enter points of problems `rows` at an index, the number of nodes before them."""
        b = self.nodes.shape[1]
        start = rows * (b + 1)
        self.to_right.append(
            Entries(point, place, sign * np.exp(np.minimum(place, _LARGEST)), start + index, start + (b - index))
        )

    def _enter_left(
        self, point: IntArray, rows: IntArray, place: FloatArray, index: IntArray | int, sign: float = 1.0
    ) -> None:
        """Enter points in the mirrored sums."""
        b = self.nodes.shape[1]
        start = rows * (b + 1)
        self.to_left.append(
            Entries(point, place, sign * np.exp(np.minimum(-place, _LARGEST)), start + (b - index), start + index)
        )

    def _enter_all_turns(self, point: IntArray, y: FloatArray) -> None:
        """Enter the nearest image on either side, which acts on the nodes that the point itself does not."""
        turn, b = self.period * self.per_unit, self.nodes.shape[1]
        self._enter_right(point, self.rows, y - turn, np.zeros_like(self.index))
        self._enter_right(point, self.rows, y - turn, self.index, -1.0)
        self._enter_left(point, self.rows, y + turn, np.full_like(self.index, b))
        self._enter_left(point, self.rows, y + turn, self.index, -1.0)

    def _enter_antipodes(self, y: FloatArray, middles: FloatArray) -> None:
        """Let an image act in place of the point, beyond an antipode that is among the nodes."""
        turn, half, (_, n), b = self.period * self.per_unit, 0.5 * self.period, y.shape, self.nodes.shape[1]
        is_before, tolerance = self.x < middles, _ROUNDING * self.period
        antipodes = np.where(is_before, self.x + half, self.x - half)
        self.crossing = np.flatnonzero((antipodes >= -tolerance) & (antipodes <= 2.0 * middles + tolerance))
        if len(self.crossing) == 0:
            return
        self.antipodes = antipodes.ravel()[self.crossing]
        index = self._located(self.antipodes, self.crossing // n)
        for is_right, own, other, image, edge in (
            (True, self._enter_right, self._enter_left, turn, b),
            (False, self._enter_left, self._enter_right, -turn, 0),
        ):
            these = np.flatnonzero(is_before.ravel()[self.crossing] == is_right)
            point, at = self.crossing[these], index[these]
            rows, place = point // n, y.ravel()[point]
            own(point, rows, place, at, -1.0)
            other(point, rows, place + image, np.full_like(at, edge))
            other(point, rows, place + image, at, -1.0)

    def _located(self, x: FloatArray, rows: IntArray) -> IntArray:
        """Return how many nodes of problems `rows` are at or before places x."""
        bounds, b = self.bounds, self.nodes.shape[1]
        rows = rows if len(bounds) > 1 else np.zeros_like(rows)
        lengths = bounds[:, -2]
        per_length = np.divide(b - 1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0.0)
        guess = np.floor(x * per_length[rows]) + 1.0  # right but for rounding if the nodes are even
        index: IntArray = np.fmax(np.fmin(guess, b), 0.0).astype(np.intp)
        flat = rows * (b + 2) + index
        moves = (bounds.take(flat + 1) <= x).astype(np.intp)
        moves -= bounds.take(flat) > x
        index += moves
        flat += moves
        wrong = np.nonzero((bounds.take(flat) > x) | (bounds.take(flat + 1) <= x))
        if len(wrong[0]) > 0:  # complex numbers are sorted by the real part, here the problem, and then the other
            keys = (np.arange(len(bounds))[:, np.newaxis] + 1j * bounds[:, 1:-1]).ravel()
            at = np.broadcast_to(rows, x.shape)[wrong]
            index[wrong] = np.searchsorted(keys, at + 1j * x[wrong], side="right") - at * b
        return index

    def _is_close(self, x: FloatArray, rows: IntArray) -> BoolArray:
        """Return whether places x are nodes of problems `rows`, on a circle within rounding."""
        tolerance = _ROUNDING * self.period if self.period < math.inf else 0.0
        flat = self._located(x, rows) + (rows if len(self.bounds) > 1 else 0) * (self.nodes.shape[1] + 2)
        return np.asarray((x - self.bounds.take(flat) <= tolerance) | (self.bounds.take(flat + 1) - x <= tolerance))

    def _at_nodes(self, weights: FloatArray) -> FloatArray:
        count, b = len(weights), self.nodes.shape[1]
        sums = np.empty((count, b + 1), dtype=np.complex128)  # one pass for both sides
        sums.real, sums.imag = (self._entered(entries, weights) for entries in (self.to_right, self.to_left))
        sums = np.cumsum(sums, axis=1, out=sums)[:, :b]
        values: FloatArray = sums.real * self.shrinkage
        values += sums.imag[:, ::-1] * self.growth
        return values

    def _entered(self, entries: list[Entries], weights: FloatArray) -> FloatArray:
        """Return Σ b f of the entries at each index, shape (g, B + 1)."""
        shape = len(weights), self.nodes.shape[1] + 1
        totals = []
        for entry in entries:
            charges = (weights if entry.point.ndim == 2 else weights.ravel()[entry.point]) * entry.factor
            totals.append(np.bincount(entry.begins.ravel(), charges.ravel(), shape[0] * shape[1]).reshape(shape))
        return np.asarray(sum(totals[1:], totals[0]))

    def _at_points(self, pulls: FloatArray) -> FloatArray:
        to_right, to_left = self._by_side(pulls)
        return to_right + to_left

    def _slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        to_right, to_left = self._by_side(pulls)
        slopes = (to_left - to_right) * self.per_unit
        # t ⊖ x decides on which side of a kink or an antipode a pair is: points that are near one take all nodes
        is_close = self._is_close(self.x, self.rows)
        if len(self.crossing) > 0:
            is_close.ravel()[self.crossing] |= self._is_close(self.antipodes, self.crossing // self.points.shape[1])
        close, step = np.flatnonzero(is_close), max(1, _CLOSE_PAIRS // self.nodes.shape[1])
        for start in range(0, len(close), step):
            which = close[start : start + step]
            rows = which // self.points.shape[1]
            nodes = np.broadcast_to(self.nodes, self.log.shape)[rows]
            pairs = BlockPairs(self.kernel, self.points.ravel()[which, np.newaxis], nodes)
            log, factor = self.kernel.slope(pairs.displacements)
            slopes.ravel()[which] = pairs.sum_at_points(np.exp(log) * factor, pulls[rows])[:, 0]
        return slopes

    def _bandwidth_slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        # (way/h - 1 + (L/h)/(e^(L/h) - 1)) e^(-way/h) for each way, L the longest
        longest = self.kernel.exponential_way * self.per_unit
        shift = 1.0 - (longest / math.expm1(longest) if longest < _LARGEST else 0.0)
        to_right, to_left = self._by_side(pulls)
        ways_right, ways_left = self._by_side(pulls, of_ways=True)
        return ways_right + ways_left - shift * (to_right + to_left)

    def _by_side(self, pulls: FloatArray, of_ways: bool = False) -> tuple[FloatArray, FloatArray]:
        """Return Σ_m c_m e^(-way/h) over the ways to the right and over those to the left, each (g, N).

        Or, `of_ways`, the sum of (way/h) e^(-way/h).
        """
        sums = self._running(pulls)
        moments = self._running(pulls * (self.bounds[:, 1:-1] * self.per_unit)) if of_ways else sums
        found = []
        for entries, sign in ((self.to_right, 1.0), (self.to_left, -1.0)):
            total = np.zeros(self.points.size)
            for entry in entries:
                read = [(s.take(entry.read).real if sign > 0.0 else s.take(entry.read).imag) for s in (moments, sums)]
                terms = entry.factor * (sign * (read[0] - entry.place * read[1]) if of_ways else read[1])
                if entry.point.ndim == 2:
                    total += terms.ravel()
                else:
                    total += np.bincount(entry.point, terms, len(total))
            found.append(total.reshape(self.points.shape))
        return found[0], found[1]

    def _running(self, pulls: FloatArray) -> ComplexArray:
        """Return Σ c_m e^-u_m over the last nodes and, imaginary, Σ c_m e^u_m over the first, 0 to B of them."""
        sums = np.zeros((len(self.points), self.nodes.shape[1] + 1), dtype=np.complex128)
        sums.real[:, 1:] = (pulls * self.shrinkage)[:, ::-1]
        sums.imag[:, 1:] = pulls * self.growth
        return np.cumsum(sums, axis=1, out=sums)


def _from_first(kernel: Kernel, nodes: FloatArray) -> FloatArray:
    """Return how far nodes (g, B) are from the first of their problem, on a circle going upward."""
    places = kernel.domain.difference(nodes, nodes[:, :1])
    if kernel.domain.measure < math.inf:
        places += kernel.domain.measure * (places < 0.0)
    return places
