"""The kernels of the real line. u = d/h throughout; each docstring is the kernel's formula."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Domain
from kdegrad.kernel.base import CompactKernel, UnboundedKernel
from kdegrad.kernel.special import log_gamma_half_step, student_t_mass
from kdegrad.logs import log1p_square, log_or_minus_infinity


@final
class Gaussian(UnboundedKernel):
    """K(u) = exp(-u²/2) / √(2π), k' = -u/h."""

    name = "gaussian"
    aliases = ("normal",)
    formula = "exp(-u²/2)/√(2π)"
    support = "R"
    tail = "light"

    def log_peak(self) -> float:
        """Return -log √(2π)."""
        return -0.5 * math.log(2.0 * math.pi)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -u²/2."""
        u = d / self.bandwidth
        return -0.5 * u * u

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -u/h."""
        return -d / self.bandwidth / self.bandwidth

    def mass(self, v: float) -> float:
        """Return erf(v/√2)."""
        return math.erf(v / math.sqrt(2.0))


@final
class Laplace(UnboundedKernel):
    """K(u) = exp(-|u|) / 2, k' = -sign(u)/h."""

    name = "laplace"
    aliases = ("exponential",)
    formula = "exp(-|u|)/2"
    support = "R"
    tail = "exponential"
    kinked = True

    def log_peak(self) -> float:
        """Return -log 2."""
        return -math.log(2.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -|u|."""
        return np.abs(d) / -self.bandwidth

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -sign(u)/h, 0 at the kink."""
        return -np.sign(d) / self.bandwidth

    def mass(self, v: float) -> float:
        """Return 1 - exp(-v)."""
        return -math.expm1(-v)


@final
class Logistic(UnboundedKernel):
    """K(u) = 1 / (e^u + 2 + e^-u) = e^-|u| / (1 + e^-|u|)², k' = -tanh(u/2)/h."""

    name = "logistic"
    formula = "1/(e^u + 2 + e^-u)"
    support = "R"
    tail = "exponential"

    def log_peak(self) -> float:
        """Return -log 4."""
        return -math.log(4.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log 4 - |u| - 2 log(1 + e^-|u|)."""
        u = np.abs(d) / self.bandwidth
        return math.log(4.0) - u - 2.0 * np.log1p(np.exp(-u))

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -tanh(u/2)/h."""
        return -np.tanh(d / (2.0 * self.bandwidth)) / self.bandwidth

    def mass(self, v: float) -> float:
        """Return tanh(v/2)."""
        return math.tanh(0.5 * v)


@final
class Sigmoid(UnboundedKernel):
    """K(u) = 1 / (π cosh u) = 2 e^-|u| / (π (1 + e^-2|u|)), k' = -tanh(u)/h."""

    name = "sigmoid"
    aliases = ("sech",)
    formula = "1/(π cosh u)"
    support = "R"
    tail = "exponential"

    def log_peak(self) -> float:
        """Return -log π."""
        return -math.log(math.pi)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log 2 - |u| - log(1 + e^-2|u|)."""
        u = np.abs(d) / self.bandwidth
        return math.log(2.0) - u - np.log1p(np.exp(-2.0 * u))

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -tanh(u)/h."""
        return -np.tanh(d / self.bandwidth) / self.bandwidth

    def mass(self, v: float) -> float:
        """Return (4/π) atan(tanh(v/2))."""
        return 4.0 / math.pi * math.atan(math.tanh(0.5 * v))


@final
class Cauchy(UnboundedKernel):
    """K(u) = 1 / (π (1 + u²)), k' = -2u / (h (1 + u²))."""

    name = "cauchy"
    aliases = ("lorentz",)
    formula = "1/(π(1 + u²))"
    support = "R"
    tail = "heavy"

    def log_peak(self) -> float:
        """Return -log π."""
        return -math.log(math.pi)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -log(1 + u²)."""
        return -log1p_square(d / self.bandwidth)

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -2u / (h (1 + u²))."""
        return _heavy_log_slope(d, self.bandwidth, 1.0)

    def mass(self, v: float) -> float:
        """Return (2/π) atan v."""
        return 2.0 / math.pi * math.atan(v)


@final
class StudentT(UnboundedKernel):
    """K(u) = Γ((ν+1)/2) / (Γ(ν/2) √(νπ)) · (1 + u²/ν)^-((ν+1)/2), k' = -(ν+1) u / (h (ν + u²))."""

    name = "student-t"
    aliases = ("t",)
    formula = "c(ν) (1 + u²/ν)^-((ν+1)/2)"
    support = "R"
    tail = "heavy"

    def __init__(self, bandwidth: float, domain: Domain, df: float) -> None:
        self.df = float(df)
        super().__init__(bandwidth, domain)

    def log_peak(self) -> float:
        """Return log Γ((ν+1)/2) - log Γ(ν/2) - log(νπ)/2."""
        return log_gamma_half_step(0.5 * self.df) - 0.5 * (math.log(self.df) + math.log(math.pi))

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return -(ν+1)/2 · log(1 + u²/ν)."""
        return -0.5 * (self.df + 1.0) * log1p_square(d / (self.bandwidth * math.sqrt(self.df)))

    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return -(ν+1) u / (h (ν + u²))."""
        return _heavy_log_slope(d, self.bandwidth, self.df)

    def mass(self, v: float) -> float:
        """Return ∫_{-v}^{v} K(u) du by quadrature in s = asinh(u/√ν)."""
        return student_t_mass(v, self.df, self.log_peak())


@final
class Epanechnikov(CompactKernel):
    """K(u) = 3/4 (1 - u²), K' = -3u/2."""

    name = "epanechnikov"
    aliases = ("epa", "parabolic")
    formula = "3/4 (1 - u²)"
    support = "|u| < 1"
    tail = "compact"

    def log_peak(self) -> float:
        """Return log 3/4."""
        return math.log(0.75)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log(1 - u²)."""
        return log_or_minus_infinity(self.shape(d))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return 1 - u² = (1 - |u|)(1 + |u|)."""
        return one_minus_square(self.remainder(d))

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -2u/h."""
        return -2.0 * d / self.bandwidth / self.bandwidth

    def mass(self, v: float) -> float:
        """Return (3v - v³)/2, 1 from v = 1 on."""
        v = min(v, 1.0)
        return v * (3.0 - v * v) / 2.0


@final
class Biweight(CompactKernel):
    """K(u) = 15/16 (1 - u²)², K' = -15/4 u (1 - u²)."""

    name = "biweight"
    aliases = ("quartic",)
    formula = "15/16 (1 - u²)²"
    support = "|u| < 1"
    tail = "compact"

    def log_peak(self) -> float:
        """Return log 15/16."""
        return math.log(15.0 / 16.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return 2 log(1 - u²)."""
        return 2.0 * log_or_minus_infinity(one_minus_square(self.remainder(d)))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return (1 - u²)²."""
        return one_minus_square(self.remainder(d)) ** 2

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -4u (1 - u²)/h."""
        return -4.0 * d / self.bandwidth / self.bandwidth * one_minus_square(self.remainder(d))

    def mass(self, v: float) -> float:
        """Return 15/8 (v - 2v³/3 + v⁵/5), 1 from v = 1 on."""
        v = min(v, 1.0)
        return v * (15.0 - 10.0 * v**2 + 3.0 * v**4) / 8.0


@final
class Triweight(CompactKernel):
    """K(u) = 35/32 (1 - u²)³, K' = -105/16 u (1 - u²)²."""

    name = "triweight"
    formula = "35/32 (1 - u²)³"
    support = "|u| < 1"
    tail = "compact"

    def log_peak(self) -> float:
        """Return log 35/32."""
        return math.log(35.0 / 32.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return 3 log(1 - u²)."""
        return 3.0 * log_or_minus_infinity(one_minus_square(self.remainder(d)))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return (1 - u²)³."""
        return one_minus_square(self.remainder(d)) ** 3

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -6u (1 - u²)²/h."""
        return -6.0 * d / self.bandwidth / self.bandwidth * one_minus_square(self.remainder(d)) ** 2

    def mass(self, v: float) -> float:
        """Return 35/16 (v - v³ + 3v⁵/5 - v⁷/7), 1 from v = 1 on."""
        v = min(v, 1.0)
        return v * (35.0 - 35.0 * v**2 + 21.0 * v**4 - 5.0 * v**6) / 16.0


@final
class Tricube(CompactKernel):
    """K(u) = 70/81 (1 - |u|³)³, K' = -70/9 u|u| (1 - |u|³)²."""

    name = "tricube"
    formula = "70/81 (1 - |u|³)³"
    support = "|u| < 1"
    tail = "compact"
    kinked = True

    def log_peak(self) -> float:
        """Return log 70/81."""
        return math.log(70.0 / 81.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return 3 log(1 - |u|³)."""
        return 3.0 * log_or_minus_infinity(one_minus_cube(self.remainder(d)))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return (1 - |u|³)³."""
        return one_minus_cube(self.remainder(d)) ** 3

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -9u|u| (1 - |u|³)²/h."""
        u = d / self.bandwidth
        return -9.0 / self.bandwidth * u * np.abs(u) * one_minus_cube(self.remainder(d)) ** 2

    def mass(self, v: float) -> float:
        """Return 140/81 (v - 3v⁴/4 + 3v⁷/7 - v¹⁰/10), 1 from v = 1 on."""
        v = min(v, 1.0)
        return v * (140.0 - 105.0 * v**3 + 60.0 * v**6 - 14.0 * v**9) / 81.0


@final
class Triangular(CompactKernel):
    """K(u) = 1 - |u|, K' = -sign(u)."""

    name = "triangular"
    aliases = ("tri", "linear")
    formula = "1 - |u|"
    support = "|u| < 1"
    tail = "compact"
    kinked = True

    def log_peak(self) -> float:
        """Return log 1."""
        return 0.0

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log(1 - |u|)."""
        return log_or_minus_infinity(self.remainder(d))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return 1 - |u|."""
        return self.remainder(d)

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -sign(u)/h, 0 at the kink."""
        return -np.sign(d) / self.bandwidth

    def mass(self, v: float) -> float:
        """Return 2v - v², 1 from v = 1 on."""
        v = min(v, 1.0)
        return v * (2.0 - v)


@final
class Cosine(CompactKernel):
    """K(u) = π/4 cos(πu/2) = π/4 sin(π(1 - |u|)/2), K' = -π²/8 sin(πu/2)."""

    name = "cosine"
    formula = "π/4 cos(πu/2)"
    support = "|u| < 1"
    tail = "compact"

    def log_peak(self) -> float:
        """Return log π/4."""
        return math.log(math.pi / 4.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log cos(πu/2)."""
        return log_or_minus_infinity(self.shape(d))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return cos(πu/2) = sin(π(1 - |u|)/2)."""
        return np.sin(0.5 * math.pi * self.remainder(d))

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return -π/(2h) sin(πu/2)."""
        quarter_turns = 0.5 * math.pi / self.bandwidth
        return -quarter_turns * np.sin(quarter_turns * d)

    def mass(self, v: float) -> float:
        """Return sin(πv/2), 1 from v = 1 on."""
        return math.sin(0.5 * math.pi * min(v, 1.0))


@final
class Uniform(CompactKernel):
    """K(u) = 1/2 for |u| ≤ 1: it jumps at its edge, and has no slope elsewhere."""

    name = "uniform"
    aliases = ("tophat", "box")
    formula = "1/2"
    support = "|u| ≤ 1"
    tail = "compact"
    jumps = True

    def log_peak(self) -> float:
        """Return log 1/2."""
        return -math.log(2.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return 0 for |d| ≤ h, -inf beyond."""
        return log_or_minus_infinity(self.shape(d))

    def shape(self, d: FloatArray) -> FloatArray:
        """Return 1 for |d| ≤ h, 0 beyond."""
        return (np.abs(d) <= self.bandwidth).astype(np.float64)

    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return 0."""
        return np.zeros_like(d)

    def mass(self, v: float) -> float:
        """Return v, 1 from v = 1 on."""
        return min(v, 1.0)


def one_minus_square(remainder: FloatArray) -> FloatArray:
    """Return 1 - u² from the remainder s = 1 - |u|, as s (1 + |u|) = s (2 - s)."""
    return remainder * (2.0 - remainder)


def one_minus_cube(remainder: FloatArray) -> FloatArray:
    """Return 1 - |u|³ from the remainder s = 1 - |u|, as s (1 + |u| + u²) = s (3 - 3s + s²)."""
    return remainder * (3.0 - remainder * (3.0 - remainder))


def _heavy_log_slope(d: FloatArray, bandwidth: float, df: float) -> FloatArray:
    """Return -(ν+1) u / (h (ν + u²)) = -(ν+1) / (ν/u + u) / h, where no square overflows."""
    u = d / bandwidth
    with np.errstate(over="ignore", divide="ignore"):
        return -(df + 1.0) / (df / u + u) / bandwidth
