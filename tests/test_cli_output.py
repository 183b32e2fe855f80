"""Pins down the form of what goes out: the format by the suffix of --output, widths, colours."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kdegrad as kg
from kdegrad.output import Look, is_coloured
from kdegrad.properties import PROPERTIES
from kdegrad.reports import SUFFIXES, Format, records, render
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
LOSS = kg.evaluate(kg.load(TWO_SIDED)).loss


# --- the format of a file -------------------------------------------------------------------------------------------


def test_the_suffix_of_output_chooses_the_format(kdegrad, tmp_path: Path) -> None:
    """Each file is what the command prints in that format, and JUnit is a tree of XML."""
    for suffix, form in SUFFIXES.items():
        command = (
            ["verify-props", TWO_SIDED, "--cases", "0", "--only", "unit"] if suffix == ".xml" else ["loss", TWO_SIDED]
        )
        for name in (f"a{suffix}", f"B{suffix.upper()}"):
            done = kdegrad(*command, "--output", tmp_path / name)
            assert (done.code, done.err) == (0, "")
            assert done.out == "" or suffix == ".xml"  # of checks in JUnit the summary is printed
        if suffix == ".xml":
            assert ElementTree.parse(tmp_path / "a.xml").getroot().tag == "testsuites"
        elif suffix != ".parquet":
            assert (tmp_path / f"a{suffix}").read_text("utf-8") == kdegrad(*command, "--format", str(form)).out
    assert json.loads((tmp_path / "a.json").read_text())["loss"] == LOSS
    assert (tmp_path / "a.txt").read_text("utf-8").startswith("╭")


def test_without_a_suffix_it_is_a_table_unless_a_format_is_given(kdegrad, tmp_path: Path) -> None:
    assert kdegrad("loss", TWO_SIDED, "-o", tmp_path / "report").code == 0
    assert (tmp_path / "report").read_text("utf-8").startswith("╭")
    for name in ("report", "report.txt"):
        assert kdegrad("loss", TWO_SIDED, "-o", tmp_path / name, "--format", "json").code == 0
        assert json.loads((tmp_path / name).read_text())["loss"] == LOSS
    assert json.loads(kdegrad("loss", TWO_SIDED, "-o", "/dev/stdout", "--format", "json").out)["loss"] == LOSS


@pytest.mark.parametrize(
    ("command", "output", "said"),
    [
        ("loss", "a.xlsx", "--output: no report is written as '.xlsx': name a file with the suffix .txt, .json,"),
        ("loss", "a.json.gz", "--output: no report is written as '.gz': name a file"),
        ("loss", "a.png", "--output: no report is written as '.png', but figures are, by --plot: name a file"),
        ("verify-props", "a.yaml", f"name a file with the suffix {', '.join(SUFFIXES)}, or with none"),
        ("grad", "a.xml", "--output: .xml is for JUnit, which reports checks, and this command makes none: name a"),
        ("kernels", "a.xml", "--output: .xml is for JUnit"),
        (
            "loss --format csv",
            "a.json",
            "--format: csv contradicts the suffix of --output, .json: leave --format out, or name a .csv",
        ),
        ("loss --format csv", "a.tsv", "or name a .csv file"),
        ("loss --format csv", "a.parquet", "--format: csv contradicts the suffix of --output, .parquet"),
        ("loss --format table", "a.JSON", "or name a .txt file"),
        ("verify-props --format json", "a.xml", "--format: json contradicts the suffix of --output, .xml"),
        ("verify-props --format github", "a.csv", "leave --format out, or name a file without one"),
        ("loss --format parquet", "a.txt", "--format: parquet contradicts"),
        ("loss --format parquet", None, "--format: Parquet is no text for standard output: name a file with --output"),
        ("loss --format xml", None, "--format: unknown 'xml': choose table, json, csv, tsv"),
        ("verify-props --list", "a.xml", "--format: junit reports checks"),
    ],
)
def test_a_suffix_that_no_report_has_or_that_contradicts_is_refused(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, output: str | None, said: str
) -> None:
    """Before anything is computed."""
    monkeypatch.setattr("kdegrad.objective.evaluate", lambda *_, **__: 1 / 0)
    monkeypatch.chdir(tmp_path)
    done = kdegrad(*command.split(), *([] if output is None else ["--output", output]))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_may_have_any_suffix(kdegrad, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.123"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(reader, "rb") as stream:
        assert kdegrad("loss", TWO_SIDED, "-o", pipe, "--format", "json").code == 0
        assert json.loads(stream.read())["loss"] == LOSS


def test_a_descent_writes_the_points_at_the_end_in_the_format_of_the_suffix(kdegrad, tmp_path: Path) -> None:
    """As a table of points the course is shown beside them; JSON has both, and a format that is given holds."""
    flags = ["descend", TWO_SIDED, "--steps", "3"]
    course, points = kdegrad(*flags).out, kdegrad(*flags, "--format", "csv").out
    for name, separator in (("end", ","), ("end.csv", ","), ("end.tsv", "\t")):
        assert kdegrad(*flags, "--output", tmp_path / name).out == course
        assert (tmp_path / name).read_text() == points.replace(",", separator)
        assert (
            kdegrad("loss", tmp_path / name, "--input-format", "tsv" if separator == "\t" else "csv", "--at", "0").code
            == 0
        )
    assert kdegrad(*flags, "--output", tmp_path / "end.json").out == ""
    assert len(json.loads((tmp_path / "end.json").read_text())["course"]) == 4
    assert kdegrad(*flags, "--output", tmp_path / "end.txt").out == ""
    assert (tmp_path / "end.txt").read_text("utf-8") == course
    assert kdegrad(*flags, "--output", tmp_path / "end.csv", "--format", "csv").out == ""


def test_a_tsv_is_the_csv_with_tabs(kdegrad, tmp_path: Path) -> None:
    """Labels that contain a tab, a quotation mark or a line end are in quotes, in blocks and row by row."""
    points = tmp_path / "points.csv"
    points.write_text('angle,label\n1,"a\tb"\n2,"c,d"\n3,"e""f"\n4,"g\nh"\n')
    for extra in ([], ["--per-bin", "--bins", "2"], ["--top", "3"]):
        flags = ["grad", points, "--target", "0", "9", *extra]
        rows = list(csv.reader(io.StringIO(kdegrad(*flags, "--format", "csv").out)))
        text = kdegrad(*flags, "--format", "tsv").out
        assert list(csv.reader(io.StringIO(text), delimiter="\t")) == rows
        assert "c,d" in text or extra[:1] == ["--per-bin"]


def test_json_says_which_version_read_what(kdegrad, tmp_path: Path) -> None:
    one, other = str(SAMPLES / "wind.yaml"), str(SAMPLES / "turtles.yaml")
    checked = ["verify-props", "--cases", "0", "--only", "unit"]
    for arguments, name in (
        (["loss", one], one),
        (["grad", one], one),
        (["grad", one, "--per-bin", "--bins", "2"], one),
        (["sweep", one, "--over", "kernel", "-k", "laplace"], one),
        (["descend", one, "--steps", "2"], one),
        (["loss"], "two_sided.yaml"),  # wherever the package is installed
        ([*checked, one], one),
        ([*checked, one, other], [one, other]),
        (checked, ["two_sided.yaml", "mallards.yaml", "turtles.yaml", "wind.yaml"]),
        (["kernels"], None),
        (["verify-props", "--list"], None),
    ):
        found = kdegrad(*arguments, "--format", "json").json
        assert list(found)[:2] == ["kdegrad", "input"]
        assert (found["kdegrad"], found["input"]) == (kg.__version__, name)


def test_exact_in_json_is_how_far_the_bins_are_from_the_integral(kdegrad) -> None:
    problem = kg.load(TWO_SIDED).replace(bins=7)
    off = kg.evaluate(problem).loss - kg.evaluate(problem.replace(rule="exact")).loss
    flags = ["loss", TWO_SIDED, "--bins", "7", "--format", "json"]
    assert kdegrad(*flags, "--exact").json["quadrature_error"] == off != 0.0
    assert kdegrad(*flags).json["quadrature_error"] is None
    assert kdegrad(*flags, "--exact", "-k", "epanechnikov").json["quadrature_error"] is None


# --- width and colour -----------------------------------------------------------------------------------------------


def test_a_table_is_as_wide_as_it_is_told(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By --width, in files too; else by COLUMNS; and a pipe is told how to be given the columns left out."""
    wide = kdegrad("grad", TWO_SIDED, "--width", "120")
    assert "not shown" not in wide.out
    assert max(map(len, wide.out.splitlines())) == 120
    assert "not shown at 80 columns: logit (--width 85, or --format csv)" in kdegrad("grad", TWO_SIDED).out
    assert "not shown" not in kdegrad("grad", TWO_SIDED, "--width", "85").out
    assert "not shown" in kdegrad("grad", TWO_SIDED, "--width", "84").out
    kdegrad("grad", TWO_SIDED, "--width", "120", "-o", tmp_path / "wide.txt")
    assert (tmp_path / "wide.txt").read_text("utf-8") == wide.out
    monkeypatch.setenv("COLUMNS", "120")
    assert kdegrad("grad", TWO_SIDED).out == wide.out
    assert max(map(len, kdegrad("grad", TWO_SIDED, "--width", "60").out.splitlines())) == 60
    checks = "verify-props --cases 0 --only zero-sum,rotation"
    for command in ("kernels", "sweep --over kernel", "descend --steps 2", "loss", checks):
        kdegrad(*command.split(), "--width", "70", "-o", tmp_path / "report.txt")
        assert max(map(len, (tmp_path / "report.txt").read_text("utf-8").splitlines())) <= 70


