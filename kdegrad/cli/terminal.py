"""Where the command line's text goes, and what that place can show."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kdegrad import output
from kdegrad.cli.progress import Working
from kdegrad.output import Look
from kdegrad.reports import as_parquet
from kdegrad.text import safe_text

if TYPE_CHECKING:
    from kdegrad.cli.flags import ReportFlags, VerdictReportFlags

NARROWEST, WIDEST = 40, 1_000  # columns: below, the terminal folds what a table cannot


def say(message: str) -> None:
    """Print a message on standard error, in what its encoding can show, its lines without control characters.

    Nobody can be told if standard error is closed or full.
    """
    if sys.stderr is None:
        return
    encoding = sys.stderr.encoding or "ascii"
    with suppress(OSError):
        text = safe_text(message, "\n").encode(encoding, errors="backslashreplace").decode(encoding)
        print(text, file=sys.stderr, flush=True)


def look_of(report: ReportFlags | VerdictReportFlags) -> Look:
    """Return what the place that the report goes to can do."""
    return Look() if report.output is not None else look_of_stdout()


def look_of_stdout() -> Look:
    """Return what standard output can do."""
    if sys.stdout is None:
        return Look()
    terminal = sys.stdout.isatty()
    asked = os.environ.get("COLUMNS", "")
    width = int(asked[:6]) if asked.isdecimal() and asked.isascii() else 0
    dumb = os.environ.get("TERM") == "dumb"
    return Look(
        width=min(max(width or (shutil.get_terminal_size().columns if terminal else 80), NARROWEST), WIDEST),
        unicode=(sys.stdout.encoding or "ascii").lower().replace("-", "") in ("utf8", "utf16", "utf32"),
        colour=terminal and not dumb and not os.environ.get("NO_COLOR"),
    )


def deliver(report: ReportFlags | VerdictReportFlags, pieces: Iterator[str]) -> None:
    """Send a report to the file or to standard output."""
    on_terminal = report.output is None and sys.stdout is not None and sys.stdout.isatty()
    with Working("writing", shown=not on_terminal):
        if report.output is None:
            output.write_stdout(pieces, for_people=report.form == "table")
        elif report.is_parquet:
            with output.replacing(report.output) as stream:
                as_parquet.write(pieces, stream)
        else:
            output.write_file(report.output, pieces)


def machine_error(error: Exception) -> str:
    """Return what to say about an error that is not the user's."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "failed to map segment" in text:  # the second: a library finds no room
        return "out of memory: fewer points or bins, or a larger machine"
    if isinstance(error, OSError):
        place = str(error.filename or "output")
        return f"{place if place.isprintable() else repr(place)}: {error.strerror or text}"
    return f"an error of kdegrad's own, {type(error).__name__}: {text}"
