"""Pins down what a user of the library meets beside the numbers: short reprs, the density, the list of kernels.

A repr is one line without arrays, also of a million points, of hostile names and inside lists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.kernel import BY_NAME

LONGEST = 160  # characters of a repr, with a file name that had to be cut
EXACT = 1e-14  # relative: a few roundings
ANGLES, LOGITS = [-40.0, 5.0, 33.0], [0.5, -0.25, 0.0]
P = kg.Problem(ANGLES, LOGITS, target=(-30, 30), bandwidth=10, bins=9)
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()
EVERY = ("logits", "angles", "bandwidth")


# --- reprs ------------------------------------------------------------------------------------------------------------


def test_what_a_repr_says() -> None:
    loss, kl = f"{kg.evaluate(P).loss:.9g}", f"{kg.evaluate(P).kl:.9g}"
    assert repr(P) == "<Problem: 3 points, target [-30, 30], laplace, bandwidth 10, 9 bins>"
    assert repr(kg.evaluate(P)) == f"<Evaluation: loss {loss}, KL {kl}, 3 points, gradients of logits>"
    assert repr(kg.evaluate(P, ())) == f"<Evaluation: loss {loss}, KL {kl}, 3 points, no gradient>"
    assert repr(kg.descend(P, steps=0)).endswith(f"loss {loss} to {loss}, not converged>")
    assert repr(kg.sweep(P, "distance", [0, 9])) == "<Sweep over distance: 2 steps, laplace>"
    assert repr(kg.Problem([1.0], target=kg.Points([3, 4]), period=24, name="a b.csv")) == (
        "<Problem 'a b.csv': 1 point, 2 target points, laplace, bandwidth 1, circle of 24>"
    )
    batch = kg.Batch([[0.0, 50.0], [99.0, 99.0]], target=(0, 1), kernel="box", bandwidth=2)
    assert repr(batch) == "<Batch: 2 problems, 4 points, uniform, bandwidth 2, 360 bins>"
    assert repr(kg.evaluate(batch)) == (
        "<BatchEvaluation: mean loss inf, 1 infinite, 2 problems, 4 points, gradients of logits>"
    )
    assert repr(P.settings) == "Settings(bandwidth=10.0, bins=9)"


def of_many_points() -> list[object]:
    """Return an object of every public type, of many points and with names that are not to be trusted."""
    name = "\x1b[31m\n\u202e" + "x" * 500
    x = np.linspace(-50.0, 50.0, 3000)
    problem = kg.Problem(x, labels=[name] * len(x), name=name, target=(-30, 30), bandwidth=1e-3, background=0.5)
    batch = kg.Batch(x.reshape(1000, 3), names=[name] * 1000, name=name, target=x[:1000], circular=True, bandwidth=3)
    one, many = kg.evaluate(problem, EVERY), kg.evaluate(batch, EVERY)
    exact, family, end = (
        kg.evaluate(P.replace(rule="exact"), EVERY),
        kg.sweep(problem, "kernel"),
        kg.descend(problem, steps=2),
    )
    steps: list[object] = []
    kg.descend(problem, steps=1, watch=steps.append)
    parts = [problem.settings, problem.kernel, problem.domain, problem.target, one.gradients, one.rule, one.diagnostics]
    parts += [many.gradients, family.steps[0], end.course[0], end.path[0], batch.observed, *steps, exact.gradient_error]
    return [problem, batch, one, many, exact, exact.diagnostics.exact, family, end, *parts, *kg.kernels()]


def test_a_repr_is_one_short_line_of_plain_text() -> None:
    every = of_many_points()
    for value in every:
        text = repr(value)
        assert len(text) <= LONGEST, text
        assert text.isprintable(), text
        assert "array" not in text
    assert len(repr(every)) <= len(every) * (LONGEST + 2)


# --- density and kernels ----------------------------------------------------------------------------------------------


def test_the_density_is_its_formula_at_any_places() -> None:
    places = np.array([[-40.0, 0.0, 5.0], [1e3, -7.25, 33.0]])
    expected = np.exp(-np.abs(places[..., np.newaxis] - ANGLES) / 10.0) @ SHARES / 20.0
    np.testing.assert_allclose(kg.density(P, places), expected, rtol=EXACT)
    np.testing.assert_allclose(kg.density(P, places, log=True), np.log(expected), rtol=EXACT)
    assert kg.density(P, places.tolist()).shape == (2, 3)
    assert kg.density(P, []).shape == (0,)
    found = kg.density(P, -7.25)
    assert type(found) is float
    assert found == pytest.approx(expected[1, 1], rel=EXACT)


def test_the_logarithm_of_the_density_does_not_underflow() -> None:
    nearest = math.log(SHARES[2]) - (1e6 - 33.0) / 10.0 - math.log(20.0)
    assert kg.density(P, 1e6) == 0.0
    assert kg.density(P, 1e6, log=True) == pytest.approx(nearest + math.log1p(_others(1e6)), rel=EXACT)
    uniform = P.replace(kernel="uniform")
    assert (kg.density(uniform, 80.0), kg.density(uniform, 80.0, log=True)) == (0.0, -math.inf)


def _others(place: float) -> float:
    """Return what the two points on the left add to the density far on the right, as parts of the third's."""
    return sum(SHARES[k] / SHARES[2] * math.exp((ANGLES[k] - ANGLES[2]) / 10.0) for k in (0, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 3.0, "background": 0.25},
        {"rule": "gauss", "background": 0.25, "kernel": "gaussian"},
        {"circular": True, "target": (350, 380), "background": 0.1, "kernel": "von-mises"},
        {"target": kg.Points([3.0, 77.0], [1, 3]), "circular": True, "background": 0.1},
        {"at": 12.0, "target": None},
    ],
)
def test_the_loss_is_the_mean_logarithm_of_the_density(options: dict[str, Any]) -> None:
    problem = P.replace(**options)
    logs = kg.density(problem, problem.rule.nodes, log=True)
    assert kg.evaluate(problem).loss == pytest.approx(-float(problem.rule.weights @ logs), rel=EXACT)


