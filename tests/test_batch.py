"""Pins down that a batch is its problems one by one, in every form, and what it refuses.

The twin is `Batch.problem`, each evaluated on its own. The numbers of blocks and windows themselves, in extreme
conditions, are those of test_blocks.py and test_windows.py.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad as kg
from kdegrad.blockwise import OF_POINTS, OF_PROBLEMS, computed
from kdegrad.kernel import KERNELS
from kdegrad.kernel.line import Gaussian

RELATIVE, ABSOLUTE = 1e-10, 1e-12  # of log K as large as 10³, each route keeps 13 digits
WRT = ("logits", "angles", "bandwidth")
COUNT = 7
EVERY_KERNEL = [
    pytest.param(kind.name, domain, id=f"{kind.name}-{domain}") for kind in KERNELS for domain in kind.domains
]
TARGETS = ("interval", "one interval", "observed", "points", "one target", "at", "at in an interval")


def target_of(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return the options that give `COUNT` problems such targets."""
    lows = rng.uniform(-30.0, 0.0, COUNT)
    intervals = (lows, lows + rng.uniform(5.0, 40.0, COUNT))
    offsets = np.append(0, np.cumsum(rng.integers(1, 5, COUNT)))
    weights = np.where(rng.random(offsets[-1]) < 0.3, 0.0, rng.uniform(0.1, 2.0, offsets[-1]))
    weights[offsets[:-1]] = 1.0
    options: dict[str, dict[str, Any]] = {
        "interval": {"target": intervals},
        "one interval": {"target": (-10, 20.0)},
        "observed": {"target": lows},
        "points": {"target": kg.Points(rng.uniform(-30.0, 30.0, offsets[-1]), weights, offsets)},
        "one target": {"target": {"angle": [3.0, -5.0, 10.0], "weight": [1.0, 0.0, 2.0]}},
        "at": {"at": 3.25},
        "at in an interval": {"at": 3.25, "target": intervals},
    }
    return options[kind]


def batch_of(rng: np.random.Generator, **options: Any) -> kg.Batch:
    """Return problems of different lengths whose rows do not stand together, with masks among them."""
    counts = np.array([1, 4, 2, 7, 3, 4, 5])
    offsets = np.append(0, np.cumsum(counts))
    logits = np.where(rng.random(offsets[-1]) < 0.2, -math.inf, 2.0 * rng.normal(size=offsets[-1]))
    logits[offsets[:-1]] = 0.5
    order = rng.permutation(offsets[-1])
    angles, shuffled = np.empty(offsets[-1]), np.empty(offsets[-1])
    angles[order], shuffled[order] = rng.uniform(-40.0, 40.0, offsets[-1]).round(2), logits
    return kg.Batch(angles, shuffled, offsets=offsets, order=order, **options)


def assert_one_by_one(batch: kg.Batch) -> kg.BatchEvaluation:
    """Compare all numbers of a batch with those of its problems, and return the evaluation."""
    together = kg.evaluate(batch, WRT)
    found = {**vars(together.gradients), "weights": together.weights}
    for number in range(len(batch)):
        alone = kg.evaluate(batch.problem(number), WRT)
        places = batch.places(number)
        same = {"rtol": RELATIVE, "atol": ABSOLUTE}
        np.testing.assert_allclose(together.losses[number], alone.loss, **same)
        if alone.kl is not None:
            np.testing.assert_allclose(together.kl[number], alone.kl, **same)
        np.testing.assert_allclose(together.log_bandwidth[number], alone.gradients.log_bandwidth, **same)
        assert together.uncovered[number] == len(alone.diagnostics.uncovered)
        for name, expected in {**vars(alone.gradients), "weights": alone.weights}.items():
            if name not in ("log_bandwidth", "wrt"):
                np.testing.assert_allclose(found[name].ravel()[places], expected, err_msg=name, **same)
    return together


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("kernel", "domain"), EVERY_KERNEL)
def test_a_batch_is_its_problems_one_by_one(kernel: str, domain: str, target: str) -> None:
    """With rules, scales and backgrounds, and with compact kernels so narrow that some nodes are not covered."""
    rng = np.random.default_rng([ord(letter) for letter in kernel + domain + target])
    options: dict[str, Any] = {"kernel": kernel, "circular": domain == "circle"}
    has_width = domain == "circle" or target in ("interval", "one interval", "at in an interval")
    for changes in (
        {"bandwidth": 60.0, "bins": 17},
        {"bandwidth": 11.0, "rule": "gauss", "bins": 9, "scale": 1.5},
        {"bandwidth": 41.0, "bins": 5, "background": 0.2 if has_width else 0.0, "scale": 1e-3},
        {"bandwidth": 1.1, "bins": 3},
    ):
        assert_one_by_one(batch_of(rng, **target_of(target, rng), **options, **changes))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "biweight"])
