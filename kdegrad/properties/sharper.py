"""The claims over a target of many bins, where the shift of laplace ends; the proofs: kdegrad/properties/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.properties.base import Case, Comparison, Evaluator, Expectation, LaplaceProperty, Property, Unmet
from kdegrad.properties.comparisons import roundoff
from kdegrad.properties.geometry import at_node, beyond_edge, offsets, outward, over_target

_AND_ALWAYS: Final = (
    "; on a circle |x_j ⊖ c| + (b-a)/2 ≤ P/2 for all j, before and after"
    "; as a control: a break that the closed form predicts"
)
_MOST_BINS: Final = 12  # that are looked at one by one


@final
class LaplaceShiftTarget(LaplaceProperty):
    """A point that stays outside gains e^(ρ/h) at every t in [a, b]: no r_i(t) changes, and L falls by ρ/h."""

    id = "laplace-shift-target"
    family = "sharper"
    statement = (
        "Over the whole target, every point moving toward c by ρ = min_j dist(x_j, [a, b]) leaves ∂L/∂z unchanged, "
        "and L falls by ρ/h"
    )
    precondition = "all points outside [a, b], ρ > 0" + _AND_ALWAYS
    meaning = (
        "the rate at which far points learn depends on how far away they are, which this kernel is chosen to avoid"
    )

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        before = over_target(case.problem)
        step = float(beyond_edge(before).min())
        if step == 0.0:
            raise Unmet("ρ = 0: the nearest point is on the edge of [a, b] already")
        after = outward(before, -step)
        old, new, allowed = ask(before), ask(after), roundoff(ask, before, after)
        yield Comparison("logits", new.logits, old.logits, allowed)
        if before.kernel.name == "laplace" and before.settings.background == 0.0:
            yield Comparison("loss", new.loss, old.loss - step / before.settings.bandwidth, allowed)


@final
class LaplaceShiftPastEdge(Property):
    """The literal reading of the claim, which breaks once a point is inside, nearer to some nodes, farther from others.

    At t between it and the far edge its factor is e^((ρ - (δ-ρ))/h) and no longer e^(δ/h).
    """

    id = "laplace-shift-past-edge"
    family = "sharper"
    statement = (
        "The same move taken on to the centre, by δ = min_j |x_j ⊖ c|, over the whole target leaves ∂L/∂z unchanged: "
        "the literal reading of the claim"
    )
    precondition = "all points outside [a, b], more than one bin" + _AND_ALWAYS
    meaning = "the gradient does not see that points are inside the target"

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation:
        return "breaks"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        before = over_target(case.problem)
        beyond_edge(before)
        if before.rule.bins == 1:
            raise Unmet("one bin: the centre is the whole target")
        if before.interval.width == 0.0:
            raise Unmet("all target points are at one place: the centre is the whole target")
        after = outward(before, -np.abs(offsets(before)).min())
        yield Comparison("logits", ask(after).logits, ask(before).logits, roundoff(ask, before, after))


@final
class LaplaceOneSide(LaplaceProperty):
    """From one side, |t - x_j| = dist(x_j, [a, b]) + (from the edge to t), of which the second term is common to all.

    So r_i ∝ S_i e^(-dist(x_i, [a, b])/h) is the same at every node, and a distance δ is a logit δ/h.
    """

    id = "laplace-one-side"
    family = "sharper"
    statement = (
        "With all points on one side of [a, b] the gradients of the single bins are the same in every bin, and moving "
        "a point away by δ changes the responsibilities as lowering its logit by δ/h does"
    )
    precondition = "all points on one side of [a, b]" + _AND_ALWAYS
    meaning = "a distance does not act as a logit: far points learn by another law than the kernel has"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = over_target(case.problem)
        beyond = beyond_edge(problem)
        if len(set(np.sign(offsets(problem)))) > 1:
            raise Unmet("points on both sides of [a, b]: all must be on one")
        whole, nodes = ask(problem), problem.rule.nodes
        for t in nodes[np.linspace(0, len(nodes) - 1, min(_MOST_BINS, len(nodes))).astype(int)]:
            single = at_node(problem, t)
            of_bin, allowed = ask(single).logits, roundoff(ask, problem, single)
            yield Comparison("logits", of_bin, whole.logits, allowed, where=f"{t:g}", what="∂L/∂z in the bin")
        moved = int(np.argmax(whole.weights))
        step = 0.5 * float(beyond[moved])  # toward the target: no antipode comes in
        one_moved = np.arange(len(beyond)) == moved
        nearer = outward(problem, -step * one_moved)
        raised = problem.replace(logits=problem.logits + step / problem.settings.bandwidth * one_moved)
        got, want = ask(nearer).responsibilities, ask(raised).responsibilities
        what = "R with a point nearer by δ, a logit higher by δ/h"
        yield Comparison("logits", got, want, roundoff(ask, nearer, raised), what=what)
