"""Random problems by the ten thousand: every kernel, domain, rule, option and size of number, combined at random.

`a_problem` makes one from choices (which hypothesis shrinks) and a seed for its arrays. `fault` returns what is wrong
with kdegrad's results; `accuracy` compares them with 50 digits. `python -m tests.scale [COUNT]` evaluates COUNT
problems, and COUNT small ones in mpmath too, and prints how many were finite, what was skipped and why, and the largest
ratios of error and bound.
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from typing import Any, TypeVar

import numpy as np

from kdegrad import KdegradError, Problem, evaluate
from kdegrad.objective import nodes_of
from kdegrad.properties.cases import input_case
from kdegrad.properties.judge import PROPERTIES, judge
from tests import problems
from tests.measure import measure
from tests.oracle import COMPACT

T = TypeVar("T")
Pick = Callable[[Sequence[T]], T]

WRT = ("logits", "angles", "bandwidth")
GROUND = [p for p in PROPERTIES if p.family == "ground"]
KERNELS = [(kernel, False) for kernel in problems.ON_LINE.values()]
KERNELS += [(kernel, True) for kernel in problems.ON_CIRCLE.values()]
SIZES = [1, 2, 3, 7, 20, 60, 300]
BINS = [1, 2, 9, 40, 360]
MOST_PAIRS = 120  # for mpmath
# The promised bound is of first order: above this, a number has few correct digits.
FEW_DIGITS = 1e-4


def a_problem(pick: Pick[Any], seed: int, small: bool = False) -> Problem:
    """Return a problem of any kind; lengths are in degrees or in a much larger or smaller unit."""
    rng = np.random.default_rng(seed)
    kernel, circular = pick(KERNELS)
    count = pick([n for n in SIZES if not small or n <= 20])
    low, width = pick([-30.0, 0.0, 350.0, -179.3]), pick([60.0, 360.0, 20.0, 1.0, 1e-3])
    bandwidth = pick([10.0, 1.0, 100.0, 1e3, 0.1, 1e-3, 1e6, 1e-6, 1e9]) * rng.uniform(1.0, 3.0)
    angles = pick(
        [
            lambda: rng.uniform(-180.0, 180.0, count),
            lambda: rng.uniform(low, low + width, count),
            lambda: low + bandwidth * rng.normal(size=count),
            lambda: rng.integers(-200, 200, count).astype(np.float64),
            lambda: low + width + bandwidth * rng.uniform(0.0, 1e3, count),
            lambda: np.where(rng.random(count) < 0.5, -50.0, 50.0) + 1e-12 * rng.integers(0, 100, count),
            lambda: np.full(count, low + 0.3 * width),
            lambda: 10.0 * rng.standard_cauchy(count),
        ]
    )()
    logits = rng.normal(size=count) * pick([1.0, 0.0, 30.0, 1e4])
    logits += pick([0.0, 1.0, -1.0]) * np.clip(angles / bandwidth, -1e6, 1e6)
    logits[1:][rng.random(count - 1) < pick([0.0, 0.5, 0.99])] = -np.inf
    unit = pick([1.0, math.pi / 180.0, 1.0 / 360.0, 1e-30, 1e30])
    rule = pick(["midpoint", "gauss", "exact"])
    options: dict[str, Any] = {
        "target": (low * unit, (low + width) * unit),
        "bandwidth": bandwidth * unit,
        "rule": rule,
        "bins": pick([b for b in BINS if not small or b * count <= MOST_PAIRS]),
        "background": pick([0.0, 0.3, 1e-9, 0.999]),
        "scale": pick([1.0, 3.0, 1e300, 1e-300]),
        "sums": pick(["auto", "fast", "dense"]),
        **kernel,
        **({"period": 360.0 * unit} if circular else {}),
        **pick([{}, {}, {}, {"at": (low + rng.uniform(-0.2, 1.2) * width) * unit}]),
    }
    return Problem(angles * unit, logits, **options)


def fault(problem: Problem) -> str:
    """Return what is wrong with the results of a problem, or a property that fails; empty if nothing is wrong."""
    found = evaluate(problem, wrt=WRT)
    numbers = [found.loss, *np.ravel(found.gradients.logits), *np.ravel(found.gradients.angles)]
    if math.isnan(found.loss) or found.loss == -math.inf:
        return f"the loss is {found.loss}"
    if found.loss == math.inf:
        if problem.kernel.name not in COMPACT or problem.settings.background > 0.0:
            return "an infinite loss, but K > 0 everywhere"
        if len(found.diagnostics.uncovered) == 0 or not all(map(math.isnan, numbers[1:])):
            return "an infinite loss with no node uncovered, or with gradients that are numbers"
    elif abs(found.weights.sum() - 1.0) > 1e-12 or np.isnan(found.gradients.logits).any():
        return "weights that do not sum to 1, or no gradient"
    elif not found.is_finite and (problem.rule_name != "exact" or problem.kernel.name not in COMPACT):
        return "an infinite gradient without a bare edge"
    for verdict in (judge(p, input_case(problem, 0, "drawn")) for p in GROUND):
        if verdict.verdict == "fail":
            return f"{verdict.property}: {verdict.reason}"
    return ""


def accuracy(problem: Problem) -> dict[str, float] | str:
    """Return the largest ratios of error and bound by quantity, or why they are not computed."""
    if nodes_of(problem).bins * len(problem.angles) > MOST_PAIRS:
        return "the rule exact, with too many nodes for mpmath"
    bounded = measure(problem, FEW_DIGITS)
    if bounded is None:
        return "the bound itself leaves few digits"
    if (
        problem.rule_name == "exact" and problem.kernel.name in COMPACT
    ):  # their edges add terms that are not sums over nodes
        bounded = {name: ratio for name, ratio in bounded.items() if name in ("loss", "logits")}
    return bounded


def by_seed(seed: int, small: bool = False) -> Problem:
    """Return the problem of a seed, which determines the choices too."""
    rng = np.random.default_rng((seed, 1))
    return a_problem(lambda some: some[rng.integers(len(some))], seed, small)


def look(seed: int) -> tuple[int, str, str, dict[str, float] | str]:
    """Return the outcome of the problem of a seed, and the accuracy of the small one."""
    np.seterr(all="raise", under="ignore")
    try:
        problem = by_seed(seed)
        finite = "finite" if math.isfinite(evaluate(problem, wrt=()).loss) else "infinite"
        return seed, finite, fault(problem), accuracy(by_seed(seed, small=True))
    except KdegradError as error:
        return seed, f"refused: {error}", "", "refused"
    except Exception as error:
        return seed, "raised", f"{type(error).__name__}: {error}", "raised"


def report(count: int, start: int = 0) -> None:
    """Evaluate `count` problems and print the outcomes."""
    outcomes, skipped, worst = Counter[str](), Counter[str](), dict[str, tuple[float, int]]()
    faults = measured = 0
    with Pool(os.cpu_count()) as pool:
        for seed, outcome, wrong, errors in pool.imap_unordered(look, range(start, start + count), chunksize=10):
            outcomes[outcome] += 1
            if wrong:
                faults += 1
                print(f"seed {seed}: {wrong}", flush=True)
            if isinstance(errors, str):
                skipped[errors] += 1
                continue
            measured += 1
            for number, ratio in errors.items():
                worst[number] = max(worst.get(number, (0.0, 0)), (ratio, seed))
                if not ratio <= 1.0:
                    print(f"seed {seed}: {number} is off by {ratio:.3g} bounds", flush=True)
    print(f"{count} problems: {dict(outcomes)}, {faults} with a fault")
    print(f"{measured} measured in 50 digits; not measured: {dict(skipped)}")
    print("largest error/bound:", *(f"{name} {ratio:.2g} (seed {seed})" for name, (ratio, seed) in worst.items()))


if __name__ == "__main__":
    report(*map(int, sys.argv[1:] or ["1000"]))