@pytest.mark.parametrize("target", ["interval", "far apart", "observed", "points", "one target"])
def test_rows_of_equal_problems_are_problems_one_by_one(kernel: str, target: str) -> None:
    """Blocks are slices of (G, N) where they are problems in a row: not among targets of several sizes or schemes."""
    rng = np.random.default_rng(8)
    angles, logits = rng.uniform(-40.0, 40.0, (COUNT, 12)), 6.0 * rng.normal(size=(COUNT, 12))
    logits[2, 1] = -math.inf
    if target == "far apart":  # windows do not serve the wide ones
        lows = np.array([0.0, -400.0, 0.0, 0.0, -400.0, 0.0, 0.0])
        options: dict[str, Any] = {"target": (lows, np.abs(lows) + 20.0), "bandwidth": 3.0, "background": 0.1}
    else:
        options = {**target_of(target, rng), "bandwidth": 60.0}
    for spread in (angles, np.asfortranarray(angles), np.repeat(angles, 2, axis=1)[:, ::2]):
        assert_one_by_one(kg.Batch(spread, logits, kernel=kernel, bins=40, copy=False, **options))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "biweight", "uniform"])
def test_the_rule_exact_is_that_of_each_problem(kernel: str) -> None:
    rng = np.random.default_rng(5)
    evaluation = assert_one_by_one(
        batch_of(rng, **target_of("interval", rng), kernel=kernel, bandwidth=70, rule="exact")
    )
    assert evaluation.is_finite


def test_a_large_problem_that_no_window_serves_is_summed_on_its_own() -> None:
    """Its nodes are 9000 bandwidths apart; all pairs at once would be 16 MB an array."""
    offsets = np.append(0, np.cumsum([40, 6000, 40]))
    angles = np.random.default_rng(7).uniform(-40, 40, offsets[-1])
    batch = kg.Batch(angles, offsets=offsets, target=([0, -30, 0], [0.1, 60, 0.1]), bandwidth=0.01, bins=360)
    assert assert_one_by_one(batch).sums == {"windows": 2, "scan": 1}


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "triangular"])
def test_one_huge_problem_beside_thousands_of_tiny_ones(kernel: str) -> None:
    rng = np.random.default_rng(6)
    counts = np.append(rng.integers(1, 4, 2000), 90_000)
    offsets = np.append(0, np.cumsum(counts))
    angles = rng.uniform(-40, 40, offsets[-1])
    lows = rng.uniform(-30, 0, len(counts))
    batch = kg.Batch(angles, offsets=offsets, target=(lows, lows + 20), kernel=kernel, bandwidth=55.0, bins=36)
    evaluation = kg.evaluate(batch, WRT)
    assert sum(evaluation.sums.values()) == len(counts)
    assert len(evaluation.sums) > 1
    for number in (0, 1, 1000, 2000):
        alone = kg.evaluate(batch.problem(number), WRT)
        assert evaluation.losses[number] == pytest.approx(alone.loss, rel=RELATIVE)
        np.testing.assert_allclose(
            evaluation.gradients.angles[batch.places(number)], alone.gradients.angles, rtol=1e-9, atol=1e-16
        )


