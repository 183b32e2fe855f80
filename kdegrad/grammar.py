"""The grammar of numbers that files and the command line share, and of cells that a spreadsheet takes for formulas.

    number  = [sign] (digits ["." digits*] | "." digits) [("e" | "E") [sign] digits]

Plain ASCII, no underscores, no hexadecimal, no ``nan``, no ``inf``; spaces round it are no part of it.
A logit may also be ``-inf`` (YAML's ``-.inf`` means the same): a point of weight zero.
"""

from __future__ import annotations

import math
import re

from kdegrad.text import shown

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MINUS_INFINITY = re.compile(r"-\.?inf", re.IGNORECASE | re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+")
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


def reads_as_number(text: str, *, minus_infinity: bool = False) -> bool:
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
        whole = reads_as_number(stripped) and float(stripped).is_integer() and abs(float(stripped)) < 1e15
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


def guarded(text: str) -> str:
    """Return `text` as a cell that no spreadsheet takes for a formula: behind a ' if it begins as one does.

    A text that writes a number is one in a spreadsheet too, and stays.
    """
    return f"'{text}" if _FORMULA.match(text) and not reads_as_number(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made `cell` of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
