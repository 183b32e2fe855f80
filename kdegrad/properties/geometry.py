"""Where the points of a problem lie as seen from its target, and how the claims move them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Unmet
from kdegrad.properties.reference_kernels import formula_of
from kdegrad.targets import Interval


def require_target(problem: Problem) -> Interval:
    """Return the target [a, b].

    Raises
    ------
    Unmet
        Without a target.
    """
    if problem.target is None:
        raise Unmet("no target is given, only one bin")
    return problem.target


def over_target(problem: Problem) -> Problem:
    """Return the problem with its bins over the whole target, or raise `Unmet` as `require_target` does."""
    require_target(problem)
    return problem if problem.at is None else problem.replace(at=None)


def target_centre(problem: Problem) -> float:
    """Return the target's centre c, or the single node where there is no target."""
    return problem.centre if problem.target is None else problem.target.centre


def offsets(problem: Problem) -> FloatArray:
    """Return x_j ⊖ c, shape (N,)."""
    return formula_of(problem).difference(problem.angles, np.asarray(target_centre(problem)))


def outward(problem: Problem, steps: ArrayLike) -> Problem:
    """Return the problem with every point at its side of the centre c, but farther from it by `steps`."""
    seen = offsets(problem)
    return problem.replace(angles=target_centre(problem) + np.copysign(np.abs(seen) + steps, seen))


def beyond_edge(problem: Problem) -> FloatArray:
    """Return how far outside [a, b] each point is, shape (N,).

    Raises
    ------
    Unmet
        If a point is inside, or if an antipode of one is (on a circle, where its distance to the nodes would bend).
    """
    distances, half = np.abs(offsets(problem)), 0.5 * require_target(problem).width
    inside = int((distances < half).sum())
    if inside:
        raise Unmet(f"{inside} of {len(distances)} points inside [a, b]: all must be outside")
    if distances.max() + half > formula_of(problem).half_period:
        raise Unmet("the target holds the antipode of a point: |x ⊖ c| + (b-a)/2 must not exceed P/2")
    return np.asarray(distances - half)


def mapped(problem: Problem, *, factor: float = 1.0, shift: float = 0.0, **changes: Any) -> Problem:
    """Return the problem with every place x (angles, the target's ends, the single node) at factor·x + shift."""
    at, target = problem.at, problem.target
    moved = {
        "angles": factor * problem.angles + shift,
        "at": None if at is None else factor * at + shift,
        "target": None if target is None else tuple(sorted(factor * end + shift for end in target)),
    }
    return problem.replace(**{**moved, **changes})
