"""A YAML problem → settings, and points that stand in it or in a table that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from kdegrad.errors import InputError, SettingError
from kdegrad.grammar import integer, number
from kdegrad.reading import delimited, files
from kdegrad.reading.inline import POINTS_FORMS, inline_points
from kdegrad.reading.points import ROLES, Columns, Faults, Source, place
from kdegrad.reading.tree import Listing, Mapping, Node, NodeError, Scalar, is_blank, kind, tree
from kdegrad.text import nearest, shown

_FLAGS_ONLY: Final = (
    *("output", "plot", "format", "debug", "input-format", "exact", "wrt", "per-bin", "top"),  # loss and grad
    *("cases", "seed", "only", "tolerance", "list"),  # verify-props
    *("over", "from", "to", "steps", "log", "rate", "optimizer", "trace"),  # sweep and descend
)
_Value = TypeVar("_Value")


def read_document(data: bytes, name: str, folder: str, columns: Columns, delimiter: str | None) -> Source:
    """Return the settings and the points of a YAML problem.

    Parameters
    ----------
    data
        The file, UTF-8.
    name
        The file's name, for messages.
    folder
        Where the file stands: a table that it names is looked for from there.
    columns, delimiter
        What was given beside the file for its points; it wins over the file's own keys.

    Raises
    ------
    InputError
        With a line for each fault: line and column, the key, the value and the remedy.
    SettingError
        For a `delimiter` where there is no table to part.
    """
    root = tree(data.decode(), name)
    if root is None or is_blank(root):
        raise InputError(f"{name}: is empty: write the keys target and points at least")
    if not isinstance(root, Mapping):
        here = place(name, *root.where)
        raise InputError(f"{here}: {kind(root)} where the keys of a problem are wanted: write target, points, ...")
    faults = Faults(name)
    options = _options(root, faults)
    points = options.pop("points", Scalar("", root.where))
    settings = _values(options, _SETTINGS, faults)
    of_table = _values(options, _TABLE_KEYS, faults)
    columns = columns.over(Columns(**{role: of_table.get(f"{role}-column") for role in ROLES}))
    if is_blank(points):
        faults.add(points.where, f"no points are given: write the key points, with {POINTS_FORMS}")
    if isinstance(points, Scalar):
        faults.stop_if_any()
        source = _points_of_file(points, name, folder, columns, delimiter or of_table.get("delimiter"))
    else:
        if delimiter is not None:
            raise SettingError(
                "delimiter", f"the points stand in {name} itself, no table is to be parted: leave it out"
            )
        if "delimiter" in of_table:
            faults.add(options["delimiter"].where, "delimiter: the points stand here, in no table: leave it out")
        source = inline_points(points, name, columns, faults)
    places = {option: place(name, *options[option].where) for option in settings}
    return replace(source, name=name, settings=settings, places=places)


def _points_of_file(node: Scalar, name: str, folder: str, columns: Columns, delimiter: str | None) -> Source:
    """Return the points of the table that `node` names."""
    here = f"{place(name, *node.where)}: points"
    ending = files.ending(node.text)
    if ending not in delimited.MARK_OF_FORMAT:
        raise InputError(f"{here}: {shown(node.text)} is no table that is read: write {POINTS_FORMS}")
    path = os.path.join(folder, node.text)
    try:
        data = files.contents(path)
    except InputError as error:
        raise InputError(f"{here}: {error}") from None
    mark = delimiter or delimited.MARK_OF_FORMAT[ending]
    return replace(delimited.read_table(data, files.display_name(path), columns, mark), table=path)


def _options(root: Mapping, faults: Faults) -> dict[str, Node]:
    """Return the nodes of the document by option; those inside ``kernel`` stand beside the others."""
    options: dict[str, Node] = {}
    for key, node in root.entries.values():
        if key.text == "kernel" and isinstance(node, Mapping):
            _put_kernel(options, node, faults)
        elif key.text in _KEYS:
            _put(options, key.text, key, node, faults)
        elif key.text in _FLAGS_ONLY:
            faults.add(key.where, f"{key.text}: is no key but a flag: take it out and give --{key.text}")
        else:
            faults.add(key.where, partial(_unknown_key, key.text, _KEYS, f": the keys are {', '.join(_KEYS)}"))
    return options


def _put_kernel(options: dict[str, Node], kernel: Mapping, faults: Faults) -> None:
    if not kernel.entries:
        faults.add(kernel.where, f"kernel: is empty: write {_KERNEL_FORM}")
    for key, node in kernel.entries.values():
        if key.text in _KERNEL_KEYS:
            _put(options, _KERNEL_KEYS[key.text], key, node, faults)
        else:
            faults.add(key.where, partial(_unknown_key, key.text, _KERNEL_KEYS, f": write {_KERNEL_FORM}", "kernel: "))


def _unknown_key(text: str, known: Iterable[str], otherwise: str, inside: str = "") -> str:
    return f"{inside}unknown key {shown(text)}{nearest(text, known) or otherwise}"


def _put(options: dict[str, Node], option: str, key: Scalar, node: Node, faults: Faults) -> None:
    if option in options:
        first, _ = options[option].where
        faults.add(key.where, f"{option}: is given twice, inside kernel and beside it (line {first}): keep one")
    options.setdefault(option, node)


def _values(
    options: dict[str, Node], readers: dict[str, Callable[[Node], _Value]], faults: Faults
) -> dict[str, _Value]:
    """Return the values of those options that `readers` read."""
    values = {}
    for option, node in options.items():
        if option in readers:
            try:
                values[option] = readers[option](node)
            except NodeError as error:
                faults.add(error.where, f"{option}: {error}")
    return values


# What a node means: each reader returns a value, or raises a NodeError.


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise NodeError(node, f"{kind(node)} where one value is wanted")
    if not node.text.strip():
        raise NodeError(node, "is empty: write a value, or leave the key out")
    return node.text


def _parsed(parse: Callable[[str], _Value]) -> Callable[[Node], _Value]:
    """Return the reader of a node whose text `parse` understands, or refuses with a ValueError that is a sentence."""

    def read(node: Node) -> _Value:
        text = _text(node)
        try:
            return parse(text)
        except ValueError as error:
            raise NodeError(node, str(error)) from None

    return read


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{shown(text)} is neither true nor false: write one of these")
    return text.lower() == "true"


_number: Final = _parsed(number)


def _target(node: Node) -> tuple[float, float]:
    if isinstance(node, Mapping) and set(node.entries) == {"low", "high"}:
        ends = [node.values()["low"], node.values()["high"]]
    elif isinstance(node, Listing) and len(node.items) == 2:
        ends = node.items
    else:
        raise NodeError(node, f"{kind(node)} where an interval is wanted: write [-30, 30] or {{low: -30, high: 30}}")
    return _number(ends[0]), _number(ends[1])


def _delimiter(node: Node) -> str:
    text = node.text if isinstance(node, Scalar) else _text(node)  # a tab is blank, but a value here
    try:
        return delimited.delimiter_mark(text)
    except SettingError as error:
        raise NodeError(node, error.problem) from None


_SETTINGS: Final[dict[str, Callable[[Node], object]]] = {
    "target": _target,
    "kernel": _text,
    "bandwidth": _number,
    "df": _number,
    "bins": _parsed(integer),
    "rule": _text,
    "at": _number,
    "scale": _number,
    "background": _number,
    "circular": _parsed(_truth),
    "period": _number,
    "unit": _text,
    "sums": _text,
}
_TABLE_KEYS: Final[dict[str, Callable[[Node], str]]] = {
    **{f"{role}-column": _text for role in ROLES},
    "delimiter": _delimiter,
}
_KEYS: Final = (*_SETTINGS, *_TABLE_KEYS, "points")
_KERNEL_KEYS: Final = {"name": "kernel", "bandwidth": "bandwidth", "df": "df"}
_KERNEL_FORM: Final = "a name, or {name: student-t, bandwidth: 8, df: 4}"
