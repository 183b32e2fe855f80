"""Whole runs: the cases, every property in each of them, and what was expected to fail."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from kdegrad.errors import SettingError
from kdegrad.option import require_callable, several
from kdegrad.problem import Problem, require_problem
from kdegrad.properties.base import Case, Evaluator, Property, Verdict
from kdegrad.properties.cases import input_case, judged_cases, random_cases
from kdegrad.properties.evaluators import Judged, production
from kdegrad.properties.explanation import example, explained
from kdegrad.properties.judge import PROPERTIES, judge
from kdegrad.properties.losses import LossError
from kdegrad.settings import CheckOptions, Settings
from kdegrad.text import nearest, shortened, spoken

IDS: Final = tuple(property_.id for property_ in PROPERTIES)
FIRST_CALL: Final = "agrees"  # the property that a loss fails which cannot be called at all

Progress = Callable[[int, int], None]


def verify(
    problem: Problem | Mapping[str, Problem] | None = None,
    *,
    cases: int = 20,
    seed: int = 0,
    only: str | Collection[str] = (),
    tolerance: float | None = None,
    expected_failures: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Check the properties on the problem's own points and on seeded random problems with its kernel.

    Parameters
    ----------
    problem
        Its points are the case ``input``; its kernel, bandwidth, df, circle and sums are those of the random problems.
        Several problems by the names of their cases: the first one's are, and if their kernels differ, random problems
        that show a feature of some kernel have that one. None: random problems only, by default.
    cases
        How many random problems.
    seed
        Seed of the random problems.
    only
        The ids of the properties to check, or patterns of them such as ``laplace-*``; empty: all.
    tolerance
        Allowed rounding error, in place of each check's own estimate. How near a limit must be reached stays.
    expected_failures
        Reasons by patterns of ids: a failure of such a property is a skip with the reason; and where nothing that a
        pattern matches fails in any case, that is a failure.
    progress
        Called with the number of checks done, and of all.

    Returns
    -------
    list of Verdict
        By case, and in a case by property.

    Raises
    ------
    SettingError
        For an unknown id, a negative count or seed, a tolerance that is not a positive number.
    """
    options = CheckOptions(cases=cases, seed=seed, only=several("only", only), tolerance=tolerance)
    require_callable("progress", progress)
    given = dict(problem) if isinstance(problem, Mapping) else {} if problem is None else {"input": problem}
    for each in given.values():
        require_problem(each)
    like = next((p.settings for p in given.values()), Settings())
    is_mixed = len({p.kernel.name for p in given.values()}) > 1
    drawn = [input_case(p, options.seed, name) for name, p in given.items()]
    drawn += random_cases(like, options.cases, options.seed, is_mixed)
    return _run(drawn, production, options, expected_failures, progress)


def verify_loss(
    judged: Judged,
    like: Settings,
    problems: Mapping[str, Problem] | None = None,
    *,
    cases: int = 20,
    seed: int = 0,
    only: str | Collection[str] = (),
    tolerance: float | None = None,
    expected_failures: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Check the properties of a loss that is not kdegrad's, on random problems and on those that are given.

    Parameters
    ----------
    judged
        The loss.
    like
        The settings of the random problems: what the loss is meant to compute.
    problems
        Problems by the names of their cases, each with settings of its own; they have bins of the rule midpoint.
    cases, seed, only, tolerance, expected_failures, progress
        As of `verify`; `progress` is called with 0 too, once the first call was made.

    Returns
    -------
    list of Verdict
        By case, and in a case by property; a single one if the first call fails.

    Raises
    ------
    SettingError
        As `verify` does.
    """
    options = CheckOptions(cases=cases, seed=seed, only=several("only", only), tolerance=tolerance)
    own = [input_case(p, options.seed, name) for name, p in (problems or {}).items()]
    drawn = [replace(case, problem=judged.case_of(case.problem), exact=False) for case in own]
    drawn += judged_cases(like, options.cases, options.seed, judged, own)
    if not drawn:
        raise SettingError("cases", "0 and no INPUT leave nothing to check: give one of them")
    try:
        judged.begin(drawn[0].problem)
    except LossError as error:
        reason = f"the loss {error}"
        first = Verdict(FIRST_CALL, drawn[0].name, "holds", "error: LossError", verdict="fail", reason=reason)
        shown = example(judged, (drawn[0].problem,))
        return [replace(first, reproduce=drawn[0].reproduce, difference=reason, names_fault=True, example=shown)]
    if progress is not None:  # from here on it is known how long a call takes
        progress(0, len(drawn) * len(chosen(options.only)))
    return _run(drawn, judged, options, expected_failures, progress)


def _run(
    drawn: Sequence[Case],
    ask: Evaluator,
    options: CheckOptions,
    expected_failures: Mapping[str, str] | None,
    progress: Progress | None,
) -> list[Verdict]:
    """Return the verdicts of the chosen properties in all cases."""
    properties, verdicts, expected = chosen(options.only), list[Verdict](), expectations(expected_failures)
    may_fail = {id_: of.reason for of in expected for id_ in of.ids}
    failed: set[str] = set()
    for case in drawn:
        for property_ in properties:
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
            verdicts.append(verdict)
            if progress is not None:
                progress(len(verdicts), len(drawn) * len(properties))
    return verdicts + [verdict for of in expected for verdict in _unexpected(of, verdicts, failed)]


def _unexpected(of: Expected, verdicts: Sequence[Verdict], failed: set[str]) -> list[Verdict]:
    """Return a failure if what was expected to fail passed in every case."""
    passes = [verdict for verdict in verdicts if verdict.property in of.ids and verdict.verdict == "pass"]
    if not passes or failed.intersection(of.ids):
        return []
    reason = f"{of.pattern} was expected to fail ({of.reason}), and passes in every case: take the expectation away"
    return [replace(passes[0], case="all cases", verdict="fail", reason=reason, difference=reason)]


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


def chosen(only: str | Collection[str] = ()) -> list[Property]:
    """Return the properties whose ids match one of the patterns in `only`, in the order of `PROPERTIES`; else all."""
    found = {id_ for pattern in several("only", only) for id_ in matching(pattern, "only")}
    return [p for p in PROPERTIES if not found or p.id in found]


def matching(pattern: object, option: str) -> list[str]:
    """Return the ids that a pattern matches (``laplace-*``); SettingError of the `option` where there are none."""
    found = fnmatch.filter(IDS, str(pattern))
    if not found:
        lists = spoken("--list shows them", "kdegrad verify-props --list shows them")
        raise SettingError(option, f"unknown property {shortened(pattern)}{nearest(str(pattern), IDS)} ({lists})")
    return found


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Return whether something was checked and nothing failed."""
    seen = {verdict.verdict for verdict in verdicts}
    return "pass" in seen and "fail" not in seen
