"""What the failure of a judged loss is said to mean: the fault is named where the numbers tell it, and not elsewhere.

Each loss here is kdegrad's own with one fault put into its result, so that the fault is all that is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.properties import Verdict
from kdegrad.properties.evaluators import judged_loss
from kdegrad.properties.explanation import failures_in_order
from kdegrad.properties.runs import verify_loss
from kdegrad.settings import JudgedOptions, Settings

GAUSSIAN = Settings(kernel="gaussian", bandwidth=10.0, bins=36)
CIRCLE = Settings(kernel="laplace", bandwidth=10.0, bins=36, circular=True)
COMPACT = Settings(kernel="epanechnikov", bandwidth=10.0, bins=36)

Numbers = tuple[float, np.ndarray]
Fault = Callable[[float, np.ndarray, float], Numbers]  # of loss, gradient and bandwidth


def spoilt(fault: Fault, kernel: str) -> Callable[..., Numbers]:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> Numbers:
        where = {"target": target} if isinstance(target, tuple) else {"at": target}
        e = kg.evaluate(kg.Problem(angles, logits, kernel=kernel, bandwidth=bandwidth, bins=bins, **where))
        gradient = np.zeros(len(angles)) if e.gradients is None else e.gradients.logits
        return fault(e.loss, gradient, bandwidth)

    return loss


def failures(fault: Fault, like: Settings = GAUSSIAN, cases: int = 3) -> list[Verdict]:
    judged = judged_loss(spoilt(fault, like.kernel), "mine", JudgedOptions(), like)
    return failures_in_order([v for v in verify_loss(judged, like, cases=cases) if v.verdict == "fail"])


def nan_where_far(loss: float, gradient: np.ndarray, h: float) -> Numbers:
    return (loss, gradient) if loss < 1e3 else (math.nan, gradient)


def raising_where_far(loss: float, gradient: np.ndarray, h: float) -> Numbers:
    if loss > 1e3:
        raise OverflowError("too far")
    return loss, gradient


FAULTS: dict[str, tuple[Fault, str, str]] = {  # the property that leads, and what it says
    "a clamp of the loss": (lambda L, g, h: (min(L, 18.1), g), "far-start", "at 18.1: it, or a term of it, is clamped"),
    "a high clamp": (lambda L, g, h: (min(L, 300.0), g), "far-start", "log p is clamped at -300"),
    "infinite": (lambda L, g, h: (L if L < 700 else math.inf, g), "far-start", "infinite far out: something under- or"),
    "NaN far out": (nan_where_far, "far-start", "the loss is NaN far out"),
    "dropped mass": (lambda L, g, h: (L if L < 700 else 0.0, g), "far-start", "the loss is 0 far out"),
    "a wrong sign": (lambda L, g, h: (L, -g), "derivative", "the gradient of the logits has the wrong sign"),
    "half a gradient": (lambda L, g, h: (L, 0.5 * g), "derivative", "is 0.5 times the right one"),
    "no gradient": (lambda L, g, h: (L, 0.0 * g), "derivative", "is 0 where it should not be"),
    "no logarithm of h": (lambda L, g, h: (L - math.log(h), g), "agrees", "multiplied by h^1, a wrong power"),
    "the square of h": (lambda L, g, h: (L + math.log(h), g), "agrees", "multiplied by h^-1, a wrong power"),
    "a constant": (lambda L, g, h: (L + 2.5, g), "agrees", "off by the constant 2.5 at every bandwidth"),
    "bits": (lambda L, g, h: (L / math.log(2.0), g / math.log(2.0)), "agrees", "are 1.443 times the right ones"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_the_property_that_leads(name: str) -> None:
    fault, leads, says = FAULTS[name]
    first = failures(fault)[0]
    assert (first.property, first.names_fault, says in first.difference) == (leads, True, True), first.said()
    assert "# right: " in first.example


MIXED = {  # how ε comes into the density, and what is said
    "1e-8 is added to p in the logarithm": lambda p: p + 1e-8,
    "p is clamped at 1e-8 in the logarithm": lambda p: np.maximum(p, 1e-8),
    "log p is clamped at -50": lambda p: np.maximum(p, math.exp(-50.0)),
    "3e-5 is added to p in the logarithm": lambda p: p + 3e-5,
    "0.00123 is added to p in the logarithm": lambda p: p + 1.23e-3,
}


@pytest.mark.parametrize("says", MIXED)
def test_what_is_added_and_what_is_clamped_are_told_apart(says: str) -> None:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> float:
        low, high = target
        u = (low + (high - low) * (np.arange(bins)[:, np.newaxis] + 0.5) / bins - angles) / bandwidth
        weights = np.exp(logits - logits.max())
        p = np.exp(-0.5 * u * u) @ (weights / weights.sum()) / (bandwidth * math.sqrt(2.0 * math.pi))
        return -float(np.mean(np.log(MIXED[says](p))))

    judged = judged_loss(loss, "mine", JudgedOptions(), GAUSSIAN)
    failed = failures_in_order([v for v in verify_loss(judged, GAUSSIAN, cases=2) if v.verdict == "fail"])
    first = failed[0]
    assert first.property == "far-start"
    assert first.difference.endswith(says)
    assert all("training is not changed" not in v.meaning for v in failed)
    assert ("--floor" in first.details) == ("added" in says)


Function = Callable[[np.ndarray], np.ndarray]


def on_circle(
    mixed: Function | None, mass: Callable[[float], float], wrap: Function | None = None
) -> Callable[..., Any]:
    """Return laplace on the circle of 360, with K divided by a mass at each bandwidth, and an ε in the density."""
    wrapped = wrap or (lambda d: (d + 180.0) % 360.0 - 180.0)

    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> Any:
        low, high = target
        d = low + (high - low) * (np.arange(bins)[:, np.newaxis] + 0.5) / bins - angles
        log_k = -np.abs(wrapped(d)) / bandwidth - math.log(2.0 * bandwidth * mass(bandwidth))
        weights = np.exp(logits - logits.max())
        top = log_k.max(axis=1)
        log_p = top + np.log(np.exp(log_k - top[:, np.newaxis]) @ (weights / weights.sum()))
        return -np.mean(log_p if mixed is None else np.log(mixed(np.exp(log_p))))

    return loss


def of_turn(h: float) -> float:
    """Return ∫ of e^(-|d|/h)/(2h) over a turn of 360."""
    return -math.expm1(-180.0 / h)


@pytest.mark.parametrize("mass", [of_turn, lambda h: 1.0], ids=["circle", "line"])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-12, 1e-20, 1e-30])
@pytest.mark.parametrize("is_added", [True, False])
def test_an_epsilon_on_a_circle(epsilon: float, mass: Callable[[float], float], is_added: bool) -> None:
    loss = on_circle((lambda p: p + epsilon) if is_added else (lambda p: np.maximum(p, epsilon)), mass)
    judged = judged_loss(loss, "mine", JudgedOptions(), CIRCLE)
    (far,) = verify_loss(judged, CIRCLE, cases=1, only="far-start").failed
    said = "is added to p" if is_added else "p is clamped at"
    assert said in far.difference
    assert f"= -log({epsilon:.0e})".replace("e-0", "e-") in far.difference
    assert ("K is not normalised over the circle" in far.difference) == (mass is not of_turn)
    assert ("--floor" in far.details) == is_added


def test_a_kernel_that_is_not_normalised_beside_a_floor_that_is_meant() -> None:
    loss = on_circle(lambda p: p + 1e-6, lambda h: 1.0)
    judged = judged_loss(loss, "mine", JudgedOptions(floor=1e-6), CIRCLE)
    (agrees,) = verify_loss(judged, CIRCLE, cases=1, only="agrees").failed
    assert "K is not normalised over the circle" in agrees.difference


WRONG_WRAPS = {"nowrap": lambda d: d, "onesided": lambda d: np.where(d > 180.0, d - 360.0, d)}


@pytest.mark.parametrize("wrap", [None, *WRONG_WRAPS])
def test_a_kernel_that_is_not_normalised_over_the_circle(wrap: str | None) -> None:
    """The mass of laplace at h = 10 is 1 - e^-18; that training is not changed is said only if nothing shows it."""
    loss = on_circle(None, lambda h: 1.0, WRONG_WRAPS.get(wrap))

    def with_gradient(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> Numbers:
        steps = 1e-30j * np.eye(len(logits))
        gradient = [np.imag(loss(angles, logits + step, target, bandwidth, bins)) / 1e-30 for step in steps]
        return float(np.real(loss(angles, logits, target, bandwidth, bins))), np.array(gradient)

    judged = judged_loss(with_gradient, "mine", JudgedOptions(), CIRCLE)
    only = ["agrees", "quadrature", "rotation"]
    failed = failures_in_order(verify_loss(judged, CIRCLE, cases=3, only=only).failed)
    found = {verdict.property: verdict for verdict in failed}
    assert f"K is not normalised over the circle, where its integral is {1.0 - math.exp(-18.0):.9g} and not 1" in (
        found["agrees"].difference
    )
    assert "Remedy: divide K by that integral (laplace: 1 - exp(-P/(2h)))" in found["agrees"].details
    unchanged = {id_ for id_, verdict in found.items() if "training is not changed" in verdict.meaning}
    assert unchanged == ({"agrees", "quadrature"} if wrap is None else set())
    assert failed[0].property == ("agrees" if wrap is None else "rotation")


@pytest.mark.parametrize("mass", [of_turn, lambda h: 1.0], ids=["circle", "line"])
def test_a_loss_on_a_circle_that_is_declared_to_be_on_a_line(mass: Callable[[float], float]) -> None:
    like = Settings(kernel="laplace", bandwidth=10.0, bins=36)
    judged = judged_loss(on_circle(None, mass), "mine", JudgedOptions(), like)
    failed = verify_loss(judged, like, cases=3, only=["far-start", "steep-logits"]).failed
    said = {verdict.property: verdict.said() for verdict in failed if verdict.difference}
    assert set(said) == {"far-start", "steep-logits"}
    assert all(text.endswith("it is the loss on a circle of 360: add circular=True") for text in said.values())


def test_a_wrong_wrap_is_not_said_to_be_a_circle() -> None:
    like = Settings(kernel="laplace", bandwidth=10.0, bins=36)
    loss = on_circle(lambda p: p + 1e-12, of_turn, WRONG_WRAPS["onesided"])
    run = verify_loss(judged_loss(loss, "mine", JudgedOptions(), like), like, cases=3, only=["unit", "far-*"])
    assert run.failed
    assert all("circle" not in verdict.difference for verdict in run.failed)


@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1e-6])
def test_an_epsilon_on_a_circle_of_one_bandwidth(epsilon: float) -> None:
    """No point is far from the target there: K is e^-18/(2h) at least."""
    told = on_circle(lambda p: p + epsilon, of_turn)

    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bins: int) -> float:
        return told(angles, logits, target, 10.0, bins)  # type: ignore[no-any-return]

    judged = judged_loss(loss, "mine", JudgedOptions(), CIRCLE)
    failed = verify_loss(judged, CIRCLE, cases=1, only="agrees").failed
    written = f"{epsilon:.0e}".replace("e-0", "e-")
    assert [f"{written} is added to p in the logarithm" in verdict.difference for verdict in failed] == [True] * bool(
        epsilon
    )


def test_an_epsilon_beside_a_heavy_tail() -> None:
    """At 10⁴ bandwidths p is 3e-11, at 10⁷ it is 3e-17 still: the loss has not stopped growing."""
    like = Settings(kernel="cauchy", bandwidth=10.0, bins=36)

    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> float:
        low, high = target
        u = (low + (high - low) * (np.arange(bins)[:, np.newaxis] + 0.5) / bins - angles) / bandwidth
        weights = np.exp(logits - logits.max())
        p = 1.0 / (math.pi * bandwidth * (1.0 + u * u)) @ (weights / weights.sum())
        return -float(np.mean(np.log(p + 1e-12)))

    (far,) = verify_loss(judged_loss(loss, "mine", JudgedOptions(), like), like, cases=1, only="far-start").failed
    assert far.difference.endswith("-log(1e-12): 1e-12 is added to p in the logarithm")


def test_what_is_neither_added_nor_a_clamp_has_no_epsilon() -> None:
    """(p² + ε²)^½ in place of p: the loss ends at -log ε, but not as either of the two does."""
    loss = on_circle(lambda p: np.hypot(p, 1e-6), of_turn)
    (far,) = verify_loss(judged_loss(loss, "mine", JudgedOptions(), CIRCLE), CIRCLE, cases=1, only="far-start").failed
    assert far.difference == "the loss stops growing at 13.82, by an ε or a clamp of about 1e-6"


def test_the_divergence_is_told_from_the_loss() -> None:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> Numbers:
        value, gradient = kg.loss_and_grad(
            angles, logits, target=target, kernel="gaussian", bandwidth=bandwidth, bins=bins
        )
        return value - math.log(target[1] - target[0]), gradient

    judged = judged_loss(loss, "mine", JudgedOptions(), GAUSSIAN)
    failed = failures_in_order([v for v in verify_loss(judged, GAUSSIAN, cases=3) if v.verdict == "fail"])
    assert failed[0].property == "agrees"
    assert "it is the KL divergence, L - log(b-a)" in failed[0].difference
    assert {v.meaning for v in failed} == {"the gradients are right, and training is not changed"}


def test_what_depends_on_the_logits_is_no_constant() -> None:
    failed = failures(lambda L, g, h: (L + float(g[0]), g))
    assert all("constant" not in verdict.difference for verdict in failed)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_rounding_inside_is_named(kind: type) -> None:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> Numbers:
        return kg.loss_and_grad(
            angles.astype(kind), logits, target=target, kernel="gaussian", bandwidth=bandwidth, bins=bins
        )

    judged = judged_loss(loss, "mine", JudgedOptions(), GAUSSIAN)
    verdicts = verify_loss(judged, GAUSSIAN, cases=2, only="agrees")
    assert "angles are rounded to float32, or coarser, in it" in verdicts[0].difference


def test_a_loss_that_is_the_same_wherever_the_points_are_is_not_said_to_round_them() -> None:
    for verdict in failures(lambda L, g, h: (min(L, 5.0), g)):
        assert "rounded" not in verdict.difference


@pytest.mark.parametrize("off", [20.0, -1e3])
def test_a_loss_that_is_off_by_more_than_rounding_is_not_said_to_round(off: float) -> None:
    def loss(angles: np.ndarray, logits: np.ndarray, target: Any, bandwidth: float, bins: int) -> float:
        rounded = angles.astype(np.float32)
        return off + kg.loss(rounded, logits, target=target, kernel="gaussian", bandwidth=bandwidth, bins=bins)

    judged = judged_loss(loss, "mine", JudgedOptions(), GAUSSIAN)
    for verdict in verify_loss(judged, GAUSSIAN, cases=2):
        assert "rounded" not in verdict.difference


def test_a_fault_that_numbers_do_not_tell_is_not_named() -> None:
    """A loss that is off by a thousandth of itself has no floor, clamp, power or sign."""
    for verdict in failures(lambda L, g, h: (1.001 * L, g)):
        assert not verdict.names_fault
        assert "is right" in verdict.difference
        at_0 = verdict.property == "equal-distance-moved"  # where all gradients are 0, none is shown to be right
        assert ("training is not changed" in verdict.meaning) != at_0


@pytest.mark.parametrize("value", [1e308, -1e308, 1e4, 745.2, 5e-324, -7.0])
@pytest.mark.parametrize("gradient", [0.0, 1e308, math.inf])
def test_a_loss_may_end_at_any_number(value: float, gradient: float) -> None:
    for verdict in failures(lambda L, g, h: (L, g) if L < 300.0 else (value, g + gradient), cases=1):
        assert verdict.said()


def test_a_constant_has_not_stopped_growing() -> None:
    """2.14 is no floor of a density that the loss does not have."""
    for verdict in failures(lambda L, g, h: (2.14, 0.0 * g)):
        assert "stops growing" not in verdict.difference


def test_a_clamp_where_a_compact_kernel_does_not_reach() -> None:
    (far,) = [v for v in failures(lambda L, g, h: (min(L, 50.0), g), COMPACT) if v.property == "far-start"]
    assert far.difference == "the loss is 50 where no point reaches the target, and infinite is right"


def test_an_exception_in_one_check_is_told_with_its_place() -> None:
    found = {v.property: v for v in failures(raising_where_far)}
    assert "far-start" in found
    assert "agrees" not in found
    assert "raises OverflowError: too far (tests/test_explanation.py, line " in found["far-start"].difference


def test_nan_at_a_masked_point_leads() -> None:
    def fault(loss: float, gradient: np.ndarray, h: float) -> Numbers:
        return loss, np.full_like(gradient, math.nan) if (gradient == 0.0).any() else gradient

    first = failures(fault)[0]
    assert first.property == "masked-point"
    assert "the gradient of the logits is NaN or infinite" in first.difference
    assert "Remedy: log_softmax" in first.details


def test_the_table_of_a_far_start_shows_where_learning_ends() -> None:
    far = failures(lambda L, g, h: (min(L, 300.0), g * (L < 300.0)))[0]
    heads, losses, right, gradients = (line.split("  ") for line in far.details.splitlines()[:4])
    assert [line[0] for line in (heads, losses, right, gradients)] == [
        "all points away by", "loss              ".rstrip(), "right", "gradient / right",
    ]  # fmt: skip
    assert losses[-1].strip() == "300.00"
    assert float(gradients[-1]) == 0.0
    assert far.meaning == "points that start 100 h or more away hardly learn, or not at all"


@pytest.mark.parametrize("cases", [1, 5])
def test_only_the_first_failure_of_a_property_has_details(cases: int) -> None:
    judged = judged_loss(spoilt(lambda L, g, h: (L, -g), "gaussian"), "mine", JudgedOptions(), GAUSSIAN)
    verdicts = verify_loss(judged, GAUSSIAN, cases=cases, only="derivative")
    assert [bool(v.example) for v in verdicts if v.verdict == "fail"] == [True] + [False] * (cases - 1)