def test_without_unicode_a_statement_loses_no_symbol_and_no_exponent() -> None:
    text = "".join(render(records.properties_record(PROPERTIES), Format.table, Look(200, unicode=False)))
    assert text.isascii()
    assert "dL/dz_i / S_i = 1 - K(t - x_i)/p(t)" in text
    assert "10^12 bandwidths" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "pipe", "terminal"),
    [
        ({}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, False, True),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "3", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, True),
        ({"FORCE_COLOR": ""}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_the_environment_decides_on_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], pipe: bool, terminal: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (is_coloured(io.StringIO()), is_coloured(Terminal())) == (pipe, terminal)


def test_messages_have_the_colour_of_their_kind(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data in them cannot colour anything, and a file is never coloured."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert kdegrad("loss", "--df", "3", "--format", "csv").err == "".join(
        f"\x1b[2mnote:\x1b[0m {said}\n"
        for said in (
            "no INPUT: the packaged example two_sided.yaml is used",
            "--df is ignored: laplace does not use it",
        )
    )
    points = tmp_path / "points.csv"
    points.write_text("angle,logit\n1,x\n2,\x1b[31merror: y\n")
    err = kdegrad("loss", points, "--at", "0").err
    assert err.count("\x1b[1;31merror:\x1b[0m ") == err.count("\x1b[1;31m") == err.count("\n") == 2
    assert "\x1b[31m" not in err
    assert "\x1b[" in kdegrad("loss", TWO_SIDED).out
    kdegrad("loss", TWO_SIDED, "-o", tmp_path / "report.txt")
    assert "\x1b" not in (tmp_path / "report.txt").read_text("utf-8")


def test_on_a_terminal_the_remedy_is_a_wider_one() -> None:
    from kdegrad.reports.tables import Column, fitted

    columns = [Column("a", ["1" * 30]), Column("b", ["2" * 30], 1)]
    for look, said in (
        (Look(40), "(--width 64, or --format csv)"),
        (Look(40, is_terminal=True), "(widen the terminal, "),
    ):
        assert said in "".join(fitted(look, columns)).replace("\n", " ")


def test_a_terminal_has_its_width_and_colour() -> None:
    """Asked of a pseudo-terminal, as the real one is."""
    import pty
    import termios

    main, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 100))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")} | {
        "TERM": "xterm"
    }
    code = "from kdegrad.output import look_of_stdout as l; print(l()); print(l(50).width)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=side, stdin=side, env=environment) as process:
        os.close(side)
        process.wait(30)
    said = os.read(main, 1000).decode()
    os.close(main)
    assert "width=100" in said
    assert "colour=True, is_terminal=True" in said
    assert said.split()[-1] == "50"
