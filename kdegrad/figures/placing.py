"""Where names stand in a figure: beside what they name, clear of lines, marks and each other.

How large the Axes are is known only when a figure is drawn, and may change afterwards; so names are placed at every
drawing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.transforms import IdentityTransform

from kdegrad.arrays import FloatArray
from kdegrad.figures.style import FAINT, SMALL, columns, short

_DASH: Final = 9.0  # points from the Axes to the name of a curve
_GAP: Final = 3.5  # points between a mark and its name
_ROW: Final = 9.0  # points from one row of names to the next
_SHIFTS: Final = (0.0, 0.25, -0.25, 0.5, -0.5, 0.8, -0.8, 1.2, -1.2, 1.7, -1.7, 2.3, -2.3)  # in widths of the name
_MOST_ROWS: Final = 5
_MISSING: Final = 1e4  # the cost of a name that is not shown
_TRIES: Final = 8
_LAID_OUT: Final = 0.8  # of the height of Axes is left when title and legend have their room

Spot = tuple[float, float]


class Box(NamedTuple):
    """A rectangle with its sides along the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Return whether two boxes have a point in common."""
        apart = self.right < other.left or other.right < self.left or self.top < other.bottom or other.top < self.bottom
        return not apart

    def holds(self, other: Box) -> bool:
        """Return whether the other box lies inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.bottom <= other.bottom
            and other.top <= self.top
        )

    def is_crossed(self, start: Spot, end: Spot) -> bool:
        """Return whether the segment between two spots has a point in the box (Liang & Barsky 1984)."""
        first, last = 0.0, 1.0
        for origin, along, low, high in (
            (start[0], end[0] - start[0], self.left, self.right),
            (start[1], end[1] - start[1], self.bottom, self.top),
        ):
            if along == 0.0:
                if not low <= origin <= high:
                    return False
                continue
            enters, leaves = sorted(((low - origin) / along, (high - origin) / along))
            first, last = max(first, enters), min(last, leaves)
        return first <= last


class Head(NamedTuple):
    """The end of a stem, with the size of the name that is to stand there."""

    spot: Spot
    is_up: bool
    width: float
    height: float


class Place(NamedTuple):
    """Where a name stands, and the start of the line that leads from it to the head; None where it stands beside."""

    box: Box
    leader: Spot | None


def places(heads: Sequence[Head], stems: Sequence[Box], others: Sequence[Box], frame: Box, gap: float) -> list[Place]:
    """Return a place for the name of each head; a name that finds none gets an empty box.

    Parameters
    ----------
    heads
        One for each name.
    stems
        What each head stands on, with the mark at its end; in the order of the heads.
    others
        What names must not cover either.
    frame
        What they must not leave.
    gap
        Between a mark and its name.
    """
    rightward = sorted(range(len(heads)), key=lambda number: heads[number].spot[0])
    upward = sorted(range(len(heads)), key=lambda number: heads[number].spot[1])
    orders = [rightward, rightward[::-1], upward, upward[::-1]]
    shuffled = np.random.default_rng(0)  # the same at every drawing
    orders += [shuffled.permutation(len(heads)).tolist() for _ in range(_TRIES)]
    best = (math.inf, list[Place]())
    for order, is_outer in itertools.product(orders, (False, True)):
        found = _in_order(order, heads, stems, others, frame, gap, is_outer=is_outer)
        best = min(best, found, key=lambda one: one[0])
        if order is orders[3] and best[0] < _MISSING:  # only a crowd takes more tries
            break
    return best[1]


def _in_order(
    order: Sequence[int],
    heads: Sequence[Head],
    stems: Sequence[Box],
    others: Sequence[Box],
    frame: Box,
    gap: float,
    *,
    is_outer: bool,
) -> tuple[float, list[Place]]:
    """Return the cost of naming the heads one after the other, each as well as those before it let it, and places."""
    placed: dict[int, Place] = {}
    total = 0.0
    for number in order:
        head = heads[number]
        for cost, place in sorted(_candidates(head, frame, gap, is_outer=is_outer), key=lambda one: one[0]):
            if _is_clear(number, place, heads, stems, others, placed, gap):
                placed[number] = place
                total += cost
                break
        else:
            placed[number] = Place(Box(*head.spot, *head.spot), None)
            total += _MISSING
    return total, [placed[number] for number in range(len(heads))]


