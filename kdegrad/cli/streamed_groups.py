"""The commands ``loss`` and ``grad`` of the groups of a table in parts; without Dask none has rows in two parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from kdegrad import figures, output
from kdegrad.cli.delivery import deliver, format_of, outputs, warn_of_rounding
from kdegrad.cli.grouped import code_of
from kdegrad.cli.inputs import note_oddities, note_unused_df, options_of_problem
from kdegrad.cli.options import Flags
from kdegrad.cli.streamed import (
    check_files,
    check_folder,
    engine_of,
    note_overlooked,
    parts_of_input,
    refuse_parquet,
    size_of,
)
from kdegrad.cli.terminal import Progress, say
from kdegrad.errors import SettingError
from kdegrad.group_streams import Asked, GroupsOfParts, groups_of_parts
from kdegrad.reading.files import display_name
from kdegrad.reading.parts import Part
from kdegrad.reports import ROWS, SUFFIXES, group_records
from kdegrad.settings import GradientOptions, PartsOptions, ReadingOptions, ReportOptions, Settings
from kdegrad.streams import InTurn
from kdegrad.text import shown


def loss(flags: Flags, report: ReportOptions) -> int:
    """Compute the loss of each group, and return the exit code: one report, or a part with its groups for each part.

    A figure shows the losses alone: the points are not in memory together.
    """
    if report.exact:
        raise SettingError("exact", "compares the bins of one problem with the integral: leave it out, or --group-by")
    folder = None
    if _names_folder(report):
        folder, report = report.output, replace(report, output=None)
        if flags.of(PartsOptions).engine is not None:
            said = "is a folder, and with --engine dask a group is in no part alone: name a file, as losses.parquet"
            raise SettingError("output", f"{shown(str(folder))} {said}")
    written, parts = _checked(flags, report, folder)
    wrt = () if folder is None and format_of(report) in ROWS else ("logits",)  # as of a table in memory
    asked = Asked(options_of_problem(flags, written), flags.of(ReadingOptions), wrt)
    found = _found(flags, parts, asked, folder)
    deliver(report, group_records.record_of_parts(found.overview, report.top, len(parts), folder))
    if report.plot is not None:
        figures.save(found.overview, report.plot)
    return code_of(found.overview, found.cause)


def grad(flags: Flags, report: ReportOptions, of: GradientOptions) -> int:
    """Write a part with the gradients of each group's own loss for each part, and return the exit code."""
    for name, does in (("plot", "draws"), ("top", "sorts")):
        if getattr(report, name) is not None:
            raise SettingError(name, f"{does} all points, and of parts only one is in memory at a time: leave it out")
    if of.per_bin:
        raise SettingError("per-bin", "lists the bins of one problem: leave it out, or --group-by")
    if report.output is None:
        raise SettingError("output", "grad of parts writes a part for each: name a new or empty folder")
    folder, report = report.output, replace(report, output=None)
    written, parts = _checked(flags, report, folder)
    asked = Asked(options_of_problem(flags, written), flags.of(ReadingOptions), of.wrt, "points")
    found = _found(flags, parts, asked, folder)
    deliver(report, group_records.record_of_parts(found.overview, None, len(parts), folder))
    warn_of_rounding(found.rounding)
    return code_of(found.overview, found.cause)


def _checked(
    flags: Flags, report: ReportOptions, folder: str | None
) -> tuple[Mapping[str, str | None], tuple[Part, ...]]:
    """Return the files to write by option, and the parts, once all that is written is known to be possible."""
    flags.of(Settings)  # what is out of range is refused before a part is read
    if folder is not None:
        refuse_parquet(report)
    written, parts = outputs(report), parts_of_input(flags)
    check_files(written, parts, flags.inputs[0])
    if folder is not None:
        if parts[0].path == "-":
            raise SettingError("output", "parts are written under their names, and standard input has none: save it")
        check_folder(folder, flags.inputs[0])
    return written, parts


def _found(flags: Flags, parts: tuple[Part, ...], asked: Asked, folder: str | None) -> GroupsOfParts:
    """Return what is known of all groups, once the rows of all parts are in the folder and the notes are said."""
    note_overlooked(flags)
    name = display_name(flags.inputs[0])
    to = nullcontext() if folder is None else output.filling(folder, [part.name for part in parts])
    with engine_of(flags, parts) as engine, Progress("summing", size_of(parts), of_bytes=True) as advance, to as hidden:
        if isinstance(engine, InTurn):
            found = groups_of_parts(parts, asked, engine, advance.advance, name, hidden)
        else:
            from kdegrad.dask.cluster import Cluster
            from kdegrad.dask.groups import groups_across_parts

            assert isinstance(engine, Cluster)  # there is no third engine
            where = None if hidden is None else os.path.abspath(hidden)  # a worker has another current folder
            found = groups_across_parts(parts, asked, engine, advance.advance, name, where)
    for note in found.notes:
        say(f"note: {note}")
    note_oddities(flags, found.overview.like)
    note_unused_df(flags, [found.overview.like.kernel.name])
    return found


def _names_folder(report: ReportOptions) -> bool:
    """Return whether --output names a folder: without a report's suffix, without --format, and no device or pipe."""
    name = report.output
    if name is None or (os.path.exists(name) and not os.path.isdir(name) and not os.path.isfile(name)):
        return False
    return (
        os.path.isdir(name)
        or output.is_folder_name(name)
        or (report.format is None and Path(name).suffix.lower() not in SUFFIXES)
    )
