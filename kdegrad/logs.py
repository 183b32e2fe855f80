"""Sums and differences of numbers that are known by their logarithms, on arrays and in a cache's speed.

`np.logaddexp` is a loop in C, ten times slower than the vector functions it could call; and `np.exp` itself slows down
tenfold where it under- or overflows. Exponents are therefore cut at ±700: beside a term of ordinary size e^-700 is
nothing.
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


def cut_exp(exponents: FloatArray) -> FloatArray:
    """Return the exponentials in the exponents' place, cut to e^±700."""
    np.maximum(exponents, -_DEEPEST, out=exponents)
    np.minimum(exponents, _DEEPEST, out=exponents)
    return np.exp(exponents, out=exponents)


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


def log1p_square(x: FloatArray) -> FloatArray:
    """Return log(1 + x²), also where x² is beyond the range of a float64."""
    with np.errstate(over="ignore"):
        logs = np.log1p(x * x)
    overflowed = np.isinf(logs)
    if overflowed.any():
        logs[overflowed] = 2.0 * np.log(np.abs(x[overflowed]))
    return logs


def log_difference(log_a: FloatArray, log_b: FloatArray) -> FloatArray:
    """Return log max(a - b, 0)."""
    with np.errstate(invalid="ignore", divide="ignore"):  # both may be 0
        difference = log_a + np.log1p(-np.exp(np.minimum(log_b - log_a, 0.0)))
    return np.where(np.isneginf(log_a), -np.inf, difference)
