"""Pins down what a user of the library meets beside the numbers: reprs, the density, the kernels, wrong types.

A repr is one line without arrays, of hostile names too, and inside lists. What is of a wrong type is refused by every
keyword of every public function in one line, by an error of kdegrad's own.
"""

from __future__ import annotations

import csv
import inspect
import io
import itertools
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest

import kdegrad as kg
from kdegrad.kernel import BY_NAME
from tests.readme import ROOT

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
    assert repr(kg.Problem([1.0], target=kg.Points([3, 4]), period=24, name="a long/way to/the folder/a b.csv")) == (
        "<Problem 'a b.csv': 1 point, 2 target points, laplace, bandwidth 1, circle of 24>"
    )
    batch = kg.Batch([[0.0, 50.0], [99.0, 99.0]], target=(0, 1), kernel="box", bandwidth=2)
    assert repr(batch) == "<Batch: 2 problems, 4 points, uniform, bandwidth 2, 360 bins>"
    assert repr(kg.evaluate(batch)) == (
        "<BatchEvaluation: mean loss inf, 1 infinite, 2 problems, 4 points, gradients of logits>"
    )
    assert repr(P.settings) == "Settings(bandwidth=10.0, bins=9)"


def of_many_points() -> list[object]:
    """Return an object of every public type, of 300 points and with names that are not to be trusted."""
    name = "\x1b[31m\n\u202e" + "x" * 500
    x = np.linspace(-50.0, 50.0, 300)
    problem = kg.Problem(x, labels=[name] * len(x), name=name, target=(-30, 30), bandwidth=1e-3, background=0.5)
    batch = kg.Batch(x.reshape(100, 3), names=[name] * 100, name=name, target=x[:100], circular=True, bandwidth=3)
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
        (lambda: kg.density("winds.csv", 0), "'winds.csv' is not a problem: kdegrad.load reads one from a file"),
        (lambda: kg.density(kg.evaluate(P), 0), "Evaluation is not a problem, and was made of one: give its .problem"),
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


def test_the_names_of_the_csv_have_their_numbers_in_the_library(kdegrad: Any) -> None:
    """As the table in sample_inputs/README.md says, of one problem and of many."""
    sample = ROOT / "sample_inputs"
    words = ("--wrt", "logits,angles", "--format", "csv")
    groups = ("--group-by", "image_id", "--target-columns", "low,high", "--circular", "--bandwidth", "10")
    options = {"group_by": "image_id", "target_columns": ("low", "high"), "circular": True, "bandwidth": 10}
    batch = kg.load(sample / "headings.csv", **options)
    one = kg.load(sample / "two_sided.yaml")
    of_many = kdegrad("grad", sample / "headings.csv", *groups, *words).out
    of_one = kdegrad("grad", sample / "two_sided.yaml", *words).out
    for problem, text in ((one, of_one), (batch, of_many)):
        rows = list(csv.DictReader(io.StringIO(text)))
        found = kg.evaluate(problem, ("logits", "angles"))
        named = {"weight": found.weights, "responsibility": found.responsibilities, "gradient": found.gradients.logits}
        named |= {"gradient_per_weight": found.gradients.per_weight, "gradient_angle": found.gradients.angles}
        for name, values in named.items():
            np.testing.assert_array_equal([float(row[name]) for row in rows], values, err_msg=name)


# --- wrong types ------------------------------------------------------------------------------------------------------


class Hostile:
    """What a repr, a comparison or a conversion should not be trusted with."""

    def __repr__(self) -> str:
        return "hostile\n" * 500

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None


class Tensor:
    """A tensor as PyTorch's that requires a gradient: a number for float(), and no array."""

    requires_grad, ndim = True, 1

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def __float__(self) -> float:
        return 1.0


OF_NO_USE = {  # to any parameter of any function
    "object": object(),
    "hostile": Hostile(),
    "complex": 1j,
    "dates": np.array(["2020-01-01"] * 3, dtype="M8[D]"),
    "objects": np.array([object()] * 5000),
    "tensor": Tensor(),
    "ragged": [[1.0], [1.0, 2.0]],
    "mapping": {"x": [1.0] * 5000},
    "day": date(2020, 1, 1),
}
OF_SOME_USE = {  # to some parameters; but to no other may it be a traceback
    "None": None,
    "bytes": b"1",
    "truth": True,
    "text": "nonsense",
    "set": {1.0, 2.0},
    "huge": 10**400,
    "NaN": math.nan,
    "long": np.arange(5000.0),
    "table": np.zeros((50, 50)),
    "cube": np.zeros((2, 2, 2)),
    "texts": ["a", "b", "c"],
    "masked": np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]),
    "problem": P,
    "evaluation": kg.evaluate(P),
    "offsets": kg.Points([1.0, 2.0], offsets=[0, 1, 2]),
}
TWO = kg.Batch([[1.0, 2.0], [3.0, 4.0]], target=(0, 1), bins=5)
POINTS = {"angles": [1.0, 2.0, 3.0], "target": (0, 1), "bins": 5}
FRAME = pandas.DataFrame({"angle": [1.0, 2.0, 3.0], "g": ["a", "a", "b"]})
CALLS: dict[Callable[..., object], dict[str, Any]] = {
    kg.Problem: POINTS,
    kg.Batch: {"angles": [[1.0, 2.0], [3.0, 4.0]], "target": (0, 1), "bins": 5},
    kg.Points: {"angles": [1.0, 2.0, 3.0]},
    kg.Settings: {},
    kg.loss: POINTS,
    kg.grad: POINTS,
    kg.loss_and_grad: POINTS,
    kg.evaluate: {"problem": P},
    kg.density: {"problem": P, "x": [1.0]},
    kg.sweep: {"problem": P, "over": "scale", "values": [1.0]},
    kg.descend: {"problem": P, "steps": 1},
    kg.verify: {"problem": P, "cases": 0, "only": "one-hot"},
    kg.load: {"target": (0, 1)},
    kg.from_frame: {"frame": FRAME, "target": (0, 1)},
    TWO.problem: {"problem": 0},
    P.replace: {},
}


