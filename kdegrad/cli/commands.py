"""The commands: each loads its problem, calls the library once, renders the result, and returns its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdegrad import figures, output, reports
from kdegrad.cli.flags import (
    REPORT,
    CheckFlags,
    CheckProblemFlags,
    DescentFlags,
    PlotFlags,
    ProblemFlags,
    ReportFlags,
    SweepFlags,
    SweepProblemFlags,
    VerdictReportFlags,
    count,
    names,
    option,
)
from kdegrad.cli.terminal import DONE, NOT_FINITE, PROPERTY_FAILED, Progress, say
from kdegrad.errors import SettingError
from kdegrad.output import Look, look_of_stdout
from kdegrad.reports import Format, as_parquet

if TYPE_CHECKING:
    from kdegrad.descent import DescentStep
    from kdegrad.problem import Problem
    from kdegrad.reports.records import Record
    from kdegrad.sweeps import Value

GRADIENT = "Gradient"
EXAMPLE = "two_sided.yaml"
EXAMPLES = (EXAMPLE, "mallards.yaml", "turtles.yaml", "wind.yaml")
COMPARED_POINTS = 2_000  # of a problem whose bins are compared with the integral unasked

COMMANDS: dict[str, Callable[..., int]] = {}


def command(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function that returns its exit code as the command `name`."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        COMMANDS[name] = function
        return function

    return register


@command("loss")
def loss(
    problem: ProblemFlags,
    report: ReportFlags,
    figure: PlotFlags,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--no-exact",
            help="Compare the bins with the integral in the table. [default: up to 2000 points]",
            rich_help_panel=REPORT,
            show_default=False,
        ),
    ] = None,
) -> int:
    """Compute the loss, the cross-entropy of target and density."""
    from kdegrad.objective import evaluate, exact_loss
    from kdegrad.reports import records

    if exact and report.form is not Format.table:
        raise SettingError("exact", f"is for the table, and not for {report.form}: leave it out", "--exact")
    loaded = _load(problem, report, figure)
    if exact and (loaded.settings.at is not None or loaded.settings.rule == "exact"):
        raise SettingError("exact", "compares bins with the integral, and there are no bins: leave it out", "--exact")
    with Progress("summing"):
        evaluation = evaluate(loaded, wrt=())
    wanted = len(evaluation.weights) <= COMPARED_POINTS if exact is None else exact
    compared = wanted and report.form is Format.table and evaluation.approximates_integral
    integral = exact_loss(evaluation.problem) if compared else None
    deliver(report, records.loss_record(evaluation, integral))
    if figure.plot is not None:
        figures.loss(evaluation, figure.plot)
    return DONE if evaluation.is_finite else NOT_FINITE


@command("grad")
def grad(
    problem: ProblemFlags,
    report: ReportFlags,
    figure: PlotFlags,
    wrt: Annotated[
        list[str] | None,
        option(
            "--wrt", GRADIENT, "logits, angles, bandwidth, by commas. [default: logits]", "NAMES", words="objective.WRT"
        ),
    ] = None,
    per_bin: Annotated[
        bool, typer.Option("--per-bin", help="One row per bin and point.", rich_help_panel=GRADIENT)
    ] = False,
    top: Annotated[str | None, option("--top", GRADIENT, "Only the K largest, the largest first.", "K")] = None,
) -> int:
    """Compute the gradient of logits, angles and bandwidth."""
    from kdegrad.objective import evaluate
    from kdegrad.reports import records

    rows, moving = None if top is None else count("top", top), names(*wrt or ["logits"])
    if per_bin and (rows is not None or set(moving) != {"logits"}):
        raise SettingError(
            "per-bin", "lists the logits' gradient for every bin and point: leave out --top and --wrt", "--per-bin"
        )
    loaded = _load(problem, report, figure)
    with Progress("summing"):
        evaluation = evaluate(loaded, wrt=moving)
    if not evaluation.is_finite:
        say(f"error: {records.not_finite(evaluation)}")
        return NOT_FINITE
    deliver(report, records.gradient_record(evaluation, rows, per_bin=per_bin))
    if figure.plot is not None:
        figures.gradient(evaluation, figure.plot, per_bin=per_bin)
    _warn_of_noise(evaluation.lost_share)
    if report.form is Format.csv and evaluation.require_gradients().log_bandwidth is not None:
        say(f"note: the gradient of log h, {evaluation.require_gradients().log_bandwidth!r}, has no column in CSV")
    return DONE


@command("verify-props")
def verify_props(problem: CheckProblemFlags, report: VerdictReportFlags, figure: PlotFlags, checks: CheckFlags) -> int:
    """Check the note's claims, and what stands behind them.

    Each check passes, fails, or is skipped with a reason. Without INPUT, on all packaged examples.
    """
    from kdegrad import properties
    from kdegrad.reports import records

    if checks.list_:
        if figure.plot is not None:
            raise SettingError("plot", "draws what came of checks, and --list runs none: leave one out", "--plot")
        output.check_outputs(_outputs(report))
        if problem.input_ is not None:
            say("note: --list checks nothing: INPUT is not read")
        deliver(report, records.properties_record(properties.chosen(checks.options()["only"])))
        return DONE
    cases = _load_cases(problem, report, figure)
    options = checks.options()
    total = (len(cases) + options["cases"]) * len(properties.chosen(options["only"]))
    with Progress("checks", total) as advance:
        done = properties.verify(cases, **options, progress=advance)
    passed = properties.passed(done)
    deliver(report, records.checks_record(done, properties.PROPERTIES, passed))
    if figure.plot is not None:
        figures.verdicts(done, figure.plot)
    return DONE if passed else PROPERTY_FAILED


@command("sweep")
def sweep(problem: SweepProblemFlags, report: ReportFlags, figure: PlotFlags, along: SweepFlags) -> int:
    """Compute loss and gradient along one parameter.

    --over distance moves the points away from the target. --kernel may be repeated: each is taken along.
    """
    from kdegrad import sweeps
    from kdegrad.reports import records

    values = along.values()
    start = _load(problem, report, figure)
    over = str(along.over)
    members = sweeps.members(start, over, values, problem.kernel)
    _check_ends(start, over, members)
    if over != "kernel" and getattr(problem, over, None) is not None:
        say(f"note: --{over} is what the sweep runs over: the one given is not used")
    problem.note_unused_df(dict(members))
    with Progress("sweep", len(members)) as advance:
        family = sweeps.sweep(start, over, values, kernels=problem.kernel, watch=advance)
    deliver(report, records.sweep_record(family))
    if not family.is_finite:
        say("error: the loss is infinite everywhere: widen the bandwidth, or add a --background")
        return NOT_FINITE
    if figure.plot is not None:
        figures.sweep(family, figure.plot, log=along.log)
    _warn_of_noise(family.lost_share)
    return DONE


@command("descend")
def descend(problem: ProblemFlags, report: ReportFlags, figure: PlotFlags, way: DescentFlags) -> int:
    """Descend along the gradient, and show the course.

    The points at the end are a CSV that grad reads: with --output FILE they go there; with --format csv they are what
    is printed.
    """
    from kdegrad import descent
    from kdegrad.reports import records

    keywords = way.keywords()
    start = _load(problem, report, figure, trace=way.trace)
    total = keywords.get("steps", descent.STEPS) + 1
    with Progress("descent", total) as advance, _tracing(way.trace) as keep:

        def watch(now: DescentStep) -> None:
            keep(now)
            advance(now)

        done = descent.descend(start, **keywords, watch=watch)
    if not done.start.is_finite:
        say(f"error: {records.not_finite(done.start)}")
        return NOT_FINITE
    record = records.descent_record(done)
    if report.output is not None and report.form is Format.table:
        output.write_file(report.output, reports.render(record, Format.csv, Look()))
        output.write_stdout(reports.render(record, Format.table, look_of_stdout()), for_people=True)
    else:
        deliver(report, record)
    if figure.plot is not None:
        figures.descent(done, figure.plot)
    _warn_of_noise(done.lost_share)
    if "bandwidth" in done.wrt and report.form is not Format.json:
        say(f"note: the points belong to --bandwidth {done.end.problem.kernel.bandwidth!r}")
    if done.diverged:
        say(f"error: {done.stopped}")
    return NOT_FINITE if done.diverged else DONE


@command("kernels")
def kernels(report: ReportFlags) -> int:
    """List the kernels, and which claims hold for each."""
    from kdegrad.reports import records

    output.check_outputs(_outputs(report))
    deliver(report, records.kernels_record())
    return DONE


def _check_ends(start: Problem, over: str, members: list[tuple[str, Value]]) -> None:
    """Refuse a range that leaves its parameter's; between two values that are in range, all are."""
    from kdegrad.sweeps import member

    if over == "kernel":
        return
    ends = {members[-1][1]: "--to", members[0][1]: "--from"}
    for kernel, value in members:
        if value in ends:
            try:
                member(start, over, kernel, value)
            except SettingError as error:
                raise error.at(error.place or (ends[value] if error.name == over else f"--{error.name}")) from None


