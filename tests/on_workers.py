"""What workers of a cluster do in the tests: they import this module alone, which is loaded in no time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdegrad import output
from kdegrad.reading.parts import Part


def late(part: Part) -> str:
    """Return the name of a part, of the first one later than of the others."""
    time.sleep(0.3 if part.name == "part-0.csv" else 0.0)
    return part.name


def dying(part: Part, marker: Path, folder: str, then: Callable[[Part], Any]) -> Any:
    """Kill this worker half-way through a file, the first time that it is asked for the third part."""
    if part.name == "part-2.csv" and not marker.exists():
        marker.touch()
        with output.replacing(os.path.join(folder, part.name)) as stream:
            stream.write(b"angle")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    return then(part)


def deadly(part: Part) -> None:
    """Kill the worker of the second part, whichever it is."""
    if part.name == "part-1.csv":
        os.kill(os.getpid(), signal.SIGKILL)


def failing(part: Part, error: Exception) -> None:
    """Raise an error."""
    raise error
