"""Smooth and compact kernels: points and nodes gathered into cells (`cells.py`), and cells summed in pairs.

A pair of cells (i of the targets, j of the sources), with displacements between d_min and d_max, is

- dropped, if all such together add less than e^-40 of what is there: mass_j K(d_min) against e^-40/C of the largest
  mass_j' K(d_max) over all C cells j' (K falls with |d|); with a compact kernel out of reach that is 0 exactly;
- taken through the proxies, P × P terms for all its points, where the kernel is smooth on it (`smoothness.py`);
- summed point by point, as in `dense.py`, otherwise: across an edge or a kink, or where K is too steep for its width.

The sum over proxies runs in units of exp(peak_i), the largest mass_j K(d_min) of the target's cell. It takes
O(P (N + B) + P² pairs) time; the rest is in proportion to the points that the last sort of pairs holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.domain import Circle
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity, scaled_sum
from kdegrad.sums.base import KernelSums
from kdegrad.sums.cells import Cells
from kdegrad.sums.dense import Terms, blocked_sum
from kdegrad.sums.smoothness import MOST_FALL, Smoothness, smoothness

_NEGLIGIBLE: Final = 40.0  # e^-40 = 4e-18
_RELEVANT: Final = 9.0  # bandwidths beyond the nearest at which a gaussian still counts: e^-40
_MOST_OUTLYING: Final = 30.0  # bandwidths: cells are not narrowed for what lies farther outside
_PLANNED: Final = 0.9  # of the widest cells, so that they also do for counterparts a little nearer
_RUN: Final = 4_000.0  # what a run of pairs costs before its first pair, in pairs
_FAINT: Final = 60.0  # a kink where K is below e^-60 of its peak hardly ever counts
_PAIR_ROWS: Final = 65_536  # pairs of cells looked at together
_PAIR_TERMS: Final = 16_384  # proxies times proxies summed together: as in `dense.py`
_MARGIN: Final = 1e-12  # by which the extent of a pair is widened, against the rounding of its ends


@final
class CellSums(KernelSums):
    """Pairs of cells."""

    name = "cells"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        rule = smoothness(kernel)
        assert rule is not None  # `serves` saw to it
        self.rule = replace(rule, widest=min(rule.widest, self._width_for_kinks(rule)))
        origin = 0.5 * float(nodes.min() + nodes.max())
        self.point_cells = self._cells(points, nodes, origin)
        self.node_cells = self._cells(nodes, points, origin)

    @classmethod
    def serves(cls, kernel: Kernel) -> bool:
        """Return whether a rule says where the kernel is smooth, and the widths that it gives are float64."""
        return smoothness(kernel) is not None and 1.0 / kernel.bandwidth / kernel.bandwidth < math.inf

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,)."""
        return self._log_sum(self.node_cells, self.point_cells, log_weights)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,)."""
        return self._log_sum(self.point_cells, self.node_cells, log_weights)

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i), shape (N,): odd in d, so exchanged roles change its sign."""
        log, factor = self._factored_sum(self.kernel.slope, log_weights)
        return Scaled(log, -factor)

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂log h (t_m ⊖ x_i), shape (N,)."""
        return self._factored_sum(self.kernel.bandwidth_slope, log_weights)

    def _width_for_kinks(self, rule: Smoothness) -> float:
        """Return the half width a of cells that costs the least where kinks are in reach, in pairs of points.

        With X and W the widths of the stretches that the points and the nodes lie in, there are X/2a · W/2a pairs of
        cells with P² terms each; and for each of W/2a cells of nodes two runs along kinks, three cells or 6a wide.
        """
        kinks = [kink for kink in rule.kinks if kink > 0.0 and self._is_felt(kink)]
        spread, span = (float(np.ptp(x)) for x in (self.points, self.nodes))
        if not kinks or spread == 0.0 or span == 0.0:
            return math.inf
        halves = min(kinks) * np.geomspace(1e-4, 1.0, 50)
        terms = (0.5 * spread / halves) * (0.5 * span / halves) * (rule.degree + 1) ** 2
        runs = span / halves * _RUN + len(self.points) * len(self.nodes) * np.minimum(12.0 * halves / spread, 1.0)
        return float(halves[np.argmin(terms + runs)])

    def _is_felt(self, kink: float) -> bool:
        """Return whether the kernel is large enough short of a kink to count there as a rule."""
        return float(self.kernel.log_shape(np.array([0.999 * kink]))[0]) > -_FAINT

    def _cells(self, points: FloatArray, others: FloatArray, origin: float) -> Cells:
        """Return the cells of some points, planned by how far apart they and the others lie."""
        domain, h = self.kernel.domain, self.kernel.bandwidth
        ours, theirs = (_stretch(domain.difference(x, np.asarray(origin))) for x in (points, others))
        outlying = min(float(_distances(np.array(theirs), ours).max()), _MOST_OUTLYING * h)

        def planned(places: FloatArray) -> FloatArray:
            nearest = _distances(places, theirs)
            return _PLANNED * self.rule.half_widths(nearest, np.maximum(nearest, outlying) + _RELEVANT * h)

        return Cells(domain, points, origin, self.rule.degree, planned)

    def _log_sum(self, targets: Cells, sources: Cells, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j exp(l_j) K_h(d) at the targets, d = target ⊖ source."""
        result = np.empty(len(targets.order))
        for members, log, factor in self._sum(
            lambda d: (self.kernel.log_shape(d), None), targets, sources, log_weights
        ):
            result[members] = log + log_or_minus_infinity(factor)
        return result

    def _factored_sum(self, terms: Terms, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) · factor(d) · exp(log(d) - log_norm) at the points, d = point ⊖ node."""
        result = Scaled(np.empty(len(self.points)), np.empty(len(self.points)))
        for members, log, factor in self._sum(terms, self.point_cells, self.node_cells, log_weights):
            result.log[members], result.factor[members] = log, factor
        return result

    def _sum(
        self, terms: Terms, targets: Cells, sources: Cells, log_weights: FloatArray
    ) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
        """Yield for stretches of targets their indices and Σ_j exp(l_j) · factor(d) · exp(log(d) - log_norm)."""
        gathered = sources.gather(log_weights)
        peaks = np.empty(len(targets.starts))
        totals = np.zeros((len(targets.starts), targets.proxies))
        directs = None
        for rows in _row_blocks(len(targets.starts), len(sources.starts)):
            pairs = _Pairs(self, targets, sources, rows)
            smooth, direct = pairs.sorted_out(gathered.log_mass)
            pairs.add_smooth(terms, smooth, gathered.log_scale, gathered.weights, peaks, totals)
            if directs is None and direct.any():
                directs = np.full(len(targets.order), -np.inf), np.zeros(len(targets.order))
            for cell, run in _runs(direct):
                assert directs is not None  # as some are marked
                members, others = targets.members(slice(rows.start + cell, rows.start + cell + 1)), sources.members(run)
                added = blocked_sum(
                    terms,
                    self.kernel,
                    targets.ordered(targets.points, members),
                    sources.ordered(sources.points, others),
                    sources.ordered(log_weights, others),
                )
                log, factor = (part[members] for part in directs)
                log[:], factor[:] = scaled_sum(log, factor, *added)
        spread = targets.spread(totals)
        for chunk, cells in targets.chunks():
            log, factor = peaks[cells], spread(chunk, cells)
            if directs is not None:
                log, factor = scaled_sum(log, factor, *(part[chunk] for part in directs))
            yield targets.order[chunk].astype(np.intp), log - self.kernel.log_norm, factor


class _Pairs:
    """Some rows of the table of pairs: what lies between their cells, and how K falls there."""

    def __init__(self, sums: CellSums, targets: Cells, sources: Cells, rows: slice) -> None:
        self.kernel, self.rule = sums.kernel, sums.rule
        self.targets, self.sources, self.first = targets, sources, rows.start
        self.d = self.kernel.domain.difference(targets.centres[rows, np.newaxis], sources.centres)
        distance = np.abs(self.d)
        extent = targets.halves[rows, np.newaxis] + sources.halves
        extent += _MARGIN * (extent + distance)
        self.nearest = np.maximum(distance - extent, 0.0)
        self.farthest = distance + extent
        domain = self.kernel.domain
        if isinstance(domain, Circle):
            np.minimum(self.farthest, 0.5 * domain.period, out=self.farthest)
        self.widest = np.maximum(
            np.where(targets.interpolated, targets.halves, 0.0)[rows, np.newaxis],
            np.where(sources.interpolated, sources.halves, 0.0),
        )
        self.log_most = self.kernel.log_shape(self.nearest)
        self.log_least = self.kernel.log_shape(self.farthest)

    def sorted_out(self, log_mass: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Return which pairs go through the proxies and which point by point; the others are negligible."""
        most = self.log_most + log_mass
        least = (self.log_least + log_mass).max(axis=1, keepdims=True)
        kept = (most > -np.inf) & (most >= least - (_NEGLIGIBLE + np.log(len(log_mass))))
        smooth = kept & self._is_smooth()
        return smooth, kept & ~smooth

    def _is_smooth(self) -> BoolArray:
        with np.errstate(invalid="ignore"):  # -inf - -inf, out of reach
            fall = self.log_most - self.log_least
        smooth = fall <= MOST_FALL
        smooth &= self.widest <= self.rule.half_widths(self.nearest + self.widest, self.farthest)
        for kink in self.rule.kinks:
            smooth &= (self.nearest > kink) | (self.farthest < kink)
        return smooth

    def add_smooth(
        self,
        terms: Terms,
        smooth: BoolArray,
        log_scale: FloatArray,
        weights: FloatArray,
        peaks: FloatArray,
        totals: FloatArray,
    ) -> None:
        """Add the pairs to their targets' proxies: `peaks` (C,) and `totals` (C, P) in units of their exponentials."""
        i, j = np.nonzero(smooth)
        sizes = np.where(smooth, self.log_most + log_scale, -np.inf)
        peak = sizes.max(axis=1)
        rows = slice(self.first, self.first + len(peak))
        peaks[rows] = peak
        target_offsets, source_offsets, source_weights = (
            np.ascontiguousarray(table.T) for table in (self.targets.offsets[rows], self.sources.offsets, weights)
        )
        step = _PAIR_TERMS // (self.targets.proxies * self.sources.proxies)
        for start in range(0, len(i), step):
            a, b = i[start : start + step], j[start : start + step]
            # (P of the target, P of the source, pairs): the longest axis last, which is the one that NumPy runs along
            d = (self.d[a, b] + target_offsets.take(a, axis=1))[:, np.newaxis] - source_offsets.take(b, axis=1)
            log, factor = terms(d)
            log -= self.log_most[a, b]
            values = np.exp(log, out=log)
            if factor is not None:
                values *= factor
            values *= source_weights.take(b, axis=1)
            sums = values.sum(axis=1)
            sums *= np.exp(sizes[a, b] - peak[a])
            firsts = np.flatnonzero(np.diff(a, prepend=-1))
            totals[self.first + a[firsts]] += np.add.reduceat(sums, firsts, axis=1).T


def _stretch(places: FloatArray) -> tuple[float, float]:
    """Return the ends of the stretch that some places lie in."""
    return float(places.min()), float(places.max())


def _distances(places: FloatArray, stretch: tuple[float, float]) -> FloatArray:
    """Return how far each place is from a stretch."""
    low, high = stretch
    distances: FloatArray = np.maximum(np.maximum(low - places, places - high), 0.0)
    return distances


def _row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of the rows of a table, each of a size that stays in cache."""
    step = max(1, _PAIR_ROWS // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _runs(marked: BoolArray) -> Iterator[tuple[int, slice]]:
    """Yield for each row the runs of marked columns."""
    rows, columns = marked.shape
    padded = np.zeros((rows, columns + 2), dtype=np.int8)
    padded[:, 1:-1] = marked
    edges = np.diff(padded)
    begins, ends = np.nonzero(edges == 1), np.nonzero(edges == -1)
    for row, begin, end in zip(begins[0].tolist(), begins[1].tolist(), ends[1].tolist(), strict=True):
        yield row, slice(begin, end)
