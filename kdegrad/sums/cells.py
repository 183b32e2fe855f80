"""Points gathered into cells, a cell's points into a few proxies: what many points do to far places, P places do.

On a cell with centre c and half width a, functions are replaced by their interpolant at y_l = c + a z_l, with Chebyshev's
z_l = cos((l + ½)π/P):

    f(x) ≈ Σ_l f(y_l) ℓ_l(τ),  τ = (x - c)/a,   ℓ_l(τ) = (1/P) (1 + 2 Σ_{k=1}^{P-1} T_k(z_l) T_k(τ)).

Read one way it gathers:  Σ_j S_j f(x_j) ≈ Σ_l W_l f(y_l),  W_l = Σ_j S_j ℓ_l(τ_j), from the moments Σ_j S_j T_k(τ_j);
read the other way it spreads values at the proxies to the points. A cell of at most P points is its own proxies, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.domain import Domain, FloatArray
from kdegrad.sums.breakpoints import IntArray

_CHUNK: Final = 2_048  # points at a time: P arrays of them stay in the second-level cache
_FEW_CELLS: Final = 64  # so many cells at least may be as narrow as planned, however few their points
_ONLY_TINY: Final = 1e-3  # of the planned half width: narrower cells are widened to it, so that proxies differ


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

    Attributes
    ----------
    order
        The points' indices, cell by cell and from left to right, shape (N,).
    places
        The points themselves in that order, shape (N,).
    starts, counts
        Where each cell begins in that order and how many points it has, (C,).
    centres, halves
        The middle of each cell, as a displacement from `origin`, and its half width, (C,).
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
        order: int,
        planned_half_widths: Callable[[FloatArray], FloatArray],
    ) -> None:
        displacements = domain.difference(points, np.asarray(origin))
        self.order = np.argsort(displacements)
        self.places = points[self.order]
        sorted_ = displacements[self.order]
        planned = planned_half_widths(sorted_)
        self.starts = _cell_starts(sorted_, planned, fewest=min(max(len(points) // _FEW_CELLS, 1), order))
        self.counts = np.diff(self.starts, append=len(points))
        low, high = sorted_[self.starts], sorted_[self.starts + self.counts - 1]
        self.centres = 0.5 * (low + high)
        self.halves = np.maximum(high - self.centres, self.centres - low)
        self.interpolated = self.counts > order
        self.proxies = order if self.interpolated.any() else int(self.counts.max())
        self.halves = np.where(
            self.interpolated, np.maximum(self.halves, _ONLY_TINY * planned[self.starts]), self.halves
        )
        self.cell_of = np.repeat(np.arange(len(self.starts)), self.counts)
        self.from_centre = sorted_ - self.centres[self.cell_of]
        angles = (np.arange(self.proxies) + 0.5) * (np.pi / self.proxies)
        self.offsets = self.halves[:, np.newaxis] * np.cos(angles)
        self._own = np.flatnonzero(~self.interpolated[self.cell_of])  # the points that are proxies themselves
        self._own_column = self._own - self.starts[self.cell_of[self._own]]
        self.offsets[~self.interpolated] = 0.0
        self.offsets[self.cell_of[self._own], self._own_column] = self.from_centre[self._own]
        # ℓ_l(τ) = Σ_k basis_lk T_k(τ)
        self.basis = np.cos(np.outer(angles, np.arange(self.proxies))) * (2.0 / self.proxies)
        self.basis[:, 0] = 1.0 / self.proxies

    def members(self, cells: slice) -> slice:
        """Return where the points of some consecutive cells are, in cell order."""
        return slice(int(self.starts[cells.start]), int(self.starts[cells.stop - 1] + self.counts[cells.stop - 1]))

    def gather(self, log_weights: FloatArray) -> Gathered:
        """Return the proxies' weights for log weights of the points, (N,)."""
        logs = log_weights[self.order]
        scale = np.maximum.reduceat(logs, self.starts)
        weights = np.exp(logs - np.where(np.isneginf(scale), 0.0, scale)[self.cell_of])
        with np.errstate(divide="ignore"):
            log_mass = scale + np.log(np.add.reduceat(weights, self.starts))
        moments = np.zeros((len(self.starts), self.proxies))
        for chunk, cells in self._interpolated_chunks():
            terms = self._chebyshev(chunk, weights[chunk])
            starts = np.maximum(self.starts[cells] - chunk.start, 0)
            moments[cells] += np.add.reduceat(terms, starts, axis=1).T
        moments[~self.interpolated] = 0.0
        gathered = moments @ self.basis.T
        gathered[self.cell_of[self._own], self._own_column] = weights[self._own]
        return Gathered(scale, log_mass, gathered)

    def spread(self, values: FloatArray) -> FloatArray:
        """Return the values of the interpolants at the points, in cell order, (N,), from those at the proxies, (C, P)."""
        coefficients = np.ascontiguousarray((values @ self.basis).T)
        result = np.empty(len(self.order))
        for chunk, _ in self._interpolated_chunks():
            terms = self._chebyshev(chunk, np.ones(chunk.stop - chunk.start))
            terms *= coefficients[:, self.cell_of[chunk]]
            terms.sum(axis=0, out=result[chunk])
        result[self._own] = values[self.cell_of[self._own], self._own_column]
        return result

    def _interpolated_chunks(self) -> Iterator[tuple[slice, slice]]:
        """Yield slices of the points, and of the cells they are in, where a cell is interpolated."""
        for start in range(0, len(self.order), _CHUNK):
            chunk = slice(start, min(start + _CHUNK, len(self.order)))
            cells = slice(self.cell_of[start], self.cell_of[chunk.stop - 1] + 1)
            if self.interpolated[cells].any():
                yield chunk, cells

    def _chebyshev(self, chunk: slice, factor: FloatArray) -> FloatArray:
        """Return factor · T_k(τ) for k < P, shape (P, points), by T_{k+1} = 2τ T_k - T_{k-1}."""
        halves = self.halves[self.cell_of[chunk]]
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


def _cell_starts(displacements: FloatArray, planned: FloatArray, fewest: int) -> IntArray:
    """Return where cells begin among sorted displacements, (C,).

    A cell is as wide as planned at its place, or wide enough for `fewest` points; those that turn out crowded are
    divided again, at the width as planned.
    """
    steps = np.minimum(np.diff(displacements) / (2.0 * np.minimum(planned[1:], planned[:-1])), 1.0)
    cell = _whole_steps(np.minimum(steps, 1.0 / fewest))
    crowded = np.bincount(cell)[cell] > 2 * fewest
    cell = _whole_steps(np.where(crowded[1:] | crowded[:-1], steps, np.minimum(steps, 1.0 / fewest)))
    return np.concatenate([[0], np.flatnonzero(np.diff(cell)) + 1])


def _whole_steps(steps: FloatArray) -> IntArray:
    return np.concatenate([[0], np.floor(np.cumsum(steps))]).astype(np.intp)
