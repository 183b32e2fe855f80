"""Every pair, in blocks that stay in cache. O(M·N) time, O(M + N) memory.

A block of rows (targets) and columns (sources) is reduced as it comes. Each row keeps the largest exponent met
so far and its sum relative to that, so that nothing under- or overflows whatever the order of the sources:

    Σ_j factor_j exp(log_j) = exp(peak) · total,      total ← total·exp(peak - peak') + Σ_block factor·exp(log - peak')

Far out log K_h is as large as the square of the distance, and log S + log K_h has lost the digits of log S. There a sum
is relative to its largest term in both: `Strongest`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.kernel import Kernel
from kdegrad.logs import Scaled, log_or_minus_infinity

_BLOCK_PAIRS: Final = 16_384  # 128 KiB an array: a handful of temporaries stay in the second-level cache
_BLOCK_COLUMNS: Final = 2_048

Derivative = Callable[[FloatArray], Scaled]  # `Kernel.slope` or `Kernel.bandwidth_slope` of a displacement


class Strongest(NamedTuple):
    """log Σ_j exp(l_j) K_h(t_m ⊖ s_j), but for the kernel's constant, as the sum of three numbers, each of shape (M,).

    Attributes
    ----------
    log_kernel, log_weight
        log K_* and l_* of the source of the largest log K_j + l_j; -inf where no source reaches.
    log_rest
        log Σ_j exp D_j, D_j = (log K_j - log K_*) + (l_j - l_*).
    """

    log_kernel: FloatArray
    log_weight: FloatArray
    log_rest: FloatArray


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
    own: FloatArray | None = None,
    strongest: Strongest | None = None,
) -> Scaled:
    """Return Σ_j exp(l_j + log_norm) K_h(t_m ⊖ s_j), or the sum of a derivative in K's place, each of shape (M,).

    With `strongest` (finite, of each source) and the targets' `own` log weights (M,), log K_h + log_norm is replaced
    by D = (log K_h + log_norm - log K_*) + (own - l_*).
    """
    columns = min(len(sources), _BLOCK_COLUMNS)
    rows = _BLOCK_PAIRS // columns
    peaks, totals = np.full(len(targets), -np.inf), np.zeros(len(targets))
    for top in range(0, len(targets), rows):
        block = slice(top, top + rows)
        for left in range(0, len(sources), columns):
            right = left + columns
            d = kernel.domain.difference(targets[block, np.newaxis], sources[left:right])
            logs, factors = (kernel.log_shape(d), None) if derivative is None else derivative(d)
            if own is not None and strongest is not None:
                logs -= strongest.log_kernel[left:right]
                logs += own[block, np.newaxis] - strongest.log_weight[left:right]
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


@np.errstate(invalid="ignore")  # -inf - -inf, where no source reaches
def strongest_sources(kernel: Kernel, targets: FloatArray, sources: FloatArray, log_weights: FloatArray) -> Strongest:
    """Return the strongest source at each target, and the sum of all relative to it.

    Where |log K| is so large that log K + l has lost l, the sum alone does not tell which is the strongest: the one
    that it names is compared with the others by D, and gives way to the largest.
    """
    columns = min(len(sources), _BLOCK_COLUMNS)
    rows = _BLOCK_PAIRS // columns
    found = Strongest(*(np.full(len(targets), -np.inf) for _ in range(3)))
    for top in range(0, len(targets), rows):
        block = slice(top, top + rows)
        log_kernel, log_weight, total = (part[block] for part in (found.log_kernel, found.log_weight, found.log_rest))
        each = np.arange(len(total))
        total.fill(0.0)
        for left in range(0, len(sources), columns):
            right = left + columns
            weights = log_weights[left:right]
            logs = kernel.log_shape(kernel.domain.difference(targets[block, np.newaxis], sources[left:right]))
            best: IntArray = (logs + weights).argmax(axis=1)
            for is_last in (False, True):
                log_k, log_w = logs[each, best], weights[best]
                rise = (log_k - log_kernel) + (log_w - log_weight)
                stronger = rise > 0.0
                total *= np.exp(-np.fmax(rise, 0.0))
                np.copyto(log_kernel, log_k, where=stronger)
                np.copyto(log_weight, log_w, where=stronger)
                excess = logs - finite(log_kernel)[:, np.newaxis]
                excess += weights - finite(log_weight)[:, np.newaxis]
                if is_last or excess.max() <= 0.0:
                    break
                best = excess.argmax(axis=1)
            if is_last:
                np.minimum(excess, 0.0, out=excess)  # what is left above 0 is rounding
            total += np.exp(excess, out=excess).sum(axis=1)
        np.copyto(total, log_or_minus_infinity(total))
    return found


def finite(logs: FloatArray) -> FloatArray:
    """Return some logarithms with 0 for -inf, which can be subtracted."""
    return np.where(np.isneginf(logs), 0.0, logs)
