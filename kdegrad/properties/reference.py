"""The loss and its gradients a second time: every pair written out, on the formulas of `reference_kernels`.

It shares nothing with `kdegrad.objective`, `kdegrad.sums` and `kdegrad.kernel` but the numbers that come in: angles,
logits, settings, and the nodes and weights of the rule. Measured values are compared with it where there is no closed
form; it predicts how far a control breaks, and how large round-off may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Answer
from kdegrad.properties.reference_kernels import Numbers, formula_of

EPSILON: Final = float(np.finfo(np.float64).eps)
_STEP: Final = 1e-30  # complex step, relative to h: its square is lost, so that derivatives have no truncation
_BLOCK_PAIRS: Final = 50_000
_STEEPEST_BEND: Final = 10.0  # max |K''|/K(0) over the compact kernels (tricube)


@final
@dataclass(frozen=True, eq=False)
class Reference:
    """The plain answer, and how sensitive its numbers are to rounding."""

    answer: Answer  # its gradients mean nothing where `uncovered` is not 0
    uncovered: int  # at how many nodes the density is 0
    condition: float  # A: rounding moves log p̃ by some εA
    rate_condition: (
        float  # rounding moves arctan(∂L/∂z_i / S_i) by some ε times this, as a point of little weight shows
    )
    steepness: float  # how much larger than responsibilities the terms of the slopes are
    bend: float  # what a rounded coordinate moves the slopes by
    point_conditions: FloatArray  # A_i, the largest over the nodes, shape (N,)
    kink_clearance: float  # the least relative distance of a pair from a kink or jump of K, in units of |t| + |x| + h


def softmax(logits: FloatArray) -> FloatArray:
    """Return exp(z_j)/Σ_k exp(z_k)."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


@lru_cache(maxsize=8)  # one of them and its problem hold some ten vectors of length N
def reference_of(problem: Problem) -> Reference:
    """Return the answer of the plain formulas about `problem`, with its sensitivity to rounding."""
    nodes, node_weights, log_node_weights = target_of(problem)
    log_weights: FloatArray = _log_softmax(problem.logits)
    log_density = np.empty(len(nodes))
    total, ratios, slopes = (np.zeros(len(problem.angles)) for _ in range(3))
    conditions, bandwidth_slope = np.zeros(len(problem.angles)), 0.0
    sensitivities = []
    for block, d in _blocks(problem, nodes):
        pairs = _Pairs(problem, log_weights, nodes[block], d)
        log_density[block] = pairs.log_density
        w = node_weights[block]
        total += w @ pairs.shares
        with np.errstate(over="ignore"):  # for a point of next to no weight
            ratios += np.exp(log_node_weights[block, np.newaxis] + pairs.log_ratios).sum(axis=0)
        slopes += w @ pairs.slopes
        bandwidth_slope -= float(w @ pairs.bandwidth_slopes.sum(axis=1))
        np.maximum(conditions, pairs.changes.max(axis=0), out=conditions)
        sensitivities.append(pairs.sensitivity())
    condition, rate_condition, steepness, bend, clearance = zip(*sensitivities, strict=True)
    uncovered = int(np.isneginf(log_density).sum())
    weights = np.exp(log_weights)
    all_shares = 1.0 if problem.settings.background == 0.0 else total.sum()
    answer = Answer(
        loss=math.inf if uncovered else -float(node_weights @ log_density),
        log_density=log_density,
        weights=weights,
        responsibilities=total,
        logits=weights * all_shares - total,
        per_weight=all_shares - ratios,
        angles=slopes,
        log_bandwidth=bandwidth_slope,
    )
    return Reference(
        *(answer, uncovered, max(condition), max(rate_condition), max(steepness), max(bend)),
        *(conditions, min(clearance)),
    )