def _candidates(head: Head, frame: Box, gap: float, *, is_outer: bool) -> Iterator[tuple[float, Place]]:
    """Yield places within the frame with their cost: beyond the head, beside it, and farther out with a leader.

    With `is_outer` a name that needs a leader is better the farther out it stands, where it is in nobody's way.
    """
    (x, y), width, height = head.spot, head.width, head.height
    way = 1.0 if head.is_up else -1.0
    room = (frame.top - y if head.is_up else y - frame.bottom) / height
    rows = max(2, math.ceil(2.0 * room))  # of half a name's height each
    for row, shift in itertools.product(range(rows), _SHIFTS):
        left, near = x + (shift - 0.5) * width, y + way * (gap + 0.5 * row * height)
        box = Box(left, min(near, near + way * height), left + width, max(near, near + way * height))
        is_beyond = row == 0 and abs(shift) <= 0.5
        leader = None if is_beyond else (min(max(x, box.left), box.right), near)
        far = rows - row if is_outer else row
        if frame.holds(box):
            yield 2.0 * abs(shift) + (0.0 if is_beyond else 2.0 + far), Place(box, leader)
    for left in (x + gap, x - gap - width):
        box = Box(left, y - 0.5 * height, left + width, y + 0.5 * height)
        if frame.holds(box):
            yield 1.6, Place(box, None)


def _is_clear(
    number: int,
    place: Place,
    heads: Sequence[Head],
    stems: Sequence[Box],
    others: Sequence[Box],
    placed: dict[int, Place],
    gap: float,
) -> bool:
    """Return whether name and leader meet no stem, no other mark, no name and no leader."""
    box, leader = place
    spot = heads[number].spot
    if any(box.meets(other) for other in (*stems, *others, *(one.box for one in placed.values()))):
        return False
    if any(one.leader and box.is_crossed(one.leader, heads[other].spot) for other, one in placed.items()):
        return False
    if leader is None:
        return True
    end = (spot[0], spot[1] + (gap if heads[number].is_up else -gap) * 0.7)  # beyond a mark in the same place
    thin = (
        stem._replace(left=head.spot[0], right=head.spot[0])
        for other, (stem, head) in enumerate(zip(stems, heads, strict=True))
        if other != number
    )
    return not any(other.is_crossed(leader, end) for other in (*thin, *(one.box for one in placed.values())))


