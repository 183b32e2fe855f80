"""Families of problems along one parameter: how loss and gradient change with distance, kernel, bandwidth, bins.

``distance`` is the note's question made visible: every point moves away from the target's centre c by D,

    x_i → x_i + D · sign(x_i ⊖ c)

and all else stays. On a circle that is the shorter way round, and ends at the antipode of c. Under one bin at c a
Laplace kernel takes the factor e^{-D/h} out of every K(c ⊖ x_i), and the gradient, which knows ratios only, stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray, euclidean_norm
from kdegrad.domain import Circle
from kdegrad.errors import SettingError
from kdegrad.evaluation import Evaluation
from kdegrad.kernel import KERNELS, make_kernel
from kdegrad.notebook import InNotebook
from kdegrad.objective import evaluate
from kdegrad.option import is_real, require_callable, several
from kdegrad.problem import NO_WIDTH, Problem, require_problem
from kdegrad.settings import SweepOptions
from kdegrad.sums import DenseDensity
from kdegrad.text import counted, nine_digits, option_text, shortened, spoken, summary

_BLOCK_PAIRS: Final = 65_536
_ROUND_OFF: Final = 64 * float(np.finfo(np.float64).eps)  # relative, between two ways to the same logarithm

Value = float | int | str


@final
@dataclass(frozen=True)
class SweepStep:
    """One problem of a family. Where the loss is infinite, all but `value` and `kernel` is None.

    Attributes
    ----------
    value
        The parameter's value; a name where the family runs over kernels.
    kernel
        The kernel's name.
    loss, kl
        As in `Evaluation`; `kl` is None without a target too.
    l1, l2, max
        Norms of ∂L/∂z.
    gradient_per_weight_max, gradient_per_weight_min
        The largest and the smallest ∂L/∂z_i / S_i: the point that is pushed down fastest for its size, and the one
        that is pulled up fastest.
    only_pushed_down
        The share of weight of the points that no bin pulls up and at least one pushes down: S_i Σ_j r_j(t_m) - r_i(t_m)
        is ≥ 0 at every node and > 0 at one. Descent can only lower them, whatever part of the target is looked at.
    """

    value: Value
    kernel: str
    loss: float | None = None
    kl: float | None = None
    l1: float | None = None
    l2: float | None = None
    max: float | None = None
    gradient_per_weight_max: float | None = None
    gradient_per_weight_min: float | None = None
    only_pushed_down: float | None = None

    def __repr__(self) -> str:
        at = self.kernel if isinstance(self.value, str) else f"{self.kernel} at {nine_digits(self.value)}"
        loss = f"loss {nine_digits(math.inf if self.loss is None else self.loss)}"
        return summary("SweepStep", at, loss, "" if self.kl is None else f"KL {nine_digits(self.kl)}")


@final
@dataclass(frozen=True)
class Sweep(InNotebook):
    """A family of problems, measured.

    Attributes
    ----------
    problem
        Where the family starts from.
    over
        The parameter: one of `OVER`.
    steps
        One for each kernel and value, the values of a kernel together.
    input_rounding
        The largest `Evaluation.input_rounding` of its problems.
    """

    problem: Problem
    over: str
    steps: tuple[SweepStep, ...]
    input_rounding: float = 0.0

    def __repr__(self) -> str:
        kernels = list(dict.fromkeys(step.kernel for step in self.steps))
        of = ", ".join(kernels) if len(kernels) <= 3 else f"{len(kernels)} kernels"
        return summary(f"Sweep over {self.over}", counted(len(self.steps), "step"), of)

    @property
    def is_finite(self) -> bool:
        """Whether any problem of the family has a finite loss."""
        return any(step.loss is not None for step in self.steps)


@np.errstate(all="ignore")  # as in `evaluate`
def sweep(
    problem: Problem,
    over: str,
    values: Iterable[float] | FloatArray | None = None,
    *,
    kernels: str | Sequence[str] | None = None,
    watch: Callable[[SweepStep], object] | None = None,
) -> Sweep:
    """Return loss and gradient for a family of problems along one parameter.

    Parameters
    ----------
    problem
        Everything that does not change.
    over
        ``distance``, ``bandwidth``, ``bins``, ``kernel``, ``background`` or ``scale``.
    values
        The parameter's values. A distance is what is added to each point's distance from the target's centre (from
        the node, where the rule is one node); None for ``kernel``, whose values are `kernels`.
    kernels
        The names of the kernels to take each value with; None: the problem's own, or all of the problem's
        domain where the family runs over kernels.
    watch
        Called with each step as it is done.

    Raises
    ------
    SettingError
        For an unknown parameter or kernel, or a value out of range.

    Examples
    --------
    >>> import kdegrad as kg
    >>> swarm = kg.Problem([-75, 50], target=(-30, 30), bandwidth=10)
    >>> family = kg.sweep(swarm, "distance", [0, 1000], kernels=["laplace", "cauchy"])
    >>> [round(step.l1, 4) for step in family.steps]
    [0.4117, 0.4117, 0.3109, 0.0235]
    """
    require_problem(problem)
    require_callable("watch", watch)
    over = SweepOptions(over=over).over
    steps, rounding = [], 0.0
    for name, value in members(problem, over, values, kernels):
        evaluation = evaluate(member(problem, over, name, value))
        steps.append(measure(evaluation, value))
        if evaluation.is_finite:
            rounding = max(rounding, evaluation.input_rounding)
        if watch is not None:
            watch(steps[-1])
    return Sweep(problem, over, tuple(steps), rounding)


def members(
    problem: Problem, over: str, values: Iterable[float] | FloatArray | None, kernels: str | Sequence[str] | None
) -> list[tuple[str, Value]]:
    """Return kernel and value of each problem of a family, the values of a kernel together. Parameters as for `sweep`.

    Raises
    ------
    SettingError
        For an unknown parameter or kernel, and where there are no values.
    """
    names = _kernel_names(problem, over, kernels)
    if over == "kernel":
        if values is not None:
            raise SettingError("over", "kernel has names, not values: give them as kernels=[...]")
        return [(name, name) for name in names]
    if over == "bins" and problem.rule_name not in ("midpoint", "gauss"):
        reasons = {"at": "one bin stands for all", "points": "the target's points stand for them"}
        reason = reasons.get(problem.rule_name, "the exact integral has none")
        alone = f"take {spoken('--target LOW HIGH', 'target=(low, high)')} alone"
        remedy = "take the rule midpoint or gauss" if problem.rule_name == "exact" else alone
        raise SettingError("over", f"bins: {reason}: {remedy}")
    if over == "background" and problem.background_width == math.inf:
        raise SettingError("over", f"background {NO_WIDTH}")
    given = () if values is None else several(over, values)
    if not given:
        raise SettingError("over", f"{over} needs values: give one or more")
    for value in given:
        if not is_real(value):
            raise SettingError(over, f"{shortened(value)} is not a number")
        if over == "bins" and not float(value).is_integer():
            raise SettingError(over, f"{shortened(value)} is not an integer")
    numbers = [int(value) if over == "bins" else float(value) for value in given]
    return [(name, value) for name in names for value in numbers]


def spaced(over: str, start: float, stop: float, steps: int, *, log: bool = False) -> list[float]:
    """Return values from `start` to `stop`, equally far apart, or at equal ratios; whole and different for ``bins``.

    Raises
    ------
    SettingError
        For equal ratios from or to a value that is not above 0; for one step between two different ends; for a range
        that is wider than the largest float64.
    """
    if steps == 1 and start != stop:
        raise SettingError("steps", "1 is one value, and the range has two ends: give 2 or more, or equal ends")
    if log:
        for name, value in (("from", start), ("to", stop)):
            if value <= 0.0:
                raise SettingError(
                    name, f"{value!r} has no logarithm: give a value above 0, or leave out {option_text('log')}"
                )
        values = np.geomspace(start, stop, steps)
    else:
        if math.isinf(float(stop) - float(start)):
            reason = f"the range from {start!r} is wider than the largest number, 1.8e308: give a narrower one"
            raise SettingError("to", f"{stop!r}: {reason}")
        values = np.linspace(start, stop, steps)
    if over == "bins":
        values = np.rint(values)
    return list(dict.fromkeys(values.tolist()))


def member(problem: Problem, over: str, kernel: str, value: Value) -> Problem:
    """Return one problem of a family: `problem` with `kernel`, and with `value` for the parameter `over`."""
    if over == "kernel":
        return problem.replace(kernel=kernel)
    if over == "distance":
        return problem.replace(kernel=kernel, angles=moved_away(problem, float(value)))
    return problem.replace(**{"kernel": kernel, over: value})


def moved_away(problem: Problem, distance: float) -> FloatArray:
    """Return the angles x_i + D·sign(x_i ⊖ c): a point in the centre c stays, on a circle none passes its antipode.

    Raises
    ------
    SettingError
        For a D that would carry a point past the centre (D < 0) or, on a circle, past the antipode.
    """
    offsets = problem.domain.difference(problem.angles, np.asarray(problem.centre))
    reach = np.abs(offsets)
    closest, farthest = float(reach.min()), float(reach.max())
    if distance < -closest:
        raise SettingError(
            "distance", f"{_exactly(distance)} would carry a point past the centre: give {_exactly(-closest)} or more"
        )
    if distance > 0.0 and isinstance(problem.domain, Circle) and farthest + distance > 0.5 * problem.domain.period:
        most = 0.5 * problem.domain.period - farthest
        raise SettingError(
            "distance",
            f"{_exactly(distance)} would carry a point past the antipode of the target's centre, where away is toward: "
            f"give {_exactly(most)} at most",
        )
    return np.asarray(problem.angles + distance * np.sign(offsets))


def _exactly(value: float) -> str:
    """Return a number as it reads back: 12 or 0.1, as one would write it."""
    return repr(float(value)).removesuffix(".0")


def measure(evaluation: Evaluation, value: Value) -> SweepStep:
    """Return what a sweep keeps of an evaluation with the gradient of the logits."""
    kernel = evaluation.problem.kernel.name
    if not evaluation.is_finite or evaluation.gradients is None:
        return SweepStep(value, kernel)
    gradient, per_weight = evaluation.gradients.logits, evaluation.gradients.per_weight
    size = np.abs(gradient)
    return SweepStep(
        value=value,
        kernel=kernel,
        loss=evaluation.loss,
        kl=evaluation.kl,
        l1=float(size.sum()),
        l2=euclidean_norm(gradient),
        max=float(size.max()),
        gradient_per_weight_max=float(per_weight.max()),
        gradient_per_weight_min=float(per_weight.min()),
        only_pushed_down=only_pushed_down(evaluation),
    )


@np.errstate(over="ignore", invalid="ignore")  # where no point reaches a node, it neither pulls nor pushes: -inf - -inf
def only_pushed_down(evaluation: Evaluation) -> float:
    """Return the share of weight of the points that no bin pulls up and at least one pushes down.

    The gradient at one node has the sign of Σ_j S_j K_h(t_m ⊖ x_j) - K_h(t_m ⊖ x_i), with a background too: a bin
    pushes down the points whose kernel is below the mean there. Compared on logarithms; what differs by no more than
    round-off is equal. O(N·B) time, in blocks.
    """
    problem = evaluation.problem
    nodes = evaluation.rule.nodes
    density = DenseDensity(problem.kernel, problem.angles, nodes, problem.log_weights)
    log_peaks, *rest = (part[:, np.newaxis] for part in density.strongest)  # of the kernels; log p relative to that
    log_means = rest[0] + rest[1]
    slack = _ROUND_OFF * (1.0 + np.abs(log_means))
    pulled = np.zeros(len(problem.angles), dtype=bool)
    pushed = np.zeros(len(problem.angles), dtype=bool)
    rows = max(1, _BLOCK_PAIRS // len(problem.angles))
    for block in (slice(top, top + rows) for top in range(0, len(nodes), rows)):
        d = problem.domain.difference(nodes[block, np.newaxis], problem.angles)
        excess = (problem.kernel.log_shape(d) - log_peaks[block]) - log_means[block]
        pulled |= (excess > slack[block]).any(axis=0)
        pushed |= (excess < -slack[block]).any(axis=0)
    return float(evaluation.weights[pushed & ~pulled].sum())


def series(family: Sweep) -> Iterator[tuple[str, list[SweepStep]]]:
    """Yield each kernel's name with its steps."""
    for name in dict.fromkeys(step.kernel for step in family.steps):
        yield name, [step for step in family.steps if step.kernel == name]


def _kernel_names(problem: Problem, over: str, kernels: str | Sequence[str] | None) -> list[str]:
    """Return the kernels' own names, each once, in the order given."""
    kernels = () if kernels is None else several("kernel", kernels)
    if not kernels and over == "kernel":
        return [kind.name for kind in KERNELS if problem.domain.name in kind.domains]
    h, df = problem.kernel.bandwidth, problem.settings.df
    names = (make_kernel(name, h, problem.domain, df).name for name in kernels or (problem.kernel.name,))
    return list(dict.fromkeys(names))
