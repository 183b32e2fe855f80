"""Reports for people: tables that fit the width they are given and never cut a number.

A table that is too wide loses whole columns, the least needed first, and says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, assert_never

import numpy as np
from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from kdegrad.arrays import largest_first
from kdegrad.objective import Evaluation
from kdegrad.output import Look
from kdegrad.reports.checks_table import checks_text, properties_text
from kdegrad.reports.records import Record, Table, not_finite, point_columns, problem_facts
from kdegrad.reports.sketch import sketch
from kdegrad.reports.tables import Column, bars, cell, fitted, label_column, paragraph, printed, words
from kdegrad.text import five_digits

if TYPE_CHECKING:
    from kdegrad.descent import Descent

ROWS_SHOWN: Final = 40  # of a table whose length was not asked for
BOLD: Final = "bold bright_blue"
BIN_NOUNS: Final = {"midpoint": "bin", "gauss": "Gauss node", "exact": "exact node"}


def text(record: Record, look: Look) -> Iterator[str]:
    """Yield the report."""
    match record.command:
        case "loss":
            return _loss(record, look)
        case "grad":
            return _gradient(record, look)
        case "grad --per-bin":
            return _gradient_per_bin(record, look)
        case "sweep":
            return _sweep(record, look)
        case "descend":
            return _descent(record, look)
        case "kernels":
            return _kernels(record, look)
        case "verify-props":
            checks, properties = record.result
            return checks_text(checks, properties, look)
        case "verify-props --list":
            return properties_text(record.result, look)
        case _:
            assert_never(record.command)


def _loss(record: Record, look: Look) -> Iterator[str]:
    """Yield loss and sketch, and how far the bins are from the integral, if that is known."""
    yield from _headline(record, look)
    error, rule = record.facts["quadrature_error"], record.facts["problem"]["rule"]
    if record.integral is not None:
        off = record.facts["loss"] - record.integral
        nodes = "nodes" if rule == "gauss" else "bins"
        yield from paragraph(look, f"the integral is {record.integral:.12g}: these {nodes} are off by {off:.2g}", "dim")
    elif error is not None:
        yield from paragraph(look, f"the integral, to about {error:.1g}", "dim")
    yield from sketch(record.result, look)


def _gradient(record: Record, look: Look) -> Iterator[str]:
    """Yield the points with a bar for sign and size of the gradient."""
    evaluation: Evaluation = record.result
    yield from _headline(record, look)
    yield from sketch(evaluation, look)
    summary = {"sum": record.facts["sum"], **record.facts["norms"]}
    numbers = "   ".join(f"{name} {five_digits(value)}" for name, value in summary.items())
    yield from paragraph(look, f"gradient   {numbers}")
    if "gradient_log_bandwidth" in record.facts:
        slope = five_digits(record.facts["gradient_log_bandwidth"])
        yield from paragraph(look, f"gradient of log h   {slope}")
    count = len(evaluation.weights)
    top = ROWS_SHOWN if record.top is None and count > ROWS_SHOWN else record.top
    values = {name: column.tolist() for name, column in point_columns(evaluation, top).items()}
    columns = [label_column(values["label"])] if "label" in values else []
    order = {"angle": 0, "logit": 4, "weight": 1, "responsibility": 1, "gradient": 0}
    order |= {"gradient_per_weight": 3, "gradient_angle": 1}
    columns += [
        Column(name.replace("_", "\n", 1).replace("_", " "), [cell(name, value) for value in values[name]], dispensable)
        for name, dispensable in order.items()
        if name in values
    ]
    yield from fitted(look, [*columns, bars(values["gradient"], look, evaluation.weights, 2)])
    if top is not None and top < count:
        yield from paragraph(look, f"the {top} largest of {count} points (--top {count} shows all)", "dim")


def _gradient_per_bin(record: Record, look: Look) -> Iterator[str]:
    """Yield the first rows of bins and points."""
    evaluation: Evaluation = record.result
    yield from _headline(record, look)
    columns = {name: np.asarray(column)[:ROWS_SHOWN].tolist() for name, column in _columns_of(record.rows).items()}
    shown = [
        Column(name, [cell(name, value) for value in values], dispensable)
        for (name, values), dispensable in zip(columns.items(), (3, 0, 0, 2, 1, 0), strict=True)
    ]
    yield from fitted(look, [*shown, bars(columns["gradient"], look, evaluation.weights, 4)])
    total = len(evaluation.weights) * record.facts["problem"]["bins"]
    if total > ROWS_SHOWN:
        yield from paragraph(look, f"the first {ROWS_SHOWN} of {total} rows (--format csv has all)", "dim")


def _sweep(record: Record, look: Look) -> Iterator[str]:
    """Yield a row for each kernel and value, with an infinite loss as inf."""
    over, values = record.facts["over"], _columns_of(record.rows)
    names = list(dict.fromkeys(values["kernel"]))
    large = Text("over ").append(over, style=BOLD)
    if over != "kernel":
        large.append(f", {values['value'][0]:g} to {values['value'][-1]:g}")
    yield from _framed(look, large, _described(record.facts["problem"], ", ".join(names), swept=over))
    columns = []
    if len(names) > 1:
        columns.append(Column("kernel", [Text(name) for name in values["kernel"]], right=False))
    if over != "kernel":
        columns.append(Column(over, [Text(f"{value:.6g}") for value in values["value"]]))
    shown = {  # title, and how soon the column is left out where there is no room
        "loss": ("loss", 0),
        "kl": ("KL", 4),
        "l1": ("gradient\nl1", 1),
        "l2": ("l2", 6),
        "max": ("max", 5),
        "gradient_per_weight_max": ("per weight\nlargest", 2),
        "gradient_per_weight_min": ("per weight\nsmallest", 2),
        "only_pushed_down": ("only\npushed down", 3),
    }
    columns += [
        Column(title, [_number_or(value, "inf" if name == "loss" else "") for value in values[name]], dispensable)
        for name, (title, dispensable) in shown.items()
    ]
    yield from fitted(look, columns)
    yield from paragraph(look, "only pushed down: the weight of the points that no bin pulls up", "dim")


def _descent(record: Record, look: Look) -> Iterator[str]:
    """Yield the course at steps 0, 1, 2, 5, 10, 20, 50, ..., and where it ended."""
    done: Descent = record.result
    facts = record.facts
    large = Text()
    for name, before, after in (("loss", done.start.loss, facts["loss"]), ("KL", done.start.kl, facts["kl"])):
        if before is not None:
            arrow = "→" if look.unicode else "->"
            large.append(f"{name} {five_digits(before)} {arrow} ").append(f"{after:.10g}", style=BOLD)
            large.append(" nats     ")
    way = facts["optimizer"] + ("" if facts["rate"] is None else f" at rate {facts['rate']:g}")
    start = _described(problem_facts(done.start.problem, done.start.rule))
    yield from _framed(look, large, f"{start} · {', '.join(facts['wrt'])} by {way}")
    last = facts["steps"]
    kept = {0, last} | {lead * 10**power for power in range(len(str(last))) for lead in (1, 2, 5)}
    course = _columns_of(record.tables[0])
    shown = {  # title, and how soon the column is left out where there is no room
        "step": ("step", 0),
        "loss": ("loss", 0),
        "kl": ("KL", 2),
        "norm": ("norm of\nthe gradient", 1),
        "gap": ("duality\ngap", 1),
        "bandwidth": ("bandwidth", 3),
    }
    unknown = {"kl": done.start.kl is None, "gap": facts["gap"] is None, "bandwidth": "bandwidth" not in done.wrt}
    columns = [
        Column(
            title,
            [_number_or(value, "") for step, value in zip(course["step"], course[name], strict=True) if step in kept],
            dispensable,
        )
        for name, (title, dispensable) in shown.items()
        if not unknown.get(name)
    ]
    yield from fitted(look, columns, elsewhere="--format json")
    yield from paragraph(look, facts["stopped"])
    if facts["gap"] is not None:
        bound = five_digits(facts["gap"])
        yield from paragraph(
            look, f"the loss is at most {bound} above the least that any weights of these points can reach"
        )
    if facts["rises"]:
        yield from paragraph(look, f"the loss rose in {facts['rises']} of these steps: try a smaller --rate")
    yield from fitted(look, _end_columns(done), elsewhere="")
    count = len(done.end.weights)
    if count > ROWS_SHOWN:
        yield from paragraph(look, f"the {ROWS_SHOWN} heaviest of {count} points (--format csv has all)", "dim")


def _end_columns(done: Descent) -> list[Column]:
    """Return the heaviest points before and after."""
    start, end = done.start, done.end
    kept = range(len(end.weights)) if len(end.weights) <= ROWS_SHOWN else largest_first(end.weights, ROWS_SHOWN)
    labels = end.problem.labels
    columns = [] if labels is None else [label_column([labels[point] for point in kept])]
    pairs = {"angle": (start.problem.angles, end.problem.angles), "weight": (start.weights, end.weights)}
    for name, (before, after) in pairs.items():
        moved = name == "weight" or "angles" in done.wrt
        columns.append(Column(name, [cell(name, float(before[point])) for point in kept], 1 if moved else 0))
        if moved:
            columns.append(Column(f"{name}\nat the end", [cell(name, float(after[point])) for point in kept]))
    return columns


def _kernels(record: Record, look: Look) -> Iterator[str]:
    rows = _columns_of(record.tables[0])
    cells = {  # the texts, how soon the column is left out where there is no room, and how wide it is when folded
        "name": (rows["name"], 0, None),
        "aliases": ([", ".join(aliases) for aliases in rows["aliases"]], 1, 12),
        "formula": (rows["formula"], 0, 20),
        "support": (rows["support"], 2, None),
        "tail": (rows["tail"], 1, None),
        "domains": (["both" if len(domains) == 2 else domains[0] for domains in rows["domains"]], 1, None),
    }
    columns = [
        Column(name, [words(look, said) for said in texts], dispensable, right=False, widest=widest)
        for name, (texts, dispensable, widest) in cells.items()
    ]
    yield from fitted(look, columns)
    symbols = "u = d/h, h the bandwidth; on a circle of circumference P: θ = 2πd/P, κ = 1/(2πh/P)², γ = 2πh/P"
    yield from paragraph(look, symbols, "dim")
    everywhere = set.intersection(*map(set, rows["claims"]))
    claims = dict.fromkeys(claim for claims in rows["claims"] for claim in claims)
    said = ", ".join(claim for claim in claims if claim in everywhere)
    yield from paragraph(look, f"claims of the note that hold for every kernel: {said}")
    for claim in claims:
        if claim not in everywhere:
            kept = [name for name, hold in zip(rows["name"], rows["claims"], strict=True) if claim in hold]
            yield from paragraph(look, f"{claim} holds for {', '.join(kept)}")


def _columns_of(table: Table) -> dict[str, Any]:
    """Return the columns of a table's first block."""
    return dict(zip(table.header, next(table.blocks()), strict=True))


