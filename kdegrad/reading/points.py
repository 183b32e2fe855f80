"""Cells by column → angles, logits, labels: what tables, YAML documents and Parquet files have in common."""

from __future__ import annotations

import io
from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.errors import InputError
from kdegrad.grammar import number
from kdegrad.text import enumerated, nearest, shown
from kdegrad.weights import logits_of

NUMBER_CHARACTERS: Final = b"0123456789+-.eE"


@dataclass(frozen=True)
class ColumnNames:
    """The names of columns that were given; None stands for the default, the name of the role.

    A column whose name was given must exist. Of the defaults only ``angle`` must.
    """

    angle: str | None = None
    logit: str | None = None
    weight: str | None = None
    label: str | None = None

    def given(self) -> dict[str, str]:
        """Return role → column for the roles whose column was named."""
        return {role: column for role, column in asdict(self).items() if column is not None}

    def choose(self, found: Sequence[str], place: str, hint: str = "") -> dict[str, str]:
        """Return role → column for the roles that the points have: ``{"angle": "theta", "logit": "logit"}``.

        Parameters
        ----------
        found
            The names of the columns that exist, in `place`.
        hint
            Another possible remedy for a missing column, as the end of a sentence.

        Raises
        ------
        InputError
            If two columns have one name, one that must exist does not, or there are both logits and weights.
        """
        given = self.given()
        names = {role: role for role in ROLES} | given
        # Columns without a name, as spreadsheets leave behind the last, may be several.
        twice = [column for column, count in Counter(found).items() if count > 1 and (column or "" in names.values())]
        if twice:
            raise InputError(
                [f"{place}: the column {shown(column)} appears twice: rename or remove one" for column in twice]
            )
        missing = [
            f"{place}: no column {shown(column)} for the {role}s (columns found: {enumerated(found)}"
            f"{nearest(column, found)}): name the right one with --{role}-column{hint}"
            for role, column in names.items()
            if column not in found and (role == "angle" or role in given)
        ]
        if missing:
            raise InputError(missing)
        chosen = {role: column for role, column in names.items() if column in found}
        if "logit" in chosen and "weight" in chosen:
            if ("logit" in given) == ("weight" in given):
                raise InputError(
                    f"{place}: both logits (column {shown(chosen['logit'])}) and weights (column "
                    f"{shown(chosen['weight'])}): name the one to use with --logit-column or --weight-column"
                )
            del chosen["weight" if "logit" in given else "logit"]
        return chosen


ROLES: Final = tuple(role.name for role in fields(ColumnNames))


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
        What the user should know about the file, each the end of a sentence that begins with its name.
    """

    name: str
    angles: FloatArray
    logits: FloatArray | None
    labels: tuple[str, ...] | None
    settings: dict[str, object] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    table: str | None = None
    notes: tuple[str, ...] = ()


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


def source_of_texts(
    roles: Mapping[str, str],
    texts: Mapping[str, Sequence[str]],
    where: Callable[[str, int], tuple[int, ...]],
    faults: Faults,
    found: Collection[str] = (),
) -> Source:
    """Return the points whose cells are text, or raise `faults` together with those of the cells.

    Parameters
    ----------
    roles
        Role → the name of its column, as `ColumnNames.choose` returns it.
    texts
        Role → N cells.
    where
        (role, row) → (line,) or (line, column).
    found
        As for `source_of`.
    """
    values = {}
    for role, name in roles.items():
        if role == "label":
            continue
        cells, column = texts[role], f"column {shown(name)}"
        numbers = plain_numbers("\n".join(cells).encode("utf-8", "replace"), b"\n")
        if numbers is None or numbers.size != len(cells):
            numbers = np.zeros(len(cells))
            for row, cell in enumerate(cells):
                try:
                    numbers[row] = number(bare(cell), minus_infinity=role == "logit")
                except ValueError as error:
                    faults.add(where(role, row), f"{column}: {error}")
        if role == "weight":
            for row in map(int, np.flatnonzero(numbers < 0.0)):
                faults.add(where(role, row), f"{column}: {shown(cells[row])} is negative: a weight is 0 or more")
        values[role] = numbers
    faults.stop_if_any()
    return source_of(faults.name, values, texts.get("label"), found)


def source_of(
    name: str, values: Mapping[str, FloatArray], labels: Sequence[str] | None, found: Collection[str]
) -> Source:
    """Return the points of the file `name`, whose numbers have been checked one by one.

    Parameters
    ----------
    values
        Role → numbers, shape (N,).
    labels
        N names, or None.
    found
        The columns of the file; a note names one that may have been meant as logits or weights.

    Raises
    ------
    InputError
        If no point has a positive weight.
    """
    logits, notes = values.get("logit"), []
    if "weight" in values:
        logits = logits_of(values["weight"])
    if logits is None:
        likely = (column for column in found if column.strip().lower().removesuffix("s") in ("logit", "weight"))
        meant = "".join(f" (is column {shown(column)} either?)" for column in list(likely)[:1])
        notes.append(f"has neither logits nor weights{meant}: all points weigh the same")
    elif not np.isfinite(logits).any():
        raise InputError(f"{name}: no point has a positive weight: one logit must be finite, or one weight above 0")
    labels = None if labels is None else tuple(labels)
    return Source(name=name, angles=values["angle"], logits=logits, labels=labels, notes=tuple(notes))


def bare(text: str) -> str:
    """Return a cell without spaces around it, and without quotes that these spaces kept csv from removing."""
    stripped = text.strip()
    return stripped[1:-1] if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped


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
    # np.loadtxt converts as `float` does, but accepts more than the grammar (nan, inf, blank lines). So it is given
    # only the characters of numbers, with the separators that the rows must have.
    separators = cells.translate(None, NUMBER_CHARACTERS + b" ") + b"\n"
    rows = len(separators) // len(row)
    if separators != row * rows or not cells.strip():
        return None
    delimiter = row[:1].decode("ascii") if len(row) > 1 else ","
    try:
        numbers = np.loadtxt(io.StringIO(cells.decode("ascii")), delimiter=delimiter, comments=None, ndmin=2)
    except ValueError:
        return None
    return numbers.ravel() if numbers.shape == (rows, len(row)) and np.isfinite(numbers).all() else None
