"""How comparisons are made: of two numbers, of two problems; and how far rounding may move them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Comparison, Evaluator, Unmet
from kdegrad.properties.reference import EPSILON, reference_of

# The multiple of ε(1 + max|z| + |log c| + A) that a `holds` may be off by. Dense sums need some 5 of them; a fast sum
# may err by 1e-12 + 8εA, which this covers at the A ≈ 10 and more of real problems.
ROUNDINGS: Final = 512.0
_LEAST: Final = 1e-290  # what is not far above has lost digits to underflow


def rates_compared(what: str, got: FloatArray, want: FloatArray, problem: Problem) -> Comparison:
    """Return the comparison of ∂L/∂z_i / S_i by arctan: what is huge counts by its digits, what overflowed as π/2."""
    allowed = roundoff(problem) + ROUNDINGS * EPSILON * reference_of(problem).rate_condition
    return Comparison(what, np.arctan(got), np.arctan(want), allowed)


def shares_compared(what: str, got: FloatArray, want: FloatArray, problem: Problem) -> Comparison:
    """Return the comparison of R_i or ∂L/∂z_i for each point by itself: what is small counts by its digits.

    They may be off by `ROUNDINGS`·ε max(S_i, R_i) (1 + max|z| + |log c| + A + A_i), in units of which they are shown.
    """
    plain = reference_of(problem)
    units = np.maximum(plain.answer.weights, plain.answer.responsibilities)
    units *= roundoff(problem) / (ROUNDINGS * EPSILON) + plain.point_conditions
    units += _LEAST
    return Comparison(f"{what} in units of max(S, R)", got / units, want / units, ROUNDINGS * EPSILON)


def roundoff(*problems: Problem, log_c: float = 0.0, slopes: bool = False) -> float:
    """Return `ROUNDINGS`·ε(1 + max|z| + |log c| + A) for the most sensitive of the problems.

    c is a factor on the kernel in addition to the problem's own scale. `slopes`: for the gradients of angles and
    bandwidth, in units of 1/h: that much of each term, and what a rounded coordinate does to k' itself.
    """
    sizes = []
    for problem in problems:
        plain = reference_of(problem)
        logits = np.abs(problem.logits[np.isfinite(problem.logits)]).max()
        size = 1.0 + logits + abs(log_c) + abs(math.log(problem.settings.scale)) + plain.condition
        sizes.append(size * (1.0 + plain.steepness) + plain.bend if slopes else size)
    return float(ROUNDINGS * EPSILON * max(sizes))


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
    allowed = roundoff(before, after, log_c=loss_moves)
    yield Comparison("the loss", new.loss, old.loss + loss_moves, allowed)
    yield Comparison("∂L/∂z", new.logits, old.logits[points], allowed)
    if min(reference_of(before).kink_clearance, reference_of(after).kink_clearance) < ROUNDINGS * EPSILON:
        return  # a node within rounding of a kink: its side, and with it the slope, is a matter of rounding
    allowed = roundoff(before, after, log_c=loss_moves, slopes=True)
    yield Comparison("h ∂L/∂x", new.angles, angle_sign * old.angles[points], allowed)
    yield Comparison("∂L/∂log h", new.log_bandwidth, old.log_bandwidth, allowed)


def require_clear_jumps(problem: Problem) -> None:
    """Raise `Unmet` if a pair lies within rounding of the edge where `uniform` jumps."""
    if problem.kernel.name == "uniform" and reference_of(problem).kink_clearance < 1e3 * EPSILON:
        raise Unmet("a node is within rounding of the edge of uniform: either side is right")
