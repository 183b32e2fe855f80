"""The one grammar of numbers that files and the command line share, and how text of data is shown without acting.

    number  = [sign] (digits ["." digits*] | "." digits) [("e" | "E") [sign] digits]

Plain ASCII, no underscores, no hexadecimal, no ``nan``, no ``inf``; spaces round it are no part of it.
A logit may also be ``-inf`` (YAML's ``-.inf`` means the same): a point of weight zero.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MINUS_INFINITY = re.compile(r"-\.?inf", re.IGNORECASE | re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters to Unicode, blanks to the eye
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_LONGEST = 400  # characters of a number that are worth reading: a float64 written out in full has fewer


def number(text: str, *, minus_infinity: bool = False) -> float:
    """Return the float64 that `text` writes.

    Raises
    ------
    ValueError
        With a sentence that says what is wrong with `text` and what to write instead.
    """
    stripped = text.strip()
    if minus_infinity and _MINUS_INFINITY.fullmatch(stripped):
        return -math.inf
    if not _NUMBER.fullmatch(stripped):
        raise ValueError(f"{shown(text)} is no number ({_remedy(stripped)})")
    value = float(stripped)
    if math.isinf(value):
        raise ValueError(f"{shown(text)} is beyond the range of a float64 (about 1.8e308)")
    return value


def is_number(text: str, *, minus_infinity: bool = False) -> bool:
    """Return whether `number` reads `text`."""
    try:
        number(text, minus_infinity=minus_infinity)
    except ValueError:
        return False
    return True


def integer(text: str) -> int:
    """Return the whole number that `text` writes (``1e3`` is no whole number here).

    Raises
    ------
    ValueError
        With a sentence that says what is wrong with `text`.
    """
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped) or len(stripped) > _LONGEST:
        whole = is_number(stripped) and float(stripped).is_integer() and abs(float(stripped)) < 1e15
        raise ValueError(f"{shown(text)} is no whole number (write digits: {int(float(stripped)) if whole else 12})")
    return int(stripped)


def _remedy(stripped: str) -> str:
    """Return what to write instead of a text that is no number."""
    if not stripped:
        return "it is empty: write a value"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", stripped):
        return f"a decimal comma: write a point, {stripped.replace(',', '.')}"
    bare = stripped.lstrip("+-.").lower()
    if bare in ("inf", "infinity"):
        return "it is infinite: write a finite number, or -inf for a logit, which masks its point"
    if bare == "nan":
        return "a missing value: write one, or leave its point out"
    return "write digits, a point, an exponent: 12, -0.5, 1e-3"


def shown(text: str, longest: int = 60) -> str:
    """Return `text` quoted on one line for a message: control characters escaped, a long one shortened."""
    if len(text) > longest:
        return f"{text[:longest]!r}... ({len(text)} characters)"
    return repr(text)


def safe_text(text: str, kept: str = "") -> str:
    """Return `text` with every control, format, invisible and unassigned character but the `kept` as an escape."""
    return "".join(
        c if c in kept or (c.isprintable() and c not in _UNSEEN) else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def guarded(text: str) -> str:
    """Return `text` as a cell that no spreadsheet takes for a formula: behind a ' if it begins as one does.

    A text that writes a number is one in a spreadsheet too, and stays.
    """
    return f"'{text}" if _FORMULA.match(text) and not is_number(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made `cell` of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the known names nearest to `name`, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower()[:100], by_lower, n=3, cutoff=0.65)  # cvs is csv: 0.67
    return f"; did you mean {' or '.join(shown(by_lower[c]) for c in close)}?" if close else ""
