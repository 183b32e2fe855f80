"""Pins down ``kdegrad verify-props --loss``: what is called, what is reported in which format, and the exit codes.

The losses are a module in the current folder, as a user has it: one right gaussian in NumPy, and faults of it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import kdegrad as kg
from kdegrad import properties
from kdegrad.output import Look
from kdegrad.properties import PROPERTIES
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.losses import Loss
from kdegrad.reports import Format, records, render
from kdegrad.settings import Settings
from tests.conftest import Run
from tests.readme import ROOT

TWO_SIDED = str(ROOT / "sample_inputs" / "two_sided.yaml")
IDS = [property_.id for property_ in PROPERTIES]
EXPLAINED = re.compile(r"FAILED [\w, -]+?  ")  # what the report says of a failure
LISTED = re.compile(r"FAILED [\w-]+ \[#\d+\] ")  # at its end
MODULE = '''
"""Losses of a user."""
import os, sys, time
import numpy as np

number = 7

def nodes(target, bins):
    return np.linspace(*target, 2 * bins + 1)[1::2] if isinstance(target, tuple) else np.array([target])

def right(angles, logits, target, bandwidth, bins):
    s = np.where(np.isneginf(logits), -np.inf, logits - logits.max())
    s = s - np.log(np.exp(s).sum())
    a = s - 0.5 * ((nodes(target, bins)[:, None] - angles) / bandwidth) ** 2
    top = a.max(axis=1, keepdims=True)
    log_p = top[:, 0] + np.log(np.exp(a - top).sum(axis=1))
    loss = -(log_p - np.log(bandwidth * np.sqrt(2 * np.pi))).mean()
    return loss, np.exp(s) - np.exp(a - log_p[:, None]).mean(axis=0)

def of_values(angles, logits, target, bandwidth, bins):
    return right(angles, logits, target, bandwidth, bins)[0]

def floored(angles, logits, target, bandwidth, bins):
    s = np.exp(logits - logits.max()); s = s / s.sum()
    terms = s * np.exp(-0.5 * ((nodes(target, bins)[:, None] - angles) / bandwidth) ** 2)
    terms = terms / (bandwidth * np.sqrt(2 * np.pi))
    p = terms.sum(axis=1, keepdims=True) + 1e-8
    shares = (terms / p).mean(axis=0)
    return -np.log(p).mean(), s * shares.sum() - shares

def halved(angles, logits, target, bandwidth, bins):
    loss, gradient = right(angles, logits, target, bandwidth, bins)
    return loss, gradient / 2

def talking(angles, logits, target, bandwidth, bins):
    print("{ this is not JSON")
    return right(angles, logits, target, bandwidth, bins)

def raising(angles, logits, target):
    return 1 / number_of_points

def nan(angles, logits, target):
    return float("nan")

def nothing(angles, logits, target):
    pass

def a_vector(angles, logits, target):
    return np.zeros(len(angles))

def a_wrong_gradient(angles, logits, target):
    return 1.0, np.zeros(len(angles) + 1)

def a_misspelt_gradient(angles, logits, target):
    return 1.0, {"logit": logits}

def exiting(angles, logits, target):
    sys.exit(0)

def greedy(angles, logits, target):
    return np.zeros((10**9, 10**9))

def forever(angles, logits, target):
    os.write(2, b"here\\n")
    while True:
        time.sleep(0.1)
'''
DISTANCES = ("all points away by", "loss  ", "right  ", "gradient / right")  # the rows of a table
DECLARED = ("--kernel", "gaussian", "--bandwidth", "10", "--cases", "2")
Judge = Callable[..., Run]


@pytest.fixture
def judge(kdegrad: Callable[..., Run], folder: Path) -> Judge:
    """Return the command that judges a loss of the module, with further words."""
    (folder / "mine.py").write_text(MODULE)
    return lambda name, *words: kdegrad("verify-props", "--loss", f"mine:{name}", *DECLARED, *words)


# --- what a person reads ---------------------------------------------------------------------------------------------


def test_a_right_loss_passes_and_the_report_says_what_was_judged(judge: Judge) -> None:
    done = judge("right")
    assert (done.code, done.err) == (0, "")  # no INPUT: no sample is used, and no note is needed
    lines, said = done.out.splitlines(), " ".join(done.out.split())
    judged = "Judged mine:right (numpy, float64): gaussian, bandwidth 10, line"
    assert said.startswith(f"{judged}, 2 cases, seed 0, kdegrad {kg.__version__} pass ")
    assert [line.split(":")[0] for line in lines if line.startswith("pass ")] == [
        "pass the note's claims",
        "pass the sharper statements behind them",
        "pass basic properties of any correct implementation",
        "pass what a loss needs to be trained with",
    ]
    assert len(lines) <= 17
    assert max(map(len, lines)) <= 80
    passed, skipped = re.findall(r" (\d+) properties passed, 0 failed, (\d+) skipped \(", said)[0]
    assert int(passed) + int(skipped) == len(IDS)
    assert int(passed) >= 18
    assert "kernel-scale: takes no scale; " in said
    assert "sums-agree: kdegrad's own" in said


def test_the_first_call_has_an_interval(judge: Judge, kdegrad: Judge, folder: Path) -> None:
    """A file with a single node comes first, and the loss takes pairs alone: no check is failed for that."""
    (folder / "at.yaml").write_text("points: {angle: [-10, 5, 12]}\nat: 0\nkernel: gaussian\nbandwidth: 10\n")
    (folder / "pairs.py").write_text(
        "from mine import right\n"
        "def of_pairs(angles, logits, target, bandwidth, bins):\n"
        "    low, high = target\n    return right(angles, logits, (low, high), bandwidth, bins)\n"
    )
    asked = ("at.yaml", "--only", "agrees", "--loss")
    done = judge("right", *asked[:3])
    assert (done.code, "nothing of" in done.out) == (0, False)
    done = kdegrad("verify-props", *asked, "pairs:of_pairs", "--cases", "1")
    assert (done.code, "nothing of at.yaml was checked: takes no single node" in " ".join(done.out.split())) == (
        0,
        True,
    )
    done = kdegrad("verify-props", *asked, "pairs:of_pairs", "--case", "at.yaml")
    assert (done.code, "1 skipped (agrees: takes no single node)" in " ".join(done.out.split())) == (0, True)


@pytest.mark.usefixtures("judge")
def test_a_bandwidth_out_of_range_is_skipped(kdegrad: Judge, folder: Path) -> None:
    """As without --loss; the loss is not called, and returns NaN there."""
    (folder / "narrow.yaml").write_text("points: {angle: [-10, 5]}\ntarget: [-30, 30]\nbandwidth: 1.0e-300\n")
    done = kdegrad("verify-props", "narrow.yaml", "--kernel", "gaussian", "--loss", "mine:nan", "--cases", "1")
    assert (done.code, "FAILED" in done.out, "first call" in done.out) == (1, False, False)
    assert done.out.rstrip().endswith("nothing was checked")


@pytest.mark.usefixtures("judge")
def test_junit_lists_the_bandwidths_of_all_files(kdegrad: Judge, folder: Path) -> None:
    for width in (5, 20):
        (folder / f"{width}.yaml").write_text(f"points: {{angle: [-10, 5]}}\ntarget: [-9, 9]\nbandwidth: {width}\n")
    words = ["--kernel", "gaussian", "--loss", "mine:right", "--cases", "0", "--only", "agrees", "--format", "junit"]
    suites = ElementTree.fromstring(kdegrad("verify-props", "20.yaml", "5.yaml", *words).out)
    found = {item.get("name"): item.get("value") for item in suites.findall("testsuite/properties/property")}
    assert found["bandwidth"] == "20.0, 5.0"


def test_the_most_telling_failure_comes_first_and_in_full(judge: Judge) -> None:
    done = judge("floored")
    assert done.code == 1
    lines = done.out.splitlines()
    failed = [line.split()[1] for line in lines if EXPLAINED.match(line)]
    assert failed[0] == "far-start"
    assert set(failed) >= {"far-start", "steep-logits", "agrees"}
    assert len(set(failed)) == len(failed)
    assert "= -log(1e-8): 1e-8 is added to p in the logarithm" in " ".join(done.out.split())
    assert "--floor 1e-8" in done.out
    assert not any(line.startswith("pass ") for line in lines)  # what passes is counted: what fails is to be read
    assert sum(line.startswith("import numpy as np; from mine import floored") for line in lines) == 1
    first, second, *_ = (number for number, line in enumerate(lines) if EXPLAINED.match(line))
    in_full = [*lines[first:second], *(line for line in lines if LISTED.match(line))]
    assert [line for line in in_full if line.startswith("    gradient / right ")]
    assert max(len(line) for line in lines if line not in in_full) <= 80
    assert f"{len(failed)} failed (" in done.out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_example_can_be_pasted_at_any_width(
    judge: Judge, folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """It prints what the loss gives, and names what is right: the loss of `kdegrad.loss` for the same points."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = judge("halved").out.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("import numpy"))
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec("\n".join(lines[begin : begin + 3]), names)
    call = lines[begin + 2]
    low, high = map(float, call[call.index(", (") + 3 : call.index(")", call.index(", ("))].split(", "))
    options = {"target": (low, high), "kernel": "gaussian", "bandwidth": 10}
    loss, gradient = kg.loss_and_grad(names["angles"], names["logits"], **options)  # type: ignore[arg-type]
    assert float(re.findall(r"\d+\.\d+", printed.getvalue())[0]) == pytest.approx(loss, abs=1e-9)
    assert f"# right: {loss:.6g}; " in call
    half = names["halved"](names["angles"], names["logits"], (low, high), bandwidth=10.0, bins=360)[1]  # type: ignore[operator]
    assert half == pytest.approx(gradient / 2, abs=1e-12)


