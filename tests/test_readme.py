"""Pins down that the README pages are true: commands print what they say, Python and CI jobs run, links exist."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import MARKS, PAGE, written
from tests.gallery import FOLDER, Picture, pictures
from tests.readme import (
    FRAMEWORKS,
    LANGUAGES,
    PAGES,
    ROOT,
    Command,
    anchors,
    commands,
    files,
    framework,
    languages,
    links,
    prose,
    ran,
    scripts,
    title,
)

TEXTS = {title(page): page.read_text("utf-8") for page in PAGES}
COMMANDS = [
    pytest.param(command, id=f"{page}: {command.line}{' (backend)' if command.needs else ''}")
    for page, text in TEXTS.items()
    for command in commands(text)
]
WITH_PYTHON = [
    pytest.param(page, needs, id=f"{page}{f' (backend {needs})' if needs else ''}")
    for page, text in TEXTS.items()
    for needs in ("", *FRAMEWORKS)
    if any(framework(body) == needs for body in scripts(text))
]
MOST_LINES = 300


def test_the_landing_page_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= MOST_LINES


def test_no_page_is_left_out() -> None:
    found = {title(path) for part in ("kdegrad", "tests", "sample_inputs") for path in (ROOT / part).rglob("*.md")}
    assert found | {"README.md"} == set(TEXTS)


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_is_of_a_language_that_is_tested(page: str) -> None:
    assert languages(TEXTS[page]) <= LANGUAGES


@pytest.mark.parametrize("command", COMMANDS)
def test_command_prints_what_the_page_says(command: Command) -> None:
    if command.needs:
        pytest.importorskip(command.needs, reason=f"{command.needs} is not installed: make test-frameworks")
    printed = command.run()
    assert command.agrees_with(printed), f"prints now:\n{printed}"


def test_a_wrong_output_is_noticed() -> None:
    assert not Command("kdegrad --version", "kdegrad 99\n").agrees_with("kdegrad 0.1.0\n")


def test_in_a_folder_of_its_own_a_block_has_the_files_of_its_commands_above_and_leaves_none() -> None:
    block = '```console\n$ cd "$(mktemp -d)"\n$ echo 7 > x\n$ cat x; pwd\n```\n'
    *_, last = commands(block)
    number, folder = last.run().splitlines()
    assert number == "7"
    assert not Path(folder).exists()


@pytest.mark.parametrize(("page", "needs"), WITH_PYTHON)
def test_python_runs_and_its_comments_are_true(page: str, needs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line ``expression  # value`` is evaluated and compared with the value."""
    if needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed: make test-frameworks")
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    checked = 0
    for block in scripts(TEXTS[page]):
        if framework(block) != needs:
            continue
        skipped = TEXTS[page][: TEXTS[page].index(block)].count("\n")  # so that a traceback has the page's lines
        exec(compile("\n" * skipped + block, ROOT / page, "exec"), names)
        for expression, value in re.findall(
            r"^(\S.*?)  # (True|False|-?[\d.]+(?:e-?\d+)?)$", block, flags=re.MULTILINE
        ):
            wanted = value == "True" if value in {"True", "False"} else pytest.approx(float(value), rel=1e-12)
            result = eval(expression, names)
            assert result == wanted, f"{expression} gives {result}"
            checked += 1
    assert checked > 0


