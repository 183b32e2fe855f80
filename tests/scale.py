"""Random problems by the hundred thousand: every kernel, domain, rule, option and size of number, combined at random.

`a_problem` makes one from choices (which hypothesis shrinks) and a seed for its arrays: also points some or 10¹⁷ turns
away, on nodes and within ulps of them, of edges and of antipodes, 10¹² bandwidths away, or at one distance; kernels of
10⁻¹² of the target; masks, and logits of ±10⁴. `accuracy` evaluates it with all three settings of the sums and compares
with the truth (`tests.extended`, and 50 digits where that is near its bound), and with the rules that the numbers of
one evaluation keep (`tests.measure`). `fault` judges the properties.

    python -m tests.scale COUNT [START] [--processes N] [--properties]

looks at the problems of the seeds from START on, prints every violation with its seed, and at the end how many problems
there were and the largest ratio of error and bound by kernel and quantity. `by_seed` makes the problem of a seed again.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pool
from typing import Any, TypeVar

import numpy as np

from kdegrad import Evaluation, KdegradError, Problem, evaluate
from kdegrad.properties.cases import input_case
from kdegrad.properties.judge import PROPERTIES, judge
from tests import problems
from tests.extended import BITS, Truth, truth
from tests.measure import WRT, against, agreement, alone, in_digits, rules
from tests.oracle import COMPACT

T = TypeVar("T")
Pick = Callable[[Sequence[T]], T]

GROUND = [p for p in PROPERTIES if p.family == "ground"]
KERNELS = [(kernel, False) for kernel in problems.ON_LINE.values()]
KERNELS += [(kernel, True) for kernel in problems.ON_CIRCLE.values()]
SCHEMES = ("dense", "fast", "auto")
SIZES = [1, *[2, 3, 5, 7, 11, 20] * 5, 60, 60, 400]
BINS = [1, 2, 5, 9, 14, 40, 2, 5, 9, 14, 40, 360]
UNITS = [1.0, 1.0, 1.0, math.pi / 180.0, 1.0 / 360.0, 7.3 / 360.0, 1e-30, 1e30, 1e-44]
TURNS = [0.0, 0.0, 0.0, 1.0, 1.0, 1e5, 1e17]
MOST_PAIRS = 150_000  # that are compared with a truth
PAIRS_IN_DIGITS = 2_000
NEAR = 0.5  # of its bound: a ratio that 50 digits decide, unless longdouble has only the bits of float64
FAULTY = 1.0


def a_problem(pick: Pick[Any], seed: int, tame: bool = False) -> Problem:
    """Return a problem of any kind; lengths are in degrees or in a much larger or smaller unit.

    A tame one has no turned points, nor any that are placed on nodes, edges and antipodes or very far away, nor the
    narrowest kernels.
    """
    rng = np.random.default_rng(seed)
    kernel, circular = pick(KERNELS)
    count, bins, unit = pick(SIZES), pick(BINS), pick(UNITS[: 6 if tame else None])
    grid = 0.0 if tame else pick([0.0, 0.0, math.ldexp(1.0, math.frexp(unit)[1] - 10)])
    period = _on_grid(360.0 * unit, grid)
    low, width = pick([-30.0, 0.0, 350.0, -179.3]) * unit, pick([60.0, 360.0, 20.0, 1.0, 1e-3]) * unit
    low, width = _on_grid(low, grid), max(_on_grid(width, grid), grid)
    if circular and not tame:
        low += pick([0.0, 0.0, 0.0, 1.0, -3.0, 1e5]) * period
    bandwidth = pick(
        [
            lambda: pick([10.0, 1.0, 100.0, 1e3, 0.1, 1e-3, 1e6, 1e-6, 1e9]) * rng.uniform(1.0, 3.0) * unit,
            lambda: pick([10.0, 1.0, 90.0, 180.0, 0.5]) * unit,
            lambda: pick([0.5, 1.0, 2.0, 10.0]) * width / bins,  # edges on nodes, and between them
            lambda: 10.0 ** rng.uniform(-12.0, -6.0) * width,
            lambda: period / (2.0 * math.pi) * 10.0 ** rng.uniform(-7.5, 1.5),  # κ up to 10¹⁵
        ][: 1 if tame else None]
    )()
    bandwidth = max(_on_grid(bandwidth, grid), grid)
    options: dict[str, Any] = {
        "target": (low, low + width),
        "bandwidth": bandwidth,
        "rule": pick(["midpoint", "midpoint", "midpoint", "gauss", "gauss", "exact"]),
        "bins": bins,
        "background": pick([0.0, 0.0, 0.3, 1e-9, 0.999, 1e-300][: 2 if tame else None]),
        "scale": pick([1.0, 1.0, 3.0, 1e300, 1e-300]),
        **kernel,
        **({"period": period} if circular else {}),
        **pick([{}, {}, {"at": low}, {"at": _on_grid(low + rng.uniform(-0.2, 1.2) * width, grid)}]),
    }
    nodes = low + width * rng.random(9)
    if "at" in options or options["rule"] != "exact":
        nodes = Problem([low], **options).rule.nodes
    near = rng.choice(nodes, count)
    sides = rng.choice([-1.0, 1.0], count)
    angles = pick(
        [
            lambda: rng.uniform(-180.0, 180.0, count) * unit,
            lambda: rng.uniform(low, low + width, count),
            lambda: low + bandwidth * rng.normal(size=count),
            lambda: rng.integers(-200, 200, count) * unit,
            lambda: low + width + bandwidth * rng.uniform(0.0, 1e3, count),
            lambda: np.where(rng.random(count) < 0.5, -50.0, 50.0) * unit + 1e-12 * unit * rng.integers(0, 100, count),
            lambda: np.full(count, low + 0.3 * width),
            lambda: 10.0 * unit * rng.standard_cauchy(count),
            lambda: _within_ulps(near, pick([0, 1, 4]), rng),
            lambda: _within_ulps(near + sides * bandwidth, pick([0, 1, 4]), rng),  # edges
            lambda: _within_ulps(near + 0.5 * period, pick([0, 1, 4]), rng),  # antipodes
            lambda: near + bandwidth * sides * rng.choice([0.1, 0.5, 1.0, 30.0], count),
            lambda: near + 10.0 ** rng.uniform(3.0, 12.0) * bandwidth * sides + bandwidth * rng.normal(size=count),
            lambda: nodes[0] + sides * 10.0 ** rng.integers(-3, 13) * pick([unit, bandwidth]),  # one distance
        ][: 8 if tame else None]
    )()
    angles = _on_grid(angles, grid)
    if circular and not tame:
        turned = angles + pick(TURNS) * period * rng.integers(-3, 4, count)
        angles = np.where(rng.random(count) < pick([0.3, 1.0]), turned, angles)
    if pick([False, False, True]):
        angles[count // 2 :] = angles[: count - count // 2]
    logits = rng.normal(size=count) * pick([1.0, 0.0, 30.0, 1e4])
    logits += pick([0.0, 0.0, 1.0, -1.0]) * np.clip(angles / bandwidth, -1e4, 1e4)
    logits[1:][rng.random(count - 1) < pick([0.0, 0.0, 0.5, 0.99])] = -np.inf
    return Problem(angles, logits, **options)


def _on_grid(x: Any, grid: float) -> Any:
    """Return the nearest multiple of a power of two; differences of such numbers are exact."""
    return np.rint(x / grid) * grid if grid else x


def _within_ulps(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(x + rng.integers(-most, most + 1, len(x)) * np.spacing(x))


def by_seed(seed: int, tame: bool = False) -> Problem:
    """Return the problem of a seed, which determines the choices too."""
    rng = np.random.default_rng((seed, 1))
    return a_problem(lambda some: some[rng.integers(len(some))], seed, tame)


def fault(problem: Problem) -> str:
    """Return what is wrong with the results of a problem, or a property that fails; empty if nothing is wrong."""
    wrong = nonsense(evaluate(problem, wrt=WRT))
    if wrong:
        return wrong
    for verdict in (judge(p, input_case(problem, 0, "drawn")) for p in GROUND):
        if verdict.verdict == "fail":
            return f"{verdict.property}: {verdict.reason}"
    return ""


def nonsense(found: Evaluation) -> str:
    """Return what is wrong with results without a truth to compare with; empty if nothing is wrong."""
    problem, gradients = found.problem, found.require_gradients()
    if math.isnan(found.loss) or found.loss == -math.inf:
        return f"the loss is {found.loss}"
    if found.loss == math.inf:
        if problem.kernel.name not in COMPACT or problem.settings.background > 0.0:
            return "an infinite loss, but K > 0 everywhere"
        numbers = (gradients.logits, gradients.angles, gradients.log_bandwidth)
        if len(found.diagnostics.uncovered) == 0 or not all(np.isnan(number).all() for number in numbers):
            return "an infinite loss with no node uncovered, or with gradients that are numbers"
    elif abs(found.weights.sum() - 1.0) > 1e-12 or np.isnan(gradients.logits).any():
        return "weights that do not sum to 1, or no gradient"
    return ""


def by_schemes(problem: Problem) -> dict[str, Evaluation]:
    """Return an evaluation of a problem by each setting of the sums."""
    return {scheme: evaluate(problem.replace(sums=scheme), wrt=WRT) for scheme in SCHEMES}


def accuracy(found: dict[str, Evaluation]) -> dict[tuple[str, str], float]:
    """Return the largest ratios of error and bound by scheme and quantity, given an evaluation by each scheme."""
    truths: dict[bytes, Truth] = {}
    ratios: dict[tuple[str, str], float] = {}
    for scheme, evaluation in found.items():
        ratios |= {(scheme, name): ratio for name, ratio in rules(evaluation).items()}
        pairs = evaluation.rule.bins * len(evaluation.problem.angles)
        if pairs > MOST_PAIRS:
            continue
        nodes = evaluation.rule.nodes.tobytes()  # those of the rule exact may differ by scheme
        if nodes not in truths:
            truths[nodes] = truth(evaluation.problem, evaluation.rule)
        true = truths[nodes]
        compared = against(evaluation, true)
        if scheme != "auto" and evaluation.problem.rule_name != "exact":  # whose nodes would be sought once more
            compared["logits alone"] = alone(evaluation, true)
        near = max(compared.values()) > NEAR or BITS < 63
        if near and not true.either and pairs <= PAIRS_IN_DIGITS:
            true = in_digits(evaluation, true)
            compared |= against(evaluation, true)
        if scheme == "fast" and len(truths) == 1 and (true.either or true.sides.any()):
            compared |= agreement(found["dense"], evaluation, true)
        ratios |= {(scheme, name): ratio for name, ratio in compared.items()}
    return ratios


@dataclass
class Outcome:
    """What came of the problem of a seed."""

    seed: int
    label: str = ""
    kind: str = ""
    wrong: str = ""
    ratios: dict[tuple[str, str], float] = field(default_factory=dict)


def look(seed: int, properties: bool = False) -> Outcome:
    """Return the outcome of the problem of a seed: its accuracy, or whether its properties hold."""
    outcome = Outcome(seed)
    with np.errstate(all="raise", under="ignore"):
        try:
            problem = by_seed(seed)
        except KdegradError as error:
            outcome.kind, outcome.wrong = "refused", str(error)
            return outcome
        domain = "line" if problem.settings.circumference is None else "circle"
        student = f" ν={problem.settings.df:g}" if problem.kernel.name == "student-t" else ""
        outcome.label = f"{domain} {problem.kernel.name}{student}"
        try:
            found = by_schemes(problem)
            outcome.kind = "finite" if math.isfinite(found["auto"].loss) else "infinite"
            outcome.wrong = fault(problem) if properties else nonsense(found["auto"])
            outcome.ratios = {} if properties else accuracy(found)
        except Exception as error:
            outcome.kind, outcome.wrong = "raised", f"{type(error).__name__}: {error}"
    return outcome


class Report:
    """The outcomes of many problems."""

    def __init__(self) -> None:
        self.kinds = Counter[str]()
        self.faults = Counter[str]()
        self.worst: dict[str, dict[str, tuple[float, int, str]]] = {}

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome, and print what is wrong with it."""
        self.kinds[outcome.kind] += 1
        if outcome.wrong:
            self.faults["a fault"] += 1
            print(f"seed {outcome.seed}: {outcome.label}: {outcome.wrong}", flush=True)
        row = self.worst.setdefault(outcome.label, {})
        broken: dict[str, list[str]] = {}
        for (scheme, name), ratio in outcome.ratios.items():
            row[name] = max(row.get(name, (-1.0, 0, "")), (ratio, outcome.seed, scheme))
            if not ratio <= FAULTY:
                broken.setdefault(name, []).append(f"{scheme} {ratio:.3g}")
        for name, schemes in broken.items():
            self.faults[name] += 1
            print(f"seed {outcome.seed}: {outcome.label}: {name}, in bounds: {', '.join(schemes)}", flush=True)

    def show(self) -> None:
        """Print the counts, and the largest ratios by kernel and quantity."""
        print(f"{self.kinds.total()} problems: {dict(self.kinds)}; violations: {dict(self.faults) or 'none'}")
        names = list(dict.fromkeys(name for row in self.worst.values() for name in row))
        width = max(map(len, self.worst), default=0)
        print(" " * width + "".join(f"{name:>17}" for name in names))
        for label, row in sorted(self.worst.items()):
            cells = "".join(f"{row[name][0]:17.2g}" if name in row else f"{'':17}" for name in names)
            print(f"{label:{width}}{cells}")
        worst = {name: max(row[name] for row in self.worst.values() if name in row) for name in names}
        for name, (ratio, seed, scheme) in worst.items():
            print(f"largest of {name}: {ratio:.3g} (seed {seed}, {scheme})")


def report(seeds: Iterable[int], processes: int, properties: bool = False) -> Report:
    """Look at the problems of the seeds and print the outcomes."""
    result = Report()
    done = 0
    with Pool(processes) as pool:
        for outcome in pool.imap_unordered(_Look(properties), seeds, chunksize=10):
            result.add(outcome)
            done += 1
            if done % 1000 == 0:
                print(f"{done} done", file=sys.stderr, flush=True)
    result.show()
    return result


@dataclass
class _Look:
    properties: bool

    def __call__(self, seed: int) -> Outcome:
        return look(seed, self.properties)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale")
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("start", type=int, nargs="?", default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--properties", action="store_true", help="judge the ground properties, not the accuracy")
    given = parser.parse_args()
    result = report(range(given.start, given.start + given.count), given.processes, given.properties)
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
