"""What the failure of a judged loss means: what is wrong with its numbers, what that does in training, how to see it.

A check tells that two numbers differ by many tolerances. Here the problems at which it asked the loss are looked at
once more, in their order, for the first at which loss or gradient plainly is not the plain reference's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.errors import KdegradError
from kdegrad.problem import Problem
from kdegrad.properties.base import Case
from kdegrad.properties.comparisons import roundoff, told_apart
from kdegrad.properties.evaluators import Judged, target_of, targets_of
from kdegrad.properties.far_out import epsilon, far_start
from kdegrad.properties.judge import PROPERTIES
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.mixing import mixing
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import formula_of
from kdegrad.properties.verdicts import Verdict
from kdegrad.text import spoken

_PLAIN: Final = 1e-3  # fraction: a difference that is plain to see
_PLAINLY: Final = 30.0  # times what rounding may do
_VISIBLE: Final = 1e-6  # a gradient that counts for a common factor
_UNCHANGED: Final = "the gradients are right, and training is not changed"
_RIGHT_THERE: Final = "there the gradients are right"  # where others are not
_ENOUGH: Final = 3  # of them
_MOST_ASKED: Final = 40  # problems that are looked at again
_BELOW_SINGLE: Final = 1e-10  # relative: far below what float32 tells apart
_ABOVE_HALF: Final = 1e-2  # relative: what float16 does
_OF_HALF: Final = 16.0 * 2.0**-10  # of the size of a loss: what float16 may move it by
_TOLD_APART: Final = 1e-14  # relative: what float64 does
_TELLING: Final = (  # the properties that say most about a fault come first
    *("batch", "masked-point", "far-start", "logit-offset", "permutation", "rotation", "reflection", "translation"),
    *("derivative", "merge", "zero-sum", "agrees", "unit", "equal-distance", "one-hot", "equal-distance-moved"),
)
_LEADING: Final = ("batch", "masked-point", "far-start")  # only where they name a fault: all else fails them too


class _Finding(NamedTuple):
    """How the numbers of a loss differ from the right ones at one problem."""

    difference: str = ""  # in words; empty where they do not
    names_fault: bool = False  # whether the words say more than the numbers
    off: float = math.inf  # by how much, as a fraction
    factor: float = math.nan  # of the right gradient, where it is a multiple of it
    is_loss_alone: bool = False  # whether there are gradients, and they are right
    has_slope: bool = False  # whether the right ones are more than rounding
    means: str | None = None  # what it means for training, in place of what the property says


@np.errstate(all="ignore")  # the numbers are another's
def explained(verdict: Verdict, case: Case, judged: Judged) -> Verdict:
    """Return the failed verdict with what is wrong, what it means, a table where one helps, and Python to paste."""
    property_ = next(p for p in PROPERTIES if p.id == verdict.property)
    asked = list(dict.fromkeys(judged.asked))[:_MOST_ASKED] or [(case.problem,)]
    found = [(finding, problems) for problems in asked for finding in _differences(judged, problems)]
    differing = [pair for pair in found if pair[0].difference] or [(_Finding(), asked[-1])]
    finding, problems = next((pair for pair in differing if pair[0].off > _PLAIN), differing[0])
    others = [other for other, _ in differing]
    is_loss_alone = all(other.is_loss_alone for other in others) and any(other.has_slope for other in others)
    judged.has_right_gradients &= all(other.is_loss_alone for other in others)
    if is_loss_alone:
        finding = finding._replace(means=_UNCHANGED)
    details, remedy = "", property_.remedy if finding.names_fault else ""
    alone: tuple[Problem, ...] = ()
    mixed = mixing(judged, [(judged.seen(case.problem),), problems], is_loss_alone=is_loss_alone)
    match verdict.property:
        case _ if mixed is not None:  # whatever the property is about
            finding, remedy = _Finding(mixed.difference, True, means=mixed.means), mixed.remedy
            problems, alone = mixed.problems, mixed.alone
        case _ if circle := _circle(judged, [asked for other, asked in differing if other.difference]):
            finding, remedy = _Finding(f"{finding.difference}: {circle}", True, means=""), ""
        case "batch":
            finding = finding._replace(names_fault=False)  # a fault of single problems is named elsewhere
        case "agrees" if not finding.names_fault and (lacks := _lacks_mass(judged, problems[-1])):
            finding = finding._replace(difference=f"{finding.difference}: {lacks}", names_fault=True)
            by = " (laplace: 1 - exp(-P/(2h)))" if case.problem.kernel.name == "laplace" else ""
            expected = spoken("--expect-fail ID=REASON", "expected_failures={ID: REASON}")
            remedy = f"divide K by that integral{by}; if it is to stay: {expected} for each failure"
        case "agrees" if not finding.names_fault and (hint := _hint(judged, problems[-1])):
            finding = finding._replace(difference=f"{finding.difference}: {hint}", names_fault=True)
        case "far-start":
            far = far_start(case.problem, judged)
            details, remedy = far.table, far.remedy
            finding = _Finding(far.difference, far.names_fault, means=far.means) if far.table else finding
            finding = finding._replace(names_fault=far.names_fault)  # what is wrong anywhere is named elsewhere
        case "masked-point" if not verdict.observed.startswith("error"):
            finding, remedy = finding._replace(names_fault=False), ""
    return replace(
        verdict,
        difference=finding.difference,
        names_fault=finding.names_fault,
        meaning=property_.meaning if finding.means is None else finding.means,
        details=details + (f"Remedy: {remedy}\n" if remedy else ""),
        example=example(judged, problems, alone),
    )


def in_view_of_all(verdict: Verdict, judged: Judged) -> Verdict:
    """Return the verdict without saying that training is not changed, where another failure has shown that it is."""
    if verdict.meaning != _UNCHANGED or judged.has_right_gradients:
        return verdict
    return replace(verdict, meaning=_RIGHT_THERE, names_fault=False)  # what is wrong elsewhere is worse


def example(judged: Judged, problems: tuple[Problem, ...], alone: tuple[Problem, ...] = ()) -> str:
    """Return three lines of Python that show what the loss gives for problems in one call, and what is right.

    For one that is shown `alone` too, in a batch of its own, there are two lines more.
    """
    lines = _lines(judged, judged.called_with(problems))
    return "\n".join([*lines, *_lines(judged, alone)[1:]] if alone else lines)


def _lines(judged: Judged, called: tuple[Problem, ...]) -> list[str]:
    """Return the imports, the arrays, and the call."""
    of, h = judged.of, called[-1].settings.bandwidth
    plain = [reference_of(problem).answer for problem in called]
    right = ", ".join(f"{answer.loss:.6g}" for answer in plain)
    of_bandwidth = np.array([answer.log_bandwidth / h for answer in plain])
    is_summed = of.batched and of.backend != "numpy"  # autograd in these lines is asked for the sum's alone
    told = [f"[{right}]" if of.batched else right]
    for name, symbol, gradients in (
        ("logits", "z", [answer.logits for answer in plain]),
        ("angles", "x", [answer.angles / h for answer in plain]),
        ("bandwidth", "h", of_bandwidth.sum() if is_summed else of_bandwidth),
    ):
        if name in judged.gives or not judged.gives:  # before the first call nothing is known
            shown = np.asarray(gradients if of.batched else gradients[0])
            told.append(f"∂L/∂{symbol} = {np.array2string(shown, precision=3)}")
    text = " ".join("; ".join(told).split())
    if of.batched:
        angles, logits = (np.stack([getattr(problem, name) for problem in called]) for name in ("angles", "logits"))
        return of.example(angles, logits, targets_of(called), judged.told(called[0]), text).split("\n")
    (problem,) = called
    return of.example(problem.angles, problem.logits, target_of(problem), judged.told(problem), text).split("\n")


def _differences(judged: Judged, problems: tuple[Problem, ...]) -> Iterator[_Finding]:
    """Yield how loss or gradients of each problem in a call differ from the plain reference's."""
    try:
        given = judged.given_together(problems, gradient=bool(judged.gives - {"loss"}))
    except LossError as error:
        yield _Finding(f"the loss {error}", True, means="")
        return
    for number, (problem, of_problem) in enumerate(zip(problems, given, strict=True)):
        finding = _difference(judged, problem, of_problem)
        if finding.difference and len(problems) > 1:
            said = f"in problem {number} of a batch of {len(problems)}, {finding.difference}"
            finding = finding._replace(difference=said)
        yield finding


