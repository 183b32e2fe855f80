"""The grammar of values that files and the command line share, and cells that a spreadsheet would take for formulas.

    number  = [sign] (digits ["." digits*] | "." digits) [("e" | "E") [sign] digits]

ASCII only: no underscores, no hexadecimal, no ``nan``, no ``inf``; spaces around a number are ignored.
A logit may also be ``-inf`` (or YAML's ``-.inf``), which gives its point the weight zero. In a table a comma may stand
for the point, if ``--decimal ,`` says so.
"""

from __future__ import annotations

import math
import re
from typing import Final

from kdegrad.text import shown, spoken

NUMBER_CHARACTERS: Final = "0123456789+-.eE"
WHITESPACE: Final = "whitespace"  # as a delimiter: any number of blanks and tabs

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MINUS_INFINITY = re.compile(r"-\.?inf", re.IGNORECASE | re.ASCII)
_MISSING = re.compile(r"[+-]?\.?nan|#?n/?a|null|~|", re.IGNORECASE | re.ASCII)
_DASHES = "\u2212\u2013\u2014\u2010\u2011\ufe63\uff0d"  # printed like a minus, and not the one of ASCII
_INTEGER = re.compile(r"[+-]?[0-9]+")
_SWAPPED = str.maketrans(".,", ",.")
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_LONGEST_INTEGER = 400  # characters; Python's int() refuses very long ones, and a float64 in full has fewer


def number(text: str, *, minus_infinity: bool = False, decimal: str | None = None) -> float:
    """Return the float64 that `text` denotes; ``-inf`` only with `minus_infinity`, as for logits.

    Parameters
    ----------
    decimal
        The decimal mark of a table, ``.`` or ``,``; None where ``--decimal`` cannot be given, and it is ``.``.

    Raises
    ------
    ValueError
        The message says what is wrong with `text` and what to write instead.
    """
    stripped = text.strip()
    if minus_infinity and _MINUS_INFINITY.fullmatch(stripped):
        return -math.inf
    pointed = stripped.translate(_SWAPPED) if decimal == "," else stripped
    if not _NUMBER.fullmatch(pointed):
        raise ValueError(f"{shown(text)} is not a number ({_remedy(stripped, decimal)})")
    value = float(pointed)
    if math.isinf(value):
        raise ValueError(f"{shown(text)} is outside the range of float64 (about 1.8e308)")
    return value


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is no value: it is empty, NaN, NA, N/A, #N/A or null in any case, or ~."""
    return _MISSING.fullmatch(text.strip()) is not None


def reads_as_number(text: str, *, minus_infinity: bool = False) -> bool:
    """Return whether `number` accepts `text`; many are asked for, and no message is made."""
    stripped = text.strip()
    if minus_infinity and _MINUS_INFINITY.fullmatch(stripped):
        return True
    return _NUMBER.fullmatch(stripped) is not None and math.isfinite(float(stripped))


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


def delimiter(text: str) -> str:
    r"""Return the character that ``--delimiter`` means, a tab also by ``tab`` or ``\t``; or the word ``whitespace``.

    Raises
    ------
    ValueError
        If it is not one character, or one that occurs inside cells; the message says what to give instead.
    """
    remedy = "give , or ; or tab or whitespace"
    if text.lower() == WHITESPACE:
        return WHITESPACE
    character = "\t" if text.lower() in ("tab", "\\t") else text
    if len(character) != 1:
        raise ValueError(f"{shown(text)} is not one character: {remedy}")
    if character in '"#\r\n\0' + NUMBER_CHARACTERS:
        raise ValueError(f"{shown(text)} occurs inside cells and cannot separate them: {remedy}")
    return character


def _remedy(stripped: str, decimal: str | None) -> str:
    """Return what to write instead of a text that is not a number."""
    if not stripped:
        return "it is empty: write a value"
    if dashes := [character for character in stripped if character in _DASHES]:
        written = "".join("-" if character in _DASHES else character for character in stripped)
        return f"'{dashes[0]}' is U+{ord(dashes[0]):04X}, not the minus of ASCII: write {shown(written)}"
    mark, other, name = (",", ".", "point") if decimal == "," else (".", ",", "comma")
    readings = []
    if re.fullmatch(rf"[+-]?[1-9][0-9]{{0,2}}([{other}][0-9]{{3}})+([{mark}][0-9]*)?", stripped):
        readings.append(f"thousands? write {stripped.replace(other, '')}")
    if re.fullmatch(rf"[+-]?[0-9]*[{other}][0-9]+([eE][+-]?[0-9]+)?", stripped):
        given = spoken(f"--decimal {other}", f"decimal='{other}'")
        option = "" if decimal is None else f", or give {given}"
        readings.append(f"a decimal {name}? write {stripped.replace(other, mark)}{option}")
    if readings:
        return "; ".join(readings)
    bare = stripped.lstrip("+-.").lower()
    if bare in ("inf", "infinity"):
        masked = "" if decimal is None else ", or -inf as a logit, which masks its point"  # an option is no logit
        return f"it is infinite: write a finite number{masked}"
    if bare == "nan":
        return "a missing value: write a number"
    return f"write digits, with a {'comma' if decimal == ',' else 'point'} or an exponent: 12, -0{mark}5, 1e-3"


def guarded(text: str) -> str:
    """Return `text` as a cell of CSV that no spreadsheet evaluates: with ``'`` in front if it begins like a formula.

    A text that is a number is a number in a spreadsheet too, and stays.
    """
    return f"'{text}" if _FORMULA.match(text) and not reads_as_number(text) else text


def unguarded(cell: str) -> str:
    """Return the text of which `guarded` made `cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
