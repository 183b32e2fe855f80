"""Pins down the rules midpoint, gauss and at: their nodes, weights that sum to 1, the polynomials they integrate.

Gauss-Legendre is compared with NumPy's `leggauss` up to 200 nodes and with zeros of P_n in 40 digits up to 10⁴; it
integrates polynomials of degree 2B-1 exactly.
"""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from kdegrad import Problem, SettingError
from kdegrad.quadrature import gauss, legendre, midpoint
from tests import oracle

# Nodes in [-1, 1] have an error of a few roundings of 1.
NODE = 4 * oracle.EPS
# NumPy computes weights at the rounded nodes: next to ±1, where 1 - x² is small, small weights lose digits.
NUMPY_WEIGHT = 1e-14
# The recurrence rounds n times, and next to ±1, where P_n grows to 1 within 1/n², the weight takes all of that error:
# relative 2e-11 for the outermost of 10⁴, a weight of 7e-8, which is 1e-18 of the sum.
WEIGHT = oracle.EPS
# A mean of B terms of size 1, and of 10⁷.
SUM = 1e-14
LONG_SUM = 1e-13


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 10, 31, 64, 101, 200])
def test_legendre_is_numpys(count):
    nodes, weights = legendre(count)
    exact_nodes, exact_weights = np.polynomial.legendre.leggauss(count)
    np.testing.assert_allclose(nodes, exact_nodes, rtol=0, atol=NODE)
    np.testing.assert_allclose(weights, exact_weights, rtol=0, atol=NUMPY_WEIGHT)


def test_legendre_has_its_symmetry_and_order():
    for count in (6, 7, 1000, 1001):
        nodes, weights = legendre(count)
        assert (np.diff(nodes) > 0).all()
        assert (weights > 0).all()
        np.testing.assert_array_equal(nodes, -nodes[::-1])
        np.testing.assert_array_equal(weights, weights[::-1])


@pytest.mark.parametrize(("count", "roundings"), [(10, 3), (201, 8), (10_000, 32)])
def test_every_weight_is_accurate(count, roundings):
    """Some nodes, including the outermost, beside zeros of P_n by Newton's method in 40 digits, with their weights."""
    nodes, weights = legendre(count)
    for index in {0, 1, count // 70, count // 4, count // 2 - 1}:
        with mp.workdps(40):
            x = mpf(nodes[index])
            for _ in range(2):
                value, slope = legendre_in_mpmath(count, x)
                x -= value / slope
            _, slope = legendre_in_mpmath(count, x)
            weight = 2 / ((1 - x * x) * slope * slope)
            assert abs(mpf(nodes[index]) - x) < NODE
            assert abs(mpf(weights[index]) / weight - 1) < roundings * WEIGHT * count


def legendre_in_mpmath(count, x):
    previous, value = mpf(1), x
    for k in range(1, count):
        previous, value = value, ((2 * k + 1) * x * value - k * previous) / (k + 1)
    return value, count * (previous - x * value) / (1 - x * x)


@pytest.mark.parametrize("bins", [1, 2, 3, 8, 20])
def test_gauss_is_exact_for_polynomials_of_degree_2b_minus_1(bins):
    rule = gauss(-1.0, 3.0, bins)
    for degree in range(2 * bins):
        u = 0.5 * (rule.nodes - 1.0)  # in [-1, 1]
        exact = 1.0 / (degree + 1) if degree % 2 == 0 else 0.0
        assert rule.weights @ u**degree == pytest.approx(exact, abs=SUM)
    assert rule.weights @ u ** (2 * bins) != pytest.approx(1.0 / (2 * bins + 1), abs=SUM)


def test_gauss_converges_on_a_smooth_function_faster_than_any_power():
    def mean(bins):
        rule = gauss(0.0, 1.0, bins)
        return rule.weights @ np.exp(rule.nodes)

    assert mean(10) == pytest.approx(np.expm1(1.0), rel=SUM)
    assert mean(10_000) == pytest.approx(np.expm1(1.0), rel=SUM)


@pytest.mark.parametrize("bins", [1, 2, 3, 360, 1001])
def test_midpoint_has_its_nodes_at_the_centres_of_equal_bins(bins):
    rule = midpoint(-30.0, 60.0, bins)
    edges = np.linspace(-30.0, 60.0, bins + 1)
    np.testing.assert_allclose(rule.nodes, 0.5 * (edges[1:] + edges[:-1]), rtol=0, atol=60 * NODE)
    np.testing.assert_array_equal(rule.weights, 1.0 / bins)
    assert rule.weights @ rule.nodes == pytest.approx(15.0)  # exact for degree 1


@pytest.mark.parametrize("rule", [midpoint, gauss])
@pytest.mark.parametrize("bins", [1, 2, 3, 7, 360, 9999])
def test_weights_sum_to_one_and_nodes_lie_inside(rule, bins):
    made = rule(350.0, 370.0, bins)
    assert made.bins == len(made.nodes) == len(made.weights) == bins
    assert made.weights.sum() == pytest.approx(1.0, abs=SUM)
    assert (made.nodes > 350.0).all()
    assert (made.nodes < 370.0).all()
    assert (np.diff(made.nodes) > 0).all()


def test_ten_million_bins_lose_no_digits():
    rule = midpoint(0.0, 1.0, 10_000_000)
    assert rule.nodes[-1] == pytest.approx(1.0 - 0.5e-7, abs=NODE)
    assert rule.weights @ rule.nodes == pytest.approx(0.5, abs=LONG_SUM)


def test_at_is_one_node_and_overrides_rule_and_bins():
    problem = Problem([0.0], at=12.5, target=(0, 1), rule="gauss", bins=7)
    rule = problem.rule
    assert (problem.rule_name, rule.bins) == ("at", 1)
    np.testing.assert_array_equal(rule.nodes, [12.5])
    np.testing.assert_array_equal(rule.weights, [1.0])
    assert Problem([0.0], at=12).rule.nodes.dtype == np.float64


def test_a_rule_is_immutable():
    rule = midpoint(0.0, 1.0, 3)
    for numbers in (rule.nodes, rule.weights):
        with pytest.raises(ValueError, match="read-only"):
            numbers[0] = 0.5


def test_a_problem_has_the_rule_that_its_settings_name():
    problem = Problem([0.0], target=(0, 1))
    assert problem.rule_name == "midpoint"
    np.testing.assert_array_equal(problem.rule.nodes, midpoint(0.0, 1.0, 360).nodes)
    by_gauss = problem.replace(rule="gauss", bins=5)
    assert by_gauss.rule_name == "gauss"
    np.testing.assert_array_equal(by_gauss.rule.nodes, gauss(0.0, 1.0, 5).nodes)
    with pytest.raises(SettingError, match=r"Evaluation\.rule"):
        _ = problem.replace(rule="exact").rule
