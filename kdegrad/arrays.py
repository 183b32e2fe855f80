"""The arrays that kdegrad computes with: their types, how what a caller gives becomes one, norms, products, runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdegrad.errors import InputError
from kdegrad.text import shortened

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
ComplexArray = NDArray[np.complex128]


@final
@dataclass(frozen=True, eq=False)
class Texts:
    """A column of N texts, ``each[codes[row]]``, of which equal ones may be in `each` once; `codes` has shape (N,)."""

    each: Sequence[str]
    codes: IntArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Texts:
        """Return some of the rows, chosen as those of an array are."""
        return Texts(self.each, self.codes[rows])

    def tolist(self) -> list[str]:
        """Return the text of each row."""
        return [self.each[code] for code in self.codes.tolist()]


def vector(name: str, values: ArrayLike, copy: bool) -> FloatArray:
    """Return `values` as a read-only float64 vector, shape (N,), N ≥ 1; parameters and errors as for `numbers`."""
    array = numbers(name, values, copy)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name}: shape {array.shape}, but one number for each of N ≥ 1 points is needed")
    return array


def numbers(name: str, values: ArrayLike, copy: bool) -> FloatArray:
    """Return `values` as a read-only float64 array of any shape.

    Parameters
    ----------
    name
        What it is, for messages.
    values
        Numbers: a list, an array, a Series, anything with ``__array__``.
    copy
        False: an array of float64 is used as it is, on the promise that it does not change.

    Raises
    ------
    InputError
        For text, dates, complex numbers and masked values.
    """
    try:
        given = np.asanyarray(values)
        text = given.dtype.kind == "O" and any(isinstance(value, (str, bytes)) for value in given.flat)
        if text or given.dtype.kind not in "biufO" or np.any(getattr(given, "mask", False)):
            raise TypeError("text, dates, complex numbers and masked values are not numbers here")
        array = np.array(given, dtype=np.float64) if copy else np.asarray(given, dtype=np.float64).view()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last: a tensor with a gradient
        raise InputError(f"{name}: not an array of numbers ({error})") from None
    array.flags.writeable = False
    return array


def require_everywhere(good: BoolArray, values: FloatArray, what: str, remedy: str, noun: str = "point") -> None:
    """Raise an `InputError` that names the points whose values are not `good`, each (N,)."""
    if not good.all():
        bad = ~good
        faults = [
            f"{noun} {index}: {what} {values[index]}: {remedy}" for index in np.flatnonzero(bad)[: InputError.SHOWN]
        ]
        raise InputError(faults, total=int(bad.sum()))


def checked_offsets(offsets: ArrayLike, count: int, what: str) -> IntArray:
    """Return `offsets`, shape (G+1,), by which `count` values in a row are those of G ≥ 1 problems, one or more each.

    Raises
    ------
    InputError
        If they are not whole numbers that rise from 0 to `count`; `what` says what the values are.
    """
    try:
        given = np.asarray(offsets)
        if given.dtype.kind not in "iu" or given.ndim != 1 or given.size < 2:
            raise TypeError
        bounds = given.astype(np.intp)
    except (TypeError, ValueError, OverflowError):
        text = shortened(offsets)
        raise InputError(
            f"offsets of the {what}: {text} are not G+1 whole numbers: give 0, and where each problem ends"
        ) from None
    faults = []
    if bounds[0] != 0 or bounds[-1] != count:
        faults.append(
            f"offsets of the {what}: they go from {bounds[0]} to {bounds[-1]}, and there are {count}: "
            f"give offsets from 0 to {count}"
        )
    falls = np.flatnonzero(np.diff(bounds) <= 0)
    for problem in falls[: InputError.SHOWN].tolist():
        begin, end = bounds[problem : problem + 2].tolist()
        faults.append(
            f"problem {problem}: it has none of the {what} (offsets {begin}, {end}): each needs one or more"
            if begin == end
            else f"problem {problem}: offsets of the {what} fall from {begin} to {end}: give offsets that rise"
        )
    if faults:
        raise InputError(faults, total=len(faults) + max(0, len(falls) - InputError.SHOWN))
    return bounds


def group_totals(values: FloatArray, offsets: IntArray) -> FloatArray:
    """Return the sums of values (M,) over each of the groups between offsets (G+1,), none of them empty."""
    return np.asarray(np.add.reduceat(values, offsets[:-1]), dtype=np.float64)


def euclidean_norm(values: FloatArray) -> float:
    """Return √Σ_i v_i² of values (N,) as m √Σ_i (v_i/m)², m = max_i |v_i|: no square under- or overflows."""
    largest = float(np.abs(values).max())
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(values / largest))


def largest_first(values: FloatArray, count: int) -> Any:
    """Return the indices of the `count` largest absolute values, the largest first, ties in their order."""
    return np.argsort(-np.abs(values), kind="stable")[:count]


_STRETCH: Final = 1 << 16  # values of an array that is gone through in parts: what is formed on the way stays small


def stretches(count: int) -> Iterator[slice]:
    """Yield the parts of an array of `count` values, one after the other."""
    for start in range(0, count, _STRETCH):
        yield slice(start, start + _STRETCH)


_SPLIT: Final = 2.0**27 + 1.0  # cuts a float64 into two numbers of at most 26 bits (Veltkamp)


def exact_product(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x·y, shape (N,), rounded, and the rest: their sum is the product (Dekker, Numer. Math. 18, 1971).

    |x| and |y| are at most 1e299, and the product is 0 or at least 1e-270: no step leaves the range of float64.
    """
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two numbers of at most 26 bits whose sum is the value."""
    scaled = values * _SPLIT
    high = scaled - (scaled - values)
    return high, values - high


_SHORT: Final = 512  # terms of a running total that needs no rows


def running_total(terms: ComplexArray) -> ComplexArray:
    """Return running totals along the last axis of (M, N); long ones in rows of √N, so that √N roundings are lost."""
    lines, count = terms.shape
    if count <= _SHORT:
        return np.cumsum(terms, axis=1)
    columns = math.isqrt(count)
    whole = count - count % columns
    totals = np.empty_like(terms)
    for line in range(lines):
        rows = totals[line, :whole].reshape(-1, columns)
        np.cumsum(terms[line, :whole].reshape(-1, columns), axis=1, out=rows)
        rows[1:] += np.cumsum(rows[:-1, -1])[:, np.newaxis]
    np.cumsum(terms[:, whole:], axis=1, out=totals[:, whole:])
    totals[:, whole:] += totals[:, whole - 1 : whole]
    return totals


def runs(marked: BoolArray) -> Iterator[tuple[int, slice]]:
    """Yield for each row the runs of marked columns."""
    rows, columns = marked.shape
    padded = np.zeros((rows, columns + 2), dtype=np.int8)
    padded[:, 1:-1] = marked
    edges = np.diff(padded)
    begins, ends = np.nonzero(edges == 1), np.nonzero(edges == -1)
    for row, begin, end in zip(begins[0].tolist(), begins[1].tolist(), ends[1].tolist(), strict=True):
        yield row, slice(begin, end)
