"""Figures of families of problems along one parameter: a curve for each kernel, or a row for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, product
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kdegrad.figures import style
from kdegrad.figures.picture import Picture
from kdegrad.figures.placing import name_ends, name_spot
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, SMALL, log_ticks, power, raise_top
from kdegrad.figures.titles import facts, lines
from kdegrad.sweeps import Sweep, SweepStep, series
from kdegrad.text import five_digits

MARKS: Final = 20  # on a curve
NAMED: Final = 4  # more curves than these are explained by a legend
WIDE_RANGE: Final = 10.0  # beyond it the small values of a linear axis cannot be told from 0
NOISE: Final = 1e-12  # values below it are what rounding leaves of 0
FLAT: Final = 1e-9  # a relative change that is no change
INFINITE_SHOWN: Final = 12
SYMBOLS: Final = {"distance": "D", "bandwidth": "h", "bins": "B", "background": "E", "scale": "C"}
Panel = tuple[str, Callable[[SweepStep], Sequence[float | None]]]


def sweep(family: Sweep, *, log: bool) -> Picture:
    """Return how far the model is from the target, the size of the gradient, and its extremes for a point's weight."""
    panels: list[Panel] = [
        (f"{_measure(family)} (nats)", lambda step: [_value(family, step)]),
        ("gradient\nΣ|∂L/∂z|", lambda step: [step.l1]),
        (
            "-∂L/∂z / S\nmost down, up",
            lambda step: [_minus(step.gradient_per_weight_min), _minus(step.gradient_per_weight_max)],
        ),
    ]
    kernels = [name for name, _ in series(family)]
    without = {family.over, *(["kernel"] if len(kernels) > 1 else [])}
    title = lines(facts(family.problem, without, kernels[0]))
    if family.over == "kernel":
        return Picture(
            panels=[partial(_dots, family=family, panel=panel) for panel in panels],
            height=1.3 + 0.17 * len(family.steps),
            beside=True,
            legend=0,
            title=title,
        )
    unit = family.problem.settings.unit
    names = {
        "distance": f"distance D that every point moved away ({unit})",
        "bandwidth": f"bandwidth h ({unit})",
        "bins": "bins B",
        "background": "background E",
        "scale": "scale C",
    }
    legend = 0 if len(kernels) <= NAMED else 2
    return Picture(
        panels=[partial(_curves, family=family, panel=panel, log=log, is_first=panel is panels[0]) for panel in panels],
        height=5.0 + 0.16 * ((len(kernels) + 1) // 2 if legend else 0),
        ratios=(4, 3, 3),
        xlabel=names[family.over],
        legend=legend,
        title=title,
    )


def _measure(family: Sweep) -> str:
    return "loss" if family.problem.target is None else "KL"


def _value(family: Sweep, step: SweepStep) -> float | None:
    return step.loss if family.problem.target is None else step.kl


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _least(family: Sweep, steps: Sequence[SweepStep]) -> SweepStep | None:
    """Return where the loss is least; None where it is the same everywhere, or nowhere finite."""
    finite = [(value, step) for step in steps if (value := _value(family, step)) is not None]
    if not finite:
        return None
    low, high = (choose(value for value, _ in finite) for choose in (min, max))
    if high - low <= FLAT * max(abs(low), abs(high)):
        return None
    return next(step for value, step in finite if value == low)


def _curves(axes: Axes, family: Sweep, panel: Panel, *, log: bool, is_first: bool) -> None:
    """Draw one panel along the parameter, a curve for each kernel; in the first the least loss and infinite ones."""
    kernels, (name, values_of) = list(series(family)), panel
    looks = list(zip(kernels, cycle(product(style.DASHES, style.CURVES)), cycle(style.MARKERS), strict=False))
    for rank, ((kernel, steps), (dash, colour), marker) in enumerate(looks):
        below = (len(kernels) - 1 - rank) / max(len(kernels) - 1, 2)  # wider where others will be drawn over it
        along = [float(step.value) for step in steps]
        for number, values in enumerate(zip(*map(values_of, steps), strict=True)):
            axes.plot(
                along,
                np.array(values, dtype=np.float64),  # None as NaN: a gap
                dash,
                color=colour,
                label=_called(family, kernel, steps, " · ") if number == 0 else "_",
                linewidth=1.1 + 1.2 * below,
                marker=marker,
                markersize=3.0 + 1.6 * below,
                markevery=max(1, len(steps) // MARKS),
                markerfacecolor=colour if number == 0 else "none",
            )
    axes.set_ylabel(name)
    low, high = axes.dataLim.intervaly
    is_wide = bool(low > 0.0 and WIDE_RANGE * low < high)
    _scale(axes, log_x=log, log_y=is_wide and (log or is_first))
    _span(axes, [float(step.value) for step in family.steps], log=log)
    if is_first:
        _mark_infinite(axes, [(steps, colour) for (_, steps), (_, colour), _ in looks])
        _mark_least(axes, family, [(kernel, steps, colour) for (kernel, steps), (_, colour), _ in looks])


def _called(family: Sweep, kernel: str, steps: Sequence[SweepStep], between: str) -> str:
    """Return what a curve is called: the kernel, and its least loss."""
    least = _least(family, steps)
    if least is None:
        return kernel
    return f"{kernel}{between}least {_value(family, least):.4g} at {_short(float(least.value), 3)}"


def _short(value: float, digits: int) -> str:
    """Return a value of the parameter: 12.5, or as a power of ten where that is shorter."""
    is_plain = value <= 0.0 or 1e-3 <= value < 1e6
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:g}" if is_plain else power(rounded)


def _span(axes: Axes, values: Sequence[float], *, log: bool) -> None:
    """Let the x axis reach over all values, those of an infinite loss too."""
    places = np.log(values) if log else np.asarray(values)
    low, high = float(places.min()), float(places.max())
    margin = 0.04 * (high - low) or (0.5 if log else 0.5 * abs(low) or 1.0)
    ends = np.array([low - margin, high + margin])
    if log:
        ends = np.exp(np.clip(ends, -700.0, 700.0))
    if np.isfinite(ends).all():
        axes.set_xlim(*ends)


def _mark_infinite(axes: Axes, curves: Sequence[tuple[Sequence[SweepStep], str]]) -> None:
    """Write ∞ above the values where the loss is infinite, in a row for each curve that has any."""
    places = [([float(step.value) for step in steps if step.loss is None], colour) for steps, colour in curves]
    infinite = [(values, colour) for values, colour in places if values]
    if not infinite:
        return
    axes.set_ylabel(f"{axes.get_ylabel()}\n∞: infinite")
    if len(infinite) > NAMED:  # one row for all
        infinite = [(sorted({value for values, _ in infinite for value in values}), INK)]
    row = 0.1
    raise_top(axes, row * len(infinite))
    for number, (values, colour) in enumerate(infinite):
        middle = axes.transAxes.transform((0.0, 1.0 - row * (number + 0.5)))
        height = float(axes.transData.inverted().transform(middle)[1])  # stays below what is put on top later
        chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), INFINITE_SHOWN)).round().astype(np.intp))
        for place in chosen:
            axes.text(
                values[place],
                height,
                "∞",
                color=colour,
                ha="center",
                va="center",
                fontsize=8.5,
            )


