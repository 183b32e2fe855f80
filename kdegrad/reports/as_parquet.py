"""Reports as Parquet: the table of the CSV report as typed columns, by pyarrow (the extra ``parquet``)."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from kdegrad.errors import SettingError

if TYPE_CHECKING:
    import pyarrow

    from kdegrad.arrays import FloatArray
    from kdegrad.reports.records import Block, Table


def require_pyarrow() -> None:
    """Raise the error of a missing pyarrow, before anything is computed."""
    if find_spec("pyarrow") is None:
        raise SettingError(
            "output", "Parquet needs pyarrow: pip install 'kdegrad[parquet]', or name a .csv", "--output"
        )


def write(table: Table, stream: IO[bytes]) -> None:
    """Write the table to `stream`, a row group for each block; NaN is null, as other numbers stay the same float64."""
    import numpy as np  # which --help does not need
    import pyarrow
    import pyarrow.parquet

    from kdegrad.arrays import Texts

    def typed(block: Block) -> Any:
        columns: list[Any] = [
            pyarrow.array(column.each, pyarrow.string()).take(pyarrow.array(column.codes))
            if isinstance(column, Texts)
            else _floats(column)
            if isinstance(column, np.ndarray) and column.dtype == np.float64
            else pyarrow.array(column, from_pandas=True)
            for column in block
        ]
        # a column without any value has the type of numbers: text has no missing values
        columns = [c.cast(pyarrow.float64()) if c.type == pyarrow.null() else c for c in columns]
        return pyarrow.table(columns, list(table.header))

    blocks = map(typed, table.blocks())
    first = next(blocks)
    few_values = [field.name for field in first.schema if field.type != pyarrow.float64()]
    # a dictionary of numbers that are all different takes twice the time and saves nothing
    with pyarrow.parquet.ParquetWriter(stream, first.schema, use_dictionary=few_values) as writer:
        for block in chain([first], blocks):
            writer.write_table(block)


def _floats(column: FloatArray) -> pyarrow.Array:
    """Return an array of float64 without a copy, and without pandas, which `pyarrow.array` imports; NaN is null."""
    import numpy as np
    import pyarrow

    missing = np.isnan(column)
    valid = pyarrow.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    values = pyarrow.py_buffer(np.ascontiguousarray(column))
    return pyarrow.Array.from_buffers(pyarrow.float64(), len(column), [valid, values])
