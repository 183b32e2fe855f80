"""The kernels of the real line. u = d/h throughout; each docstring is the kernel's formula."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Domain
from kdegrad.kernel.base import CompactKernel, Smoothness, UnboundedKernel
from kdegrad.kernel.registry import register
from kdegrad.kernel.special import log_gamma_half_step, student_t_mass
from kdegrad.logs import log1p_square, log_or_minus_infinity


@register
@final
class Gaussian(UnboundedKernel):
    """K(u) = exp(-u²/2) / √(2π), k' = -u/h."""

    name = "gaussian"
    aliases = ("normal",)
    formula = "exp(-u²/2)/√(2π)"
    tail = "light"
    log_peak = -0.5 * math.log(2.0 * math.pi)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=self.bandwidth, curvature=1.0 / self.bandwidth / self.bandwidth)

    def log_shape(self, d: FloatArray) -> FloatArray:
        u = d / self.bandwidth
        return -0.5 * u * u

    def log_slope(self, d: FloatArray) -> FloatArray:
        return d / -self.bandwidth / self.bandwidth

    def mass(self, v: float) -> float:
        return math.erf(v / math.sqrt(2.0))


@register
@final
class Laplace(UnboundedKernel):
    """K(u) = exp(-|u|) / 2, k' = -sign(u)/h."""

    name = "laplace"
    aliases = ("exponential",)
    formula = "exp(-|u|)/2"
    tail = "exponential"
    kinked = True
    exponential_way = math.inf
    log_peak = -math.log(2.0)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=self.bandwidth)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return np.abs(d) / -self.bandwidth

    def log_slope(self, d: FloatArray) -> FloatArray:
        return -np.sign(d) / self.bandwidth

    def mass(self, v: float) -> float:
        return -math.expm1(-v)


@register
@final
class Logistic(UnboundedKernel):
    """K(u) = 1 / (e^u + 2 + e^-u) = e^-|u| / (1 + e^-|u|)², k' = -tanh(u/2)/h."""

    name = "logistic"
    formula = "1/(e^u + 2 + e^-u)"
    tail = "exponential"
    log_peak = -math.log(4.0)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=self.bandwidth, pole=math.pi * self.bandwidth)

    def log_shape(self, d: FloatArray) -> FloatArray:
        u = np.abs(d) / self.bandwidth
        return math.log(4.0) - u - 2.0 * np.log1p(np.exp(-u))

    def log_slope(self, d: FloatArray) -> FloatArray:
        return -np.tanh(d / (2.0 * self.bandwidth)) / self.bandwidth

    def mass(self, v: float) -> float:
        return math.tanh(0.5 * v)


@register
@final
class Sigmoid(UnboundedKernel):
    """K(u) = 1 / (π cosh u) = 2 e^-|u| / (π (1 + e^-2|u|)), k' = -tanh(u)/h."""

    name = "sigmoid"
    aliases = ("sech",)
    formula = "1/(π cosh u)"
    tail = "exponential"
    log_peak = -math.log(math.pi)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=self.bandwidth, pole=0.5 * math.pi * self.bandwidth)

    def log_shape(self, d: FloatArray) -> FloatArray:
        u = np.abs(d) / self.bandwidth
        return math.log(2.0) - u - np.log1p(np.exp(-2.0 * u))

    def log_slope(self, d: FloatArray) -> FloatArray:
        return -np.tanh(d / self.bandwidth) / self.bandwidth

    def mass(self, v: float) -> float:
        return 4.0 / math.pi * math.atan(math.tanh(0.5 * v))


@register
@final
class Cauchy(UnboundedKernel):
    """K(u) = 1 / (π (1 + u²)), k' = -2u / (h (1 + u²))."""

    name = "cauchy"
    aliases = ("lorentz",)
    formula = "1/(π(1 + u²))"
    tail = "heavy"
    log_peak = -math.log(math.pi)

    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(bend=math.inf, pole=self.bandwidth)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return -log1p_square(d / self.bandwidth)

    def log_slope(self, d: FloatArray) -> FloatArray:
        return _heavy_log_slope(d, self.bandwidth, 1.0)

    def mass(self, v: float) -> float:
        return 2.0 / math.pi * math.atan(v)


@register
@final
class StudentT(UnboundedKernel):
    """K(u) = Γ((ν+1)/2) / (Γ(ν/2) √(νπ)) · (1 + u²/ν)^-((ν+1)/2), k' = -(ν+1) u / (h (ν + u²))."""

    name = "student-t"
    aliases = ("t",)
    formula = "c(ν) (1 + u²/ν)^-((ν+1)/2)"
    tail = "heavy"
    parameters = ("df",)

    def __init__(self, bandwidth: float, domain: Domain, df: float) -> None:
        self.df = float(df)
        self.log_peak = log_gamma_half_step(0.5 * self.df) - 0.5 * (math.log(self.df) + math.log(math.pi))
        super().__init__(bandwidth, domain)

    @property
    def smoothness(self) -> Smoothness:
        h, nu = self.bandwidth, self.df
        pole = h * math.sqrt(nu)  # |k'| is largest at u = √ν; its bound u (ν+1)/ν is already above that at half of it
        return Smoothness(bend=h, pole=pole, curvature=(nu + 1.0) / nu / h / h, steepest=0.5 * pole)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return -0.5 * (self.df + 1.0) * log1p_square(d / (self.bandwidth * math.sqrt(self.df)))

    def log_slope(self, d: FloatArray) -> FloatArray:
        return _heavy_log_slope(d, self.bandwidth, self.df)

    def mass(self, v: float) -> float:
        return student_t_mass(v, self.df, self.log_peak)


