"""Start and end of a process of the command ``kdegrad``, which is also ``python -m kdegrad``."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # `signal` itself imports enum and more, and an interrupt during that would print a traceback


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    gc.set_threshold(100_000)  # imports make many objects and no garbage: this saves 8 ms of collecting
    # glibc keeps what is freed for the next array up to the size of the largest block that was freed, 32 MiB at most;
    # what is larger comes from the system page by page, which can take as long as the sums. This one is never touched.
    bytes((32 << 20) - (64 << 10))
    handler = _signal.getsignal(_signal.SIGINT)
    if handler is _signal.default_int_handler:  # KeyboardInterrupt while a class is created becomes another error
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from kdegrad.cli.app import run
    from kdegrad.cli.terminal import INTERRUPTED

    _signal.signal(_signal.SIGINT, handler)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # it came outside the try block of `run`
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
