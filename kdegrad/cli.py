"""The command line: options → Problem → one call → a report, and what the exit code means.

0    done
1    a property failed
2    wrong usage or input
3    the result is not finite
4    the machine failed us, or an error of our own
130  interrupted
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from kdegrad import __version__, reports, writing
from kdegrad.errors import KdegradError, SettingError
from kdegrad.flags import CheckFlags, ProblemFlags, ReportFlags, VerdictReportFlags, count_option, flattened
from kdegrad.reports import Format, Look

if TYPE_CHECKING:
    from kdegrad.problem import Problem

DONE, PROPERTY_FAILED, WRONG_INPUT, NOT_FINITE, MACHINE_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXAMPLE = "two_sided.yaml"
EXAMPLES = (EXAMPLE, "mallards.yaml", "turtles.yaml", "wind.yaml")

# Typer 0.26 took click in as a private module; click's class of usage errors is reached through a public name.
_UsageError: Any = typer.BadParameter.__mro__[1]


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their panels, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a panel, in the order in which the panels first appear."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


app = typer.Typer(
    name="kdegrad",
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help starts faster, pipes well, and needs no rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a property failed, 2 wrong usage or input, 3 the result is not finite, "
    "4 the machine failed, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"kdegrad {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Compute the gradient of the cross-entropy between a uniform target and a weighted kernel density."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(WRONG_INPUT)


def command(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function that returns its exit code as the command `name`."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        app.command(name, cls=GroupedCommand)(flattened(function))
        return function

    return register


@command("loss")
def loss(problem: ProblemFlags, report: ReportFlags) -> int:
    """Compute the loss: the cross-entropy of the uniform target and the model's density."""
    from kdegrad.objective import evaluate

    evaluation = evaluate(_load(problem, report), wrt=())
    _deliver(report, reports.loss(evaluation, report.format_, look_of(report)))
    return DONE if evaluation.is_finite else NOT_FINITE


@command("grad")
def grad(
    problem: ProblemFlags,
    report: ReportFlags,
    wrt: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="logits, angles, bandwidth: separated by commas.", rich_help_panel="Gradient"
        ),
    ] = "logits",
    per_bin: Annotated[
        bool, typer.Option("--per-bin", help="One row per bin and point.", rich_help_panel="Gradient")
    ] = False,
    top: Annotated[
        str | None,
        typer.Option(
            metavar="K", help="Only the K largest, the largest first.", rich_help_panel="Gradient", show_default=False
        ),
    ] = None,
) -> int:
    """Compute the gradients of the loss: of the logits, the angles and the bandwidth."""
    from kdegrad.objective import evaluate

    rows = None if top is None else count_option("top", top, least=1)
    names = [name.strip() for name in wrt.split(",")]
    if per_bin and (rows is not None or set(names) != {"logits"}):
        raise SettingError(
            "per-bin", "lists the logits' gradient for every bin and point: leave out --top and --wrt", "--per-bin"
        )
    evaluation = evaluate(_load(problem, report), wrt=names)
    if not evaluation.is_finite:
        _say(f"error: {reports.not_finite(evaluation)}")
        return NOT_FINITE
    _deliver(report, reports.gradient(evaluation, report.format_, look_of(report), top=rows, per_bin=per_bin))
    if report.format_ is Format.csv and evaluation.gradients.log_bandwidth is not None:
        _say(f"note: the gradient of log h, {evaluation.gradients.log_bandwidth!r}, has no column in CSV")
    return DONE


@command("verify-props")
def verify_props(problem: ProblemFlags, checks: CheckFlags, report: VerdictReportFlags) -> int:
    """Check the note's claims and what stands behind them: each passes, fails, or is skipped with a reason."""
    from kdegrad import properties
    from kdegrad.reports import verdicts

    look = look_of(report)
    if checks.list_:
        _deliver(report, verdicts.listing(properties.PROPERTIES, report.format_, look))
        return DONE
    done = properties.verify(_load_cases(problem, report), **checks.options())
    passed = properties.passed(done)
    _deliver(report, verdicts.verdicts(done, properties.PROPERTIES, passed, report.format_, look))
    return DONE if passed else PROPERTY_FAILED


