"""Exponentially decaying running sums over sorted positions, on logarithms and in O(n).

For charges a_j at positions s_0 ≤ … ≤ s_{n-1}, with distances in bandwidths,

    E_k = Σ_{j≤k} a_j exp(-(s_k - s_j)/h) = E_{k-1} exp(-(s_k - s_{k-1})/h) + a_k.

The recursion as it stands loses digits (one rounded factor to the power of n) and does not vectorise. Here the positions
are cut into rows of about √n, and

1. each row is summed to its end, its largest exponent taken out first;
2. the sums at the rows' ends are chained one by one, anchored at the largest term, so that every exponential is that of
   a fresh difference of positions;
3. all rows are run through side by side, column by column, each from the value that the row before it hands on. With
   b_j = log a_j + (s_j - s_row)/h and the running maximum β_k = max_{j≤k} b_j the mantissa m_k = Σ_{j≤k} exp(b_j - β_k)
   lies in [1, k+1] and obeys m_k = m_{k-1} exp(β_{k-1} - β_k) + exp(b_k - β_k): it neither under- nor overflows,
   and log E_k = log m_k + β_k - (s_k - s_row)/h.

Two chains of √n steps leave an error of √n roundings at the worst.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from kdegrad.domain import FloatArray
from kdegrad.kernels.base import log_or_minus_infinity

_FEWEST_COLUMNS: Final = 8
_MOST_COLUMNS: Final = 1024


@final
class DecayingSums:
    """The running sums over the positions (n,), from the left (row 0 of every pair) and from the right (row 1)."""

    def __init__(self, positions: FloatArray, bandwidth: float) -> None:
        self.bandwidth = bandwidth
        self.count = len(positions)
        self.columns = min(max(_FEWEST_COLUMNS, math.isqrt(self.count) // 2), _MOST_COLUMNS)
        self.rows = -(-self.count // self.columns)
        places = self._blocked(np.stack([positions, -positions[::-1]]), pad_with_last=True)
        self.starts, self.ends = places[0], places[-1]  # (2·rows,)
        self.offsets = (places - self.starts) / bandwidth  # (columns, 2·rows)

    def __call__(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log Σ_{j≤k} exp(l_j - (s_k - s_j)/h) and log Σ_{j≥k} exp(l_j - (s_j - s_k)/h), each (n,).

        The two take log charges l of their own, each of shape (n,).
        """
        exponents = self._blocked(np.stack([from_left, from_right[::-1]]))
        exponents += self.offsets
        handed_on = self._handed_on(exponents)
        logs = self._run(exponents, handed_on)
        logs -= self.offsets
        both = logs.reshape(self.columns, 2, self.rows).transpose(1, 2, 0).reshape(2, -1)[:, : self.count]
        return both[0], both[1, ::-1]

    def _blocked(self, both: FloatArray, *, pad_with_last: bool = False) -> FloatArray:
        """Return the pair (2, n) cut into rows, as (columns, 2·rows); padded with its last value or with -inf."""
        padded = np.full((2, self.rows * self.columns), -np.inf)
        padded[:, : self.count] = both
        if pad_with_last:
            padded[:, self.count :] = both[:, -1:]
        blocks = padded.reshape(2, self.rows, self.columns).transpose(2, 0, 1)
        return np.ascontiguousarray(blocks).reshape(self.columns, 2 * self.rows)

    def _handed_on(self, exponents: FloatArray) -> FloatArray:
        """Return for each row the logarithm of what all rows before it sum to at its start, shape (2·rows,)."""
        peaks = exponents.max(axis=0)
        peaks[np.isneginf(peaks)] = 0.0
        totals = log_or_minus_infinity(np.exp(exponents - peaks).sum(axis=0)) + peaks - self.offsets[-1]
        handed_on = np.empty_like(totals)
        for side in (slice(0, self.rows), slice(self.rows, None)):
            handed_on[side] = _chain(totals[side], self.starts[side], self.ends[side], self.bandwidth)
        return handed_on

    @staticmethod
    def _run(exponents: FloatArray, handed_on: FloatArray) -> FloatArray:
        """Return log Σ exp over the columns up to each, the value handed on being the term before the first."""
        peaks = np.maximum.accumulate(np.concatenate([handed_on[np.newaxis], exponents]), axis=0)
        peaks[np.isneginf(peaks)] = -np.finfo(np.float64).max  # nothing yet: exp(-inf - peak) is 0, and so is its share
        mantissa = np.exp(exponents - peaks[1:])
        fades = np.exp(peaks[:-1] - peaks[1:])
        before = np.exp(handed_on - peaks[0])
        for column, fade in zip(mantissa, fades, strict=True):
            column += before * fade
            before = column
        logs = log_or_minus_infinity(mantissa)
        logs += peaks[1:]
        return logs


def _chain(totals: FloatArray, starts: FloatArray, ends: FloatArray, bandwidth: float) -> list[float]:
    """Return at each row's start the logarithm of the sum of the rows before it.

    The sum is mantissa · exp(log_anchor - (s - anchor)/h), anchored at the row whose total was the largest when it came.
    """
    handed_on = []
    log_anchor, anchor, mantissa = -math.inf, float(ends[0]), 1.0
    for total, start, end in zip(totals.tolist(), starts.tolist(), ends.tolist(), strict=True):
        handed_on.append(math.log(mantissa) + log_anchor - (start - anchor) / bandwidth)
        faded = log_anchor - (end - anchor) / bandwidth
        if total > faded:
            mantissa = mantissa * math.exp(faded - total) + 1.0
            log_anchor, anchor = total, end
        elif faded > -math.inf:
            mantissa += math.exp(total - faded)
    return handed_on
