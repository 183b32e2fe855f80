"""The head of a table for people: a result in a frame, over what it is a result of in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from kdegrad.output import Look
from kdegrad.reports.tables import bound, printed, words
from kdegrad.text import angle_texts, counted, interval_text, safe_text

BOLD: Final = "bold bright_blue"
BIN_NOUNS: Final = {"midpoint": "bin", "gauss": "Gauss node", "exact": "exact node", "points": "target point"}


def described(facts: dict[str, Any], kernels: str = "", swept: str = "", *, own_targets: bool = False) -> str:
    """Return the problem, or those of groups, in one line.

    Parameters
    ----------
    facts
        The field ``problem`` of a report.
    kernels, swept
        What stands in place of its kernel, and the setting that is left out.
    own_targets
        Whether groups have targets that differ.
    """
    points, bins, groups = facts["points"], facts["bins"], facts.get("groups")
    parts = [] if groups is None else [counted(groups, "group")]
    number = facts.get("counted")
    parts.append(counted(points, "point") + ("" if number is None else f" ({number} counted)"))
    if "parts" in facts:
        parts[-1] += f" in {counted(facts['parts'], 'part')}"
    if facts["target"] is not None:
        parts.append(f"target {interval_text(facts['target'])}")
    elif own_targets:
        parts.append("targets of their own")
    kernel = [kernels or facts["kernel"]]
    if swept != "bandwidth":
        kernel.append(f"h={facts['bandwidth']:g}")
    if facts["df"]:
        kernel.append(f"df={facts['df']:g}")
    parts.append(" ".join(kernel))
    if facts["rule"] == "at" and swept != "bins":
        parts.append(f"at {angle_texts([facts['at']])[0]}")
    elif swept != "bins":
        noun = BIN_NOUNS[facts["rule"]]
        is_each = groups is not None and (own_targets or facts["rule"] != "points")
        parts.append(f"{noun}s" if bins is None else counted(bins, noun) + (" each" if is_each else ""))
    parts.append(f"{domain_text(facts['period'])} in {facts['unit']}")
    for name, usual in (("scale", 1.0), ("background", 0.0)):
        if facts[name] != usual and name != swept:
            parts.append(f"{name} {facts[name]:g}")
    return " · ".join(parts)


def written(facts: dict[str, Any]) -> str:
    """Return where the parts were written that a report is about."""
    count = facts["problem"]["parts"]
    are = "is" if count == 1 else "are"
    return f"{counted(count, 'part')} {are} written to the folder {safe_text(facts['output'])}"


def domain_text(period: float | None) -> str:
    """Return the line, or the circle with its circumference."""
    return "line" if period is None else f"circle of {period:g}"


def framed(look: Look, large: Text, small: str) -> Iterator[str]:
    """Yield a result over what it is a result of, in a frame."""
    frame = box.ROUNDED if look.unicode else box.ASCII
    yield from printed(look, Panel(Group(bound(large), words(look, small, "dim")), box=frame))