def _difference(judged: Judged, problem: Problem, given: Given) -> _Finding:
    """Return how loss or gradients differ from the plain reference's."""
    plain, h = reference_of(problem), problem.settings.bandwidth
    loss, want = given.loss + 0.0, plain.answer.loss  # no -0
    allowed, slopes_allowed = roundoff(judged, problem), roundoff(judged, problem, slopes=True) / h
    of_loss = _of_loss(loss, want, allowed, plain.uncovered)
    if plain.uncovered:
        return of_loss
    of_gradient = _Finding()
    for name, got, right, limit in (
        ("logits", given.logits, plain.answer.logits, allowed),
        ("angles", given.angles, plain.answer.angles / h, slopes_allowed),
        ("bandwidth", given.bandwidth, np.array([plain.answer.log_bandwidth / h]), slopes_allowed),
    ):
        if got is not None and (found := _of_gradient(np.atleast_1d(got), right, limit)).difference:
            of_gradient = found._replace(difference=f"the gradient of the {name} {found.difference}")
            break
    if not of_loss.difference:
        return of_gradient
    if abs(loss - of_gradient.factor * want) <= allowed * abs(of_gradient.factor):
        said = f"loss and gradients are {of_gradient.factor:.4g} times the right ones"
        return _Finding(said, True, means="a factor changes the length of the steps, and not where they lead")
    is_loss_alone = not of_gradient.difference and judged.gives > {"loss"}
    has_slope = float(np.abs(plain.answer.logits).max()) > max(_VISIBLE, allowed)
    return of_loss._replace(is_loss_alone=is_loss_alone, has_slope=has_slope)


