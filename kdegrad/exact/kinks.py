"""Where an integral over the target is split: the places at which p is not smooth, and a few to start from.

p = Σ_j S_j K_h(x ⊖ x_j) inherits the kinks of K: at x_j itself (laplace and wrapped-laplace, triangular, tricube), at
the edges x_j ± h of a compact kernel, and at the antipode x_j + P/2 where the geodesic distance turns back. Between
them p is analytic. A kernel that is smooth everywhere needs no split; but a narrow bump must be met to be seen, so that
there the points themselves, thinned to one a bandwidth, are the places to start a refinement from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Circle
from kdegrad.sums import make_sums

if TYPE_CHECKING:
    from kdegrad.problem import Problem

_FAINT: Final = -60.0  # the logarithm of a kink's share in p that no float64 sum can see: e^-60 = 9e-27
_SAME: Final = 8.0  # rounding units: places no farther apart are one place


def rounding_unit(problem: Problem) -> float:
    """Return the size of one rounding of a coordinate t, of t ⊖ x_j (on a circle) or of an edge x_j ± h."""
    assert problem.target is not None  # Settings saw to it
    sizes = [abs(float(end)) for end in problem.target]
    sizes.append(problem.kernel.edge or 0.0)
    if isinstance(problem.domain, Circle):
        sizes.append(float(np.abs(problem.angles).max()))
    return float(np.finfo(np.float64).eps) * max(sizes)


def places_apart(problem: Problem) -> float:
    """Return the distance from which on two places are two."""
    return _SAME * rounding_unit(problem)


def breakpoints(problem: Problem) -> FloatArray:
    """Return the ascending places from a to b between which p is smooth."""
    assert problem.target is not None
    low, high = map(float, problem.target)
    kernel = problem.kernel
    places = [_inside(problem, problem.angles) if kernel.kinked else _starting_points(problem)]
    if kernel.edge is not None:
        places += [_inside(problem, problem.angles - kernel.edge), _inside(problem, problem.angles + kernel.edge)]
    if kernel.antipode is not None:
        places.append(_loud_antipodes(problem, kernel.antipode))
    apart = places_apart(problem)
    inner = np.sort(np.concatenate(places))
    inner = inner[(inner > low + apart) & (inner < high - apart)]
    inner = inner[np.diff(inner, prepend=-np.inf) > apart]
    return np.concatenate([[low], inner, [high]])


def _inside(problem: Problem, places: FloatArray) -> FloatArray:
    """Return those of `places` that lie in the target, as coordinates in it."""
    assert problem.target is not None
    low, high = map(float, problem.target)
    unrolled = problem.domain.unrolled(places, low)
    return unrolled[(unrolled > low) & (unrolled < high)]


def _starting_points(problem: Problem) -> FloatArray:
    """Return the first point in each cell of width h; none for `uniform`, which is constant between its edges."""
    if problem.kernel.jumps:
        return np.empty(0)
    inside = np.sort(_inside(problem, problem.angles))
    assert problem.target is not None
    with np.errstate(over="ignore"):
        cells = np.floor((inside - float(problem.target[0])) / problem.kernel.bandwidth)
    return inside[np.unique(cells, return_index=True)[1]]


def _loud_antipodes(problem: Problem, antipode: float) -> FloatArray:
    """Return the antipodes in the target at which K_h(P/2) is not negligible beside p: the rest have no kink to see."""
    places = _inside(problem, problem.angles + antipode)
    if not len(places):
        return places
    sums = make_sums(problem.settings.sums, problem.kernel, problem.angles, places)
    log_density = problem.log_mixture(sums.at_nodes(problem.log_weights))
    log_kink = float(problem.kernel.log_density(np.array([antipode]))[0])
    return places[log_kink - log_density > _FAINT]
