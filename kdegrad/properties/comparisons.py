"""How comparisons are made: of two numbers, of two problems; and how far rounding may move them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Comparison, Evaluator, Unmet
from kdegrad.properties.reference import reference_of
from kdegrad.properties.reference_kernels import formula_of


def rates_compared(ask: Evaluator, got: FloatArray, want: FloatArray, problem: Problem, what: str) -> Comparison:
    """Return the comparison of ∂L/∂z_i / S_i by arctan: what is huge counts by its digits, what overflowed as π/2."""
    allowed = roundoff(ask, problem) + ask.precision.rounding * reference_of(problem).rate_condition
    return Comparison("logits", np.arctan(got), np.arctan(want), allowed, what=what)


def shares_compared(ask: Evaluator, got: FloatArray, want: FloatArray, problem: Problem, what: str) -> Comparison:
    """Return the comparison of R_i or ∂L/∂z_i for each point by itself: what is small counts by its digits.

    They may be off by some roundings of max(S_i, R_i) (1 + max|z| + |log c| + A + A_i), in units of which they are
    shown.
    """
    plain, rounding = reference_of(problem), ask.precision.rounding
    largest = np.maximum(plain.answer.weights, plain.answer.responsibilities)
    sizes = roundoff(ask, problem) / rounding + plain.point_conditions  # infinite for logits of ±1e308
    units = np.where(largest > 0.0, largest * sizes, 0.0) + ask.precision.least
    return Comparison("logits", got / units, want / units, rounding, what=f"{what} in units of max(S, R)")


def roundoff(ask: Evaluator, *problems: Problem, log_c: float = 0.0, slopes: bool = False) -> float:
    """Return the evaluator's rounding times 1 + max|z| + |log c| + A for the most sensitive of the problems.

    c is a factor on the kernel in addition to the problem's own scale. `slopes`: for the gradients of angles and
    bandwidth, in units of 1/h: that much of each term, and what a rounded coordinate does to k' itself. A loss that
    forms κ cos θ of von Mises loses κ besides.
    """
    sizes = []
    for problem in problems:
        plain = reference_of(problem)
        logits = np.abs(problem.logits[np.isfinite(problem.logits)]).max()
        size = 1.0 + logits + abs(log_c) + abs(math.log(problem.settings.scale)) + plain.condition
        if ask.loses_cosine and problem.kernel.name == "von-mises":
            size += (formula_of(problem).half_period / (math.pi * problem.settings.bandwidth)) ** 2
        sizes.append(size * (1.0 + plain.steepness) + plain.bend if slopes else size)
    return float(ask.precision.rounding * max(sizes))


def same(
    ask: Evaluator,
    before: Problem,
    after: Problem,
    *,
    loss_moves: float = 0.0,
    points: NDArray[np.intp] | slice = slice(None),
    angle_sign: float = 1.0,
) -> Iterator[Comparison]:
    """Yield that `after` has the loss of `before` moved by `loss_moves`, and its gradients.

    `points` says which point of `before` each point of `after` is; `angle_sign` is -1 where the angles were mirrored.
    """
    old, new = ask(before), ask(after)
    allowed = roundoff(ask, before, after, log_c=loss_moves)
    yield Comparison("loss", new.loss, old.loss + loss_moves, allowed)
    yield Comparison("logits", new.logits, old.logits[points], allowed)
    if is_at_kink(ask, before) or is_at_kink(ask, after):
        return
    allowed = roundoff(ask, before, after, log_c=loss_moves, slopes=True)
    yield Comparison("angles", new.angles, angle_sign * old.angles[points], allowed)
    yield Comparison("bandwidth", new.log_bandwidth, old.log_bandwidth, allowed)


def same_elsewhere(ask: Evaluator, before: Problem, after: Problem, **how: Any) -> Iterator[Comparison]:
    """Yield the same of a problem whose places were moved, and so rounded anew.

    Raises
    ------
    Unmet
        Where that rounding decides: beside a jump, or where a bandwidth is so much smaller than the places that the
        second order of the rounding counts, (v h k')² + v² for a rounding of v bandwidths.
    """
    for problem in (before, after):
        require_clear_jumps(ask, problem)
    observed = () if after.observed is None else after.observed.angles
    places = (after.angles, after.target or (), observed)
    rounded = ask.precision.epsilon * max(float(np.abs(some).max(initial=0.0)) for some in places)
    rounded /= after.settings.bandwidth
    if (rounded * (1.0 + reference_of(after).steepness)) ** 2 > roundoff(ask, before, after):
        raise Unmet(f"places are rounded to {rounded:.1g} bandwidths there, which decides what is compared")
    yield from same(ask, before, after, **how)


def is_at_kink(ask: Evaluator, problem: Problem) -> bool:
    """Return whether a node is within rounding of a kink: its side, and with it the slope, is a matter of rounding."""
    return reference_of(problem).kink_clearance < ask.precision.rounding


def require_clear_jumps(ask: Evaluator, problem: Problem) -> None:
    """Raise `Unmet` if a pair lies within rounding of an edge where K jumps, or log p̃ does beside a background.

    There K of a compact kernel is 0 or the cube of a rounding, say, and beside a background either is a density.
    """
    jumps = problem.kernel.name == "uniform" or (formula_of(problem).is_compact and problem.settings.background > 0.0)
    if jumps and reference_of(problem).kink_clearance < 2.0 * ask.precision.rounding:
        raise Unmet(f"a node is within rounding of the edge of {problem.kernel.name}: either side is right")


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Return two numbers with the digits that tell them apart, six at least."""
    texts = ((f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in (6, 8, 10, 13, 17))
    return next((pair for pair in texts if pair[0] != pair[1]), (repr(one), repr(other)))