def _of_loss(got: float, want: float, allowed: float, uncovered: int) -> _Finding:
    if got == want or abs(got - want) <= allowed:
        return _Finding()
    if math.isnan(got):
        return _Finding("the loss is NaN", True)
    if math.isinf(want):
        nodes = "1 node" if uncovered == 1 else f"{uncovered} nodes"
        return _Finding(f"the loss is {got:.6g} where the density is 0 at {nodes}, and infinite is right")
    if math.isinf(got):
        said = f"the loss is {'-' if got < 0.0 else ''}infinite where {want:.6g} is right"
        return _Finding(f"{said}: something under- or overflows", True)
    said = "the loss is {} where {} is right".format(*told_apart(got, want))
    return _Finding(said, off=abs(got - want) / max(1.0, abs(want)))


def _of_gradient(got: FloatArray, want: FloatArray, allowed: float) -> _Finding:
    if not np.isfinite(got).all():
        return _Finding("is NaN or infinite", True)
    off = float(np.abs(got - want).max())
    if off <= allowed:
        return _Finding()
    if not got.any():
        return _Finding("is 0 where it should not be: detached, clamped, or lost to underflow", True, off)
    square = float(want @ want)  # 0 where it underflows
    factor = float(got @ want) / square if square > 0.0 else math.nan
    if (np.abs(want) > _VISIBLE).sum() >= _ENOUGH and np.abs(got - factor * want).max() <= allowed * max(
        1.0, abs(factor)
    ):
        said = "has the wrong sign" if abs(factor + 1.0) < _PLAIN else f"is {factor:.4g} times the right one"
        return _Finding(said, True, off, factor)
    at = int(np.argmax(np.abs(got - want)))
    point = f" (point {at})" if len(got) > 1 else ""
    return _Finding("is {} where {} is right".format(*told_apart(got[at], want[at])) + point, off=off)


def _hint(judged: Judged, problem: Problem) -> str:
    """Return the fault of a loss that is not the declared one, where its signature or its numbers tell it."""
    try:
        numbers = (_single_precision, _law_of_bandwidth, epsilon)
        return judged.of.doubts or next(filter(None, (hint(judged, problem) for hint in numbers)), "")
    except LossError:
        return ""


def _single_precision(judged: Judged, problem: Problem) -> str:
    """Tell a loss in float64 that does not see a change of the angles by 1e-10 of them, which the right loss sees."""
    moved = problem.replace(angles=problem.angles * (1.0 + _BELOW_SINGLE))
    before, after = (reference_of(p).answer.loss for p in (problem, moved))
    if judged.of.dtype == "float32" or abs(after - before) <= _TOLD_APART * max(1.0, abs(before)):
        return ""
    farther = problem.replace(angles=problem.angles * (1.0 + _ABOVE_HALF))  # where a clamped loss stays too
    here, near, there = (judged.given(p, gradient=False).loss for p in (problem, moved, farther))
    fits = abs(here - before) <= _OF_HALF * roundoff(judged, problem) / judged.precision.rounding
    is_blind = fits and here == near != there
    return "angles are rounded to float32, or coarser, in it (--dtype float32 judges it there)" if is_blind else ""


