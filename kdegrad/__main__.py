"""How a process of the command begins and ends; ``python -m kdegrad`` is the command ``kdegrad``."""

from __future__ import annotations

import gc
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code.

    Whoever ends the process, by Ctrl-C, ``kill`` or by closing the terminal, leaves no half-written file behind.
    """
    gc.set_threshold(100_000)  # starting makes many objects and no garbage: 8 ms of looking for it are saved
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP; nohup and its like have it ignored
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        from kdegrad.cli import run  # it takes a while, in which an interrupt is no traceback either

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _end(number: int, _frame: object) -> NoReturn:
    """Leave as the shell counts a process that a signal ended, once what was begun is cleared away."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
