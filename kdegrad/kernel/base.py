"""What every kernel is: its logarithm, its two derivatives in a form that survives underflow, and facts about it.

A kernel is a density K_h on its domain, even and non-increasing in |d|, written

    K_h(d) = exp(log_shape(d) - log_norm)

so that the constant is added once to a sum and not to every pair. Derivatives come as a pair (log, factor) with

    ∂K_h = factor · exp(log - log_norm)

and a factor that is always finite: far out, where K_h underflows, the logarithm carries the size; at the edge
of a compact kernel, where K_h = 0 and k' = ∞, the factor carries the product.

A new kernel is one class with the decorator `kdegrad.kernel.register`: a subclass of `UnboundedKernel`,
`CompactKernel` or `NativeCircleKernel`. Sums, the rule ``exact``, sweeps and reports ask the class what they need to
know of it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Domain
from kdegrad.logs import Scaled, exp_or_zero
from kdegrad.text import nine_digits, summary

_LARGEST: Final = float(np.finfo(np.float64).max)


@final
@dataclass(frozen=True)
class Smoothness:
    """How smooth K is between its kinks: what decides how far a polynomial can stand for it to round-off.

    With the defaults nothing is known of it, and the fast sums take all pairs: exact, and as slow as the dense ones.

    Attributes
    ----------
    degree
        The degree of K if it is a polynomial, None if it is not.
    bend
        A length over which log K bends by at most about 1; infinite where the pole alone says enough; 0 where it is not
        known.
    pole
        The distance of K's nearest pole from the real axis, at d = 0; infinite for none.
    curvature
        c, if |k'(d)|, k = log K, may be as large as c·|d|; 0 where the pole and the bend say enough.
    steepest
        The |d| at which the bound c·|d| meets the largest |k'| there is; infinite where |k'| grows on.
    """

    degree: int | None = None
    bend: float = 0.0
    pole: float = math.inf
    curvature: float = 0.0
    steepest: float = math.inf


class Kernel(ABC):
    """A density K_h of the displacement d on a domain, with bandwidth h (both in the unit of the angles).

    Attributes
    ----------
    name, aliases, formula, support, tail
        As ``kdegrad kernels`` lists them; the tail is ``light``, ``exponential``, ``heavy`` or ``compact``.
    domains
        The names of the domains that it is defined on.
    parameters
        The names of the settings that it takes beside the bandwidth.
    log_norm
        What is subtracted from the shape's logarithm to make a density.
    kinked
        Whether K_h is not smooth at d = 0.
    jumps
        Whether K_h itself jumps at its edge, and not only a derivative.
    edge
        The |d| at which a compact kernel ends; None for none.
    antipode
        The |d| at which the two ways round a circle meet in a kink; None for none.
    is_positive
        Whether K_h is positive everywhere: its derivatives are then factors of K_h itself, by the logarithm that
        `log_shape` returns.
    exponential_way
        How far to each side log K_h is -|d|/h + const: 0 if it is not; infinite on the line, half a
        turn of a circle the shorter way, a whole turn where K_h is the sum over all turns.
    """

    name: str
    aliases: tuple[str, ...] = ()
    formula: str
    support: str
    tail: str
    domains: tuple[str, ...]
    parameters: tuple[str, ...] = ()

    bandwidth: float
    domain: Domain
    log_norm: float

    kinked: bool = False
    jumps: bool = False
    edge: float | None = None
    antipode: float | None = None
    is_positive: bool = False
    exponential_way: float = 0.0

    def __repr__(self) -> str:
        on = "the line" if self.domain.measure == math.inf else f"a circle of {nine_digits(self.domain.measure)}"
        return summary(f"Kernel {self.name}", f"bandwidth {nine_digits(self.bandwidth)}", f"on {on}")

    @property
    def kinks(self) -> tuple[float, ...]:
        """The |d| at which K_h is not smooth, ascending."""
        return tuple(d for d in (0.0 if self.kinked else None, self.edge, self.antipode) if d is not None)

    @property
    def smoothness(self) -> Smoothness:
        """How smooth K_h is between its kinks; nothing is known of it unless a kernel says so."""
        return Smoothness()

    @abstractmethod
    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log K_h(d) + log_norm; -inf where K_h is 0."""

    def shape(self, d: FloatArray) -> FloatArray:
        """Return K_h(d) · exp(log_norm) in plain numbers; 0 below e^-700."""
        return exp_or_zero(self.log_shape(d))

    @abstractmethod
    def derivative_log(self, d: FloatArray) -> FloatArray:
        """Return the log of the derivatives: `log_shape` of a positive K_h, else 0, and -inf beyond the edge."""

    @abstractmethod
    def slope_factor(self, d: FloatArray) -> FloatArray:
        """Return ∂K_h/∂d · exp(log_norm - derivative_log), in a new array; at a kink the mean of both sides."""

    @abstractmethod
    def bandwidth_factor(self, d: FloatArray) -> FloatArray:
        """Return ∂K_h/∂log h · exp(log_norm - derivative_log) at fixed d, in a new array."""

    @final
    def slope(self, d: FloatArray) -> Scaled:
        """Return ∂K_h/∂d · exp(log_norm)."""
        return Scaled(self.derivative_log(d), self.slope_factor(d))

    @final
    def bandwidth_slope(self, d: FloatArray) -> Scaled:
        """Return ∂K_h/∂log h · exp(log_norm) at fixed d."""
        return Scaled(self.derivative_log(d), self.bandwidth_factor(d))

    @final
    def log_density(self, d: FloatArray) -> FloatArray:
        """Return log K_h(d)."""
        return self.log_shape(d) - self.log_norm


