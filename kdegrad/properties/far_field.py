"""The gradient as the points move away from the target, D → ∞; the proofs: kdegrad/properties/README.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.logs import log_or_minus_infinity
from kdegrad.problem import Problem
from kdegrad.properties.base import Case, Comparison, Evaluator, Expectation, Property, Skipped, Unmet
from kdegrad.properties.comparisons import roundoff
from kdegrad.properties.evaluators import reference
from kdegrad.properties.geometry import beyond_edge, outward, over_target
from kdegrad.properties.reference import EPSILON, log_background, softmax
from kdegrad.properties.reference_kernels import COMPACT, EXPONENTIAL_TAILS, HEAVY_TAILS, formula_of

_SETTLED: Final = 60.0  # bandwidths after which e^-u is far below ε: logistic and sigmoid are exponentials there


@final
class FarField(Property):
    """The tail decides what is left of r_i(t) ∝ S_i K_h(d_i + D) with d_i = |t - x_i|.

    An exponential has e^(-D/h) in common; K(d_i + D)/K(d_k + D) = exp(-(d_i - d_k)(d_i + d_k + 2D)/(2h²)) for a
    gaussian; K ∝ (d + D)^-(ν+1) gives r_i = S_i (1 - (ν+1)(d_i - Σ_j S_j d_j)/D + O(D^-2)).
    """

    id = "far-field"
    family = "sharper"
    statement = (
        "Points moving outward by D → ∞: laplace, no change; logistic, sigmoid → the laplace gradient; gaussian: R_i → "
        "the share of nodes where i is nearest; heavy tails: D·∂L/∂z_i → (ν+1) S_i (d̄_i - Σ_j S_j d̄_j); with a "
        "background |∂L/∂z_i| ≤ (1-E)(b-a) C K_h(D_min)/E"
    )
    precondition = "on the line, all points outside [a, b]; compact kernels: with a background"
    meaning = "points that start far away learn by another law than the tail of the kernel has, or not at all"

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation | Skipped:
        if domain == "circle":
            return Skipped("a circle has no far field")
        if kernel in COMPACT and not background:
            return Skipped(f"{kernel} is 0 far out: no gradient is defined without a background")
        if not background and kernel not in ("gaussian", *EXPONENTIAL_TAILS, *HEAVY_TAILS):
            return Skipped(f"no far-field limit is known for {kernel}")
        return "holds"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = over_target(case.problem)
        beyond_edge(problem)  # raises Unmet for a point inside
        kernel = problem.kernel.name
        if problem.settings.background > 0.0:
            yield from _background(problem, ask)
        elif kernel in HEAVY_TAILS:
            yield from _heavy(problem, ask)
        elif kernel == "gaussian":
            yield from _gaussian(problem, ask)
        else:
            limit = reference(problem.replace(kernel="laplace")).logits
            for u in (_SETTLED, 1e4):
                away = outward(problem, u * problem.settings.bandwidth)
                yield Comparison("logits", ask(away).logits, limit, roundoff(ask, problem, away), where=f"D = {u:g} h")


def _gaussian(problem: Problem, ask: Evaluator) -> Iterator[Comparison]:
    """Compare R_i with the share of nodes where i is nearest, at the D of the least tolerance."""
    h = problem.settings.bandwidth
    log_weights = problem.logits - problem.logits.max()  # up to a constant; S itself may underflow
    distances = _node_distances(problem)
    nearest = distances.min(axis=1, where=np.isfinite(log_weights), initial=math.inf)[:, np.newaxis]
    gaps = distances - nearest
    rounding = 8.0 * EPSILON * (np.abs(problem.angles).max() + np.abs(problem.rule.nodes).max())
    log_tied = np.where(gaps <= rounding, log_weights, -math.inf)
    log_best = log_tied.max(axis=1, keepdims=True)
    tied = np.exp(log_tied - log_best)
    fractions = problem.rule.weights @ (tied / tied.sum(axis=1, keepdims=True))

    trials = []
    for u in (10.0 ** (0.5 * k) for k in range(4, 11)):
        log_rest = log_weights - log_best - gaps * (distances + nearest + 2.0 * u * h) / (2.0 * h * h)
        rest = np.where(gaps <= rounding, 0.0, np.exp(np.minimum(log_rest, 0.0))).sum(axis=1)
        away = outward(problem, u * h)
        trials.append(_Trial(u, away, roundoff(ask, away), float(problem.rule.weights @ rest)))
    best = _best(trials)
    shares, where = ask(best.away).responsibilities, f"D = {best.u:g} h"
    yield Comparison("logits", shares, fractions, best.roundoff, best.limit, where, "R")


def _heavy(problem: Problem, ask: Evaluator) -> Iterator[Comparison]:
    """Compare D ∂L/∂z_i with (ν+1) S_i (d̄_i - Σ_j S_j d̄_j), both in units of (ν+1)·spread.

    The next orders: log K_h(d + D) is linear in d to a relative d/D + νh²/D², and its exponential is linear to
    (ν+1) spread/D.
    """
    h, weights = problem.settings.bandwidth, softmax(problem.logits)
    df = HEAVY_TAILS[problem.kernel.name](problem.settings.df)
    distances = _node_distances(problem)
    mean = problem.rule.weights @ distances
    spread = max(float(np.ptp(distances)), EPSILON * h)
    limit = weights * (mean - weights @ mean) / spread
    base = max((df + 1.0) * spread, float(distances.max()), math.sqrt(df) * h)

    trials = []
    for step in (base * 10.0**k for k in range(2, 8)):
        away = outward(problem, step)
        order = 4.0 * ((df + 1.0) * spread + float(distances.max()) + df * h * h / step) / step
        trials.append(_Trial(step / h, away, roundoff(ask, away) * step / ((df + 1.0) * spread), order))
    best = _best(trials)
    scaled = ask(best.away).logits * (best.u * h) / ((df + 1.0) * spread)
    where = f"D = {best.u:g} h"
    what = "D ∂L/∂z / ((ν+1) spread)"
    yield Comparison("logits", scaled, limit, best.roundoff, best.limit, where, what)


def _background(problem: Problem, ask: Evaluator) -> Iterator[Comparison]:
    """Compare the largest gradient with its bound, in units of the bound: no more than 1 is allowed."""
    settings = problem.settings
    log_factor = math.log1p(-settings.background) + math.log(settings.scale) - log_background(problem)
    for u in (0.0, 3.0, 30.0):
        away = outward(problem, u * settings.bandwidth)
        nearest = float(_node_distances(away).min())
        log_bound = log_factor + formula_of(problem).log_density_at(nearest, settings.bandwidth)
        largest = np.abs(ask(away).logits).max()
        with np.errstate(over="ignore", invalid="ignore"):  # of 0 over 0 too
            within = np.exp(log_or_minus_infinity(largest) - log_bound)
        excess = 1.0 if largest < ask.precision.least else np.maximum(1.0, within)  # max() would drop a NaN
        what = "max |∂L/∂z| over its bound"
        yield Comparison("logits", excess, 1.0, roundoff(ask, away), where=f"D = {u:g} h", what=what)


class _Trial(NamedTuple):
    """A distance D = u h: the problem there, and what rounding and the limit's own error allow."""

    u: float
    away: Problem
    roundoff: float
    limit: float


def _best(trials: list[_Trial]) -> _Trial:
    """Return the trial that shows the limit best: too near, the limit is not reached; too far, rounding dominates."""
    best = min(trials, key=lambda trial: trial.roundoff + trial.limit)
    if best.limit > 1e-3:
        raise Unmet(
            f"points are so nearly equally far from a node that the limit is {best.limit:.1g} off where float64 ends"
        )
    return best


def _node_distances(problem: Problem) -> FloatArray:
    """Return |t_m - x_j|, shape (B, N)."""
    return np.abs(formula_of(problem).difference(problem.rule.nodes[:, np.newaxis], problem.angles))
