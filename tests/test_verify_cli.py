"""Pins down ``kdegrad verify-props`` as a CI sees it: formats, fields, exit codes, the report of a failure."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kdegrad as kg
from kdegrad.cli import app
from kdegrad.output import Look
from kdegrad.properties import PROPERTIES, Verdict, Verdicts
from kdegrad.reports import Format, records, render
from tests.readme import ROOT

TWO_SIDED = str(ROOT / "sample_inputs" / "two_sided.yaml")
IDS = [property_.id for property_ in PROPERTIES]


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = app.run(["verify-props", *arguments])
    return code, *capfd.readouterr()


def wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the sign of the logits' gradient in what kdegrad reports to the properties."""

    def sabotaged(problem: kg.Problem, wrt: object = ("logits",)) -> kg.Evaluation:
        evaluation = kg.evaluate(problem, wrt)  # type: ignore[arg-type]
        gradients = evaluation.gradients
        return (
            evaluation
            if gradients is None
            else replace(evaluation, gradients=replace(gradients, logits=-gradients.logits))
        )

    monkeypatch.setattr("kdegrad.properties.evaluators.evaluate", sabotaged)
    monkeypatch.setattr("kdegrad.properties.ground.evaluate", sabotaged)


def verdict(**changes: object) -> Verdict:
    fields = {
        "property": "merge",
        "case": "1 some",
        "expectation": "holds",
        "observed": "breaks",
        "residual": 1.0,
        "tolerance": 1e-12,
        "verdict": "fail",
        "reason": "a is b",
        "reproduce": "--seed 0",
    }
    return Verdict(**fields | changes)  # type: ignore[arg-type]


def report(checks: list[Verdict], format_: Format, width: int = 80, full: bool = False) -> str:
    record = records.checks_record(records.Checks(Verdicts(checks), full=full))
    return "".join(render(record, format_, Look(width=width)))


def test_defaults_pass_with_every_id_checked_and_controls_that_break(capfd) -> None:
    code, out, err = run(capfd, "--format", "json")
    report = json.loads(out)
    assert code == 0
    assert report["passed"] is True
    assert "packaged examples" in err
    checks = report["checks"]
    assert [i for i in IDS if any(c["property"] == i and c["verdict"] == "pass" for c in checks)] == IDS
    assert len({c["property"] for c in checks if c["observed"] == "breaks"}) >= 3
    assert sum(report["counts"].values()) == len(checks)
    assert {"property", "case", "expectation", "observed", "residual", "tolerance", "verdict", "reason"} <= checks[
        0
    ].keys()
    assert all(check["reason"] for check in checks if check["verdict"] == "skip")


def test_input_s_own_points_are_checked_first(capfd) -> None:
    _, out, _ = run(capfd, TWO_SIDED, "--cases", "0", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["case"] for row in rows} == {"two_sided.yaml"}
    assert [row["property"] for row in rows] == IDS


