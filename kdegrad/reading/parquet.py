"""Parquet bytes → points, by pyarrow (the extra ``parquet``), which is imported here and nowhere else in the room."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.errors import InputError
from kdegrad.reading.points import Columns, Faults, Source, Table, overlooked, source_of
from kdegrad.text import shown

if TYPE_CHECKING:
    import pyarrow


def read_parquet(data: bytes, name: str, columns: Columns) -> Source:
    """Return the points of a Parquet file.

    Parameters
    ----------
    data
        The file.
    name
        The file's name, for messages; rows are counted from 1.
    columns
        The columns that were named.

    Raises
    ------
    InputError
        Without pyarrow; for a file that is no Parquet, and as for a table of text, with a line for each fault.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{name}: Parquet needs pyarrow: pip install 'kdegrad[parquet]', or save as CSV") from None
    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(data)).read()
        table.validate(full=True)  # text that is not UTF-8, an index that points nowhere
        found = table.column_names
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: no Parquet file that can be read: {str(error).splitlines()[0]}") from None
    twice = [column for column, count in Counter(found).items() if count > 1]
    if twice:
        raise InputError([f"{name}: the column {shown(column)} is there twice: rename or drop one" for column in twice])
    roles = columns.choose(found, name)
    if table.num_rows == 0:
        raise InputError(f"{name}: columns and no points: write a row for each")
    chosen = {role: table.column(column) for role, column in roles.items()}
    labels = tuple(_texts(chosen["label"], roles["label"], name)) if "label" in chosen else None
    values = {role: _plain(column) for role, column in chosen.items() if role != "label"}
    clean = {
        role: value for role, value in values.items() if value is not None and (role != "weight" or value.min() >= 0)
    }
    if len(clean) == len(values):
        return overlooked(source_of(name, clean, labels), found)
    cells = {role: _texts(column, roles[role], name) for role, column in chosen.items()}
    return overlooked(Table(name, roles, cells, lambda _, row: (row + 1,)).source(Faults(name)), found)


def _plain(column: pyarrow.ChunkedArray) -> FloatArray | None:
    """Return a column of finite numbers as float64; None where a closer look is wanted."""
    import pyarrow.types

    kind = column.type
    if column.null_count or not (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)):
        return None
    values = np.asarray(column.to_numpy(), dtype=np.float64)
    return values if np.isfinite(values).all() else None


def _texts(column: pyarrow.ChunkedArray, title: str, name: str) -> list[str]:
    """Return the cells of a column as a table of text would hold them."""
    texts = []
    for row, cell in enumerate(column, start=1):
        try:
            text = _text(cell.as_py())
        except ValueError:  # bytes that are not UTF-8, a time before the year 1
            raise InputError(f"{name}:{row}: column {shown(title)}: no text that can be read: mend it") from None
        if "\0" in text:
            raise InputError(f"{name}:{row}: column {shown(title)}: {shown(text)} holds a NUL character: take it away")
        texts.append(text)
    return texts


def _text(cell: Any) -> str:
    """Return a cell as text: nothing for a null."""
    if cell is None:
        return ""
    return cell.decode() if isinstance(cell, bytes) else str(cell)
