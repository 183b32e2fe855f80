"""A small picture in the terminal: the density over the range of target and points, and below it the points' gradient.

    density                ▄
    to 0.014     ▂▆▂▁   ▂▁▁██▄▁       the density, three rows high
    target    ───────━━━━━──────       where the target's density is
    pulled up       ▄       █         the sum of -∂L/∂z over the points whose weight descent raises
    pushed down ▃        ▆            the sum of ∂L/∂z over those whose weight it lowers
               -75 -30   30  68

Of block elements, or ASCII where the terminal has none; each column of cells shows the largest value in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.text import Text

from kdegrad.arrays import FloatArray
from kdegrad.objective import Evaluation
from kdegrad.output import Look
from kdegrad.problem import Problem
from kdegrad.reports.tables import PULLED, PUSHED, ROUNDING, printed
from kdegrad.view import curve, positions, span, target_parts

GUTTER: Final = 13
FEWEST_CELLS, MOST_CELLS = 24, 88
DENSITY_ROWS: Final = 3
MANY_POINTS: Final = 100_000
EIGHTHS: Final = {True: " ▁▂▃▄▅▆▇█", False: " ..::++##"}
AXIS: Final = {True: ("─", "━", "┃"), False: ("-", "=", "|")}


@dataclass(frozen=True)
class _Cells:
    """A range in cells of equal width."""

    low: float
    high: float
    count: int

    def index(self, places: FloatArray) -> np.typing.NDArray[np.intp]:
        """Return the cell of each place; for one outside the range the nearest."""
        within = np.clip(places, self.low, self.high) - self.low
        cells = np.floor(within / (self.high - self.low) * self.count)
        return np.minimum(cells, self.count - 1).astype(np.intp)

    def of(self, place: float) -> int:
        """Return the cell of one place."""
        return int(self.index(np.array([place]))[0])

    def totals(self, places: FloatArray, values: FloatArray) -> FloatArray:
        """Return the sum of the values in each cell."""
        return np.asarray(np.bincount(self.index(places), weights=values, minlength=self.count), dtype=np.float64)


def sketch(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield density, target, and the points' gradient (or, where none was asked for, their weight).

    Nothing where there is not enough width for a picture.
    """
    count = min(look.width - GUTTER, MOST_CELLS)
    if count < FEWEST_CELLS:
        return
    problem = evaluation.problem
    cells = _Cells(*span(problem), count)
    places, density = curve(problem, count * (1 if len(problem.angles) > MANY_POINTS else 4))
    peak = float(density.max())
    largest = np.zeros(count)
    np.maximum.at(largest, cells.index(places), density)
    names = ["density", f"to {peak:.3g}"] + [""] * (DENSITY_ROWS - 2)
    for name, row in zip(names, _stacked(largest, DENSITY_ROWS, look), strict=True):
        yield from _line(look, name, row)
    yield from _line(look, "target" if problem.target is not None else "the bin", *_axis(problem, cells, look))
    for name, values, style in _point_rows(evaluation, cells):
        levels = np.ceil(8.0 * values).astype(int)  # what is above 0 shows
        yield from _line(look, name, "".join(EIGHTHS[look.unicode][level] for level in levels.tolist()), style)
    yield from _line(look, "", _ticks(problem, cells), "dim")


def _line(look: Look, name: str, row: str, style: str = "") -> Iterator[str]:
    return printed(look, Text().append(name.ljust(GUTTER), style="dim").append(row, style=style))


def _point_rows(evaluation: Evaluation, cells: _Cells) -> Iterator[tuple[str, FloatArray, str]]:
    """Yield the name, the values of the cells in [0, 1], and the style of each row about the points, on one scale."""
    where = positions(evaluation.problem)
    if evaluation.gradients is None:
        weights = cells.totals(where, evaluation.weights)
        yield "weight", weights / weights.max(), ""
        return
    slopes = evaluation.gradients.logits
    slopes = np.where(np.abs(slopes) > ROUNDING * evaluation.weights.max(), slopes, 0.0)
    pulled, pushed = (cells.totals(where, np.maximum(sign * slopes, 0.0)) for sign in (-1.0, 1.0))
    largest = max(float(pulled.max()), float(pushed.max())) or 1.0
    yield "pulled up", pulled / largest, PULLED
    yield "pushed down", pushed / largest, PUSHED


def _stacked(values: FloatArray, rows: int, look: Look) -> Iterator[str]:
    """Yield the rows of a plot of values, the highest first."""
    levels = np.rint(8 * rows * values / (float(values.max()) or 1.0)).astype(int)
    for row in reversed(range(rows)):
        yield "".join(EIGHTHS[look.unicode][level] for level in np.clip(levels - 8 * row, 0, 8).tolist())


def _axis(problem: Problem, cells: _Cells, look: Look) -> tuple[str, str]:
    """Return the axis with the target, and the bin where there is only one, and its style."""
    thin, thick, mark = AXIS[look.unicode]
    axis = [thin] * cells.count
    for part in target_parts(problem):
        first, last = (cells.of(edge) for edge in part)
        axis[first : last + 1] = thick * (last + 1 - first)
    if problem.at is not None:
        axis[cells.of(problem.at)] = mark
    return "".join(axis), "bright_blue"


def _ticks(problem: Problem, cells: _Cells) -> str:
    """Return the numbers below the axis: the target's edges, then the ends, where there is room."""
    middle = [edge for part in target_parts(problem) for edge in part]
    middle += [] if problem.at is None else [problem.at]
    if problem.settings.circumference is None:
        ends: Sequence[float] = (float(problem.angles.min()), float(problem.angles.max()))
    else:
        ends = (cells.low, cells.high)
    line = [" "] * cells.count
    for value in (*middle, *ends):
        text = f"{value:.6g}"
        start = min(max(cells.of(value) - len(text) // 2, 0), cells.count - len(text))
        stop = start + len(text)
        if not "".join(line[max(start - 1, 0) : stop + 1]).strip():
            line[start:stop] = text
    return "".join(line)
