"""Exponentially decaying running sums over sorted positions, on logarithms and in O(n).

For charges a_j at positions s_0 ≤ … ≤ s_{n-1}, with distances in bandwidths,

    E_k = Σ_{j≤k} a_j exp(-(s_k - s_j)/h) = E_{k-1} exp(-(s_k - s_{k-1})/h) + a_k.

Where all positions lie within 150 bandwidths and all charges within e^±150 (or are 0),
nothing can under- or overflow, and running totals of a_j exp((s_j - s_0)/h) are all it takes. Elsewhere the recursion
as it stands would lose digits (one rounded factor to the power of n) and not vectorise. There the positions are cut
into rows of about √n, and

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
from functools import cached_property
from typing import Final, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import FloatArray
from kdegrad.logs import cut_exp, log_or_minus_infinity

_GENTLE: Final = 150.0  # products of e^±150 and e^±150 are far inside the range of a float64
_SHORT: Final = 512  # terms of a running total that needs no rows
_FEWEST_COLUMNS: Final = 8
_MOST_COLUMNS: Final = 1024

_Number = TypeVar("_Number", np.float64, np.complex128)


@final
class DecayingSums:
    """The running sums over the positions (n,), from the left and from the right."""

    def __init__(self, positions: FloatArray, bandwidth: float) -> None:
        self.positions, self.bandwidth = positions, bandwidth
        is_narrow = positions[-1] - positions[0] <= _GENTLE * bandwidth
        self.grown = np.exp((positions - positions[0]) / bandwidth) if is_narrow else None

    def __call__(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log Σ_{j≤k} exp(l_j - (s_k - s_j)/h) and log Σ_{j≥k} exp(l_j - (s_j - s_k)/h), each (n,).

        The two take log charges l of their own, each of shape (n,).
        """
        if self.grown is not None and is_gentle(from_left) and (from_right is from_left or is_gentle(from_right)):
            return self._plain(from_left, from_right, self.grown)
        return self._rightward.sums(from_left), self._leftward.sums(from_right[::-1])[::-1]

    @cached_property
    def _rightward(self) -> _Rows:
        return _Rows(self.positions, self.bandwidth)

    @cached_property
    def _leftward(self) -> _Rows:
        return _Rows(-self.positions[::-1], self.bandwidth)

    @staticmethod
    def _plain(from_left: FloatArray, from_right: FloatArray, grown: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same where nothing can under- or overflow, with exp((s_k - s_0)/h) = `grown`."""
        charges = np.exp(from_left)
        left = running_total(charges * grown)
        left /= grown
        if from_right is not from_left:
            charges = np.exp(from_right)
        right = running_total((charges / grown)[::-1])[::-1]
        right *= grown
        return log_or_minus_infinity(left), log_or_minus_infinity(right)


@final
class _Rows:
    """Positions (n,) in ascending order, cut into rows; the sums run upwards."""

    def __init__(self, positions: FloatArray, bandwidth: float) -> None:
        self.positions, self.bandwidth, self.count = positions, bandwidth, len(positions)
        self.columns = min(max(_FEWEST_COLUMNS, math.isqrt(self.count) // 2), _MOST_COLUMNS)
        self.rows = -(-self.count // self.columns)
        self.starts = positions[:: self.columns]
        self.ends = np.append(positions[self.columns - 1 : -1 : self.columns], positions[-1])

    @cached_property
    def offsets(self) -> FloatArray:
        """The distances to the rows' starts in bandwidths, (columns, rows)."""
        offsets = self._cut(self.positions, self.positions[-1])
        offsets -= self.starts
        offsets /= self.bandwidth
        return offsets

    def sums(self, log_charges: FloatArray) -> FloatArray:
        """Return the logarithms of the running sums, (n,)."""
        exponents = self._cut(log_charges, -math.inf)
        exponents += self.offsets
        logs = self._run(exponents, self._handed_on(exponents))
        logs -= self.offsets
        return np.ascontiguousarray(logs.T).reshape(-1)[: self.count]

    def _cut(self, values: FloatArray, padding: float) -> FloatArray:
        """Return the values (n,) cut into rows, as (columns, rows)."""
        padded = np.full(self.rows * self.columns, padding)
        padded[: self.count] = values
        return np.ascontiguousarray(padded.reshape(self.rows, self.columns).T)

    def _handed_on(self, exponents: FloatArray) -> FloatArray:
        """Return for each row the logarithm of what all rows before it sum to at its start, shape (rows,)."""
        peaks = exponents.max(axis=0)
        shifts = np.where(np.isneginf(peaks), 0.0, peaks)
        totals = np.log(cut_exp(exponents - shifts).sum(axis=0)) + peaks - self.offsets[-1]
        return _chain(totals, self.starts, self.ends, self.bandwidth)

    @staticmethod
    def _run(exponents: FloatArray, handed_on: FloatArray) -> FloatArray:
        """Return log Σ exp over the columns up to each, the value handed on being the term before the first."""
        peaks = np.maximum.accumulate(np.concatenate([handed_on[np.newaxis], exponents]))
        shifts = np.where(np.isneginf(peaks), 0.0, peaks)
        fades = cut_exp(peaks[:-1] - shifts[1:])
        exponents -= shifts[1:]
        mantissa = cut_exp(exponents)
        before = cut_exp(handed_on - shifts[0])
        for column, fade in zip(mantissa, fades, strict=True):
            column += before * fade
            before = column
        logs = np.log(mantissa, out=mantissa)
        logs += peaks[1:]
        return logs


def is_gentle(logs: FloatArray) -> bool:
    """Return whether all numbers are within e^±150 or 0, and not all are 0."""
    return bool(np.abs(logs.max()) <= _GENTLE and np.where(np.isneginf(logs), 0.0, logs).min() >= -_GENTLE)


def running_total(terms: NDArray[_Number]) -> NDArray[_Number]:
    """Return the running totals; long ones in rows of √n, so that the error is of √n roundings."""
    if len(terms) <= _SHORT:
        return np.cumsum(terms)
    columns = math.isqrt(len(terms))
    whole = len(terms) - len(terms) % columns
    totals = np.empty_like(terms)
    rows = np.cumsum(terms[:whole].reshape(-1, columns), axis=1, out=totals[:whole].reshape(-1, columns))
    rows[1:] += np.cumsum(rows[:-1, -1])[:, np.newaxis]
    np.cumsum(terms[whole:], out=totals[whole:])
    totals[whole:] += totals[whole - 1]
    return totals


def _chain(totals: FloatArray, starts: FloatArray, ends: FloatArray, bandwidth: float) -> FloatArray:
    """Return at each row's start the logarithm of the sum of the rows before it.

    The sum is mantissa · exp(log_anchor - (s - anchor)/h), anchored at the row whose total was the largest so far.
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
    return np.array(handed_on)
