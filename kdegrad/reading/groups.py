"""The groups of the rows of a file, each a problem of its own, and the target of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import BoolArray, FloatArray, IntArray, Texts
from kdegrad.grammar import is_missing
from kdegrad.reading.faults import Faults
from kdegrad.text import angle_texts, shown
from kdegrad.weights import NO_WEIGHT

TARGETS: Final = ("low", "high", "at")  # roles of columns that hold the targets of groups
MISSING: Final = -1  # in place of the number of a group


class Groups(NamedTuple):
    """The names of G groups in the order of their first rows, and for each of N rows which of them it belongs to."""

    names: tuple[str, ...]
    codes: IntArray


@final
class _Codes(dict[str, int]):
    """Names of groups → 0, 1, ... in the order in which they are first asked for; `MISSING` for one that is no name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        self[name] = code = MISSING if is_missing(name) else len(self.names)
        if code != MISSING:
            self.names.append(name)
        return code


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
        self._codes = _Codes()
        self._begins: list[int] = []  # the line of the first row of each group
        self._ends = [role for role in TARGETS if role in columns]
        # of at least as many groups as there are; NaN until there is a row with numbers, and the line of that row
        self._targets, self._lines = np.full((1, len(self._ends)), np.nan), np.zeros(1, dtype=np.intp)

    def codes(self, cells: Texts, where: Callable[[str, int], tuple[int, ...]]) -> IntArray:
        """Return the number of each row's group, `MISSING` for a cell that names none; later rows are asked later.

        The cells may have texts that are in no row, and in any order, as a column of categories has them.
        """
        known, rows = len(self._codes.names), np.arange(len(cells))
        firsts = np.full(len(cells.each), len(rows))
        firsts[cells.codes[::-1]] = rows[::-1]  # of several rows of a text the first is written last
        used = np.argsort(firsts, kind="stable")[: np.count_nonzero(firsts < len(rows))]
        is_in_order = bool((used == np.arange(len(used))).all())
        asked = cells.each[: len(used)] if is_in_order else [cells.each[text] for text in used.tolist()]
        found = np.fromiter(map(self._codes.__getitem__, asked), np.intp, len(asked))
        is_new = np.diff(np.maximum.accumulate(found), prepend=known - 1) > 0
        self._begins += [where("group", row)[0] for row in firsts[used[is_new]].tolist()]
        of_texts = np.empty(len(cells.each), np.intp)
        of_texts[used] = found
        return of_texts[cells.codes]

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
        more = len(self._codes.names) - len(self._lines)
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
        self._faults.add_each(
            np.argwhere(counts[:, np.newaxis] & (values != self._targets[codes])).tolist(),
            lambda cell: where(self._ends[cell[1]], cell[0]),
            lambda cell: self._two_targets(self._ends[cell[1]], int(codes[cell[0]]), float(values[*cell])),
        )

    def _two_targets(self, role: str, group: int, value: float) -> str:
        """Return what is wrong with a value of a row, as its group has another one of an earlier row."""
        found, first = angle_texts([value, self._targets[group, self._ends.index(role)]])
        return (
            f"column {shown(self._columns[role])}: {found} for group {shown(self._codes.names[group])}, "
            f"which has {first} in {self._row_noun} {self._lines[group]}: give one target for a group"
        )

    def groups(
        self, codes: IntArray, has_weight: BoolArray
    ) -> tuple[Groups, tuple[FloatArray, ...] | None, tuple[str, ...]]:
        """Return the groups of the rows that are left, and the targets by their ends, each (G,), if there are any.

        The third are the names of groups without a row that is left, which are no groups then. InputError for a group
        without a row of positive weight.
        """
        names = np.array(self._codes.names, dtype=object)
        rows, weighty = (np.bincount(some, minlength=len(names)) for some in (codes, codes[has_weight]))
        self._faults.add_each(
            np.flatnonzero((weighty == 0) & (rows > 0)).tolist(),
            lambda group: (self._begins[group],),
            lambda group: f"group {shown(names[group])}: {NO_WEIGHT}",
        )
        self._faults.stop_if_any()
        kept = rows > 0
        if not kept.all():
            codes = (np.cumsum(kept) - 1)[codes]
        targets = tuple(self._targets[: len(names), column][kept] for column in range(len(self._ends)))
        return Groups(tuple(names[kept]), codes), targets or None, tuple(names[~kept])
