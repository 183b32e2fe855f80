"""Pins down targets: intervals, and weighted angles as nodes, with their hull, in every form that a caller may give.

That L and the gradients are right for them is pinned down by test_accuracy.py, for every kernel; here their weights are
compared with rational numbers, their hull with a search over all arcs, and many of them with 50 digits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad as kg
from kdegrad.domain import Circle, Line
from kdegrad.targets import Interval, arranged
from tests import problems
from tests.measure import measure

ROUNDED = 1e-15  # relative, of a weight: two divisions and a sum
POINTS = kg.Points([20.0, -5.0, 7.0, 20.0], [1.0, 0.0, 3.0, 0.5])
WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-300, 1e300))


@given(st.lists(WEIGHTS, min_size=1, max_size=30).filter(any))
def test_weights_add_up_to_1_whatever_their_size(weights: list[float]) -> None:
    rule = kg.Points(np.zeros(len(weights)), weights).rule()
    total = sum(map(Fraction, weights))
    exact = [float(Fraction(weight) / total) for weight in weights if weight > 0.0]
    np.testing.assert_allclose(rule.weights, exact, rtol=ROUNDED * 30, atol=1e-305)
    assert math.fsum(rule.weights) == pytest.approx(1.0, rel=ROUNDED * 30)


def test_a_weight_that_underflows_beside_another_still_takes_part() -> None:
    """Its q is 0 as a float64; but where p is 0 it makes the loss infinite."""
    target = {"angle": [0.0, 50.0], "weight": [1e300, 1e-300]}
    problem = kg.Problem([0.5], target=target, kernel="uniform", bandwidth=2)
    evaluation = kg.evaluate(problem)
    assert evaluation.loss == math.inf
    assert evaluation.diagnostics.uncovered.tolist() == [50.0]
    assert kg.loss([0.5], target={"angle": [0.0, 50.0], "weight": [1.0, 0.0]}, kernel="uniform", bandwidth=2) == (
        pytest.approx(-math.log(0.25), rel=1e-15)
    )


def arcs(places: list[float], period: float) -> list[tuple[float, float]]:
    """Return start and length of the arcs that begin at one of the places, go upward, and hold all."""
    return [(start, max((place - start) % period for place in places)) for start in places]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=12), st.integers(1, 720))
def test_the_hull_on_a_circle_is_the_shortest_arc(places: list[int], period: int) -> None:
    """In whole numbers, which are exact; the first of equal gaps from 0 upward is the one that is left out."""
    hull = kg.Points(places).hull(Circle(float(period)))
    shortest = min(length for _, length in arcs(places, period))
    assert hull.width == shortest
    found = [start % period for start, length in arcs(places, period) if length == shortest]
    ends = [(start + shortest) % period for start in found]
    assert hull.low % period == found[ends.index(min(ends))]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_the_hull_on_the_line_goes_from_the_first_to_the_last(places: list[float]) -> None:
    assert kg.Points(places).hull(Line()) == Interval(min(places), max(places))


def test_a_point_of_weight_0_is_not_in_the_hull() -> None:
    assert POINTS.hull(Line()) == Interval(7.0, 20.0)
    problem = kg.Problem([1.0], target=POINTS)
    assert (problem.centre, problem.interval) == (13.5, Interval(7.0, 20.0))
    assert problem.rule.nodes.tolist() == [20.0, 7.0, 20.0]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-400, 400), WEIGHTS), min_size=1, max_size=6).filter(
            lambda points: any(weight for _, weight in points)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_targets_of_many_problems_are_those_of_each(lists: list[list[tuple[float, float]]]) -> None:
    """Their hulls, and the nodes in order with their weights; bit for bit, as one function makes both."""
    flat = np.array([point for points in lists for point in points])
    offsets = np.cumsum([0, *map(len, lists)])
    for domain in (Line(), Circle(360.0)):
        together = arranged(kg.Points(flat[:, 0], flat[:, 1], offsets), domain)
        for problem, points in enumerate(lists):
            alone = kg.Points(*np.array(points).T)
            hull = alone.hull(domain)
            assert (together.lows[problem], together.highs[problem]) == hull
            chosen = slice(*together.offsets[problem : problem + 2])
            rule = alone.rule()
            assert sorted(zip(rule.nodes, rule.weights, strict=True)) == sorted(
                zip(together.nodes[chosen], together.weights[chosen], strict=True)
            )
            upward = together.nodes[chosen] - hull.low
            if domain.measure < math.inf:
                turns = np.rint((upward - 0.5 * hull.width) / domain.measure)  # into the turn about the hull's middle
                upward = upward - turns * domain.measure
            assert (np.diff(upward) >= -ROUNDED * 1e3).all()
            assert upward.min() >= -ROUNDED * 1e3
            assert upward.max() <= hull.width + ROUNDED * 1e3


@pytest.mark.parametrize("count", [1, 2, 30, 2000])
@pytest.mark.parametrize("kernel", ["gaussian", "laplace", "cauchy", "biweight"])
def test_any_number_of_target_points(kernel: str, count: int) -> None:
    """Against 50 digits; with 2,000 the fast sums are in use where they pay."""
    rng = np.random.default_rng(count)
    target = {"angle": rng.uniform(-90, 90, count), "weight": 10.0 ** rng.uniform(-300, 300, count)}
    problem = kg.Problem(problems.SPREAD, problems.LOGITS, target=target, kernel=kernel, bandwidth=181.3)
    for sums in ("auto", "fast") if count > 30 else ("auto",):
        assert {name: ratio for name, ratio in measure(problem.replace(sums=sums)).items() if not ratio <= 1.0} == {}


@pytest.mark.parametrize(
    "target",
    [
        7.5,
        {"angle": [7.5]},
        kg.Points([7.5, 99.0], [2.0, 0.0]),
        {"angle": np.array([7.5, 7.5]), "weight": (1, 3)},
    ],
)
def test_every_form_of_a_target_is_the_same(target: Any) -> None:
    angles, logits, options = [3.0, -40.0, 25.0], [0.5, 0.0, -1.0], {"bandwidth": 11.0, "kernel": "gaussian"}
    expected = kg.loss(angles, logits, at=7.5, **options)
    assert kg.loss(angles, logits, target=target, **options) == pytest.approx(expected, rel=1e-15)


def test_target_points_stand_in_place_of_a_quadrature() -> None:
    problem = kg.Problem([1.0, 2.0], target=POINTS, bins=7, rule="exact")
    evaluation = kg.evaluate(problem)
    assert (problem.rule_name, problem.target, evaluation.kl) == ("points", None, None)
    assert evaluation.rule.bins == 3
    assert problem.replace(bandwidth=2.0).observed is POINTS


def test_a_background_beside_target_points_is_that_of_the_circle() -> None:
    problem = kg.Problem([1.0], target=POINTS, circular=True, background=0.5, bandwidth=10)
    shares = kg.Points.rule(POINTS).weights
    at = [0.5 * float(np.exp(-kg.loss([1.0], at=x, circular=True, bandwidth=10))) + 0.5 / 360 for x in (20, 7, 20)]
    assert kg.evaluate(problem).loss == pytest.approx(-float(shares @ np.log(at)), rel=1e-14)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ({"angle": [1.0], "logit": [2.0]}, {}, "a mapping of 'angle', 'logit': give 'angle', and 'weight' or nothing"),
        ({}, {}, "a mapping of nothing"),
        ({"angle": [1.0, math.nan]}, {}, "target point 1: angle nan is a missing value"),
        (
            {"angle": [1.0, 2.0], "weight": [1.0, -2.0]},
            {},
            "target point 1: weight -2.0: give a finite number of at least 0",
        ),
        ({"angle": [1.0, 2.0], "weight": [1.0, math.inf]}, {}, "target point 1: weight inf"),
        ({"angle": [1.0, 2.0], "weight": [0.0, 0.0]}, {}, "no target point has a positive weight"),
        ({"angle": [1.0, 2.0], "weight": [1.0]}, {}, "2 target points but 1 weights"),
        ({"angle": []}, {}, "target points: shape"),
        ({"angle": [1.0]}, {"background": 0.1}, "background: spreads over the target's width"),
        ({"angle": [1.0]}, {"at": 3.0}, "at: is one target point, and target has others"),
        (POINTS, {"at": 3.0}, "at: is one target point"),
    ],
)
def test_target_points_that_cannot_be_used_are_refused(target, options, message: str) -> None:
    with pytest.raises(kg.KdegradError, match=message.replace("(", r"\(")):
        kg.Problem([1.0], target=target, **options)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 3, 2, 4], "problem 1: offsets of the target points fall from 3 to 2: give offsets that rise"),
        ([0, 2, 2, 4], "problem 1: it has none of the target points"),
        ([1, 2, 5], "they go from 1 to 5, and there are 4: give offsets from 0 to 4"),
        ([0.5, 4], "are not G\\+1 whole numbers"),
        ([4], "are not G\\+1 whole numbers"),
        ([0, 1, 2, 4], "no target point of problem 1 has a positive weight"),
    ],
)
def test_offsets_of_target_points_that_cannot_be_used_are_refused(offsets: list[float], message: str) -> None:
    with pytest.raises(kg.InputError, match=message):
        kg.Points(POINTS.angles, POINTS.weights, offsets)


def test_rows_of_target_points_are_those_of_each_problem() -> None:
    """Soft labels of problems over the same angles, and angles and weights in rows."""
    angles, weights = np.arange(-20.0, 30.0, 10.0), np.array([[1, 2, 0, 0, 0], [0, 0, 3, 1, 1]])
    rows = kg.Points(np.tile(angles, 2), weights.ravel(), [0, 5, 10])
    for points in (kg.Points(angles, weights), kg.Points(np.tile(angles, (2, 1)), weights)):
        for name in ("angles", "weights", "offsets"):
            np.testing.assert_array_equal(getattr(points, name), getattr(rows, name))
    assert kg.Points([[1.0, 2.0]]).offsets.tolist() == [0, 2]
    model = np.array([[3.0, -40.0, 25.0], [9.0, 0.0, 1.0]])
    losses = kg.loss(model, target=kg.Points(angles, weights), bandwidth=11.0)
    for loss, points, label in zip(losses, model, weights, strict=True):
        alone = kg.loss(points, target={"angle": angles, "weight": label}, bandwidth=11.0)
        assert loss == pytest.approx(alone, rel=1e-14)
    with pytest.raises(kg.InputError, match=r"of shape \(4,\) but weights of shape \(2, 5\): give equal shapes"):
        kg.Points(angles[:4], weights)
    with pytest.raises(kg.InputError, match="shape"):
        kg.Points(np.zeros((2, 3)), offsets=[0, 3, 6])


def test_target_points_do_not_change() -> None:
    angles, weights = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    points = kg.Points(angles, weights)
    angles[0] = weights[0] = 7.0  # the caller's own stay theirs
    assert (points.angles.tolist(), points.weights.tolist()) == ([1.0, 2.0], [0.5, 1.0])
    for array in (points.angles, points.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_one_problem_has_one_target() -> None:
    with pytest.raises(kg.SettingError, match="are those of several problems, and this is one"):
        kg.Problem([1.0], target=kg.Points([1.0, 2.0], offsets=[0, 1, 2]))


def test_em_ends_at_the_least_loss_for_target_points_too() -> None:
    """The loss is convex in the weights for any nodes: no other weights have a lower loss than the gap allows."""
    start = kg.Problem(problems.SPREAD, target={"angle": problems.OBSERVED, "weight": problems.SHARES}, bandwidth=9.0)
    done = kg.descend(start, optimizer="em", steps=5000, tolerance=1e-10)
    assert done.converged
    assert done.rises == 0
    rng = np.random.default_rng(0)
    for _ in range(200):
        logits = np.logaddexp(done.end.problem.logits, rng.normal(-3.0, 3.0, len(problems.SPREAD)))
        assert kg.evaluate(start.replace(logits=logits), wrt=()).loss >= done.end.loss - 1e-10


def test_a_sweep_over_bins_or_a_background_needs_an_interval() -> None:
    problem = kg.Problem([1.0], target=POINTS)
    with pytest.raises(
        kg.SettingError, match=r"bins: the target's points stand for them: take target=\(low, high\) alone"
    ):
        kg.sweep(problem, "bins", [3])
    with pytest.raises(kg.SettingError, match=r"background spreads over the target's width, .*: take an interval"):
        kg.sweep(problem, "background", [0.1])


@pytest.mark.parametrize("sums", ["dense", "fast"])
def test_a_light_target_point_far_out_takes_no_more_than_its_weight(sums: str) -> None:
    """There log(q/p) has lost all digits of q, which is below the least q of a node beside a background."""
    angles, logits = 1e6 + np.array([0.0, 1e-3, 2.0]), [-1e4, 1e4, 2e4]
    of = {"kernel": "gaussian", "bandwidth": 1e-6, "sums": sums}
    alone = kg.grad(angles, logits, target=kg.Points([3.0]), **of)
    light = kg.Points([3.0, -60.0, 170.0], [1e300, 1.0, 1e-5])
    np.testing.assert_allclose(kg.grad(angles, logits, target=light, **of), alone, atol=1e-12)
    np.testing.assert_allclose(kg.grad([angles], [logits], target=light, **of), [alone], atol=1e-12)


def test_ends_in_the_wrong_order_are_told_the_numbers_that_would_do() -> None:
    """The nearest upper end above the lower one, whole turns on; where most ends are swapped that is said instead."""

    def said(low: Any, high: Any, **options: Any) -> str:
        count = np.size(low)
        with pytest.raises(kg.KdegradError) as caught:
            kg.loss(np.zeros((count, 1)) if count > 1 else [0.0], target=(low, high), **options)
        return str(caught.value).splitlines()[0]

    circle = {"circular": True}
    assert said(174.929, -175.071, **circle).endswith(
        "give low < high (target=(174.929, 184.929) if it crosses the wrap)"
    )
    assert said(350.0, -700.0, **circle).endswith("(target=(350, 380) if it crosses the wrap)")
    assert said(174.929, -175.071).endswith("is not below high -175.071: give low < high")
    several = said([0.0, 175.0, 9.0], [9.0, -175.0, 20.0], **circle)
    assert several.endswith("give low < high (175 185 if it crosses the wrap: add 360 to high)")
    assert said([10.0, 175.0, 20.0], [9.0, 178.0, 9.0], **circle).endswith("swapped? exchange the two")
    assert said([350.0, 175.0], [-10.0 + 5.0, -175.0], **circle).endswith("add 360 to high)")
    assert said(3.0, 3.0, **circle).endswith("low 3 is not below high 3: one observed angle? give target=3.0")
    assert said([3.0, 4.0], [3.0, 4.0]).endswith("one observed angle? give target=ANGLES, one for each problem")
