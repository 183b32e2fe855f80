"""How far work is: a line on standard error, on a terminal alone, once the work takes more than a second.

`ProgressBar` is for work that counts its pieces, `Working` for a step that cannot, like one sum over all points.
"""

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
        self._shown = _has_terminal()
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


@final
class Working:
    """A line that names the step which the block is, and counts the seconds; it vanishes with the block.

    Parameters
    ----------
    step
        What is done, in a word.
    shown
        False where the block itself writes to the terminal.
    """

    def __init__(self, step: str, *, shown: bool = True) -> None:
        self._step = step
        self._shown = shown and _has_terminal()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._shown:
            import threading

            self._timer = threading.Timer(PATIENCE, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._timer.cancel()
            self._timer.join()
            if self._bar is not None:
                self._bar.stop()

    def _show(self) -> None:
        self._bar = _start(self._step)


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _start(name: str, total: int | None = None) -> Progress:
    """Show a bar: of `total` pieces with the time they will take, or, of what has none, with the time it took."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    times = (TimeElapsedColumn(),) if total is None else (MofNCompleteColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *times)
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(name, total=total)
    bar.start()
    return bar
