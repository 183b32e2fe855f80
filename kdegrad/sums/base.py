"""What every summation scheme offers: the sums between one set of points and one set of nodes, both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled


class Shares(NamedTuple):
    """What the points have in the density at the nodes.

    Attributes
    ----------
    shares
        R_i = S_i ρ_i, shape (N,), right also where S_i is 0 and ρ_i infinite.
    ratios
        ρ_i = R_i/S_i, shape (N,); infinite where it overflows.
    """

    shares: FloatArray
    ratios: FloatArray


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
        """Return log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,), for log S of shape (N,); -inf where no point reaches."""

    @abstractmethod
    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,), for l of shape (B,): the same sum, read the other way."""

    def shares(self, log_weights: FloatArray, log_pulls: FloatArray) -> Shares:
        """Return R_i = S_i ρ_i and ρ_i = Σ_m exp(l_m) K_h(t_m ⊖ x_i), each (N,), for log S (N,) and l (B,)."""
        log_ratios = self.at_points(log_pulls)
        log_shares = log_weights + log_ratios
        with np.errstate(over="ignore"):
            return Shares(np.exp(log_shares, out=log_shares), np.exp(log_ratios, out=log_ratios))

    def excess(self, log_weights: FloatArray, log_pulls: FloatArray) -> FloatArray:
        """Return S_i - R_i, shape (N,), for log S (N,) and l (B,)."""
        return np.exp(log_weights) - self.shares(log_weights, log_pulls).shares

    @abstractmethod
    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i), each of shape (N,)."""

    @abstractmethod
    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂log h (t_m ⊖ x_i), each of shape (N,)."""
