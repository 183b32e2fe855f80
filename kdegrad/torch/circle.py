"""The kernels of the circle itself as operations on tensors; each docstring is the kernel's formula."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, final

import torch

from kdegrad.kernel.special import asymptotic_terms
from kdegrad.torch.kernels import TensorKernel

_LOG_2: Final = math.log(2.0)
_SMALL_KAPPA: Final = 50.0  # up to here torch's Bessel functions, above it their asymptotic series
_TERMS: Final = 16  # of these series: the next is 1e-19 of the first
_MEETING: Final = 0.4  # h/P of a Gaussian, below which its turns are summed, and above it its Fourier series
_TURNS: Final = 4  # to each side, that count below
_COSINES: Final = 3  # that count above
_NEGLIGIBLE: Final = 45.0  # e^-45 = 3e-20 of the largest term is below the rounding of a sum


class CircleKernel(TensorKernel):
    """A kernel of the circle itself; θ = 2πd/P is the displacement in radians."""

    @final
    def __init__(self, h: torch.Tensor, df: float, period: float | None, host_h: float | None = None) -> None:
        assert period is not None  # checked with the name of the kernel
        self.h, self.host_h, self.period, self.radians = h, host_h, period, 2.0 * math.pi / period
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Set log_norm, and what depends on h alone."""


@final
class VonMises(CircleKernel):
    """K = exp(-2κ sin²(θ/2))/(P e^-κ I0(κ)), κ = 1/(2πh/P)², k' = -κ sin θ · 2π/P."""

    def prepare(self) -> None:
        self.root_kappa = 1.0 / (self.radians * self.h)
        kappa = self.root_kappa * self.root_kappa
        small = torch.clamp(kappa, max=_SMALL_KAPPA)
        inverse = 1.0 / torch.clamp(kappa, min=_SMALL_KAPPA)
        is_small = kappa <= _SMALL_KAPPA
        # Above: e^-κ I0(κ) = (2πκ)^-½ Σ a_n/κ^n (DLMF 10.40.1), and so of I1; their difference loses no digits.
        log_above = (
            torch.log(_polynomial(_I0_TERMS, inverse))
            - 0.5 * math.log(2.0 * math.pi)
            + torch.log(1.0 / self.root_kappa)
        )
        self.log_norm = math.log(self.period) + torch.where(is_small, torch.log(torch.special.i0e(small)), log_above)
        below = 2.0 * small * (1.0 - torch.special.i1e(small) / torch.special.i0e(small))
        above = _polynomial(_DIFFERENCE_TERMS, inverse) / _polynomial(_I0_TERMS, inverse)
        self.two_kappa_less_ratio = torch.where(is_small, below, above)  # 2κ (1 - I1(κ)/I0(κ))

    def chord(self, d: torch.Tensor) -> torch.Tensor:
        """Return 2 √κ sin(θ/2)."""
        return 2.0 * self.root_kappa * torch.sin(0.5 * self.radians * d)

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return -0.5 * self.chord(d) ** 2

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return -torch.sin(self.radians * d) / self.radians / self.h / self.h

    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return self.chord(d) ** 2 - self.two_kappa_less_ratio


@final
class WrappedGaussian(CircleKernel):
    """K = Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)) = (1/P) (1 + 2 Σ_n q^(n²) cos nθ), q = exp(-(2πh/P)²/2).

    The first sum serves a small h, the second a large one; where h is known to the device alone, both are formed. With
    w_n = exp(-((d + nP)² - d²)/(2h²)) and ⟨.⟩ the mean weighted by w, n = 0 included,

        k' = -(d + ⟨nP⟩)/h²,    ∂k/∂log h = (d² + 2d⟨nP⟩ + ⟨(nP)²⟩)/h² - 1
    """

    def prepare(self) -> None:
        self.turns = _TURNS
        if self.host_h is not None:
            y = self.period / self.host_h
            self.turns = sum(n * (n - 1) * y * y < 2.0 * _NEGLIGIBLE for n in range(1, _TURNS + 1))
        self.few_turns = self.h < _MEETING * self.period
        by_turns = torch.log(self.h) + 0.5 * math.log(2.0 * math.pi)
        self.log_norm = torch.where(self.few_turns, by_turns, math.log(self.period))

    def others(self, d: torch.Tensor, *powers: int) -> list[torch.Tensor]:
        """Return Σ_n w_n (nP)^power over the n ≠ 0, for each of some powers."""
        sums = [torch.zeros_like(d) for _ in powers]
        for n in range(1, self.turns + 1):
            for turn in (n * self.period, -n * self.period):
                weight = (d + 0.5 * turn).mul_(-turn / self.h / self.h).exp_()  # at most 1: |d| is at most P/2
                for total, power in zip(sums, powers, strict=True):
                    total.add_(weight, alpha=turn**power)
        return sums

    def cosines(self, d: torch.Tensor, power: int) -> torch.Tensor:
        """Return 2 Σ_n (ns)^power exp(-(ns)²/2) cos nθ, s = 2πh/P, with sines for an odd power."""
        s, total = self.radians * self.h, torch.zeros_like(d)
        for n in range(1, _COSINES + 1):
            size = 2.0 * torch.exp(power * torch.log(n * s) - 0.5 * (n * s) ** 2)
            angle = n * self.radians * d
            total += size * (angle.sin_() if power % 2 else angle.cos_())
        return total

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return self._chosen(
            lambda: torch.log1p(*self.others(d, 0)) - 0.5 * (d / self.h) ** 2, lambda: torch.log1p(self.cosines(d, 0))
        )

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        def by_turns() -> torch.Tensor:
            total, first = self.others(d, 0, 1)
            return -(d + first / (1.0 + total)) / self.h

        return self._chosen(by_turns, lambda: -self.cosines(d, 1) / (1.0 + self.cosines(d, 0))) / self.h

    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        def by_turns() -> torch.Tensor:
            total, first, second = self.others(d, 0, 1, 2)
            return (d * d + (2.0 * d * first + second) / (1.0 + total)) / self.h / self.h - 1.0

        return self._chosen(by_turns, lambda: -self.cosines(d, 2) / (1.0 + self.cosines(d, 0)))

    def _chosen(self, by_turns: Callable[[], torch.Tensor], by_cosines: Callable[[], torch.Tensor]) -> torch.Tensor:
        if self.host_h is not None:
            return by_turns() if self.host_h < _MEETING * self.period else by_cosines()
        return torch.where(self.few_turns, by_turns(), by_cosines())


