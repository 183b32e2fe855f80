"""Where the points of a problem lie as seen from its target, and how the claims move them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Unmet
from kdegrad.properties.reference_kernels import HEAVY_TAILS, formula_of
from kdegrad.targets import Points

_GOLDEN: Final = 0.6180339887498949  # the parts that its multiples leave of 1 are all different
_LOWER: Final = 1.5  # what the logits of the other problem in a batch are lower by
_APART: Final = 3.0  # bandwidths from the first to the last point of a far start
_SHARE_OF_CIRCLE: Final = 80.0  # its target is no wider than 2 P/80 on a circle


def over_target(problem: Problem) -> Problem:
    """Return the problem over its whole target, by bins or target points; raise `Unmet` where there is none."""
    if problem.at is None:
        return problem
    if problem.target is None:
        raise Unmet("no target is given, only one bin")
    return problem.replace(at=None)


def at_node(problem: Problem, node: float, **changes: Any) -> Problem:
    """Return the problem at a single node, in place of all that it has; an interval stays, whose width counts."""
    return problem.replace(target=problem.target, at=float(node), **changes)


def offsets(problem: Problem) -> FloatArray:
    """Return x_j ⊖ c, shape (N,), with c the single node or the centre of the target, or of its points' hull."""
    return formula_of(problem).difference(problem.angles, np.asarray(problem.centre))


def outward(problem: Problem, steps: ArrayLike) -> Problem:
    """Return the problem with every point at its side of the centre c, but farther from it by `steps`."""
    seen = offsets(problem)
    return problem.replace(angles=problem.centre + np.copysign(np.abs(seen) + steps, seen))


def beyond_edge(problem: Problem) -> FloatArray:
    """Return how far outside [a, b], of target points their hull, each point is, shape (N,).

    Raise `Unmet` if a point is inside, or if an antipode of one is: its distance to the nodes would bend there.
    """
    distances, half = np.abs(offsets(problem)), 0.5 * problem.interval.width
    inside = int((distances < half).sum())
    if inside:
        raise Unmet(f"{inside} of {len(distances)} points inside [a, b]: all must be outside")
    if distances.max() + half > formula_of(problem).half_period:
        raise Unmet("the target holds the antipode of a point: |x ⊖ c| + (b-a)/2 must not exceed P/2")
    return np.asarray(distances - half)


def mapped(problem: Problem, *, factor: float = 1.0, shift: float = 0.0, **changes: Any) -> Problem:
    """Return the problem with every place x (angles, the target's ends or points, the node) at factor·x + shift.

    On a circle x is first brought near 0 by whole turns: beside 10¹⁸ a shift would be lost. Raise `Unmet` where the
    ends of the target round to one.
    """
    reduced = problem.domain.reduced
    at = None if problem.at is None else float(reduced(np.array([problem.at]))[0])
    ends = None if problem.target is None else sorted(factor * end + shift for end in problem.reduced_interval)
    if ends:  # a whole turn stays one, also where its ends were rounded more coarsely
        ends[1] = min(ends[1], ends[0] + abs(factor) * problem.domain.measure)
    if ends and ends[0] == ends[1]:
        raise Unmet(f"the target is too narrow for coordinates near {ends[0]!r}: its ends round to one")
    target: Any = ends
    if (points := problem.target_points) is not None:
        target = Points(factor * reduced(points.angles) + shift, points.weights)
    moved = {
        "angles": factor * reduced(problem.angles) + shift,
        "at": None if at is None else factor * at + shift,
        "target": target,
    }
    return problem.replace(**{**moved, **changes})


def beside(problem: Problem, least: float) -> Problem:
    """Return another problem of the same settings, which stands before it in a batch of two.

    Its points are within h/4 of its own narrow target, so that its loss is finite whatever the kernel is; the ends of
    the target are at least `least` times their size apart. Its logits are those of the problem in reverse order, and
    lower: what is shared out over both problems, or is the mean of both, is not the problem's own.
    """
    n, period = len(problem.angles), problem.settings.circumference
    length = problem.settings.bandwidth if period is None else min(problem.settings.bandwidth, period / 8.0)
    centre = problem.centre + 0.375 * length
    places = np.mod(_GOLDEN * np.arange(1, n + 1), 1.0) - 0.5  # none on a node
    changes: dict[str, Any] = {"at": centre}
    if problem.at is None:
        half = min(max(0.125 * length, least * abs(centre)), 0.5 * problem.interval.width)
        changes = {"target": (centre - half, centre + half)}
    return problem.replace(
        angles=centre + 0.5 * length * places, logits=problem.logits[::-1] - _LOWER, labels=None, **changes
    )


def starts(problem: Problem, bandwidths: Sequence[float]) -> Iterator[tuple[str, Problem]]:
    """Yield the problem with all its points as far from the target's edge as `bandwidths` say, and where that is.

    Their distances grow from the first to the last, by 3 h in all; where the tail is heavy by as much again, since the
    gradient falls as spread/distance there. On a circle the points are in the half opposite of a narrow target, and the
    bandwidth is as much smaller.
    """
    problem = over_target(problem)
    n, h, period = len(problem.angles), problem.settings.bandwidth, problem.settings.circumference
    sides = np.where(offsets(problem) < 0.0, -1.0, 1.0)
    ranks = np.arange(1.0, n + 1.0) / n
    is_heavy = problem.kernel.name in HEAVY_TAILS
    for u in bandwidths:
        if period is None:
            beyond = u * h * (1.0 + ranks) if is_heavy else (u + _APART * ranks) * h
            yield f"{u:g} h", problem.replace(angles=problem.centre + sides * (0.5 * problem.interval.width + beyond))
        else:
            yield f"h = P/{2.0 * u:g}", _across(problem, sides, ranks, period, u)


def _across(problem: Problem, sides: FloatArray, ranks: FloatArray, period: float, u: float) -> Problem:
    """Return the problem on a circle with its points near the antipode of a narrow target, and h = P/(2u)."""
    centre, half = problem.interval.centre, min(0.5 * problem.interval.width, period / _SHARE_OF_CIRCLE)
    distances = 0.5 * period - half - 0.25 * period * (1.0 - ranks)  # no antipode is in the target
    target: Any = (centre - half, centre + half)
    if (points := problem.target_points) is not None:
        seen = formula_of(problem).difference(points.angles, np.asarray(centre))
        share = 2.0 * half / problem.interval.width if half > 0.0 else 0.0
        target = Points(centre + share * seen, points.weights)
    return problem.replace(angles=centre + sides * distances, bandwidth=period / (2.0 * u), target=target)
