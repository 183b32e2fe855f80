"""What every summation scheme offers: the sums between one set of points and one set of nodes, both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity, value


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

    What the nodes give to the points comes as q_m and log(q_m/p_m), each of shape (B,): far out the difference of
    logarithms has lost the digits of q, and where q and p are both 0, as beside a background, only the quotient is
    known. The loss must be finite. Of g problems at once all arrays have one more axis, the first: (g, N) and (g, B).

    Attributes
    ----------
    log
        log p_m = log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,); -inf where no point reaches.
    """

    log: FloatArray

    @abstractmethod
    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        """Return R_i = Σ_m q_m r_i(t_m) and R_i/S_i."""

    @abstractmethod
    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return S_i - R_i, shape (N,)."""

    @abstractmethod
    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return S_i Σ_m (q_m/p_m) ∂K_h/∂d (t_m ⊖ x_i), shape (N,)."""

    @abstractmethod
    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return Σ_i S_i Σ_m (q_m/p_m) ∂K_h/∂log h (t_m ⊖ x_i), shape ()."""


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


def log_ratio(node_shares: FloatArray, log_density: FloatArray) -> FloatArray:
    """Return log(q_m/p_m), shape (B,); -inf where q_m is 0, whatever p_m is."""
    logs = log_or_minus_infinity(node_shares)
    np.subtract(logs, log_density, out=logs, where=node_shares > 0.0)
    return logs


def weighted(log_weights: FloatArray, sums: Scaled) -> FloatArray:
    """Return S_i · factor_i · exp(log_i), shape (N,), for log S of shape (N,)."""
    return value(Scaled(sums.log + log_weights, sums.factor))
