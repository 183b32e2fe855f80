"""The evaluators that a property can ask: kdegrad itself, the plain reference, and a loss that is not kdegrad's."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.batch import Batch
from kdegrad.errors import SettingError
from kdegrad.objective import evaluate
from kdegrad.problem import Problem
from kdegrad.properties.base import PRECISIONS, Answer, Evaluator, Quantity, Unmet
from kdegrad.properties.geometry import beside
from kdegrad.properties.losses import Given, Loss, LossError
from kdegrad.properties.reference import log_densities, reference_of
from kdegrad.properties.reference_kernels import formula_of
from kdegrad.settings import JudgedOptions, Settings
from kdegrad.targets import Points

_SLOWEST: Final = 5.0  # seconds a call: a run makes some hundred calls a case
_RANDOM: Final = PRECISIONS["float32"].rounding  # relative: more than the order of a sum in float32 changes
_SAME_FLOOR: Final = 1e-12  # relative: what rounding of E and C may change of ε


@final
class Plain(Evaluator):
    """The plain second implementation (`reference.py`); as a prediction it allows the rounding of an evaluator `of`."""

    def __init__(self, of: Evaluator | None = None) -> None:
        if of is not None:
            self.precision, self.loses_cosine = of.precision, of.loses_cosine

    def __call__(self, problem: Problem) -> Answer:
        answer = reference_of(problem).answer
        _require_density(answer.log_density)
        return answer

    def together(self, problems: Sequence[Problem]) -> list[Answer]:
        return [self(problem) for problem in problems]

    def loss(self, problem: Problem) -> float:
        return reference_of(problem).answer.loss


@final
class Production(Evaluator):
    """`kdegrad.evaluate`, the path that every command uses; the problem's rule may also be the rule exact."""

    is_own = True

    def __call__(self, problem: Problem) -> Answer:
        may_be_0 = formula_of(problem).is_compact and problem.settings.background == 0.0
        is_exact = problem.rule_name == "exact"
        if may_be_0 and not is_exact:  # the reference decides that, not the code under test
            reference(problem)
        e = evaluate(problem, wrt=("logits", "angles", "bandwidth"))
        if may_be_0 and is_exact:  # the nodes are found by the evaluation
            _require_density(log_densities(problem, e.rule.nodes))
        gradients = e.require_gradients()
        assert gradients.angles is not None  # they were asked for
        assert gradients.log_bandwidth is not None
        return Answer(
            loss=e.loss,
            log_density=e.diagnostics.log_density,
            weights=e.weights,
            responsibilities=gradients.responsibilities,
            logits=gradients.logits,
            per_weight=gradients.per_weight,
            angles=problem.settings.bandwidth * gradients.angles,
            log_bandwidth=gradients.log_bandwidth,
            error=e.diagnostics.quadrature_error,
        )

    def together(self, problems: Sequence[Problem]) -> list[Answer]:
        for problem in problems:
            if formula_of(problem).is_compact and problem.settings.background == 0.0:
                reference(problem)  # as above
        counts = [len(problem.angles) for problem in problems]
        offsets = np.cumsum([0, *counts]) if min(counts) < max(counts) else None
        angles, logits = (
            np.stack(rows) if offsets is None else np.concatenate(rows)
            for rows in ([getattr(problem, name) for problem in problems] for name in ("angles", "logits"))
        )
        settings = {**asdict(problems[0].settings), **_targets(problems)}
        e = evaluate(Batch(angles, logits, offsets=offsets, **settings), wrt=("logits", "angles", "bandwidth"))
        gradients, h = e.gradients, problems[0].settings.bandwidth
        assert gradients is not None  # they were asked for
        assert gradients.angles is not None
        assert e.log_bandwidth is not None
        rows = [slice(*offsets[g : g + 2]) if offsets is not None else g for g in range(len(problems))]
        return [
            Answer(
                loss=float(e.losses[g]),
                log_density=np.full(problem.rule.bins, math.nan),  # a batch keeps none
                weights=e.weights[row],
                responsibilities=gradients.responsibilities[row],
                logits=gradients.logits[row],
                per_weight=gradients.per_weight[row],
                angles=h * gradients.angles[row],
                log_bandwidth=float(e.log_bandwidth[g]),
            )
            for g, (problem, row) in enumerate(zip(problems, rows, strict=True))
        ]

    def loss(self, problem: Problem) -> float:
        return evaluate(problem, wrt=()).loss


