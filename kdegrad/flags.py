"""The options of the command line that several commands share, declared once, and what they mean together with a file.

Everything arrives as text: numbers obey the grammar that files obey too (`kdegrad.grammar`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from kdegrad import grammar
from kdegrad.errors import SettingError
from kdegrad.reports import Format
from kdegrad.reports.verdicts import VerdictFormat

if TYPE_CHECKING:
    from kdegrad.problem import Problem

PROBLEM, READING, CHECKS, REPORT = "Problem", "Reading", "Checks", "Report"


def _option(name: str, panel: str, help_: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=help_, metavar=metavar, rich_help_panel=panel, show_default=False)


_OUTPUT = _option("--output", REPORT, "Write there, whole or not at all.", "FILE")
_DEBUG = typer.Option("--debug", help="Show the traceback of an error of ours.", rich_help_panel=REPORT)


@dataclass(frozen=True)
class ProblemFlags:
    """INPUT and the options of every computing command (SPEC section 6)."""

    input_: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]", help="A .csv, .tsv, .yaml or .yml file, or - for standard input.", show_default=False
        ),
    ] = None
    target: Annotated[tuple[str, str] | None, _option("--target", PROBLEM, "The interval [a, b].", "LOW HIGH")] = None
    kernel: Annotated[str | None, _option("--kernel", PROBLEM, "See kdegrad kernels. [default: laplace]", "NAME")] = (
        None
    )
    bandwidth: Annotated[
        str | None, _option("--bandwidth", PROBLEM, "Scale of the kernel, in the angles' unit. [default: 1]", "H")
    ] = None
    df: Annotated[str | None, _option("--df", PROBLEM, "Degrees of freedom of student-t. [default: 3]", "NU")] = None
    bins: Annotated[str | None, _option("--bins", PROBLEM, "How many bins. [default: 360]", "B")] = None
    rule: Annotated[str | None, _option("--rule", PROBLEM, "midpoint, gauss or exact. [default: midpoint]", "NAME")] = (
        None
    )
    at: Annotated[str | None, _option("--at", PROBLEM, "One bin only, at X.", "X")] = None
    scale: Annotated[str | None, _option("--scale", PROBLEM, "Multiply the kernel by C. [default: 1]", "C")] = None
    background: Annotated[
        str | None,
        _option("--background", PROBLEM, "Mix the share E of the target's uniform density in. [default: 0]", "E"),
    ] = None
    circular: Annotated[
        bool | None,
        typer.Option(
            "--circular/--no-circular", help="Angles live on a circle.", rich_help_panel=PROBLEM, show_default=False
        ),
    ] = None
    period: Annotated[str | None, _option("--period", PROBLEM, "The circle's circumference.", "P")] = None
    unit: Annotated[
        str | None,
        _option("--unit", PROBLEM, "degrees, radians or turns: the circle's circumference. [default: degrees]", "NAME"),
    ] = None
    sums: Annotated[
        str | None, _option("--sums", PROBLEM, "auto, dense or fast: same numbers. [default: auto]", "NAME")
    ] = None
    angle_column: Annotated[
        str | None, _option("--angle-column", READING, "Column of the angles. [default: angle]", "NAME")
    ] = None
    logit_column: Annotated[
        str | None, _option("--logit-column", READING, "Column of the logits. [default: logit]", "NAME")
    ] = None
    weight_column: Annotated[
        str | None, _option("--weight-column", READING, "Column of the weights. [default: weight]", "NAME")
    ] = None
    label_column: Annotated[
        str | None, _option("--label-column", READING, "Column of the labels. [default: label]", "NAME")
    ] = None
    delimiter: Annotated[
        str | None, _option("--delimiter", READING, "Between cells. [default: from the file]", "C")
    ] = None
    input_format: Annotated[
        str | None, _option("--input-format", READING, "csv, tsv or yaml. [default: by suffix]", "NAME")
    ] = None

    def problem(self, source: str, *, quiet: bool = False) -> Problem:
        """Read `source` and return the problem that it and the flags make; a flag wins over the file.

        Unless `quiet`, points without logits and weights are remarked on.

        Raises
        ------
        KdegradError
            For a file, a flag or a combination that cannot be used, with the place.
        """
        from kdegrad.problem import Problem
        from kdegrad.reading import Columns, read

        given = self._settings()
        columns = Columns(self.angle_column, self.logit_column, self.weight_column, self.label_column)
        content = read(source, input_format=self.input_format, columns=columns, delimiter=self.delimiter)
        if content.logits is None and not quiet:
            print(f"note: {content.name} has neither logits nor weights: all points weigh the same", file=sys.stderr)
        settings = _override(content.settings, given)
        try:
            return Problem(content.angles, content.logits, content.labels, **settings)
        except SettingError as error:
            place = None if error.name in given else content.places.get(error.name)
            raise error.at(place or f"--{error.name}") from None

    def _settings(self) -> dict[str, Any]:
        """Return the settings that the flags give, by name, as Python values."""
        settings = {
            name: text if reads is str else read_option(name, reads, text)
            for name, reads in _READS.items()
            if (text := getattr(self, name)) is not None
        }
        if self.target is not None:
            low, high = self.target
            settings["target"] = (
                read_option("target", grammar.number, low),
                read_option("target", grammar.number, high),
            )
        if self.circular is not None:
            settings["circular"] = self.circular
        if "at" in settings and (clash := {"bins", "rule"} & settings.keys()):
            raise SettingError("at", f"is one bin: leave out --{' and --'.join(sorted(clash))}", "--at")
        if self.circular is False and self.period is not None:
            raise SettingError("period", "makes a circle, --no-circular a line: leave one out", "--period")
        return settings


_READS: dict[str, Callable[[str], Any]] = {
    "kernel": str,
    "bandwidth": grammar.number,
    "df": grammar.number,
    "bins": grammar.integer,
    "rule": str,
    "at": grammar.number,
    "scale": grammar.number,
    "background": grammar.number,
    "period": grammar.number,
    "unit": str,
    "sums": str,
}


def read_option(name: str, reads: Callable[[str], Any], text: str) -> Any:
    """Return what `reads` makes of an option's text.

    Raises
    ------
    SettingError
        With the option, the text and what to write instead.
    """
    try:
        return reads(text)
    except ValueError as error:
        raise SettingError(name, str(error), f"--{name}") from None


def count_option(name: str, text: str, *, least: int) -> int:
    """Return the whole number of at least `least` that an option's text writes.

    Raises
    ------
    SettingError
        With the option, the text and what to write instead.
    """
    value: int = read_option(name, grammar.integer, text)
    if value < least:
        raise SettingError(name, f"{value} is out of range: give {least} or more", f"--{name}")
    return value


def _override(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the file's settings with the flags over them, and without those that a flag makes void."""
    void = set()
    if {"bins", "rule"} & given.keys():
        void.add("at")
    if given.get("circular") is False:
        void.add("period")
    return {name: value for name, value in settings.items() if name not in void} | given


