"""Files → points and settings; every message about a faulty file is made in this package.

    path → files.blocks → delimited.read_table (CSV, TSV), document.read_document (YAML) or json_text.read_json → Source

- `files`: a path or standard input → blocks of lines that are UTF-8 text;
- `delimited`: such bytes → cells by column, or directly numbers where the file is plain;
- `tree`: such bytes → the tree of a YAML document, of `nodes`, each with its place;
- `json_text`: such bytes as JSON → records and columns, or the tree of a document;
- `document`: that tree → settings, and points that are written in it or in a table that it names;
- `plain`: lines without quotes → columns, many cells at once;
- `columns`: names of columns → what they hold;
- `points`: cells by column → arrays, with the one grammar of numbers (`kdegrad.grammar`);
- `groups`: the groups of the rows, and the target of each; `faults`: what is wrong with a file, with its places;
- `notes`: what the user should know about what was made of a file;
- `target`: a table of target points → these;
- `parquet`: Parquet files → cells by column, where pyarrow is installed;
- `parts`: a folder or a pattern of such files → the points of each, a block of rows at a time;
- `frames`: data frames → cells by column, where narwhals is installed; it stands above the rest.

Types are checked here (``bandwidth: abc``). Ranges (``bandwidth: -1``) are checked by `kdegrad.settings`; for its
messages a `Source` says where each setting was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from kdegrad.errors import InputError, SettingError, warn
from kdegrad.reading import delimited, files
from kdegrad.reading.columns import require_groups
from kdegrad.reading.notes import notes_about
from kdegrad.reading.points import Source
from kdegrad.reading.target import read_target
from kdegrad.settings import INPUT_FORMAT_ALIASES, INPUT_FORMATS, DrawingOptions, ReadingOptions
from kdegrad.text import option_text, shortened, shown, spoken

if TYPE_CHECKING:
    from kdegrad.batch import Batch
    from kdegrad.problem import Problem
    from kdegrad.reading.nodes import Node
    from kdegrad.targets import TargetLike

__all__ = ["Source", "load", "made_of", "read", "read_target"]

_Made = TypeVar("_Made", "Problem", "Batch")


def read(path: str | os.PathLike[str], options: ReadingOptions = ReadingOptions()) -> Source:  # noqa: B008  # frozen
    """Return the points of a file, and the settings that it gives if it is a problem in YAML or JSON.

    Parameters
    ----------
    path
        A .csv, .tsv, .yaml, .json, .jsonl or .parquet file, or ``-`` for standard input.
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
        raise InputError(f"{shortened(path)} is not a path: give the name of a file")
    path = os.fspath(path)
    name = files.display_name(path)
    chosen = _format_of(path, name, options.input_format)
    if chosen in ("yaml", "json", "jsonl"):
        from kdegrad.reading import document  # which a table does not need, nor yaml and json

        text = files.contents(path).decode()
        if chosen == "yaml":
            from kdegrad.reading.tree import tree

            found: Source | Node = tree(text, name)
        else:
            from kdegrad.reading import json_text

            is_lines = chosen == "jsonl"
            found = json_text.read_json(text, name, options, is_lines=is_lines, problem_keys=document.KEYS)
        if isinstance(found, Source):
            return found
        return document.read_document(found, name, os.path.dirname(path), options)
    require_groups(options)
    if chosen == "parquet":
        from kdegrad.reading import parquet

        parquet.refuse_options_of_text(name, options)
        return parquet.read_parquet(path, name, options)
    return delimited.read_table(files.blocks(path), name, options, delimited.DELIMITER_OF_FORMAT[chosen])


@overload
def load(
    path: str | os.PathLike[str],
    *,
    target: TargetLike | None = None,
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
    zero: str | None = None,
    clockwise: bool | None = None,
    angle_column: str | None = None,
    logit_column: str | None = None,
    weight_column: str | None = None,
    label_column: str | None = None,
    group_by: None = None,
    target_columns: tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    input_format: str | None = None,
) -> Problem: ...


@overload
def load(
    path: str | os.PathLike[str],
    *,
    target: TargetLike | None = None,
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
    zero: str | None = None,
    clockwise: bool | None = None,
    angle_column: str | None = None,
    logit_column: str | None = None,
    weight_column: str | None = None,
    label_column: str | None = None,
    group_by: str,
    target_columns: tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    input_format: str | None = None,
) -> Batch: ...


def load(
    path: str | os.PathLike[str],
    *,
    target: TargetLike | None = None,
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
    zero: str | None = None,
    clockwise: bool | None = None,
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
) -> Problem | Batch:
    """Return the problem that a file describes; with groups, a `kdegrad.Batch` of a problem for each.

    What may not be meant, such as columns that are not used or angles that look like radians among degrees, is an
    `InputWarning`.

    Parameters
    ----------
    path
        A .csv, .tsv, .yaml, .json, .jsonl or .parquet file, or ``-`` for standard input.
    target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options, see `kdegrad.Problem` and `kdegrad.Batch`; those that are given override the file's.
    zero, clockwise
        How the circle of one problem is drawn.
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
        One of csv, tsv, yaml, json, jsonl and parquet, if the suffix of the file's name does not say it.

    Raises
    ------
    KdegradError
        For a file that cannot be used: a line for each fault, with its place. For settings out of range, with
        ``file:line:column`` if the file gave them.
    """
    given = {name: value for name, value in locals().items() if name != "path" and value is not None}
    options = {row.name: given.pop(row.name) for row in ReadingOptions.rows if row.name in given}
    require_no_other_target(options, given)
    return made_of(read(path, ReadingOptions(**options)), given, warn)