@pytest.mark.filterwarnings("ignore::kdegrad.InputWarning")
@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__qualname__)
def test_a_wrong_type_is_refused_in_one_line_by_every_keyword(function: Callable[..., object], tmp_path: Path) -> None:
    given = dict(CALLS[function])
    if function is kg.load:
        given["path"] = tmp_path / "points.csv"
        given["path"].write_text("angle,g\n1,a\n2,a\n3,b\n")
    of = kg.Problem if function == P.replace else function
    wrong = []
    for name, (kind, value) in itertools.product(inspect.signature(of).parameters, (OF_NO_USE | OF_SOME_USE).items()):
        if name in ("steps", "cases") and kind == "huge":  # so many are taken
            continue
        try:
            function(**given | {name: value})
        except kg.KdegradError as error:
            lines = str(error).splitlines()
            by_problem = len(lines) > 1 and all(line.startswith("problem ") for line in lines)
            if (len(lines) > 1 and not by_problem) or len(str(error)) >= 300:
                wrong.append(f"{name}, {kind}: {len(lines)} lines, {error}"[:200])
        except Exception as error:
            wrong.append(f"{name}, {kind}: {type(error).__name__}: {error}"[:200])
        else:
            if kind in OF_NO_USE:
                wrong.append(f"{name}, {kind}: is taken")
    assert wrong == []


def test_every_public_function_and_class_that_takes_data_is_among_these() -> None:
    results = {"BatchEvaluation", "Descent", "Diagnostics", "Evaluation", "Gradients", "Sweep", "Verdict", "Verdicts"}
    beside = {"InputError", "InputWarning", "KdegradError", "SettingError", "__version__", "kernels", "plot"}
    assert set(kg.__all__) - results - beside <= {function.__name__ for function in CALLS}


def test_a_tensor_that_requires_a_gradient_is_told_to_detach() -> None:
    names = ("angles", "logits", "weights", "bandwidth", "at", "target")
    for options in ({name: Tensor()} for name in names):
        with pytest.raises(kg.KdegradError, match=rf"{next(iter(options))}: .*\.detach\(\)"):
            kg.loss(**POINTS | options)


def test_labels_of_every_package_are_texts() -> None:
    for labels in (pandas.Series(["a", "b"]), pyarrow.array(["a", "b"]), np.array(["a", "b"]), iter("ab")):
        problem = kg.Problem([1.0, 2.0], labels=labels, target=(0, 1))
        assert [type(label) for label in problem.labels] == [str, str]
        assert problem.labels == ("a", "b")


def test_a_tensor_on_another_device_is_told_to_move() -> None:
    class OnDevice:
        device = "cuda:0"

        def cpu(self) -> None: ...

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    with pytest.raises(kg.InputError, match=r"angles: a tensor on the device 'cuda:0': call .cpu\(\) first"):
        kg.grad(OnDevice(), target=(0, 1))


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        (np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 1]), "angles: 2 masked, the first at place 1: fill or drop"),
        ([1.0, math.nan, math.nan], "point 1: angle nan is a missing value: fill or drop such points (2 of 3 in all)"),
        ([1.0, None, 2.0], "angles: None at place 1 is a missing value: fill or drop such points"),
        (["1", "2"], "angles: '1' at place 0 is not a number: convert text to numbers"),
        (np.array([True, False]), "angles: booleans (bool) are not numbers"),
        (FRAME, "angles: a table (pandas.DataFrame) is not an array of numbers: give one of its columns"),
        ("winds.csv", "angles: 'winds.csv' is not an array of numbers"),
    ],
    ids=str,
)
def test_what_is_missing_or_no_number_is_named_with_its_place(angles: Any, message: str) -> None:
    with pytest.raises(kg.InputError) as caught:
        kg.loss(angles, target=(0, 1))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "epanechnikov", "cauchy", "von-mises"])
def test_no_function_minds_that_numpy_raises(kernel: str) -> None:
    options = {"target": (-30, 30), "kernel": kernel, "bandwidth": 0.5 if kernel != "von-mises" else 10}
    options |= {"circular": kernel == "von-mises"}
    with np.errstate(all="raise"):
        problem = kg.Problem([-175.0, 20.0, 10.0], [0.0, -900.0, -math.inf], background=0.1, **options)
        batch = kg.Batch([[-175.0, 20.0], [1.0, 2.0]], [[0.0, -900.0], [0.0, 1e300]], **options)
        for of in (problem, batch):
            every = kg.evaluate(of, wrt=("logits", "angles", "bandwidth"))
            assert repr(every)
            assert every._repr_html_().startswith("<div")
        assert kg.loss([-175.0, 20.0], **options) > 0.0
        kg.grad([-175.0, 20.0], wrt=("logits", "angles", "bandwidth"), **options)
        kg.density(problem, np.linspace(-1e5, 1e5, 1001)), kg.density(problem, 3.0, log=True)
        kg.sweep(problem, "distance", [0, 4])
        kg.sweep(problem, "bandwidth", [1e-3, 1e3])
        kg.descend(problem, steps=3, wrt=("logits", "angles"))
        kg.descend(problem, steps=3, optimizer="em")
        kg.descend(problem, steps=3, optimizer="adam")
        kg.verify(problem, cases=1, only="one-hot")
        kg.evaluate(problem).kl, kg.evaluate(problem).responsibilities, kg.evaluate(problem).diagnostics
        kg.evaluate(problem.replace(rule="exact"))
