"""Files → points and settings; every message about a faulty file is made in this package.

    path → files.blocks → delimited.read_table (CSV, TSV) or document.read_document (YAML) → Source

- `files`: a path or standard input → blocks of lines that are UTF-8 text;
- `delimited`: such bytes → cells by column, or directly numbers where the file is plain;
- `tree`: such bytes → the tree of a YAML document, with the place of each node;
- `document`: that tree → settings, and points that are written in it or in a table that it names;
- `plain`: lines without quotes → columns, many cells at once;
- `columns`: names of columns → what they hold;
- `points`: cells by column → arrays, with the one grammar of numbers (`kdegrad.grammar`);
- `groups`: the groups of the rows, and the target of each; `faults`: what is wrong with a file, with its places;
- `parquet`: Parquet files → cells by column, where pyarrow is installed.

Types are checked here (``bandwidth: abc``). Ranges (``bandwidth: -1``) are checked by `kdegrad.settings`; for its
messages a `Source` says where each setting was given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdegrad.errors import InputError, SettingError
from kdegrad.reading import delimited, files
from kdegrad.reading.columns import require_groups
from kdegrad.reading.points import Source
from kdegrad.settings import INPUT_FORMATS, ReadingOptions
from kdegrad.text import shown

if TYPE_CHECKING:
    from kdegrad.problem import Problem

__all__ = ["Source", "load", "problem_of", "read"]


def read(path: str | os.PathLike[str], options: ReadingOptions = ReadingOptions()) -> Source:  # noqa: B008  # frozen
    """Return the points of a file, and the settings that it gives if it is a YAML problem.

    Parameters
    ----------
    path
        A .csv, .tsv, .yaml, .yml or .parquet file, or ``-`` for standard input.
    options
        The format, if not by the suffix of the file's name (of standard input: CSV); the columns, what separates cells,
        what a missing value is to do. They override those of a YAML problem.

    Raises
    ------
    InputError
        For a file that cannot be used: a line for each fault, with its place, the value and the remedy.
    SettingError
        For an option that does not fit the file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{path!r} is not a path: give the name of a file")
    path = os.fspath(path)
    name = files.display_name(path)
    chosen = _format_of(path, name, options.input_format)
    if chosen in ("yaml", "yml"):
        from kdegrad.reading import document  # imports yaml, which a table does not need

        return document.read_document(files.contents(path), name, os.path.dirname(path), options)
    require_groups(options)
    if chosen == "parquet":
        from kdegrad.reading import parquet

        for option, what in ((options.delimiter, "delimiter"), (options.decimal, "decimal")):
            if option is not None:
                raise SettingError(what, f"{name} is Parquet, which is not text: remove it")
        return parquet.read_parquet(path, name, options)
    return delimited.read_table(files.blocks(path), name, options, delimited.DELIMITER_OF_FORMAT[chosen])


def load(
    path: str | os.PathLike[str],
    *,
    target: tuple[float, float] | None = None,
    at: float | None = None,
    kernel: str | None = None,
    bandwidth: float | None = None,
    df: float | None = None,
    rule: str | None = None,
    bins: int | None = None,
    scale: float | None = None,
    background: float | None = None,
    circular: bool | None = None,
    period: float | None = None,
    unit: str | None = None,
    sums: str | None = None,
    angle_column: str | None = None,
    logit_column: str | None = None,
    weight_column: str | None = None,
    label_column: str | None = None,
    group_by: str | None = None,
    target_columns: tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    input_format: str | None = None,
) -> Problem:
    """Return the problem that a file describes.

    Parameters
    ----------
    path
        As for `read`.
    target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options, see `kdegrad.Settings`; those that are given override the file's.
    angle_column, logit_column, weight_column, label_column
        The names of columns, if they are not ``angle``, ``logit``, ``weight`` and ``label``.
    group_by
        The column of the groups, each of which is a problem of its own.
    target_columns
        The columns of the target of each group: the lower and the upper ends, or the observed angles.
    no_weights
        Whether a column named ``weight`` is ignored, since it holds no weights.
    missing
        ``"skip"`` leaves out the rows that lack a value; ``"error"``, the default, refuses them.
    delimiter, decimal
        What separates the cells of a table, a character or ``"whitespace"``; its decimal mark, ``"."`` or ``","``.
    input_format
        One of csv, tsv, yaml and parquet, if the suffix of the file's name does not say it.

    Raises
    ------
    KdegradError
        As for `read`, and for settings out of range, with ``file:line:column`` if the file gave them.
    """
    given = {name: value for name, value in locals().items() if name != "path" and value is not None}
    options = {row.name: given.pop(row.name) for row in ReadingOptions.rows if row.name in given}
    return problem_of(read(path, ReadingOptions(**options)), given)


def problem_of(source: Source, given: Mapping[str, Any]) -> Problem:
    """Return the problem of the points and settings of a file; the options `given` override the file's.

    They also cancel what they exclude: bins or rule the single node of the file, a line the file's period.

    Raises
    ------
    SettingError
        For a setting out of range or a contradiction: at its place in the file, if the file gave it.
    """
    from kdegrad.problem import Problem

    kept = dict(source.settings)
    if {"bins", "rule"} & given.keys():
        kept.pop("at", None)
    if given.get("circular") is False:
        kept.pop("period", None)
    try:
        if kept.get("circular") is False and ("period" in kept or "period" in given):
            raise SettingError("circular", "false contradicts a period, which makes a circle: remove one of them")
        return Problem(source.angles, source.logits, source.labels, **{**kept, **given})
    except SettingError as error:
        if error.name in kept and error.name not in given:
            raise error.at(f"{source.places[error.name]}: {error.name}") from None
        raise


def _format_of(path: str, name: str, input_format: str | None) -> str:
    """Return which of `INPUT_FORMATS` a file is in."""
    if input_format:
        return input_format
    if path == "-":
        return "csv"
    suffix = files.suffix(path)
    if suffix in INPUT_FORMATS:
        return suffix
    if os.path.isdir(path):
        raise InputError(f"{name}: is a folder: name a file in it")
    if not os.path.lexists(path):  # a misspelt name is more likely than an unknown suffix
        raise InputError(files.absent(path))
    if not suffix:
        raise InputError(f"{name}: no suffix says its format: name the format with --input-format csv (or yaml)")
    raise InputError(
        f"{name}: the suffix {shown('.' + suffix)} is not that of a format that can be read "
        f"({', '.join('.' + known for known in INPUT_FORMATS)}): name the format with --input-format"
    )
