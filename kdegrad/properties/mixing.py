"""What a batched loss does to the problems of a batch: whether it gives them in another order, or mixes them.

The numbers of a problem in a batch must be those of the batch that has this problem alone, G = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.problem import Problem
from kdegrad.properties.base import Quantity
from kdegrad.properties.comparisons import roundoff, told_apart
from kdegrad.properties.evaluators import Judged
from kdegrad.properties.losses import Given, LossError
from kdegrad.properties.reference import reference_of

Numbers = Mapping[Quantity, FloatArray]  # of one problem: the loss (1,), gradients (N,), that of the bandwidth (1,)

_PLAIN: Final = 1e-6  # of the size of a loss: more than a loss differs by that rounds to float32 within
_LOSS_ALONE: Final = "where problems are weighted, or reported one by one, the losses are not theirs"
_AXIS: Final = "a softmax, a mean or a maximum over the wrong axis, or one target for all?"
_TO_PUT_BACK: Final = "where `order` has sorted the problems, losses[argsort(order)] puts them back"
_TO_SEPARATE: Final = (
    "no softmax, mean, sum or maximum over the axis of the problems (dim=0), and to each its own target"
)


class Mixing(NamedTuple):
    """What is wrong in a batch, and the problems for which the loss was asked there."""

    difference: str
    means: str
    remedy: str
    problems: tuple[Problem, ...]
    alone: tuple[Problem, ...] = ()  # the one that has other numbers alone, which an example should show too


def mixing(judged: Judged, asked: Sequence[tuple[Problem, ...]], *, is_loss_alone: bool) -> Mixing | None:
    """Return what is wrong in the first of some batches where each problem has not, in its place, what it has alone.

    `is_loss_alone` tells that all gradients are right.
    """
    found = (_other_order(judged, problems) or _dependence(judged, problems) for problems in asked)
    try:
        first = next(filter(None, found), None) if judged.of.batched else None
    except LossError:  # it is told elsewhere
        return None
    if first is None or not is_loss_alone:
        return first
    return first._replace(means=f"{_LOSS_ALONE}; the gradients of their sum are right")


def _other_order(judged: Judged, problems: tuple[Problem, ...]) -> Mixing | None:
    """Tell numbers that are right, but those of other problems of the batch."""
    called = judged.called_with(problems)
    together, right = _given(judged, called), list(map(_right, called))
    allowed = [_allowed(judged, problem) for problem in called]
    orders: dict[Quantity, list[int]] = {}
    for name in together[0]:
        got, want = (np.stack([numbers[name] for numbers in each]) for each in (together, right))
        apart = np.abs(got[:, np.newaxis] - want).max(axis=2)  # what is given for g, from what is right for k
        fits = apart <= np.array([limits[name] for limits in allowed])
        nearest = apart.argmin(axis=1).tolist()
        is_permutation = len(set(nearest)) == len(nearest) and all(fits[g, k] for g, k in enumerate(nearest))
        if is_permutation and not fits.diagonal().all():
            orders[name] = nearest
    if not orders:
        return None
    what = " and ".join("losses" if name == "loss" else f"gradients of the {name}" for name in orders)
    order = ", ".join(map(str, next(iter(orders.values()))))
    said = f"the {what} of a batch are in another order, of problems {order}"
    if "loss" in orders:
        losses = [", ".join(f"{numbers['loss'].item():.6g}" for numbers in each) for each in (together, right)]
        said = f"{said}: {losses[0]} where {losses[1]} is right"
    means = _LOSS_ALONE if set(orders) == {"loss"} else "each problem learns what another should"
    return Mixing(said, means, _TO_PUT_BACK, problems)


def _dependence(judged: Judged, problems: tuple[Problem, ...]) -> Mixing | None:
    """Tell the first problem that has other numbers alone than beside the others of its batch."""
    called = judged.called_with(problems)
    others = "another problem" if len(called) == 2 else f"{len(called) - 1} others"
    in_batch = _given(judged, called)[-len(problems) :]  # a single problem is asked behind another
    for number, (problem, together) in enumerate(zip(problems, in_batch, strict=True)):
        (alone,), right, allowed = _given(judged, (problem,)), _right(problem), _allowed(judged, problem)
        for name in together:
            own, beside = alone[name], together[name]
            is_same = (own == beside) | (np.isnan(own) & np.isnan(beside))  # both may be infinite
            apart = np.where(is_same, 0.0, np.nan_to_num(np.abs(own - beside), nan=np.inf))
            at = int(apart.argmax())
            if apart[at] <= allowed[name] * max(2.0, _PLAIN / judged.precision.rounding):  # both are rounded
                continue
            what = "loss" if name == "loss" else f"gradient of the {name}"
            of = "a problem" if len(problems) == 1 else f"problem {number}"
            place = f"{of}, point {at}," if len(own) > 1 else of
            said = f"the {what} of {place} depends on the others of its batch"
            one, other = told_apart(float(own[at]), float(beside[at]))
            if abs(own[at] - right[name][at]) <= allowed[name]:
                said = f"{said}: alone {one}, as is right, beside {others} {other}"
            else:
                said = f"{said}: alone {one}, beside {others} {other}, where {right[name][at]:.6g} is right"
            return Mixing(f"{said} ({_AXIS})", "so does what it learns", _TO_SEPARATE, problems, (problem,))
    return None


def _given(judged: Judged, problems: tuple[Problem, ...]) -> list[Numbers]:
    """Return what the loss gives for a batch of these problems."""
    return list(map(_numbers, judged.given_batch(problems, gradient=judged.gives > {"loss"})))


def _numbers(given: Given) -> Numbers:
    """Return the numbers that are given."""
    every: dict[Quantity, FloatArray | float | None] = {
        "loss": given.loss,
        "logits": given.logits,
        "angles": given.angles,
        "bandwidth": given.bandwidth,
    }
    return {name: np.atleast_1d(value) for name, value in every.items() if value is not None}


def _right(problem: Problem) -> Numbers:
    """Return the plain reference's."""
    answer, h = reference_of(problem).answer, problem.settings.bandwidth
    return _numbers(Given(answer.loss, answer.logits, answer.angles / h, answer.log_bandwidth / h))


def _allowed(judged: Judged, problem: Problem) -> Mapping[Quantity, float]:
    """Return how far rounding may move them."""
    value, slope = roundoff(judged, problem), roundoff(judged, problem, slopes=True) / problem.settings.bandwidth
    return {"loss": value, "logits": value, "angles": slope, "bandwidth": slope}
