"""Figures of one evaluation over an axis of angles: the density above, its points as stems below.

Also the map of ``grad --per-bin``, of the line and of the circle: the gradient over bins and points.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patheffects import withStroke

from kdegrad.arrays import FloatArray, largest_first
from kdegrad.evaluation import Evaluation
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, short
from kdegrad.objective import responsibilities_by_bin
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.text import angle_texts, interval_text
from kdegrad.view import curve, positions, span, target_marks

Groups = Mapping[str, tuple[str, np.ufunc]]  # name → colour, and the comparison with 0 that holds in the group
BY_SIGN: Final[Groups] = {
    "pulled up (∂L/∂z < 0)": (PULLED, np.less),
    "pushed down (∂L/∂z > 0)": (PUSHED, np.greater_equal),
}
ALL: Final[Groups] = {"points, by weight S": (INK, np.greater_equal)}
STEMS: Final = 3_000  # more cannot be told apart
LABELLED: Final = 12
MOST_NODES, MOST_POINTS, NAMED_POINTS = 720, 360, 24  # the most that the map shows and names


def gradient_per_bin(evaluation: Evaluation) -> Picture:
    """Return a map of S_i Σ_j r_j - r_i for each bin (across) and point (up, by angle), coloured by sign and size."""
    rows = min(max(len(evaluation.weights), 5), 20)
    return Picture(
        panels=[partial(_map, evaluation=evaluation)],
        height=1.7 + 0.14 * rows,
        title=title_of(evaluation),
        legend=0,
    )


def _map(axes: Axes, evaluation: Evaluation) -> None:
    problem = evaluation.problem
    order = np.argsort(positions(problem), kind="stable")
    nodes, points = _spread(evaluation.rule.bins, MOST_NODES), order[_spread(len(order), MOST_POINTS)]
    kept = set(nodes.tolist())
    rows = [slopes[points] for bin_, (_, slopes) in enumerate(responsibilities_by_bin(evaluation)) if bin_ in kept]
    values = np.array(rows).T
    largest = float(np.abs(values).max()) or 1.0
    places = evaluation.rule.nodes[nodes]
    if problem.observed is not None:  # a column for each target point
        edges = np.arange(len(places) + 1) - 0.5
        shown = _spread(len(places), 8)
        axes.set_xticks(shown, angle_texts(places[shown]))
    elif len(places) == 1:
        edges = np.array([places[0] - 0.5, places[-1] + 0.5])
    else:  # halfway between the nodes, and the edges of the target
        low, high = problem.interval
        edges = np.concatenate([[low], 0.5 * (places[:-1] + places[1:]), [high]])
    mesh = axes.pcolormesh(
        edges,
        np.arange(len(points) + 1) - 0.5,
        values,
        cmap=LinearSegmentedColormap.from_list("signs", [PULLED, "#ffffff", PUSHED]),
        vmin=-largest,
        vmax=largest,
        rasterized=True,
    )
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("gradient in the bin\n← pulled up   pushed down →")
    axes.set_xlabel(f"bin ({problem.settings.unit})" + _some(len(nodes), evaluation.rule.bins))
    axes.set_ylabel("point, by angle" + _some(len(points), len(order)))
    named = points if len(points) <= NAMED_POINTS else points[_spread(len(points), 10)]
    names = angle_texts(problem.angles[named])
    if problem.labels is not None:
        names = [f"{short(problem.labels[point])}  {name}" for point, name in zip(named, names, strict=True)]
    axes.set_yticks(np.flatnonzero(np.isin(points, named)), names)


def lines_of_points(problem: Problem, points: Rule) -> dict[str, Any]:
    """Return how the lines at target points look, darker for a heavier one, and what a legend calls them."""
    if problem.at is not None:
        return {"colors": FAINT, "linewidth": 0.8, "label": f"the bin at {angle_texts([problem.at])[0]}"}
    shades = 0.15 + 0.85 * points.weights / points.weights.max()
    colours = [to_rgba(PULLED, shade) for shade in shades.tolist()]
    name = "the target point" if len(shades) == 1 else f"the {len(shades)} target points, by weight"
    return {"colors": colours, "linestyles": "dashed", "linewidth": 0.9, "label": name}


def _some(shown: int, total: int) -> str:
    return "" if shown == total else f": {shown} of {total}"


def _spread(count: int, most: int) -> np.typing.NDArray[np.intp]:
    """Return at most `most` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def title_of(evaluation: Evaluation) -> str:
    """Return kernel, bandwidth, background if there is one, loss and KL in one line."""
    kernel = evaluation.problem.kernel
    numbers = [f"L = {evaluation.loss:.5g}"] + ([] if evaluation.kl is None else [f"KL = {evaluation.kl:.5g} nats"])
    background = evaluation.problem.settings.background
    mixed = f", E = {background:g}" if background > 0.0 else ""
    return f"{kernel.name}, h = {kernel.bandwidth:g}{mixed}    {',  '.join(numbers)}"


