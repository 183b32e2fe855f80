"""The commands: each loads its problem, calls the library once, renders the result, and returns its exit code."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kdegrad import figures, output, reports
from kdegrad.cli.options import Command, Flags
from kdegrad.cli.terminal import DONE, NOT_FINITE, PROPERTY_FAILED, Progress, note_duration, say
from kdegrad.errors import InputError, SettingError
from kdegrad.output import Look, look_of_stdout
from kdegrad.reports import Format, as_parquet
from kdegrad.settings import (
    CheckOptions,
    CheckReportOptions,
    DescentOptions,
    GradientOptions,
    JudgedOptions,
    ReadingOptions,
    ReportOptions,
    Settings,
    SweepOptions,
    TargetOptions,
)
from kdegrad.text import shown

if TYPE_CHECKING:
    from kdegrad.descent import DescentStep
    from kdegrad.problem import Problem
    from kdegrad.properties.evaluators import Judged
    from kdegrad.reports.records import Record

EXAMPLE: Final = "two_sided.yaml"
EXAMPLES: Final = (EXAMPLE, "mallards.yaml", "turtles.yaml", "wind.yaml")
COMPARED_POINTS: Final = 2_000  # up to this many points the comparison is made by default
PARQUET: Final = ".parquet"


def loss(flags: Flags) -> int:
    """Compute the loss, the cross-entropy of target and density."""
    from kdegrad.objective import evaluate, exact_loss
    from kdegrad.reports import records

    report = flags.of(ReportOptions)
    as_table = _format(report) is Format.table
    if report.exact and not as_table:
        raise SettingError("exact", "works only with --format table: leave it out")
    problem = _load(flags, report)
    if report.exact and (problem.at is not None or problem.settings.rule == "exact"):
        raise SettingError("exact", "compares bins with the integral, and there are no bins: leave it out")
    with Progress("summing"):
        evaluation = evaluate(problem, wrt=())
    wanted = len(evaluation.weights) <= COMPARED_POINTS if report.exact is None else report.exact
    integral = exact_loss(problem) if wanted and as_table and evaluation.approximates_integral else None
    _deliver(report, records.loss_record(evaluation, integral))
    if report.plot is not None:
        figures.loss(evaluation, report.plot)
    return DONE if evaluation.is_finite else NOT_FINITE


def grad(flags: Flags) -> int:
    """Compute the gradient of logits, angles and bandwidth."""
    from kdegrad.objective import evaluate
    from kdegrad.reports import records

    report, of = flags.of(ReportOptions), flags.of(GradientOptions)
    if of.per_bin and (of.top is not None or of.wrt != ("logits",)):
        raise SettingError("per-bin", "lists the logits' gradient for every bin and point: leave out --top and --wrt")
    problem = _load(flags, report)
    with Progress("summing"):
        evaluation = evaluate(problem, of.wrt)
    if not evaluation.is_finite:
        say(f"error: {records.not_finite(evaluation)}")
        return NOT_FINITE
    _deliver(report, records.gradient_record(evaluation, of.top, per_bin=of.per_bin))
    if report.plot is not None:
        figures.gradient(evaluation, report.plot, per_bin=of.per_bin)
    _warn_of_rounding(evaluation.input_rounding)
    slope = evaluation.require_gradients().log_bandwidth
    if _format(report) is Format.csv and slope is not None:
        say(f"note: CSV has no column for the gradient of log h, which is {slope!r}")
    return DONE


def verify_props(flags: Flags) -> int:
    """Check the README's claims, and the results behind them.

    The claims are about the gradient. Each check passes, fails, or is skipped with a reason. Without INPUT, on all
    packaged examples; with --loss, on a Python function my_loss(angles, logits, target, **options) of yours.
    """
    from kdegrad import properties
    from kdegrad.reports import records

    report, checks, of = flags.of(CheckReportOptions), flags.of(CheckOptions), flags.of(JudgedOptions)
    chosen = properties.chosen(checks.only)
    may_fail = _expected_failures(checks)
    for name in [name for name in flags.given(JudgedOptions) if of.loss is None]:
        raise SettingError(name, "is about the loss that --loss MODULE:NAME names, and there is none: give both")
    if checks.list_:
        if report.plot is not None:
            raise SettingError("plot", "draws check results, but --list runs no checks: leave one out")
        output.check_outputs(_outputs(report))
        if flags.inputs:
            say("note: --list checks nothing: INPUT is not read")
        _deliver(report, records.properties_record(chosen))
        return DONE
    options: dict[str, Any] = {name: getattr(checks, name) for name in ("cases", "seed", "only", "tolerance")}
    options["expected_failures"] = may_fail
    cases = _load_cases(flags, report, is_judged=of.loss is not None)
    judged = None if of.loss is None else _judged(flags, of, cases)
    with Progress("checks", (len(cases) + checks.cases) * len(chosen)) as advance:
        if judged is None:
            done, facts = properties.verify(cases, **options, progress=advance), None
        else:

            def watch(number: int, total: int, evaluator: Judged = judged[0]) -> None:
                advance() if number > 0 else note_duration(evaluator.of.seconds, total)

            done = properties.verify_loss(*judged, cases, **options, progress=watch)
            facts = records.loss_facts(*judged)
    passed, full = properties.passed(done), report.verbose or bool(checks.only)
    _deliver(
        report, records.checks_record(records.Checks(done, properties.PROPERTIES, checks.seed, facts, full), passed)
    )
    if report.plot is not None:
        figures.verdicts(done, report.plot, "" if facts is None else facts["name"])
    return DONE if passed else PROPERTY_FAILED


def sweep(flags: Flags) -> int:
    """Compute loss and gradient along one parameter.

    --over distance moves the points away from the target. --kernel may be repeated; the sweep runs for each.
    """
    from kdegrad import sweeps
    from kdegrad.reports import records

    report, along = flags.of(ReportOptions), flags.of(SweepOptions)
    over, values = along.over, _values(flags, along)
    start = _load(flags, report)
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
    _note_unused_df(flags, dict(members))
    with Progress("sweep", len(members)) as advance:
        family = sweeps.sweep(start, over, values, kernels=flags.kernels, watch=advance)
    _deliver(report, records.sweep_record(family))
    if not family.is_finite:
        say("error: the loss is infinite everywhere: widen the bandwidth, or add a --background")
        return NOT_FINITE
    if report.plot is not None:
        figures.sweep(family, report.plot, log=along.log)
    _warn_of_rounding(family.input_rounding)
    return DONE


def descend(flags: Flags) -> int:
    """Descend along the gradient and show the progress.

    The points at the end are a CSV that grad reads: with --output FILE they go there; with --format csv they are what
    is printed.
    """
    from kdegrad import descent
    from kdegrad.reports import records

    report, way = flags.of(ReportOptions), flags.of(DescentOptions)
    if way.trace is not None and way.trace.lower().endswith(PARQUET):
        raise SettingError("trace", "is written as CSV: name a .csv")
    if way.optimizer == "em" and "rate" in flags.values:
        raise SettingError("rate", "em has none, its step is exact: leave it out")
    start = _load(flags, report, trace=way.trace)
    trace = nullcontext() if way.trace is None else output.replacing(way.trace)
    with Progress("descent", way.steps + 1) as advance, trace as stream:

        def watch(now: DescentStep) -> None:
            if stream is not None:
                with suppress(BrokenPipeError):  # the reader of the trace has read enough; the descent goes on
                    reports.write_step(now, stream)
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
        say(f"error: {records.not_finite(done.start)}")
        return NOT_FINITE
    form, record = _format(report), records.descent_record(done)
    if report.output is not None and form is Format.table:
        output.write_file(report.output, reports.render(record, Format.csv, Look()))
        output.write_stdout(reports.render(record, Format.table, look_of_stdout()), for_people=True)
    else:
        _deliver(report, record)
    if report.plot is not None:
        figures.descent(done, report.plot)
    _warn_of_rounding(done.input_rounding)
    if "bandwidth" in done.wrt and form is not Format.json:
        say(f"note: the points belong to --bandwidth {done.end.problem.kernel.bandwidth!r}")
    if done.diverged:
        say(f"error: {done.stopped}")
    return NOT_FINITE if done.diverged else DONE


def kernels(flags: Flags) -> int:
    """List the kernels, and which claims hold for each."""
    from kdegrad.reports import records

    report = flags.of(ReportOptions)
    output.check_outputs(_outputs(report))
    _deliver(report, records.kernels_record())
    return DONE


# --- what comes in ----------------------------------------------------------------------------------------------------


def _load(flags: Flags, report: ReportOptions, *, trace: str | None = None) -> Problem:
    """Return the problem that INPUT and the flags make, once all outputs are known to be writable."""
    source = flags.input
    if source is None:
        say(f"note: no INPUT: the packaged example {EXAMPLE} is used")
        source = _example(EXAMPLE)
    outputs = _outputs(report, trace)
    with Progress("reading"):
        return _problem(flags, source, outputs)


def _load_cases(flags: Flags, report: ReportOptions, *, is_judged: bool) -> dict[str, Problem]:
    """Return the problems to check by name: each INPUT, or those of the packaged examples that the flags fit.

    A loss that is judged without INPUT is judged on random problems alone.
    """
    outputs = _outputs(report)
    if flags.inputs:
        names = ["standard input" if source == "-" else Path(source).name or source for source in flags.inputs]
        if len(set(names)) < len(names):  # files of one name in several folders
            names = list(flags.inputs)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"INPUT: {shown(twice)} is given more than once: each case has the name of its file")
        return {name: _problem(flags, file, outputs) for name, file in zip(names, flags.inputs, strict=True)}
    if is_judged:
        for name in flags.given(TargetOptions) | flags.given(ReadingOptions):
            spelled = name.replace("_", "-")
            raise SettingError(spelled, "is for the points of INPUT, and there are none: leave it out, or give INPUT")
        output.check_outputs(outputs)
        return {}
    say("note: no INPUT: the packaged examples are checked")
    cases: dict[str, Problem] = {}
    misfits: dict[str, SettingError] = {}
    for name in EXAMPLES:
        try:
            cases[name] = _problem(flags, _example(name), outputs, quiet=True)
        except SettingError as error:  # a kernel of the circle does not fit an example on the line
            misfits[name] = error
    if not cases:
        raise misfits[EXAMPLES[-1]]
    for name, misfit in misfits.items():
        say(f"note: {name} is left out: {misfit}")
    return cases


def _expected_failures(checks: CheckOptions) -> dict[str, str]:
    """Return the reasons of --expect-fail by the patterns of ids."""
    from kdegrad import properties

    found = {}
    for text in checks.expect_fail:
        pattern, _, reason = (part.strip() for part in text.partition("="))
        if not pattern or not reason:
            raise SettingError("expect-fail", f"{shown(text)} is not PATTERN=REASON, such as 'far-*=a clamp is wanted'")
        properties.matching(pattern, "expect-fail")
        found[pattern] = reason
    return found


def _judged(flags: Flags, of: JudgedOptions, cases: Mapping[str, Problem]) -> tuple[Judged, Settings]:
    """Return the loss that is judged, and the settings that it is meant to have: the first INPUT's, or the flags'."""
    from kdegrad.problem import Problem
    from kdegrad.properties.evaluators import judged_loss
    from kdegrad.properties.user_code import imported

    if cases:
        first = next(iter(cases.values()))
    else:  # raises what is wrong with the settings
        like = Settings(**_given(flags))  # without a target: there are no points
        first = Problem([0.0], target=(0.0, like.bandwidth), **asdict(like))
        _note_unused_df(flags, [first.kernel.name])
    if "sums" in flags.values:
        raise SettingError("sums", "is about kdegrad's own sums, and a judged loss has none of them: leave it out")
    for problem in (first, *cases.values()):
        if problem.settings.rule != "midpoint":
            raise SettingError("rule", f"is {problem.settings.rule}, and a loss is judged with bins: take midpoint")
    assert of.loss is not None  # the caller looks
    function, name = imported(of.loss)
    like = first.settings
    meant = {"kernel": f"as {like.kernel}", "bandwidth": f"with bandwidth {like.bandwidth:g}"}
    missing = {f"no --{option}": text for option, text in meant.items() if option not in flags.values}
    if missing and not cases:
        say(f"note: {' and '.join(missing)}: it is judged {' '.join(missing.values())}")
    return judged_loss(function, name, of, like), like


def _problem(flags: Flags, source: str, outputs: Mapping[str, str | None], *, quiet: bool = False) -> Problem:
    """Return the problem that a file and the flags make, of which the flags win; the notes unless `quiet`."""
    from kdegrad.reading import problem_of, read

    given = _given(flags)
    output.check_outputs(outputs, source)
    content = read(source, flags.of(ReadingOptions))
    if content.table is not None:
        output.check_outputs(outputs, content.table)
    for note in () if quiet else content.notes:
        say(f"note: {content.place_of_points} {note}")
    problem = problem_of(content, given)
    if not quiet and "over" not in flags.values:  # a sweep has several kernels, and says it itself
        _note_unused_df(flags, [problem.kernel.name])
    if not quiet and "bins" in given and problem.settings.rule == "exact":
        say("note: --bins is for midpoint and gauss: the rule exact finds its nodes itself")
    return problem


def _given(flags: Flags) -> dict[str, Any]:
    """Return the options of a problem that were given, which must not contradict each other."""
    given = flags.given(TargetOptions) | flags.given(Settings)
    if "at" in given and (clash := sorted({"bins", "rule"} & given.keys())):
        raise SettingError("at", f"is one bin: leave out --{' and --'.join(clash)}")
    if given.get("circular") is False and "period" in given:
        raise SettingError("period", "makes a circle, --no-circular a line: leave one out")
    return given


def _note_unused_df(flags: Flags, kernels: Collection[str]) -> None:
    """Say that there are degrees of freedom, and that none of the kernels has any."""
    from kdegrad.kernel import KERNELS

    takers = [kind.name for kind in KERNELS if "df" in kind.parameters]
    if "df" in flags.values and not set(takers) & set(kernels):
        does = "does" if len(kernels) == 1 else "do"
        say(f"note: --df is ignored: {', '.join(kernels)} {does} not use it")


def _values(flags: Flags, along: SweepOptions) -> list[float] | None:
    """Return the values that a sweep takes; None for kernels, which have names."""
    from kdegrad.sweeps import spaced

    if along.over == "kernel":
        for name in ("from_", "to", "steps", "log"):
            if name in flags.values:
                raise SettingError(name.strip("_"), "kernel has names, no range: give --kernel NAME, more than once")
        return None
    if along.from_ is None or along.to is None:
        missing = "from" if along.from_ is None else "to"
        raise SettingError(missing, f"give both ends of the range: --over {along.over} --from A --to B")
    return spaced(along.over, along.from_, along.to, along.steps, log=along.log)


def _example(name: str) -> str:
    """Return the path of a packaged example: in the package once installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged, checkout = (folder / "sample_inputs" / name for folder in (package, package.parent))
    return str(packaged if packaged.exists() else checkout)


