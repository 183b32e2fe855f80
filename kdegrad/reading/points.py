"""Cells by column → angles, logits, labels: what tables, YAML documents and Parquet files have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray, Texts
from kdegrad.errors import InputError
from kdegrad.grammar import is_missing, number
from kdegrad.reading.columns import chosen_columns, flag_of
from kdegrad.reading.faults import NO_TARGET_WEIGHT, Faults
from kdegrad.reading.files import display_name
from kdegrad.reading.groups import MISSING, TARGETS, Grouping, Groups
from kdegrad.reading.plain import PLAIN, SWAPPED, plain_numbers
from kdegrad.settings import ReadingOptions
from kdegrad.text import counted, enumerated, option_text, shown, spoken
from kdegrad.weights import NO_WEIGHT, logits_of

TEXTS: Final = frozenset({"group", "label"})  # roles of columns that hold texts, not numbers

_LEFT_OUT: Final = "has {} of {} rows with a missing value: they are left out"
_CELLS: Final = 3  # that a message shows of a column
_WHOLE: Final = 2.0**53  # below it a float holds each integer
_NAMED: Final = 5  # groups that a note names
_SOME: Final = 100  # rows of a block, all over it, that these are looked for in
_FEWEST: Final = 4  # cells of a column that is refused as a whole; fewer faults are listed

_NO_NUMBER: Final = re.compile(rb'[^\s\x1c-\x1f"infINF\x80-\xff]')  # besides those of numbers: never in one


@dataclass(frozen=True, eq=False)
class Source:
    """The checked content of a file.

    Attributes
    ----------
    name
        The file, for messages.
    angles
        Shape (N,), float64, finite, in the unit of the file.
    logits
        Shape (N,), float64; -inf masks a point. The logarithms of the weights if the file has weights; None if it has
        neither.
    labels
        N names, unchanged, or None.
    weights
        Shape (N,), the weights that the file has, or None.
    groups
        Which group each row belongs to, by the option `group_by`; None: all rows are one problem.
    gone
        The groups that no row is left of, as a value is missing in each; none of `groups`.
    targets
        The target of each group by the option `target_columns`, else None: the arrays of the lower and of the upper
        ends, or the one of the observed angles, each (G,). Without groups they are those of each row, (N,).
    settings, places
        Option → value, for the settings of a YAML problem, and option → ``file:line:column``, for all that it gives.
    table, target_table
        The files that a YAML problem takes its points and its target points from, or None.
    notes
        What the user should know about the points, each the end of a sentence that begins with `place_of_points`.
    counts
        The same of a part of a file, with numbers that add up over all parts: see `counted_notes`.
    target_notes
        The same about target points, in whole sentences.
    """

    name: str
    angles: FloatArray
    logits: FloatArray | None
    labels: tuple[str, ...] | None
    weights: FloatArray | None = None
    groups: Groups | None = None
    gone: tuple[str, ...] = ()
    targets: tuple[FloatArray, ...] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    table: str | None = None
    target_table: str | None = None
    notes: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    target_notes: tuple[str, ...] = ()

    @property
    def place_of_points(self) -> str:
        """The file that the points are written in, for messages: the table that is named, or the file itself."""
        return self.name if self.table is None else display_name(self.table)


@dataclass(eq=False, repr=False)
class _Wrong:
    """What is wrong with the cells of a column."""

    faults: Faults
    is_whole: bool = True  # whether no cell can be used
    where: tuple[int, ...] | None = None  # the first of them
    cells: list[str] = field(default_factory=list)  # a few that differ


Cells = FloatArray | Sequence[str] | Texts  # of one column


class Collector:
    """The points of a file, from its cells: taken in blocks of rows, by column, as numbers or as text.

    Parameters
    ----------
    found
        The names of the columns that exist.
    options
        Which of them are used, and what is done with missing values.
    faults
        What is wrong with the file; wrong cells are added.
    place, hint, of_target
        As for `chosen_columns`.
    row_noun
        What messages call a row by its number: ``line``, or ``row`` where a file has no lines.

    Attributes
    ----------
    roles
        Role → column for the roles that the points have.
    """

    def __init__(
        self,
        found: Sequence[str],
        options: ReadingOptions,
        faults: Faults,
        place: str,
        hint: str = "",
        *,
        of_target: bool = False,
        row_noun: str = "line",
    ) -> None:
        self.roles, self._notes = chosen_columns(found, options, place, hint, of_target=of_target)
        self._options, self._faults, self._of_target = options, faults, of_target
        self._wrong = self._nothing_wrong()
        self._numbers: dict[str, list[FloatArray]] = {role: [] for role in self.roles if role not in TEXTS}
        self._labels: list[str] = []
        self._grouping = Grouping(self.roles, faults, row_noun) if "group" in self.roles else None
        self._codes: list[IntArray] = []
        self._left_out = 0
        self.count = 0  # rows, those that were left out included
        self.held = 0  # rows that no part has had yet

    def take(self, cells: Mapping[str, Cells], where: Callable[[str, int], tuple[int, ...]]) -> None:
        """Add a block of rows.

        Parameters
        ----------
        cells
            Role → cells, as many for each role. In numbers NaN is a missing value.
        where
            (role, row of the block) → (line,) or (line, column); later rows have later places.
        """
        numbers = {role: self._checked(role, cells[role], partial(where, role)) for role in self._numbers}
        rows = len(numbers["angle"])
        self.count += rows
        self.held += rows
        kept = np.ones(rows, dtype=bool)
        if self._options.missing == "skip":
            for column in numbers.values():
                kept &= ~np.isnan(column)
        if self._grouping is not None:
            names = coded(cells["group"])
            codes = self._grouping.codes(names, where)
            unnamed = codes == MISSING
            if self._options.missing == "skip":
                kept &= ~unnamed
            else:
                self._faults.add_each(
                    np.flatnonzero(unnamed).tolist(),
                    partial(where, "group"),
                    lambda row: self._fault("group", names.each[names.codes[row]]),
                )
            self._grouping.take_targets(codes, numbers, kept, where)
            self._codes.append(codes[kept])
        if not kept.all():
            self._left_out += rows - int(np.count_nonzero(kept))
        chosen = slice(None) if kept.all() else kept  # without a copy
        for role, blocks in self._numbers.items():
            if role not in TARGETS or self._grouping is None:  # else each group has one
                blocks.append(numbers[role][chosen])
        if "label" in cells:
            self._labels += coded(cells["label"])[chosen].tolist()

    def _checked(self, role: str, cells: Cells, where: Callable[[int], tuple[int, ...]]) -> FloatArray:
        """Return the numbers of a block of a column; NaN, or a number of no use, in place of those that are faults."""
        texts: Sequence[str] = ()
        if not isinstance(cells, np.ndarray):
            texts = cells.tolist() if isinstance(cells, Texts) else cells
        numbers = cells if isinstance(cells, np.ndarray) else numbers_of(texts, role == "logit", self._options.decimal)
        wrong = ~np.isfinite(numbers)
        if role == "logit" and wrong.any():
            wrong &= numbers != -np.inf
        if role == "weight":
            wrong |= numbers < 0.0
        rows: list[int] = np.flatnonzero(wrong).tolist() if wrong.any() else []

        def text(row: int) -> str:
            return texts[row] if texts else repr(float(numbers[row]))

        if self._options.missing == "skip":
            rows = [row for row in rows if not is_missing(text(row))]
        column = self._wrong[role]
        column.faults.add_each(rows, where, lambda row: self._fault(role, text(row)))
        column.is_whole &= len(rows) == len(numbers)
        if rows and column.is_whole and column.where is None:
            column.where = where(rows[0])
        if column.is_whole and len(column.cells) < _CELLS:
            some = (bare(text(row)) for row in rows[:: 1 + len(rows) // _SOME])
            column.cells = list(dict.fromkeys([*column.cells, *some]))[:_CELLS]
        return numbers

    def _fault(self, role: str, cell: str) -> str:
        """Return what is wrong with a cell."""
        column = f"column {shown(self.roles[role])}"
        cell = bare(cell)
        if is_missing(cell):
            skip = spoken("--missing skip", "missing='skip'")
            remedy = "write the name of a group" if role == "group" else "write a number"
            remedy += "" if self._of_target else f", or leave such rows out with {skip}"
            return f"{column}: {shown(cell)} is a missing value: {remedy}"
        try:
            number(cell, minus_infinity=role == "logit", decimal=self._options.decimal)
        except ValueError as error:
            return f"{column}: {error}"
        return f"{column}: {shown(cell)} is negative: a weight is 0 or more"

    def settle(self) -> None:
        """Add the faults of the cells to those of the file: one for a column of which no cell can be used."""
        for role, wrong in self._wrong.items():
            if wrong.where is not None and wrong.is_whole and self.count >= _FEWEST:
                self._faults.add(wrong.where, self._whole_fault(role, wrong.cells))
            else:
                self._faults.include(wrong.faults)
        self._wrong = self._nothing_wrong()

    def _nothing_wrong(self) -> dict[str, _Wrong]:
        return {role: _Wrong(Faults(self._faults.name)) for role in self.roles if role not in TEXTS}

    def _whole_fault(self, role: str, cells: Sequence[str]) -> str:
        """Return what is wrong with a column none of whose cells can be used, of which `cells` are a few."""
        name, many = self.roles[role], f"the {self.count} cells"
        other = f"rename the right one to '{role}'" if self._of_target else f"name the right one with {flag_of(role)}"
        first = next((cell for cell in cells if not is_missing(cell)), "")
        try:
            number(first, minus_infinity=role == "logit", decimal=self._options.decimal)
        except ValueError as error:
            what = f" ({', '.join(map(shown, cells))}, ...): "
            if re.search("[0-9]", first):  # it may be a number that is written in another way
                what = f": {error}; or "
            return f"column {shown(name)}: none of {many} is a number{what}{other}"
        logits = "" if self._of_target else f"; if they are logits, give {option_text('logit-column', name)}"
        return f"column {shown(name)}: each of {many} is negative, as {shown(first)}: a weight is 0 or more{logits}"

    def part(self, *, is_last: bool = False, are_whole: bool = True) -> Source:
        """Return the points since the last part; InputError with the faults so far.

        There may be none, or none of positive weight. The last part has the notes, and if it is the only one the
        groups, each of which has a point of positive weight if they `are_whole`, without rows elsewhere.
        """
        found = self._part(is_last=is_last)
        return found if self._grouping is None or not is_last else self._grouped(found, self._grouping, are_whole)

    def _part(self, *, is_last: bool) -> Source:
        """Return the same without groups."""
        self.settle()
        self._faults.stop_if_any()
        values = {
            role: blocks[0] if len(blocks) == 1 else np.concatenate([*blocks, []])
            for role, blocks in self._numbers.items()
        }
        targets = tuple(values[role] for role in TARGETS if role in values and self._grouping is None)
        weights, logits, labels = values.get("weight"), values.get("logit"), None
        if weights is not None:
            logits = logits_of(weights)
        if "label" in self.roles:
            labels = tuple(self._labels)
        for blocks in self._numbers.values():
            blocks.clear()
        self._labels, self.held = [], 0
        return Source(
            *(self._faults.name, values["angle"], logits, labels, weights),
            targets=targets or None,
            notes=tuple(self._notes) if is_last else (),
            counts=self.counts() if is_last else {},
        )

    def notes(self) -> list[str]:
        """Return what the user should know about the rows so far."""
        return [*self._notes, *counted_notes(self.counts())]

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Return what there is of it with numbers, as `Source.counts`."""
        return {_LEFT_OUT: (self._left_out, self.count)}

    def source(self) -> Source:
        """Return the points; InputError with all faults, or if there is no point of positive weight."""
        found = self._part(is_last=True)
        found = replace(found, notes=tuple(self.notes()), counts={})
        if 0 < self._left_out == self.count:
            rows = "the only row" if self.count == 1 else f"all of the {self.count} rows"
            raise InputError(f"{found.name}: a value is missing in {rows}: no points are left")
        if not _have_weight(found).any():
            raise InputError(f"{found.name}: {NO_TARGET_WEIGHT if self._of_target else NO_WEIGHT}")
        if self._grouping is None:
            return found
        found = self._grouped(found, self._grouping, True)
        return replace(found, notes=(*found.notes, *notes_of_gone(found.gone)))

    def _grouped(self, found: Source, grouping: Grouping, are_whole: bool) -> Source:
        """Return all points with their groups and the targets of these."""
        codes = np.concatenate([np.empty(0, np.intp), *self._codes])  # there may be no row
        has_weight = _have_weight(found) if are_whole else np.ones(len(codes), dtype=np.bool_)
        groups, targets, gone = grouping.groups(codes, has_weight)
        return replace(found, groups=groups, targets=targets, gone=gone)


