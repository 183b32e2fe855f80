"""Smooth and compact kernels: sources and targets in cells, and Chebyshev interpolation between pairs of cells.

This is a black-box fast multipole method (Fong & Darve 2009) of one level, which for a gaussian is akin to the fast
Gauss transform (Greengard & Strain 1991), on logarithms and with a relative error of round-off. On a cell with centre c
and half width a, functions are replaced by their interpolant at the proxies y_l = c + a z_l, z_l = cos((l + ½)π/P):

    f(x) ≈ Σ_l f(y_l) ℓ_l(τ),  τ = (x - c)/a,   ℓ_l(τ) = (1/P) (1 + 2 Σ_{k=1}^{P-1} T_k(z_l) T_k(τ))

so that for sources s_j of weight w_j in one cell and targets t in another

    anterpolate   W_l = Σ_j w_j ℓ_l(τ_j)            the sources' weights, moved to their proxies
    sum           V_k = Σ_l K(y_k ⊖ y_l) W_l        from P proxies to P proxies
    interpolate   Σ_j w_j K(t ⊖ s_j) ≈ Σ_k V_k ℓ_k(τ_t)

A cell of at most P points is its own proxies, exactly. A pair of cells with displacements between d_min and d_max is

- dropped, if all such together add less than e^-40 of what is there: mass_j K(d_min) against e^-40/C of the largest
  mass_j' K(d_max) over all C cells j' (K falls with |d|); with a compact kernel out of reach that is 0 exactly;
- far, and goes through the proxies, where a polynomial stands for K on it to round-off;
- near, and is summed point by point, otherwise: across an edge or a kink, or where K is too steep for its width.

Interpolation at P Chebyshev nodes is off by about ρ^-P, where ρ = r/a + √((r/a)² ± 1) grows with the distance r of the
nearest pole, and by about (s a/2)^P/P! for a slope s of log K: both have to be small, as what is wanted is the kernel's
relative error. For P = 16 and 5·10⁻¹⁴ this comes to r/a ≥ 4.1, r² = d² + pole², a ≤ 0.7 bends and a |k'| ≤ 1.6
(measured at 40 digits); `Kernel.smoothness` knows pole, bend and |k'|. A piece of polynomial is exact with P above its
degree. The sums take O(P (N + B) + P² pairs) time, and as much as `pairs.py` for what is near.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray, runs
from kdegrad.domain import Domain
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity, scaled_sum
from kdegrad.sums.base import Density, KernelSums
from kdegrad.sums.locate import nearly_sorted
from kdegrad.sums.pairs import Derivative, blocked_sum
from kdegrad.sums.shares import density_of

# What keeps the interpolant's relative error at round-off (see above).
DEGREE: Final = 15  # P - 1, for a kernel that is not a polynomial
POLE_DISTANCES: Final = 4.1  # in units of half widths
_MOST_BENDS: Final = 0.7  # in a half width
MOST_SLOPE: Final = 1.6  # by which log K may change on a half width
_POLYNOMIAL_BENDS: Final = 0.125  # half width on a piece of polynomial, which knows no limit; `cosine` is like one here
MOST_FALL: Final = 8.0  # by which log K may fall over a far pair: rounding is relative to its largest value there
NEGLIGIBLE: Final = 40.0  # e^-40 = 4e-18

# What costs least.
_RELEVANT: Final = 9.0  # bandwidths beyond the nearest at which a gaussian still counts: e^-40
_MOST_OUTLYING: Final = 30.0  # bandwidths: cells are not narrowed for what lies farther outside
_PLANNED: Final = 0.9  # fraction of the widest cells, so that they also do for counterparts a little nearer
_FEW_CELLS: Final = 64  # so many cells at least may be as narrow as planned, however few their points
_RUN: Final = 4_000.0  # what a run of near pairs costs before its first pair of points, in pairs of points
_FAINT: Final = 60.0  # a kink where K is below e^-60 of its peak hardly ever counts
_UNSORTED: Final = 1.0 / 32.0  # half widths by which points may be out of order: what _PLANNED leaves is for more
_CHUNK: Final = 2_048  # points at a time: P arrays of them stay in the second-level cache
TABLE_PAIRS: Final = 65_536  # pairs of cells looked at together
PROXY_PAIRS: Final = 16_384  # pairs of proxies summed together: as in `pairs.py`

_DEEPEST: Final = 1e12  # -log K of a far pair: beyond it rounding of log K alone could be a fall
# Against the ends of float64.
_MARGIN: Final = 1e-12  # by which the extent of a pair is widened, against the rounding of its ends
_NARROWEST: Final = 1e-300  # width of a cell


class Anterpolated(NamedTuple):
    """Weights of sources by cell: those of cell c are exp(log_scale_c) times the rows.

    Attributes
    ----------
    log_scale
        The largest log weight of the cell, shape (C,).
    log_mass
        The logarithm of the cell's total, shape (C,).
    weights
        W of the proxies, shape (C, P): signed, at most of the size of the cell's number of points.
    """

    log_scale: FloatArray
    log_mass: FloatArray
    weights: FloatArray


@final
class Cells:
    """Points (N,), sources or targets, sorted into C cells of P proxies each.

    They are sorted by their displacements from `origin`; those that enter a kernel are formed anew from the points
    themselves, so that no rounding of a far origin is left in them.

    Attributes
    ----------
    order
        The points' indices, cell by cell, shape (N,), in as few bytes as will do; cells stand from left to right.
    starts, counts
        Where each cell begins in that order and how many points it has, (C,).
    centres, halves
        The middle of each cell, as an angle, and its half width, (C,).
    interpolated
        Whether the proxies are Chebyshev's nodes, (C,).
    offsets
        The proxies' displacements from the centre, (C, P).
    """

    def __init__(
        self,
        domain: Domain,
        points: FloatArray,
        origin: float,
        degree: int,
        planned_half_widths: Callable[[FloatArray], FloatArray],
    ) -> None:
        self.points = points = domain.reduced(points)  # so that a centre is formed without the rounding of many turns
        displacements = domain.difference(points, np.asarray(origin))
        narrowest = planned_half_widths(np.linspace(displacements.min(), displacements.max(), 64)).min()
        self.order, displacements = nearly_sorted(displacements, _UNSORTED * float(narrowest))
        fewest = min(max(len(points) // _FEW_CELLS, 1), degree + 1)
        self.starts = cell_starts(displacements, planned_half_widths, fewest)
        self.counts = np.diff(self.starts, append=len(points))
        widths = displacements[self.starts + self.counts - 1] - displacements[self.starts]
        self.centres = self.ordered(points, self.starts) + 0.5 * widths
        self.interpolated = self.counts > degree + 1
        self.proxies = degree + 1 if self.interpolated.any() else int(self.counts.max())
        self.cells = np.repeat(np.arange(len(self.starts), dtype=np.min_scalar_type(len(points))), self.counts)
        self.from_centre = displacements
        for chunk, cells in self.chunks():
            self.from_centre[chunk] = domain.difference(self.ordered(points, chunk), self.centres[cells])
        self.halves = np.maximum(
            np.maximum.reduceat(self.from_centre, self.starts), -np.minimum.reduceat(self.from_centre, self.starts)
        )
        angles = (np.arange(self.proxies) + 0.5) * (np.pi / self.proxies)
        self.offsets = np.where(self.interpolated, self.halves, 0.0)[:, np.newaxis] * np.cos(angles)
        for chunk, cells in self.chunks():
            own, places = self._own_proxies(chunk, cells)
            self.offsets[places] = self.from_centre[chunk][own]
        # ℓ_l(τ) = Σ_k basis_lk T_k(τ)
        self.basis = np.cos(np.outer(angles, np.arange(self.proxies))) * (2.0 / self.proxies)
        self.basis[:, 0] = 1.0 / self.proxies

    def members(self, cells: slice) -> slice:
        """Return where the points of some consecutive cells are, in cell order."""
        return slice(int(self.starts[cells.start]), int(self.starts[cells.stop - 1] + self.counts[cells.stop - 1]))

    def ordered(self, values: FloatArray, members: slice | IntArray) -> FloatArray:
        """Return those of the points' values, (N,), that belong to some of the points in cell order."""
        return values[self.order[members].astype(np.intp)]

    def chunks(self) -> Iterator[tuple[slice, IntArray]]:
        """Yield stretches of the points in cell order, with their cells."""
        for start in range(0, len(self.order), _CHUNK):
            chunk = slice(start, min(start + _CHUNK, len(self.order)))
            yield chunk, self.cells[chunk].astype(np.intp)

    def anterpolate(self, log_weights: FloatArray) -> Anterpolated:
        """Return the proxies' weights for log weights of the points, (N,)."""
        weights = self.ordered(log_weights, slice(None))
        scale = np.maximum.reduceat(weights, self.starts)
        moments = np.zeros((len(self.starts), self.proxies))  # Σ_j w_j T_k(τ_j)
        shifts = np.where(np.isneginf(scale), 0.0, scale)
        for chunk, cells in self.chunks():
            weights[chunk] -= shifts[cells]
            np.exp(weights[chunk], out=weights[chunk])
            if self.interpolated[cells].any():
                terms = self._chebyshev(chunk, cells, weights[chunk])
                here = slice(cells[0], cells[-1] + 1)
                moments[here] += np.add.reduceat(terms, np.maximum(self.starts[here] - chunk.start, 0), axis=1).T
        log_mass = scale + log_or_minus_infinity(np.add.reduceat(weights, self.starts))
        moments[~self.interpolated] = 0.0
        proxy_weights = np.einsum("ck,lk->cl", moments, self.basis)
        for chunk, cells in self.chunks():
            own, places = self._own_proxies(chunk, cells)
            proxy_weights[places] = weights[chunk][own]
        return Anterpolated(scale, log_mass, proxy_weights)

    def interpolate(self, values: FloatArray) -> Iterator[tuple[slice, IntArray, FloatArray]]:
        """Yield stretches of the points, with their cells and the interpolants of values at the proxies, (C, P)."""
        coefficients = np.ascontiguousarray(np.einsum("cl,lk->kc", values, self.basis))
        for chunk, cells in self.chunks():
            own, places = self._own_proxies(chunk, cells)
            if len(own) == len(cells):
                yield chunk, cells, values[places]
                continue
            terms = self._chebyshev(chunk, cells, np.ones(len(cells)))
            terms *= coefficients.take(cells, axis=1)
            result: FloatArray = terms.sum(axis=0)
            result[own] = values[places]
            yield chunk, cells, result

    def _own_proxies(self, chunk: slice, cells: IntArray) -> tuple[IntArray, tuple[IntArray, IntArray]]:
        """Return which points of a chunk are proxies themselves, and where they stand in a table (C, P)."""
        own = np.flatnonzero(~self.interpolated[cells])
        return own, (cells[own], chunk.start + own - self.starts[cells[own]])

    def _chebyshev(self, chunk: slice, cells: IntArray, factor: FloatArray) -> FloatArray:
        """Return factor · T_k(τ) for k < P, shape (P, points), by T_{k+1} = 2τ T_k - T_{k-1}."""
        halves = self.halves[cells]
        tau = self.from_centre[chunk] / np.where(halves > 0.0, halves, 1.0)
        terms = np.empty((self.proxies, len(tau)))
        terms[0] = factor
        if self.proxies > 1:
            np.multiply(factor, tau, out=terms[1])
        tau *= 2.0
        for k in range(2, self.proxies):
            np.multiply(tau, terms[k - 1], out=terms[k])
            terms[k] -= terms[k - 2]
        return terms