def test_same_seed_same_report_other_seed_another(capfd) -> None:
    def report(seed: str) -> list[dict[str, str]]:
        _, out, _ = run(capfd, TWO_SIDED, "--cases", "3", "--seed", seed, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert all(float(row.pop("seconds")) > 0.0 for row in rows)
        return [{name: cell for name, cell in row.items() if name != "reproduce"} for row in rows]

    first, again, other = map(report, "112")
    assert first == again != other


def test_only_may_be_repeated_and_an_unknown_one_is_refused(capfd) -> None:
    _, out, _ = run(capfd, TWO_SIDED, "--only", "merge", "--only", "zero-sum", "--cases", "1", "--format", "json")
    assert {check["property"] for check in json.loads(out)["checks"]} == {"merge", "zero-sum"}
    code, out, err = run(capfd, "--only", "merg")
    assert (code, out) == (2, "")
    assert "did you mean 'merge'" in err


def test_a_list_is_of_the_properties_that_are_chosen(capfd) -> None:
    code, out, err = run(capfd, "--list", "--only", "merge,unit", "--format", "json")
    assert (code, err) == (0, "")
    assert [item["property"] for item in json.loads(out)["properties"]] == ["merge", "unit"]
    code, out, err = run(capfd, "--list", "--only", "nonsense")
    assert (code, out) == (2, "")
    assert "unknown property 'nonsense'" in err
    code, out, err = run(capfd, "nofile.yaml", "--list")
    assert (code, err) == (0, "note: --list checks nothing: INPUT is not read\n")


def test_examples_that_do_not_fit_the_flags_are_named(capfd) -> None:
    code, _, err = run(capfd, "--kernel", "von-mises", "--only", "merge", "--cases", "0")
    assert code == 0
    assert err.splitlines()[1:] == [
        "note: two_sided.yaml is left out: kernel: von-mises is defined on a circle only: add --circular or --period P"
    ]


@pytest.mark.parametrize(
    "flags", ["--cases -1", "--cases x", "--seed 1.5", "--tolerance 0", "--tolerance nan", "--format xml"]
)
def test_wrong_options_are_refused(capfd, flags: str) -> None:
    code, out, err = run(capfd, TWO_SIDED, *flags.split())
    assert (code, out) == (2, "")
    assert flags.split()[0] in err


@pytest.mark.parametrize("command", ["loss", "grad", "sweep --over kernel", "descend", "kernels"])
@pytest.mark.parametrize("format_", [Format.junit, Format.github])
def test_formats_of_checks_are_refused_where_none_are_made(kdegrad, command: str, format_: Format) -> None:
    done = kdegrad(*command.split(), *([] if command == "kernels" else [TWO_SIDED]), "--format", format_)
    assert (done.code, done.out) == (2, "")
    assert f"--format: unknown '{format_}': choose table, json, csv" in done.err
    with pytest.raises(kg.SettingError, match=f"{format_} reports checks, and kernels makes none"):
        render(records.kernels_record(), format_, Look())


def test_a_sabotage_exits_1_and_is_named(capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    code, out, _ = run(capfd, TWO_SIDED, "--cases", "2", "--format", "json")
    assert code == 1
    report = json.loads(out)
    assert report["passed"] is False
    failed = {check["property"] for check in report["checks"] if check["verdict"] == "fail"}
    assert {"derivative", "one-hot"} <= failed
    code, out, _ = run(capfd, TWO_SIDED, "--cases", "2")
    assert code == 1
    assert "\nFAILED derivative [two_sided.yaml] " in out
    assert "bandwidth 10.0" in out


def test_nothing_checked_is_a_failure(capfd) -> None:
    code, out, _ = run(capfd, TWO_SIDED, "--only", "rotation", "--cases", "0")
    assert code == 1
    assert "nothing was checked" in out
    assert "1 skipped (rotation: a line has no turns)" in " ".join(out.split())


def test_nothing_checked_is_an_error_to_a_ci(capfd) -> None:
    flags = [TWO_SIDED, "--only", "rotation", "--cases", "0", "--format"]
    code, out, _ = run(capfd, *flags, "junit")
    suites = ElementTree.fromstring(out)
    assert (code, suites.get("errors"), suites.get("failures")) == (1, "1", "0")
    assert int(suites.get("tests", "")) == len(suites.findall("testsuite/testcase"))
    assert [error.get("message", "").endswith("nothing was checked") for error in suites.iter("error")] == [True]
    code, out, _ = run(capfd, *flags, "github")
    assert code == 1
    assert out.startswith("::error title=kdegrad verify-props::0 checks passed")


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_table_fits_and_names_what_it_leaves_out(capfd, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run(capfd, TWO_SIDED, "--cases", "0", "-v")
    assert max(map(len, out.splitlines())) <= columns
    assert all(i in out for i in IDS)
    assert (columns < 80) <= ("not shown at" in out)


def test_list_names_one_domain_s_kernels_together(capfd) -> None:
    _, out, _ = run(capfd, "--list")
    for name, on in (("far-field", "skipped: every kernel on the circle"), ("rotation", "holds: every kernel on the")):
        assert on in " ".join(out[out.index(f"{name}  ") :].split()), name


def test_a_tolerance_that_nothing_meets_fails(capfd) -> None:
    assert run(capfd, TWO_SIDED, "--cases", "0", "--tolerance", "1e-300")[0] == 1


def test_junit_counts_and_reasons(capfd, tmp_path: Path) -> None:
    output = tmp_path / "report.xml"
    assert run(capfd, TWO_SIDED, "--cases", "2", "--format", "junit", "--output", str(output))[0] == 0
    suites = ElementTree.parse(output).getroot()
    cases = suites.findall("testsuite/testcase")
    assert suites.tag == "testsuites"
    assert int(suites.get("tests", "")) == len(cases) == 3 * len(IDS)
    assert int(suites.get("skipped", "")) == len(suites.findall("testsuite/testcase/skipped"))
    assert all(case.get("name") and case.get("classname", "").startswith("kdegrad.") for case in cases)
    assert all(skip.get("message") for skip in suites.iter("skipped"))


def test_junit_of_hostile_text_is_legal_xml() -> None:
    checks = [verdict(case="\x00\x1b[31m<&\"'>\ud800\uffff", reason="]]>\n\x08")]
    text = report(checks, Format.junit)
    case = ElementTree.fromstring(text.encode("utf-8")).find("testsuite/testcase")
    assert case is not None
    assert "<&\"'>" in case.get("name", "")


def test_github_escapes_and_respects_the_cap() -> None:
    checks = [verdict(case=f"{i}\n::warning::x", reason="100%") for i in range(25)]
    lines = report(checks, Format.github).splitlines()
    assert sum(line.startswith("::error") for line in lines) == 10
    assert lines[0].startswith("::error title=kdegrad merge::case 0%0A::warning::x: 100%25")
    assert lines[9].endswith("16 more checks failed (--format csv has all)")
    assert lines[-1] == "::notice title=kdegrad verify-props::0 checks passed, 25 failed, 0 skipped"


def test_github_of_a_good_run_is_one_notice(capfd) -> None:
    code, out, _ = run(capfd, TWO_SIDED, "--cases", "1", "--format", "github")
    assert code == 0
    assert re.fullmatch(r"::notice title=kdegrad verify-props::\d+ checks passed, 0 failed, \d+ skipped\n", out)


def test_list_says_what_to_expect_of_every_kernel(capfd) -> None:
    _, out, _ = run(capfd, "--list", "--format", "json")
    listed = {entry["property"]: entry for entry in json.loads(out)["properties"]}
    assert list(listed) == IDS
    shift = listed["laplace-shift"]["expectations"]
    assert (shift["laplace, line"], shift["laplace, circle"], shift["gaussian, line"]) == ("holds", "holds", "breaks")
    assert all(entry["statement"] and entry["precondition"] for entry in listed.values())
    _, out, _ = run(capfd, "--list")
    assert all(property_.id in out for property_ in PROPERTIES)
    assert run(capfd, "--list", "--format", "junit")[0] == 2
    assert run(capfd, "--list", "--plot", "checks.png")[0] == 2
    _, out, _ = run(capfd, "--list", "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == len(IDS)


def test_what_fails_as_expected_in_one_case_is_not_said_to_pass() -> None:
    expected = verdict(case="2 other", verdict="skip", reason="expected to fail (known): a is b")
    text = report([verdict(verdict="pass", observed="holds"), expected], Format.table)
    assert "pass " not in text
    assert "XFAIL merge  expected to fail (known): a is b\n" in text
    assert "0 properties passed, 0 failed, 1 failed as expected, 0 skipped" in text


def test_table_at_80_columns_and_wide(capfd) -> None:
    checks = [verdict(property=i, verdict="pass", observed="holds", residual=1e-15) for i in IDS]
    narrow = report(checks, Format.table, full=True)
    assert max(map(len, narrow.splitlines())) <= 80
    wide = report(checks, Format.table, width=150, full=True)
    assert "Reordering the points" in wide
    for text in (narrow, wide):
        assert "25 properties passed, 0 failed, 0 skipped" in text
        assert all(i in text for i in IDS)
    assert "1 property passed, 0 failed, 0 skipped" in report(checks[:1], Format.table)
