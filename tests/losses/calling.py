"""The losses of the catalogue, called as a user's training would call them, beside the truth of `tests.oracle`.

This shares nothing with the judge of `verify-props --loss`: it shows that right losses are right and faulty ones are
not, so that what the judge says of them can be tested.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import kdegrad as kg
from kdegrad.properties.reference import reference_of
from tests.losses import Entry
from tests.oracle import COMPACT, Truth, truth

ALLOWED = 8.0  # roundings, in ε(1 + max|z| + A): plain formulas need up to 4
BINS = 12  # where the loss takes any number
TAKEN = ("kernel", "bandwidth", "bins", "df", "scale", "background", "circular", "period", "unit")


class Answer(NamedTuple):
    """A loss and those of its gradients that there are, by their names; that of the bandwidth is ∂L/∂h."""

    loss: Any
    gradients: Mapping[str, np.ndarray]


def parameters(entry: Entry) -> tuple[set[str], bool]:
    """Return the names that a loss takes, and whether it takes any."""
    function = entry.function()
    found = inspect.signature(getattr(function, "forward", function)).parameters.values()
    return {p.name for p in found}, any(p.kind is p.VAR_KEYWORD for p in found)


def called(entry: Entry, problem: kg.Problem, dtype: str) -> Answer:
    """Return what a loss makes of a problem."""
    settings, (names, takes_all) = problem.settings, parameters(entry)
    circular = settings.circumference is not None
    options = {name: getattr(settings, name) for name in TAKEN if takes_all or name in names}
    options.update({"circular": circular} if "circular" in options else {})
    options.update({"period": settings.circumference} if "period" in options else {})
    target: Any = problem.at if problem.at is not None else tuple(map(float, problem.interval))
    wanted = [name for name in entry.options.get("wrt", ("logits", "angles")) if name != "bandwidth" or name in names]
    with np.errstate(all="ignore"):
        call = {"numpy": _by_numpy, "torch": _by_torch, "jax": _by_jax}[entry.backend]
        if not entry.batched:
            return call(entry.function(), problem.angles, problem.logits, target, options, wanted, dtype)
        angles, logits, targets = in_a_batch(problem)
        found = call(entry.function(), angles, logits, targets, options, wanted, dtype)
        return _last(found, len(problem.angles))


def in_a_batch(problem: kg.Problem) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return a batch of three problems padded by masked points, the first the most; the problem is the last.

    The others have their targets elsewhere, and the points of the first are near its own.
    """
    h, n = problem.settings.bandwidth, len(problem.angles)
    moves = np.array([1.5, -0.75, 0.0]) * h
    padding = np.array([0.0, problem.centre])
    near = problem.centre + h * np.linspace(-0.4, 0.3, n)
    angles = np.stack([near, problem.angles[::-1], problem.angles]) + moves[:, None]
    logits = np.stack([problem.logits[::-1], np.roll(problem.logits, 2) - 3.0, problem.logits])
    logits[0, int(np.argmin(logits[0]))] = -np.inf
    angles = np.concatenate([angles, np.tile(padding, (3, 1))], axis=1)
    logits = np.concatenate([logits, np.full((3, 2), -np.inf)], axis=1)
    if problem.at is not None:
        return angles, logits, problem.at + moves
    return angles, logits, tuple(end + moves for end in problem.interval)


def _last(found: Answer, points: int) -> Answer:
    """Return the answer about the last problem of a batch; NaN where the padding has a gradient."""
    if np.ndim(found.loss) != 1:
        return Answer(math.nan, {})
    gradients = {}
    for name, rows in found.gradients.items():
        if name == "bandwidth":
            gradients[name] = np.asarray(rows)[-1]
        else:
            is_clean = not np.any(rows[-1][points:])
            gradients[name] = np.asarray(rows)[-1][:points] + (0.0 if is_clean else math.nan)
    return Answer(float(np.asarray(found.loss)[-1]), gradients)


def _by_numpy(
    loss: Callable[..., Any],
    angles: np.ndarray,
    logits: np.ndarray,
    target: Any,
    options: dict[str, Any],
    wanted: list[str],
    dtype: str,
) -> Answer:
    found = loss(angles.astype(dtype), logits.astype(dtype), _as_arrays(target, lambda x: x.astype(dtype)), **options)
    value, gradients = found if isinstance(found, tuple) else (found, {})
    return Answer(value, gradients if isinstance(gradients, dict) else {"logits": gradients})


