"""What a property is, what it compares, and what comes of it.

A property measures: it builds problems, has them evaluated and yields comparisons. The judge (`verify.py`) hands it the
production path as the evaluator, and for a control also the plain reference, whose answer to the same comparisons
says how far the statement must break.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdegrad.arrays import FloatArray
from kdegrad.objective import evaluate
from kdegrad.problem import Problem
from kdegrad.properties.reference import EPSILON, Picture, Reading, picture
from kdegrad.properties.reference_kernels import NATIVE

# The multiple of ε(1 + max|z| + |log c| + A) that a `holds` may be off by. Dense sums need some 5 of them; a fast sum
# may err by 1e-12 + 8εA (SPEC section 4), which this covers at the A ≈ 10 and more of real problems.
ROUNDINGS: Final = 512.0
_BLUNT: Final = 1e-3  # of its own size: a comparison whose tolerance is wider tells nothing
SKIPPED: Final = "skipped: "

Family = Literal["claim", "sharper", "ground"]
Expectation = Literal["holds", "breaks", ""]
Outcome = Literal["pass", "fail", "skip"]
Evaluator = Callable[[Problem], Reading]


class Unmet(Exception):
    """The precondition of a property is not met; the message says why."""


@dataclass(frozen=True, eq=False)
class Case:
    """One problem on which the properties are checked.

    Attributes
    ----------
    name
        The index and the kind, as in ``3 one side, line``; ``input`` for the user's own points.
    problem
        The problem; its rule is one of bins, never ``exact``.
    seed, index
        What the case was drawn from.
    exact
        Whether the user asked for the rule ``exact``.
    """

    name: str
    problem: Problem
    seed: int = 0
    index: int = 0
    exact: bool = False

    def rng(self) -> np.random.Generator:
        """Return the generator for what a check draws itself: the same for every property, whatever else ran."""
        return np.random.default_rng((self.seed, self.index, 1))

    @property
    def reproduce(self) -> str:
        """How to see this case again, and what it is."""
        p, s = self.problem, self.problem.settings
        where = f"--seed {self.seed} --cases {self.index}" if self.index else "the input"
        domain = "line" if s.circumference is None else f"circle of {s.circumference!r}"
        target = "no target" if p.target is None else f"target [{p.target[0]!r}, {p.target[1]!r}]"
        nodes = f"{s.bins} bins by {s.rule}" if s.at is None else f"one bin at {s.at!r}"
        df = f", df {s.df!r}" if p.kernel.name == "student-t" else ""
        extras = (f", scale {s.scale!r}" if s.scale != 1.0 else "") + (
            f", background {s.background!r}" if s.background else ""
        )
        return (
            f"{where} ({self.name}): {len(p.angles)} points, {p.kernel.name}, bandwidth {s.bandwidth!r}{df}, "
            f"{domain}, {target}, {nodes}{extras}"
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two values that a statement calls equal.

    Attributes
    ----------
    what
        What they are.
    got, want
        The values, arrays of one shape or numbers.
    roundoff
        How far rounding may move them apart.
    limit
        How far they may be apart because a limit or an integral is approached only.
    """

    what: str
    got: FloatArray
    want: FloatArray
    roundoff: float
    limit: float = 0.0

    @property
    def residual(self) -> float:
        """The largest difference; NaN if there is one."""
        difference = self._differences()
        return float(difference.max()) if difference.size else 0.0

    @property
    def subject(self) -> str:
        """What they are, without where."""
        return self.what.partition(" at ")[0]

    def tolerance(self, override: float | None) -> float:
        """Return what the residual may be, with `override` in place of the round-off."""
        return self.limit + (self.roundoff if override is None else override)

    def excess(self, override: float | None) -> float:
        """Return the residual in tolerances; infinite for NaN and for any difference where none is allowed."""
        residual, tolerance = self.residual, self.tolerance(override)
        if math.isnan(residual) or math.isnan(tolerance):
            return math.inf
        if residual == 0.0:
            return 0.0
        return residual / tolerance if tolerance > 0.0 else math.inf

    @property
    def is_blunt(self) -> bool:
        """Whether rounding alone may move the values so far that agreement says nothing."""
        return not self.roundoff <= _BLUNT * max(1.0, float(np.abs(self.want).max(initial=0.0)))

    def values(self) -> str:
        """Return the two values where they differ most, in full."""
        got, want = np.broadcast_arrays(np.atleast_1d(self.got), np.atleast_1d(self.want))
        at = int(np.argmax(np.nan_to_num(np.atleast_1d(self._differences()), nan=np.inf)))
        place = f" [{at}]" if got.size > 1 else ""
        return f"{self.what}{place}: {float(got[at])!r}, where {float(want[at])!r} is expected"

    def _differences(self) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return np.abs(self.got - self.want)


@dataclass(frozen=True)
class Verdict:
    """What came of one property in one case: the fields of a check of SPEC section 6, and how to see it again.

    Attributes
    ----------
    property, case
        The property's id, the case's name.
    expectation
        ``holds`` or ``breaks``: what theory says of this kernel, domain and data; empty where nothing was asked.
    observed
        ``holds``, ``breaks``, ``error: ...``, or empty for a skip.
    residual, tolerance
        Of the comparison that was worst in units of its tolerance; None where nothing was compared.
    verdict
        ``pass``: what was observed is what theory says. ``fail``, ``skip``.
    reason
        What was compared, with the two values if it failed; why it was skipped.
    reproduce
        Seed, case, kernel, target.
    """

    property: str
    case: str
    expectation: Expectation
    observed: str
    residual: float | None
    tolerance: float | None
    verdict: Outcome
    reason: str
    reproduce: str


