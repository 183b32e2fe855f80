"""Figures of one evaluation over an axis of angles: the density above, its points as stems below.

Whatever descent pulls up points up: what is drawn of a gradient is -∂L. Many points are summed in cells of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from matplotlib.transforms import Affine2D

from kdegrad.arrays import FloatArray
from kdegrad.evaluation import Evaluation
from kdegrad.figures.picture import Picture
from kdegrad.figures.placing import name_stems, rows_of
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED
from kdegrad.figures.titles import title_of
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.text import angle_texts
from kdegrad.view import curve, positions, span, start_of_turn, target_marks, target_parts

Groups = Mapping[str, tuple[str, np.ufunc]]  # name → colour, and the comparison with 0 that holds in the group
BY_SIGN: Final[Groups] = {
    "pulled up by descent": (PULLED, np.greater),
    "pushed down": (PUSHED, np.less),
    "not moved": (FAINT, np.equal),
}
BY_WAY: Final[Groups] = {
    "moved right by descent": (INK, np.greater),
    "moved left": (INK, np.less),
    "not moved": (FAINT, np.equal),
}
ALL: Final[Groups] = {"points": (INK, np.greater_equal)}
CROWD: Final = 100  # more stems than these cannot be told apart
CELLS: Final = 60  # of the axis, about
LABELLED: Final = 12
USUAL_DIGITS: Final = 6
_STEM, _ARROW = 3.5, 8.0  # the size of the mark at the end of a stem, in points
_RIGHTWARD: Final = Path([(0, 0), (1, 0), (0.5, 0.35), (1, 0), (0.5, -0.35)], [1, 2, 1, 2, 2])


def panels(evaluation: Evaluation) -> Picture:
    """Return target and density, and below a panel for each gradient that was asked for, or for the weights."""
    found, settings = evaluation.gradients, evaluation.problem.settings
    of_points = {"logits": _logits, "angles": _angles}
    asked: list[Callable[..., None]] = [of_points[name] for name in found.wrt if name in of_points] if found else []
    asked = asked or [_weights]
    names = [] if (labels := evaluation.problem.labels) is None or len(labels) > LABELLED else labels
    each = 1.5 + 0.13 * max(0, rows_of(names, 280.0) - 2)
    return Picture(
        panels=[partial(panel, evaluation=evaluation) for panel in (_density, *asked)],
        height=2.3 + each * len(asked),
        main=0 if found is None else 1,
        ratios=(1.8, *(each for _ in asked)),
        title=title_of(evaluation),
        xlabel=f"angle ({settings.unit})",
    )


def _target(axes: Axes, problem: Problem) -> None:
    """Shade the target, or draw its points, over the whole height."""
    axes.set_xlim(*span(problem))
    tell_angles_apart(axes, *span(problem))
    name_turn(axes.xaxis, problem)
    if problem.target is not None:
        for number, (low, high) in enumerate(target_parts(problem)):
            name = "_" if number else "target"
            axes.axvspan(low, high, color=BAND, zorder=0, label=name, linewidth=0)
    if (points := target_marks(problem)) is not None:
        style = lines_of_points(problem, points)
        axes.vlines(points.nodes, 0.0, 1.0, transform=axes.get_xaxis_transform(), **style)


def lines_of_points(problem: Problem, points: Rule) -> dict[str, Any]:
    """Return how the lines at target points look, darker for a heavier one, and what a legend calls them."""
    if problem.at is not None:
        return {"colors": FAINT, "linewidth": 0.8, "label": f"the bin at {angle_texts([problem.at])[0]}"}
    shades = 0.15 + 0.85 * points.weights / points.weights.max()
    colours = [to_rgba(PULLED, shade) for shade in shades.tolist()]
    name = "the target point" if len(shades) == 1 else f"the {len(shades)} target points, by weight"
    return {"colors": colours, "linestyles": "dashed", "linewidth": 0.9, "label": name}


def _density(axes: Axes, evaluation: Evaluation) -> None:
    """Draw target and density."""
    problem = evaluation.problem
    _target(axes, problem)
    places, density = curve(problem, 401)
    axes.fill_between(places, density, color=INK, alpha=0.08, linewidth=0)
    axes.plot(places, density, color=INK, label="model's density p")
    if problem.target is not None:
        axes.hlines(1.0 / problem.target.width, *problem.target, color=PULLED, linestyle="--", label="wanted density")
    uncovered = evaluation.diagnostics.uncovered
    if len(uncovered):
        axes.plot(uncovered, np.zeros_like(uncovered), "|", color=PUSHED, label="bins where p is 0", clip_on=False)
    axes.set_ylim(0.0, 1.08 * max(float(density.max()), 1.0 / problem.target.width if problem.target else 0.0) or 1.0)
    axes.set_ylabel(f"density\n(per {one_unit(problem)})")


def _weights(axes: Axes, evaluation: Evaluation) -> None:
    counted = evaluation.problem.counted
    ylabel = "weight S" if counted is None else f"count, of {counted}"
    _points(axes, evaluation, (counted or 1) * evaluation.weights, ALL, ylabel)
    axes.set_ylim(bottom=0.0)


def _logits(axes: Axes, evaluation: Evaluation) -> None:
    """Draw how descent moves the logits."""
    _points(axes, evaluation, -evaluation.require_gradients().logits, BY_SIGN, "descent: -∂L/∂z")


def _angles(axes: Axes, evaluation: Evaluation) -> None:
    """Draw which way along the axis descent moves the points, and how strongly."""
    slopes = evaluation.require_gradients().angles
    assert slopes is not None  # asked for
    _points(axes, evaluation, -slopes, BY_WAY, f"descent: -∂L/∂x\n(per {one_unit(evaluation.problem)})")


def _points(axes: Axes, evaluation: Evaluation, values: FloatArray, groups: Groups, ylabel: str) -> None:
    """Draw a value of each point as a stem, or for many points their sums in cells, coloured by the sign."""
    problem = evaluation.problem
    _target(axes, problem)
    axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
    places = positions(problem)
    axes.set_ylabel(ylabel)
    if len(values) > CROWD:
        _bars(axes, places, values, groups)
        return
    is_way = groups is BY_WAY
    for name, (colour, compare) in groups.items():
        chosen = compare(values, 0.0)
        if not chosen.any():
            continue
        starts = np.zeros(int(chosen.sum()))
        axes.plot(*separate_lines(places[chosen], starts, values[chosen]), color=colour, linewidth=1.2)
        way = int(compare(1.0, 0.0)) - int(compare(-1.0, 0.0)) if is_way else 0
        arrow = None if way == 0 else _RIGHTWARD.transformed(Affine2D().scale(way, 1.0))
        size, face = (_STEM, colour) if arrow is None else (2.0 * _ARROW, "none")  # half a path lies on each side
        look: dict[str, Any] = {"ls": "", "c": colour, "ms": size, "mfc": face}
        axes.plot(places[chosen], values[chosen], marker=arrow or "o", **look)
        if arrow is not None:
            look["ms"], arrow = _ARROW, arrow.transformed(Affine2D().translate(-0.5 * way, 0.0))
        axes.plot([], [], marker=arrow or "o", **look, label=name)
    axes.margins(y=0.12)
    if problem.labels is not None and len(values) <= LABELLED:
        name_stems(axes, places, values, problem.labels, _ARROW if is_way else 0.5 * _STEM)


def _bars(axes: Axes, places: FloatArray, values: FloatArray, groups: Groups) -> None:
    """Draw the sums of the values in cells of the axis, what is above 0 and what is below it apart."""
    edges = cells(places)
    if groups is BY_WAY:  # one colour, one name
        (right, by_right), (_, by_left), *_ = groups.items()
        groups = {f"{right} above 0, left below": by_right, "_": by_left}
    for name, (colour, compare) in groups.items():
        chosen = compare(values, 0.0)
        if values[chosen].any():
            sums, _ = np.histogram(places[chosen], edges, weights=values[chosen])
            axes.bar(edges[:-1], sums, np.diff(edges), align="edge", color=colour, alpha=0.8, linewidth=0, label=name)
    axes.margins(y=0.08)
    width = angle_texts([edges[1] - edges[0]])[0]
    axes.set_ylabel(f"Σ {axes.get_ylabel().partition(chr(10))[0].removeprefix('descent: ')}\nin cells of {width}")


def cells(places: FloatArray) -> FloatArray:
    """Return the edges of equal cells over the places, 1, 2 or 5 times a power of 10 wide."""
    low, high = float(places.min()), float(places.max())
    rough = (0.5 * high - 0.5 * low) / (0.5 * CELLS)
    if rough > 0.0:
        power = 10.0 ** np.floor(np.log10(rough))
        width = power * next(factor for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)
        edges = np.arange(np.floor(low / width), np.floor(high / width) + 2.0) * width
        if (np.diff(edges) > 0.0).all() and np.isfinite(edges).all():
            return np.asarray(edges)
    width = max(abs(low), abs(high), 1.0) * 1e-9  # all in one place, or too near to tell the cells apart
    return np.array([low - width, high + width])


def tell_angles_apart(axes: Axes, low: float, high: float) -> None:
    """Let the x axis have as many ticks as there is room for their names: few where these have many digits."""
    step = 10.0 ** np.floor(np.log10(max(0.2 * high - 0.2 * low, 1e-300)))
    longest = max(len(f"{end:.12g}") for end in (np.round(low / step) * step, np.round(high / step) * step))
    if longest > USUAL_DIGITS and max(abs(low), abs(high)) < 1e15:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, 36 // longest), steps=[1, 2, 5, 10]))


def name_turn(axis: Axis, problem: Problem) -> None:
    """Name the eighths of a circle along an axis by angles of one turn: in [0, P), or [-P/2, P/2) if some are negative.

    Along a line there is nothing to do.
    """
    period = problem.settings.circumference
    low, high = span(problem)
    if period is None or not 0.5 * period < high - low < 1.5 * period:  # a turn so far out that it is lost in rounding
        return
    start, is_of_pi = start_of_turn(problem), is_in_pi(problem)

    def name(place: float, _: int | None = None) -> str:
        angle = float(problem.domain.unrolled(np.asarray(place), start))
        angle = start if abs(angle - start - period) < 1e-9 * period else angle
        return in_pi(angle) if is_of_pi else f"{angle:.4g}"

    axis.set_major_locator(MultipleLocator(period / 8.0))
    axis.set_major_formatter(FuncFormatter(name))


def is_in_pi(problem: Problem) -> bool:
    """Return whether angles of a circle are named as multiples of π."""
    return problem.settings.unit == "radians" and abs(problem.domain.measure - 2.0 * math.pi) < 1e-9


def in_pi(angle: float) -> str:
    """Return a multiple of π/4 as one: -3π/4, 0, π/2."""
    quarters = round(4.0 * angle / math.pi)
    over, under = quarters // (common := math.gcd(quarters, 4)), 4 // common
    text = {0: "0", 1: "π", -1: "-π"}.get(over, f"{over}π")
    return text if under == 1 else f"{text}/{under}"


def separate_lines(places: FloatArray, starts: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x and y of one curve that goes from start to end at each place, with gaps between."""
    gaps = np.full_like(places, np.nan)
    return np.column_stack([places, places, gaps]).ravel(), np.column_stack([starts, ends, gaps]).ravel()


def one_unit(problem: Problem) -> str:
    """Return what one unit of the angles is called."""
    return problem.settings.unit.removesuffix("s")
