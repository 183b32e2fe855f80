"""All pairs of many small problems at once: arrays (g, N, B) of g problems, N points and B nodes that stay in cache.

Where p is of ordinary size at all nodes of a problem, plain numbers do. Of every pair one exponential is formed, and
everything is made of it:

    s_m = Σ_j S_j K_jm,    log p = log s - log_norm,    R_i/S_i = Σ_m K_im q_m/s_m

The same K and S give s and R: responsibilities add up to 1. The other problems are summed again by `FarBlockDensity`,
relative to the strongest point of each node as in `shares.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, exp_or_zero, log_or_minus_infinity, value
from kdegrad.sums.base import Density, Shares
from kdegrad.sums.pairs import Derivative, finite
from kdegrad.sums.shares import DenseDensity, faint

_BLOCK_PAIRS: Final = 196_608  # 1.5 MiB an array: larger ones leave the cache, smaller ones wait for Python
_LEAST: Final = 1e-100  # of s, in plain numbers: a K that underflows is nothing beside it
_LIGHT: Final = -600.0  # of log S: with a smaller S, of 1e-261, products and quotients lose digits


def block_size(points: int, nodes: int) -> int:
    """Return how many problems of so many points and nodes belong in one block."""
    return max(1, _BLOCK_PAIRS // (points * nodes))


@final
class BlockPairs:
    """The pairs of g problems, in arrays (g, N, B), or (g, B, N) where N is larger: loops are over the last axis.

    Parameters
    ----------
    points
        Shape (g, N).
    nodes
        Shape (g, B), or (1, B) for all problems.
    """

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        self.kernel, self.points, self.nodes = kernel, points, nodes
        self.nodes_last = points.shape[1] <= nodes.shape[1]
        self.axis = 1 if self.nodes_last else 2  # of the points

    def of_points(self, values: FloatArray) -> FloatArray:
        """Return values of the points as an array that pairs are combined with."""
        return values[:, :, np.newaxis] if self.nodes_last else values[:, np.newaxis, :]

    def of_nodes(self, values: FloatArray) -> FloatArray:
        """Return values of the nodes as an array that pairs are combined with."""
        return values[:, np.newaxis, :] if self.nodes_last else values[:, :, np.newaxis]

    @property
    def displacements(self) -> FloatArray:
        """The displacements t ⊖ x."""
        return self.kernel.domain.difference(self.of_nodes(self.nodes), self.of_points(self.points))

    def sum_at_nodes(self, pairs: FloatArray, weights: FloatArray) -> FloatArray:
        """Return Σ_i a_im b_i, shape (g, B)."""
        return np.asarray(np.einsum("gim,gi->gm" if self.nodes_last else "gmi,gi->gm", pairs, weights))

    def sum_at_points(self, pairs: FloatArray, pulls: FloatArray) -> FloatArray:
        """Return Σ_m a_im c_m, shape (g, N)."""
        return np.asarray(np.einsum("gim,gm->gi" if self.nodes_last else "gmi,gm->gi", pairs, pulls))


class PlainBlockDensity(Density):
    """The densities of g problems in plain numbers, for log S of shape (g, N); of some of them by `FarBlockDensity`.

    Attributes
    ----------
    weights
        S, shape (g, N).
    totals
        s at the nodes, shape (g, B); 1 for the problems that are summed apart.
    far
        Which problems have an s that is not of ordinary size at all nodes, and their densities.
    """

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray, log_weights: FloatArray) -> None:
        self.kernel, self.points, self.nodes, self.log_weights = kernel, points, np.atleast_2d(nodes), log_weights
        self.weights = np.exp(log_weights)
        self.far: list[tuple[IntArray | int, Density]] = []
        with np.errstate(over="ignore", invalid="ignore"):
            self._prepare()
            self.totals = self._at_nodes(self.weights)
            if not (self.totals.min() >= _LEAST and self.totals.max() <= 1.0 / _LEAST):
                is_ordinary = (self.totals.min(axis=1) >= _LEAST) & (self.totals.max(axis=1) <= 1.0 / _LEAST)
                self.totals[~is_ordinary] = 1.0
                self.far = list(self._apart(np.flatnonzero(~is_ordinary)))
        self.log = np.log(self.totals) - kernel.log_norm
        for which, density in self.far:
            self.log[which] = density.log

    @abstractmethod
    def _prepare(self) -> None:
        """Form what the sums are made of."""

    @abstractmethod
    def _at_nodes(self, weights: FloatArray) -> FloatArray:
        """Return Σ_i b_i K_im, shape (g, B), for b of shape (g, N)."""

    @abstractmethod
    def _at_points(self, pulls: FloatArray) -> FloatArray:
        """Return Σ_m c_m K_im, shape (g, N), for c of shape (g, B)."""

    @abstractmethod
    def _slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        """Return Σ_m c_m ∂K/∂d, shape (g, N)."""

    @abstractmethod
    def _bandwidth_slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        """Return Σ_m c_m ∂K/∂log h, shape (g, N)."""

    @final
    @np.errstate(over="ignore", invalid="ignore")
    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        pulls = self._pulls(node_shares, log_pulls)
        ratios = self._at_points(pulls)
        shares = self._weighted(ratios)
        for which, density in self.far:
            shares[which], ratios[which] = density.shares(*self._nodes_of(which, node_shares, log_pulls))
        return Shares(shares, ratios)

    @final
    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return np.asarray(self.weights - self.shares(node_shares, log_pulls).shares)

    @final
    @np.errstate(over="ignore", invalid="ignore")
    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        slopes = self._weighted(self._slopes_at_points(self._pulls(node_shares, log_pulls)))
        for which, density in self.far:
            slopes[which] = density.slopes(*self._nodes_of(which, node_shares, log_pulls))
        return slopes

    @final
    @np.errstate(over="ignore", invalid="ignore")
    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        slopes = self._weighted(self._bandwidth_slopes_at_points(self._pulls(node_shares, log_pulls)))
        slope = slopes.sum(axis=1)
        for which, density in self.far:
            slope[which] = density.bandwidth_slope(*self._nodes_of(which, node_shares, log_pulls))
        return np.asarray(slope)

    def _pulls(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return q/s, shape (g, B); where q is all but 0, as beside a background, from log(q/p)."""
        pulls = node_shares / self.totals
        is_faint = faint(node_shares, log_pulls)
        if is_faint.any():
            np.exp(log_pulls - self.kernel.log_norm, out=pulls, where=np.broadcast_to(is_faint, pulls.shape))
        return pulls

    def _weighted(self, sums: FloatArray) -> FloatArray:
        """Return S_i times sums at the points, also where S_i is too small for a float64."""
        products: FloatArray = self.weights * sums
        light = self.log_weights < _LIGHT
        if light.any():
            products[light] = value(Scaled(self.log_weights[light], sums[light]))
        return products

    def _nodes_of(self, which: IntArray | int, *of_nodes: FloatArray) -> list[FloatArray]:
        """Return values of the nodes, (g, B) or (B,), for some of the problems."""
        return [np.broadcast_to(values, self.totals.shape)[which] for values in of_nodes]

    def _apart(self, which: IntArray) -> Iterator[tuple[IntArray | int, Density]]:
        """Yield densities of some problems that are right at any distance; of large ones one by one."""
        most = _BLOCK_PAIRS // (self.points.shape[1] * self.nodes.shape[1])
        for start in range(0, len(which), max(1, most)):
            some = which[start : start + max(1, most)]
            (nodes,) = self._nodes_of(some, self.nodes)
            if most > 0:
                yield some, FarBlockDensity(BlockPairs(self.kernel, self.points[some], nodes), self.log_weights[some])
            else:
                yield int(some[0]), DenseDensity(self.kernel, self.points[some[0]], nodes[0], self.log_weights[some[0]])


