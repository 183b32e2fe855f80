"""The kernels that are defined on the circle of circumference P itself.

θ = 2πd/P is the displacement d in radians, k = log K. Where a sum over all turns is wanted (the wrapped kernels),
a closed form is used if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Domain
from kdegrad.kernel.base import NativeCircleKernel, Smoothness
from kdegrad.kernel.registry import register
from kdegrad.kernel.special import log_i0e, two_kappa_one_minus_bessel_ratio
from kdegrad.logs import log1p_square

_NEGLIGIBLE = 45.0  # e^-45 = 3e-20 of the largest term is below the rounding of a sum
_MEETING = 0.4  # h/P at which both sums of the wrapped gaussian need four terms


@register
@final
class VonMises(NativeCircleKernel):
    """K = exp(κ cos θ)/(P I0(κ)) = exp(-2κ sin²(θ/2))/(P e^-κ I0(κ)), κ = 1/(2πh/P)².

    With t = tan(θ/2), sin²(θ/2) = t²/(1 + t²) and k' = -κ sin θ · 2π/P with sin θ = 2t/(1 + t²).
    """

    name = "von-mises"
    formula = "exp(κ cos θ)/(P I0(κ))"
    tail = "light"

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.log_kappa = -2.0 * math.log(self.radians * self.bandwidth)
        self.diameter = 2.0 / self.radians / self.bandwidth  # 2 √κ
        self.log_norm = math.log(self.period) + log_i0e(self.log_kappa)

    @property
    def smoothness(self) -> Smoothness:
        h, radian = self.bandwidth, 1.0 / self.radians
        return Smoothness(bend=min(h, radian), curvature=1.0 / h / h, steepest=radian)  # |k'| ∝ |sin θ| ≤ min(θ, 1)

    def log_shape(self, d: FloatArray) -> FloatArray:
        t = np.tan(0.5 * self.radians * d)
        x = self.diameter * t
        return -0.5 * x * (x / (1.0 + t * t))

    def log_slope(self, d: FloatArray) -> FloatArray:
        t = np.tan(0.5 * self.radians * d)
        return -2.0 / self.radians / self.bandwidth * t / (1.0 + t * t) / self.bandwidth

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        # 4κ sin²(θ/2) - 2κ (1 - I1(κ)/I0(κ))
        return -2.0 * self.log_shape(d) - two_kappa_one_minus_bessel_ratio(self.log_kappa)


@register
@final
class WrappedGaussian(NativeCircleKernel):
    """K = Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)) = (1/P) (1 + 2 Σ_n q^(n²) cos nθ), q = exp(-(2πh/P)²/2).

    The first sum serves a small h, the second (Poisson's) a large one; both converge in a few terms where they meet.
    k' is the mean of -(d + nP)/h² over the turns, ∂k/∂log h that of ((d + nP)/h)² - 1; or the cosines' derivatives
    over the cosines.
    """

    name = "wrapped-gaussian"
    formula = "Σ_n exp(-(d + nP)²/(2h²))/(h√(2π))"
    tail = "light"

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.few_turns = self.bandwidth < _MEETING * self.period
        by_turns = math.log(self.bandwidth) + 0.5 * math.log(2.0 * math.pi)
        self.log_norm = by_turns if self.few_turns else math.log(self.period)

    @property
    def smoothness(self) -> Smoothness:
        h = self.bandwidth
        return Smoothness(bend=min(h, 1.0 / self.radians), curvature=1.0 / h / h)

    def turns(self, d: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield for each n ≠ 0 the image d + nP and exp(-((d + nP)² - d²)/(2h²)), at most 1."""
        y = self.period / self.bandwidth
        n = 1
        while n * (n - 1) * y * y / 2.0 < _NEGLIGIBLE:
            for turn in (n, -n):  # d + nP/2 is exact near the antipode, where it is all but 0
                halfway = d + 0.5 * turn * self.period
                yield d + turn * self.period, np.exp(-turn * y * (halfway / self.bandwidth))
            n += 1

    def cosines(self, d: FloatArray, power: int) -> FloatArray:
        """Return 2 Σ_n (ns)^power exp(-(ns)²/2) cos nθ, s = 2πh/P, with sines for an odd power."""
        s = self.radians * self.bandwidth
        wave = np.sin if power % 2 else np.cos
        total = np.zeros_like(d)
        n = 1
        while 0.5 * (n * s) * (n * s) < _NEGLIGIBLE or n == 1:
            size = math.exp(power * math.log(n * s) - 0.5 * (n * s) * (n * s))  # 0, not ∞·0, for the widest of kernels
            total += 2.0 * size * wave(n * self.radians * d)
            n += 1
        return total

    def log_shape(self, d: FloatArray) -> FloatArray:
        if not self.few_turns:
            return np.log1p(self.cosines(d, 0))
        u = d / self.bandwidth
        others = sum(weight for _, weight in self.turns(d))
        return -0.5 * u * u + np.log1p(others)

    def log_slope(self, d: FloatArray) -> FloatArray:
        if not self.few_turns:
            return -self.cosines(d, 1) / (1.0 + self.cosines(d, 0)) / self.bandwidth
        total, moment = np.ones_like(d), d.copy()
        for image, weight in self.turns(d):
            total += weight
            moment += weight * image
        return -moment / total / self.bandwidth / self.bandwidth

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        if not self.few_turns:
            return -self.cosines(d, 2) / (1.0 + self.cosines(d, 0))
        total, moment = np.ones_like(d), (d / self.bandwidth) ** 2
        for image, weight in self.turns(d):
            total += weight
            moment += weight * (image / self.bandwidth) ** 2
        return moment / total - 1.0


@register
@final
class WrappedLaplace(NativeCircleKernel):
    """K = Σ_n exp(-|d + nP|/h)/(2h) = (e^(-|d|/h) + e^(-(P-|d|)/h)) / (2h (1 - e^(-P/h))).

    With w = (P - 2|d|)/h and y = P/h, k' = -sign(d)/h tanh(w/2) and ∂k/∂log h = |d|/h + w/(1 + e^w) - 1 + y/(e^y - 1).
    """

    name = "wrapped-laplace"
    formula = "Σ_n exp(-|d + nP|/h)/(2h)"
    tail = "exponential"
    kinked = True

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.exponential_way = self.period
        y = self.period / self.bandwidth
        self.log_norm = math.log(2.0) + math.log(self.bandwidth) + math.log(-math.expm1(-y))

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=self.bandwidth)

    def detour(self, d: FloatArray) -> FloatArray:
        """Return w, how much longer the other way round is."""
        return (self.period - 2.0 * np.abs(d)) / self.bandwidth

    def log_shape(self, d: FloatArray) -> FloatArray:
        return -np.abs(d) / self.bandwidth + np.log1p(np.exp(-self.detour(d)))

    def log_slope(self, d: FloatArray) -> FloatArray:
        return -np.sign(d) / self.bandwidth * np.tanh(0.5 * self.detour(d))

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        w = self.detour(d)
        y = self.period / self.bandwidth
        with np.errstate(over="ignore"):
            wrapped = w / (1.0 + np.exp(w))
        return np.abs(d) / self.bandwidth + wrapped - 1.0 + (y / math.expm1(y) if y < 700.0 else 0.0)


