"""How a process of the command begins and ends; ``python -m kdegrad`` is the command ``kdegrad``."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # what `signal` wraps: that loads enum and more, and an interrupt meanwhile would be a traceback


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    gc.set_threshold(100_000)  # starting makes many objects and no garbage: 8 ms of looking for it are saved
    heeded = _signal.getsignal(_signal.SIGINT)
    if heeded is _signal.default_int_handler:  # raised within a class that is being made, it becomes another error
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from kdegrad.cli.app import run
    from kdegrad.cli.terminal import INTERRUPTED

    _signal.signal(_signal.SIGINT, heeded)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # it came between two lines of `run`
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