def apart(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> FloatArray:
    """Return the middles of names one above the other, as near as can be to where they are wanted.

    That is least squares under an order: a run of names that would overlap moves as one (pool adjacent violators).
    """
    order = np.argsort(np.asarray(wanted, dtype=np.float64), kind="stable")
    tall = np.asarray(heights, dtype=np.float64)[order]
    below = np.cumsum(tall) - 0.5 * tall  # where the middles are if all names stand on one another
    runs: list[tuple[float, int]] = []  # the mean of each run, and its size
    for value in np.asarray(wanted, dtype=np.float64)[order] - below:
        mean, size = float(value), 1
        while runs and runs[-1][0] > mean:
            before, count = runs.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        runs.append((mean, size))
    bottoms = np.concatenate([np.full(size, mean) for mean, size in runs]) if runs else np.zeros(0)
    bottoms = np.clip(bottoms, low, max(low, high - float(tall.sum())))
    middles = np.empty(len(order))
    middles[order] = bottoms + below
    return middles


@final
class Arrangement(Artist):
    """Draws nothing, and has names placed before they are drawn."""

    def __init__(self, axes: Axes, arrange: Callable[[RendererBase], None]) -> None:
        super().__init__()
        self._arrange = arrange
        self.set_in_layout(False)
        axes.add_artist(self)

    def draw(self, renderer: RendererBase) -> None:
        """Have the names placed."""
        self._arrange(renderer)


def _point(renderer: RendererBase) -> float:
    """Return how many pixels a point has."""
    return float(np.asarray(renderer.points_to_pixels(1.0)))


def name_stems(axes: Axes, angles: FloatArray, values: FloatArray, names: Sequence[str], reach: float = 2.0) -> None:
    """Write the names of stems from 0 to `values` at their ends, and make room for them along the y axis.

    `reach` is how far the mark at the end of a stem reaches to the sides, in points.
    """
    texts = [
        axes.text(0.0, 0.0, short(name), transform=IdentityTransform(), fontsize=SMALL, clip_on=False) for name in names
    ]
    for text in texts:
        text.set_in_layout(False)
    leaders = LineCollection([], transform=IdentityTransform(), colors=FAINT, linewidths=0.5, clip_on=False)
    leaders.set_in_layout(False)
    axes.add_artist(leaders)
    _make_room(axes, values, names)

    def arrange(renderer: RendererBase) -> None:
        point = _point(renderer)
        frame = Box(*axes.get_window_extent(renderer).extents)
        frame = frame._replace(left=frame.left + point, right=frame.right + 12.0 * point)
        ends = axes.transData.transform(np.column_stack([angles, values]))
        base = float(axes.transData.transform((0.0, 0.0))[1])
        for text in texts:
            text.set_visible(True)  # what is hidden has no size
        sizes = [text.get_window_extent(renderer) for text in texts]
        heads = [
            Head((float(x), float(y)), bool(value >= 0.0), size.width, size.height)
            for (x, y), value, size in zip(ends, values, sizes, strict=True)
        ]
        wide, tall = reach * point, 2.0 * point
        stems = [Box(x - wide, min(base, y) - tall, x + wide, max(base, y) + tall) for (x, y), *_ in heads]
        zero = Box(frame.left, base - 0.5 * point, frame.right, base + 0.5 * point)
        legend = axes.get_legend()
        others = [zero] if legend is None else [zero, Box(*legend.get_window_extent(renderer).extents)]
        found = places(heads, stems, others, frame, _GAP * point)
        for text, place in zip(texts, found, strict=True):
            text.set_position((place.box.left, place.box.bottom))
            text.set_verticalalignment("bottom")
            text.set_visible(place.box.right > place.box.left)
        leaders.set_segments(
            [[place.leader, head.spot] for place, head in zip(found, heads, strict=True) if place.leader is not None]
        )

    Arrangement(axes, arrange)


def rows_of(names: Sequence[str], width: float) -> int:
    """Return how many rows of so many points the names fill, with room to spare."""
    letters = sum(columns(short(name)) + 2 for name in names)
    return math.ceil(1.4 * letters * 0.55 * SMALL / width)


def _make_room(axes: Axes, values: FloatArray, names: Sequence[str]) -> None:
    """Widen the y axis beyond the values by as many rows as the names on each side need."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    box = axes.get_window_extent()
    point = axes.figure.dpi / 72.0
    width, height = box.width / point, _LAID_OUT * box.height / point
    sides = [
        [name for name, is_here in zip(names, side, strict=True) if is_here] for side in (values < 0.0, values >= 0.0)
    ]
    below, above = (min(_MOST_ROWS, rows_of(side, width)) * _ROW + _GAP + 2.0 if side else 4.0 for side in sides)
    rest = max(height - below - above, 0.4 * height)  # points for the stems
    unit = (high - low or 1.0) / rest
    axes.set_ylim(low - below * unit, high + above * unit)


def name_ends(axes: Axes, ends: Sequence[Spot], names: Sequence[str], colours: Sequence[str]) -> None:
    """Write the names of curves to the right of the Axes, each at the height of its curve's end or near it.

    A dash in the curve's colour leads to the name, which is in the colour of all text: not every colour can be read.
    """
    texts = [
        axes.annotate(
            name,
            (1.0, y),
            (_DASH, 0.0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
            linespacing=1.1,
        )
        for (_, y), name in zip(ends, names, strict=True)
    ]
    leaders = LineCollection([], transform=IdentityTransform(), colors=list(colours), linewidths=1.0, clip_on=False)
    leaders.set_in_layout(False)
    axes.add_artist(leaders)

    def arrange(renderer: RendererBase) -> None:
        point = _point(renderer)
        frame = axes.get_window_extent(renderer)
        at = axes.transData.transform(np.asarray(ends, dtype=np.float64))
        heights = [text.get_window_extent(renderer).height + point for text in texts]
        middles = apart(at[:, 1].tolist(), heights, frame.y0 - 3.0 * point, frame.y1 + 3.0 * point)
        segments = []
        for text, (x, y), middle in zip(texts, at, middles, strict=True):
            text.xyann = (_DASH, (middle - y) / point)
            start = max(x + 1.5 * point, frame.x1 - 0.5 * _DASH * point)  # short: not to be taken for a curve
            segments.append([(start, y), (frame.x1 + (_DASH - 1.5) * point, middle)])
        leaders.set_segments(segments)

    Arrangement(axes, arrange)


def name_spot(axes: Axes, spot: Spot, name: str, curve: Sequence[Spot]) -> None:
    """Write the name of a spot on a curve beside it, where the curve does not cross it."""
    text = axes.annotate(name, spot, (0.0, -8.0), textcoords="offset points", va="center", fontsize=SMALL + 0.5)
    text.set_in_layout(False)

    def arrange(renderer: RendererBase) -> None:
        point = _point(renderer)
        frame = Box(*axes.get_window_extent(renderer).extents)
        corners = axes.transData.transform(np.asarray(curve, dtype=np.float64)).tolist()
        x, y = axes.transData.transform(spot).tolist()
        size = text.get_window_extent(renderer)
        for up, right in itertools.product((-9, 9, -15, 15, -22, 22, 0), (0.5, 0.0, 1.0, -0.2, 1.2)):
            left, middle = x - right * size.width, y + up * point
            box = Box(left, middle - 0.5 * size.height, left + size.width, middle + 0.5 * size.height)
            if frame.holds(box) and not any(box.is_crossed(*ends) for ends in itertools.pairwise(corners)):
                break
        text.xyann = ((left - x) / point, (middle - y) / point)

    Arrangement(axes, arrange)
