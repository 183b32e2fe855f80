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
from kdegrad.sums.base import KernelSums

_BLOCK_PAIRS: Final = 16_384  # 128 KiB an array: a handful of temporaries stay in the second-level cache
_BLOCK_COLUMNS: Final = 2_048

Terms = Callable[[FloatArray], tuple[FloatArray, FloatArray | None]]


@final
class DenseSums(KernelSums):
    """Every pair, in blocks."""

    name = "dense"

    def at_nodes(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_j S_j K_h(t_m ⊖ x_j), shape (B,)."""
        return log_kernel_sum(self.kernel, self.nodes, self.points, log_weights)

    def at_points(self, log_weights: FloatArray) -> FloatArray:
        """Return log Σ_m exp(l_m) K_h(t_m ⊖ x_i), shape (N,): K_h is even, so the roles may be exchanged."""
        return log_kernel_sum(self.kernel, self.points, self.nodes, log_weights)

    def slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂d (t_m ⊖ x_i), shape (N,): ∂K_h/∂d is odd, so exchanged roles change its sign."""
        log, factor = blocked_sum(self.kernel.slope, self.kernel, self.points, self.nodes, log_weights)
        return Scaled(log - self.kernel.log_norm, -factor)

    def bandwidth_slope_at_points(self, log_weights: FloatArray) -> Scaled:
        """Return Σ_m exp(l_m) ∂K_h/∂log h (t_m ⊖ x_i), shape (N,)."""
        log, factor = blocked_sum(self.kernel.bandwidth_slope, self.kernel, self.points, self.nodes, log_weights)
        return Scaled(log - self.kernel.log_norm, factor)


def log_kernel_sum(kernel: Kernel, targets: FloatArray, sources: FloatArray, log_weights: FloatArray) -> FloatArray:
    """Return log Σ_j exp(l_j) K_h(t_m ⊖ s_j), shape (M,), for targets (M,), sources (N,), log weights (N,)."""
    log, factor = blocked_sum(lambda d: (kernel.log_shape(d), None), kernel, targets, sources, log_weights)
    return log - kernel.log_norm + log_or_minus_infinity(factor)


def blocked_sum(
    terms: Terms, kernel: Kernel, targets: FloatArray, sources: FloatArray, log_weights: FloatArray
) -> Scaled:
    """Return Σ_j exp(l_j) · factor(d) · exp(log(d)) for (log, factor) = terms(d), d = t_m ⊖ s_j: no log_norm yet."""
    columns = min(len(sources), _BLOCK_COLUMNS)
    rows = _BLOCK_PAIRS // columns
    peaks = np.full(len(targets), -np.inf)
    totals = np.zeros(len(targets))
    for top in range(0, len(targets), rows):
        block = slice(top, top + rows)
        for left in range(0, len(sources), columns):
            right = left + columns
            d = kernel.domain.difference(targets[block, np.newaxis], sources[left:right])
            logs, factors = terms(d)
            logs += log_weights[left:right]
            peaks[block], totals[block] = _add_block(peaks[block], totals[block], logs, factors)
    return Scaled(peaks, totals)


def _add_block(
    peak: FloatArray, total: FloatArray, logs: FloatArray, factors: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return the rows' new peaks and totals; `logs` is overwritten."""
    new_peak = np.maximum(peak, logs.max(axis=1))
    shift = np.where(new_peak > -np.inf, new_peak, 0.0)  # a row that nothing reaches: exp(-inf - 0) = 0
    logs -= shift[:, np.newaxis]
    np.exp(logs, out=logs)
    if factors is not None:
        logs *= factors
    return new_peak, total * np.exp(peak - shift) + logs.sum(axis=1)
