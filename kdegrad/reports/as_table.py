"""Reports for people: tables that fit the width they are given and never cut a number.

A table that is too wide loses whole columns, the least needed first, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.text import Text

from kdegrad.arrays import euclidean_norm, largest_first
from kdegrad.crossentropy import Gradients
from kdegrad.evaluation import Evaluation
from kdegrad.output import Look
from kdegrad.reports.causes import not_finite
from kdegrad.reports.checks_table import checks_text, properties_text
from kdegrad.reports.groups_table import gradient_of_groups, loss_of_groups
from kdegrad.reports.headline import BOLD, described, framed, written
from kdegrad.reports.records import Command, Record, Table, point_columns, problem_facts
from kdegrad.reports.sketch import ROUNDING, noise_of, sketch
from kdegrad.reports.tables import (
    ROWS_SHOWN,
    Column,
    bars,
    columns_of,
    drawn_of,
    fitted,
    gradient_columns,
    largest_of,
    paragraph,
    words,
)
from kdegrad.text import five_digits, option_text, safe_text

if TYPE_CHECKING:
    from kdegrad.descent import Descent


def _loss(record: Record, look: Look) -> Iterator[str]:
    """Yield loss and sketch, and how far the bins are from the integral, if that is known."""
    yield from _headline(record, look)
    if note := accuracy(record):
        yield from paragraph(look, note, "dim")
    yield from sketch(record.result, look)


def accuracy(record: Record) -> str:
    """Return how far a loss is from the integral; empty where that is not known."""
    error = record.facts["quadrature_error"]
    if record.integral is not None:
        nodes = "nodes" if record.facts["problem"]["rule"] == "gauss" else "bins"
        return f"the integral is {record.integral:.12g}: these {nodes} are off by {error:.2g}"
    return "" if error is None else f"the integral, to about {error:.1g}"


def accuracy_of_gradients(record: Record) -> str:
    """Return how far the gradients are from those of the integral; empty where that is not known."""
    if (error := record.facts["gradient_error"]) is None:
        return ""
    of = {"logits": "logits", "angles": "angles", "log_bandwidth": "log h"}
    parts = ", ".join(f"{of[name]} {value:.1g}" for name, value in error.items() if value is not None)
    return f"the gradients, to about: {parts}"


def _gradient(record: Record, look: Look) -> Iterator[str]:
    """Yield the points with a bar for sign and size of the gradient."""
    evaluation: Evaluation = record.result
    yield from _headline(record, look)
    yield from sketch(evaluation, look)
    gradients = evaluation.require_gradients()
    for name, size in sizes_of(gradients).items():
        yield from paragraph(look, "   ".join((name, *size)))
    if known := accuracy_of_gradients(record):
        yield from paragraph(look, known, "dim")
    count = len(evaluation.weights)
    top = ROWS_SHOWN if record.top is None and count > ROWS_SHOWN else record.top
    if gradients.first_of_points is None:
        return
    values: dict[str, Any] = {name: column.tolist() for name, column in point_columns(evaluation, top).items()}
    drawn = bars(values[drawn_of(gradients.wrt)], look, noise_of(evaluation), 2)
    yield from fitted(look, [*gradient_columns(values, gradients.wrt), drawn])
    if top is not None and top < count:
        yield from paragraph(look, f"{largest_of(top, count, 'points')} (--top {count} shows all)", "dim")


def sizes_of(gradients: Gradients) -> dict[str, list[str]]:
    """Return the size of each gradient that was asked for, in parts, by what it is called.

    A sum that is 0 but for rounding is 0.
    """
    found: dict[str, list[str]] = {}
    for name in gradients.wrt:
        if name == "bandwidth":
            found["gradient of log h"] = [five_digits(gradients.log_bandwidth or 0.0)]
            continue
        values = gradients.logits if name == "logits" else gradients.angles
        assert values is not None  # it was asked for
        size = np.abs(values)
        norms = {"l1": float(size.sum()), "l2": euclidean_norm(values), "max": float(size.max())}
        parts = [f"{norm} {five_digits(value)}" for norm, value in norms.items()]
        if name == "angles":
            found["gradient of the angles"] = parts
        else:
            total = float(values.sum())
            found["gradient"] = [f"sum {five_digits(total) if abs(total) > ROUNDING else '0'}", *parts]
    return found


def _gradient_per_bin(record: Record, look: Look) -> Iterator[str]:
    """Yield the first rows of bins and points."""
    evaluation: Evaluation = record.result
    yield from _headline(record, look)
    values = {name: np.asarray(column)[:ROWS_SHOWN].tolist() for name, column in _first_block(record.rows).items()}
    soon = dict(zip(values, (3, 0, 0, 2, 1, 0), strict=True))
    yield from fitted(look, [*columns_of(values, soon), bars(values["gradient"], look, noise_of(evaluation), 4)])
    total = len(evaluation.weights) * record.facts["problem"]["bins"]
    if total > ROWS_SHOWN:
        yield from paragraph(look, f"the first {ROWS_SHOWN} of {total} rows (--format csv has all)", "dim")


def _sweep(record: Record, look: Look) -> Iterator[str]:
    """Yield a row for each kernel and value, with an infinite loss as inf."""
    over, values = record.facts["over"], _first_block(record.rows)
    names = list(dict.fromkeys(values["kernel"]))
    large = Text("over ").append(over, style=BOLD)
    if over != "kernel":
        large.append(f", {values['value'][0]:g} to {values['value'][-1]:g}")
    yield from framed(look, large, described(record.facts["problem"], ", ".join(names), swept=over))
    kernels = [Column("kernel", values["kernel"], right=False)] if len(names) > 1 else []
    if over == "kernel":
        del values["value"]
    soon = {"value": 0, "loss": 0, "kl": 4, "l1": 1, "l2": 6, "max": 5}  # left out, where there is no room
    soon |= {"gradient_per_weight_max": 2, "gradient_per_weight_min": 2, "only_pushed_down": 3}
    yield from fitted(look, kernels + columns_of(values, soon, {"value": over}))
    yield from paragraph(look, "only pushed down: the weight of the points that no bin pulls up", "dim")


def _descent(record: Record, look: Look) -> Iterator[str]:
    """Yield the course at steps 0, 1, 2, 5, 10, 20, 50, ..., and where it ended."""
    done: Descent = record.result
    facts = record.facts
    large = Text()
    for name, before, after in (("loss", done.start.loss, facts["loss"]), ("KL", done.start.kl, facts["kl"])):
        if before is not None:
            large.append(words(look, f"{name} {five_digits(before)} → ")).append(f"{after:.10g}", style=BOLD)
            large.append(" nats     ")
    way = facts["optimizer"] + ("" if facts["rate"] is None else f" at rate {facts['rate']:g}")
    start = described(problem_facts(done.start.problem, done.start.rule))
    yield from framed(look, large, f"{start} · {', '.join(facts['wrt'])} by {way}")
    last = facts["steps"]
    kept = {0, last} | {lead * 10**power for power in range(len(str(last))) for lead in (1, 2, 5)}
    unknown = {"kl": done.start.kl is None, "gap": facts["gap"] is None, "bandwidth": "bandwidth" not in done.wrt}
    course = _first_block(record.tables[0])
    values = {
        name: [value for step, value in zip(course["step"], column, strict=True) if step in kept]
        for name, column in course.items()
        if not unknown.get(name)
    }
    soon = {"step": 0, "loss": 0, "kl": 2, "norm": 1, "gap": 1, "bandwidth": 0}  # left out, where there is no room
    yield from fitted(look, columns_of(values, soon), elsewhere="--format json")
    for note in descent_notes(record):
        yield from paragraph(look, note)
    columns, count = points_before_and_after(done, ROWS_SHOWN), len(done.end.weights)
    if columns:
        yield from fitted(look, columns, elsewhere="")
    if columns and count > ROWS_SHOWN:
        yield from paragraph(look, f"the {ROWS_SHOWN} heaviest of {count} points (--format csv has all)", "dim")


def descent_notes(record: Record) -> Iterator[str]:
    """Yield why a descent stopped, what it found, and how good that is."""
    done, facts = record.result, record.facts
    yield facts["stopped"]
    if "bandwidth" in done.wrt:
        first, reached = (five_digits(at.problem.kernel.bandwidth) for at in (done.start, done.end))
        said = "with which these points fit this target best; it does not select a bandwidth for a sample"
        yield f"bandwidth {first} → {reached}: descent looks for that {said}"
    if facts["gap"] is not None:
        bound = five_digits(facts["gap"])
        yield f"the loss is at most {bound} above the least that any weights of these points can reach"
    if facts["rises"]:
        yield f"the loss rose in {facts['rises']} of these steps: try a smaller {option_text('rate')}"


def points_before_and_after(done: Descent, most: int) -> list[Column]:
    """Return the columns of the heaviest points, at the start and at the end; none where the points do not move."""
    start, end, count = done.start, done.end, len(done.end.weights)
    if done.wrt == ("bandwidth",):
        return []
    kept = np.arange(count) if count <= most else largest_first(end.weights, most)
    columns = {"angle": start.problem.angles, "weight": start.weights}
    if "logits" in done.wrt:
        columns["weight_at_end"] = end.weights
    if moved := "angles" in done.wrt:
        columns["angle_at_end"] = end.problem.angles
    values = {name: column[kept].tolist() for name, column in columns.items()}
    soon = {"angle": 1 if moved else 0, "angle_at_end": 0, "weight": 1, "weight_at_end": 0}  # left out, for room
    if end.problem.labels is not None:
        values["label"] = [end.problem.labels[point] for point in kept]
    return columns_of(values, soon)


def _kernels(record: Record, look: Look) -> Iterator[str]:
    rows = _first_block(record.tables[0])
    aliases = [", ".join(names) for names in rows["aliases"]]
    domains = ["both" if len(names) == 2 else names[0] for names in rows["domains"]]
    columns = [
        Column("name", rows["name"], right=False),
        Column("aliases", aliases, 1, right=False, widest=12),
        Column("formula", rows["formula"], right=False, widest=20),
        Column("support", rows["support"], 2, right=False),
        Column("tail", rows["tail"], 1, right=False),
        Column("domains", domains, 1, right=False),
    ]
    yield from fitted(look, columns)
    symbols, *claims = kernel_notes(rows["name"], rows["claims"])
    yield from paragraph(look, symbols, "dim")
    for sentence in claims:
        yield from paragraph(look, sentence)


def kernel_notes(names: Sequence[str], claims: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield what the symbols in the formulas are, and which claims hold for which kernels."""
    yield "u = d/h, h the bandwidth; on a circle of circumference P: θ = 2πd/P, κ = 1/(2πh/P)², γ = 2πh/P"
    everywhere = set.intersection(*map(set, claims))
    every = dict.fromkeys(claim for of_one in claims for claim in of_one)
    yield f"claims of the note that hold for every kernel: {', '.join(claim for claim in every if claim in everywhere)}"
    for claim in every:
        if claim not in everywhere:
            kept = [name for name, hold in zip(names, claims, strict=True) if claim in hold]
            yield f"{claim} holds for {', '.join(kept)}"


