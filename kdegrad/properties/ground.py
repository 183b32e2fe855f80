"""Basic properties of any correct implementation, whatever the kernel; at length: kdegrad/properties/README.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray, euclidean_norm
from kdegrad.descent import descend
from kdegrad.objective import evaluate, loss_and_grad, responsibilities_by_bin
from kdegrad.problem import Problem
from kdegrad.properties.base import Answer, Case, Comparison, Evaluator, Expectation, Property, Quantity, Skipped, Unmet
from kdegrad.properties.comparisons import (
    rates_compared,
    roundoff,
    same,
    same_elsewhere,
    shares_compared,
)
from kdegrad.properties.convergence import integral_slopes
from kdegrad.properties.evaluators import reference
from kdegrad.properties.geometry import mapped, offsets, starts
from kdegrad.properties.reference import EPSILON, derivative, log_background, reference_of, target_condition
from kdegrad.properties.reference_kernels import formula_of
from kdegrad.sweeps import sweep
from kdegrad.targets import Points

_BETWEEN_SCHEMES: Final = 1e-13  # what the interpolation of a fast scheme may move log p̃ by
_SCHEME_ROUNDING: Final = 8.0 * EPSILON  # and what rounding may, times 1 + max|z| + |log c| + A
_SUM_ROUNDOFF: Final = 1e-12  # of sums of shares, whatever log p is
_FAR: Final = 1e12  # bandwidths
_FAR_BINS: Final = 64  # are enough there
_LARGEST_KAPPA: Final = 1e15
_MOST_NODES: Final = 4096  # that are looked at one by one
_OUT: Final = 60.0  # bandwidths: where a floor or a clamp of log p has ended the gradient
_KINK: Final = 10.0  # times the reference's differences of two steps, as those of a loss with a kink there are
_MOST_COORDINATES: Final = 16  # that are differentiated one by one


@final
class LogitOffset(Property):
    """A common offset cancels: e^c stands in the numerator and in the denominator of S."""

    id = "logit-offset"
    family = "ground"
    statement = "z + c changes nothing: S_j = e^(z_j + c)/Σ_k e^(z_k + c)"
    meaning = "a common offset of the logits, which training adds freely, changes the loss"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        for c in (-1e4, -0.3, 700.0):
            yield from same(ask, case.problem, case.problem.replace(logits=case.problem.logits + c))


@final
class ZeroSum(Property):
    """Σ_i r_i(x) is the points' share of p̃(x), 1 - E/((b-a) p̃); and Σ_i (S_i Σ_j R_j - R_i) = Σ_j R_j - Σ_i R_i = 0.

    Shares are ratios, so that their sums stay 1 however far away the points are and however small p is.
    """

    id = "zero-sum"
    family = "ground"
    statement = (
        "Σ_i ∂L/∂z_i = 0, and Σ_i r_i(x) = 1 at every node (with a background: 1 - E/((b-a) p̃(x))); Σ_m w_m r_i(t_m) "
        "= R_i; the sums to 1e-12 at any distance, 10¹² bandwidths away too"
    )
    meaning = "the gradient pushes all logits up or down together: they drift"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, allowed = case.problem, roundoff(ask, case.problem)
        plain = reference(problem)
        shares = np.ones(problem.rule.bins)
        if problem.settings.background > 0.0:
            shares -= np.exp(log_background(problem) - plain.log_density)
        if not ask.is_own:  # what else is summed here, a loss does not return
            yield Comparison("logits", ask(problem).logits.sum(), 0.0, allowed, what="Σ ∂L/∂z")
            return
        yield from _sums(problem, ask, float(problem.rule.weights @ shares), allowed)
        means = np.zeros((2, len(problem.angles)))
        yield from _sums_at_nodes(problem, shares[:_MOST_NODES], allowed, means)
        if problem.rule.bins <= _MOST_NODES:
            yield Comparison("logits", means[0], plain.responsibilities, allowed, what="the mean of r over the nodes")
            yield Comparison("logits", means[1], plain.logits, allowed, what="the mean of ∂L/∂z over the nodes")
        if not formula_of(problem).is_compact:
            far, where = _far_away(problem), "10¹² bandwidths"
            for sums in ("dense", "fast"):
                yield from _sums(far.replace(sums=sums), ask, 1.0, _SUM_ROUNDOFF, f"{where}, by {sums} sums")
            yield from _sums_at_nodes(far, np.ones(far.rule.bins), _SUM_ROUNDOFF, np.zeros_like(means), where)


def _sums(problem: Problem, ask: Evaluator, share: float, allowed: float, where: str = "") -> Iterator[Comparison]:
    """Yield that the sums over all points are 0 or 1, or with a background Σ R the `share` to within `allowed`."""
    answer = ask(problem)
    of_shares = _SUM_ROUNDOFF if problem.settings.background == 0.0 else allowed
    yield Comparison("logits", answer.logits.sum(), 0.0, _SUM_ROUNDOFF, where=where, what="Σ ∂L/∂z")
    yield Comparison("logits", answer.weights.sum(), 1.0, _SUM_ROUNDOFF, where=where, what="Σ S")
    yield Comparison("logits", answer.responsibilities.sum(), share, of_shares, where=where, what="Σ R")


def _sums_at_nodes(
    problem: Problem, shares: FloatArray, allowed: float, means: FloatArray, where: str = ""
) -> Iterator[Comparison]:
    """Yield the same of r_i and ∂L/∂z_i at the first nodes, of which `means` (2, N) take the part of the rule."""
    sums, nodes = np.empty((len(shares), 2)), f"the nodes, {where}" if where else "the nodes"
    for m, of_bin in enumerate(islice(responsibilities_by_bin(evaluate(problem)), len(shares))):
        sums[m] = [numbers.sum() for numbers in of_bin]
        for mean, numbers in zip(means, of_bin, strict=True):
            mean += problem.rule.weights[m] * numbers
    of_shares = _SUM_ROUNDOFF if problem.settings.background == 0.0 else allowed
    yield Comparison("logits", sums[:, 0], shares, of_shares, where=nodes, what="Σ r")
    yield Comparison("logits", sums[:, 1], np.zeros(len(sums)), _SUM_ROUNDOFF, where=nodes, what="Σ ∂L/∂z")


def _far_away(problem: Problem) -> Problem:
    """Return the problem without its background, its points 10¹² bandwidths farther away.

    On a circle the bandwidth is that much less than P instead; for von Mises it is 10^-7.5 radians: κ = 10¹⁵.
    """
    problem = problem.replace(background=0.0, bins=min(problem.settings.bins, _FAR_BINS))
    period = problem.settings.circumference
    if period is None:
        away = _FAR * problem.settings.bandwidth
        seen = offsets(problem)
        return problem.replace(angles=problem.angles + np.copysign(away, seen))
    is_native = problem.kernel.name == "von-mises"
    narrow = period / (2.0 * math.pi) / math.sqrt(_LARGEST_KAPPA) if is_native else period / _FAR
    return problem.replace(bandwidth=narrow)


@final
class Derivative(Property):
    """∂L = Im L(· + iε)/ε, exact to round-off, of the loss written out on complex numbers.

    That loss and the one reported are compared too, so that the gradients are the derivatives of what is reported.
    """

    id = "derivative"
    family = "ground"
    statement = (
        "∂L/∂z, ∂L/∂x and ∂L/∂log h are the derivatives of L: complex steps of the loss written out (by the rule "
        "exact: differences of the integral too); of another loss its own differences, 60 h out too"
    )
    meaning = "what is followed in training is not the gradient of the loss that is reported"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        if not ask.is_own:
            yield from _own_slopes(case, ask)
            return
        problem, n = case.problem, len(case.problem.angles)
        answer, still = ask(problem), np.zeros(n)
        allowed, slopes_allowed = roundoff(ask, problem), roundoff(ask, problem, slopes=True)
        yield Comparison("loss", answer.loss, reference(problem).loss, allowed)
        chosen = np.linspace(0, n - 1, min(n, _MOST_COORDINATES)).astype(int)
        directions = np.equal.outer(chosen, np.arange(n)).astype(np.float64)
        if n > _MOST_COORDINATES:
            directions = np.concatenate([directions, case.rng().choice((-1.0, 1.0), (4, n))])
        by_logits = [derivative(problem, v, still, 0.0) for v in directions]
        yield Comparison("logits", directions @ answer.logits, by_logits, allowed)
        by_angles = [derivative(problem, still, v, 0.0) for v in directions]
        yield Comparison("angles", directions @ answer.angles, by_angles, slopes_allowed)
        yield Comparison("bandwidth", answer.log_bandwidth, derivative(problem, still, still, 1.0), slopes_allowed)
        if case.exact and problem.observed is None:
            yield from integral_slopes(problem, ask(problem.replace(rule="exact")))


def _own_slopes(case: Case, ask: Evaluator) -> Iterator[Comparison]:
    """Yield that gradients are the derivatives of the same loss, here and with all points 60 bandwidths out.

    Richardson's difference of step δ = ε^(1/5),

        (4 D(δ) - D(2δ))/3,   D(δ) = (L(+δ) - L(-δ))/(2δ),

    is off by O(δ⁴), which is taken from the reference's own, twice; and rounding of L by e moves it by up to 1.5 e/δ.
    The gradient has rounding of its own, which is more where the slopes are steep.
    """
    if ask.gives == {"loss"}:
        raise Unmet("gives no gradient")
    step, settings = ask.precision.epsilon**0.2, case.problem.settings
    places = [("", case.problem)]
    is_movable = settings.circumference is None or ask.takes("bandwidth")
    if is_movable and settings.background == 0.0 and case.problem.target is not None:
        places += [o for o in starts(case.problem, (_OUT,)) if reference_of(ask.seen(o[1])).uncovered == 0]
    for where, problem in places:
        seen, n = ask.seen(problem), len(problem.angles)
        signs = np.where(np.isfinite(seen.logits), case.rng().choice((-1.0, 1.0), (2, n)), 0.0)
        ways: list[tuple[Quantity, FloatArray]] = [("logits", signs[0]), ("angles", signs[1])]
        ways += [("bandwidth", np.ones(1))] if ask.takes("bandwidth") else []
        for of, way in ways:
            if of in ask.gives:
                allowed = 1.5 * roundoff(ask, seen) / step + roundoff(ask, seen, slopes=of != "logits")
                got, slope = (_slope(by(seen), of, way) for by in (ask, reference))
                differences = (_richardson(partial(_loss_along, by, seen, of, way), step) for by in (ask, reference))
                (own, own_spread), (by_reference, spread) = differences
                # a clamp has a kink where it begins: differences across it are no derivative
                at_kink = own_spread if own_spread > _KINK * spread + allowed else 0.0
                yield Comparison(of, got, own, allowed, 2.0 * abs(by_reference - slope) + 4.0 * at_kink, where)


def _slope(answer: Answer, of: Quantity, way: FloatArray) -> float:
    """Return the derivative that an answer gives along a way: of the logits, of the angles in bandwidths, of log h."""
    gradients = {"logits": answer.logits, "angles": answer.angles, "bandwidth": np.array([answer.log_bandwidth])}
    return float(gradients[of] @ way)


def _loss_along(by: Evaluator, problem: Problem, of: Quantity, way: FloatArray, d: float) -> float:
    """Return the loss after a step d of the same way."""
    h = problem.settings.bandwidth
    if of == "bandwidth":
        return by.loss(problem.replace(bandwidth=h * math.exp(d * way[0])))
    if of == "angles":
        return by.loss(problem.replace(angles=problem.angles + d * h * way))
    return by.loss(problem.replace(logits=problem.logits + d * way))


def _richardson(loss: Callable[[float], float], step: float) -> tuple[float, float]:
    """Return (4 D(δ) - D(2δ))/3 and |D(δ) - D(2δ)|."""
    coarse, fine = ((loss(d) - loss(-d)) / (2.0 * d) for d in (2.0 * step, step))
    return (4.0 * fine - coarse) / 3.0, abs(fine - coarse)


@final
class Permutation(Property):
    """A sum does not depend on the order of its terms."""

    id = "permutation"
    family = "ground"
    statement = "Reordering the points permutes the gradient and leaves L; reordering target points changes nothing"
    meaning = "the loss depends on the order of the points"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = case.problem
        order = case.rng().permutation(len(problem.angles))
        after = problem.replace(angles=problem.angles[order], logits=problem.logits[order], labels=None)
        yield from same(ask, problem, after, points=order)
        if (target := problem.target_points) is not None:
            order = case.rng().permutation(len(target))
            yield from same(ask, problem, problem.replace(target=Points(target.angles[order], target.weights[order])))


@final
class Merge(Property):
    """e^z = 2 e^(z - log 2): two halves at one place stand in p for the whole, and each has half of r."""

    id = "merge"
    family = "ground"
    statement = "A point split in two of half its weight (logits lower by log 2) shares its gradient in halves"
    meaning = "a point and two halves of it train differently: the weights are not a softmax"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, n = case.problem, len(case.problem.angles)
        for split in {int(np.argmax(problem.logits)), int(case.rng().integers(n))}:
            parts = np.append(np.arange(n), split)
            halved = np.where(parts == split, math.log(2.0), 0.0)
            after = problem.replace(angles=problem.angles[parts], logits=problem.logits[parts] - halved, labels=None)
            old, new, allowed = ask(problem), ask(after), roundoff(ask, problem, after)
            yield Comparison("loss", new.loss, old.loss, allowed)
            yield Comparison("logits", new.logits, old.logits[parts] * np.exp(-halved), allowed)


@final
class Reflection(Property):
    """K is even: |(-t) ⊖ (-x)| = |t ⊖ x|, and ∂/∂(-x) = -∂/∂x."""

    id = "reflection"
    family = "ground"
    statement = "Mirroring all angles and the target leaves L and ∂L/∂z, and changes the sign of ∂L/∂x"
    meaning = "training prefers one side of the target"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        yield from same_elsewhere(ask, case.problem, mapped(case.problem, factor=-1.0), angle_sign=-1.0)


@final
class Translation(Property):
    """Only differences t ⊖ x enter."""

    id = "translation"
    family = "ground"
    statement = "Shifting all angles and the target by one amount changes nothing"
    meaning = "where the zero of the angles is makes a difference: digits are lost, or a constant is in the way"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        settings = case.problem.settings
        length = min(settings.bandwidth, settings.circumference or math.inf)
        for shift in (math.sqrt(0.5) * length, -1234.5 * length):  # √½: not a whole number of degrees by chance
            yield from same_elsewhere(ask, case.problem, mapped(case.problem, shift=shift))


@final
class Unit(Property):
    """K_h(d) = K(d/h)/h: with every length times λ the density is divided by λ, and nothing else happens to it."""

    id = "unit"
    family = "ground"
    statement = (
        "Angles, target, bandwidth (and period) times λ: L moves by log λ, KL and ∂L/∂z stay, ∂L/∂x is divided by λ"
    )
    meaning = "changing the unit of the angles changes the training"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, settings = case.problem, case.problem.settings
        for unit in (math.pi / 180.0, 60.0):
            period = None if settings.circumference is None else settings.circumference * unit
            h = settings.bandwidth * unit
            # any circumference may stand beside degrees; of the old unit it is no full turn
            after = mapped(problem, factor=unit, bandwidth=h, period=period, unit="degrees")
            yield from same_elsewhere(ask, problem, after, loss_moves=math.log(unit))
            if problem.target is not None and ask.is_own:
                kl, was = evaluate(after, wrt=()).kl, ask(problem).loss - math.log(problem.target.width)
                allowed = roundoff(ask, problem, after, log_c=abs(math.log(unit)) + target_condition(problem))
                yield Comparison("loss", math.nan if kl is None else kl, was, allowed, what="KL")


@final
class Rotation(Property):
    """A turn leaves every x ⊖ y, whichever of the angles x + nP stands for a place."""

    id = "rotation"
    family = "ground"
    statement = "On a circle, any turn of points and target together, and whole turns of single points, change nothing"
    precondition = "a circle"
    meaning = "the wrap of the circle makes a difference: points across it are pulled the long way round"

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation | Skipped:
        return "holds" if domain == "circle" else Skipped("a line has no turns")

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem, period = case.problem, case.problem.settings.circumference or math.nan
        rng = case.rng()
        turn = float(rng.uniform(0.0, period))
        turns, of_target = rng.integers(-3, 4, len(problem.angles)), rng.integers(-3, 4, problem.rule.bins)
        across = -float(problem.domain.reduced(np.array([problem.centre]))[0])  # the target across the wrap
        for shift in (turn, across):
            angles = np.mod(problem.domain.reduced(problem.angles) + shift, period) + turns * period
            after = mapped(problem, shift=shift, angles=angles)
            if problem.target_points is not None:
                places, weights = problem.rule.nodes, problem.rule.weights
                places = np.mod(problem.domain.reduced(places) + shift, period) + of_target * period
                after = after.replace(target=Points(places, weights))
            yield from same_elsewhere(ask, problem, after)


@final
class SumsAgree(Property):
    """Every scheme computes Σ_j S_j K_h(t_m ⊖ x_j) over all pairs, which the reference writes out.

    The schemes agree with each other more closely than with it: they have the weights and the kernel in common.
    """

    id = "sums-agree"
    family = "ground"
    of_kdegrad = True
    statement = (
        "The sums in use agree with a plain dense one, and so does the other scheme, dense or fast: log p̃ at the "
        "nodes, L, R and all gradients, of light points too; so do sweep and descend"
    )
    meaning = "the result depends on the scheme of summation"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        plain = reference(case.problem)
        allowed, slopes_allowed = roundoff(ask, case.problem), roundoff(ask, case.problem, slopes=True)
        answers = []
        for sums in ("dense", "fast"):  # one of them is in use
            problem, by = case.problem.replace(sums=sums), f"by {sums} sums"
            answers.append(answer := ask(problem))
            at_nodes = answer.log_density, plain.log_density
            yield Comparison("loss", *at_nodes, allowed, where="the nodes", what=f"log p̃ {by}")
            yield Comparison("loss", answer.loss, plain.loss, allowed, what=f"the loss {by}")
            shares, rates = (answer.responsibilities, plain.responsibilities), (answer.per_weight, plain.per_weight)
            yield Comparison("logits", *shares, allowed, what=f"R {by}")
            yield Comparison("logits", answer.logits, plain.logits, allowed, what=f"∂L/∂z {by}")
            yield shares_compared(ask, *shares, case.problem, f"R {by}")
            yield shares_compared(ask, answer.logits, plain.logits, case.problem, f"∂L/∂z {by}")
            yield rates_compared(ask, *rates, problem, f"∂L/∂z / S {by}")
            yield Comparison("angles", answer.angles, plain.angles, slopes_allowed, what=f"h ∂L/∂x {by}")
            slopes = answer.log_bandwidth, plain.log_bandwidth
            yield Comparison("bandwidth", *slopes, slopes_allowed, what=f"∂L/∂log h {by}")
            loss, gradient = loss_and_grad(problem.angles, problem.logits, **problem.options)
            yield Comparison("loss", loss, plain.loss, allowed, what=f"the loss of loss_and_grad {by}")
            yield Comparison("logits", gradient, plain.logits, allowed, what=f"the gradient of loss_and_grad {by}")
        dense, fast = answers
        between = _BETWEEN_SCHEMES + allowed * (_SCHEME_ROUNDING / ask.precision.rounding)
        what = "log p̃ by fast sums and by dense ones"
        yield Comparison("loss", fast.log_density, dense.log_density, between, what=what)
        yield from _in_families(case.problem, plain, allowed)


def _in_families(problem: Problem, plain: Answer, allowed: float) -> Iterator[Comparison]:
    """Yield that `sweep` and `descend` have the same loss and gradient."""
    (step,) = sweep(problem, "bandwidth", [problem.settings.bandwidth]).steps
    size = np.abs(plain.logits)
    norms = [float(size.sum()), euclidean_norm(plain.logits), float(size.max())]
    of_sweep = math.nan if step.loss is None else step.loss
    yield Comparison("loss", of_sweep, plain.loss, allowed, what="the loss of sweep")
    found = [math.nan if norm is None else norm for norm in (step.l1, step.l2, step.max)]
    # ∂L/∂z_i is off by max(S_i, R_i) of it
    yield Comparison("logits", found, norms, 2.0 * allowed, what="the norms of ∂L/∂z of sweep")
    done, free = descend(problem, steps=1, tolerance=0.0), np.isfinite(problem.logits)
    yield Comparison("loss", done.start.loss, plain.loss, allowed, what="the loss of descend")
    if not done.diverged:
        moved = (done.end.problem.logits[free], problem.logits[free] - plain.logits[free])
        yield Comparison("logits", *moved, allowed, what="the logits after a step of descend")
