"""Descent in small: from the input's points down the gradient, or by the exact fixed-point step for the weights.

The coordinates that move are

    z_i,    x_i/h₀,    log h        (h₀ the bandwidth at the start)

so that one rate serves them all, and a change of unit changes no step. `gradient` subtracts rate·∂L from each
coordinate, `adam` does so with running moments of ∂L (Kingma & Ba 2015), and `em` moves the weights alone, by
S_i ← R_i/Σ_j R_j.

The step of `em` never raises the loss (expectation maximisation; Dempster, Laird & Rubin 1977). With responsibilities
r_j taken at the old weights S, Jensen's inequality bounds the loss at new weights S' by

    L(S') ≤ L(S) - Σ_i R_i log(S'_i/S_i)        equal at S' = S

and S'_i = R_i/Σ_j R_j is where the right side is least. A background and a scale only change the r_j.

**The duality gap.** In the weights, over the simplex Σ_i S_i = 1, S_i ≥ 0, the loss is convex: it is a mean, by the
weights q_m of any target, of -log of functions affine in S. (In the logits it is not, but each stationary point with
all S_i > 0 is a minimum all the same.) With g_i = R_i/S_i, ∂L/∂S_i = -g_i, a convex function lies above its tangent, so
for the weights S* of the least loss L*

    L* ≥ L + Σ_i (-g_i)(S*_i - S_i) = L - Σ_i S*_i g_i + Σ_j R_j ≥ L - max_i g_i + Σ_j R_j

as Σ_i S_i g_i = Σ_j R_j and Σ_i S*_i = 1. So L - L* ≤ max_i R_i/S_i - Σ_j R_j = -min_i (∂L/∂z_i)/S_i, for any kernel,
scale and background (without one, Σ_j R_j = 1). The maximum runs over the points that the minimum may use: all but
those that were masked at the start. The gap is 0 at the minimum, and only there.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import numpy as np

from kdegrad.arrays import FloatArray, euclidean_norm
from kdegrad.errors import KdegradError
from kdegrad.evaluation import NOTICEABLE, Evaluation
from kdegrad.notebook import InNotebook
from kdegrad.objective import evaluate
from kdegrad.option import require_callable, several
from kdegrad.problem import Problem, require_problem
from kdegrad.settings import DescentOptions
from kdegrad.text import counted, five_digits, nine_digits, summary


@final
class Coordinates:
    """The vector of what moves: logits, angles in bandwidths of the start, the logarithm of the bandwidth.

    Parameters
    ----------
    problem
        The start, which keeps all that does not move.
    moving
        Names of `WRT`.
    """

    def __init__(self, problem: Problem, moving: Collection[str]) -> None:
        self._problem = problem
        self._moving = moving
        self._unit = problem.kernel.bandwidth

    def of(self, problem: Problem) -> FloatArray:
        """Return where a problem is."""
        return self._joined(problem.logits, problem.angles / self._unit, math.log(problem.kernel.bandwidth))

    def gradient(self, evaluation: Evaluation) -> FloatArray:
        """Return the gradient of the loss, by the chain rule from that of an evaluation."""
        found = evaluation.require_gradients()
        angles = None if found.angles is None else found.angles * self._unit
        return self._joined(found.logits, angles, found.log_bandwidth)

    def problem(self, place: FloatArray) -> Problem:
        """Return the problem at a place.

        Raises
        ------
        KdegradError
            Where a coordinate is too large to be one.
        """
        changes: dict[str, FloatArray | float] = {}
        count = len(self._problem.angles)
        with np.errstate(over="ignore"):
            if "logits" in self._moving:
                changes["logits"], place = place[:count], place[count:]
            if "angles" in self._moving:
                changes["angles"], place = place[:count] * self._unit, place[count:]
            if "bandwidth" in self._moving:
                changes["bandwidth"] = float(np.exp(place[0]))
        return self._problem.replace(**changes)

    def _joined(self, logits: FloatArray | None, angles: FloatArray | None, log_bandwidth: float | None) -> FloatArray:
        parts = {"logits": logits, "angles": angles, "bandwidth": log_bandwidth}
        return np.concatenate([np.atleast_1d(np.asarray(parts[name], dtype=np.float64)) for name in self._moving])


class Optimizer(ABC):
    """A rule for the next step.

    Parameters
    ----------
    rate
        The length of a step.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @abstractmethod
    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        """Return the next place from this one, the gradient there and the evaluation that it came from."""


@final
class Gradient(Optimizer):
    """Gradient descent: v ← v - rate·∂L/∂v."""

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        return place - self.rate * gradient


@final
class Adam(Optimizer):
    """Adam: m ← β₁m + (1-β₁)g, s ← β₂s + (1-β₂)g², v ← v - rate·m̂/(√ŝ + ε), m̂ = m/(1-β₁ᵏ), ŝ = s/(1-β₂ᵏ)."""

    MEMORY, SQUARE_MEMORY, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._count = 0
        self._mean: FloatArray | float = 0.0
        self._square: FloatArray | float = 0.0

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        self._count += 1
        self._mean = self.MEMORY * self._mean + (1.0 - self.MEMORY) * gradient
        self._square = self.SQUARE_MEMORY * self._square + (1.0 - self.SQUARE_MEMORY) * gradient**2
        mean = self._mean / (1.0 - self.MEMORY**self._count)
        square = self._square / (1.0 - self.SQUARE_MEMORY**self._count)
        return place - self.rate * mean / (np.sqrt(square) + self.EPSILON)


