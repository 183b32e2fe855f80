"""The kernels of the real line as operations on tensors. u = d/h throughout; each docstring is the kernel's formula."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Final, final

import torch

from kdegrad.kernel.special import log_gamma_half_step
from kdegrad.torch.kernels import TensorKernel

_LOG_2: Final = math.log(2.0)
_NODES: Final = 160  # of the tanh-sinh rule: to the rounding of float64
_REACH: Final = 3.4  # beyond it the rule's nodes are at the ends to e^-47


class LineKernel(TensorKernel):
    """A kernel K of u = d/h; on a circle it is taken the shorter way round and divided by its mass c = ∫_{-v}^{v} K.

    With v = P/(2h), ∂ log c/∂log h = -2 v K(v)/c = -P K_h(P/2)/c.
    """

    log_peak: float  # log K(0), beside shapes of peak 1

    @final
    def __init__(self, h: torch.Tensor, df: float, period: float | None, host_h: float | None = None) -> None:
        self.h, self.df, self.half_period = h, df, None if period is None else 0.5 * period
        self.prepare()
        self.log_norm = torch.log(h) - self.log_peak
        self.log_mass_slope: torch.Tensor | float = 0.0
        if self.half_period is not None:
            antipode = torch.full_like(h, self.half_period)
            self.log_norm = self.log_norm + torch.log(self.mass(antipode / h))
            self.log_mass_slope = -2.0 * antipode * torch.exp(self.log_shape(antipode) - self.log_norm)

    def prepare(self) -> None:
        """Set what depends on the degrees of freedom."""

    @abstractmethod
    def mass(self, v: torch.Tensor) -> torch.Tensor:
        """Return ∫_{-v}^{v} K(u) du, shape ()."""

    @final
    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return -(d * slope) - (1.0 + self.log_mass_slope)


@final
class Gaussian(LineKernel):
    """K(u) = exp(-u²/2)/√(2π), k' = -u/h."""

    log_peak = -0.5 * math.log(2.0 * math.pi)

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return torch.erf(v / math.sqrt(2.0))

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return -0.5 * (d / self.h) ** 2

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return -d / self.h / self.h


@final
class Laplace(LineKernel):
    """K(u) = exp(-|u|)/2, k' = -sign(u)/h."""

    log_peak = -_LOG_2

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return -torch.expm1(-v)

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return d.abs() / -self.h

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return d.sign() / -self.h


@final
class Logistic(LineKernel):
    """K(u) = e^-|u|/(1 + e^-|u|)², k' = -tanh(u/2)/h."""

    log_peak = -2.0 * _LOG_2

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return torch.tanh(0.5 * v)

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        u = d.abs() / self.h
        return 2.0 * _LOG_2 - u - 2.0 * torch.log1p(torch.exp(-u))

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return torch.tanh(0.5 * d / self.h) / -self.h


@final
class Sigmoid(LineKernel):
    """K(u) = 2 e^-|u|/(π (1 + e^-2|u|)), k' = -tanh(u)/h."""

    log_peak = -math.log(math.pi)

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return 4.0 / math.pi * torch.atan(torch.tanh(0.5 * v))

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        u = d.abs() / self.h
        return _LOG_2 - u - torch.log1p(torch.exp(-2.0 * u))

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return torch.tanh(d / self.h) / -self.h


class HeavyTail(LineKernel):
    """K(u) ∝ (1 + u²/ν)^-((ν+1)/2), k' = -(ν+1)/h · u/(ν + u²)."""

    @final
    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        u = d / (self.h * math.sqrt(self.df))
        return -0.5 * (self.df + 1.0) * torch.log1p(u * u)  # K is 0 where u² overflows, in float32 from 10¹⁹ on

    @final
    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        u = d / self.h
        return -(self.df + 1.0) / self.h * (u / (self.df + u * u))


@final
class Cauchy(HeavyTail):
    """K(u) = 1/(π (1 + u²))."""

    log_peak = -math.log(math.pi)

    def prepare(self) -> None:
        self.df = 1.0

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return 2.0 / math.pi * torch.atan(v)


@final
class StudentT(HeavyTail):
    """K(u) = Γ((ν+1)/2)/(Γ(ν/2) √(νπ)) · (1 + u²/ν)^-((ν+1)/2)."""

    def prepare(self) -> None:
        self.log_peak = log_gamma_half_step(0.5 * self.df) - 0.5 * (math.log(self.df) + math.log(math.pi))

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        # 2 K(0) √ν ∫_0^S cosh(s)^-ν ds, S = asinh(v/√ν), as `kdegrad.kernel.special.student_t_mass`, by the tanh-sinh
        # rule, whose nodes need no table: s = S/(1 + E), ds = πS cosh(t) E/(1 + E)² dt with E = exp(-π sinh t)
        step = 2.0 * _REACH / _NODES
        t = (torch.arange(_NODES, dtype=v.dtype, device=v.device) + (0.5 - 0.5 * _NODES)) * step
        e = torch.exp(-math.pi * torch.sinh(t))
        longest = 45.0 / self.df + 10.0 * min(1.0, 1.0 / math.sqrt(self.df))  # beyond it nothing is left
        upper = torch.clamp(torch.asinh(v / math.sqrt(self.df)), max=longest)
        s = upper / (1.0 + e)
        log_cosh = torch.where(
            s < 1.0, 0.5 * torch.log1p(torch.sinh(s) ** 2), s + torch.log1p(torch.exp(-2.0 * s)) - _LOG_2
        )
        weights = math.pi * step * torch.cosh(t) * e / (1.0 + e) ** 2
        integral = upper * (weights * torch.exp(-self.df * log_cosh)).sum()
        return torch.clamp(2.0 * math.exp(self.log_peak + 0.5 * math.log(self.df)) * integral, max=1.0)


