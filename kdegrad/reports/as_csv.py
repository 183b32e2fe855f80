"""Reports as CSV: the columns of SPEC section 6, numbers that read back to the same float64."""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdegrad.grammar import guarded
from kdegrad.objective import Evaluation
from kdegrad.reports import decimals
from kdegrad.reports.facts import (
    BIN_COLUMNS,
    bin_rows,
    end_columns,
    kernel_facts,
    loss_facts,
    point_columns,
    sweep_rows,
)

if TYPE_CHECKING:
    from kdegrad.descent import Descent, DescentStep
    from kdegrad.sweeps import Sweep

_ROWS_A_PIECE = 10_000
_NUMERIC_ROWS_A_PIECE = 20_000
_MOST_THREADS = 4  # more than these wait for each other


def loss(evaluation: Evaluation) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``: one row. An infinite loss is an empty cell."""
    facts = loss_facts(evaluation)
    problem = facts["problem"]
    low, high = problem["target"] or (None, None)
    row = {
        "loss": facts["loss"] if evaluation.is_finite else None,
        "kl": facts["kl"] if evaluation.is_finite else None,
        "points": problem["points"],
        "kernel": problem["kernel"],
        "bandwidth": problem["bandwidth"],
        "low": low,
        "high": high,
        "rule": problem["rule"],
        "bins": problem["bins"],
    }
    yield from table(row, [row.values()])


def gradient(evaluation: Evaluation, top: int | None) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``: one row a point."""
    yield from columns_table(point_columns(evaluation, top))


def columns_table(columns: dict[str, NDArray[Any]]) -> Iterator[str]:
    """Yield a table of columns: numbers alone are formed on arrays, a table with labels or empty cells row by row.

    What overflowed is an empty cell; a logit of -inf is a number.
    """
    if "label" in columns or not all(np.isfinite(column).all() for name, column in columns.items() if name != "logit"):
        cells = (column if name in ("label", "logit") else _or_none(column) for name, column in columns.items())
        yield from table(columns, zip(*(column.tolist() for column in cells), strict=True))
        return
    yield from table(columns, [])
    yield from _rows_of_numbers(list(columns.values()))


def _rows_of_numbers(columns: list[NDArray[np.float64]]) -> Iterator[str]:
    """Yield the rows in pieces; if they are many, formed by threads, as NumPy lets go of the interpreter."""

    def piece(start: int) -> str:
        return decimals.rows([column[start : start + _NUMERIC_ROWS_A_PIECE] for column in columns]).decode("ascii")

    starts = range(0, len(columns[0]), _NUMERIC_ROWS_A_PIECE)
    if len(starts) == 1:
        yield piece(0)
        return
    from concurrent.futures import Future, ThreadPoolExecutor  # it takes a while to load

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    ahead: deque[Future[str]] = deque()  # a few pieces, and not all: memory is short
    with ThreadPoolExecutor(threads) as pool:
        for start in starts:
            ahead.append(pool.submit(piece, start))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _or_none(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column with None for what is not finite."""
    cells = column.astype(object)
    cells[~np.isfinite(column)] = None
    return cells


def gradient_per_bin(evaluation: Evaluation) -> Iterator[str]:
    """Yield the report of ``kdegrad grad --per-bin``: one row a bin and point."""
    yield from table(BIN_COLUMNS, bin_rows(evaluation))


def sweep(family: Sweep) -> Iterator[str]:
    """Yield the report of ``kdegrad sweep``: one row a kernel and value. An infinite loss is an empty row."""
    rows = sweep_rows(family)
    yield from table(["over", *rows[0]], ([family.over, *row.values()] for row in rows))


def descent(done: Descent) -> Iterator[str]:
    """Yield the points that ``kdegrad descend`` ended with, as a table that reads back."""
    yield from columns_table(end_columns(done.end.problem))


def tracer(stream: IO[bytes]) -> Callable[[DescentStep], None]:
    """Return what writes the rows of a step of a descent to `stream`: a row for each point."""

    def write(now: DescentStep) -> None:
        columns = end_columns(now.evaluation.problem)
        numbers = asdict(now.row())
        points = zip(*(c.tolist() for c in columns.values()), now.evaluation.weights.tolist(), strict=True)
        rows = ([*numbers.values(), index, *point] for index, point in enumerate(points))
        pieces = table([*numbers, "point", *columns, "weight"], rows)
        if now.step > 0:
            next(pieces)  # the header stands there
        stream.writelines(piece.encode("utf-8") for piece in pieces)

    return write


def kernels() -> Iterator[str]:
    """Yield the report of ``kdegrad kernels``; several names in a cell are separated by spaces."""
    rows = kernel_facts()
    cells = ((" ".join(cell) if isinstance(cell, list) else cell for cell in row.values()) for row in rows)
    yield from table(rows[0], cells)


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield the header and the rows in pieces; floats as `repr` writes them, None as an empty cell, text `guarded`."""
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # so that a cell that holds either of the two is quoted
    writer.writerow(header)
    remaining = iter(rows)
    while lines:
        yield "".join(lines)
        lines.clear()
        piece = [tuple(row) for row in islice(remaining, _ROWS_A_PIECE)]
        if piece and str in map(type, piece[0]):  # text stands in columns of its own
            writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in piece)
        else:
            writer.writerows(piece)


class _Lines(list[str]):
    """Where csv.writer writes; each line ends in a single line feed."""

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")
