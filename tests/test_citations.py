"""Pins down that what a file cites is in this repository: pages, their sections, and no document kept elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme import PAGES, ROOT, anchors, title

PLACES = (
    "kdegrad",
    "tests",
    "sample_inputs",
    ".github",
    ".ci",
    ".pre-commit-hooks.yaml",
    "Makefile",
    "README.md",
    "pyproject.toml",
)
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ""}
ELSEWHERE = re.compile(r"\b(?:" + "|".join(("SP" + "EC", "ARCHI" + "TECTURE", "MO" + "VES")) + r")\b")
PAGE = re.compile(r"(?<![\w/.{}*-])(?:[\w-]+/)*[\w-]+\.md\b(?:#([\w-]+)|,? (?:section )?[\"“]([^\"”\n]+)[\"”])?")


def files() -> Iterator[Path]:
    """Yield the text files of the repository, whether it is a checkout or an unpacked sdist."""
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix in TEXT and "__pycache__" not in file.parts:
                yield file


def test_no_document_is_cited_that_is_not_here() -> None:
    cited = [
        f"{title(file)}:{number}: {line.strip()}"
        for file in files()
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if ELSEWHERE.search(line)
    ]
    assert not cited, "\n".join(cited)


def faults(text: str, folder: Path) -> Iterator[str]:
    """Yield the citations of pages, and of their sections, that are not there."""
    for found in PAGE.finditer(text):
        page = found[0].split(".md")[0] + ".md"
        here = [path for path in (ROOT / page, folder / page) if path.is_file()]
        anchor = found[1] or (re.sub(r"[^\w\- ]", "", found[2].lower()).replace(" ", "-") if found[2] else None)
        if not here or (anchor and anchor not in set().union(*map(anchors, here))):
            yield found[0]


def test_pages_that_are_cited_are_here_with_their_sections() -> None:
    others = {
        *PAGES,
        Path(__file__),
        ROOT / "pyproject.toml",
    }  # test_readme has the pages; the last names a wheel's files
    code = [file for file in files() if file not in others]
    cited = [f"{title(file)}: {fault}" for file in code for fault in faults(file.read_text("utf-8"), file.parent)]
    assert not cited, "\n".join(cited)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see kdegrad/properties/README.md", False),
        ("see README.md, section \"Files\"", False),
        ("see kdegrad/properties/README.md#accuracy", False),
        ("see docs/theory.md", True),
        ("see README.md, section \"Nothing\"", True),
        ("see kdegrad/properties/README.md#nothing", True),
    ],
)  # fmt: skip
def test_a_wrong_citation_is_noticed(text: str, wrong: bool) -> None:
    assert bool(list(faults(text, ROOT))) == wrong


def test_the_table_of_modules_is_complete() -> None:
    """Each module and package at the top of kdegrad/ has a row in kdegrad/README.md, and no other has one."""
    rows = re.findall(
        r"^\| ((?:`[\w./]+`(?:, )?)+) \|", (ROOT / "kdegrad/README.md").read_text("utf-8"), flags=re.MULTILINE
    )
    listed = {name for row in rows for name in re.findall(r"`([\w./]+)`", row)}
    here = {path.name for path in (ROOT / "kdegrad").glob("*.py")}
    here |= {path.parent.name + "/" for path in (ROOT / "kdegrad").glob("*/__init__.py")}
    assert listed == here - {"__init__.py"}
