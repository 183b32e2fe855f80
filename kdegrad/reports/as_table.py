"""Reports for people: rich tables that fit the width they are given and never cut a five_digits.

A table that is too wide loses whole columns, the least needed first, and says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from kdegrad.arrays import largest_first
from kdegrad.objective import Evaluation
from kdegrad.output import Look
from kdegrad.problem import Problem
from kdegrad.reports import not_finite
from kdegrad.reports.facts import (
    BIN_COLUMNS,
    bin_rows,
    descent_facts,
    gradient_facts,
    kernel_facts,
    point_columns,
    problem_facts,
    sweep_rows,
)
from kdegrad.reports.sketch import sketch
from kdegrad.reports.tables import ROUNDING, Column, bars, cell, fitted, printed, words
from kdegrad.text import five_digits, safe_text

if TYPE_CHECKING:
    from kdegrad.descent import Descent
    from kdegrad.sweeps import Sweep

ROWS_SHOWN = 40  # of a table whose length nobody chose
LABEL_WIDTH = 20

BOLD = "bold bright_blue"
SWEEP_TITLES = {  # field → title, and how soon it goes where there is no room
    "loss": ("loss", 0),
    "kl": ("KL", 4),
    "l1": ("gradient\nl1", 1),
    "l2": ("l2", 6),
    "max": ("max", 5),
    "gradient_per_weight_max": ("per weight\nlargest", 2),
    "gradient_per_weight_min": ("per weight\nsmallest", 2),
    "only_pushed_down": ("only\npushed down", 3),
}
COURSE_TITLES = {"kl": "KL", "norm": "norm of\nthe gradient", "gap": "duality\ngap"}
SWEEP_NOTE = "only pushed down: the weight of the points that no bin pulls up"
BIN_NOUNS = {"midpoint": "bin", "gauss": "Gauss node", "exact": "exact node"}


def loss(evaluation: Evaluation, look: Look, integral: float | None) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``, and how far its bins are from the integral, if that is known."""
    yield from _headline(evaluation, look)
    error = evaluation.diagnostics.quadrature_error
    if integral is not None:
        nodes = "nodes" if evaluation.problem.settings.rule == "gauss" else "bins"
        off = f"the integral is {integral:.12g}: these {nodes} are off by {evaluation.loss - integral:.2g}"
        yield from printed(look, Text(off, style="dim"))
    elif error is not None and evaluation.is_finite:
        yield from printed(look, Text(f"the integral, to about {error:.1g}", style="dim"))
    yield from sketch(evaluation, look)


def gradient(evaluation: Evaluation, look: Look, top: int | None) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``: the points with a bar for sign and size of the gradient."""
    yield from _headline(evaluation, look)
    yield from sketch(evaluation, look)
    facts = gradient_facts(evaluation)
    summary = {"sum": facts["sum"], **facts["norms"]}
    yield from printed(
        look, Text("gradient   " + "   ".join(f"{name} {five_digits(value)}" for name, value in summary.items()))
    )
    if "gradient_log_bandwidth" in facts:
        yield from printed(look, Text(f"gradient of log h   {five_digits(facts['gradient_log_bandwidth'])}"))
    count = len(evaluation.problem.angles)
    if top is None and count > ROWS_SHOWN:
        top = ROWS_SHOWN
    yield from fitted(look, _point_columns(evaluation, look, top))
    if top is not None and top < count:
        yield from printed(look, Text(f"the {top} largest of {count} points (--top {count} shows all)", style="dim"))


def gradient_per_bin(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad grad --per-bin``: one row a bin and point."""
    yield from _headline(evaluation, look)
    rows = list(islice(bin_rows(evaluation), ROWS_SHOWN))
    columns = [
        Column(title, [cell(title, value) for value in values], dispensable)
        for title, dispensable, values in zip(BIN_COLUMNS, (3, 0, 0, 2, 1, 0), zip(*rows, strict=True), strict=True)
    ]
    least = ROUNDING * float(evaluation.weights.max())
    columns.append(replace(bars([row[-1] for row in rows], look, least), dispensable=4))
    yield from fitted(look, columns)
    total = len(evaluation.problem.angles) * evaluation.problem.rule.bins
    if total > ROWS_SHOWN:
        yield from printed(look, Text(f"the first {ROWS_SHOWN} of {total} rows (--format csv has all)", style="dim"))


