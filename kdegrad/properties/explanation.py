"""What the failure of a judged loss means: what is wrong with its numbers, what that does in training, how to see it.

A check tells that two numbers differ by many tolerances. Here the problems at which it asked the loss are looked at
once more, in their order, for the first, that is the nearest, at which loss or gradient is not the plain reference's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from kdegrad.problem import Problem
from kdegrad.properties.base import Case, Unmet, Verdict
from kdegrad.properties.comparisons import roundoff
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.geometry import starts
from kdegrad.properties.judge import PROPERTIES
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.reference import Reference, reference_of

_DISTANCES: Final = (4.0, 6.0, 8.0, 20.0, 100.0, 1e4)  # bandwidths, of the table of a far start
_LEARNS: Final = 0.5  # of the right gradient: less is not learning
_MOST_ASKED: Final = 40  # problems that are looked at again
_ROUND: Final = 1e-5  # relative: how near a number is to a round one


def explained(verdict: Verdict, case: Case, judged: Judged) -> Verdict:
    """Return the failed verdict with its meaning, a table where one helps, and Python that shows the failure."""
    property_ = next(p for p in PROPERTIES if p.id == verdict.property)
    asked = [case.problem] if not judged.asked else list(dict.fromkeys(judged.asked))[:_MOST_ASKED]
    found, problem = "", asked[-1]
    for candidate in asked:
        found = _difference(judged, candidate)
        if found:
            problem = candidate
            break
    meaning, details = f"{found}: {property_.meaning}" if found else property_.meaning, ""
    if verdict.property == "far-start" and not verdict.observed.startswith("error: Loss"):
        cause, details = _far_start(case.problem, judged)
        meaning = cause or meaning
    if property_.remedy:
        details += f"Remedy: {property_.remedy}\n"
    return replace(verdict, meaning=meaning, details=details, example=_example(judged, problem))


def _example(judged: Judged, problem: Problem) -> str:
    """Return three lines of Python that show what the loss gives for the problem, and what is right."""
    target = (problem.interval.low, problem.interval.high) if problem.at is None else problem.at
    plain = reference_of(problem).answer
    right = f"{plain.loss:.6g}; ∂L/∂z = {np.array2string(plain.logits, precision=3)}"
    return judged.of.example(problem.angles, problem.logits, target, judged.told(problem), " ".join(right.split()))


def _difference(judged: Judged, problem: Problem) -> str:
    """Return how loss or gradients differ from the plain reference's; empty where they do not."""
    try:
        given = judged.given(problem, gradient=bool(judged.gives - {"loss"}))
    except LossError as error:
        return f"it {error}"
    plain = reference_of(problem)
    allowed = roundoff(judged, problem)
    of_loss = _loss_difference(given.loss, plain, allowed)
    if of_loss or plain.uncovered:
        return of_loss
    h = problem.settings.bandwidth
    slopes_allowed = roundoff(judged, problem, slopes=True)
    for name, got, want, limit in (
        ("logits", given.logits, plain.answer.logits, allowed),
        ("angles", given.angles, plain.answer.angles / h, slopes_allowed / h),
        ("bandwidth", given.bandwidth, plain.answer.log_bandwidth / h, slopes_allowed / h),
    ):
        if got is not None and (text := _gradient_difference(np.atleast_1d(got), np.atleast_1d(want), limit)):
            return f"the gradient of the {name} {text}"
    return ""


def _loss_difference(got: float, plain: Reference, allowed: float) -> str:
    want = plain.answer.loss
    if got == want or abs(got - want) <= allowed:
        return ""
    if math.isinf(want):
        return f"the loss is {got:.6g} where the density is 0 at {plain.uncovered} nodes, and the loss infinite"
    return f"the loss is {got:.6g} where {want:.6g} is right"


def _gradient_difference(got: np.ndarray, want: np.ndarray, allowed: float) -> str:
    bad = int((~np.isfinite(got)).sum())
    if bad:
        return f"is not finite at {bad} of {len(got)} points" if len(got) > 1 else "is not finite"
    if np.abs(got - want).max() <= allowed:
        return ""
    if not got.any():
        return "is 0 where it should not be: is something detached, clamped or underflown?"
    ratio = float(got @ want) / float(want @ want) if want.any() else math.nan
    if np.abs(got - ratio * want).max() <= 1e-6 * np.abs(got).max():
        return "has the wrong sign" if abs(ratio + 1.0) < 1e-6 else f"is {ratio:.4g} times what it should be"
    at = int(np.argmax(np.abs(got - want)))
    return f"is {got[at]:.6g} where {want[at]:.6g} is right" + (f" (point {at})" if len(got) > 1 else "")


def _far_start(problem: Problem, judged: Judged) -> tuple[str, str]:
    """Return the cause of a failure far out, and a table of loss and gradient at growing distances."""
    rows = list(_by_distance(problem, judged))
    losses = {u: given.loss for u, given, _ in rows}
    last = [losses[u] for u in _DISTANCES[-2:] if u in losses]
    cause = ""
    if any(map(math.isnan, last)) or (len(last) == 2 and last[0] == last[1]):
        cause = _cause(last[-1])
    heads = ["all points away by", *(f"{u:g} h" for u, _, _ in rows)]
    wanted = [plain.answer.loss for _, _, plain in rows]
    lines = [heads, ["loss", *(f"{loss:.2f}" for loss in losses.values())], ["right", *(f"{w:.2f}" for w in wanted)]]
    learns = ""
    if all(given.logits is not None for _, given, _ in rows):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [_ratio(given, plain) for _, given, plain in rows]
        lines.append(["gradient / right", *(f"{ratio:.1g}" for ratio in ratios)])
        dead = [u for (u, _, _), ratio in zip(rows, ratios, strict=True) if not ratio > _LEARNS]
        if dead:
            learns = f"points that start {dead[0]:g} bandwidths away or farther do not learn"
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "".join(
        line[0].ljust(widths[0])
        + "".join(f"  {cell:>{w}}" for cell, w in zip(line[1:], widths[1:], strict=True))
        + "\n"
        for line in lines
    )
    return (f"{cause}; {learns}" if cause and learns else cause or learns), table


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


def _cause(value: float) -> str:
    """Return why a loss is the same at all large distances."""
    if math.isnan(value):
        return "the loss is NaN far out: 0/0 or inf - inf, where the density underflows?"
    if math.isinf(value):
        return "the loss is infinite far out: the density underflows to 0 before the logarithm is taken"
    if value == 0.0:
        return "the loss is 0 far out: nodes of density 0 are left out, with their share of the target"
    stops = f"the loss stops growing at {value:.4g}"
    if abs(value - round(value)) <= _ROUND * abs(value):
        return f"{stops}: is -log p, or what is in it, clamped at {round(value)}?"
    epsilon = math.exp(-value)
    digits = float(f"{epsilon:.1g}")
    if abs(epsilon / digits - 1.0) <= 100.0 * _ROUND:
        return f"{stops} = -log({digits:g}): is {digits:g} added to p inside the logarithm?"
    return f"{stops} = -log({epsilon:.3g}): is something added to p inside the logarithm, or p clamped?"


def failures_in_order(failed: Sequence[Verdict]) -> list[Verdict]:
    """Return the first failure of each property, the most telling property first."""
    first: dict[str, Verdict] = {}
    for verdict in failed:
        first.setdefault(verdict.property, verdict)
    telling = ("masked-point", "far-start", "steep-logits", "agrees", "derivative")
    rank = {id_: k for k, id_ in enumerate(telling)}
    return sorted(first.values(), key=lambda verdict: rank.get(verdict.property, len(rank)))
