"""What the failure of a judged loss means: what is wrong with its numbers, what that does in training, how to see it.

A check tells that two numbers differ by many tolerances. Here the problems at which it asked the loss are looked at
once more, in their order, for the first, that is the nearest, at which loss or gradient is not the plain reference's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import PRECISIONS, Case, Unmet, Verdict
from kdegrad.properties.comparisons import roundoff
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.geometry import starts
from kdegrad.properties.judge import PROPERTIES
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.reference import Reference, reference_of

_DISTANCES: Final = (4.0, 6.0, 8.0, 20.0, 100.0, 1e4)  # bandwidths, of the table of a far start
_LEARNS: Final = 0.5  # of the right gradient: less is not learning
_PLAIN: Final = 1e-3  # fraction: a difference that is plain to see
_VISIBLE: Final = 1e-6  # a gradient that counts for a common factor
_ENOUGH: Final = 3  # of them
_MOST_ASKED: Final = 40  # problems that are looked at again
_ROUND: Final = 1e-5  # relative: how near a number is to a round one
_SINGLE: Final = "as far off as float32 rounds, as if something were computed in it"
_TELLING: Final = (  # the properties that say most about a fault come first
    *("masked-point", "far-start", "logit-offset", "permutation", "rotation", "reflection", "translation"),
    *("derivative", "merge", "zero-sum", "agrees", "unit", "equal-distance", "one-hot", "equal-distance-moved"),
)
_LEADING: Final = ("masked-point", "far-start")  # which lead only where they know a cause: all else fails them too


class _Finding(NamedTuple):
    """How the numbers of a loss are wrong, and whether that names the fault.

    `means` is what it means for training, in place of what the property says.
    """

    text: str
    is_cause: bool = False
    is_single: bool = False  # whether they are as far off as float32 rounds
    off: float = math.inf  # by how much, as a fraction
    means: str | None = None


def explained(verdict: Verdict, case: Case, judged: Judged) -> Verdict:
    """Return the failed verdict with its cause and meaning, a table where one helps, and Python that shows it."""
    property_ = next(p for p in PROPERTIES if p.id == verdict.property)
    asked = list(dict.fromkeys(judged.asked))[:_MOST_ASKED] or [case.problem]
    found = [(_difference(judged, problem), problem) for problem in asked]
    differing = [pair for pair in found if pair[0].text] or [(_Finding(""), asked[-1])]
    finding, problem = next((pair for pair in differing if pair[0].off > _PLAIN), differing[0])
    details = ""
    if verdict.property == "agrees" and finding.text:  # asked at h, h/3 and 3h
        hint = _SINGLE if all(other.is_single for other, _ in differing) else _power_of_bandwidth(problem, judged)
        finding = finding._replace(text=f"{finding.text}: {hint}", is_cause=True) if hint else finding
    if verdict.property == "far-start":
        far, details = _far_start(case.problem, judged)
        finding = far if far.text else finding._replace(is_cause=False)  # what is wrong anywhere is told elsewhere
    if verdict.property == "masked-point" and not verdict.observed.startswith("error"):
        finding = finding._replace(is_cause=False)
    if property_.remedy and (details if verdict.property == "far-start" else finding.is_cause):
        details += f"Remedy: {property_.remedy}\n"
    means = property_.meaning if finding.means is None else finding.means
    return replace(
        verdict,
        cause=finding.text if finding.is_cause else "",
        meaning=": ".join(filter(None, (finding.text, means))),
        details=details,
        example=example(judged, problem),
    )


def example(judged: Judged, problem: Problem) -> str:
    """Return three lines of Python that show what the loss gives for the problem, and what is right."""
    target = (problem.interval.low, problem.interval.high) if problem.at is None else problem.at
    plain = reference_of(problem).answer
    right = f"{plain.loss:.6g}; ∂L/∂z = {np.array2string(plain.logits, precision=3)}"
    return judged.of.example(problem.angles, problem.logits, target, judged.told(problem), " ".join(right.split()))


def _difference(judged: Judged, problem: Problem) -> _Finding:
    """Return how loss or gradients differ from the plain reference's; an empty text where they do not."""
    try:
        given = judged.given(problem, gradient=bool(judged.gives - {"loss"}))
    except LossError as error:
        return _Finding(f"the loss {error}", True, means="")
    if (found := _of_loss(given.loss + 0.0, problem, judged)).text:  # no -0
        return found
    plain, h = reference_of(problem), problem.settings.bandwidth
    if plain.uncovered:
        return _Finding("")
    allowed, slopes_allowed = roundoff(judged, problem), roundoff(judged, problem, slopes=True) / h
    for name, got, want, limit in (
        ("logits", given.logits, plain.answer.logits, allowed),
        ("angles", given.angles, plain.answer.angles / h, slopes_allowed),
        ("bandwidth", given.bandwidth, np.array([plain.answer.log_bandwidth / h]), slopes_allowed),
    ):
        if got is not None and (found := _of_gradient(np.atleast_1d(got), want, limit, judged)).text:
            return found._replace(text=f"the gradient of the {name} {found.text}")
    return _Finding("")


