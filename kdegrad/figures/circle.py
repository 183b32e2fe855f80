"""The figure of one evaluation on a circle: the density outside a ring, and within it what the points have.

What descent pulls up points outward, what it pushes down points inward: what is drawn of a gradient is -∂L. Weights,
which have one sign, point inward. Many points are summed in cells of the circle, or stacked where all weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import MarkerStyle
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator

from kdegrad.arrays import FloatArray
from kdegrad.evaluation import Evaluation
from kdegrad.figures.line import CROWD, in_pi, is_in_pi, one_unit, separate_lines
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PAPER, PULLED, PUSHED, SMALL
from kdegrad.figures.titles import title_of
from kdegrad.problem import Problem
from kdegrad.text import angle_texts, counted
from kdegrad.view import curve, target_marks

RING, HEIGHT = 1.08, 0.56  # the radius where the density is 0, and how far its highest value is from there
MARKS, EDGE = 1.7, 1.88  # where target points stand, the frame's radius
ZERO, REACH = 0.61, 0.43  # the radius where a gradient is 0, and how far its largest value is from there
WEIGHT_REACH: Final = 0.7  # how far the largest weight is from the ring
HEADED, STACKED = 60, 600  # more stems have small heads; more points are no dots
RUG: Final = 1_000  # more points are a circle
CELLS, DOT_CELLS = 72, 120  # of the circle
PARTS: Final = (8, 12, 6, 7, 10, 9, 5, 4)  # into which a circle may be divided, the best first


@final
@dataclass(frozen=True, eq=False)
class _Place:
    """Where angles are in the drawing: radians in a unit of the angles, which way they grow, where 0 is."""

    turn: float
    zero: str
    clockwise: bool

    def tangent(self, angle: float) -> float:
        """Return the direction on paper in which angles grow there, in degrees, counterclockwise from the right."""
        way = -1.0 if self.clockwise else 1.0
        return {"E": 0.0, "N": 90.0, "W": 180.0, "S": 270.0}[self.zero] + way * (math.degrees(angle * self.turn) + 90.0)


@final
@dataclass(frozen=True, eq=False)
class _Group:
    """Points that are drawn alike, each with a value that is drawn, outward if it is above 0."""

    name: str
    colour: str
    angles: FloatArray
    values: FloatArray


def rose(evaluation: Evaluation) -> Picture:
    """Return target and density about a ring, and in it the gradient that was asked for, or the weights."""
    return Picture(
        panels=[partial(_rose, evaluation=evaluation)],
        height=5.6,
        title=title_of(evaluation),
        polar=True,
    )


def _rose(axes: Axes, evaluation: Evaluation) -> None:
    assert isinstance(axes, PolarAxes)
    problem = evaluation.problem
    place = _Place(2.0 * math.pi / problem.domain.measure, problem.drawing.zero, problem.drawing.clockwise)
    axes.set_theta_zero_location(place.zero)  # type: ignore[arg-type]  # a str to the stubs; checked: E, N, W or S
    axes.set_theta_direction(-1 if place.clockwise else 1)
    _name_angles(axes, problem)
    places, density = curve(problem, 361)
    peak = max(float(density.max()), 1.0 / problem.target.width if problem.target else 0.0)
    free = _emptiest(problem, places, density)
    height = HEIGHT / peak if peak > 0.0 else 0.0
    _target(axes, problem, place.turn, height)
    _circle(axes, RING)
    theta = places * place.turn  # one turn, whose first and last places are the same on the circle
    outline = RING + height * density
    axes.fill_between(theta, RING, outline, color=INK, alpha=0.1, linewidth=0)
    axes.plot(theta, outline, color=INK, label=f"model's density p, per {one_unit(problem)}")
    uncovered = evaluation.diagnostics.uncovered
    if len(uncovered):
        at = uncovered * place.turn
        axes.plot(at, np.full_like(at, RING), "o", color=PUSHED, markersize=1.5, label="bins where p is 0")
    _scale(axes, peak, RING, HEIGHT, free * place.turn, "p")
    _points(axes, evaluation, place, free)


def _target(axes: PolarAxes, problem: Problem, turn: float, height: float) -> None:
    """Shade the target, with the density that is wanted there; or mark its points."""
    if problem.target is not None:
        low, high = problem.target
        arc = np.linspace(low, high, 181) * turn
        axes.fill_between(arc, 0.0, EDGE, color=BAND, linewidth=0, zorder=0, label="target")
        wanted = np.full_like(arc, RING + height / problem.target.width)
        axes.plot(arc, wanted, color=PULLED, linestyle="--", label="wanted density")
    points = target_marks(problem)
    if points is None:
        return
    if problem.at is not None:
        name = f"the bin at {angle_texts([problem.at])[0]}"
        axes.plot([problem.at * turn] * 2, [0.0, EDGE], color=FAINT, linewidth=0.9, linestyle="--", label=name)
        return
    count = len(points.weights)
    name = "the target point" if count == 1 else f"{counted(count, 'target point')}, by weight"
    nodes, weights = points.nodes, points.weights
    _circle(axes, MARKS)
    if count > CROWD:
        cells = _summed(_Group(name, PULLED, nodes, weights), problem.domain.measure)
        nodes, weights = cells.angles, cells.values
    tops = MARKS + (EDGE - MARKS) * weights / weights.max()
    width = 2.6 if count <= CROWD else 1.8
    axes.plot(
        *separate_lines(nodes * turn, np.full_like(tops, MARKS), tops),
        color=PULLED,
        linewidth=width,
        solid_capstyle="butt",
        label=name,
    )


def _points(axes: PolarAxes, evaluation: Evaluation, place: _Place, free: float) -> None:
    """Draw the gradient of what was asked for first, away from a circle of its own; or the weights, from the ring."""
    problem, found = evaluation.problem, evaluation.gradients
    first = None if found is None else found.first_of_points
    if first is None:
        _weights(axes, problem, evaluation.weights, place, free)
        return
    name, slopes = first
    moves = -slopes
    _circle(axes, ZERO)
    if name == "logits":
        ways = [("pulled up, -∂L/∂z > 0 (outward)", PULLED), ("pushed down (inward)", PUSHED)]
    else:
        ways = [("to larger angles, -∂L/∂x > 0 (outward)", INK), ("to smaller angles (inward)", INK)]
    groups = [
        _Group(label, colour, problem.angles[chosen], moves[chosen])
        for (label, colour), chosen in zip(ways, (moves > 0.0, moves < 0.0), strict=True)
    ]
    if not moves.all() and len(moves) <= CROWD:
        groups.append(_Group("not moved", FAINT, problem.angles[moves == 0.0], moves[moves == 0.0]))
    _draw(axes, problem, groups, place, (ZERO, REACH), free, "-∂L/∂x" if name == "angles" else "-∂L/∂z")


def _weights(axes: PolarAxes, problem: Problem, weights: FloatArray, place: _Place, free: float) -> None:
    """Draw the weights from the ring inward: stems, sums in cells, or a dot a point where all weigh the same."""
    largest = float(weights.max())
    is_even = bool((weights >= largest * (1.0 - 1e-9)).all())
    if is_even and HEADED < len(weights) <= STACKED:
        _dots(axes, problem)
        return
    name, number, symbol = "points, by weight S (inward)", 1, "S"
    if problem.counted is not None:
        name, number, symbol = f"points, by count of {problem.counted} (inward)", problem.counted, "count"
    group = _Group(name, INK, problem.angles, number * weights)
    _draw(axes, problem, [group], place, (RING, -WEIGHT_REACH), free, symbol)


def _draw(
    axes: PolarAxes,
    problem: Problem,
    groups: Sequence[_Group],
    place: _Place,
    scale: tuple[float, float],
    free: float,
    symbol: str,
) -> None:
    """Draw the values of groups away from the radius `scale[0]`, the largest by `scale[1]`: stems, or sums in cells."""
    zero, reach = scale
    is_way = symbol.endswith("x")  # along the angles
    count, turn = len(problem.angles), place.turn
    is_crowd = count > CROWD
    if is_crowd:
        groups = [_summed(group, problem.domain.measure) for group in groups]
    largest = max((float(np.abs(group.values).max(initial=0.0)) for group in groups), default=0.0)
    for group in groups:
        if not len(group.values):
            continue
        ends = reach * group.values / (largest or 1.0)
        if is_crowd:
            width = 2.0 * math.pi / CELLS
            axes.bar(
                group.angles * turn, ends, width, zero, color=group.colour, alpha=0.85, linewidth=0, label=group.name
            )
            continue
        tips, small = zero + ends, count > HEADED
        lines = separate_lines(group.angles * turn, np.full_like(tips, zero), tips)
        axes.plot(*lines, color=group.colour, linewidth=0.7 if small else 1.2, zorder=3)
        heads: dict[str, Any] = {"color": group.colour, "linestyle": "none", "zorder": 3}
        if is_way and not small and group.values.any():
            for angle, tip, value in zip(group.angles.tolist(), tips.tolist(), group.values.tolist(), strict=True):
                way = place.tangent(angle) + (0.0 if value > 0.0 else 180.0)
                arrow = MarkerStyle((3, 0, way - 90.0))  # points upward at 0
                axes.plot([angle * turn], [tip], marker=arrow, markersize=5.0, **heads)
            axes.plot([], [], marker="^", markersize=4.0, label=group.name, **heads)
        else:
            axes.plot(group.angles * turn, tips, "o", markersize=1.8 if small else 3.4, label=group.name, **heads)
    if is_crowd and count <= RUG:
        ticks = np.full(count, zero)
        axes.plot(*separate_lines(problem.angles * turn, ticks - 0.012, ticks + 0.012), color=INK, linewidth=0.3)
    if is_crowd:
        axes.bar([0.0], [0.0], color="none", label=f"(sums in {CELLS} cells of the circle)")
    _scale(axes, largest, zero, reach, free * turn, symbol, is_both=len(groups) > 1)


def _dots(axes: PolarAxes, problem: Problem) -> None:
    """Stack a dot for each point from the ring inward, in narrow cells."""
    period = problem.domain.measure
    cells = np.floor(np.mod(problem.angles, period) / period * DOT_CELLS).astype(np.intp) % DOT_CELLS
    order = np.argsort(cells, kind="stable")
    sizes = np.bincount(cells, minlength=DOT_CELLS)
    ranks = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    apart = min(2.0 * math.pi / DOT_CELLS, 0.75 / float(sizes.max()))
    unit = axes.get_window_extent().width / (2.0 * EDGE) * 72.0 / axes.figure.dpi  # points in a unit of the radius
    axes.plot(
        (cells[order] + 0.5) / DOT_CELLS * 2.0 * math.pi,
        RING - apart * (ranks + 0.6),
        "o",
        color=INK,
        markersize=0.9 * apart * unit,
        markeredgewidth=0,
        label=f"{len(order)} points of the same weight, a dot each",
    )


def _summed(group: _Group, period: float) -> _Group:
    """Return the sums of the values in equal cells of the circle that have any, at the middles of the cells."""
    cells = np.floor(np.mod(group.angles, period) / period * CELLS).astype(np.intp) % CELLS
    sums: FloatArray = np.bincount(cells, group.values, CELLS).astype(np.float64)
    middles: FloatArray = (np.arange(CELLS, dtype=np.float64) + 0.5) * (period / CELLS)
    return _Group(group.name, group.colour, middles[sums != 0.0], sums[sums != 0.0])


def _scale(
    axes: PolarAxes, largest: float, zero: float, reach: float, theta: float, symbol: str, *, is_both: bool = False
) -> None:
    """Draw circles at round values up to the largest, on both sides if there are two, with their values.

    The symbol stands beside one of them: beside 0 between two sides, else beside the largest, as the two scales of a
    figure may meet at 0.
    """
    if not 0.0 < largest < math.inf:
        return
    ticks = [tick for tick in MaxNLocator(2 if is_both else 3).tick_values(0.0, largest) if 0.0 < tick <= largest]
    named = 0.0 if is_both else ticks[-1]
    for tick in [*(-tick for tick in ticks), 0.0, *ticks] if is_both else ticks:
        radius = zero + reach * tick / largest
        _circle(axes, radius)
        axes.text(
            theta,
            radius,
            f"{symbol} = {tick:g}" if tick == named else f"{tick:g}",
            fontsize=SMALL,
            ha="center",
            va="center",
            zorder=5,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
        )


def _circle(axes: PolarAxes, radius: float) -> None:
    """Add a circle about the centre: a line of the grid, which a file holds as an arc, not as many points."""
    radii = sorted({*map(float, axes.get_yticks()), radius})
    axes.set_yticks(radii, [""] * len(radii))


def _emptiest(problem: Problem, places: FloatArray, density: FloatArray) -> float:
    """Return an angle between two spokes at which there is little density, and no target: there a scale is read."""
    spokes, _ = _spokes(problem)
    step = problem.domain.measure / len(spokes)
    middles = spokes + 0.5 * step
    dense = [
        float(density[np.abs(problem.domain.difference(places, middles[[part]])) <= 0.25 * step].max(initial=0.0))
        for part in range(len(spokes))
    ]
    target = problem.target
    away = np.abs(problem.domain.difference(middles, np.array([problem.centre])))
    is_taken = np.zeros(len(spokes), dtype=bool) if target is None else away <= 0.5 * target.width
    return float(middles[np.lexsort((np.array(dense), is_taken))[0]])


def _spokes(problem: Problem) -> tuple[FloatArray, list[str]]:
    """Return round angles that divide the circle into 4 to 12 parts, and their names."""
    period, unit = problem.domain.measure, problem.settings.unit
    if is_in_pi(problem):
        spokes = np.linspace(0.0, period, 8, endpoint=False)
        return spokes, [in_pi(spoke) for spoke in spokes.tolist()]
    parts = min(PARTS, key=lambda count: len(f"{period / count:.4g}"))
    spokes = np.linspace(0.0, period, parts, endpoint=False)
    degree = "°" if unit == "degrees" and period == 360.0 else ""
    return spokes, [f"{spoke:.4g}{degree}" for spoke in spokes.tolist()]


def _name_angles(axes: PolarAxes, problem: Problem) -> None:
    """Name round angles in their unit; the radii have scales of their own."""
    spokes, names = _spokes(problem)
    turned = spokes * (2.0 * math.pi / problem.domain.measure)
    axes.set_ylim(0.0, EDGE)
    axes.set_yticks([])
    axes.spines["polar"].set_visible(False)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.5, alpha=0.7, linestyle="-")
    axes.set_xticks(turned.tolist(), names)
    axes.tick_params(pad=-2)
    axes.vlines(turned, RING, EDGE, color=FAINT, linewidth=0.4, alpha=0.4, zorder=0)
