"""Where an integral over the target is split: the places at which p is not smooth, and places to start from.

p = Σ_j S_j K_h(x ⊖ x_j) inherits the kinks of K: at x_j itself (laplace and wrapped-laplace, triangular, tricube), at
the edges x_j ± h of a compact kernel, and at the antipode x_j + P/2 where the geodesic distance turns back. Between
them p is analytic.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Circle
from kdegrad.mixture import log_density
from kdegrad.problem import Problem

_FAINT: Final = -60.0  # log of a kink's share in p below which no float64 sum shows it: e^-60 = 9e-27
_SAME: Final = 8.0  # rounding units within which two places are one


def rounding_unit(problem: Problem) -> float:
    """Return the size of one rounding of a coordinate t, of t ⊖ x_j (on a circle) or of an edge x_j ± h."""
    low, high = problem.reduced_interval
    sizes = [abs(low), abs(high), problem.kernel.edge or 0.0]
    if isinstance(problem.domain, Circle):
        sizes.append(problem.domain.period)
    return float(np.finfo(np.float64).eps) * max(sizes)


def smallest_gap(problem: Problem) -> float:
    """Return the distance up to which two places count as one."""
    return _SAME * rounding_unit(problem)


def breakpoints(problem: Problem) -> FloatArray:
    """Return the ascending places from a to b between which p is smooth, a and b among them."""
    low, high = problem.reduced_interval
    kernel = problem.kernel
    places = [_inside(problem, 0.0) if kernel.kinked else _starting_points(problem)]
    if kernel.edge is not None:
        places += [_inside(problem, -kernel.edge), _inside(problem, kernel.edge)]
    if kernel.antipode is not None:
        places.append(_visible_antipodes(problem, kernel.antipode))
    gap = smallest_gap(problem)
    inner = np.sort(np.concatenate(places))
    inner = inner[(inner > low + gap) & (inner < high - gap)]
    inner = inner[np.diff(inner, prepend=-np.inf) > gap]
    return np.concatenate([[low], inner, [high]])


def shifted(problem: Problem, shift: float, start: float) -> FloatArray:
    """Return the coordinates of all x_j + `shift` that are reached first going upward from `start`, shape (N,).

    Whole turns are taken off x_j first: beside many of them the shift would be rounded.
    """
    return problem.domain.unrolled(problem.domain.reduced(problem.angles) + shift, start)


def _inside(problem: Problem, shift: float) -> FloatArray:
    """Return those of the places x_j + `shift` that lie in the target, as coordinates in it."""
    low, high = problem.reduced_interval
    places = shifted(problem, shift, low)
    return places[(places > low) & (places < high)]


def _starting_points(problem: Problem) -> FloatArray:
    """Return the first point in each cell of width h.

    A smooth kernel needs no split, but quadrature nodes must meet a narrow peak to resolve it.
    """
    inside = np.sort(_inside(problem, 0.0))
    with np.errstate(over="ignore"):
        cells = np.floor((inside - problem.reduced_interval.low) / problem.kernel.bandwidth)
    return inside[np.unique(cells, return_index=True)[1]]


def _visible_antipodes(problem: Problem, antipode: float) -> FloatArray:
    """Return the antipodes in the target at which K_h(P/2) is not negligible beside p."""
    places = _inside(problem, antipode)
    if not len(places):
        return places
    log_kink = float(problem.kernel.log_density(np.array([antipode]))[0])
    return places[log_kink - log_density(problem, places) > _FAINT]