@pytest.mark.parametrize("sums", ["auto", "dense", "fast"])
@pytest.mark.parametrize("kernel", ["laplace", "cauchy", "wrapped-laplace", "von-mises"])
def test_all_schemes_give_the_same(kernel: str, sums: str) -> None:
    rng = np.random.default_rng(7)
    circular = kernel in ("wrapped-laplace", "von-mises")
    evaluation = assert_one_by_one(
        batch_of(rng, **target_of("interval", rng), kernel=kernel, bandwidth=23.0, circular=circular, sums=sums)
    )
    fast = "windows" if kernel in ("laplace", "wrapped-laplace") else "cells"
    if sums != "auto":  # which takes what is faster
        assert evaluation.sums == {"blocks" if sums == "dense" else fast: COUNT}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9), min_size=1, max_size=12),
    st.sampled_from(["laplace", "gaussian", "student-t", "cosine", "von-mises", "wrapped-laplace"]),
    st.floats(0.01, 1e3),
    st.booleans(),
)
def test_the_length_of_other_problems_changes_nothing(
    lists: list[list[float]], kernel: str, bandwidth: float, circular: bool
) -> None:
    circular = circular or kernel in ("von-mises", "wrapped-laplace")
    angles, offsets = np.concatenate([np.array(angles) for angles in lists]), np.cumsum([0, *map(len, lists)])
    options: dict[str, Any] = {"kernel": kernel, "bandwidth": bandwidth, "circular": circular, "bins": 12}
    logits = np.sin(angles)
    losses, gradient = kg.loss_and_grad(angles, logits, target=(-30.5, 40.25), offsets=offsets, **options)
    for number, (begin, end) in enumerate(itertools.pairwise(offsets)):
        alone = kg.loss_and_grad(angles[begin:end], logits[begin:end], target=(-30.5, 40.25), **options)
        np.testing.assert_allclose(losses[number], alone[0], rtol=1e-11)
        np.testing.assert_allclose(gradient[begin:end], alone[1], rtol=1e-9, atol=1e-11)


def test_weights_of_a_batch_are_those_of_its_problems() -> None:
    """Each normalised within its problem, in rows and ragged; a weight of 0 is a mask."""
    angles, weights = np.array([[-40.0, 5.0, 33.0], [1.0, 2.0, 3.0]]), np.array([[1.0, 0.0, 3.0], [5.0, 5.0, 10.0]])
    rows = kg.Batch(angles, weights=weights, target=(-30, 30), bandwidth=20)
    np.testing.assert_allclose(kg.evaluate(rows).weights, [[0.25, 0, 0.75], [0.25, 0.25, 0.5]], rtol=1e-15)
    each = [kg.loss(*pair, target=(-30, 30), bandwidth=20) for pair in zip(angles, rows.logits, strict=True)]
    ragged = kg.loss(angles[0], weights=weights[0], offsets=[0, 3], target=(-30, 30), bandwidth=20)
    np.testing.assert_allclose(kg.evaluate(rows).losses, each, rtol=1e-14)
    np.testing.assert_allclose(ragged, each[:1], rtol=1e-14)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_several_blocks_of_one_batch(kernel: str) -> None:
    """By windows and by all pairs; in the first blocks are targets so wide that no window serves them."""
    rng = np.random.default_rng(11)
    count, bins = 2500, 40
    angles, logits = rng.uniform(-40, 40, (count, 20)), rng.normal(size=(count, 20))
    lows = rng.uniform(-30, 0, count)
    is_wide = (np.arange(count) % 50 == 7) & (np.arange(count) < 600)
    highs = lows + np.where(is_wide, 900.0, 20.0)  # 300 bandwidths
    batch = kg.Batch(angles, logits, target=(lows, highs), kernel=kernel, bandwidth=3.0, bins=bins)
    evaluation = kg.evaluate(batch, WRT)
    assert evaluation.sums == ({"windows": 2488, "blocks": 12} if kernel == "laplace" else {"blocks": 2500})
    for number in (0, 7, 557, 1207, 1800, 2457, 2499):
        alone = kg.evaluate(batch.problem(number), WRT)
        assert evaluation.losses[number] == pytest.approx(alone.loss, rel=RELATIVE)
        assert evaluation.log_bandwidth[number] == pytest.approx(alone.gradients.log_bandwidth, rel=1e-9)
        np.testing.assert_allclose(evaluation.gradients.logits[number], alone.gradients.logits, rtol=1e-9, atol=1e-14)
    of_bandwidth = kg.grad(
        angles, logits, target=(lows, highs), kernel=kernel, bandwidth=3.0, bins=bins, wrt="bandwidth"
    )
    np.testing.assert_array_equal(of_bandwidth, evaluation.log_bandwidth)