@final
class ExpectationMaximization(Optimizer):
    """The exact step for the weights: S_i ← R_i/Σ_j R_j, as z_i = log R_i - log Σ_j R_j; it has no rate."""

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        responsibilities = evaluation.require_gradients().responsibilities
        total = float(responsibilities.sum())
        if total == 0.0:  # with a background no point may have a share: then nothing moves
            return place
        with np.errstate(divide="ignore"):
            logs: FloatArray = np.log(responsibilities)
        logs -= math.log(total)
        return logs


_OPTIMIZERS: Final[dict[str, type[Optimizer]]] = {"gradient": Gradient, "em": ExpectationMaximization, "adam": Adam}


@final
@dataclass(frozen=True, eq=False)
class DescentStep:
    """Where a descent is after some steps.

    Attributes
    ----------
    step
        How many steps were taken; 0 is the start.
    evaluation
        The problem there, with its loss and gradients.
    norm
        The Euclidean norm of the gradient in the coordinates that move.
    gap
        The duality gap, an upper bound of L - L*; None unless the weights alone move, and where the rounding of the
        angles moves the responsibilities noticeably: then it proves nothing of the angles that were meant.
    """

    step: int
    evaluation: Evaluation
    norm: float
    gap: float | None

    def __repr__(self) -> str:
        return _step_text("DescentStep", self.step, self.evaluation.loss, self.norm, self.gap)

    def row(self) -> CourseRow:
        """Return the numbers alone."""
        at = self.evaluation
        return CourseRow(self.step, at.loss, at.kl, self.norm, self.gap, at.problem.kernel.bandwidth)

    def snapshot(self) -> Snapshot:
        """Return the points alone."""
        return Snapshot(self.step, self.evaluation.problem.angles, self.evaluation.weights)


@final
@dataclass(frozen=True)
class CourseRow:
    """The numbers of a `DescentStep` without its points."""

    step: int
    loss: float
    kl: float | None
    norm: float
    gap: float | None
    bandwidth: float

    def __repr__(self) -> str:
        return _step_text("CourseRow", self.step, self.loss, self.norm, self.gap)


def _step_text(what: str, step: int, loss: float, norm: float, gap: float | None) -> str:
    of_gap = "" if gap is None else f"gap {five_digits(gap)}"
    return summary(f"{what} {step}", f"loss {nine_digits(loss)}", f"norm {five_digits(norm)}", of_gap)


@final
@dataclass(frozen=True, eq=False)
class Snapshot:
    """The points after some steps: angles and weights, each of shape (N,)."""

    step: int
    angles: FloatArray
    weights: FloatArray

    def __repr__(self) -> str:
        return summary(f"Snapshot {self.step}", counted(len(self.angles), "point"))


@final
@dataclass(frozen=True, eq=False)
class Descent(InNotebook):
    """What a descent did.

    Attributes
    ----------
    start, end
        The first evaluation and the last that was reached.
    wrt, optimizer, rate, tolerance
        As they were asked for.
    course
        One row a step, the start first.
    path
        Start, end, and steps between, evenly spaced: at most `Path.STEPS`, fewer for many points.
    converged
        Whether it stopped because it was near enough, by the rule of `descend`.
    stopped
        Why it stopped, in words.
    diverged
        Whether it stopped because a step led to where the loss is infinite or a number overflows.
    """

    start: Evaluation
    end: Evaluation
    wrt: tuple[str, ...]
    optimizer: str
    rate: float
    tolerance: float
    course: tuple[CourseRow, ...]
    path: tuple[Snapshot, ...]
    converged: bool
    stopped: str
    diverged: bool

    def __repr__(self) -> str:
        steps = counted(self.course[-1].step, "step")
        losses = f"loss {nine_digits(self.start.loss)} to {nine_digits(self.end.loss)}"
        how = "diverged" if self.diverged else "converged" if self.converged else "not converged"
        return summary("Descent", f"{steps} of {self.optimizer} on {', '.join(self.wrt)}", losses, how)

    @property
    def gap(self) -> float | None:
        """How far from the least loss it may have ended, at most; None as for `DescentStep`."""
        return self.course[-1].gap

    @property
    def input_rounding(self) -> float:
        """The larger `Evaluation.input_rounding` of start and end."""
        return max(self.start.input_rounding, self.end.input_rounding)

    @property
    def rises(self) -> int:
        """In how many steps the loss rose by more than round-off."""
        losses = [row.loss for row in self.course]
        slack = 1e-13 * max(1.0, *map(abs, losses))
        return sum(after > before + slack for before, after in itertools.pairwise(losses))


