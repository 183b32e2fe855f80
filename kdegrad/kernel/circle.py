"""The kernels of the circle of circumference P: every line kernel at the geodesic distance, and four native ones.

θ = 2πd/P is the displacement d in radians, k = log K. Where a sum over all turns is wanted (the wrapped kernels),
a closed form is used if there is one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Circle
from kdegrad.kernel.base import Kernel, LineKernel
from kdegrad.kernel.special import log_i0e, two_kappa_one_minus_bessel_ratio
from kdegrad.logs import Scaled, log1p_square

_NEGLIGIBLE = 45.0  # e^-45 = 3e-20 of the largest term is below the rounding of a sum


@final
class Geodesic(Kernel):
    """K_h(|d|)/c with the mass c(h) = ∫_{-P/2}^{P/2} K_h: a line kernel at the shorter way round.

    With v = P/(2h), ∂log c/∂log h = -2 v K(v)/c. At the antipode |d| = P/2 the kernel has a kink.
    """

    def __init__(self, line: LineKernel, circle: Circle) -> None:
        self.line = line
        self.name, self.aliases = line.name, line.aliases
        self.formula, self.support, self.tail = line.formula, line.support, line.tail
        self.bandwidth = line.bandwidth
        self.domain = circle
        self.half_period = 0.5 * circle.period
        mass = line.mass(self.half_period / line.bandwidth)
        self.log_norm = line.log_norm + math.log(mass)
        with np.errstate(over="ignore"):  # so far out that log K is no float64: the slope is 0
            at_antipode = float(line.log_density(np.array([self.half_period]))[0])
        self.log_mass_slope = -circle.period * math.exp(at_antipode) / mass
        self.kinked, self.jumps = line.kinked, line.jumps
        if line.edge is not None and line.edge < self.half_period:
            self.edge = line.edge
        elif not line.jumps:
            self.antipode = self.half_period

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return the line kernel's."""
        return self.line.log_shape(d)

    def slope(self, d: FloatArray) -> Scaled:
        """Return the line kernel's, 0 at the antipode's kink."""
        log, factor = self.line.slope(d)
        return Scaled(log, np.where(np.abs(d) < self.half_period, factor, 0.0))

    def bandwidth_slope(self, d: FloatArray) -> Scaled:
        """Return the line kernel's, with the mass c as a function of h too."""
        return self.line.conditioned_bandwidth_slope(d, self.log_mass_slope)


class NativeCircleKernel(Kernel):
    """A positive kernel that is defined on the circle itself, by k = log K and the derivatives of k."""

    support = "circle"

    def __init__(self, bandwidth: float, circle: Circle) -> None:
        self.bandwidth = float(bandwidth)
        self.domain = circle
        self.period = circle.period
        self.radians = 2.0 * math.pi / circle.period
        self.log_norm = self.log_integral()

    @abstractmethod
    def log_integral(self) -> float:
        """Return the logarithm of the integral of exp(log_shape) over the circle."""

    @abstractmethod
    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return k'(d) = ∂k/∂d."""

    @abstractmethod
    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return ∂k/∂log h at fixed d."""

    def half_sine(self, d: FloatArray) -> FloatArray:
        """Return sin(θ/2) = t/√(1 + t²), t = tan(θ/2): NumPy runs it in vectors, 1 ns where a sine takes 14."""
        t = np.tan(0.5 * self.radians * d)
        return t / np.sqrt(1.0 + t * t)

    def half_cosine(self, d: FloatArray) -> FloatArray:
        """Return the partner of `half_sine`, 1/√(1 + t²): their product is sin(θ)/2 for any number of turns."""
        t = np.tan(0.5 * self.radians * d)
        return np.asarray(1.0 / np.sqrt(1.0 + t * t))

    def slope(self, d: FloatArray) -> Scaled:
        """Return exp(log_shape) · k'."""
        return Scaled(self.log_shape(d), self.log_slope(d))

    def bandwidth_slope(self, d: FloatArray) -> Scaled:
        """Return exp(log_shape) · ∂k/∂log h."""
        return Scaled(self.log_shape(d), self.log_bandwidth_slope(d))


