"""Numbers ≥ 0 that may be too small or too large for a float64: known by value or by logarithm, as it comes.

The weights of many points are hardly ever needed all at once. They are walked through in parts that stay in cache, each
formed when its turn comes: an exponential costs less than a number's way to memory and back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray

_CHUNK: Final = 32_768  # of an array that is formed whole


class Magnitudes:
    """An array of numbers ≥ 0, shape (N,), given by their logarithms.

    Attributes
    ----------
    logs
        Their logarithms, -inf for 0.
    """

    logs: FloatArray

    def __init__(self, logs: FloatArray) -> None:
        self.logs = logs

    @property
    def total(self) -> float:
        """What the parts have to be divided by to be the numbers."""
        return 1.0

    @cached_property
    def values(self) -> FloatArray:
        """The numbers, shape (N,); 0 or infinite where a float64 cannot hold them."""
        return np.exp(self.logs)

    def parts(self, chunks: Iterable[slice]) -> Iterator[FloatArray]:
        """Yield the numbers times `total` for slices that cover them in order; each array is the caller's."""
        for chunk in chunks:
            yield np.exp(self.log_parts(chunk))

    def log_parts(self, which: slice | IntArray) -> FloatArray:
        """Return the logarithms of some of the numbers times `total`."""
        return self.logs[which]


@final
class Softmax(Magnitudes):
    """S_j = exp(z_j)/Σ_k exp(z_k) for logits (N,), one of which is finite; 0 where the logit is -inf.

    The parts are exp(z_j - max z), and `total` is their sum, found in the first walk through them.
    """

    def __init__(self, logits: FloatArray) -> None:
        self.logits = logits
        self.peak = float(logits.max())
        self._total: float | None = None

    @property
    def total(self) -> float:
        """Σ_k exp(z_k - max z), from 1 to N."""
        if self._total is None:
            for _ in self.parts(self._chunks()):
                pass
        assert self._total is not None  # the walk found it
        return self._total

    @cached_property
    def logs(self) -> FloatArray:  # type: ignore[override]  # formed when asked for, in place of given
        """Log S_j = z_j - log Σ_k exp(z_k), right also where S_j is too small for a float64."""
        logs = self.log_parts(slice(None))
        logs -= math.log(self.total)
        logs.flags.writeable = False
        return logs

    @cached_property
    def values(self) -> FloatArray:
        """S_j, shape (N,)."""
        values = np.empty_like(self.logits)
        for chunk, part in zip(self._chunks(), self.parts(self._chunks()), strict=True):
            values[chunk] = part
        values *= 1.0 / self.total
        values.flags.writeable = False
        return values

    def parts(self, chunks: Iterable[slice]) -> Iterator[FloatArray]:
        """Yield exp(z_j - max z) for slices that cover the points in order; each array is the caller's."""
        sums: list[float] | None = None if self._total else []
        for chunk in chunks:
            part = self.log_parts(chunk)
            np.exp(part, out=part)
            if sums is not None:
                sums.append(float(part.sum()))
            yield part
        if sums is not None:
            self._total = math.fsum(sums)

    def log_parts(self, which: slice | IntArray) -> FloatArray:
        """Return z_j - max z of some points."""
        with np.errstate(over="ignore"):  # logits 1e308 apart: -inf, a weight of 0
            return self.logits[which] - self.peak

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self.logits), _CHUNK):
            yield slice(start, start + _CHUNK)