class CompactKernel(LineKernel):
    """A kernel that is 0 for |d| > h, formed from s = 1 - |u| = (h - |d|)/h."""

    @final
    def remainder(self, d: torch.Tensor) -> torch.Tensor:
        """Return s, not below 0."""
        return torch.clamp(self.h - d.abs(), min=0.0) / self.h


class PowerKernel(CompactKernel):
    """K(u) = c (1 - |u|^m)^n for |u| ≤ 1, k' = -m n sign(u) |u|^(m-1)/(1 - |u|^m)/h."""

    m: int
    n: int

    @final
    def base(self, d: torch.Tensor) -> torch.Tensor:
        """Return 1 - |u|^m by Horner's scheme in s: s, s (2 - s), s (3 - s (3 - s))."""
        s = self.remainder(d)
        return s if self.m == 1 else s * (2.0 - s) if self.m == 2 else s * (3.0 - s * (3.0 - s))

    @final
    def mass(self, v: torch.Tensor) -> torch.Tensor:
        inside = torch.clamp(v, max=1.0)
        terms = [(-1) ** k * math.comb(self.n, k) / (self.m * k + 1) for k in range(self.n + 1)]
        return inside * sum(term * inside ** (self.m * k) for k, term in enumerate(terms)) / sum(terms)

    @final
    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return self.n * torch.log(self.base(d))

    @final
    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        base = self.base(d)
        slope = -self.m * self.n / self.h * self._power(d)
        return torch.where(base > 0.0, slope / base, 0.0)

    @final
    @property
    def edge_slope(self) -> torch.Tensor | None:
        return -0.5 * self.m / self.h if self.n == 1 else None

    def _power(self, d: torch.Tensor) -> torch.Tensor:
        """Return sign(u) |u|^(m-1)."""
        u = d / self.h
        return d.sign() if self.m == 1 else u if self.m == 2 else u * u.abs()


@final
class Epanechnikov(PowerKernel):
    """K(u) = 3/4 (1 - u²)."""

    m, n, log_peak = 2, 1, math.log(3.0 / 4.0)


@final
class Biweight(PowerKernel):
    """K(u) = 15/16 (1 - u²)²."""

    m, n, log_peak = 2, 2, math.log(15.0 / 16.0)


@final
class Triweight(PowerKernel):
    """K(u) = 35/32 (1 - u²)³."""

    m, n, log_peak = 2, 3, math.log(35.0 / 32.0)


@final
class Tricube(PowerKernel):
    """K(u) = 70/81 (1 - |u|³)³."""

    m, n, log_peak = 3, 3, math.log(70.0 / 81.0)


@final
class Triangular(PowerKernel):
    """K(u) = 1 - |u|."""

    m, n, log_peak = 1, 1, 0.0


@final
class Cosine(CompactKernel):
    """K(u) = π/4 sin(πs/2), k' = -π/(2h) sin(πu/2)/sin(πs/2)."""

    log_peak = math.log(math.pi / 4.0)

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return torch.sin(0.5 * math.pi * torch.clamp(v, max=1.0))

    def shape(self, d: torch.Tensor) -> torch.Tensor:
        """Return sin(πs/2)."""
        return torch.sin(0.5 * math.pi * self.remainder(d))

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return torch.log(self.shape(d))

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        quarter_turns = 0.5 * math.pi / self.h
        shape = self.shape(d)
        return torch.where(shape > 0.0, -quarter_turns * torch.sin(quarter_turns * d) / shape, 0.0)

    @property
    def edge_slope(self) -> torch.Tensor:
        return -0.25 * math.pi / self.h


@final
class Uniform(CompactKernel):
    """K(u) = 1/2 for |u| ≤ 1, k' = 0."""

    log_peak = -_LOG_2

    def mass(self, v: torch.Tensor) -> torch.Tensor:
        return torch.clamp(v, max=1.0)

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return torch.where(d.abs() <= self.h, 0.0, -math.inf).to(d.dtype)

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(d)


LINE_KERNELS: Final[dict[str, type[LineKernel]]] = {
    "gaussian": Gaussian,
    "laplace": Laplace,
    "logistic": Logistic,
    "sigmoid": Sigmoid,
    "cauchy": Cauchy,
    "student-t": StudentT,
    "epanechnikov": Epanechnikov,
    "biweight": Biweight,
    "triweight": Triweight,
    "tricube": Tricube,
    "triangular": Triangular,
    "cosine": Cosine,
    "uniform": Uniform,
}