reference: Final = Plain()
production: Final = Production()


@final
class Judged(Evaluator):
    """A loss that is not kdegrad's: what it computes is declared by the settings of a case, and by a floor.

    A floor ε, -log(p + ε), is a background: with E = ε (b-a) and C = 1/(1-E), (1-E) C p + E/(b-a) = p + ε. So the cases
    of a loss with a floor have that background and scale, neither of which the loss is told.

    A loss that takes batches is asked about a single problem in a batch of two, behind another one.

    Parameters
    ----------
    of
        The loss.
    floor
        The ε that it is meant to add to p; None: none.
    """

    loses_cosine = True  # κ cos θ is what people write

    def __init__(self, of: Loss, floor: float | None = None) -> None:
        self.of, self.floor = of, floor
        self.gives = frozenset()  # before the first call nothing is known
        self.precision = PRECISIONS[of.dtype]
        self.case: Problem | None = None  # of the check that is under way: what the loss is not told has its value
        self.asked: list[tuple[Problem, ...]] = []  # what was asked in this check, each time, as the loss saw it
        self.has_right_gradients = True  # as far as failures were explained
        self._seen = lru_cache(maxsize=4)(self._rounded)
        self._answer = lru_cache(maxsize=4)(self._answered)  # properties share the case's own problem

    def begin(self, problem: Problem) -> None:
        """Make the first call, with the problem of a case, and see which gradients it gives.

        Raises
        ------
        LossError
            Where the loss cannot be judged: it raises, returns something else than a number, NaN, takes too long, or is
            random.
        """
        given = self.given(problem, gradient=True)
        found: dict[Quantity, Any] = {"logits": given.logits, "angles": given.angles, "bandwidth": given.bandwidth}
        for name, value in {"loss": given.loss, **found}.items():
            if value is not None and np.isnan(value).any():
                what = "NaN" if name == "loss" else f"a gradient of the {name} that is NaN"
                raise LossError(f"returns {what} for {len(problem.angles)} points near the target")
        again = self.given(problem, gradient=True).loss
        if self.of.seconds > _SLOWEST:  # the first call may compile
            raise LossError(
                f"takes {self.of.seconds:.3g} s a call with {len(problem.angles)} points: a case needs some hundred "
                "calls; judge it with fewer bins, or on a smaller model"
            )
        if not math.isclose(given.loss, again, rel_tol=_RANDOM, abs_tol=_RANDOM):
            raise LossError(
                f"is random: it returns {given.loss:.6g} and {again:.6g} for the same points; judge it without dropout "
                "or noise (a module in eval mode), or with a seed that is set in each call"
            )
        self.gives = frozenset(("loss", *(name for name, value in found.items() if value is not None)))

    def start(self, case: Problem) -> None:
        """Begin a check in a case; the problems that it asks are kept, for `kdegrad.properties.explanation`."""
        self.case, self.asked = case, []

    def takes(self, option: str) -> bool:
        if option == "at":
            return self.of.takes_one_node
        if option in ("scale", "background") and self.floor is not None:
            return False
        return option != "kernel" and self.of.accepts(option)  # it need not know another kernel than the declared one

    def seen(self, problem: Problem) -> Problem:
        return problem if self.of.dtype == "float64" else self._seen(problem)

    def _rounded(self, problem: Problem) -> Problem:
        """Return the problem with its points, target and node rounded to the dtype."""
        kind = np.dtype(self.of.dtype).type

        def rounded(value: float) -> float:
            return float(kind(value))

        ends = None if problem.target is None else (rounded(problem.target.low), rounded(problem.target.high))
        if ends is not None and ends[0] == ends[1]:
            raise Unmet(f"the ends of the target round to one {self.of.dtype}")
        return problem.replace(
            angles=problem.angles.astype(kind).astype(np.float64),
            logits=problem.logits.astype(kind).astype(np.float64),
            target=ends,
            at=None if problem.at is None else rounded(problem.at),
        )

    def case_of(self, problem: Problem) -> Problem:
        """Return the problem as the loss sees it, with the background and the scale that make its floor.

        Raises
        ------
        SettingError
            Where the floor leaves nothing of the kernel, or stands beside another background.
        """
        problem = self.seen(problem)
        if self.floor is None:
            return problem
        share, settings = self.floor * problem.interval.width, problem.settings
        if settings.background > 0.0 or settings.scale != 1.0:
            raise SettingError("floor", "is a background and a scale of its own: leave out background and scale")
        if not share < 1.0:
            raise SettingError(
                "floor", f"{self.floor!r} times the target's width, {share!r}, is not below 1: make it less"
            )
        return problem.replace(background=share, scale=1.0 / (1.0 - share))

    def __call__(self, problem: Problem) -> Answer:
        self._require(problem)
        seen = self.seen(problem)
        reference(seen)  # raises Unmet where the density is 0
        self.asked.append((seen,))
        return self._answer(seen)

    def together(self, problems: Sequence[Problem]) -> list[Answer]:
        if not self.of.batched:
            raise Unmet("no --batched")
        for problem in problems:
            self._require(problem)
        seen = tuple(map(self.seen, problems))
        for problem in seen:
            reference(problem)
        self.asked.append(seen)
        return list(map(_as_answer, seen, self.given_together(seen, gradient=True)))

    def _answered(self, seen: Problem) -> Answer:
        return _as_answer(seen, self.given(seen, gradient=True))

    def loss(self, problem: Problem) -> float:
        self._require(problem)
        seen = self.seen(problem)
        self.asked.append((seen,))
        return self.given(seen, gradient=False).loss

    def given(self, problem: Problem, *, gradient: bool) -> Given:
        """Return what the loss gives for a problem as it sees it."""
        return self.given_together((problem,), gradient=gradient)[0]

    def given_together(self, problems: tuple[Problem, ...], *, gradient: bool) -> list[Given]:
        """Return what it gives for problems in one call, several of which take a batch."""
        if not self.of.batched:
            (problem,) = problems
            options = self.told(problem)
            return [self.of(problem.angles, problem.logits, target_of(problem), options, gradient=gradient)]
        return self.given_batch(self.called_with(problems), gradient=gradient)[-len(problems) :]

    def given_batch(self, problems: tuple[Problem, ...], *, gradient: bool) -> list[Given]:
        """Return what a loss of batches gives for these problems, be it one, and no other beside them."""
        angles, logits = (np.stack([getattr(p, name) for p in problems]) for name in ("angles", "logits"))
        return self.of.together(angles, logits, targets_of(problems), self.told(problems[-1]), gradient=gradient)

    def called_with(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Return the problems of the call that asks for some: in a batch a single one has another before it."""
        if not self.of.batched or len(problems) > 1:
            return problems
        other = beside(problems[0], 16.0 * self.precision.epsilon)
        return (self.case_of(other if self.floor is None else other.replace(background=0.0, scale=1.0)), *problems)

    def told(self, problem: Problem) -> dict[str, Any]:
        """Return what the loss is told by keyword, as far as its signature names it."""
        s = problem.settings
        options: dict[str, Any] = {
            "kernel": problem.kernel.name,
            "bandwidth": s.bandwidth,
            "bins": s.bins,
            "df": s.df,
            "circular": s.circumference is not None,
            "period": s.circumference,
            "unit": s.unit,
        }
        return options if self.floor is not None else options | {"scale": s.scale, "background": s.background}

    def _require(self, problem: Problem) -> None:
        """Raise `Unmet` for a problem that the loss cannot be given, or that is not what it is meant to compute."""
        s, is_node = problem.settings, problem.at is not None
        if is_node and s.background > 0.0:
            raise Unmet("one node beside a background: a loss is not judged there")
        if is_node and not self.takes("at"):
            raise Unmet("takes no single node")
        if not is_node and s.rule != "midpoint":
            raise Unmet("is judged with midpoint bins alone")
        told = self.told(problem)
        for name, declared in self.told(problem if self.case is None else self.case).items():
            is_free = self.takes(name) or (is_node and name == "bins")  # one node has no bins
            if told[name] != declared and not is_free:
                raise Unmet("is judged for one kernel alone" if name == "kernel" else f"takes no {name}")
        if self.floor is not None:
            share = self.floor * problem.interval.width
            made = (s.background, s.scale * (1.0 - share))
            if not np.allclose(made, (share, 1.0), rtol=_SAME_FLOOR, atol=0.0):
                raise Unmet(f"takes no other background than its floor of {self.floor!r}")


def _as_answer(seen: Problem, given: Given) -> Answer:
    """Return what a loss gave as an answer, in the units of an answer; what it did not give is NaN."""
    plain = reference(seen)
    weights, h = plain.weights, seen.settings.bandwidth
    missing = np.full(len(seen.angles), math.nan)
    logits = missing if given.logits is None else given.logits
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        per_weight = logits / weights
    return Answer(
        loss=given.loss,
        log_density=np.full(len(plain.log_density), math.nan),
        weights=weights,
        responsibilities=weights * plain.responsibilities.sum() - logits,  # ∂L/∂z_i = S_i Σ_j R_j - R_i
        logits=logits,
        per_weight=per_weight,
        angles=missing if given.angles is None else h * given.angles,
        log_bandwidth=math.nan if given.bandwidth is None else h * given.bandwidth,
    )


def _targets(problems: Sequence[Problem]) -> dict[str, Any]:
    """Return the targets of problems as those of a batch."""
    first, nodes = problems[0], [problem.at for problem in problems]
    intervals = None if first.target is None else tuple(np.array([p.interval for p in problems]).T)
    if first.observed is None:
        return {"target": intervals}
    if first.at is not None and len(set(nodes)) == 1:
        return {"target": intervals, "at": first.at}
    if first.at is not None and first.settings.background > 0.0:
        raise Unmet("a batch with a background has one node for all")
    if first.at is not None:
        return {"target": np.array(nodes)}
    observed = [problem.observed for problem in problems if problem.observed is not None]
    angles, weights = (np.concatenate([getattr(of, name) for of in observed]) for name in ("angles", "weights"))
    return {"target": Points(angles, weights, np.cumsum([0, *map(len, observed)]))}


def target_of(problem: Problem) -> tuple[float, float] | float:
    """Return the ends of a problem's target, or its node."""
    return (problem.interval.low, problem.interval.high) if problem.at is None else problem.at


def targets_of(problems: Sequence[Problem]) -> tuple[FloatArray, FloatArray] | FloatArray:
    """Return the ends of the problems' targets, or their nodes, each of shape (G,)."""
    nodes = [problem.at for problem in problems if problem.at is not None]
    if nodes:
        return np.array(nodes)
    low, high = np.array([problem.interval for problem in problems]).T
    return low, high


def require_meant(like: Settings, given: Collection[str] = ()) -> None:
    """Raise SettingError for settings, or the name of one that was `given`, that a judged loss cannot have."""
    if "sums" in given:
        raise SettingError("sums", "is about kdegrad's own sums, and a judged loss has none of them: leave it out")
    if like.rule != "midpoint":
        raise SettingError("rule", f"is {like.rule}, and a loss is judged with bins: take midpoint")


def judged_loss(function: Any, name: str, options: JudgedOptions, like: Settings) -> Judged:
    """Return the evaluator of a loss that is meant to compute what `like` says.

    Raises
    ------
    SettingError
        If the settings, or the loss, cannot be used: see `Problem` and `Loss`.
    """
    one_node = asdict(like) | {"background": 0.0}  # beside a single node there is none
    kernel = Problem([0.0], at=0.0, **one_node).kernel.name  # raises for a kernel that there is not, or not here
    period = like.circumference
    declared = one_node | {"kernel": kernel, "circular": period is not None, "period": period}
    how = {name: getattr(options, name) for name in ("backend", "dtype", "wrt", "batched")}
    loss = Loss(function, name=name, declared=declared, **how)
    return Judged(loss, options.floor)


def _require_density(log_density: FloatArray) -> None:
    uncovered = int(np.isneginf(log_density).sum())
    if uncovered:
        raise Unmet(f"the density is 0 at {uncovered} of {len(log_density)} nodes: no gradient is defined")
