"""The figure of ``verify-props``: how large each residual is in units of its tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes

from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, PULLED, PUSHED, log_ticks
from kdegrad.text import safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Verdict

LOWEST, HIGHEST = 1e-6, 1e12  # in units of the tolerance; what is beyond is drawn at the edge
FAILED, EXPECTED = 2, 3
KINDS: Final = (
    ("holds", "o", PULLED, PULLED),
    ("breaks, as theory says (control)", "o", PULLED, "white"),
    ("failed", "X", PUSHED, PUSHED),
    ("failed, as expected", "X", PUSHED, "white"),
)


def residuals(checks: Sequence[Verdict], title: str = "") -> Picture:
    """Return residual/tolerance of each check that was made, a row for each property."""
    rows = len({check.property for check in checks})
    return Picture(
        panels=[partial(_residuals, checks=checks)],
        height=1.2 + 0.19 * max(rows, 3),
        width=5.6,
        title=safe_text(title),
    )


def _residuals(axes: Axes, checks: Sequence[Verdict]) -> None:
    names = list(dict.fromkeys(check.property for check in checks))
    rows = {name: -row for row, name in enumerate(names)}
    axes.axvline(1.0, color=FAINT, linewidth=0.8, label="the tolerance")
    made = [(check, _ratio(check)) for check in checks if check.observed]  # of a skip nothing was observed
    for number, (words, marker, edge, face) in enumerate(KINDS):
        chosen = [(check, ratio) for check, ratio in made if _kind(check, ratio) == number]
        if not chosen and number == EXPECTED:  # few runs expect a failure
            continue
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
    skipped = [check.property for check in checks if not check.observed]
    axes.set_xscale("log")
    axes.set_xlim(LOWEST / 3, HIGHEST * 3)
    log_ticks(axes.xaxis, LOWEST, HIGHEST)
    labels = [safe_text(name) + (f"  ({skipped.count(name)} skipped)" if name in skipped else "") for name in names]
    axes.set_yticks(list(rows.values()), labels)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.grid(axis="y", color=BAND, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("residual / tolerance (what is beyond stands at the edge)")


def _kind(check: Verdict, ratio: float) -> int:
    """Return which of `KINDS` a check is that was made."""
    if check.verdict == "pass":
        return int(ratio > 1.0)
    return FAILED if check.verdict == "fail" else EXPECTED


def _ratio(check: Verdict) -> float:
    """Return residual/tolerance within the axis."""
    if check.residual is None or check.tolerance is None or math.isnan(check.residual) or math.isnan(check.tolerance):
        return HIGHEST
    if check.tolerance <= 0.0:
        return LOWEST if check.residual <= 0.0 else HIGHEST
    return min(max(check.residual / check.tolerance, LOWEST), HIGHEST)
