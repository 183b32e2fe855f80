"""Reports: a record of a result (`records.py`) as text in one of several formats.

A renderer takes a record and yields text, in pieces; it computes nothing. `as_json.py` and `as_csv.py` are for
programs, `as_parquet.py` writes the table of the CSV, `as_table.py` and `as_html.py` are for people, `as_ci.py` is for
a CI. The format is chosen here; its module is imported only then, so that JSON does not wait for rich.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, Final, assert_never

from kdegrad.errors import SettingError
from kdegrad.output import Look

if TYPE_CHECKING:
    from kdegrad.descent import Descent, DescentStep
    from kdegrad.evaluation import BatchEvaluation, Evaluation
    from kdegrad.problem import Problem
    from kdegrad.properties import Verdicts
    from kdegrad.reports.records import Record
    from kdegrad.sweeps import Sweep


class Format(StrEnum):
    """The formats of a report; ``junit`` and ``github`` are for checks alone."""

    table = "table"
    json = "json"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    html = "html"
    junit = "junit"
    github = "github"


SUFFIXES: Final = {
    ".txt": Format.table,
    ".json": Format.json,
    ".csv": Format.csv,
    ".tsv": Format.tsv,
    ".parquet": Format.parquet,
    ".html": Format.html,
    ".xml": Format.junit,
}
ROWS: Final = (Format.csv, Format.tsv, Format.parquet)  # one table, without the facts


def write(record: Record, format_: Format, look: Look, stream: IO[bytes]) -> None:
    """Write the report to `stream`, its text in UTF-8; as `render`, and also as Parquet."""
    if format_ is Format.parquet:
        from kdegrad.reports import as_parquet

        as_parquet.write(record.rows, stream)
    else:
        stream.writelines(piece.encode("utf-8") for piece in render(record, format_, look))


def record_of(result: Evaluation | BatchEvaluation | Problem | Sweep | Descent | Verdicts) -> Record:
    """Return the record of a result: of an evaluation with finite gradients that of ``grad``, else of ``loss``.

    A problem is evaluated for that of ``loss``.
    """
    from kdegrad.descent import Descent
    from kdegrad.evaluation import BatchEvaluation, Evaluation
    from kdegrad.objective import evaluate
    from kdegrad.overview import Overview
    from kdegrad.problem import Problem
    from kdegrad.reports import group_records, records

    match result:
        case Evaluation():
            has_gradients = result.gradients is not None and result.is_finite
            return records.gradient_record(result) if has_gradients else records.loss_record(result)
        case BatchEvaluation():
            make = group_records.loss_record if result.gradients is None else group_records.gradient_record
            return make(Overview.of(result))
        case Problem():
            return records.loss_record(evaluate(result, wrt=()))
        case Descent():
            return records.descent_record(result)
        case list():
            return records.checks_record(records.Checks(result))
        case _:
            return records.sweep_record(result)


def in_notebook(result: Any) -> str:
    """Return what a notebook shows of a result: a part of a page."""
    from kdegrad.reports import as_html

    return as_html.part(record_of(result))


def render(record: Record, format_: Format, look: Look) -> Iterator[str]:
    """Yield the report as text; `look` is for a table.

    Raises
    ------
    SettingError
        For a format that is for checks, where none were made; for Parquet, which is not text.
    """
    match format_:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.WRITERS[record.command](record, look)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.text(record)
        case Format.csv | Format.tsv:
            from kdegrad.reports import as_csv

            return as_csv.text(record.rows, "," if format_ is Format.csv else "\t")
        case Format.parquet:
            raise SettingError("format", "Parquet is not text: name a file with --output FILE.parquet")
        case Format.html:
            from kdegrad.reports import as_html

            return as_html.page(record)
        case Format.junit | Format.github:
            if record.command != "verify-props":
                said = f"{format_} reports checks, and {record.command} makes none: choose table, json, csv or html"
                raise SettingError("format", said, "--format")
            from kdegrad.reports import as_ci

            return as_ci.junit(record.result) if format_ is Format.junit else as_ci.github(record.result)
        case _:
            assert_never(format_)


def write_step(now: DescentStep, stream: IO[bytes], separator: str = ",") -> None:
    """Write one step of a descent to `stream`, as CSV with a row for each point; the header with step 0."""
    from kdegrad.reports import as_csv, records

    pieces = as_csv.text(records.trace_table(now), separator)
    if now.step > 0:
        next(pieces)
    stream.writelines(piece.encode("utf-8") for piece in pieces)
