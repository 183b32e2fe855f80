"""Runs every property on every case, and compares with what theory says."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from kdegrad.errors import SettingError
from kdegrad.problem import Problem
from kdegrad.properties import claims, convergence, far_field, ground, sharper
from kdegrad.properties.base import Case, Comparison, Property, Skipped, Unmet, Verdict
from kdegrad.properties.cases import input_case, random_cases
from kdegrad.properties.evaluators import production, reference
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import COMPACT, NATIVE, UNBOUNDED
from kdegrad.settings import CheckOptions, Settings, several
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
PREDICTED_BREAK: Final = 1e4  # tolerances that the reference must predict before a control is asked for
_RANGE: Final = 1e100  # applies to a bandwidth, and to lengths in bandwidths
_RANGE_ON_CIRCLE: Final = 1e12  # applies to a bandwidth, in turns

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
        Several problems by the names of their cases: the first one's are, and if their kernels differ, random problems
        that show a feature of some kernel have that one. None: random problems only, by default.
    cases
        How many random problems.
    seed
        Seed of the random problems.
    only
        The ids of the properties to check; empty: all.
    tolerance
        Allowed rounding error, in place of each check's own estimate. How near a limit must be reached stays.
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
    properties = chosen(options.only)
    given = {"input": problem} if isinstance(problem, Problem) else problem or {}
    like = next((p.settings for p in given.values()), Settings())
    drawn = [input_case(p, options.seed, name) for name, p in given.items()]
    is_mixed = len({p.kernel.name for p in given.values()}) > 1
    drawn += random_cases(like, options.cases, options.seed, is_mixed)
    verdicts: list[Verdict] = []
    for case in drawn:
        for property_ in properties:
            verdicts.append(judge(property_, case, options.tolerance))
            if progress is not None:
                progress(len(verdicts), len(drawn) * len(properties))
    return verdicts


def chosen(only: str | Collection[str] = ()) -> list[Property]:
    """Return the properties of the ids in `only`, in the order of `PROPERTIES`; all if it is empty."""
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
    """Return the verdict of one property in one case; an error in the check is a failure of the check."""
    problem = case.problem
    skip = Verdict(property_.id, case.name, reproduce=f"{case.reproduce}; --only {property_.id}")
    theory = property_.theory(problem.kernel.name, problem.domain.name, background=problem.settings.background > 0.0)
    if isinstance(theory, Skipped):
        return replace(skip, reason=theory.reason)
    judged = _judge_holding if theory == "holds" else _judge_breaking
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite tolerance skips the check, a NaN fails it
            _require_measurable(problem)
            is_as_expected, reason, worst = judged(property_, case, tolerance)
    except Unmet as unmet:
        return replace(skip, reason=str(unmet))
    except (MemoryError, OSError, ImportError):  # the machine failed, not the property
        raise
    except Exception as error:  # a check that cannot be carried out has not passed
        name = type(error).__name__
        return replace(skip, expectation=theory, observed=f"error: {name}", verdict="fail", reason=f"{name}: {error}")
    observed = "breaks" if worst.excess > 1.0 else "holds"
    return replace(
        skip,
        expectation=theory,
        observed=observed if math.isfinite(worst.residual) else "error: not a number",
        residual=worst.residual,
        tolerance=worst.tolerance,
        verdict="pass" if is_as_expected else "fail",
        reason=reason,
    )


def _judge_holding(property_: Property, case: Case, tolerance: float | None) -> tuple[bool, str, Comparison]:
    """Judge a statement that should hold: return whether it does, the reason, and the worst comparison."""
    comparisons = list(property_.measure(case, production))
    if not comparisons:
        raise Unmet("nothing to compare")
    telling = [c for c in comparisons if tolerance is not None or not c.is_blunt or c.excess > 1.0]
    for comparison in comparisons:
        if not any(c.what == comparison.what for c in telling):
            raise Unmet(f"rounding alone may move {comparison.title} too far")
    worst = _worst(telling, tolerance)
    if worst.excess <= 1.0:
        return True, f"{worst.title} is the worst of {len(telling)} comparisons", worst
    return False, worst.values(), worst


def _judge_breaking(property_: Property, case: Case, tolerance: float | None) -> tuple[bool, str, Comparison]:
    """Judge a control, a statement that should break, if the reference predicts a visible break here."""
    predicted = _worst(property_.measure(case, reference), tolerance)
    if not predicted.excess > PREDICTED_BREAK:
        raise Unmet(
            f"the expected break is too small to see: {predicted.title} should move by {predicted.residual:.1e}, "
            f"tolerance {predicted.tolerance:.1e}"
        )
    worst = _worst(property_.measure(case, production), tolerance)
    reason = f"{worst.title} moves by {worst.residual:.6g}, predicted {predicted.residual:.6g}"
    if math.isfinite(worst.residual) and worst.excess > SHOWN_BREAK:
        return True, reason, worst
    return False, f"{reason}; {worst.values()}", worst


def _worst(comparisons: Iterable[Comparison], tolerance: float | None) -> Comparison:
    """Return the comparison that is most tolerances off, with `tolerance` for the round-off if it is given."""
    if tolerance is not None:
        comparisons = [replace(c, roundoff=tolerance) for c in comparisons]
    return max(comparisons, key=lambda comparison: comparison.excess)


def _require_measurable(problem: Problem) -> None:
    """Raise `Unmet` where there is no plain formula or it leaves the range of float64, or where all gradients are 0."""
    settings, kernel = problem.settings, problem.kernel.name
    if kernel not in {**UNBOUNDED, **COMPACT, **NATIVE}:
        raise Unmet(f"{kernel} has no second formula to be compared with (properties/reference_kernels.py)")
    longest = max(np.abs(problem.angles).max(), *(abs(end) for end in problem.target or ()), abs(problem.at or 0.0))
    widest = _RANGE if settings.circumference is None else _RANGE_ON_CIRCLE * settings.circumference
    if not (1.0 / _RANGE < settings.bandwidth < widest and longest / settings.bandwidth < _RANGE):  # squares are formed
        raise Unmet(f"bandwidth {settings.bandwidth!r}: plain formulas leave the range of float64 on such lengths")
    plain = reference_of(problem)
    if plain.uncovered == 0 and not plain.answer.responsibilities.any():  # the background is all there is at the nodes
        raise Unmet("no point has a share in the mixture at the nodes of the bins: all gradients are 0")
