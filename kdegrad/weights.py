"""Weights and logits: log S_j = z_j - log Σ_k exp(z_k), right also where S_j is too small for a float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.errors import InputError

_CHUNK: Final = 16_384  # numbers at a time: their exponentials stay in the cache
_MOST_COUNTED: Final = 2.0**53  # the whole numbers below it are exact
_MODERATE: Final = 8.0  # applies to the largest logit: a common relative error of a few ε is harmless


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log S_j along the last axis for logits (..., N), one of which is finite; -inf where the logit is -inf."""
    if logits.ndim > 1:
        if not (logits.min() >= -_MODERATE and logits.max() <= _MODERATE):  # the largest of each row takes longer
            with np.errstate(over="ignore"):  # as below
                logits = logits - logits.max(axis=-1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True)))
    shift, total = sum_of_exponentials(logits)
    return shifted(logits, shift) - math.log(total)


def sum_of_exponentials(logits: FloatArray) -> tuple[float, float]:
    """Return a shift of logits (N,) and Σ_j exp(z_j - shift), which is 0 where all are -inf."""
    shift, work = common_shift(logits), np.empty(min(len(logits), _CHUNK))
    parts = (shifted(logits[start : start + _CHUNK], shift) for start in range(0, len(logits), _CHUNK))
    return shift, math.fsum(float(np.exp(part, out=work[: len(part)]).sum()) for part in parts)


def shifted(logits: FloatArray, shift: float) -> FloatArray:
    """Return z_i - shift, which may be the logits themselves: to be read only."""
    if shift == 0.0:
        return logits
    with np.errstate(over="ignore"):  # logits 1e308 apart: -inf, a weight of 0
        return logits - shift


def common_shift(logits: FloatArray) -> float:
    """Return what to take off all logits before their exponentials are formed: 0 if their largest is moderate."""
    peak = float(logits.max())
    return 0.0 if abs(peak) <= _MODERATE or peak == -math.inf else peak


def logits_of(weights: FloatArray) -> FloatArray:
    """Return the logits log w_j, shape (N,), of weights w_j ≥ 0; -inf for a weight of 0, a masked point."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


LEAST_WEIGHT: Final = "give a finite number of at least 0"
NO_WEIGHT: Final = "no point has a positive weight: one logit must be finite, or one weight above 0"


@final
@dataclass(frozen=True)
class Counts:
    """Whether weights are counts: their sum, or NaN if one is no whole number, and the largest of them."""

    total: float = 0.0
    largest: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        """Return those of both weights together."""
        return Counts(self.total + other.total, max(self.largest, other.largest))

    @staticmethod
    def of(weights: FloatArray) -> Counts:
        """Return those of some weights."""
        is_whole = bool((weights == np.rint(weights)).all())
        return Counts(float(weights.sum()) if is_whole else math.nan, float(weights.max(initial=0.0)))

    @property
    def number(self) -> int | None:
        """The sum of the counts; None if the weights are none, or all are 0 or 1."""
        return int(self.total) if self.total < _MOST_COUNTED and self.largest > 1.0 else None


NOT_COUNTED: Final = Counts()  # of no weights


def are_weights(values: FloatArray) -> BoolArray:
    """Return which values can be weights: the finite ones of at least 0."""
    return (values >= 0.0) & (values < np.inf)


def logits_or_weights(logits: ArrayLike | None, weights: ArrayLike | None) -> tuple[str, ArrayLike | None]:
    """Return which of the two a caller gave, ``logit`` or ``weight``, and it; InputError for both."""
    if weights is None:
        return "logit", logits
    if logits is not None:
        raise InputError("weights: there are logits too, and a logit is the logarithm of a weight: give one of the two")
    return "weight", weights
