"""What pages in HTML are made of: text that cannot become markup, facts, tables, and a figure as inline SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from typing import Any, Final

from kdegrad.reports.html_style import LIGHT
from kdegrad.reports.tables import Column, columns_of, title_of
from kdegrad.text import safe_text

LONG: Final = 24  # letters of a name that is folded where it must be
SHOWN: Final = 80  # letters of a cell of words; one that has more has them in its title
SENTENCE: Final = 50  # the width of a column that holds sentences
_COLOURS: Final = {colour: f"var(--kd-{name})" for name, colour in LIGHT.items()}
_LEFT_OUT: Final = re.compile("<metadata>.*?</metadata>|<defs>\\s*<style.*?</style>\\s*</defs>|<!--.*?-->", re.DOTALL)
_REFERENCE: Final = re.compile(r'(url\(#)([^)]+)|(href="#)([^"]+)')
_COLOUR: Final = re.compile("#[0-9a-fA-F]{6}")
_SIZE: Final = re.compile(r'\s(?:width|height|version|xmlns(?::\w+)?)="[^"]*"')


@dataclass(frozen=True)
class Rows:
    """A table.

    Attributes
    ----------
    caption
        What it shows; how much of it, where that is not all.
    columns
        Their cells are text, not markup.
    gradients
        For a bar beside each row: from -1, to the left, to 1; empty: no bars.
    """

    caption: str
    columns: Sequence[Column]
    gradients: Sequence[float] = ()


def text(words: str, kept: str = "") -> str:
    """Return text as HTML, also for an attribute; control characters are escapes, but for those that are `kept`."""
    return escape(safe_text(words, kept))


def paragraph(words: str, kind: str = "") -> str:
    """Return a paragraph of text."""
    return f"<p{_of_class(kind)}>{text(words)}</p>\n"


def facts(pairs: Mapping[str, str], kind: str = "kd-facts") -> str:
    """Return names and values as a definition list; nothing if there are none."""
    if not pairs:
        return ""
    listed = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>\n" for name, value in pairs.items())
    return f"<dl{_of_class(kind)}>\n{listed}</dl>\n"


def preformatted(words: str, kind: str = "") -> str:
    """Return text with the lines that it has, to be pasted; nothing if it is empty."""
    return f"<pre{_of_class(kind)}>{text(words.rstrip(), chr(10))}</pre>\n" if words else ""


def folded(summary: str, pieces: Iterable[str]) -> Iterator[str]:
    """Yield what is hidden until the reader opens it."""
    yield f"<details>\n<summary>{text(summary)}</summary>\n"
    yield from pieces
    yield "</details>\n"


def columns_from(values: Mapping[str, Sequence[Any]], titles: Mapping[str, str] | None = None) -> list[Column]:
    """Return columns of text, then those of numbers as the tables for people have them; without the empty ones."""
    words, numbers = [], []
    for name, column in values.items():
        if any(isinstance(value, (str, list, tuple)) for value in column):
            cells = [value if isinstance(value, str) else ", ".join(value) for value in column]
            words.append(Column(title_of(name, titles), cells, right=False))
        elif name == "loss" or any(value is not None for value in column):
            numbers += columns_of({name: column}, {name: 0}, titles)
    return words + numbers


def table(rows: Rows) -> Iterator[str]:
    """Yield a table in a box of its own, in which it scrolls where the page is narrow."""
    caption = text(rows.caption)
    yield f'<div class="kd-scroll" role="region" aria-label="{caption}" tabindex="0">\n<table>\n'
    yield f"<caption>{caption}</caption>\n<thead><tr>"
    kinds = [_kind(column) for column in rows.columns]
    for column, kind in zip(rows.columns, kinds, strict=True):
        yield f'<th scope="col"{_of_class(kind)}>{"<br>".join(map(text, column.title.split(chr(10))))}</th>'
    if rows.gradients:
        yield '<th scope="col" class="kd-bar">&minus; 0 +</th>'
    yield "</tr></thead>\n<tbody>\n"
    bars = map(_bar, rows.gradients) if rows.gradients else [""] * len(rows.columns[0].cells)
    for cells, bar in zip(zip(*(column.cells for column in rows.columns), strict=True), bars, strict=True):
        row = "".join(
            _cell(cell if isinstance(cell, str) else cell.plain, kind) for cell, kind in zip(cells, kinds, strict=True)
        )
        yield f"<tr>{row}{bar}</tr>\n"
    yield "</tbody>\n</table>\n</div>\n"


def _cell(words: str, kind: str) -> str:
    """Return a cell; a long name, such as a path, shows its ends, and the whole of it where a pointer rests on it."""
    if kind != "kd-long" or len(words) <= SHOWN:
        return f"<td{_of_class(kind)}>{text(words)}</td>"
    half = SHOWN // 2
    return f'<td{_of_class(kind)} title="{text(words)}">{text(f"{words[:half]}…{words[-half:]}")}</td>'


def _kind(column: Column) -> str:
    """Return the class of a column's cells."""
    if column.right:
        return "kd-number"
    if column.title in ("group", "label") and max(map(len, column.cells), default=0) > LONG:
        return "kd-long"
    return "kd-name" if column.widest is None else "kd-words" if column.widest < SENTENCE else "kd-sentence"


def _bar(part: float) -> str:
    """Return a cell with a bar from its middle, to the left for a negative part of the largest."""
    wide, kind = 50.0 * abs(part), "kd-up" if part < 0.0 else "kd-down"
    start = 50.0 - wide if part < 0.0 else 50.0
    bar = f'<i class="{kind}" style="margin-left:{start:.3g}%;width:{wide:.3g}%"></i>' if wide >= 0.05 else ""
    return f'<td class="kd-bar" aria-hidden="true">{bar}</td>'


def figure(svg: str, said: str) -> str:
    """Return a figure as part of a page, `said` to those who do not see it.

    It has the width of its place, the page's colours and font, and no id but those that it refers to itself: these
    begin with a digest of the figure, as the ids of two figures in a notebook must not meet.
    """
    drawing = _LEFT_OUT.sub("", svg[svg.index("<svg") :])
    head, _, body = drawing.partition(">")
    drawing = f'{_SIZE.sub("", head)} role="img" aria-label="{text(said)}">{body}'
    digest = blake2b(drawing.encode("utf-8"), digest_size=6).hexdigest()
    referred = {name for pair in _REFERENCE.findall(drawing) for name in pair[1::2]}

    def changed(tag: re.Match[str]) -> str:  # tags alone: text between them is data
        kept = re.sub(r'\sid="([^"]+)"', lambda m: f' id="kd{digest}-{m[1]}"' if m[1] in referred else "", tag[0])
        kept = _REFERENCE.sub(lambda m: f"{m[1] or m[3]}kd{digest}-{m[2] or m[4]}", kept)
        return _COLOUR.sub(lambda m: _COLOURS.get(m[0].lower(), m[0]), kept)

    return f'<figure class="kd-figure">\n{re.sub("<[^<>]+>", changed, drawing).strip()}\n</figure>\n'


def _of_class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
