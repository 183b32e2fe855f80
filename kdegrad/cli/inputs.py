"""What comes in: the problems that INPUT and the flags make, and the loss that is judged."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from kdegrad import output
from kdegrad.cli.delivery import outputs
from kdegrad.cli.options import Flags
from kdegrad.cli.terminal import Progress, say
from kdegrad.errors import InputError, SettingError
from kdegrad.settings import (
    CheckOptions,
    DrawingOptions,
    JudgedOptions,
    PartsOptions,
    ReadingOptions,
    ReportOptions,
    Settings,
    SweepOptions,
    TargetOptions,
)
from kdegrad.text import safe_text, shown

if TYPE_CHECKING:
    from kdegrad.batch import Batch
    from kdegrad.problem import Problem
    from kdegrad.properties.evaluators import Judged
    from kdegrad.targets import Points

EXAMPLE: Final = "two_sided.yaml"
EXAMPLES: Final = (EXAMPLE, "mallards.yaml", "turtles.yaml", "wind.yaml")


def is_streamed(flags: Flags) -> bool:
    """Return whether INPUT is taken part by part: a folder or a pattern, or because a flag says so."""
    if any(flags.values.get(row.name) for row in PartsOptions.rows):
        return True
    if flags.input is None or os.path.isfile(flags.input):
        return False
    from kdegrad.reading.parts import are_parts  # which a file does not wait for

    return are_parts(flags.input)


def load(flags: Flags, report: ReportOptions, *, trace: str | None = None) -> Problem:
    """Return the problem that INPUT and the flags make, once all outputs are known to be writable."""
    # the outputs first: a note about the example says nothing of a wrong one
    files, source = outputs(report, trace), _input(flags)
    with Progress("reading"):
        return _problem(flags, source, files)


def load_groups(flags: Flags, report: ReportOptions) -> Problem | Batch:
    """Return the problem as `load` does, or the problems of the groups where there are groups."""
    files, source = outputs(report), _input(flags)
    with Progress("reading"):
        return _made(flags, source, files)


def _input(flags: Flags) -> str:
    if flags.input is not None:
        return flags.input
    also = _require_nothing_waits(flags)
    say(f"note: no INPUT: the packaged example {EXAMPLE} is used{also}")
    return _example(EXAMPLE)


def _require_nothing_waits(flags: Flags) -> str:
    """Refuse a command line without INPUT where data waits on standard input, which a packaged example would ignore.

    Return what the note about the example says of a pipe that data may still come through.
    """
    waiting = "" if flags.values.get("target_points") == "-" else _waiting()
    if waiting == "data":
        words = [safe_text(word) for word in sys.argv[1:]]
        raise InputError(
            "data waits on standard input, and no INPUT is given: did you mean '-'? "
            f"{shlex.join(['kdegrad', *words[:1], '-', *words[1:]])} (for the packaged example, add < /dev/null)"
        )
    return ", and standard input is not read ('-' reads it)" if waiting else ""


def _waiting() -> Literal["", "data", "pipe"]:
    """Return ``data`` if bytes wait on standard input, ``pipe`` if it is an open pipe without any; nothing is read.

    A terminal, /dev/null, and what is closed or at its end are neither: a command inherits these from cron, a CI or its
    caller, and open pipes without data too, so that such a pipe may not be refused.
    """
    try:
        number = sys.stdin.fileno()
        status = os.fstat(number)
        if stat.S_ISREG(status.st_mode):
            return "data" if os.lseek(number, 0, os.SEEK_CUR) < status.st_size else ""
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
            import fcntl  # Windows has neither this nor termios
            import select
            import termios

            if any(fcntl.ioctl(number, termios.FIONREAD, bytes(4))):  # how many bytes
                return "data"
            return "" if select.select([number], [], [], 0)[0] else "pipe"  # ready without data: at its end
    except (AttributeError, ImportError, OSError, ValueError):  # closed, or no file of the system
        pass
    return ""


def load_cases(flags: Flags, report: ReportOptions, *, is_judged: bool) -> dict[str, Problem]:
    """Return the problems to check by name: each INPUT, or those of the packaged examples that the flags fit.

    A loss that is judged without INPUT is judged on random problems alone.
    """
    files = outputs(report)
    if flags.inputs:
        names = ["standard input" if source == "-" else Path(source).name or source for source in flags.inputs]
        if len(set(names)) < len(names):  # files of one name in several folders
            names = list(flags.inputs)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"INPUT: {shown(twice)} is given more than once: each case has the name of its file")
        given = {name: _one_of(flags, file, files) for name, file in zip(names, flags.inputs, strict=True)}
        for name in [name for name, problem in given.items() if is_judged and problem.rule_name == "points"]:
            option = "target-points" if "target_points" in flags.values else "target"
            raise SettingError(
                option,
                f"{shown(name)} has weighted angles as target, and a judged loss is called with an interval or one "
                "node: give INPUT an interval",
            )
        return given
    if is_judged:
        for name in flags.given(TargetOptions) | flags.given(ReadingOptions):
            spelled = name.replace("_", "-")
            raise SettingError(spelled, "is for the points of INPUT, and there are none: leave it out, or give INPUT")
        output.check_outputs(files)
        if _waiting() == "data":  # no error: the data may belong to a loop over lines, or to a hook of git
            say("note: no INPUT: random problems are checked, and standard input is not read ('-' reads it)")
        return {}
    also = _require_nothing_waits(flags)
    say(f"note: no INPUT: the packaged examples are checked{also}")
    cases: dict[str, Problem] = {}
    misfits: dict[str, SettingError] = {}
    for name in EXAMPLES:
        try:
            cases[name] = _problem(flags, _example(name), files, quiet=True)
        except SettingError as error:  # a kernel of the circle does not fit an example on the line
            misfits[name] = error
    if not cases:
        raise misfits[EXAMPLES[-1]]
    for name, misfit in misfits.items():
        say(f"note: {name} is left out: {misfit}")
    return cases


def expected_failures(checks: CheckOptions) -> dict[str, str]:
    """Return the reasons of --expect-fail by the patterns of ids."""
    from kdegrad import properties

    found = {}
    for text in checks.expect_fail:
        pattern, _, reason = (part.strip() for part in text.partition("="))
        if not pattern or not reason:
            raise SettingError("expect-fail", f"{shown(text)} is not PATTERN=REASON, such as 'far-*=a clamp is wanted'")
        if "," in pattern:  # --only and --skip take lists
            each = " ".join(shlex.join(["--expect-fail", f"{part.strip()}={reason}"]) for part in pattern.split(","))
            raise SettingError("expect-fail", f"{shown(pattern)} is no list but one pattern: give {each}")
        properties.matching(pattern, "expect-fail")
        found[pattern] = reason
    return found


def judged_by(flags: Flags, of: JudgedOptions, cases: Mapping[str, Problem]) -> tuple[Judged, Settings]:
    """Return the loss that is judged, and the settings that it is meant to have: the first INPUT's, or the flags'."""
    from kdegrad.problem import Problem
    from kdegrad.properties.evaluators import judged_loss, require_meant
    from kdegrad.properties.user_code import imported

    if cases:
        first = next(iter(cases.values()))
    else:  # raises what is wrong with the settings
        like = Settings(**_given(flags))  # without a target: there are no points
        first = Problem([0.0], target=(0.0, like.bandwidth), **asdict(like))
        note_unused_df(flags, [first.kernel.name])
    for problem in (first, *cases.values()):
        require_meant(problem.settings, flags.values)
    assert of.loss is not None  # the caller looks
    function, name = imported(of.loss)
    like = first.settings
    meant = {"kernel": f"as {like.kernel}", "bandwidth": f"with bandwidth {like.bandwidth:g}"}
    missing = {f"no --{option}": text for option, text in meant.items() if option not in flags.values}
    if missing and not cases:
        say(f"note: {' and '.join(missing)}: it is judged {' '.join(missing.values())}")
    return judged_loss(function, name, of, like), like


def _one_of(flags: Flags, source: str, files: Mapping[str, str | None]) -> Problem:
    """Return the problem of one INPUT; where there are several, an error of what no flag gives names the file."""
    try:
        return _problem(flags, source, files)
    except SettingError as error:
        if len(flags.inputs) == 1 or error.place is not None or error.name.replace("-", "_") in flags.values:
            raise
        file = "standard input" if source == "-" else source
        raise error.at(f"{file}: --{error.name}") from None


def _problem(flags: Flags, source: str, files: Mapping[str, str | None], *, quiet: bool = False) -> Problem:
    """Return the one problem that a file and the flags make."""
    from kdegrad.problem import Problem

    made = _made(flags, source, files, quiet=quiet, takes_groups=False)
    assert isinstance(made, Problem)  # groups were refused
    return made


def _made(
    flags: Flags,
    source: str,
    files: Mapping[str, str | None],
    *,
    quiet: bool = False,
    takes_groups: bool = True,
) -> Problem | Batch:
    """Return what a file and the flags make, of which the flags win: a problem, or those of groups.

    The notes are printed unless `quiet`.
    """
    from kdegrad.reading import made_of, read

    given = _given(flags)
    output.check_outputs(files, source)
    content = read(source, flags.of(ReadingOptions))
    if not flags.inputs:  # wherever the package is installed
        content = replace(content, name=Path(source).name)
    if "target_points" in given:
        given["target"] = _target_points(given.pop("target_points"), files, quiet=quiet)
    for table in filter(None, (content.table, content.target_table)):
        output.check_outputs(files, table)
    if content.groups is not None and not takes_groups:
        error = SettingError("group-by", "makes a problem of each group, and this command takes one problem: remove it")
        raise error.at(f"{content.places['group-by']}: group-by") if "group-by" in content.places else error
    problem = made_of(content, given, (lambda note: None) if quiet else _say_note)
    if not quiet and "over" not in flags.values:  # a sweep has several kernels, and says it itself
        note_unused_df(flags, [problem.kernel.name])
    return problem


def _target_points(path: str, files: Mapping[str, str | None], *, quiet: bool) -> Points:
    """Return the target points of --target-points; the notes unless `quiet`."""
    from kdegrad.reading import read_target

    if not path:
        raise SettingError("target-points", "the name is empty: name a .csv, .tsv, .json or .parquet file")
    output.check_outputs(files, path)
    points, notes = read_target(path)
    if not quiet:
        for note in notes:
            _say_note(note)
    return points


def _say_note(note: str) -> None:
    say(f"note: {note}")


def _given(flags: Flags) -> dict[str, Any]:
    """Return the options of a problem that were given, which must not contradict each other."""
    given = flags.given(TargetOptions) | flags.given(Settings) | flags.given(DrawingOptions)
    wanted = {name for name, value in flags.values.items() if value is not False}  # --no-exact asks for nothing
    is_observed = len(flags.values.get("target_columns", ())) == 1
    for name, others, cause in (
        ("at", ("bins", "rule"), "is one bin"),
        ("target_points", ("target", "at", "bins", "rule", "exact"), "is the whole target, and has no bins"),
        ("target_columns", ("target", "at", "target_points"), "gives every group its target"),
        ("target_columns", ("bins", "rule", "exact") if is_observed else (), "names observed angles, without bins"),
    ):
        if name in wanted and (clash := [f"--{other.replace('_', '-')}" for other in others if other in wanted]):
            raise SettingError(name.replace("_", "-"), f"{cause}: leave out {' and '.join(clash)}")
    if given.get("target_points") == "-" and ("-" in flags.inputs or len(flags.inputs) > 1):
        raise SettingError("target-points", "standard input is read once, and is needed more than once: name a file")
    if given.get("circular") is False and "period" in given:
        raise SettingError("period", "makes a circle, --no-circular a line: leave one out")
    return given


def options_of_problem(flags: Flags, files: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the options of a problem that were given, the target points among them as its target; as `template`."""
    given = _given(flags)
    if "target_points" in given:
        given["target"] = _target_points(given.pop("target_points"), files, quiet=False)
    return given


