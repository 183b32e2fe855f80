"""What goes out: reports to standard output or a file, in the format that was asked for, and warnings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from kdegrad import figures, output, reports
from kdegrad.cli.terminal import Progress, say
from kdegrad.errors import SettingError
from kdegrad.output import Look, look_of_stdout
from kdegrad.reports import Format, as_parquet
from kdegrad.settings import ReportOptions

if TYPE_CHECKING:
    from kdegrad.reports.records import Record

PARQUET: Final = ".parquet"


def format_of(report: ReportOptions) -> Format:
    """Return the format to render: for Parquet CSV, whose columns it has."""
    return Format.csv if _is_parquet(report) else Format(report.format)


def _is_parquet(report: ReportOptions) -> bool:
    return report.output is not None and report.output.lower().endswith(PARQUET)


def outputs(report: ReportOptions, trace: str | None = None) -> dict[str, str | None]:
    """Return the files to write by option, once a figure and Parquet are known to be possible."""
    if report.plot is not None:
        figures.require_matplotlib(report.plot)
    if _is_parquet(report):
        if report.format not in ("table", "csv"):
            raise SettingError("format", f"{report.format} does not go into a {PARQUET} file: leave --format out")
        as_parquet.require_pyarrow()
    return {"output": report.output, "plot": report.plot, "trace": trace}


def deliver(report: ReportOptions, record: Record) -> None:
    """Send a report to the file or to standard output."""
    on_terminal = report.output is None and sys.stdout is not None and sys.stdout.isatty()
    look = Look() if report.output is not None else look_of_stdout()
    pieces = reports.render(record, format_of(report), look)
    with Progress("writing", shown=not on_terminal):
        if report.output is None:
            output.write_stdout(pieces, for_people=report.format == "table")
        elif _is_parquet(report):
            with output.replacing(report.output) as stream:
                as_parquet.write(record.rows, stream)
        else:
            output.write_file(report.output, pieces)


def warn_of_rounding(input_rounding: float) -> None:
    """Say where the rounding of the angles themselves moves the responsibilities noticeably."""
    from kdegrad.evaluation import NOTICEABLE

    if input_rounding > NOTICEABLE:
        say(
            "warning: the rounding of the angles to float64 alone may change a responsibility by a factor of "
            f"exp(±{input_rounding:.2g}); the gradients are those of the angles exactly as given"
        )
