"""What is done with one partition, a pandas DataFrame: on whatever machine Dask runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
import pandas

from kdegrad.arrays import BoolArray, FloatArray, IntArray, grouped
from kdegrad.batch import Batch
from kdegrad.blockwise import computed
from kdegrad.dask.plan import CALLED, DROPPING, Plan
from kdegrad.errors import InputError, ProblemFaults
from kdegrad.grammar import is_missing
from kdegrad.parts import Partial, Whole, partial_sums
from kdegrad.reading.faults import Faults
from kdegrad.reading.frames import collected
from kdegrad.reading.points import Source
from kdegrad.reports.records import measured_columns
from kdegrad.streams import logits_of
from kdegrad.text import angle_texts, keywords_called, shown
from kdegrad.weights import NO_WEIGHT

NUMBER: Final = pandas.Series(dtype=np.float64)  # the meta of one number

_NESTED: Final = (list, tuple, set, dict, np.ndarray)  # cells that Dask's shuffle does not bring together

_PARTS: Final = {  # the columns of gradients → what `kdegrad.blockwise` calls them
    "weight": "weights",
    "responsibility": "responsibilities",
    "gradient": "logits",
    "gradient_per_weight": "per_weight",
    "gradient_angle": "angles",
    "gradient_log_bandwidth": "log_bandwidth",
}


def _called(partition_info: Mapping[str, Any]) -> str:
    """Return what messages call a partition."""
    return f"partition {partition_info['number']}"


def points_of(frame: Any, plan: Plan, name: str = "partition") -> Source:
    """Return the points of a partition; InputError with the row where a cell cannot be used."""
    with keywords_called(CALLED):
        columns = [column for column in plan.columns if column != plan.group or column in plan.targets]
        return collected(frame[columns], name, plan.reading)[0].part()


# --- one problem ------------------------------------------------------------------------------------------------------


def sums(frame: Any, plan: Plan, partition_info: Mapping[str, Any]) -> Partial:
    """Return what the points of a partition add up to."""
    points = points_of(frame, plan, _called(partition_info))
    return partial_sums(plan.like, points.angles, logits_of(points))


def joined(parts: Sequence[Any]) -> Any:
    """Return the sum of what partitions add up to."""
    return reduce(add, parts)


def whole(total: Partial, plan: Plan) -> Whole:
    """Return the problem of all points."""
    return Whole(plan.like, total)


def series_of_loss(of: Whole) -> Any:
    """Return the loss as a column of one row."""
    return pandas.Series([of.loss])


def slope(frame: Any, of: Whole, plan: Plan) -> float:
    """Return what the points of a partition add to ∂L/∂log h."""
    points = points_of(frame, plan)
    found = of.gradients(points.angles, logits_of(points), ("bandwidth",)).log_bandwidth
    assert found is not None  # it was asked for
    return found


def with_slope(of: Whole, log_bandwidth: float) -> tuple[Whole, float]:
    """Return the problem of all points and ∂L/∂log h."""
    return of, log_bandwidth


def gradients(frame: Any, of: Whole | tuple[Whole, float], plan: Plan) -> Any:
    """Return a partition with the columns of the gradients."""
    of, log_bandwidth = of if isinstance(of, tuple) else (of, np.nan)
    points = points_of(frame, plan)
    logits = logits_of(points)
    found = of.gradients(points.angles, logits, [name for name in plan.wrt if name != "bandwidth"])
    columns = {
        "logit": logits,
        **measured_columns(of.weights(logits), found),
        "gradient_log_bandwidth": np.full(len(frame), log_bandwidth),
    }
    return frame.assign(**{name: columns[name] for name in plan.added})


def with_columns(frame: Any, plan: Plan) -> Any:
    """Return a frame without rows, with the columns of the gradients."""
    return frame.assign(**{name: np.empty(0) for name in plan.added})


# --- groups -----------------------------------------------------------------------------------------------------------


def checked(frame: Any, plan: Plan, partition_info: Mapping[str, Any]) -> Any:
    """Return a partition whose cells can be used and name a group; InputError with the rows of others."""
    name = _called(partition_info)
    points_of(frame, plan, name)
    faults, groups = Faults(name), frame[plan.group]
    column = shown(str(plan.group))
    kinds = set(map(type, groups)) if groups.dtype == object else ()
    if nested := sorted(kind.__name__ for kind in kinds if issubclass(kind, _NESTED)):
        told = "are no names of groups: convert them to texts"
        raise InputError(f"{name}: column {column}: has cells of the type {nested[0]}, which {told}")
    faults.add_each(
        np.flatnonzero(_are_unnamed(groups)).tolist(),
        lambda row: (row,),
        lambda row: (
            f"column {column}: {shown(str(groups.iloc[row]))} is a missing value: write the name of a group, or leave "
            f"such rows out with {DROPPING}"
        ),
    )
    faults.stop_if_any()
    return frame


def _are_unnamed(groups: Any) -> BoolArray:
    """Return which cells name no group: those without a value, and texts that say so."""
    missing = groups.isna()
    if not (pandas.api.types.is_numeric_dtype(groups) or pandas.api.types.is_datetime64_any_dtype(groups)):
        said = [name for name in groups[~missing].unique() if is_missing(str(name))]
        missing |= groups.isin(said)
    return np.asarray(missing, dtype=np.bool_)


def batch_of(frame: Any, plan: Plan) -> tuple[Batch, Any]:
    """Return the problems of the groups of a partition, one at least, and the name of each."""
    points = points_of(frame, plan)
    codes, each = pandas.factorize(frame[plan.group])
    order, offsets = grouped(codes, len(each))
    first = offsets[:-1] if order is None else order[offsets[:-1]]
    groups = frame[plan.group].iloc[first]
    options = plan.like.options
    if points.logits is not None:
        masked = np.bincount(codes[np.isfinite(points.logits)], minlength=len(groups)) == 0
        faults = ProblemFaults(lambda group: f"group {shown(str(groups.iloc[group]))}")
        faults.add(np.flatnonzero(masked).tolist(), lambda _: NO_WEIGHT)
        faults.stop_if_any()
    if points.targets is not None:
        targets = _targets(points.targets, codes, first, groups, plan)
        options["target"] = targets if len(targets) == 2 else targets[0]
    names = map(str, groups)
    return Batch(points.angles, points.logits, offsets=offsets, order=order, names=names, copy=False, **options), groups


def _targets(
    of_rows: tuple[FloatArray, ...], codes: IntArray, first: IntArray, groups: Any, plan: Plan
) -> tuple[FloatArray, ...]:
    """Return the target of each group, by its ends; InputError for groups that have two."""
    each, faults = tuple(values[first] for values in of_rows), []
    for column, values, ends in zip(plan.targets, of_rows, each, strict=True):
        wrong = np.flatnonzero(values != ends[codes])
        of, rows = np.unique(codes[wrong], return_index=True)
        for group, row in zip(of.tolist(), wrong[rows].tolist(), strict=True):
            found, other = angle_texts([values[row], ends[group]])
            faults.append(
                f"column {shown(str(column))}: {found} for group {shown(str(groups.iloc[group]))}, which has {other} "
                "in another row: give one target for a group"
            )
    if faults:
        raise InputError(faults)
    return each


def losses_of_groups(frame: Any, plan: Plan) -> Any:
    """Return the groups of a partition, each with its number of points and its loss."""
    if not len(frame):
        nothing = np.empty(0)
        groups, points, losses, kl = frame[plan.group], np.empty(0, dtype=np.int64), nothing, nothing
    else:
        batch, groups = batch_of(frame, plan)
        points, losses = batch.counts.astype(np.int64), computed(batch, ["losses"])[0]["losses"]
        kl = np.full(len(losses), np.nan)
        if batch.intervals is not None:
            kl = losses - np.log(batch.intervals[1] - batch.intervals[0])
    columns = {"group": groups.reset_index(drop=True), "points": points, "loss": losses, "kl": kl}
    return pandas.DataFrame(columns)


def gradients_of_groups(frame: Any, plan: Plan) -> Any:
    """Return a partition with the columns of the gradients, each that of its group's own loss."""
    if not len(frame):
        return with_columns(frame, plan)
    batch, _ = batch_of(frame, plan)
    found, _ = computed(batch, ["losses", *(_PARTS[name] for name in plan.added if name != "logit")])
    columns = {name: found[part] for name, part in _PARTS.items() if part in found} | {"logit": batch.logits}
    if "gradient_log_bandwidth" in columns:
        columns["gradient_log_bandwidth"] = columns["gradient_log_bandwidth"][batch.problem_of_point]
    return frame.assign(**{name: columns[name] for name in plan.added})
