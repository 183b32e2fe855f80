"""The points that stand in a YAML problem itself → cells by column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from kdegrad.errors import InputError
from kdegrad.reading.points import ROLES, Columns, Faults, Source, Table, place
from kdegrad.reading.tree import Listing, Mapping, Node, Scalar, Where, kind
from kdegrad.text import nearest, shown

POINTS_FORMS: Final = (
    "a list such as [{angle: 50, logit: 0.4}], lists {angle: [..], logit: [..]}, or the name of a .csv or .tsv"
)


class _Missing(NamedTuple):
    """A cell that a point does not have, and where the point begins."""

    where: Where


_Cell = Node | _Missing


def inline_points(points: Listing | Mapping, name: str, columns: Columns, faults: Faults) -> Source:
    """Return the points of a document, or raise `faults` with theirs added.

    Parameters
    ----------
    points
        A list of mappings, a point each; or a mapping of lists, a column each.
    name
        The file, for messages.
    columns
        The keys that were named; they must exist.
    faults
        What is known to be wrong with the document already.
    """
    names = {*ROLES, *columns.given().values()}
    cells = _by_point(points, names, faults) if isinstance(points, Listing) else _by_column(points, names, faults)
    if not any(cells.values()):
        if _is_empty(points):
            faults.add(points.where, f"points: is empty: write {POINTS_FORMS}")
        faults.stop_if_any()
    try:
        roles = columns.choose(cells, place(name, *points.where))
    except InputError:
        faults.stop_if_any()  # a misspelt key tells more than the missing column that comes of it
        raise
    scalars = {role: [_scalar(cell, role, column, faults) for cell in cells[column]] for role, column in roles.items()}
    texts = {role: [scalar.text for scalar in column] for role, column in scalars.items()}
    return Table(name, roles, texts, lambda role, row: scalars[role][row].where).source(faults)


def _is_empty(points: Listing | Mapping) -> bool:
    """Return whether nothing is written in the points, not even something wrong."""
    if isinstance(points, Listing):
        return all(isinstance(item, Mapping) and not item.entries for item in points.items)
    return all(isinstance(node, Listing) and not node.items for node in points.values().values())


def _by_point(points: Listing, names: Collection[str], faults: Faults) -> dict[str, Sequence[_Cell]]:
    """Return the cells of points that are listed one by one, by column."""
    rows: list[Mapping] = []
    keys: dict[str, Scalar] = {}  # each where it is seen first
    for item in points.items:
        if isinstance(item, Mapping):
            rows.append(item)
            for text, (key, _) in item.entries.items():
                keys.setdefault(text, key)
        else:
            faults.add(item.where, f"points: {kind(item)} where a point is wanted: write {{angle: 50, logit: 0.4}}")
    _check_keys(keys.values(), names, faults)
    return {column: [_cell(row, column) for row in rows] if column in names else rows for column in keys}


def _by_column(points: Mapping, names: Collection[str], faults: Faults) -> dict[str, Sequence[_Cell]]:
    """Return the cells of points that are written as a list for each column."""
    _check_keys((key for key, _ in points.entries.values()), names, faults)
    cells: dict[str, Sequence[_Cell]] = {}
    for column, node in points.values().items():
        if isinstance(node, Listing):
            cells[column] = node.items
        else:
            faults.add(node.where, f"points: {column}: {kind(node)} where a list is wanted: write [50, -75]")
    if len(set(map(len, cells.values()))) > 1:
        lengths = ", ".join(f"{shown(column)} has {len(values)}" for column, values in cells.items())
        faults.add(points.where, f"points: lists of unequal length: {lengths}: give each point one of each")
        faults.stop_if_any()  # their rows do not belong together
    return cells


def _check_keys(keys: Iterable[Scalar], names: Collection[str], faults: Faults) -> None:
    for key in keys:
        if key.text not in names:
            faults.add(key.where, partial(_unknown_key, key.text, names))


def _unknown_key(text: str, names: Collection[str]) -> str:
    near = nearest(text, names) or f": a point has {', '.join(sorted(names))}"
    return f"points: unknown key {shown(text)}{near}"


def _cell(row: Mapping, column: str) -> _Cell:
    entry = row.entries.get(column)
    return _Missing(row.where) if entry is None else entry[1]


def _scalar(cell: _Cell, role: str, column: str, faults: Faults) -> Scalar:
    """Return a cell that holds one value; a stand-in, with a fault noted, for any other."""
    if isinstance(cell, Scalar):
        return cell
    if isinstance(cell, _Missing):
        if role == "label":
            return Scalar("", cell.where)
        text = f"points: this point has no {column}, as others have: add it"
    else:
        text = f"points: {column}: {kind(cell)} where one value is wanted"
    faults.add(cell.where, text)
    return Scalar("0", cell.where)
