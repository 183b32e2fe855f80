"""Rows of cells that are lines → columns, many cells at once.

Where the cells begin and end is found in the bytes of a block as a whole. A number is formed from its digits d as

    value = ± Σ d 10^k / 10^f,    f: how many digits are behind the point,

for all rows together. Numerator and denominator are exact below 2^53 and up to 10^22, so that their quotient is the
float64 nearest to the number, as `float` gives it; longer ones, and those with an exponent, are left to `float`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.grammar import NUMBER_CHARACTERS

PLAIN: Final = NUMBER_CHARACTERS.encode() + b" "
SWAPPED: Final = bytes.maketrans(b".,", b",.")  # a decimal comma becomes a point, and a point no number

_LONGEST: Final = 17  # characters of a number without sign that is formed here
_EXACT: Final = 2.0**53
_POWERS: Final = 10.0 ** np.arange(_LONGEST + 1)
_LONGEST_TEXT: Final = 64  # characters of texts that are compared with each other


class Coded(NamedTuple):
    """Texts of N rows, ``texts[codes[row]]``, of which equal ones may be there once."""

    texts: list[str]
    codes: IntArray

    def all(self) -> list[str]:
        """Return the texts of all rows."""
        each: list[str] = np.array(self.texts, dtype=object)[self.codes].tolist()
        return each


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
        """Return the cells of a column."""
        body = self._body
        places = zip(self._begins[rows, column].tolist(), self._ends[rows, column].tolist(), strict=True)
        return [body[begin:end] for begin, end in places]

    def texts(self, column: int) -> Coded:
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
        texts = b"\n".join(self.cells(column, np.flatnonzero(is_new))).decode().split("\n")
        return Coded(texts, np.cumsum(is_new) - 1)

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
    numbers, behind = np.zeros(len(ends)), np.zeros(len(ends), dtype=np.intp)
    points, is_odd = np.zeros(len(ends), dtype=np.uint8), np.zeros(len(ends), dtype=bool)
    for place in reversed(range(min(int(lengths.max()), _LONGEST))):  # from the end of the cell
        digits = codes.take(ends - (place + 1), mode="clip") - np.uint8(ord("0"))
        digits *= lengths > place  # zeros before the cell
        is_point = digits == np.uint8((point - ord("0")) % 256)
        is_odd |= (digits > 9) & ~is_point
        points += is_point
        behind[is_point] = place
        numbers = np.where(is_point, numbers, 10.0 * numbers + digits)
    is_odd |= (points > 1) | (lengths == points) | (numbers >= _EXACT)
    formed: FloatArray = numbers / _POWERS[behind]
    return formed, is_odd


def rows_of(body: bytes, mark: str, width: int) -> Rows | None:
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
    masked = [row for row, cell in enumerate(cells) if cell == b"-inf"] if minus_infinity else []
    if masked:
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