@pytest.mark.parametrize("columns", [40, 60])
@pytest.mark.parametrize("more", [[], ["-v"]])
def test_a_narrow_terminal_is_kept_to(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, columns: int, more: list[str]
) -> None:
    """But for the lines to paste, the rows of the table of distances, and the line of each failure at the end."""
    monkeypatch.setenv("COLUMNS", str(columns))
    kept = ("import numpy", "angles, logits = ", "print(", "    kdegrad ", *map("    {}".format, DISTANCES))
    for name in ("right", "floored", "halved", "of_values", "raising", "a_misspelt_gradient"):
        lines = [line for line in judge(name, *more).out.splitlines() if not line.startswith(kept)]
        assert [line for line in lines if len(line) > columns and not LISTED.match(line)] == []


def test_verbose_shows_every_property_and_every_failure_in_full(judge: Judge) -> None:
    short, full = judge("floored").out, judge("floored", "-v").out
    failed = [line.split()[1] for line in short.splitlines() if EXPLAINED.match(line)]
    assert short.count("import numpy as np") == 1
    assert full.count("import numpy as np") == len(failed) > 5
    assert full.count("    residual ") == len(failed)
    rows = [line.split()[0] for line in full.splitlines() if line.endswith(("  pass", "  fail", "  skip"))]
    assert [row for row in rows if row != "property"] == IDS


