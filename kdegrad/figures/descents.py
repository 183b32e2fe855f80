"""The figure of a descent: the course of the loss, how near the end it was, and the paths of what moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from kdegrad.arrays import FloatArray, largest_first
from kdegrad.descent import Descent
from kdegrad.figures import style
from kdegrad.figures.picture import Picture
from kdegrad.figures.placing import name_ends
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, SMALL, log_ticks, short
from kdegrad.figures.titles import facts, lines
from kdegrad.problem import Problem
from kdegrad.text import angle_texts, counted, five_digits

PATHS: Final = 60
NAMED_PATHS: Final = 12
WIDTH_STEP: Final = 0.1  # points
GAP, NORM = style.CURVES[2], style.CURVES[3]


def descent(done: Descent) -> Picture:
    """Return the loss, the duality gap or else the norm of the gradient, and the path of all that moved."""
    of_moving: dict[str, Callable[..., None]] = {"logits": _weights, "angles": _angles, "bandwidth": _bandwidths}
    if "angles" in done.wrt:  # these paths show the weights by their width
        del of_moving["logits"]
    moved = [panel for name, panel in of_moving.items() if name in done.wrt]
    taken = counted(done.course[-1].step, "step")
    heights = [1.0, 0.8, *(1.6 if panel in (_weights, _angles) else 0.9 for panel in moved)]
    start = done.start.problem
    what = " and ".join(filter(None, (", ".join(done.wrt[:-1]), done.wrt[-1])))
    end = f"converged after {taken}" if done.converged else f"{taken}, not converged"
    without = {"bandwidth"} if "bandwidth" in done.wrt else set()
    how = "em" if done.optimizer == "em" else f"{done.optimizer}, rate {done.rate:g}"
    return Picture(
        panels=[partial(panel, done=done) for panel in (_losses, _measure, *moved)],
        height=1.1 + 1.15 * sum(heights),
        main=2,
        ratios=heights,
        title=f"{lines(facts(start, without))}\n{lines([f'{how} on {what}', end])}",
        xlabel="step",
        legend=2 if moved[0] in (_weights, _angles) else 0,
    )


def _steps(axes: Axes, done: Descent) -> list[int]:
    """Let the axis span the steps, and return them."""
    steps = [row.step for row in done.course]
    axes.set_xlim(0, max(steps[-1], 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    return steps


def _plot(axes: Axes, steps: list[int], values: FloatArray, colour: str) -> None:
    mark = "o" if len(steps) == 1 else ""
    axes.plot(steps, values, marker=mark, markersize=3.0, color=colour, clip_on=not mark)


def _losses(axes: Axes, done: Descent) -> None:
    steps = _steps(axes, done)
    values = np.array([row.loss if row.kl is None else row.kl for row in done.course])
    _plot(axes, steps, values, INK)
    axes.set_ylabel("loss (nats)" if done.start.kl is None else "KL (nats)")
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - (margin if low < 0.0 else 0.0), high + margin)
    name_ends(axes, [(steps[-1], float(values[-1]))], [five_digits(float(values[-1]))], [INK])


def _measure(axes: Axes, done: Descent) -> None:
    """Draw what decides whether a descent has converged: the duality gap, or the norm of the gradient."""
    steps = _steps(axes, done)
    is_gap = done.gap is not None
    measured = np.array([row.gap if is_gap else row.norm for row in done.course], dtype=np.float64)
    axes.set_ylabel("duality gap\n≥ L - L* (nats)" if is_gap else "norm of the\ngradient")
    values = np.where(measured > 0.0, measured, np.nan)  # on a logarithmic axis there is no 0
    if np.isnan(values).all():
        axes.set_yticks([0.0])
        _plot(axes, steps, measured, GAP if is_gap else NORM)
        return
    _plot(axes, steps, values, GAP if is_gap else NORM)
    axes.set_yscale("log")
    if done.tolerance > 0.0 and float(measured.min()) < 100.0 * done.tolerance:  # one far below would squeeze the curve
        axes.axhline(done.tolerance, color=FAINT, linewidth=0.8, linestyle=":")
        axes.annotate(
            f"tolerance {style.power(done.tolerance)}",
            (0.01, done.tolerance),
            (0, 2),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            fontsize=SMALL,
        )
    log_ticks(axes.yaxis, *axes.get_ylim())


def _bandwidths(axes: Axes, done: Descent) -> None:
    steps = _steps(axes, done)
    values = np.array([row.bandwidth for row in done.course])
    _plot(axes, steps, values, INK)
    axes.set_ylabel(f"bandwidth h\n({done.start.problem.settings.unit})")
    low, high = float(values.min()), float(values.max())
    if low > 0.0 and high > 10.0 * low:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, low, high)
    else:
        axes.set_ylim(0.0, 1.08 * high)
    name_ends(axes, [(steps[-1], float(values[-1]))], [f"h = {five_digits(float(values[-1]))}"], [INK])


def _weights(axes: Axes, done: Descent) -> None:
    """Draw the weights along the steps."""
    _steps(axes, done)
    steps, weights, kept = _kept(done)
    for point in kept:
        _path(axes, steps, weights[:, point], np.full(len(steps), 1.2), _colour(weights[:, point]))
    axes.autoscale_view()
    axes.set_ylabel("weight S" + _of_all(done, kept))
    axes.set_ylim(0.0, 1.05 * float(weights[:, kept].max()))
    _explain(axes)
    _name_paths(axes, done, weights[-1], kept, [_colour(weights[:, point]) for point in kept])


def _angles(axes: Axes, done: Descent) -> None:
    """Draw the angles along the steps, as wide as the weights."""
    _steps(axes, done)
    steps, weights, kept = _kept(done)
    angles = np.array([shot.angles for shot in done.path])
    heaviest = float(weights[:, kept].max())
    weigh = "logits" in done.wrt
    widest = 2.6 if len(kept) <= NAMED_PATHS else 1.2
    colours = [_colour(weights[:, point]) if weigh else INK for point in kept]
    for point, colour in zip(kept, colours, strict=True):
        _path(axes, steps, angles[:, point], 0.4 + widest * weights[:, point] / heaviest, colour)
    axes.autoscale_view()
    _mark_target(axes, done.start.problem)
    axes.set_ylabel(f"angle ({done.start.problem.settings.unit}){_of_all(done, kept)}\nwidth: weight")
    if weigh:
        _explain(axes)
    _name_paths(axes, done, angles[-1], kept, colours)


def _kept(done: Descent) -> tuple[FloatArray, FloatArray, list[int]]:
    """Return the steps of the path, the weights there, and the points that are drawn: the heaviest."""
    weights = np.array([shot.weights for shot in done.path])
    steps = np.array([shot.step for shot in done.path], dtype=np.float64)
    return steps, weights, largest_first(weights.max(axis=0), PATHS).tolist()


def _of_all(done: Descent, kept: list[int]) -> str:
    total = len(done.start.weights)
    return "" if len(kept) == total else f"\nof the {len(kept)} heaviest of {total}"


def _colour(weights: FloatArray) -> str:
    return PULLED if weights[-1] >= weights[0] else PUSHED


def _explain(axes: Axes) -> None:
    axes.plot([], [], color=PULLED, label="pulled up: weight grew")
    axes.plot([], [], color=PUSHED, label="pushed down: weight shrank")


def _name_paths(axes: Axes, done: Descent, ends: FloatArray, kept: list[int], colours: list[str]) -> None:
    """Write the names of few points at the right ends of their paths."""
    if len(kept) > NAMED_PATHS:
        return
    problem, last = done.start.problem, done.path[-1].step
    names = problem.labels or angle_texts(problem.angles)
    name_ends(axes, [(last, float(ends[point])) for point in kept], [short(names[point]) for point in kept], colours)


def _mark_target(axes: Axes, problem: Problem) -> None:
    """Shade the target (the hull of its points), on a circle once for each turn, without changing the range."""
    (low, high), (bottom, top) = problem.interval, axes.get_ylim()
    period = problem.settings.circumference or math.inf
    first, last = (0, 0) if math.isinf(period) else (round((bottom - high) / period), round((top - low) / period))
    for turn in range(first, last + 1)[:20]:
        shift = turn * period if turn else 0.0
        name = "target" if turn == first else "_"
        if low == high:  # a single target point, or node
            axes.axhline(low + shift, color=BAND, zorder=0, linewidth=1.2, label=name)
        else:
            axes.axhspan(low + shift, high + shift, color=BAND, zorder=0, linewidth=0, label=name)
    axes.set_ylim(bottom, top)


def _path(axes: Axes, steps: FloatArray, values: FloatArray, widths: FloatArray, colour: str) -> None:
    """Draw one line whose width changes along it."""
    if len(steps) == 1:
        axes.plot(steps, values, "o", color=colour, markersize=3.0, clip_on=False)
        return
    corners = np.column_stack([steps, values])
    rounded = np.round(widths / WIDTH_STEP) * WIDTH_STEP
    starts = np.flatnonzero(np.diff(rounded[1:], prepend=-1.0))  # a run of one width is one line
    runs = [corners[first : last + 1] for first, last in zip(starts, [*starts[1:], len(corners) - 1], strict=True)]
    axes.add_collection(LineCollection(runs, linewidths=rounded[starts + 1], colors=colour, capstyle="round"))
    axes.update_datalim(corners)
