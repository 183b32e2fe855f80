"""Whole runs: the cases, every property in each of them, and what was expected to fail."""

from __future__ import annotations

import fnmatch
import operator
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from kdegrad.errors import InputError, KdegradError, SettingError
from kdegrad.option import require_callable, several
from kdegrad.problem import Problem, require_problem
from kdegrad.properties.base import Case, Evaluator, Property, Unmet
from kdegrad.properties.cases import input_case, judged_cases, random_cases
from kdegrad.properties.evaluators import Judged, production
from kdegrad.properties.explanation import example, explained, in_view_of_all
from kdegrad.properties.judge import PROPERTIES, judge, require_measurable
from kdegrad.properties.losses import LossError
from kdegrad.properties.verdicts import Verdict, Verdicts
from kdegrad.settings import CheckOptions, Settings
from kdegrad.text import enumerated, nearest, shortened, shown, spoken

IDS: Final = tuple(property_.id for property_ in PROPERTIES)
FIRST_CALL: Final = "agrees"  # the property that a loss fails which cannot be called at all
INPUT: Final = "input"  # the case of a problem that has no name
MOST_CASES: Final = 1_000_000  # number of a random problem: those before it are counted
_NUMBERED: Final = re.compile(r"(?:(?:(?P<of>.*) )?#)?(?P<number>[0-9]{1,9})", re.DOTALL)

Progress = Callable[[int, int], None]


def verify(
    problem: Problem | Mapping[str, Problem] | None = None,
    *,
    cases: int = 20,
    seed: int = 0,
    case: int | str | None = None,
    only: str | Collection[str] = (),
    skip: str | Collection[str] = (),
    tolerance: float | None = None,
    expected_failures: Mapping[str, str] | None = None,
    exitfirst: bool = False,
    progress: Progress | None = None,
) -> Verdicts:
    """Check the properties on the problem's own points and on seeded random problems with its kernel.

    Parameters
    ----------
    problem
        Its points are a case, named as its file is or ``input``; its kernel, bandwidth, df, circle and sums are those
        of the random problems, which are named ``input #1``, ``input #2``, ... Several problems by the names of their
        cases: the first one's are, and if their kernels differ, random problems that show a feature of some kernel
        have that one. None: random problems only, by default.
    cases
        How many random problems.
    seed
        Seed of the random problems: the problem K of a seed is always the same.
    case
        The one case to check: the name of a problem, or the number K of a random one, which may exceed `cases`.
    only, skip
        The ids of the properties to check, or patterns of them such as ``laplace-*``, and of those to leave out; empty:
        all, and none.
    tolerance
        Allowed rounding error, in place of each check's own estimate. How near a limit must be reached stays.
    expected_failures
        Reasons by patterns of ids: a failure of such a property is a skip with the reason; and where nothing that a
        pattern matches fails in any case, that is a failure (but not in a run of one `case`).
    exitfirst
        Whether to end at the first failure.
    progress
        Called with the number of checks done, and of all.

    Returns
    -------
    Verdicts
        A list, by case, and in a case by property; ``passed`` says whether all is well.

    Raises
    ------
    SettingError
        For an unknown id or case, a negative count or seed, a tolerance that is not a positive number.

    Examples
    --------
    >>> import kdegrad as kg
    >>> problem = kg.Problem([-75.0, 50.0], [0.4, -0.2], target=(-30, 30), bandwidth=10)
    >>> verdicts = kg.verify(problem, cases=2)
    >>> verdicts.passed, verdicts.counts["failed"]
    (True, 0)
    """
    options = _options(
        cases=cases, seed=seed, case=case, only=only, skip=skip, tolerance=tolerance, exitfirst=exitfirst
    )
    require_callable("progress", progress)
    given = _named(problem)
    like = next((p.settings for p in given.values()), Settings())
    kernels = tuple(dict.fromkeys(p.kernel.name for p in given.values())) or (like.kernel,)
    own, numbers = _asked_for(options, tuple(given))
    drawn = [input_case(given[name], options.seed, name) for name in own]
    drawn += _of_file(random_cases(like, numbers, options.seed, len(kernels) > 1), given)
    run = Verdicts(seed=options.seed, inputs=tuple(given), kernels=kernels, case=options.case or "")
    _run(run, drawn, production, options, expected_failures, progress)
    arguments = "problem, " if isinstance(problem, Problem) else "" if problem is None else "problems, "
    run[:] = [replace(v, reproduce=f"kg.verify({arguments}{_keywords(options, v, expected_failures)})") for v in run]
    return run


