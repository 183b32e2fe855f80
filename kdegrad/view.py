"""What figures and the terminal's sketch show of a problem: the range of angles, and the density there."""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.mixture import density
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule

_MARGIN: Final = 0.07  # fraction of the range, beyond the outermost point
_POINTS_IN_CURVE: Final = 2_000
_LARGEST_LOG: Final = 700.0  # its exponential is still finite
_FARTHEST: Final = 8e307  # ends of a range: its width must not overflow


def span(problem: Problem) -> tuple[float, float]:
    """Return the range to show: target and points with a margin; on a circle one turn about the centre."""
    middle, period = problem.centre, problem.settings.circumference
    if period is not None:
        return middle - 0.5 * period, middle + 0.5 * period
    ends = [middle, *problem.interval, float(problem.angles.min()), float(problem.angles.max())]
    low, high = min(ends), max(ends)
    margin = max(_MARGIN * (high - low), 1e-9 * abs(middle)) or problem.kernel.bandwidth
    return max(low - margin, -_FARTHEST), min(high + margin, _FARTHEST)


def target_parts(problem: Problem) -> list[tuple[float, float]]:
    """Return the intervals of `span` that the target covers: two where it crosses the end of the turn about a node."""
    if problem.target is None:
        return []
    low, high = problem.target
    period = problem.settings.circumference
    if period is None or problem.at is None:  # the turn is the one about the target's centre
        return [(low, high)]
    start, end = span(problem)
    low = float(problem.domain.unrolled(np.asarray(low), start))
    high = low + problem.target.width
    return [(low, high)] if high <= end else [(low, end), (start, high - period)]


def positions(problem: Problem) -> FloatArray:
    """Return the angles where `span` shows them: on a circle the turn about the centre."""
    return _within_span(problem, problem.angles)


def target_marks(problem: Problem) -> Rule | None:
    """Return the target points that take part, or the single node, where `span` shows them; None for an interval."""
    if problem.observed is None:
        return None
    rule = problem.observed.rule()
    return Rule(_within_span(problem, rule.nodes).copy(), rule.weights)


def _within_span(problem: Problem, angles: FloatArray) -> FloatArray:
    if problem.settings.circumference is None:
        return angles
    middle = problem.centre
    return middle + problem.domain.difference(angles, np.asarray(middle))


def start_of_turn(problem: Problem) -> float:
    """Return where the turn of a circle starts by which angles are named: 0, or -P/2 where some are negative."""
    ends = [*problem.nodes_hull, float(problem.angles.min())]
    return -0.5 * problem.domain.measure if min(ends) < 0.0 else 0.0


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
    return places, np.exp(np.minimum(density(problem, places, log=True), _LARGEST_LOG))