def _mark_least(axes: Axes, family: Sweep, curves: Sequence[tuple[str, Sequence[SweepStep], str]]) -> None:
    """Mark where the loss is least, and say how small it is there: beside the mark, or in the names of few curves."""
    ends, names, colours = [], [], []
    for kernel, steps, colour in curves:
        least = _least(family, steps)
        if least is not None:
            spot = (float(least.value), _value(family, least) or 0.0)
            axes.plot(*spot, "o", color=colour, markersize=8.0, markerfacecolor="none", clip_on=False)
            if len(curves) == 1:
                text = f"least {five_digits(spot[1])} at {SYMBOLS[family.over]} = {_short(spot[0], 4)}"
                curve = [(float(step.value), value) for step in steps if (value := _value(family, step)) is not None]
                name_spot(axes, spot, text, curve)
        finite = [step for step in steps if _value(family, step) is not None]
        if finite:
            ends.append((float(finite[-1].value), _value(family, finite[-1]) or 0.0))
            names.append(_called(family, kernel, steps, "\n"))
            colours.append(colour)
    if 1 < len(curves) <= NAMED:
        name_ends(axes, ends, names, colours)


def _dots(axes: Axes, family: Sweep, panel: Panel) -> None:
    """Draw one panel, a row for each kernel."""
    steps, (name, values_of) = family.steps[::-1], panel
    rows = range(len(steps))
    columns = [np.array(values, dtype=np.float64) for values in zip(*map(values_of, steps), strict=True)]
    for values, colour in zip(columns, (INK,) if len(columns) == 1 else (PULLED, PUSHED), strict=True):
        axes.plot(values, rows, "o", color=colour, markersize=4)
    axes.set_xlabel(name)
    axes.hlines(list(rows), 0.0, 1.0, transform=axes.get_yaxis_transform(), colors=BAND, linewidth=0.8, zorder=0)
    axes.update_datalim([(0.0, 0.0)])
    axes.autoscale_view()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    least = _least(family, steps)
    if name.endswith("(nats)") and least is not None:
        row, value = steps.index(least), _value(family, least) or 0.0
        axes.plot(value, row, "o", color=INK, markersize=8.0, markerfacecolor="none")
        is_right = value > 0.5 * sum(axes.get_xlim())
        axes.annotate(
            f"least {five_digits(value)}",
            (value, row),
            (-7 if is_right else 7, 0),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="center",
            fontsize=SMALL,
        )
    infinite = {step.kernel: "  L = ∞" for step in steps if step.loss is None}
    axes.set_yticks(rows, [step.kernel + infinite.get(step.kernel, "") for step in steps])
    axes.tick_params(axis="y", length=0, labelsize=7.5)


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
        if max(abs(low), abs(high)) < NOISE:
            low, high = 0.0, 1.0
        margin = 0.06 * (max(high, 0.0) - min(low, 0.0))
        axes.set_ylim(min(low, 0.0) - (margin if low < 0.0 else 0.0), max(high, 0.0) + margin)
        axes.axhline(0.0, color=FAINT, linewidth=0.6, zorder=1)
