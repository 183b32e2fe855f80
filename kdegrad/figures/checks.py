"""The figure of ``verify-props``: how large each residual is in units of its tolerance, failures first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes

from kdegrad.figures.picture import Picture
from kdegrad.figures.style import BAND, FAINT, INK, PULLED, PUSHED, SMALL, log_ticks
from kdegrad.figures.titles import lines, name_of
from kdegrad.text import counted, safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Verdict

LOWEST, HIGHEST = 1e-6, 1e12  # in units of the tolerance; what is beyond is drawn at the edge
KINDS: Final = {  # marker, colour, whether it is filled, size, what the legend says
    "fail": ("X", PUSHED, True, 6.5, "failed"),
    "xfail": ("X", PUSHED, False, 5.0, "failed, as expected"),
    "pass": ("o", PULLED, True, 3.6, "holds"),
    "control": ("o", PULLED, False, 3.6, "breaks, as theory says (a control)"),
}
COUNTED: Final = {"fail": "failed", "xfail": "failed as expected", "pass": "passed", "skip": "skipped"}
MOST_NAMED: Final = 3  # inputs


def residuals(checks: Sequence[Verdict], title: str = "") -> Picture:
    """Return residual/tolerance of each check that was made, a row for each property, those that failed on top."""
    rows = len({check.property for check in checks})
    return Picture(
        panels=[partial(_residuals, checks=checks)],
        height=1.5 + 0.165 * max(rows, 3),
        title=f"{_run(checks, title)}\n{_counts(checks)}",
    )


def _run(checks: Sequence[Verdict], judged: str) -> str:
    """Return what was judged and by which version, on what, with which kernels, and the seed."""
    from kdegrad import __version__
    from kdegrad.properties import Verdicts

    parts = [safe_text(judged) or "kdegrad's own gradient", f"kdegrad {__version__}"]
    if isinstance(checks, Verdicts):
        names = [name_of(name) for name in checks.inputs]
        more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
        parts += [", ".join([*names[:MOST_NAMED], *more]), ", ".join([*checks.kernels, f"seed {checks.seed}"])]
        if checks.left_out:
            parts.append(f"ended at the first failure: {counted(checks.left_out, 'check')} not made")
    return lines(parts)


def _counts(checks: Sequence[Verdict]) -> str:
    """Return how many checks failed, passed and were skipped, in words; failures first."""
    found = Counter(map(_outcome, checks))
    return ", ".join(f"{found[kind]} {word}" for kind, word in COUNTED.items() if found[kind]) or "nothing was checked"


def _residuals(axes: Axes, checks: Sequence[Verdict]) -> None:
    by_property: dict[str, list[Verdict]] = {}
    for check in checks:
        by_property.setdefault(check.property, []).append(check)
    worst = {name: next(kind for kind in COUNTED if kind in map(_outcome, some)) for name, some in by_property.items()}
    names = sorted(by_property, key=lambda name: list(COUNTED).index(worst[name]))  # stable: their order, in each kind
    rows = {name: -row for row, name in enumerate(names)}
    axes.axvline(1.0, color=FAINT, linewidth=0.8, label="the tolerance")
    made = [(check, _ratio(check)) for check in checks if _outcome(check) != "skip"]
    for kind, (marker, colour, is_filled, size, words) in reversed(KINDS.items()):  # failures are drawn over the rest
        chosen = [(check, ratio) for check, ratio in made if _kind(check, ratio) == kind]
        if not chosen:
            continue
        axes.plot(
            [ratio for _, ratio in chosen],
            [rows[check.property] for check, _ in chosen],
            marker,
            color=colour,
            markerfacecolor=colour if is_filled else "none",
            markersize=size,
            markeredgewidth=0.8,
            alpha=1.0 if kind == "fail" else 0.8,
            label=f"{words}: {len(chosen)}",
        )
    axes.set_xscale("log")
    axes.set_xlim(LOWEST / 3, HIGHEST * 3)
    log_ticks(axes.xaxis, LOWEST, HIGHEST)
    axes.set_yticks(list(rows.values()), [safe_text(name) for name in names])
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.hlines(
        list(rows.values()), 0.0, 1.0, transform=axes.get_yaxis_transform(), colors=BAND, linewidth=0.8, zorder=0
    )
    axes.set_xlabel("residual / tolerance (what is beyond stands at the edge)")
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        _count_row(axes, rows[name], by_property[name])
        if worst[name] == "skip":
            label.set_color(FAINT)
        if worst[name] == "fail":
            label.set_fontweight("bold")
            axes.axhspan(rows[name] - 0.5, rows[name] + 0.5, color=PUSHED, alpha=0.25, linewidth=0, zorder=0)


def _count_row(axes: Axes, row: int, checks: Sequence[Verdict]) -> None:
    """Write to the right of a row how many of its checks failed, passed and were skipped."""
    found = set(map(_outcome, checks))
    axes.annotate(
        _counts(checks),
        (1.0, row),
        (4, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=FAINT if found == {"skip"} else INK,
        fontweight="bold" if "fail" in found else "normal",
        annotation_clip=False,
    )


def _outcome(check: Verdict) -> str:
    """Return the key of `COUNTED`: a failure that was expected counts as skipped, but something was observed."""
    return "xfail" if check.verdict == "skip" and check.observed else check.verdict


def _kind(check: Verdict, ratio: float) -> str:
    """Return the key of `KINDS` of a check that was made."""
    outcome = _outcome(check)
    return "control" if outcome == "pass" and ratio > 1.0 else outcome


def _ratio(check: Verdict) -> float:
    """Return residual/tolerance within the axis."""
    if check.residual is None or check.tolerance is None or math.isnan(check.residual) or math.isnan(check.tolerance):
        return HIGHEST
    if check.tolerance <= 0.0:
        return LOWEST if check.residual <= 0.0 else HIGHEST
    return min(max(check.residual / check.tolerance, LOWEST), HIGHEST)
