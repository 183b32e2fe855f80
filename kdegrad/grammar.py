"""The one grammar of numbers that files and the command line share, and the "did you mean" of every name.

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


def integer(text: str) -> int:
    """Return the whole number that `text` writes (``1e3`` is no whole number here).

    Raises
    ------
    ValueError
        With a sentence that says what is wrong with `text`.
    """
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped) or len(stripped) > _LONGEST:
        raise ValueError(f"{shown(text)} is no whole number (write digits: 360)")
    return int(stripped)


def _remedy(stripped: str) -> str:
    """Return what to write instead of a text that is no number."""
    if not stripped:
        return "it is empty: write a value"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", stripped):
        return f"a decimal comma: write a point, {stripped.replace(',', '.')}"
    bare = stripped.lstrip("+-.").lower()
    if bare in ("inf", "infinity"):
        return "it is infinite: only a logit may be, and only -inf, which masks its point"
    if bare == "nan":
        return "a missing value: fill it in or leave the point out"
    return "write digits, a point, an exponent: 12, -0.5, 1e-3"


def shown(text: str, longest: int = 60) -> str:
    """Return `text` quoted on one line for a message: control characters escaped, a long one shortened."""
    if len(text) > longest:
        return f"{text[:longest]!r}... ({len(text)} characters)"
    return repr(text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the known names nearest to `name`, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower()[:100], by_lower, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(shown(by_lower[c]) for c in close)}?" if close else ""
