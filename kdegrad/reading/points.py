"""Cells by column → angles, logits, labels: what tables, YAML documents and Parquet files have in common."""

from __future__ import annotations

import math
import re
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.errors import InputError
from kdegrad.grammar import NUMBER_CHARACTERS, is_missing, number
from kdegrad.reading.files import display_name
from kdegrad.settings import ReadingOptions
from kdegrad.text import enumerated, nearest, one_edit_apart, shown
from kdegrad.weights import logits_of

ROLES: Final = ("angle", "logit", "weight", "label")
SWAPPED: Final = bytes.maketrans(b".,", b",.")  # a decimal comma becomes a point, and a point no number

_ANGLES: Final = ("azimuth", "bearing", "heading", "direction", "theta", "phi", "yaw")
_PLAIN: Final = NUMBER_CHARACTERS.encode() + b" "
_NO_NUMBER: Final = re.compile(rb'[^\s\x1c-\x1f"infINF\x80-\xff]')  # besides those of numbers: never in one


def named(options: ReadingOptions) -> dict[str, str]:
    """Return role → column for the roles whose column was named."""
    columns = {role: getattr(options, f"{role}_column") for role in ROLES}
    return {role: column for role, column in columns.items() if column is not None}


def chosen_columns(
    found: Sequence[str], options: ReadingOptions, place: str, hint: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Return role → column for the roles that the points have, ``{"angle": "theta"}``, and notes about the choice.

    A column whose name was given must exist. Of the others only that of the angles must. If none has the name of the
    role, one that differs by capitals alone is taken.

    Parameters
    ----------
    found
        The names of the columns that exist, in `place`.
    hint
        Another possible remedy for a missing column, as the end of a sentence.

    Raises
    ------
    InputError
        If two columns have one name, one that must exist does not, there are both logits and weights, or a column is to
        be the angles and one of these.
    """
    given = named(options)
    names = {role: role for role in ROLES} | given
    if options.no_weights:
        del names["weight"]
    # Columns without a name, as spreadsheets leave behind the last, may be several.
    twice = [column for column, count in Counter(found).items() if count > 1 and (column or "" in names.values())]
    if twice:
        raise InputError(
            [f"{place}: the column {shown(column)} appears twice: rename or remove one" for column in twice]
        )
    chosen = {role: column for role, column in names.items() if column in found}
    notes = []
    either = {"logit", "weight"}  # "Weight" beside "logit" is something else
    for role in [role for role in names if role not in {*given, *chosen, *(either if either & chosen.keys() else ())}]:
        alike = [column for column in found if column.lower() == role]
        if len(alike) == 1:
            names[role] = chosen[role] = alike[0]
            notes.append(f"has no column {shown(role)}: {shown(alike[0])} is taken for the {role}s")
    # Not those that are several names, since they are not separated as was thought.
    several = r"[,;|\t{}]" if len(found) > 1 else r"[,;|\t{} ]"
    likely = [column for column in found if not re.search(several, column)]
    missing = [
        f"{place}: no column {shown(column)} for the {role}s (columns found: {enumerated(found)}"
        f"{nearest(column, likely) if role in given else _likely_angles(likely)}): name the right one with "
        f"--{role}-column{hint}"
        for role, column in names.items()
        if column not in found and (role == "angle" or role in given)
    ]
    if missing:
        raise InputError(missing)
    if "logit" in chosen and "weight" in chosen:
        if ("logit" in given) == ("weight" in given):
            remedy = (
                "leave out --logit-column or --weight-column"
                if "weight" in given
                else "name the one to use with --logit-column or --weight-column, or give --no-weights"
            )
            raise InputError(
                f"{place}: both logits (column {shown(chosen['logit'])}) and weights (column "
                f"{shown(chosen['weight'])}): {remedy}"
            )
        del chosen["weight" if "logit" in given else "logit"]
    for role in either & chosen.keys():
        if chosen[role] == chosen["angle"]:
            remedy = " or ".join(f"--{one}-column" for one in ("angle", role) if one in given)
            raise InputError(
                f"{place}: the column {shown(chosen[role])} cannot be both the angles and the {role}s: give another "
                f"column with {remedy}"
            )
    if options.no_weights and not any(column.lower() == "weight" for column in found):
        notes.append("has no column 'weight': --no-weights has no effect")
    return chosen, notes


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
    settings, places
        Option → value and option → ``file:line:column``, for the options that a YAML problem gives.
    table
        The file that a YAML problem takes its points from, or None.
    notes
        What the user should know about the points, each the end of a sentence that begins with `place_of_points`.
    """

    name: str
    angles: FloatArray
    logits: FloatArray | None
    labels: tuple[str, ...] | None
    settings: dict[str, object] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    table: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def place_of_points(self) -> str:
        """The file that the points are written in, for messages: the table that is named, or the file itself."""
        return self.name if self.table is None else display_name(self.table)


class Faults:
    """The faults of the file `name`, raised together in the order of their places; only those to be shown are kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._first: list[tuple[tuple[int, ...], str | Callable[[], str]]] = []
        self.total = 0

    def add(self, where: tuple[int, ...], text: str | Callable[[], str]) -> None:
        """Add a fault at `where`, (line,) or (line, column); a callable makes a costly text only if it is shown."""
        self.total += 1
        if len(self._first) < InputError.SHOWN or where < self._first[-1][0]:
            insort(self._first, (where, text), key=lambda fault: fault[0])
            del self._first[InputError.SHOWN :]

    def stop_if_any(self) -> None:
        """Raise the faults that were added as one `InputError`."""
        if self.total:
            texts = ((where, text if isinstance(text, str) else text()) for where, text in self._first)
            raise InputError([f"{place(self.name, *where)}: {text}" for where, text in texts], total=self.total)


def place(name: str, *where: int) -> str:
    """Return ``name:line`` or ``name:line:column``."""
    return ":".join([name, *map(str, where)])


def _likely_angles(found: Sequence[str]) -> str:
    """Return ``; did you mean 'azimuth'?`` for the columns that have a word for an angle in their names."""
    likely = []
    for column in found:
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", column)  # of windDirection, wind_direction, DIRECTION
        if any(word in _ANGLES or one_edit_apart(word.removesuffix("s"), "angle") for word in map(str.lower, words)):
            likely.append(shown(column))
    return f"; did you mean {' or '.join(likely[:3])}?" if likely else ""


Cells = FloatArray | Sequence[str]  # of one column


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
    place, hint
        As for `chosen_columns`.

    Attributes
    ----------
    roles
        Role → column for the roles that the points have.
    """

    def __init__(
        self, found: Sequence[str], options: ReadingOptions, faults: Faults, place: str, hint: str = ""
    ) -> None:
        self.roles, self._notes = chosen_columns(found, options, place, hint)
        self._found, self._options, self._faults = found, options, faults
        self._numbers: dict[str, list[FloatArray]] = {role: [] for role in self.roles if role != "label"}
        self._labels: list[str] = []
        self._left_out = 0
        self.count = 0  # rows, those that were left out included

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
        labels = list(map(str, cells.get("label", ())))
        kept = np.ones(rows, dtype=bool)
        if self._options.missing == "skip":
            for column in numbers.values():
                kept &= ~np.isnan(column)
            labels = list(compress(labels, kept.tolist()))
            self._left_out += rows - int(np.count_nonzero(kept))
        for role, column in numbers.items():
            self._numbers[role].append(column[kept])
        self._labels += labels

    def _checked(self, role: str, cells: Cells, where: Callable[[int], tuple[int, ...]]) -> FloatArray:
        """Return the numbers of a block of a column; NaN, or a number of no use, in place of those that are faults."""
        texts = None if isinstance(cells, np.ndarray) else cells
        numbers = cells if isinstance(cells, np.ndarray) else numbers_of(cells, role == "logit", self._options.decimal)
        wrong = ~np.isfinite(numbers)
        if role == "logit":
            wrong &= numbers != -np.inf
        if role == "weight":
            wrong |= numbers < 0.0
        rows: list[int] = np.flatnonzero(wrong).tolist()

        def text(row: int) -> str:
            return repr(float(numbers[row])) if texts is None else texts[row]

        if self._options.missing == "skip":
            rows = [row for row in rows if not is_missing(text(row))]
        for row in rows[: InputError.SHOWN]:
            self._faults.add(where(row), partial(self._fault, role, text(row)))
        self._faults.total += len(rows[InputError.SHOWN :])
        return numbers

    def _fault(self, role: str, cell: str) -> str:
        """Return what is wrong with a cell."""
        column = f"column {shown(self.roles[role])}"
        cell = bare(cell)
        if is_missing(cell):
            remedy = "write a number, or leave such rows out with --missing skip"
            return f"{column}: {shown(cell)} is a missing value: {remedy}"
        try:
            number(cell, minus_infinity=role == "logit", decimal=self._options.decimal)
        except ValueError as error:
            return f"{column}: {error}"
        return f"{column}: {shown(cell)} is negative: a weight is 0 or more"

    def source(self) -> Source:
        """Return the points; InputError with all faults, or if there is no point of positive weight."""
        self._faults.stop_if_any()
        name, notes = self._faults.name, self._notes
        if 0 < self._left_out == self.count:
            rows = "the only row" if self.count == 1 else f"all of the {self.count} rows"
            raise InputError(f"{name}: a value is missing in {rows}: no points are left")
        if self._left_out:
            notes.append(f"has {self._left_out} of {self.count} rows with a missing value: they are left out")
        values = {role: np.concatenate(blocks) for role, blocks in self._numbers.items()}
        logits = values.get("logit")
        if "weight" in values:
            logits = logits_of(values["weight"])
        if logits is None:
            names = ("logit",) if self._options.no_weights else ("logit", "weight")
            likely = [column for column in self._found if column.lower().removesuffix("s") in names]
            meant = "".join(f" (is column {shown(column)} either?)" for column in likely[:1])
            notes.append(f"has neither logits nor weights{meant}: all points weigh the same")
        elif not np.isfinite(logits).any():
            raise InputError(f"{name}: no point has a positive weight: one logit must be finite, or one weight above 0")
        labels = tuple(self._labels) if "label" in self.roles else None
        return Source(name=name, angles=values["angle"], logits=logits, labels=labels, notes=tuple(notes))


def bare(text: str) -> str:
    """Return a cell without spaces around it, and without quotes that these spaces kept csv from removing."""
    stripped = text.strip()
    return stripped[1:-1] if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped


def numbers_of(cells: Sequence[str], minus_infinity: bool, decimal: str | None) -> FloatArray:
    """Return what `kdegrad.grammar.number` makes of each of many cells, NaN where it refuses one."""
    joined = "\n".join(cells).encode("utf-8", "replace")
    if decimal == ",":
        joined = joined.translate(SWAPPED)
    plain = plain_numbers(joined, b"\n")
    if plain is not None and plain.size == len(cells):
        return plain
    numbers = np.full(len(cells), np.nan)
    texts = joined.split(b"\n")
    others = joined.translate(None, _PLAIN).split(b"\n")  # what each contains besides the characters of numbers
    if len(texts) != len(cells):  # a cell contains an end of line
        texts = others = [b" "] * len(cells)
    for row, (text, other) in enumerate(zip(texts, others, strict=True)):
        try:
            if not other:
                value = float(text)
                numbers[row] = value if math.isfinite(value) else np.nan
            elif not _NO_NUMBER.search(other):
                numbers[row] = number(bare(cells[row]), minus_infinity=minus_infinity, decimal=decimal)
        except ValueError:
            pass
    return numbers


def plain_numbers(cells: bytes, row: bytes) -> FloatArray | None:
    """Return the numbers of many cells at once, or None if the cells must be read one by one.

    A returned number is what `kdegrad.grammar.number` returns for its cell; no cell is accepted that the grammar
    refuses, and no row with more or fewer cells.

    Parameters
    ----------
    cells
        Rows of cells, without a line end after the last.
    row
        The separators of one row: two commas and a line end for rows of three cells.
    """
    # `float` accepts more than the grammar (nan, inf, 1_0). So it is given only the characters of numbers, with the
    # separators that the rows must have.
    separators = cells.translate(None, _PLAIN) + b"\n"
    rows = len(separators) // len(row)
    if separators != row * rows or not cells.strip():
        return None
    try:
        numbers = np.array(cells.replace(b"\n", row[:1]).split(row[:1]), dtype=np.float64)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
