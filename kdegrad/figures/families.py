"""Figures of families of problems: a sweep along one parameter, a descent along the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from kdegrad.arrays import FloatArray, largest_first
from kdegrad.descent import Descent
from kdegrad.figures import style
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, log_ticks, short
from kdegrad.problem import Problem
from kdegrad.sweeps import Sweep, SweepStep, series
from kdegrad.text import angle_texts, counted

PATHS, NAMED_PATHS = 60, 12
WIDTH_STEP = 0.1  # points
MARKS = 20  # on a curve
WIDE_RANGE = 10.0  # beyond it the small values of a linear axis cannot be told from 0
Panel = tuple[str, Callable[[SweepStep], Sequence[float | None]]]


def sweep(family: Sweep, *, log: bool) -> Picture:
    """Return how far the model is from the target, the size of the gradient, and its extremes for a point's weight."""
    no_target = family.problem.target is None
    panels: list[Panel] = [
        ("loss (nats)" if no_target else "KL (nats)", lambda step: [step.loss if no_target else step.kl]),
        ("size of the gradient\nΣ |∂L/∂z|", lambda step: [step.l1]),
        (
            "∂L/∂z / S\nlargest ●, smallest ○",
            lambda step: [step.gradient_per_weight_max, step.gradient_per_weight_min],
        ),
    ]
    if family.over == "kernel":
        return Picture(
            panels=[partial(_dots, family=family, panel=panel) for panel in panels],
            height=1.1 + 0.19 * len(family.steps),
            width=6.4,
            beside=True,
            legend=0,
        )
    unit, kernels = family.problem.settings.unit, len(list(series(family)))
    names = {
        "distance": f"distance D that every point moved away ({unit})",
        "bandwidth": f"bandwidth h ({unit})",
        "bins": "bins B",
        "background": "background E",
        "scale": "scale C",
    }
    return Picture(
        panels=[partial(_curves, family=family, panel=panel, log=log) for panel in panels],
        height=5.4 + 0.16 * ((kernels - 1) // 4),
        xlabel=names[family.over],
        legend=4,
    )


def _curves(axes: Axes, family: Sweep, panel: Panel, *, log: bool) -> None:
    """Draw one panel along the parameter, a curve for each kernel."""
    kernels, (name, values_of) = list(series(family)), panel
    for rank, ((kernel, steps), (dash, colour), marker) in enumerate(
        zip(kernels, cycle(product(style.DASHES, style.CURVES)), cycle(style.MARKERS), strict=False)
    ):
        below = (len(kernels) - 1 - rank) / max(len(kernels) - 1, 2)  # wider where others will be drawn over it
        along = [step.value for step in steps]
        for number, values in enumerate(zip(*map(values_of, steps), strict=True)):
            axes.plot(
                along,
                np.array(values, dtype=np.float64),  # None as NaN: a gap
                dash,
                color=colour,
                label=kernel,
                linewidth=1.1 + 1.2 * below,
                marker=marker,
                markersize=3.0 + 1.6 * below,
                markevery=max(1, len(steps) // MARKS),
                markerfacecolor=colour if number == 0 else "white",
            )
    axes.set_ylabel(name)
    low, high = axes.dataLim.intervaly
    is_wide = bool(low > 0.0 and WIDE_RANGE * low < high)
    _scale(axes, log_x=log, log_y=is_wide and (log or name.endswith("(nats)")))


def _dots(axes: Axes, family: Sweep, panel: Panel) -> None:
    """Draw one panel, a row for each kernel."""
    steps, (name, values_of) = family.steps[::-1], panel
    for number, values in enumerate(zip(*map(values_of, steps), strict=True)):
        face = PULLED if number == 0 else "white"
        places = np.array(values, dtype=np.float64)
        axes.plot(places, range(len(steps)), "o", color=PULLED, markerfacecolor=face, markersize=4)
    axes.set_xlabel(name)
    axes.grid(axis="y", color=BAND, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.update_datalim([(0.0, 0.0)])
    axes.autoscale_view()
    infinite = {step.kernel: "  L = ∞" for step in steps if step.loss is None}
    axes.set_yticks(range(len(steps)), [step.kernel + infinite.get(step.kernel, "") for step in steps])


def descent(done: Descent) -> Picture:
    """Return the course of the loss, the gradient's norm with the duality gap, and the paths of the points."""
    taken = counted(done.course[-1].step, "step")
    end = f"converged after {taken}" if done.converged else taken
    return Picture(
        panels=[partial(panel, done=done) for panel in (_losses, _norms, _paths)],
        height=5.6,
        main=2,
        ratios=(3, 3, 4),
        title=f"{done.optimizer}, {done.start.problem.kernel.name}, {end}",
        xlabel="step",
    )


def _steps(axes: Axes, done: Descent) -> list[int]:
    """Let the axis span the steps, and return them."""
    steps = [row.step for row in done.course]
    axes.set_xlim(0, max(steps[-1], 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return steps


def _losses(axes: Axes, done: Descent) -> None:
    steps = _steps(axes, done)
    axes.plot(steps, [row.loss if row.kl is None else row.kl for row in done.course], color=INK)
    axes.set_ylabel("loss (nats)" if done.start.kl is None else "KL (nats)")
    _scale(axes, log_x=False, log_y=False)


def _norms(axes: Axes, done: Descent) -> None:
    steps = _steps(axes, done)
    axes.plot(steps, _positive([row.norm for row in done.course]), color=PULLED, label="norm of the gradient")
    if done.gap is not None:
        gaps = _positive([row.gap for row in done.course])
        axes.plot(steps, gaps, color=PUSHED, linestyle="--", label="duality gap ≥ L - L*")
    measured = [row.norm if row.gap is None else row.gap for row in done.course]
    if done.tolerance > 0.0 and min(measured) < 100.0 * done.tolerance:  # one far below would squeeze the curves
        axes.axhline(done.tolerance, color=FAINT, linewidth=0.8, linestyle=":", label="tolerance")
    axes.set_yscale("log")
    log_ticks(axes.yaxis, *axes.get_ylim())


def _paths(axes: Axes, done: Descent) -> None:
    """Draw the angles along the steps, as wide as the weights, or the weights where the angles stay."""
    angles_move = "angles" in done.wrt
    _steps(axes, done)
    steps = np.array([shot.step for shot in done.path], dtype=np.float64)
    weights = np.array([shot.weights for shot in done.path])
    angles = np.array([shot.angles for shot in done.path])
    kept = largest_first(weights.max(axis=0), PATHS)
    paths = angles if angles_move else weights
    problem = done.start.problem
    heaviest = float(weights[:, kept].max())
    for point in kept:
        grew = weights[-1, point] >= weights[0, point]
        widths = 0.5 + 2.5 * weights[:, point] / heaviest if angles_move else np.full(len(steps), 1.2)
        _path(axes, steps, paths[:, point], widths, PULLED if grew else PUSHED)
    axes.autoscale_view()
    if angles_move:
        _mark_target(axes, problem)
    axes.plot([], [], color=PULLED, label="weight grew")
    axes.plot([], [], color=PUSHED, label="weight shrank")
    axes.set_ylabel(f"angle ({problem.settings.unit})\nwidth: weight" if angles_move else "weight S")
    if len(kept) <= NAMED_PATHS:
        names = problem.labels or angle_texts(problem.angles)
        _name_paths(axes, float(steps[-1]), paths[-1, kept], [short(names[point]) for point in kept])
    if not angles_move:
        axes.set_ylim(bottom=0.0)


def _mark_target(axes: Axes, problem: Problem) -> None:
    """Shade the target (the hull of its points), on a circle once for each turn, without changing the range."""
    (low, high), (bottom, top) = problem.interval, axes.get_ylim()
    period = problem.settings.circumference or math.inf
    first, last = (0, 0) if math.isinf(period) else (round((bottom - high) / period), round((top - low) / period))
    for turn in range(first, last + 1)[:20]:
        shift = turn * period if turn else 0.0
        if low == high:  # a single target point, or node
            axes.axhline(low + shift, color=BAND, zorder=0, linewidth=1.2)
        else:
            axes.axhspan(low + shift, high + shift, color=BAND, zorder=0, linewidth=0)
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


def _name_paths(axes: Axes, step: float, ends: FloatArray, names: Sequence[str]) -> None:
    """Write the names at the right ends of the lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    apart, order = 0.07 * (high - low), np.argsort(ends)
    places = ends[order].astype(np.float64)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + apart)
    for index, place in zip(order, places, strict=True):
        axes.annotate(
            names[index], (step, float(place)), xytext=(4, 0), textcoords="offset points", va="center", fontsize=6.5
        )


def _scale(axes: Axes, *, log_x: bool, log_y: bool) -> None:
    """Let a linear axis reach 0, so that noise does not fill a panel and a small change does not look large."""
    if log_x:
        axes.set_xscale("log")
        log_ticks(axes.xaxis, *axes.dataLim.intervalx)
    low, high = axes.dataLim.intervaly
    if log_y:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, *axes.get_ylim())
        axes.set_ylabel(f"{axes.get_ylabel()}\n(logarithmic)")
    elif np.isfinite(low) and np.isfinite(high):
        margin = 0.06 * (max(high, 0.0) - min(low, 0.0)) or 1.0
        axes.set_ylim(min(low, 0.0) - (margin if low < 0.0 else 0.0), max(high, 0.0) + margin)
        axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)


def _positive(values: Sequence[float | None]) -> FloatArray:
    """Return the values for a logarithmic axis: no point where one is 0."""
    numbers = np.array(values, dtype=np.float64)
    return np.where(numbers > 0.0, numbers, np.nan)
