"""Pins down that labels and file names are data and nothing else in every format of every command.

None of their control, format or invisible characters reaches a table or a message; JSON, XML and SVG can be parsed; CSV
has no cell that a spreadsheet would evaluate and reads back to the same labels; GitHub finds no command.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdegrad import grammar, output
from kdegrad.cli.terminal import machine_error, say
from kdegrad.figures.line import LABELLED
from kdegrad.output import Look
from kdegrad.properties import Verdict, Verdicts
from kdegrad.reading import read
from kdegrad.reports import Format, records, render
from kdegrad.settings import ReadingOptions
from kdegrad.text import safe_text
from tests.malformed import FUZZ

TEXTS = [form for form in Format if form is not Format.parquet]

HOSTILE = {
    "markup": "[bold]a[/]",
    "closing-markup": "[/nothing]",
    "link": "[link=http://x]a[/link]",
    "emoji": ":smile:",
    "escape": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "c1": "\x9b2J\x85\x90",
    "backspace": "a\x08b",
    "delete": "\x7f",
    "lines": "a\nb\r\nc\rd",
    "separators": "a\u2028b\u2029c\x0b\x0c",
    "right-to-left": "a\u202egnp.exe\u200f",
    "isolate": "\u2067a\u2069",
    "unseen": "a\u200b\u3164\u2800\u00ad\ufeffb",
    "tags": "\U000e0041\U000e0042",
    "not-a-character": "\ufffe\uffff",
    "formula": "=HYPERLINK(\"http://x\",\"a\")",
    "plus": "+1+1",
    "minus": "-1+cmd|' /C calc'!A0",
    "at": "@SUM(1)",
    "tab": "\t=1",
    "return": "\r=1",
    "full-width": "＝1",
    "quoted-formula": "'=1",
    "number": "-5",
    "quote": "a\"b",
    "xml": "</testcase>]]>&amp;<!--",
    "github": "::error file=a::b",
    "github-later": "a\n::set-output name=a::b",
    "mathtext": "$\\frac{1}{0}$ $",
    "letters": "naïve 猫 𝛼",
}  # fmt: skip
TARGET = ("--target", "-30", "30", "--bandwidth", "30", "--bins", "8")
COMMANDS = {
    "loss": ("loss", *TARGET),
    "grad": ("grad", *TARGET),
    "per-bin": ("grad", *TARGET, "--per-bin"),
    "sweep": ("sweep", *TARGET, "--over", "bandwidth", "--from", "10", "--to", "20", "--steps", "2"),
    "descend": ("descend", *TARGET, "--steps", "2"),
    "verify-props": ("verify-props", *TARGET, "--cases", "0", "--only", "merge"),
}
WITH_LABELS = ("grad", "descend")


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE.keys())
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def points(tmp_path: Path, text: str) -> Path:
    """Return a file with the text in its name, as far as possible, and as a label."""
    path = tmp_path / f"{text.replace('/', '_')}.yaml"
    path.write_text(f"points: {{angle: [-20, 10], label: [{yaml_text(text)}, b]}}")
    return path


def yaml_text(text: str) -> str:
    """Return text as YAML in which every character is an escape."""
    return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'


def acts(shown: str) -> bool:
    """Return whether a character other than a line end controls something or is invisible."""
    return any(c != "\n" and (unicodedata.category(c)[0] == "C" or c in "\u2028\u2029\u3164\u2800") for c in shown)


def is_formula(cell: str) -> bool:
    """Return whether a spreadsheet would evaluate a cell that is not a number."""
    return cell[:1] in {*"=+-@\t\r\n＝＋－＠"} and not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?|-inf", cell)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_tables_and_notes_show_it(kdegrad, points: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    done = kdegrad(name, points, *options)
    assert done.code == 0
    assert not acts(done.out + done.err)
    assert not re.search(r"^\s*::", done.out + done.err, re.MULTILINE)
    assert all(line.startswith("note: ") for line in done.err.splitlines())


@pytest.mark.parametrize("command", WITH_LABELS)
def test_a_table_shows_all_of_its_letters(kdegrad, points: Path, text: str, command: str) -> None:
    out = kdegrad(command, points, *COMMANDS[command][1:]).out
    shown = safe_text(text)
    assert shown[:10] in out
    assert (shown == text) == (not acts(text + text.replace("\n", "\r")))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_json_and_csv_contain_it(kdegrad, tmp_path: Path, points: Path, text: str, command: tuple[str, ...]) -> None:
    name, *options = command
    report = kdegrad(name, points, *options, "--format", "json").json
    if name in WITH_LABELS:
        assert [point["label"] for point in report["points"]] == [text, "b"]
    output = tmp_path / "out.csv"
    assert kdegrad(name, points, *options, "--format", "csv", "--output", output).code == 0
    header, *rows = csv.reader(io.StringIO(output.read_bytes().decode(), newline=""))
    assert all(len(row) == len(header) for row in rows)
    assert not any(is_formula(cell) for row in rows for cell in row)
    if "label" in header:
        source = read(output, ReadingOptions(logit_column="logit"))  # grad has weights too
        assert source.labels == (text, "b")
        assert source.angles.tolist() == [float(row[header.index("angle")]) for row in rows]


@pytest.mark.parametrize("command", WITH_LABELS)
def test_parquet_contains_it_unchanged(kdegrad, tmp_path: Path, points: Path, text: str, command: str) -> None:
    output = tmp_path / "out.parquet"
    assert kdegrad(command, points, *COMMANDS[command][1:], "--output", output).code == 0
    assert pyarrow.parquet.read_table(output)["label"].to_pylist() == [text, "b"]
    assert read(output, ReadingOptions(logit_column="logit")).labels == (text, "b")


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        *(("grad", list(HOSTILE.values())[start : start + LABELLED]) for start in range(0, len(HOSTILE), LABELLED)),
        ("per-bin", list(HOSTILE.values())),
        ("descend", list(HOSTILE.values())),
    ],
)
def test_figures_show_it(kdegrad, tmp_path: Path, command: str, texts: list[str]) -> None:
    points, figure = tmp_path / "points.yaml", tmp_path / "figure.svg"
    rows = (f"- {{angle: {index}, label: {yaml_text(text)}}}\n" for index, text in enumerate(texts))
    points.write_text(f"points:\n{''.join(rows)}")
    name, *options = COMMANDS[command]
    assert kdegrad(name, points, *options, "--plot", figure).code == 0
    ElementTree.parse(figure)
    assert not acts(figure.read_text())


@pytest.mark.parametrize("form", TEXTS)
def test_reports_of_checks_contain_it(text: str, form: Format) -> None:
    check = Verdict("merge", text, "holds", "breaks", 1.0, 1e-12, "fail", text, text)
    report = "".join(render(records.checks_record(records.Checks(Verdicts([check]))), form, Look()))
    match form:
        case Format.table:
            assert not acts(report)
            assert not re.search(r"^\s*::", report, re.MULTILINE)
        case Format.json:
            assert json.loads(report)["checks"][0]["reason"] == text
        case Format.csv | Format.tsv:
            separator = "," if form is Format.csv else "\t"
            _, row = csv.reader(io.StringIO(report, newline=""), delimiter=separator)
            assert not any(map(is_formula, row))
        case Format.junit:
            case = ElementTree.fromstring(report.encode()).find("testsuite/testcase")
            assert case is not None
            assert len(case.get("name", "")) == len(text)
        case Format.github:
            first, last = report.splitlines()
            assert first.startswith("::error title=kdegrad merge::case ")
            assert last.startswith("::notice title=kdegrad verify-props::")


@pytest.mark.parametrize("form", TEXTS)
def test_reports_of_a_judged_loss_contain_it(text: str, form: Format) -> None:
    """What the loss raises, its name and its example are the user's."""
    check = Verdict(
        "far-start", "1 some", "holds", "breaks", 1.0, 0.1, "fail", text, "", text, True, text, f"{text}  {text}", text
    )
    like = {"kernel": "laplace", "bandwidth": 1.0, "df": None, "period": None, "scale": 1.0, "background": 0.0}
    loss = {
        "name": text,
        "backend": "numpy",
        "dtype": "float64",
        "floor": None,
        "batched": False,
        "gives": ["loss"],
        "file": text,
        "line": 7,
        **like,
    }
    run = records.Checks(Verdicts([check]), loss, full=True)
    report = "".join(render(records.checks_record(run), form, Look()))
    match form:
        case Format.table:
            assert not acts(report)
            assert not re.search(r"^\s*::", report, re.MULTILINE)
        case Format.json:
            assert json.loads(report)["loss"]["name"] == text
        case Format.csv | Format.tsv:
            separator = "," if form is Format.csv else "\t"
            _, row = csv.reader(io.StringIO(report, newline=""), delimiter=separator)
            assert not any(map(is_formula, row))
        case Format.junit:
            loss_property = ElementTree.fromstring(report.encode()).find("testsuite/properties/property[@name='loss']")
            assert loss_property is not None
            assert len(loss_property.get("value", "")) == len(text)
        case Format.github:
            first, last = report.splitlines()
            assert first.startswith("::error file=")
            assert ",line=7,title=kdegrad far-start (" in first
            assert last.startswith("::notice title=kdegrad verify-props (")
            assert [line.split("::")[1].count(",") for line in (first, last)] == [2, 0]
            assert not any(symbol in line for line in (first, last) for symbol in "\r\n")


