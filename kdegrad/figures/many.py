"""The figure of groups: how their losses are spread, and how the gradient of the points depends on their distance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from kdegrad.arrays import FloatArray
from kdegrad.evaluation import BatchEvaluation
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, log_ticks
from kdegrad.figures.titles import lines, name_of
from kdegrad.overview import FAR, Distances, Overview
from kdegrad.text import counted

DOTS: Final = 3_000  # more points than these are drawn as a density
CELLS: Final = 60  # of the density along each axis
LEAST_RATE, MOST_RATE = -1.4, 1e4  # no rate of a logit is below -1; what is stronger than the other is at the edge
FARTHEST: Final = 1e6  # bandwidths, likewise
LINEAR_RATE: Final = 1.5  # rates up to this are on a linear scale, larger ones on a logarithmic one
LINEAR_DISTANCE: Final = 10.0
SKEWED: Final = 30.0  # a largest loss of so many medians has a logarithmic axis
WIDE: Final = 100.0  # bandwidths beyond which the axis of distances has a logarithmic part


def panels(overview: Overview) -> Picture:
    """Return a histogram of the losses, and below it the first gradient that was asked for of every point.

    It is drawn per weight along the distance from the target, that of an angle also per angle in bandwidths.
    """
    losses, points = partial(_losses, overview=overview), overview.of_points
    gradients = None if points is None else points.evaluation.gradients
    if points is None or gradients is None or gradients.first_of_points is None:
        return Picture(panels=[losses], height=2.6, legend=0, title=_title(overview))
    rates = partial(_rates, points=points)
    return Picture(panels=[losses, rates], height=5.4, ratios=(2, 3), shared=False, legend=0, title=_title(overview))


def _title(overview: Overview) -> str:
    """Return the data, the kernel, how many groups there are, and how many of these are not shown."""
    infinite = f"{overview.infinite} with an infinite loss, not shown" if overview.infinite else ""
    groups = counted(len(overview.losses), "group")
    kernel = f"{overview.like.kernel.name}, h = {overview.like.kernel.bandwidth:g}"
    return lines([name_of(overview.name), groups, infinite, kernel])


def _losses(axes: Axes, overview: Overview) -> None:
    finite = overview.finite
    axes.set_xlabel("loss (nats)")
    axes.set_ylabel("groups")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    if not len(finite):
        axes.set_xticks([])
        return
    bars, ends = min(60, max(8, round(2.0 * len(finite) ** (1.0 / 3.0)))), (float(finite.min()), float(finite.max()))
    if ends[0] == ends[1]:
        bars = 9  # of an odd number the bar stands about the loss
    mean = float(finite.mean())
    if ends[0] > 0.0 and SKEWED * float(np.median(finite)) < ends[1]:
        axes.hist(finite, bins=np.geomspace(*ends, bars + 1).tolist(), color=FAINT, alpha=0.75)
        axes.set_xscale("log")
        log_ticks(axes.xaxis, *ends)
    else:
        axes.hist(finite, bins=bars, color=FAINT, alpha=0.75)
    axes.axvline(mean, color=INK, linewidth=1.0)
    is_left = axes.transAxes.inverted().transform(axes.transData.transform((mean, 0.0)))[0] > 0.5
    axes.annotate(
        f"mean {mean:.4g}",
        (mean, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),  # above the frame: within it bars may reach the top
        textcoords="offset points",
        ha="right" if is_left else "left",
        fontsize=7.5,
    )


def _rates(axes: Axes, points: Distances) -> None:
    """Draw a dot for each point, or how many points there are in each of many cells."""
    rates, is_way = _moves(points.evaluation)
    chosen = points.takes_part & np.isfinite(rates)
    rates = np.clip(rates[chosen], -MOST_RATE if is_way else LEAST_RATE, MOST_RATE)
    distances = np.clip(points.bandwidths[chosen], 0.0, FARTHEST)
    farthest, highest = float(distances.max(initial=2.0 * FAR)), 1.5 * float(rates.max(initial=1.0))
    lowest = 1.2 * float(rates.min(initial=-1.0)) if is_way else LEAST_RATE
    if farthest > WIDE:
        axes.set_xscale("symlog", linthresh=LINEAR_DISTANCE)
        _ticks(axes.xaxis, [0.0, 5.0, *(10.0**power for power in range(1, 7))])
    axes.set_yscale("symlog", linthresh=LINEAR_RATE, linscale=2.0)
    powers = [10.0**power for power in range(5)]
    _ticks(axes.yaxis, [*(-power for power in powers if is_way or power == 1.0), 0.0, *powers])
    axes.set_xlim(-0.02 * min(farthest, WIDE), 1.04 * farthest)
    axes.set_ylim(lowest, highest)
    axes.axvspan(FAR, 1.04 * farthest, color=BAND, zorder=0, linewidth=0)
    for sign, colour in ((1.0, INK if is_way else PULLED), (-1.0, INK if is_way else PUSHED)):
        those = rates * sign > 0.0
        if len(rates) <= DOTS:
            axes.plot(distances[those], rates[those], ".", color=colour, markersize=5.0, alpha=0.6, markeredgewidth=0)
        else:
            _density(axes, distances[those], rates[those], sorted((0.0, axes.get_ylim()[sign > 0.0])), colour)
    small: Any = {"textcoords": "offset points", "fontsize": 7.5}
    axes.axhline(0.0 if is_way else -1.0, color=INK, linewidth=0.7, linestyle=":")
    if not is_way:
        axes.annotate("full rate", (1.0, -1.0), (-3, -9), xycoords=axes.get_yaxis_transform(), ha="right", **small)
    far = f"far: more than {FAR:g} bandwidths outside"
    axes.annotate(far, (1.0, 1.0), (-3, 3), xycoords="axes fraction", ha="right", **small)
    axes.set_ylabel(
        "-h·∂L/∂x / S\n← smaller    larger angles →" if is_way else "-∂L/∂z / S\n← pushed down    pulled up →"
    )
    darker = "" if len(rates) <= DOTS else "; darker: more points"
    axes.set_xlabel(f"distance from the target (bandwidths){darker}")


def _moves(evaluation: BatchEvaluation) -> tuple[FloatArray, bool]:
    """Return how strongly descent moves each point for its weight, and whether that is along the angles, per h."""
    gradients = evaluation.require_gradients()
    first = gradients.first_of_points
    assert first is not None  # else there is no panel for it
    name, slopes = first
    if name == "logits":
        return -gradients.per_weight.ravel(), False
    with np.errstate(divide="ignore"):  # of weight 0
        return (-evaluation.batch.kernel.bandwidth * slopes / evaluation.weights).ravel(), True


def _density(axes: Axes, distances: FloatArray, rates: FloatArray, limits: list[float], colour: str) -> None:
    """Draw how many points there are in each of many cells, which are equal on the paper."""
    across = _edges(axes.xaxis, axes.get_xlim())
    upward = _edges(axes.yaxis, limits)
    counts, *_ = np.histogram2d(distances, rates, bins=(across, upward))
    shades = LinearSegmentedColormap.from_list("shades", [f"{colour}40", colour])
    norm, filled = LogNorm(1.0, max(float(counts.max()), 10.0)), np.ma.masked_equal(counts.T, 0.0)
    axes.pcolormesh(across, upward, filled, cmap=shades, norm=norm, rasterized=True)


def _edges(axis: Axis, limits: Sequence[float]) -> FloatArray:
    """Return the edges of cells between two limits, of which the whole axis has `CELLS`."""
    transform = axis.get_transform()
    first, last, low, high = transform.transform(np.array([*axis.get_view_interval(), *limits])).tolist()
    cells = max(1, round(CELLS * (high - low) / (last - first)))
    edges = transform.inverted().transform(np.linspace(low, high, cells + 1))
    return np.asarray(edges, dtype=np.float64)


def _ticks(axis: Axis, places: list[float]) -> None:
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