class LineKernel(Kernel):
    """A kernel K of u = d/h on the real line, K_h(d) = K(d/h)/h; on a circle it is taken at the geodesic distance.

    Attributes
    ----------
    log_peak
        log K(0), which is minus the logarithm of the integral of the shape over u.
    """

    domains = ("line", "circle")
    log_peak: float

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        self.bandwidth = float(bandwidth)
        self.domain = domain
        self.log_norm = math.log(self.bandwidth) - self.log_peak

    @final
    @classmethod
    def make(cls, bandwidth: float, domain: Domain, **options: float) -> LineKernel | Geodesic:
        """Return the kernel on `domain`, made with those of the `options` that are among its parameters."""
        kernel = cls(bandwidth, domain, **{name: options[name] for name in cls.parameters})
        return kernel if domain.measure == math.inf else Geodesic(kernel)

    @abstractmethod
    def mass(self, v: float) -> float:
        """Return ∫_{-v}^{v} K(u) du for v ≥ 0, to round-off also where it is small."""

    @abstractmethod
    def value_factor(self, d: FloatArray) -> FloatArray | float:
        """Return the shape itself over the same logarithm as its derivatives."""

    @final
    def bandwidth_factor(self, d: FloatArray, log_mass_slope: float = 0.0) -> FloatArray:
        """Return -(K_h + d ∂K_h/∂d) · exp(log_norm - derivative_log), as K_h(d) = K(d/h)/h has it.

        Of K_h/c with a mass c(h), it is -((1 + ∂log c/∂log h) K_h + d ∂K_h/∂d) / c: `log_mass_slope` is ∂log c/∂log h.
        """
        with np.errstate(over="ignore"):
            fall = np.maximum(d * self.slope_factor(d), -_LARGEST)  # where that overflows K is 0: any finite is right
        return -(1.0 + log_mass_slope) * self.value_factor(d) - fall


class UnboundedKernel(LineKernel):
    """A line kernel that is positive everywhere: its logarithm k has a derivative k'."""

    support = "R"
    is_positive = True

    @abstractmethod
    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return k'(d) = ∂ log K_h/∂d; 0 at a kink in d = 0."""

    @final
    def derivative_log(self, d: FloatArray) -> FloatArray:
        return self.log_shape(d)

    @final
    def slope_factor(self, d: FloatArray) -> FloatArray:
        return self.log_slope(d)

    @final
    def value_factor(self, d: FloatArray) -> float:
        return 1.0


