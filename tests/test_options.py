"""Pins down that whatever is no value of an option is refused by the library as it is on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import kdegrad as kg

P = kg.Problem([-40, 10], target=(-30, 30), bandwidth=10, bins=9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: kg.descend(P, steps=2.5),
        lambda: kg.descend(P, steps="3"),
        lambda: kg.descend(P, rate="x"),
        lambda: kg.descend(P, optimizer=["em"]),
        lambda: kg.verify(P, cases=1.5),
        lambda: kg.verify(P, tolerance="x"),
        lambda: kg.evaluate(P, None),
        lambda: kg.sweep(P, "distance", 3),
        lambda: kg.sweep(P, "bandwidth", [1, "x"]),
        lambda: kg.sweep(P, "bins", [1.5]),
        lambda: kg.loss([1.0], target=(0, 1), copy=True),
    ],
)
def test_a_wrong_type_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(kg.SettingError):
        call()


def test_a_text_is_one_name_and_a_generator_lists_values() -> None:
    assert kg.descend(P, wrt="angles", steps=1).wrt == ("angles",)
    assert {verdict.property for verdict in kg.verify(P, only="one-hot", cases=0)} == {"one-hot"}
    family = kg.sweep(P, "distance", (float(d) for d in (1, 2)), kernels="laplace")
    assert [step.value for step in family.steps] == [1.0, 2.0]


def test_an_infinite_loss_fills_only_what_is_asked_for() -> None:
    gradients = kg.evaluate(kg.Problem([99], target=(0, 1), kernel="uniform"), "logits").gradients
    assert math.isnan(gradients.logits[0])
    assert (gradients.angles, gradients.log_bandwidth) == (None, None)


def test_tolerance_0_takes_all_steps() -> None:
    assert len(kg.descend(kg.Problem([0], target=(-1, 1)), tolerance=0, steps=4).course) == 5
