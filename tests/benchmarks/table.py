"""A table of a benchmark in Markdown, which is readable on a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table under its title, the columns aligned."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    yield from (f"{title}:", "", lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:], "")


def seconds(value: float) -> str:
    """Return a time with three digits in a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