def cell_starts(
    displacements: FloatArray, planned_half_widths: Callable[[FloatArray], FloatArray], fewest: int
) -> IntArray:
    """Return where cells begin among sorted displacements, (C,).

    A cell is as wide as planned at its place, or wide enough for `fewest` points; those that turn out crowded are
    divided again, at the width as planned.
    """
    steps = np.ones(len(displacements))  # in units of cells, from each point to the next
    for start in range(0, len(steps) - 1, _CHUNK):
        here = displacements[start : start + _CHUNK + 1]
        widths = planned_half_widths(here)
        gaps = np.diff(here) / np.maximum(2.0 * np.minimum(widths[1:], widths[:-1]), _NARROWEST)
        np.minimum(gaps, 1.0, out=steps[start : start + len(gaps)])
    capped = np.minimum(steps, 1.0 / fewest)
    cells = _whole_steps(capped)
    crowded = (np.bincount(cells) > 2 * fewest)[cells]
    np.copyto(capped, steps, where=crowded)
    np.copyto(capped[:-1], steps[:-1], where=crowded[1:])
    del steps, cells
    return np.concatenate([[0], np.flatnonzero(np.diff(_whole_steps(capped))) + 1])


def _whole_steps(steps: FloatArray) -> IntArray:
    """Return for each point how many whole steps lie before it."""
    whole = np.cumsum(steps[:-1])
    np.floor(whole, out=whole)
    return np.concatenate([[0], whole.astype(np.int32)])


