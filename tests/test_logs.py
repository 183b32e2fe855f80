"""Pins down sums and differences by logarithms, the Euclidean norm and the order of the largest, element by element.

They are compared with NumPy's slower functions and with numbers written out, at both ends of the range of float64.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdegrad.arrays import euclidean_norm, largest_first
from kdegrad.logs import common_log, log1p_square, log_or_minus_infinity, log_sum, scaled_sum

ROUNDING = 1e-15  # a few roundings of one operation, relative to the largest number in it
NEGLIGIBLE = 1e-300  # beside a logarithm of 1
SUBNORMAL = 1e-3  # relative: numbers of 1e-320 have about three digits
LOGS = np.array([-np.inf, -1e300, -800.0, -1.0, 0.0, 1e-9, 3.0, 699.0, 750.0, 1e300])
PAIRS = tuple(part.ravel() for part in np.meshgrid(LOGS, LOGS))


def test_log_sum_is_logaddexp() -> None:
    given = [part.copy() for part in PAIRS]
    np.testing.assert_allclose(log_sum(*PAIRS), np.logaddexp(*PAIRS), rtol=ROUNDING, atol=NEGLIGIBLE)
    for part, copy in zip(PAIRS, given, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_scaled_sums_keep_the_signs() -> None:
    log_a, log_b = np.array([1000.0, -1000.0, 0.0, -np.inf, -np.inf]), np.array([999.0, -999.0, -np.inf, 5.0, -np.inf])
    factor_a, factor_b = np.array([2.0, -3.0, -4.0, 1.0, 1.0]), np.array([-1.0, 5.0, 7.0, -6.0, 1.0])
    log, factor = scaled_sum(log_a, factor_a, log_b, factor_b)
    np.testing.assert_array_equal(log, np.maximum(log_a, log_b))
    expected = [2.0 - math.exp(-1.0), 5.0 - 3.0 * math.exp(-1.0), -4.0, -6.0, 0.0]
    np.testing.assert_allclose(factor, expected, rtol=ROUNDING)


def test_common_log_gives_multiples_of_the_largest() -> None:
    peak, parts = common_log(np.array([900.0, -np.inf]), np.array([899.0, -np.inf]), np.array([-np.inf, -np.inf]))
    np.testing.assert_array_equal(peak, [900.0, -np.inf])
    np.testing.assert_allclose(parts, [[1.0, 0.0], [math.exp(-1.0), 0.0], [0.0, 0.0]], rtol=ROUNDING)


def test_log1p_square_at_any_size() -> None:
    found = log1p_square(np.array([0.0, 1e-9, -3.0, 1e150, -1e300]))
    expected = [0.0, 1e-18, math.log(10.0), 300.0 * math.log(10.0), 600.0 * math.log(10.0)]
    np.testing.assert_allclose(found, expected, rtol=ROUNDING)


def test_the_logarithm_of_zero_gives_no_warning() -> None:
    np.testing.assert_array_equal(log_or_minus_infinity(np.array([0.0, 1.0])), [-np.inf, 0.0])


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e200, 3e307])
def test_the_euclidean_norm_is_right_at_any_size(scale: float) -> None:
    assert euclidean_norm(scale * np.array([3.0, -4.0, 0.0])) == pytest.approx(5.0 * scale, rel=SUBNORMAL, abs=0.0)
    assert euclidean_norm(np.array([3.0, -4.0])) == pytest.approx(5.0, rel=ROUNDING)


def test_the_euclidean_norm_of_zeros_infinity_and_nan() -> None:
    assert euclidean_norm(np.zeros(3)) == 0.0
    assert euclidean_norm(np.array([1.0, -np.inf])) == np.inf
    assert np.isnan(euclidean_norm(np.array([1.0, np.nan])))


def test_the_largest_come_first_and_ties_in_their_order() -> None:
    values = np.array([1.0, -5.0, 2.0, 5.0, 0.0] + [2.0] * 40)
    assert largest_first(values, 4).tolist() == [1, 3, 2, 5]
    assert largest_first(values, 100).tolist() == [1, 3, 2, *range(5, 45), 0, 4]
