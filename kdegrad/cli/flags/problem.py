"""INPUT and the options of a problem, and what they mean together with a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import typer

from kdegrad import grammar, output
from kdegrad.cli.flags.words import option, parsed
from kdegrad.cli.terminal import say
from kdegrad.errors import SettingError

if TYPE_CHECKING:
    from kdegrad.problem import Problem

PROBLEM, READING = "Problem", "Reading"
_READS: Final[Mapping[str, Callable[[str], Any]]] = {  # what the text of a setting becomes
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


def _input(default: str) -> Any:
    """Return the argument INPUT; `default` is what is taken without it."""
    return typer.Argument(
        metavar="[INPUT]",
        rich_help_panel="Arguments",
        help=f"A .csv, .tsv, .yaml, .yml or .parquet file, or - for standard input. [default: {default}]",
        show_default=False,
    )


def _kernel(help_: str) -> Any:
    """Return the option --kernel."""
    return option("--kernel", PROBLEM, f"{help_} [default: laplace]", "NAME", words="kernel.BY_NAME")


@dataclass(eq=False, repr=False)
class ProblemFlags:
    """INPUT and the options of every computing command (SPEC section 6)."""

    takes_kernels: ClassVar = False
    input_: Annotated[str | None, _input("a packaged example")] = None
    target: Annotated[tuple[str, str] | None, option("--target", PROBLEM, "The interval [a, b].", "LOW HIGH")] = None
    kernel: Annotated[list[str] | None, _kernel("See kdegrad kernels.")] = None
    bandwidth: Annotated[
        str | None, option("--bandwidth", PROBLEM, "Its scale, in the angles' unit. [default: 1]", "H")
    ] = None
    df: Annotated[str | None, option("--df", PROBLEM, "Degrees of freedom of student-t. [default: 3]", "NU")] = None
    bins: Annotated[str | None, option("--bins", PROBLEM, "How many bins. [default: 360]", "B")] = None
    rule: Annotated[
        str | None,
        option("--rule", PROBLEM, "midpoint, gauss or exact. [default: midpoint]", "NAME", words="settings.RULES"),
    ] = None
    at: Annotated[str | None, option("--at", PROBLEM, "One bin only, at X.", "X")] = None
    scale: Annotated[str | None, option("--scale", PROBLEM, "Multiply the kernel by C. [default: 1]", "C")] = None
    background: Annotated[
        str | None,
        option("--background", PROBLEM, "Share of the target's uniform density mixed in. [default: 0]", "E"),
    ] = None
    circular: Annotated[
        bool | None,
        typer.Option(
            "--circular/--no-circular", help="Angles live on a circle.", rich_help_panel=PROBLEM, show_default=False
        ),
    ] = None
    period: Annotated[str | None, option("--period", PROBLEM, "The circle's circumference.", "P")] = None
    unit: Annotated[
        str | None,
        option(
            "--unit",
            PROBLEM,
            "degrees, radians or turns: the circle's circumference. [default: degrees]",
            "NAME",
            words="settings.CIRCUMFERENCE",
        ),
    ] = None
    sums: Annotated[
        str | None,
        option("--sums", PROBLEM, "How to sum: auto, dense, fast. [default: auto]", "NAME", words="settings.SUMS"),
    ] = None
    angle_column: Annotated[
        str | None, option("--angle-column", READING, "Column of the angles. [default: angle]", "NAME")
    ] = None
    logit_column: Annotated[
        str | None, option("--logit-column", READING, "Column of the logits. [default: logit]", "NAME")
    ] = None
    weight_column: Annotated[
        str | None, option("--weight-column", READING, "Column of the weights. [default: weight]", "NAME")
    ] = None
    label_column: Annotated[
        str | None, option("--label-column", READING, "Column of the labels. [default: label]", "NAME")
    ] = None
    delimiter: Annotated[str | None, option("--delimiter", READING, "Between cells. [default: from the file]", "C")] = (
        None
    )
    input_format: Annotated[
        str | None,
        option(
            "--input-format",
            READING,
            "csv, tsv, yaml or parquet. [default: by suffix]",
            "NAME",
            words="reading.FORMATS",
        ),
    ] = None

    def problem(self, source: str, outputs: Mapping[str, str | None], *, quiet: bool = False) -> Problem:
        """Read `source` and return the problem that it and the flags make; a flag wins over the file.

        Parameters
        ----------
        source
            INPUT.
        outputs
            Option → file that will be written; None where the option is not given.
        quiet
            Whether to leave out the notes: that all points weigh the same, that an option does nothing.

        Raises
        ------
        KdegradError
            For a file, a flag or a combination that cannot be used, with the place.
        """
        from kdegrad.reading import ColumnNames, problem_of, read

        given = self._settings()
        output.check_outputs(outputs, source)
        columns = ColumnNames(self.angle_column, self.logit_column, self.weight_column, self.label_column)
        content = read(source, input_format=self.input_format, columns=columns, delimiter=self.delimiter)
        if content.table is not None:
            output.check_outputs(outputs, content.table)
        for note in () if quiet else content.notes:
            say(f"note: {content.name} {note}")
        made = problem_of(content, given)
        if not quiet:
            self._note_unused(made)
        return made

    def _note_unused(self, made: Problem) -> None:
        """Say which flags do nothing for the problem."""
        if not self.takes_kernels:
            self.note_unused_df([made.kernel.name])
        if self.bins is not None and made.settings.rule == "exact":
            say("note: --bins is for midpoint and gauss: the rule exact finds its nodes itself")

    def note_unused_df(self, kernels: Collection[str]) -> None:
        """Say so if there are degrees of freedom and none of the kernels has any."""
        if self.df is not None and "student-t" not in kernels:
            does = "does" if len(kernels) == 1 else "do"
            say(f"note: --df is for student-t: {', '.join(kernels)} {does} without")

    def _settings(self) -> dict[str, Any]:
        """Return the settings that the flags give, by name, as Python values."""
        settings = {
            name: parsed(name, reads, text)
            for name, reads in _READS.items()
            if (text := getattr(self, name)) is not None
        }
        if self.target is not None:
            low, high = self.target
            settings["target"] = (parsed("target", grammar.number, low), parsed("target", grammar.number, high))
        if self.kernel:
            if len(self.kernel) > 1 and not self.takes_kernels:
                raise SettingError("kernel", "is given more than once: give one (sweep takes several)", "--kernel")
            settings["kernel"] = self.kernel[0]
        if self.circular is not None:
            settings["circular"] = self.circular
        if "at" in settings and (clash := {"bins", "rule"} & settings.keys()):
            raise SettingError("at", f"is one bin: leave out --{' and --'.join(sorted(clash))}", "--at")
        if self.circular is False and self.period is not None:
            raise SettingError("period", "makes a circle, --no-circular a line: leave one out", "--period")
        return settings


@dataclass(eq=False, repr=False)
class SweepProblemFlags(ProblemFlags):
    """The same for ``sweep``, which may take several kernels."""

    takes_kernels: ClassVar = True
    kernel: Annotated[list[str] | None, _kernel("May be repeated.")] = None


@dataclass(eq=False, repr=False)
class CheckProblemFlags(ProblemFlags):
    """The same for ``verify-props``, which without INPUT takes all packaged examples."""

    input_: Annotated[str | None, _input("all the examples")] = None
