"""CSV and TSV bytes → cells by column, or directly numbers where the file is plain.

There are two readers. `_plain_points` converts a table that contains only numbers as a whole; at the first peculiarity
it gives up, without a message. `_points_by_row` reads any table, row by row, and makes all messages. A test binds the
first to the second.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from kdegrad.errors import InputError
from kdegrad.grammar import reads_as_number, unguarded
from kdegrad.reading.points import Collector, Faults, Source, bare, place, plain_numbers
from kdegrad.settings import ReadingOptions
from kdegrad.text import enumerated, shown

DELIMITER_OF_FORMAT: Final[dict[str, str | None]] = {"csv": None, "tsv": "\t"}  # None: found from the header

_DELIMITERS: Final = (",", ";", "\t")  # tried when none is given; the first wins a tie


def read_table(data: bytes, name: str, options: ReadingOptions, usual: str | None) -> Source:
    """Return the points of the table `name`, whose `data` are UTF-8; `usual` is the delimiter of such files, if any.

    Raises
    ------
    InputError
        With a line for each fault: the line, the column's name, the value and the remedy.
    """
    # Lines may end in \n, \r\n or \r; no end is changed, since one may be text inside a quoted cell.
    lines = enumerate(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""), start=1)
    options = replace(options, decimal=options.decimal or ".")
    header = _read_header(lines, name, options, options.delimiter or usual)
    hint = ""
    if re.search(r":\s|:$", header.names[0]):
        hint = ", or give --input-format yaml"
    elif len(header.names) == 1:
        hint = ", or give the character between the columns with --delimiter"
    faults = Faults(name)
    points = Collector(header.names, options, faults, place(name, header.line), hint)
    if not _plain_points(data[header.end :], header, points, options):
        _points_by_row(lines, name, header, points, faults)
    return points.source()


@dataclass(frozen=True)
class _Header:
    """The header of a table: its line, the offset behind it, the names of the columns, what separates them."""

    line: int
    end: int
    names: list[str]
    delimiter: str


def _read_header(
    lines: Iterator[tuple[int, str]], name: str, options: ReadingOptions, delimiter: str | None
) -> _Header:
    """Return the header of a table, its first line that is neither blank nor a comment; the body remains in `lines`."""
    end = 0
    for number, line in lines:
        end += len(line.encode())
        text = line.strip(" \t\r\n")
        if text and text[0] != "#":
            here = place(name, number)
            break
    else:
        raise InputError(f"{name}: is empty: write a header such as angle,logit and a line for each point")
    splits: dict[str, list[str]] = {mark: [] for mark in (_DELIMITERS if delimiter is None else (delimiter,))}
    for mark in splits:
        with suppress(csv.Error):  # it would cut through a quoted cell
            splits[mark] = [bare(cell) for cell in next(csv.reader([line], delimiter=mark, strict=True))]
    angle = options.angle_column or "angle"

    def suits(names: list[str]) -> tuple[bool, bool, int]:
        return angle in names, angle in (name.lower() for name in names), len(names)

    mark = max(splits, key=lambda mark: suits(splits[mark]))
    names = splits[mark]
    if len(names) < 2 and not all(splits.values()):
        raise InputError(
            f"{here}: a quote in the header is not closed or has text behind it, or a name has more than "
            f"{csv.field_size_limit()} characters: correct it"
        )
    if all(reads_as_number(column, minus_infinity=True) for column in names):
        raise InputError(
            f"{here}: numbers ({shown(line.strip())}) in place of the header: write the names of the columns above "
            "them, such as angle,logit (without a '#')"
        )
    return _Header(number, end, names, mark)


def _plain_points(body: bytes, header: _Header, points: Collector, options: ReadingOptions) -> bool:
    """Take the points of a table that contains only numbers; return False if it must be read row by row."""
    if "label" in points.roles or not header.delimiter.isascii() or header.delimiter == " ":
        return False
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    width = len(header.names)
    row = header.delimiter.encode() * (width - 1) + b"\n"
    numbers = plain_numbers(body.rstrip(b"\n"), row, options.decimal)
    if numbers is None:
        return False
    rows = numbers.reshape(-1, width)
    cells = {role: np.ascontiguousarray(rows[:, header.names.index(name)]) for role, name in points.roles.items()}
    if "weight" in cells and cells["weight"].min() < 0.0:
        return False
    points.take(cells, lambda *_: ())
    return True


def _points_by_row(
    lines: Iterator[tuple[int, str]], name: str, header: _Header, points: Collector, faults: Faults
) -> None:
    """Take the points of any table, and all faults of its rows and cells."""
    texts: dict[str, list[str]] = {role: [] for role in points.roles}
    wanted = [(header.names.index(column), texts[role].append) for role, column in points.roles.items()]
    begins: list[int] = []  # the line of each row
    for line, row in _records(lines, header, faults):
        if len(row) == len(header.names):
            begins.append(line)
            for index, append in wanted:
                append(row[index])
        else:
            faults.add((line,), partial(_ragged, row, header))
    if not begins:
        faults.stop_if_any()
        raise InputError(f"{place(name, header.line)}: a header but no points: write a line for each point below it")
    if "label" in texts:
        texts["label"] = [unguarded(cell) for cell in texts["label"]]
    points.take(texts, lambda _, row: (begins[row],))


def _records(lines: Iterator[tuple[int, str]], header: _Header, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """Yield the line in which each record begins, and its cells; a fault of its quotes ends the table.

    Lines are counted as an editor counts them. Blank lines and comments are skipped between records only: inside a
    quoted cell they are text.
    """
    blanks = " \t\r\n".replace(header.delimiter, "")  # a line of delimiters is a row of empty cells
    begun: list[int] = []  # the line of the record that is not complete, if there is one

    def physical_lines() -> Iterator[str]:
        for line, text in lines:
            if not begun:
                stripped = text.strip(blanks)
                if not stripped or stripped[0] == "#":
                    continue
                begun.append(line)
            yield text

    try:
        for row in csv.reader(physical_lines(), delimiter=header.delimiter, strict=True):
            yield begun.pop(), row
    except csv.Error as error:
        if "expected after" in str(error):
            fault = (
                "text behind the closing quote of a cell: leave nothing behind it, not even a space, and write a quote "
                "inside a cell twice"
            )
        elif "field limit" in str(error):
            fault = (
                f"a cell of more than {csv.field_size_limit()} characters begins here: close its quote, or shorten it"
            )
        else:
            fault = "a quote opens here and is not closed: close it, or remove it"
        faults.add((begun[0],), fault)


def _ragged(row: Sequence[str], header: _Header) -> str:
    """Return the message for a row that is longer or shorter than the header."""
    text = header.delimiter.join(row)
    cells = f"{len(row)} cell{'' if len(row) == 1 else 's'} in {shown(text)}, separated by {shown(header.delimiter)}"
    columns = f"{len(header.names)} column{'' if len(header.names) == 1 else 's'} ({enumerated(header.names)})"
    remedy = "quote a cell that contains the delimiter" if len(row) > len(header.names) else "add the missing cells"
    return f"{cells}, but the header has {columns}: {remedy}"
