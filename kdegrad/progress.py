"""How far work is: a bar on standard error, on a terminal alone, once the work takes more than a second."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE: Final = 1.0  # seconds


@final
class ProgressBar:
    """A bar that is called after each of `total` pieces of work; it vanishes when the work is done.

    Parameters
    ----------
    name
        What is done, in a word.
    total
        How many pieces there are; left out where `set` is told.

    Examples
    --------
    >>> with ProgressBar("sweep", 3) as advance:
    ...     for piece in "abc":
    ...         advance(piece)
    """

    def __init__(self, name: str, total: int = 0) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._shown = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._bar: Progress | None = None

    def __call__(self, _piece: object = None) -> None:
        """Count one piece of work as done."""
        self.set(self._done + 1, self._total)

    def set(self, done: int, total: int) -> None:
        """Say that `done` pieces of `total` are done."""
        self._done = done
        if self._shown and self._bar is None and time.monotonic() - self._started > PATIENCE:
            self._bar = _start(self._name, total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _start(name: str, total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(name, total=total)
    bar.start()
    return bar
