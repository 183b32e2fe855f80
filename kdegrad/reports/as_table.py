"""Reports for people: rich tables that fit the width they are given and never cut a number.

A table that is too wide loses whole columns, the least needed first, and says which.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kdegrad.objective import Evaluation
from kdegrad.problem import Problem
from kdegrad.reports import Look, not_finite
from kdegrad.reports.facts import (
    BIN_COLUMNS,
    bin_rows,
    gradient_facts,
    kernel_facts,
    point_columns,
    problem_facts,
    safe_text,
)

ROWS_SHOWN = 40  # of a table whose length nobody chose
LABEL_WIDTH = 20
BAR_HALF = 4  # cells on each side of a bar's middle

ASCII_WORDS = {
    ord(symbol): word
    for symbol, word in (
        ("·", "-"), ("²", "^2"), ("³", "^3"), ("√", "sqrt"), ("π", "pi"), ("θ", "theta"), ("κ", "kappa"),
        ("γ", "gamma"), ("ν", "nu"), ("Σ", "sum"), ("≤", "<="), ("∂", "d"),
    )
}  # fmt: skip
BIN_NOUNS = {"midpoint": "bin", "gauss": "Gauss node", "exact": "exact node"}

PULLED, PUSHED = "bright_blue", "dark_orange"  # told apart without red and green


@dataclass(frozen=True)
class Column:
    """A column of text cells; `need` 0 is kept at any width, a larger one goes earlier."""

    title: str
    cells: Sequence[Text]
    need: int = 0
    right: bool = True
    widest: int | None = None


def loss(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``."""
    yield from _headline(evaluation, look)


def gradient(evaluation: Evaluation, look: Look, top: int | None) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``: the points with a bar for sign and size of the gradient."""
    yield from _headline(evaluation, look)
    facts = gradient_facts(evaluation)
    summary = {"sum": facts["sum"], **facts["norms"]}
    yield from printed(
        look, Text("gradient   " + "   ".join(f"{name} {number(value)}" for name, value in summary.items()))
    )
    if "gradient_log_bandwidth" in facts:
        yield from printed(look, Text(f"gradient of log h   {number(facts['gradient_log_bandwidth'])}"))
    count = len(evaluation.problem.angles)
    if top is None and count > ROWS_SHOWN:
        top = ROWS_SHOWN
    yield from fitted(look, _point_columns(evaluation, look, top))
    if top is not None and top < count:
        yield from printed(look, Text(f"the {top} largest of {count} points (--top {count} shows all)", style="dim"))


def gradient_per_bin(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad grad --per-bin``: one row a bin and point."""
    yield from _headline(evaluation, look)
    yield "\n"
    rows = list(islice(bin_rows(evaluation), ROWS_SHOWN))
    columns = [
        Column(title, [_cell(title, value) for value in values])
        for title, values in zip(BIN_COLUMNS, zip(*rows, strict=True), strict=True)
    ]
    columns.append(_bars([row[-1] for row in rows], look))
    yield from fitted(look, columns)
    total = len(evaluation.problem.angles) * evaluation.problem.rule.bins
    if total > ROWS_SHOWN:
        yield from printed(look, Text(f"the first {ROWS_SHOWN} of {total} rows (--format csv has all)", style="dim"))