def _of_loss(got: float, problem: Problem, judged: Judged) -> _Finding:
    plain, allowed = reference_of(problem), roundoff(judged, problem)
    want = plain.answer.loss
    if got == want or abs(got - want) <= allowed:
        return _Finding("")
    if math.isnan(got):
        return _Finding("the loss is NaN", True)
    if math.isinf(want):
        what = "node" if plain.uncovered == 1 else "nodes"
        return _Finding(f"the loss is {got:.6g} where the density is 0 at {plain.uncovered} {what}: infinite is right")
    if math.isinf(got):
        return _Finding(f"the loss is infinite where {want:.6g} is right: the density underflows", True)
    off, fraction = f"the loss is {_told_apart(got, want)} is right", abs(got - want) / max(1.0, abs(want))
    is_single = _is_single(abs(got - want), abs(want), allowed, judged)
    return _Finding(off, is_single=is_single, off=fraction)


def _told_apart(got: float, want: float) -> str:
    """Return "GOT where WANT", with the digits that tell them apart."""
    texts = ((f"{got:.{digits}g}", f"{want:.{digits}g}") for digits in (6, 8, 10, 13, 17))
    one, other = next((pair for pair in texts if pair[0] != pair[1]), (repr(got), repr(want)))
    return f"{one} where {other}"


def _power_of_bandwidth(problem: Problem, judged: Judged) -> str:
    """Return by which power of h the kernel is normalised wrongly: L is off by a + k log h then, at h/3, h and 3h."""
    h, off = problem.settings.bandwidth, []
    if not judged.takes("bandwidth"):
        return ""
    for factor in (1.0 / 3.0, 1.0, 3.0):
        other = judged.seen(problem.replace(bandwidth=h * factor))
        try:
            off.append(judged.given(other, gradient=False).loss - reference_of(other).answer.loss)
        except LossError:
            return ""
    first, second = off[1] - off[0], off[2] - off[1]
    allowed = 4.0 * roundoff(judged, problem)
    if not abs(first - second) <= allowed:
        return ""
    power = -second / math.log(3.0)
    if round(2.0 * power) == 0 or abs(power - round(2.0 * power) / 2.0) > _PLAIN:
        return ""
    return f"the kernel is multiplied by h^{round(2.0 * power) / 2.0:g}, a wrong power in its normaliser"


def _of_gradient(got: FloatArray, want: FloatArray, allowed: float, judged: Judged) -> _Finding:
    bad = int((~np.isfinite(got)).sum())
    if bad:
        return _Finding(f"is NaN or infinite at {bad} of {len(got)} points" if len(got) > 1 else "is not finite", True)
    off = float(np.abs(got - want).max())
    if off <= allowed:
        return _Finding("")
    if not got.any():
        return _Finding("is 0 where it should not be: detached, clamped, or lost to underflow", True)
    ratio = float(got @ want) / float(want @ want) if want.any() else math.nan
    if (np.abs(want) > _VISIBLE).sum() >= _ENOUGH and np.abs(got - ratio * want).max() <= allowed:
        text = "has the wrong sign" if abs(ratio + 1.0) < 1e-3 else f"is {ratio:.4g} times the right one"
        return _Finding(text, True)
    at = int(np.argmax(np.abs(got - want)))
    off_at = f"is {_told_apart(got[at], want[at])} is right" + (f" (point {at})" if len(got) > 1 else "")
    if _is_single(off, float(np.abs(want).max()), allowed, judged):
        return _Finding(off_at, is_single=True, off=off)
    return _Finding(off_at, off=off)


