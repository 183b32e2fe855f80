"""How a process of the command begins and ends; ``python -m kdegrad`` is the command ``kdegrad``."""

from __future__ import annotations

import gc
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    gc.set_threshold(100_000)  # starting makes many objects and no garbage: 8 ms of looking for it are saved
    heeded = signal.getsignal(signal.SIGINT)
    if heeded is signal.default_int_handler:  # raised within a class that is being made, it becomes another error
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kdegrad.cli import run

    signal.signal(signal.SIGINT, heeded)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # it came between two lines of `run`
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