def test_shapes_and_names_of_what_is_returned() -> None:
    rng = np.random.default_rng(8)
    angles, logits = rng.uniform(-40, 40, (5, 3)), rng.normal(size=(5, 3))
    options: dict[str, Any] = {"target": (-10, 20), "bandwidth": 9.0}
    losses, gradient = kg.loss_and_grad(angles, logits, **options)
    assert losses.shape == (5,)
    assert gradient.shape == (5, 3)
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-14)
    every = kg.grad(angles, logits, wrt=WRT, **options)
    assert {name: values.shape for name, values in every.items()} == {
        "logits": (5, 3),
        "angles": (5, 3),
        "bandwidth": (5,),
    }
    np.testing.assert_array_equal(kg.grad(angles, logits, wrt="angles", **options), every["angles"])
    np.testing.assert_allclose(every["logits"], gradient, rtol=1e-13, atol=1e-16)
    ragged = kg.loss_and_grad(angles.ravel(), logits.ravel(), offsets=[0, 3, 6, 9, 12, 15], **options)
    np.testing.assert_array_equal(ragged[0], losses)
    np.testing.assert_array_equal(ragged[1], gradient.ravel())
    assert isinstance(kg.loss(angles[0], logits[0], **options), float)
    alone = kg.grad(angles[0], logits[0], wrt=WRT, **options)
    for name, values in every.items():
        np.testing.assert_allclose(values[0], alone[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_gradient_is_that_of_the_reduced_loss(reduction: str) -> None:
    """By differences of the reduced loss."""
    rng = np.random.default_rng(9)
    angles, logits, step = rng.uniform(-40, 40, (4, 3)), rng.normal(size=(4, 3)), 1e-5
    options: dict[str, Any] = {"target": (rng.uniform(-20, 0, 4), 25.0), "bandwidth": 19.0, "reduction": reduction}
    options["kernel"] = "gaussian"
    value, slopes = kg.loss_and_grad(angles, logits, wrt=WRT, **options)
    alone = [
        kg.loss(x, z, **{**options, "target": (low, 25.0), "reduction": "none"})
        for x, z, low in zip(angles, logits, options["target"][0], strict=True)
    ]
    assert value == pytest.approx(np.mean(alone) if reduction == "mean" else np.sum(alone), rel=1e-14)
    for name in ("angles", "logits"):
        for place in ((0, 0), (2, 1), (3, 2)):
            moved = []
            for sign in (1.0, -1.0):
                inputs = {"angles": angles.copy(), "logits": logits.copy()}
                inputs[name][place] += sign * step
                moved.append(kg.loss(**inputs, **options))
            assert slopes[name][place] == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-6, abs=1e-9)
    up, down = (kg.loss(angles, logits, **{**options, "bandwidth": 19.0 * math.exp(d)}) for d in (step, -step))
    assert slopes["bandwidth"] == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_an_infinite_loss_is_that_of_its_problem_alone() -> None:
    angles = np.array([[0.0, 5.0], [70.0, 80.0], [1.0, 2.0]])
    options: dict[str, Any] = {"target": (-10, 10), "kernel": "biweight", "bandwidth": 30.0}
    losses, gradient = kg.loss_and_grad(angles, wrt=WRT, **options)
    assert np.isinf(losses).tolist() == [False, True, False]
    for name in ("logits", "angles"):
        assert np.isnan(gradient[name]).all(axis=1).tolist() == [False, True, False]
        assert np.isfinite(gradient[name][[0, 2]]).all()
    assert np.isnan(gradient["bandwidth"]).tolist() == [False, True, False]
    mean, of_mean = kg.loss_and_grad(angles, reduction="mean", **options)
    assert mean == math.inf
    np.testing.assert_allclose(of_mean, gradient["logits"] / 3, rtol=1e-15)
    evaluation = kg.evaluate(kg.Batch(angles, **options))
    assert (evaluation.loss, evaluation.is_finite) == (math.inf, False)


def test_masked_points_take_no_part() -> None:
    """Not even far out, or with an angle of any size."""
    angles = np.array([[3.0, 40.0, -20.0], [5.0, 7.0, 1e300]])
    logits = np.array([[0.0, 1.0, -math.inf], [0.3, 0.2, -math.inf]])
    for kernel in ("laplace", "gaussian", "cauchy", "cosine"):
        options: dict[str, Any] = {"target": ([0.0, 2.0], [9.0, 8.0]), "kernel": kernel, "bandwidth": 50.0, "bins": 9}
        losses, gradient = kg.loss_and_grad(angles, logits, **options)
        fewer = kg.loss_and_grad(angles[:, :2], logits[:, :2], **options)
        np.testing.assert_allclose(losses, fewer[0], rtol=1e-13)
        np.testing.assert_allclose(gradient[:, :2], fewer[1], rtol=1e-11, atol=1e-15)
        assert gradient[:, 2].tolist() == [0.0, 0.0]


ANGLES = np.arange(12.0).reshape(4, 3)
WITH_NAN, MASKED = ANGLES.copy(), np.zeros((4, 3))
WITH_NAN[1, 2] = WITH_NAN[3, 0] = math.nan
MASKED[2] = -math.inf


@pytest.mark.parametrize(
    ("angles", "options", "messages"),
    [
        (
            WITH_NAN,
            {"target": (0, 1)},
            ["problem 1: point 2: angle nan: give a finite", "problem 3: point 0: angle nan"],
        ),
        (ANGLES, {"logits": MASKED, "target": (0, 1)}, ["problem 2: no point has a positive weight"]),
        (
            ANGLES,
            {"logits": -WITH_NAN, "target": (0, 1)},
            ["problem 1: point 2: logit nan: give a finite number, or -inf"],
        ),
        (ANGLES, {"logits": np.zeros(3), "target": (0, 1)}, ["angles of shape (4, 3) but logits of shape (3,)"]),
        (
            ANGLES,
            {"target": ([0, 5, 2, 9], 5)},
            ["problem 1: target: low 5 is not below high 5", "problem 3: target: low 9 is not below high 5"],
        ),
        (ANGLES, {"target": ([0, -math.inf, 2, 3], 5)}, ["problem 1: target: [-inf, 5.0] is not finite"]),
        (
            ANGLES,
            {"target": ([0, 0, 0, 0], [1, 2, 999, 4]), "circular": True},
            ["problem 2: target: [0, 999] is 999 wide"],
        ),
        (ANGLES, {"target": ([0, 1, 2], 5)}, ["target: low: [0, 1, 2] has the shape (3,), and there are 4 problems"]),
        (
            ANGLES,
            {"weights": [[1, 1, 1], [1, -1, 1], [0, 0, 0], [1, 1, math.nan]], "target": (0, 1)},
            [
                "problem 1: point 1: weight -1.0: give a finite number of at least 0",
                "problem 2: no point has a positive weight: all its weights are 0: leave it out",
                "problem 3: point 2: weight nan",
            ],
        ),
        (ANGLES, {"weights": ANGLES, "logits": ANGLES, "target": (0, 1)}, ["weights: there are logits too"]),
        (ANGLES, {"target": np.array([1, 2])}, ["an interval is a tuple of low and high"]),
        (
            ANGLES,
            {"target": [1, math.nan, 3, math.inf]},
            ["problem 1: target nan: give a finite", "problem 3: target inf"],
        ),
        (ANGLES, {"target": kg.Points([1, 2], offsets=[0, 1, 2])}, ["target: points of 2 problems, but there are 4"]),
        (ANGLES, {"target": "ab"}, ["target: 'ab' is not an array of numbers"]),
        (ANGLES, {}, ["no target is given"]),
        (ANGLES, {"target": 3.0, "at": 2.0}, ["at: is one target point, and target has others"]),
        (ANGLES, {"target": 3.0, "background": 0.1}, ["background: spreads over the target's width"]),
        (ANGLES, {"target": (0, 1), "reduction": "median"}, ["reduction: unknown 'median': choose none, mean, sum"]),
        (ANGLES, {"target": (0, 1), "offsets": [0, 4]}, ["angles: shape (4, 3), but with offsets one row"]),
        (ANGLES[0], {"target": (0, 1), "offsets": [0, 2, 1, 3]}, ["problem 1: offsets of the points fall from 2 to 1"]),
        (ANGLES[0], {"target": (0, 1), "offsets": [0, 3, 3]}, ["problem 1: it has none of the points (offsets 3, 3)"]),
        (ANGLES[0], {"target": (0, 1), "offsets": [0, 2]}, ["they go from 0 to 2, and there are 3"]),
        (ANGLES[0], {"target": (0, 1), "reduction": "mean"}, ["reduction: 'mean' is for the losses of a batch"]),
        (ANGLES[:, :0], {"target": (0, 1)}, ["angles: shape (4, 0)"]),
        (ANGLES[np.newaxis], {"target": (0, 1)}, ["angles: shape (1, 4, 3)"]),
    ],
)
def test_what_cannot_be_used_is_refused_and_named(angles: Any, options: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(kg.KdegradError) as raised:
        kg.loss(angles, **options)
    for message in messages:
        assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": [0, 1, 1]}, "order: [0, 1, 1] does not have each of the numbers 0 to 2 once"),
        ({"order": [0, 1]}, "order: [0, 1] does not"),
        ({"order": [0.0, 1.0, 2.0]}, "order: [0.0, 1.0, 2.0] does not"),
        ({"names": ["a"]}, "names: ['a'] is not a list of 2 texts, one for each problem"),
        ({"labels": ["a", "b"]}, "labels: ['a', 'b'] is not a list of 3 texts, one for each point"),
        ({"names": [1, 2]}, "names: [1, 2] is not a list of 2 texts"),
        ({"labels": 7}, "labels: 7 is not a list of 3 texts"),
    ],
)
def test_an_order_and_names_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(kg.InputError, match=re.escape(message)):
        kg.Batch([1.0, 2.0, 3.0], offsets=[0, 1, 3], target=(0, 1), **options)


