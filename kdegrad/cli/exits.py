"""The exit codes of the command line, and what each means."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
PROPERTY_FAILED: Final = 1
WRONG_INPUT: Final = 2  # wrong usage or input
NOT_FINITE: Final = 3  # the result is not finite
MACHINE_FAILED: Final = 4  # the machine, or an error of our own
INTERRUPTED: Final = 130
