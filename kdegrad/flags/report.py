"""The options that say where a result goes, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from kdegrad.flags.words import option
from kdegrad.reports import Format, VerdictFormat

REPORT = "Report"


_OUTPUT = option("--output", REPORT, "Write there, whole or not at all.", "FILE")
_DEBUG = typer.Option("--debug", help="Show the traceback of an error of ours.", rich_help_panel=REPORT)


@dataclass(frozen=True, eq=False, repr=False)
class ReportFlags:
    """Where a report goes and in which form."""

    format_: Annotated[
        Format, typer.Option("--format", help="The form of the report.", rich_help_panel=REPORT, case_sensitive=False)
    ] = Format.table
    output: Annotated[str | None, _OUTPUT] = None
    debug: Annotated[bool, _DEBUG] = False


@dataclass(frozen=True, eq=False, repr=False)
class VerdictReportFlags:
    """The same for the report of ``verify-props``, which has more forms."""

    format_: Annotated[
        VerdictFormat,
        typer.Option("--format", help="The form of the report.", rich_help_panel=REPORT, case_sensitive=False),
    ] = VerdictFormat.table
    output: Annotated[str | None, _OUTPUT] = None
    debug: Annotated[bool, _DEBUG] = False


@dataclass(frozen=True, eq=False, repr=False)
class PlotFlags:
    """Where a figure goes."""

    plot: Annotated[str | None, option("--plot", REPORT, "Draw a figure: .png, .svg or .pdf.", "FILE")] = None
