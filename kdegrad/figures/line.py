"""Figures of one evaluation on the line: the density above, its points as stems below, on one axis of angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdegrad.arrays import FloatArray, largest_first
from kdegrad.figures.style import (
    BAND,
    FAINT,
    INK,
    PULLED,
    PUSHED,
    angle_name,
    density_name,
    figure,
    halo,
    legend_below,
    short,
)
from kdegrad.objective import Evaluation
from kdegrad.problem import Problem
from kdegrad.view import curve, positions, span

Groups = Mapping[str, tuple[str, np.ufunc]]  # name → colour, and the comparison with 0 that holds in the group
BY_SIGN: Final[Groups] = {
    "pulled up (∂L/∂z < 0)": (PULLED, np.less),
    "pushed down (∂L/∂z > 0)": (PUSHED, np.greater_equal),
}
ALL: Final[Groups] = {"points, by weight S": (INK, np.greater_equal)}
STEMS: Final = 3_000  # more cannot be told apart
LABELLED: Final = 12


def weights(evaluation: Evaluation) -> Figure:
    """Draw target and density, and the points as stems by weight."""
    drawing, (above, below) = _panels(evaluation)
    stems(below, positions(evaluation.problem), evaluation.weights, ALL)
    below.set_ylabel("weight S")
    _label_points(below, evaluation, evaluation.weights)
    below.set_ylim(bottom=0.0)
    legend_below(drawing, above, below)
    return drawing


def gradient(evaluation: Evaluation) -> Figure:
    """Draw target and density, and the gradient of each point at its angle, coloured by its sign."""
    drawing, (above, below) = _panels(evaluation)
    slopes = evaluation.gradients.logits
    assert slopes is not None  # it was asked for
    stems(below, positions(evaluation.problem), slopes, BY_SIGN)
    below.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
    below.set_ylabel("gradient ∂L/∂z")
    _label_points(below, evaluation, slopes)
    legend_below(drawing, above, below)
    return drawing


def stems(axes: Axes, angles: FloatArray, values: FloatArray, groups: Groups) -> None:
    """Draw a stem with a head for each point, in the colour of the group whose comparison with 0 holds."""
    kept = np.sort(largest_first(values, STEMS))
    angles, values = angles[kept], values[kept]
    many = len(kept) > 60
    for name, (colour, compare) in groups.items():
        chosen = compare(values, 0.0)
        lines = separate_lines(angles[chosen], np.zeros_like(values[chosen]), values[chosen])
        axes.plot(*lines, color=colour, linewidth=0.6 if many else 1.2, alpha=0.7 if many else 1)
        axes.plot(angles[chosen], values[chosen], "o", color=colour, markersize=1.5 if many else 3.5, label=name)


def separate_lines(places: FloatArray, starts: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x and y of one curve that goes from start to end at each place, with gaps between."""
    gaps = np.full_like(places, np.nan)
    return np.column_stack([places, places, gaps]).ravel(), np.column_stack([starts, ends, gaps]).ravel()


def mark_target(axes: Axes, problem: Problem) -> None:
    """Shade the target, and mark the node where the rule is one node."""
    if problem.target is not None:
        low, high = problem.target
        axes.axvspan(low, high, color=BAND, zorder=0, label=f"target [{low:g}, {high:g}]", linewidth=0)
    if problem.settings.at is not None:
        axes.axvline(problem.settings.at, color=FAINT, linewidth=0.8, label=f"the bin at {problem.settings.at:g}")


def title_of(evaluation: Evaluation) -> str:
    """Return kernel, bandwidth, background if there is one, loss and KL in one line."""
    kernel = evaluation.problem.kernel
    numbers = [f"L = {evaluation.loss:.5g}"] + ([] if evaluation.kl is None else [f"KL = {evaluation.kl:.5g} nats"])
    background = evaluation.problem.settings.background
    mixed = f", E = {background:g}" if background > 0.0 else ""
    return f"{kernel.name}, h = {kernel.bandwidth:g}{mixed}    {',  '.join(numbers)}"


def _panels(evaluation: Evaluation) -> tuple[Figure, tuple[Axes, Axes]]:
    """Return a figure with target and density above, and an empty panel below."""
    problem = evaluation.problem
    drawing = figure(3.6)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    places, density = curve(problem, 401)
    for axes in (above, below):
        mark_target(axes, problem)
    above.fill_between(places, density, color=INK, alpha=0.08, linewidth=0)
    above.plot(places, density, color=INK, label="model's density p")
    if problem.target is not None and problem.width is not None:
        above.hlines(1.0 / problem.width, *problem.target, color=PULLED, linestyle="--", label="wanted density")
    uncovered = evaluation.diagnostics.uncovered
    if len(uncovered):
        above.plot(uncovered, np.zeros_like(uncovered), "|", color=PUSHED, label="bins where p is 0", clip_on=False)
    above.set_ylim(0.0, 1.08 * max(float(density.max()), 1.0 / (problem.width or np.inf)) or 1.0)
    above.set_xlim(*span(problem))
    above.set_ylabel(density_name(problem))
    above.set_title(title_of(evaluation))
    below.set_xlabel(angle_name(problem))
    return drawing, (above, below)


def _label_points(axes: Axes, evaluation: Evaluation, values: FloatArray) -> None:
    """Write the labels at the heads of the stems, if they are few."""
    labels = evaluation.problem.labels
    axes.margins(y=0.25)
    if labels is None or len(labels) > LABELLED:
        return
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
            path_effects=halo(),
        )
