"""Data frames → points: pandas, Polars, pyarrow and what else narwhals reads (the extra ``frames``).

The columns have the roles and the rules of those of a file; rows are counted from 0. Only what is used is taken from a
frame, and a lazy one collected for these columns alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast, overload

import numpy as np

from kdegrad.errors import InputError, SettingError, warn
from kdegrad.problem import checked_name
from kdegrad.reading import made_of, require_no_other_target
from kdegrad.reading.columns import flag_of, require_groups
from kdegrad.reading.faults import Faults
from kdegrad.reading.points import TEXTS, Cells, Collector, Source, text_of
from kdegrad.settings import ReadingOptions
from kdegrad.text import keywords_called, shown

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from kdegrad.batch import Batch
    from kdegrad.problem import Problem
    from kdegrad.targets import TargetLike

_KEYWORDS: Final[Mapping[str, str]] = {  # the names of options of reading → those of `from_frame`
    **{f"{role}_column": role for role in ("angle", "logit", "weight", "label")},
    "group_by": "group",
}
_FRAME: Final = "frame"  # what messages call a frame without a name


@overload
def from_frame(
    frame: object,
    *,
    angle: str | None = None,
    logit: str | None = None,
    weight: str | None = None,
    label: str | None = None,
    group: None = None,
    target_columns: str | tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    name: str | None = None,
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
) -> Problem: ...


@overload
def from_frame(
    frame: object,
    *,
    angle: str | None = None,
    logit: str | None = None,
    weight: str | None = None,
    label: str | None = None,
    group: str,
    target_columns: str | tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    name: str | None = None,
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
) -> Batch: ...


def from_frame(
    frame: object,
    *,
    angle: str | None = None,
    logit: str | None = None,
    weight: str | None = None,
    label: str | None = None,
    group: str | None = None,
    target_columns: str | tuple[str, ...] | None = None,
    no_weights: bool | None = None,
    missing: str | None = None,
    name: str | None = None,
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
) -> Problem | Batch:
    """Return the problem whose points are the rows of a data frame; with groups, a `kdegrad.Batch` of a problem each.

    It needs narwhals: ``pip install 'kdegrad[frames]'``. What belongs to the points, as a gradient, has the order of
    the frame's rows: ``frame["gradient"] = kdegrad.evaluate(problem).gradients.logits``. What may not be meant, such as
    columns that are not used, is an `InputWarning`. Messages count rows from 0: row 18 is ``frame.iloc[18]``.

    Parameters
    ----------
    frame
        A table of pandas, Polars, pyarrow, or what else narwhals reads; a lazy one is collected.
    angle, logit, weight, label
        The names of columns, if they are not ``angle``, ``logit``, ``weight`` and ``label``. Without logits and weights
        all points weigh the same.
    group
        The column of the groups, each of which is a problem of its own. Their names are texts, also of numbers:
        ``frame.camera.astype(str).map(dict(zip(batch.names, evaluation.losses)))`` is the loss of each row's group. A
        whole number of floats, as pandas holds integers where one is missing, has the name of the integer, 7 for 7.0:
        of such a column it is ``frame.camera.astype("Int64").astype(str)``.
    target_columns
        The columns of the target of each group: the lower and the upper ends, or the observed angles.
    no_weights
        Whether a column named ``weight`` is ignored, since it holds no weights.
    missing
        ``"skip"`` leaves out the rows that lack a value; ``"error"``, the default, refuses them. Gradients then have
        fewer rows than the frame: ``frame = frame.dropna(subset=["angle", "logit"])`` first keeps them alike.
    name
        What reports, figures and messages call the data.
    target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options, see `kdegrad.Problem` and `kdegrad.Batch`.
    zero, clockwise
        How a circle is drawn.

    Raises
    ------
    KdegradError
        For what is no frame, columns that do not exist, cells that are no numbers (with the row), and settings out of
        range.
    """
    given = {key: value for key, value in locals().items() if key != "frame" and value is not None}
    columns = {option: given.pop(keyword) for option, keyword in _KEYWORDS.items() if keyword in given}
    columns |= {key: given.pop(key) for key in ("target_columns", "no_weights", "missing") if key in given}
    require_no_other_target(columns, given)
    given["name"] = checked_name(name)
    try:
        with keywords_called(_KEYWORDS):
            source = read_frame(frame, shown(name) if name else _FRAME, ReadingOptions(**columns))
    except SettingError as error:
        keyword = _KEYWORDS.get(error.name.replace("-", "_"))
        raise error if keyword is None else error.at(keyword) from None
    return made_of(source, given, warn)


def read_frame(frame: object, name: str, options: ReadingOptions) -> Source:
    """Return the points of a frame; InputError as for a table of text, with rows counted from 0."""
    require_groups(options)
    points, _ = collected(frame, name, options)
    if not points.count:
        raise InputError(f"{name}: columns but no points: give a row for each point")
    return points.source()


def collected(frame: object, name: str, options: ReadingOptions) -> tuple[Collector, dict[str, Any]]:
    """Return the points of a frame, which may be none, and role → column for the columns that are used."""
    try:
        import narwhals
    except ImportError:
        raise InputError("from_frame needs narwhals: pip install 'kdegrad[frames]'") from None
    try:
        taken: Any = narwhals.from_native(cast("IntoFrame", frame))
        names = taken.collect_schema().names()
    except TypeError:
        is_path = isinstance(frame, (str, os.PathLike))
        remedy = "kdegrad.load reads a file" if is_path else "give a DataFrame; lists and arrays go to kdegrad.Problem"
        raise InputError(f"{type(frame).__name__} is not a data frame: {remedy}") from None
    except Exception as error:  # names that appear twice, or what the source of a lazy frame raises
        raise _unreadable(name, error) from None
    faults = Faults(name)
    found = [str(column).strip() for column in names]
    points = Collector(found, options, faults, name, row_noun="row")
    used = {role: names[found.index(column)] for role, column in points.roles.items()}
    if isinstance(taken, narwhals.LazyFrame):
        try:
            taken = taken.select(*dict.fromkeys(used.values())).collect()
        except Exception as error:
            raise _unreadable(name, error) from None
    columns = {role: taken.get_column(column) for role, column in used.items()}
    _refuse_types({role: column.dtype for role, column in columns.items()}, points, name)
    points.take({role: _cells(column, role) for role, column in columns.items()}, lambda _, row: (row,))
    return points, used


def _unreadable(name: str, error: Exception) -> InputError:
    """Return the error that says why narwhals, or what stands behind a frame, could not read it."""
    if isinstance(error, MemoryError):
        raise error
    said = " ".join(str(error).split())
    return InputError(f"{name}: cannot be read ({type(error).__name__}: {said[:160]})")


def _refuse_types(types: Mapping[str, Any], points: Collector, name: str) -> None:
    """Raise an InputError for a column of numbers, such as the angles, whose type is not that of numbers or texts."""
    refused = []
    for role, kind in types.items():
        if role not in TEXTS and (kind.is_temporal() or kind.is_nested() or str(kind) == "Boolean"):
            column = shown(points.roles[role])
            remedy = f"convert it to numbers, or name another column with {flag_of(role)}"
            refused.append(f"{name}: column {column} has the type {kind}, which has no numbers: {remedy}")
    if refused:
        raise InputError(refused)


def _cells(column: Any, role: str) -> Cells:
    """Return the cells of a column: numbers, NaN where one is missing; or texts, which are then empty."""
    if role not in TEXTS and column.dtype.is_numeric():
        import narwhals

        return np.asarray(column.cast(narwhals.Float64).to_numpy(), dtype=np.float64)
    cells = zip(column.to_list(), column.is_null().to_list(), strict=True)
    return ["" if is_missing else text_of(value) for value, is_missing in cells]
