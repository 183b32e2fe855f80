"""Pins down that every command of the README prints what the README says, and that its Python runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.gallery import FOLDER, Picture, pictures
from tests.readme import README, ROOT, Command, commands, python_blocks

TEXT = README.read_text("utf-8")
COMMANDS = [command for command in commands(TEXT) if not command.line.startswith("make ")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.line)
def test_command_prints_what_the_readme_says(command: Command) -> None:
    printed = command.run()
    assert command.agrees_with(printed), f"prints now:\n{printed}"


def test_python_runs_and_its_comments_are_true() -> None:
    """A line ``expression  # value`` is evaluated and compared with the value, to the digits that are written."""
    names: dict[str, object] = {}
    checked = 0
    for block in python_blocks(TEXT):
        exec(compile(block, "README.md", "exec"), names)
        for expression, value in re.findall(r"^(\S.*?)  # ([-+0-9.\[\](),e ]+)$", block, flags=re.MULTILINE):
            result = eval(expression, names)
            assert result == pytest.approx(float(value), rel=1e-12), f"{expression} gives {result}"
            checked += 1
    assert checked > 0


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make ([a-z]+)`?", TEXT):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_a_wrong_output_is_noticed() -> None:
    assert not Command("kdegrad --version", "kdegrad 99\n").agrees_with("kdegrad 0.1.0\n")


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: Path(picture.file).stem)
def test_each_picture_is_there_is_shown_and_its_command_draws_it(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert f"]({picture.file})" in TEXT
    ET.parse(picture.file)
    drawn = tmp_path / "picture.svg"
    assert picture.draw(str(drawn)) == 0
    ET.parse(drawn)


def test_every_picture_of_the_gallery_has_a_command() -> None:
    made = {picture.file for picture in pictures()}
    assert made == {str(path.relative_to(ROOT)) for path in (ROOT / FOLDER).iterdir()}
    assert set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT)) == made