def test_a_property_that_is_asked_for_has_its_row(judge: Judge) -> None:
    done = judge("right", "--only", "far-*")
    rows = [line.split()[0] for line in done.out.splitlines() if line.endswith("  pass")]
    assert (done.code, rows) == (0, ["far-field", "far-start"])


def test_kdegrad_s_own_loss_folds_too(kdegrad: Callable[..., Run]) -> None:
    short, full = (kdegrad("verify-props", TWO_SIDED, "--cases", "2", *more).out for more in ((), ("--verbose",)))
    for text in (short, full):
        assert all(id_ in text for id_ in IDS)
    assert len(short.splitlines()) <= 13 < 40 < len(full.splitlines())
    assert "residual" not in short


def test_without_unicode_and_colour_there_is_none(folder: Path) -> None:
    (folder / "mine.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    import mine  # type: ignore[import-not-found]

    judged = Judged(Loss(mine.floored, name="mine:flöored"))
    like = Settings(kernel="gaussian", bandwidth=10)
    done = properties.verify_loss(judged, like, cases=2)
    run = records.Checks(done, records.loss_facts(judged, like), full=True)
    text = "".join(render(records.checks_record(run), Format.table, Look(unicode=False)))
    assert text.replace("flöored", "").isascii()  # the user's own name is data
    assert "\x1b[" not in text
    coloured = "".join(render(records.checks_record(run), Format.table, Look(colour=True)))
    assert "\x1b[" in coloured


# --- losses that cannot be judged ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raising", "raises NameError: name 'number_of_points' is not defined (mine.py, line 40, in raising)"),
        ("nan", "returns NaN for 6 points near the target"),
        ("nothing", "returns None, not one number"),
        ("a_vector", "returns an array of shape (6,), not one number"),
        ("a_wrong_gradient", "returns a gradient of the logits of shape (7,), not (6,)"),
        ("a_misspelt_gradient", "returns a gradient named 'logit'"),
        ("exiting", "raises SystemExit: 0 (mine.py, line 58, in exiting)"),
    ],
)
def test_a_first_call_that_fails_is_one_failed_check_and_ends_the_run(judge: Judge, name: str, said: str) -> None:
    done = judge(name, "--format", "json")
    (check,) = done.json["checks"]  # type: ignore[misc]
    assert (done.code, done.err) == (1, "")
    assert (check["verdict"], check["property"]) == ("fail", "agrees")
    assert said in check["reason"]
    assert done.json["loss"]["gives"] == []  # type: ignore[index]
    table = judge(name)
    assert table.code == 1
    assert "Traceback" not in table.out + table.err
    assert "0 properties passed, 1 failed, 0 skipped: the first call ended the run" in " ".join(table.out.split())
    brief = judge(name, "--quiet").out
    assert brief == "0 properties passed, 1 failed (agrees), 0 skipped: the first call ended the run\n"


