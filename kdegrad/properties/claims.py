"""The claims of the note of 2022; the proofs at length: kdegrad/properties/README.md.

The note speaks of one bin: a node t, at which r_i = S_i K(t ⊖ x_i)/Σ_j S_j K(t ⊖ x_j).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

import numpy as np

from kdegrad.properties.base import Case, Comparison, Evaluator, Expectation, LaplaceProperty, Property, Unmet
from kdegrad.properties.comparisons import rates_compared, require_clear_jumps, roundoff
from kdegrad.properties.geometry import at_node, offsets, outward
from kdegrad.properties.reference import reference_of, softmax
from kdegrad.properties.reference_kernels import formula_of

_SMALL_DECADES: Final = 3
_MOST_LABELS: Final = 4
_MOST_NODES: Final = 64  # applies to rules whose nodes are evaluated one by one


@final
class OneHot(Property):
    """Where K is 1 for the points M at a label and 0 for the rest, p = Σ_M S and r_i = S_i/p for i in M, else 0.

    Built twice: by `uniform` of half the smallest gap around a point, where K h = 1/2 exactly; and by the problem's own
    kernel with h → 0, where K(d)/K(0) → 0. With C = 1/K_h(0) it is 1; where C cannot be set, L is -log K_h(0) more.
    """

    id = "one-hot"
    family = "claim"
    statement = (
        "Where K is 1 for the points M of one label and 0 for the rest, the gradient is softmax cross-entropy's: "
        "L = -log Σ_M S, ∂L/∂z_i = S_i - S_i/Σ_M S for i in M (S_i - 1 for a single match), S_i otherwise"
    )
    precondition = "distinct angles that can be told apart (the check builds the kernel around each)"
    meaning = "where the kernel separates the classes, training is not that of softmax cross-entropy"
    _SMALLEST = 0.375  # the power of h/gap that S_i of a label is at least: K(d)/K(0) must be small compared with it

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        weights = softmax(problem.logits)
        labels = np.unique(problem.angles[weights > ask.precision.narrow**self._SMALLEST])
        for label in labels[np.linspace(0, len(labels) - 1, min(_MOST_LABELS, len(labels))).astype(int)]:
            distances = np.abs(formula_of(problem).difference(problem.angles, label))
            matches = distances == 0.0
            gap = float(distances[~matches].min(initial=math.inf))
            gap = gap if math.isfinite(gap) else problem.settings.bandwidth
            narrow = ask.precision.narrow * gap
            if narrow < ask.precision.normal ** (1.0 / 3.0):  # a loss may well form h³, as (h² - d²)/h³
                raise Unmet(f"two points are {gap!r} apart: no narrower kernel fits the dtype")
            match = float(weights[matches].sum())
            for kernel, h in (("uniform", 0.5 * gap), (problem.kernel.name, narrow)):
                if not (ask.takes("kernel") or kernel == problem.kernel.name):
                    continue
                hot = at_node(problem, label, background=0.0, kernel=kernel, bandwidth=h)
                log_peak = formula_of(hot).log_density_at(0.0, h)
                if ask.takes("scale"):
                    hot, log_peak = hot.replace(scale=math.exp(-log_peak)), 0.0
                else:
                    log_peak += math.log(problem.settings.scale)
                answer, allowed = ask(hot), roundoff(ask, hot)
                yield Comparison("loss", answer.loss, -math.log(match) - log_peak, allowed)
                yield Comparison("logits", answer.logits, weights - np.where(matches, weights / match, 0.0), allowed)


@final
class KernelScale(Property):
    """With cK for K, p becomes c p: log c leaves every log p, and r_i = S_i c K/(c p) has lost c; so node by node."""

    id = "kernel-scale"
    family = "claim"
    statement = (
        "K → cK leaves ∂L/∂z unchanged and moves L by -log c, for c from 1e-300 to 1e300; also for a c(x) that differs "
        "from node to node (with a background E > 0, L does not move by -log c)"
    )
    meaning = "how the kernel is normalised changes the gradient: there is more in p than the kernel"

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation:
        return "breaks" if background else "holds"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, base = case.problem, ask(case.problem)
        decades = ask.precision.decades
        for power in (-decades, -_SMALL_DECADES, _SMALL_DECADES, decades):
            scale = 10.0**power
            scaled = problem.replace(scale=scale)
            log_c = math.log(scale) - math.log(problem.settings.scale)
            answer, allowed = ask(scaled), roundoff(ask, problem, scaled, log_c=log_c)
            where = f"scale {scale:g}"
            yield Comparison("loss", answer.loss, base.loss - log_c, allowed, where=where)
            if problem.settings.background == 0.0:
                yield Comparison("logits", answer.logits, base.logits, allowed, where=where)
        is_long = problem.rule.bins > _MOST_NODES
        whole = problem.replace(bins=_MOST_NODES) if is_long and problem.observed is None else problem
        if whole.rule.bins > _MOST_NODES or problem.settings.background > 0.0 or reference_of(whole).uncovered:
            return
        # Σ_m w_m of one-node problems, each with a scale of its own
        nodes, weights = whole.rule.nodes, whole.rule.weights
        logs = 2.0 * decades * case.rng().uniform(-1.0, 1.0, len(nodes))
        parts = [ask(at_node(whole, t, scale=math.exp(c))) for t, c in zip(nodes, logs, strict=True)]
        gradient = np.sum([w * part.logits for w, part in zip(weights, parts, strict=True)], axis=0)
        loss = sum(w * (part.loss + c) for w, part, c in zip(weights, parts, logs, strict=True))
        own, allowed = ask(whole), roundoff(ask, whole, log_c=float(np.abs(logs).max()))
        yield Comparison("logits", gradient, own.logits, allowed, what="∂L/∂z, c(x) per node")
        unscaled = own.loss + math.log(whole.settings.scale)
        yield Comparison("loss", loss, unscaled, allowed, what="the loss, c(x) per node")


@final
class EqualDistance(Property):
    """At one bin t, ∂L/∂z_i / S_i = Σ_j r_j - (1-E) C K(t ⊖ x_i)/p: it depends on i through the distance alone.

    Every point gets a companion at its mirror image in t, with another logit.
    """

    id = "equal-distance"
    family = "claim"
    statement = (
        "Points equally far from a bin t learn at the same rate there: ∂L/∂z_i / S_i = 1 - K(t ⊖ x_i)/p(t) is equal, "
        "near or far"
    )
    precondition = "a positive density at the bin (the check mirrors every point in it)"
    meaning = "of two points equally far from a bin one learns faster than the other, for its weight"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        nodes = problem.rule.nodes
        t = float(nodes[len(nodes) // 3])
        drop = case.rng().uniform(0.0, 2.0, len(problem.logits))
        mirrored = at_node(
            problem,
            t,
            angles=np.concatenate([problem.angles, 2.0 * t - problem.angles]),
            logits=np.concatenate([problem.logits, problem.logits - drop]),
            labels=None,
        )
        distances = np.abs(formula_of(mirrored).difference(mirrored.angles, np.asarray(t)))
        moved = float(np.abs(np.subtract(*np.split(distances, 2))).max())
        if moved > problem.settings.bandwidth:
            raise Unmet(f"coordinates near {t:g} are rounded by more than a bandwidth: mirror images are elsewhere")
        require_clear_jumps(ask, mirrored)
        answer, allowed = ask(mirrored), roundoff(ask, mirrored)
        own, companion = np.split(answer.logits, 2)
        yield Comparison("logits", companion, np.exp(-drop) * own, allowed, what="∂L/∂z of the mirror image")
        rate, companion_rate = np.split(answer.per_weight, 2)
        seen = slice(None) if ask.is_own else np.split(answer.weights, 2)[1] > ask.precision.least
        yield rates_compared(ask, companion_rate[seen], rate[seen], mirrored, "∂L/∂z / S of the mirror image")


@final
class EqualDistanceMoved(Property):
    """With every |t ⊖ x_j| = d, p(t) = C K_h(d) Σ_j S_j = C K_h(d), so that r_i = S_i."""

    id = "equal-distance-moved"
    family = "claim"
    statement = (
        "N points all at one distance d from a bin: ∂L/∂z = 0 and L = -log(C·K_h(d)), for any d with K_h(d) > 0, "
        "from 0 to 10⁶ h (circle: d ≤ P/2)"
    )
    precondition = "any points (the check moves them to t ± d, t = 0)"
    meaning = (
        "points that are all equally far from the target are moved against each other, or the loss is not that of K"
    )
    _DISTANCES = (0.0, 0.5, 0.95, 3.0, 30.0, 1e3, 1e6)  # in bandwidths

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, formula = case.problem, formula_of(case.problem)
        h, n = problem.settings.bandwidth, len(problem.angles)
        sides = case.rng().choice((-1.0, 1.0), n)
        for d in sorted({min(u * h, formula.half_period) for u in self._DISTANCES}):
            log_k = formula.log_density_at(d, h)
            if log_k == -math.inf:
                continue
            ring = at_node(problem, 0.0, angles=sides * d, background=0.0)
            answer, allowed = ask(ring), roundoff(ask, ring)
            yield Comparison("logits", answer.logits, np.zeros(n), allowed, where=f"d = {d:g}")
            loss = -log_k - math.log(problem.settings.scale)
            yield Comparison("loss", answer.loss, loss, allowed, where=f"d = {d:g}")


@final
class LaplaceShift(LaplaceProperty):
    """With K = e^(-d/h)/(2h), K_h(d - δ) = e^(δ/h) K_h(d), a factor common to all; no other log K is linear in d."""

    id = "laplace-shift"
    family = "claim"
    statement = (
        "At the bin in the target's centre c, taking δ = min_j |x_j ⊖ c| off every distance to c leaves ∂L/∂z "
        "unchanged: K_h(d - δ) = e^(δ/h) K_h(d)"
    )
    precondition = "δ > 0, a positive density at c; as a control: a break that the closed form predicts"
    meaning = (
        "far points do not learn as fast as near ones, which this kernel is chosen for (or a control shows nothing)"
    )

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        before = at_node(problem, problem.centre if problem.target is None else problem.target.centre)
        nearest = float(np.abs(offsets(before)).min())
        if nearest == 0.0:
            raise Unmet("δ = 0: a point is in the bin already")
        after = outward(before, -nearest)
        yield Comparison("logits", ask(after).logits, ask(before).logits, roundoff(ask, before, after))
