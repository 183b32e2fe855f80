"""Groups of a table in parts, of which none has rows in two parts: what is done with one, and what all come to.

    part → points with groups → `Batch` → `BatchEvaluation` → its rows in a file, and an `Overview` without the points

The points of one part are in memory at a time, and of all parts what is known of each group. As in `kdegrad.streams`
what works on one part takes and returns plain data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np

from kdegrad import output
from kdegrad.arrays import Texts
from kdegrad.batch import Batch
from kdegrad.errors import InputError
from kdegrad.objective import evaluate
from kdegrad.overview import Overview, joined
from kdegrad.reading import made_of
from kdegrad.reading.files import display_name
from kdegrad.reading.parts import Part, whole_of
from kdegrad.reading.points import Source, notes_of_gone
from kdegrad.reports import group_records
from kdegrad.reports.records import Table, Values, table_of_columns
from kdegrad.settings import ReadingOptions
from kdegrad.streams import Engine, Seen, SeenOfParts, Watch, no_points, odd_angles, unwatched, write_rows
from kdegrad.text import option_text, shown


@final
@dataclass(frozen=True)
class Asked:
    """What is asked for of each part.

    Attributes
    ----------
    given
        The options of the problems, such as ``bandwidth``, and ``target`` unless each group has its own.
    options
        How the part is read.
    wrt
        The gradients, of `kdegrad.settings.WRT`.
    rows
        What is written of each part, in its format: a row for each of its ``groups``, or for each of its ``points``.
    """

    given: Mapping[str, Any]
    options: ReadingOptions
    wrt: tuple[str, ...]
    rows: str = "groups"


@final
@dataclass(frozen=True)
class GroupsOfPart:
    """What is known of the groups of a part.

    Attributes
    ----------
    seen
        What the user should know about it.
    overview
        None for a part without points.
    cause
        Why the first group without a finite result has none.
    rounding
        As `BatchEvaluation.input_rounding`, if rows of points are asked for; it is a pass of its own.
    gone
        The groups that no row of the part is left of, as a value is missing in each.
    """

    seen: Seen
    overview: Overview | None = None
    cause: str = ""
    rounding: float = 0.0
    gone: tuple[str, ...] = ()


def groups_of(part: Part, watch: Watch = unwatched, *, asked: Asked, folder: str | None = None) -> GroupsOfPart:
    """Return what is known of the groups of a part, and write its rows to a folder, whole or not at all.

    The parts before one with a fault are written by then: the folder is a temporary one, which the caller puts in its
    place once all parts are done.
    """
    source = whole_of(part, asked.options, watch)
    found, overview = groups_in(source, asked)
    if folder is not None:
        with output.replacing(os.path.join(folder, part.name)) as stream:
            write_rows(rows_of(source, overview, asked), stream, part.format)
    return found


def groups_in(source: Source, asked: Asked) -> tuple[GroupsOfPart, Overview | None]:
    """Return what is known of the groups of some points, and the overview with the points, of which rows are written.

    The first is plain data and travels; the second stays here. It is None where there are no points.
    """
    if not len(source.angles):
        return GroupsOfPart(Seen.of(source, np.empty(0)), gone=source.gone), None
    batch = made_of(source, asked.given, lambda note: None)  # the notes are said of all parts together
    assert isinstance(batch, Batch)  # the options name the column of the groups
    evaluation = evaluate(batch, asked.wrt)
    overview = Overview.of(evaluation)
    rounding = evaluation.input_rounding if asked.rows == "points" else 0.0
    seen = Seen.of(source, odd_angles(overview.like, source.angles))
    cause = group_records.cause_of_first(evaluation)
    return GroupsOfPart(seen, overview.without_points(), cause, rounding, source.gone), overview


def rows_of(source: Source, overview: Overview | None, asked: Asked) -> Table:
    """Return the rows that are written of a part: without any a header, whose columns have the types of the others."""
    if overview is not None:
        make = group_records.loss_record if asked.rows == "groups" else group_records.gradient_record
        return make(overview).rows
    none, no_texts = np.empty(0), Texts((), np.empty(0, np.intp))
    columns: dict[str, Values] = {"group": no_texts}
    if asked.rows == "groups":
        return table_of_columns("groups", columns | {"points": np.empty(0, np.intp), "loss": none, "kl": none})
    columns |= {"angle": none, "logit": none}
    if source.labels is not None:
        columns["label"] = no_texts
    names = ["weight", "responsibility", "gradient", "gradient_per_weight"]
    names += ["gradient_angle"] if "angles" in asked.wrt else []
    return table_of_columns("points", columns | dict.fromkeys(names, none))


@final
@dataclass(frozen=True)
class GroupsOfParts:
    """What is known of the groups of all parts, in their order, and what the user should know; as `GroupsOfPart`."""

    overview: Overview
    notes: list[str]
    cause: str
    rounding: float


def groups_of_parts(
    parts: Sequence[Part], asked: Asked, engine: Engine, watch: Watch, name: str, folder: str | None = None
) -> GroupsOfParts:
    """Return what is known of the groups of all parts, which messages call `name`; for the rest see `groups_of`.

    A row that is left out is none: a group may have some in any parts, and is left out itself if no part has another.
    The points of `Overview.like` are a few angles that show what all are like, for the notes about them: see `Seen`.

    Raises
    ------
    InputError
        If a group has rows in two parts, if there is no point, or if a part has other columns than the rest.
    """
    seen, found = SeenOfParts(), list[GroupsOfPart]()
    gone: dict[str, None] = {}  # names in their order
    part_of: dict[str, Part] = {}  # by the name of the group
    each = engine.each(partial(groups_of, asked=asked, folder=folder), parts, watch)
    for part, of_part in zip(parts, each, strict=True):
        seen.add(part, of_part.seen)
        gone |= dict.fromkeys(of_part.gone)
        if of_part.overview is None:
            continue
        names = of_part.overview.names
        if not part_of.keys().isdisjoint(names):
            group = next(group for group in names if group in part_of)
            first, second = (display_name(of.path) for of in (part_of[group], part))
            dask = f"{option_text('engine', 'dask')}, which brings the rows of a group together"
            raise InputError(
                f"group {shown(group)} is in {first} and in {second}: sort or write the parts by group, or give {dask}"
            )
        part_of |= dict.fromkeys(names, part)
        found.append(of_part)
    if not found:
        raise InputError(f"{name}: {no_points(seen.counts)}")
    overview = joined([of_part.overview for of_part in found if of_part.overview is not None], name)
    return GroupsOfParts(
        replace(overview, like=seen.like(overview.like)),
        [*seen.notes(name), *(f"{name} {note}" for note in notes_of_gone([one for one in gone if one not in part_of]))],
        next((of_part.cause for of_part in found if of_part.cause), ""),
        max(of_part.rounding for of_part in found),
    )