def test_a_call_that_takes_ten_seconds_is_told(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    done = judge("right")
    assert done.code == 1
    assert "takes 10 s a call with 6 points" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("seconds", "only", "note"),
    [
        (
            3,
            "*",
            "note: a call takes 3 s, and the run up to 10 min: --cases N or --only ID make it shorter\n",
        ),  # 2 · 24 checks
        (3, "merge,unit", ""),
        (0.125, "*", ""),
    ],
)
def test_how_long_a_slow_loss_takes_is_said(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, seconds: float, only: str, note: str
) -> None:
    clock = itertools.count(0.0, seconds)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    done = judge("right", "--only", only)
    assert (done.code, done.err) == (0, note)


def test_a_loss_that_takes_too_much_memory_is_named(judge: Judge) -> None:
    done = judge("greedy")
    assert (done.code, done.out) == (4, "")
    assert "error: out of memory in mine:greedy (mine.py, line 61, in greedy): fewer points or bins, " in done.err


def test_a_loss_without_gradient_is_judged_by_its_values(judge: Judge) -> None:
    done = judge("of_values", "--format", "json")
    assert done.code == 0
    assert done.json["loss"]["gives"] == ["loss"]  # type: ignore[index]
    checks = done.json["checks"]
    reasons = {check["reason"] for check in checks if check["property"] == "zero-sum"}  # type: ignore[attr-defined]
    assert reasons == {"gives no gradient of the logits"}