def _number_or(value: float | int | None, otherwise: str) -> Text:
    """Return a number as tables show it; `otherwise` where there is none."""
    if value is None:
        return Text(otherwise)
    return Text(str(value) if isinstance(value, int) else five_digits(value))


def _described(facts: dict[str, Any], kernels: str = "", swept: str = "") -> str:
    """Return the problem in one line.

    Parameters
    ----------
    facts
        Of the problem.
    kernels
        The names to give in place of its kernel's.
    swept
        The setting that has more than one value here, and is left out.
    """
    parts = [_counted(facts["points"], "point")]
    if facts["target"] is not None:
        low, high = facts["target"]
        parts.append(f"target [{low:g}, {high:g}]")
    kernel = [kernels or facts["kernel"]]
    if swept != "bandwidth":
        kernel.append(f"h={facts['bandwidth']:g}")
    if facts["df"]:
        kernel.append(f"df={facts['df']:g}")
    parts.append(" ".join(kernel))
    if facts["rule"] == "at" and swept != "bins":
        parts.append(f"at {facts['at']:g}")
    elif swept != "bins":
        parts.append(_counted(facts["bins"], BIN_NOUNS[facts["rule"]]))
    domain = "line" if facts["period"] is None else f"circle of {facts['period']:g}"
    parts.append(f"{domain} in {facts['unit']}")
    for name, usual in (("scale", 1.0), ("background", 0.0)):
        if facts[name] != usual and name != swept:
            parts.append(f"{name} {facts[name]:g}")
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _headline(record: Record, look: Look) -> Iterator[str]:
    """Yield the loss and KL in a frame over the problem in one line, and the uncovered nodes if there are any."""
    facts, evaluation = record.facts, record.result
    large = Text()
    for name, value in (("loss ", facts["loss"]), ("KL ", facts["kl"])):
        if value is not None:
            large.append(name).append(f"{value:.12g}", style=BOLD).append(" nats     ")
    sums = facts["problem"]["sums"]
    by = "" if sums == "dense" else f" · sums by {sums}"
    yield from _framed(look, large, _described(facts["problem"]) + by)
    if not evaluation.is_finite:
        yield from paragraph(look, not_finite(evaluation), "bold")


def _framed(look: Look, large: Text, small: str) -> Iterator[str]:
    """Yield a result over what it is a result of, in a frame."""
    frame = box.ROUNDED if look.unicode else box.ASCII
    yield from printed(look, Panel(Group(large, words(look, small, "dim")), box=frame))