# --- what goes out ----------------------------------------------------------------------------------------------------


def _format(report: ReportOptions) -> Format:
    """Return the format to render: for Parquet CSV, whose columns it has."""
    return Format.csv if _is_parquet(report) else Format(report.format)


def _is_parquet(report: ReportOptions) -> bool:
    return report.output is not None and report.output.lower().endswith(PARQUET)


def _outputs(report: ReportOptions, trace: str | None = None) -> dict[str, str | None]:
    """Return the files to write by option, once a figure and Parquet are known to be possible."""
    if report.plot is not None:
        figures.require_matplotlib(report.plot)
    if _is_parquet(report):
        if report.format not in ("table", "csv"):
            raise SettingError("format", f"{report.format} does not go into a {PARQUET} file: leave --format out")
        as_parquet.require_pyarrow()
    return {"output": report.output, "plot": report.plot, "trace": trace}


def _deliver(report: ReportOptions, record: Record) -> None:
    """Send a report to the file or to standard output."""
    on_terminal = report.output is None and sys.stdout is not None and sys.stdout.isatty()
    look = Look() if report.output is not None else look_of_stdout()
    pieces = reports.render(record, _format(report), look)
    with Progress("writing", shown=not on_terminal):
        if report.output is None:
            output.write_stdout(pieces, for_people=report.format == "table")
        elif _is_parquet(report):
            with output.replacing(report.output) as stream:
                as_parquet.write(record.rows, stream)
        else:
            output.write_file(report.output, pieces)


def _warn_of_rounding(input_rounding: float) -> None:
    """Say where the rounding of the angles themselves moves the responsibilities noticeably."""
    from kdegrad.objective import NOTICEABLE

    if input_rounding > NOTICEABLE:
        say(
            "warning: the rounding of the angles to float64 alone may change a responsibility by a factor of "
            f"exp(±{input_rounding:.2g}); the gradients are those of the angles exactly as given"
        )


_PROBLEM: Final = (TargetOptions, Settings, ReadingOptions)  # the options of every command that computes
COMMANDS: Final = {
    command.name: command
    for command in (
        Command("loss", loss, (*_PROBLEM, ReportOptions), "a packaged example"),
        Command("grad", grad, (GradientOptions, *_PROBLEM, ReportOptions), "a packaged example"),
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
