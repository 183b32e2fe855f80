"""Groups of a table in parts whose rows are in any of the parts: Dask's shuffle brings the rows of each together.

    part → its points → shuffle by group → `groups_in` each partition → an `Overview`, and rows with gradients
                                                  rows → shuffle by part → in the order of the part → a file

A worker has one part, or the groups of one partition, in memory at a time; the parts are about as large as the
partitions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import dask.dataframe as dd
import numpy as np
import pandas
from dask import delayed

from kdegrad import output
from kdegrad.arrays import FloatArray, IntArray, Texts
from kdegrad.dask.cluster import Cluster
from kdegrad.errors import InputError
from kdegrad.group_streams import Asked, GroupsOfPart, GroupsOfParts, groups_in, rows_of
from kdegrad.overview import joined
from kdegrad.reading.files import display_name
from kdegrad.reading.groups import Groups
from kdegrad.reading.parts import Part, blocks_of, whole_of
from kdegrad.reading.points import Source
from kdegrad.reports.records import Table, Values, table_of_columns
from kdegrad.streams import Seen, SeenOfParts, Watch, elsewhere_named, naming_this_machine, no_points, write_rows
from kdegrad.text import angle_texts, shown, speaking_of_flags

_PART: Final = "part"  # columns that say where a row stood
_ROW: Final = "row"
_TARGET: Final = "target"  # the columns of its target: target0, target1


@final
@dataclass(frozen=True)
class _Job:
    """What all tasks need: what is asked for, the parts as a worker names them, their columns, and where rows go."""

    asked: Asked
    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    folder: str | None


def groups_across_parts(
    parts: Sequence[Part], asked: Asked, engine: Cluster, watch: Watch, name: str, folder: str | None = None
) -> GroupsOfParts:
    """Return what is known of all groups, in the order of their first rows, as `kdegrad.group_streams` does of a part.

    Raises
    ------
    InputError
        For what is wrong with the parts and their groups, such as two targets of one group.
    """
    there = tuple(elsewhere_named(part) for part in parts)
    first = next(blocks_of(parts[0], asked.options, rows=1))  # its first rows tell what columns all have
    job = _Job(asked, there, Seen.of(first, np.empty(0)).columns, folder)
    shared = delayed(job, traverse=False)
    read = [delayed(_read, nout=2)(number, shared) for number in range(len(parts))]
    rows = dd.from_delayed([frame for _, frame in read], meta=_frame(_none(first, job), 0), verify_meta=False)
    partitions = rows.shuffle("group", npartitions=len(parts), shuffle_method="p2p").to_delayed()
    known = [delayed(_together, nout=2)(partition, shared) for partition in partitions]
    tasks = [*(seen for seen, _ in read), *(groups for groups, _ in known)]
    if folder is not None:
        meta = _with_places(rows_of(_none(first, job), None, asked), np.empty(0, np.int64), np.empty(0, np.int64))
        back = dd.from_delayed([frame for _, frame in known], meta=meta, verify_meta=False)
        back = back.shuffle(_PART, npartitions=len(parts), shuffle_method="p2p")
        tasks += [delayed(_write)(partition, shared) for partition in back.to_delayed()]
    seen: dict[int, Seen] = {}
    groups: list[tuple[GroupsOfPart, IntArray]] = []
    written: set[int] = set()
    stages = len(tasks) // len(parts)  # reading, computing and, to a folder, writing: a task for each part in each
    for number, found in engine.computed(tasks, parts):
        stage, of = divmod(number, len(parts))  # the tasks stand stage by stage
        watch(parts[of].size // stages)
        if stage == 0:
            seen[of] = found
            if found.columns != job.columns:
                break  # the rest is cancelled; `all_seen.add` below raises the error
        elif stage == 1:
            groups.append(found)
        else:
            written.update(found)
    all_seen = SeenOfParts()
    for of in sorted({0, *seen}):
        all_seen.add(parts[of], seen.get(of, Seen.of(first, np.empty(0))))  # the first may not have been read
    for of in range(len(parts) if folder is not None else 0):
        if of not in written:  # it has no rows
            _write_part(of, rows_of(_none(first, job), None, asked), job)
    return _all_groups(groups, all_seen, name)


def _all_groups(groups: Sequence[tuple[GroupsOfPart, IntArray]], seen: SeenOfParts, name: str) -> GroupsOfParts:
    """Return what is known of all groups, in the order of their first rows."""
    found = [(of, of.overview, places) for of, places in groups if of.overview is not None]
    if not found:
        raise InputError(f"{name}: {no_points(seen.counts)}")
    seen.odd = np.concatenate([of.seen.odd for of, _, _ in found])
    places = np.concatenate([places for _, _, places in found])
    order = np.lexsort((places[:, 1], places[:, 0]))
    overview = joined([overview for _, overview, _ in found], name).in_order(order)
    causes = [
        (tuple(places[np.argmin(overview.are_finite)].tolist()), of.cause) for of, overview, places in found if of.cause
    ]
    return GroupsOfParts(
        replace(overview, like=seen.like(overview.like)),
        seen.notes(name),
        min(causes)[1] if causes else "",
        max(of.rounding for of, _, _ in found),
    )


# --- what a worker does -----------------------------------------------------------------------------------------------
# Messages name flags, as they do in the process of the command line.


@speaking_of_flags()
def _read(number: int, job: _Job) -> tuple[Seen, Any]:
    """Return what the user should know about a part, and its points; none of a part with other columns."""
    with naming_this_machine():
        os.stat(job.parts[number].path)
    source = whole_of(job.parts[number], job.asked.options, are_whole=False)
    seen = Seen.of(source, np.empty(0))
    return seen, _frame(source if seen.columns == job.columns else _none(source, job), number)


def _none(source: Source, job: _Job) -> Source:
    """Return a source without points."""
    none = np.empty(0)
    targets = tuple(none for _ in job.asked.options.target_columns or ())
    return Source(
        source.name,
        none,
        none if {"logit", "weight"} & set(job.columns) else None,
        () if "label" in job.columns else None,
        groups=Groups((), np.empty(0, np.intp)),
        targets=targets or None,
    )


def _frame(source: Source, number: int) -> Any:
    """Return points with their groups as a frame, and where each of them stands."""
    assert source.groups is not None  # the options name the column
    names, codes = source.groups
    columns: dict[str, Values] = {"group": Texts(names, codes), "angle": source.angles}
    if source.logits is not None:
        columns["logit"] = source.logits
    if source.labels is not None:
        columns["label"] = Texts(source.labels, np.arange(len(source.labels)))
    for end, of_groups in enumerate(source.targets or ()):
        columns[f"{_TARGET}{end}"] = of_groups[codes]
    count = len(source.angles)
    return _with_places(table_of_columns("points", columns), np.full(count, number), np.arange(count))


def _with_places(table: Table, parts: IntArray, rows: IntArray) -> Any:
    """Return a table of one block as a frame, and where each of the rows stands."""
    (block,) = table.blocks()
    columns = {name: _column(values) for name, values in zip(table.header, block, strict=True)}
    return pandas.DataFrame({**columns, _PART: parts.astype(np.int64), _ROW: rows.astype(np.int64)})


def _column(values: Any) -> Any:
    return pandas.array(list(values.each), dtype="str").take(values.codes) if isinstance(values, Texts) else values


def _texts(column: Any) -> Texts:
    codes, each = pandas.factorize(column)
    return Texts(each.tolist(), codes)


@speaking_of_flags()
def _together(frame: Any, job: _Job) -> tuple[tuple[GroupsOfPart, IntArray], Any]:
    """Return what is known of the groups of a partition, (part, row) of the first point of each, and what is written.

    The points are in the order of parts and rows.
    """
    frame = frame.iloc[np.lexsort((frame[_ROW], frame[_PART]))]
    codes, names = pandas.factorize(frame["group"])
    places = frame[[_PART, _ROW]].to_numpy()
    first = np.empty(len(names), np.intp)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    source = Source(
        "",
        frame["angle"].to_numpy(np.float64),
        frame["logit"].to_numpy(np.float64) if "logit" in frame else None,
        tuple(frame["label"]) if "label" in frame else None,
        groups=Groups(tuple(names), codes),
        targets=_targets(frame, codes, first, job),
    )
    found, overview = groups_in(source, job.asked)
    rows = None if job.folder is None else _with_places(rows_of(source, overview, job.asked), *places.T)
    return (found, places[first]), rows


def _targets(frame: Any, codes: IntArray, first: IntArray, job: _Job) -> tuple[FloatArray, ...] | None:
    """Return the target of each group by its ends; InputError for groups that have another one in another part."""
    each, faults = [], []
    for end, column in enumerate(job.asked.options.target_columns or ()):
        values = frame[f"{_TARGET}{end}"].to_numpy(np.float64)
        each.append(values[first])
        wrong = np.flatnonzero(values != values[first][codes])
        for row in wrong[np.unique(codes[wrong], return_index=True)[1]].tolist():
            begin = first[codes[row]]
            found, before = angle_texts([values[row], values[begin]])
            here, there = (display_name(job.parts[frame[_PART].iloc[place]].path) for place in (row, begin))
            faults.append(
                f"{here}: column {shown(column)}: {found} for group {shown(frame['group'].iloc[row])}, which has "
                f"{before} in {there}: give one target for a group"
            )
    if faults:
        raise InputError(faults)
    return tuple(each) or None


@speaking_of_flags()
def _write(frame: Any, job: _Job) -> list[int]:
    """Write the rows of parts, whole or not at all, and return the numbers of these parts."""
    numbers = []
    for number, rows in frame.groupby(_PART):
        rows = rows.iloc[np.argsort(rows[_ROW].to_numpy())].drop(columns=[_PART, _ROW])
        columns = {name: _texts(rows[name]) if name in ("group", "label") else rows[name].to_numpy() for name in rows}
        _write_part(int(number), table_of_columns("points", columns), job)
        numbers.append(int(number))
    return numbers


def _write_part(number: int, table: Table, job: _Job) -> None:
    assert job.folder is not None  # a caller has looked
    part = job.parts[number]
    with naming_this_machine(), output.replacing(os.path.join(job.folder, part.name)) as stream:
        write_rows(table, stream, part.format)
