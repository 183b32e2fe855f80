"""The judge: every property on every case, and what theory says beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import numpy as np

from kdegrad.errors import SettingError
from kdegrad.problem import Problem
from kdegrad.properties import claims, convergence, far_field, ground, sharper
from kdegrad.properties.base import (
    SKIPPED,
    Case,
    Comparison,
    Expectation,
    Outcome,
    Property,
    Unmet,
    Verdict,
    production,
    reference,
)
from kdegrad.properties.cases import input_case, random_cases
from kdegrad.properties.reference import picture
from kdegrad.settings import Settings, is_real, is_whole, several
from kdegrad.text import nearest

PROPERTIES: Final[tuple[Property, ...]] = (
    claims.OneHot(),
    claims.KernelScale(),
    claims.EqualDistance(),
    claims.EqualDistanceMoved(),
    claims.LaplaceShift(),
    sharper.LaplaceShiftTarget(),
    sharper.LaplaceShiftPastEdge(),
    sharper.LaplaceOneSide(),
    far_field.FarField(),
    ground.LogitOffset(),
    ground.ZeroSum(),
    ground.Derivative(),
    ground.Permutation(),
    ground.Merge(),
    ground.Reflection(),
    ground.Translation(),
    ground.Unit(),
    ground.Rotation(),
    ground.SumsAgree(),
    convergence.Quadrature(),
)
SHOWN_BREAK: Final = 1e3  # tolerances that a control must be off by
_RANGE: Final = 1e100  # of a bandwidth, and of lengths in bandwidths
_RANGE_ON_CIRCLE: Final = 1e12  # of a bandwidth, in turns
PREDICTED_BREAK: Final = 1e4  # tolerances that the reference must predict before a control is asked for

Progress = Callable[[int, int], None]


def verify(
    problem: Problem | Mapping[str, Problem] | None = None,
    *,
    cases: int = 20,
    seed: int = 0,
    only: str | Collection[str] = (),
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Check the properties on the problem's own points and on seeded random problems with its kernel.

    Parameters
    ----------
    problem
        Its points are the case ``input``; its kernel, bandwidth, df, circle and sums are those of the random problems.
        Several problems by the names of their cases: the first one's are. None: random problems only, by default.
    cases
        How many random problems.
    seed
        What they are drawn from.
    only
        The ids of the properties to check; empty: all.
    tolerance
        What rounding may do, in place of each check's own estimate. How near a limit must be reached stays.
    progress
        Called with the number of checks done, and of all.

    Returns
    -------
    list of Verdict
        By case, and in a case by property.

    Raises
    ------
    SettingError
        For an unknown id, a negative count or seed, a tolerance that is no positive number.
    """
    properties = chosen(only)
    _check_options(cases, seed, tolerance)
    given = {"input": problem} if isinstance(problem, Problem) else problem or {}
    like = next((p.settings for p in given.values()), Settings(target=(0.0, 1.0)))
    drawn = [input_case(p, seed, name) for name, p in given.items()]
    drawn += random_cases(like, cases, seed)
    verdicts: list[Verdict] = []
    for case in drawn:
        for property_ in properties:
            verdicts.append(judge(property_, case, tolerance))
            if progress is not None:
                progress(len(verdicts), len(drawn) * len(properties))
    return verdicts


