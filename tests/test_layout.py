"""The layout of the code, as kdegrad/README.md describes it: imports run down its table of modules, without circles.

Every import counts: on top of a module, inside a function (a lazy import), and for types only. One arrow may run up:
where a notebook shows a result, its ``_repr_html_`` asks `kdegrad.reports` for the page.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import kdegrad as kg

ROOT = Path(kg.__file__).parent
MODULES = {
    ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(ROOT.rglob("*.py"))
}
MAY_RUN_UP = {"_repr_html_"}  # functions whose imports are left out
MOST_LINES = 450  # of a file: more is more than one subject
HEAVY = {"typer", "rich", "yaml", "matplotlib", "pyarrow", "narwhals", "torch", "jax", "dask", "pandas"}
HOMES = {  # the modules that may load them at all
    "typer": ("kdegrad.cli",),
    "rich": ("kdegrad.cli", "kdegrad.reports"),
    "yaml": ("kdegrad.reading.tree",),
    "matplotlib": ("kdegrad.figures",),
    "pyarrow": ("kdegrad.reading.parquet", "kdegrad.reports.as_parquet"),
    "narwhals": ("kdegrad.reading.frames",),
    "torch": ("kdegrad.properties.backends", "kdegrad.torch"),
    "jax": ("kdegrad.properties.backends",),
    "dask": ("kdegrad.dask",),
    "pandas": ("kdegrad.dask",),
}


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of a syntax tree but those inside functions that may import upward."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.FunctionDef) and child.name in MAY_RUN_UP):
            yield child
            yield from nodes(child)


def imported(file: Path) -> set[str]:
    """Return the names of all modules that a file imports from, anywhere in it."""
    names = set()
    for node in nodes(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else node.module)
    return names


IMPORTS = {module: imported(file) for module, file in MODULES.items()}


def test_no_circles() -> None:
    own = {module: {name for name in names if name in MODULES} for module, names in IMPORTS.items()}
    own["kdegrad"] = set()  # its names are found when asked for, and its modules ask it for the version alone
    list(TopologicalSorter(own).static_order())  # raises CycleError, which names the circle


def rank_of(module: str, rows: list[list[str]]) -> int:
    """Return the row of the table that holds a module, or the package that it stands in."""
    name = module.removeprefix("kdegrad.").split(".")[0]
    return next(rank for rank, row in enumerate(rows) if name in row)


def test_imports_run_down_the_table_of_modules() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    rows = [
        [name.removesuffix(".py").rstrip("/") for name in re.findall(r"`([\w./]+)`", line.split("|")[1])]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    rows = [row for row in rows if any(f"kdegrad.{name}" in MODULES for name in row)]
    listed = {name for row in rows for name in row}
    assert listed == {module.split(".")[1] for module in MODULES if "." in module}
    upward = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if "." in module and "." in name and name in MODULES and rank_of(name, rows) < rank_of(module, rows)
    ]
    assert upward == []


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_heavy_libraries_have_their_homes(library: str) -> None:
    users = {module for module, names in IMPORTS.items() if any(name.split(".")[0] == library for name in names)}
    assert users
    assert [user for user in users if not user.startswith(HOMES[library])] == []


def test_no_file_is_longer_than_one_subject() -> None:
    assert [name for name, file in MODULES.items() if len(file.read_text("utf-8").splitlines()) > MOST_LINES] == []


def test_no_module_hides_a_public_function() -> None:
    """Importing `kdegrad.x` binds the module as kdegrad's attribute x, in place of a function of that name."""
    has_torch = find_spec("torch") is not None
    for module in MODULES:
        if module != "kdegrad.__main__" and (has_torch or not module.startswith("kdegrad.torch")):
            importlib.import_module(module)
    for name in kg.__all__:
        assert f"kdegrad.{name}" not in MODULES
        if name != "__version__":
            assert callable(getattr(kg, name))
