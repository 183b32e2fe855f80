"""The map of ``grad --per-bin``, of the line and of the circle: the gradient over bins and points."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.ticker import MaxNLocator

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.evaluation import Evaluation
from kdegrad.figures.line import cells, name_turn, tell_angles_apart
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import INK, PULLED, PUSHED, short
from kdegrad.figures.titles import title_of
from kdegrad.objective import responsibilities_by_bin
from kdegrad.text import angle_texts
from kdegrad.view import positions

ROWS: Final = 24  # more points than these are summed in cells of the angle
COLUMNS: Final = 360  # more bins than these are averaged with their neighbours
NAMED_COLUMNS: Final = 7
# from full to none and to full again: where the gradient is 0 the page is seen, whatever its colour
SIGNS: Final = LinearSegmentedColormap.from_list(
    "signs",
    [
        (0.0, to_rgba(PUSHED, 1.0)),
        (0.5, to_rgba(PUSHED, 0.0)),
        (0.5, to_rgba(PULLED, 0.0)),
        (1.0, to_rgba(PULLED, 1.0)),
    ],
)


def gradient_per_bin(evaluation: Evaluation) -> Picture:
    """Return a map of r_i - S_i Σ_j r_j for each bin (across) and point (up, by angle), coloured by sign and size."""
    rows = min(max(len(evaluation.weights), 5), ROWS)
    return Picture(
        panels=[partial(_map, evaluation=evaluation)],
        height=2.0 + 0.14 * rows,
        title=title_of(evaluation),
        legend=0,
    )


def _map(axes: Axes, evaluation: Evaluation) -> None:
    row_of_point, upward = _rows(axes, evaluation)
    column_of_node, across = _columns(axes, evaluation)
    shape = len(upward) - 1, len(across) - 1
    values, totals = np.zeros(shape), np.bincount(column_of_node, evaluation.rule.weights, shape[1])
    by_bin = zip(responsibilities_by_bin(evaluation), column_of_node.tolist(), evaluation.rule.weights, strict=True)
    for (_, slopes), column, weight in by_bin:
        share = weight / totals[column] if totals[column] > 0.0 else 0.0
        values[:, column] -= share * np.bincount(row_of_point, slopes, shape[0])
    largest = float(np.abs(values).max()) or 1.0
    mesh = axes.pcolormesh(across, upward, values, cmap=SIGNS, vmin=-largest, vmax=largest, rasterized=True)
    drawing = axes.figure
    assert drawing is not None  # Axes belong to one
    _name_bar(drawing.colorbar(mesh, ax=axes, pad=0.02, aspect=30))


def _name_bar(bar: Colorbar) -> None:
    """Mark 0 on the colour bar, and say what its two sides are."""
    bar.locator = MaxNLocator(nbins=5, symmetric=True)
    bar.update_ticks()
    bar.ax.axhline(0.0, color=INK, linewidth=0.8)
    bar.set_label("-∂L/∂z in the bin\n← pushed down    pulled up →")
    bar.outline.set_linewidth(0.6)


def _rows(axes: Axes, evaluation: Evaluation) -> tuple[IntArray, FloatArray]:
    """Return the row that each point is drawn in, and the edges of the rows; name them along the y axis."""
    problem = evaluation.problem
    places = positions(problem)
    unit = problem.settings.unit
    if len(places) > ROWS:
        edges = cells(places)
        name_turn(axes.yaxis, problem)
        width = angle_texts([float(edges[1] - edges[0])])[0]
        axes.set_ylabel(f"angle of the points ({unit}),\nsums in cells of {width}")
        return np.clip(np.searchsorted(edges, places, side="right") - 1, 0, len(edges) - 2), edges
    order = np.argsort(places, kind="stable")
    names = angle_texts(problem.angles[order])
    if problem.labels is not None:
        names = [f"{short(problem.labels[point])}  {name}" for point, name in zip(order, names, strict=True)]
    axes.set_yticks(range(len(order)), names)
    axes.set_ylabel(f"point, by angle ({unit})")
    rows = np.empty(len(order), dtype=np.intp)
    rows[order] = np.arange(len(order))
    return rows, np.arange(-0.5, len(order))


def _columns(axes: Axes, evaluation: Evaluation) -> tuple[IntArray, FloatArray]:
    """Return the column that each bin is drawn in, and the edges of the columns; name them along the x axis."""
    problem, nodes = evaluation.problem, evaluation.rule.nodes
    unit = problem.settings.unit
    each = -(-len(nodes) // COLUMNS)
    columns = np.arange(len(nodes)) // each
    averaged = f", means of {each}" if each > 1 else ""
    if problem.observed is None:  # edges halfway between the nodes, and the ends of the target
        axes.set_xlabel(f"bin ({unit}){averaged}")
        low, high = problem.reduced_interval
        edges = np.concatenate([[low], (0.5 * nodes[:-1] + 0.5 * nodes[1:])[each - 1 :: each], [high]])
        tell_angles_apart(axes, low, high)
        return columns, edges
    what = "the bin" if problem.at is not None else "target point, by angle"
    axes.set_xlabel(f"{what} ({unit}){averaged}")
    order = np.argsort(nodes, kind="stable")
    columns[order] = columns.copy()
    count = int(columns.max()) + 1
    shown = np.arange(0, count, -(-count // NAMED_COLUMNS))
    texts = angle_texts(nodes[order][shown * each])
    is_long = max(map(len, texts)) * len(texts) > 50
    axes.set_xticks(shown, texts, rotation=30 if is_long else 0, ha="right" if is_long else "center")
    return columns, np.arange(-0.5, count)
