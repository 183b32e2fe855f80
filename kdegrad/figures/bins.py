"""The figure of ``grad --per-bin``: a map of the gradient over bins and points."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from kdegrad.arrays import FloatArray
from kdegrad.figures.line import title_of
from kdegrad.figures.style import PULLED, PUSHED, figure, short
from kdegrad.objective import Evaluation, responsibilities_by_bin
from kdegrad.view import positions

MOST_NODES, MOST_POINTS, NAMED_POINTS = 720, 360, 24
SIGNS: Final = LinearSegmentedColormap.from_list("signs", [PULLED, "#ffffff", PUSHED])


def gradient(evaluation: Evaluation) -> Figure:
    """Draw S_i Σ_j r_j - r_i for each bin (across) and point (up, by angle), coloured by sign and size."""
    problem = evaluation.problem
    order = np.argsort(positions(problem), kind="stable")
    nodes, points = _spread(problem.rule.bins, MOST_NODES), order[_spread(len(order), MOST_POINTS)]
    kept = set(nodes.tolist())
    rows = [slopes[points] for bin_, (_, slopes) in enumerate(responsibilities_by_bin(evaluation)) if bin_ in kept]
    values = np.array(rows).T
    largest = float(np.abs(values).max()) or 1.0
    drawing = figure(1.7 + 0.14 * min(max(len(points), 5), 20))
    axes = drawing.subplots()
    mesh = axes.pcolormesh(
        _edges(problem.rule.nodes[nodes], problem.target),
        np.arange(len(points) + 1) - 0.5,
        values,
        cmap=SIGNS,
        vmin=-largest,
        vmax=largest,
        rasterized=True,
    )
    bar = drawing.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("gradient in the bin\n← pulled up   pushed down →")
    axes.set_xlabel(f"bin ({problem.settings.unit})" + _some(len(nodes), problem.rule.bins))
    axes.set_ylabel("point, by angle" + _some(len(points), len(order)))
    named = points if len(points) <= NAMED_POINTS else points[_spread(len(points), 10)]
    axes.set_yticks(np.flatnonzero(np.isin(points, named)), [_name(evaluation, int(point)) for point in named])
    axes.set_title(title_of(evaluation))
    return drawing


def _name(evaluation: Evaluation, point: int) -> str:
    labels, angle = evaluation.problem.labels, evaluation.problem.angles[point]
    return f"{angle:g}" if labels is None else f"{short(labels[point])}  {angle:g}"


def _some(shown: int, total: int) -> str:
    return "" if shown == total else f": {shown} of {total}"


def _spread(count: int, most: int) -> np.typing.NDArray[np.intp]:
    """Return at most `most` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def _edges(nodes: FloatArray, target: tuple[float, float] | None) -> FloatArray:
    """Return where the cells about the nodes begin and end: halfway between, and at the target's edges."""
    if target is None or len(nodes) == 1:
        return np.array([nodes[0] - 0.5, nodes[-1] + 0.5])
    return np.concatenate([[target[0]], 0.5 * (nodes[:-1] + nodes[1:]), [target[1]]])