@final
class VonMises(NativeCircleKernel):
    """K = exp(κ cos θ)/(P I0(κ)) = exp(-2κ sin²(θ/2))/(P e^-κ I0(κ)), κ = 1/(2πh/P)²."""

    name = "von-mises"
    formula = "exp(κ cos θ)/(P I0(κ))"
    tail = "light"

    def log_integral(self) -> float:
        """Return log(P e^-κ I0(κ))."""
        self.log_kappa = -2.0 * math.log(self.radians * self.bandwidth)
        self.diameter = 2.0 / self.radians / self.bandwidth
        return math.log(self.period) + log_i0e(self.log_kappa)

    def chord(self, d: FloatArray) -> FloatArray:
        """Return 2 sin(θ/2) √κ, the chord between the two angles in bandwidths."""
        return self.diameter * self.half_sine(d)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -2κ sin²(θ/2)."""
        chord = self.chord(d)
        return -0.5 * chord * chord

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -κ sin θ · 2π/P."""
        return -np.sin(self.radians * d) / self.radians / self.bandwidth / self.bandwidth

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return 4κ sin²(θ/2) - 2κ (1 - I1(κ)/I0(κ))."""
        chord = self.chord(d)
        return chord * chord - two_kappa_one_minus_bessel_ratio(self.log_kappa)


@final
class WrappedLaplace(NativeCircleKernel):
    """K = Σ_n exp(-|d + nP|/h)/(2h) = (e^(-|d|/h) + e^(-(P-|d|)/h)) / (2h (1 - e^(-P/h)))."""

    name = "wrapped-laplace"
    formula = "Σ_n exp(-|d + nP|/h)/(2h)"
    tail = "exponential"
    kinked = True

    def log_integral(self) -> float:
        """Return log(2h (1 - e^(-P/h)))."""
        return math.log(2.0) + math.log(self.bandwidth) + math.log(-math.expm1(-self.period / self.bandwidth))

    def detour(self, d: FloatArray) -> FloatArray:
        """Return (P - 2|d|)/h, how much longer the other way round is."""
        return (self.period - 2.0 * np.abs(d)) / self.bandwidth

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -|d|/h + log(1 + e^(-(P-2|d|)/h))."""
        return -np.abs(d) / self.bandwidth + np.log1p(np.exp(-self.detour(d)))

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -sign(d)/h tanh((P/2 - |d|)/h), 0 at the kink."""
        return -np.sign(d) / self.bandwidth * np.tanh(0.5 * self.detour(d))

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return |d|/h + w/(1 + e^w) - 1 + y/(e^y - 1) with w = (P-2|d|)/h, y = P/h."""
        w = self.detour(d)
        y = self.period / self.bandwidth
        with np.errstate(over="ignore"):
            wrapped = w / (1.0 + np.exp(w))
        return np.abs(d) / self.bandwidth + wrapped - 1.0 + (y / math.expm1(y) if y < 700.0 else 0.0)


