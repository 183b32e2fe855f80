"""Reports as pages in HTML, and the part of a page that a notebook shows.

A page is one file: no script, nothing that is fetched; the figure is inline SVG, in which text is text. It follows the
reader's choice of light or dark, and fits a telephone. The same result gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kdegrad import __version__
from kdegrad.arrays import Texts
from kdegrad.errors import SettingError
from kdegrad.reports import as_table, group_records, html_checks, html_style, records
from kdegrad.reports.causes import not_finite
from kdegrad.reports.groups_table import sentences
from kdegrad.reports.headline import BIN_NOUNS, described, domain_text
from kdegrad.reports.html_parts import Rows, columns_from, facts, figure, folded, paragraph, table, text
from kdegrad.reports.records import Command, Record, Table
from kdegrad.reports.sketch import noise_of
from kdegrad.reports.tables import ROWS_SHOWN, drawn_of, gradient_columns, parts_of_largest
from kdegrad.text import angle_texts, counted, five_digits, interval_text, spoken

if TYPE_CHECKING:
    from kdegrad.descent import Descent
    from kdegrad.evaluation import BatchEvaluation, Evaluation
    from kdegrad.overview import Overview

ROWS_OF_PAGE: Final = 1_000
NO_SCRIPT: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # a figure may have pixels in it

OF_LOSS: Final = "the target, the density, and the weight of each point at its angle"  # what its figure shows
OF_CHECKS: Final = "how far each check is from its tolerance"


@dataclass(frozen=True)
class Content:
    """What is said of a result, in the order of the page; all of it is text.

    Attributes
    ----------
    numbers
        The result, by names.
    details
        More numbers, by names.
    loud
        What must not be overlooked, such as why a loss is infinite.
    drawing
        What the figure shows, for those who do not see it; empty where there is none.
    said
        Sentences about the numbers.
    tables
        The first is open, further ones are folded.
    """

    numbers: dict[str, str]
    loud: Sequence[str] = ()
    drawing: str = ""
    said: Sequence[str] = ()
    tables: Sequence[Rows] = ()
    details: dict[str, str] = field(default_factory=dict)


def page(record: Record) -> Iterator[str]:
    """Yield a page."""
    yield from _document(_title(record), _body(record))


def part(record: Record) -> str:
    """Return what a notebook shows: the facts in one line, the figure, and a short table."""
    pieces = [f'<div class="kdegrad">\n<style>{html_style.of_notebook()}</style>\n']
    if record.command == "verify-props":
        pieces += html_checks.checks_in_short(record, "".join(_figure(record, OF_CHECKS)))
        return "".join([*pieces, "</div>\n"])
    content = CONTENTS[record.command](_cut(record, ROWS_SHOWN), ROWS_SHOWN)
    line = [f"{name} {value}" for name, value in (content.numbers | content.details).items()]
    if (problem := record.facts.get("problem")) is not None:
        line.append(_described(record, problem))
    heading = HEADINGS[record.command]
    said = text(" · ".join(line if heading.lower() in content.numbers else [heading, *line]))
    pieces.append(f"<p>{said}</p>\n")
    pieces += [paragraph(sentence, "kd-loud") for sentence in content.loud]
    pieces += _figure(record, content.drawing)
    for rows in content.tables[:1]:
        pieces += table(rows)
    return "".join([*pieces, "</div>\n"])


def _document(title: str, body: Iterator[str]) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{NO_SCRIPT}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n'
    yield f"<title>{text(title)}</title>\n<style>{html_style.of_page()}</style>\n</head>\n"
    yield '<body class="kdegrad">\n<main>\n'
    yield from body
    yield f'</main>\n<footer class="kd-quiet">kdegrad {__version__}</footer>\n</body>\n</html>\n'


def _title(record: Record) -> str:
    name = _name(record)
    return f"{HEADINGS[record.command]}{': ' if name else ''}{name} (kdegrad)"


def _name(record: Record) -> str:
    """Return what was read, as it was named; empty for arrays."""
    return ", ".join(record.input) if isinstance(record.input, list) else record.input or ""


def _body(record: Record) -> Iterator[str]:
    name = _name(record)
    yield f"<h1>{HEADINGS[record.command]}{f'<span>{text(name)}</span>' if name else ''}</h1>\n"
    if record.command == "verify-props":
        yield from html_checks.checks(record, "".join(_figure(record, OF_CHECKS)))
        return
    if record.command == "verify-props --list":
        yield from html_checks.properties(record)
        return
    content = CONTENTS[record.command](_cut(record, ROWS_OF_PAGE), ROWS_OF_PAGE)
    yield facts(content.numbers, "kd-numbers")
    yield from (paragraph(sentence, "kd-loud") for sentence in content.loud)
    yield facts(content.details)
    if (problem := record.facts.get("problem")) is not None:
        yield facts(_settings(record, problem))
    yield from _figure(record, content.drawing)
    yield from map(paragraph, content.said)
    for rank, rows in enumerate(content.tables):
        yield from table(rows) if rank == 0 else folded(rows.caption, table(rows))


# --- what was computed -----------------------------------------------------------------------------------------------


def _described(record: Record, problem: dict[str, Any]) -> str:
    """Return the problem in one line."""
    if record.command == "sweep":
        names = ", ".join(dict.fromkeys(step.kernel for step in record.result.steps))
        return described(problem, names, swept=record.facts["over"])
    return described(problem, own_targets=_has_own_targets(record))


def _has_own_targets(record: Record) -> bool:
    return "groups" in record.facts["problem"] and not record.result.has_one_target


def _settings(record: Record, problem: dict[str, Any]) -> dict[str, str]:
    """Return the problem, or those of groups, by names."""
    found: dict[str, str] = {name: str(problem[name]) for name in ("groups", "points") if name in problem}
    if problem.get("counted") is not None:
        found["points"] += f" ({problem['counted']} counted)"
    swept = record.facts.get("over", "")
    if problem["target"] is not None:
        found["target"] = interval_text(problem["target"])
    elif _has_own_targets(record):
        found["target"] = "each group's own"
    kernels = [problem["kernel"]]
    if record.command == "sweep":
        kernels = list(dict.fromkeys(step.kernel for step in record.result.steps))
    degrees_of_freedom = f", df {problem['df']:g}" if problem["df"] else ""
    found["kernel"] = ", ".join(kernels) + degrees_of_freedom
    found["bandwidth"] = f"{problem['bandwidth']:g}"
    noun = BIN_NOUNS.get(problem["rule"])
    if noun is None:
        found["bin"] = f"at {angle_texts([problem['at']])[0]}"
    else:
        found[f"{noun}s"] = "each group's own" if problem["bins"] is None else str(problem["bins"])
    found["domain"] = f"{domain_text(problem['period'])}, in {problem['unit']}"
    for name, usual in (("scale", 1.0), ("background", 0.0)):
        if problem[name] != usual:
            found[name] = f"{problem[name]:g}"
    found.pop(swept if swept != "bins" else f"{noun}s", None)
    return found


def _nats(record: Record, mean: str = "") -> dict[str, str]:
    """Return loss and KL."""
    pairs = ((f"{mean}loss", record.facts["loss"]), (f"{mean}KL", record.facts["kl"]))
    return {name: f"{value:.12g} nats" for name, value in pairs if value is not None}


# --- rows ------------------------------------------------------------------------------------------------------------


def _cut(record: Record, most: int) -> Record:
    """Return the record with only so many points of largest gradient, or groups of largest loss, if it has more."""
    if record.top is not None:
        return record
    if record.command == "grad" and len(record.result.weights) > most:
        return records.gradient_record(record.result, most)
    if record.command == "loss --group-by":  # in any case the largest first
        return group_records.loss_record(record.result, most)
    if record.command == "grad --group-by" and record.facts["problem"]["points"] > most:
        return group_records.gradient_record(record.result, most)
    return record


def _values(table_: Table, most: int) -> dict[str, list[Any]]:
    """Return the first rows of a table by columns, with None for NaN."""
    found: dict[str, list[Any]] = {}
    for name, column in zip(table_.header, next(table_.blocks()), strict=True):
        first = column[:most].tolist() if isinstance(column, (np.ndarray, Texts)) else list(islice(column, most))
        found[name] = [None if value != value else value for value in first]
    return found


def _caption(noun: str, shown: int, total: int, which: str = "first") -> str:
    """Return what a table shows; on the command line also where the rest is, if it does not show all."""
    if shown == total:
        return f"{total} {noun}"
    first = f"the {which}{f' {shown}' if shown > 1 else ''}"
    return f"{first} of {total} {noun}{spoken(' (--format csv has all)', '')}"


def _points(values: dict[str, list[Any]], evaluation: Evaluation | BatchEvaluation, caption: str) -> list[Rows]:
    """Return the table of points with the gradients that were asked for; none if no point has any."""
    wrt = evaluation.require_gradients().wrt
    if evaluation.require_gradients().first_of_points is None:
        return []
    groups = columns_from({"group": values["group"]}) if "group" in values else []
    bars = parts_of_largest(values[drawn_of(wrt)], noise_of(evaluation))
    return [Rows(caption, [*groups, *gradient_columns(values, wrt)], bars)]


# --- the kinds of results --------------------------------------------------------------------------------------------


def _loss(record: Record, most: int) -> Content:
    note = as_table.accuracy(record)
    loud = () if record.result.is_finite else (not_finite(record.result),)
    return Content(_nats(record), loud, OF_LOSS, [note] if note else ())


def _gradient(record: Record, most: int) -> Content:
    evaluation: Evaluation = record.result
    known = as_table.accuracy_of_gradients(record)
    details = {name: ", ".join(size) for name, size in as_table.sizes_of(evaluation.require_gradients()).items()}
    values = _values(record.tables[0], most)
    caption = _caption("points", len(values["angle"]), len(evaluation.weights), "largest")
    drawing = "the target, the density, and the gradient of each point at its angle"
    said = [known] if known else ()
    return Content(_nats(record), (), drawing, said, _points(values, evaluation, caption), details)


def _gradient_per_bin(record: Record, most: int) -> Content:
    values = _values(record.rows, most)
    total = record.facts["problem"]["points"] * record.facts["problem"]["bins"]
    bars = parts_of_largest(values["gradient"], noise_of(record.result))
    rows = Rows(_caption("rows", len(values["bin"]), total), columns_from(values), bars)
    return Content(_nats(record), (), "the gradient of each point in each bin, by sign and size", (), [rows])


def _groups(record: Record, most: int) -> Content:
    overview: Overview = record.result
    points = overview.of_points
    loud = () if overview.is_finite else (group_records.groups_without_result(overview),)
    details = {}
    if overview.mean_slope is not None:
        details["mean gradient of log h"] = five_digits(overview.mean_slope)
    if record.command == "grad --group-by" and points is not None:
        values = _values(record.rows, most)
        caption = _caption("points", len(values["group"]), record.facts["problem"]["points"], "largest")
        tables = _points(values, points.evaluation, caption)
    else:
        values = _values(record.tables[0], most)  # with the nearest points
        tables = [Rows(_caption("groups", len(values["group"]), len(overview.names), "largest"), columns_from(values))]
    drawing = "how the losses are spread"
    gradients = None if points is None else points.evaluation.gradients
    if gradients is not None and gradients.first_of_points is not None:
        drawing += ", and the gradient per weight of each point by its distance from the target"
    return Content(_nats(record, "mean "), loud, drawing, list(sentences(overview)), tables, details)


def _sweep(record: Record, most: int) -> Content:
    over, values = record.facts["over"], _values(record.tables[0], most)
    if len(set(values["kernel"])) == 1 or over == "kernel":
        del values["kernel" if over != "kernel" else "value"]
    numbers = {"over": over}
    if over != "kernel":
        numbers |= {"from": f"{values['value'][0]:g}", "to": f"{values['value'][-1]:g}"}
    rows = Rows(
        _caption("values", len(values["loss"]), len(record.result.steps)), columns_from(values, {"value": over})
    )
    said = "Only pushed down: the weight of the points that no bin pulls up."
    drawing = f"loss, size of the gradient and gradient per weight along {over}"
    return Content(numbers, (), drawing, [said], [rows])


def _descent(record: Record, most: int) -> Content:
    done: Descent = record.result
    if not done.start.is_finite:
        return Content({}, (not_finite(done.start),), OF_LOSS)
    of = record.facts
    numbers = {}
    for name, before, after in (("loss", done.start.loss, of["loss"]), ("KL", done.start.kl, of["kl"])):
        if before is not None:
            numbers[name] = f"{five_digits(before)} → {after:.10g} nats"
    way = of["optimizer"] + ("" if of["rate"] is None else f" at rate {of['rate']:g}")
    details = {"moved": ", ".join(of["wrt"]), "by": way, "steps": str(of["steps"])}
    course = _values(record.tables[0], most)
    if "bandwidth" in done.wrt:
        details["bandwidth"] = " → ".join(five_digits(at.problem.kernel.bandwidth) for at in (done.start, done.end))
    else:
        del course["bandwidth"]
    tables = [Rows(_caption("steps of the course", len(course["step"]), len(done.course)), columns_from(course))]
    if points := as_table.points_before_and_after(done, most):
        count = len(done.end.weights)
        tables.insert(0, Rows(_caption("points", min(count, most), count, "heaviest"), points))
    said = list(as_table.descent_notes(record))
    return Content(numbers, (), "the course of the loss, and the paths of the points", said, tables, details)


def _kernels(record: Record, most: int) -> Content:
    values = _values(record.tables[0], most)
    notes = list(as_table.kernel_notes(values["name"], values.pop("claims")))
    values["domains"] = ["both" if len(names) == 2 else names[0] for names in values["domains"]]
    columns = [column if column.title == "name" else replace(column, widest=0) for column in columns_from(values)]
    return Content({}, said=notes, tables=[Rows(counted(len(columns[0].cells), "kernel"), columns)])


HEADINGS: Final[dict[Command, str]] = {
    "loss": "Loss",
    "grad": "Gradient",
    "grad --per-bin": "Gradient by bin",
    "loss --group-by": "Losses of groups",
    "grad --group-by": "Gradients of groups",
    "sweep": "Sweep",
    "descend": "Descent",
    "kernels": "Kernels",
    "verify-props": "Checks",
    "verify-props --list": "Properties",
}
CONTENTS: Final[dict[Command, Callable[[Record, int], Content]]] = {
    "loss": _loss,
    "grad": _gradient,
    "grad --per-bin": _gradient_per_bin,
    "loss --group-by": _groups,
    "grad --group-by": _groups,
    "sweep": _sweep,
    "descend": _descent,
    "kernels": _kernels,
}


# --- the figure ------------------------------------------------------------------------------------------------------


def _figure(record: Record, said: str) -> Iterator[str]:
    """Yield the figure, or a sentence where matplotlib is not installed."""
    from kdegrad import figures

    if not said:
        return
    try:
        figures.require_matplotlib()
    except SettingError:
        yield paragraph("Without a figure: pip install 'kdegrad[plot]' adds matplotlib, which draws it.", "kd-quiet")
        return
    stream = io.BytesIO()
    of, title = record.result, ""
    if record.command == "verify-props":
        of, title = of.verdicts, "" if of.loss is None else of.loss["name"]
    per_bin = record.command == "grad --per-bin"
    figures.save(of, stream, format="svg", per_bin=per_bin, log=record.log, title=title)
    yield figure(stream.getvalue().decode("utf-8"), f"Figure: {said}")
