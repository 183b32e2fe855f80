"""What a property is, the case in which it is checked, what an evaluator answers, and what is compared.

A property builds problems from a case, asks an evaluator about each of them and yields comparisons. The judge
(`judge.py`) passes kdegrad's own path or a user's loss as the evaluator and, for a control, also the plain reference,
whose answers to the same questions predict how far the statement must break. The theory: kdegrad/properties/README.md.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.text import counted

Family = Literal["claim", "sharper", "ground", "training"]
Quantity = Literal["loss", "logits", "angles", "bandwidth"]
Expectation = Literal["holds", "breaks"]
Outcome = Literal["pass", "fail", "skip"]
SYMBOLS: Final[Mapping[Quantity, str]] = {
    "loss": "the loss",
    "logits": "∂L/∂z",
    "angles": "h ∂L/∂x",
    "bandwidth": "∂L/∂log h",
}


class Unmet(Exception):
    """The precondition of a property is not met; the message gives the reason."""


@final
@dataclass(frozen=True)
class Skipped:
    """What theory says where a statement has no meaning for a kernel or a domain."""

    reason: str

    def __str__(self) -> str:
        return f"skipped: {self.reason}"


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What one evaluator says about a problem; what belongs to the points has shape (N,), and is NaN if not given."""

    loss: float
    log_density: FloatArray  # log p̃ at the nodes, shape (B,)
    weights: FloatArray  # S_i
    responsibilities: FloatArray  # R_i
    logits: FloatArray  # ∂L/∂z_i
    per_weight: FloatArray  # ∂L/∂z_i / S_i, also of a point of weight 0; infinite where it overflows
    angles: FloatArray  # h ∂L/∂x_i
    log_bandwidth: float  # ∂L/∂log h
    error: float | None = None  # an estimate of the error of a loss that is an integral


@final
@dataclass(frozen=True)
class Precision:
    """What the dtype of an evaluator allows to be asked of it.

    Attributes
    ----------
    epsilon
        ε, the distance from 1 to the next number.
    rounding
        The multiple of the size of a result that rounding may move it by: dense sums in float64 need some 5 ε, a fast
        sum may err by 1e-12 + 8εA, which 512 ε covers at the A ≈ 10 and more of real problems.
    blunt
        Fraction of the compared size: a comparison with a wider tolerance shows nothing.
    predicted, shown
        Tolerances that the reference must predict before a control is asked for, and that the control must be off by.
    narrow
        h/gap where a kernel is to be 0 at the next point: (h/gap)^(ν+1) must be small for any ν > 0, and h³ a number.
    least
        What is not far above has lost digits to underflow.
    normal
        The least number that has all its digits.
    decades
        How many powers of ten a factor may have.
    spread
        The fraction of the usual distance from 0 at which random problems lie: coordinates cost digits.
    """

    epsilon: float
    rounding: float
    blunt: float
    predicted: float
    shown: float
    narrow: float
    least: float
    normal: float
    decades: int
    spread: float


PRECISIONS: Final[Mapping[str, Precision]] = {
    "float64": Precision(2.0**-52, 512.0 * 2.0**-52, 1e-3, 1e4, 1e3, 1e-40, 1e-290, 2.0**-1022, 300, 1.0),
    "float32": Precision(2.0**-23, 16.0 * 2.0**-23, 5e-2, 100.0, 10.0, 1e-8, 1e-30, 2.0**-126, 30, 0.1),
}


class Evaluator(ABC):
    """Something that computes the loss and its gradients: kdegrad, the plain reference, or a user's loss."""

    gives: frozenset[Quantity] = frozenset(("loss", "logits", "angles", "bandwidth"))
    precision: Precision = PRECISIONS["float64"]
    is_own: bool = False  # whether it is kdegrad's own path: then it also gives densities and shares, by any scheme
    loses_cosine: bool = False  # whether κ cos θ may be formed, which loses log κ of its digits

    @abstractmethod
    def __call__(self, problem: Problem) -> Answer:
        """Return the answer about a problem whose rule is one of bins.

        Raises
        ------
        Unmet
            Where the density is 0 at a node, or the evaluator cannot be given such a problem.
        """

    @abstractmethod
    def together(self, problems: Sequence[Problem]) -> list[Answer]:
        """Return the answers about problems of the same settings that are asked as one batch.

        Raises
        ------
        Unmet
            As above, and where the evaluator takes no batch.
        """

    @abstractmethod
    def loss(self, problem: Problem) -> float:
        """Return the loss alone; infinite where the density is 0 at a node."""

    def takes(self, option: str) -> bool:
        """Return whether it can be given another value of the option than the case's; ``at``: a single node."""
        return True

    def seen(self, problem: Problem) -> Problem:
        """Return the problem with the numbers that the evaluator sees, rounded to its dtype."""
        return problem