def separate_lines(places: FloatArray, starts: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x and y of one curve that goes from start to end at each place, with gaps between."""
    gaps = np.full_like(places, np.nan)
    return np.column_stack([places, places, gaps]).ravel(), np.column_stack([starts, ends, gaps]).ravel()


def _stems(axes: Axes, angles: FloatArray, values: FloatArray, groups: Groups) -> None:
    """Draw a stem with a head for each point, in the colour of the group whose comparison with 0 holds."""
    kept = np.sort(largest_first(values, STEMS))
    angles, values = angles[kept], values[kept]
    many = len(kept) > 60
    for name, (colour, compare) in groups.items():
        chosen = compare(values, 0.0)
        lines = separate_lines(angles[chosen], np.zeros_like(values[chosen]), values[chosen])
        axes.plot(*lines, color=colour, linewidth=0.6 if many else 1.2, alpha=0.7 if many else 1)
        axes.plot(angles[chosen], values[chosen], "o", color=colour, markersize=1.5 if many else 3.5, label=name)


def panels(evaluation: Evaluation) -> Picture:
    """Return target and density, and below the weight of each point, or its gradient coloured by the sign."""
    return Picture(
        panels=[partial(_density, evaluation=evaluation), partial(_points, evaluation=evaluation)],
        height=3.6,
        main=0 if evaluation.gradients is None else 1,
        ratios=(3, 2),
        title=title_of(evaluation),
        xlabel=f"angle ({evaluation.problem.settings.unit})",
    )


def _target(axes: Axes, problem: Problem) -> None:
    """Shade the target, or draw its points, over the whole height."""
    axes.set_xlim(*span(problem))
    if problem.target is not None:
        low, high = problem.target
        name = f"target {interval_text(problem.target)}"
        axes.axvspan(low, high, color=BAND, zorder=0, label=name, linewidth=0)
    if (points := target_marks(problem)) is not None:
        style = lines_of_points(problem, points)
        axes.vlines(points.nodes, 0.0, 1.0, transform=axes.get_xaxis_transform(), **style)


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
    axes.set_ylabel(f"density (per {problem.settings.unit.removesuffix('s')})")


def _points(axes: Axes, evaluation: Evaluation) -> None:
    """Draw the points as stems: the gradient if one was asked for, else the weight."""
    problem, found = evaluation.problem, evaluation.gradients
    _target(axes, problem)
    values = evaluation.weights if found is None else found.logits
    _stems(axes, positions(problem), values, ALL if found is None else BY_SIGN)
    axes.margins(y=0.25)
    if found is None:
        axes.set_ylabel("weight S")
        axes.set_ylim(bottom=0.0)
    else:
        axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
        axes.set_ylabel("gradient ∂L/∂z")
    if problem.labels is not None and len(problem.labels) <= LABELLED:
        _label_points(axes, evaluation, values)


def _label_points(axes: Axes, evaluation: Evaluation, values: FloatArray) -> None:
    """Write the labels at the heads of the stems."""
    labels = evaluation.problem.labels or ()
    for label, angle, value in zip(labels, positions(evaluation.problem), values, strict=True):
        above = value >= 0.0
        axes.annotate(
            short(label),
            (float(angle), float(value)),
            xytext=(0, 3 if above else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=6.5,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],  # readable where a line is behind it
        )
