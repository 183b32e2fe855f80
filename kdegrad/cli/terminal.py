"""What every command says beside its report: exit codes, messages, and how far work is.

Progress is a line on standard error, on a terminal alone, once the work takes more than a second.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from kdegrad.output import is_coloured
from kdegrad.text import safe_text, with_value

if TYPE_CHECKING:
    from threading import Timer

    from rich.progress import Progress as RichProgress

DONE: Final = 0
PROPERTY_FAILED: Final = 1
WRONG_INPUT: Final = 2  # wrong usage or input
NOT_FINITE: Final = 3  # the result is not finite
MACHINE_FAILED: Final = 4  # the machine, or an error of our own
INTERRUPTED: Final = 130

_COLOURS: Final = {"error": "1;31", "warning": "1;33", "note": "2"}  # bold red, bold yellow, dim
_KIND: Final = re.compile(f"^({'|'.join(_COLOURS)}):", flags=re.MULTILINE)
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)

PATIENCE: Final = 1.0  # seconds
_LONG: Final = 60.0  # seconds
_CALLS_A_CHECK: Final = 4.0  # of a judged loss: 1.4 to 4.2 were counted


def say(message: str) -> None:
    """Print a message on standard error, in what its encoding can show, its lines without control characters.

    The word that says what a line is, as in ``error: ...``, is coloured on a terminal. If standard error is closed or
    full, the message is dropped.
    """
    if sys.stderr is None or (_QUIET.get() and message.startswith("note: ")):
        return
    encoding = sys.stderr.encoding or "ascii"
    with suppress(OSError):
        text = safe_text(message, "\n").encode(encoding, errors="backslashreplace").decode(encoding)
        if is_coloured(sys.stderr):
            text = _KIND.sub(lambda kind: f"\x1b[{_COLOURS[kind[1]]}m{kind[0]}\x1b[0m", text)
        print(text, file=sys.stderr, flush=True)


def say_error(message: str) -> None:
    """Print each line of a message as an error."""
    say("\n".join(f"error: {line}" for line in message.splitlines()))


def without_notes(wanted: bool) -> AbstractContextManager[None]:
    """Drop the notes of the block if that is wanted; warnings and errors are printed."""
    return with_value(_QUIET, wanted)


def note_duration(call: float, checks: int) -> None:
    """Say how long the checks of a judged loss will take, of which a call takes `call` seconds, if that is long."""
    seconds = call * checks * _CALLS_A_CHECK
    if seconds > _LONG:
        minutes = f"{seconds / 60.0:.0f} min"
        say(f"note: a call takes {call:.2g} s, and the run up to {minutes}: --cases N or --only ID make it shorter")


def machine_error(error: Exception) -> str:
    """Return what to say about an error that is not the user's."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "failed to map segment" in text:  # the second: a library finds no room
        where = "".join(f" {note}" for note in getattr(error, "__notes__", ()))  # of a judged loss
        return f"out of memory{where}: fewer points or bins, or a larger machine"
    if isinstance(error, OSError):
        place = str(error.filename or "output")
        return f"{place if place.isprintable() else repr(place)}: {error.strerror or text}"
    return f"an error of kdegrad's own, {type(error).__name__}: {text}"


@final
class Progress:
    """A line that says that the block does `name`, and how much of it is done, or how long it has taken.

    Each call counts one of `total` pieces, `advance` so many; None: work that has no pieces. With `of_bytes` these are
    bytes, whose total may be unknown. Not `shown` where the block itself writes to the terminal.

    Examples
    --------
    >>> with Progress("sweep", 3) as advance:
    ...     for piece in "abc":
    ...         advance(piece)
    """

    def __init__(self, name: str, total: int | None = None, *, shown: bool = True, of_bytes: bool = False) -> None:
        self._name = name
        self._total = total
        self._of_bytes = of_bytes
        self._done = 0
        self._bar: RichProgress | None = None
        self._timer: Timer | None = None
        self._shown = shown

    def __enter__(self) -> Self:
        if self._shown and sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            import threading

            self._timer = threading.Timer(PATIENCE, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __call__(self, *_piece: object) -> None:
        """Count one piece of work as done."""
        self.advance(1)

    def advance(self, size: int) -> None:
        """Count so much of the total as done."""
        self._done += size
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # it may be about to show the bar
        if self._bar is not None:
            self._bar.stop()

    def _show(self) -> None:
        """Show the bar: of pieces with the time that they will still take, else with the time that has passed."""
        from rich import progress
        from rich.console import Console

        pieces: tuple[progress.ProgressColumn, ...] = ()
        if self._of_bytes:
            pieces = progress.DownloadColumn(), progress.TransferSpeedColumn()
        elif self._total is not None:
            pieces = (progress.MofNCompleteColumn(),)
        time = progress.TimeElapsedColumn() if self._total is None else progress.TimeRemainingColumn()
        columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), *pieces, time)
        bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        bar.add_task(self._name, total=self._total)
        self._bar = bar  # before what is done is read: no piece goes uncounted meanwhile
        bar.update(bar.task_ids[0], completed=self._done)
        bar.start()
