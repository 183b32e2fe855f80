"""Cells by column → angles, logits, labels: what tables and YAML documents have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.errors import InputError
from kdegrad.grammar import number
from kdegrad.reading.decimals import plain_numbers
from kdegrad.text import enumerated, nearest, shown
from kdegrad.weights import logits_of


@dataclass(frozen=True)
class Columns:
    """The names of columns that were given; None stands for the default: the role's own name.

    A column that was given must exist. Of the defaults only ``angle`` must.
    """

    angle: str | None = None
    logit: str | None = None
    weight: str | None = None
    label: str | None = None

    def over(self, below: Columns) -> Columns:
        """Return these names, and those of `below` where nothing is said here.

        Logit and weight are one choice: naming either here leaves out what `below` names for both.
        """
        ours_if_any = self if self.logit is not None or self.weight is not None else below
        return Columns(
            angle=below.angle if self.angle is None else self.angle,
            logit=ours_if_any.logit,
            weight=ours_if_any.weight,
            label=below.label if self.label is None else self.label,
        )

    def given(self) -> dict[str, str]:
        """Return role → column for the roles whose column was named."""
        return {role: column for role, column in asdict(self).items() if column is not None}

    def names(self) -> dict[str, str]:
        """Return role → column for all roles, whether such a column exists or not."""
        return {role: role for role in ROLES} | self.given()

    def choose(self, found: Collection[str], place: str, hint: str = "") -> dict[str, str]:
        """Return the column of each role that the points have: ``{"angle": "theta", "logit": "logit"}``.

        Parameters
        ----------
        found
            The names of the columns that there are.
        place
            Where they are named, for the message.
        hint
            What else may mend a missing column, as the end of a sentence.

        Raises
        ------
        InputError
            If a column that must exist does not, or if there are both logits and weights.
        """
        names, given = self.names(), self.given()
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
                    f"{shown(chosen['weight'])}): name the one that counts with --logit-column or --weight-column"
                )
            del chosen["weight" if "logit" in given else "logit"]
        return chosen


ROLES: Final = tuple(role.name for role in fields(Columns))


@dataclass(frozen=True, eq=False)
class Source:
    """What a file says, checked.

    Attributes
    ----------
    name
        The file, for messages.
    angles
        Shape (N,), float64, finite, in the file's own unit.
    logits
        Shape (N,), float64; -inf masks a point. The logarithm of the weights if the
        file gives weights; None if it gives neither.
    labels
        N names as they stand, or None.
    settings
        Option name as in SPEC section 6 → value, for the options that a YAML problem gives.
    places
        Option name → ``file:line:column`` of its value, for the messages of those who check ranges.
    table
        The file that a YAML problem takes its points from, or None.
    overlooked
        The column that looks like logits or weights, where there are neither; or None.
    """

    name: str
    angles: FloatArray
    logits: FloatArray | None
    labels: tuple[str, ...] | None
    settings: dict[str, object] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    table: str | None = None
    overlooked: str | None = None


class Faults:
    """The faults of one file, shown together in the order of their places; a million of them take no room."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: list[tuple[tuple[int, ...], str | Callable[[], str]]] = []
        self._total = 0

    def add(self, where: tuple[int, ...], text: str | Callable[[], str]) -> None:
        """Note a fault at `where`: (line,) or (line, column); a costly text may wait until it is known to be shown."""
        self._total += 1
        self._first.append((where, text))
        if len(self._first) > 50 * InputError.SHOWN:
            self._keep_first()

    def stop_if_any(self) -> None:
        """Raise the faults noted so far as one error."""
        if self._total:
            self._keep_first()
            texts = ((where, text if isinstance(text, str) else text()) for where, text in self._first)
            lines = [f"{place(self._name, *where)}: {text}" for where, text in texts]
            raise InputError(lines, total=self._total)

    def _keep_first(self) -> None:
        self._first.sort(key=lambda fault: fault[0])
        del self._first[InputError.SHOWN :]


def place(name: str, *where: int) -> str:
    """Return ``name:line`` or ``name:line:column``."""
    return ":".join([name, *map(str, where)])


@dataclass(frozen=True)
class Table:
    """The cells of points as text, and where they stand.

    Attributes
    ----------
    name
        The file.
    roles
        Role → the name of its column, as `Columns.choose` returns it.
    cells
        Role → N cells.
    where
        (role, row) → (line,) or (line, column).
    """

    name: str
    roles: Mapping[str, str]
    cells: Mapping[str, Sequence[str]]
    where: Callable[[str, int], tuple[int, ...]]

    def source(self, faults: Faults) -> Source:
        """Return the points, or raise `faults` with those of the cells added."""
        values = {role: self._numbers(role, faults) for role in self.roles if role != "label"}
        faults.stop_if_any()
        labels = tuple(self.cells["label"]) if "label" in self.roles else None
        return source_of(self.name, values, labels)

    def _numbers(self, role: str, faults: Faults) -> FloatArray:
        """Return the numbers of a column; zero where a cell is at fault."""
        texts = self.cells[role]
        values = plain_numbers("\n".join(texts).encode("utf-8", "replace"), b"\n")
        if values is None or values.size != len(texts):
            values = np.zeros(len(texts))
            for row, text in enumerate(texts):
                try:
                    values[row] = number(bare(text), minus_infinity=role == "logit")
                except ValueError as error:
                    faults.add(self.where(role, row), f"column {shown(self.roles[role])}: {error}")
        if role == "weight":
            for row in map(int, np.flatnonzero(values < 0.0)):
                faults.add(
                    self.where(role, row),
                    f"column {shown(self.roles[role])}: {shown(texts[row])} is negative: a weight is 0 or more",
                )
        return values


def source_of(name: str, values: Mapping[str, FloatArray], labels: tuple[str, ...] | None = None) -> Source:
    """Return the points whose numbers, by role, are checked one by one; check them together.

    Raises
    ------
    InputError
        If no point has a positive weight.
    """
    logits = values.get("logit")
    if "weight" in values:
        logits = logits_of(values["weight"])
    if logits is not None and not np.isfinite(logits).any():
        raise InputError(f"{name}: no point has a positive weight: let one logit be finite, or one weight above 0")
    return Source(name=name, angles=values["angle"], logits=logits, labels=labels)


def overlooked(source: Source, found: Iterable[str]) -> Source:
    """Return the source; if it has no weights, with the column of `found` that may have been meant for them."""
    if source.logits is not None:
        return source
    likely = (name for name in found if name.strip().lower().removesuffix("s") in ("logit", "weight"))
    return replace(source, overlooked=next(likely, None))


def bare(text: str) -> str:
    """Return a cell without the spaces round it, and without quotes that csv took for text because of these."""
    stripped = text.strip()
    return stripped[1:-1] if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped
