"""The losses of the catalogue that are written in PyTorch and JAX, which `make test-frameworks` installs.

Without the framework each test is skipped with the reason. `test_losses.py` says what is pinned down.
"""

from __future__ import annotations

import pytest

from tests.losses import Entry
from tests.losses.calling import worst_errors
from tests.losses.judging import complaint, verdicts_of
from tests.test_losses import CASES, WRONG, cases

FEW_CASES = 2  # of the judge in JAX, which takes ten times as long: it compiles every operation for every shape
RIGHT, FAULTY = (cases("torch", right=right) + cases("jax", right=right, in_turn=True) for right in (True, False))


@pytest.fixture(autouse=True)
def _framework(entry: Entry) -> None:
    pytest.importorskip(entry.backend, reason=f"{entry.backend} is not installed: make test-frameworks")


@pytest.mark.parametrize(("entry", "dtype"), RIGHT)
def test_right_losses_and_their_gradients_are_right(entry: Entry, dtype: str) -> None:
    assert {name: error for name, error in worst_errors(entry, dtype).items() if error > 1.0} == {}


@pytest.mark.parametrize(("entry", "dtype"), FAULTY)
def test_faulty_losses_are_wrong_somewhere(entry: Entry, dtype: str) -> None:
    assert max(worst_errors(entry, dtype).values()) > WRONG


@pytest.mark.parametrize(("entry", "dtype"), RIGHT)
def test_right_losses_pass(entry: Entry, dtype: str) -> None:
    assert complaint(entry, verdicts_of(entry, dtype, FEW_CASES if entry.backend == "jax" else CASES)) == ""


@pytest.mark.parametrize(("entry", "dtype"), FAULTY)
def test_faults_are_found_by_the_properties_that_name_them(entry: Entry, dtype: str) -> None:
    count = FEW_CASES if entry.backend == "jax" else CASES
    assert complaint(entry, verdicts_of(entry, dtype, count, only=entry.caught_by)) == ""