def chosen(only: str | Collection[str] = ()) -> list[Property]:
    """Return the properties of the ids in `only`, in the order of `PROPERTIES`; all if it is empty.

    Raises
    ------
    SettingError
        For an unknown id.
    """
    only = several("only", only)
    known = [p.id for p in PROPERTIES]
    for name in only:
        if name not in known:
            raise SettingError("only", f"unknown property {name!r}{nearest(str(name), known)} (--list shows them)")
    return [p for p in PROPERTIES if not only or p.id in only]


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Return whether something was checked and nothing failed."""
    seen = {verdict.verdict for verdict in verdicts}
    return "pass" in seen and "fail" not in seen


def judge(property_: Property, case: Case, tolerance: float | None = None) -> Verdict:
    """Return the verdict of one property in one case; whatever goes wrong in the check is a failure of the check."""
    theory = property_.theory(
        case.problem.kernel.name, case.problem.domain.name, background=case.problem.settings.background > 0.0
    )
    try:
        if theory.startswith(SKIPPED):
            raise Unmet(theory.removeprefix(SKIPPED))
        _require_range(case.problem)
        _require_reach(case.problem)
        if theory == "holds":
            return _judge_holding(property_, case, tolerance)
        return _judge_breaking(property_, case, tolerance)
    except Unmet as unmet:
        return _verdict(property_, case, "", "", "skip", str(unmet))
    except (MemoryError, OSError, ImportError):  # the machine failed, not the property
        raise
    except Exception as error:  # a check that cannot be carried out has not passed
        expectation: Expectation = "breaks" if theory == "breaks" else "holds"
        observed = f"error: {type(error).__name__}"
        return _verdict(property_, case, expectation, observed, "fail", f"{type(error).__name__}: {error}")


def _judge_holding(property_: Property, case: Case, tolerance: float | None) -> Verdict:
    """Judge a statement that theory says holds."""
    comparisons = list(property_.measure(case, production))
    if not comparisons:
        raise Unmet("nothing to compare")
    telling = [c for c in comparisons if tolerance is not None or not c.is_blunt or c.excess(tolerance) > 1.0]
    for comparison in comparisons:
        if not any(c.subject == comparison.subject for c in telling):
            raise Unmet(f"rounding alone may move {comparison.what} too far")
    worst = _worst(telling, tolerance)
    if worst.excess(tolerance) <= 1.0:
        reason = f"{worst.what} is the worst of {len(telling)} comparisons"
        return _verdict(property_, case, "holds", "holds", "pass", reason, worst, tolerance)
    return _verdict(property_, case, "holds", _observed(worst, tolerance), "fail", worst.values(), worst, tolerance)


def _judge_breaking(property_: Property, case: Case, tolerance: float | None) -> Verdict:
    """Judge a control: a statement that theory says breaks, if the reference says that it does so visibly here."""
    predicted = _worst(list(property_.measure(case, reference)), tolerance)
    if not predicted.excess(tolerance) > PREDICTED_BREAK:
        raise Unmet(
            f"no visible break to expect: {predicted.what} should move by {predicted.residual:.1e}, "
            f"tolerance {predicted.tolerance(tolerance):.1e}"
        )
    worst = _worst(list(property_.measure(case, production)), tolerance)
    says = f"{worst.what} moves by {worst.residual:.6g}, predicted {predicted.residual:.6g}"
    if math.isfinite(worst.residual) and worst.excess(tolerance) > SHOWN_BREAK:
        return _verdict(property_, case, "breaks", "breaks", "pass", says, worst, tolerance)
    seen, reason = _observed(worst, tolerance), f"{says}; {worst.values()}"
    return _verdict(property_, case, "breaks", seen, "fail", reason, worst, tolerance)


def _require_range(problem: Problem) -> None:
    """Raise `Unmet` where a plain formula, which squares what it is given, would leave the range of a float64."""
    settings = problem.settings
    longest = max(np.abs(problem.angles).max(), *(abs(end) for end in problem.target or ()), abs(settings.at or 0.0))
    widest = _RANGE if settings.circumference is None else _RANGE_ON_CIRCLE * settings.circumference
    if not (1.0 / _RANGE < settings.bandwidth < widest and longest / settings.bandwidth < _RANGE):
        raise Unmet(f"bandwidth {settings.bandwidth!r}: plain formulas leave the range of a float64 on such lengths")


def _require_reach(problem: Problem) -> None:
    """Raise `Unmet` where a background is all there is at the nodes: nothing that has no gradient can break."""
    seen = picture(problem)
    if seen.uncovered == 0 and not seen.reading.responsibilities.any():
        raise Unmet("no point reaches a node: all gradients are 0")


def _worst(comparisons: list[Comparison], tolerance: float | None) -> Comparison:
    return max(comparisons, key=lambda comparison: comparison.excess(tolerance))


def _observed(worst: Comparison, tolerance: float | None) -> str:
    """Return what a failed comparison shows."""
    if not math.isfinite(worst.residual):
        return "error: not a number"
    return "breaks" if worst.residual > worst.tolerance(tolerance) else "holds"


def _verdict(
    property_: Property,
    case: Case,
    expectation: Expectation,
    observed: str,
    verdict: Outcome,
    reason: str,
    worst: Comparison | None = None,
    tolerance: float | None = None,
) -> Verdict:
    return Verdict(
        property=property_.id,
        case=case.name,
        expectation=expectation,
        observed=observed,
        residual=None if worst is None else worst.residual,
        tolerance=None if worst is None else worst.tolerance(tolerance),
        verdict=verdict,
        reason=reason,
        reproduce=f"{case.reproduce}; --only {property_.id}",
    )


def _check_options(cases: int, seed: int, tolerance: float | None) -> None:
    for option, value in (("cases", cases), ("seed", seed)):
        if not (is_whole(value) and value >= 0):
            raise SettingError(option, f"{value!r} is out of range: give a whole number from 0 on")
    if tolerance is not None and not (is_real(tolerance) and 0.0 < tolerance < math.inf):
        raise SettingError("tolerance", f"{tolerance!r} is out of range: give a finite number above 0")