@dataclass(frozen=True)
class CheckFlags:
    """What ``verify-props`` checks, and how strictly."""

    cases: Annotated[str, _option("--cases", CHECKS, "Random problems beside the input's. [default: 20]", "N")] = "20"
    seed: Annotated[str, _option("--seed", CHECKS, "What they are drawn from. [default: 0]", "S")] = "0"
    only: Annotated[list[str] | None, _option("--only", CHECKS, "This property; may be repeated.", "ID")] = None
    tolerance: Annotated[
        str | None, _option("--tolerance", CHECKS, "What rounding may do. [default: each check's own estimate]", "T")
    ] = None
    list_: Annotated[
        bool, typer.Option("--list", help="List the properties, check nothing.", rich_help_panel=CHECKS)
    ] = False

    def options(self) -> dict[str, Any]:
        """Return the keywords of `kdegrad.verify` that the flags give."""
        return {
            "cases": count_option("cases", self.cases, least=0),
            "seed": count_option("seed", self.seed, least=0),
            "only": tuple(self.only or ()),
            "tolerance": self.tolerance and read_option("tolerance", grammar.number, self.tolerance),
        }


@dataclass(frozen=True)
class ReportFlags:
    """Where a report goes and in which form."""

    format_: Annotated[
        Format, typer.Option("--format", help="The form of the report.", rich_help_panel=REPORT, case_sensitive=False)
    ] = Format.table
    output: Annotated[str | None, _OUTPUT] = None
    debug: Annotated[bool, _DEBUG] = False


@dataclass(frozen=True)
class VerdictReportFlags:
    """The same for the report of ``verify-props``, which has more forms."""

    format_: Annotated[
        VerdictFormat,
        typer.Option("--format", help="The form of the report.", rich_help_panel=REPORT, case_sensitive=False),
    ] = VerdictFormat.table
    output: Annotated[str | None, _OUTPUT] = None
    debug: Annotated[bool, _DEBUG] = False


def flattened(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with one parameter for each field of its dataclass parameters, as Typer wants them."""
    groups: dict[str, Any] = {name: hint for name, hint in get_type_hints(command).items() if is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=get_type_hints(command, include_extras=True)[name]))
            continue
        hints = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
            for field in fields(groups[name])
        ]

    def run(**values: Any) -> int:
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**built, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions take one; typeshed does not say so
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    return run