@final
class BlockDensity(PlainBlockDensity):
    """The densities of g problems by all pairs, for log S of shape (g, N).

    Parameters
    ----------
    points, log_weights
        Shape (g, N); log S may be -inf, also that of points that only fill a row.
    nodes
        Shape (g, B), or (1, B) or (B,) for all problems.
    """

    def _prepare(self) -> None:
        self.pairs = BlockPairs(self.kernel, self.points, self.nodes)
        self.displacements = self.pairs.displacements
        self.values = self.kernel.shape(self.displacements)

    def _at_nodes(self, weights: FloatArray) -> FloatArray:
        return self.pairs.sum_at_nodes(self.values, weights)

    def _at_points(self, pulls: FloatArray) -> FloatArray:
        return self.pairs.sum_at_points(self.values, pulls)

    def _slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        return self._derivatives(self.kernel.slope_factor, pulls)

    def _bandwidth_slopes_at_points(self, pulls: FloatArray) -> FloatArray:
        return self._derivatives(self.kernel.bandwidth_factor, pulls)

    def _derivatives(self, factor_of: Callable[[FloatArray], FloatArray], pulls: FloatArray) -> FloatArray:
        pairs = factor_of(self.displacements)
        if self.kernel.is_positive:
            pairs *= self.values
        return self.pairs.sum_at_points(pairs, pulls)


