"""The loss and its gradients a second time: every pair written out, on the formulas of `reference_kernels`.

It shares nothing with `kdegrad.objective`, `kdegrad.sums` and `kdegrad.kernel` but the numbers that come in: angles,
logits, settings, and the nodes and weights of the rule. It is what the measured values are compared with where no
closed form is at hand, what predicts how far a control breaks, and what tells how large round-off may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.reference_kernels import Complexes, formula_of

EPSILON: Final = float(np.finfo(np.float64).eps)
_STEP: Final = 1e-30  # of a complex step, relative to h: its square is lost, so that derivatives have no truncation
_BLOCK_PAIRS: Final = 50_000
_STEEPEST_BEND: Final = 10.0  # max |K''|/K(0) over the compact kernels (tricube)


@dataclass(frozen=True, eq=False)
class Reading:
    """What one computation says about a problem; slopes are in units of 1/h.

    Attributes
    ----------
    loss
        L.
    log_density
        log p̃ at the nodes, shape (B,).
    weights, responsibilities
        S_i and R_i, shape (N,).
    logits
        ∂L/∂z_i, shape (N,).
    per_weight
        ∂L/∂z_i / S_i, shape (N,), of a point of weight 0 too; infinite where it overflows.
    angles
        h ∂L/∂x_i, shape (N,).
    log_bandwidth
        ∂L/∂log h.
    """

    loss: float
    log_density: FloatArray
    weights: FloatArray
    responsibilities: FloatArray
    logits: FloatArray
    per_weight: FloatArray
    angles: FloatArray
    log_bandwidth: float


@dataclass(frozen=True, eq=False)
class Picture:
    """The reference's reading, and how sensitive the numbers are to rounding.

    Attributes
    ----------
    reading
        The reading; its gradients mean nothing where `uncovered` is not 0.
    uncovered
        At how many nodes the density is 0.
    condition
        A = max_m Σ_j r_j A_jm with A_jm = |log S_j| + |log K| + |k'| (|t_m| + |x_j|), over the pairs with K > 0; a
        background adds its share times |log(E/(b-a))| + (|a| + |b|)/(b-a).
    steepness
        max_m Σ_j r_j |h k'| and r_j |∂k/∂log h|: how much larger than responsibilities the terms of the slopes are.
    bend
        max_m Σ_j |h² S_j K''/p| (|t_m| + |x_j|)/h: what a rounded coordinate moves the slopes by.
    kink_clearance
        The least relative distance of a pair from a kink or jump of K, in units of |t| + |x| + h.
    """

    reading: Reading
    uncovered: int
    condition: float
    steepness: float
    bend: float
    kink_clearance: float


def softmax(logits: FloatArray) -> FloatArray:
    """Return exp(z_j)/Σ_k exp(z_k)."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


@lru_cache(maxsize=8)  # a picture and its problem hold some ten vectors of length N
def picture(problem: Problem) -> Picture:
    """Return the reading of `problem` by the plain formulas, with its sensitivity to rounding."""
    nodes, node_weights = problem.rule.nodes, problem.rule.weights
    log_weights: FloatArray = _log_softmax(problem.logits + 0j).real.astype(np.float64)
    log_density = np.empty(len(nodes))
    total, ratios, slopes = (np.zeros(len(problem.angles)) for _ in range(3))
    bandwidth_slope = 0.0
    condition, steepness, bend, clearance = 0.0, 0.0, 0.0, math.inf
    for block, d in _blocks(problem, nodes):
        pairs = _Pairs(problem, log_weights, nodes[block], d)
        log_density[block] = pairs.log_density
        w = node_weights[block]
        total += w @ pairs.shares
        ratios += w @ pairs.ratios
        slopes += w @ pairs.slopes
        bandwidth_slope -= float(w @ pairs.bandwidth_slopes.sum(axis=1))
        condition = max(condition, pairs.condition())
        steepness = max(
            steepness, *(float(np.abs(s).sum(axis=1).max()) for s in (pairs.slopes, pairs.bandwidth_slopes))
        )
        bend = max(bend, pairs.bend())
        clearance = min(clearance, pairs.clearance())
    uncovered = int(np.isneginf(log_density).sum())
    weights = np.exp(log_weights)
    all_shares = 1.0 if problem.settings.background == 0.0 else total.sum()
    loss = math.inf if uncovered else -float(node_weights @ log_density)
    reading = Reading(
        loss=loss,
        log_density=log_density,
        weights=weights,
        responsibilities=total,
        logits=weights * all_shares - total,
        per_weight=all_shares - ratios,
        angles=slopes,
        log_bandwidth=bandwidth_slope,
    )
    return Picture(reading, uncovered, condition, steepness, bend, clearance)


def target_condition(problem: Problem) -> float:
    """Return (|a| + |b|)/(b-a): how far rounded ends move log(b-a), in roundings."""
    return 0.0 if problem.target is None else (abs(problem.target[0]) + abs(problem.target[1])) / (problem.width or 0.0)


def complex_loss(problem: Problem, logits: Complexes, angle_moves: Complexes, h: complex) -> complex:
    """Return L for complex logits, angles moved by `angle_moves` · h, and bandwidth `h`."""
    loss = 0j
    log_weights = _log_softmax(logits)
    for block, d in _blocks(problem, problem.rule.nodes):
        log_k = formula_of(problem).log_density(d - angle_moves * problem.settings.bandwidth, h)
        log_p = _log_mixture(problem, _log_sum(log_weights + log_k))
        loss -= complex(problem.rule.weights[block] @ log_p)
    return loss