def verify_loss(
    judged: Judged,
    like: Settings,
    problems: Mapping[str, Problem] | None = None,
    *,
    cases: int = 20,
    seed: int = 0,
    case: int | str | None = None,
    only: str | Collection[str] = (),
    skip: str | Collection[str] = (),
    tolerance: float | None = None,
    expected_failures: Mapping[str, str] | None = None,
    exitfirst: bool = False,
    progress: Progress | None = None,
) -> Verdicts:
    """Check the properties of a loss that is not kdegrad's, on random problems and on those that are given.

    Parameters
    ----------
    judged
        The loss.
    like
        The settings of the random problems: what the loss is meant to compute.
    problems
        Problems by the names of their cases, each with settings of its own; they have bins of the rule midpoint.
    cases, seed, case, only, skip, tolerance, expected_failures, exitfirst, progress
        As of `verify`; `progress` is called with 0 too, once the first call was made.

    Returns
    -------
    Verdicts
        By case, and in a case by property; a single one if the first call fails.

    Raises
    ------
    SettingError
        As `verify` does.
    """
    options = _options(
        cases=cases, seed=seed, case=case, only=only, skip=skip, tolerance=tolerance, exitfirst=exitfirst
    )
    given = problems or {}
    chosen_own, numbers = _asked_for(options, tuple(given))
    own = [input_case(p, options.seed, name) for name, p in given.items()]
    drawn = [_as_seen(judged, case) for case in own if case.name in chosen_own]
    drawn += _of_file(judged_cases(like, numbers, options.seed, judged, own), given)
    if not drawn:
        raise SettingError("cases", "0 and no INPUT leave nothing to check: give one of them")
    run = Verdicts(
        seed=options.seed,
        inputs=tuple(given),
        kernels=(like.kernel,),
        bandwidths=tuple(dict.fromkeys([like.bandwidth, *(p.settings.bandwidth for p in given.values())])),
        case=options.case or "",
    )
    first = _first_call(judged, drawn)
    try:
        if first is not None:  # else every check is skipped
            judged.begin(first.problem)
    except LossError as error:
        assert first is not None  # it was called
        reason = f"the loss {error}"
        wrong = Verdict(FIRST_CALL, first.name, "holds", "error: LossError", verdict="fail", reason=reason)
        shown_by = example(judged, (first.problem,))
        run[:] = [replace(wrong, about=first.about, difference=reason, names_fault=True, example=shown_by)]
        run.planned = len(run)
    else:
        if progress is not None:  # from here on it is known how long a call takes
            progress(0, len(drawn) * len(chosen(options.only, options.skip)))
        _run(run, drawn, judged, options, expected_failures, progress)
    run[:] = [
        replace(in_view_of_all(v, judged), reproduce=f"check_loss(..., {_keywords(options, v, expected_failures)})")
        for v in run
    ]
    return run


def _first_call(judged: Judged, drawn: Sequence[Case]) -> Case | None:
    """Return the case of the first call: one that can be checked, with an interval as target; None if there is none.

    A loss that takes no single node has an interval around it, where all are single nodes.
    """
    measurable = [case for case in drawn if _is_measurable(case.problem)]
    for case in measurable:
        if case.problem.at is None:
            return case
    for case in measurable[:1]:
        at, reach = case.problem.at, case.problem.settings.bandwidth
        if at is None or judged.takes("at"):
            return case
        return replace(case, problem=case.problem.replace(at=None, target=(at - reach, at + reach)))
    return None


def _is_measurable(problem: Problem) -> bool:
    try:
        with np.errstate(all="ignore"):
            require_measurable(problem)
    except (Unmet, KdegradError):
        return False
    return True


def _options(
    *, case: int | str | None, only: str | Collection[str], skip: str | Collection[str], **others: Any
) -> CheckOptions:
    """Return the options of a run, checked."""
    if not isinstance(case, str | None):
        try:
            case = str(operator.index(case))
        except TypeError:
            raise SettingError("case", f"{shortened(case)} is neither a name nor a number") from None
    return CheckOptions(case=case, only=several("only", only), skip=several("skip", skip), **others)


def _named(problem: Problem | Mapping[str, Problem] | None) -> dict[str, Problem]:
    """Return the problems by the names of their cases: that of a file is its last part."""
    if problem is None:
        return {}
    given = dict(problem) if isinstance(problem, Mapping) else {INPUT: problem}
    for each in given.values():
        require_problem(each)
    if isinstance(problem, Problem) and problem.name is not None:
        return {Path(problem.name).name or problem.name: problem}
    return given