@final
class FarBlockDensity(Density):
    """The densities of g problems by all pairs, right at any distance and with any logits; for log S of shape (g, N).

    With * the strongest point of a node,

        E_j = exp D_j,    D_j = (log K_j - log K_*) + (log S_j - log S_*),    s = Σ_j E_j,

    log p = log K_* + log S_* + log s, and responsibilities are E_j/s. At a node that no point reaches E and s are 0.
    """

    def __init__(self, pairs: BlockPairs, log_weights: FloatArray) -> None:
        self.pairs, self.kernel, self.log_weights = pairs, pairs.kernel, log_weights
        with np.errstate(over="ignore", invalid="ignore"):
            self._sum()

    def _sum(self) -> None:
        """Find the strongest points, and form E, s and log p."""
        axis, weights = self.pairs.axis, self.pairs.of_points(self.log_weights)
        log_shape = self.kernel.log_shape(self.pairs.displacements)
        excess = log_shape + weights
        every = np.broadcast_to(weights, excess.shape)
        for _ in range(2):  # a sum of large logarithms does not tell which is the largest: see `strongest_sources`
            best = np.expand_dims(excess.argmax(axis=axis), axis)
            log_kernel = finite(np.take_along_axis(log_shape, best, axis))
            log_weight = finite(np.take_along_axis(every, best, axis))
            np.subtract(log_shape, log_kernel, out=excess)
            excess += weights - log_weight
        self.terms = exp_or_zero(excess)
        self.totals = self.terms.sum(axis=axis)
        self.log_kernel, self.log_weight = log_kernel.squeeze(axis), log_weight.squeeze(axis)
        self.log = (self.log_kernel + self.log_weight) + log_or_minus_infinity(self.totals)
        self.log -= self.kernel.log_norm

    @np.errstate(over="ignore", invalid="ignore")
    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        shares = self.pairs.sum_at_points(self.terms, self._pulls(node_shares))
        light = self.log_weights < _LIGHT
        ratios = np.divide(shares, np.exp(self.log_weights), out=np.zeros_like(shares), where=~light)
        if light.any():  # S is 0 or almost: as if it were 1
            which = np.nonzero(light)
            logs, log_kernel, log_weight = (part[which[0]] for part in self._relative(node_shares, log_pulls))
            nodes = np.broadcast_to(self.pairs.nodes, self.log.shape)[which[0]]
            pairs = BlockPairs(self.kernel, self.pairs.points[which][:, np.newaxis], nodes)
            exponents = self.kernel.log_shape(pairs.displacements) - pairs.of_nodes(log_kernel)
            exponents += pairs.of_nodes(logs - log_weight)
            ratios[light] = np.exp(exponents, out=exponents).sum(axis=(1, 2))
        return Shares(shares, ratios)

    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        shares = self.pairs.sum_at_points(self.terms, self._pulls(node_shares))
        return np.asarray(np.exp(self.log_weights) - shares)

    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return self._derivatives(self.kernel.slope, node_shares, log_pulls)

    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return np.asarray(self._derivatives(self.kernel.bandwidth_slope, node_shares, log_pulls).sum(axis=1))

    @np.errstate(over="ignore", invalid="ignore")
    def _derivatives(self, derivative: Derivative, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return S_i Σ_m (q_m/p_m) of a derivative of K_h at t_m ⊖ x_i, shape (g, N)."""
        log, factor = derivative(self.pairs.displacements)
        logs, log_kernel, log_weight = map(self.pairs.of_nodes, self._relative(node_shares, log_pulls))
        exponents = log - log_kernel
        exponents += self.pairs.of_points(self.log_weights) - log_weight
        exponents += logs
        return np.asarray(value(Scaled(exponents, factor)).sum(axis=3 - self.pairs.axis))

    def _relative(self, node_shares: FloatArray, log_pulls: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return log(q/s), and the log K_* and log S_* that D is formed with, each (g, B).

        Where q is all but 0, as beside a background, these are log(q/p) and zeros: D is log S + log K_h itself.
        """
        is_faint = faint(node_shares, log_pulls)
        logs = np.where(is_faint, log_pulls - self.kernel.log_norm, log_or_minus_infinity(self._pulls(node_shares)))
        return logs, np.where(is_faint, 0.0, self.log_kernel), np.where(is_faint, 0.0, self.log_weight)

    def _pulls(self, node_shares: FloatArray) -> FloatArray:
        """Return q/s, shape (g, B), and 0 where no point reaches."""
        pulls: FloatArray = np.zeros_like(self.totals)
        np.divide(node_shares, self.totals, out=pulls, where=self.totals > 0.0)
        return pulls
