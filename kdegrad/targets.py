"""What a model's density is compared with: an interval, on which the target density is uniform, or a single node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from kdegrad.errors import SettingError
from kdegrad.option import is_real
from kdegrad.text import angle_texts, interval_text


class Interval(NamedTuple):
    """The interval [a, b] in the unit of the angles; on a circle it may cross the wrap (350 to 370)."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Return b - a."""
        return self.high - self.low

    @property
    def centre(self) -> float:
        """Return (a + b)/2, formed without overflow."""
        return 0.5 * self.low + 0.5 * self.high


def checked_interval(target: Any, period: float | None) -> Interval:
    """Return the interval that `target`, two numbers, describes.

    Parameters
    ----------
    target
        Two numbers, low and high.
    period
        The circumference P, which the interval may not exceed; None on the line.

    Raises
    ------
    SettingError
        For anything else; low must be below high, both finite.
    """
    try:
        if isinstance(target, (Set, Mapping)):
            raise TypeError("a set has no order, and a mapping no values")
        low, high = (float(end) if is_real(end) else math.nan for end in target)
    except (TypeError, ValueError):
        low = high = math.nan
    if math.isnan(low) or math.isnan(high):
        raise SettingError("target", f"{target!r} is not an interval: give two numbers, low and high")
    interval = Interval(low, high)
    if math.isinf(low) or math.isinf(high):
        raise SettingError("target", f"[{low!r}, {high!r}] is not finite: give two finite angles")
    if math.isinf(interval.width):
        raise SettingError("target", f"[{low!r}, {high!r}] is wider than the range of float64: make it narrower")
    if low >= high:
        ends = angle_texts(interval)
        raise SettingError(
            "target",
            f"low {ends[0]} is not below high {ends[1]}: give low < high (across the wrap of a circle: 350 370)",
        )
    roundings = 2.0 * math.ulp(max(abs(low), abs(high)))  # 512.2 - 152.2 exceeds 360 by one
    if period is not None and interval.width > period + roundings:
        raise SettingError(
            "target",
            f"{interval_text(interval)} is {interval.width:g} wide, wider than the circle ({period:g}): "
            "make it narrower",
        )
    return interval
