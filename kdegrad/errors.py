"""The errors that kdegrad raises for wrong settings and wrong input, one family; the warning about odd input."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Final

_PASSED_OVER: Final = ("kdegrad", "numpy", "contextlib")  # which numpy.errstate wraps functions by


class KdegradError(ValueError):
    """A setting or an input is wrong; the message says what, where, and what to do about it."""


class InputWarning(UserWarning):
    """What was given, or a file or a data frame holds, may not be meant; the message says what is done with it."""


def warn(note: str) -> None:
    """Issue an `InputWarning` at the line from which a function of kdegrad was called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(note, InputWarning, stacklevel=level)


class SettingError(KdegradError):
    """An option has a value that it cannot have.

    Parameters
    ----------
    name
        The option's name without leading dashes (``bandwidth``, ``input-format``).
    problem
        What is wrong, with the value, and what to do.
    place
        Where the value was given (``--bandwidth``, ``problem.yaml:3:12``); None as long as it is not known.
    """

    def __init__(self, name: str, problem: str, place: str | None = None) -> None:
        self.name = name
        self.problem = problem
        self.place = place
        super().__init__(f"{place or name.replace('-', '_')}: {problem}")  # without a place as a keyword

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str, str | None]]:
        """Make it again in another process, which else calls it with the message alone."""
        return type(self), (self.name, self.problem, self.place)

    def at(self, place: str) -> SettingError:
        """Return the same error with the place where the value was given."""
        return SettingError(self.name, self.problem, place)


class InputError(KdegradError):
    """Points or a file that cannot be used.

    Parameters
    ----------
    faults
        One line for each fault: place, value, remedy. The first `SHOWN` are kept.
    total
        The number of faults, if it is larger than the number of `faults`.
    """

    SHOWN = 20

    def __init__(self, faults: str | Sequence[str], total: int | None = None) -> None:
        listed = [faults] if isinstance(faults, str) else list(faults)
        self.total = len(listed) if total is None else total
        self.faults = listed[: self.SHOWN]
        hidden = self.total - len(self.faults)
        more = [f"... and {hidden} more faults ({self.total} in all)"] if hidden > 0 else []
        super().__init__("\n".join(self.faults + more))

    def __reduce__(self) -> tuple[type[InputError], tuple[list[str], int]]:
        """Make it again in another process, with its faults."""
        return type(self), (self.faults, self.total)


class ProblemFaults:
    """What is wrong with single problems of many; it is raised together, in the order of the problems.

    Parameters
    ----------
    called
        What a message calls a problem, by its number.
    """

    def __init__(self, called: Callable[[int], str]) -> None:
        self._called, self._total = called, 0
        self._found: list[tuple[int, str]] = []

    def add(self, problems: Sequence[int], text: Callable[[int], str]) -> None:
        """Add a fault of each of the `problems`; the text of the k-th is made only where it is shown."""
        self._found += [(problem, text(k)) for k, problem in enumerate(problems[: InputError.SHOWN])]
        self._total += len(problems)

    def stop_if_any(self) -> None:
        """Raise the faults that were added as one `InputError`."""
        if self._total:
            listed = sorted(self._found, key=lambda fault: fault[0])
            raise InputError([f"{self._called(problem)}: {text}" for problem, text in listed], total=self._total)