def _asked_for(options: CheckOptions, names: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    """Return the names of the problems to check among those that were given, and the numbers of random ones."""
    if options.case is None:
        return names, range(1, options.cases + 1)
    if options.case in names:
        return (options.case,), ()
    first = names[0] if names else ""
    found = _NUMBERED.fullmatch(options.case)
    if found and found["of"] in (None, first) and int(found["number"]) in range(1, MOST_CASES + 1):
        return (), (int(found["number"]),)
    of_input = f"{enumerated(names)} for the points of {spoken('INPUT', 'the problem')}, " if names else ""
    kinds = f"{of_input}or a number from 1 to {MOST_CASES} for a random problem"
    raise SettingError("case", f"there is no case {shown(options.case)}: give {kinds.removeprefix('or ')}")


def _of_file(drawn: Iterable[Case], given: Collection[str]) -> list[Case]:
    """Return random problems under the name of the first problem that was given, whose settings they have."""
    first = next((f"{name} " for name in given), "")
    return [replace(case, name=first + case.name) for case in drawn]


def _as_seen(judged: Judged, case: Case) -> Case:
    """Return a problem that was given as the loss sees it; InputError where nothing of it is left in its dtype."""
    try:
        with np.errstate(all="ignore"):
            judged.seen(case.problem)
    except (Unmet, InputError) as error:
        raise InputError(f"{case.name} cannot be judged in {judged.of.dtype}: {error}") from None
    return replace(case, problem=judged.case_of(case.problem), exact=False)


def _keywords(options: CheckOptions, check: Verdict, expected_failures: Mapping[str, str] | None) -> str:
    """Return the keywords by which a run makes this check alone; what passed in every case was one of all."""
    told: dict[str, object] = {"seed": options.seed, "case": check.case, "only": check.property}
    if not check.about:
        told = {"cases": options.cases, "seed": options.seed, "only": check.property}
        told["expected_failures"] = dict(expected_failures or {})
    if options.tolerance is not None:
        told["tolerance"] = options.tolerance
    return ", ".join(f"{name}={value!r}" for name, value in told.items())


def _run(
    run: Verdicts,
    drawn: Sequence[Case],
    ask: Evaluator,
    options: CheckOptions,
    expected_failures: Mapping[str, str] | None,
    progress: Progress | None,
) -> None:
    """Add the verdicts of the chosen properties in all cases to a run."""
    properties, expected = chosen(options.only, options.skip), expectations(expected_failures)
    may_fail = {id_: of.reason for of in expected for id_ in of.ids}
    failed: set[str] = set()
    run.planned = len(drawn) * len(properties)
    for case in drawn:
        for property_ in properties:
            begun = time.perf_counter()
            if isinstance(ask, Judged):
                ask.start(case.problem)
            verdict = judge(property_, case, options.tolerance, ask)
            if verdict.verdict == "fail":
                if isinstance(ask, Judged) and property_.id not in failed:  # one explanation is enough
                    verdict = explained(verdict, case, ask)
                failed.add(property_.id)
                if property_.id in may_fail:
                    reason = f"expected to fail ({may_fail[property_.id]}): {verdict.reason}"
                    verdict = replace(verdict, verdict="skip", reason=reason)
            run.append(replace(verdict, seconds=time.perf_counter() - begun))
            if progress is not None:
                progress(len(run), run.planned)
            if verdict.verdict == "fail" and options.exitfirst:
                return
    if options.case is None:  # what passes in one case may fail in another
        run.extend([verdict for of in expected for verdict in _unexpected(of, run, failed)])
        run.planned = len(run)


def _unexpected(of: Expected, verdicts: Sequence[Verdict], failed: set[str]) -> list[Verdict]:
    """Return a failure if what was expected to fail passed in every case."""
    passes = [verdict for verdict in verdicts if verdict.property in of.ids and verdict.verdict == "pass"]
    if not passes or failed.intersection(of.ids):
        return []
    reason = f"{of.pattern} was expected to fail ({of.reason}), and passes in every case: take the expectation away"
    case = f"all cases, {of.pattern}"
    return [replace(passes[0], case=case, about="", seconds=0.0, verdict="fail", reason=reason, difference=reason)]


class Expected(NamedTuple):
    """Properties that may fail, and why; one of them must."""

    pattern: str
    ids: list[str]
    reason: str


def expectations(expected_failures: Mapping[str, str] | None) -> list[Expected]:
    """Return what may fail; SettingError for a pattern that matches nothing, and for what is no text by patterns."""
    name, found = "expected_failures", list[Expected]()
    if not isinstance(expected_failures, Mapping | None):
        wanted = "a dict of reasons by ids or patterns, as {'far-*': 'a clamp is wanted'}"
        raise SettingError(name, f"{shortened(expected_failures)} is not {wanted}")
    for pattern, reason in (expected_failures or {}).items():
        if not isinstance(reason, str) or not reason.strip():
            raise SettingError(name, f"the reason of {shortened(pattern)} is {shortened(reason)}: give a text")
        found.append(Expected(pattern, matching(pattern, name), reason))
    return found


def chosen(only: str | Collection[str] = (), skip: str | Collection[str] = ()) -> list[Property]:
    """Return the properties whose ids match a pattern in `only`, or all, but for those that match one in `skip`."""
    found, left_out = (
        {id_ for pattern in several(name, patterns) for id_ in matching(pattern, name)}
        for name, patterns in (("only", only), ("skip", skip))
    )
    properties = [p for p in PROPERTIES if (not found or p.id in found) and p.id not in left_out]
    if not properties:
        raise SettingError("skip", "leaves no property to check: leave out a pattern")
    return properties


def matching(pattern: object, option: str) -> list[str]:
    """Return the ids that a pattern matches (``laplace-*``); SettingError of the `option` where there are none."""
    found = fnmatch.filter(IDS, str(pattern))
    if not found:
        lists = spoken("--list shows them", "the command kdegrad verify-props --list shows them")
        raise SettingError(option, f"unknown property {shortened(pattern)}{nearest(str(pattern), IDS)} ({lists})")
    return found
