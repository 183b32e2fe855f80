"""The faults of a file, raised together, each with its place."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar, final

from kdegrad.errors import InputError

NO_TARGET_WEIGHT: Final = "no target point has a positive weight: one must be above 0"

_Item = TypeVar("_Item")


@final
class Faults:
    """The faults of the file `name`, raised together in the order of their places; only those to be shown are kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._first: list[tuple[tuple[int, ...], str]] = []
        self.total = 0

    def add(self, where: tuple[int, ...], text: str | Callable[[], str]) -> None:
        """Add a fault at `where`, (line,) or (line, column); a callable makes a costly text only if it is kept."""
        self.total += 1
        if len(self._first) < InputError.SHOWN or where < self._first[-1][0]:
            insort(self._first, (where, text if isinstance(text, str) else text()), key=lambda fault: fault[0])
            del self._first[InputError.SHOWN :]

    def add_each(
        self, wrong: Sequence[_Item], where: Callable[[_Item], tuple[int, ...]], text: Callable[[_Item], str]
    ) -> None:
        """Add a fault of each of many items in the order of their places; those that are not shown are only counted."""
        for item in wrong[: InputError.SHOWN]:
            self.add(where(item), partial(text, item))
        self.total += len(wrong[InputError.SHOWN :])

    def include(self, others: Faults) -> None:
        """Add the faults of another part of the file."""
        for where, text in others._first:
            self.add(where, text)
        self.total += others.total - len(others._first)

    def stop_if_any(self) -> None:
        """Raise the faults that were added as one `InputError`."""
        if self.total:
            listed = [f"{place(self.name, *where)}: {text}" for where, text in self._first]
            raise InputError(listed, total=self.total)


def place(name: str, *where: int) -> str:
    """Return ``name:line`` or ``name:line:column``."""
    return ":".join([name, *map(str, where)])
