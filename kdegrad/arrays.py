"""The arrays that kdegrad computes with: their types, how what a caller gives becomes one, norms, products, runs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from numbers import Number
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdegrad.errors import InputError
from kdegrad.text import counted, shortened, shown

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
        For what holds no numbers (text, dates, booleans, complex numbers, tables), and for missing or masked values; it
        names the first one, and a way to convert them.
    """
    if hasattr(values, "columns"):  # a table of N rows and 2 columns is no batch of N problems
        remedy = "give one of its columns, or the whole to kdegrad.from_frame"
        raise InputError(f"{name}: a table ({_type_of(values)}) is not an array of numbers: {remedy}")
    if values is None or isinstance(values, (str, bytes, bytearray)):
        raise InputError(f"{name}: {shortened(values)} is not an array of numbers")
    given = as_array(name, values)
    _require_numbers(name, given, values)
    try:
        array = np.array(given, dtype=np.float64) if copy else np.asarray(given, dtype=np.float64).view()
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name}: {_first_fault(given)}") from None
    array.flags.writeable = False
    return array


def as_array(name: str, values: object) -> NDArray[Any]:
    """Return what a caller gives as an array of any type; InputError where it cannot be one."""
    try:
        return np.asanyarray(values)
    except MemoryError:
        raise
    except Exception as error:  # whatever an __array__ of another package raises
        raise InputError(f"{name}: {_unreadable(values, error)}") from None


def texts(what: str, given: Iterable[str] | None, count: int, of: str) -> tuple[str, ...] | None:
    """Return labels or names, one for each of `count` points or problems; InputError for anything else."""
    if given is None:
        return None
    try:
        each = as_array(what, given).tolist() if hasattr(given, "__array__") else given  # those of Arrow are no str
        listed = None if isinstance(each, (str, Set)) else tuple(each)
    except TypeError:
        listed = None
    if listed is None or len(listed) != count or not all(isinstance(text, str) for text in listed):
        raise InputError(f"{what}: {shortened(given)} is not a list of {counted(count, 'text')}, one for each {of}")
    return listed


_NO_NUMBERS: Final = {  # NumPy's kinds of types that are refused: what they hold, and how to make numbers of it
    "b": ("booleans", "convert them with .astype(float), or select with them"),
    "c": ("complex numbers", "give their real part, or their angle with numpy.angle"),
    "M": ("dates", "convert them to angles"),
    "m": ("durations", "convert them to angles"),
    "V": ("records", "give one of their fields"),
}


def _require_numbers(name: str, given: NDArray[Any], values: object) -> None:
    """Raise an `InputError` for an array whose type is none of numbers, or which has masked values."""
    kind = given.dtype.kind
    if kind in _NO_NUMBERS:
        held, remedy = _NO_NUMBERS[kind]
        raise InputError(f"{name}: {held} ({given.dtype}) are not numbers: {remedy}")
    if kind == "O" and given.ndim == 0:  # NumPy holds what is no sequence as one object
        what = shortened(values) if isinstance(values, (Number, complex)) else _type_of(values)
        raise InputError(f"{name}: {what} is not an array of numbers: give a list, an array or a Series")
    if kind in "SU" or (kind == "O" and any(value is None or isinstance(value, (str, bytes)) for value in given.flat)):
        raise InputError(f"{name}: {_first_fault(given)}")
    mask = getattr(given, "mask", False)
    if mask is not False and np.any(mask):
        place, masked = _place(given, int(np.argmax(mask))), int(np.count_nonzero(mask))
        raise InputError(f"{name}: {masked} masked, the first at {place}: fill or drop masked values")


def _first_fault(given: NDArray[Any]) -> str:
    """Return which value of an array of texts or of objects is the first that is no number."""
    for index, value in enumerate(given.ravel().tolist()):
        is_text = isinstance(value, (str, bytes))  # also of a number, which float() would read
        try:
            if not is_text:
                float(value)
                continue
        except (TypeError, ValueError, OverflowError):
            pass
        where, written = _place(given, index), shortened(value)
        if written in ("<NA>", "NaT", "None"):
            return f"{written} at {where} is a missing value: fill or drop such points"
        return f"{written} at {where} is not a number" + (": convert text to numbers" if is_text else "")
    return f"{given.dtype} is not a type of numbers"


def _place(given: NDArray[Any], index: int) -> str:
    """Return what a message calls the place of a value by its index in the flat order."""
    where = [int(k) for k in np.unravel_index(index, given.shape)]
    return f"place {where[0] if len(where) == 1 else tuple(where)}"


def _unreadable(values: object, error: Exception) -> str:
    """Return why a value cannot be made an array, with what to do about it where that is known."""
    said = " ".join(str(error).split())
    if getattr(values, "requires_grad", False) is True or "requires grad" in said:  # the second: a list of tensors
        return "a tensor that requires a gradient: call .detach() first, since kdegrad returns gradients of its own"
    device = getattr(values, "device", "cpu")
    if not str(device).startswith("cpu") and hasattr(values, "cpu"):
        return f"a tensor on the device {shown(str(device))}: call .cpu() first"
    if isinstance(values, (list, tuple)) and "inhomogeneous" in str(error):
        return "its parts have different lengths: give one flat list of numbers, for a batch with offsets"
    if "BFloat16" in said:
        return "a tensor of bfloat16, which NumPy has not: call .float() first"
    return f"{_type_of(values)} cannot be read as an array ({type(error).__name__}: {said[:120]})"


def _type_of(value: object) -> str:
    """Return the name of the type of a value, with its module where that is not Python's own."""
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    return shortened(kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}").strip("'\"")


def require_everywhere(good: BoolArray, values: FloatArray, what: str, remedy: str, noun: str = "point") -> None:
    """Raise an `InputError` that names the points whose values are not `good`, each (N,); of NaN the first alone."""
    if good.all():
        return
    bad = ~good
    missing = np.flatnonzero(np.isnan(values))
    if missing.size:  # which came as NA or as an empty cell, and are of no use one by one
        count = f" ({missing.size} of {len(values)} in all)" if missing.size > 1 else ""
        raise InputError(f"{noun} {missing[0]}: {what} nan is a missing value: fill or drop such points{count}")
    faults = [f"{noun} {index}: {what} {values[index]}: {remedy}" for index in np.flatnonzero(bad)[: InputError.SHOWN]]
    raise InputError(faults, total=int(bad.sum()))


def checked_offsets(offsets: ArrayLike, count: int, what: str) -> IntArray:
    """Return `offsets`, shape (G+1,), by which `count` values in a row are those of G ≥ 1 problems, one or more each.

    Raises
    ------
    InputError
        If they are not whole numbers that rise from 0 to `count`; `what` says what the values are.
    """
    given = as_array("offsets", offsets)
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size < 2:
        text = shortened(offsets)
        raise InputError(
            f"offsets of the {what}: {text} are not G+1 whole numbers: give 0, and where each problem ends"
        )
    bounds = given.astype(np.intp)
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


def grouped(codes: IntArray, count: int) -> tuple[IntArray | None, IntArray]:
    """Return the rows of `count` groups, group by group, and where each begins among them, (count + 1,), as in CSR.

    The order keeps that of the rows within a group; None where the rows stand so already.
    """
    order = None if (codes[1:] >= codes[:-1]).all() else np.argsort(codes, kind="stable")
    return order, np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=count))])


def threads_of(most: int) -> int:
    """Return how many threads compute arrays: as many as this process has cores, or as OMP_NUM_THREADS says."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(asked) if asked.isdecimal() else cores, most))
