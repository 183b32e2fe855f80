"""Many numbers at once: the fast twin of `kdegrad.grammar.number`, for cells without anything odd in them.

A decimal of at most 18 digits is an integer m < 10¹⁸ over a power of ten, m / 10ᶠ. The integer is had from machine
words, eight digits a step (the multiplications of fast_float, github.com/fastfloat/fast_float). The quotient of two
float64 is then off by an ulp or so; its remainder, kept in two float64 (T. J. Dekker, Numer. Math. 18, 1971), mends it:

    q = fl(m / 10ᶠ)    d = (m - q·10ᶠ) / 10ᶠ    m / 10ᶠ = fl(q + d), correctly rounded

unless q + d is so near the middle between two float64 that the error of d (relative to it, below 2⁻⁴⁸) could decide.
Such a cell, one with an exponent, a longer one and an odd one are left to ``float``. Two columns of a million rows
took 0.2 s where np.loadtxt took 0.35 s.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.domain import FloatArray

DIGITS_AND_SIGNS: Final = b"0123456789+-.eE"

_BLOCK: Final = 1 << 18  # bytes of cells at a time: what is made of them stays in cache
_MARGIN: Final = 24  # bytes before a block, so that the three words before any place are inside
_MOST_DIGITS: Final = 18
_DOUBT: Final = 2.0**-40  # far above the relative error of d, and rare all the same

_POWERS: Final = 10 ** np.arange(_MOST_DIGITS + 1, dtype=np.int64)
_FLOAT_POWERS: Final = _POWERS.astype(np.float64)  # exact up to 10²²

# A word holds eight characters, the first in its lowest byte.
_KEEP_LAST: Final = np.array([(1 << 64) - (1 << 8 * (8 - count)) for count in range(9)], dtype=np.uint64)
_ZEROS: Final = np.uint64(0x3030303030303030)
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)  # lifts a byte above 9 to 0x80 or more
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_PAIRS: Final = np.uint64(0x000000FF000000FF)
_TO_MILLIONS_AND_HUNDREDS: Final = np.uint64(100 + (1_000_000 << 32))
_TO_TENS_OF_THOUSANDS_AND_ONES: Final = np.uint64(1 + (10_000 << 32))


def plain_numbers(cells: bytes, row: bytes) -> FloatArray | None:
    """Return the numbers of cells, or None where a closer look is wanted.

    What it returns is what `kdegrad.grammar.number` returns for each cell; it never accepts what the grammar refuses,
    nor a row of more or fewer cells.

    Parameters
    ----------
    cells
        Rows of cells, without a line end behind the last.
    row
        What stands behind the cells of a row: two commas and a line end for rows of three cells.
    """
    blocks = []
    begin = 0
    while begin <= len(cells):
        end = cells.find(b"\n", begin + _BLOCK)
        block = cells[begin:] if end < 0 else cells[begin:end]
        begin += len(block) + 1
        if b" " in block:
            block = block.replace(b", ", b",")  # a common style, spared the slower way of odd cells
        numbers = _numbers(block, row)
        if numbers is None:
            return None
        blocks.append(numbers)
    return np.concatenate(blocks)


def _numbers(cells: bytes, row: bytes) -> FloatArray | None:
    """Return the numbers of a block of rows, or None if one is no finite number or a row is ragged."""
    padded = b"\n" * _MARGIN + cells + b"\n"
    characters = np.frombuffer(padded, dtype=np.uint8)
    is_mark = (characters == ord(".")) | (characters == ord("\n")) | (characters == row[0])
    marks = np.flatnonzero(is_mark)[_MARGIN - 1 :]
    behind = np.flatnonzero(characters[marks] != ord("."))  # of the marks, those behind a cell; the first is before all
    starts, ends = marks[behind[:-1]] + 1, marks[behind[1:]]
    if characters[ends].tobytes() != row * (ends.size // len(row)):
        return None
    points = np.where(np.diff(behind) > 1, marks[behind[1:] - 1], ends)  # the last of a cell, or where one would be
    lead = characters[starts]
    negative = lead == ord("-")
    integers, decimals, is_plain = _fixed_point(padded, starts + (negative | (lead == ord("+"))), points, ends)
    values, is_certain = _quotients(integers, decimals)
    np.negative(values, out=values, where=negative)
    rest = np.flatnonzero(~(is_plain & is_certain))
    try:
        values[rest] = _by_float([padded[i:j] for i, j in zip(starts[rest].tolist(), ends[rest].tolist(), strict=True)])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _by_float(cells: list[bytes]) -> list[float]:
    """Return the numbers of cells of any length; ValueError if one is not of the grammar (or is not finite)."""
    if b"".join(cells).translate(None, DIGITS_AND_SIGNS + b" "):
        raise ValueError("float takes more than the grammar: nan, inf, 1_000")
    return list(map(float, cells))


def _fixed_point(
    padded: bytes, starts: NDArray[np.int64], points: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return m and f of each unsigned cell m / 10ᶠ, and whether it is one: digits alone, few enough, about one point.

    A point that is not the last of its cell stands where a digit should, and is found out like any other character.
    """
    words = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))  # one from every byte on
    whole, decimals = points - starts, np.maximum(ends - points - 1, 0)
    is_plain = (whole <= 8) & (decimals <= _MOST_DIGITS) & (whole + decimals > 0)
    np.minimum(whole, 8, out=whole)
    np.minimum(decimals, _MOST_DIGITS, out=decimals)
    integers, others = _eight_digits(words[points - 8], whole)
    fractions = np.zeros_like(integers)
    for place in range(0, int(decimals.max()), 8):
        digits, strangers = _eight_digits(words[ends - place - 8], np.clip(decimals - place, 0, 8))
        fractions += digits * _POWERS[place]
        others |= strangers
    is_plain &= (others == 0) & ((whole + decimals <= _MOST_DIGITS) | (integers == 0))
    return integers * _POWERS[decimals] + fractions, decimals, is_plain