def kernels(look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad kernels``."""
    rows = kernel_facts()
    cells = {
        "name": [row["name"] for row in rows],
        "aliases": [", ".join(row["aliases"]) for row in rows],
        "formula": [row["formula"] for row in rows],
        "support": [row["support"] for row in rows],
        "tail": [row["tail"] for row in rows],
        "domains": ["both" if len(row["domains"]) == 2 else row["domains"][0] for row in rows],
    }
    need = {"name": 0, "formula": 0, "support": 2}
    widest = {"aliases": 12, "formula": 20}
    columns = [
        Column(name, [words(look, text) for text in texts], need.get(name, 1), right=False, widest=widest.get(name))
        for name, texts in cells.items()
    ]
    yield from fitted(look, columns)
    symbols = "u = d/h, h the bandwidth; on a circle of circumference P: θ = 2πd/P, κ = 1/(2πh/P)², γ = 2πh/P"
    yield from printed(look, words(look, symbols, "dim"))
    everywhere = set.intersection(*(set(row["claims"]) for row in rows))
    claims = dict.fromkeys(claim for row in rows for claim in row["claims"])
    yield from printed(
        look,
        Text(f"claims of the note that hold for every kernel: {', '.join(filter(everywhere.__contains__, claims))}"),
    )
    for claim in claims:
        if claim not in everywhere:
            names = ", ".join(row["name"] for row in rows if claim in row["claims"])
            yield from printed(look, Text(f"{claim} holds for {names}"))


def number(value: float) -> str:
    """Return a computed number to five digits, never cut; what was put in is shown to six."""
    return f"{value:.5g}"


def describe(problem: Problem) -> str:
    """Return the problem in one line."""
    facts = problem_facts(problem)
    parts = [_counted(facts["points"], "point")]
    if facts["target"] is not None:
        low, high = facts["target"]
        parts.append(f"target [{low:g}, {high:g}]")
    parts.append(f"{facts['kernel']} h={facts['bandwidth']:g}" + (f" df={facts['df']:g}" if facts["df"] else ""))
    rule = facts["rule"]
    parts.append(f"at {facts['at']:g}" if rule == "at" else _counted(facts["bins"], BIN_NOUNS[rule]))
    domain = "line" if facts["period"] is None else f"circle of {facts['period']:g}"
    parts.append(f"{domain} in {facts['unit']}")
    parts += [
        f"{name} {facts[name]:g}" for name, usual in (("scale", 1.0), ("background", 0.0)) if facts[name] != usual
    ]
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _headline(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the loss and KL in a frame over the problem in one line, and the uncovered nodes if there are any."""
    large = Text()
    for name, value in (("loss ", evaluation.loss), ("KL ", evaluation.kl)):
        if value is not None:
            large.append(name).append(f"{value:.12g}", style="bold bright_blue").append(" nats     ")
    frame = box.ROUNDED if look.unicode else box.ASCII
    yield from printed(look, Panel(Group(large, words(look, describe(evaluation.problem), "dim")), box=frame))
    if not evaluation.is_finite:
        yield from printed(look, Text(not_finite(evaluation), style="bold"))


def _point_columns(evaluation: Evaluation, look: Look, top: int | None) -> list[Column]:
    values = {name: column.tolist() for name, column in point_columns(evaluation, top).items()}
    columns = []
    if "label" in values:
        labels = [Text(safe_text(label)) for label in values["label"]]
        columns.append(Column("label", labels, right=False, widest=LABEL_WIDTH))
    order = {"angle": 0, "logit": 4, "weight": 1, "responsibility": 1, "gradient": 0}
    order |= {"gradient_per_weight": 3, "gradient_angle": 1}
    columns += [
        Column(name.replace("_", "\n", 1).replace("_", " "), [_cell(name, value) for value in values[name]], need=need)
        for name, need in order.items()
        if name in values
    ]
    columns.append(replace(_bars(values["gradient"], look), need=2))
    return columns


def _bars(values: Sequence[float], look: Look) -> Column:
    """Return a column of bars: to the left where the gradient pulls a logit up (< 0), to the right where down."""
    largest = max((abs(value) for value in values), default=0.0) or 1.0
    return Column("- 0 +".center(2 * BAR_HALF + 1), [_bar(value / largest, look) for value in values], right=False)


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


def _cell(name: str, value: float | int) -> Text:
    if isinstance(value, int):
        return Text(str(value))
    return Text(f"{value:.6g}" if name in ("angle", "logit", "node") else number(value))


def fitted(look: Look, columns: list[Column]) -> Iterator[str]:
    """Yield the columns as a table no wider than it may be: folded first, then with columns left out and named."""
    unfolded = [replace(column, widest=None) for column in columns]
    kept, dropped = list(columns if _measure(look, _table(look, unfolded)) > look.width else unfolded), []
    while _measure(look, _table(look, kept)) > look.width and any(column.need for column in kept):
        needless = max(kept, key=lambda column: column.need)
        kept.remove(needless)
        dropped.append(needless.title.replace("\n", " ").strip())
    table = _table(look, kept)
    yield from printed(replace(look, width=max(look.width, _measure(look, table))), table)
    if dropped:
        note = f"not shown at {look.width} columns: {', '.join(dropped)} (widen the terminal, or --format csv)"
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
    console = _console(look, io.StringIO())
    return Measurement.get(console, console.options.update(max_width=100_000), table).maximum


def printed(look: Look, item: RenderableType) -> Iterator[str]:
    """Yield what rich makes of `item`, without spaces at the ends of lines."""
    stream = io.StringIO()
    _console(look, stream).print(item)
    yield "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _console(look: Look, stream: io.StringIO) -> Console:
    return Console(
        file=stream,
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
