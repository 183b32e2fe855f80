"""The tree of a problem → settings, and points that are written in it or in a table that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from kdegrad.errors import InputError, SettingError
from kdegrad.grammar import number
from kdegrad.reading import delimited, files
from kdegrad.reading.columns import ROLES, named, require_groups
from kdegrad.reading.faults import NO_TARGET_WEIGHT, Faults, place
from kdegrad.reading.nodes import ListNode, MapNode, Node, NodeError, Scalar, Where, is_blank, kind
from kdegrad.reading.points import Collector, Source
from kdegrad.reading.target import read_target
from kdegrad.settings import GROUPS, PROBLEM, DrawingOptions, ReadingOptions
from kdegrad.targets import Points
from kdegrad.text import nearest, shown

_POINTS_FORMATS: Final = (
    "a list such as [{angle: 50, logit: 0.4}], lists {angle: [..], logit: [..]}, or the name of a .csv or .tsv"
)
_KERNEL_REMEDY: Final = "write a name, or {name: student-t, bandwidth: 8, df: 4}"
_READING: Final = [row for row in ReadingOptions.rows if row.option.key]
_SETTINGS: Final = {row.spelled: row.reads for row in (*PROBLEM, *DrawingOptions.rows)}
_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    **_SETTINGS,
    **{row.spelled: row.reads for row in _READING},
}
_FLAGS_ONLY: Final = {row.spelled for group in GROUPS for row in group.rows if not row.option.key}
KEYS: Final = (*_PARSERS, "points")
_WEIGHTS: Final = ("logit_column", "weight_column", "no_weights")
_KERNEL_KEYS: Final = {"name": "kernel", "bandwidth": "bandwidth", "df": "df"}


def read_document(root: Node, name: str, folder: str, given: ReadingOptions) -> Source:
    """Return the settings and the points of a problem in YAML or JSON.

    Parameters
    ----------
    root, name, folder
        The file's tree; its name, for messages; its folder, which the name of a table is relative to.
    given
        What was given beside the file for its points; it overrides the file's own keys.

    Raises
    ------
    InputError
        With a line for each fault: line and column, the key, the value and the remedy.
    SettingError
        For a delimiter or a decimal mark if there is no table.
    """
    if is_blank(root):
        raise InputError(f"{name}: is empty: write at least the keys target and points")
    if not isinstance(root, MapNode):
        here = place(name, *root.where)
        raise InputError(f"{here}: {kind(root)} in place of the keys of a problem: write target, points, ...")
    faults = Faults(name)
    options = _options(root, faults)
    points = options.pop("points", Scalar("", root.where))
    values = _values(options, folder, faults)
    _require_one_target(values, options, faults)
    reading = _reading(options, values, given, faults)
    if is_blank(points):
        faults.add(points.where, f"no points are given: write the key points, with {_POINTS_FORMATS}")
    if isinstance(points, Scalar):
        faults.stop_if_any()
        source = _points_of_file(points, name, folder, reading)
    else:
        for option in ("delimiter", "decimal"):
            if getattr(given, option) is not None:
                raise SettingError(option, f"the points are in {name} itself, not in a table: remove it")
            if option in values:
                faults.add(options[option].where, f"{option}: the points are in this file, not in a table: remove it")
        source = _points_inside(points, name, reading, faults)
    settings = {option: value for option, value in values.items() if option in _SETTINGS}
    places = {option: place(name, *options[option].where) for option in values}
    if isinstance(target := settings.get("target"), _TargetPoints):
        settings["target"] = target.points
        source = replace(source, target_table=target.table, target_notes=target.notes)
    return replace(source, name=name, settings=settings, places=places)


def _options(root: MapNode, faults: Faults) -> dict[str, Node]:
    """Return the nodes of the document by option; those inside ``kernel`` beside the others."""
    found: list[tuple[str, Scalar, Node]] = []  # the option, its key, its value
    for key, node in root.entries.values():
        if key.text == "kernel" and isinstance(node, MapNode):
            if not node.entries:
                faults.add(node.where, f"kernel: is empty: {_KERNEL_REMEDY}")
            for inner, value in node.entries.values():
                if inner.text in _KERNEL_KEYS:
                    found.append((_KERNEL_KEYS[inner.text], inner, value))
                else:
                    otherwise = f": {_KERNEL_REMEDY}"
                    faults.add(inner.where, partial(_unknown_key, "kernel: ", inner.text, _KERNEL_KEYS, otherwise))
        elif key.text in KEYS:
            found.append((key.text, key, node))
        elif key.text in _FLAGS_ONLY:
            faults.add(key.where, _flag_only(key.text))
        else:
            faults.add(key.where, partial(_unknown_key, "", key.text, KEYS, f": the keys are {', '.join(KEYS)}"))
    options: dict[str, Node] = {}
    for option, key, node in found:
        if option in options:
            first = options[option].where[0]
            faults.add(key.where, f"{option}: is given twice, inside kernel and outside it (line {first}): keep one")
        else:
            options[option] = node
    return options


def _flag_only(text: str) -> str:
    """Return the message for a flag that is no key."""
    remedy = "write target: {points: FILE}" if text == "target-points" else f"remove it and give --{text}"
    return f"{text}: is a flag, not a key: {remedy}"


def _unknown_key(inside: str, text: str, known: Iterable[str], otherwise: str) -> str:
    """Return the message for an unknown key, with similar ones if there are any."""
    return f"{inside}unknown key {shown(text)}{nearest(text, known) or otherwise}"


def _values(options: dict[str, Node], folder: str, faults: Faults) -> dict[str, Any]:
    """Return the values of the options; those that cannot be read are faults."""
    values: dict[str, Any] = {}
    for option, node in options.items():
        try:
            if option == "target":
                values[option] = _target(node, folder, faults)
            elif option == "target-columns":
                values[option] = _names(node)
            else:
                values[option] = _value(node, _PARSERS[option])
        except NodeError as error:
            faults.add(error.where, f"{option}: {error}")
    return values


def _require_one_target(values: Mapping[str, Any], options: Mapping[str, Node], faults: Faults) -> None:
    """Add a fault for each key that has no place beside the target: a second one, or the bins of target points."""
    columns, excluded = values.get("target-columns"), set[str]()
    if columns is not None:
        excluded = {"target", "at"} if len(columns) == 2 else {"target", "at", "bins", "rule"}
    elif isinstance(values.get("target"), _TargetPoints):
        excluded = {"at", "bins", "rule"}
    cause = "target-columns gives the targets" if columns is not None else "target gives points, which need no bins"
    for option in excluded & values.keys():
        faults.add(options[option].where, f"{option}: {cause}: remove one of the two")


def _reading(
    nodes: Mapping[str, Node], values: Mapping[str, Any], given: ReadingOptions, faults: Faults
) -> ReadingOptions:
    """Return how the points are read: as was `given`, else as the document says."""
    own = {row.name: values[row.spelled] for row in _READING if row.spelled in values}
    beside = {row.name: value for row in _READING if (value := getattr(given, row.name)) is not None}
    if {"logit_column", "weight_column"} & beside.keys():  # with these the whole choice was made
        own = {name: value for name, value in own.items() if name not in _WEIGHTS}
    elif given.no_weights:
        own.pop("weight_column", None)
    try:
        options = ReadingOptions(**own | beside)
        require_groups(options)
        return options
    except SettingError as error:
        if error.name not in nodes or error.name.replace("-", "_") in beside:
            raise
        faults.add(nodes[error.name].where, f"{error.name}: {error.problem}")
        return given


def _target(node: Node, folder: str, faults: Faults) -> tuple[float, float] | _TargetPoints:
    """Return the interval, or the target points."""
    keys = set(node.entries) if isinstance(node, MapNode) else set()
    if isinstance(node, MapNode) and keys == {"points"}:
        return _target_of_file(node.entries["points"][1], folder, faults)
    if isinstance(node, MapNode) and keys in ({"angle"}, {"angle", "weight"}):
        return _target_inside(node, faults)
    if isinstance(node, MapNode) and keys == {"low", "high"}:
        low, high = node.entries["low"][1], node.entries["high"][1]
    elif isinstance(node, ListNode) and len(node.items) == 2:
        low, high = node.items
    else:
        given = kind(node) + (f" of {', '.join(map(shown, sorted(keys)))}" if keys else "")
        points = "for target points {points: FILE} or {angle: [..], weight: [..]}"
        raise NodeError(
            node.where, f"{given} in place of an interval: write [-30, 30] or {{low: -30, high: 30}}, or {points}"
        )
    return _value(low, number), _value(high, number)


class _TargetPoints(NamedTuple):
    """Target points, the table that they were read from, and notes about them; no points where there are faults."""

    points: Points | None
    table: str | None = None
    notes: tuple[str, ...] = ()


def _target_of_file(node: Node, folder: str, faults: Faults) -> _TargetPoints:
    """Return the target points of the table that `node` names."""
    path = os.path.join(folder, _value(node, str))
    try:
        points, notes = read_target(path)
    except InputError as error:
        for fault in error.faults:
            faults.add(node.where, f"target: {fault}")
        faults.total += error.total - len(error.faults)
        return _TargetPoints(None)
    return _TargetPoints(points, path, notes)


def _target_inside(node: MapNode, faults: Faults) -> _TargetPoints:
    """Return the target points that are written in the document."""
    before = faults.total
    cells = _lists(node, node.entries, faults, "target")
    if not any(cells.values()):
        if faults.total == before:
            faults.add(node.where, "target: is empty: write {angle: [..], weight: [..]}")
        return _TargetPoints(None)
    own = Faults(faults.name)
    rows = Collector(list(cells), ReadingOptions(), own, place(own.name, *node.where), of_target=True)
    _take(rows, cells, own, "target")
    rows.settle()
    if own.total:
        faults.include(own)
        return _TargetPoints(None)
    try:
        source = rows.source()
    except InputError:
        raise NodeError(node.where, NO_TARGET_WEIGHT) from None
    return _TargetPoints(Points(source.angles, source.weights))


def _names(node: Node) -> tuple[str, ...]:
    """Return the names in a list, or in a text by commas."""
    if isinstance(node, ListNode):
        return tuple(_value(item, str) for item in node.items)
    names: str = _value(node, str)
    return tuple(name.strip() for name in names.split(","))


def _value(node: Node, parse: Callable[[str], Any]) -> Any:
    """Return what `parse` makes of the text of a node; its ValueError becomes one with a place."""
    if not isinstance(node, Scalar):
        raise NodeError(node.where, f"{kind(node)} in place of one value")
    if not node.text:
        raise NodeError(node.where, "is empty: write a value, or remove the key")
    try:
        return parse(node.text)
    except ValueError as error:
        raise NodeError(node.where, str(error)) from None


# Points: in a table, or in the document


def _points_of_file(node: Scalar, name: str, folder: str, options: ReadingOptions) -> Source:
    """Return the points of the table that `node` names."""
    here = f"{place(name, *node.where)}: points"
    suffix = files.suffix(node.text)
    if suffix not in delimited.DELIMITER_OF_FORMAT:
        raise InputError(f"{here}: {shown(node.text)} is not a table that can be read: write {_POINTS_FORMATS}")
    path = os.path.join(folder, node.text)
    try:
        blocks = files.blocks(path)
    except InputError as error:
        raise InputError(f"{here}: {error}") from None
    usual = delimited.DELIMITER_OF_FORMAT[suffix]
    return replace(delimited.read_table(blocks, files.display_name(path), options, usual), table=path)


class _Missing(NamedTuple):
    """A cell that a point does not have; `where` is the place of the point."""

    where: Where


_Cell = Node | _Missing


def _points_inside(points: ListNode | MapNode, name: str, options: ReadingOptions, faults: Faults) -> Source:
    """Return the points that are written in the document, or raise `faults` with theirs added.

    They are a list of mappings, a point each; or a mapping of lists, a column each.
    """
    before = faults.total
    names = {*ROLES, *named(options).values()}
    items = points.items if isinstance(points, ListNode) else [points]
    maps = [item for item in items if isinstance(item, MapNode)]
    for item in items:
        if not isinstance(item, MapNode):
            faults.add(item.where, f"points: {kind(item)} in place of a point: write {{angle: 50, logit: 0.4}}")
    keys: dict[str, Scalar] = {}  # where each key first appears
    for row in maps:
        for text, (key, _) in row.entries.items():
            keys.setdefault(text, key)
    for text, key in keys.items():
        if text not in names:
            otherwise = f": a point has {', '.join(sorted(names))}"
            faults.add(key.where, partial(_unknown_key, "points: ", text, names, otherwise))
    known = [text for text in keys if text in names]
    cells: Mapping[str, Sequence[_Cell]]
    if isinstance(points, MapNode):
        cells = _lists(points, known, faults)
    else:
        cells = {
            column: [row.entries[column][1] if column in row.entries else _Missing(row.where) for row in maps]
            for column in known
        }
    if not any(cells.values()):
        if faults.total == before:
            faults.add(points.where, f"points: is empty: write {_POINTS_FORMATS}")
        faults.stop_if_any()
    try:
        rows = Collector(list(cells), options, faults, place(name, *points.where))
    except InputError:
        faults.stop_if_any()  # a misspelt key says more than the missing column that it causes
        raise
    _take(rows, cells, faults, skip=options.missing == "skip")
    return rows.source()


def _take(
    rows: Collector, cells: Mapping[str, Sequence[_Cell]], faults: Faults, key: str = "points", *, skip: bool = False
) -> None:
    """Add the points whose cells are nodes below a key of the document; `skip`: a missing cell is no fault."""
    scalars = {
        role: [_scalar(cell, role, column, faults, key, skip=skip) for cell in cells[column]]
        for role, column in rows.roles.items()
    }
    texts = {role: [scalar.text for scalar in column] for role, column in scalars.items()}
    rows.take(texts, lambda role, row: scalars[role][row].where)


def _lists(points: MapNode, known: Iterable[str], faults: Faults, key: str = "points") -> dict[str, list[Node]]:
    """Return the cells of points that are written as a list for each of the columns `known`, under a key."""
    cells = {}
    for column in known:
        _, node = points.entries[column]
        if isinstance(node, ListNode):
            cells[column] = node.items
        else:
            faults.add(node.where, f"{key}: {column}: {kind(node)} in place of a list: write [50, -75]")
    if len(set(map(len, cells.values()))) > 1:
        lengths = ", ".join(f"{shown(column)} has {len(values)}" for column, values in cells.items())
        faults.add(points.where, f"{key}: lists of unequal length: {lengths}: write one value for each point")
        faults.stop_if_any()  # their rows do not belong together
    return cells


def _scalar(cell: _Cell, role: str, column: str, faults: Faults, key: str = "points", *, skip: bool = False) -> Scalar:
    """Return a cell that is one value; in place of any other, a fault and a substitute."""
    if isinstance(cell, Scalar):
        return cell
    if isinstance(cell, _Missing):
        if role == "label" or skip:
            return Scalar("", cell.where)
        faults.add(cell.where, f"{key}: this point has no {column}, as others have: add it")
    else:
        faults.add(cell.where, f"{key}: {column}: {kind(cell)} in place of one value")
    return Scalar("0", cell.where)
