"""CSV and TSV → points: a table is read in blocks of lines.

There are two readers of a block. `take_plain` cuts one into columns as a whole if each of its lines is a row, without
comments and blank lines, and quotes are around whole cells; else it gives up, without a message. `take_by_row` reads
any block, row by row. A test compares the two.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final

from kdegrad import grammar
from kdegrad.arrays import Texts
from kdegrad.errors import InputError
from kdegrad.grammar import WHITESPACE, is_missing, reads_as_number, unguarded
from kdegrad.reading.faults import Faults, place
from kdegrad.reading.files import Block
from kdegrad.reading.plain import cut_rows
from kdegrad.reading.points import TEXTS, Cells, Collector, Source, bare, coded, counted_notes
from kdegrad.settings import ReadingOptions
from kdegrad.text import counted, enumerated, shown, spoken

DELIMITER_OF_FORMAT: Final[dict[str, str | None]] = {"csv": None, "tsv": "\t"}  # None: found from the header

_DELIMITERS: Final = ",;\t|"  # tried when none is given; the first wins a tie
_BLANKS: Final = " \t\r\n"
_COMMENTS: Final = (
    "has lines that begin with '#' and have as many cells as the header ({} of them): they are left out as comments; "
    "to keep such a row, quote its first cell"
)
# A first line by which spreadsheets tell the delimiter, which may be a tab.
_TOLD: Final = re.compile(r'[ \t]*"?sep=(.)"?[ \t]*', re.IGNORECASE)
# A header whose names are all quoted: the commas between them separate cells.
_QUOTED_NAMES: Final = re.compile(r'"(?:[^"]|"")*+"(?:,"(?:[^"]|"")*+")+[ \t]*(?:[\r\n]|\Z)')
_QUOTED_OR_BLANKS: Final = re.compile(r'(?<![^ \t])"(?:[^"]|"")*"?|[ \t]+')
_BLANKS_OF_BYTES: Final = re.compile(rb"[ \t]+")


def read_table(
    blocks: Iterable[Block], name: str, options: ReadingOptions, usual: str | None, *, of_target: bool = False
) -> Source:
    """Return the points of the table `name`; `usual` is the delimiter of such files, None: its header tells.

    The delimiter is the one of the options, else that of a first line ``sep=;``, else the usual one. The options are
    for the points of INPUT: no message about a table of target points (`of_target`) names one.

    Raises
    ------
    InputError
        With a line for each fault: the line, the column's name, the value and the remedy.
    """
    table = _begun(blocks, name, options, usual, of_target=of_target)
    for _ in table.take_all():
        pass
    if not table.points.count:
        table.faults.stop_if_any()
        comments = f" (comments that look like some: {table.comments})" if table.comments else ""
        raise InputError(
            f"{place(name, table.header.line)}: a header but no points{comments}: write a line for each point below it"
        )
    source = table.points.source()
    return replace(source, notes=(*source.notes, *counted_notes(table.counts())))


def parts_of_table(
    blocks: Iterable[Block], name: str, options: ReadingOptions, usual: str | None, rows: int, are_whole: bool
) -> Iterator[Source]:
    """Yield the points of a table in parts of about so many rows, the last of which has the notes; as `read_table`.

    `are_whole` is that of `Collector.part`.
    """
    table = _begun(blocks, name, options, usual)
    for _ in table.take_all():
        if table.points.held >= rows:
            yield table.points.part()
    last = table.points.part(is_last=True, are_whole=are_whole)
    yield replace(last, counts={**last.counts, **table.counts()})


def _begun(
    blocks: Iterable[Block], name: str, options: ReadingOptions, usual: str | None, *, of_target: bool = False
) -> _Table:
    """Return a table of which the header is read."""
    if not of_target:
        options = replace(options, decimal=options.decimal or ".")
    blocks = iter(blocks)
    header = _read_header(blocks, name, options, usual)
    faults = Faults(name)
    hint = "" if of_target else header.hint
    points = Collector(header.names, options, faults, place(name, header.line), hint, of_target=of_target)
    return _Table(header, points, faults, chain([header.body], blocks), options)


@dataclass(frozen=True)
class _Header:
    """The header of a table: its line, the names of the columns, what separates them, the lines behind it."""

    line: int
    names: list[str]
    delimiter: str
    body: Block
    comma_is_decimal: bool

    @property
    def hint(self) -> str:
        """What may be wrong if it does not have the columns that are wanted."""
        if re.search(r":\s|:$", self.names[0]):
            return spoken(", or give --input-format yaml", ", or give input_format='yaml'")
        if len(self.names) > 1:
            return ""
        given = spoken("--delimiter", "delimiter=CHARACTER")
        with_delimiter = f", or give the character between the columns with {given}"
        if self.comma_is_decimal and self.delimiter != "," in self.names[0]:
            delimiter, decimal = spoken("--delimiter ,", "delimiter=','"), spoken("--decimal ,", "decimal=','")
            return f", or give {delimiter} too, if numbers with a decimal comma are in quotes, or leave out {decimal}"
        if len(self.names[0].split()) > 1:
            return with_delimiter + spoken(", or --delimiter whitespace", ", or delimiter='whitespace'")
        return with_delimiter


def _read_header(blocks: Iterator[Block], name: str, options: ReadingOptions, usual: str | None) -> _Header:
    """Return the header of a table, its first record that is neither blank nor a comment."""
    delimiter, is_empty = options.delimiter, True
    for block in blocks:
        lines = io.StringIO(block.data.decode(), newline="")  # lines may end in \n, \r\n or \r
        for number, line in enumerate(lines, start=block.line):
            text = line.strip(_BLANKS)
            is_empty = is_empty and not text
            if number == 1 and (told := _TOLD.fullmatch(line.rstrip("\r\n"))):
                delimiter = delimiter or _told_for_spreadsheets(told[1], place(name, 1))
            elif text.strip(_empty(delimiter or usual or _DELIMITERS)) and text[0] != "#":
                rest = line + lines.read()
                # Where a quoted name goes on in the next block, the quotes so far are an odd number.
                while rest.count('"') % 2 and len(rest) < 2 * csv.field_size_limit() and (more := next(blocks, None)):
                    rest += more.data.decode()
                known = delimiter or usual
                comma_is_decimal = options.decimal == "," and not _QUOTED_NAMES.match(rest.lstrip(_BLANKS))
                marks = [known] if known else [mark for mark in _DELIMITERS if mark != "," or not comma_is_decimal]
                return _best_header(rest, number, marks, name, options)
    what = "is empty" if is_empty else "has no header"
    raise InputError(f"{name}: {what}: write a header such as angle,logit and a line for each point")


def _told_for_spreadsheets(mark: str, here: str) -> str:
    """Return the delimiter that a first line ``sep=;`` names."""
    try:
        return grammar.delimiter(mark)
    except ValueError as error:
        raise InputError(f"{here}: sep={mark}: {error}") from None


def _best_header(text: str, line: int, marks: Sequence[str], name: str, options: ReadingOptions) -> _Header:
    """Return the header that `text` begins with, by the delimiter that makes the most of it."""
    here, angle = place(name, line), options.angle_column or "angle"
    faults, headers = [], []
    for mark in marks:
        lines = io.StringIO(text, newline="")
        try:
            names = [bare(cell) for cell in next(_parsed(lines, mark))]
        except csv.Error as error:  # it would cut through a quoted cell
            faults.append(f"{here}: in the header, {_quoting(error, text, mark)}")
            continue
        read = text[: lines.tell()]
        ends = read.count("\n") + read.count("\r") - read.count("\r\n")
        body = Block(line + ends, text[len(read) :].encode())
        headers.append(_Header(line, names, mark, body, options.decimal == ","))
    best = max(
        headers,
        key=lambda header: (
            angle in header.names,
            angle in (column.lower() for column in header.names),
            len(header.names),
        ),
        default=None,
    )
    if best is None or (faults and len(best.names) < 2):
        raise InputError(faults[0])
    if all(reads_as_number(column, minus_infinity=True) for column in best.names):
        first = text.splitlines()[0].strip()
        raise InputError(
            f"{here}: numbers ({shown(first)}) in place of the header: write the names of the columns above "
            "them, such as angle,logit (without a '#')"
        )
    return best


def _parsed(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Return the cells of each record of the `lines`; its iterator raises csv.Error for a fault of the quotes."""
    if delimiter != WHITESPACE:
        return csv.reader(lines, delimiter=delimiter, strict=True)

    def tabbed(line: str) -> str:
        return _QUOTED_OR_BLANKS.sub(lambda found: found[0] if found[0][0] == '"' else "\t", line.strip(_BLANKS))

    # a quoted cell ends in its line here
    return chain.from_iterable(csv.reader([tabbed(line)], delimiter="\t", strict=True) for line in lines)


