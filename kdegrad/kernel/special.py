"""The few special functions of a scalar that the normalisers need and that NumPy and `math` do not have."""

from __future__ import annotations

import math

import numpy as np

from kdegrad.quadrature import legendre

_ASYMPTOTIC_FROM = 25.0  # from here on the large-argument series reach round-off before they diverge


def log_gamma_half_step(a: float) -> float:
    """Return log Γ(a + 1/2) - log Γ(a) for a > 0, without the cancellation of two large log Γ.

    With δ(a) = log Γ(a + ½) - log Γ(a), the recurrence δ(a) = δ(a+1) - log(1 + 1/(2a)) climbs to where the
    asymptotic series δ(a) = ½ log a - 1/(8a) + 1/(192a³) - 1/(640a⁵) + 17/(14336a⁷) - 31/(18432a⁹) holds
    (Tricomi & Erdélyi 1951).
    """
    climbed = 0.0
    while a < _ASYMPTOTIC_FROM:
        climbed -= math.log1p(0.5 / a)
        a += 1.0
    r = 1.0 / a
    s = r * r
    series = r * (-1 / 8 + s * (1 / 192 + s * (-1 / 640 + s * (17 / 14336 - s * 31 / 18432))))
    return climbed + 0.5 * math.log(a) + series


def student_t_mass(v: float, df: float, log_peak: float) -> float:
    """Return ∫_{-v}^{v} of Student's t density with ν = `df`, whose value at 0 is exp(`log_peak`).

    With u = √ν sinh s the integral is 2 K(0) √ν ∫_0^S cosh(s)^-ν ds, S = asinh(v/√ν): smooth, with its nearest
    singularities at s = ±iπ/2, so that Gauss-Legendre panels of unit width (or of the peak's width 1/√ν) reach
    round-off. Beyond ν log cosh s = 45 nothing is left.
    """
    panel = min(1.0, 1.0 / math.sqrt(df))
    upper = min(math.asinh(v / math.sqrt(df)), 45.0 / df + 10.0 * panel)
    count = max(1, math.ceil(upper / panel))
    nodes, weights = legendre(20)
    s = upper / count * (np.arange(count)[:, np.newaxis] + 0.5 * (nodes + 1.0))
    log_cosh = s + np.log1p(np.exp(-2.0 * s)) - math.log(2.0)
    small = s < 1.0
    log_cosh[small] = 0.5 * np.log1p(np.sinh(s[small]) ** 2)
    integral = 0.5 * upper / count * float(np.sum(weights * np.exp(-df * log_cosh)))
    return min(1.0, 2.0 * math.exp(log_peak + 0.5 * math.log(df)) * integral)


def log_i0e(log_kappa: float) -> float:
    """Return log(e^-κ I0(κ)) for κ = exp(`log_kappa`), at any κ.

    Below: I0 = Σ (κ²/4)^n/(n!)². Above: e^-κ I0 = (2πκ)^-½ Σ ((2n-1)!!)²/(n! (8κ)^n) (DLMF 10.40.1).
    """
    kappa = _exp(log_kappa)
    if kappa < _ASYMPTOTIC_FROM:
        return math.log(_power_series(kappa, 0)) - kappa
    return math.log(1.0 + sum(asymptotic_terms(kappa, 0))) - 0.5 * (math.log(2.0 * math.pi) + log_kappa)


def two_kappa_one_minus_bessel_ratio(log_kappa: float) -> float:
    """Return 2κ (1 - I1(κ)/I0(κ)), from 2κ at 0 to 1 at infinity, without the cancellation of a ratio near 1.

    Above, the terms of the two asymptotic series are subtracted one by one: the leading ones cancel exactly.
    """
    kappa = _exp(log_kappa)
    if kappa < _ASYMPTOTIC_FROM:
        zeroth, first = _power_series(kappa, 0), 0.5 * kappa * _power_series(kappa, 1)
        return 2.0 * kappa * (zeroth - first) / zeroth
    zeroths, firsts = asymptotic_terms(kappa, 0), asymptotic_terms(kappa, 1)
    difference = sum(zeroth - first for zeroth, first in zip(zeroths, firsts, strict=True))
    return 2.0 * kappa * difference / (1.0 + sum(zeroths))


def _exp(log_kappa: float) -> float:
    return math.exp(min(log_kappa, 700.0))  # beyond it 1/κ adds nothing to a series that starts with 1


def _power_series(kappa: float, order: int) -> float:
    """Return Σ_n (κ²/4)^n / (n! (n+order)!)."""
    term, total, n = 1.0, 0.0, 0
    while term > 1e-18 * total:
        total += term
        n += 1
        term *= 0.25 * kappa * kappa / (n * (n + order))
    return total


def asymptotic_terms(kappa: float, order: int) -> list[float]:
    """Return the terms n = 1..30 of √(2πκ) e^-κ I_order(κ) - 1 ~ Σ_n (-1)^n Π_{k≤n} (4·order² - (2k-1)²)/(8kκ)."""
    terms, term = [], 1.0
    for n in range(1, 31):
        term *= -(4 * order * order - (2 * n - 1) ** 2) / (8.0 * n) / kappa
        terms.append(term)
    return terms