@final
class WrappedCauchy(NativeCircleKernel):
    """K = (1/P) sinh γ/(cosh γ - cos θ) = (1/P) (1 - ρ²)/((1 - ρ)² + 4ρ sin²(θ/2)), γ = 2πh/P, ρ = e^-γ."""

    name = "wrapped-cauchy"
    formula = "sinh γ/(P (cosh γ - cos θ))"
    tail = "heavy"

    def log_integral(self) -> float:
        """Return log(P (1 - ρ)²/(1 - ρ²)) = log P + log tanh(γ/2)."""
        self.gamma = self.radians * self.bandwidth
        self.rho = math.exp(-self.gamma)
        # 2 √ρ/(1 - ρ), so that the shape is 1/(1 + (that · sin(θ/2))²)
        self.steepness = 2.0 * math.exp(-0.5 * self.gamma) / -math.expm1(-self.gamma)
        return math.log(self.period) + math.log(math.tanh(0.5 * self.gamma))

    def chord(self, d: FloatArray) -> FloatArray:
        """Return 2 √ρ sin(θ/2)/(1 - ρ)."""
        return self.steepness * self.half_sine(d)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -log(1 + 4ρ sin²(θ/2)/(1 - ρ)²)."""
        return -log1p_square(self.chord(d))

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -(2π/P) 2ρ sin θ/(1 - ρ)² / (1 + 4ρ sin²(θ/2)/(1 - ρ)²), with sin θ = 2 sin(θ/2) cos(θ/2)."""
        chord = self.chord(d)
        with np.errstate(over="ignore"):
            fall = chord / (1.0 + chord * chord)
        return -self.radians * self.steepness * self.half_cosine(d) * fall

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return γ (coth γ - sinh γ/(cosh γ - cos θ)).

        As γ (x coth γ - 1/sinh γ)/(1 + x) with x = chord², since sinh γ/(cosh γ - 1) = coth γ + 1/sinh γ: for a wide
        kernel both terms are small, where those above are all but equal.
        """
        chord = self.chord(d)
        inverse_sine = 2.0 * self.rho / -math.expm1(-2.0 * self.gamma)
        with np.errstate(over="ignore", divide="ignore"):
            x = chord * chord
            return self.gamma * (1.0 / math.tanh(self.gamma) / (1.0 + 1.0 / x) - inverse_sine / (1.0 + x))


@final
class WrappedGaussian(NativeCircleKernel):
    """K = Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)) = (1/P) (1 + 2 Σ_n q^(n²) cos nθ), q = exp(-(2πh/P)²/2).

    The first sum serves a small h, the second (Poisson's) a large one; both converge in a few terms where they meet.
    """

    name = "wrapped-gaussian"
    formula = "Σ_n exp(-(d + nP)²/(2h²))/(h√(2π))"
    tail = "light"
    MEETING = 0.4  # h/P at which both sums need four terms

    def log_integral(self) -> float:
        """Return log(h√(2π)) for the sum over turns, log P for the cosines."""
        self.few_turns = self.bandwidth < self.MEETING * self.period
        if self.few_turns:
            return math.log(self.bandwidth) + 0.5 * math.log(2.0 * math.pi)
        return math.log(self.period)

    def turns(self, d: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield for each n ≠ 0 the image d + nP and exp(-((d + nP)² - d²)/(2h²)), at most 1."""
        y = self.period / self.bandwidth
        u = d / self.bandwidth
        n = 1
        while n * (n - 1) * y * y / 2.0 < _NEGLIGIBLE:
            for turn in (n, -n):
                yield d + turn * self.period, np.exp(-turn * y * (u + 0.5 * turn * y))
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
        """Return -d²/(2h²) + log(1 + the other turns), or log(1 + the cosines)."""
        if not self.few_turns:
            return np.log1p(self.cosines(d, 0))
        u = d / self.bandwidth
        others = sum(weight for _, weight in self.turns(d))
        return -0.5 * u * u + np.log1p(others)

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return the mean of -(d + nP)/h² over the turns, or the cosines' derivative over the cosines."""
        if not self.few_turns:
            return -self.cosines(d, 1) / (1.0 + self.cosines(d, 0)) / self.bandwidth
        total, moment = np.ones_like(d), d.copy()
        for image, weight in self.turns(d):
            total += weight
            moment += weight * image
        return -moment / total / self.bandwidth / self.bandwidth

    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return the mean of ((d + nP)/h)² - 1 over the turns, or -(2πh/P)² Σ n² q^(n²) cos nθ over the cosines."""
        if not self.few_turns:
            return -self.cosines(d, 2) / (1.0 + self.cosines(d, 0))
        total, moment = np.ones_like(d), (d / self.bandwidth) ** 2
        for image, weight in self.turns(d):
            total += weight
            moment += weight * (image / self.bandwidth) ** 2
        return moment / total - 1.0
