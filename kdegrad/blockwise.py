"""The losses and gradients of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.batch import Batch
from kdegrad.crossentropy import Gradients
from kdegrad.evaluation import BatchEvaluation, evaluation_of

OF_POINTS: Final = ("weights", "logits", "per_weight", "responsibilities", "angles")
OF_PROBLEMS: Final = ("losses", "uncovered", "log_bandwidth")


def batch_evaluation(batch: Batch, wrt: Collection[str]) -> BatchEvaluation:
    """Return the losses of a batch, and their gradients with respect to what `wrt` names of `WRT`."""
    wanted = ["losses", "uncovered", "weights"]
    wanted += ["logits", "per_weight", "responsibilities"] if wrt else []
    wanted += ["angles"] if "angles" in wrt else []
    wanted += ["log_bandwidth"] if "bandwidth" in wrt else []
    found, sums = computed(batch, wanted)
    shaped = {name: found[name].reshape(batch.angles.shape) for name in OF_POINTS if name in found}
    gradients = None
    if wrt:
        angles = shaped.get("angles")
        gradients = Gradients(shaped["logits"], shaped["per_weight"], shaped["responsibilities"], angles)
    return BatchEvaluation(
        batch=batch,
        losses=found["losses"],
        kl=None if batch.intervals is None else found["losses"] - np.log(batch.intervals[1] - batch.intervals[0]),
        weights=shaped["weights"],
        gradients=gradients,
        log_bandwidth=found.get("log_bandwidth"),
        uncovered=found["uncovered"].astype(np.intp),
        sums=sums,
    )


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what overflows is reported as not finite
def computed(batch: Batch, wanted: Collection[str]) -> tuple[dict[str, FloatArray], dict[str, int]]:
    """Return what is wanted of `OF_POINTS`, each (M,), and of `OF_PROBLEMS`, each (G,); and what summed how many.

    Gradients are NaN in a problem whose loss is infinite.
    """
    size = {name: batch.angles.size if name in OF_POINTS else len(batch) for name in wanted}
    out = {name: np.empty(size[name]) for name in wanted}
    sums: Counter[str] = Counter()
    for problem in range(len(batch)):
        sums[_fill_alone(batch, problem, out)] += 1
    return out, dict(sums)


def _fill_alone(batch: Batch, problem: int, out: dict[str, FloatArray]) -> str:
    """Write what is wanted of one problem by the sums of a single one, and return which these were."""
    wrt = [name for name, part in (("angles", "angles"), ("bandwidth", "log_bandwidth")) if part in out]
    if wrt or "logits" in out:
        wrt = ["logits", *wrt]
    found = evaluation_of(batch.problem(problem), wrt)
    places = batch.places(problem)
    of_problem = {"losses": found.loss, "uncovered": len(found.diagnostics.uncovered)}
    of_points = {"weights": found.weights, **(vars(found.gradients) if found.gradients is not None else {})}
    for name, array in out.items():
        if name in OF_POINTS:
            array[places] = of_points[name]
        else:
            array[problem] = of_points[name] if name == "log_bandwidth" else of_problem[name]
    return found.diagnostics.sums
