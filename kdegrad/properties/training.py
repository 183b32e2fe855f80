"""What a loss needs to be trained with, where losses break: far out, at masks, at steep logits, in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.problem import Problem
from kdegrad.properties.base import Answer, Case, Comparison, Evaluator, Expectation, Property, Skipped, Unmet
from kdegrad.properties.comparisons import is_at_kink, roundoff
from kdegrad.properties.evaluators import reference
from kdegrad.properties.geometry import at_node, mapped, offsets, outward, starts
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import HEAVY_TAILS, formula_of
from kdegrad.targets import Points

_LIFTS: Final = (0.0, 200.0, 1e4)  # of the largest logit above the rest
_FAR_MASK: Final = 1e6  # bandwidths
_FAR_AND_HEAVY: Final = 60.0  # bandwidths
_MORE_POINTS: Final = 2  # of the longest problem in a batch, by which the others are padded
_SHIFT: Final = 1.5  # bandwidths, on a circle at most of P: what its target is moved by
_VISIBLE: Final = 1e-3  # a gradient that is worth looking at
_STARTS: Final = (20.0, 100.0, 1e4)  # bandwidths from the target's edge
_HEAVY_STARTS: Final = (20.0, 100.0, 1e4, 1e7)  # where the tail is heavy, p is still 1e-8 at 10⁴


def as_reference(ask: Evaluator, problem: Problem, where: str = "") -> Iterator[Comparison]:
    """Yield that loss and gradients are those of the plain reference."""
    seen = ask.seen(problem)
    yield from _equal(ask, seen, ask(problem), reference(seen), where)


def _equal(ask: Evaluator, seen: Problem, got: Answer, want: Answer, where: str) -> Iterator[Comparison]:
    """Yield that two answers about a problem are the same; `got` may have masked points beyond those of `want`."""
    points, allowed = slice(len(want.logits)), roundoff(ask, seen)
    yield Comparison("loss", got.loss, want.loss, allowed, where=where)
    yield Comparison("logits", got.logits[points], want.logits, allowed, where=where)
    if not ask.is_own and is_at_kink(ask, seen):
        return  # a loss may take either side's slope there
    allowed = roundoff(ask, seen, slopes=True)
    yield Comparison("angles", got.angles[points], want.angles, allowed, where=where)
    yield Comparison("bandwidth", got.log_bandwidth, want.log_bandwidth, allowed, where=where)


@final
class Agrees(Property):
    """The loss and its gradients, each pair (t_m, x_j) written out: Σ_m w_m (-log Σ_j S_j K_h(t_m ⊖ x_j))."""

    id = "agrees"
    family = "training"
    statement = "L and its gradients are those of the plain reference for this kernel and these bins, at h, h/3 and 3h"
    meaning = "it is not the loss of the kernel, the bandwidth and the bins that are declared"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, h = case.problem, case.problem.settings.bandwidth
        yield from as_reference(ask, problem)
        if not ask.takes("bandwidth"):
            return
        for factor, where in ((1.0 / 3.0, "h/3"), (3.0, "3h")):
            other = problem.replace(bandwidth=h * factor)
            if reference_of(ask.seen(other)).uncovered == 0:
                yield from as_reference(ask, other, where)


@final
class MaskedPoint(Property):
    """S = 0 for z = -inf: the point stands in no sum, wherever it lies, and S - R = 0."""

    id = "masked-point"
    family = "training"
    statement = (
        "A point of logit -inf, on a node, near or 10⁶ h away, changes neither L nor the gradients of the others, and "
        "its own are 0; nor does a target point of weight 0"
    )
    remedy = (
        "log_softmax of the logits, and no product with a logarithm that may be -inf: 0·(-inf) is NaN; in autograd put "
        "where() before the logarithm, not after it"
    )
    meaning = "padding or masking a point changes what all others learn; where it makes NaN, one step spoils the model"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        n, h, centre = len(problem.angles), problem.settings.bandwidth, problem.centre
        old, allowed, slopes_allowed = ask(problem), roundoff(ask, problem), roundoff(ask, problem, slopes=True)
        nodes = problem.rule.nodes
        far = min(_FAR_MASK * h, formula_of(problem).half_period)
        places = {"a node": float(nodes[len(nodes) // 2]), "0.3 h from c": centre + 0.3 * h, "10⁶ h": centre + far}
        for where, place in places.items():
            masked = problem.replace(
                angles=np.append(problem.angles, place), logits=np.append(problem.logits, -math.inf), labels=None
            )
            new = ask(masked)
            yield Comparison("loss", new.loss, old.loss, allowed, where=where)
            yield Comparison("logits", new.logits, np.append(old.logits, 0.0), allowed, where=where)
            if not is_at_kink(ask, problem):
                yield Comparison("angles", new.angles, np.append(old.angles, 0.0), slopes_allowed, where=where)
                yield Comparison("bandwidth", new.log_bandwidth, old.log_bandwidth, slopes_allowed, where=where)
            what = "the masked point's own gradient"
            yield Comparison("logits", float(new.logits[n]), 0.0, 0.0, where=where, what=what)
            yield Comparison("angles", float(new.angles[n]), 0.0, 0.0, where=where, what=what)
            if (target := problem.target_points) is not None:
                more = Points(np.append(target.angles, place), np.append(target.weights, 0.0))
                yield from _equal(ask, problem, ask(problem.replace(target=more)), old, f"{where}, a target point")


@final
class SteepLogits(Property):
    """log S_j = z_j - log Σ_k e^z_k is finite for all finite z, however far apart: a sum of e^z is not."""

    id = "steep-logits"
    family = "training"
    statement = (
        "With the largest logit 0, 200 and 10⁴ above the rest, or 0 and the rest that far below, also where far points "
        "are that much heavier than near ones, L and its gradients are finite, and the reference's"
    )
    remedy = "-logsumexp(log_softmax(z) + log K), each with its largest term taken off first"
    meaning = "once the logits have grown, as they do in training, the loss or its gradient is wrong"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        visible = np.flatnonzero(np.isfinite(problem.logits))
        if len(visible) < 2:
            raise Unmet("one point of positive weight: no logit is steep beside it")
        logits = problem.logits - problem.logits.max()  # the largest is 0
        by_distance = visible[np.argsort(np.abs(offsets(problem))[visible])]
        is_nearest, is_farthest = (np.arange(len(logits)) == by_distance[k] for k in (0, -1))
        farther = outward(problem, _FAR_AND_HEAVY * problem.settings.bandwidth * is_farthest)
        for lift in _LIFTS:
            near = problem.replace(logits=np.where(is_nearest, lift, logits))
            yield from self._checked(ask, near, f"the nearest +{lift:g}")
            if lift == 0.0:
                continue
            far = problem.replace(logits=np.where(is_farthest, 0.0, logits - lift))
            yield from self._checked(ask, far, f"all but the farthest -{lift:g}")
            if problem.settings.circumference is None and not formula_of(problem).is_compact:
                moved = farther.replace(logits=np.where(is_farthest, lift, logits))
                yield from self._checked(ask, moved, f"one {_FAR_AND_HEAVY:g} h farther +{lift:g}")

    def _checked(self, ask: Evaluator, problem: Problem, where: str) -> Iterator[Comparison]:
        plain = reference_of(ask.seen(problem))
        # where an edge alone reaches a node, with a weight of e^-10⁴, the slope S_i ∂K/p there is beyond float64
        if plain.uncovered == 0 and np.isfinite(plain.answer.angles).all():
            yield from as_reference(ask, problem, where)


@final
class FarStart(Property):
    """On logarithms p may be e^-(10⁸): r_i = S_i K_i/p is formed of differences of log K, and no floor is reached."""

    id = "far-start"
    family = "training"
    statement = (
        "All points 20, 100 and 10⁴ bandwidths away (heavy tails: 10⁷ too; circle: h = P/40, P/200, P/20000), at "
        "unequal distances: L and its gradients are the reference's; with compact kernels L is infinite, not a constant"
    )
    precondition = "two points of positive weight at least, no background"
    meaning = "what points learn that start far from the target is wrong"

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation | Skipped:
        return Skipped("with a background the gradient does end far out") if background else "holds"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        if np.isfinite(case.problem.logits).sum() < 2:
            raise Unmet("one point of positive weight: it has no gradient")
        bandwidths = _HEAVY_STARTS if case.problem.kernel.name in HEAVY_TAILS else _STARTS
        for where, start in starts(case.problem, bandwidths):
            seen = ask.seen(start)
            if reference_of(seen).uncovered:
                if formula_of(start).is_compact:
                    yield Comparison("loss", ask.loss(start), math.inf, 0.0, where=where)
            elif np.abs(reference_of(seen).answer.logits).max() > _VISIBLE:
                yield from as_reference(ask, start, where)


@final
class InBatches(Property):
    """Every sum of a problem is over its own points and nodes, and a point of S = 0 stands in none of them."""

    id = "batch"
    family = "training"
    statement = (
        "Problems together, some of them padded by masked points, are the problems one by one: each has the loss and "
        "the gradients that it has alone, those of the plain reference, and padding has gradient 0"
    )
    remedy = "sums over the axis of the points alone (dim=-1), log_softmax over a logit of -inf, and a loss a problem"
    meaning = "what a problem learns depends on the others in its batch, or on how far it is padded"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problems = list(_others(case.problem, ask))
        yield from self._compared(ask, problems)
        if case.problem.at is None and ask.takes("at") and case.problem.settings.background == 0.0:
            nodes = [float(problem.rule.nodes[-1]) for problem in problems]
            single = [at_node(problem, node) for problem, node in zip(problems, nodes, strict=True)]
            yield from self._compared(ask, single, ", one node each")

    def _compared(self, ask: Evaluator, problems: list[Problem], what: str = "") -> Iterator[Comparison]:
        most = max(len(problem.angles) for problem in problems)
        batches = [[_padded(problem, most) for problem in problems]]
        if ask.is_own:  # which takes problems of unequal lengths as they are, and has two ways to sum some kernels
            batches = [[p.replace(sums=s) for p in b] for b in (*batches, problems) for s in ("dense", "fast")]
        for answers in map(ask.together, batches):
            for number, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
                where, n = f"problem {number} of a batch of {len(problems)}{what}", len(problem.angles)
                seen = ask.seen(problem)
                yield from _equal(ask, seen, answer, ask(problem), f"{where}, beside the problem alone")
                yield from _equal(ask, seen, answer, reference(seen), where)
                zeros, padding = np.zeros(len(answer.logits) - n), "the gradient of the padding"
                yield Comparison("logits", answer.logits[n:], zeros, 0.0, where=where, what=padding)
                yield Comparison("angles", answer.angles[n:], zeros, 0.0, where=where, what=padding)


def _others(problem: Problem, ask: Evaluator) -> Iterator[Problem]:
    """Yield the problems of a batch: the problem itself, a longer one with its target elsewhere, and two others.

    These are a mirror image that has its logits at other points, and on the line the problem far out: what is scaled by
    the largest of the whole batch underflows there. Where they leave a node uncovered they are left out.
    """
    settings, n = problem.settings, len(problem.angles)
    places = problem.centre + settings.bandwidth * np.linspace(0.1, 0.3, _MORE_POINTS)
    longer = problem.replace(
        angles=np.append(problem.angles[::-1], places),
        logits=np.append(problem.logits[::-1], np.full(_MORE_POINTS, problem.logits.max() - 1.0)),
        labels=None,
    )
    length = min(settings.bandwidth, settings.circumference or math.inf)
    has_one_node = problem.at is not None and settings.background > 0.0  # of a batch all must then have the same
    yield problem
    yield longer if has_one_node else mapped(longer, shift=_SHIFT * length)
    mirrored = problem.replace(
        angles=problem.centre - offsets(problem), logits=np.roll(problem.logits, n // 2), labels=None
    )
    far = outward(problem, _FAR_AND_HEAVY * settings.bandwidth)
    for other in (mirrored, far) if settings.circumference is None else (mirrored,):
        if reference_of(ask.seen(other)).uncovered == 0:
            yield other


def _padded(problem: Problem, count: int) -> Problem:
    """Return the problem with so many points: those that it lacks are its first one again, with a logit of -inf."""
    lacking = count - len(problem.angles)
    angles = np.append(problem.angles, np.full(lacking, problem.angles[0]))
    return problem.replace(angles=angles, logits=np.append(problem.logits, np.full(lacking, -math.inf)), labels=None)