def sweep(family: Sweep, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad sweep``: a row for each kernel and value, an infinite loss as inf."""
    rows = sweep_rows(family)
    names = list(dict.fromkeys(row["kernel"] for row in rows))
    large = Text("over ").append(family.over, style=BOLD)
    if family.over != "kernel":
        large.append(f", {rows[0]['value']:g} to {rows[-1]['value']:g}")
    yield from _framed(look, large, describe(family.problem, kernels=names, swept=family.over))
    columns = []
    if len(names) > 1:
        columns.append(Column("kernel", [Text(row["kernel"]) for row in rows], right=False))
    if family.over != "kernel":
        columns.append(Column(family.over, [Text(f"{row['value']:.6g}") for row in rows]))
    columns += [
        Column(title, [Text(_number_or(row[name], "inf" if name == "loss" else "")) for row in rows], dispensable)
        for name, (title, dispensable) in SWEEP_TITLES.items()
    ]
    yield from fitted(look, columns)
    yield from printed(look, words(look, SWEEP_NOTE, "dim"))


def descent(done: Descent, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad descend``: its course at steps 0, 1, 2, 5, 10, 20, 50, ..., and where it ended."""
    facts = descent_facts(done)
    large = Text()
    for name, before, after in (("loss ", done.start.loss, facts["loss"]), ("KL ", done.start.kl, facts["kl"])):
        if before is not None:
            arrow = " → " if look.unicode else " -> "
            large.append(f"{name}{five_digits(before)}{arrow}").append(f"{after:.10g}", style=BOLD).append(" nats     ")
    way = f"{facts['optimizer']}" + ("" if facts["rate"] is None else f" at rate {facts['rate']:g}")
    yield from _framed(look, large, f"{describe(done.start.problem)} · {', '.join(facts['wrt'])} by {way}")
    rows = [row for row in done.course if row.step in _one_two_five(facts["steps"])]
    shown = {"step": 0, "loss": 0, "kl": 2, "norm": 1}
    shown |= {"gap": 1} if facts["gap"] is not None else {}
    shown |= {"bandwidth": 3} if "bandwidth" in done.wrt else {}
    if done.start.kl is None:
        del shown["kl"]
    columns = [
        Column(COURSE_TITLES.get(name, name), [Text(_number_or(getattr(row, name), "")) for row in rows], dispensable)
        for name, dispensable in shown.items()
    ]
    yield from fitted(look, columns, elsewhere="--format json")
    yield from printed(look, Text(facts["stopped"]))
    if facts["gap"] is not None:
        bound = five_digits(facts["gap"])
        text = f"the loss is at most {bound} above the least that any weights of these points can reach"
        yield from printed(look, Text(text))
    if facts["rises"]:
        yield from printed(look, Text(f"the loss rose in {facts['rises']} of these steps: try a smaller --rate"))
    yield from fitted(look, _end_columns(done), elsewhere="")
    count = len(done.end.weights)
    if count > ROWS_SHOWN:
        yield from printed(look, Text(f"the {ROWS_SHOWN} heaviest of {count} points (--format csv has all)", "dim"))


def _end_columns(done: Descent) -> list[Column]:
    """Return the heaviest points before and after."""
    start, end = done.start, done.end
    kept = range(len(end.weights)) if len(end.weights) <= ROWS_SHOWN else largest_first(end.weights, ROWS_SHOWN)
    columns = []
    if end.problem.labels is not None:
        labels = [Text(safe_text(end.problem.labels[point])) for point in kept]
        columns.append(Column("label", labels, right=False, widest=LABEL_WIDTH))
    pairs = {"angle": (start.problem.angles, end.problem.angles), "weight": (start.weights, end.weights)}
    for name, (before, after) in pairs.items():
        moved = name == "weight" or "angles" in done.wrt
        columns.append(Column(name, [cell(name, float(before[point])) for point in kept], 1 if moved else 0))
        if moved:
            columns.append(Column(f"{name}\nat the end", [cell(name, float(after[point])) for point in kept]))
    return columns


def _one_two_five(last: int) -> set[int]:
    """Return 0, 1, 2, 5, 10, 20, 50, ... up to `last`, and `last`."""
    series = (lead * 10**power for power in range(len(str(last))) for lead in (1, 2, 5))
    return {0, last} | {step for step in series if step <= last}


def _number_or(value: float | int | None, otherwise: str) -> str:
    """Return a five_digits as tables show it; `otherwise` where there is none."""
    if value is None:
        return otherwise
    return str(value) if isinstance(value, int) else five_digits(value)


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
    dispensable = {"name": 0, "formula": 0, "support": 2}
    widest = {"aliases": 12, "formula": 20}
    columns = [
        Column(
            name, [words(look, text) for text in texts], dispensable.get(name, 1), right=False, widest=widest.get(name)
        )
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


def describe(problem: Problem, kernels: Sequence[str] | None = None, swept: str = "") -> str:
    """Return the problem in one line.

    Parameters
    ----------
    problem
        What to describe.
    kernels
        The names to give in place of its kernel's.
    swept
        The setting that has no one value here, and is left out.
    """
    facts = problem_facts(problem)
    parts = [_counted(facts["points"], "point")]
    if facts["target"] is not None:
        low, high = facts["target"]
        parts.append(f"target [{low:g}, {high:g}]")
    kernel = facts["kernel"] if kernels is None else ", ".join(kernels)
    size = [f"h={facts['bandwidth']:g}"] if swept != "bandwidth" else []
    parts.append(" ".join([kernel, *size, *([f"df={facts['df']:g}"] if facts["df"] else [])]))
    if swept != "bins":
        rule = facts["rule"]
        parts.append(f"at {facts['at']:g}" if rule == "at" else _counted(facts["bins"], BIN_NOUNS[rule]))
    domain = "line" if facts["period"] is None else f"circle of {facts['period']:g}"
    parts.append(f"{domain} in {facts['unit']}")
    parts += [
        f"{name} {facts[name]:g}"
        for name, usual in (("scale", 1.0), ("background", 0.0))
        if facts[name] != usual and name != swept
    ]
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _headline(evaluation: Evaluation, look: Look) -> Iterator[str]:
    """Yield the loss and KL in a frame over the problem in one line, and the uncovered nodes if there are any."""
    large = Text()
    for name, value in (("loss ", evaluation.loss), ("KL ", evaluation.kl)):
        if value is not None:
            large.append(name).append(f"{value:.12g}", style=BOLD).append(" nats     ")
    sums = evaluation.diagnostics.sums
    by = "" if sums == "dense" else f" · sums by {sums}"
    yield from _framed(look, large, describe(evaluation.problem) + by)
    if not evaluation.is_finite:
        yield from printed(look, Text(not_finite(evaluation), style="bold"))


def _framed(look: Look, large: Text, small: str) -> Iterator[str]:
    """Yield a result over what it is a result of, in a frame."""
    frame = box.ROUNDED if look.unicode else box.ASCII
    yield from printed(look, Panel(Group(large, words(look, small, "dim")), box=frame))


def _point_columns(evaluation: Evaluation, look: Look, top: int | None) -> list[Column]:
    values = {name: column.tolist() for name, column in point_columns(evaluation, top).items()}
    columns = []
    if "label" in values:
        labels = [Text(safe_text(label)) for label in values["label"]]
        columns.append(Column("label", labels, right=False, widest=LABEL_WIDTH))
    order = {"angle": 0, "logit": 4, "weight": 1, "responsibility": 1, "gradient": 0}
    order |= {"gradient_per_weight": 3, "gradient_angle": 1}
    columns += [
        Column(
            name.replace("_", "\n", 1).replace("_", " "),
            [cell(name, value) for value in values[name]],
            dispensable=dispensable,
        )
        for name, dispensable in order.items()
        if name in values
    ]
    columns.append(replace(bars(values["gradient"], look, ROUNDING * float(evaluation.weights.max())), dispensable=2))
    return columns
