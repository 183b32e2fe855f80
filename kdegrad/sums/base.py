"""What every summation scheme offers: the sums between one set of points and one set of nodes, both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity
from kdegrad.weights import log_softmax


class Shares(NamedTuple):
    """What the points have in the density at the nodes.

    Attributes
    ----------
    shares
        R_i = Σ_m q_m r_i(t_m), shape (N,).
    ratios
        R_i/S_i, shape (N,), defined where S_i is 0 too; infinite where it overflows.
    """

    shares: FloatArray
    ratios: FloatArray


class Density(ABC):
    """The density p at the nodes for one set of weights, and the shares r_i = S_i K_h/p that the points have in it.

    Attributes
    ----------
    log
        log p_m = log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,); -inf where no point reaches.
    """

    log: FloatArray

    @abstractmethod
    def shares(self, node_shares: FloatArray) -> Shares:
        """Return R_i = Σ_m q_m r_i(t_m) and R_i/S_i for q of shape (B,); p must be positive at every node."""

    @abstractmethod
    def excess(self, node_shares: FloatArray) -> FloatArray:
        """Return S_i - R_i, shape (N,), without the ratios."""


class KernelSums(ABC):
    """The kernel sums between N points x_j and B nodes t_m, on logarithms.

    Log weights may be -inf. A sum of derivatives comes as (log, factor), for factor · exp(log).
    """

    name: str

    def __init__(self, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> None:
        self.kernel = kernel
        self.points = points
        self.nodes = nodes

    @abstractmethod
    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j exp(l_j) K_h(t_m ⊖ x_j), shape (B,), for l of shape (N,); -inf where no point reaches."""

    @abstractmethod
    def density(self, logits: FloatArray) -> Density:
        """Return the density at the nodes, for S the softmax of logits (N,), one of which is finite."""

    @abstractmethod
    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,), for l of shape (B,): the same sum, read the other way."""

    @abstractmethod
    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i), each of shape (N,)."""

    @abstractmethod
    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂log h (t_m ⊖ x_i), each of shape (N,)."""


@final
class PairedDensity(Density):
    """A density whose shares are one more sum, read at the points: R_i = S_i Σ_m (q_m/p_m) K_h(t_m ⊖ x_i)."""

    def __init__(self, sums: KernelSums, logits: FloatArray) -> None:
        self.sums, self.log_weights = sums, log_softmax(logits)
        self.log = sums.at_nodes(self.log_weights)

    def shares(self, node_shares: FloatArray) -> Shares:
        log_pulls = log_or_minus_infinity(node_shares)
        np.subtract(log_pulls, self.log, out=log_pulls, where=node_shares > 0.0)  # without a share p may be 0 too
        log_ratios = self.sums.at_points(log_pulls)
        log_shares = self.log_weights + log_ratios
        with np.errstate(over="ignore"):
            return Shares(np.exp(log_shares, out=log_shares), np.exp(log_ratios, out=log_ratios))

    def excess(self, node_shares: FloatArray) -> FloatArray:
        return np.asarray(np.exp(self.log_weights) - self.shares(node_shares).shares)
