"""The options that say where a result goes, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from kdegrad.cli.flags.words import option
from kdegrad.errors import SettingError
from kdegrad.reports import Format

REPORT = "Report"
PARQUET = ".parquet"


def form(help_: str) -> Any:
    """Return the declaration of ``--format``."""
    return typer.Option(
        "--format", help=help_, metavar="NAME", rich_help_panel=REPORT, case_sensitive=False, show_default=False
    )


@dataclass(eq=False, repr=False)
class _OutputFlags:
    """Where a report goes."""

    output: Annotated[
        str | None, option("--output", REPORT, "Write there, whole or not at all; .parquet by suffix.", "FILE")
    ] = None
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error of kdegrad's own.")] = False

    @property
    def is_parquet(self) -> bool:
        """Whether the output is a Parquet file, by its suffix."""
        return self.output is not None and self.output.lower().endswith(PARQUET)

    def require_form_for_output(self, form: str) -> None:
        """Refuse a ``--format`` that the output's suffix contradicts.

        Raises
        ------
        SettingError
            For another form than a table's in a Parquet file.
        """
        if self.is_parquet and form not in ("table", "csv"):
            raise SettingError("format", f"{form} does not go into a {PARQUET} file: leave --format out", "--format")


@dataclass(eq=False, repr=False)
class ReportFlags(_OutputFlags):
    """Where a report goes and in which form."""

    format_: Annotated[Literal["table", "json", "csv"], form("table, json or csv. [default: table]")] = "table"

    @property
    def form(self) -> Format:
        """The form to render: for Parquet CSV, whose columns it has."""
        return Format.csv if self.is_parquet else Format(self.format_)


@dataclass(eq=False, repr=False)
class VerdictReportFlags(_OutputFlags):
    """The same for the report of ``verify-props``, which has more forms."""

    format_: Annotated[Format, form("table, json, csv, junit or github. [default: table]")] = Format.table

    @property
    def form(self) -> Format:
        """The form to render: for Parquet CSV, whose columns it has."""
        return Format.csv if self.is_parquet else self.format_


@dataclass(eq=False, repr=False)
class PlotFlags:
    """Where a figure goes."""

    plot: Annotated[str | None, option("--plot", REPORT, "Draw a figure: .png, .svg or .pdf.", "FILE")] = None
