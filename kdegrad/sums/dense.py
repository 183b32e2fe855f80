"""The reference: every pair. O(N·B) time, O(N + B) memory."""

from __future__ import annotations

from typing import final

from kdegrad.arrays import FloatArray
from kdegrad.logs import Scaled
from kdegrad.sums.base import Density, KernelSums
from kdegrad.sums.pairs import blocked_sum, log_kernel_sum
from kdegrad.sums.shares import density_of


@final
class DenseSums(KernelSums):
    """Every pair, in blocks."""

    name = "dense"

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        return log_kernel_sum(self.kernel, self.nodes, self.points, log_weights)

    def density(self, logits: FloatArray) -> Density:
        return density_of(self, logits)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        return log_kernel_sum(self.kernel, self.points, self.nodes, log_weights)  # K_h is even: roles may be exchanged

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        log, factor = blocked_sum(self.kernel, self.points, self.nodes, log_weights, self.kernel.slope)
        return Scaled(log - self.kernel.log_norm, -factor)  # odd in d: exchanged roles change its sign

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        log, factor = blocked_sum(self.kernel, self.points, self.nodes, log_weights, self.kernel.bandwidth_slope)
        return Scaled(log - self.kernel.log_norm, factor)
