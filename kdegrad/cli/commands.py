"""The commands: each loads its problem, calls the library once, renders the result, and returns its exit code."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kdegrad import figures, output, reports
from kdegrad.cli.delivery import (
    deliver,
    deliver_checks,
    deliver_to,
    format_of,
    outputs,
    show_table,
    suffix_format,
    trace_separator,
    warn_of_rounding,
)
from kdegrad.cli.inputs import (
    expected_failures,
    is_streamed,
    judged_by,
    load,
    load_cases,
    load_groups,
    note_unused_df,
    sweep_values,
)
from kdegrad.cli.options import Command, Flags
from kdegrad.cli.terminal import DONE, NOT_FINITE, PROPERTY_FAILED, Progress, note_duration, say, say_error
from kdegrad.errors import SettingError
from kdegrad.reports import ROWS, Format
from kdegrad.settings import (
    CheckOptions,
    CheckReportOptions,
    DebugOptions,
    DescentOptions,
    DrawingOptions,
    GradientOptions,
    JudgedOptions,
    PartsOptions,
    ReadingOptions,
    ReportOptions,
    Settings,
    SweepOptions,
    TargetOptions,
)

if TYPE_CHECKING:
    from kdegrad.descent import DescentStep
    from kdegrad.properties.evaluators import Judged

COMPARED_POINTS: Final = 2_000  # up to this many points the comparison is made by default


def loss(flags: Flags) -> int:
    """Compute the loss, the cross-entropy of target and density."""
    from kdegrad.objective import evaluate, exact_loss
    from kdegrad.problem import Problem
    from kdegrad.reports import records

    report = flags.of(ReportOptions)
    if is_streamed(flags):
        from kdegrad.cli import streamed, streamed_groups

        run = streamed.loss if flags.of(ReadingOptions).group_by is None else streamed_groups.loss
        return run(flags, report)
    form = format_of(report)
    problem = load_groups(flags, report)
    if not isinstance(problem, Problem):
        from kdegrad.cli import grouped  # a single problem does not wait for it

        return grouped.loss(problem, report)
    if report.top is not None:
        raise SettingError("top", "is for the groups of largest loss, and there are no groups: leave it out")
    if report.exact and (problem.observed is not None or problem.settings.rule == "exact"):
        raise SettingError("exact", "compares bins with the integral, and there are no bins: leave it out")
    if report.exact and form in ROWS:
        raise SettingError("exact", f"{form.upper()} has no column for it: leave it out, or give --format json")
    with Progress("summing"):
        evaluation = evaluate(problem, wrt=())
    is_usual = form in (Format.table, Format.html) and len(evaluation.weights) <= COMPARED_POINTS
    wanted = is_usual if report.exact is None else report.exact
    integral = exact_loss(problem) if wanted and evaluation.approximates_integral else None
    deliver(report, records.loss_record(evaluation, integral))
    if report.plot is not None:
        figures.save(evaluation, report.plot)
    return DONE if evaluation.is_finite else NOT_FINITE


def grad(flags: Flags) -> int:
    """Compute the gradient of logits, angles and bandwidth."""
    from kdegrad.objective import evaluate
    from kdegrad.problem import Problem
    from kdegrad.reports import records
    from kdegrad.reports.causes import not_finite

    report, of = flags.of(ReportOptions), flags.of(GradientOptions)
    if of.per_bin and (report.top is not None or of.wrt != ("logits",)):
        raise SettingError("per-bin", "lists the logits' gradient for every bin and point: leave out --top and --wrt")
    if is_streamed(flags):
        from kdegrad.cli import streamed, streamed_groups

        run = streamed.grad if flags.of(ReadingOptions).group_by is None else streamed_groups.grad
        return run(flags, report, of)
    problem = load_groups(flags, report)
    if not isinstance(problem, Problem):
        from kdegrad.cli import grouped  # a single problem does not wait for it

        return grouped.grad(problem, report, of)
    with Progress("summing"):
        evaluation = evaluate(problem, of.wrt)
    if not evaluation.is_finite:
        say_error(not_finite(evaluation))
        return NOT_FINITE
    deliver(report, records.gradient_record(evaluation, report.top, per_bin=of.per_bin))
    if report.plot is not None:
        figures.save(evaluation, report.plot, per_bin=of.per_bin)
    warn_of_rounding(evaluation.input_rounding)
    slope = evaluation.require_gradients().log_bandwidth
    if (form := format_of(report)) in ROWS and slope is not None:
        say(f"note: {form.upper()} has no column for the gradient of log h, which is {slope!r}")
    return DONE


def verify_props(flags: Flags) -> int:
    """Check the README's claims, and the results behind them.

    The claims are about the gradient. Each check passes, fails, or is skipped with a reason. Without INPUT, on all
    packaged examples; with --loss, on a Python function my_loss(angles, logits, target, **options) of yours.
    """
    from kdegrad import properties
    from kdegrad.cli import rerun
    from kdegrad.reports import records

    report, checks, of = flags.of(CheckReportOptions), flags.of(CheckOptions), flags.of(JudgedOptions)
    chosen = properties.chosen(checks.only, checks.skip)
    may_fail = expected_failures(checks)
    for name in [name for name in flags.given(JudgedOptions) if of.loss is None]:
        raise SettingError(name, "is about the loss that --loss MODULE:NAME names, and there is none: give both")
    if checks.list_:
        for name in ("plot", "junit"):
            if getattr(report, name) is not None:
                raise SettingError(name, "is made of check results, but --list runs no checks: leave one out")
        output.check_outputs(outputs(report))
        if flags.inputs:
            say("note: --list checks nothing: INPUT is not read")
        deliver(report, records.properties_record(chosen))
        return DONE
    names = ("cases", "seed", "case", "only", "skip", "tolerance", "exitfirst")
    options: dict[str, Any] = {name: getattr(checks, name) for name in names} | {"expected_failures": may_fail}
    cases = load_cases(flags, report, is_judged=of.loss is not None)
    judged = None if of.loss is None else judged_by(flags, of, cases)
    count = 1 if checks.case is not None else len(cases) + checks.cases
    with Progress("checks", count * len(chosen)) as advance:
        if judged is None:
            done, facts = properties.verify(cases, **options, progress=advance), None
        else:

            def watch(number: int, total: int, evaluator: Judged = judged[0]) -> None:
                advance() if number > 0 else note_duration(evaluator.of.seconds, total)

            done = properties.verify_loss(*judged, cases, **options, progress=watch)
            facts = records.loss_facts(*judged)
            if changed := judged[0].of.changed:
                what = " and ".join(changed)
                say(f"warning: the loss changes {what} in place: here it has copies, in training they are the caller's")
    done[:] = [replace(check, reproduce=rerun.command_line(flags, done, check)) for check in done]
    full = report.verbose or bool(checks.only or checks.case)
    # a packaged example is no file of the user's, and standard input is none
    files = {name: file for name, file in zip(cases, flags.inputs, strict=False) if file != "-"}
    brief = flags.of(DebugOptions).quiet
    # where nothing at all was checked, the report says so
    unchecked = done.unchecked_inputs if flags.inputs and not done.unchecked else {}
    deliver_checks(report, records.checks_record(records.Checks(done, facts, full, brief, files, unchecked)))
    for name, reason in unchecked.items():
        say(f"warning: {files.get(name, name)}: nothing of it was checked: {reason}")
    if report.plot is not None:
        figures.save(done, report.plot, title="" if facts is None else facts["name"])
    return DONE if done.passed else PROPERTY_FAILED


def sweep(flags: Flags) -> int:
    """Compute loss and gradient along one parameter.

    --over distance moves the points away from the target. --kernel may be repeated; the sweep runs for each.
    """
    from kdegrad import sweeps
    from kdegrad.reports import records

    report, along = flags.of(ReportOptions), flags.of(SweepOptions)
    over, values = along.over, sweep_values(flags, along)
    start = load(flags, report)
    members = sweeps.members(start, over, values, flags.kernels)
    ends = {} if values is None else {values[-1]: "--to", values[0]: "--from"}
    for kernel, value in members:
        if value in ends:  # between two values that are in range, all are
            try:
                sweeps.member(start, over, kernel, value)
            except SettingError as error:
                raise (error.at(ends[value]) if error.name == over else error) from None
    if over != "kernel" and over in flags.values:
        say(f"note: --{over} is ignored: the sweep varies it")
    note_unused_df(flags, dict(members))
    with Progress("sweep", len(members)) as advance:
        family = sweeps.sweep(start, over, values, kernels=flags.kernels, watch=advance)
    deliver(report, records.sweep_record(family, log=along.log))
    if not family.is_finite:
        say_error("the loss is infinite everywhere: widen the bandwidth, or add a --background")
        return NOT_FINITE
    if report.plot is not None:
        figures.save(family, report.plot, log=along.log)
    warn_of_rounding(family.input_rounding)
    return DONE


def descend(flags: Flags) -> int:
    """Descend along the gradient and show the progress.

    The points at the end are a CSV that grad reads: with --output FILE.csv they go there; with --format csv they are
    what is printed.
    """
    from kdegrad import descent
    from kdegrad.reports import records
    from kdegrad.reports.causes import not_finite

    report, way = flags.of(ReportOptions), flags.of(DescentOptions)
    start = load(flags, report, trace=way.trace)
    trace = nullcontext() if way.trace is None else output.replacing(way.trace)
    separator = "" if way.trace is None else trace_separator(way.trace)
    with Progress("descent", way.steps + 1) as advance, trace as stream:

        def watch(now: DescentStep) -> None:
            if stream is not None:
                with suppress(BrokenPipeError):  # the reader of the trace has read enough; the descent goes on
                    reports.write_step(now, stream, separator)
            advance(now)

        done = descent.descend(
            start,
            steps=way.steps,
            rate=way.rate,
            wrt=way.wrt,
            optimizer=way.optimizer,
            tolerance=way.tolerance,
            watch=watch,
        )
    if not done.start.is_finite:
        say_error(not_finite(done.start))
        return NOT_FINITE
    form, record = format_of(report), records.descent_record(done)
    points = suffix_format(report) or Format.csv
    if report.output is not None and report.format is None and points in ROWS:
        deliver_to(report.output, record, points)
        show_table(record, report.width)
    else:
        deliver(report, record)
    if report.plot is not None:
        figures.save(done, report.plot)
    warn_of_rounding(done.input_rounding)
    if "bandwidth" in done.wrt and form is not Format.json:
        say(f"note: the points belong to --bandwidth {done.end.problem.kernel.bandwidth!r}")
    if done.diverged:
        say_error(done.stopped)
    return NOT_FINITE if done.diverged else DONE


def kernels(flags: Flags) -> int:
    """List the kernels, and which claims hold for each."""
    from kdegrad.reports import records

    report = flags.of(ReportOptions)
    output.check_outputs(outputs(report))
    deliver(report, records.kernels_record())
    return DONE


_PROBLEM: Final = (TargetOptions, Settings, ReadingOptions)  # the options of every command that computes
COMMANDS: Final = {
    command.name: command
    for command in (
        Command("loss", loss, (*_PROBLEM, PartsOptions, ReportOptions, DrawingOptions), "a packaged example"),
        Command(
            "grad",
            grad,
            (GradientOptions, *_PROBLEM, PartsOptions, ReportOptions, DrawingOptions),
            "a packaged example",
        ),
        Command(
            "verify-props",
            verify_props,
            (CheckOptions, JudgedOptions, *_PROBLEM, CheckReportOptions),
            "all the examples; with --loss random problems alone",
            takes_several=True,
        ),
        Command("sweep", sweep, (SweepOptions, *_PROBLEM, ReportOptions), "a packaged example"),
        Command("descend", descend, (DescentOptions, *_PROBLEM, ReportOptions), "a packaged example"),
        Command("kernels", kernels, (ReportOptions,)),
    )
}
