"""What is known without the data of a Dask DataFrame, checked: columns, options, and what will be added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import dask.dataframe as dd

from kdegrad.errors import InputError, SettingError, warn
from kdegrad.option import several
from kdegrad.parts import require_nodes
from kdegrad.problem import Problem
from kdegrad.reading import require_no_other_target
from kdegrad.reading.columns import require_groups
from kdegrad.reading.frames import collected
from kdegrad.reading.groups import TARGETS
from kdegrad.reading.notes import notes_about
from kdegrad.settings import GradientOptions, ReadingOptions, Settings
from kdegrad.text import enumerated, keywords_called, shown

_POINTS: Final = ("angle", "logit", "weight")  # roles of columns
DROPPING: Final = "ddf.dropna(subset=[...])"  # what leaves out rows without a value
CALLED: Final[Mapping[str, str]] = {  # what messages of reading call keywords → what they are called here
    **{f"{role}_column": role for role in _POINTS},
    "group_by": "by",
    "missing='skip'": DROPPING,
}
_FRAME: Final = "frame"  # what messages call a frame whose columns are looked at
_BESIDE: Final = ("ddf", "wrt")  # parameters that are no columns and no options of a problem


@final
@dataclass(frozen=True)
class Plan:
    """What is done with each partition.

    Attributes
    ----------
    like
        A problem with the settings and, unless the groups have their own, the target; its one point is not used.
    columns
        The columns that are used, by their labels in the frame, which need not be texts: those of the points, of the
        targets of groups, and of the groups.
    group
        The column of the groups; None: all rows are one problem.
    targets
        The columns of the targets of groups: low and high, or observed angles, or none.
    reading
        The names of the columns of the points and of the targets, as messages and `kdegrad.reading` call them.
    wrt
        What gradients are asked for.
    added
        The columns of the gradients.
    """

    like: Problem
    columns: tuple[Any, ...]
    group: Any
    targets: tuple[Any, ...]
    reading: ReadingOptions
    wrt: tuple[str, ...]
    added: tuple[str, ...]


def planned(ddf: Any, parameters: Mapping[str, Any]) -> Plan:
    """Return the plan of `kdegrad.dask.loss`, or with ``wrt`` of `kdegrad.dask.grad`, by their parameters."""
    if not isinstance(ddf, dd.DataFrame):
        remedy = "dask.dataframe.from_pandas makes one of a pandas DataFrame; kdegrad.from_frame reads one in memory"
        raise InputError(f"{type(ddf).__name__} is not a Dask DataFrame: {remedy}")
    options = {name: parameters[name] for name in ("target", "at", *(row.name for row in Settings.rows))}
    given = {name: value for name, value in parameters.items() if name not in (*options, *_BESIDE)}
    of_reading = {keyword: name for name, keyword in CALLED.items()}
    columns = {of_reading.get(name, name): value for name, value in given.items() if value is not None}
    _require_names(ddf, columns, "wrt" in parameters)
    require_no_other_target(columns, {name: value for name, value in options.items() if value is not None})
    try:
        with keywords_called(CALLED):
            reading = ReadingOptions(**columns)
            require_groups(reading)
            points, used = collected(ddf._meta, _FRAME, reading)
            notes = points.notes()
    except SettingError as error:
        keyword = CALLED.get(error.name.replace("-", "_"))
        raise error if keyword is None else error.at(keyword) from None
    like = _like(options, len(reading.target_columns or ()))
    if "group" not in used:
        require_nodes(like)
    wrt = _wrt(parameters["wrt"]) if "wrt" in parameters else ()
    added = _added(ddf.columns, used.get("weight"), wrt) if wrt else ()
    for note in notes:
        warn(f"{_FRAME} {note}")
    for note in notes_about(like, (), ()):
        warn(note)
    used.pop("label", None)  # which stays in the frame, and is not looked at
    names: dict[str, Any] = {f"{role}_column": str(used[role]).strip() for role in _POINTS if role in used}
    targets = tuple(used[role] for role in TARGETS if role in used)
    return Plan(
        like=like,
        columns=tuple(dict.fromkeys(used.values())),
        group=used.get("group"),
        targets=targets,
        reading=ReadingOptions(**names, target_columns=reading.target_columns),
        wrt=wrt,
        added=added,
    )


def _require_names(ddf: Any, named: Mapping[str, Any], adds: bool) -> None:
    """Refuse the index as a column, and for what adds columns those that it would add whichever of them is used."""
    if ddf._meta.index.name is not None and ddf._meta.index.name in named.values():
        name = ddf._meta.index.name
        raise InputError(f"{_FRAME}: {shown(str(name))} is the index, and no column: ddf.reset_index() makes it one")
    if (
        adds
        and {"logit", "weight"} <= {*ddf.columns}
        and not {"logit_column", "weight_column", "no_weights"} & {*named}
    ):
        raise InputError(
            f"{_FRAME}: both logits (column 'logit') and weights (column 'weight'), and grad adds a column for each: "
            "rename or drop one, as by ddf.drop(columns=['weight'])"
        )


def _like(options: Mapping[str, Any], ends: int) -> Problem:
    """Return a problem of one point, which no computation uses, with these options.

    Where the groups have targets, of 1 or 2 ends, it has one of that kind, which they replace.
    """
    if not ends:
        return Problem([0.0], **options)
    around = Settings(**{row.name: options[row.name] for row in Settings.rows}).circumference
    target = (0.0, around or 1.0) if ends == 2 else 0.0
    return Problem([0.0], **{**options, "target": target})


def _wrt(given: Any) -> tuple[str, ...]:
    wrt = GradientOptions(wrt=several("wrt", given)).wrt
    if not wrt:
        raise SettingError("wrt", "names nothing: give logits, angles or bandwidth")
    return wrt


def _added(columns: Any, weights: Any, wrt: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that ``grad`` adds; InputError where one would take the place of another column.

    Weights in a column of that name are the exception: their logarithms then stand in a column ``logit``.
    """
    is_replaced = weights == "weight"
    added = ["logit"] if is_replaced else []
    added += ["weight", "responsibility", "gradient", "gradient_per_weight"]
    added += ["gradient_angle"] if "angles" in wrt else []
    added += ["gradient_log_bandwidth"] if "bandwidth" in wrt else []
    there = [name for name in added if name in columns and not (is_replaced and name == "weight")]
    if there:
        plural = "columns" if len(there) > 1 else "a column"
        raise InputError(
            f"{_FRAME} has {plural} that grad adds: {enumerated(there)}: rename or drop what is there, as by "
            f"ddf.drop(columns={there})"
        )
    return tuple(added)
