"""Figures of one evaluation on a circle: the density outside a ring, the points as stems inside it."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.projections.polar import PolarAxes

from kdegrad.arrays import FloatArray, largest_first
from kdegrad.evaluation import Evaluation
from kdegrad.figures.line import ALL, BY_SIGN, STEMS, Groups, lines_of_points, separate_lines, title_of
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PULLED
from kdegrad.problem import Problem
from kdegrad.text import interval_text
from kdegrad.view import curve, target_marks

OUTER, EDGE = 0.65, 1.75  # the height of the highest density over the ring, the frame's radius
INNER, INNER_OF_MANY, MANY = 0.8, 0.4, 60  # the length of the longest stem: many would meet in the centre
EIGHTHS_OF_PI: Final = ("0", "π/4", "π/2", "3π/4", "π", "5π/4", "3π/2", "7π/4")


def rose(evaluation: Evaluation) -> Picture:
    """Return target and density about a ring, and in it the weight of each point, or its gradient coloured by sign."""
    return Picture(
        panels=[partial(_rose, evaluation=evaluation)],
        height=4.9,
        width=4.4,
        title=title_of(evaluation),
        polar=True,
    )


def _rose(axes: Axes, evaluation: Evaluation) -> None:
    assert isinstance(axes, PolarAxes)
    problem = evaluation.problem
    turn = 2.0 * math.pi / problem.domain.measure  # radians in a unit of the angles
    places, density = curve(problem, 541)
    peak = max(float(density.max()), 1.0 / problem.target.width if problem.target else 0.0)
    height = OUTER / peak if peak > 0.0 else 0.0
    if problem.target is not None:
        arc = np.linspace(*problem.reduced_interval, 91) * turn
        name = f"target {interval_text(problem.target)}"
        axes.fill_between(arc, 0.0, EDGE, color=BAND, linewidth=0, zorder=0, label=name)
        wanted = np.full_like(arc, 1.0 + height / problem.target.width)
        axes.plot(arc, wanted, color=PULLED, linestyle="--", label="wanted density")
    if (points := target_marks(problem)) is not None:
        inner = 1.0 if problem.at is None else 0.0
        axes.vlines(points.nodes * turn, inner, EDGE, **lines_of_points(problem, points))
    axes.plot(np.linspace(0.0, 2.0 * math.pi, 181), np.ones(181), color=FAINT, linewidth=0.7)
    axes.fill_between(places * turn, 1.0, 1.0 + height * density, color=INK, alpha=0.1, linewidth=0)
    unit = problem.settings.unit.removesuffix("s")
    name = f"density p, at the most {float(density.max()):.3g} per {unit}"
    axes.plot(places * turn, 1.0 + height * density, color=INK, label=name)
    _name_angles(axes, problem, problem.domain.measure)
    found = evaluation.gradients
    values = evaluation.weights if found is None else found.logits
    _stems(axes, problem.angles * turn, values, ALL if found is None else BY_SIGN)


def _stems(axes: PolarAxes, angles: FloatArray, values: FloatArray, groups: Groups) -> None:
    """Draw a stem from the ring inward for each point, the longest for the largest size."""
    kept = np.sort(largest_first(values, STEMS))
    angles, values = angles[kept], values[kept]
    largest = float(np.abs(values).max()) or 1.0
    many = len(kept) > MANY
    length = (INNER_OF_MANY if many else INNER) / largest
    for name, (colour, compare) in groups.items():
        chosen = compare(values, 0.0)
        tips = 1.0 - length * np.abs(values[chosen])
        lines = separate_lines(angles[chosen], np.ones_like(tips), tips)
        axes.plot(*lines, color=colour, linewidth=0.5 if many else 1.1, zorder=3)
        axes.plot(angles[chosen], tips, "o", color=colour, markersize=1.5 if many else 3.2, label=name, zorder=3)
    axes.plot([], [], linestyle="none", label=f"longest stem {largest:.3g}")


def _name_angles(axes: PolarAxes, problem: Problem, period: float) -> None:
    """Name the eighths of the circle in the unit of the angles; the radii have no names."""
    axes.set_ylim(0.0, EDGE)
    axes.set_yticks([])
    axes.spines["polar"].set_visible(False)
    axes.grid(visible=False)
    degree = "°" if problem.settings.unit == "degrees" else ""
    names = [f"{part * period / 8:g}{degree}" for part in range(8)]
    if problem.settings.unit == "radians" and problem.settings.period is None:
        names = list(EIGHTHS_OF_PI)
    spokes = [part * math.pi / 4 for part in range(8)]
    axes.set_xticks(spokes, names)
    axes.tick_params(pad=-2)
    axes.vlines(spokes, 1.0, EDGE, color=FAINT, linewidth=0.4, alpha=0.4, zorder=0)
