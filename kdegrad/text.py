"""Text in messages and reports: whom it speaks to, data that cannot control a terminal, names, lists, numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters by Unicode, printed as blanks

NARROWEST, WIDEST = 40, 1_000  # columns of a table
_FEWEST: Final = 6  # significant digits of a place
_PLAIN: Final = 9  # significant digits that are shown in full
_ALL: Final = 17  # significant digits that tell any two float64 apart

_Value = TypeVar("_Value")
_OF_FLAGS: Final = ContextVar("of_flags", default=False)
_NO_NAMES: Final[Mapping[str, str]] = {}
_CALLED: Final = ContextVar("called", default=_NO_NAMES)


@contextmanager
def with_value(variable: ContextVar[_Value], value: _Value) -> Iterator[None]:
    """Give a variable another value in the block."""
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


@contextmanager
def speaking_of_flags() -> Iterator[None]:
    """Have messages name the flags of the command line; otherwise they name the keywords of the library."""
    with with_value(_OF_FLAGS, True):
        yield


def keywords_called(names: Mapping[str, str]) -> AbstractContextManager[None]:
    """Have messages call keywords by other names in the block, as a function that has others calls them."""
    return with_value(_CALLED, names)


def spoken(flags: str, keywords: str) -> str:
    """Return the first text on the command line, where options are flags; in the library, the one with keywords."""
    return flags if _OF_FLAGS.get() else _CALLED.get().get(keywords, keywords)


def option_text(name: str, value: str = "") -> str:
    """Return how an option is given: ``--angle-column NAME``, in the library ``angle_column=NAME``.

    Without a value: ``--angle-column``, in the library ``angle_column``.
    """
    keyword = name.replace("-", "_")
    keyword = _CALLED.get().get(keyword, keyword)
    if not value:
        return spoken(f"--{name}", keyword)
    return spoken(f"--{name} {value}", f"{keyword}={value}")


def shown(text: str, longest: int = 60) -> str:
    """Return `text` quoted on one line for a message: control characters as escapes, a long text shortened."""
    if len(text) > longest:
        return f"{text[:longest]!r}... ({len(text)} characters)"
    return repr(text)


def shortened(values: object, longest: int = 60) -> str:
    """Return how Python writes `values`, on one line and not longer than a message can bear."""
    text = " ".join(repr(values).split())
    return text if len(text) <= longest else f"{text[:longest]}..."


def safe_text(text: str, kept: str = "") -> str:
    """Return `text` with all control, format, invisible and unassigned characters as escapes, except the `kept`."""
    return "".join(
        c if c in kept or (c.isprintable() and c not in _UNSEEN) else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def similar(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names most similar to `name`, three at most."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower()[:100], by_lower, n=3, cutoff=0.65)  # cvs and csv: 0.67
    return [by_lower[c] for c in close]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the known names most similar to `name`, else an empty string."""
    close = similar(name, known)
    return f"; did you mean {' or '.join(map(shown, close))}?" if close else ""


def one_edit_apart(one: str, other: str) -> bool:
    """Return whether at most one letter is wrong, missing or too many, or two neighbours are swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def enumerated(names: Iterable[str], most: int = 12) -> str:
    """Return the names quoted and separated by commas; beyond `most`, only how many more there are."""
    quoted = [shown(name) for name in names]
    more = [f"and {len(quoted) - most} more"] if len(quoted) > most else []
    return ", ".join(quoted[:most] + more) or "none"


def counted(number: int, noun: str) -> str:
    """Return a number of things, as ``1 point``, ``2 points`` or ``2 properties``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def summary(what: str, *facts: str) -> str:
    """Return the repr of a result or of data, ``<Evaluation: loss 7.81144871, 6 points>``: one line without arrays."""
    return f"<{what}: {', '.join(fact for fact in facts if fact)}>"


def nine_digits(value: float) -> str:
    """Return a number to nine significant digits."""
    return f"{value:.{_PLAIN}g}"


def five_digits(value: float) -> str:
    """Return a computed number to five significant digits (inputs are shown to six)."""
    return f"{value:.5g}"


def angle_texts(values: Iterable[float]) -> list[str]:
    """Return angles, nodes or ends of a target with the digits that tell them apart: 2460310.5, never 2.46031e+06.

    They stand as they are if nine significant digits are enough for that. Longer ones are rounded to as few digits, six
    at least, as keep different places different.
    """
    given = [float(value) for value in values]
    whole = max((len(str(int(abs(value)))) for value in given if abs(value) < 1e15), default=0)
    if all(float(f"{value:.{_PLAIN}g}") == value for value in given):
        return [f"{value:.{_PLAIN}g}" for value in given]
    for digits in range(max(_FEWEST, whole), _ALL):
        texts = [f"{value:.{digits}g}" for value in given]
        if len(set(texts)) == len(set(given)):
            return texts
    return [f"{value:.{_ALL}g}" for value in given]


def interval_text(ends: Iterable[float]) -> str:
    """Return the two ends of an interval as ``[350, 370]``, with the digits of `angle_texts`."""
    return f"[{', '.join(angle_texts(ends))}]"
