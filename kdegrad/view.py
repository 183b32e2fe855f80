"""What a picture of a problem shows, in figures and in the sketches of the terminal: its range, its density there."""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.domain import FloatArray
from kdegrad.problem import Problem
from kdegrad.sums import make_sums

_MARGIN: Final = 0.07  # of the range, beyond the outermost point
_POINTS_IN_CURVE: Final = 2_000
_LARGEST_LOG: Final = 700.0  # exp of it is a number still


def centre(problem: Problem) -> float:
    """Return the middle of what the loss looks at: the node where the rule is one node, else the target's centre."""
    if problem.settings.at is not None:
        return float(problem.settings.at)
    assert problem.target is not None  # Settings saw to it
    low, high = problem.target
    return 0.5 * float(low) + 0.5 * float(high)


def span(problem: Problem) -> tuple[float, float]:
    """Return the range to show: target and points with a margin; on a circle one turn about the centre."""
    middle, period = centre(problem), problem.settings.circumference
    if period is not None:
        return middle - 0.5 * period, middle + 0.5 * period
    ends = [middle, *(problem.target or ()), float(problem.angles.min()), float(problem.angles.max())]
    low, high = min(ends), max(ends)
    margin = max(_MARGIN * (high - low), 1e-9 * abs(middle)) or problem.kernel.bandwidth
    return low - margin, high + margin


def positions(problem: Problem) -> FloatArray:
    """Return the angles where `span` shows them: on a circle the turn about the centre."""
    if problem.settings.circumference is None:
        return problem.angles
    middle = centre(problem)
    return middle + problem.domain.difference(problem.angles, np.asarray(middle))


@np.errstate(over="ignore")  # of places so far away that the density is 0 in a float64
def density(problem: Problem, places: FloatArray) -> FloatArray:
    """Return (1-E) C Σ_j S_j K_h(x ⊖ x_j), and on the target E/(b-a) more, at each place x."""
    settings = problem.settings
    sums = make_sums(settings.sums, problem.kernel, problem.angles, places)
    logs = sums.at_nodes(problem.weights) + problem.log_share
    values = np.exp(np.minimum(logs, _LARGEST_LOG))
    if settings.background > 0.0 and problem.target is not None and problem.width is not None:
        low, high = problem.target
        values += np.where((places >= low) & (places <= high), settings.background / problem.width, 0.0)
    return np.asarray(values)


def curve(problem: Problem, count: int) -> tuple[FloatArray, FloatArray]:
    """Return places over `span` and the density there: `count` equal steps, the points, both sides of the edges."""
    low, high = span(problem)
    parts = [np.linspace(low, high, count)]
    if len(problem.angles) <= _POINTS_IN_CURVE:  # narrow peaks stand on points, and many points leave no gap
        parts.append(positions(problem))
    if problem.target is not None and problem.settings.background > 0.0:
        edges = np.asarray(problem.target, dtype=np.float64)
        parts += [edges, np.nextafter(edges, [-np.inf, np.inf])]
    places = np.sort(np.concatenate(parts))
    places = places[np.append(True, np.diff(places) > 0.0)]  # not np.unique, which loads numpy.ma
    return places, density(problem, places)
