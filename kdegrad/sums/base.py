"""What every summation scheme offers: the sums between one set of points and one set of nodes, both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kdegrad.domain import FloatArray
from kdegrad.kernels import Factored, Kernel


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
    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,), for l of shape (B,): the same sum, read the other way."""

    @abstractmethod
    def slope_at_points(self, log_weights: FloatArray) -> Factored:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i), each of shape (N,)."""

    @abstractmethod
    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Factored:
        """Return Σ_m exp(l_m) ∂K_h/∂log h (t_m ⊖ x_i), each of shape (N,)."""
