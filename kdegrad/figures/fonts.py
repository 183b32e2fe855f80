"""Characters that the usual font lacks, such as Chinese and Japanese ones, are drawn by a font that has them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from matplotlib.axes import Axes
from matplotlib.font_manager import FontEntry, findfont, fontManager, get_font
from matplotlib.text import Text

_FIRST: Final = (
    "Noto Sans CJK",
    "Noto Sans",
    "Source Han Sans",
    "WenQuanYi",
    "PingFang",
    "Hiragino",
    "Microsoft YaHei",
)
_BOXES: Final = "Last Resort"  # comes with matplotlib, and has a box for every character


def fit_fonts(texts: Iterable[Text], every: Iterable[Axes], *, escape: bool) -> None:
    """Let the texts, and the names of the ticks of the Axes, be drawn by fonts that have their characters.

    With `escape` a character that no font has is written as an escape, as in Python, where it would be an empty box.
    """
    for axes in every:
        for axis in (axes.xaxis, axes.yaxis):
            labels = axis.get_ticklabels()
            names = [label.get_text() for label in labels]
            if escape and (lacking := set().union(*map(_lacking, labels))):
                axis.set_ticks(axis.get_ticklocs(), [_escaped(name, lacking) for name in names])
    for text in texts:
        if (lacking := _lacking(text)) and escape:
            text.set_text(_escaped(text.get_text(), lacking))


def _lacking(text: Text) -> set[str]:
    """Return the characters of a text that no font has, once it has the fonts for the others."""
    content = text.get_text()
    if content.isascii():
        return set()
    usual = get_font(findfont(text.get_fontproperties()))
    missing = {character for character in content if character != "\n" and not usual.get_char_index(ord(character))}
    if missing:
        fonts, missing = _fonts_with(frozenset(missing))
        text.set_fontfamily([*text.get_fontfamily(), *fonts])
    return missing


@lru_cache(maxsize=256)
def _fonts_with(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    """Return the names of fonts that have the characters, and those that none has."""
    missing, found = set(characters), []
    for entry in sorted(fontManager.ttflist, key=_rank):
        if not missing:
            break
        if entry.name.startswith(_BOXES):
            continue
        try:
            font = get_font(entry.fname)
            has = (
                {character for character in missing if font.get_char_index(ord(character))} if font.scalable else set()
            )
        except (OSError, RuntimeError):  # the file is gone, or no font that can be drawn
            continue
        if has:
            found.append(entry.name)
            missing -= has
    return found, missing


def _rank(entry: FontEntry) -> tuple[int, bool, bool, str, str]:
    """Sort upright fonts of usual weight, and those for many scripts, to the front."""
    known = next((rank for rank, name in enumerate(_FIRST) if entry.name.startswith(name)), len(_FIRST))
    return (
        known,
        str(entry.weight) not in ("400", "normal", "regular"),
        entry.style != "normal",
        entry.name,
        entry.fname,
    )


def _escaped(content: str, characters: set[str]) -> str:
    return "".join(c.encode("unicode_escape").decode("ascii") if c in characters else c for c in content)