def derivative(problem: Problem, logits: FloatArray, angles: FloatArray, log_bandwidth: float) -> float:
    """Return the derivative of the reference's loss in a direction, by one complex step."""
    step = 1j * _STEP
    masked = np.where(np.isneginf(problem.logits), 0.0, logits)  # -inf + iε would be a weight of 0·e^iε: leave it 0
    h = problem.settings.bandwidth * (1.0 + step * log_bandwidth)
    return complex_loss(problem, problem.logits + step * masked, step * angles, h).imag / _STEP


def log_densities(problem: Problem, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log p̃ and its derivative at any places, each of shape (M,)."""
    h, log_weights = problem.settings.bandwidth, _log_softmax(problem.logits + 0j)
    values, slopes = np.empty(len(places)), np.empty(len(places))
    for block, d in _blocks(problem, places):
        log_k = formula_of(problem).log_density(d + 1j * _STEP * h, h)
        log_p = _log_mixture(problem, _log_sum(log_weights + log_k))
        values[block], slopes[block] = log_p.real, log_p.imag / (_STEP * h)
    return values, slopes


class _Pairs:
    """The block of pairs (t_m, x_j) of some nodes with all points: each array has shape (nodes, points)."""

    def __init__(self, problem: Problem, log_weights: FloatArray, nodes: FloatArray, d: Complexes) -> None:
        h = problem.settings.bandwidth
        self.problem, self.formula, self.h = problem, formula_of(problem), h
        self.d, self.log_weights = d.real, log_weights
        self.sizes = (np.abs(nodes)[:, np.newaxis] + np.abs(problem.angles)) / h
        by_distance = self.formula.log_density(d + 1j * _STEP * h, h)
        by_bandwidth = self.formula.log_density(d, h * (1.0 + 1j * _STEP))
        self.log_k = by_distance.real
        self.log_density = _log_mixture(problem, _log_sum(log_weights + self.log_k + 0j)).real
        share = math.log1p(-problem.settings.background) + math.log(problem.settings.scale)
        covered = np.where(np.isneginf(self.log_density), 0.0, self.log_density)  # an uncovered node has no shares
        per_density = share - covered[:, np.newaxis]
        self.log_shares = log_weights + per_density
        self.shares = np.exp(self.log_shares + self.log_k)
        with np.errstate(over="ignore"):  # of a point of next to no weight
            self.ratios = np.exp(self.log_k + per_density)
        self.slopes = np.exp(self.log_shares + by_distance).imag / _STEP  # r h k', also where K = 0
        self.bandwidth_slopes = np.exp(self.log_shares + by_bandwidth).imag / _STEP
        self.log_slopes = np.where(self.shares > 0.0, by_distance.imag / _STEP, 0.0)  # h k'

    def condition(self) -> float:
        """Return max_m Σ_j r_j A_jm."""
        sensitivity = np.abs(self.log_weights) + np.abs(self.log_k) + np.abs(self.log_slopes) * self.sizes
        counted = np.where(self.shares > 0.0, sensitivity, 0.0)  # infinite where S or K is 0
        return float(((self.shares * counted).sum(axis=1) + self._background_condition()).max())

    def _background_condition(self) -> FloatArray:
        """Return the background's share of p̃ times its own sensitivity, shape (nodes,)."""
        background, width = self.problem.settings.background, self.problem.width
        if background == 0.0 or width is None:
            return np.zeros(len(self.log_density))
        log_flat = math.log(background / width)
        share: FloatArray = np.exp(log_flat - self.log_density)
        return share * (abs(log_flat) + target_condition(self.problem))

    def bend(self) -> float:
        """Return max_m Σ_j |h² S_j K''/p| (|t_m| + |x_j|)/h, from above."""
        if self.formula.is_compact:
            at_0 = self.formula.log_density_at(0.0, self.h)
            bends = _STEEPEST_BEND * np.exp(np.where(self.shares > 0.0, self.log_shares + at_0, -np.inf))
        else:
            bends = self.shares * (1.0 + self.log_slopes**2)
        return float((bends * self.sizes).sum(axis=1).max())

    def clearance(self) -> float:
        """Return the least relative distance of a pair from a kink."""
        kinks = self.formula.kinks(self.h)
        gaps = (np.abs(np.abs(self.d) - kink) / self.h / (1.0 + self.sizes) for kink in kinks)
        return min((float(gap.min()) for gap in gaps), default=math.inf)


def _blocks(problem: Problem, nodes: FloatArray) -> Iterator[tuple[slice, Complexes]]:
    """Yield rows of nodes with their displacements t_m ⊖ x_j of complex type, shape (rows, N)."""
    formula = formula_of(problem)
    rows = max(1, _BLOCK_PAIRS // len(problem.angles))
    for top in range(0, len(nodes), rows):
        block = slice(top, top + rows)
        yield block, formula.difference(nodes[block, np.newaxis], problem.angles) + 0j


def _log_softmax(logits: Complexes) -> Complexes:
    return np.asarray(logits - _log_sum(logits[np.newaxis])[0])


def _log_sum(logs: Complexes) -> Complexes:
    """Return log Σ_j exp(l_j) along the rows, -inf for a row of -inf."""
    peak = logs.real.max(axis=1)
    shift = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.exp(logs - shift[:, np.newaxis]).sum(axis=1)
        return np.where(np.isneginf(peak), -np.inf, np.log(sums) + shift)


def _log_mixture(problem: Problem, log_sums: Complexes) -> Complexes:
    """Return log p̃ = log((1-E) C Σ + E/(b-a)) from log Σ."""
    background = problem.settings.background
    model = log_sums + math.log1p(-background) + math.log(problem.settings.scale)
    if background == 0.0:
        return model
    assert problem.width is not None  # Settings saw to it
    flat = np.full_like(model, math.log(background / problem.width))
    return _log_sum(np.stack([model, flat], axis=1))
