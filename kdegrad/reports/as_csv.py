"""Reports as CSV: numbers that read back to the same float64, None as an empty cell."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.grammar import guarded
from kdegrad.reports import decimals
from kdegrad.reports.records import Table, rows_of

_ROWS_IN_PIECE: Final = 10_000
_ROWS_OF_NUMBERS_IN_PIECE: Final = 20_000
_MOST_THREADS: Final = 4  # more of them wait for each other


class _Lines(list[str]):
    """What csv.writer writes, each line with a single line feed at its end."""

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")


def text(table: Table) -> Iterator[str]:
    """Yield the header, then the rows in pieces: floats as `repr` writes them, text `guarded` against formulas."""
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # so that a cell with either of the two is quoted
    writer.writerow(table.header)
    yield lines.pop()
    for block in table.blocks():
        if all(isinstance(column, np.ndarray) and column.dtype == np.float64 for column in block):
            yield from _rows_of_numbers([np.asarray(column) for column in block])
            continue
        rows = rows_of(block)
        while piece := list(islice(rows, _ROWS_IN_PIECE)):
            if str in map(type, piece[0]):
                writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in piece)
            else:
                writer.writerows(piece)
            yield "".join(lines)
            lines.clear()


def _rows_of_numbers(columns: Sequence[NDArray[Any]]) -> Iterator[str]:
    """Yield the rows of arrays of float64 in pieces; many of them by threads, as NumPy releases the interpreter."""

    def piece(start: int) -> str:
        stop = start + _ROWS_OF_NUMBERS_IN_PIECE
        return decimals.rows([column[start:stop] for column in columns]).decode("ascii")

    starts = range(0, len(columns[0]), _ROWS_OF_NUMBERS_IN_PIECE)
    if len(starts) == 1:
        yield piece(0)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    few = 4 * threads  # pieces that are formed ahead: all of them would fill the memory
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(starts), few):
            yield from pool.map(piece, starts[first : first + few])