def test_a_background_is_on_the_target_alone_and_turns_do_not_matter() -> None:
    mixed = P.replace(background=0.25)
    inside, outside = kg.density(mixed, [-30, 0, 30]), kg.density(mixed, [-30.001, 30.001, 999])
    np.testing.assert_allclose(inside, 0.75 * kg.density(P, [-30, 0, 30]) + 0.25 / 60.0, rtol=EXACT)
    np.testing.assert_allclose(outside, 0.75 * kg.density(P, [-30.001, 30.001, 999]), rtol=EXACT)
    turned = kg.density(mixed.replace(circular=True, target=(350, 370)), [5.5, 365.5, -714.5])
    np.testing.assert_allclose(turned, turned[0], rtol=EXACT)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kg.density(kg.Batch([[1.0]], target=0.0), 0), "Batch is not a problem"),
        (lambda: kg.density([1.0, 2.0], 0), "list is not a problem"),
        (lambda: kg.density(P, [0, math.inf]), "place 1: x inf: give a finite number"),
        (lambda: kg.density(P, "0"), "x: '0' is not an array of numbers"),
        (lambda: kg.density(P, 0, log="no"), "log: 'no' is neither true nor false"),
    ],
)
def test_a_density_of_something_else_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(kg.KdegradError, match=message):
        call()


def test_the_kernels_are_those_that_a_problem_takes() -> None:
    listed = kg.kernels()
    assert {kernel.name for kernel in listed} | {a for kernel in listed for a in kernel.aliases} == set(BY_NAME)
    for kernel in listed:
        problem = P.replace(kernel=kernel.name, circular="line" not in kernel.domains)
        assert problem.kernel.name == kernel.name
    [student] = [kernel for kernel in listed if kernel.parameters]
    assert (student.name, student.aliases, student.parameters, student.tail) == ("student-t", ("t",), ("df",), "heavy")
