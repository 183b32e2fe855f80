"""A YAML document → a tree of nodes, each with its place. The only file of kdegrad that imports yaml.

The tree is made from the parser's events. No scalar is resolved to a type (YAML 1.1 would read ``1e5`` as text and
``12:30`` as a sexagesimal number), no object is constructed, and aliases, by which 400 bytes can stand for 10⁸ leaves,
are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from kdegrad.errors import InputError
from kdegrad.reading.faults import place
from kdegrad.reading.nodes import DEEPEST, UNWRITABLE, ListNode, MapNode, Node, NodeError, Scalar, Where
from kdegrad.text import shown


def tree(text: str, name: str) -> Node:
    """Return the root of the one document in `text`; a blank scalar if there is no document.

    Raises
    ------
    InputError
        For YAML that cannot be parsed, and for what a problem never needs: aliases, anchors, tags, keys that are not
        text, duplicate keys, several documents, more than `DEEPEST` levels.
    """
    root: Node | None = None
    try:
        if odd := yaml.reader.Reader.NON_PRINTABLE.search(text) or re.search("\ufeff", text):
            line, column = text.count("\n", 0, odd.start()) + 1, odd.start() - text.rfind("\n", 0, odd.start())
            raise NodeError((line, column), f"YAML must not contain the character {shown(odd.group())}: remove it")
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise NodeError(_where(event), "a second document: keep one problem in a file")
                root = _node(next(events), events, 0)
    except NodeError as error:
        raise InputError(f"{place(name, *error.where)}: {error}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two by chr() in yaml's Python parser
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = () if mark is None else (mark.line + 1, mark.column + 1)
        told = ", ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))) or str(error)
        one_line = told.encode("unicode_escape").decode()
        raise InputError(
            f"{place(name, *where)}: not valid YAML, {one_line}: check quotes, brackets and indentation (no tabs)"
        ) from None
    return root or Scalar("", (1, 1))


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    """Return the node that begins with `event`, inside `depth` others; take its other events from `events`."""
    if isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
        return _scalar(event)
    where = _where(event)
    if depth == DEEPEST:
        raise NodeError(where, f"nested more than {DEEPEST} levels deep: a problem needs 4")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_node(event, events, depth + 1))
        return ListNode(items, where)
    entries: dict[str, tuple[Scalar, Node]] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if isinstance(event, yaml.CollectionStartEvent):
            what = "a list" if isinstance(event, yaml.SequenceStartEvent) else "a mapping"
            raise NodeError(_where(event), f"{what} as a key: write a name")
        key = _scalar(event)
        if key.text == "<<":
            raise NodeError(key.where, "the merge key '<<': merging is not supported: write the values out")
        if key.text in entries:
            first = entries[key.text][0].where[0]
            raise NodeError(key.where, f"the key {shown(key.text)} appears twice, first in line {first}: keep one")
        entries[key.text] = (key, _node(next(events), events, depth + 1))
    return MapNode(entries, where)


def _scalar(event: Any) -> Scalar:
    where = _where(event)
    if odd := UNWRITABLE.search(event.value):
        raise NodeError(where, f"the character {shown(odd.group())} in {shown(event.value)}: remove it")
    return Scalar(event.value, where)


def _where(event: Any) -> Where:
    """Return where `event` begins; refuse an alias, an anchor and a tag."""
    where = (event.start_mark.line + 1, event.start_mark.column + 1)
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if isinstance(event, yaml.AliasEvent):
        raise NodeError(where, f"the alias *{anchor}: aliases are not supported: write the value out")
    if anchor is not None:
        raise NodeError(where, f"the anchor &{anchor}: anchors and aliases are not supported: write the values out")
    if tag is not None:
        raise NodeError(where, f"the tag {shown(tag)}: tags are not supported: remove it")
    return where
