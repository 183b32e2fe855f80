"""Losses that are not kdegrad's, in NumPy: the judge passes the right ones and finds the fault of each faulty one.

Pinned down first is that the catalogue is honest, by `tests.oracle` and not by the judge: right losses are right in 50
digits, faulty ones are wrong somewhere. `test_frameworks.py` holds the same for PyTorch and JAX.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import numpy as np
import pytest

from kdegrad.testing import check_loss
from tests.losses import CATALOGUE, Entry
from tests.losses.calling import worst_errors
from tests.losses.judging import complaint, verdicts_of
from tests.losses.right_numpy import everything, laplace, midpoints, mixture, von_mises

WRONG = 10.0  # times what a right loss is allowed: a faulty one exceeds that in some problem
CASES = 11  # of the judge: every kind of problem once
CONTROLS = ("laplace-*", "derivative")  # and what compares the loss with itself


def cases(backend: str, *, right: bool, in_turn: bool = False) -> list[object]:
    """Return the right or the faulty losses of a backend, each with its dtypes, or `in_turn` with one of them."""
    entries = [entry for entry in CATALOGUE if entry.backend == backend and entry.is_right == right]
    return [
        pytest.param(entry, dtype, id=f"{entry.name}-{dtype}")
        for place, entry in enumerate(entries)
        for dtype in ((entry.dtypes[place % len(entry.dtypes)],) if in_turn else entry.dtypes)
    ]


@pytest.mark.parametrize(("entry", "dtype"), cases("numpy", right=True))
def test_right_losses_and_their_gradients_are_right(entry: Entry, dtype: str) -> None:
    assert {name: error for name, error in worst_errors(entry, dtype).items() if error > 1.0} == {}


@pytest.mark.parametrize(("entry", "dtype"), cases("numpy", right=False))
def test_faulty_losses_are_wrong_somewhere(entry: Entry, dtype: str) -> None:
    assert max(worst_errors(entry, dtype).values()) > WRONG


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("floor", "is_right"), [(1e-8, True), (1e-7, False)])
def test_a_floor_that_is_meant_is_right_and_another_is_not(floor: float, is_right: bool, dtype: str) -> None:
    (entry,) = (entry for entry in CATALOGUE if entry.name == "numpy-epsilon_in_log")
    verdicts = verdicts_of(entry, dtype, CASES, floor=floor)
    failed = {verdict.property for verdict in verdicts if verdict.verdict == "fail"}
    assert failed == set() if is_right else "agrees" in failed


def test_a_narrow_kernel_has_a_cube_of_its_bandwidth_in_float32() -> None:
    def epanechnikov(angles, logits, target, bandwidth, bins):  # type: ignore[no-untyped-def]
        d = np.abs(midpoints(target, bins, angles) - angles)
        with np.errstate(divide="ignore"):
            k = 0.75 * np.maximum(bandwidth - d, 0.0) * (bandwidth + d) / np.float32(bandwidth**3)
            return mixture(logits, np.log(k))[:2]

    check_loss(epanechnikov, kernel="epanechnikov", bandwidth=1e-4, dtype="float32", cases=CASES, only="one-hot")


def test_a_background_that_is_declared_is_that_of_the_cases() -> None:
    check_loss(everything, kernel="laplace", bandwidth=10.0, scale=3.0, background=0.1, cases=CASES)
    with pytest.raises(AssertionError, match="agrees: the loss is"):
        check_loss(laplace, kernel="laplace", bandwidth=10.0, background=0.1, cases=1, only="agrees")


@pytest.mark.parametrize("option", ["bandwidth", "scale", "background"])
def test_what_a_partial_binds_must_be_what_is_declared(option: str) -> None:
    declared = {"kernel": "laplace", "bandwidth": 10.0, "scale": 3.0, "background": 0.05}
    bound = functools.partial(everything, **{option: declared[option]})
    check_loss(bound, **declared, cases=CASES)
    with pytest.raises(AssertionError, match="agrees: "):
        check_loss(bound, **{**declared, option: 0.5}, cases=1, only="agrees")


def test_a_target_across_the_wrap_is_in_every_case() -> None:
    (entry,) = (entry for entry in CATALOGUE if entry.name == "numpy-target_ends_wrapped")
    assert complaint(entry, verdicts_of(entry, "float64", 1, only=entry.caught_by)) == ""


@pytest.mark.parametrize(("bandwidth", "period"), [(1.0, 360.0), (1e-6, 24.0)])
def test_what_von_mises_loses_to_rounding_is_no_fault(bandwidth: float, period: float) -> None:
    # κ is 3283 and 1.5e13: log p is that large, and so much of its digits is lost, as of the responsibilities
    options = {"bandwidth": bandwidth, "period": period, "wrt": ("logits", "angles", "bandwidth")}
    check_loss(von_mises, kernel="von-mises", dtype="float32", cases=CASES, only=CONTROLS, **options)  # type: ignore[arg-type]


def losses_in(file: Path) -> set[str]:
    """Return the names of the functions, and of the classes with a method, that take angles first."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        methods = node.body if isinstance(node, ast.ClassDef) else [node]
        for method in methods:
            if isinstance(method, ast.FunctionDef) and "angles" in [a.arg for a in method.args.args[:2]]:
                found.add(f"tests.losses.{file.stem}:{node.name}")
    return found


def test_the_catalogue_names_every_loss() -> None:
    files = sorted((Path(__file__).parent / "losses").glob("[bfr]*_*.py"))
    assert len(files) == 9  # right, faulty and batched, in three frameworks
    written = set().union(*map(losses_in, files))
    assert {entry.loss for entry in CATALOGUE} - written == {"tests.losses.right_torch:cauchy"}  # a module, not a class
    assert written - {entry.loss for entry in CATALOGUE} == set()


def test_names_are_unique() -> None:
    names = [entry.name for entry in CATALOGUE]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(("entry", "dtype"), cases("numpy", right=True))
def test_right_losses_pass(entry: Entry, dtype: str) -> None:
    assert complaint(entry, verdicts_of(entry, dtype, CASES)) == ""


@pytest.mark.parametrize(("entry", "dtype"), cases("numpy", right=False))
def test_faults_are_found_by_the_properties_that_name_them(entry: Entry, dtype: str) -> None:
    assert complaint(entry, verdicts_of(entry, dtype, CASES, only=entry.caught_by)) == ""
