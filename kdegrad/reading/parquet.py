"""Parquet bytes → points. pyarrow (the extra ``parquet``) is imported inside functions only."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from kdegrad.errors import InputError
from kdegrad.reading.points import Cells, Collector, Faults, Source
from kdegrad.settings import ReadingOptions
from kdegrad.text import shown

if TYPE_CHECKING:
    import pyarrow


def read_parquet(data: bytes, name: str, options: ReadingOptions) -> Source:
    """Return the points of the Parquet file `name`; InputError as for a table of text, with rows counted from 1."""
    try:
        import pyarrow
        import pyarrow.parquet
        import pyarrow.types as types
    except ImportError:
        raise InputError(f"{name}: Parquet needs pyarrow: pip install 'kdegrad[parquet]', or save as CSV") from None
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(data)).read()
        table.validate(full=True)  # text that is not UTF-8, a dictionary index out of range
        found = table.column_names
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    points = Collector(found, options, Faults(name), name)
    if table.num_rows == 0:
        raise InputError(f"{name}: columns but no points: write a row for each point")
    cells: dict[str, Cells] = {}
    for role, title in points.roles.items():
        column = table.column(title)
        numeric = types.is_floating(column.type) or types.is_integer(column.type)
        if numeric and role != "label" and not column.null_count:
            cells[role] = np.asarray(column.to_numpy(), dtype=np.float64)
        else:
            cells[role] = _texts(column, title, name)
    points.take(cells, lambda _, row: (row + 1,))
    return points.source()


def _texts(column: pyarrow.ChunkedArray, title: str, name: str) -> list[str]:
    """Return the cells of a column as a table of text would contain them; a null is empty."""
    texts = []
    for row, cell in enumerate(column, start=1):
        here = f"{name}:{row}: column {shown(title)}"
        try:
            value = cell.as_py()
            text = value.decode() if isinstance(value, bytes) else "" if value is None else str(value)
        except ValueError:  # bytes that are not UTF-8, a time before the year 1
            raise InputError(f"{here}: not text that can be read: correct it") from None
        if "\0" in text:
            raise InputError(f"{here}: {shown(text)} contains a NUL character: remove it")
        texts.append(text)
    return texts
