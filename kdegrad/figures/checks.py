"""The figure of ``verify-props``: how large each residual is beside its tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from matplotlib.figure import Figure

from kdegrad.figures.style import BAND, FAINT, PULLED, PUSHED, figure, legend_below, log_ticks
from kdegrad.text import safe_text

_read = property  # a check has a field of that name
LOWEST, HIGHEST = 1e-6, 1e12  # of residual over tolerance; what is beyond stands at the edge
KINDS: Final = (
    ("holds", "o", PULLED, PULLED),
    ("breaks, as theory says (control)", "o", PULLED, "white"),
    ("failed", "X", PUSHED, PUSHED),
)


class VerdictLike(Protocol):
    """What the figure reads of a check."""

    @_read
    def property(self) -> str:
        """Name the property."""

    @_read
    def case(self) -> str:
        """Name the problem."""

    @_read
    def residual(self) -> float | None:
        """Give what was measured."""

    @_read
    def tolerance(self) -> float | None:
        """Give what it is compared with."""

    @_read
    def verdict(self) -> str:
        """Say ``pass``, ``fail`` or ``skip``."""


def residuals(checks: Sequence[VerdictLike]) -> Figure:
    """Draw residual/tolerance of each check that was made, a row for each property."""
    names = list(dict.fromkeys(check.property for check in checks))
    rows = {name: -row for row, name in enumerate(names)}
    drawing = figure(1.2 + 0.19 * max(len(names), 3), 5.6)
    axes = drawing.subplots()
    axes.axvline(1.0, color=FAINT, linewidth=0.8, label="the tolerance")
    for number, (words, marker, edge, face) in enumerate(KINDS):
        chosen = [(check, ratio) for check in checks if (ratio := _ratio(check)) is not None]
        chosen = [(check, ratio) for check, ratio in chosen if _kind(check, ratio) == number]
        axes.plot(
            [ratio for _, ratio in chosen],
            [rows[check.property] for check, _ in chosen],
            marker,
            color=edge,
            markerfacecolor=face,
            markersize=4 if marker == "o" else 5,
            alpha=0.8,
            label=f"{words}: {len(chosen)}",
        )
    skipped = [check.property for check in checks if check.verdict == "skip"]
    axes.set_xscale("log")
    axes.set_xlim(LOWEST / 3, HIGHEST * 3)
    log_ticks(axes.xaxis, LOWEST, HIGHEST)
    labels = [safe_text(name) + (f"  ({skipped.count(name)} skipped)" if name in skipped else "") for name in names]
    axes.set_yticks(list(rows.values()), labels)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.grid(axis="y", color=BAND, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("residual / tolerance (what is beyond stands at the edge)")
    legend_below(drawing, axes)
    return drawing


def _ratio(check: VerdictLike) -> float | None:
    """Return residual/tolerance within the axis; None for a check that was not made."""
    if check.verdict == "skip":
        return None
    if check.residual is None or check.tolerance is None or math.isnan(check.residual) or math.isnan(check.tolerance):
        return HIGHEST
    if check.tolerance <= 0.0:
        return LOWEST if check.residual <= 0.0 else HIGHEST
    return min(max(check.residual / check.tolerance, LOWEST), HIGHEST)


def _kind(check: VerdictLike, ratio: float) -> int:
    """Return which of `KINDS` a check is."""
    if check.verdict == "fail":
        return 2
    return 1 if ratio > 1.0 else 0