def require_no_other_target(options: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a target beside the columns of those of the groups."""
    if "target_columns" in options and (clash := " and ".join(name for name in ("target", "at") if name in given)):
        raise SettingError("target-columns", f"gives every group its target: leave out {clash}")


def made_of(source: Source, given: Mapping[str, Any], say: Callable[[str], None]) -> Problem | Batch:
    """Return the problem of the points of a file, or that of each group; `say` takes what the user should know."""
    for note in source.notes:
        say(f"{source.place_of_points} {note}")
    for note in () if "target" in given else source.target_notes:
        say(note)
    made = _problem_of(source, given) if source.groups is None else _batch_of(source, given)
    for note in notes_about(made, {*given, *source.settings}, given):
        say(note)
    return made


def _problem_of(source: Source, given: Mapping[str, Any]) -> Problem:
    """Return the problem of the points and settings of a file; the options `given` override the file's.

    They also cancel what they exclude: bins or rule the single node of the file, target points these three, a line the
    file's period.

    Raises
    ------
    SettingError
        For a setting out of range or a contradiction: at its place in the file, if the file gave it.
    """
    from kdegrad.problem import Problem

    weights = source.weights
    points = (source.angles, source.logits if weights is None else None, source.labels)
    return _made(source, given, lambda options: Problem(*points, weights=weights, **{"name": source.name, **options}))


def _batch_of(source: Source, given: Mapping[str, Any]) -> Batch:
    """Return the problems of the groups of a file, in the order of their first rows; otherwise as `_problem_of`.

    The points keep the order of the rows. A target that is `given` comes before the columns of the targets, and these
    before the target of the file's settings.
    """
    from kdegrad.arrays import grouped
    from kdegrad.batch import Batch

    assert source.groups is not None  # the caller has checked it
    names, codes = source.groups
    order, offsets = grouped(codes, len(names))
    points = (source.angles, source.logits, source.labels)
    drawing = {row.name for row in DrawingOptions.rows}
    if drawn := sorted(drawing & given.keys()):
        raise SettingError(drawn[0], "is for the drawing of one circle, and there are groups: leave it out")
    source = replace(source, settings={key: value for key, value in source.settings.items() if key not in drawing})
    return _made(
        source,
        given,
        lambda options: Batch(
            *points, offsets=offsets, order=order, names=names, copy=False, **{"name": source.name, **options}
        ),
    )


def _made(source: Source, given: Mapping[str, Any], make: Callable[[dict[str, Any]], _Made]) -> _Made:
    """Return what `make` makes of the options of a file and those `given`, of which the latter win."""
    kept = dict(source.settings)  # by what was given, and by the columns of targets, some of these are overridden
    if source.targets is not None and not {"target", "at"} & given.keys():
        kept.pop("at", None)
        kept["target"] = source.targets if len(source.targets) == 2 else source.targets[0]
    if "at" in given and _are_points(kept.get("target"), source):
        del kept["target"]
    are_points = _are_points(given.get("target", kept.get("target")), source)
    if are_points:  # these need no bins, which a file gives for its own interval
        kept = {name: value for name, value in kept.items() if name not in ("at", "bins", "rule")}
    elif {"bins", "rule"} & given.keys():  # are asked for in place of the file's single node
        kept.pop("at", None)
    if given.get("circular") is False:
        kept.pop("period", None)
    try:
        if are_points and (excess := sorted({"bins", "rule"} & given.keys())):
            raise SettingError(excess[0], "is for an interval, and the target has points: leave it out")
        if kept.get("circular") is False and ("period" in kept or "period" in given):
            raise SettingError("circular", "false contradicts a period, which makes a circle: remove one of them")
        options = {**kept, **given}
        made = make(options)
        if {"period", "unit"} <= options.keys():
            made.settings.require_one_circumference()
        return made
    except InputError as error:  # of groups: their targets, which were not compared yet
        name = source.place_of_points
        raise InputError([f"{name}: {fault}" for fault in error.faults], total=error.total) from None
    except SettingError as error:
        if error.name in source.places and error.name not in given:
            raise error.at(f"{source.places[error.name]}: {error.name}") from None
        raise


def _are_points(target: Any, source: Source) -> bool:
    """Return whether a target of one of its forms is points, and not an interval."""
    from kdegrad.option import is_real
    from kdegrad.targets import Points

    is_one_for_each = source.groups is not None and getattr(target, "ndim", 0) == 1
    return isinstance(target, (Points, Mapping)) or is_real(target) or is_one_for_each


def _format_of(path: str, name: str, input_format: str | None) -> str:
    """Return which of `INPUT_FORMATS` a file is in."""
    if input_format:
        return input_format
    if path == "-":
        return "csv"
    suffix = INPUT_FORMAT_ALIASES.get(files.suffix(path), files.suffix(path))
    if suffix in INPUT_FORMATS:
        return suffix
    if os.path.isdir(path):
        raise InputError(f"{name}: is a folder: name a file in it")
    if not os.path.lexists(path):  # a misspelt name is more likely than an unknown suffix
        raise InputError(files.absent(path))
    if not suffix:
        format_ = spoken("--input-format csv (or yaml)", "input_format='csv' (or 'yaml')")
        raise InputError(f"{name}: no suffix says its format: name the format with {format_}")
    files.blocks(path)  # says what it is by its first bytes, which tells more
    raise InputError(
        f"{name}: the suffix {shown('.' + suffix)} is not that of a format that can be read "
        f"({', '.join('.' + known for known in INPUT_FORMATS)}): name the format with "
        f"{option_text('input-format')}"
    )