@final
@dataclass(frozen=True, eq=False)
class Case:
    """One problem on which the properties are checked."""

    name: str  # "#3" for the random problem 3, behind the name of a file if there is one; else that name
    problem: Problem  # its rule is one of bins, never "exact"
    seed: int = 0
    index: int = 0  # of a random problem, from 1 on; 0: the user's own points
    exact: bool = False  # whether the user asked for the rule "exact"
    kind: str = ""  # of a random problem, as in "one side, line"; how the user's own was cut

    def rng(self) -> np.random.Generator:
        """Return the generator for what a check draws itself: the same for every property, whatever else ran."""
        return np.random.default_rng((self.seed, self.index, 1))

    @property
    def about(self) -> str:
        """What it is: its kind, points, kernel and target."""
        p, s = self.problem, self.problem.settings
        parts = [
            f"{len(p.angles)} points",
            p.kernel.name,
            f"bandwidth {s.bandwidth!r}",
            f"df {s.df!r}" if "df" in p.kernel.parameters else "",
            "line" if s.circumference is None else f"circle of {s.circumference!r}",
            _target_text(p),
            f"{s.bins} bins by {s.rule}" if p.observed is None else "" if p.at is None else f"one bin at {p.at!r}",
            f"scale {s.scale!r}" if s.scale != 1.0 else "",
            f"background {s.background!r}" if s.background else "",
        ]
        return f"{self.kind}: " * bool(self.kind) + ", ".join(filter(None, parts))


def _target_text(problem: Problem) -> str:
    if problem.target is not None:
        return f"target [{problem.target.low!r}, {problem.target.high!r}]"
    if problem.at is not None:
        return "no target"
    return counted(problem.rule.bins, "target point")


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """Two values that a statement calls equal: numbers, or arrays of one shape."""

    of: Quantity  # what they are made of: an evaluator that does not give it is not asked
    got: ArrayLike
    want: ArrayLike
    roundoff: float  # how far rounding may move them apart
    limit: float = 0.0  # how far they may be apart because a limit or an integral is only approached
    where: str = ""  # the distance, node or scale at which they were taken
    what: str = ""  # what is compared, if it is not the quantity itself

    @property
    def title(self) -> str:
        """What is compared, and where."""
        what = self.what or SYMBOLS[self.of]
        return f"{what} at {self.where}" if self.where else what

    @property
    def residual(self) -> float:
        """The largest difference; NaN if there is one."""
        return float(np.max(self._differences(), initial=0.0))

    @property
    def tolerance(self) -> float:
        """What the residual may be."""
        return self.limit + self.roundoff

    @property
    def excess(self) -> float:
        """The residual in tolerances; infinite for NaN and for any difference where none is allowed."""
        residual, tolerance = self.residual, self.tolerance
        if math.isnan(residual) or math.isnan(tolerance):
            return math.inf
        if residual == 0.0:
            return 0.0
        return residual / tolerance if tolerance > 0.0 else math.inf

    def is_blunt(self, blunt: float) -> bool:
        """Return whether rounding may move the values by more than this fraction: agreement shows nothing then."""
        return not self.roundoff <= blunt * max(1.0, float(np.max(np.abs(self.want), initial=0.0)))

    def values(self) -> str:
        """Return the two values where they differ most, in full."""
        got, want = np.broadcast_arrays(np.atleast_1d(self.got), np.atleast_1d(self.want))
        at = int(np.argmax(np.nan_to_num(self._differences(), nan=np.inf)))
        place = f" [{at}]" if got.size > 1 else ""
        return f"{self.title}{place}: {float(got[at])!r}, where {float(want[at])!r} is expected"

    def _differences(self) -> FloatArray:
        with np.errstate(invalid="ignore"):
            differences = np.abs(np.subtract(self.got, self.want))
        return np.atleast_1d(np.where(np.equal(self.got, self.want), 0.0, differences))  # both may have overflowed


class Property(ABC):
    """A statement about the loss and its gradients that can be checked on a problem."""

    id: ClassVar[str]  # on the command line and in reports
    family: ClassVar[Family]  # the note's own claim, what stands behind one, what must hold anyway
    statement: ClassVar[str]  # one sentence, with the formula
    precondition: ClassVar[str] = "a positive density at every node"  # without which the statement has no meaning
    meaning: ClassVar[str]  # what it means for training where it fails, in one sentence without a full stop
    remedy: ClassVar[str] = ""  # what to write instead, where there is one thing to say
    of_kdegrad: ClassVar[bool] = False  # whether it speaks of kdegrad's own schemes, and of no other loss

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation | Skipped:
        """Return what theory says, as far as the kernel (by its full name) and ``line`` or ``circle`` decide it."""
        return "holds"

    @abstractmethod
    def measure(self, case: Case, ask: Evaluator) -> Iterator[Comparison]:
        """Yield the values that the statement calls equal, as `ask` evaluates them.

        Raises
        ------
        Unmet
            If the data do not meet the precondition.
        """


class LaplaceProperty(Property):
    """A statement that holds for the exponential of the distance alone, on the line or at the geodesic distance.

    A background breaks it: what is added to p does not scale with K.
    """

    def theory(self, kernel: str, domain: str, *, background: bool) -> Expectation:
        return "holds" if kernel == "laplace" and not background else "breaks"
