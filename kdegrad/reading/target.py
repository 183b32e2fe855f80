"""Tables of weighted angles → the target points that they are: columns ``angle`` and, if there are any, ``weight``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kdegrad.errors import InputError
from kdegrad.reading import delimited, files
from kdegrad.reading.points import Source
from kdegrad.settings import ReadingOptions
from kdegrad.text import shown

if TYPE_CHECKING:
    from kdegrad.targets import Points


def read_target(path: str | os.PathLike[str]) -> tuple[Points, tuple[str, ...]]:
    """Return the target points of a table, .csv, .json or .parquet and so on, or of CSV in ``-``, and notes about them.

    No option of reading applies to them: those are about the points of INPUT. InputError as for such a table of points.
    """
    from kdegrad.targets import Points

    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{path!r} is not a path: give the name of a file")
    path = os.fspath(path)
    name = files.display_name(path)
    suffix = "csv" if path == "-" else files.suffix(path)
    if suffix == "parquet":
        from kdegrad.reading import parquet

        source = parquet.read_parquet(path, name, ReadingOptions(), of_target=True)
    elif suffix in ("json", "jsonl"):
        from kdegrad.reading import json_text

        text = files.contents(path).decode()
        found = json_text.read_json(text, name, ReadingOptions(), is_lines=suffix == "jsonl", of_target=True)
        assert isinstance(found, Source)  # no key is that of a problem
        source = found
    else:
        blocks = files.blocks(path)  # a misspelt name is more likely than a wrong suffix
        if suffix not in delimited.DELIMITER_OF_FORMAT:
            what = f"the suffix {shown('.' + suffix)} is not that of a table" if suffix else "no suffix says its format"
            raise InputError(f"{name}: {what}: name a .csv, .tsv, .json or .parquet file")
        usual = delimited.DELIMITER_OF_FORMAT[suffix]
        source = delimited.read_table(blocks, name, ReadingOptions(), usual, of_target=True)
    return Points(source.angles, source.weights), tuple(f"{name} {note}" for note in source.notes)