def _warn_of_noise(lost_share: float) -> None:
    """Say so where rounding has taken a noticeable share of the responsibilities."""
    from kdegrad.objective import NOTICEABLE

    if abs(lost_share) > NOTICEABLE:
        say(
            f"warning: the responsibilities sum to {1.0 - lost_share:.6g} instead of 1: "
            "so far out these gradients are rounding noise"
        )


def _load(flags: ProblemFlags, report: ReportFlags, figure: PlotFlags, *, trace: str | None = None) -> Problem:
    """Return the problem that INPUT and the flags make, once all outputs are known to be writable."""
    source = flags.input_
    if source is None:
        say(f"note: no INPUT: the packaged example {EXAMPLE} is used")
        source = _example(EXAMPLE)
    outputs = _outputs(report, figure, trace)
    with Progress("reading"):
        return flags.problem(source, outputs)


def _load_cases(flags: ProblemFlags, report: VerdictReportFlags, figure: PlotFlags) -> dict[str, Problem]:
    """Return the problems to check by name: INPUT, or those of the packaged examples that the flags fit."""
    outputs = _outputs(report, figure)
    if flags.input_ is not None:
        return {"input": flags.problem(flags.input_, outputs)}
    say("note: no INPUT: the packaged examples are checked")
    cases: dict[str, Problem] = {}
    misfits: dict[str, SettingError] = {}
    for name in EXAMPLES:
        try:
            cases[name] = flags.problem(_example(name), outputs, quiet=True)
        except SettingError as error:  # a kernel of the circle does not fit an example on the line
            misfits[name] = error
    if not cases:
        raise misfits[EXAMPLES[-1]]
    for name, misfit in misfits.items():
        say(f"note: {name} is left out: {misfit}")
    return cases


