"""A YAML document → a tree of nodes, each with its place. The only file of kdegrad that imports yaml.

The tree is built from the parser's events, with a stack of its own: no scalar is resolved to a type (YAML 1.1 would
make text of ``1e5`` and sixty-fold numbers of ``12:30``), nothing is constructed, no recursion can run deep, and
aliases, which let 400 bytes stand for 10⁸ leaves, are refused where they are seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import yaml

from kdegrad.errors import InputError
from kdegrad.reading.points import place
from kdegrad.text import shown

DEEPEST: Final = 20  # a problem needs 4 levels

_UNWRITABLE: Final = re.compile("[\0\ud800-\udfff]")  # escapes can write them, and no text file can hold them

Where = tuple[int, int]  # line and column, from 1


class Scalar(NamedTuple):
    """A text, quoted or plain, where it begins."""

    text: str
    where: Where


class Listing(NamedTuple):
    """A list of nodes, and where it begins."""

    items: list[Node]
    where: Where


class Mapping(NamedTuple):
    """Nodes by their keys, in the order of the file, and where they begin."""

    entries: dict[str, tuple[Scalar, Node]]
    where: Where

    def values(self) -> dict[str, Node]:
        """Return the nodes by the text of their keys."""
        return {text: value for text, (_, value) in self.entries.items()}


Node = Scalar | Listing | Mapping


class NodeError(ValueError):
    """A node that is not what it should be; the message is a sentence without the place."""

    def __init__(self, node: Node, problem: str) -> None:
        self.where = node.where
        super().__init__(problem)


def kind(node: Node) -> str:
    """Return what `node` is, for a message."""
    if isinstance(node, Scalar):
        return shown(node.text)
    return "a list" if isinstance(node, Listing) else "a mapping"


def is_blank(node: Node) -> bool:
    """Return whether `node` is YAML's way to say nothing."""
    return isinstance(node, Scalar) and node.text in ("", "~", "null")


def tree(text: str, name: str) -> Node | None:
    """Return the root of the one document in `text`; None if there is none.

    Raises
    ------
    InputError
        For YAML that cannot be parsed, and for what a problem has no use for: aliases, anchors, tags, keys that are
        lists, a key twice, several documents, more than `DEEPEST` levels.
    """
    root: Node | None = None
    open_nodes: list[Listing | Mapping] = []
    keys: list[Scalar | None] = []  # of each open mapping: the key that waits for its value
    for event in _events(text, name):
        node = _node(event, name)
        if node is None:
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
                keys.pop()
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _refusal(event, name, "a second document: keep one problem in a file")
            continue
        if not open_nodes:
            root = node
        elif isinstance(parent := open_nodes[-1], Listing):
            parent.items.append(node)
        elif (key := keys[-1]) is None:
            keys[-1] = _key(node, parent, name)
            continue
        else:
            parent.entries[key.text] = (key, node)
            keys[-1] = None
        if not isinstance(node, Scalar):
            if len(open_nodes) == DEEPEST:
                raise _refusal(event, name, f"nested more than {DEEPEST} levels deep: a problem needs 4")
            open_nodes.append(node)
            keys.append(None)
    return root


def _events(text: str, name: str) -> Iterator[yaml.Event]:
    """Yield the parser's events; what it cannot parse becomes one message."""
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text) or re.search("\ufeff", text)
    if odd is not None:
        here = place(name, text.count("\n", 0, odd.start()) + 1, odd.start() - text.rfind("\n", 0, odd.start()))
        raise InputError(f"{here}: YAML may not hold the character {shown(odd.group())}: take it away")
    try:
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two: chr() in yaml's Python parser
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        here = name if mark is None else place(name, mark.line + 1, mark.column + 1)
        told = ", ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))) or str(error)
        one_line = told.encode("unicode_escape").decode()
        raise InputError(
            f"{here}: this is no YAML, {one_line}: check quotes, brackets and indentation (no tabs)"
        ) from None


def _node(event: yaml.Event, name: str) -> Node | None:
    """Return the node that an event begins, empty if it is a collection; None for the other events."""
    if isinstance(event, yaml.AliasEvent):
        raise _refusal(event, name, f"the alias *{event.anchor}: aliases are not read: write the value out")
    if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
        return None
    if event.anchor is not None:
        raise _refusal(event, name, f"the anchor &{event.anchor}: anchors and aliases are not read: write values out")
    if event.tag is not None:
        raise _refusal(event, name, f"the tag {shown(event.tag)}: tags are not read: take it away")
    if isinstance(event, yaml.ScalarEvent):
        if odd := _UNWRITABLE.search(event.value):
            raise _refusal(event, name, f"the character {shown(odd.group())} in {shown(event.value)}: take it away")
        return Scalar(event.value, _where(event))
    if isinstance(event, yaml.SequenceStartEvent):
        return Listing([], _where(event))
    return Mapping({}, _where(event))


def _key(node: Node, parent: Mapping, name: str) -> Scalar:
    """Return `node`, which stands for a key of `parent`."""
    here = place(name, *node.where)
    if not isinstance(node, Scalar):
        raise InputError(f"{here}: {kind(node)} as a key: write a name")
    if node.text == "<<":
        raise InputError(f"{here}: the merge key '<<': keys are not merged: write the values out")
    if node.text in parent.entries:
        first, _ = parent.entries[node.text][0].where
        raise InputError(f"{here}: the key {shown(node.text)} is there twice, first in line {first}: keep one")
    return node


def _refusal(event: yaml.Event, name: str, text: str) -> InputError:
    return InputError(f"{place(name, *_where(event))}: {text}")


def _where(event: yaml.Event) -> Where:
    mark = event.start_mark
    assert mark is not None  # the parser marks every event that it makes
    return (mark.line + 1, mark.column + 1)
