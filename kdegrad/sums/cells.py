"""Points gathered into cells, a cell's points into a few proxies: what many points do to far places, P places do.

On a cell with centre c and half width a, functions are replaced by their interpolant at y_l = c + a z_l, with
Chebyshev's z_l = cos((l + ½)π/P):

    f(x) ≈ Σ_l f(y_l) ℓ_l(τ),  τ = (x - c)/a,   ℓ_l(τ) = (1/P) (1 + 2 Σ_{k=1}^{P-1} T_k(z_l) T_k(τ)).

Read one way it gathers,

    Σ_j S_j f(x_j) ≈ Σ_l W_l f(y_l),  W_l = Σ_j S_j ℓ_l(τ_j), from the moments Σ_j S_j T_k(τ_j),

read the other way it spreads values at the proxies to the points. A cell of at most P points is its own proxies,
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.domain import Domain
from kdegrad.logs import log_or_minus_infinity

_CHUNK: Final = 2_048  # points at a time: P arrays of them stay in the second-level cache
_NARROWEST: Final = 1e-300  # width of a cell
_FEW_CELLS: Final = 64  # so many cells at least may be as narrow as planned, however few their points


class Gathered(NamedTuple):
    """Weights gathered by cell: those of cell c are exp(log_scale_c) times the rows.

    Attributes
    ----------
    log_scale
        The largest log weight of the cell, shape (C,).
    log_mass
        The logarithm of the cell's total, shape (C,).
    weights
        W of the proxies, shape (C, P): signed, of the size of the cell's number of points at the most.
    """

    log_scale: FloatArray
    log_mass: FloatArray
    weights: FloatArray


@final
class Cells:
    """Points (N,) sorted into C cells of P proxies each.

    They are sorted by their displacements from `origin`; those that enter a kernel are formed anew from the points
    themselves, so that no rounding of a far origin is left in them.

    Attributes
    ----------
    order
        The points' indices, cell by cell and from left to right, shape (N,), in as few bytes as will do.
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
        self.points = points
        displacements = domain.difference(points, np.asarray(origin))
        order = np.argsort(displacements)
        displacements = displacements[order]
        self.order = order.astype(np.min_scalar_type(len(points)))
        del order  # twice the size
        self.starts = _cell_starts(displacements, planned_half_widths, _fewest(len(points), degree + 1))
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
            self._put_own(self.offsets, self.from_centre[chunk], chunk, cells)
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

    def gather(self, log_weights: FloatArray) -> Gathered:
        """Return the proxies' weights for log weights of the points, (N,)."""
        weights = self.ordered(log_weights, slice(None))
        scale = np.maximum.reduceat(weights, self.starts)
        moments = np.zeros((len(self.starts), self.proxies))
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
        gathered = np.einsum("ck,lk->cl", moments, self.basis)
        for chunk, cells in self.chunks():
            self._put_own(gathered, weights[chunk], chunk, cells)
        return Gathered(scale, log_mass, gathered)

    def spread(self, values: FloatArray) -> Callable[[slice, IntArray], FloatArray]:
        """Return what gives the interpolants' values at a chunk of the points, from those at the proxies, (C, P)."""
        coefficients = np.ascontiguousarray(np.einsum("cl,lk->kc", values, self.basis))

        def at(chunk: slice, cells: IntArray) -> FloatArray:
            own, columns = self._own(chunk, cells)
            if len(own) == len(cells):
                return values[cells, columns]
            terms = self._chebyshev(chunk, cells, np.ones(len(cells)))
            terms *= coefficients.take(cells, axis=1)
            result: FloatArray = terms.sum(axis=0)
            result[own] = values[cells[own], columns]
            return result

        return at

    def _own(self, chunk: slice, cells: IntArray) -> tuple[IntArray, IntArray]:
        """Return which points of a chunk are proxies themselves, and as which of their cell's."""
        own = np.flatnonzero(~self.interpolated[cells])
        return own, chunk.start + own - self.starts[cells[own]]

    def _put_own(self, table: FloatArray, values: FloatArray, chunk: slice, cells: IntArray) -> None:
        """Write the values of a chunk's points into the table of the proxies, (C, P), where they are proxies."""
        own, columns = self._own(chunk, cells)
        table[cells[own], columns] = values[own]

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


def _fewest(points: int, proxies: int) -> int:
    """Return how many points a cell should have at least: as many as proxies, if there are many."""
    return min(max(points // _FEW_CELLS, 1), proxies)


def _cell_starts(
    displacements: FloatArray, planned_half_widths: Callable[[FloatArray], FloatArray], fewest: int
) -> IntArray:
    """Return where cells begin among sorted displacements, (C,).

    A cell is as wide as planned at its place, or wide enough for `fewest` points; those that turn out crowded are
    divided again, at the width as planned.
    """
    steps = np.ones(len(displacements))  # of the way through cells, from each point to the next
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
