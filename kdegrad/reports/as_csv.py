"""Reports as CSV or TSV: numbers that read back to the same float64, NaN and None as empty cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import Texts, threads_of
from kdegrad.grammar import guarded
from kdegrad.reports import decimals
from kdegrad.reports.records import Block, Table, rows_of

_ROWS_IN_PIECE: Final = 10_000
_ROWS_OF_COLUMNS_IN_PIECE: Final = 20_000
_MOST_THREADS: Final = 4  # more of them wait for each other
_LONGEST: Final = 200  # bytes of a text; longer ones would make the page of a piece large

_Cells = Callable[[slice], NDArray[np.uint8]]  # some rows of a column, as `decimals.cells` has them


class _Lines(list[str]):
    """What csv.writer writes, each line with a single line feed at its end."""

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")


def text(table: Table, separator: str = ",") -> Iterator[str]:
    """Yield the header, then the rows in pieces: floats as `repr` writes them, text `guarded` against formulas."""
    lines = _Lines()
    # with both characters at the end of a line, a cell with either of the two is quoted
    writer = csv.writer(lines, delimiter=separator, lineterminator="\r\n")
    writer.writerow(table.header)
    yield lines.pop()
    for block in table.blocks():
        if (columns := _columns(block, separator)) is not None:
            yield from _rows_of_columns(columns, len(block[0]), separator)
            continue
        rows = rows_of(block)
        while piece := list(islice(rows, _ROWS_IN_PIECE)):
            writer.writerows(map(_cell, row) for row in piece)
            yield "".join(lines)
            lines.clear()


def _cell(value: Any) -> Any:
    """Return what csv.writer is given for a value: None, an empty cell, for NaN."""
    return guarded(value) if isinstance(value, str) else None if value != value else value


def _columns(block: Block, separator: str) -> list[_Cells] | None:
    """Return the columns, if all are float64, whole numbers or short texts; else None: row by row."""
    quoted = re.compile(f'[{separator}"\r\n]')
    found: list[_Cells] = []
    for column in block:
        if isinstance(column, Texts):
            each = [_quoted(guarded(name), quoted).encode("utf-8") for name in column.each]
            if max(map(len, each), default=0) > _LONGEST or any(b"\0" in name for name in each):
                return None
            found.append(_text_cells(each, column.codes))
        elif isinstance(column, np.ndarray) and column.dtype == np.float64:
            found.append(_number_cells(column))
        elif isinstance(column, np.ndarray) and column.dtype.kind == "i":
            found.append(_whole_cells(column))
        else:
            return None
    return found


def _quoted(cell: str, quoted: re.Pattern[str]) -> str:
    """Return a cell in quotes where it needs them."""
    if not quoted.search(cell):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def _number_cells(column: NDArray[np.float64]) -> _Cells:
    return lambda rows: decimals.cells(column[rows])


def _text_cells(each: list[bytes], codes: NDArray[np.intp]) -> _Cells:
    return lambda rows: _page(np.array([each[code] for code in codes[rows].tolist()], dtype=np.bytes_))


def _whole_cells(column: NDArray[Any]) -> _Cells:
    return lambda rows: _page(column[rows].astype(np.bytes_))


def _page(cells: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    """Return cells of bytes, filled up with zero bytes, as an array (N, W)."""
    return cells.view(np.uint8).reshape(len(cells), -1)


def _rows_of_columns(columns: list[_Cells], count: int, separator: str) -> Iterator[str]:
    """Yield the rows of columns in pieces; many of them by threads, as NumPy releases the interpreter."""

    def piece(start: int) -> str:
        rows = slice(start, start + _ROWS_OF_COLUMNS_IN_PIECE)
        return decimals.joined([cells(rows) for cells in columns], separator).decode("utf-8")

    starts = range(0, count, _ROWS_OF_COLUMNS_IN_PIECE)
    if len(starts) == 1:
        yield piece(0)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    threads = threads_of(_MOST_THREADS)
    few = 4 * threads  # pieces that are formed ahead: all of them would fill the memory
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(starts), few):
            yield from pool.map(piece, starts[first : first + few])
