"""Weights and logits: log S_j = z_j - log Σ_k exp(z_k), right also where S_j is too small for a float64."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray

_CHUNK: Final = 32_768  # numbers at a time: their exponentials stay in the cache


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log S_j, shape (N,), for logits (N,), the largest of which is finite; -inf where the logit is -inf."""
    peak = float(logits.max())
    with np.errstate(over="ignore"):  # logits 1e308 apart: -inf, a weight of 0
        logs: FloatArray = logits - peak
    parts = (np.exp(logs[start : start + _CHUNK]).sum() for start in range(0, len(logs), _CHUNK))
    logs -= math.log(math.fsum(parts))
    return logs


def logits_of(weights: FloatArray) -> FloatArray:
    """Return the logits log w_j, shape (N,), of weights w_j ≥ 0; -inf for a weight of 0, a masked point."""
    with np.errstate(divide="ignore"):
        return np.log(weights)
