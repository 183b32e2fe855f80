"""Pins down what ``kdegrad verify-props`` tells a CI: lines that reproduce a check, JUnit, annotations, summaries."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kdegrad as kg
from kdegrad.properties import Verdicts
from kdegrad.properties.base import Case
from kdegrad.properties.cases import random_cases
from kdegrad.settings import Settings
from tests.conftest import Run
from tests.readme import ROOT
from tests.test_verify_cli import verdict, wrong_sign

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
Command = Callable[..., Run]


def checks(done: Run) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert rows
    return rows


def same(rows: list[dict[str, str]], beside: tuple[str, ...] = ("seconds", "reproduce")) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name not in beside} for row in rows]


def drawn(number: int, *, at_once: int | None = None) -> Case:
    like = Settings(kernel="gaussian", bandwidth=10.0)
    numbers = [number] if at_once is None else range(1, at_once + 1)
    return next(case for case in random_cases(like, numbers, 5) if case.index == number)


# --- one case, one check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 9, 24])
def test_a_random_problem_is_the_same_alone(number: int) -> None:
    alone, among = drawn(number), drawn(number, at_once=30)
    assert (alone.name, alone.kind) == (among.name, among.kind)
    for part in ("angles", "logits"):
        assert getattr(alone.problem, part).tobytes() == getattr(among.problem, part).tobytes()
    assert alone.problem.settings == among.problem.settings
    assert alone.problem.rule.nodes.tobytes() == among.problem.rule.nodes.tobytes()


def test_what_reproduces_a_check_is_a_command_that_makes_it_alone(
    kdegrad: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two files, one with a name that a shell must quote; paths, and numbers, as they were given."""
    wrong_sign(monkeypatch)
    monkeypatch.chdir(tmp_path)
    odd = "it's mine; rm.csv"
    Path(odd).write_text("theta;z\n-50;0\n40;1\n")
    flags = ["--target", "-30", "30.5", "--angle-column", "theta", "--logit-column", "z", "--delimiter", ";"]
    flags += ["--kernel", "gaussian", "--bandwidth", "1e1"]
    Path("b.csv").write_text(Path(odd).read_text())
    options = ["--cases", "2", "--seed", "7", "--skip", "[!d]*", "--format", "csv"]
    rows = [row for row in checks(kdegrad("verify-props", odd, "b.csv", *flags, *options)) if row["verdict"] == "fail"]
    assert {row["case"] for row in rows} >= {odd, "b.csv", f"{odd} #1", f"{odd} #2"}
    for case, file in ((odd, odd), ("b.csv", "b.csv"), (f"{odd} #2", odd)):
        row = next(row for row in rows if row["case"] == case)
        words = shlex.split(row["reproduce"])
        assert words[:3] == ["kdegrad", "verify-props", file]
        assert ("30.5" in words, words[-2:]) == (True, ["--only", row["property"]])
        again = kdegrad(*words[1:], "--format", "csv")
        assert (again.code, again.err) == (1, "")
        assert same(checks(again)) == same([row])


