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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from kdegrad.arrays import FloatArray
from kdegrad.evaluation import BatchEvaluation, Evaluation
from kdegrad.output import Look
from kdegrad.problem import Problem
from kdegrad.reports.tables import PULLED, PUSHED, printed
from kdegrad.text import angle_texts
from kdegrad.view import curve, positions, span, start_of_turn, target_marks, target_parts

GUTTER: Final = 13
FEWEST_CELLS = 24
DENSITY_ROWS: Final = 3
ROUNDING: Final = 1e-12  # fraction of the largest weight
MANY_POINTS: Final = 100_000
EIGHTHS: Final = {True: " ▁▂▃▄▅▆▇█", False: " ..::++##"}
AXIS: Final = {True: ("─", "━", "┃"), False: ("-", "=", "|")}


@dataclass(frozen=True)
class _Cells:
    """A range in cells of equal width."""

    low: float
    high: float
    count: int

    def of(self, places: FloatArray | float) -> NDArray[np.intp]:
        """Return the cell of each place; for one outside the range the nearest."""
        within = np.clip(places, self.low, self.high) - self.low
        cells = np.floor(within / (self.high - self.low) * self.count)
        return np.minimum(cells, self.count - 1).astype(np.intp)

    def totals(self, places: FloatArray, values: FloatArray) -> FloatArray:
        """Return the sum of the values in each cell."""
        return np.asarray(np.bincount(self.of(places), weights=values, minlength=self.count), dtype=np.float64)


def sketch(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield density, target, and the points' gradient (or, where none was asked for, their weight).

    Nothing where there is not enough width for a picture.
    """
    count = look.width - GUTTER
    if count < FEWEST_CELLS:
        return
    problem = evaluation.problem
    cells = _Cells(*span(problem), count)
    places, density = curve(problem, count * (1 if len(problem.angles) > MANY_POINTS else 4))
    peak = float(density.max())
    largest = np.zeros(count)
    np.maximum.at(largest, cells.of(places), density)
    levels = np.rint(8 * DENSITY_ROWS * largest / (peak or 1.0)).astype(int)
    eighths = EIGHTHS[look.unicode]

    def line(name: str, row: Iterable[str], style: str = "") -> Iterator[str]:
        return printed(look, Text().append(name.ljust(GUTTER), style="dim").append("".join(row), style=style))

    for row, name in enumerate(("density", f"to {peak:.3g}", ""), start=1):
        shown = np.clip(levels - 8 * (DENSITY_ROWS - row), 0, 8)
        yield from line(name, (eighths[level] for level in shown.tolist()))
    is_bin = problem.target is None and problem.at is not None
    yield from line("the bin" if is_bin else "target", _axis(problem, cells, look), "bright_blue")
    for name, values, style in _point_rows(evaluation, cells):
        # rounded up: what is above 0 shows
        yield from line(name, (eighths[level] for level in np.ceil(8.0 * values).astype(int).tolist()), style)
    yield from line("", _ticks(problem, cells), "dim")


def _point_rows(evaluation: Evaluation, cells: _Cells) -> Iterator[tuple[str, FloatArray, str]]:
    """Yield the name, the values of the cells in [0, 1], and the style of each row about the points, on one scale."""
    where = positions(evaluation.problem)
    first = None if evaluation.gradients is None else evaluation.gradients.first_of_points
    if first is None:
        weights = cells.totals(where, evaluation.weights)
        yield "weight", weights / weights.max(), ""
        return
    of, slopes = first
    slopes = np.where(np.abs(slopes) > noise_of(evaluation), slopes, 0.0)
    raised, lowered = (cells.totals(where, np.maximum(sign * slopes, 0.0)) for sign in (-1.0, 1.0))
    largest = max(float(raised.max()), float(lowered.max())) or 1.0
    names = ("pulled up", "pushed down") if of == "logits" else ("moved right", "moved left")
    yield names[0], raised / largest, PULLED
    yield names[1], lowered / largest, PUSHED


def noise_of(evaluation: Evaluation | BatchEvaluation) -> float:
    """Return the size up to which the first gradient of the points is 0 but for rounding.

    With the largest weight S, that is ROUNDING·S for a logit, and per unit of the angles ROUNDING·S/h for an angle.
    """
    of = evaluation.batch if isinstance(evaluation, BatchEvaluation) else evaluation.problem
    first = evaluation.require_gradients().first_of_points
    unit = of.kernel.bandwidth if first is not None and first[0] == "angles" else 1.0
    return ROUNDING * float(evaluation.weights.max()) / unit


def _axis(problem: Problem, cells: _Cells, look: Look) -> list[str]:
    """Return the axis with the target: an interval, its points, the bin where there is only one."""
    thin, thick, mark = AXIS[look.unicode]
    axis = [thin] * cells.count
    for part in target_parts(problem):
        first, last = cells.of(np.array(part))
        axis[first : last + 1] = thick * (last + 1 - first)
    if (points := target_marks(problem)) is not None:
        for cell in cells.of(points.nodes).tolist():
            axis[cell] = mark
    return axis


def _ticks(problem: Problem, cells: _Cells) -> list[str]:
    """Return the numbers below the axis: the target's edges, then the ends, where there is room.

    Both ends of a full circle are one place, and have one number.
    """
    numbers = [edge for part in target_parts(problem) for edge in part]
    numbers += [] if problem.observed is None else list(dict.fromkeys(problem.nodes_hull))
    on_line = problem.settings.circumference is None
    places = [*numbers, *([float(problem.angles.min()), float(problem.angles.max())] if on_line else [])]
    texts = angle_texts(places)
    if not on_line:
        start_of_range = float(problem.domain.unrolled(np.asarray(cells.low), start_of_turn(problem)))
        end = angle_texts([*places, start_of_range])[-1]
        places, texts = [*places, cells.high, cells.low], [*texts, f"{end} (all round)", end]
    line = [" "] * cells.count
    for value, text in zip(places, texts, strict=True):
        start = min(max(int(cells.of(value)) - len(text) // 2, 0), cells.count - len(text))
        stop = start + len(text)
        if not "".join(line[max(start - 1, 0) : stop + 1]).strip():
            line[start:stop] = text
    return line