def _is_single(off: float, size: float, allowed: float, judged: Judged) -> bool:
    """Return whether a loss in float64 is off by no more than one in float32 may be, and by little for its size."""
    single, own = PRECISIONS["float32"].rounding, judged.precision.rounding
    return own < single and off <= min(allowed * (single / own), single * size)


def _far_start(problem: Problem, judged: Judged) -> tuple[_Finding, str]:
    """Return what is wrong far out, and a table of loss and gradient at growing distances."""
    rows = list(_by_distance(problem, judged))
    if not rows:
        return _Finding(""), ""
    losses = [given.loss + 0.0 for _, given, _ in rows]  # no -0
    is_stuck = math.isnan(losses[-1]) or (losses[-2:] == [losses[-1]] * 2 and _loss(judged, problem) != losses[-1])
    named = _stuck(losses[-1]) if is_stuck and not rows[-1][2].uncovered else ""
    if rows[-1][2].uncovered and losses[-1] != math.inf:
        named = f"the loss is {losses[-1]:.6g} where no point reaches the target, and infinite is right"
    right = [plain.answer.loss for _, _, plain in rows]
    lines = [
        ["all points away by", *(f"{u:g} h" for u, _, _ in rows)],
        ["loss", *(f"{loss:.2f}" for loss in losses)],
        ["right", *(f"{loss:.2f}" for loss in right)],
    ]
    dead: list[float] = []
    if "logits" in judged.gives and not any(plain.uncovered for _, _, plain in rows):
        ratios = [_ratio(given, plain) for _, given, plain in rows]
        lines.append(["gradient / right", *(f"{ratio:.1g}" for ratio in ratios)])
        dead = [u for (u, _, _), ratio in zip(rows, ratios, strict=True) if not ratio > _LEARNS]
    learns = f"points that start {dead[0]:g} bandwidths away or farther do not learn" if dead else ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    table = "".join("  ".join(line) + "\n" for line in aligned)
    return (_Finding(named, bool(named), means=learns or None), table) if named or dead else (_Finding(""), "")


def _loss(judged: Judged, problem: Problem) -> float:
    """Return the loss of the points where they are: one that is always the same has not stopped growing."""
    try:
        return judged.given(problem, gradient=False).loss
    except LossError:
        return math.nan


def _ratio(given: Given, plain: Reference) -> float:
    """Return the length of the logits' gradient in units of the right one's."""
    assert given.logits is not None  # the caller looks
    return float(np.linalg.norm(given.logits) / np.linalg.norm(plain.answer.logits))


def _by_distance(problem: Problem, judged: Judged) -> Iterator[tuple[float, Given, Reference]]:
    for u in _DISTANCES:
        try:
            ((_, start),) = starts(problem, (u,))
            yield u, judged.given(judged.seen(start), gradient=True), reference_of(judged.seen(start))
        except (Unmet, LossError):
            continue


def _stuck(value: float) -> str:
    """Return why a loss is the same at all large distances."""
    if math.isnan(value):
        return "the loss is NaN far out, as 0/0 and inf - inf are, where the density underflows"
    if math.isinf(value):
        return "the loss is infinite far out, where the density underflows to 0 before the logarithm is taken"
    if value == 0.0:
        return "the loss is 0 far out, as where nodes of density 0 are left out, with their share of the target"
    stops = f"the loss stops growing at {value:.4g}"
    if abs(value - round(value)) <= _ROUND * abs(value):
        return f"{stops}, as where log p, or a term of it, is clamped at -{round(value)}"
    epsilon = math.exp(-value)
    digits = float(f"{epsilon:.1g}")
    if abs(epsilon / digits - 1.0) <= 100.0 * _ROUND:
        floor = f"{digits:g}".replace("e-0", "e-")
        return f"{stops} = -log({floor}), as where {floor} is added to p inside the logarithm"
    return f"{stops} = -log({epsilon:.3g}), as where that is added to p inside the logarithm, or p is clamped there"


def failures_in_order(failed: Sequence[Verdict]) -> list[Verdict]:
    """Return the first failure of each property, the most telling first: those with a cause, then by `_TELLING`."""
    first: dict[str, Verdict] = {}
    for verdict in failed:
        first.setdefault(verdict.property, verdict)

    def order(verdict: Verdict) -> tuple[bool, int]:
        leads = verdict.property in _TELLING and (verdict.cause or verdict.property not in _LEADING)
        return not verdict.cause, _TELLING.index(verdict.property) if leads else len(_TELLING)

    return sorted(first.values(), key=order)