def test_an_interrupt_ends_the_run(folder: Path) -> None:
    (folder / "mine.py").write_text(MODULE)
    words = [sys.executable, "-m", "kdegrad", "verify-props", "--loss", "mine:forever", *DECLARED]
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process:
        assert process.stderr.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("mine", "is not MODULE:NAME"),
        ("mine.right", "did you mean mine:right?"),
        ("nowhere:loss", "there is no module 'nowhere' in the folder"),
        ("mine:rihgt", "mine has no 'rihgt'; did you mean 'right'?"),
        ("mine:number", "mine:number is of type int, not a function"),
        ("broken:loss", "broken cannot be imported: SyntaxError"),
        ("breaking:loss", "importing breaking raises ZeroDivisionError: division by zero (breaking.py, line 2)"),
        ("needing:loss", "importing needing needs 'no_such_library'"),
    ],
)
def test_a_loss_that_cannot_be_imported_is_refused(
    judge: Judge, kdegrad: Callable[..., Run], folder: Path, loss: str, said: str
) -> None:
    (folder / "broken.py").write_text("def loss(:\n")
    (folder / "breaking.py").write_text('print("out")\n1 / 0\n')
    (folder / "needing.py").write_text("import no_such_library\n")
    done = kdegrad("verify-props", "--loss", loss)
    assert (done.code, done.out) == (2, "")
    assert "error: --loss: " in done.err
    assert "note:" not in done.err
    assert said in done.err
    assert "Traceback" not in done.err


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--floor 1e-8", "--floor: is about the loss that --loss MODULE:NAME names, and there is none"),
        ("--backend numpy", "--backend: is about the loss"),
        ("--dtype float32", "--dtype: is about the loss"),
        ("--wrt logits", "--wrt: is about the loss"),
        ("--loss mine:right --target -30 30", "--target: is for the points of INPUT, and there are none"),
        ("--loss mine:right --angle-column x", "--angle-column: is for the points of INPUT"),
        ("--loss mine:right --no-circular --period 9", "--period: makes a circle, --no-circular a line"),
        ("--loss mine:right --rule gauss", "--rule: is gauss, and a loss is judged with bins"),
        ("--loss mine:right --kernel gausian", "--kernel: unknown kernel 'gausian'; did you mean 'gaussian'?"),
        ("--loss mine:right --kernel von-mises", "--kernel: von-mises is defined on a circle only"),
        ("--loss mine:right --loss mine:halved", "--loss: is given more than once: give one, and run the command"),
        ("--loss mine:right --kernel laplace --kernel epa", "--kernel: is given more than once: give one"),
        ("--loss mine:right --sums dense", "--sums: is about kdegrad's own sums, and a judged loss has none of them"),
        ("--loss mine:right --floor 0", "--floor: 0.0 is out of range"),
        ("--loss mine:right --floor 1 --bandwidth 10", "--floor: 1.0 times the target's width"),
        ("--loss mine:right --cases 0", "--cases: 0 and no INPUT leave nothing to check"),
        ("--loss mine:right --backend tf", "--backend: unknown 'tf': choose numpy, torch, jax"),
        ("--loss mine:right --only far-*,nope-*", "--only: unknown property 'nope-*'"),
        ("--loss mine:right --expect-fail far-*", "--expect-fail: 'far-*' is not PATTERN=REASON"),
        ("--loss mine:right --expect-fail far-*=", "is not PATTERN=REASON"),
        ("--loss mine:nan --expect-fail nope-*=x", "--expect-fail: unknown property 'nope-*'"),
    ],
)
def test_options_that_cannot_be_are_refused(judge: Judge, kdegrad: Callable[..., Run], words: str, said: str) -> None:
    done = kdegrad("verify-props", *words.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("", "note: no --kernel and no --bandwidth: it is judged as laplace with bandwidth 1\n"),
        ("--kernel gaussian", "note: no --bandwidth: it is judged with bandwidth 1\n"),
        ("--bandwidth 2", "note: no --kernel: it is judged as laplace\n"),
        ("--kernel gaussian --bandwidth 2", ""),
        (TWO_SIDED, ""),
    ],
)
def test_what_is_not_declared_is_noted(judge: Judge, kdegrad: Callable[..., Run], words: str, note: str) -> None:
    done = kdegrad("verify-props", *words.split(), "--loss", "mine:right", "--cases", "1", "--only", "merge")
    assert (done.code, done.err) == (0, note)


