"""JSON → points, or the tree of a problem.

Points are records, ``[{"angle": 50, "logit": 0.4}, ...]``, in JSON Lines one a line; or columns, ``{"angle": [...]}``,
or ``{"angle": {"0": 50, ...}}`` as pandas writes them. Any other object has the keys of a YAML problem.

The standard library parses, with numbers as they are written, so that the one grammar of numbers reads them. A fault
of a record is placed where the record begins.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final, final

from kdegrad.errors import InputError, SettingError
from kdegrad.reading.columns import require_groups
from kdegrad.reading.faults import Faults, place
from kdegrad.reading.nodes import DEEPEST, UNWRITABLE, ListNode, MapNode, Node, NodeError, Scalar, Where
from kdegrad.reading.points import TEXTS, Collector, Source
from kdegrad.settings import ReadingOptions
from kdegrad.text import shown, spoken

_RECORD: Final = '{"angle": 50, "logit": 0.4}'
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_LINE_END: Final = re.compile(r"[ \t\r]*(?:\n[ \t\n\r]*|\Z)")
_CONSTANTS: Final = {
    "NaN": "nan",
    "Infinity": "inf",
    "-Infinity": "-inf",
}  # which Python writes, as the grammar has them


def read_json(
    text: str,
    name: str,
    options: ReadingOptions,
    *,
    is_lines: bool = False,
    of_target: bool = False,
    problem_keys: Collection[str] = (),
) -> Source | Node:
    """Return the points of a JSON document; of an object with some of the keys of a problem its tree.

    InputError with a line for each fault, and its place. SettingError for an option that does not fit.
    """
    document = _Document(text, name)
    begin = document.skip(0)
    first = text[begin : begin + 1]
    if not first:
        raise InputError(f"{name}: is empty: write a list of records, [{_RECORD}, ...]")
    if first == "{" and not is_lines:
        whole, end = document.value(begin)
        end = document.skip(end)
        if end == len(text):
            if "problem" in whole and {"points", "loss"} & whole.keys():
                csv = spoken(
                    "what grad and descend write with --format csv can be read", "a CSV of its points can be read"
                )
                raise InputError(f"{name}: is a report of kdegrad, not its input: {csv}")
            has_angles = (options.angle_column or "angle") in whole and "points" not in whole
            if whole.keys() & set(problem_keys) and not has_angles:
                return document.node(begin)
            _require_table(name, options)
            return _columns(document, begin, whole, options, of_target=of_target)
        is_lines = text[end] == "{"  # JSON Lines under the suffix .json
        if not is_lines:
            raise document.fault(end, f"text behind the end of the JSON, {shown(text[end:])}: remove it")
    if first != "[" and not is_lines:
        value, _ = document.value(begin)
        raise document.fault(begin, f"{_kind(value)} in place of points: write a list of records, [{_RECORD}, ...]")
    _require_table(name, options)
    return _records(
        document,
        document.lines(begin) if is_lines else document.elements(begin, is_whole=True),
        options,
        of_target=of_target,
    )


def _require_table(name: str, options: ReadingOptions) -> None:
    """Refuse options that are for tables of text, or for groups that there are not."""
    require_groups(options)
    for option in ("delimiter", "decimal"):
        if getattr(options, option) is not None:
            raise SettingError(option, f"{name} is JSON, which has no delimiters and decimal points alone: remove it")


def _records(
    document: _Document, records: Iterator[tuple[int, Any]], options: ReadingOptions, *, of_target: bool
) -> Source:
    """Return the points of records, each of which `records` yields with where it begins."""
    columns: dict[str, list[Any]] = {}  # None for a record that does not have the key
    begins = array("q")
    for at, record in records:
        if not isinstance(record, dict):
            raise document.fault(at, f"{_kind(record)} in place of a record: write {_RECORD}")
        if record.keys() != columns.keys():
            columns |= {key: [None] * len(begins) for key in record if key not in columns}
            record = dict.fromkeys(columns) | record
        for key, value in record.items():
            columns[key].append(value)
        begins.append(at)
    if not begins:
        raise InputError(f"{document.name}: a list without records: write [{_RECORD}, ...]")
    return _points(
        document, begins[0], columns, options, lambda _, row: document.where(begins[row]), of_target=of_target
    )


def _columns(
    document: _Document, begin: int, whole: Mapping[str, Any], options: ReadingOptions, *, of_target: bool
) -> Source:
    """Return the points of an object with a list, or an object, for each column."""
    faults = Faults(document.name)
    columns, indices = dict[str, list[Any]](), list[Sequence[str]]()
    for key, value in whole.items():
        if isinstance(value, dict):
            columns[key] = list(value.values())
            indices.append(list(value))
        elif isinstance(value, list):
            columns[key] = value
        else:
            remedy = "" if of_target else "; beside settings the points have a key points"
            faults.add(
                document.where(begin), f"{shown(key)}: {_kind(value)} in place of a list: write [50, -75]{remedy}"
            )
    if len({len(values) for values in columns.values()}) > 1 or any(index != indices[0] for index in indices):
        lengths = ", ".join(f"{shown(column)} has {len(values)}" for column, values in columns.items())
        faults.add(
            document.where(begin), f"columns of unequal length or index: {lengths}: write one value for each point"
        )
    faults.stop_if_any()
    if not any(columns.values()):
        raise InputError(f"{document.name}: columns without points: write a list of records, [{_RECORD}, ...]")
    places: dict[str, list[int]] = {}  # where each cell of a column begins, found for columns with faults

    def where(column: str, row: int) -> Where:
        if column not in places:
            (at,) = (at for _, key, at in document.members(begin) if key == column)
            is_list = isinstance(whole[column], list)
            places[column] = (
                [x for x, _ in document.elements(at)] if is_list else [x for _, _, x in document.members(at)]
            )
        return document.where(places[column][row])

    return _points(document, begin, columns, options, where, of_target=of_target)


def _points(
    document: _Document,
    begin: int,
    columns: Mapping[str, Sequence[Any]],
    options: ReadingOptions,
    where: Callable[[str, int], Where],
    *,
    of_target: bool,
) -> Source:
    """Return the points of columns, each with as many values; `where` (column, row) is where a value is."""
    faults = Faults(document.name)
    names = [key.strip() for key in columns]
    here = place(document.name, *document.where(begin))
    points = Collector(names, options, faults, here, of_target=of_target)
    keys = {role: list(columns)[names.index(column)] for role, column in points.roles.items()}
    cells = {}
    for role, key in keys.items():
        cells[role] = _texts(columns[key])
        wrong = [row for row, value in enumerate(columns[key]) if isinstance(value, (list, dict))]
        if role in TEXTS and UNWRITABLE.search("".join(cells[role])):
            wrong += [row for row, text in enumerate(cells[role]) if UNWRITABLE.search(text)]

        def fault(row: int, key: str = key) -> str:
            value = columns[key][row]
            cause = "in place of one value" if isinstance(value, (list, dict)) else "with a character that no file has"
            return f"column {shown(key)}: {_kind(value)} {cause}"

        faults.add_each(wrong, partial(where, key), fault)
    points.take(cells, lambda role, row: where(keys[role], row))
    return points.source()


def _texts(values: Sequence[Any]) -> list[str]:
    """Return values as text: a null is empty, and so is, beside its fault, what is no single value."""
    if all(type(value) is str for value in values):
        return list(values)
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else "0" if isinstance(value, (list, dict)) else ""


def _kind(value: Any) -> str:
    """Return what a value is, for a message."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else shown(_text(value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys differ."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NodeError((), f"the key {shown(twice)} appears twice in one object: keep one")
    return entries