class Property(ABC):
    """A statement about the loss and its gradients that can be checked on a problem.

    Attributes
    ----------
    id
        Its name in SPEC section 5.
    family
        ``claim`` (the note's own), ``sharper`` (what stands behind it) or ``ground`` (what must hold anyway).
    statement
        One sentence, with the formula.
    precondition
        What kernel, domain and data must satisfy for the statement to say something.
    """

    id: ClassVar[str]
    family: ClassVar[Family]
    statement: ClassVar[str]
    precondition: ClassVar[str] = "a positive density at every node"

    def theory(self, kernel: str, domain: str, *, background: bool) -> str:
        """Return ``holds``, ``breaks`` or ``skipped: why``, as far as the kernel and the domain decide it."""
        return "holds"

    @abstractmethod
    def measure(self, case: Case, read: Evaluator) -> Iterator[Comparison]:
        """Yield what the statement calls equal, as `read` evaluates it.

        Raises
        ------
        Unmet
            If the data do not meet the precondition.
        """

    def expectation_for(self, kernel: str, domain: str) -> str:
        """Return what to expect of a kernel (by its full name) on ``line`` or ``circle``, without a background."""
        if kernel in NATIVE and domain == "line":
            return SKIPPED + "the kernel lives on a circle"
        return self.theory(kernel, domain, background=False)


class LaplaceProperty(Property):
    """A statement that the exponential of the distance alone satisfies, on the line or at the geodesic distance."""

    def theory(self, kernel: str, domain: str, *, background: bool) -> str:
        """Return ``holds`` for laplace where nothing is added to p, else ``breaks``."""
        return "holds" if kernel == "laplace" and not background else "breaks"


def production(problem: Problem) -> Reading:
    """Return what `kdegrad.evaluate` says, the path that every command uses."""
    _require_density(problem)
    e = evaluate(problem, wrt=("logits", "angles", "bandwidth"))
    responsibilities, gradients = e.responsibilities, e.gradients
    assert responsibilities is not None  # it was asked for, as were the gradients
    assert gradients.logits is not None
    assert gradients.per_weight is not None
    assert gradients.angles is not None
    assert gradients.log_bandwidth is not None
    return Reading(
        loss=e.loss,
        log_density=e.diagnostics.log_density,
        weights=e.weights,
        responsibilities=responsibilities,
        logits=gradients.logits,
        per_weight=gradients.per_weight,
        angles=problem.settings.bandwidth * gradients.angles,
        log_bandwidth=gradients.log_bandwidth,
    )


def reference(problem: Problem) -> Reading:
    """Return what the plain second implementation says."""
    return _require_density(problem).reading


def roundoff(*problems: Problem, log_c: float = 0.0, slopes: bool = False) -> float:
    """Return `ROUNDINGS`·ε(1 + max|z| + |log c| + A) for the most sensitive of the problems met.

    c is a factor on the kernel: the problem's own scale, and what `log_c` adds to it.

    With `slopes` for the gradients of angles and bandwidth, in units of 1/h: that much of each term, and what a rounded
    coordinate does to k' itself.
    """
    sizes = []
    for problem in problems:
        seen = picture(problem)
        logits = np.abs(problem.logits[np.isfinite(problem.logits)]).max()
        size = 1.0 + logits + abs(log_c) + abs(math.log(problem.settings.scale)) + seen.condition
        sizes.append(size * (1.0 + seen.steepness) + seen.bend if slopes else size)
    return float(ROUNDINGS * EPSILON * max(sizes))


def same(
    read: Evaluator,
    before: Problem,
    after: Problem,
    *,
    loss_moves: float = 0.0,
    points: NDArray[np.intp] | slice = slice(None),
    angle_sign: float = 1.0,
    log_c: float = 0.0,
) -> Iterator[Comparison]:
    """Yield that `after` has the loss of `before` moved by `loss_moves`, and its gradients.

    Parameters
    ----------
    points
        Which point of `before` each point of `after` is.
    angle_sign
        -1 where the angles were mirrored.
    """
    old, new = read(before), read(after)
    allowed = roundoff(before, after, log_c=log_c)
    yield compared("the loss", new.loss, old.loss + loss_moves, allowed)
    yield compared("∂L/∂z", new.logits, old.logits[points], allowed)
    if min(picture(before).kink_clearance, picture(after).kink_clearance) < ROUNDINGS * EPSILON:
        return  # a node within rounding of a kink: its side, and with it the slope, is a matter of rounding
    allowed = roundoff(before, after, log_c=log_c, slopes=True)
    yield compared("h ∂L/∂x", new.angles, angle_sign * old.angles[points], allowed)
    yield compared("∂L/∂log h", new.log_bandwidth, old.log_bandwidth, allowed)


def compared(what: str, got: ArrayLike, want: ArrayLike, roundoff: float, limit: float = 0.0) -> Comparison:
    """Return the comparison of numbers or arrays."""
    return Comparison(what, np.asarray(got, dtype=np.float64), np.asarray(want, dtype=np.float64), roundoff, limit)


def rates_compared(what: str, got: FloatArray, want: FloatArray, roundoff: float) -> Comparison:
    """Return the comparison of ∂L/∂z_i / S_i by arctan: what is huge counts by its digits, what overflowed as π/2."""
    return compared(what, np.arctan(got), np.arctan(want), roundoff)


def _require_density(problem: Problem) -> Picture:
    """Return the picture of a problem whose density is positive at every node."""
    seen = picture(problem)
    if seen.uncovered:
        raise Unmet(f"the density is 0 at {seen.uncovered} of {problem.rule.bins} nodes: no gradient is defined")
    return seen