def template(flags: Flags, files: Mapping[str, str | None]) -> Problem:
    """Return a problem with the target and the settings of the flags, whose one point stands for those of parts.

    `files` are the outputs, which must not be the table of target points.
    """
    import numpy as np

    from kdegrad.problem import Problem
    from kdegrad.reading import Source, made_of

    made = made_of(Source("", np.zeros(1), None, None), options_of_problem(flags, files), lambda note: None)
    assert isinstance(made, Problem)  # without groups
    note_unused_df(flags, [made.kernel.name])
    return made


def note_oddities(flags: Flags, like: Problem) -> None:
    """Say what is odd about a problem that was made by `template`, whose points may show what those of parts are."""
    from kdegrad.reading.notes import notes_about

    given = _given(flags)
    for note in notes_about(like, given, given):
        _say_note(note)


def note_unused_df(flags: Flags, kernels: Collection[str]) -> None:
    """Say that there are degrees of freedom, and that none of the kernels has any."""
    from kdegrad.kernel import KERNELS

    takers = [kind.name for kind in KERNELS if "df" in kind.parameters]
    if "df" in flags.values and not set(takers) & set(kernels):
        does = "does" if len(kernels) == 1 else "do"
        say(f"note: --df is ignored: {', '.join(kernels)} {does} not use it")


def sweep_values(flags: Flags, along: SweepOptions) -> list[float] | None:
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
