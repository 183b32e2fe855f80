"""The properties, and the judge: it compares what a property measures in a case with what theory says."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from kdegrad.errors import KdegradError
from kdegrad.problem import Problem
from kdegrad.properties import claims, convergence, far_field, ground, sharper, training
from kdegrad.properties.base import Case, Comparison, Evaluator, Expectation, Property, Skipped, Unmet
from kdegrad.properties.evaluators import Plain, production
from kdegrad.properties.losses import LossError
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import COMPACT, NATIVE, UNBOUNDED
from kdegrad.properties.verdicts import Verdict

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
    training.Agrees(),
    training.MaskedPoint(),
    training.SteepLogits(),
    training.FarStart(),
    training.InBatches(),
)
_RANGE: Final = 1e100  # applies to a bandwidth
_FARTHEST: Final = 1e25  # applies to lengths in bandwidths: the reference takes complex steps of 1e-30 of them
_RANGE_ON_CIRCLE: Final = 1e12  # applies to a bandwidth, in turns


def judge(property_: Property, case: Case, tolerance: float | None = None, ask: Evaluator = production) -> Verdict:
    """Return the verdict of one property in one case; an error in the check is a failure of the check."""
    problem = case.problem
    skip = Verdict(property_.id, case.name, about=case.about)
    theory = property_.theory(problem.kernel.name, problem.domain.name, background=problem.settings.background > 0.0)
    if isinstance(theory, Skipped):
        return replace(skip, reason=theory.reason)
    if property_.of_kdegrad and not ask.is_own:
        return replace(skip, reason="kdegrad's own schemes of sums")
    judged = _judge_holding if theory == "holds" else _judge_breaking
    try:
        with np.errstate(all="ignore"):  # an infinite tolerance skips the check, a NaN fails it
            require_measurable(problem)
            is_as_expected, reason, worst = judged(property_, case, ask, tolerance)
    except Unmet as unmet:
        return replace(skip, reason=str(unmet))
    except LossError as error:
        return _failed(skip, theory, "LossError", f"the loss {error}")
    except KdegradError as error:  # what the check makes of the problem is refused: so is what it would show
        return replace(skip, reason=f"what it makes of the problem leaves the range of float64: {error}")
    except (MemoryError, OSError, ImportError):  # the machine failed, not the property
        raise
    except Exception as error:  # a check that cannot be carried out has not passed
        name = type(error).__name__
        return _failed(skip, theory, name, f"{name}: {error}")
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


def _failed(skip: Verdict, theory: Expectation, name: str, reason: str) -> Verdict:
    return replace(skip, expectation=theory, observed=f"error: {name}", verdict="fail", reason=reason)


def _measured(property_: Property, case: Case, ask: Evaluator, gives: Collection[str]) -> list[Comparison]:
    """Return the comparisons of what an evaluator `gives`; raise `Unmet` where there are none."""
    every = list(property_.measure(case, ask))
    given = [comparison for comparison in every if comparison.of in gives]
    if not given:
        raise Unmet(f"gives no gradient of the {every[0].of}" if every else "nothing to compare")
    return given


def _judge_holding(
    property_: Property, case: Case, ask: Evaluator, tolerance: float | None
) -> tuple[bool, str, Comparison]:
    """Judge a statement that should hold: return whether it does, the reason, and the worst comparison."""
    comparisons = _measured(property_, case, ask, ask.gives)
    blunt = ask.precision.blunt
    telling = [c for c in comparisons if tolerance is not None or not c.is_blunt(blunt) or c.excess > 1.0]
    worst = _worst(telling, tolerance) if telling else comparisons[0]
    if worst.excess > 1.0 and telling:
        return False, worst.values(), worst
    for comparison in comparisons:
        if not telling or (ask.is_own and not any((c.of, c.what) == (comparison.of, comparison.what) for c in telling)):
            raise Unmet(f"rounding alone may move {comparison.title} too far")
    left_out = len(comparisons) - len(telling)
    beside = f", {left_out} more left out, which rounding alone may move too far" if left_out else ""
    return True, f"{worst.title} is the worst of {len(telling)} comparisons{beside}", worst


def _judge_breaking(
    property_: Property, case: Case, ask: Evaluator, tolerance: float | None
) -> tuple[bool, str, Comparison]:
    """Judge a control, a statement that should break, if the reference predicts a visible break here."""
    predicted = _worst(_measured(property_, case, Plain(ask), ask.gives), tolerance)
    if not predicted.excess > ask.precision.predicted:
        raise Unmet(
            f"the expected break is too small to see: {predicted.title} should move by {predicted.residual:.1e}, "
            f"tolerance {predicted.tolerance:.1e}"
        )
    worst = _worst(_measured(property_, case, ask, ask.gives), tolerance)
    reason = f"{worst.title} moves by {worst.residual:.6g}, predicted {predicted.residual:.6g}"
    if math.isfinite(worst.residual) and worst.excess > ask.precision.shown:
        return True, reason, worst
    return False, f"{reason}; {worst.values()}", worst


def _worst(comparisons: Iterable[Comparison], tolerance: float | None) -> Comparison:
    """Return the comparison that is most tolerances off, with `tolerance` for the round-off if it is given."""
    if tolerance is not None:
        comparisons = [replace(c, roundoff=tolerance) for c in comparisons]
    return max(comparisons, key=lambda comparison: comparison.excess)


def require_measurable(problem: Problem) -> None:
    """Raise `Unmet` where there is no plain formula or it leaves the range of float64, or where all gradients are 0."""
    settings, kernel = problem.settings, problem.kernel.name
    if kernel not in {**UNBOUNDED, **COMPACT, **NATIVE}:
        raise Unmet(f"{kernel} has no second formula to be compared with (properties/reference_kernels.py)")
    observed = () if problem.observed is None else problem.observed.angles
    places = (problem.angles, problem.target or (), observed)
    longest = max(settings.circumference or 0.0, *(float(np.abs(some).max(initial=0.0)) for some in places))
    widest = _RANGE if settings.circumference is None else min(_RANGE, _RANGE_ON_CIRCLE * settings.circumference)
    # squares are formed
    if not (1.0 / _RANGE < settings.bandwidth < widest and longest / settings.bandwidth < _FARTHEST):
        raise Unmet(f"bandwidth {settings.bandwidth!r}: plain formulas leave the range of float64 on such lengths")
    plain = reference_of(problem)
    if plain.uncovered == 0 and not plain.answer.responsibilities.any():  # the background is all there is at the nodes
        raise Unmet("no point has a share in the mixture at the nodes of the bins: all gradients are 0")
