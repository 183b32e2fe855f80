"""The commands ``loss`` and ``grad`` of a table in parts, or of one that is larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from kdegrad import output
from kdegrad.cli.delivery import deliver, show_table, warn_of_rounding
from kdegrad.cli.inputs import template
from kdegrad.cli.options import Flags
from kdegrad.cli.terminal import DONE, NOT_FINITE, Progress, say, say_error
from kdegrad.errors import SettingError
from kdegrad.reading.parts import Part, parts_of
from kdegrad.reports import part_records
from kdegrad.reports.causes import not_finite
from kdegrad.settings import GradientOptions, PartsOptions, ReadingOptions, ReportOptions
from kdegrad.streams import Engine, InTurn, summed, write_gradients

if TYPE_CHECKING:
    from kdegrad.parts import Whole


def loss(flags: Flags, report: ReportOptions) -> int:
    """Compute the loss of all points of the parts."""
    parts = _parts(flags)
    with _engine(flags, len(parts)) as engine:
        whole = _summed(flags, parts, engine)
    deliver(report, part_records.loss_record(whole, parts, flags.inputs[0]))
    return DONE if whole.is_finite else NOT_FINITE


def grad(flags: Flags, report: ReportOptions, of: GradientOptions) -> int:
    """Write a part with gradients for each part, to the folder --output."""
    if report.output is None:
        raise SettingError("output", "grad of parts writes a part for each: name a new or empty folder")
    parts, folder = _parts(flags), os.path.abspath(report.output)
    output.check_folder("output", report.output)
    with _engine(flags, len(parts)) as engine:
        whole = _summed(flags, parts, engine)
        if not whole.is_finite:
            say_error(not_finite(whole))
            return NOT_FINITE
        output.make_folder(folder, [part.name for part in parts])
        write = partial(write_gradients, folder=folder, whole=whole, options=flags.of(ReadingOptions), wrt=of.wrt)
        with Progress("writing", sum(part.size for part in parts)) as advance:
            tallies = list(engine.each(write, parts, advance.advance))
    show_table(part_records.gradient_record(whole, parts, tallies, of.wrt, flags.inputs[0]), report.width)
    warn_of_rounding(max(of.rounding for of in tallies))
    return DONE


def _summed(flags: Flags, parts: tuple[Part, ...], engine: Engine) -> Whole:
    with Progress("summing", sum(part.size for part in parts)) as advance:
        whole, notes = summed(parts, template(flags), flags.of(ReadingOptions), engine, advance.advance)
    for note in notes:
        say(f"note: {note}")
    return whole


def _parts(flags: Flags) -> tuple[Part, ...]:
    assert flags.input is not None  # a caller has looked
    return parts_of(flags.input, flags.of(ReadingOptions))


@contextmanager
def _engine(flags: Flags, most: int) -> Iterator[Engine]:
    """Yield what computes the parts, of which there are so many."""
    asked = flags.of(PartsOptions)
    if asked.engine is None:
        if asked.scheduler is not None:
            raise SettingError("scheduler", "is that of a Dask cluster: give --engine dask too, or leave it out")
        yield InTurn()
        return
    try:
        from kdegrad.dask.cluster import cluster
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise SettingError("engine", "dask needs dask: pip install 'kdegrad[dask]'") from None
    with cluster(asked.scheduler, most) as engine:
        yield engine