def deliver(report: ReportFlags | VerdictReportFlags, record: Record) -> None:
    """Send a report to the file or to standard output."""
    on_terminal = report.output is None and sys.stdout is not None and sys.stdout.isatty()
    look = Look() if report.output is not None else look_of_stdout()
    pieces = reports.render(record, report.form, look)
    with Progress("writing", shown=not on_terminal):
        if report.output is None:
            output.write_stdout(pieces, for_people=report.form == "table")
        elif report.is_parquet:
            with output.replacing(report.output) as stream:
                as_parquet.write(record.rows, stream)
        else:
            output.write_file(report.output, pieces)


def _outputs(
    report: ReportFlags | VerdictReportFlags, figure: PlotFlags | None = None, trace: str | None = None
) -> dict[str, str | None]:
    """Return the files to write by option, once a figure and Parquet are known to be possible."""
    drawn = None if figure is None else figure.plot
    if drawn is not None:
        figures.require_matplotlib(drawn)
    report.require_form_for_output(report.format_)
    if report.is_parquet:
        as_parquet.require_pyarrow()
    return {"output": report.output, "plot": drawn, "trace": trace}


@contextmanager
def _tracing(file: str | None) -> Iterator[Callable[[DescentStep], object]]:
    """Yield what writes a step of a descent to the file, which appears when the block ends well."""
    if file is None:
        yield lambda _: None
        return
    with output.replacing(file) as stream:
        write = reports.tracer(stream)

        def keep(now: DescentStep) -> None:
            with suppress(BrokenPipeError):  # whoever reads the trace has read enough; the descent goes on
                write(now)

        yield keep


def _example(name: str) -> str:
    """Return the path of a packaged example: in the package once installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged, checkout = (folder / "sample_inputs" / name for folder in (package, package.parent))
    return str(packaged if packaged.exists() else checkout)