def test_a_table_in_colour_adds_nothing_but_colours(text: str) -> None:
    check = Verdict("merge", text, "holds", "breaks", 1.0, 1e-12, "fail", text, text)
    report = "".join(render(records.checks_record(records.Checks(Verdicts([check]))), Format.table, Look(colour=True)))
    assert not acts(re.sub(r"\x1b\[[\d;]*m", "", report))


def test_messages_quote_it(kdegrad, tmp_path: Path, points: Path, text: str) -> None:
    missing = points.with_suffix(".csv")
    table = tmp_path / "columns.csv"
    table.write_text("angle,b\n1,2\n")
    for arguments in (
        ("loss", missing, *TARGET),
        ("loss", table, *TARGET, "--angle-column", text),
        ("loss", table, *TARGET, "--kernel", text),
        ("loss", table, *TARGET, "--delimiter", text + "ab"),
        ("loss", table, *TARGET, f"--{text}"),
        ("loss", table, *TARGET, "--output", tmp_path / "no" / text),
        (text or "x", table),
    ):
        done = kdegrad(*arguments)
        assert (done.code, done.out) == (2, "")
        assert not acts(done.err)
        assert all(line.startswith(("error: ", "note: ", "Try ")) for line in done.err.splitlines())


def test_a_column_s_name_may_be_anything(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    for text in HOSTILE.values():
        if re.search(r'[\0,"]|\A\s|\s\Z', text) or "\n" in text or "\r" in text:
            continue  # a name that would need quotes
        path.write_bytes(f"{text},b\n1,2\n".encode())
        assert kdegrad("loss", path, "--at", "0", "--angle-column", text).code == 0
        done = kdegrad("loss", path, "--at", "0")
        assert done.code == 2
        assert not acts(done.err)


def test_the_machine_s_errors_are_shown_without_their_escapes(capfd: pytest.CaptureFixture[str]) -> None:
    say(machine_error(OSError(28, "No space left", "a\x1b[2J\u202eb")))
    assert capfd.readouterr().err.isprintable() is False  # the end of the line alone
    say("one\x1b\ntwo\ud800")
    assert capfd.readouterr().err == "one\\x1b\ntwo\\ud800\n"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_data_on_a_terminal_is_shown_without_its_escapes(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    held = io.BytesIO()
    monkeypatch.setattr("sys.stdout", Terminal(held, encoding="utf-8"))
    output.write_stdout([f"1,{text}\n"], for_people=False)
    assert not acts(held.getvalue().decode().replace("\t", ""))


@FUZZ
@given(st.text(st.one_of(st.sampled_from("'=+-@\t\r\n1.e＝"), st.characters()), max_size=8))
@example("''=")
@example("'-5")
def test_what_is_guarded_is_no_formula_and_reads_back(text: str) -> None:
    assert grammar.unguarded(grammar.guarded(text)) == text
    assert not is_formula(grammar.guarded(text))


@pytest.mark.parametrize("number", ["-5", "+1e3", "-.5", "-5.", "5"])
def test_a_text_that_is_a_number_keeps_its_sign(number: str) -> None:
    assert grammar.guarded(number) == number