def _quoting(error: csv.Error, text: str, delimiter: str) -> str:
    """Return what is wrong with the quotes of the record that `text` begins with, or that a cell is too long."""
    if "field limit" in str(error):
        return f"a cell has more than {csv.field_size_limit()} characters: close its quote, or shorten it"
    mark = r"[ \t]+" if delimiter == WHITESPACE else re.escape(delimiter)
    inner = r"\s" if delimiter == WHITESPACE else rf"{mark}\r\n"
    sound = re.compile(rf'(?:(?:"(?:[^"]|"")*+"(?!")|(?!")[^{inner}]*+){mark})*+').match(text)
    cell = shown(text[sound.end() if sound else 0 :].split("\n")[0].strip("\r"))
    if "expected after" in str(error):
        return (
            f"text behind the closing quote of a cell, {cell}: leave nothing behind it, not even a space, and write a "
            "quote inside a cell twice"
        )
    return f"a quote opens and is not closed, {cell}: close it, or remove it"


class _Table:
    """A table whose rows are taken block by block.

    Parameters
    ----------
    blocks
        What follows the block that is taken: a quoted cell may go on there.
    """

    def __init__(
        self, header: _Header, points: Collector, faults: Faults, blocks: Iterator[Block], options: ReadingOptions
    ) -> None:
        self.header, self.points, self.faults, self.blocks = header, points, faults, blocks
        self.decimal = options.decimal
        self.comments = 0  # that may have been meant as rows
        self.width = len(header.names)
        self.columns = {role: header.names.index(column) for role, column in points.roles.items()}

    def take_all(self) -> Iterator[None]:
        """Take the rows of all blocks, and yield after each."""
        for block in self.blocks:  # `take_by_row` takes further ones where a quoted cell goes on
            if not self.take_plain(block):
                self.take_by_row(block)
            yield

    def take_plain(self, block: Block) -> bool:
        """Take the rows of a block if each of its lines is one; False: it must be read row by row."""
        mark, body = self.header.delimiter, block.data
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n")
        if not mark.isascii() or mark == " " or b"\r" in body:
            return False
        if mark == WHITESPACE:
            mark, body = "\t", _BLANKS_OF_BYTES.sub(b"\t", body)
            body = body.replace(b"\t\n", b"\n").replace(b"\n\t", b"\n").strip(b"\t")
        rows = cut_rows(body.strip(b"\n"), mark, self.width)
        if rows is None or rows.longest > csv.field_size_limit():
            return False
        if b"#" in body and any(cell.lstrip(b" \t").startswith(b"#") for cell in rows.cells(0)):
            return False  # a comment, perhaps
        cells: dict[str, Cells] = {}
        for role, column in self.columns.items():
            if role in TEXTS:
                cells[role] = rows.coded(column)
                continue
            numbers = rows.numbers(column, self.decimal, minus_infinity=role == "logit")
            if role == "weight" and numbers is not None and numbers.min() < 0.0:
                numbers = None  # a fault is shown as it is written
            cells[role] = rows.texts(column) if numbers is None else numbers
        angles = cells["angle"]
        if isinstance(angles, list) and not all(map(str.strip, angles)):
            empty = [row for row, text in enumerate(angles) if not text.strip()]
            if not all(rows.line(row).strip(_empty(mark).encode()) for row in empty):
                return False  # a row of delimiters alone
        begin = block.line + len(body) - len(body.lstrip(b"\n"))
        self._take(cells, range(begin, begin + len(rows)))
        return True

    def _take(self, cells: dict[str, Cells], lines: Sequence[int]) -> None:
        """Take a block of rows, of which each begins in one of the `lines`."""
        for role in TEXTS & cells.keys():
            texts = coded(cells[role])
            if "'" in "".join(texts.each):
                cells[role] = Texts([unguarded(text) for text in texts.each], texts.codes)
        self.points.take(cells, lambda _, row: (lines[row],))

    def take_by_row(self, block: Block) -> None:
        """Take the rows of any block, and all faults of its rows and cells."""
        texts: dict[str, list[str]] = {role: [] for role in self.columns}
        wanted = [(column, texts[role].append) for role, column in self.columns.items()]
        begins: list[int] = []  # the line of each row
        for line, row in self._records(block):
            if len(row) == self.width:
                begins.append(line)
                for column, append in wanted:
                    append(row[column])
            else:
                self.faults.add((line,), partial(_ragged, row, self.header))
        self._take(dict(texts), begins)

    def _records(self, block: Block) -> Iterator[tuple[int, list[str]]]:
        """Yield the line in which each record begins, and its cells; a fault of its quotes ends the table.

        Lines are counted as an editor counts them. Blank lines and comments are skipped between records only: inside a
        quoted cell they are text.
        """
        mark = self.header.delimiter
        skipped = _empty(mark) + "#"  # what they may begin with
        begun: list[tuple[int, str]] = []  # the lines of the record that is not complete, if there is one: number, text

        def physical_lines() -> Iterator[str]:
            for now in chain([block], self.blocks):
                for line, text in enumerate(io.StringIO(now.data.decode(), newline=""), start=now.line):
                    if not begun and text[0] in skipped and self._is_skipped(text):
                        continue
                    begun.append((line, text))
                    yield text
                if not begun:
                    return

        try:
            for row in _parsed(physical_lines(), mark):
                line = begun[0][0]
                begun.clear()
                yield line, row
        except csv.Error as error:
            text = "".join(text for _, text in begun)
            self.faults.add((begun[0][0],), _quoting(error, text, mark))
            for _ in self.blocks:  # what follows cannot be told apart; but it must be text
                pass

    def _is_skipped(self, text: str) -> bool:
        """Return whether a line is blank, but for delimiters, or a comment."""
        mark = self.header.delimiter
        if not text.strip(_empty(mark)):
            return True
        before = _BLANKS.replace(mark, "")  # a tab may be an empty first cell
        if text.lstrip(before)[0] != "#":
            return False
        self.comments += self._is_row(text)
        return True

    def _is_row(self, comment: str) -> bool:
        """Return whether a comment may have been meant as a row: it has as many cells as the header."""
        mark, text = self.header.delimiter, comment.strip()
        if '"' in text:
            try:
                cells = next(_parsed(iter([text]), mark))
            except csv.Error:
                return False
        else:  # there may be many, and a csv.reader for each takes long
            cells = re.split(r"[ \t]+", text) if mark == WHITESPACE else text.split(mark)
        return len(cells) == self.width and (self.width > 1 or _is_value(cells[0].lstrip("# ")))

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Return what the user should know about the rows, as `kdegrad.reading.points.Source.counts`."""
        return {_COMMENTS: (self.comments,)}


def _empty(delimiters: str) -> str:
    """Return the characters of a line that counts as blank."""
    return _BLANKS if delimiters == WHITESPACE else _BLANKS + delimiters


def _is_value(text: str) -> bool:
    return text != "" and (is_missing(text) or reads_as_number(text))


def _ragged(row: Sequence[str], header: _Header) -> str:
    """Return the message for a row that is longer or shorter than the header."""
    mark = header.delimiter
    is_space = mark == WHITESPACE
    text = (" " if is_space else mark).join(row)
    separator = WHITESPACE if is_space else shown(mark)
    cells = f"{counted(len(row), 'cell')} in {shown(text)}, separated by {separator}"
    columns = f"{counted(len(header.names), 'column')} ({enumerated(header.names)})"
    if len(row) < len(header.names):
        remedy = "add the missing cells"
        if not header.names[-1] and len(row) == len(header.names) - 1:
            remedy = f"remove the {separator} at the end of the header, or add one at the end of each row"
    elif not row[-1].strip() and len(row) == len(header.names) + 1:
        remedy = f"remove the {separator} at the end of the row, or add one at the end of the header"
    elif any(re.match(r'\s+"', cell) for cell in row):
        remedy = f"remove the blank before the quote: a quote counts only directly behind the {separator}"
    else:
        remedy = "quote a cell that contains the delimiter"
    return f"{cells}, but the header has {columns}: {remedy}"