@final
class _Document:
    """A text in JSON, and where the values in it begin."""

    def __init__(self, text: str, name: str) -> None:
        self.name, self._text = name, text
        self._decoder = json.JSONDecoder(
            object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_CONSTANTS.__getitem__
        )

    @cached_property
    def _line_ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self._text)]

    def where(self, at: int) -> Where:
        """Return the line and the column of a place in the text."""
        line = bisect_left(self._line_ends, at)
        return (line + 1, at - (self._line_ends[line - 1] if line else -1))

    def fault(self, at: int, text: str) -> InputError:
        """Return the error for a fault at a place."""
        return InputError(f"{place(self.name, *self.where(at))}: {text}")

    def skip(self, at: int) -> int:
        """Return where the next character begins that is not blank."""
        found = _BLANKS.match(self._text, at)
        assert found is not None  # it may be empty
        return found.end()

    def value(self, at: int) -> tuple[Any, int]:
        """Return the value that begins at a place, with numbers as text, and where it ends."""
        try:
            return self._decoder.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self._invalid(error.pos, error.msg) from None
        except RecursionError:
            raise self.fault(at, f"nested more than {DEEPEST} levels deep: points need 2, a problem 4") from None
        except NodeError as error:
            raise self.fault(at, str(error)) from None

    def _invalid(self, at: int, said: str) -> InputError:
        said = said[:1].lower() + said[1:]
        return self.fault(at, f"not valid JSON, {said}: check quotes, commas and brackets")

    def elements(self, at: int, *, is_whole: bool = False) -> Iterator[tuple[int, Any]]:
        """Yield where each element of a list begins, and its value; `is_whole`: nothing may be behind the list."""
        at = self.skip(at + 1)
        while self._text[at : at + 1] != "]":
            value, end = self.value(at)
            yield at, value
            at = self.skip(end)
            if (mark := self._text[at : at + 1]) == ",":
                at = self.skip(at + 1)
            if (mark == ",") == (self._text[at : at + 1] == "]"):  # neither, or one behind the other
                raise self._invalid(at, "expecting ',' and another record, or ']'")
        if is_whole and (end := self.skip(at + 1)) < len(self._text):
            raise self.fault(end, f"text behind the end of the JSON, {shown(self._text[end:])}: remove it")

    def members(self, at: int) -> Iterator[tuple[int, str, int]]:
        """Yield where each key of an object that is valid begins, the key, and where its value begins."""
        at = self.skip(at + 1)
        while self._text[at] != "}":
            key, end = self.value(at)
            begin = self.skip(self.skip(end) + 1)
            yield at, key, begin
            at = self.skip(self.value(begin)[1])
            at = self.skip(at + 1) if self._text[at] == "," else at

    def lines(self, at: int) -> Iterator[tuple[int, Any]]:
        """Yield where each record of JSON Lines begins, and its value."""
        while at < len(self._text):
            value, end = self.value(at)
            yield at, value
            if (found := _LINE_END.match(self._text, end)) is None:
                raise self.fault(
                    end, f"text behind a record, {shown(self._text[end:].partition(chr(10))[0])}: write one a line"
                )
            at = found.end()

    def node(self, at: int, depth: int = 0) -> Node:
        """Return the node of the valid value that begins at a place, inside `depth` others."""
        mark, where = self._text[at], self.where(at)
        if mark in "[{" and depth == DEEPEST:
            raise self.fault(at, f"nested more than {DEEPEST} levels deep: a problem needs 4")
        if mark == "[":
            return ListNode([self.node(begin, depth + 1) for begin, _ in self.elements(at)], where)
        if mark == "{":
            members = self.members(at)
            return MapNode(
                {key: (Scalar(key, self.where(start)), self.node(begin, depth + 1)) for start, key, begin in members},
                where,
            )
        text = _text(self.value(at)[0])
        if odd := UNWRITABLE.search(text):
            raise self.fault(at, f"the character {shown(odd.group())} in {shown(text)}: remove it")
        return Scalar(text, where)
