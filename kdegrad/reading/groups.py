"""The groups of the rows of a file, each a problem of its own, and the target of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray
from kdegrad.errors import InputError
from kdegrad.grammar import is_missing
from kdegrad.reading.faults import Faults
from kdegrad.reading.plain import Coded
from kdegrad.text import angle_texts, shown

TARGETS: Final = ("low", "high", "at")  # roles of columns that hold the targets of groups
MISSING: Final = -1  # in place of the number of a group


class Groups(NamedTuple):
    """The names of G groups in the order of their first rows, and for each of N rows which of them it belongs to."""

    names: tuple[str, ...]
    codes: IntArray


@final
class _Numbers(dict[str, int]):
    """Names → numbers from 0 in the order in which they are first asked for; `MISSING` for one that is no name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        self[name] = number = MISSING if is_missing(name) else len(self.names)
        if number != MISSING:
            self.names.append(name)
        return number


@final
class Grouping:
    """The groups of a table whose rows are taken block by block.

    Parameters
    ----------
    columns
        Role → column: ``group``, and the roles of targets, ``low`` and ``high`` or ``at`` or none.
    faults
        What is wrong with the file; a group with two targets, or without a point, is added.
    row_noun
        What messages call a row by its number: ``line``, or ``row`` where a file has no lines.
    """

    def __init__(self, columns: Mapping[str, str], faults: Faults, row_noun: str) -> None:
        self._columns, self._faults, self._row_noun = columns, faults, row_noun
        self._numbers = _Numbers()
        self._begins: list[int] = []  # the line of the first row of each group
        self._ends = [role for role in TARGETS if role in columns]
        # of at least as many groups as there are; NaN until there is a row with numbers, and the line of that row
        self._targets, self._lines = np.full((1, len(self._ends)), np.nan), np.zeros(1, dtype=np.intp)

    def codes(self, cells: Coded, where: Callable[[str, int], tuple[int, ...]]) -> IntArray:
        """Return the number of each row's group, `MISSING` for a cell that names none; later rows are asked later."""
        known = len(self._numbers.names)
        numbers = np.fromiter(map(self._numbers.__getitem__, cells.texts), np.intp, len(cells.texts))
        codes = numbers[cells.codes]
        fresh = np.flatnonzero(codes >= known)
        if fresh.size:
            _, first = np.unique(codes[fresh], return_index=True)
            self._begins += [where("group", row)[0] for row in fresh[first].tolist()]
        return codes

    def take_targets(
        self,
        codes: IntArray,
        numbers: Mapping[str, FloatArray],
        kept: BoolArray,
        where: Callable[[str, int], tuple[int, ...]],
    ) -> None:
        """Take the targets of a block of rows, of which those that are `kept` count: a group has the first one."""
        if not self._ends:
            return
        more = len(self._numbers.names) - len(self._lines)
        if more > 0:
            more += len(self._lines)  # twice as many: the arrays are copied less often
            self._targets = np.concatenate([self._targets, np.full((more, len(self._ends)), np.nan)])
            self._lines = np.concatenate([self._lines, np.zeros(more, dtype=np.intp)])
        values = np.column_stack([numbers[role] for role in self._ends])
        counts = kept & (codes != MISSING) & np.isfinite(values).all(axis=1)  # others are faults already
        unknown = np.flatnonzero(counts & np.isnan(self._targets[codes, 0]))
        if unknown.size:
            groups, first = np.unique(codes[unknown], return_index=True)
            rows = unknown[first]
            self._targets[groups] = values[rows]
            self._lines[groups] = [where(self._ends[0], row)[0] for row in rows.tolist()]
        rows, columns = np.nonzero(counts[:, np.newaxis] & (values != self._targets[codes]))
        for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[: InputError.SHOWN]:
            fault = partial(self._two_targets, column, int(codes[row]), float(values[row, column]))
            self._faults.add(where(self._ends[column], row), fault)
        self._faults.total += max(len(rows) - InputError.SHOWN, 0)

    def _two_targets(self, column: int, group: int, value: float) -> str:
        found, first = angle_texts([value, self._targets[group, column]])
        name, heading = self._numbers.names[group], self._columns[self._ends[column]]
        return (
            f"column {shown(heading)}: {found} for group {shown(name)}, "
            f"which has {first} in {self._row_noun} {self._lines[group]}: give one target for a group"
        )

    def groups(self, codes: IntArray, has_weight: BoolArray) -> tuple[Groups, tuple[FloatArray, ...] | None]:
        """Return the groups of the rows that are left, and the targets by their ends, each (G,), if there are any.

        InputError for a group without a row, or without a row of positive weight.
        """
        names = self._numbers.names
        rows, weighty = (np.bincount(some, minlength=len(names)) for some in (codes, codes[has_weight]))
        for group in np.flatnonzero(weighty == 0)[: InputError.SHOWN].tolist():
            cause = (
                "no point has a positive weight: one logit must be finite, or one weight above 0"
                if rows[group]
                else "each of its rows has a missing value: remove them from the file"
            )
            self._faults.add((self._begins[group],), f"group {shown(names[group])}: {cause}")
        self._faults.total += max(int((weighty == 0).sum()) - InputError.SHOWN, 0)
        self._faults.stop_if_any()
        targets = tuple(self._targets[: len(names), column].copy() for column in range(len(self._ends)))
        return Groups(tuple(names), codes), targets or None
