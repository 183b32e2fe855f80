"""The options that say where a result goes, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from kdegrad.flags.words import option
from kdegrad.reports import Format

REPORT = "Report"


@dataclass(frozen=True)
class ReportFlags:
    """Where a report goes and in which form."""

    format_: Annotated[
        Format, typer.Option("--format", help="The form of the report.", rich_help_panel=REPORT, case_sensitive=False)
    ] = Format.table
    output: Annotated[str | None, option("--output", REPORT, "Write there, whole or not at all.", "FILE")] = None
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error of ours.", rich_help_panel=REPORT)
    ] = False


@dataclass(frozen=True)
class PlotFlags:
    """Where a figure goes."""

    plot: Annotated[str | None, option("--plot", REPORT, "Draw a figure: .png, .svg or .pdf.", "FILE")] = None
