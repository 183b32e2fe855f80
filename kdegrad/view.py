"""What a picture of a problem shows, in figures and in the sketches of the terminal: its range, its density there."""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.sums import make_sums

_MARGIN: Final = 0.07  # of the range, beyond the outermost point
_POINTS_IN_CURVE: Final = 2_000
_LARGEST_LOG: Final = 700.0  # exp of it is a number still
_FARTHEST: Final = 8e307  # that a range goes: its width is a float64 still


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
    return max(low - margin, -_FARTHEST), min(high + margin, _FARTHEST)


def target_parts(problem: Problem) -> list[tuple[float, float]]:
    """Return the stretches of `span` that the target covers: two where it leaves the turn about a node at its end."""
    if problem.target is None or problem.width is None:
        return []
    low, high = problem.target
    period = problem.settings.circumference
    if period is None or problem.settings.at is None:  # the turn is the one about the target's centre
        return [(low, high)]
    start, end = span(problem)
    low = float(problem.domain.unrolled(np.asarray(low), start))
    high = low + problem.width
    return [(low, high)] if high <= end else [(low, end), (start, high - period)]


def positions(problem: Problem) -> FloatArray:
    """Return the angles where `span` shows them: on a circle the turn about the centre."""
    if problem.settings.circumference is None:
        return problem.angles
    middle = centre(problem)
    return middle + problem.domain.difference(problem.angles, np.asarray(middle))


@np.errstate(over="ignore")  # of places so far away that the density is 0 in a float64
def density(problem: Problem, places: FloatArray) -> FloatArray:
    """Return (1-E) C Σ_j S_j K_h(x ⊖ x_j), and on the target E/(b-a) more, at each place x."""
    sums = make_sums(problem.settings.sums, problem.kernel, problem.angles, places)
    logs = sums.at_nodes(problem.log_weights) + problem.log_share
    values = np.exp(np.minimum(logs, _LARGEST_LOG))
    if problem.settings.background > 0.0 and problem.width is not None:
        within = np.any([(places >= low) & (places <= high) for low, high in target_parts(problem)], axis=0)
        values += np.where(within, problem.settings.background / problem.width, 0.0)
    return np.asarray(values)


def curve(problem: Problem, count: int) -> tuple[FloatArray, FloatArray]:
    """Return places over `span` and the density there: `count` equal steps, the points, both sides of the edges."""
    low, high = span(problem)
    parts = [np.linspace(low, high, count)]
    if len(problem.angles) <= _POINTS_IN_CURVE:  # narrow peaks stand on points, and many points leave no gap
        parts.append(positions(problem))
    if problem.settings.background > 0.0:
        for edges in map(np.array, target_parts(problem)):
            parts += [edges, np.nextafter(edges, [-np.inf, np.inf])]
    places = np.sort(np.concatenate(parts))
    places = places[(places >= low) & (places <= high)]
    places = places[np.append(True, np.diff(places) > 0.0)]  # not np.unique, which loads numpy.ma
    return places, density(problem, places)