@final
class ChebyshevSums(KernelSums):
    """Pairs of cells.

    Attributes
    ----------
    degree
        P - 1.
    widest
        The half width that no cell exceeds, however far the other of its pair.
    point_cells, node_cells
        The cells of the points and of the nodes.
    """

    name = "cells"

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        super().__init__(kernel, points, nodes)
        self.smoothness = kernel.smoothness
        degree, bend = self.smoothness.degree, self.smoothness.bend
        self.degree, widest = (DEGREE, _MOST_BENDS * bend) if degree is None else (degree, _POLYNOMIAL_BENDS * bend)
        self.widest = min(widest, self.cheapest_beside_kinks())
        origin = 0.5 * float(nodes.min() + nodes.max())
        self.point_cells = self._cells(points, nodes, origin)
        self.node_cells = self._cells(nodes, points, origin)

    @staticmethod
    def serves(kernel: Kernel) -> bool:
        """Return whether this is no exponential (which has sums of its own), known as smooth, and 1/h² a float64."""
        known = kernel.smoothness.bend > 0.0
        return kernel.exponential_way == 0.0 and known and 1.0 / kernel.bandwidth / kernel.bandwidth < math.inf

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        return self._log_sum(self.node_cells, self.point_cells, log_weights)

    def density(self, logits: FloatArray) -> Density:
        return density_of(self, logits)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        return self._log_sum(self.point_cells, self.node_cells, log_weights)

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        log, factor = self._derivative_sum(self.kernel.slope, log_weights)
        return Scaled(log, -factor)  # odd in d, so exchanged roles change its sign

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        return self._derivative_sum(self.kernel.bandwidth_slope, log_weights)

    def half_widths(self, nearest: FloatArray, farthest: FloatArray) -> FloatArray:
        """Return the widest half width of a cell, the centre at `nearest` and no point beyond `farthest`."""
        facts = self.smoothness
        widths = np.full_like(farthest, self.widest)
        if facts.pole < math.inf:
            np.minimum(widths, np.hypot(facts.pole, nearest) / POLE_DISTANCES, out=widths)
        if facts.curvature > 0.0:
            slope = facts.curvature * np.minimum(farthest, facts.steepest)
            np.minimum(widths, MOST_SLOPE / np.maximum(slope, 1e-300), out=widths)
        return widths

    def cheapest_beside_kinks(self) -> float:
        """Return the half width a of cells that costs the least where kinks are in reach, in pairs of points.

        With X and W the widths of the stretches that the points and the nodes lie in, there are X/2a · W/2a pairs of
        cells with P² terms each; and for each of W/2a cells of nodes two runs along kinks, three cells or 6a wide.
        """
        felt = [d for d in self.kernel.kinks if d > 0.0 and self.kernel.log_shape(np.array([0.999 * d]))[0] > -_FAINT]
        spread, span = (float(np.ptp(x)) for x in (self.points, self.nodes))
        if not felt or spread == 0.0 or span == 0.0:
            return math.inf
        halves = min(felt) * np.geomspace(1e-4, 1.0, 50)
        terms = (0.5 * spread / halves) * (0.5 * span / halves) * (self.degree + 1) ** 2
        runs = span / halves * _RUN + len(self.points) * len(self.nodes) * np.minimum(12.0 * halves / spread, 1.0)
        return float(halves[np.argmin(terms + runs)])

    def _cells(self, points: FloatArray, others: FloatArray, origin: float) -> Cells:
        """Return the cells of some points, planned by how far apart they and the others lie."""
        domain, h = self.kernel.domain, self.kernel.bandwidth
        (first, last), (low, high) = (
            (displacements.min(), displacements.max())
            for displacements in (domain.difference(x, np.asarray(origin)) for x in (points, others))
        )
        outlying = min(max(first - low, high - last, 0.0), _MOST_OUTLYING * h)

        def planned(places: FloatArray) -> FloatArray:
            nearest = np.maximum(np.maximum(low - places, places - high), 0.0)
            return _PLANNED * self.half_widths(nearest, np.maximum(nearest, outlying) + _RELEVANT * h)

        return Cells(domain, points, origin, self.degree, planned)

    def _log_sum(self, targets: Cells, sources: Cells, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j exp(l_j) K_h(d) at the targets, d = target ⊖ source."""
        result = np.empty(len(targets.order))
        for which, log, factor in self._sum(targets, sources, log_weights):
            result[which] = log + log_or_minus_infinity(factor)
        return result

    def _derivative_sum(self, derivative: Derivative, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h(d) at the points, d = point ⊖ node."""
        result = Scaled(np.empty(len(self.points)), np.empty(len(self.points)))
        for which, log, factor in self._sum(self.point_cells, self.node_cells, log_weights, derivative):
            result.log[which], result.factor[which] = log, factor
        return result

    def _sum(
        self, targets: Cells, sources: Cells, log_weights: FloatArray, derivative: Derivative | None = None
    ) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
        """Yield for stretches of targets their indices and Σ_j exp(l_j) K_h, or of a derivative, as log and factor."""
        weights = sources.anterpolate(log_weights)
        far = Scaled(np.empty(len(targets.starts)), np.zeros((len(targets.starts), targets.proxies)))
        near: Scaled | None = None
        step = max(1, TABLE_PAIRS // len(sources.starts))
        for start in range(0, len(targets.starts), step):
            pairs = Pairs(self, targets, sources, slice(start, start + step), weights.log_mass, derivative)
            pairs.add_far(weights, far)
            for cell, run in runs(pairs.near):
                if near is None:
                    near = Scaled(np.full(len(targets.order), -np.inf), np.zeros(len(targets.order)))
                here, there = targets.members(slice(start + cell, start + cell + 1)), sources.members(run)
                added = blocked_sum(
                    self.kernel,
                    targets.ordered(targets.points, here),
                    sources.ordered(sources.points, there),
                    sources.ordered(log_weights, there),
                    derivative,
                )
                near.log[here], near.factor[here] = scaled_sum(near.log[here], near.factor[here], *added)
        for chunk, cells, factor in targets.interpolate(far.factor):
            log = far.log[cells]
            if near is not None:
                log, factor = scaled_sum(log, factor, near.log[chunk], near.factor[chunk])
            yield targets.order[chunk].astype(np.intp), log - self.kernel.log_norm, factor


@final
class Pairs:
    """Some rows of the table of pairs of cells: what lies between them, and what each pair is.

    Attributes
    ----------
    far, near
        Which pairs go through the proxies, and which point by point, (rows, C); the others are negligible.
    """

    def __init__(
        self,
        sums: ChebyshevSums,
        targets: Cells,
        sources: Cells,
        rows: slice,
        log_mass: FloatArray,
        derivative: Derivative | None = None,
    ) -> None:
        self.kernel, self.derivative = sums.kernel, derivative
        self.targets, self.sources, self.rows = targets, sources, rows
        self.d = self.kernel.domain.difference(targets.centres[rows, np.newaxis], sources.centres)
        distance = np.abs(self.d)
        extent = targets.halves[rows, np.newaxis] + sources.halves
        extent += _MARGIN * (extent + distance)
        nearest = np.maximum(distance - extent, 0.0)
        farthest = np.minimum(distance + extent, 0.5 * self.kernel.domain.measure)  # half a turn of a circle
        self.log_most, log_least = self.kernel.log_shape(nearest), self.kernel.log_shape(farthest)

        most, least = self.log_most + log_mass, (log_least + log_mass).max(axis=1, keepdims=True)
        slack = NEGLIGIBLE + np.log(len(log_mass)) + _MARGIN * np.abs(least)  # the last against rounding of log K
        kept = (most > -np.inf) & (most >= least - slack)
        if derivative is not None and (edge := self.kernel.edge) is not None:  # K may be negligible, its slope not
            kept |= (nearest <= edge) & (farthest >= edge) & (log_mass > -np.inf)
        widest = np.maximum(
            np.where(targets.interpolated, targets.halves, 0.0)[rows, np.newaxis],
            np.where(sources.interpolated, sources.halves, 0.0),
        )
        with np.errstate(invalid="ignore"):  # -inf - -inf, out of reach
            smooth = (self.log_most - log_least <= MOST_FALL) & (self.log_most > -_DEEPEST)
        smooth &= widest <= sums.half_widths(nearest + widest, farthest)
        for kink in self.kernel.kinks:
            smooth &= (nearest > kink) | (farthest < kink)
        self.far, self.near = kept & smooth, kept & ~smooth

    def add_far(self, weights: Anterpolated, sums: Scaled) -> None:
        """Add the far pairs at their targets' proxies: `sums` holds logarithms (C,) and factors (C, P).

        A row is in units of its largest term: the source cell's scale times K(d_min).
        """
        i, j = np.nonzero(self.far)
        sizes = np.where(self.far, self.log_most + weights.log_scale, -np.inf)
        largest = sums.log[self.rows] = sizes.max(axis=1)
        target_offsets, source_offsets, source_weights = (
            np.ascontiguousarray(table.T)
            for table in (self.targets.offsets[self.rows], self.sources.offsets, weights.weights)
        )
        step = PROXY_PAIRS // (self.targets.proxies * self.sources.proxies)
        for start in range(0, len(i), step):
            a, b = i[start : start + step], j[start : start + step]
            # (P of the target, P of the source, pairs): the longest axis last, which is the one that NumPy runs along
            d = (self.d[a, b] + target_offsets.take(a, axis=1))[:, np.newaxis] - source_offsets.take(b, axis=1)
            log, factor = (self.kernel.log_shape(d), None) if self.derivative is None else self.derivative(d)
            log -= self.log_most[a, b]
            values = np.exp(log, out=log)
            if factor is not None:
                values *= factor
            values *= source_weights.take(b, axis=1)
            added = values.sum(axis=1)
            added *= np.exp(sizes[a, b] - largest[a])
            firsts = np.flatnonzero(np.diff(a, prepend=-1))
            sums.factor[self.rows.start + a[firsts]] += np.add.reduceat(added, firsts, axis=1).T
