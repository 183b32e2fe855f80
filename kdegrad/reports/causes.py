"""Why a result is not finite, and what to do about it, in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdegrad.evaluation import Evaluation
from kdegrad.text import angle_texts, option_text

if TYPE_CHECKING:
    from kdegrad.parts import Whole


def not_finite(found: Evaluation | Whole) -> str:
    """Return a sentence that says where the density is 0, or what overflowed, and what to do about it."""
    if isinstance(found, Evaluation):
        problem, nodes, bins = found.problem, found.diagnostics.uncovered, found.rule.bins
    else:
        problem, nodes, bins = found.like, found.uncovered, found.like.rule.bins
    kernel = problem.kernel
    if not len(nodes) and problem.rule_name == "exact" and kernel.tail == "compact":
        return (
            f"edges of {kernel.name} meet in the target where nothing else covers the place: to move one of them apart "
            "makes the integral infinite, and so is a gradient; change the bandwidth, or add a "
            f"{option_text('background')}"
        )
    if not len(nodes) or kernel.tail != "compact":
        return (
            f"a number is outside the range of float64 (|log K_h| or a gradient), with {kernel.name} at "
            f"bandwidth {kernel.bandwidth:g}: bring bandwidth, angles and target closer in size"
        )
    remedy = f"use a kernel without an edge, or add a {option_text('background')}"
    if math.isinf(problem.background_width):  # target points on a line have none
        remedy = "or use a kernel without an edge"
    first = ", ".join(angle_texts(nodes[:5])) + (", ..." if len(nodes) > 5 else "")
    return (
        f"the density is 0 at {len(nodes)} of {bins} nodes ({first}), so the loss is infinite "
        f"and the gradient undefined: widen the bandwidth, {remedy}"
    )
