"""Rows of cells that are lines → columns, many cells at once.

Where the cells begin and end is found in the bytes of a block as a whole. A number is formed from its digits d as

    value = ± m / 10^f,    m = Σ d 10^k,    f: how many digits are behind the point,

for all rows together, as the float64 nearest to it, which `float` gives. 10^f is exact up to 10^22, and so is m below
2^53, where one division does. A longer m is the sum of two float64, and its quotient too (T. J. Dekker, A
floating-point technique for extending the available precision, 1971). They are off by 2^-51 of the distance between
neighbouring float64, while a number of up to 19 digits is halfway between two or at least 2^-47 of it away from there,
so that their sum rounds as it must. Longer numbers, and those with an exponent, are left to `float`.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import BoolArray, FloatArray, IntArray, Texts, exact_product
from kdegrad.grammar import NUMBER_CHARACTERS

PLAIN: Final = NUMBER_CHARACTERS.encode() + b" "
SWAPPED: Final = bytes.maketrans(b".,", b",.")  # a decimal comma becomes a point, and a point no number

_LONGEST: Final = 20  # characters of a number without sign that is formed here: 19 digits and the point
_EXACT: Final = 2**53
_POWERS: Final[FloatArray] = np.array([float(10**f) for f in range(_LONGEST + 1)])
_LONGEST_TEXT: Final = 64  # characters of texts that are compared with each other


@final
class Rows:
    """Rows of cells, each ``body[begins[row, column] : ends[row, column]]``."""

    def __init__(self, body: bytes, begins: IntArray, ends: IntArray) -> None:
        self._body, self._begins, self._ends = body, begins, ends

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def longest(self) -> int:
        """The length of the longest row."""
        return int((self._ends[:, -1] - self._begins[:, 0]).max())

    def line(self, row: int) -> bytes:
        """Return a row as it is written, but for a quote at its ends."""
        return self._body[self._begins[row, 0] : self._ends[row, -1]]

    def cells(self, column: int, rows: IntArray | slice = slice(None)) -> list[bytes]:
        """Return the cells of a column, of all rows or of some."""
        body = self._body
        places = zip(self._begins[rows, column].tolist(), self._ends[rows, column].tolist(), strict=True)
        return [body[begin:end] for begin, end in places]

    def texts(self, column: int, rows: IntArray | slice = slice(None)) -> list[str]:
        """Return the cells of a column as text, of all rows or of some."""
        return b"\n".join(self.cells(column, rows)).decode().split("\n")

    def coded(self, column: int) -> Texts:
        """Return the cells of a column as text; cells that follow each other and are equal are there once."""
        ends = self._ends[:, column].copy()
        lengths = ends - self._begins[:, column]
        is_new = np.ones(len(ends), dtype=bool)
        if (longest := int(lengths.max())) <= _LONGEST_TEXT:
            codes = np.frombuffer(self._body, dtype=np.uint8)
            is_new[1:] = lengths[1:] != lengths[:-1]
            for place in range(longest):  # from the end of the cell
                letters = codes.take(ends - (place + 1), mode="clip")
                is_new[1:] |= (letters[1:] != letters[:-1]) & (lengths[1:] > place)
        return Texts(self.texts(column, np.flatnonzero(is_new)), np.cumsum(is_new) - 1)

    def numbers(self, column: int, decimal: str | None, *, minus_infinity: bool = False) -> FloatArray | None:
        """Return the numbers of a column, as `plain_numbers`; with a decimal comma if `decimal` says so."""
        begins, ends = self._begins[:, column].copy(), self._ends[:, column].copy()
        codes = np.frombuffer(self._body, dtype=np.uint8)
        first = codes.take(begins, mode="clip")
        is_negative = first == ord("-")
        begins += is_negative | (first == ord("+"))
        lengths = ends - begins
        is_long = lengths > _LONGEST
        numbers = np.zeros(len(ends))
        if 2 * np.count_nonzero(is_long) < len(ends):
            numbers, is_left = _formed(codes, ends, lengths, ord(decimal or "."))
            is_left |= is_long
        else:
            is_left = np.ones(len(ends), dtype=bool)
        np.negative(numbers, where=is_negative, out=numbers)
        left = np.flatnonzero(is_left)
        if left.size:
            cells = self.cells(column, left)
            if decimal == ",":
                cells = [cell.translate(SWAPPED) for cell in cells]
            others = plain_numbers(cells, minus_infinity=minus_infinity)
            if others is None:
                return None
            numbers[left] = others
        return numbers


def _formed(codes: NDArray[np.uint8], ends: IntArray, lengths: IntArray, point: int) -> tuple[FloatArray, BoolArray]:
    """Return the numbers without a sign that end before `ends`, and which of them are not formed here."""
    whole, behind = np.zeros(len(ends), dtype=np.uint64), np.zeros(len(ends), dtype=np.intp)
    points, is_odd = np.zeros(len(ends), dtype=np.uint8), np.zeros(len(ends), dtype=bool)
    for place in reversed(range(min(int(lengths.max()), _LONGEST))):  # from the end of the cell
        digits = codes.take(ends - (place + 1), mode="clip") - np.uint8(ord("0"))
        digits *= lengths > place  # zeros before the cell
        is_point = digits == np.uint8((point - ord("0")) % 256)
        is_odd |= (digits > 9) & ~is_point
        points += is_point
        behind[is_point] = place
        whole = np.where(is_point, whole, np.uint64(10) * whole + digits)
    is_odd |= (points > 1) | (lengths == points) | (lengths - points >= _LONGEST)
    powers = _POWERS[behind]
    numbers: FloatArray = whole / powers
    large = np.flatnonzero((whole > _EXACT) & ~is_odd)
    if large.size:
        numbers[large] = _nearest(whole[large], powers[large])
    return numbers, is_odd


def _nearest(whole: NDArray[np.uint64], powers: FloatArray) -> FloatArray:
    """Return the float64 nearest to m/10^f."""
    high = whole.astype(np.float64)
    low = (whole - high.astype(np.uint64)).astype(np.int64).astype(np.float64)  # m = high + low
    quotient = high / powers
    product, error = exact_product(quotient, powers)
    rest = ((high - product) - error + low) / powers
    nearest: FloatArray = quotient + rest
    return nearest


def cut_rows(body: bytes, mark: str, width: int) -> Rows | None:
    """Return the rows of `width` cells that are the lines of `body`; None if a line has more cells, or fewer.

    The last line has no end. A cell may contain anything but `mark`, a character of ASCII, ends of lines and quotes. It
    may be in quotes as a whole; None if a quote is anywhere else.
    """
    codes = np.frombuffer(body + b"\n", dtype=np.uint8)
    ends = np.flatnonzero((codes == ord(mark)) | (codes == ord("\n")))
    if not body or ends.size % width:
        return None
    is_line_end = codes[ends].reshape(-1, width) == ord("\n")
    if not is_line_end[:, -1].all() or is_line_end[:, :-1].any():
        return None
    begins = np.concatenate(([0], ends[:-1] + 1))
    if b'"' in body:
        is_quoted = codes[begins] == ord('"')
        if body.count(b'"') != 2 * is_quoted.sum() or (is_quoted != (codes[ends - 1] == ord('"'))).any():
            return None
        begins += is_quoted
        ends -= is_quoted
        if (begins > ends).any():  # one quote is the whole cell
            return None
    return Rows(body, begins.reshape(-1, width), ends.reshape(-1, width))


def plain_numbers(cells: list[bytes], *, minus_infinity: bool = False) -> FloatArray | None:
    """Return the numbers of many cells at once, or None if they must be read one by one.

    A returned number is what `kdegrad.grammar.number` returns for its cell; no cell is accepted that the grammar
    refuses. Of the spellings of -inf only the usual one is read here.
    """
    masked = []
    if minus_infinity and b"-inf" in cells:
        masked = [row for row, cell in enumerate(cells) if cell == b"-inf"]
        cells = [b"0" if cell == b"-inf" else cell for cell in cells]
    # `float` accepts more than the grammar (nan, inf, 1_0). So it is given only the characters of numbers.
    if b"".join(cells).translate(None, PLAIN):
        return None
    try:
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        return None
    if not np.isfinite(numbers).all():
        return None
    numbers[masked] = -np.inf
    return numbers