def _lacks_mass(judged: Judged, problem: Problem) -> str:
    """Tell a kernel of the line that has its normaliser of the line on the circle, by its mass there at h/3, h, 3h."""
    h, shown = problem.settings.bandwidth, 0
    others = [problem.replace(logits=0.5 * problem.logits), problem]
    others += [problem.replace(bandwidth=h * factor) for factor in (1.0 / 3.0, 3.0) if judged.takes("bandwidth")]
    for other in map(judged.seen, others):
        log_mass, answer = formula_of(other).log_mass(other.settings.bandwidth), reference_of(other).answer
        left = (judged.floor or 0.0) * -math.expm1(log_mass)  # p̃ has the floor ε, which K's mass does not divide
        logs = np.log(np.exp(log_mass) + left * np.exp(-answer.log_density))
        off = -float(other.rule.weights @ logs)
        right, allowed = answer.loss + off, 4.0 * roundoff(judged, other)
        try:
            given = judged.given(other, gradient=False).loss
        except LossError:
            return ""
        if not abs(given - right) <= allowed:
            return ""
        shown += off > allowed
    mass = math.exp(formula_of(problem).log_mass(h))
    return f"K is not normalised over the circle, where its integral is {mass:.9g} and not 1" if shown > 1 else ""


def _circle(judged: Judged, asked: Sequence[tuple[Problem, ...]]) -> str:
    """Tell a loss on a circle that is declared to be on a line: where it is not right, it is what is right on one."""
    single = [problems[0] for problems in asked if len(problems) == 1]
    if any(problem.settings.circumference is not None for problem in single):
        return ""
    for unit, turn, flags, keywords in (
        ("degrees", "360", "--circular", "circular=True"),
        ("radians", "2π", "--circular --unit radians", 'circular=True, unit="radians"'),
    ):
        for is_normalised in (True, False):
            fits = [_is_on_circle(judged, problem, unit, is_normalised=is_normalised) for problem in single]
            if True in fits and False not in fits:
                return f"it is the loss on a circle of {turn}: add {spoken(flags, keywords)}"
    return ""


def _is_on_circle(judged: Judged, problem: Problem, unit: str, *, is_normalised: bool) -> bool | None:
    """Return whether the loss is that of the problem on a circle; None where that is no other, or too small."""
    try:
        round_it = problem.replace(circular=True, unit=unit)
        right = reference_of(round_it).answer.loss
        given = judged.given(problem, gradient=False).loss
    except (KdegradError, LossError):
        return None
    if not is_normalised:
        right -= formula_of(round_it).log_mass(problem.settings.bandwidth)
    allowed = 4.0 * roundoff(judged, problem)
    is_other = abs(right - reference_of(problem).answer.loss) > _PLAINLY * allowed
    is_right = abs(given - right) <= allowed
    return is_right if is_other or not is_right else None


def _law_of_bandwidth(judged: Judged, problem: Problem) -> str:
    """Tell by what the loss is off at h/3, h and 3h, if that is a + k log h: a constant, or a wrong power of h."""
    if not judged.takes("bandwidth"):
        return ""
    h, off = problem.settings.bandwidth, []
    others = [problem.replace(bandwidth=h * factor) for factor in (1.0 / 3.0, 1.0, 3.0)]
    for other in map(judged.seen, [*others, problem.replace(logits=0.5 * problem.logits)]):
        off.append(judged.given(other, gradient=False).loss - reference_of(other).answer.loss)
    if not np.isfinite(np.diff(off)).all():
        return ""
    steps, allowed = np.diff(off[:3]), 4.0 * roundoff(judged, problem)
    if abs(off[1]) <= allowed or abs(off[3] - off[1]) > allowed:  # it depends on the logits
        return ""
    power = -float(steps[1]) / math.log(3.0)
    halves = round(2.0 * power)
    if not (abs(steps[0] - steps[1]) <= allowed and abs(power - 0.5 * halves) <= _PLAIN):
        return ""
    if halves:
        return f"the kernel is multiplied by h^{0.5 * halves:g}, a wrong power in its normaliser"
    if problem.target is not None and abs(off[1] + math.log(problem.target.width)) <= allowed:
        return "it is the KL divergence, L - log(b-a) (with log(b-a) added it can be judged)"
    return f"it is off by the constant {off[1]:.6g} at every bandwidth"


def failures_in_order(failed: Sequence[Verdict]) -> list[Verdict]:
    """Return the first failure of each property, those that name a fault first, then in the order of `_TELLING`."""
    first: dict[str, Verdict] = {}
    for verdict in failed:
        first.setdefault(verdict.property, verdict)

    def order(verdict: Verdict) -> tuple[bool, int]:
        leads = verdict.property in _TELLING and (verdict.names_fault or verdict.property not in _LEADING)
        return not verdict.names_fault, _TELLING.index(verdict.property) if leads else len(_TELLING)

    return sorted(first.values(), key=order)
