"""How far kdegrad's numbers are from the truth, as ratios of error and bound; at most 1 is promised.

Two kinds of bounds: against an oracle, and those that the numbers of one evaluation keep among each other, whatever the
size of log p. The latter are the sums of responsibilities and gradients, no responsibility above 1, identical points,
and points at one distance from a single node.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from mpmath import mpf

from kdegrad import Evaluation, Problem, evaluate, loss_and_grad
from kdegrad.objective import responsibilities_by_bin
from tests import extended, oracle
from tests.extended import EPS, Real, RealArray, Truth

WRT = ("logits", "angles", "bandwidth")
ROUNDED = 1e-12  # of the rules that hold at any size of log p
MOST_BINS = 40  # whose responsibilities are looked at one by one
BEYOND = Real(np.finfo(np.float64).max)


def measure(problem: Problem) -> dict[str, float]:
    """Return the largest ratio of each quantity, against 50 digits."""
    found = evaluate(problem, wrt=WRT)
    return {**against(found, in_digits(found, extended.truth(problem, found.rule))), **rules(found)}


def in_digits(found: Evaluation, truth: Truth) -> Truth:
    """Return the truth with its numbers, not its bounds, from the oracle of 50 digits."""
    exact = oracle.truth(found.problem, found.rule)
    if exact.loss == np.inf:
        return Truth(**{**vars(truth), **dict.fromkeys(("loss", "lowest_loss", "highest_loss"), Real(np.inf))})
    numbers = {
        name: _real([getattr(exact, name)])[0] if name in ("loss", "log_bandwidth") else _real(getattr(exact, name))
        for name in ("loss", "log_bandwidth", "responsibilities", "logits", "per_weight", "angles")
    }
    ends = {"lowest_loss": numbers["loss"], "highest_loss": numbers["loss"]}
    ends |= {"lowest_logits": numbers["logits"], "highest_logits": numbers["logits"]}
    return Truth(**{**vars(truth), **numbers, **ends})


@np.errstate(all="ignore")
def against(found: Evaluation, truth: Truth) -> dict[str, float]:
    """Return the ratios of error and bound of L and all gradients.

    Where the exact loss is infinite, a loss of inf with gradients of NaN has the ratio 0, anything else inf.

    The error of an interpolant, and of a difference of two sides, is relative to the largest |k'| nearby and not to the
    slope itself: for the fast sums, the error of ∂L/∂x_i may also be the relative bound times R_i/h, or times R_i D/h²,
    where no point is farther than D from a node and D is less than h.
    """
    gradients = found.require_gradients()
    assert gradients.angles is not None
    assert gradients.log_bandwidth is not None
    numbers = (gradients.logits, gradients.per_weight, gradients.angles, np.array(gradients.log_bandwidth))
    if found.loss == np.inf and truth.highest_loss == np.inf:
        return {"loss": 0.0 if all(np.isnan(each).all() for each in numbers) else np.inf}
    loss = _beyond(found.loss, truth.lowest_loss, truth.highest_loss)
    logits = _beyond(gradients.logits, truth.lowest_logits, truth.highest_logits)
    ratios = {"loss": _ratio(loss, truth.loss_bound), "logits": _ratio(logits, truth.logit_bounds)}
    edges = found.problem.rule_name == "exact" and found.problem.kernel.name in oracle.COMPACT
    if not truth.either:
        ratios["per weight"] = _ratio(_error(gradients.per_weight, truth.per_weight), truth.per_weight_bounds)
        if not edges:  # which add terms that are not sums over nodes
            bounds = angle_bounds(found, truth) + truth.sides
            ratios["angles"] = _ratio(_error(gradients.angles, truth.angles), bounds)
            slope = _error(gradients.log_bandwidth, truth.log_bandwidth)
            ratios["bandwidth"] = _ratio(slope, truth.bandwidth_bound)
    return ratios


@np.errstate(all="ignore")
def alone(found: Evaluation, truth: Truth) -> float:
    """Return the ratio of the gradient of the logits, where it is asked for alone, or of its sum."""
    problem = found.problem
    loss, logits = loss_and_grad(problem.angles, problem.logits, **problem.options)
    if loss != found.loss or np.isnan(logits).any():
        return 0.0 if loss == found.loss == np.inf else np.inf
    error = _ratio(_beyond(logits, truth.lowest_logits, truth.highest_logits), truth.logit_bounds)
    return max(error, abs(float(logits.sum())) / ROUNDED)


def angle_bounds(found: Evaluation, truth: Truth) -> RealArray:
    """Return the bounds of ∂L/∂x_i but for the sides of kinks."""
    if found.diagnostics.sums == "dense":
        return truth.angle_bounds
    h = Real(found.problem.settings.bandwidth)
    per_unit = min(Real(1), truth.farthest / h) / h
    return truth.angle_bounds + extended.product(truth.responsibilities * per_unit, truth.relative)


@np.errstate(all="ignore")
def rules(found: Evaluation) -> dict[str, float]:
    """Return the ratios of error and bound of what holds for the numbers of one evaluation, at any size of log p."""
    if not np.isfinite(found.loss):
        return {}
    gradients, problem = found.require_gradients(), found.problem
    responsibilities = gradients.responsibilities
    background = np.zeros(found.rule.bins)  # its share at each node
    if problem.settings.background > 0.0:
        log = np.log(problem.settings.background) - np.log(problem.background_width)
        background = np.exp(log - found.diagnostics.log_density)
    errors = {
        "sum of shares": abs(responsibilities.sum() - (found.rule.weights * (1.0 - background)).sum()),
        "sum of gradient": abs(gradients.logits.sum()),
        "largest share": max(0.0, responsibilities.max() - 1.0),
        "identical points": _identical(problem, responsibilities),
        "one distance": _one_distance(found),
    }
    # These are always by dense sums, of which a fast scheme has another log p; without a background it does not matter.
    if found.rule.bins <= MOST_BINS and (found.diagnostics.sums == "dense" or not background.any()):
        sums = np.array([shares.sum() for shares, _ in responsibilities_by_bin(found)])
        errors["sum at a node"] = np.abs(sums - (1.0 - background)).max()
    return {name: _ratio(np.asarray(error), Real(ROUNDED)) for name, error in errors.items()}


@np.errstate(all="ignore")
def agreement(first: Evaluation, other: Evaluation, truth: Truth) -> dict[str, float]:
    """Return the ratios of difference and twice the bound for two schemes, where either side of something is right.

    The sides are decided alike in every scheme.
    """
    if not (np.isfinite(first.loss) and np.isfinite(other.loss)):
        return {"sides, loss": 0.0 if first.loss == other.loss else np.inf}
    if truth.loss == np.inf:  # but for a pair within rounding of its edge: its size is anything, and so are the bounds
        return {}
    one, two = first.require_gradients(), other.require_gradients()
    bounds = np.maximum(angle_bounds(first, truth), angle_bounds(other, truth))
    return {
        "sides, loss": _ratio(_error(first.loss, Real(other.loss)), 2 * truth.loss_bound),
        "sides, logits": _ratio(_error(one.logits, two.logits), 2 * truth.logit_bounds),
        "sides, angles": _ratio(_error(one.angles, two.angles), 2 * bounds),
    }


def _identical(problem: Problem, responsibilities: np.ndarray) -> float:
    """Return by how much R_i/S_i differ at most among points at the same angle, less the rounding of log S."""
    order = np.argsort(problem.angles, kind="stable")
    angles, shares, logs = problem.angles[order], responsibilities[order], problem.log_weights[order]
    seen = (logs[:-1] > -np.inf) & (logs[1:] > -np.inf) & (angles[:-1] == angles[1:])
    seen &= np.minimum(shares[:-1], shares[1:]) > 1e-290
    if not seen.any():
        return 0.0
    wanted = logs[:-1][seen] - logs[1:][seen]
    off = np.log(shares[:-1][seen]) - np.log(shares[1:][seen]) - wanted
    rounding = 16.0 * float(EPS) * (np.abs(logs[logs > -np.inf]).max() + 700.0)
    return max(0.0, float(np.abs(off).max()) - rounding)


def _one_distance(found: Evaluation) -> float:
    """Return the largest |∂L/∂z_i|/S_i where all points are at one distance from the only node, without a background.

    That is in real numbers, and t ⊖ x must be exact in float64; 10¹² bandwidths away at most.
    """
    problem = found.problem
    if found.rule.bins > 1 or problem.settings.background > 0.0:
        return 0.0
    t, x = np.broadcast_arrays(found.rule.nodes, problem.angles)
    d = extended.displacement(t, x, problem.settings.circumference)
    if not d.exact.all() or np.ptp(d.size) > 0 or d.size[0] > 1e12 * problem.settings.bandwidth:
        return 0.0
    seen = found.weights > 1e-290
    return float(np.abs(found.require_gradients().logits[seen] / found.weights[seen]).max())


def _beyond(found: np.ndarray | float, low: RealArray, high: RealArray) -> RealArray:
    """Return the distance from the interval [low, high]."""
    return np.maximum(np.maximum(low - found, found - high), 0)


def _error(found: np.ndarray | float, true: RealArray) -> RealArray:
    """Return |found - true|, 0 where both are beyond the range of float64."""
    return np.where((np.abs(found) > BEYOND) & (np.abs(true) > BEYOND), 0, np.abs(found - true))


def _ratio(error: RealArray, bound: RealArray) -> float:
    """Return the largest ratio: inf for an error that is not a number, 0 where terms are beyond float64's range."""
    ratio = np.where(bound > BEYOND, 0, np.where(np.isnan(error), np.inf, error / bound))
    return float(ratio.max())


def _real(numbers: Iterable[mpf]) -> RealArray:
    return np.array([extended.real(x) for x in numbers], dtype=Real)
