"""Arrays of float64 as decimal text that reads back to the same float64, formed by operations on whole arrays.

`repr` writes the shortest decimal that reads back to the same float64, and of those the nearest. So do these, except
where two decimals are equally near: there one more digit may be written. For x > 0 with k = ⌊log10 x⌋ the 17 digits are
the integer nearest to S = x·10^(16-k), computed to about 30 digits as a product of two sums of two float64 (Dekker,
Numer. Math. 18, 1971). The multiple of 10 or of 100 nearest to S reads back to x too if its distance is less than half
the distance to the next float64: then 16 or 15 digits are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import FloatArray, exact_product

Bytes = NDArray[np.uint8]

_DIGITS: Final = 17
_WIDTH: Final = 26  # characters of the longest, -1.2345678901234567e-270, and of 0.000 before 17 digits
_SMALLEST, _LARGEST = 1e-270, 1e270  # between these, no step of the product leaves the range of float64
_OFFSET: Final = 290  # index of the power 10⁰ in the table of powers


def joined(parts: Sequence[Bytes], separator: str = ",") -> bytes:
    """Return columns of cells, each of shape (N, W) as `cells` has them, as N lines, the cells of each separated."""
    ends = np.cumsum([part.shape[1] + 1 for part in parts])
    page = np.empty((len(parts[0]), int(ends[-1])), dtype=np.uint8)
    for part, end in zip(parts, ends, strict=True):
        page[:, end - 1 - part.shape[1] : end - 1] = part
    page[:, ends - 1] = ord(separator)
    page[:, -1] = ord("\n")
    packed: bytes = page[page != 0].tobytes()
    return packed


def cells(values: FloatArray) -> Bytes:
    """Return each value as ASCII, shape (N, 26), NaN as nothing; zero bytes, which may be anywhere, are left out."""
    size = np.abs(values)
    usual = (size > _SMALLEST) & (size < _LARGEST)
    digits, exponents = _shortest(np.where(usual, size, 1.0))
    page = np.zeros((len(values), _WIDTH), dtype=np.uint8)
    for exponent in np.flatnonzero(np.bincount(exponents + _OFFSET)) - _OFFSET:
        members = np.flatnonzero(exponents == exponent)
        page[members, 1:] = _placed(digits[members], int(exponent))
    page[np.signbit(values), 0] = ord("-")
    if usual.all():
        return page
    for special, written in ((size == 0.0, "0.0"), (size == np.inf, "inf")):
        page[special, 1:] = _padded(written, _WIDTH - 1)
        usual |= special
    missing = np.isnan(values)
    page[missing] = 0
    for place in np.flatnonzero(~(usual | missing)):
        page[place] = _padded(repr(float(values[place])), _WIDTH)
    return page


def _padded(text: str, width: int) -> Bytes:
    """Return text as a cell of a given width."""
    return np.frombuffer(text.encode("ascii").ljust(width, b"\0"), dtype=np.uint8)


def _shortest(x: FloatArray) -> tuple[Bytes, NDArray[np.int64]]:
    """Return the ASCII digits, shape (N, 17), with zero bytes for the zeros at the end, and the exponents k."""
    exponents = np.floor(np.log10(x)).astype(np.int64)
    whole, rest = _scaled(x, exponents)
    off = (whole >= 10**_DIGITS).astype(np.int64) - (whole < 10 ** (_DIGITS - 1))  # log10 may be off by an ulp
    if off.any():
        exponents += off
        whole, rest = _scaled(x, exponents)
    mantissa, _ = np.frexp(x)
    half_step = np.spacing(x) * np.where(mantissa == 0.5, 0.25, 0.5) * _powers()[0][16 - exponents + _OFFSET]
    integers = whole
    for unit in (10, 100):
        # a tie of the integers is none where the rest is negative
        rounded = (whole + unit // 2 - (rest < 0.0)) // unit * unit
        reads_back = np.abs((rounded - whole) - rest) < half_step * (1.0 - 1e-9)
        integers = np.where(reads_back, rounded, integers)
    carried = integers >= 10**_DIGITS
    integers[carried] = 10 ** (_DIGITS - 1)
    return _ascii(integers), exponents + carried


def _scaled(x: FloatArray, exponents: NDArray[np.int64]) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the integer nearest to x·10^(16-k), and the difference of the product from it."""
    high, low = (table[16 - exponents + _OFFSET] for table in _powers())
    product, error = exact_product(x, high)
    tail = error + x * low
    whole = np.rint(product)
    tail += product - whole
    steps = np.rint(tail)
    return whole.astype(np.int64) + steps.astype(np.int64), tail - steps


@cache
def _powers() -> tuple[FloatArray, FloatArray]:
    """Return 10^n for n = -290..290 as the sum of two float64."""
    exact = [Fraction(10) ** n for n in range(-_OFFSET, _OFFSET + 1)]
    high = [float(power) for power in exact]
    low = [float(power - Fraction(near)) for power, near in zip(exact, high, strict=True)]
    return np.array(high), np.array(low)


@cache
def _four_digits() -> NDArray[np.uint32]:
    """Return the ASCII digits of 0..9999, each four in a word."""
    digits = np.arange(10_000)[:, np.newaxis] // [1000, 100, 10, 1] % 10 + ord("0")
    return digits.astype(np.uint8).view(np.uint32)[:, 0]


def _ascii(integers: NDArray[np.int64]) -> Bytes:
    """Return the 17 digits of each integer, with zero bytes in place of the zeros at the end."""
    page = np.empty((len(integers), 5), dtype=np.uint32)
    rest = integers.view(np.uint64)
    for group in range(4, 0, -1):
        rest, four = np.divmod(rest, np.uint64(10_000))
        page[:, group] = _four_digits()[four]
    digits = page.view(np.uint8)[:, 3:]
    digits[:, 0] = rest + ord("0")
    ending_in_0 = np.arange(len(digits))
    for place in range(_DIGITS - 1, 0, -1):
        ending_in_0 = ending_in_0[digits[ending_in_0, place] == ord("0")]
        if not ending_in_0.size:
            break
        digits[ending_in_0, place] = 0
    return digits


def _placed(digits: Bytes, exponent: int) -> Bytes:
    """Return the digits (n, 17) with their point, in the layout of `repr` for the exponent, shape (n, 25)."""
    out = np.zeros((len(digits), _WIDTH - 1), dtype=np.uint8)
    if 0 <= exponent < 16:
        point = exponent + 1
        out[:, :point] = np.maximum(digits[:, :point], ord("0"))
        out[:, point] = ord(".")
        out[:, point + 1 : _DIGITS + 1] = digits[:, point:]
        out[:, point + 1] = np.maximum(out[:, point + 1], ord("0"))
    elif -4 <= exponent < 0:
        lead = b"0." + b"0" * (-exponent - 1)
        out[:, : len(lead)] = np.frombuffer(lead, dtype=np.uint8)
        out[:, len(lead) : len(lead) + _DIGITS] = digits
    else:
        out[:, 0] = digits[:, 0]
        out[:, 1] = np.where(digits[:, 1] != 0, ord("."), 0)
        out[:, 2 : _DIGITS + 1] = digits[:, 1:]
        tail = f"e{exponent:+03d}".encode("ascii")
        out[:, _DIGITS + 1 : _DIGITS + 1 + len(tail)] = np.frombuffer(tail, dtype=np.uint8)
    return out
