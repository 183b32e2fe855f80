"""What tables for people are made of: columns, bars, and text that fits the width it is given.

A table that is too wide is folded, then loses whole columns, the least needed first, and says which; a number is never
cut.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kdegrad.output import Look
from kdegrad.text import five_digits

ROUNDING = 1e-12  # of the largest weight: a gradient below it is 0 but for rounding, and has no bar
BAR_HALF = 4  # cells on each side of a bar's middle
_NARROWEST = 6  # letters of a column that is folded
PULLED, PUSHED = "bright_blue", "dark_orange"  # told apart without red and green

ASCII_WORDS = {
    ord(symbol): word
    for symbol, word in (
        ("·", "-"), ("²", "^2"), ("³", "^3"), ("√", "sqrt"), ("π", "pi"), ("θ", "theta"), ("κ", "kappa"),
        ("γ", "gamma"), ("ν", "nu"), ("Σ", "sum"), ("≤", "<="), ("∂", "d"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of text cells; `dispensable` 0 is kept at any width, a larger one goes earlier."""

    title: str
    cells: Sequence[Text]
    dispensable: int = 0
    right: bool = True
    widest: int | None = None
    name: str = ""

    @property
    def spoken(self) -> str:
        """What a sentence calls it: its name, or its title."""
        return self.name or self.title.replace("\n", " ").strip()


def cell(name: str, value: float | int) -> Text:
    """Return a number as the column `name` shows it: what was put in to six digits, what was computed to five."""
    if isinstance(value, int):
        return Text(str(value))
    return Text(f"{value:.6g}" if name in ("angle", "logit", "node") else five_digits(value))


def bars(values: Sequence[float], look: Look, least: float) -> Column:
    """Return a column of bars: to the left where the gradient pulls a logit up (< 0), to the right where down.

    What is not above `least` has none.
    """
    seen = [value if abs(value) > least else 0.0 for value in values]
    largest = max(map(abs, seen), default=0.0) or 1.0
    title = "- 0 +".center(2 * BAR_HALF + 1)
    return Column(title, [_bar(value / largest, look) for value in seen], right=False, name="bars")


def _bar(fraction: float, look: Look) -> Text:
    """Return a bar for -1 ≤ fraction ≤ 1, in half cells."""
    full, left_half, right_half, middle = ("█", "▐", "▌", "│") if look.unicode else ("#", "-", "-", "|")
    halves = round(abs(fraction) * 2 * BAR_HALF)
    cells = full * (halves // 2)
    if fraction < 0.0:
        left = ((left_half if halves % 2 else "") + cells).rjust(BAR_HALF)
        return Text().append(left, style=PULLED).append(middle, style="dim").append(" " * BAR_HALF)
    right = (cells + (right_half if halves % 2 else "")).ljust(BAR_HALF)
    return Text(" " * BAR_HALF).append(middle, style="dim").append(right, style=PUSHED)


def fitted(look: Look, columns: list[Column], elsewhere: str = "--format csv") -> Iterator[str]:
    """Yield the columns as a table no wider than it may be: folded first, then with columns left out and named.

    `elsewhere` has what is left out too.
    """
    unfolded = [replace(column, widest=None) for column in columns]
    kept = list(columns if _measure(look, _table(look, unfolded)) > look.width else unfolded)
    while _measure(look, _table(look, kept)) > look.width and any(column.dispensable for column in kept):
        needless = max(kept, key=lambda column: column.dispensable)
        kept.remove(needless)
    excess = _measure(look, _table(look, kept)) - look.width
    if excess > 0:
        kept = [c if c.widest is None else replace(c, widest=max(c.widest - excess, _NARROWEST)) for c in kept]
    table = _table(look, kept)
    yield from printed(replace(look, width=max(look.width, _measure(look, table))), table)
    left = {column.title for column in kept}
    dropped = [column.spoken for column in columns if column.title not in left]
    if dropped:
        remedy = f"widen the terminal, or {elsewhere}" if elsewhere else "widen the terminal"
        note = f"not shown at {look.width} columns: {', '.join(dropped)} ({remedy})"
        yield from printed(look, Text(note, style="dim"))


def _table(look: Look, columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if look.unicode else box.ASCII_DOUBLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold",
    )
    for column in columns:
        table.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=column.widest is None,
            max_width=column.widest,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def words(look: Look, text: str, style: str = "") -> Text:
    """Return text in the symbols that the place can show."""
    return Text(text if look.unicode else text.translate(ASCII_WORDS), style)


def _measure(look: Look, table: Table) -> int:
    console = _console(look)
    return Measurement.get(console, console.options.update(max_width=100_000), table).maximum


def printed(look: Look, item: RenderableType) -> Iterator[str]:
    """Yield what rich makes of `item`, without spaces at the ends of lines.

    A line that begins with :: would be a command to GitHub's log; a bar takes the place of the space before it.
    """
    console = _console(look)
    with console.capture() as captured:
        console.print(item)
    lines = (re.sub("^ (?= *::)", "|", line.rstrip()) for line in captured.get().splitlines())
    yield "".join(f"{line}\n" for line in lines)


@cache
def _console(look: Look) -> Console:
    return Console(
        file=io.StringIO(),
        width=look.width,
        force_terminal=look.colour,
        no_color=not look.colour,
        color_system="256" if look.colour else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
