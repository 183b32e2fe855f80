"""Reports as Parquet: the CSV report as typed columns, by pyarrow (the extra ``parquet``)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from importlib.util import find_spec
from typing import IO

from kdegrad.errors import SettingError


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

    text = io.BytesIO("".join(pieces).encode("utf-8"))
    options = pyarrow.csv.ConvertOptions(column_types={"label": pyarrow.string()})
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(text, convert_options=options), stream)
