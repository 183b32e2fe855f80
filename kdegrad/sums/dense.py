"""The reference: every pair, in blocks that stay in cache. O(M·N) time, O(M + N) memory.

A block of rows (targets) and columns (sources) is reduced as it comes. Each row keeps the largest exponent met
so far and its sum relative to that, so that nothing under- or overflows whatever the order of the sources:

    Σ_j factor_j exp(log_j) = exp(peak) · total,      total ← total·exp(peak - peak') + Σ_block factor·exp(log - peak')
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity
from kdegrad.sums.base import Density, KernelSums, PairedDensity

_BLOCK_PAIRS: Final = 16_384  # 128 KiB an array: a handful of temporaries stay in the second-level cache
_BLOCK_COLUMNS: Final = 2_048

Derivative = Callable[[FloatArray], Scaled]  # `Kernel.slope` or `Kernel.bandwidth_slope` of a displacement


@final
class DenseSums(KernelSums):
    """Every pair, in blocks."""

    name = "dense"

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        return log_kernel_sum(self.kernel, self.nodes, self.points, log_weights)

    def density(self, logits: FloatArray) -> Density:
        return PairedDensity(self, logits)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        return log_kernel_sum(self.kernel, self.points, self.nodes, log_weights)  # K_h is even: roles may be exchanged

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        log, factor = blocked_sum(self.kernel, self.points, self.nodes, log_weights, self.kernel.slope)
        return Scaled(log - self.kernel.log_norm, -factor)  # odd in d: exchanged roles change its sign

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        log, factor = blocked_sum(self.kernel, self.points, self.nodes, log_weights, self.kernel.bandwidth_slope)
        return Scaled(log - self.kernel.log_norm, factor)


def log_kernel_sum(kernel: Kernel, targets: FloatArray, sources: FloatArray, log_weights: FloatArray) -> FloatArray:
    """Return log Σ_j exp(l_j) K_h(t_m ⊖ s_j), shape (M,), for targets (M,), sources (N,), log weights (N,)."""
    log, factor = blocked_sum(kernel, targets, sources, log_weights)
    return log - kernel.log_norm + log_or_minus_infinity(factor)


def blocked_sum(
    kernel: Kernel,
    targets: FloatArray,
    sources: FloatArray,
    log_weights: FloatArray,
    derivative: Derivative | None = None,
) -> Scaled:
    """Return Σ_j exp(l_j + log_norm) K_h(t_m ⊖ s_j), or the sum of a derivative in K's place, each of shape (M,)."""
    columns = min(len(sources), _BLOCK_COLUMNS)
    rows = _BLOCK_PAIRS // columns
    peaks, totals = np.full(len(targets), -np.inf), np.zeros(len(targets))
    for top in range(0, len(targets), rows):
        block = slice(top, top + rows)
        for left in range(0, len(sources), columns):
            right = left + columns
            d = kernel.domain.difference(targets[block, np.newaxis], sources[left:right])
            logs, factors = (kernel.log_shape(d), None) if derivative is None else derivative(d)
            logs += log_weights[left:right]
            peak = np.maximum(peaks[block], logs.max(axis=1))
            shift = np.where(peak > -np.inf, peak, 0.0)  # a row that nothing reaches: exp(-inf - 0) = 0
            logs -= shift[:, np.newaxis]
            terms = np.exp(logs, out=logs)
            if factors is not None:
                terms *= factors
            totals[block] = totals[block] * np.exp(peaks[block] - shift) + terms.sum(axis=1)
            peaks[block] = peak
    return Scaled(peaks, totals)
