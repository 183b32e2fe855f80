"""The room where files become points and settings; every message about a bad file is made here.

    path → files.contents → delimited.read_table (CSV, TSV) or document.read_document (YAML) → Source

The files of the room, in the order in which data passes them:

- `files`: a path or standard input → bytes that are UTF-8 text;
- `tables`: such bytes → cells by column, or at once numbers when the file is clean;
- `nodes`: such bytes → the tree of a YAML document, with the place of everything in it;
- `documents`: that tree → settings, and the table that it names or
- `inline`: the points that stand in it;
- `points`: cells by column → arrays, one grammar for all of them (`kdegrad.grammar`);
- `decimals`: many numbers at once, for clean cells;
- `columnar`: Parquet, where pyarrow is installed.

Types are checked here (``bandwidth: abc``); ranges (``bandwidth: -1``) are checked by `kdegrad.problem.Problem`,
which is why a `Source` says where each setting stands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kdegrad.errors import InputError, SettingError
from kdegrad.reading import delimited, files
from kdegrad.reading.points import Columns, Source
from kdegrad.settings import require_known
from kdegrad.text import nearest, shown

if TYPE_CHECKING:
    from kdegrad.problem import Problem

__all__ = ["FORMATS", "Columns", "Source", "load", "problem_of", "read"]

FORMATS: Final = ("csv", "tsv", "yaml", "yml", "parquet")


def read(
    path: str | os.PathLike[str],
    *,
    input_format: str | None = None,
    columns: Columns = Columns(),  # noqa: B008  # frozen
    delimiter: str | None = None,
) -> Source:
    """Return the points of a file, and the settings that it gives if it is a YAML problem.

    Parameters
    ----------
    path
        A .csv, .tsv, .yaml, .yml or .parquet file, or ``-`` for standard input.
    input_format
        One of `FORMATS`; None: by the ending of the file's name, and CSV for standard input.
    columns
        The columns that were named; they must exist, and win over what a YAML problem names.
    delimiter
        One character (``tab`` for a tab) that parts the cells of a table; None: found from its header.

    Raises
    ------
    InputError
        For a file that cannot be used: a line for each fault, with its place, the value and the remedy.
    SettingError
        For an `input_format` or `delimiter` that cannot be used.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{path!r} is no path: give the name of a file")
    name = files.display_name(path)
    chosen = _format_of(path, name, input_format)
    mark = None if delimiter is None else delimited.delimiter_mark(delimiter)
    if chosen == "parquet":
        from kdegrad.reading import parquet  # imports pyarrow, which few have

        if mark is not None:
            raise SettingError("delimiter", f"{name} is Parquet, no table is to be parted: leave it out")
        return parquet.read_parquet(files.raw(path), name, columns)
    data = files.contents(path)
    if chosen in ("yaml", "yml"):
        from kdegrad.reading import document  # imports yaml, which a table need not pay for

        folder = "" if files.is_standard_input(path) else os.path.dirname(os.fspath(path))
        return document.read_document(data, name, folder, columns, mark)
    return delimited.read_table(data, name, columns, mark or delimited.MARK_OF_FORMAT[chosen])


def load(path: str | os.PathLike[str], **overrides: Any) -> Problem:
    """Return the problem that a file holds.

    Parameters
    ----------
    path
        As for `read`.
    **overrides
        Options of `kdegrad.problem.Problem` that win over the file's.

    Raises
    ------
    KdegradError
        As for `read`, and for settings out of range: ``file:line:column`` if the file gave them.

    Examples
    --------
    >>> load("points.yaml", bandwidth=5)  # doctest: +SKIP
    """
    require_known(overrides)
    return problem_of(read(path), overrides)


def problem_of(source: Source, given: Mapping[str, Any]) -> Problem:
    """Return the problem that the points and settings of a file make, with the options `given` over the file's.

    What is given makes void what it excludes: bins and rule a single node of the file, a line the file's period.

    Raises
    ------
    SettingError
        For a setting out of range or a contradiction: at its place in the file, if the file gave it.
    """
    from kdegrad.problem import Problem

    void = {"at"} if {"bins", "rule"} & given.keys() else set()
    if given.get("circular") is False:
        void.add("period")
    kept = {name: value for name, value in source.settings.items() if name not in void}
    try:
        if kept.get("circular") is False and ("period" in kept or "period" in given):
            raise SettingError("circular", "false beside a period, which makes a circle: leave one of them out")
        return Problem(source.angles, source.logits, source.labels, **{**kept, **given})
    except SettingError as error:
        if error.name in kept and error.name not in given:
            raise error.at(f"{source.places[error.name]}: {error.name}") from None
        raise


def _format_of(path: str | os.PathLike[str], name: str, input_format: str | None) -> str:
    """Return which of `FORMATS` a file is in."""
    if input_format is not None:
        if input_format.lower() not in FORMATS:
            raise SettingError(
                "input-format",
                f"unknown {shown(input_format)}: choose {', '.join(FORMATS)}{nearest(input_format, FORMATS)}",
            )
        return input_format.lower()
    if files.is_standard_input(path):
        return "csv"
    ending = files.ending(path)
    if ending in FORMATS:
        return ending
    files.refuse_if_absent(path)  # a misspelt name is the likelier mistake than an odd ending
    raise InputError(
        f"{name}: the ending {shown('.' + ending)} says no format that is read "
        f"({', '.join('.' + known for known in FORMATS)}): name the format with --input-format"
        if ending
        else f"{name}: the name has no ending that says its format: name the format with --input-format csv (or yaml)"
    )