def test_only_the_logits_that_are_wrong_are_named() -> None:
    logits = np.zeros((3, 2))
    logits[0, 1], logits[2] = math.inf, [-math.inf, math.nan]
    with pytest.raises(kg.InputError) as refused:
        kg.Batch(np.zeros((3, 2)), logits, target=(0, 1))
    assert [line[:29] for line in str(refused.value).splitlines()] == [
        "problem 0: point 1: logit inf",
        "problem 2: point 1: logit nan",
    ]
    with pytest.raises(kg.InputError, match="labels: "):
        kg.Batch(np.zeros((1, 2)), labels=["a", 2], target=(0, 1))


def test_every_point_has_the_problem_that_has_its_place() -> None:
    """In rows, between offsets and in any order; points that are wrong are counted within their problem."""
    rows = kg.Batch(np.zeros((2, 3)), target=(0, 1))
    assert rows.problem_of_point.tolist() == [0, 0, 0, 1, 1, 1]
    options: dict[str, Any] = {"offsets": [0, 1, 3, 6], "order": [4, 0, 5, 1, 2, 3], "target": (0, 1)}
    batch = kg.Batch(np.zeros(6), **options)
    assert batch.problem_of_point.tolist() == [1, 2, 2, 2, 0, 1]
    for number in range(3):
        assert (batch.problem_of_point[batch.places(number)] == number).all()
    with pytest.raises(kg.InputError, match=r"problem 1: point 1: angle nan.*\nproblem 2: point 2: angle nan"):
        kg.Batch([0, 0, 0, math.nan, 0, math.nan], **options)