def _as_arrays(target: Any, made: Callable[[np.ndarray], Any]) -> Any:
    """Return the target of a batch in arrays of a framework; that of a single problem is numbers."""
    if isinstance(target, tuple):
        return tuple(_as_arrays(ends, made) for ends in target)
    return made(target) if isinstance(target, np.ndarray) else target


def _by_torch(
    loss: Callable[..., Any],
    angles: np.ndarray,
    logits: np.ndarray,
    target: Any,
    options: dict[str, Any],
    wanted: list[str],
    dtype: str,
) -> Answer:
    import torch

    kind = getattr(torch, dtype)
    given = {"angles": angles, "logits": logits, "bandwidth": options.get("bandwidth")}
    inputs = {name: torch.tensor(given[name], dtype=kind, requires_grad=True) for name in wanted}
    if "bandwidth" in wanted:
        options = {**options, "bandwidth": inputs["bandwidth"]}
    target = _as_arrays(target, lambda x: torch.tensor(x, dtype=kind))
    value = loss(inputs["angles"], inputs["logits"], target, **options)
    of = value.sum() if value.ndim == 0 else value[-1]  # of a batch the last problem
    found = torch.autograd.grad(of, list(inputs.values()), allow_unused=True, materialize_grads=True)
    gradients = {name: g.numpy() for name, g in zip(inputs, found, strict=True)}
    return Answer(value.detach().numpy(), _of_last(gradients))


def _by_jax(
    loss: Callable[..., Any],
    angles: np.ndarray,
    logits: np.ndarray,
    target: Any,
    options: dict[str, Any],
    wanted: list[str],
    dtype: str,
) -> Answer:
    import jax

    with jax.enable_x64(dtype == "float64"):
        given = {"angles": angles, "logits": logits, "bandwidth": options.get("bandwidth")}
        inputs = {name: jax.numpy.asarray(given[name], dtype) for name in wanted}
        target = _as_arrays(target, lambda x: jax.numpy.asarray(x, dtype))

        def of(inputs: dict[str, Any]) -> Any:
            learned = {"bandwidth": inputs["bandwidth"]} if "bandwidth" in inputs else {}
            value = loss(inputs["angles"], inputs["logits"], target, **{**options, **learned})
            return (value[-1] if value.ndim else value), value  # of a batch the last problem

        (_, value), gradients = jax.value_and_grad(of, has_aux=True)(inputs)
        return Answer(np.asarray(value), _of_last({name: np.asarray(g) for name, g in gradients.items()}))


