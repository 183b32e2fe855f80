"""Many problems that share kernel, domain and settings: data, handed out in blocks whose rows are filled up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import BoolArray, FloatArray, IntArray, as_array, checked_offsets, numbers, texts
from kdegrad.domain import Domain
from kdegrad.errors import InputError, ProblemFaults
from kdegrad.kernel import Kernel
from kdegrad.option import truth
from kdegrad.problem import (
    Problem,
    check_quadrature,
    checked_name,
    domain_and_kernel,
    name_of_rule,
    repr_name,
    settings_texts,
    with_node,
)
from kdegrad.quadrature import gauss, midpoint
from kdegrad.settings import Settings, TargetOptions
from kdegrad.targets import Arranged, Interval, Points, TargetLike, arranged, checked_targets
from kdegrad.text import counted, shortened, shown, summary
from kdegrad.weights import LEAST_WEIGHT, are_weights, logits_of, logits_or_weights


@final
@dataclass(frozen=True, eq=False)
class Block:
    """Some problems of a batch as rows of arrays; short rows are filled with masked points and nodes of weight 0.

    Attributes
    ----------
    problems
        Which problems they are, shape (g,).
    places
        Where their points are in the batch's flat arrays: a slice where they stand together, else (k,) in the order of
        the rows.
    is_point
        Which entries are points and do not only fill a row, shape (g, N); None: all.
    angles, logits
        Shape (g, N); where the points stand together these are the batch's own.
    nodes
        Shape (g, B), or (1, B) where all problems have the same.
    node_weights
        q_m, of the shape of the nodes or (B,).
    widths
        What a background is spread over, shape (g, 1).
    """

    problems: IntArray
    places: slice | IntArray
    is_point: BoolArray | None
    angles: FloatArray
    logits: FloatArray
    nodes: FloatArray
    node_weights: FloatArray
    widths: FloatArray

    def write(self, values: FloatArray, out: FloatArray) -> None:
        """Write values of the points (g, N) to where they are in a flat array of the batch."""
        out[self.places] = values.ravel() if self.is_point is None else values[self.is_point]


@final
@dataclass(frozen=True, init=False, eq=False)
class Batch:
    """G problems, each with its own points and target, and one kernel, domain and quadrature.

    Parameters
    ----------
    angles
        Shape (G, N); or (M,) with `offsets` for problems of different lengths. Finite, in the unit of the settings.
    logits
        Of the shape of the angles: finite or -inf (a mask: the point takes no part), in each problem one finite at
        least; None: all equal.
    labels
        M names for reports, or None.
    weights
        In place of logits, of the shape of the angles: finite and ≥ 0, in each problem one above 0 at least.
    offsets
        Shape (G+1,), as in CSR: the points of problem g are those from ``offsets[g]`` to ``offsets[g+1]``, one at
        least.
    order
        Shape (M,): the places of the points in `angles` problem by problem, where they do not stand together.
    names
        G names of the problems for reports and messages, or None.
    name
        What reports and figures call the batch: the file that it was read from, or None.
    copy
        False: arrays of float64 are taken as they are, on the promise that they do not change.
    target
        An interval: a tuple or list of low and high, each a number for all problems or an array (G,). Observed angles:
        a number for all, or an array (G,). `kdegrad.Points`: with offsets those of each problem, without for all.
    at
        A single node for all problems.
    kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options; see `Settings`.

    Attributes
    ----------
    intervals
        The low and high ends of the targets, each (G,); None where target points or a single node stand without them.
    observed
        The target points, of all problems where they have no offsets; None where the targets are intervals alone.

    Raises
    ------
    InputError
        For points or targets that cannot be used, naming the problems.
    SettingError
        For an option out of range.
    """

    angles: FloatArray
    logits: FloatArray
    labels: tuple[str, ...] | None
    offsets: IntArray
    order: IntArray | None
    names: tuple[str, ...] | None
    name: str | None
    intervals: tuple[FloatArray, FloatArray] | None
    observed: Points | None
    at: float | None
    settings: Settings
    domain: Domain
    kernel: Kernel

    def __init__(
        self,
        angles: ArrayLike,
        logits: ArrayLike | None = None,
        labels: Iterable[str] | None = None,
        *,
        weights: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        order: ArrayLike | None = None,
        names: Iterable[str] | None = None,
        name: str | None = None,
        copy: bool = True,
        target: TargetLike | None = None,
        at: float | None = None,
        kernel: str = "laplace",
        bandwidth: float = 1.0,
        df: float = 3.0,
        rule: str = "midpoint",
        bins: int = 360,
        scale: float = 1.0,
        background: float = 0.0,
        circular: bool = False,
        period: float | None = None,
        unit: str = "degrees",
        sums: str = "auto",
    ) -> None:
        names_of_settings = {row.name for row in Settings.rows}
        settings = Settings(**{key: value for key, value in locals().items() if key in names_of_settings})
        domain, made_kernel = domain_and_kernel(settings)
        copy = truth("copy", copy)
        points, bounds = _points_of_problems(angles, offsets, copy)
        what, given = logits_or_weights(logits, weights)
        values = numbers(f"{what}s", np.zeros_like(points) if given is None else given, copy)
        if values.shape != points.shape:
            raise InputError(f"angles of shape {points.shape} but {what}s of shape {values.shape}: give equal shapes")
        parts: dict[str, Any] = {
            "angles": points,
            "labels": texts("labels", labels, points.size, "point"),
            "offsets": bounds,
            "order": None if order is None else _permutation(order, points.size),
            "names": texts("names", names, len(bounds) - 1, "problem"),
            "name": checked_name(name),
            "at": TargetOptions(at=at).at,
            "settings": settings,
            "domain": domain,
            "kernel": made_kernel,
        }
        for attribute, part in parts.items():
            object.__setattr__(self, attribute, part)
        faults = ProblemFaults(self.called)
        intervals, observed = checked_targets(target, len(bounds) - 1, settings.circumference, faults)
        observed = with_node(observed, self.at)
        check_quadrature(settings, has_interval=intervals is not None, has_points=observed is not None)
        self._check_points(values, what, faults)
        faults.stop_if_any()
        logits_given = values if what == "logit" else logits_of(values)
        logits_given.flags.writeable = False
        object.__setattr__(self, "logits", logits_given)
        object.__setattr__(self, "intervals", intervals)
        object.__setattr__(self, "observed", observed)
        for array in (bounds, self.order, *(intervals or ())):
            if array is not None:
                array.flags.writeable = False

    def __repr__(self) -> str:
        counts = counted(len(self), "problem"), counted(self.angles.size, "point")
        return summary(repr_name(self), *counts, *settings_texts(self.settings, self.kernel, self.rule_name))

    def __len__(self) -> int:
        """Return G."""
        return len(self.offsets) - 1

    def called(self, problem: int) -> str:
        """Return what a message calls a problem: its number, or the name of the group that it is."""
        return f"problem {problem}" if self.names is None else f"group {shown(self.names[problem])}"

    @cached_property
    def counts(self) -> IntArray:
        """How many points each problem has, shape (G,)."""
        return np.diff(self.offsets)

    @cached_property
    def problem_of_point(self) -> IntArray:
        """The problem of each point, shape (M,)."""
        problems = np.repeat(np.arange(len(self)), self.counts)
        if self.order is None:
            return problems
        found = np.empty_like(problems)
        found[self.order] = problems
        return found

    @cached_property
    def arranged(self) -> Arranged:
        """The target points in order, of all problems where they have no offsets: see `kdegrad.targets.arranged`."""
        assert self.observed is not None  # who asks has looked
        return arranged(self.observed, self.domain)

    @cached_property
    def hulls(self) -> tuple[FloatArray, FloatArray]:
        """The ends of the interval that the nodes of each problem lie in, each (G,)."""
        if self.observed is None:
            assert self.intervals is not None  # checked when it was made: one of the two is there
            return self.intervals
        return np.broadcast_to(self.arranged.lows, len(self)), np.broadcast_to(self.arranged.highs, len(self))

    @property
    def has_one_target(self) -> bool:
        """Whether all problems have the same target."""
        if self.observed is None:
            assert self.intervals is not None  # one of the two is there
            return all(bool((ends == ends[0]).all()) for ends in self.intervals)
        angles, weights, offsets = self.arranged[:3]
        counts = np.diff(offsets)
        if (counts != counts[0]).any():
            return False
        rows = [values.reshape(len(counts), -1) for values in (angles, weights)]
        return all(bool((row == row[0]).all()) for row in rows)

    @property
    def rule_name(self) -> str:
        """The name of the quadrature rule: ``at`` for a single node, ``points`` for target points."""
        return name_of_rule(self.settings, self.observed, self.at)

    @cached_property
    def node_counts(self) -> IntArray:
        """How many nodes each problem has, shape (G,); the rule ``exact`` finds them as it goes."""
        count = self.settings.bins if self.observed is None else np.diff(self.arranged.offsets)
        return np.broadcast_to(np.asarray(count, dtype=np.intp), len(self))

    def places(self, problem: int) -> IntArray:
        """Return where the points of a problem are in the flat arrays."""
        begin, end = self.offsets[problem : problem + 2]
        return np.arange(begin, end) if self.order is None else self.order[begin:end]

    def problem(self, problem: int) -> Problem:
        """Return one problem on its own."""
        is_number = isinstance(problem, (int, np.integer)) and not isinstance(problem, bool)
        if not is_number or not 0 <= problem < len(self):
            raise InputError(f"there is no problem {shortened(problem)}: give a number from 0 to {len(self) - 1}")
        places = self.places(problem)
        target: Interval | Points | None = None
        if self.intervals is not None:
            low, high = self.intervals
            target = Interval(float(low[problem]), float(high[problem]))
        elif self.observed is not None and self.at is None:
            target = self.observed.part(problem)
        return Problem(
            self.angles.ravel()[places],
            self.logits.ravel()[places],
            None if self.labels is None else [self.labels[place] for place in places.tolist()],
            name=self.name if self.names is None else self.names[problem],
            copy=False,
            target=target,
            at=self.at,
            **asdict(self.settings),
        )

    def blocks(self, problems: IntArray, most: Callable[[int, int], int]) -> Iterator[Block]:
        """Yield some of the problems in blocks of similar size.

        Parameters
        ----------
        problems
            Which, shape (g,).
        most
            How many problems of N points and B nodes a block may have.
        """
        points, nodes = self.counts[problems], self.node_counts[problems]
        is_even = bool((points == points[:1]).all() and (nodes == nodes[:1]).all())
        if not is_even:
            order = np.lexsort((points, nodes))
            problems, points, nodes = problems[order], points[order], nodes[order]
        start, end = 0, len(problems)
        while start < end:
            stop = min(end, start + max(1, most(int(points[start]), int(nodes[start]))))
            while not is_even and stop - start > 1:  # the largest of the block decides how many fit
                longest, widest = int(points[start:stop].max()), int(nodes[start:stop].max())
                fit = max(1, most(longest, widest))
                if fit >= stop - start:
                    break
                stop = start + fit
            yield self.block(problems[start:stop])
            start = stop

    def block(self, problems: IntArray) -> Block:
        """Return some of the problems, shape (g,), as one block."""
        angles, logits = self._flat
        is_point = None
        if self._row > 0 and (problems[1:] - problems[:-1] == 1).all():
            start, stop = int(problems[0]), int(problems[-1]) + 1
            these: slice | IntArray = slice(start, stop)
            places: slice | IntArray = slice(start * self._row, stop * self._row)
            angles, logits = (values[places].reshape(-1, self._row) for values in (angles, logits))
        else:
            these, counts = problems, self.counts[problems]
            longest = int(counts.max())
            column = np.arange(longest)
            if (counts < longest).any():
                is_point = column < counts[:, np.newaxis]
                column = np.minimum(column, counts[:, np.newaxis] - 1)  # a row is filled with its last point
            places = self.offsets[problems][:, np.newaxis] + column
            if self.order is not None:
                places = self.order[places]
            angles, logits = angles[places], logits[places]
            if is_point is not None:
                logits[~is_point] = -np.inf
            places = places.ravel() if is_point is None else places[is_point]
        return Block(problems, places, is_point, angles, logits, *self._nodes(these), self._widths[these])

    @cached_property
    def _row(self) -> int:
        """N where the points are rows of as many for each problem; else 0."""
        return int(self.counts[0]) if self.order is None and (self.counts == self.counts[0]).all() else 0

    @cached_property
    def _flat(self) -> tuple[FloatArray, FloatArray]:
        return self.angles.ravel(), self.logits.ravel()

    @cached_property
    def _widths(self) -> FloatArray:
        """What a background is spread over, shape (G, 1)."""
        if self.intervals is None:
            return np.full((len(self), 1), self.domain.measure)
        low, high = self.intervals
        return (high - low)[:, np.newaxis]

    def _nodes(self, problems: slice | IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the nodes (g, B), or (1, B) where all problems have the same, and their weights, (B,) or (g, B)."""
        if self.observed is not None:
            nodes, weights, offsets = self.arranged[:3]
            if self.observed.offsets is None:
                return nodes[np.newaxis], weights
            counts = self.node_counts[problems, np.newaxis]
            column = np.arange(int(counts.max()))
            places = offsets[:-1][problems, np.newaxis] + np.minimum(column, counts - 1)
            return nodes[places], np.where(column < counts, weights[places], 0.0)
        assert self.intervals is not None  # one of the two is there
        low, high = (ends[problems, np.newaxis] for ends in self._reduced_intervals)
        rule = midpoint if self.settings.rule == "midpoint" else gauss
        made = rule(low, high, self.settings.bins)
        return made.nodes, made.weights

    @cached_property
    def _reduced_intervals(self) -> tuple[FloatArray, FloatArray]:
        """The intervals where their nodes are formed: see `Domain.reduced_interval`."""
        assert self.intervals is not None  # who asks has looked
        return self.domain.reduced_intervals(*self.intervals)

    def _check_points(self, given: FloatArray, what: str, faults: ProblemFaults) -> None:
        """Add what is wrong with the angles, and with values that are no logits or no weights, as `what` says."""
        angles, values = self.angles.ravel(), given.ravel()
        with np.errstate(over="ignore", invalid="ignore"):
            totals = float(angles.sum()), float(values.sum())  # one pass; not finite if one of them is not
        if not math.isfinite(totals[0]):
            self._name_points(~np.isfinite(angles), angles, "angle", "give a finite number", faults)
        if what == "logit" and math.isfinite(totals[1]):
            return
        peaks = np.maximum.reduceat(values if self.order is None else values[self.order], self.offsets[:-1])
        if what == "weight":
            self._name_points(~are_weights(values), values, what, LEAST_WEIGHT, faults)
            masked, cause = peaks == 0.0, "all its weights are 0"
        elif not np.isfinite(peaks).all():
            remedy = "give a finite number, or -inf for weight zero"
            self._name_points(~(values < np.inf), values, what, remedy, faults)
            masked, cause = np.isneginf(peaks), "all its logits are -inf"
        else:
            return
        faults.add(np.flatnonzero(masked).tolist(), lambda _: f"no point has a positive weight: {cause}: leave it out")

    def _name_points(self, bad: BoolArray, values: FloatArray, what: str, remedy: str, faults: ProblemFaults) -> None:
        """Add the faults of single points, which a message counts within their problem."""
        places = np.flatnonzero(bad)

        def text(fault: int) -> str:
            place = places[fault]
            point = int(np.flatnonzero(self.places(int(self.problem_of_point[place])) == place)[0])
            return f"point {point}: {what} {values[place]}: {remedy}"

        faults.add(self.problem_of_point[places].tolist(), text)


def _points_of_problems(angles: ArrayLike, offsets: ArrayLike | None, copy: bool) -> tuple[FloatArray, IntArray]:
    """Return the angles, (G, N) or (M,), and the offsets of the problems in their flat order."""
    points = numbers("angles", angles, copy)
    if offsets is not None:
        if points.ndim != 1:
            raise InputError(f"angles: shape {points.shape}, but with offsets one row of all points is needed, (M,)")
        return points, checked_offsets(offsets, len(points), "points")
    if points.ndim != 2 or points.size == 0:
        raise InputError(
            f"angles: shape {points.shape}, but a batch is an array (G, N) of G problems of N ≥ 1 points each, or (M,) "
            "with offsets"
        )
    return points, np.arange(len(points) + 1) * points.shape[1]


def _permutation(order: ArrayLike, count: int) -> IntArray:
    """Return the order of `count` points, each of which appears once."""
    given = as_array("order", order)
    if given.dtype.kind not in "iu" or given.shape != (count,) or (np.sort(given) != np.arange(count)).any():
        raise InputError(f"order: {shortened(order)} does not have each of the numbers 0 to {count - 1} once")
    return given.astype(np.intp)
