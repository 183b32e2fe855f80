"""The grammar of values that files and the command line share, and cells that a spreadsheet would take for formulas.

    number  = [sign] (digits ["." digits*] | "." digits) [("e" | "E") [sign] digits]

ASCII only: no underscores, no hexadecimal, no ``nan``, no ``inf``; spaces around a number are ignored.
A logit may also be ``-inf`` (or YAML's ``-.inf``), which gives its point the weight zero.
"""

from __future__ import annotations

import math
import re

from kdegrad.text import shown

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MINUS_INFINITY = re.compile(r"-\.?inf", re.IGNORECASE | re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_LONGEST_INTEGER = 400  # characters; Python's int() refuses very long ones, and a float64 in full has fewer


def number(text: str, *, minus_infinity: bool = False) -> float:
    """Return the float64 that `text` denotes; ``-inf`` only with `minus_infinity`, as for logits.

    Raises
    ------
    ValueError
        The message says what is wrong with `text` and what to write instead.
    """
    stripped = text.strip()
    if minus_infinity and _MINUS_INFINITY.fullmatch(stripped):
        return -math.inf
    if not _NUMBER.fullmatch(stripped):
        raise ValueError(f"{shown(text)} is not a number ({_remedy(stripped)})")
    value = float(stripped)
    if math.isinf(value):
        raise ValueError(f"{shown(text)} is outside the range of float64 (about 1.8e308)")
    return value


def reads_as_number(text: str, *, minus_infinity: bool = False) -> bool:
    """Return whether `number` accepts `text`."""
    try:
        number(text, minus_infinity=minus_infinity)
    except ValueError:
        return False
    return True


def integer(text: str) -> int:
    """Return the integer that `text` denotes; ``1e3`` is not one. The ValueError is as for `number`."""
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped) or len(stripped) > _LONGEST_INTEGER:
        value = float(stripped) if reads_as_number(stripped) else math.nan
        example = int(value) if value.is_integer() and abs(value) < 1e15 else 12
        raise ValueError(f"{shown(text)} is not an integer (write digits: {example})")
    return int(stripped)


def truth(text: str) -> bool:
    """Return what ``true`` or ``false`` means, in upper or lower case; any other text raises ValueError."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{shown(text)} is neither true nor false: write true or false")
    return text.lower() == "true"


def _remedy(stripped: str) -> str:
    """Return what to write instead of a text that is not a number."""
    if not stripped:
        return "it is empty: write a value"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", stripped):
        return f"decimal comma? write {stripped.replace(',', '.')}"
    bare = stripped.lstrip("+-.").lower()
    if bare in ("inf", "infinity"):
        return "it is infinite: write a finite number, or -inf as a logit, which masks its point"
    if bare == "nan":
        return "a missing value: write a number, or remove its point"
    return "write digits, with a point or an exponent: 12, -0.5, 1e-3"


def guarded(text: str) -> str:
    """Return `text` as a cell of CSV that no spreadsheet evaluates: with ``'`` in front if it begins like a formula.

    A text that is a number is a number in a spreadsheet too, and stays.
    """
    return f"'{text}" if _FORMULA.match(text) and not reads_as_number(text) else text


def unguarded(cell: str) -> str:
    """Return the text of which `guarded` made `cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
