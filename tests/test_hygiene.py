"""Pins down that the tests rely on public names: none imports, reads or patches a name of kdegrad that starts with `_`.

A test of a private name fails when code is rearranged, although its behaviour is the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
OF_NOTEBOOKS = {"_repr_html_"}  # public: what a notebook asks for


def is_private(name: object) -> bool:
    """Whether a name, or a part of a dotted one, starts with one underscore."""
    parts = name.split(".") if isinstance(name, str) else []
    return any(part.startswith("_") and not part.startswith("__") and part not in OF_NOTEBOOKS for part in parts)


def root(node: ast.expr) -> str:
    """Return the name that a chain of attributes and calls starts with."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield each use of a private name that may be one of kdegrad, with its line."""
    not_ours = {"self", "cls"}  # and modules of others
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            not_ours |= {(n.asname or n.name).split(".")[0] for n in node.names if not n.name.startswith("kdegrad")}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == "kdegrad":
                yield from (f"{node.lineno}: {n.name}" for n in names if is_private(f"{module}.{n.name}"))
            case ast.Attribute(value=value, attr=attr) if is_private(attr) and root(value) not in not_ours:
                yield f"{node.lineno}: {attr}"
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr" | "patch") | ast.Name(id="setattr" | "getattr")
            ):
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                words = [word for word in words if is_private(word) and word.startswith(("_", "kdegrad."))]
                yield from (f"{node.lineno}: {word}" for word in words)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_no_test_uses_a_private_name(file: Path) -> None:
    assert list(private_names(ast.parse(file.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        "from kdegrad.sums import _spread",
        "from kdegrad._core import spread",
        "kdegrad.sums._spread([0.0])",
        "kg.evaluate(problem)._cache",
        "problem._rule = None",
        "monkeypatch.setattr(scan, '_CHUNK', 3)",
        "monkeypatch.setattr('kdegrad.sums._CHUNK', 3)",
        "getattr(problem, '_rule')",
    ],
)
def test_private_names_are_recognised(line: str) -> None:
    assert len(list(private_names(ast.parse(line)))) == 1


def test_other_names_are_allowed() -> None:
    lines = ["import sys", "sys._getframe()", "self._x = 1", "from tests.scale import _reach", "kdegrad.__all__"]
    lines += ["monkeypatch.setattr('typer._x', 1)"]
    assert list(private_names(ast.parse("\n".join(lines)))) == []
