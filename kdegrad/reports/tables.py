"""What tables for people are made of: columns, bars, and text that fits the width it is given, by rich."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kdegrad.output import Look
from kdegrad.text import angle_texts, five_digits, safe_text

ROWS_SHOWN = 40  # applies to a table whose length was not asked for
BAR_HALF = 4  # cells on each side of a bar's middle
_NARROWEST = 6  # letters in a column that is folded
SIX_DIGITS = ("logit", "value")
PLACES = ("angle", "angle_at_end", "nearest_angle", "node")
_BOUND = "\ue000"  # stands for a space while lines are broken: rich breaks them at a no-break space too
_TOGETHER = re.compile(r"(?<=\d) (?=%|nats\b|bandwidths\b)|(?<=mean) (?=KL\b|loss\b)|(?:(?<=loss)|(?<=KL)) (?=[-\d])")
PULLED, PUSHED = "bright_blue", "dark_orange"  # not red and green, which many cannot tell apart

_ASCII_WORDS = {
    ord(symbol): word
    for symbol, word in (
        ("·", "-"), ("√", "sqrt"), ("π", "pi"), ("θ", "theta"), ("κ", "kappa"), ("γ", "gamma"), ("ν", "nu"),
        ("δ", "delta"), ("λ", "lambda"), ("ρ", "rho"), ("Σ", "sum"), ("∂", "d"), ("⊖", "-"), ("±", "+-"), ("≤", "<="),
        ("≥", ">="), ("→", "->"), ("∞", "inf"), ("\u0303", "~"), ("\u0304", "'"),  # p̃, d̄
    )
} | str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")  # fmt: skip
_EXPONENT = re.compile("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")


@dataclass(frozen=True)
class Column:
    """A column of cells: words in the symbols that the place can show, or finished text."""

    title: str
    cells: Sequence[str | Text]
    dispensable: int = 0  # 0: kept at any width; the larger, the sooner it is left out
    right: bool = True  # aligned to the right
    widest: int | None = None  # how wide it is when folded; None: never folded
    name: str = ""  # what a sentence calls it; empty: its title


TITLES = {  # of columns whose name alone does not say it
    "kl": "KL",
    "l1": "gradient\nl1",
    "norm": "norm of\nthe gradient",
    "gap": "duality\ngap",
    "nearest_angle": "nearest\nangle",
    "gradient_per_weight": "gradient\nper weight",
    "gradient_angle": "gradient\nangle",
    "gradient_log_bandwidth": "gradient\nof log h",
    "gradient_per_weight_max": "per weight\nlargest",
    "gradient_per_weight_min": "per weight\nsmallest",
    "only_pushed_down": "only\npushed down",
    "angle_at_end": "angle\nat the end",
    "weight_at_end": "weight\nat the end",
}


def title_of(name: str, titles: Mapping[str, str] | None = None) -> str:
    """Return the title of a column, one of `titles` if it is there."""
    return (titles or {}).get(name) or TITLES.get(name, name.replace("_", " "))


def columns_of(
    values: Mapping[str, Sequence[Any]], shown: Mapping[str, int], titles: Mapping[str, str] | None = None
) -> list[Column]:
    """Return a column for each name in `shown` that has values, with the `dispensable` given there.

    `titles` has those that are other than usual. Places are shown with the digits that tell them apart, other inputs to
    six digits, results to five; a loss that is None is infinite. Labels come first, with control characters escaped.
    """

    def cells(name: str) -> list[str]:
        return angle_texts(values[name]) if name in PLACES else [cell(name, value) for value in values[name]]

    def cell(name: str, value: float | int | None) -> str:
        if value is None:
            return "inf" if name == "loss" else ""
        if isinstance(value, int):
            return str(value)
        return f"{value:.6g}" if name in SIX_DIGITS else five_digits(value)

    labels = [Text(safe_text(label)) for label in values.get("label", ())]
    named = [Column("label", labels, right=False, widest=20)] if labels else []
    return named + [Column(title_of(name, titles), cells(name), soon) for name, soon in shown.items() if name in values]


GRADIENTS = {"logits": "gradient", "angles": "gradient_angle"}  # the column of each that every point has


def drawn_of(wrt: Sequence[str]) -> str:
    """Return the column of the first gradient in `wrt` that every point has; the bars show it."""
    return next(GRADIENTS[name] for name in wrt if name in GRADIENTS)


def gradient_columns(values: Mapping[str, Sequence[Any]], wrt: Sequence[str]) -> list[Column]:
    """Return the columns of points for what `wrt` names.

    Weights and responsibilities stand beside the gradient of the logits, which they make.
    """
    drawn = drawn_of(wrt)
    shown = {"angle": 0, "logit": 4}
    if "logits" in wrt:
        first = 0 if drawn == "gradient" else 1
        shown |= {"weight": 1, "responsibility": 1, "gradient": first, "gradient_per_weight": 3}
    if "angles" in wrt:
        shown["gradient_angle"] = 0 if drawn == "gradient_angle" else 1
    return columns_of(values, shown)


def parts_of_largest(values: Sequence[float | None], least: float) -> list[float]:
    """Return gradients as parts of the largest size; one not larger than `least`, but for rounding 0, is 0."""
    seen = [value if value is not None and abs(value) > least else 0.0 for value in values]
    largest = max(map(abs, seen), default=0.0) or 1.0
    return [value / largest for value in seen]


def bars(values: Sequence[float | None], look: Look, least: float, dispensable: int) -> Column:
    """Return a column of bars for gradients: to the left where descent raises what they are of, else to the right.

    `least` is as for `parts_of_largest`.
    """
    full, left_half, right_half, middle = ("█", "▐", "▌", "│") if look.unicode else ("#", "-", "-", "|")
    drawn = []
    for value in parts_of_largest(values, least):
        halves = round(abs(value) * 2 * BAR_HALF)
        cells, half = full * (halves // 2), halves % 2
        left = ((left_half if half else "") + cells if value < 0.0 else "").rjust(BAR_HALF)
        right = ("" if value < 0.0 else cells + (right_half if half else "")).ljust(BAR_HALF)
        styles = (PULLED, "") if value < 0.0 else ("", PUSHED)
        drawn.append(Text().append(left, styles[0]).append(middle, "dim").append(right, styles[1]))
    return Column("- 0 +".center(2 * BAR_HALF + 1), drawn, dispensable, right=False, name="bars")


def fitted(look: Look, columns: list[Column], elsewhere: str = "--format csv") -> Iterator[str]:
    """Yield the columns as a table no wider than it may be: folded first, then with columns left out and named.

    A number is never cut. `elsewhere` is where that which is left out can be seen too.
    """
    unfolded = [replace(column, widest=None) for column in columns]
    kept = list(columns if _width(look, unfolded) > look.width else unfolded)
    while _width(look, kept) > look.width and any(column.dispensable for column in kept):
        kept.remove(max(kept, key=lambda column: column.dispensable))
    excess = _width(look, kept) - look.width
    if excess > 0:
        kept = [c if c.widest is None else replace(c, widest=max(c.widest - excess, _NARROWEST)) for c in kept]
    yield from printed(replace(look, width=max(look.width, _width(look, kept))), _table(look, kept))
    titles = {column.title for column in kept}
    names = [c.name or c.title.replace("\n", " ") for c in columns if c.title not in titles]
    if names:
        wider = "widen the terminal" if look.is_terminal else f"--width {_width(look, columns)}"
        remedy = f"{wider}, or {elsewhere}" if elsewhere else wider
        yield from paragraph(look, f"not shown at {look.width} columns: {', '.join(names)} ({remedy})", "dim")


def _width(look: Look, columns: Sequence[Column]) -> int:
    console = _console(look)
    return Measurement.get(console, console.options.update(max_width=100_000), _table(look, columns)).maximum


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
        table.add_row(*(words(look, cell) if isinstance(cell, str) else cell for cell in row))
    return table


def words(look: Look, text: str, style: str = "") -> Text:
    """Return text in the symbols that the place can show."""
    return Text(text if look.unicode else _EXPONENT.sub(r"^\g<0>", text).translate(_ASCII_WORDS), style)


def largest_of(shown: int, total: int, nouns: str) -> str:
    """Return what a table shows: ``the 10 largest of 500 groups``."""
    return f"the {f'{shown} ' if shown > 1 else ''}largest of {total} {nouns}"


def paragraph(look: Look, text: str, style: str = "") -> Iterator[str]:
    """Yield text, folded at the width that there is."""
    return printed(look, words(look, text, style))


def hanging(look: Look, text: Text, indent: int) -> Iterator[str]:
    """Yield text, folded at the width that there is, of which all lines but the first are indented."""
    lines = text.wrap(_console(look), max(look.width - indent, _NARROWEST))
    for number, line in enumerate(lines):
        yield from printed(look, Text(" " * indent if number else "").append(line))


def printed(look: Look, item: RenderableType) -> Iterator[str]:
    """Yield what rich makes of `item`, without spaces at the ends of lines."""
    console = _console(look)
    if isinstance(item, Text):
        item = bound(item)
    with console.capture() as captured:
        console.print(item)
    # a line that begins with :: is a command to GitHub's log: a bar stands before it, in the place of a space
    lines = (re.sub("^ ?(?= *::)", "|", line.rstrip()) for line in captured.get().splitlines())
    yield "".join(f"{line}\n" for line in lines).replace(_BOUND, " ")


def bound(text: Text) -> Text:
    """Return text in which no line is broken between a number and its unit or its name; for `printed`."""
    bound_text = text.copy()
    bound_text.plain = _TOGETHER.sub(_BOUND, text.plain)
    return bound_text


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
