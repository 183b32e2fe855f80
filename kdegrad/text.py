"""Text in messages and reports: data shown without acting on a terminal, names near to a misspelt one, numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters to Unicode, but they print as blanks


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


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the known names nearest to `name`, or an empty string."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower()[:100], by_lower, n=3, cutoff=0.65)  # cvs is csv: 0.67
    return f"; did you mean {' or '.join(shown(by_lower[c]) for c in close)}?" if close else ""


def enumerated(names: Iterable[str], most: int = 12) -> str:
    """Return names quoted in a row, the last of very many left out."""
    quoted = [shown(name) for name in names]
    more = [f"and {len(quoted) - most} more"] if len(quoted) > most else []
    return ", ".join(quoted[:most] + more) or "none"


def five_digits(value: float) -> str:
    """Return a computed number to five digits, never cut; what was put in is shown to six."""
    return f"{value:.5g}"
