"""Pins down ``--batched``: what a loss of many problems is called with and may return, and how single ones are asked.

Here the losses are in NumPy; tests/test_frameworks_calls.py has PyTorch and JAX, and tests/losses the losses whose
faults the property `batch` finds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.kernel import KERNELS
from kdegrad.properties import Verdict, verify_loss
from kdegrad.properties.base import PRECISIONS
from kdegrad.properties.evaluators import judged_loss
from kdegrad.properties.explanation import example, failures_in_order
from kdegrad.properties.geometry import beside
from kdegrad.properties.losses import Loss, LossError
from kdegrad.properties.reference import reference_of
from kdegrad.settings import JudgedOptions, Settings
from kdegrad.testing import check_loss, loss_checks
from tests.conftest import Run
from tests.losses import batched_numpy, right_numpy

ANGLES = np.array([[1.0, 2.0, 4.0], [-1.0, 0.5, 2.0]])
LOGITS = np.array([[0.5, -0.25, 0.0], [0.0, 1.0, -math.inf]])
TARGET = np.array([-1.0, 2.0]), np.array([1.0, 5.0])
OPTIONS = {"kernel": "gaussian", "bandwidth": 2.5, "bins": 7}
GAUSSIAN = Settings(kernel="gaussian", bandwidth=10.0, bins=36)


def together(function: Any, target: Any = TARGET, *, gradient: bool = True, **options: Any) -> list[Any]:
    loss = Loss(function, name="m:f", batched=True, **options)
    return loss.together(ANGLES, LOGITS, target, OPTIONS, gradient=gradient)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_of_many_problems_reach_the_loss(dtype: str) -> None:
    seen: list[Any] = []

    def loss(angles: Any, logits: Any, target: Any, bandwidth: Any, reduction: str) -> Any:
        seen.extend([angles, logits, *(target if isinstance(target, tuple) else [target])])
        assert (type(target), bandwidth, reduction) in [(tuple, 2.5, "none"), (np.ndarray, 2.5, "none")]
        return np.array([1.5, 2.5])

    assert [given.loss for given in together(loss, dtype=dtype)] == [1.5, 2.5]
    for found, sent in zip(seen, [ANGLES, LOGITS, *TARGET], strict=True):
        assert found.dtype == np.dtype(dtype)
        assert found.tolist() == sent.tolist()
    seen.clear()
    together(loss, np.array([0.5, 0.25]))
    assert seen[2].tolist() == [0.5, 0.25]


def test_each_problem_gets_its_own_part_of_what_comes_back() -> None:
    first, second = together(lambda angles, logits, target: (np.array([1.0, 2.0]), angles))
    assert (first.loss, first.logits.tolist(), first.angles, first.bandwidth) == (1.0, [1.0, 2.0, 4.0], None, None)
    assert (second.loss, second.logits.tolist()) == (2.0, [-1.0, 0.5, 2.0])
    named = {"angles": ANGLES.tolist(), "bandwidth": [3.0, 4.0]}
    first, second = together(lambda angles, logits, target: (np.array([1.0, math.inf]), named))
    assert (first.angles.tolist(), first.bandwidth, second.bandwidth) == ([1.0, 2.0, 4.0], 3.0, 4.0)
    assert (second.loss, second.logits) == (math.inf, None)
    first, _ = together(lambda angles, logits, target: (np.array([1.0, 2.0]), named), gradient=False)
    assert (first.loss, first.angles) == (1.0, None)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1.5, "returns a float, not 2 losses of shape (2,): return that of each problem in the batch, and no mean or"),
        (np.float64(1.5), "returns a float64 scalar, not 2 losses of shape (2,)"),
        (np.ones((2, 3)), "returns an array of shape (2, 3), not 2 losses of shape (2,)"),
        (np.ones((2, 1)), "returns an array of shape (2, 1), not 2 losses"),
        (np.ones(3), "returns an array of shape (3,), not 2 losses"),
        ([1.0, 2.0], "returns a list of 2, not 2 losses of shape (2,)"),
        (None, "returns None, not 2 losses"),
        (np.array(["1", "2"]), "returns values of dtype <U1, not real numbers"),
        ((np.ones(2), np.ones(3)), "returns a gradient of the logits of shape (3,), not (2, 3)"),
        ((np.ones(2), {"bandwidth": 1.0}), "returns a gradient of the bandwidth of shape (), not (2,)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_batch_of_losses_is_named(returned: Any, message: str) -> None:
    with pytest.raises(LossError) as error:
        together(lambda angles, logits, target: returned)
    assert str(error.value).startswith(message)


def test_single_nodes_are_tried_with_an_array_of_them() -> None:
    seen: list[Any] = []

    def takes_both(angles: Any, logits: Any, target: Any) -> Any:
        seen.append((target.tolist(), angles.shape))
        return np.zeros(len(angles))

    assert Loss(takes_both, name="m:f", batched=True).takes_one_node
    assert seen == [([0.0, 0.0], (2, 2))]

    def takes_pairs(angles: Any, logits: Any, target: Any) -> Any:
        low, high = (ends[:, None] for ends in target)
        return ((angles - low) / high).sum(axis=1)

    assert not Loss(takes_pairs, name="m:f", batched=True).takes_one_node


@pytest.mark.parametrize("kernel", [kind.name for kind in KERNELS])
@pytest.mark.parametrize("bandwidth", [1e-30, 10.0, 1e5])
@pytest.mark.parametrize("at", [None, 3.0])
def test_the_problem_beside_a_single_one_is_covered_and_another(
    kernel: str, bandwidth: float, at: float | None
) -> None:
    logits = [0.4, -0.2, -math.inf, 1e4]
    circle = {"circular": kernel not in {kind.name for kind in KERNELS if "line" in kind.domains}}
    problem = kg.Problem(
        [-75.0, 50.0, -40.0, 80.0], logits, target=(-30, 30), at=at, kernel=kernel, bandwidth=bandwidth, **circle
    )
    other = beside(problem, 16.0 * PRECISIONS["float64"].epsilon)
    assert reference_of(other).uncovered == 0
    assert other.settings == problem.settings or vars(other.settings) == vars(problem.settings)
    assert other.logits[::-1].tolist() == [z - 1.5 for z in logits]
    assert math.isfinite(reference_of(other).answer.loss)


def test_single_problems_are_asked_behind_another_one() -> None:
    seen: list[Any] = []

    def loss(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> Any:
        seen.append((angles, target))
        return batched_numpy.laplace(angles, logits, target, bandwidth, bins)

    judged = judged_loss(loss, "m:f", JudgedOptions(batched=True), Settings(bandwidth=10.0))
    problem = kg.Problem([-75.0, 50.0], [0.4, -0.2], target=(-30, 30), bandwidth=10.0)
    given = judged.given(problem, gradient=True)
    (angles, (low, high)), *_ = seen
    assert angles[1].tolist() == [-75.0, 50.0]
    assert (low[1], high[1]) == (-30.0, 30.0)
    assert low[0] != low[1]
    loss_alone, gradient = right_numpy.laplace(problem.angles, problem.logits, (-30.0, 30.0), 10.0, 360)
    assert given.loss == loss_alone
    assert given.logits.tolist() == gradient.tolist()


def test_without_batched_the_property_is_skipped_with_the_reason() -> None:
    judged = judged_loss(right_numpy.gaussian, "m:f", JudgedOptions(), GAUSSIAN)
    (verdict,) = verify_loss(judged, GAUSSIAN, cases=1, only=["batch"])
    assert (verdict.verdict, verdict.reason) == ("skip", "no --batched")


def test_a_floor_that_is_meant_is_that_of_every_problem() -> None:
    def floored(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> Any:
        log_s = logits - batched_numpy.log_sum(logits)
        log_k = batched_numpy.log_gaussian(target, bins, angles, bandwidth)
        return -np.log(np.exp(log_s[:, None] + log_k).sum(axis=2) + 1e-8).mean(axis=1)

    options = {"kernel": "gaussian", "bandwidth": 10.0, "bins": 36, "cases": 4, "batched": True}
    check_loss(floored, floor=1e-8, **options)
    check_loss(floored, floor=1e-8, dtype="float32", **options)
    (check,) = (check for check in loss_checks(floored, **options) if check.__name__ == "far-start")
    with pytest.raises(AssertionError, match=r"the loss stops growing at 18\.42 = -log"):
        check()


def test_points_of_input_in_numbers_that_differ_are_judged() -> None:
    problems = {
        str(n): kg.Problem(np.linspace(-70, 71, n), target=(-30, 30), kernel="gaussian", bandwidth=10.0, bins=36)
        for n in (1, 2, 9)
    }
    judged = judged_loss(batched_numpy.gaussian, "m:f", JudgedOptions(batched=True), GAUSSIAN)
    verdicts = verify_loss(judged, GAUSSIAN, problems, cases=0)
    assert [v for v in verdicts if v.verdict == "fail"] == []
    assert [v.verdict for v in verdicts if v.property == "batch"] == ["pass"] * 3


# --- what is reported ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_lines_to_paste_call_the_batch(dtype: str) -> None:
    """The numbers of the first problem are those of the batch in which a single one is asked."""
    judged = judged_loss(
        batched_numpy.laplace,
        "tests.losses.batched_numpy:laplace",
        JudgedOptions(batched=True, dtype=dtype),
        Settings(bandwidth=10.0, bins=36),
    )
    problem = kg.Problem([-75.0, 50.0], [0.4, -math.inf], target=(-30, 30), bandwidth=10.0, bins=36)
    judged.begin(problem)
    first, second, third = example(judged, (problem,)).split("\n")
    assert first == "import numpy as np; from tests.losses.batched_numpy import laplace"
    names: dict[str, Any] = {"print": lambda found: names.update(found=found)}
    exec("\n".join([first, second, third]), names)
    assert names["angles"].dtype == np.dtype(dtype)
    assert names["logits"][1].tolist() == [np.dtype(dtype).type(0.4), -math.inf]
    assert names["found"][0][1] == judged.given(judged.seen(problem), gradient=False).loss
    assert "(np.array([" in third
    right = third.partition("# right: ")[2]
    of_second = kg.loss([-75.0], target=(-30, 30), bandwidth=10.0, bins=36)
    assert right.startswith("[")
    assert f", {of_second:.6g}]; ∂L/∂z = [[" in right


def test_a_failure_in_a_batch_names_the_problem_and_shows_the_batch() -> None:
    """Problems are counted from 0, as where input is refused."""
    judged = judged_loss(batched_numpy.padded_length, "m:f", JudgedOptions(batched=True), GAUSSIAN)
    (failed,) = verify_loss(judged, GAUSSIAN, cases=1, only="batch")
    assert failed.difference.startswith("in problem 0 of a batch of 4, the loss is ")
    assert failed.meaning.startswith("what a problem learns depends on the others in its batch")
    assert failed.example.count("-np.inf") == 6  # three of four problems are padded by two points
    assert re.search(r"at problem \d of a batch of 4", failed.reason)


def first_of(loss: Callable[..., Any], only: str | tuple[str, ...] = (), cases: int = 1, **how: Any) -> Verdict:
    """Return the failure that leads."""
    judged = judged_loss(loss, "m:f", JudgedOptions(batched=True, **how), GAUSSIAN)
    return failures_in_order([v for v in verify_loss(judged, GAUSSIAN, cases=cases, only=only) if v.verdict == "fail"])[
        0
    ]


def gaussian_and_gradient(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> tuple[Any, Any]:
    log_k = batched_numpy.log_gaussian(target, bins, angles, bandwidth)
    return batched_numpy.mixture(logits, log_k)[:2]


def changed(how: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return a right loss whose losses and gradients are changed."""

    def loss(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> Any:
        return how(*gaussian_and_gradient(angles, logits, target, bandwidth, bins))

    return loss


MIXED = {  # what depends on the others, and whether the problem alone is right
    "softmax_over_problems": ("the loss of a problem", False),
    "softmax_over_all": ("the loss of a problem", True),
    "mean_for_each": ("the loss of a problem", True),
    "gradient_of_mean": ("the gradient of the logits of a problem, point ", True),
    "one_target": ("the loss of a problem", True),
    "peak_of_batch": ("the loss of problem 3", True),
}


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float64") for name in MIXED), ("one_target", "float32"), ("mean_for_each", "float32")]
)
def test_what_mixes_problems_is_named_with_the_numbers_alone_and_beside_others(name: str, dtype: str) -> None:
    what, is_right = MIXED[name]
    first = first_of(getattr(batched_numpy, name), dtype=dtype)
    assert (first.property, first.names_fault) == ("batch", True), first.said()
    assert first.difference.startswith(what)
    assert " depends on the others of its batch: alone " in first.difference
    assert (", as is right, beside " in first.difference) == is_right
    assert "a softmax, a mean or a maximum over the wrong axis, or one target for all?" in first.difference
    assert "Remedy: no softmax, mean, sum or maximum over the axis of the problems" in first.details