def _eight_digits(words: NDArray[np.uint64], count: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the integers that the last `count` characters of words write, and words that are 0 if these are digits."""
    digits = (words ^ _ZEROS) & _KEEP_LAST[count]
    strangers = ((digits + _ABOVE_NINE) | digits) & _HIGH_BITS
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    first = (pairs & _PAIRS) * _TO_MILLIONS_AND_HUNDREDS
    second = ((pairs >> np.uint64(16)) & _PAIRS) * _TO_TENS_OF_THOUSANDS_AND_ONES
    return ((first + second) >> np.uint64(32)).view(np.int64), strangers


def _quotients(integers: NDArray[np.int64], decimals: NDArray[np.int64]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return m / 10ᶠ, and whether it is certain to be correctly rounded. For 0 ≤ m < 10¹⁸."""
    powers = _FLOAT_POWERS[decimals]
    high = integers.astype(np.float64)
    low = (integers - high.astype(np.int64)).astype(np.float64)
    quotients = high / powers
    product, rest = _exact_product(quotients, powers)
    corrections = (((high - product) - rest) + low) / powers
    values = quotients + corrections * (1.0 + _DOUBT)
    return values, values == quotients + corrections * (1.0 - _DOUBT)


def _exact_product(left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return fl(left·right) and what the product is more than that, exactly (Dekker)."""
    product = left * right
    (left_high, left_low), (right_high, right_low) = _halves(left), _halves(right)
    return product, ((left_high * right_high - product) + left_high * right_low + left_low * right_high) + (
        left_low * right_low
    )


def _halves(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two numbers of at most 26 bits whose sum is the value (Veltkamp)."""
    scaled = values * 134217729.0  # 2²⁷ + 1
    high = scaled - (scaled - values)
    return high, values - high