def test_a_floor_that_is_meant_is_no_failure(judge: Judge) -> None:
    done = judge("floored", "--floor", "1e-8")
    assert done.code == 0
    assert " line, floor 1e-08, 2 cases, seed 0, kdegrad " in " ".join(done.out.split())
    assert judge("right", "--floor", "1e-8").code == 1
    assert judge("floored", "--floor", "1e-6").code == 1


def test_a_background_that_is_declared_is_judged(kdegrad: Callable[..., Run], folder: Path) -> None:
    """Of a loss that mixes it in by itself, and of one that takes it, on random problems and on points of a file."""
    (folder / "mixing.py").write_text(
        "import functools\n"
        "from tests.losses.right_numpy import everything\n"
        "mixed = functools.partial(everything, background=0.05)\n"
        "def named(angles, logits, target, bandwidth, bins, background=0.05):\n"
        "    told = {'kernel': 'laplace', 'circular': False, 'scale': 1.0, 'bins': bins}\n"
        "    return everything(angles, logits, target, bandwidth=bandwidth, background=background, **told)\n"
    )
    for name in ("mixed", "named"):
        for points in ([], [TWO_SIDED]):
            words = [*points, "--loss", f"mixing:{name}", "--kernel", "laplace", "--bandwidth", "10", "--cases", "6"]
            done = kdegrad("verify-props", *words, "--background", ".05")
            said = " ".join(done.out.split())
            assert done.code == 0, said
            assert f"{6 + len(points)} cases, seed 0, kdegrad " in said
            assert " line, background 0.05, " in said
            assert kdegrad("verify-props", *words, "--background", ".1").code == (name == "mixed")


def test_the_numbers_are_of_the_dtype(judge: Judge) -> None:
    done = judge("right", "--dtype", "float32", "--format", "json")
    checks = done.json["checks"]
    assert done.code == 0
    assert done.json["loss"]["dtype"] == "float32"  # type: ignore[index]
    assert min(c["tolerance"] for c in checks if c["property"] == "agrees") > 1e-7  # type: ignore[attr-defined]


def test_expected_failures_are_skips_with_their_reason(judge: Judge) -> None:
    allowed = ["--expect-fail", "*=old, and kept", "--format", "json"]
    done = judge("floored", *allowed)
    assert done.code == 0
    reasons = [c["reason"] for c in done.json["checks"] if c["property"] == "far-start"]  # type: ignore[attr-defined]
    assert all(reason.startswith("expected to fail (old, and kept): ") for reason in reasons)
    table = judge("floored", *allowed[:2])
    assert "XFAIL far-start expected to fail (old, and kept): " in " ".join(table.out.split())
    assert " failed as expected, " in table.out


def test_an_expected_failure_must_fail_somewhere(judge: Judge, kdegrad: Callable[..., Run]) -> None:
    wanted = ["--only", "merge,unit", "--expect-fail", "merge=a pity"]
    for done in (judge("right", *wanted), kdegrad("verify-props", TWO_SIDED, "--cases", "1", *wanted)):
        assert done.code == 1
        assert "merge was expected to fail (a pity), and passes in every case" in " ".join(done.out.split())


def test_what_a_loss_prints_is_not_in_the_report(judge: Judge) -> None:
    done = judge("talking", "--format", "json", "--only", "merge")
    assert done.json["passed"] is True
    assert "{ this is not JSON" in done.err


