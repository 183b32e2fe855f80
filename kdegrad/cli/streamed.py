"""The commands ``loss`` and ``grad`` of a table in parts, or of one that is larger than memory."""

from __future__ import annotations

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
from kdegrad.settings import GradientOptions, ReadingOptions, ReportOptions
from kdegrad.streams import Engine, InTurn, summed, write_gradients

if TYPE_CHECKING:
    from kdegrad.parts import Whole


def loss(flags: Flags, report: ReportOptions) -> int:
    """Compute the loss of all points of the parts."""
    parts, engine = _parts(flags), _engine(flags)
    whole = _summed(flags, parts, engine)
    deliver(report, part_records.loss_record(whole, parts, flags.inputs[0]))
    return DONE if whole.is_finite else NOT_FINITE


def grad(flags: Flags, report: ReportOptions, of: GradientOptions) -> int:
    """Write a part with gradients for each part, to the folder --output."""
    if report.output is None:
        raise SettingError("output", "grad of parts writes a part for each: name a new or empty folder")
    parts, engine, folder = _parts(flags), _engine(flags), report.output
    output.check_folder("output", folder)
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


def _engine(flags: Flags) -> Engine:
    return InTurn()