class PowerKernel(CompactKernel):
    """K(u) = c (1 - |u|^m)^n for |u| ≤ 1 with m, n ≥ 1, K' = -c m n sign(u) |u|^(m-1) (1 - |u|^m)^(n-1)."""

    m: int
    n: int

    @final
    @property
    def degree(self) -> int:
        return self.m * self.n

    @final
    def base(self, d: FloatArray) -> FloatArray:
        """Return 1 - |u|^m from s = 1 - |u| by Horner's scheme: s for m = 1, s (2 - s), s (3 - s (3 - s)), ..."""
        s = self.remainder(d)
        if self.m == 1:
            return s
        total = self.m - s
        for k in range(self.m - 2, 0, -1):
            total = math.comb(self.m, k) - s * total
        return s * total

    @final
    def log_shape(self, d: FloatArray) -> FloatArray:
        return self.n * log_or_minus_infinity(self.base(d))

    @final
    def shape(self, d: FloatArray) -> FloatArray:
        return self.base(d) ** self.n

    @final
    def inner_slope(self, d: FloatArray) -> FloatArray:
        u = d / self.bandwidth
        side = np.sign(d) if self.m == 1 else u  # of d, as u may underflow to 0
        slope = -self.m * self.n / self.bandwidth * side
        for _ in range(self.m - 2):
            slope *= np.abs(u)
        return slope if self.n == 1 else slope * self.base(d) ** (self.n - 1)

    @final
    def mass(self, v: float) -> float:
        terms = [(-1) ** k * math.comb(self.n, k) / (self.m * k + 1) for k in range(self.n + 1)]
        return v * sum(t * v ** (self.m * k) for k, t in enumerate(terms)) / sum(terms) if v < 1.0 else 1.0


@register
@final
class Epanechnikov(PowerKernel):
    """K(u) = 3/4 (1 - u²)."""

    name = "epanechnikov"
    aliases = ("epa", "parabolic")
    formula = "3/4 (1 - u²)"
    m = 2
    n = 1
    log_peak = math.log(3.0 / 4.0)


@register
@final
class Biweight(PowerKernel):
    """K(u) = 15/16 (1 - u²)²."""

    name = "biweight"
    aliases = ("quartic",)
    formula = "15/16 (1 - u²)²"
    m = 2
    n = 2
    log_peak = math.log(15.0 / 16.0)


@register
@final
class Triweight(PowerKernel):
    """K(u) = 35/32 (1 - u²)³."""

    name = "triweight"
    formula = "35/32 (1 - u²)³"
    m = 2
    n = 3
    log_peak = math.log(35.0 / 32.0)


@register
@final
class Tricube(PowerKernel):
    """K(u) = 70/81 (1 - |u|³)³."""

    name = "tricube"
    formula = "70/81 (1 - |u|³)³"
    m = 3
    n = 3
    kinked = True
    log_peak = math.log(70.0 / 81.0)


@register
@final
class Triangular(PowerKernel):
    """K(u) = 1 - |u|."""

    name = "triangular"
    aliases = ("tri", "linear")
    formula = "1 - |u|"
    m = 1
    n = 1
    kinked = True
    log_peak = 0.0


@register
@final
class Cosine(CompactKernel):
    """K(u) = π/4 cos(πu/2) = π/4 sin(π(1 - |u|)/2), K' = -π²/8 sin(πu/2)."""

    name = "cosine"
    formula = "π/4 cos(πu/2)"
    degree = 9  # to round-off, on an eighth of a bandwidth
    log_peak = math.log(math.pi / 4.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return log_or_minus_infinity(self.shape(d))

    def shape(self, d: FloatArray) -> FloatArray:
        return np.sin(0.5 * math.pi * self.remainder(d))

    def inner_slope(self, d: FloatArray) -> FloatArray:
        quarter_turns = 0.5 * math.pi / self.bandwidth
        return -quarter_turns * np.sin(quarter_turns * d)

    def mass(self, v: float) -> float:
        return math.sin(0.5 * math.pi * min(v, 1.0))


@register
@final
class Uniform(CompactKernel):
    """K(u) = 1/2 for |u| ≤ 1: it jumps at its edge, and has no slope elsewhere."""

    name = "uniform"
    aliases = ("tophat", "box")
    formula = "1/2"
    support = "|u| ≤ 1"
    degree = 0
    jumps = True
    log_peak = -math.log(2.0)

    def log_shape(self, d: FloatArray) -> FloatArray:
        return log_or_minus_infinity(self.shape(d))

    def shape(self, d: FloatArray) -> FloatArray:
        return (np.abs(d) <= self.bandwidth).astype(np.float64)

    def inner_slope(self, d: FloatArray) -> FloatArray:
        return np.zeros_like(d)

    def mass(self, v: float) -> float:
        return min(v, 1.0)


def _heavy_log_slope(d: FloatArray, bandwidth: float, df: float) -> FloatArray:
    """Return -(ν+1) u / (h (ν + u²)) = -(ν+1) / (ν/u + u) / h, where no square overflows."""
    u = d / bandwidth
    with np.errstate(over="ignore", divide="ignore"):
        return -(df + 1.0) / (df / u + u) / bandwidth