def test_points_of_several_files_are_cases_named_by_them(
    judge: Judge, kdegrad: Callable[..., Run], folder: Path
) -> None:
    (folder / "a").mkdir()
    for name in ("one.csv", "a/one.csv", "two.csv"):
        (folder / name).write_text("angle,logit\n-40,0.1\n25,0\n60,-1\n")
    flags = ["--target", "-30", "30", "--only", "agrees,merge", "--cases", "0", "--format", "json"]

    def names(done: Run) -> list[str]:
        assert done.code == 0
        return list(dict.fromkeys(check["case"] for check in done.json["checks"]))  # type: ignore[attr-defined]

    assert names(kdegrad("verify-props", "two.csv", "one.csv", *flags)) == ["two.csv", "one.csv"]
    assert names(kdegrad("verify-props", "one.csv", "a/one.csv", *flags)) == ["one.csv", "a/one.csv"]
    assert names(judge("right", "a/one.csv", "two.csv", *flags)) == ["one.csv", "two.csv"]
    done = kdegrad("verify-props", "one.csv", "one.csv", *flags)
    assert (done.code, done.out) == (2, "")
    assert "error: INPUT: 'one.csv' is given more than once" in done.err


def test_the_settings_of_input_are_those_that_a_loss_is_judged_for(judge: Judge, kdegrad: Callable[..., Run]) -> None:
    """The file says laplace, which the flags overrule."""
    assert judge("right", TWO_SIDED).code == 0
    done = kdegrad("verify-props", TWO_SIDED, "--loss", "mine:right", "--cases", "1")
    assert done.code == 1
    assert ": laplace, bandwidth 10, line, two_sided.yaml, 2 cases, seed 0" in " ".join(done.out.split())


def test_a_loss_on_a_circle_is_told_its_period(kdegrad: Callable[..., Run], folder: Path) -> None:
    """Also where it is tried with a single node, for the checks at one."""
    words = ["--loss", "tests.losses.right_numpy:von_mises", "--kernel", "von-mises", "--bandwidth", "20", "--circular"]
    done = kdegrad("verify-props", *words, "--cases", "2", "--format", "json")
    assert done.code == 0
    assert done.json["loss"]["period"] == 360.0  # type: ignore[index]
    checks = done.json["checks"]
    at_one_node = {c["verdict"] for c in checks if c["property"] == "equal-distance-moved"}  # type: ignore[attr-defined]
    assert at_one_node == {"pass"}


def test_a_list_calls_no_loss(kdegrad: Callable[..., Run], folder: Path) -> None:
    done = kdegrad("verify-props", "--loss", "nowhere:loss", "--list")
    assert (done.code, done.err) == (0, "")


# --- formats ---------------------------------------------------------------------------------------------------------


def test_json_says_what_was_judged(judge: Judge, kdegrad: Callable[..., Run]) -> None:
    found = judge("floored", "--seed", "3", "--format", "json").json
    assert (found["kdegrad"], found["seed"], found["passed"]) == (kg.__version__, 3, False)
    line = 1 + MODULE.splitlines().index("def floored(angles, logits, target, bandwidth, bins):")
    assert found["loss"] == {
        **{"name": "mine:floored", "backend": "numpy", "dtype": "float64", "wrt": ["logits", "angles"], "floor": None},
        **{
            "batched": False,
            "takes": ["bandwidth", "bins"],
            "gives": ["loss", "logits"],
            "kernel": "gaussian",
            "bandwidth": 10.0,
        },
        **{"df": None, "bins": 360, "scale": 1.0, "background": 0.0, "period": None, "file": "mine.py", "line": line},
    }
    explained = [check for check in found["checks"] if check["meaning"]]  # type: ignore[attr-defined]
    failed = [check for check in found["checks"] if check["verdict"] == "fail"]  # type: ignore[attr-defined]
    assert {check["property"] for check in explained} == {check["property"] for check in failed}
    assert len({check["property"] for check in explained}) == len(explained)  # once each: the first
    assert all(len(check["example"].splitlines()) == 3 for check in explained)
    own = kdegrad("verify-props", TWO_SIDED, "--cases", "0", "--only", "merge", "--format", "json").json
    assert (own["loss"], own["seed"]) == (None, 0)


