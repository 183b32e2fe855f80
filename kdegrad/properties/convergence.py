"""Bins against the integral, which is found here by Gauss panels that are split until they agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Answer, Case, Comparison, Evaluator, Property, Quantity, Unmet
from kdegrad.properties.comparisons import roundoff
from kdegrad.properties.evaluators import reference
from kdegrad.properties.geometry import over_target
from kdegrad.properties.reference import EPSILON, log_densities, log_density_slopes, target_condition
from kdegrad.properties.reference_kernels import LEGENDRE, formula_of

_BINS: Final = (16, 128, 1024)
MOST_POINTS: Final = 2_000
_HIGHEST_MOMENT: Final = 40
_STEP: Final = 1e-3  # applies to a logit, to an angle in bandwidths and to a log bandwidth
MOST_HALVINGS: Final = 64
_MOST_PANELS: Final = 3_000  # open at once; steep places need some 10 at a time
_SMALL: Final = 1e-3  # fraction of the target: a panel narrower than this may be off by as much as one that wide
_IN_DOUBT: Final = 1e-6  # relative: where the rule exact itself says that its loss is not known better, none is checked
_COARSEST: Final = 1e-3  # fraction of a bin that a coordinate may be rounded by
_NARROWEST: Final = 2.0**-960  # of a target: narrow panels of it must be normal numbers
_UNEVEN: Final = 0.41421356  # where a panel is split: halves would end where points at equal distances take turns
_SAMPLED: Final = 1.1  # a variation seen at 20 nodes a panel misses a little between them


@final
class Quadrature(Property):
    """A bin of width H errs by at most H²/8 times the variation of f' in it (its Peano kernel), f = log p.

    Where K jumps, f' has no bounded variation but f has, and a bin errs by at most H/2 times the variation of f in it.
    """

    id = "quadrature"
    family = "ground"
    statement = (
        "B bins converge to the integral at order 2 at least: |L_B - L| ≤ H² V(f')/(8(b-a)), f = log p, H = (b-a)/B, "
        "V the total variation (order 1 where K jumps: H V(f)/(2(b-a))); B Gauss nodes integrate polynomials of degree "
        "2B - 1 exactly"
    )
    precondition = "a target, a positive density all over it, at most 2000 points"
    meaning = "the bins do not tend to the integral over the target: nodes or weights of the bins are off"

    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        problem = over_target(case.problem)
        if problem.observed is not None:
            raise Unmet("target points: there are no bins")
        width = problem.interval.width
        if target_condition(problem) * max(_BINS) > _COARSEST / EPSILON or width < _NARROWEST:
            raise Unmet(f"a target {width!r} wide is too narrow for coordinates near {problem.interval.low!r}")
        fine = integrate(problem)
        if not math.isfinite(fine.loss):
            raise Unmet("the integral is beyond the range of float64")
        own = problem.settings.bins
        # A library that compiles for each shape has done so for the case's own bins.
        numbers = _BINS if ask.is_own else (_BINS[0], own, _BINS[-1]) if ask.takes("bins") else (own,)
        for bins in numbers:
            binned = problem.replace(rule="midpoint", bins=bins)
            bin_width, allowed = width / bins, roundoff(ask, binned)
            order_2, order_1 = bin_width * fine.slope_variation / 8.0 * bin_width, bin_width * fine.variation / 2.0
            limit = order_2 if math.isfinite(order_2) and problem.kernel.name != "uniform" else order_1
            if math.isfinite(limit):  # else log p varies without bound, and nothing bounds the error of bins
                limit *= _SAMPLED / width
                what = f"the loss by {bins} bins"
                yield Comparison("loss", ask.loss(binned), fine.loss, allowed, limit, what=what)
        if case.exact:
            exact = ask(problem.replace(rule="exact"))
            if exact.error is None or exact.error <= _IN_DOUBT * (1.0 + abs(exact.loss)):
                yield Comparison("loss", exact.loss, fine.loss, roundoff(ask, problem), what="the exact loss")
            if exact.error is not None:
                least = EPSILON * abs(exact.loss)  # one rounding of the loss
                what = "the estimated error of the exact loss, up to one rounding of it"
                yield Comparison("loss", min(exact.error, least), least, 0.5 * least, what=what)
        if problem.settings.rule == "gauss":
            # Σ_m w_m P_k(u_m), with the nodes brought to [-1, 1], is the mean of Legendre's P_k: 1 for k = 0, else 0.
            # A node that is a rounding off moves P_k by up to k(k+1)/2 of it.
            rule = problem.rule
            most = min(2 * rule.bins - 1, _HIGHEST_MOMENT)
            places = 2.0 * formula_of(problem).difference(rule.nodes, np.asarray(problem.interval.centre)) / width
            moments = rule.weights @ np.polynomial.legendre.legvander(places, most)
            allowed = (1.0 + target_condition(problem)) * (1.0 + 0.5 * most * (most + 1)) * ask.precision.rounding
            ones = np.eye(1, most + 1)[0]
            yield Comparison("loss", moments, ones, allowed, what="the moments of the Gauss rule")


def integral_slopes(problem: Problem, answer: Answer) -> Iterator[Comparison]:
    """Yield that gradients are the derivatives of the integral, for the two points with the largest responsibility.

    Where the integral can be found, they are compared with its Richardson differences of step δ,

        (4 D(δ) - D(2δ))/3,   D(δ) = (L(+δ) - L(-δ))/(2δ);   4 |D(δ) - D(2δ)| is how far they may be off.
    """
    if problem.interval.width < _NARROWEST or (
        answer.error is not None and answer.error > _IN_DOUBT * (1.0 + abs(answer.loss))
    ):
        return  # the rule says itself that it has not found the integral
    h, formula = problem.settings.bandwidth, formula_of(problem)
    length = min(h, problem.interval.width)
    if formula.is_compact:
        angles = formula.reduced(problem.angles)
        edges = np.concatenate([angles - h, angles + h, problem.reduced_interval])
        edges = np.sort(edges if formula.period is None else np.mod(edges, formula.period))
        if np.diff(edges, append=edges[0] + 2.0 * formula.half_period).min() < 4.0 * _STEP * h:
            return  # where edges meet, or one an end of the target, L may have no derivative, or change it in a step

    changes: list[tuple[Quantity, str, float, tuple[ArrayLike, ArrayLike, float]]] = [
        ("bandwidth", "∂L/∂log h", answer.log_bandwidth, (0.0, 0.0, 1.0))
    ]
    for point in np.argsort(-answer.responsibilities)[:2].tolist():
        one = np.arange(len(problem.angles)) == point
        changes.append(("logits", "∂L/∂z", float(answer.logits[point]), (one, 0.0, 0.0)))
        changes.append(("angles", "∂L/∂x", float(answer.angles[point] * (length / h)), (0.0, one, 0.0)))

    def loss(step: float, z: ArrayLike, x: ArrayLike, log_h: float) -> float:
        logits, angles = problem.logits + np.multiply(step, z), problem.angles + np.multiply(length * step, x)
        return integral(problem.replace(logits=logits, angles=angles, bandwidth=h * math.exp(step * log_h)))[0]

    with suppress(Unmet):
        for of, what, slope, way in changes:
            coarse, fine = ((loss(d, *way) - loss(-d, *way)) / (2.0 * d) for d in (2.0 * _STEP, _STEP))
            want, off = (4.0 * fine - coarse) / 3.0, 4.0 * abs(fine - coarse)
            yield Comparison(
                of, slope, want, roundoff(reference, problem) / _STEP, off, what=f"{what} by the rule exact"
            )


class Integral(NamedTuple):
    """L = -1/(b-a) ∫ log p, and the total variation of log p and of its derivative over [a, b]; infinite if unknown."""

    loss: float
    variation: float
    slope_variation: float


def integral(problem: Problem) -> tuple[float, FloatArray, FloatArray]:
    """Return L and the low and high ends of Gauss panels that are split at the kinks of p and then until they agree.

    Raise `Unmet` for too many points; where the density is 0 in [a, b], or so near to it that no panels settle.
    """
    if len(problem.angles) > MOST_POINTS:
        raise Unmet(f"{len(problem.angles)} points are too many for an integral written out plainly")
    width = problem.interval.width
    settled: list[FloatArray] = []
    total, allowed = 0.0, roundoff(reference, problem) / 8.0
    low, high = _first_panels(problem)
    whole = _panel_integrals(problem, low, high)
    for _ in range(MOST_HALVINGS):
        middle = low + _UNEVEN * (high - low)
        first, second = _panel_integrals(problem, low, middle), _panel_integrals(problem, middle, high)
        agreed = np.abs(whole - (first + second)) <= allowed * np.maximum(high - low, _SMALL * width)
        total += float((first + second)[agreed].sum())
        settled += [np.stack([low, middle])[:, agreed], np.stack([middle, high])[:, agreed]]
        low, middle, high = low[~agreed], middle[~agreed], high[~agreed]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        whole = np.concatenate([first[~agreed], second[~agreed]])
        if not low.size or low.size > 2 * _MOST_PANELS:
            break
    if low.size:
        raise Unmet("the density is so close to 0 in the target that the integral does not converge")
    low, high = np.concatenate(settled, axis=1)
    order = np.argsort(low)
    return -total / width, low[order], high[order]


def integrate(problem: Problem) -> Integral:
    """Return the integral and the variations between nodes of its panels; raise `Unmet` as `integral` does."""
    loss, low, high = integral(problem)
    low, high, allowed = low[:, np.newaxis], high[:, np.newaxis], roundoff(reference, problem)
    inside = np.concatenate([[-1.0 + 1e-9], LEGENDRE[0], [1.0 - 1e-9]])  # and the ends of each panel
    places = (0.5 * (high + low) + 0.5 * (high - low) * inside).ravel()
    values, slopes = log_densities(problem, places), log_density_slopes(problem, places)
    rises, turns = np.abs(np.diff(values)), np.abs(np.diff(slopes))
    steepest = np.maximum(np.abs(slopes[1:]), np.abs(slopes[:-1]))
    # log p may fall at an edge by 10⁴ within a rounding of its place: then no sampled slope shows it
    is_resolved = bool((rises <= 2.0 * steepest * np.diff(places) + allowed).all())
    return Integral(
        loss,
        float(rises.sum()),
        float(turns.sum()) if is_resolved and np.isfinite(slopes).all() else math.inf,
    )


def _first_panels(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return the low and high ends of the panels to begin with.

    They end at the kinks of p, at points and in ever larger steps from them, one a bandwidth at most: a narrow bump
    hides from a panel.
    """
    low, high = problem.reduced_interval
    h, formula = problem.settings.bandwidth, formula_of(problem)
    angles = formula.reduced(problem.angles)

    def around(distances: ArrayLike) -> FloatArray:
        places = np.add.outer(angles, np.concatenate([np.negative(distances), distances])).ravel()
        return np.asarray(places if formula.period is None else low + np.mod(places - low, formula.period))

    steps = h * 8.0 ** np.arange(math.ceil(math.log(max((high - low) / h, 1.0), 8.0)))
    flanks = around(np.append(0.0, steps))
    flanks = np.sort(flanks[(flanks > low) & (flanks < high)])
    flanks = flanks[np.unique(np.floor((flanks - low) / h), return_index=True)[1]]
    if len(flanks) > _MOST_PANELS:
        raise Unmet(f"a target {(high - low) / h:.1e} bandwidths wide: too many bumps to integrate directly")
    kinks = around(formula.kinks(h))
    edges = np.unique(np.clip(np.concatenate([kinks, flanks, [low, high]]), low, high))
    return edges[:-1], edges[1:]


def _panel_integrals(problem: Problem, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return ∫ log p over each panel by 20 Gauss nodes."""
    nodes, weights = LEGENDRE
    half = 0.5 * (high - low)[:, np.newaxis]
    t = 0.5 * (high + low)[:, np.newaxis] + half * nodes
    values = log_densities(problem, t.ravel())
    if np.isneginf(values).any():
        raise Unmet("the density is 0 somewhere in the target: the integral is infinite")
    return np.asarray((values.reshape(t.shape) * (half * weights)).sum(axis=1))