@pytest.mark.parametrize("target", ["interval", "points"])
@pytest.mark.parametrize("counts", [[4] * COUNT, [1, 4, 2, 7, 3, 4, 50]])
def test_blocks_have_each_problem_once_and_no_more_than_they_may(counts: list[int], target: str) -> None:
    """Their arrays have the length of the longest problem, by which it counts how many fit; one always does."""

    def most(points: int, nodes: int) -> int:
        return 60 // (points * nodes)

    offsets = np.cumsum([0, *counts])
    options = target_of(target, np.random.default_rng(3))
    batch = kg.Batch(np.zeros(offsets[-1]), offsets=offsets, bins=5, **options)
    blocks = list(batch.blocks(np.arange(COUNT), most))
    assert sorted(problem for block in blocks for problem in block.problems) == [*range(COUNT)]
    for block in blocks:
        (size, points), nodes = block.angles.shape, block.nodes.shape[1]
        assert points == batch.counts[block.problems].max()
        assert nodes == batch.node_counts[block.problems].max()
        assert size == 1 or size <= most(points, nodes)
    if min(counts) == max(counts) and target == "interval":
        assert [len(block.problems) for block in blocks] == [3, 3, 1]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"target": (0, 9)}, True),
        ({"target": ([0, 0, 0], [9, 9, 9])}, True),
        ({"target": ([0, 1, 0], 9)}, False),
        ({"target": (0, [9, 9, 8])}, False),
        ({"at": 3.0}, True),
        ({"target": np.array([3.0, 4.0, 5.0])}, False),
        ({"target": kg.Points([1.0, 2.0])}, True),
        ({"target": kg.Points([1.0, 2.0, 3.0], offsets=[0, 1, 2, 3])}, False),
        ({"target": np.array([3.0, 3.0, 3.0])}, True),
        ({"target": kg.Points([1.0, 2.0, 2.0, 1.0, 1.0, 2.0], offsets=[0, 2, 4, 6])}, True),
        ({"target": kg.Points([1.0, 2.0, 1.0, 2.0], offsets=[0, 2, 3, 4])}, False),
        ({"target": kg.Points([1.0, 2.0], [[1.0, 1.0], [2.0, 2.0], [1.0, 2.0]])}, False),
    ],
)
def test_whether_all_problems_have_one_target(target: dict[str, Any], expected: bool) -> None:
    assert kg.Batch(np.zeros((3, 2)), **target).has_one_target is expected


