"""Exponentials of the distance, exactly and in O(N + B): Laplace kernels on the line and on circles.

    K_h(t ⊖ x) = Σ exp(-|t - x|/h) / (2h (1 - e^(-L/h)))

over the ways from x to t, to either side, that are shorter than L: infinite on the line, half a turn for the shorter
way round a circle, a whole turn for all turns (each further one is e^(-L/h) of the one before).

The nodes, and half a turn from them, cut the domain at places s_0 ≤ … ≤ s_{n-1}. The points of a cell between two
places act on all nodes to the right by one number and on all to the left by another, and the nodes act on a point by
two numbers of its cell. What is left is one kind of sum, over the last w of the n places, and its mirror image:

    left_k = Σ_{i<w} a_{k-i} exp(-(s_k - s_{k-i})/h),    s_{k-n} = s_k - P,

w = n on the line and for all turns, n/2 for half a turn. Where lengths are short in bandwidths and every p is of
ordinary size, plain floats suffice (`PlainDensity`). Elsewhere `decays.py` sums by logarithms, and the shares are
distributed by the same factors that formed p, so that they add up to 1 at any distance (`LogDensity`). A complex
array carries two reals, one for each direction: one complex pass is faster than two real ones.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, ComplexArray, FloatArray, IntArray, running_total
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, common_log, log_or_minus_infinity, log_sum
from kdegrad.sums.base import Density, KernelSums, Shares, weighted
from kdegrad.sums.decays import Decay, Windows, gathered, joined, shared
from kdegrad.sums.dense import DenseSums
from kdegrad.sums.locate import Breakpoints, places_of
from kdegrad.sums.pairs import Strongest
from kdegrad.weights import common_shift

_CHUNK: Final = 16_384  # points at a time: some ten arrays of them stay in the second-level cache
_LONG: Final = 150.0  # bandwidths that places may be apart in plain floats: e^150 = 1e65
_FARTHEST: Final = 300.0  # bandwidths that a point may be from the middle of its cell: e^300 = 1e130
_FAR: Final = math.exp(-0.999 * _FARTHEST)  # e^v at (almost) -_FARTHEST: marks a clipped point
_FAINT: Final = 1e-100  # the least density, and mass of a cell at its end, in plain floats; its inverse is the largest
_LEAST_LOG: Final = -345.0  # least log weight in plain floats: 1e-150, also for masked points, is nothing beside 1e-100
LEAST: Final = 1e-290  # below this a quotient loses digits to underflow
_SLOPING: Final = 0.1  # circumference/h below which left minus right cancels: dense sums are used
_ROUNDING: Final = 8.0 * np.finfo(np.float64).eps  # rounding of places, in units of a turn


@final
class ExponentialSums(KernelSums):
    """Sums over cells and places, for the kernels that are exponentials of the distance."""

    name = "scan"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        self.period = kernel.domain.measure  # P; infinite on the line
        self.reach = kernel.exponential_way  # L: how far a point acts to either side
        self.per_unit = 1.0 / kernel.bandwidth  # 1/h
        self.blocks = 2 if self.reach < self.period else 1  # n/w
        nodes = kernel.domain.reduced(nodes)
        places, self.index = places_of(nodes, self.period, self.reach)  # index: finds each node among the places
        self.breakpoints = Breakpoints(places)
        self.coordinates = places  # as the dense sums have them: of a node at P/2, which is the place -P/2
        if self.period < math.inf and (nodes == 0.5 * self.period).any():
            self.coordinates = np.where(places == -0.5 * self.period, 0.5 * self.period, places)
        self.count = len(places)  # n
        longest = np.ptp(places) if self.reach == math.inf else self.reach
        self.is_short = longest <= _LONG * kernel.bandwidth  # whether e^(s/h) is a plain float throughout a block

    @cached_property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """The left and right ends of the cells, (n+1,); on a circle the first cell and the last are one."""
        places = self.breakpoints.positions
        return np.append(places[-1] - self.period, places), np.append(places, places[0] + self.period)

    @cached_property
    def growth(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """How much e^(s/h) grows from the first place of a block to its places, (n,), and to cells' middles, (n+1,).

        To the middles twice: from the first place of the block that a cell's right end is in, and of its left end's.
        """
        places, w = self.breakpoints.positions, self.count // self.blocks
        starts = np.repeat(places[::w], w)
        right = np.exp((self.breakpoints.references - np.concatenate([starts, starts[-1:]])) * self.per_unit)
        left, block = right.copy(), self.reach * self.per_unit
        left[: self.count : w] *= np.exp(block)  # on the line infinite: so nothing is beyond its ends
        right[-1] *= math.exp(-block)
        return np.exp((places - starts) * self.per_unit), right, left

    @staticmethod
    def serves(kernel: Kernel) -> bool:
        """Return whether the kernel is an exponential of the distance, and the inverse of its bandwidth a float64."""
        return kernel.exponential_way > 0.0 and 1.0 / kernel.bandwidth < math.inf

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        density = self.density(log_weights)
        return density.log + (density.log_sum + density.shift)

    def density(self, logits: FloatArray) -> PlainDensity | LogDensity:
        if self.is_short and (density := PlainDensity(self, logits)).is_ordinary:
            return density
        return LogDensity(self, logits)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        left, right = self.in_cells(self._windows(log_weights).sums)
        result = np.empty(len(self.points))
        for chunk, x, cells in self._located():
            result[chunk] = log_sum(*self._logs(left.at(cells), right.at(cells), x))
        result -= self.kernel.log_norm
        return result

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        # 1/h times what lies to the left less what lies to the right
        if self.reach == self.period < _SLOPING * self.kernel.bandwidth:
            return DenseSums(self.kernel, self.points, self.nodes).slope_at_points(log_weights)
        windows = self._windows(log_weights)
        left, right = self.in_cells(windows.sums)
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk, x, cells in self._located():
            log, (slope, from_right) = common_log(*self._logs(left.at(cells), right.at(cells), x))
            slope -= from_right
            self._decide_sides(windows.terms.log[0].ravel(), x, cells, log, slope)
            logs[chunk], factors[chunk] = log, slope * self.per_unit
        return Scaled(logs - self.kernel.log_norm, factors)

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        # the sum of (|d|/h - 1 + (L/h)/(e^(L/h) - 1)) K_h, of |d| the mean
        windows = self._windows(log_weights)
        left, right = self.in_cells(windows.sums)
        of_left, of_right = (side.place for side in self.in_cells(Decay(windows.sums.log, windows.centres())))
        reach = self.reach * self.per_unit
        shift = 1.0 - (reach / math.expm1(reach) if reach < 700.0 else 0.0)
        logs, factors = np.empty(len(self.points)), np.empty(len(self.points))
        for chunk, x, cells in self._located():
            logs[chunk], sides = common_log(*self._logs(left.at(cells), right.at(cells), x))
            to_left = (x - of_left[cells]) * self.per_unit - shift
            to_right = (-of_right[cells] - x) * self.per_unit - shift
            factors[chunk] = sides[0] * to_left + sides[1] * to_right
        return Scaled(logs - self.kernel.log_norm, factors)

    def chunks(self) -> Iterator[slice]:
        """Yield slices that cover the points."""
        for start in range(0, len(self.points), _CHUNK):
            yield slice(start, min(start + _CHUNK, len(self.points)))

    def _located(self) -> Iterator[tuple[slice, FloatArray, IntArray]]:
        """Yield chunks of the points with their coordinates and their cells."""
        for chunk in self.chunks():
            x = self.kernel.domain.reduced(self.points[chunk])
            cells = self.breakpoints.locate(x)[0].astype(np.intp, copy=False)
            yield chunk, x, self.breakpoints.exact_cells(x, cells)

    def window_totals(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sums over the last w places, and over the next, of terms that are grown or shrunk, each (n,)."""
        terms = np.empty(self.count, dtype=np.complex128)  # real part: from the left; imaginary part: from the right
        terms.real, terms.imag = from_left, from_right[::-1]
        totals = running_total(terms.reshape(self.blocks, -1))
        if self.reach < math.inf:
            rest = (totals[:, -1:] - totals) * math.exp(-self.reach * self.per_unit)
            totals += rest[::-1]  # add the previous block (with one block: itself)
        totals = totals.reshape(-1)
        return totals.real, totals.imag[::-1]

    def both_ways(self, from_left: FloatArray, from_right: FloatArray) -> FloatArray:
        """Return terms for sums from the left and from the right, each (n,), as (2, n/w, w), the latter mirrored."""
        both = np.empty((2, self.count))
        both[0], both[1] = from_left, from_right[::-1]
        return both.reshape(2, self.blocks, -1)

    def at_places(self, values: FloatArray) -> FloatArray:
        """Return values of the nodes as values of the places, added up where nodes coincide."""
        if isinstance(self.index, slice):
            return values
        return np.bincount(self.index, values, self.count).astype(np.float64, copy=False)

    def in_cells(self, sums: Decay) -> tuple[Decay, Decay]:
        """Return sums (2, n/w, w) as what reaches the cells from the left and, mirrored, from the right: (n+1,)."""
        log, place = sums.log.reshape(2, -1), sums.place.reshape(2, -1)
        first = np.full((2, 1), -np.inf) if self.period == math.inf else log[:, -1:]  # a turn before
        turn = 0.0 if self.period == math.inf else self.period
        log, place = np.append(first, log, axis=1), np.append(place[:, -1:] - turn, place, axis=1)
        return Decay(log[0], place[0]), Decay(log[1, ::-1], place[1, ::-1])

    def _windows(self, log_weights: FloatArray) -> Windows:
        """Return the sums of the nodes over the places."""
        logs = log_weights
        if not isinstance(self.index, slice):
            logs = np.full(self.count, -np.inf)
            np.logaddexp.at(logs, self.index, log_weights)
        places = self.breakpoints.positions
        terms = Decay(self.both_ways(logs, logs), self.both_ways(places, -places))
        return Windows(terms, self.per_unit, self.period)

    def _logs(self, left: Decay, right: Decay, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of what reaches x from the left and from the right."""
        return left.log - (x - left.place) * self.per_unit, right.log + (x + right.place) * self.per_unit

    def _decide_sides(
        self, charges: FloatArray, x: FloatArray, cells: IntArray, log: FloatArray, slope: FloatArray
    ) -> None:
        """Let t ⊖ x decide on which side of a kink or an antipode a pair is, in place of the order of the places."""
        on_circle = self.period < math.inf
        tolerance, turn = (_ROUNDING * self.period, self.period) if on_circle else (0.0, 0.0)
        to_end = np.minimum(x - self.ends[0][cells], self.ends[1][cells] - x)
        close = np.flatnonzero(to_end <= tolerance)
        difference, positions = self.kernel.domain.difference, self.breakpoints.positions
        for step in (-2, -1, 0, 1) if len(close) > 0 else ():
            side = 1.0 if step < 0 else -1.0  # side of the point, by the order
            turns, at = np.divmod(cells[close] + step, self.count)
            near = (np.abs(x[close] - positions[at] - turns * turn) <= tolerance) & (on_circle | (turns == 0))
            at, which = at[near], close[near]
            sign = np.sign(difference(x[which], self.coordinates[at]))
            slope[which] += (sign - side) * np.exp(charges[at] - log[which])
            if on_circle:  # the charge that is L away is in the other side's window
                at = (at + self.count // self.blocks) % self.count
                d = difference(x[which], self.coordinates[at])
                wanted = np.sign(d) * (np.abs(d) < self.reach) if self.blocks == 2 else -sign
                slope[which] += (wanted + side) * np.exp(charges[at] - self.reach * self.per_unit - log[which])


class CellDensity(Density):
    """The points in their cells; a point grows by e^v from the middle of its cell, v in bandwidths.

    Attributes
    ----------
    masses
        Of the cells, (n+1,). Real part: to the left, Σ S_j e^(-v_j); imaginary part: to the right, Σ S_j e^(v_j).
    shift, log_sum
        log S_i is (z_i - shift) - log_sum.
    has_extremes
        Some v or weights were clipped; these points' own shares are recomputed in `_shares`.
    """

    def __init__(self, sums: ExponentialSums, logits: FloatArray, exactly: bool) -> None:
        self.owner, self.logits, self.has_extremes = sums, logits, False  # owner: the sums that made it
        self.shift = common_shift(logits)
        self.growth = np.empty(len(logits))  # e^v of the points, v clipped to ±300
        # each point's cell, in the smallest integer type: less memory traffic
        self.cells = np.empty(len(logits), dtype=np.min_scalar_type(sums.count + 1))
        self.masses = np.zeros(sums.count + 1, dtype=np.complex128)
        terms, totals = np.empty(min(len(logits), _CHUNK), dtype=np.complex128), []
        for chunk in sums.chunks():
            x = sums.kernel.domain.reduced(sums.points[chunk])
            located, references = sums.breakpoints.locate(x)
            cells = located.astype(np.intp, copy=False)
            if exactly:
                cells = sums.breakpoints.exact_cells(x, cells)
                references = sums.breakpoints.references_of(cells)
            v = np.subtract(x, references, out=references)
            v *= sums.per_unit
            weight = self.shifted(chunk)
            if v.min() < -_FARTHEST or v.max() > _FARTHEST or weight.min() < _LEAST_LOG:
                self.has_extremes = True
                v, weight = np.clip(v, -_FARTHEST, _FARTHEST), np.maximum(weight, _LEAST_LOG)
            growth, weight, term = np.exp(v, out=self.growth[chunk]), np.exp(weight, out=v), terms[: len(v)]
            totals.append(float(weight.sum()))
            np.divide(weight, growth, out=term.real)
            np.multiply(weight, growth, out=term.imag)
            np.add.at(self.masses, cells, term)
            self.cells[chunk] = cells
        total = math.fsum(totals)
        self.masses /= total
        self.log_sum = math.log(total)

    @abstractmethod
    def distribute(self, node_shares: FloatArray) -> tuple[ComplexArray, IntArray, FloatArray]:
        """Return for each cell R_i/S_i's left and right factors at its middle; points handled separately; their R_i."""

    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return weighted(self.log_weights, self.owner.slope_at_points(log_pulls))

    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return np.asarray(weighted(self.log_weights, self.owner.bandwidth_slope_at_points(log_pulls)).sum())

    @property
    def log_weights(self) -> FloatArray:
        """Logarithms of the weights S_i, shape (N,)."""
        return self.shifted(slice(None)) - self.log_sum

    def shifted(self, which: slice | IntArray) -> FloatArray:
        """Return z_i - shift of some points, to be read only."""
        return self.logits[which] if self.shift == 0.0 else self.logits[which] - self.shift

    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        tables, apart, shares_apart = self.distribute(node_shares)
        shares, ratios = np.empty_like(self.logits), np.empty_like(self.logits)
        for chunk, _, share, ratio in self._shares(tables):
            shares[chunk], ratios[chunk] = share, ratio
        shares[apart] = shares_apart
        ratios[apart], is_faint = self._quotients(apart, shares_apart)
        faint = apart[is_faint]
        if node_shares.min() < LEAST:  # beside a background: the ratio of a light point is not that of its share
            faint = np.flatnonzero(self.log_weights < 2.0 * _LEAST_LOG)
        if len(faint):
            ratios[faint] = self.ratios_at(faint, log_pulls)
        return Shares(shares, ratios)

    def ratios_at(self, which: IntArray, log_pulls: FloatArray) -> FloatArray:
        """Return R_i/S_i of some points, as the sum over the nodes that it is."""
        with np.errstate(over="ignore"):
            sums = ExponentialSums(self.owner.kernel, self.owner.points[which], self.owner.nodes)
            return np.asarray(np.exp(sums.at_points(log_pulls)))

    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        tables, apart, shares_apart = self.distribute(node_shares)
        excess = np.empty_like(self.logits)
        for chunk, weight, share, _ in self._shares(tables):
            np.subtract(weight, share, out=excess[chunk])
        excess[apart] = np.exp(self.shifted(apart) - self.log_sum) - shares_apart
        return excess

    def _shares(self, tables: ComplexArray) -> Iterator[tuple[slice, FloatArray, FloatArray, FloatArray]]:
        """Yield chunks of the points with S_i, R_i and R_i/S_i, in arrays that the next chunk's overwrite."""
        sums, work = self.owner, np.empty((3, min(len(self.logits), _CHUNK)))
        for chunk in sums.chunks():
            growth, cells = self.growth[chunk], self.cells[chunk].astype(np.intp)
            weight, share, ratio = work[:, : len(cells)]
            np.subtract(self.shifted(chunk), self.log_sum, out=weight)
            if self.has_extremes:
                extreme = np.flatnonzero((weight < _LEAST_LOG) | (growth < _FAR) | (growth > 1.0 / _FAR))
            np.exp(weight, out=weight)
            sides = tables.take(cells, mode="clip")
            np.divide(sides.real, growth, out=ratio)
            ratio += np.multiply(sides.imag, growth, out=share)
            np.multiply(weight, ratio, out=share)
            if self.has_extremes:
                at = extreme + chunk.start
                v = sums.kernel.domain.reduced(sums.points[at]) - sums.breakpoints.references_of(cells[extreme])
                v *= sums.per_unit
                left, right = (log_or_minus_infinity(part[extreme]) for part in (sides.real, sides.imag))
                log_ratio = log_sum(left - v, right + v)
                share[extreme] = np.exp(log_ratio + (self.shifted(at) - self.log_sum))
                ratio[extreme] = np.exp(log_ratio)
            yield chunk, weight, share, ratio

    def _quotients(self, which: IntArray, shares: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return R_i/S_i of some points, and where one of the two is hardly a float64."""
        weights = np.exp(self.shifted(which) - self.log_sum)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return shares / weights, np.minimum(shares, weights) < LEAST


@final
class PlainDensity(CellDensity):
    """Sums in plain floats.

    With u = e^(s/h) at the places and r at the middles of the cells, from the first place of a block, and of the cells
    D = Σ S_j e^(-v_j) and A = Σ S_j e^(v_j), v from their middles,

        left[A r]/u + u right[D/r] at a place,    left[u q/p]/r e^-v + r right[q/p/u] e^v at a point.

    No precision is lost: e^v of a point stays within e^±300, u within e^150, and what underflows, or is a masked
    point's, is nothing beside a density of 1e-100.
    """

    def __init__(self, sums: ExponentialSums, logits: FloatArray) -> None:
        super().__init__(sums, logits, exactly=False)
        to_places, right, left = sums.growth
        to_right, to_left = self.masses.imag * right, self.masses.real / left
        to_right[0] += to_right[-1]  # the first and the last cell are one on a circle; on the line this adds 0
        to_left[-1] += to_left[0]
        from_left, from_right = sums.window_totals(to_right[:-1], to_left[1:])
        values = from_left / to_places + from_right * to_places
        self.values = values[sums.index]  # p at the nodes but for the kernel's constant, (B,)
        self.log = log_or_minus_infinity(self.values) - sums.kernel.log_norm

    @property
    def is_ordinary(self) -> bool:
        """Whether plain floats can hold the points and the density at the nodes."""
        return bool(self.values.min() >= _FAINT and self.values.max() <= 1.0 / _FAINT)

    def distribute(self, node_shares: FloatArray) -> tuple[ComplexArray, IntArray, FloatArray]:
        sums = self.owner
        at_places = sums.at_places(node_shares / self.values)
        to_places, right, left = sums.growth
        from_left, from_right = sums.window_totals(at_places * to_places, at_places / to_places)
        tables = np.empty_like(self.masses)
        tables.real[1:], tables.imag[:-1] = from_left, from_right
        tables.real[0], tables.imag[-1] = from_left[-1], from_right[0]  # a turn on
        tables.real /= left
        tables.imag *= right
        return tables, np.empty(0, dtype=np.intp), np.empty(0)


@final
class LogDensity(CellDensity):
    """Sums by logarithms, in plain floats only within ordinary cells.

    Points of other cells are summed separately, relative to their largest term. The two sides of a node are compared by
    (log F - log G) - ((t - r) - (l - t))/h, F and G taken at l and r.
    Of log p three numbers are kept in `strongest`: log K_h is that of the place of the stronger side.
    """

    def __init__(self, sums: ExponentialSums, logits: FloatArray) -> None:
        super().__init__(sums, logits, exactly=True)
        occupied, strange = self.masses.imag > 0.0, np.zeros(sums.count + 1, dtype=np.bool_)
        sides, middles, (left_ends, right_ends) = [], sums.breakpoints.references, sums.ends
        for mass, end, room in (  # to the right; to the left, mirrored
            (self.masses.imag, right_ends, (right_ends - middles) * sums.per_unit),
            (self.masses.real, -left_ends, (middles - left_ends) * sums.per_unit),
        ):
            logs = log_or_minus_infinity(mass) - room
            strange |= (room < np.inf) & ((np.abs(logs) > -math.log(_FAINT)) | (room > _FARTHEST))
            sides.append(Decay(logs, np.where(np.isfinite(end), end, 0.0)))
        strange &= occupied
        self.ordinary = occupied & ~strange  # cells whose masses plain floats hold, (n+1,)
        self.apart = np.flatnonzero(strange[self.cells])  # the points of other cells
        self.cells_apart = self.cells[self.apart].astype(np.intp)  # their cells
        x, logs = sums.kernel.domain.reduced(sums.points[self.apart]), self.shifted(self.apart) - self.log_sum
        self.parts = []  # their shares in what their cells send to the right; to the left
        for side, coordinates in zip(sides, (x, -x), strict=True):
            found, parts = gathered(Decay(logs, coordinates), self.cells_apart, len(strange), sums.per_unit)
            side.log[strange], side.place[strange] = found.log[strange], found.place[strange]
            self.parts.append(parts)
        cells = Decay(*(np.stack([right, left[::-1]]) for right, left in zip(*sides, strict=True)))
        self.outer: FloatArray | None = None  # on a circle log a - log b of the last and the first cell, (2,)
        if sums.period < math.inf:  # the last cell is the first, a turn later
            last = Decay(cells.log[:, -1], cells.place[:, -1] - sums.period)
            (cells.log[:, 0], cells.place[:, 0]), self.outer = joined(last, cells.at((slice(None), 0)), sums.per_unit)
        terms = Decay(*(part[:, :-1].reshape(2, sums.blocks, -1) for part in cells))
        self.windows = Windows(terms, sums.per_unit, sums.period)  # what reaches the places, from either side
        left, right = (Decay(*(part[side].ravel() for part in self.windows.sums)) for side in (0, 1))
        left, right = left.at(sums.index), right.at(slice(None, None, -1)).at(sums.index)
        t = sums.breakpoints.positions[sums.index]
        to_left, to_right = (t - left.place) * sums.per_unit, (-right.place - t) * sums.per_unit
        excess = np.where(np.isneginf(left.log), -np.inf, (left.log - right.log) - (to_left - to_right))
        *self.sides, log_total = shared(excess)  # sides: the shares of left and right in p at the nodes
        log_rest = np.where(excess > 0.0, left.log, right.log) + log_total
        log_kernel = -np.where(excess > 0.0, to_left, to_right)
        self.strongest = Strongest(log_kernel, np.zeros_like(log_rest), log_rest)
        self.log = log_kernel + log_rest - sums.kernel.log_norm

    def distribute(self, node_shares: FloatArray) -> tuple[ComplexArray, IntArray, FloatArray]:
        sums = self.owner
        to_sides = (sums.at_places(node_shares * side) for side in self.sides)
        to_cells = np.zeros((2, sums.count + 1))
        to_cells[:, :-1] = self.windows.distribute(sums.both_ways(*to_sides)).reshape(2, -1)
        if self.outer is not None:
            last, first, _ = shared(self.outer)
            to_cells[:, -1] = to_cells[:, 0] * last
            to_cells[:, 0] *= first
        to_right, to_left = to_cells[0], to_cells[1, ::-1]
        tables = np.zeros_like(self.masses)
        np.divide(to_left, self.masses.real, out=tables.real, where=self.ordinary)
        np.divide(to_right, self.masses.imag, out=tables.imag, where=self.ordinary)
        at = self.cells_apart
        return tables, self.apart, to_right[at] * self.parts[0] + to_left[at] * self.parts[1]