class CompactKernel(LineKernel):
    """A line kernel that is 0 for |d| > h: no underflow, but an edge.

    Inside, everything is formed from 1 - |u| = (h - |d|)/h, never from a rounded u.
    """

    support = "|u| < 1"
    tail = "compact"

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.edge = self.bandwidth

    @property
    @abstractmethod
    def degree(self) -> int:
        """The degree of the polynomial that K is inside, or is like to round-off on an eighth of a bandwidth."""

    @final
    @property
    def smoothness(self) -> Smoothness:
        return Smoothness(degree=self.degree, bend=self.bandwidth)

    @abstractmethod
    def shape(self, d: FloatArray) -> FloatArray:
        """Return K(d/h)/K(0); 0 outside."""

    @abstractmethod
    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return ∂shape/∂d by the formula that holds inside, for |d| ≤ h."""

    @final
    def derivative_log(self, d: FloatArray) -> FloatArray:
        return np.where(np.abs(d) <= self.bandwidth, 0.0, -np.inf)

    @final
    def slope_factor(self, d: FloatArray) -> FloatArray:
        inside = np.heaviside(self.bandwidth - np.abs(d), 0.5)  # half of the inner slope at the edge, 0 outside
        return inside * self.inner_slope(np.clip(d, -self.bandwidth, self.bandwidth))

    @final
    def value_factor(self, d: FloatArray) -> FloatArray:
        return self.shape(d)

    @final
    def remainder(self, d: FloatArray) -> FloatArray:
        """Return 1 - |u|, not below 0."""
        return np.maximum(self.bandwidth - np.abs(d), 0.0) / self.bandwidth


@final
class Geodesic(Kernel):
    """K_h(|d|)/c with the mass c(h) = ∫_{-P/2}^{P/2} K_h: a line kernel at the shorter way round.

    With v = P/(2h), ∂log c/∂log h = -2 v K(v)/c. At the antipode |d| = P/2 the kernel has a kink.
    """

    domains = ("circle",)

    def __init__(self, line: LineKernel) -> None:
        self.line = line
        self.name, self.aliases, self.formula = line.name, line.aliases, line.formula
        self.support, self.tail, self.parameters = line.support, line.tail, line.parameters
        self.bandwidth, self.domain = line.bandwidth, line.domain
        self.half_period = 0.5 * line.domain.measure
        mass = line.mass(self.half_period / line.bandwidth)
        self.log_norm = line.log_norm + math.log(mass)
        with np.errstate(over="ignore"):  # so far out that log K is not a float64: the slope is 0
            at_antipode = float(line.log_density(np.array([self.half_period]))[0])
        self.log_mass_slope = -line.domain.measure * math.exp(at_antipode) / mass
        self.kinked, self.jumps, self.is_positive = line.kinked, line.jumps, line.is_positive
        self.exponential_way = min(line.exponential_way, self.half_period)
        if line.edge is not None and line.edge < self.half_period:
            self.edge = line.edge
        elif not line.jumps:
            self.antipode = self.half_period

    @property
    def smoothness(self) -> Smoothness:
        return self.line.smoothness

    def log_shape(self, d: FloatArray) -> FloatArray:
        return self.line.log_shape(d)

    def shape(self, d: FloatArray) -> FloatArray:
        return self.line.shape(d)

    def derivative_log(self, d: FloatArray) -> FloatArray:
        return self.line.derivative_log(d)

    def slope_factor(self, d: FloatArray) -> FloatArray:
        factor = self.line.slope_factor(d)
        np.copyto(factor, 0.0, where=np.abs(d) >= self.half_period)  # at the antipode's kink
        return factor

    def bandwidth_factor(self, d: FloatArray) -> FloatArray:
        return self.line.bandwidth_factor(d, self.log_mass_slope)


class NativeCircleKernel(Kernel):
    """A positive kernel that is defined on the circle itself, by k = log K and the derivatives of k."""

    support = "circle"
    domains = ("circle",)
    is_positive = True

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        self.bandwidth = float(bandwidth)
        self.domain = domain
        self.period = domain.measure
        self.radians = 2.0 * math.pi / self.period  # θ = 2πd/P is the displacement in radians

    @final
    @classmethod
    def make(cls, bandwidth: float, domain: Domain, **options: float) -> Self:
        """Return the kernel on `domain`, made with those of the `options` that are among its parameters."""
        return cls(bandwidth, domain, **{name: options[name] for name in cls.parameters})

    @abstractmethod
    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return k'(d) = ∂k/∂d."""

    @abstractmethod
    def log_bandwidth_slope(self, d: FloatArray) -> FloatArray:
        """Return ∂k/∂log h at fixed d."""

    @final
    def derivative_log(self, d: FloatArray) -> FloatArray:
        return self.log_shape(d)

    @final
    def slope_factor(self, d: FloatArray) -> FloatArray:
        return self.log_slope(d)

    @final
    def bandwidth_factor(self, d: FloatArray) -> FloatArray:
        return self.log_bandwidth_slope(d)
