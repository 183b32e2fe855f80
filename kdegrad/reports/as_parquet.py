"""Reports as Parquet: the CSV report as typed columns, by pyarrow (the extra ``parquet``)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from importlib.util import find_spec
from typing import IO, Final

from kdegrad.errors import SettingError
from kdegrad.grammar import unguarded

_LARGEST_BLOCK: Final = 2**30  # bytes; pyarrow counts them in 32 bits


def check() -> None:
    """Raise the error of a missing pyarrow, before anything is computed."""
    if find_spec("pyarrow") is None:
        raise SettingError(
            "output", "Parquet needs pyarrow: pip install 'kdegrad[parquet]', or name a .csv", "--output"
        )


def write(pieces: Iterable[str], stream: IO[bytes]) -> None:
    """Write a CSV report, given in pieces, to `stream` as Parquet; numbers stay the same float64."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    text = "".join(pieces).encode("utf-8")
    table = pyarrow.csv.read_csv(
        io.BytesIO(text),
        read_options=pyarrow.csv.ReadOptions(block_size=min(len(text), _LARGEST_BLOCK)),  # types are those of it all
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"label": pyarrow.string()}),
    )
    for index, field in enumerate(table.schema):
        if field.type == pyarrow.null():  # numbers, had there been any
            table = table.set_column(index, field.name, table.column(index).cast(pyarrow.float64()))
        if field.type == pyarrow.string():
            cells = pyarrow.array(map(unguarded, table.column(index).to_pylist()), pyarrow.string())
            table = table.set_column(index, field, cells)
    pyarrow.parquet.write_table(table, stream)