def test_junit_names_the_loss_and_has_the_failure_in_full(judge: Judge) -> None:
    done = judge("floored", "--format", "junit")
    suites = ElementTree.fromstring(done.out)
    assert suites.get("name") == "kdegrad verify-props (mine:floored)"
    for suite in suites.findall("testsuite"):
        assert suite[0].tag == "properties"
        of = {item.get("name"): item.get("value") for item in suite[0]}
        assert (of["loss"], of["backend"], of["seed"], of["kernel"]) == ("mine:floored", "numpy", "0", "gaussian")
        assert "floor" not in of
    failure = next(case[0] for case in suites.iter("testcase") if case.get("classname") == "kdegrad.training.far-start")
    assert "1e-8 is added to p in the logarithm" in failure.get("message", "")
    for part in ("gradient / right", "Remedy: ", "from mine import floored", "--seed 0 --case '#1' --only far-start"):
        assert part in (failure.text or "")


def test_github_names_the_loss_and_has_one_annotation_a_property(judge: Judge) -> None:
    lines = judge("floored", "--format", "github").out.splitlines()
    title = "title=kdegrad far-start (mine%3Afloored)"
    assert re.match(rf"::error file=mine\.py,line=\d+,{re.escape(title)}::the loss stops growing at 18\.42", lines[0])
    assert "%0Aimport numpy as np; from mine import floored%0A" in lines[0]
    assert len(lines) <= 11
    assert len({line.split("::")[1] for line in lines}) == len(lines)
    assert lines[-1].startswith("::notice title=kdegrad verify-props (mine%3Afloored)::")


def test_a_figure_is_drawn_of_failures_that_are_expected_too(judge: Judge, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert judge("floored", "--expect-fail", "far-*=meant", "--plot", "checks.svg").code == 1
    text = (folder / "checks.svg").read_text()
    assert ">mine:floored  ·  kdegrad " in text
    assert re.search(">failed, as expected: [1-9]", text)


@pytest.mark.parametrize(
    ("rows", "target", "said"),
    [
        ("1,0", ("30", "30.0000001"), "the ends of the target round to one float32"),
        ("1,1e300", ("0", "9"), "logit inf"),
    ],
)
def test_points_that_are_lost_in_single_precision_are_refused(
    judge: Judge, folder: Path, rows: str, target: tuple[str, str], said: str
) -> None:
    (folder / "points.csv").write_text(f"angle,logit\n2,0\n{rows}\n")
    done = judge("right", "--dtype", "float32", "--target", *target, "--", "points.csv")
    assert (done.code, done.out) == (2, "")
    assert re.search(f"^error: points.csv cannot be judged in float32: .*{said}", done.err, re.MULTILINE)
    assert "Warning" not in done.err


def test_changes_in_place_are_told(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers are right here, where each call has copies: a warning, and no failure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "inplace_losses.py").write_text(
        "import kdegrad as kg\n"
        "def loss(angles, logits, target, **options):\n"
        "    given = kg.loss_and_grad(angles.copy(), logits.copy(), target=target, kernel='gaussian', bandwidth=10.0)\n"
        "    logits -= logits.max()\n"
        "    return given\n"
    )
    done = kdegrad("verify-props", "--loss", "inplace_losses:loss", "--kernel", "gaussian", "--bandwidth", "10",
                   "--cases", "1", "--only", "zero-sum")  # fmt: skip
    assert done.code == 0
    assert "warning: the loss changes logits in place: here it has copies" in done.err
