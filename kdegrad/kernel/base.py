"""What every kernel is: its logarithm, and its two derivatives in a form that survives underflow.

A kernel is a density K_h on its domain, even and non-increasing in |d|, written

    K_h(d) = exp(log_shape(d) - log_norm)

so that the constant is added once to a sum and not to every pair. Derivatives come as a pair (log, factor) with

    ∂K_h = factor · exp(log - log_norm)

and a factor that is always finite: far out, where K_h underflows, the logarithm carries the size; at the edge
of a compact kernel, where K_h = 0 and k' = ∞, the factor carries the product.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Domain
from kdegrad.logs import Scaled


class Kernel(ABC):
    """A density K_h of the displacement d on a domain, with bandwidth h (both in the unit of the angles)."""

    name: str
    aliases: tuple[str, ...] = ()
    formula: str
    support: str
    tail: str

    bandwidth: float
    domain: Domain
    log_norm: float

    # Where K_h is not smooth, for an integral that is split there.
    kinked: bool = False  # at d = 0
    jumps: bool = False  # at the edge, K_h itself and not only a derivative
    edge: float | None = None  # the |d| at which a compact kernel ends
    antipode: float | None = None  # the |d| at which two ways round a circle meet in a kink

    @abstractmethod
    def log_shape(self, d: FloatArray) -> FloatArray:
        """Return log K_h(d) + log_norm; -inf where K_h is 0."""

    @abstractmethod
    def slope(self, d: FloatArray) -> Scaled:
        """Return ∂K_h/∂d · exp(log_norm), at a kink the mean of the one-sided values."""

    @abstractmethod
    def bandwidth_slope(self, d: FloatArray) -> Scaled:
        """Return ∂K_h/∂log h · exp(log_norm) at fixed d."""

    def log_density(self, d: FloatArray) -> FloatArray:
        """Return log K_h(d)."""
        return self.log_shape(d) - self.log_norm


class LineKernel(Kernel):
    """A kernel K of u = d/h on the real line, K_h(d) = K(d/h)/h."""

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        self.bandwidth = float(bandwidth)
        self.domain = domain
        self.log_norm = math.log(self.bandwidth) - self.log_peak()

    @abstractmethod
    def log_peak(self) -> float:
        """Return log K(0), which is minus the logarithm of the integral of the shape over u."""

    @abstractmethod
    def mass(self, v: float) -> float:
        """Return ∫_{-v}^{v} K(u) du for v ≥ 0, to round-off also where it is small."""

    @abstractmethod
    def value(self, d: FloatArray) -> Scaled:
        """Return the shape itself over the same logarithm as its slope."""

    def bandwidth_slope(self, d: FloatArray) -> Scaled:
        """Return -(K_h + d ∂K_h/∂d) · exp(log_norm), as K_h(d) = K(d/h)/h has it."""
        return self.conditioned_bandwidth_slope(d, 0.0)

    def conditioned_bandwidth_slope(self, d: FloatArray, log_mass_slope: float) -> Scaled:
        """Return the bandwidth slope of K_h divided by a mass that depends on h too.

        With c(h) the mass, ∂(K_h/c)/∂log h = -((1 + ∂log c/∂log h) K_h + d ∂K_h/∂d) / c.
        """
        value = self.value(d).factor
        log, slope = self.slope(d)
        return Scaled(log, -(1.0 + log_mass_slope) * value - d * slope)


class UnboundedKernel(LineKernel):
    """A line kernel that is positive everywhere: its logarithm k has a derivative k'."""

    @abstractmethod
    def log_slope(self, d: FloatArray) -> FloatArray:
        """Return k'(d) = ∂ log K_h/∂d; 0 at a kink in d = 0."""

    def value(self, d: FloatArray) -> Scaled:
        """Return exp(log_shape) · 1."""
        log = self.log_shape(d)
        return Scaled(log, np.ones_like(log))

    def slope(self, d: FloatArray) -> Scaled:
        """Return exp(log_shape) · k'."""
        return Scaled(self.log_shape(d), self.log_slope(d))


class CompactKernel(LineKernel):
    """A line kernel that is 0 for |d| > h: no underflow, but an edge.

    Inside, everything is formed from 1 - |u| = (h - |d|)/h, never from a rounded u.
    """

    def __init__(self, bandwidth: float, domain: Domain) -> None:
        super().__init__(bandwidth, domain)
        self.edge = self.bandwidth

    @abstractmethod
    def shape(self, d: FloatArray) -> FloatArray:
        """Return K(d/h)/K(0); 0 outside."""

    @abstractmethod
    def inner_slope(self, d: FloatArray) -> FloatArray:
        """Return ∂shape/∂d by the formula that holds inside, for |d| ≤ h."""

    def value(self, d: FloatArray) -> Scaled:
        """Return exp(0) · shape."""
        return Scaled(self._log_support(d), self.shape(d))

    def slope(self, d: FloatArray) -> Scaled:
        """Return exp(0) · ∂shape/∂d: inside the formula, at the edge half of it, outside 0."""
        inside = np.heaviside(self.bandwidth - np.abs(d), 0.5)
        return Scaled(self._log_support(d), inside * self.inner_slope(np.clip(d, -self.bandwidth, self.bandwidth)))

    def remainder(self, d: FloatArray) -> FloatArray:
        """Return 1 - |u|, not below 0."""
        return np.maximum(self.bandwidth - np.abs(d), 0.0) / self.bandwidth

    def _log_support(self, d: FloatArray) -> FloatArray:
        return np.where(np.abs(d) <= self.bandwidth, 0.0, -np.inf)
