"""Reports as JSON: numbers in full precision, null for what is not finite."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

from kdegrad import __version__
from kdegrad.reports.records import Record, rows_of


def text(record: Record) -> Iterator[str]:
    """Yield one JSON object: a line for each fact, then the tables, a line for each row, as they come."""
    separator = "{\n"
    for name, value in ({"kdegrad": __version__, "input": record.input} | record.facts).items():
        yield f"{separator}  {json.dumps(name)}: {json.dumps(_finite(value), allow_nan=False)}"
        separator = ",\n"
    for table in record.tables:
        yield f"{separator}  {json.dumps(table.name)}: ["
        before = "\n"
        for row in chain.from_iterable(map(rows_of, table.blocks())):
            fields = dict(zip(table.header, map(_finite, row), strict=True))
            yield f"{before}    {json.dumps(fields, allow_nan=False)}"
            before = ",\n"
        yield "\n  ]"
        separator = ",\n"
    yield "\n}\n"


def _finite(value: Any) -> Any:
    """Return `value` with None for every number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