@np.errstate(all="ignore")  # what overflows ends a descent, whatever the caller has set
def descend(
    problem: Problem,
    *,
    steps: int = 100,
    rate: float | None = None,
    wrt: str | Collection[str] = ("logits",),
    optimizer: str = "gradient",
    tolerance: float = 1e-8,
    watch: Callable[[DescentStep], object] | None = None,
) -> Descent:
    """Descend from the points of a problem.

    It stops after `steps` steps, or before: where the weights alone move, when the duality gap, which bounds how far
    the loss is from the least, is at most `tolerance`; else, and where the gap proves nothing
    (`Evaluation.input_rounding`), when the norm of the gradient is.

    A step to where the loss is infinite or a number overflows is not taken, and ends the descent; so does a start
    whose loss is infinite.

    Parameters
    ----------
    problem
        Where it starts.
    steps
        The most steps to take.
    rate
        The length of a step: z ← z - rate·∂L/∂z; angles in bandwidths, the bandwidth as its logarithm. None:
        1; `em` has none.
    wrt
        What moves: any of ``logits``, ``angles``, ``bandwidth``.
    optimizer
        ``gradient``, ``adam``, or ``em`` (the logits alone).
    tolerance
        See above; 0 to take all steps.
    watch
        Called with each step as it is done, the start included.

    Raises
    ------
    SettingError
        For an unknown name or a number out of range.

    Examples
    --------
    >>> import kdegrad as kg
    >>> swarm = kg.Problem([-40, -10, 10], target=(-30, 30), bandwidth=10)
    >>> done = kg.descend(swarm, optimizer="em", steps=1000)
    >>> done.converged, done.course[-1].gap <= 1e-8
    (True, True)
    """
    require_problem(problem)
    require_callable("watch", watch)
    way = DescentOptions(steps=steps, rate=rate, wrt=several("wrt", wrt), optimizer=optimizer, tolerance=tolerance)
    steps, moving, tolerance = way.steps, way.wrt, way.tolerance
    rate = 1.0 if way.rate is None else way.rate
    coordinates = Coordinates(problem, moving)
    free = ~np.isneginf(problem.logits)
    stepper = _OPTIMIZERS[way.optimizer](rate)
    start = evaluation = evaluate(problem, moving)
    place = coordinates.of(problem)
    course: list[CourseRow] = []
    path = Path(len(free))
    end = _End(False, f"all {steps} steps are taken" if steps != 1 else "the 1 step is taken", False)
    for step in range(steps + 1):
        gradient = coordinates.gradient(evaluation)
        gap = None
        if moving == ("logits",) and evaluation.input_rounding <= NOTICEABLE:  # max_i R_i/S_i - Σ_j R_j
            gap = max(0.0, -float(evaluation.require_gradients().per_weight[free].min()))
        now = DescentStep(step, evaluation, euclidean_norm(gradient), gap)
        course.append(now.row())
        path.add(now.snapshot())
        if watch is not None:
            watch(now)
        if not evaluation.is_finite:
            end = _End(False, "the loss is infinite at the start", True)
            break
        if tolerance > 0.0 and (now.norm if gap is None else gap) <= tolerance:
            what = "norm of the gradient" if gap is None else "duality gap"
            end = _End(
                True,
                f"converged after {counted(step, 'step')}: the {what} is at most {tolerance:g}",
                False,
            )
            break
        if step == steps:
            break
        place = stepper.step(place, gradient, evaluation)
        following = _evaluated(coordinates, place, moving)
        if following is None:
            reason = f"step {step + 1} makes the loss or another number infinite: try a smaller rate"
            end = _End(False, reason, True)
            break
        evaluation = following
    return Descent(
        start=start,
        end=evaluation,
        wrt=moving,
        optimizer=way.optimizer,
        rate=rate,
        tolerance=tolerance,
        course=tuple(course),
        path=path.up_to(now.snapshot()),
        **end._asdict(),
    )


@final
class Path:
    """Snapshots at every so many steps; when there are too many, every other one goes."""

    STEPS: Final = 512
    NUMBERS: Final = 1 << 22

    def __init__(self, points: int) -> None:
        self._most = max(2, min(self.STEPS, self.NUMBERS // points))
        self._stride = 1
        self._kept: list[Snapshot] = []

    def add(self, now: Snapshot) -> None:
        """Keep a snapshot if its step is a multiple of the stride."""
        if now.step % self._stride == 0:
            self._kept.append(now)
        if len(self._kept) > self._most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def up_to(self, end: Snapshot) -> tuple[Snapshot, ...]:
        """Return what is kept, and the end."""
        return tuple(self._kept if self._kept[-1].step == end.step else [*self._kept, end])


class _End(NamedTuple):
    converged: bool
    stopped: str
    diverged: bool


def _evaluated(coordinates: Coordinates, place: FloatArray, moving: Collection[str]) -> Evaluation | None:
    """Return the evaluation at a place; None where the loss is infinite or a coordinate is."""
    try:
        evaluation = evaluate(coordinates.problem(place), moving)
    except KdegradError:
        return None
    return evaluation if evaluation.is_finite else None
