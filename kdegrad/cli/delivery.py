"""What goes out: reports to standard output or a file, in the format that was asked for, and warnings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdegrad import figures, output, reports
from kdegrad.cli.terminal import Progress, say
from kdegrad.errors import SettingError
from kdegrad.output import Look, look_of_stdout
from kdegrad.reports import SUFFIXES, Format, as_parquet
from kdegrad.settings import CheckReportOptions, ReportOptions
from kdegrad.text import shown

if TYPE_CHECKING:
    from kdegrad.reports.records import Record

_TRACES: Final = {"": ",", ".csv": ",", ".tsv": "\t"}  # separators of cells by suffix
_SUFFIX_OF: Final = {form: suffix for suffix, form in SUFFIXES.items()}


def format_of(report: ReportOptions) -> Format:
    """Return the format of the report: by --format or the suffix of --output, which must agree; else a table."""
    named, asked = suffix_format(report), None if report.format is None else Format(report.format)
    if asked is None:
        return named or Format.table
    is_any_text = named is Format.table and asked is not Format.parquet  # .txt
    if named not in (asked, None) and not is_any_text:
        other = f"name a {_SUFFIX_OF[asked]} file" if asked in _SUFFIX_OF else "name a file without one"
        said = f"{asked} contradicts the suffix of --output, {_suffix(report.output)}: leave --format out, or {other}"
        raise SettingError("format", said)
    return asked


def suffix_format(report: ReportOptions) -> Format | None:
    """Return the format that the suffix of --output names; None without a suffix."""
    suffix = _suffix(report.output)
    if not suffix:
        return None
    makes_checks = isinstance(report, CheckReportOptions)
    possible = [known for known, form in SUFFIXES.items() if makes_checks or form is not Format.junit]
    if suffix in possible:
        return SUFFIXES[suffix]
    said = f"no report is written as {shown(suffix)}"
    if suffix in SUFFIXES:
        said = f"{suffix} is for JUnit, which reports checks, and this command makes none"
    elif suffix in figures.SUFFIXES:
        said += ", but figures are, by --plot"
    raise SettingError("output", f"{said}: name a file with the suffix {', '.join(possible)}, or with none")


def _suffix(file: str | None) -> str:
    """Return the suffix of a file's name; none where a device or a pipe has one that is not known, as in x.123."""
    if file is None:
        return ""
    suffix = Path(file).suffix.lower()
    return "" if suffix not in SUFFIXES and os.path.exists(file) and not os.path.isfile(file) else suffix


def outputs(report: ReportOptions, trace: str | None = None) -> dict[str, str | None]:
    """Return the files to write by option, once their formats are known to be possible."""
    if report.plot is not None:
        figures.require_matplotlib(report.plot)
    if format_of(report) is Format.parquet:
        if report.output is None:
            raise SettingError("format", "Parquet is no text for standard output: name a file with --output")
        as_parquet.require_pyarrow()
    if trace is not None:
        trace_separator(trace)
    files = {"output": report.output, "plot": report.plot, "trace": trace}
    if isinstance(report, CheckReportOptions):
        if _suffix(report.junit) not in ("", _SUFFIX_OF[Format.junit]):
            raise SettingError("junit", f"is XML: name a {_SUFFIX_OF[Format.junit]} file")
        files["junit"] = report.junit
    return files


def trace_separator(trace: str) -> str:
    """Return what separates the cells of --trace."""
    suffix = _suffix(trace)
    if suffix not in _TRACES:
        raise SettingError("trace", f"no steps are written as {shown(suffix)}: name a .csv or .tsv file")
    return _TRACES[suffix]


def deliver(report: ReportOptions, record: Record) -> None:
    """Send a report to the file or to standard output."""
    form = format_of(report)
    if report.output is not None:
        with Progress("writing"):
            deliver_to(report.output, record, form, report.width)
        return
    pieces = reports.render(record, form, look_of_stdout(report.width))
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    with Progress("writing", shown=not on_terminal):
        output.write_stdout(pieces, for_people=form is Format.table)


def show_table(record: Record, width: int | None) -> None:
    """Write the table to standard output, where the report itself went to a file."""
    output.write_stdout(reports.render(record, Format.table, look_of_stdout(width)), for_people=True)


def deliver_to(file: str, record: Record, form: Format, width: int | None = None) -> None:
    """Write a report to a file, completely or not at all."""
    with output.replacing(file) as stream:
        reports.write(record, form, Look(width or Look.width), stream)


def deliver_checks(report: CheckReportOptions, record: Record) -> None:
    """Send a report of checks where it was asked for, and where that is a file the table to standard output too.

    Also written are the JUnit XML of --junit, and the summary of a job on GitHub, whose failure is no failure.
    """
    deliver(report, record)
    if report.output is not None and not output.is_standard(report.output):
        show_table(record, report.width)
    if report.junit is not None:
        deliver_to(report.junit, record, Format.junit)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from kdegrad.reports import as_ci  # only a job on GitHub needs it

        try:
            with open(summary, "a", encoding="utf-8", errors="replace", newline="\n") as stream:
                stream.writelines(as_ci.markdown(record.result))
        except OSError as error:
            say(f"warning: the summary of the job is not written: {error.strerror or error}: {shown(summary)}")


def warn_of_rounding(input_rounding: float) -> None:
    """Say where the rounding of the angles themselves moves the responsibilities noticeably."""
    from kdegrad.evaluation import NOTICEABLE

    if input_rounding > NOTICEABLE:
        say(
            "warning: the rounding of the angles to float64 alone may change a responsibility by a factor of "
            f"exp(±{input_rounding:.2g}); the gradients are those of the angles exactly as given"
        )
