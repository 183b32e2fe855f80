"""Reports for people: rich tables that fit the width they are given and never cut a number.

A table that is too wide loses whole columns, the least needed first, and says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from rich import box
from rich.console import Group
from rich.panel import Panel
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
from kdegrad.reports.sketch import sketch
from kdegrad.reports.tables import Column, bars, cell, fitted, number, printed, words

ROWS_SHOWN = 40  # of a table whose length nobody chose
LABEL_WIDTH = 20

BIN_NOUNS = {"midpoint": "bin", "gauss": "Gauss node", "exact": "exact node"}


def loss(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``."""
    yield from _headline(evaluation, look)
    yield from sketch(evaluation, look)


def gradient(evaluation: Evaluation, look: Look, top: int | None) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``: the points with a bar for sign and size of the gradient."""
    yield from _headline(evaluation, look)
    yield from sketch(evaluation, look)
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
        Column(title, [cell(title, value) for value in values])
        for title, values in zip(BIN_COLUMNS, zip(*rows, strict=True), strict=True)
    ]
    columns.append(bars([row[-1] for row in rows], look))
    yield from fitted(look, columns)
    total = len(evaluation.problem.angles) * evaluation.problem.rule.bins
    if total > ROWS_SHOWN:
        yield from printed(look, Text(f"the first {ROWS_SHOWN} of {total} rows (--format csv has all)", style="dim"))


def kernels(look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad kernels``."""
    rows = kernel_facts()
    texts = [{name: ", ".join(v) if isinstance(v, list) else str(v) for name, v in row.items()} for row in rows]
    for text in texts:
        text["domains"] = text["domains"].replace("line, circle", "both")
    need = {"name": 0, "formula": 0, "support": 2}
    widest = {"aliases": 12, "formula": 20}
    columns = [
        Column(name, [words(look, row[name]) for row in texts], need.get(name, 1), right=False, widest=widest.get(name))
        for name in texts[0]
    ]
    yield from fitted(look, columns)
    symbols = "u = d/h, h the bandwidth; on a circle of circumference P: θ = 2πd/P, κ = 1/(2πh/P)², γ = 2πh/P"
    yield from printed(look, words(look, symbols, "dim"))


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
    values = point_columns(evaluation, top)
    columns = []
    if "label" in values:
        labels = [Text(safe_text(label)) for label in values["label"]]
        columns.append(Column("label", labels, right=False, widest=LABEL_WIDTH))
    order = {"angle": 0, "logit": 4, "weight": 1, "responsibility": 1, "gradient": 0}
    order |= {"gradient_per_weight": 3, "gradient_angle": 1}
    columns += [
        Column(name.replace("_", "\n", 1).replace("_", " "), [cell(name, value) for value in values[name]], need=need)
        for name, need in order.items()
        if name in values
    ]
    columns.append(replace(bars(values["gradient"], look), need=2))
    return columns