def test_a_batch_does_not_change() -> None:
    offsets, order, low = np.array([0, 1, 3]), np.array([2, 0, 1]), np.array([0.0, 1.0])
    angles, logits = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3])
    batch = kg.Batch(angles, logits, offsets=offsets, order=order, target=(low, 9.0))
    for array in (batch.angles, batch.logits, batch.offsets, batch.order, *batch.intervals):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    offsets[1], order[0], low[0], angles[0], logits[0] = 2, 0, 5.0, 7.0, 7.0  # the caller's own stay theirs
    assert (batch.angles[0], batch.logits[0]) == (1.0, 0.1)
    assert (batch.offsets[1], batch.order[0], batch.intervals[0][0]) == (1, 2, 0.0)


def test_many_faults_are_counted() -> None:
    with pytest.raises(kg.InputError, match=re.escape("and 80 more faults (100 in all)")):
        kg.loss(np.full((100, 1), math.nan), target=(0, 1))


def test_a_problem_is_called_by_its_name() -> None:
    with pytest.raises(kg.InputError, match="group 'img_2': point 1: angle nan"):
        kg.Batch([1.0, 2.0, math.nan], offsets=[0, 1, 3], names=["img_1", "img_2"], target=(0, 1))


def test_two_problems_tell_an_interval_from_observed_angles() -> None:
    """A tuple or a list of two is an interval for both; an array (2,) is an observed angle of each."""
    angles = ANGLES[:2]
    interval = kg.loss(angles, target=[5.0, 6.0])
    np.testing.assert_array_equal(kg.loss(angles, target=(5.0, 6.0)), interval)
    observed = kg.loss(angles, target=np.array([5.0, 6.0]))
    assert observed.tolist() == [kg.loss(angles[0], at=5.0), kg.loss(angles[1], at=6.0)]
    assert (observed != interval).all()


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "cosine"])
def test_numbers_do_not_depend_on_what_numpy_is_told_of_errors(kernel: str) -> None:
    options: dict[str, Any] = {"target": (0.0, 1.0), "kernel": kernel, "bandwidth": 1e-3}
    far = ANGLES * 1e3
    expected = kg.loss_and_grad(far, **options), kg.loss_and_grad(far[0], **options)
    with np.errstate(all="raise"):
        found = kg.loss_and_grad(far, **options), kg.loss_and_grad(far[0], **options)
        kg.evaluate(kg.Batch(far, **options), WRT)
        kg.evaluate(kg.Problem(far[1], **options), WRT)
        kg.loss(far, **options)
    for one, other in zip(found, expected, strict=True):
        for got, want in zip(one, other, strict=True):
            np.testing.assert_array_equal(got, want)


# --- Threads ---------------------------------------------------------------------------------------------------------


def many_pairs(kernel: str) -> kg.Batch:
    """Return a batch worth two threads: rows, and with another kernel than gaussian ragged, with infinite losses."""
    rng = np.random.default_rng(5)
    counts = np.full(160, 20) if kernel == "gaussian" else rng.integers(1, 40, 160)
    offsets, lows = np.append(0, np.cumsum(counts)), rng.uniform(-40, 0, 160)
    points = rng.uniform(-60, 60, (2, offsets[-1]))
    target: Any = (lows, lows + 20)
    return kg.Batch(*points, offsets=offsets, target=target, kernel=kernel, bandwidth=9.0, circular=True, bins=800)