def test_a_check_of_the_packaged_examples_is_made_again_too(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their kernels take turns in the random problems: with one file alone, number 1 would be another."""
    wrong_sign(monkeypatch)
    options = ["--cases", "1", "--only", "derivative", "--format", "csv"]
    last = checks(kdegrad("verify-props", *options))[-1]
    assert (last["case"], last["verdict"]) == ("two_sided.yaml #1", "fail")
    words = shlex.split(last["reproduce"])
    assert words == ["kdegrad", "verify-props", *["--seed", "0", "--case"], last["case"], "--only", "derivative"]
    assert same(checks(kdegrad(*words[1:], "--format", "csv"))) == same([last])
    files = [str(SAMPLES / name) for name in ("turtles.yaml", "two_sided.yaml")]
    last = checks(kdegrad("verify-props", *files, *options))[-1]
    words = shlex.split(last["reproduce"])
    assert words[2:4] == files
    assert same(checks(kdegrad(*words[1:], "--format", "csv"))) == same([last])


def test_files_of_one_name_stay_apart(kdegrad: Command, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.yaml").write_text(
            Path(TWO_SIDED).read_text().replace("two_sided.csv", f"{SAMPLES}/two_sided.csv")
        )
    files = [str(tmp_path / name / "x.yaml") for name in ("a", "b")]
    rows = checks(kdegrad("verify-props", *files, "--cases", "1", "--only", "merge", "--format", "csv"))
    assert [row["case"] for row in rows] == [*files, f"{files[0]} #1"]
    for row in rows:
        assert same(checks(kdegrad(*shlex.split(row["reproduce"])[1:], "--format", "csv"))) == same([row])


def test_a_case_goes_by_its_number_or_its_name(kdegrad: Command) -> None:
    def cases(case: str) -> set[str]:
        done = kdegrad("verify-props", TWO_SIDED, "--case", case, "--only", "merge", "--format", "csv")
        assert done.code == 0
        return {row["case"] for row in checks(done)}

    assert cases("two_sided.yaml") == {"two_sided.yaml"}
    assert cases("3") == cases("#3") == cases("two_sided.yaml #3") == {"two_sided.yaml #3"}
    assert cases("400") == {"two_sided.yaml #400"}
    for wrong in ("0", "-1", "x", "mallards.yaml #3", "1000001", "9" * 5000):
        done = kdegrad("verify-props", TWO_SIDED, f"--case={wrong}")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: --case: there is no case ")
        assert "'two_sided.yaml' for the points of INPUT, or a number from 1 to 1000000" in done.err


def test_a_case_that_is_asked_for_may_be_skipped(kdegrad: Command) -> None:
    asked = ["verify-props", TWO_SIDED, "--case", "two_sided.yaml", "--only", "rotation"]
    done = kdegrad(*asked)
    assert done.code == 0
    assert "1 skipped (rotation: a line has no turns)" in " ".join(done.out.split())
    assert "nothing was checked" not in done.out
    assert 'errors="0"' in kdegrad(*asked, "--format", "junit").out
    assert kdegrad(*asked, "--format", "github").out.startswith("::notice ")
    assert kdegrad(*asked, "--format", "json").json["passed"] is True


def test_what_is_left_out_is_not_checked(kdegrad: Command) -> None:
    done = kdegrad("verify-props", TWO_SIDED, "--cases", "0", "--skip", "laplace-*,merge", "--format", "csv")
    ids = [row["property"] for row in checks(done)]
    assert (done.code, len(ids)) == (0, 20)
    assert not [id_ for id_ in ids if id_ == "merge" or id_.startswith("laplace-")]
    for patterns, said in (
        (["--skip", "nothing-*"], "--skip: unknown property"),
        (["--skip", "*"], "--skip: leaves no"),
    ):
        done = kdegrad("verify-props", TWO_SIDED, *patterns)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_a_file_of_which_nothing_is_checked_is_told(
    kdegrad: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random problems pass, so that the exit code says nothing of it; the annotation is about the file."""
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    (tmp_path / "sub").mkdir()
    narrow = tmp_path / "sub" / "narrow.yaml"
    narrow.write_text("points: {angle: [-40, 50]}\ntarget: [-30, 30]\nbandwidth: 1.0e-300\n")
    options = ["--cases", "1", "--only", "merge"]
    reason = "bandwidth 1e-300: plain formulas leave the range of float64 on such lengths"
    done = kdegrad("verify-props", narrow, *options)
    assert done.code == 0
    assert f"warning: {narrow}: nothing of it was checked: {reason}\n" in done.err
    assert f"; nothing of narrow.yaml was checked: {reason}" in " ".join(done.out.split())
    told = f"::warning file=sub/narrow.yaml,title=kdegrad verify-props::nothing of narrow.yaml was checked: {reason}"
    assert told in kdegrad("verify-props", narrow, *options, "--format", "github").out.splitlines()
    problem = kg.load(narrow)
    assert kg.verify(problem, cases=1, only="merge").unchecked_inputs == {"narrow.yaml": reason}
    assert kg.verify(problem, case="narrow.yaml", only="merge").unchecked_inputs == {}  # it was asked for
    assert kg.verify({"x": problem.replace(bandwidth=9)}, cases=1, only="merge").unchecked_inputs == {}


def test_an_expectation_that_fails_is_one_more_check_of_the_plan(kdegrad: Command) -> None:
    options = ["--cases", "0", "--only", "merge", "--expect-fail", "merge=it is wrong"]
    done = kdegrad("verify-props", TWO_SIDED, *options)
    assert done.code == 1
    assert "stopped" not in done.out
    told = kdegrad("verify-props", TWO_SIDED, *options, "--format", "github").out
    assert told.endswith("::1 check passed, 1 failed, 0 skipped\n")


def test_the_first_failure_ends_the_run_if_that_is_asked_for(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    done = kdegrad("verify-props", TWO_SIDED, "--cases", "3", "-x")
    assert done.code == 1
    assert "1 failed, 0 skipped; stopped at the first failure: 1 of 100 checks done" in " ".join(done.out.split())
    (only,) = re.findall("^FAILED (.*?) ", done.out, re.MULTILINE)
    assert only == "one-hot"


# --- the library -----------------------------------------------------------------------------------------------------


def test_verdicts_know_whether_all_is_well() -> None:
    problem = kg.Problem([-75.0, 50.0], [0.4, -0.2], target=(-30, 30), bandwidth=10)
    good = kg.verify(problem, cases=1)
    assert isinstance(good, list)
    assert (good.passed, good.failed, good.counts["failed"]) == (True, [], 0)
    assert sum(good.counts.values()) == len(good) == 50
    counts = ", ".join(f"{number} {word}" for word, number in good.counts.items())
    assert repr(good) == f"<Verdicts: 50 checks of 2 cases, {counts}>"
    assert not kg.verify(problem, cases=0, only="rotation").passed  # nothing was checked
    assert kg.verify(problem, case="input", only="rotation").passed
    assert not Verdicts([*good, verdict()]).passed


def test_a_check_of_the_library_is_made_again_by_its_own_call(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    problem = kg.Problem([-75.0, 50.0], [0.4, -0.2], target=(-30, 30), bandwidth=10)
    for given, check in ((problem, kg.verify(problem, cases=2).failed[-1]), (None, kg.verify(cases=2).failed[-1])):
        (again,) = eval(check.reproduce, {"kg": kg, "problem": given})
        assert again == check
    assert kg.verify(problem, case=2, only="derivative", seed=0)[0].case == "input #2"
    for wrong in (1.5, [1], "nowhere"):
        with pytest.raises(kg.SettingError, match="case: "):
            kg.verify(problem, case=wrong)


# --- JUnit, GitHub ---------------------------------------------------------------------------------------------------


def test_junit_beside_the_report(kdegrad: Command, tmp_path: Path) -> None:
    file, other = tmp_path / "report.xml", tmp_path / "output.xml"
    options = ["--cases", "2", "--seed", "3"]
    done = kdegrad("verify-props", TWO_SIDED, str(SAMPLES / "turtles.yaml"), *options, "--junit", file)
    assert done.code == 0
    assert done.out.startswith(
        "Checked two_sided.yaml, turtles.yaml: laplace, wrapped-cauchy, 4 cases, seed 3,\nkdegrad "
    )
    suites = ElementTree.parse(file).getroot()
    cases = suites.findall("testsuite/testcase")
    named = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(named)) == len(named) == 100
    assert {case.get("file") for case in cases} == {TWO_SIDED, str(SAMPLES / "turtles.yaml")}
    assert all(float(case.get("time", "")) > 0.0 for case in cases)
    assert float(suites.get("time", "")) == pytest.approx(sum(float(case.get("time", "")) for case in cases), abs=1e-3)
    facts = {item.get("name"): item.get("value") for item in suites.findall("testsuite/properties/property")}
    assert (facts["kdegrad"], facts["seed"]) == (kg.__version__, "3")
    brief = kdegrad("verify-props", TWO_SIDED, *options, "-q", "--output", other)
    assert re.fullmatch(r"3 cases, seed 3: \d+ properties passed, 0 failed, .*", " ".join(brief.out.split()))
    assert ElementTree.parse(other).getroot().tag == "testsuites"
    for wrong in (["--junit", "x.json"], ["--junit", TWO_SIDED], ["--junit", other, "--output", other]):
        assert kdegrad("verify-props", TWO_SIDED, *wrong).code == 2


def test_a_report_ends_with_a_line_a_failure_and_the_counts(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    lines = kdegrad("verify-props", TWO_SIDED, "--cases", "4").out.splitlines()
    listed = [number for number, line in enumerate(lines) if line.startswith("FAILED ")]
    assert listed == list(range(listed[0], listed[0] + 20))
    assert all(re.match(r"FAILED [\w-]+ \[two_sided.yaml( #\d)?\] \S", lines[number]) for number in listed)
    assert "[two_sided.yaml] " in lines[listed[0]]  # the user's own points come first
    assert re.fullmatch(r"\.\.\. and \d+ more", lines[listed[-1] + 1])
    assert lines[listed[-1] + 2].startswith("5 cases, seed 0: ")
    (row,) = (line for line in lines if line.startswith(" derivative "))
    assert row.split()[-2:] == ["0/5/0", "fail"]


def test_a_brief_report_names_what_failed(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    told = " ".join(
        kdegrad("verify-props", TWO_SIDED, "--cases", "1", "--only", "derivative,one-hot", "-q").out.split()
    )
    assert told == "2 cases, seed 0: 0 properties passed, 2 failed (4 checks: one-hot, derivative), 0 skipped"
    told = " ".join(kdegrad("verify-props", TWO_SIDED, "--cases", "0", "--only", "derivative", "-q").out.split())
    assert told == "1 case, seed 0: 0 properties passed, 1 failed (derivative), 0 skipped"


def test_github_is_told_of_the_file(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    monkeypatch.chdir(ROOT)
    file = "sample_inputs/two_sided.yaml"
    first, *_ = kdegrad("verify-props", file, "--cases", "0", "--format", "github").out.splitlines()
    assert first.startswith(f"::error file={file},title=kdegrad one-hot::case two_sided.yaml: ")
    assert first.endswith(f"%0Akdegrad verify-props {file} --seed 0 --case two_sided.yaml --only one-hot")


def test_messages_name_the_file_and_the_flag_to_repeat(kdegrad: Command, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("angle\n-50\n40\n")
    done = kdegrad("verify-props", TWO_SIDED, tmp_path / "x.csv")
    assert (done.code, done.out) == (2, "")
    assert f"error: {tmp_path / 'x.csv'}: --target: no target is given: " in done.err
    done = kdegrad("verify-props", TWO_SIDED, "--expect-fail", "merge,unit=of this")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("give --expect-fail 'merge=of this' --expect-fail 'unit=of this'\n")


def test_standard_input_is_not_taken_for_another_file(
    kdegrad: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong_sign(monkeypatch)
    file = tmp_path / "x.csv"
    file.write_text("angle\n-50\n40\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    options = ["--target", "-30", "30", "--bandwidth", "10", "--cases", "1", "--only", "derivative"]
    done = kdegrad("verify-props", "-", file, *options, "--format", "github")
    first, own, drawn, _ = done.out.splitlines()
    assert first.startswith("::error title=kdegrad derivative::case standard input: ")
    assert own.startswith(f"::error file={file},title=kdegrad derivative::case x.csv: ")
    assert drawn.startswith("::error title=kdegrad derivative::case standard input #1: ")


def test_github_is_told_why_nothing_was_done(kdegrad: Command) -> None:
    for words, said in (
        (["--kernel", "none", "--format", "github"], "unknown kernel 'none'"),
        (["--cases", "x", "--format=github"], "--cases: 'x' is not an integer"),
    ):
        done = kdegrad("verify-props", TWO_SIDED, *words)
        assert (done.code, done.out.count("\n")) == (2, done.err.count("\n"))
        assert done.out == "".join(f"::error title=kdegrad::{line[7:]}\n" for line in done.err.splitlines())
        assert said in done.out
    assert kdegrad("verify-props", TWO_SIDED, "--kernel", "none").out == ""


def test_what_is_no_file_of_the_user_s_is_not_named_as_one(kdegrad: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_sign(monkeypatch)
    done = kdegrad("verify-props", "--cases", "0", "--only", "derivative", "--format", "github")
    assert done.out.startswith("::error title=kdegrad derivative::case two_sided.yaml: ")


def test_a_job_on_github_gets_a_summary(kdegrad: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    odd = tmp_path / "a|b`.csv"
    odd.write_text("angle\n-50\n40\n")
    options = ["--target", "-30", "30", "--bandwidth", "10", "--cases", "0"]
    assert kdegrad("verify-props", odd, *options).code == 0
    wrong_sign(monkeypatch)
    assert kdegrad("verify-props", odd, *options).code == 1
    before, passed, failed = summary.read_text().split("### kdegrad verify-props: ")
    assert before == "before\n"
    assert passed.startswith("a&#124;b&#96;.csv passed\n")
    assert failed.startswith("a&#124;b&#96;.csv failed\n")
    rows = [line for line in failed.splitlines() if line.startswith("|")]
    assert all(row.count("|") == 5 for row in rows)
    assert "| derivative | 0 | 1 | 0 |" in rows
    assert "| **the note's claims** | " in passed
    assert "| derivative | " not in passed
    line = next(line for line in failed.splitlines() if line.endswith("--only derivative"))
    assert shlex.split(line)[2] == str(odd)


def test_a_summary_that_cannot_be_written_is_no_failure(kdegrad: Command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "summary"))
    done = kdegrad("verify-props", TWO_SIDED, "--cases", "0", "--only", "merge")
    assert done.code == 0
    assert done.err.startswith("warning: the summary of the job is not written: No such file or directory: ")
