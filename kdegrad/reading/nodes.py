"""The tree of a document, of YAML or JSON: its nodes, each with its place."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kdegrad.text import shown

DEEPEST: Final = 20  # levels of nesting; a problem needs 4

UNWRITABLE: Final = re.compile("[\0\ud800-\udfff]")  # escapes can denote them, but no text file can contain them

Where = tuple[int, ...]  # line and column, from 1; empty where the parser does not say


class Scalar(NamedTuple):
    """A text, quoted or plain, and where it begins."""

    text: str
    where: Where


class ListNode(NamedTuple):
    """A list of nodes, and where it begins."""

    items: list[Node]
    where: Where


class MapNode(NamedTuple):
    """Key and value by the text of the key, in the order of the file, and where the mapping begins."""

    entries: dict[str, tuple[Scalar, Node]]
    where: Where


Node = Scalar | ListNode | MapNode


class NodeError(ValueError):
    """Something in a document is wrong; the message does not contain its place, `where`."""

    def __init__(self, where: Where, problem: str) -> None:
        self.where = where
        super().__init__(problem)


def kind(node: Node) -> str:
    """Return what `node` is, for a message."""
    if isinstance(node, Scalar):
        return shown(node.text)
    return "a list" if isinstance(node, ListNode) else "a mapping"


def is_blank(node: Node) -> bool:
    """Return whether `node` is empty or YAML's null."""
    return isinstance(node, Scalar) and node.text in ("", "~", "null")