def test_files_are_as_the_pages_show_them() -> None:
    shown = {name: body for text in TEXTS.values() for name, body in files(text).items()}
    assert shown
    for name, body in shown.items():
        assert (ROOT / name).read_text("utf-8") == body


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = {
        target for text in TEXTS.values() for target in re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)
    }
    assert named >= {"demo", "test"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_what_the_demo_runs_succeeds() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    sample = re.search(r"^SAMPLE := (.*)$", makefile, flags=re.MULTILINE)
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert sample
    assert recipe
    lines = recipe[1].replace("$(BIN)/", "").replace("$(SAMPLE)", sample[1]).splitlines()
    for line in lines:
        done = ran(line.strip())
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@cache
def helped() -> dict[str, str]:
    """Return the help of each command, in one line an option."""
    names = ("loss", "grad", "verify-props", "sweep", "descend", "kernels")
    return {name: ran(f"COLUMNS=250 kdegrad {name} --help").stdout for name in names}


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_every_option_is_in_the_table_of_options_and_no_other_is_named() -> None:
    known = set().union(*map(options, helped().values()))
    assert known - options(TEXTS["sample_inputs/README.md"]) <= {"--help", "--debug", "--no-circular"}
    general = {"--help", "--version", "--install-completion", "--show-completion"}
    for page, text in TEXTS.items():
        assert options("\n".join(re.findall(r"`[^`]+`", prose(text)))) <= known | general, page


def test_defaults_in_the_table_of_options_are_those_of_the_help() -> None:
    """A row of one option with a literal default says what ``--help`` says."""
    rows = re.findall(
        r"^\| `(--[a-z-]+) [A-Z]+` \| .* \| ([\w.-]+) \|$", TEXTS["sample_inputs/README.md"], flags=re.MULTILINE
    )
    assert len(rows) > 5
    for option, default in rows:
        line = next(line for line in helped()["grad"].splitlines() if re.match(rf" +(-\w, )?{option} ", line))
        assert f"[default: {default}]" in line


GROUPED = "sample_inputs/headings.csv --group-by image_id --target-columns low,high --circular"
REPORTS = {
    "loss": "loss",
    "grad": "grad --wrt logits,angles,bandwidth",
    "grad --per-bin": "grad --per-bin",
    "grad --stream": "grad sample_inputs/wind.csv --stream --at 0 --wrt angles,bandwidth --output $(mktemp -d)",
    "grad --stream --group-by": f"grad {GROUPED} --stream --output $(mktemp -d)",
    "loss --group-by": f"loss {GROUPED}",
    "grad --group-by": f"grad {GROUPED} --label-column image_id --wrt logits,angles",
    "verify-props": "verify-props --cases 0 --only unit",
    "sweep": "sweep --over bins --from 3 --to 6 --steps 2",
    "descend": "descend --steps 1",
}


@pytest.mark.parametrize(
    ("report", "fields"),
    re.findall(r"^\| (`.*(?:JSON|CSV).*|`problem`) \| (.*) \|$", TEXTS["sample_inputs/README.md"], flags=re.MULTILINE),
)
def test_fields_of_the_reports_are_those_of_the_table(report: str, fields: str) -> None:
    """Each row's words in backticks before a semicolon, in the order of the report; what JSON has more is named too."""
    wanted = re.findall(r"`([^`]+)`", fields.split(";")[0])
    command, *parts = re.findall(r"`([^`]+)`", report)
    name = command if command in REPORTS else "loss"
    written = "csv" if "CSV" in report else "json"
    printed = Command(f"kdegrad {REPORTS[name]} --format {written} 2>/dev/null", "").run()
    if written == "csv":
        assert printed.splitlines()[0].split(",") == wanted
        printed = Command(f"kdegrad {REPORTS[name]} --format json 2>/dev/null", "").run()
    found = json.loads(printed)
    if command == "problem":
        assert list(found["problem"]) == wanted
    elif written == "json":
        assert list(found) == ["kdegrad", "input", *wanted]  # the two are said above the table
    for part in parts:
        found_in_part = list(found[part][0])
        assert found_in_part[: len(wanted)] == wanted
        assert all(f"`{name}`" in fields for name in found_in_part)


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: Path(picture.file).stem)
def test_each_picture_is_there_and_its_command_draws_it(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if picture.needs:
        pytest.importorskip(picture.needs, reason=f"{picture.needs} is not installed: make test-frameworks")
    monkeypatch.chdir(ROOT)
    ET.parse(picture.file)
    drawn = tmp_path / "picture.svg"
    assert picture.draw(str(drawn)) == 0
    ET.parse(drawn)


def test_every_picture_has_a_command_and_is_shown() -> None:
    made = {picture.file for picture in pictures()}
    assert made == {str(path.relative_to(ROOT)) for path in (ROOT / FOLDER).iterdir()}
    for page in PAGES:
        shown = {title((page.parent / link).resolve()) for link in links(page) if link.endswith(".svg")}
        made_here = {picture.file for picture in pictures((page,))}
        assert made_here <= shown <= made, title(page)


def test_every_indented_command_draws_a_picture_or_sets_up() -> None:
    """So that no command of a page goes untested."""
    for page, text in TEXTS.items():
        indented = re.findall(r"^    ((?:kdegrad|python|\$|pip|make|source)\b.*)$", prose(text), flags=re.MULTILINE)
        for line in indented:
            assert line.startswith(("make ", "source .venv/bin/")) or f"--plot {FOLDER}/" in line, f"{page}: {line}"
    assert "BIN := .venv/bin\n" in (ROOT / "Makefile").read_text("utf-8")


def test_commands_in_the_prose_are_commands() -> None:
    """Those that name an input are run."""
    for page, text in TEXTS.items():
        for line in re.findall(r"`(kdegrad [^`]+)`", prose(text)):
            if line.split()[1] not in {"COMMAND", "--install-completion"}:
                assert line.split()[1] in helped(), f"{page}: {line}"
            if "sample_inputs/" in line:
                assert ran(line).returncode == 0, f"{page}: {line}"


def test_the_benchmarks_write_their_page_between_its_marks() -> None:
    before, rest = PAGE.read_text("utf-8").split(MARKS[0])
    tables, after = rest.split(MARKS[1])
    assert re.search(r"^Measured on \d{4}-\d\d-\d\d", tables)
    assert written(PAGE.read_text("utf-8"), tables) == PAGE.read_text("utf-8")
    assert written(PAGE.read_text("utf-8"), "new\n") == before + MARKS[0] + "new\n" + MARKS[1] + after