@pytest.mark.parametrize("only", ["agrees", "far-start", "quadrature", "one-hot"])
def test_what_mixes_problems_is_named_by_every_property(only: str) -> None:
    verdict = first_of(batched_numpy.softmax_over_all, only)
    assert verdict.names_fault
    assert verdict.difference.startswith("the loss of a problem depends on the others of its batch: alone ")
    assert verdict.meaning == "so does what it learns"
    assert verdict.details.startswith("Remedy: no softmax")


def test_the_lines_to_paste_show_the_problem_in_the_batch_and_alone() -> None:
    judged = judged_loss(
        batched_numpy.one_target, "tests.losses.batched_numpy:one_target", JudgedOptions(batched=True), GAUSSIAN
    )
    failed = next(v for v in verify_loss(judged, GAUSSIAN, cases=1, only="agrees") if v.verdict == "fail")
    found: list[Any] = []
    exec(failed.example, {"print": found.append})
    (_, beside), (alone,) = (losses for losses, _ in found)
    assert f"alone {alone:.6g}, as is right, beside another problem {beside:.6g} (" in failed.difference
    assert f"# right: [{alone:.6g}]; " in failed.example.splitlines()[-1]


ORDERS = {  # how losses and gradients come back, what is said, and what that means
    "losses": (lambda L, g: (L[::-1], g), "losses", "the gradients of their sum are right"),
    "losses, and no gradient": (
        lambda L, g: L[::-1],
        "losses",
        "reported one by one, the losses are not theirs",
    ),
    "gradients": (
        lambda L, g: (L, g[::-1]),
        "gradients of the logits",
        "each problem learns what another should",
    ),
    "both": (
        lambda L, g: (L[::-1], g[::-1]),
        "losses and gradients of the logits",
        "each problem learns what another should",
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_problems_in_another_order_are_said_to_be(name: str) -> None:
    how, what, means = ORDERS[name]
    first = first_of(changed(how))
    assert (first.property, first.names_fault) == ("batch", True)
    assert first.difference.startswith(f"the {what} of a batch are in another order, of problems 1, 0")
    assert first.meaning.endswith(means)
    assert "losses[argsort(order)]" in first.details
    if name != "gradients":
        numbers = first.difference.partition("1, 0: ")[2].removesuffix(" is right")
        got, want = (text.split(", ") for text in numbers.split(" where "))
        assert got == want[::-1] != want


def test_an_order_that_shows_in_longer_batches_alone_is_told_there() -> None:
    first = first_of(batched_numpy.longest_as_first)
    assert first.property == "batch"
    assert first.difference.startswith("the losses of a batch are in another order, of problems 1, 0, 2, 3: ")


FAULTS = {  # of each problem by itself: what is wrong has nothing to do with the batch
    "a clamp": lambda L, g: (np.minimum(L, 50.0), g),
    "half": lambda L, g: (L, 0.5 * g),
    "NaN": lambda L, g: (np.where(L > 100.0, np.nan, L), g),
    "infinite": lambda L, g: (np.where(L > 100.0, np.inf, L), g),
    "a constant": lambda L, g: (L + 2.5, g),
    "a fraction": lambda L, g: (1.001 * L, g),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_a_problem_alone_too_is_not_said_to_mix(name: str) -> None:
    judged = judged_loss(changed(FAULTS[name]), "m:f", JudgedOptions(batched=True), GAUSSIAN)
    failed = [v for v in verify_loss(judged, GAUSSIAN, cases=2) if v.verdict == "fail"]
    assert failed
    for verdict in failed:
        assert "the others of its batch" not in verdict.difference
        assert "another order" not in verdict.difference
    assert failures_in_order(failed)[0].property != "batch"


def test_rounding_within_that_differs_with_the_size_of_the_batch_does_not_mix() -> None:
    def loss(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> Any:
        losses, gradient = gaussian_and_gradient(angles.astype(np.float32), logits, target, bandwidth, bins)
        return losses * (1.0 + 1e-7 * len(losses)), gradient

    verdict = first_of(loss, "agrees")
    assert "angles are rounded to float32, or coarser, in it" in verdict.difference


def test_a_batch_of_one_that_raises_hides_nothing() -> None:
    def loss(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int) -> Any:
        return batched_numpy.softmax_over_all(angles, logits, target, bandwidth, bins).squeeze()

    verdict = first_of(loss, "agrees")
    assert verdict.difference.startswith("the loss is ")
    assert verdict.example


def softmax_of_the_batch(logits: np.ndarray) -> np.ndarray:
    return logits - np.logaddexp.reduce(logits, axis=0)


def batch_norm(logits: np.ndarray) -> np.ndarray:
    return logits - np.where(np.isfinite(logits), logits, 0.0).mean(axis=0)


@pytest.mark.parametrize(
    ("spoil", "turn", "is_mixed"),
    [
        (batch_norm, 1, True),
        (softmax_of_the_batch, 1, True),
        (np.array, -1, True),  # the losses in the wrong order
        (lambda logits: 2.0 * logits, 1, False),
    ],
)
def test_problems_that_are_mixed_are_told_from_those_that_are_wrong_alone(
    spoil: Callable[[np.ndarray], np.ndarray], turn: int, is_mixed: bool
) -> None:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> np.ndarray:
        options = {"kernel": "gaussian", "bandwidth": bandwidth, "bins": bins}
        return kg.loss(angles, spoil(logits), target=target, **options)[::turn]

    judged = judged_loss(loss, "m:f", JudgedOptions(batched=True), GAUSSIAN)
    failed = [v for v in verify_loss(judged, GAUSSIAN, cases=1, only=["agrees", "permutation"]) if v.verdict == "fail"]
    assert failed
    for verdict in failed:
        assert verdict.names_fault == is_mixed
        assert bool(re.search("of its batch: alone|of a batch are in another order", verdict.difference)) == is_mixed


MODULE = """
import numpy as np

def right(angles, logits, target, bandwidth, bins):
    low, high = target if isinstance(target, tuple) else (target, target)
    parts = (np.arange(bins) + 0.5) / bins if isinstance(target, tuple) else np.zeros(1)
    nodes = low[:, None] + (high - low)[:, None] * parts
    log_s = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    u = (nodes[:, :, None] - angles[:, None]) / bandwidth
    log_k = -0.5 * u * u - np.log(bandwidth * np.sqrt(2 * np.pi))
    return -np.logaddexp.reduce(log_s[:, None] + log_k, axis=2).mean(axis=1)

def mean(angles, logits, target, bandwidth, bins):
    return right(angles, logits, target, bandwidth, bins).mean()
"""


@pytest.fixture
def judge(kdegrad: Callable[..., Run], folder: Path) -> Callable[..., Run]:
    """Return the command that judges a loss of the module in batches."""
    (folder / "many.py").write_text(MODULE)
    declared = ("--kernel", "gaussian", "--bandwidth", "10", "--cases", "2", "--batched")
    return lambda name, *words: kdegrad("verify-props", "--loss", f"many:{name}", *declared, *words)


def test_the_command_judges_a_loss_of_batches(judge: Callable[..., Run], kdegrad: Callable[..., Run]) -> None:
    done = judge("right", "--only", "batch,agrees")
    assert (done.code, done.err) == (0, "")
    assert "Judged many:right (numpy, float64, batched): gaussian, bandwidth 10" in " ".join(done.out.split())
    assert judge("right", "--format", "json").json["loss"]["batched"] is True  # type: ignore[index]
    assert '<property name="batched" value="True"/>' in judge("right", "--format", "junit").out
    refused = kdegrad("verify-props", "--batched")
    assert (refused.code, refused.out) == (2, "")
    assert "--batched: is about the loss that --loss MODULE:NAME names, and there is none" in refused.err


def test_a_mean_over_the_batch_ends_the_run_with_one_failed_check(judge: Callable[..., Run]) -> None:
    done = judge("mean", "--format", "json")
    (check,) = done.json["checks"]  # type: ignore[misc]
    assert (done.code, done.err, check["property"], check["verdict"]) == (1, "", "agrees", "fail")
    assert "returns a float64 scalar, not 2 losses of shape (2,)" in check["reason"]
