"""The model's density at any places, on logarithms: p̃(x) = (1-E) C Σ_j S_j K_h(x ⊖ x_j) + E/(b-a).

The background E/(b-a) belongs to the target's nodes; `density` adds it on the target alone. Beside target points on a
circle it is the uniform density all round, E/P.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import BoolArray, FloatArray, numbers, require_everywhere
from kdegrad.logs import Scaled
from kdegrad.option import truth
from kdegrad.problem import Problem, require_problem
from kdegrad.settings import Settings
from kdegrad.sums import KernelSums, make_sums


def kernel_sums(problem: Problem, places: FloatArray) -> KernelSums:
    """Return the sums between the points and places (M,), by the scheme that the problem's settings choose."""
    return make_sums(problem.settings.sums, problem.kernel, problem.angles, places)


def log_share(settings: Settings) -> float:
    """Return log((1-E) C), the factor of the sum over the points."""
    return math.log1p(-settings.background) + math.log(settings.scale)


def mixed(settings: Settings, width: float | FloatArray, log_kernel_sums: FloatArray) -> FloatArray:
    """Return log p̃ from log Σ_j S_j K_h at places in the target, for a background that is spread over `width`."""
    log_density = log_kernel_sums + log_share(settings)
    if settings.background == 0.0:
        return log_density
    mixture: FloatArray = np.logaddexp(log_density, math.log(settings.background) - np.log(width))
    return mixture


def log_mixture(problem: Problem, log_kernel_sums: FloatArray) -> FloatArray:
    """Return log p̃, shape (M,), from log Σ_j S_j K_h at M places in the target."""
    return mixed(problem.settings, problem.background_width, log_kernel_sums)


def log_density(problem: Problem, places: FloatArray, log_weights: FloatArray | None = None) -> FloatArray:
    """Return log p̃ at places (M,) in the target; with `log_weights` (N,) in place of the problem's own."""
    sums = kernel_sums(problem, places)
    return log_mixture(problem, sums.at_nodes(problem.log_weights if log_weights is None else log_weights))


def density_slope(problem: Problem, places: FloatArray) -> Scaled:
    """Return Σ_j S_j ∂K_h/∂d (t ⊖ x_j), signed on logarithms, at places t (M,)."""
    exchanged = make_sums(problem.settings.sums, problem.kernel, places, problem.angles)  # places for points
    log, factor = exchanged.slope_at_points(problem.log_weights)
    return Scaled(log, -factor)  # ∂K_h/∂d is odd in d


@np.errstate(all="ignore")  # at places so far away that the density is 0 in float64, or larger than any float64
def density(problem: Problem, x: ArrayLike, *, log: bool = False) -> Any:
    """Return the model's density at any places: p̃(x) = (1-E) C Σ_j S_j K_h(x ⊖ x_j), plus E/(b-a) on the target.

    With the scale C and the background E of the problem, 1 and 0 unless they were given: of a node it is what the loss
    takes the logarithm of. Beside target points on a circle the background is E/P everywhere.

    Parameters
    ----------
    problem
        One problem; of a batch take ``batch.problem(g)``.
    x
        The places, a number or an array of any shape, in the unit of the angles; on a circle whole turns do not matter.
    log
        Return log p̃, which does not underflow far from all points.

    Returns
    -------
    float or array
        Of the shape of `x`; 0, and its logarithm -inf, where a compact kernel reaches no point.

    Raises
    ------
    KdegradError
        For what is no problem, and for places that are not finite.

    Examples
    --------
    >>> import kdegrad as kg
    >>> swarm = kg.Problem([-75, 50], target=(-30, 30), bandwidth=10)
    >>> round(kg.density(swarm, 50), 6), round(kg.density(swarm, 1e5, log=True), 2)
    (0.025, -9998.69)
    """
    require_problem(problem)
    log = truth("log", log)
    given = numbers("x", x, copy=False)
    places = given.ravel()
    require_everywhere(np.isfinite(places), places, "x", "give a finite number", "place")
    logs = places.copy()
    if places.size:
        log_sums = kernel_sums(problem, places).at_nodes(problem.log_weights)
        logs = log_sums + log_share(problem.settings)
        if problem.settings.background > 0.0:
            logs = np.where(_on_target(problem, places), log_mixture(problem, log_sums), logs)
    values = (logs if log else np.exp(logs)).reshape(given.shape)
    return values if given.ndim else float(values)


def _on_target(problem: Problem, places: FloatArray) -> BoolArray:
    """Return which places (M,) a background is on: those of the target; with target points the whole circle."""
    if problem.target is None:
        return np.ones(len(places), dtype=bool)
    target = problem.target
    in_turn = (places >= target.low) & (places - target.low <= problem.domain.measure)  # unrolling may round these
    unrolled = np.where(in_turn, places, problem.domain.unrolled(places, target.low))
    return np.asarray((unrolled >= target.low) & (unrolled <= target.high))
