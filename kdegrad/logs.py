"""Sums of numbers that are known by their logarithms, on arrays.

`np.logaddexp` is a loop in C, ten times slower than NumPy's vectorised functions; and `np.exp` slows down tenfold where
it underflows. Exponents are therefore cut off at -700, as e^-700 is negligible in a sum whose largest term is 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray

_DEEPEST: Final = 700.0


class Scaled(NamedTuple):
    """A signed quantity factor · exp(log), element by element."""

    log: FloatArray
    factor: FloatArray


def value(scaled: Scaled) -> FloatArray:
    """Return factor · exp(log) as e^(log/2) · factor · e^(log/2): e^log alone may underflow beside a huge factor."""
    half = np.exp(0.5 * scaled.log)
    product: FloatArray = half * scaled.factor
    product *= half
    np.copyto(product, 0.0, where=scaled.factor == 0.0)  # also where e^log overflows
    return product


def log_sum(log_a: FloatArray, log_b: FloatArray) -> FloatArray:
    """Return log(a + b) as max + log(1 + e^-|difference|): np.logaddexp is not vectorised."""
    larger = np.maximum(log_a, log_b)
    with np.errstate(invalid="ignore"):  # -inf - -inf: fmax takes the cut
        smaller = np.minimum(log_a, log_b) - larger
    np.fmax(smaller, -_DEEPEST, out=smaller)
    np.exp(smaller, out=smaller)
    np.log1p(smaller, out=smaller)
    smaller += larger
    return smaller


def common_log(*logs: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Return the largest of some logarithms, element by element, and all of them as multiples of its exponential."""
    peak = np.maximum.reduce(logs)
    shift = np.where(np.isneginf(peak), 0.0, peak)
    return peak, [np.exp(log - shift) for log in logs]


def scaled_sum(
    log_a: FloatArray, factor_a: FloatArray, log_b: FloatArray, factor_b: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the sum of two signed quantities factor · exp(log), in units of the larger exponential."""
    log = np.maximum(log_a, log_b)
    shift = np.where(np.isneginf(log), 0.0, log)
    return log, factor_a * np.exp(log_a - shift) + factor_b * np.exp(log_b - shift)


def log_or_minus_infinity(x: FloatArray) -> FloatArray:
    """Return log x, -inf at 0, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(x)


def exp_or_zero(logs: FloatArray) -> FloatArray:
    """Overwrite x by e^x, and by 0 below e^-700; return it."""
    if logs.min(initial=0.0) >= -_DEEPEST:
        return np.asarray(np.exp(logs, out=logs))
    is_nothing = logs < -_DEEPEST
    np.maximum(logs, -_DEEPEST, out=logs)
    np.exp(logs, out=logs)
    np.copyto(logs, 0.0, where=is_nothing)
    return logs


def log1p_square(x: FloatArray) -> FloatArray:
    """Return log(1 + x²), also where x² is beyond the range of a float64."""
    with np.errstate(over="ignore"):
        logs = np.log1p(x * x)
    overflowed = np.isinf(logs)
    if overflowed.any():
        logs[overflowed] = 2.0 * np.log(np.abs(x[overflowed]))
    return logs
