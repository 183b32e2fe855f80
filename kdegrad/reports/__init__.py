"""What a person or a program reads. A renderer takes a result and returns text, in pieces; it computes nothing.

One file a form: `as_table.py` for people, `as_json.py` and `as_csv.py` for programs, `as_parquet.py` for what the CSV
holds; `verdicts.py` has the forms of ``verify-props``. Here the form is chosen; each is imported only when it is asked
for, as JSON does not wait for rich. `not_finite` is the sentence that a result without numbers comes with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, TYPE_CHECKING, assert_never

from kdegrad.output import Look

if TYPE_CHECKING:
    from kdegrad.descent import Descent, DescentStep
    from kdegrad.objective import Evaluation
    from kdegrad.sweeps import Sweep


class Format(StrEnum):
    """The forms of a report."""

    table = "table"
    json = "json"
    csv = "csv"


class VerdictFormat(StrEnum):
    """The forms of the report of ``verify-props``."""

    table = "table"
    json = "json"
    csv = "csv"
    junit = "junit"
    github = "github"


def loss(evaluation: Evaluation, form: Format, look: Look, integral: float | None = None) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``; in a table beside the `integral` that its bins stand for, if known."""
    match form:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.loss(evaluation, look, integral)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.loss(evaluation)
        case Format.csv:
            from kdegrad.reports import as_csv

            return as_csv.loss(evaluation)
        case _:
            assert_never(form)


def gradient(
    evaluation: Evaluation, form: Format, look: Look, *, top: int | None = None, per_bin: bool = False
) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``, of the `top` largest gradients or of every bin if asked for."""
    match form:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.gradient_per_bin(evaluation, look) if per_bin else as_table.gradient(evaluation, look, top)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.gradient(evaluation, top, per_bin=per_bin)
        case Format.csv:
            from kdegrad.reports import as_csv

            return as_csv.gradient_per_bin(evaluation) if per_bin else as_csv.gradient(evaluation, top)
        case _:
            assert_never(form)


def sweep(family: Sweep, form: Format, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad sweep``."""
    match form:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.sweep(family, look)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.sweep(family)
        case Format.csv:
            from kdegrad.reports import as_csv

            return as_csv.sweep(family)
        case _:
            assert_never(form)


def descent(done: Descent, form: Format, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad descend``: its course and end; as CSV the points at the end alone."""
    match form:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.descent(done, look)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.descent(done)
        case Format.csv:
            from kdegrad.reports import as_csv

            return as_csv.descent(done)
        case _:
            assert_never(form)


def tracer(stream: IO[bytes]) -> Callable[[DescentStep], None]:
    """Return what writes each step of a descent to `stream`, as CSV."""
    from kdegrad.reports import as_csv

    return as_csv.tracer(stream)


def kernels(form: Format, look: Look) -> Iterator[str]:
    """Yield the report of ``kdegrad kernels``."""
    match form:
        case Format.table:
            from kdegrad.reports import as_table

            return as_table.kernels(look)
        case Format.json:
            from kdegrad.reports import as_json

            return as_json.kernels()
        case Format.csv:
            from kdegrad.reports import as_csv

            return as_csv.kernels()
        case _:
            assert_never(form)


def not_finite(evaluation: Evaluation) -> str:
    """Return the sentence that says where the density is 0, or what overflowed, and what to do about it."""
    nodes = evaluation.diagnostics.uncovered
    kernel = evaluation.problem.kernel
    if not len(nodes) or kernel.tail != "compact":
        return (
            f"a number here is beyond the range of a float64 (|log K_h| or a gradient), with {kernel.name} at "
            f"bandwidth {kernel.bandwidth:g}: bring bandwidth, angles and target closer in size"
        )
    first = ", ".join(f"{node:.6g}" for node in nodes[:5]) + (", ..." if len(nodes) > 5 else "")
    return (
        f"the density is 0 at {len(nodes)} of {evaluation.problem.rule.bins} nodes ({first}), so the loss is infinite "
        "and the gradient undefined: widen the bandwidth, take a kernel without an edge, or add a --background"
    )