@final
class WrappedLaplace(CircleKernel):
    """K = (e^(-|d|/h) + e^(-(P-|d|)/h))/(2h (1 - e^(-P/h))).

    With w = (P - 2|d|)/h and y = P/h, k' = -sign(d)/h tanh(w/2) and ∂k/∂log h = |d|/h + w/(1 + e^w) - 1 + y/(e^y - 1).
    """

    def prepare(self) -> None:
        self.log_norm = _LOG_2 + torch.log(self.h) + torch.log(-torch.expm1(-self.period / self.h))

    def detour(self, d: torch.Tensor) -> torch.Tensor:
        """Return w."""
        return (self.period - 2.0 * d.abs()) / self.h

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return torch.log1p(torch.exp(-self.detour(d))) - d.abs() / self.h

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        return d.sign() / -self.h * torch.tanh(0.5 * self.detour(d))

    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        w, y = self.detour(d), self.period / self.h
        return d.abs() / self.h + w / (1.0 + torch.exp(w)) - 1.0 + y / torch.expm1(y)


@final
class WrappedCauchy(CircleKernel):
    """K = (1/P) sinh γ/(cosh γ - cos θ) = (1/P) (1 - ρ²)/((1 - ρ)² + 4ρ sin²(θ/2)), γ = 2πh/P, ρ = e^-γ."""

    def prepare(self) -> None:
        self.gamma = self.radians * self.h
        self.steepness = 2.0 * torch.exp(-0.5 * self.gamma) / -torch.expm1(-self.gamma)  # 2 √ρ/(1 - ρ)
        self.log_norm = math.log(self.period) + torch.log(torch.tanh(0.5 * self.gamma))

    def chord(self, d: torch.Tensor) -> torch.Tensor:
        """Return 2 √ρ sin(θ/2)/(1 - ρ)."""
        return self.steepness * torch.sin(0.5 * self.radians * d)

    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        return -torch.log1p(self.chord(d) ** 2)

    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        chord = self.chord(d)
        fall = chord / (1.0 + chord * chord)
        return -self.radians * self.steepness * torch.cos(0.5 * self.radians * d) * fall

    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        # γ (x coth γ - 1/sinh γ)/(1 + x), x = chord²: see `kdegrad.kernel.circle`
        x = self.chord(d) ** 2
        inverse_sine = 2.0 * torch.exp(-self.gamma) / -torch.expm1(-2.0 * self.gamma)
        return self.gamma * (1.0 / torch.tanh(self.gamma) / (1.0 + 1.0 / x) - inverse_sine / (1.0 + x))


def _polynomial(coefficients: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    """Return Σ_n c_n xⁿ by Horner's scheme."""
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


# √(2πκ) e^-κ I0(κ) in powers of 1/κ, and 2κ times what it exceeds that of I1 by
_I0_TERMS: Final = [1.0, *asymptotic_terms(1.0, 0)[:_TERMS]]
_DIFFERENCE_TERMS: Final = [
    2.0 * (zeroth - first)
    for zeroth, first in zip(asymptotic_terms(1.0, 0)[:_TERMS], asymptotic_terms(1.0, 1)[:_TERMS], strict=True)
]

CIRCLE_KERNELS: Final[dict[str, type[CircleKernel]]] = {
    "von-mises": VonMises,
    "wrapped-gaussian": WrappedGaussian,
    "wrapped-laplace": WrappedLaplace,
    "wrapped-cauchy": WrappedCauchy,
}