def _first_block(table: Table) -> dict[str, Any]:
    """Return the columns of a table's first block."""
    return dict(zip(table.header, next(table.blocks()), strict=True))


def _headline(record: Record, look: Look) -> Iterator[str]:
    """Yield the loss and KL in a frame over the problem in one line, and the uncovered nodes if there are any."""
    yield from loss_headline(record, look)
    if not record.result.is_finite:
        yield from paragraph(look, not_finite(record.result), "bold")


def _gradient_of_parts(record: Record, look: Look) -> Iterator[str]:
    """Yield the loss, the sizes of the gradient over all parts, and what each part has of it."""
    yield from loss_headline(record, look)
    facts = record.facts
    total = facts["sum"]
    sizes = {
        name: "   ".join(f"{norm} {five_digits(value)}" for norm, value in facts[name].items())
        for name in ("norms", "angle_norms")
        if name in facts
    }
    yield from paragraph(
        look, f"gradient   sum {five_digits(total) if abs(total) > ROUNDING else '0'}   {sizes['norms']}"
    )
    if "angle_norms" in sizes:
        yield from paragraph(look, f"gradient of the angles   {sizes['angle_norms']}")
    if "gradient_log_bandwidth" in facts:
        yield from paragraph(look, f"gradient of log h   {five_digits(facts['gradient_log_bandwidth'])}")
    values = _first_block(record.rows)
    count = len(values["part"])
    shown = {name: column[:ROWS_SHOWN] for name, column in values.items()}
    both = zip(shown["sum"], shown["l1"], strict=True)
    shown["sum"] = [value if abs(value) > ROUNDING * size else 0.0 for value, size in both]
    columns = [
        Column("part", [Text(safe_text(name)) for name in shown["part"]], right=False, widest=40),
        Column("points", [str(points) for points in shown["points"]], 1),
        *columns_of(shown, {"sum": 0, "l1": 2}, {"sum": "gradient\nsum"}),
        bars(shown["sum"], look, 0.0, 3),
    ]
    yield from fitted(look, columns)
    if count > ROWS_SHOWN:
        yield from paragraph(look, f"the first {ROWS_SHOWN} of {count} parts (--format csv has all)", "dim")
    yield from paragraph(look, written(facts))


def loss_headline(record: Record, look: Look) -> Iterator[str]:
    """Yield the loss and KL in a frame over the problem in one line."""
    facts = record.facts
    large = Text()
    for name, value in (("loss ", facts["loss"]), ("KL ", facts["kl"])):
        if value is not None:
            large.append(name).append(f"{value:.12g}", style=BOLD).append(" nats     ")
    sums = facts["problem"]["sums"]
    by = "" if sums in ("dense", "auto") else f" · sums by {sums}"
    yield from framed(look, large, described(facts["problem"]) + by)


WRITERS: Final[dict[Command, Callable[[Record, Look], Iterator[str]]]] = {
    "loss": _loss,
    "grad": _gradient,
    "grad --per-bin": _gradient_per_bin,
    "loss --group-by": loss_of_groups,
    "grad --group-by": gradient_of_groups,
    "loss --stream": _headline,
    "grad --stream": _gradient_of_parts,
    "sweep": _sweep,
    "descend": _descent,
    "kernels": _kernels,
    "verify-props": checks_text,
    "verify-props --list": properties_text,
}