def _of_last(gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return gradients of the last loss, by which that of the bandwidth is the last of those of all."""
    return {name: np.atleast_1d(g) if name == "bandwidth" else g for name, g in gradients.items()}


# --- Problems --------------------------------------------------------------------------------------------------------

# Five points each, as JAX compiles for every shape; odd fractions, so that none is on a node or at an edge by accident.
PLACES = np.array([-2.63, -0.37, 0.21, 1.43, 3.31])  # in bandwidths from the target
LOGITS = np.array([0.4, -0.2, -1.3, 0.9, 0.1])
MASKED = np.where(np.arange(5) == 2, -np.inf, LOGITS)
STEEP = np.array([1e4, 0.0, -1e4, 9999.0, 30.0])
TARGET = (-1.1, 1.3)


@cache
def problems(entry: Entry, dtype: str) -> Mapping[str, kg.Problem]:
    """Return problems that a loss can be given, by a name each."""
    return dict(_problems(entry, dtype))


def _problems(entry: Entry, dtype: str) -> Iterator[tuple[str, kg.Problem]]:
    names, takes_all = parameters(entry)
    options = {name: value for name, value in entry.options.items() if name not in ("wrt", "batched")}
    h, compact = entry.bandwidth, entry.kernel in COMPACT
    circular = "period" in options or "circular" in options
    whole = 2.0 * math.pi if options.get("unit") == "radians" else 360.0
    centre = whole - 0.5 * h if circular else 0.0  # on a circle the target lies across the wrap
    settable = takes_all or "bandwidth" in names

    def made(places: Any, logits: Any, *, target: Any = TARGET, h: float = h, **other: Any) -> kg.Problem:
        angles = centre + h * np.asarray(places)
        angles = (np.mod(angles, whole) if circular else angles).astype(dtype)  # rounded before anything sees them
        ends = (centre + h * np.asarray(target)).astype(dtype).astype(np.float64)
        place = {"at": float(ends)} if ends.ndim == 0 else {"target": tuple(ends)}
        fixed = {"kernel": entry.kernel, "bandwidth": h, "bins": BINS, **options, **other}
        return kg.Problem(
            angles.astype(np.float64), np.asarray(logits).astype(dtype).astype(np.float64), **place, **fixed
        )

    half = 0.45 * whole / h  # nearly half round, in bandwidths
    yield "near", made(PLACES, LOGITS)
    yield "a mask", made(PLACES, MASKED)
    yield "a mask on the node", made([0.31, 0.43, 0.0, 0.57, -0.22], MASKED, target=0.0)
    yield "one node", made(PLACES, LOGITS, target=0.1)
    yield "equal distances", made([0.5, -0.5, 0.5, 0.5, -0.5], LOGITS, target=0.0)
    yield "equal points", made([0.25, -0.5, 0.25, 0.75, 0.25], LOGITS, target=0.125)
    yield "steep logits", made(PLACES / 4.0, STEEP)
    yield "low logits", made(PLACES, LOGITS - 700.0)
    yield "far beside near", made([half if circular else 1e3, 0.31, -0.23, 0.87, 1.17], LOGITS)
    if settable:
        yield "another bandwidth", made(PLACES, LOGITS, h=h / 3.0)
    if compact:
        yield "uncovered", made(PLACES + 5.0, LOGITS)
    elif not circular:
        yield "far", made(PLACES + 200.0, LOGITS)
        yield "very far", made(PLACES + 1e6, LOGITS, target=0.0)
    elif settable:
        yield "far", made(PLACES + 90.0, LOGITS, h=whole / 200.0)
        yield "very far", made(PLACES + 9e3, LOGITS, h=whole / 20000.0)
    if circular:
        yield "half round", made([half, -0.7 * half, 0.3 * half, 0.9 * half, -0.8 * half], LOGITS)


@cache
def truth_of(problem: kg.Problem) -> Truth:
    """Return the answer in 50 digits."""
    return truth(problem)


def errors(entry: Entry, problem: kg.Problem, dtype: str) -> dict[str, float]:
    """Return the error of the loss and of each gradient in units of what is allowed; NaN is an infinite error."""
    exact, answer = truth_of(problem), called(entry, problem, dtype)
    plain, roundings = reference_of(problem), ALLOWED * float(np.finfo(dtype).eps)
    size = 1.0 + np.abs(problem.logits[np.isfinite(problem.logits)]).max() + plain.condition
    allowed, of_slopes = roundings * size, roundings * (size * (1.0 + plain.steepness) + plain.bend)
    want = float(exact.loss)
    if math.isinf(want):  # an uncovered node; there are no gradients then
        return {"loss": 0.0 if answer.loss == want else math.inf}
    h = problem.settings.bandwidth
    found = {"loss": abs(answer.loss - want) / allowed}
    if "logits" in answer.gradients:
        found["logits"] = _largest(answer.gradients["logits"] - np.array(exact.logits, float)) / allowed
    if "angles" in answer.gradients:
        found["angles"] = h * _largest(answer.gradients["angles"] - np.array(exact.angles, float)) / of_slopes
    if "bandwidth" in answer.gradients:
        found["bandwidth"] = (
            abs(h * float(np.squeeze(answer.gradients["bandwidth"])) - float(exact.log_bandwidth)) / of_slopes
        )
    return {what: math.inf if math.isnan(error) else error for what, error in found.items()}


def _largest(differences: np.ndarray) -> float:
    return float(np.abs(differences.astype(np.float64)).max())


def worst_errors(entry: Entry, dtype: str) -> dict[str, float]:
    """Return the largest of these errors in each problem, by its name."""
    return {name: max(errors(entry, problem, dtype).values()) for name, problem in problems(entry, dtype).items()}
