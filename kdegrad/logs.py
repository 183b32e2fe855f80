"""Sums and differences of numbers that are known by their logarithms, on arrays and in a cache's speed.

`np.logaddexp` is a loop in C, ten times slower than the vector functions it could call; and `np.exp` itself slows down
tenfold where it under- or overflows. Exponents are therefore cut at ±700: beside a term of ordinary size e^-700 is
nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.domain import FloatArray

_DEEPEST: Final = 700.0


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