@command("kernels")
def kernels(report: ReportFlags) -> int:
    """List the kernels: names, formulas, support, tail, and the claims of the note that hold for each."""
    _deliver(report, reports.kernels(report.format_, look_of(report)))
    return DONE


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; the only place that catches errors."""
    debug = "--debug" in arguments
    try:
        return (
            typer.main.get_command(app).main(args=list(arguments), prog_name="kdegrad", standalone_mode=False) or DONE
        )
    except KdegradError as error:
        if isinstance(error, SettingError) and error.place is None:
            error = error.at(f"--{error.name}")
        _say("\n".join(f"error: {line}" for line in str(error).splitlines()))
        return WRONG_INPUT
    except _UsageError as error:
        return _explain_usage(error)
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except Exception as error:  # every other error is the machine's or our own, and 1 must mean a failed property
        if debug:
            traceback.print_exc()
        _say(f"error: {_machine_error(error)}" + ("" if debug else " (--debug shows where)"))
        return MACHINE_FAILED


def _load(flags: ProblemFlags, report: ReportFlags | VerdictReportFlags) -> Problem:
    """Return the problem that INPUT and the flags make, once the output is known to be writable."""
    source = flags.input_
    if source is None:
        _say(f"note: no INPUT: the packaged example {EXAMPLE} is used")
        source = _example(EXAMPLE)
    if report.output is not None:
        writing.check_output(report.output, source)
    return flags.problem(source)


def _load_cases(flags: ProblemFlags, report: VerdictReportFlags) -> dict[str, Problem]:
    """Return the problems to check by name: INPUT, or those of the packaged examples that the flags fit."""
    if flags.input_ is not None:
        return {"input": _load(flags, report)}
    if report.output is not None:
        writing.check_output(report.output)
    _say("note: no INPUT: the packaged examples are checked")
    cases, misfit = {}, None
    for name in EXAMPLES:
        try:
            cases[name] = flags.problem(_example(name), quiet=True)
        except SettingError as error:  # a kernel of the circle does not fit an example on the line
            misfit = error
    if not cases and misfit is not None:
        raise misfit
    return cases


def _example(name: str) -> str:
    """Return the path of a packaged example: in the package once installed, beside it in a checkout."""
    package = Path(__file__).parent
    packaged, checkout = (folder / "sample_inputs" / name for folder in (package, package.parent))
    return str(packaged if packaged.exists() else checkout)


def look_of(report: ReportFlags | VerdictReportFlags) -> Look:
    """Return what the place that the report goes to can do."""
    if report.output is not None:
        return Look()
    terminal = sys.stdout.isatty()
    width = int(os.environ.get("COLUMNS") or 0) if os.environ.get("COLUMNS", "0").isdecimal() else 0
    dumb = os.environ.get("TERM") == "dumb"
    return Look(
        width=width or (shutil.get_terminal_size().columns if terminal else 80),
        unicode=(sys.stdout.encoding or "ascii").lower().replace("-", "") in ("utf8", "utf16", "utf32"),
        colour=terminal and not dumb and not os.environ.get("NO_COLOR"),
    )


def _deliver(report: ReportFlags | VerdictReportFlags, pieces: Iterator[str]) -> None:
    """Send a report to the file or to standard output."""
    if report.output is not None:
        writing.write_file(report.output, pieces)
    else:
        writing.write_stdout(pieces, for_people=report.format_ == "table")


def _explain_usage(error: Any) -> int:
    """Say what is wrong with the command line, as click words it, and where help is."""
    path = error.ctx.command_path if error.ctx is not None else "kdegrad"
    _say(f"error: {error.format_message()}\nTry '{path} --help'.")
    return WRONG_INPUT


def _machine_error(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory: fewer points or bins, or a larger machine"
    if isinstance(error, OSError):
        return f"{error.filename or 'output'}: {error.strerror or error}"
    return f"an error of kdegrad's own, {type(error).__name__}: {error}"


def _say(message: str) -> None:
    """Print a message on standard error, whatever its encoding can show."""
    encoding = sys.stderr.encoding or "ascii"
    print(message.encode(encoding, errors="backslashreplace").decode(encoding), file=sys.stderr)
