"""CSV and TSV bytes → cells by column, or at once numbers when the file is clean.

Two roads lead through a table. `_clean` takes a file of nothing but numbers as a whole; it gives up at the first
oddity and never makes a message. `_careful` reads any file, row by row, and makes all messages. A test binds the
one to the other.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from kdegrad.errors import InputError, SettingError
from kdegrad.grammar import reads_as_number, unguarded
from kdegrad.reading.decimals import DIGITS_AND_SIGNS, plain_numbers
from kdegrad.reading.points import Columns, Faults, Source, Table, bare, overlooked, place, source_of
from kdegrad.text import enumerated, shown

MARK_OF_FORMAT: Final[dict[str, str | None]] = {"csv": None, "tsv": "\t"}  # None: found from the header

_MARKS: Final = (",", ";", "\t")  # what parts cells when nobody says; the first wins a tie
_NEVER_MARKS: Final = '"#\r\n\0' + DIGITS_AND_SIGNS.decode()
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


def delimiter_mark(text: str) -> str:
    r"""Return the character that a ``--delimiter`` means; a tab may be written ``tab`` or ``\t``.

    Raises
    ------
    SettingError
        If it is not one character, or one that cells are written with.
    """
    mark = "\t" if text.lower() in ("tab", "\\t") else text
    if len(mark) != 1:
        raise SettingError("delimiter", f"{shown(text)} is not one character: give , or ; or tab")
    if mark in _NEVER_MARKS:
        raise SettingError(
            "delimiter", f"{shown(text)} is written inside cells and cannot part them: give , or ; or tab"
        )
    return mark


def read_table(data: bytes, name: str, columns: Columns, delimiter: str | None) -> Source:
    """Return the points of a table.

    Parameters
    ----------
    data
        The file, UTF-8.
    name
        The file's name, for messages.
    columns
        The columns that were named.
    delimiter
        The character that parts cells, or None to find it from the header.

    Raises
    ------
    InputError
        With a line for each fault: the line, the column's name, the value and the remedy.
    """
    lines = _Lines(data)
    header = _read_header(lines, name, columns, delimiter)
    roles = columns.choose(header.names, place(name, header.line), _hint(header.names))
    return overlooked(_clean(data, name, header, roles) or _careful(lines, name, header, roles), header.names)


def _hint(names: Sequence[str]) -> str:
    """Return what else may be amiss with a header: that it is none, that it is not parted."""
    if re.search(r":\s|:$", names[0]):
        return ", or say --input-format yaml"
    return ", or what parts the columns with --delimiter" if len(names) == 1 else ""


@dataclass(frozen=True)
class _Header:
    """The first line of a table: the names of its columns, and what parts them."""

    line: int
    names: list[str]
    delimiter: str


class _Lines:
    """The physical lines of a table for csv.reader, counted as an editor counts them.

    Blank lines and comments are left out between records only: inside a quoted cell they are its text. So whoever
    takes a record from csv.reader must say so, with `record_taken`.
    """

    def __init__(self, data: bytes) -> None:
        self._lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
        self._read = 0
        self._inside = False
        self.blanks = " \t\r\n"  # what a blank line may hold
        self.start = 0  # the line that the present record begins in

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            self._read += 1
            if self._inside:
                return line
            text = line.strip(self.blanks)
            if text and text[0] != "#":
                self._inside = True
                self.start = self._read
                return line
        raise StopIteration

    def record_taken(self) -> None:
        """Let the next line begin a new record."""
        self._inside = False


def _read_header(lines: _Lines, name: str, columns: Columns, delimiter: str | None) -> _Header:
    """Return the header of a table, and leave `lines` behind it."""
    line = next(lines, None)
    if line is None:
        raise InputError(f"{name}: is empty: write a header such as angle,logit and a line for each point")
    here = place(name, lines.start)
    lines.record_taken()
    marks = _MARKS if delimiter is None else (delimiter,)
    splits = {mark: _column_names(line, mark) for mark in marks}
    angle = columns.names()["angle"]
    mark = max(marks, key=lambda mark: (angle in splits[mark], len(splits[mark])))
    names = splits[mark]
    if len(names) < 2 and not all(splits.values()):
        raise InputError(
            f"{here}: a quote in the header is not closed or has text behind it, or a name has more than "
            f"{csv.field_size_limit()} characters: mend it"
        )
    if all(reads_as_number(name, minus_infinity=True) for name in names):
        raise InputError(
            f"{here}: numbers ({shown(line.strip())}) where the header should be: write the names of the columns "
            "above them, such as angle,logit (and without a '#')"
        )
    lines.blanks = lines.blanks.replace(mark, "")  # a line of tabs is a row of empty cells where tabs part them
    twice = [column for column, count in Counter(names).items() if column and count > 1]
    if twice:
        raise InputError([f"{here}: the column {shown(column)} is there twice: rename or drop one" for column in twice])
    return _Header(lines.start, names, mark)


def _column_names(line: str, mark: str) -> list[str]:
    """Return the cells of a header that `mark` would part; none if it cuts through a quoted cell."""
    try:
        return [bare(cell) for cell in next(csv.reader([line], delimiter=mark, strict=True))]
    except csv.Error:
        return []


def _clean(data: bytes, name: str, header: _Header, roles: Mapping[str, str]) -> Source | None:
    """Return the points of a table of plain numbers, or None where a closer look is wanted."""
    if "label" in roles or not header.delimiter.isascii() or header.delimiter == " ":
        return None
    body = data[_end_of_line(data, header.line) :]
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    width = len(header.names)
    cells = plain_numbers(body.rstrip(b"\n"), header.delimiter.encode() * (width - 1) + b"\n")
    if cells is None:
        return None
    rows = cells.reshape(-1, width)
    values = {role: np.ascontiguousarray(rows[:, header.names.index(column)]) for role, column in roles.items()}
    if "weight" in values and values["weight"].min() < 0.0:
        return None
    return source_of(name, values)


def _careful(lines: _Lines, name: str, header: _Header, roles: Mapping[str, str]) -> Source:
    """Return the points of any table; every fault of its rows and cells is told from here."""
    faults = Faults(name)
    width = len(header.names)
    cells: dict[str, list[str]] = {role: [] for role in roles}
    wanted = [(header.names.index(column), cells[role]) for role, column in roles.items()]
    starts: list[int] = []
    try:
        for row in csv.reader(lines, delimiter=header.delimiter, strict=True):
            lines.record_taken()
            if len(row) != width:
                faults.add((lines.start,), partial(_ragged, row, header))
                continue
            starts.append(lines.start)
            for index, column in wanted:
                column.append(row[index])
    except csv.Error as error:
        faults.add((lines.start,), _broken_quotes(str(error)))
    else:
        if lines.start == header.line:
            raise InputError(f"{place(name, header.line)}: a header and no points: write a line for each below it")
    if "label" in cells:
        cells["label"] = [unguarded(cell) for cell in cells["label"]]
    return Table(name, roles, cells, lambda _, row: (starts[row],)).source(faults)


def _ragged(row: Sequence[str], header: _Header) -> str:
    """Return the message for a row that is longer or shorter than the header."""
    text = header.delimiter.join(row)
    cells = f"{len(row)} cell{'' if len(row) == 1 else 's'} in {shown(text)}, parted by {shown(header.delimiter)}"
    columns = f"{len(header.names)} column{'' if len(header.names) == 1 else 's'} ({enumerated(header.names)})"
    remedy = "quote a cell that holds the delimiter" if len(row) > len(header.names) else "fill in what is missing"
    return f"{cells}, where the header has {columns}: {remedy}"


def _broken_quotes(error: str) -> str:
    """Return the message for a record in which csv.reader lost its way."""
    if "expected after" in error:
        return (
            "text behind the closing quote of a cell: leave nothing behind it, not even a space, and write a quote "
            "inside a cell twice"
        )
    if "field limit" in error:
        return f"a cell of more than {csv.field_size_limit()} characters begins here: close its quote, or shorten it"
    return "a quote opens here and is not closed: close it, or take it away"


def _end_of_line(data: bytes, line: int) -> int:
    """Return the offset behind the first `line` lines."""
    end = 0
    for _ in range(line):
        found = _LINE_END.search(data, end)
        end = len(data) if found is None else found.end()
    return end
