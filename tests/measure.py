"""The ratio of kdegrad's error to its bound, for the loss and each gradient; for tests and the accuracy report."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from mpmath import mp, mpf

from kdegrad import Problem, evaluate
from tests import oracle


def measure(problem: Problem, widest: float = np.inf) -> dict[str, float] | None:
    """Return error/bound of the loss and the three gradients, the largest over the points; at most 1 is promised.

    Where the exact loss is infinite, a loss of inf with gradients of NaN has the ratio 0, anything else inf. The result
    is None where the bound of the loss is above `widest`.

    The error of an interpolant, and of a difference of two sides, is relative to the largest |k'| nearby and not to the
    slope itself: for the fast sums, the error of ∂L/∂x_i may also be the relative bound times R_i/h, or times R_i D/h²,
    where no point is farther than D from a node and D is less than h.
    """
    true = oracle.truth(problem)
    if true.loss_bound > widest:
        return None
    found = evaluate(problem, wrt=("logits", "angles", "bandwidth"))
    gradients = found.require_gradients()
    assert gradients.angles is not None
    assert gradients.log_bandwidth is not None
    if mp.isinf(true.loss):
        undefined = (gradients.logits, gradients.angles, gradients.log_bandwidth)
        right = found.loss == np.inf and all(np.isnan(g).all() for g in undefined)
        return {"loss": 0.0 if right else np.inf}
    angle_bounds = true.angle_bounds
    if found.diagnostics.sums != "dense":
        h = float(problem.settings.bandwidth)
        apart = problem.domain.difference(found.rule.nodes[:, np.newaxis], problem.angles)
        per_unit = min(1.0, float(np.abs(apart).max()) / h) / h
        parts = zip(true.angle_bounds, true.logit_bounds, true.weights, true.responsibilities, strict=True)
        angle_bounds = [bound + each * r / max(s, r, mpf("1e-300")) * per_unit for bound, each, s, r in parts]
    return {
        "loss": _ratio([found.loss], [true.loss], [true.loss_bound]),
        "logits": _ratio(gradients.logits, true.logits, true.logit_bounds),
        "angles": _ratio(gradients.angles, true.angles, angle_bounds),
        "bandwidth": _ratio([gradients.log_bandwidth], [true.log_bandwidth], [true.bandwidth_bound]),
    }


def _ratio(found: Iterable[float], true: Iterable[mpf], bounds: Iterable[mpf]) -> float:
    with mp.workdps(oracle.DIGITS):
        return max(
            float(abs(mpf(float(f)) - t) / b) if np.isfinite(f) else np.inf
            for f, t, b in zip(found, true, bounds, strict=True)
        )
