"""Quadrature rules: nodes and weights for the mean over the target, Σ_m w_m f(t_m) ≈ 1/(b-a) ∫_a^b f(t) dt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.text import counted, nine_digits, summary

Ends = float | FloatArray  # of one interval, or (g, 1) for nodes of many, (g, B)


@final
@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes t_m in the unit of the angles, shape (B,), or (g, B) of g targets, and weights w_m, (B,), of sum 1."""

    nodes: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        self.nodes.flags.writeable = False
        self.weights.flags.writeable = False

    def __repr__(self) -> str:
        ends = f"from {nine_digits(self.nodes.min())} to {nine_digits(self.nodes.max())}" if self.nodes.size else ""
        return summary("Rule", " ".join([counted(self.bins, "node"), ends]))

    @property
    def bins(self) -> int:
        """The number of nodes B."""
        return len(self.weights)


def midpoint(low: Ends, high: Ends, bins: int) -> Rule:
    """Return B equal bins, one node at each centre: t_m = a + (m + ½)(b - a)/B, w = 1/B. "Binning"."""
    nodes = np.arange(0.5, bins) * ((high - low) / bins)
    nodes += low
    return Rule(nodes, np.full(bins, 1.0 / bins))


def gauss(low: Ends, high: Ends, bins: int) -> Rule:
    """Return the Gauss-Legendre rule with B nodes on [a, b]."""
    points, weights = legendre(bins)
    return Rule(0.5 * (low + high) + 0.5 * (high - low) * points, weights / weights.sum())


def legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Return the nodes (ascending) and weights of Gauss-Legendre quadrature on [-1, 1], at most some 10⁴ of them.

    Newton's method on P_n by its three-term recurrence, from Tricomi's x_k ≈ (1 - (n-1)/(8n³)) cos(π(4k-1)/(4n+2)),
    with w_k = 2/((1 - x_k²) P_n'(x_k)²). O(n²), where the eigenvalues of NumPy's `leggauss` are O(n³).

    The weight belongs to the zero and not to the float64 beside it, which matters next to ±1, where 1 - x² is small:
    the zero is -P_n/P_n' away, and (1 - x²) P_n'² grows by 2x P_n'² an x.
    """
    k = np.arange(1, count // 2 + 1)
    x = (1.0 - (count - 1) / (8.0 * count**3)) * np.cos(math.pi * (4 * k - 1) / (4 * count + 2))
    for _ in range(4):  # quadratic from a start that is off by O(n^-4): the third step is already round-off
        value, slope = _legendre_value_and_slope(count, x)
        x -= value / slope
    positive = x[::-1]
    value, slope = _legendre_value_and_slope(count, positive)
    half = 2.0 / (slope * ((1.0 - positive) * (1.0 + positive) * slope - 2.0 * positive * value))
    if count % 2 == 0:
        nodes, weights = np.concatenate([-positive[::-1], positive]), np.concatenate([half[::-1], half])
    else:
        _, slope_at_0 = _legendre_value_and_slope(count, np.zeros(1))
        nodes = np.concatenate([-positive[::-1], [0.0], positive])
        weights = np.concatenate([half[::-1], 2.0 / slope_at_0**2, half])
    nodes.flags.writeable = weights.flags.writeable = False  # they are kept for the next caller
    return nodes, weights


def legendre_values(degree: int, x: FloatArray) -> FloatArray:
    """Return P_n(x)."""
    return _legendre_pair(degree, x)[1]


def _legendre_value_and_slope(degree: int, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P_n(x) and P_n'(x) = n (P_{n-1} - x P_n)/(1 - x²)."""
    previous, value = _legendre_pair(degree, x)
    return value, degree * (previous - x * value) / ((1.0 - x) * (1.0 + x))


def _legendre_pair(degree: int, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P_{n-1}(x) and P_n(x) by (k+1) P_{k+1} = (2k+1) x P_k - k P_{k-1}, from P_{-1} = 0 and P_0 = 1."""
    previous, value = np.zeros_like(x), np.ones_like(x)
    for k in range(degree):
        previous, value = value, ((2 * k + 1) * x * value - k * previous) / (k + 1)
    return previous, value