def counted_notes(counts: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the notes of `Source.counts`: texts with places for numbers, of which the first is not 0."""
    return [text.format(*numbers) for text, numbers in counts.items() if numbers[0]]


def notes_of_gone(names: Sequence[str]) -> list[str]:
    """Return the note of the groups that no row is left of."""
    if not names:
        return []
    named = f"{counted(len(names), 'group')} without a complete row ({enumerated(names, _NAMED)})"
    return [f"has {named}: {'it is' if len(names) == 1 else 'they are'} left out"]


def _have_weight(found: Source) -> BoolArray:
    """Return which points have a weight above 0."""
    return np.asarray(np.isfinite(found.angles if found.logits is None else found.logits))


def coded(cells: Cells) -> Texts:
    """Return the cells of a column as texts."""
    return cells if isinstance(cells, Texts) else Texts(list(map(str, cells)), np.arange(len(cells)))


def text_of(value: object) -> str:
    """Return a value as the text of a cell: of a float that is a whole number this number, as 7 of 7.0.

    A value that is missing makes floats of a column of integers, as pandas holds and stores them; their names stay.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return str(value)


def bare(text: str) -> str:
    """Return a cell without spaces around it, and without quotes that these spaces kept csv from removing."""
    stripped = text.strip()
    return stripped[1:-1] if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped


def numbers_of(cells: Sequence[str], minus_infinity: bool, decimal: str | None) -> FloatArray:
    """Return what `kdegrad.grammar.number` makes of each of many cells, NaN where it refuses one."""
    joined = "\n".join(cells).encode("utf-8", "replace")
    if decimal == ",":
        joined = joined.translate(SWAPPED)
    texts = joined.split(b"\n")
    if len(texts) == len(cells) and (plain := plain_numbers(texts, minus_infinity=minus_infinity)) is not None:
        return plain
    numbers = np.full(len(cells), np.nan)
    others = joined.translate(None, PLAIN).split(b"\n")  # what each contains besides the characters of numbers
    if len(texts) != len(cells):  # a cell contains an end of line
        texts = others = [b" "] * len(cells)
    never = {other for other in set(others) if _NO_NUMBER.search(other)}
    for row, (text, other) in enumerate(zip(texts, others, strict=True)):
        if other in never:
            continue
        try:
            if not other:
                value = float(text)
                numbers[row] = value if math.isfinite(value) else np.nan
            else:
                numbers[row] = number(bare(cells[row]), minus_infinity=minus_infinity, decimal=decimal)
        except ValueError:
            pass
    return numbers
