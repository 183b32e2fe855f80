"""`kdegrad.testing` as a test suite uses it: what passes, what a failure says, names, skips, and expected failures."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest

from kdegrad.errors import SettingError
from kdegrad.properties import IDS
from kdegrad.testing import check_loss, loss_checks
from tests.losses import faulty_numpy, right_numpy

GAUSSIAN = {"kernel": "gaussian", "bandwidth": 10.0, "bins": 36, "cases": 4}
SUITE = """
import unittest
import pytest
from kdegrad.testing import check_loss, loss_checks
from tests.losses.faulty_numpy import epsilon_in_log

MEANT = {"kernel": "gaussian", "bandwidth": 10.0, "bins": 36, "cases": 4}

@pytest.mark.parametrize("check", loss_checks(epsilon_in_log, **MEANT))
def test_property(check):
    check()

class Suite(unittest.TestCase):
    def test_whole(self):
        check_loss(epsilon_in_log, **MEANT)
"""


def test_a_right_loss_passes() -> None:
    check_loss(right_numpy.gaussian, **GAUSSIAN)
    check_loss(right_numpy.StudentT, kernel="student-t", bandwidth=10.0, bins=36, cases=4, dtype="float32")


def test_a_failure_says_what_it_means_and_can_be_pasted() -> None:
    with pytest.raises(AssertionError) as failure:
        check_loss(faulty_numpy.epsilon_in_log, **GAUSSIAN)
    text = str(failure.value)
    assert text.startswith("tests.losses.faulty_numpy:epsilon_in_log: ")
    assert "the loss stops growing at 18.42 = -log(1e-8)" in text
    assert "do not learn" in text
    lines = [line for line in text.splitlines() if line.startswith(("import ", "angles, ", "print("))]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.startswith(("(18.4", "(np.float64(18.4"))  # where the lines say what is right
    assert "# right: 249." in text


def test_a_loss_that_is_random_is_told_at_once() -> None:
    rng = np.random.default_rng(0)

    def noisy(angles, logits, target, bandwidth, bins):  # type: ignore[no-untyped-def]
        return right_numpy.gaussian(angles + 1e-3 * rng.normal(size=len(angles)), logits, target, bandwidth, bins)

    with pytest.raises(
        AssertionError, match=r"1 of 1 properties fail[^$]*is random: it returns 5\.9\d+ and 5\.9\d+ for"
    ):
        check_loss(noisy, kernel="gaussian", bandwidth=10)


def test_a_loss_does_not_change_how_numpy_reports_errors() -> None:
    def strict(angles, logits, target, bandwidth, bins):  # type: ignore[no-untyped-def]
        loss = right_numpy.gaussian(angles, logits, target, bandwidth, bins)
        np.seterr(all="raise")
        return loss

    before = np.geterr()
    check_loss(strict, kernel="gaussian", bandwidth=10, cases=2)
    assert np.geterr() == before


def test_an_error_of_any_class_is_a_failed_check() -> None:
    class Panic(BaseException):  # as that of libraries written in Rust
        pass

    def panics(angles, logits, target):  # type: ignore[no-untyped-def]
        raise Panic("index out of bounds")

    with pytest.raises(AssertionError, match="the loss raises Panic: index out of bounds"):
        check_loss(panics, kernel="gaussian", bandwidth=10)


def test_a_floor_that_is_meant_passes() -> None:
    check_loss(faulty_numpy.epsilon_in_log, floor=1e-8, **GAUSSIAN)


def test_checks_bear_the_ids_and_call_nothing_before_they_are_called() -> None:
    def raising(angles, logits, target):
        raise RuntimeError

    checks = loss_checks(raising, only=["merge", "laplace-*"])
    assert [check.__name__ for check in checks] == [id_ for id_ in IDS if id_ == "merge" or "laplace-" in id_]
    with pytest.raises(AssertionError, match=r"raises RuntimeError \(tests/test_testing.py, line"):
        checks[0]()


def test_what_cannot_be_checked_is_skipped() -> None:
    (rotation,) = loss_checks(right_numpy.gaussian, only="rotation", **GAUSSIAN)
    with pytest.raises(unittest.SkipTest, match="no turns"):
        rotation()


def test_expected_failures_are_strict() -> None:
    expected = {"far-*": "a floor is wanted", "merge": "a slip"}
    options = {**GAUSSIAN, "only": ["far-start", "far-field", "merge"], "expected_failures": expected}
    far_field, merge, far_start = loss_checks(faulty_numpy.epsilon_in_log, **options)
    with pytest.raises(unittest.SkipTest, match="a floor is wanted"):
        far_start()
    with pytest.raises(AssertionError, match=r"merge was expected to fail \(a slip\), and passes"):
        merge()
    with pytest.raises(AssertionError, match="merge was expected to fail"):
        check_loss(faulty_numpy.epsilon_in_log, **options)
    with pytest.raises((unittest.SkipTest, AssertionError)):
        far_field()
    check_loss(faulty_numpy.epsilon_in_log, **{**options, "expected_failures": {"far-*": "a floor is wanted"}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "gausian"}, "gaussian"),
        ({"kernel": "von-mises"}, "circle"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"dtype": "float16"}, "float64"),
        ({"only": "nonsense"}, "unknown property"),
        ({"expected_failures": {"nonsense": "x"}}, "^expected_failures: unknown property"),
        ({"expected_failures": ["merge"]}, r"^expected_failures: \['merge'\] is not a dict of reasons by ids"),
        ({"expected_failures": "merge"}, "^expected_failures: 'merge' is not a dict"),
        ({"expected_failures": {"merge": None}}, "^expected_failures: the reason of 'merge' is None: give a text"),
        ({"expected_failures": {1: "x"}}, "^expected_failures: unknown property 1"),
        ({"bandwith": 10}, "^bandwith: there is no such option of a judged loss; did you mean 'bandwidth'"),
        ({"expected_failure": {}}, "^expected_failure: .*; did you mean 'expected_failures'"),
        ({"target": (0, 1)}, "^target: there is no such option"),
        ({"rule": "gauss"}, "^rule: is gauss, and a loss is judged with bins: take midpoint"),
        ({"sums": "dense"}, "^sums: is about kdegrad's own sums"),
        ({"floor": 10.0}, "floor"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        check_loss(right_numpy.gaussian, **{**GAUSSIAN, **options})
    with pytest.raises(SettingError, match=message):
        [check() for check in loss_checks(right_numpy.gaussian, **{**GAUSSIAN, **options})]  # type: ignore[func-returns-value]


def test_a_misspelt_option_is_refused_before_a_check_is_called() -> None:
    with pytest.raises(SettingError, match="bandwith"):
        loss_checks(right_numpy.gaussian, bandwith=10)


@pytest.mark.parametrize(("loss", "kind"), [(3.0, "float"), ("mypkg.losses:my_loss", "str"), (None, "NoneType")])
def test_what_is_no_function_is_refused(loss: object, kind: str) -> None:
    with pytest.raises(SettingError, match=f"^loss: {loss!r} is of type {kind}, not a function"):
        check_loss(loss, **GAUSSIAN)  # type: ignore[arg-type]


def test_pytest_names_the_tests_and_xdist_and_unittest_run_them(tmp_path: Path) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE, encoding="utf-8")
    root = Path(__file__).parents[1]
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-rA", "-q", f"--rootdir={root}", str(suite)]
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={"PYTHONPATH": str(root)},
    )
    outcomes = {
        line.split()[1].rpartition("::")[2]: line.split()[0] for line in done.stdout.splitlines() if "::" in line
    }
    assert outcomes["test_property[far-start]"] == "FAILED"
    assert outcomes["test_property[merge]"] == "PASSED"
    assert outcomes["test_whole"] == "FAILED"
    assert "takes no scale" in done.stdout  # the reason of a skip