def target_of(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the nodes, their weights and the logarithms of these: of bins, or of target points of positive weight."""
    if problem.observed is None:
        rule = problem.rule
        return rule.nodes, rule.weights, np.log(rule.weights)
    taken = problem.observed.weights > 0.0
    logs = np.log(problem.observed.weights[taken])
    logs = logs - _log_sum(logs[np.newaxis])
    return problem.observed.angles[taken], np.exp(logs), logs


def target_condition(problem: Problem) -> float:
    """Return (|a| + |b|)/(b-a): how far rounded ends move log(b-a), in roundings; 0 without a target."""
    return 0.0 if problem.target is None else sum(map(abs, problem.target)) / problem.target.width


def derivative(problem: Problem, logits: FloatArray, angles: FloatArray, log_bandwidth: float) -> float:
    """Return the derivative of the loss in a direction of z, x/h and log h, by one complex step."""
    step = 1j * _STEP
    masked = np.where(np.isneginf(problem.logits), 0.0, logits)  # -inf + iε would be a weight of 0·e^iε: leave it 0
    log_weights = _log_softmax(problem.logits + step * masked)
    h = problem.settings.bandwidth
    loss = 0j
    moved = step * h * angles if angles.any() else 0.0  # real numbers where no step is taken: they are faster
    width = h * (1.0 + step * log_bandwidth) if log_bandwidth else h
    nodes, node_weights, _ = target_of(problem)
    for block, d in _blocks(problem, nodes):
        log_k = formula_of(problem).log_density(d - moved, width)
        log_p = _log_mixture(problem, log_weights + log_k)
        loss -= complex(node_weights[block] @ log_p)
    return loss.imag / _STEP


def log_densities(problem: Problem, places: FloatArray) -> FloatArray:
    """Return log p̃ at any places, shape (M,)."""
    log_weights, values = _log_softmax(problem.logits), np.empty(len(places))
    for block, d in _blocks(problem, places):
        log_k = formula_of(problem).log_density(d, problem.settings.bandwidth)
        values[block] = _log_mixture(problem, log_weights + log_k).real
    return values


def log_density_slopes(problem: Problem, places: FloatArray) -> FloatArray:
    """Return ∂ log p̃/∂x at any places, shape (M,)."""
    h, log_weights, slopes = problem.settings.bandwidth, _log_softmax(problem.logits), np.empty(len(places))
    for block, d in _blocks(problem, places):
        log_k = formula_of(problem).log_density(d + 1j * _STEP * h, h)
        slopes[block] = _log_mixture(problem, log_weights + log_k).imag / (_STEP * h)
    return slopes


class _Pairs:
    """The pairs (t_m, x_j) of some nodes with all points: each array has shape (nodes, points)."""

    def __init__(self, problem: Problem, log_weights: FloatArray, nodes: FloatArray, d: FloatArray) -> None:
        h = problem.settings.bandwidth
        self.problem, self.formula, self.h = problem, formula_of(problem), h
        self.d, self.log_weights = d, log_weights
        largest = np.abs(nodes)
        if problem.target is not None and problem.observed is None:  # a node is rounded as the ends that it is made of
            largest = np.maximum(largest, max(map(abs, problem.reduced_interval)))
        self.sizes = (largest[:, np.newaxis] + np.abs(problem.angles)) / h
        if problem.observed is None and problem.interval != problem.reduced_interval:  # nodes lack its turns
            self.sizes += max(map(abs, problem.interval)) / h
        by_distance = self.formula.log_density(d + 1j * _STEP * h, h)
        by_bandwidth = self.formula.log_density(d, h * (1.0 + 1j * _STEP))
        # at the very edge by_distance is log of a step, for the slope there; K is 0
        self.log_k = np.where(self.formula.is_reached(d, h), by_distance.real, -np.inf)
        self.log_density = _log_mixture(problem, log_weights + self.log_k)
        covered = np.where(np.isneginf(self.log_density), 0.0, self.log_density)  # an uncovered node has no shares
        log_factor = math.log1p(-problem.settings.background) + math.log(problem.settings.scale)
        per_density = log_factor - covered[:, np.newaxis]
        self.log_shares = log_weights + per_density
        self.shares = np.exp(self.log_shares + self.log_k)
        self.log_ratios = self.log_k + per_density
        with np.errstate(over="ignore"):  # for a point of next to no weight
            self.ratios = np.exp(self.log_ratios)
        self.slopes = np.exp(self.log_shares + by_distance).imag / _STEP  # r h k', also where K = 0
        self.bandwidth_slopes = np.exp(self.log_shares + by_bandwidth).imag / _STEP
        self.log_slopes = np.where(np.isneginf(self.log_k), 0.0, by_distance.imag / _STEP)  # h k'

        # A_j = |log S_j| + |log K| + |k'| (|t| + |x_j|), where K > 0
        log_k = np.where(np.isneginf(self.log_k), 0.0, self.log_k)
        self.kernel_changes = np.abs(log_k) + np.abs(self.log_slopes) * self.sizes
        self.changes = np.where(np.isneginf(log_weights), 0.0, np.abs(log_weights)) + self.kernel_changes

    def sensitivity(self) -> tuple[float, float, float, float, float]:
        """Return condition, rate condition, steepness, bend and clearance at the node where each is worst."""
        condition = (self.shares * np.where(self.shares > 0.0, self.changes, 0.0)).sum(axis=1)  # Σ_j r_j A_j
        # |log K| + |k'| (|t| + |x_j|) times the derivative of arctan at r_j/S_j, from above
        rate_condition = float(
            (np.minimum(self.ratios, 1.0 / np.maximum(self.ratios, 1.0)) * self.kernel_changes).max()
        )
        if self.problem.settings.background > 0.0:  # its share of p̃ times its own
            log_flat = log_background(self.problem)
            condition += np.exp(log_flat - self.log_density) * (abs(log_flat) + target_condition(self.problem))
        # Σ_j r_j |h k'| and Σ_j r_j |∂k/∂log h|
        steepness = (float(np.abs(s).sum(axis=1).max()) for s in (self.slopes, self.bandwidth_slopes))
        # Σ_j |h² S_j K''/p| (|t| + |x_j|)/h, from above
        if self.formula.is_compact:
            at_0 = self.formula.log_density_at(0.0, self.h)
            bends = _STEEPEST_BEND * np.exp(np.where(self.shares > 0.0, self.log_shares + at_0, -np.inf))
        else:
            bends = self.shares * (1.0 + self.log_slopes**2)
        bend = float((bends * self.sizes).sum(axis=1).max())
        kinks = self.formula.kinks(self.h)
        gaps = (float((np.abs(np.abs(self.d) - kink) / self.h / (1.0 + self.sizes)).min()) for kink in kinks)
        return float(condition.max()), rate_condition, max(steepness), bend, min(gaps, default=math.inf)


def _blocks(problem: Problem, nodes: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield rows of nodes with their displacements t_m ⊖ x_j, shape (rows, N)."""
    formula = formula_of(problem)
    rows = max(1, _BLOCK_PAIRS // len(problem.angles))
    for top in range(0, len(nodes), rows):
        block = slice(top, top + rows)
        yield block, formula.difference(nodes[block, np.newaxis], problem.angles)


def _log_softmax(logits: Numbers) -> Numbers:
    return np.asarray(logits - _log_sum(logits[np.newaxis])[0])


def _log_sum(logs: Numbers) -> Numbers:
    """Return log Σ_j exp(l_j) along the rows, -inf for a row of -inf."""
    peak = logs.real.max(axis=1)
    shift = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.exp(logs - shift[:, np.newaxis]).sum(axis=1)
        return np.where(np.isneginf(peak), -np.inf, np.log(sums) + shift)


def log_background(problem: Problem) -> float:
    """Return log(E/(b-a)), of which the quotient may underflow; with target points on a circle log(E/P)."""
    width = 2.0 * formula_of(problem).half_period if problem.target is None else problem.target.width
    return math.log(problem.settings.background) - math.log(width)


def _log_mixture(problem: Problem, log_terms: Numbers) -> Numbers:
    """Return log p̃ = log((1-E) C Σ_j S_j K_h + E/(b-a)) from the logs of the sum's terms, shape (nodes, N)."""
    background = problem.settings.background
    model = _log_sum(log_terms) + math.log1p(-background) + math.log(problem.settings.scale)
    if background == 0.0:
        return model
    return _log_sum(np.stack([model, np.full_like(model, log_background(problem))], axis=1))
