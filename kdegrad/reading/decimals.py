"""Many numbers at once: the fast twin of `kdegrad.grammar.number`, for cells without anything odd in them.

`np.loadtxt` reads them, as `float` would. It takes more than the grammar (nan, inf, blank lines), so what it is given
is looked at first: between the marks that part cells stand only the characters that numbers are written with.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray

DIGITS_AND_SIGNS: Final = b"0123456789+-.eE"


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
    marks = cells.translate(None, DIGITS_AND_SIGNS + b" ") + b"\n"
    rows = len(marks) // len(row)
    if marks != row * rows or not cells.strip():
        return None
    mark = row[:1].decode("ascii") if len(row) > 1 else ","
    try:
        numbers = np.loadtxt(io.StringIO(cells.decode("ascii")), delimiter=mark, comments=None, ndmin=2)
    except ValueError:
        return None
    return numbers.ravel() if numbers.shape == (rows, len(row)) and np.isfinite(numbers).all() else None
