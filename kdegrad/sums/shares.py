"""The density at the nodes and the shares of the points in it: R_i = Σ_m q_m r_i(t_m), with r_i = S_i K_h/p.

q_m is what all points together are given at node m: its weight in the quadrature, less a background's part.

`SummedDensity` works by any scheme: p is one sum, read at the nodes, and R_i = S_i Σ_m (q_m/p_m) K_h(t_m ⊖ x_i) one
more, read at the points. Where |log p| is large, log(q/p) has lost the digits of q. These nodes go to `DenseDensity`,
which takes all pairs: with * the point of the largest log S + log K_h at a node, the responsibilities there are

    r_i = exp(D_i - log Σ_j exp D_j),    D_j = (log K_j - log K_*) + (log S_j - log S_*)

where the common part is gone before the two terms are added. Of a node three numbers are kept: log K_*, log S_* and
log Σ_j exp D_j; their sum is log p. Gradients are formed from the same D, so that Σ_i r_i = 1 at any distance.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity, value
from kdegrad.sums.base import Density, KernelSums, Shares, log_ratio, weighted
from kdegrad.sums.pairs import Derivative, Strongest, blocked_sum, finite, strongest_sources
from kdegrad.weights import log_softmax

_MOST_LOG: Final = 1e3  # beyond this |log p|, a sum of logarithms has rounding errors above 1e-13
_FAINT: Final = 1e-290  # q, below which a node beside a background counts for R_i/S_i of very light points alone
_MOST_PULL: Final = 1e4  # more than any |log(q/p)| beside a background, where p̃ ≥ E/(b-a)

Relative = tuple[FloatArray, Strongest]  # of the nodes: what `DenseDensity._relative` returns


def density_of(sums: KernelSums, logits: FloatArray) -> Density:
    """Return the density by `sums`, but by all pairs at the nodes where |log p| is large; logits of shape (N,)."""
    log_weights = log_softmax(logits)
    log_density = sums.at_nodes(log_weights)
    is_far = are_far(log_density)
    if not is_far.any():
        return SummedDensity(sums, log_weights, log_density)
    far = DenseDensity(sums.kernel, sums.points, sums.nodes[is_far], log_weights)
    if is_far.all():
        return far
    log_density[is_far] = far.log
    return SummedDensity(sums, log_weights, log_density, (is_far, far))


def are_far(log_density: FloatArray) -> BoolArray:
    """Return at which nodes |log p|, (B,), is so large that log p has lost digits of p."""
    return np.asarray((np.abs(log_density) > _MOST_LOG) & (log_density > -np.inf))


@final
class SummedDensity(Density):
    """The density by any scheme of sums, for log S of shape (N,).

    Attributes
    ----------
    far
        At which nodes |log p| is large, (B,), and the density there; None if that is nowhere.
    """

    def __init__(
        self,
        sums: KernelSums,
        log_weights: FloatArray,
        log_density: FloatArray,
        far: tuple[BoolArray, DenseDensity] | None = None,
    ) -> None:
        self.sums, self.log_weights, self.log, self.far = sums, log_weights, log_density, far

    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        log_ratios = self.sums.at_points(self._near(log_pulls))
        log_shares = self.log_weights + log_ratios
        with np.errstate(over="ignore"):
            found = Shares(np.exp(log_shares, out=log_shares), np.exp(log_ratios, out=log_ratios))
        if self.far is not None:
            is_far, density = self.far
            for total, more in zip(found, density.shares(node_shares[is_far], log_pulls[is_far]), strict=True):
                total += more
        return found

    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return np.asarray(np.exp(self.log_weights) - self.shares(node_shares, log_pulls).shares)

    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        slopes = weighted(self.log_weights, self.sums.slope_at_points(self._near(log_pulls)))
        if self.far is not None:
            is_far, density = self.far
            slopes += density.slopes(node_shares[is_far], log_pulls[is_far])
        return slopes

    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        slope = np.asarray(weighted(self.log_weights, self.sums.bandwidth_slope_at_points(self._near(log_pulls))).sum())
        if self.far is not None:
            is_far, density = self.far
            slope += density.bandwidth_slope(node_shares[is_far], log_pulls[is_far])
        return slope

    def _near(self, log_pulls: FloatArray) -> FloatArray:
        return log_pulls if self.far is None else np.where(self.far[0], -np.inf, log_pulls)


@final
class DenseDensity(Density):
    """The density by all pairs, for log S of shape (N,).

    Of points that are a part of all, logits stand for log S, and so in `strongest`: their differences are those of the
    log S, of which the larger have lost digits.

    Attributes
    ----------
    strongest
        The three numbers of each node: found from the points, unless they are given, as those of more points.
    log_total
        log Z where logits stand for log S, else 0.
    """

    def __init__(
        self,
        kernel: Kernel,
        points: FloatArray,
        nodes: FloatArray,
        log_weights: FloatArray,
        strongest: Strongest | None = None,
        log_total: float = 0.0,
    ) -> None:
        self.kernel, self.points, self.nodes, self.log_weights = kernel, points, nodes, log_weights
        self.log_total = log_total
        self.strongest = strongest or strongest_sources(kernel, nodes, points, log_weights)
        self.log = (self.strongest.log_kernel + (self.strongest.log_weight - log_total)) + self.strongest.log_rest
        self.log -= self.kernel.log_norm

    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        relative = self._relative(node_shares, log_pulls)
        log_shares = self._log_shares(relative, self.points, self.log_weights)
        with np.errstate(over="ignore", invalid="ignore"):
            ratios = np.exp((log_shares - self.log_weights) + self.log_total)
            masked = np.flatnonzero(np.isneginf(self.log_weights))
            if len(masked):  # as if the weight of each were 1
                as_one = np.full(len(masked), self.log_total)
                ratios[masked] = np.exp(self._log_shares(relative, self.points[masked], as_one))
        return Shares(np.exp(log_shares, out=log_shares), ratios)

    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        log_shares = self._log_shares(self._relative(node_shares, log_pulls), self.points, self.log_weights)
        return np.asarray(np.exp(self.log_weights - self.log_total) - np.exp(log_shares))

    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        relative = self._relative(node_shares, log_pulls)
        slopes = self._sum(relative, self.points, self.log_weights, self.kernel.slope)
        return -value(slopes)  # odd in d: exchanged roles change its sign

    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        relative = self._relative(node_shares, log_pulls)
        slopes = value(self._sum(relative, self.points, self.log_weights, self.kernel.bandwidth_slope))
        return np.asarray(slopes.sum())

    def responsibilities(self, node: int) -> FloatArray:
        """Return r_i at one node, shape (N,); 0 where p is 0."""
        log_kernel, log_weight, log_rest = (finite(part[[node]]) for part in self.strongest)
        log_k = self.kernel.log_shape(self.kernel.domain.difference(self.points, self.nodes[[node]]))
        return np.asarray(np.exp((log_k - log_kernel) + (self.log_weights - log_weight) - log_rest))

    def _log_shares(self, relative: Relative, points: FloatArray, log_weights: FloatArray) -> FloatArray:
        """Return log R_i of some points with log S_i, each of shape (M,)."""
        log, total = self._sum(relative, points, log_weights)
        return log + log_or_minus_infinity(total)

    def _sum(
        self, relative: Relative, points: FloatArray, log_weights: FloatArray, derivative: Derivative | None = None
    ) -> Scaled:
        """Return S_i Σ_m (q_m/p_m) K_h(t_m ⊖ x_i), or of a derivative, at some points with log S_i, (M,)."""
        pulls, reference = relative
        return blocked_sum(self.kernel, points, self.nodes, pulls, derivative, log_weights, reference)

    def _relative(self, node_shares: FloatArray, log_pulls: FloatArray) -> Relative:
        """Return log(q_m/Σ_j exp D_j), and the log K_* and log S_* that D is formed with.

        Where the node is faint these are log(q/p), 0 and log Z: D is log S + log K_h itself.
        """
        is_faint = faint(node_shares, log_pulls)
        nothing = (0.0, self.log_total, 0.0)
        reference = Strongest(
            *(np.where(is_faint, none, finite(part)) for none, part in zip(nothing, self.strongest, strict=True))
        )
        pulls = np.where(is_faint, log_pulls - self.kernel.log_norm, log_ratio(node_shares, reference.log_rest))
        return pulls, reference


def faint(node_shares: FloatArray, log_pulls: FloatArray) -> BoolArray:
    """Return at which nodes q is all but 0 beside a background; a light target point far out is none of them."""
    return np.asarray((node_shares < _FAINT) & (np.abs(log_pulls) < _MOST_PULL))
