"""Reports as JSON: the fields of SPEC section 6, numbers in full precision, null for what is not finite."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from kdegrad.objective import Evaluation
from kdegrad.reports.facts import (
    BIN_COLUMNS,
    bin_rows,
    descent_facts,
    end_columns,
    gradient_facts,
    kernel_facts,
    loss_facts,
    point_columns,
    sweep_facts,
    sweep_rows,
)

if TYPE_CHECKING:
    from kdegrad.descent import Descent
    from kdegrad.sweeps import Sweep


def loss(evaluation: Evaluation) -> Iterator[str]:
    """Yield the report of ``kdegrad loss``."""
    yield from document(loss_facts(evaluation))


def gradient(evaluation: Evaluation, top: int | None, *, per_bin: bool) -> Iterator[str]:
    """Yield the report of ``kdegrad grad``, one line a point."""
    lists: dict[str, Iterable[Any]] = {"points": _records(point_columns(evaluation, top))}
    if per_bin:
        lists["per_bin"] = (dict(zip(BIN_COLUMNS, row, strict=True)) for row in bin_rows(evaluation))
    yield from document(loss_facts(evaluation) | gradient_facts(evaluation), lists)


def sweep(family: Sweep) -> Iterator[str]:
    """Yield the report of ``kdegrad sweep``, one line a kernel and value."""
    yield from document(sweep_facts(family), {"values": sweep_rows(family)})


def descent(done: Descent) -> Iterator[str]:
    """Yield the report of ``kdegrad descend``: every step of the course, and the points at the end."""
    points = end_columns(done.end.problem) | {"weight": done.end.weights}
    yield from document(
        descent_facts(done), {"course": (asdict(row) for row in done.course), "points": _records(points)}
    )


def kernels() -> Iterator[str]:
    """Yield the report of ``kdegrad kernels``."""
    yield from document({}, {"kernels": kernel_facts()})


def document(facts: dict[str, Any], lists: dict[str, Iterable[Any]] | None = None) -> Iterator[str]:
    """Yield one JSON object: `facts` a line each, then each of `lists` with an item a line, as they come."""
    separator = "{\n"
    for name, value in facts.items():
        yield f"{separator}  {json.dumps(name)}: {_dumps(value)}"
        separator = ",\n"
    for name, items in (lists or {}).items():
        yield f"{separator}  {json.dumps(name)}: ["
        before = "\n"
        for item in items:
            yield f"{before}    {_dumps(item)}"
            before = ",\n"
        yield "\n  ]"
        separator = ",\n"
    yield "\n}\n"


def _records(columns: dict[str, NDArray[Any]]) -> Iterator[dict[str, Any]]:
    """Yield one dictionary a row of the columns."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return (dict(zip(columns, row, strict=True)) for row in rows)


def _dumps(value: Any) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    """Return `value` with None for every number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