def watched(monkeypatch: pytest.MonkeyPatch, threads: int, failing: str = "") -> list[str]:
    """Have threads form the kernel, each its first block while all have one; return who formed each.

    The thread `failing`, "caller" or "other", is interrupted in its first block, half a second before that of the other
    ends.
    """
    formed, both, shape, caller = [], threading.Barrier(threads, timeout=20), Gaussian.log_shape, threading.get_ident()

    def log_shape(self: Gaussian, d: Any) -> Any:
        name = "caller" if threading.get_ident() == caller else "other"
        is_first = name not in formed
        formed.append(name)
        assert np.geterr()["divide"] == "ignore"
        if is_first:
            both.wait()
        if name == failing:
            raise KeyboardInterrupt
        if failing:
            time.sleep(0.5)
        return shape(self, d)

    monkeypatch.setattr(Gaussian, "log_shape", log_shape)
    return formed


@pytest.mark.parametrize("kernel", ["gaussian", "triangular", "von-mises"])
def test_numbers_are_the_same_with_any_number_of_threads(kernel: str) -> None:
    batch, wanted = many_pairs(kernel), (*OF_POINTS, *OF_PROBLEMS)
    expected, sums = computed(batch, wanted)
    assert np.isinf(expected["losses"]).any() == (kernel == "triangular")
    found, also = computed(batch, wanted, threads=2)
    assert also == sums
    for name in wanted:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_are_shared_by_threads_which_then_end(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, before = many_pairs("gaussian"), threading.active_count()
    formed = watched(monkeypatch, threads)
    computed(batch, ["losses"], threads)
    assert sorted(set(formed)) == ["caller", "other"][:threads]
    assert threading.active_count() == before


@pytest.mark.parametrize("failing", ["caller", "other"])
def test_an_interrupt_in_a_thread_ends_all(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, before = many_pairs("gaussian"), threading.active_count()
    formed = watched(monkeypatch, 2, failing)
    with pytest.raises(KeyboardInterrupt):
        computed(batch, ["losses"], threads=2)
    assert sorted(formed) == ["caller", "other"]
    assert threading.active_count() == before


def test_where_no_thread_can_be_started_one_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the interpreter is about to end."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    batch = many_pairs("gaussian")
    expected, _ = computed(batch, ["losses"])
    monkeypatch.setattr(threading.Thread, "start", start)
    np.testing.assert_array_equal(computed(batch, ["losses"], threads=3)[0]["losses"], expected["losses"])


def test_where_one_problem_is_needed_a_batch_is_refused() -> None:
    batch = kg.Batch(ANGLES, target=(0, 1))
    for call in (kg.verify, kg.descend, lambda problem: kg.sweep(problem, "bins", [3])):
        with pytest.raises(kg.InputError, match="Batch is not a problem"):
            call(batch)
    with pytest.raises(kg.InputError, match="list is not a problem"):
        kg.evaluate([batch])


@pytest.mark.parametrize("number", [-1, 2])
def test_a_problem_that_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(kg.InputError, match=f"there is no problem {number}: give a number from 0 to 1"):
        kg.Batch([[1.0], [2.0]], target=(0, 1)).problem(number)


def test_the_rounding_of_the_angles_is_the_largest_of_the_problems() -> None:
    angles = np.array([[1e8, 1e8 + 1.0], [0.5, 1.0]])
    batch = kg.Batch(angles, target=([1e8, 0.0], [1e8 + 3.0, 3.0]), kernel="gaussian", bandwidth=1e-3)
    alone = [kg.evaluate(batch.problem(number)).input_rounding for number in range(2)]
    assert kg.evaluate(batch).input_rounding == pytest.approx(max(alone), rel=0.02)  # its ends are not the nodes


def test_the_rounding_of_angles_among_target_points_is_that_of_as_many_nodes() -> None:
    """Where a point is inside the target, the slope is that at the width of a bin: of a point, not of the option."""
    observed = kg.Points([1e8, 1e8 + 3.0, 0.0, 1.0, 2.0], offsets=[0, 2, 5])
    batch = kg.Batch([[1e8 + 1.0, 1e8 + 2.0], [0.5, 1.0]], target=observed, kernel="gaussian", bandwidth=0.7)
    alone = [kg.evaluate(batch.problem(number)).input_rounding for number in range(2)]
    assert kg.evaluate(batch).input_rounding == pytest.approx(max(alone), rel=1e-14)