@register
@final
class WrappedCauchy(NativeCircleKernel):
    """K = (1/P) sinh γ/(cosh γ - cos θ) = (1/P) (1 - ρ²)/((1 - ρ)² + 4ρ sin²(θ/2)), γ = 2πh/P, ρ = e^-γ."""

    name = "wrapped-cauchy"
    formula = "sinh γ/(P (cosh γ - cos θ))"
    tail = "heavy"

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.gamma = self.radians * self.bandwidth
        self.rho = math.exp(-self.gamma)
        # 2 √ρ/(1 - ρ), so that the shape is 1/(1 + (that · sin(θ/2))²)
        self.steepness = 2.0 * math.exp(-0.5 * self.gamma) / -math.expm1(-self.gamma)
        self.log_norm = math.log(self.period) + math.log(math.tanh(0.5 * self.gamma))  # P (1 - ρ)²/(1 - ρ²)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=math.inf, pole=self.bandwidth)

    def chord(self, d: FloatArray) -> FloatArray:
        """Return 2 √ρ sin(θ/2)/(1 - ρ)."""
        return self.steepness * half_sine(0.5 * self.radians * d)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return -log1p_square(self.chord(d))

    def log_slope(self, d: FloatArray) -> FloatArray:
        # -(2π/P) 2ρ sin θ/(1 - ρ)² / (1 + 4ρ sin²(θ/2)/(1 - ρ)²), with sin θ = 2 sin(θ/2) cos(θ/2)
        chord = self.chord(d)
        with np.errstate(over="ignore"):
            fall = chord / (1.0 + chord * chord)
        return -self.radians * self.steepness * half_cosine(0.5 * self.radians * d) * fall

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        # γ (coth γ - sinh γ/(cosh γ - cos θ)) as γ (x coth γ - 1/sinh γ)/(1 + x) with x = chord², since
        # sinh γ/(cosh γ - 1) = coth γ + 1/sinh γ: for a wide kernel both terms are small, where the former are all
        # but equal.
        chord = self.chord(d)
        inverse_sine = 2.0 * self.rho / -math.expm1(-2.0 * self.gamma)
        with np.errstate(over="ignore", divide="ignore"):
            x = chord * chord
            return self.gamma * (1.0 / math.tanh(self.gamma) / (1.0 + 1.0 / x) - inverse_sine / (1.0 + x))


def half_sine(half_angle: FloatArray) -> FloatArray:
    """Return sin(θ/2) = t/√(1 + t²), t = tan(θ/2): NumPy runs it in vectors, 1 ns where a sine takes 14."""
    t = np.tan(half_angle)
    return t / np.sqrt(1.0 + t * t)


def half_cosine(half_angle: FloatArray) -> FloatArray:
    """Return the partner of `half_sine`, 1/√(1 + t²): their product is sin(θ)/2 for any number of turns."""
    t = np.tan(half_angle)
    return np.asarray(1.0 / np.sqrt(1.0 + t * t))
