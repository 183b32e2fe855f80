"""The model's density at any places, on logarithms: p̃(x) = (1-E) C Σ_j S_j K_h(x ⊖ x_j) + E/(b-a).

The background E/(b-a) belongs to the target's nodes; `density` adds it on the target alone. Beside target points on a
circle it is the uniform density all round, E/P.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.logs import Scaled
from kdegrad.problem import Problem
from kdegrad.settings import Settings
from kdegrad.sums import KernelSums, make_sums

_LARGEST_LOG: Final = 700.0  # its exponential is still finite


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


@np.errstate(over="ignore")  # at places so far away that the density is 0 in float64
def density(problem: Problem, places: FloatArray) -> FloatArray:
    """Return (1-E) C Σ_j S_j K_h(x ⊖ x_j) at places (M,), plus E/(b-a) on the target, or E/P with target points."""
    logs = kernel_sums(problem, places).at_nodes(problem.log_weights) + log_share(problem.settings)
    values: FloatArray = np.exp(np.minimum(logs, _LARGEST_LOG))
    if problem.settings.background > 0.0 and problem.target is None:  # all round the circle
        values += problem.settings.background / problem.background_width
    elif problem.settings.background > 0.0:
        target = problem.interval
        in_turn = (places >= target.low) & (places - target.low <= problem.domain.measure)  # unrolling may round these
        x = np.where(in_turn, places, problem.domain.unrolled(places, target.low))
        values += np.where((x >= target.low) & (x <= target.high), problem.settings.background / target.width, 0.0)
    return values
