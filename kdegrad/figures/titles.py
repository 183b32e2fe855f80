"""What the title of a figure says: the data, the target, the kernel, and what was found."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import PurePath
from typing import Final

from kdegrad.evaluation import Evaluation
from kdegrad.figures.style import columns, short
from kdegrad.problem import Problem
from kdegrad.text import angle_texts, counted, five_digits, interval_text

LINE: Final = 68  # columns of text that a figure is wide
NAME: Final = 34  # columns of the name of a file
_BETWEEN: Final = "  ·  "  # as wide as three letters
_GAP: Final = 3


def lines(parts: Iterable[str]) -> str:
    """Return the parts that are not empty, one after the other, in lines that fit a figure."""
    text, used = "", 0
    for part in filter(None, parts):
        width = columns(part)
        if text and used + _GAP + width > LINE:
            text, used = f"{text}\n{part}", width
        else:
            text, used = (f"{text}{_BETWEEN}{part}", used + _GAP + width) if text else (part, width)
    return text


def name_of(name: str | None) -> str:
    """Return a file's name without its folders, short enough for a title; empty for None."""
    if name is None:
        return ""
    return "standard input" if name == "-" else short(PurePath(name).name or name, NAME)


def facts(problem: Problem, without: Collection[str] = (), kernel: str = "") -> list[str]:
    """Return the name of the data, the kernel with its bandwidth, the target, the background, but for some of them.

    What can be left out: ``kernel``, ``bandwidth``, ``background``. `kernel` is the name of one other than its own.
    """
    settings = problem.settings
    of_kernel = [] if "kernel" in without else [kernel or problem.kernel.name]
    if "bandwidth" not in without:
        of_kernel.append(f"h = {angle_texts([problem.kernel.bandwidth])[0]}")
    background = settings.background if "background" not in without else 0.0
    return [
        name_of(problem.name),
        _target(problem),
        ", ".join(of_kernel),
        f"background {background:g}" if background > 0.0 else "",
    ]


def _target(problem: Problem) -> str:
    if problem.at is not None:
        return f"one bin at {angle_texts([problem.at])[0]}"
    if problem.target is not None:
        return f"target {interval_text(problem.target)}"
    return counted(problem.rule.bins, "target point")


def title_of(evaluation: Evaluation) -> str:
    """Return data, target, kernel and background, and in the next line loss, KL and the slope along the bandwidth."""
    found, gradients = [f"L = {five_digits(evaluation.loss)} nats"], evaluation.gradients
    if math.isinf(evaluation.loss):
        found = [f"L = ∞: the density is 0 at {len(evaluation.diagnostics.uncovered)} of {evaluation.rule.bins} nodes"]
    elif evaluation.kl is not None:
        found.append(f"KL = {five_digits(evaluation.kl)} nats")
    if gradients is not None and (slope := gradients.log_bandwidth) is not None:
        way = ": descent narrows the kernel" if slope > 0.0 else ": descent widens the kernel" if slope < 0.0 else ""
        found.append(f"∂L/∂log h = {five_digits(slope)}{way}")
    return f"{lines(facts(evaluation.problem))}\n{lines(found)}"
