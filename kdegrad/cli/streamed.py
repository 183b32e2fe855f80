"""The commands ``loss`` and ``grad`` of a table in parts, or of one that is larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdegrad import output
from kdegrad.cli.delivery import deliver, format_of, outputs, warn_of_rounding
from kdegrad.cli.inputs import note_oddities, template
from kdegrad.cli.options import Flags
from kdegrad.cli.terminal import DONE, NOT_FINITE, Progress, say, say_error
from kdegrad.errors import SettingError
from kdegrad.parts import require_nodes
from kdegrad.reading import files
from kdegrad.reading.parts import NAMED, Part, are_parts, base_of, may_match, overlooked, parts_of
from kdegrad.reports import SUFFIXES, Format, part_records
from kdegrad.reports.causes import not_finite
from kdegrad.settings import DrawingOptions, GradientOptions, PartsOptions, ReadingOptions, ReportOptions
from kdegrad.streams import Engine, InTurn, summed, write_gradients
from kdegrad.text import enumerated

if TYPE_CHECKING:
    from kdegrad.parts import Whole
    from kdegrad.problem import Problem


class _NotFiniteError(Exception):
    """A gradient is not finite: what was written is taken back."""


_APART: Final = "and of parts only one is in memory at a time: leave it out"


def loss(flags: Flags, report: ReportOptions) -> int:
    """Compute the loss of all points of the parts."""
    _refuse(flags, report)
    written, parts = outputs(report), parts_of_input(flags)
    check_files(written, parts, flags.inputs[0])
    like = _like(flags, written)
    with engine_of(flags, parts) as engine:
        whole, number = _summed(flags, parts, like, engine, needs_labels=False)
    deliver(report, part_records.loss_record(whole, parts, number, flags.inputs[0]))
    return DONE if whole.is_finite else NOT_FINITE


def grad(flags: Flags, report: ReportOptions, of: GradientOptions) -> int:
    """Write a part with gradients for each part, to the folder --output."""
    if of.per_bin:
        raise SettingError("per-bin", f"lists the points once for each bin, {_APART}")
    if report.output is None:
        raise SettingError("output", "grad of parts writes a part for each: name a new or empty folder")
    folder, report = report.output, replace(report, output=None)
    _refuse(flags, report)
    refuse_parquet(report)
    parts = parts_of_input(flags)
    for part in parts:
        if not part.again:
            remedy = "save it to a file" if part.path == "-" else "name a file"
            raise SettingError("output", f"grad reads its input twice, and {part.name} can be read once: {remedy}")
    input_ = flags.inputs[0]
    check_folder(folder, input_)
    like = _like(flags, {})
    with engine_of(flags, parts) as engine:
        whole, number = _summed(flags, parts, like, engine, needs_labels=True)
        if not whole.is_finite:
            say_error(not_finite(whole))
            return NOT_FINITE
        progress = Progress("writing", size_of(parts), of_bytes=True)
        try:
            with output.filling(folder, [part.name for part in parts]) as hidden, progress:
                to = os.path.abspath(hidden)  # a worker has another current folder
                write = partial(write_gradients, folder=to, whole=whole, options=flags.of(ReadingOptions), wrt=of.wrt)
                tallies = list(engine.each(write, parts, progress.advance))
                if not all(tally.is_finite for tally in tallies):
                    raise _NotFiniteError
        except _NotFiniteError:
            say_error(not_finite(whole))
            return NOT_FINITE
    deliver(report, part_records.gradient_record(whole, parts, number, tallies, of.wrt, input_, folder))
    warn_of_rounding(max(of.rounding for of in tallies))
    return DONE


def _refuse(flags: Flags, report: ReportOptions) -> None:
    """Refuse what needs all points at once."""
    for name in flags.given(DrawingOptions):
        raise SettingError(name, "is for the drawing of a circle, and parts are not drawn: leave it out")
    for option, given, does in (
        ("plot", report.plot, "draws all points"),
        ("top", report.top, "sorts all points"),
        ("exact", report.exact, "compares the bins with the integral, whose nodes depend on all points"),
    ):
        if given:
            raise SettingError(option, f"{does}, {_APART}")
    if format_of(report) is Format.html:
        option = "format" if report.format else "output"
        others = "table, json, csv, tsv or, for loss, parquet"
        raise SettingError(option, f"a page shows the points, and parts have none: choose {others}")


def refuse_parquet(report: ReportOptions) -> None:
    """Refuse Parquet for the summary that stands on standard output beside parts."""
    if format_of(report) is Format.parquet:
        said = "is for one file; parts are written in their own format, and the summary as table, json, csv or tsv"
        raise SettingError("format", f"parquet {said}")


def check_folder(folder: str, input_: str) -> None:
    """Refuse a folder that parts cannot be written to, or would be read from themselves."""
    if Path(folder).suffix.lower() in SUFFIXES and not os.path.isdir(folder) and not output.is_folder_name(folder):
        raise SettingError("output", f"{folder!r} names a file, and a part is written for each: name a folder")
    is_read = os.path.isdir(input_) or may_match(input_, folder)
    output.check_folder("output", folder, base_of(input_) if is_read else None)


def check_files(written: Mapping[str, str | None], parts: Sequence[Part], input_: str) -> None:
    """Refuse files that could not be written, and those that would be read as parts themselves the next time."""
    for part in parts:
        output.check_outputs(written, part.path)
    if not are_parts(input_):
        return
    folders = {os.path.realpath(folder) for folder in {os.path.dirname(part.path) for part in parts}}
    suffixes = {files.suffix(part.path) for part in parts}
    for option, file in written.items():
        is_beside = file is not None and os.path.dirname(os.path.realpath(file)) in folders
        if file is None or not is_beside or files.suffix(file) not in suffixes:
            continue
        if os.path.isdir(input_) or fnmatch(os.path.basename(file), os.path.basename(input_)):
            said = "would be a part itself the next time: name a file in another folder"
            raise SettingError(option, f"{file!r} {said}")


def _like(flags: Flags, written: Mapping[str, str | None]) -> Problem:
    """Return the problem that the flags make, whose points are those of the parts; `written` are the outputs."""
    made = template(flags, written)
    require_nodes(made)
    return made


def _summed(
    flags: Flags, parts: tuple[Part, ...], like: Problem, engine: Engine, *, needs_labels: bool
) -> tuple[Whole, int | None]:
    """Return the problem of all parts, and the sum of its weights if they are counts."""
    options, name = flags.of(ReadingOptions), files.display_name(flags.inputs[0])
    note_overlooked(flags)
    with Progress("summing", size_of(parts), of_bytes=True) as advance:
        whole, seen = summed(parts, like, options, engine, advance.advance, name, needs_labels=needs_labels)
    for note in seen.notes(name):
        say(f"note: {note}")
    note_oddities(flags, whole.like)
    return whole, seen.weights.number


def note_overlooked(flags: Flags) -> None:
    """Say what else a folder has that may be data."""
    for note in overlooked(flags.inputs[0], flags.of(ReadingOptions)):
        say(f"note: {files.display_name(flags.inputs[0])} {note}")


def size_of(parts: tuple[Part, ...]) -> int | None:
    """Return the bytes of all parts; None where that is not known."""
    return sum(part.size for part in parts) or None


def parts_of_input(flags: Flags) -> tuple[Part, ...]:
    """Return the parts that INPUT is; empty files are none, as Spark writes where a part has no rows."""
    if flags.input is None:
        option = "engine" if "engine" in flags.values else "stream"
        raise SettingError(option, "takes parts, and no INPUT is given: name a folder, a quoted pattern or a file")
    parts = parts_of(flags.input, flags.of(ReadingOptions))
    filled = tuple(part for part in parts if part.size or not part.again or part.format == "parquet")
    empty = [part.name for part in parts if not part.size and part.again and part.format != "parquet"]
    if not filled:
        return parts
    if empty:
        said = f"has files of 0 bytes, which are left out: {enumerated(empty, NAMED)}"
        say(f"note: {files.display_name(flags.input)} {said}")
    return filled


@contextmanager
def engine_of(flags: Flags, parts: tuple[Part, ...]) -> Iterator[Engine]:
    """Yield what computes the parts."""
    asked = flags.of(PartsOptions)
    if asked.engine is None:
        if asked.scheduler is not None:
            raise SettingError("scheduler", "is that of a Dask cluster: give --engine dask too, or leave it out")
        yield InTurn()
        return
    for part in parts:
        if not part.again:
            raise SettingError("engine", f"{part.name} cannot be read by the workers of a cluster: name a file")
    try:
        from kdegrad.dask.cluster import cluster
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise SettingError("engine", "dask needs dask: pip install 'kdegrad[dask]'") from None
    with cluster(asked.scheduler, len(parts), lambda text: say(f"note: {text}")) as engine:
        yield engine
