"""The loss and the gradients of Dask DataFrames: more points than memory holds, on one machine or on many.

    import dask.dataframe as dd, kdegrad.dask as kd

    ddf = dd.read_parquet("swarm/", columns=["image", "angle", "logit"])
    kd.loss(ddf, target=(-30, 30), bandwidth=10).compute()
    kd.grad(ddf, by="image", target=(-30, 30), bandwidth=10).to_parquet("gradients/")

Nothing is read before a result is computed. The rows of one problem stay where they are: each partition is summed, and
for the gradients read again (`kdegrad.parts`). Those of groups are brought together by Dask's shuffle, and each
partition is then a `kdegrad.Batch`.

Workers of ``distributed`` give freed memory back at once, and batches then take four times as long, unless
``distributed.nanny.pre-spawn-environ`` has larger values of MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_, such as
64 and 32 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

try:
    import dask.dataframe as dd
except ImportError as error:
    said = f"kdegrad.dask needs Dask: pip install 'kdegrad[dask]' ({error})"  # or what Dask itself needs
    raise ModuleNotFoundError(said, name="dask") from error

from dask import delayed

from kdegrad.dask import partitions
from kdegrad.dask.plan import Plan, planned
from kdegrad.targets import TargetLike

__all__ = ["grad", "loss"]

_JOINED: Final = 8  # sums of partitions that one task adds up


def loss(
    ddf: Any,
    by: str | None = None,
    *,
    angle: str | None = None,
    logit: str | None = None,
    weight: str | None = None,
    target_columns: str | tuple[str, ...] | None = None,
    no_weights: bool | None = None,
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
) -> Any:
    """Return the loss of the rows of a Dask DataFrame, in nats; with `by`, that of each group.

    Of one problem it is a Dask scalar. Of groups it is a Dask DataFrame with a row for each, in any order, and the
    columns ``group``, ``points``, ``loss`` and ``kl``, which is NaN where the target is no interval. Its index begins
    with 0 in each partition: ``.set_index("group")`` makes one of the groups. A loss is infinite where the density is 0
    at a node. Without rows there is no loss of one problem, which is an error, and of groups a frame without rows.

    Parameters
    ----------
    ddf
        A Dask DataFrame with a row for each point.
    by
        The column of the groups, each of which is a problem of its own. Its rows may be in any partitions. An index is
        no column: ``ddf.reset_index()`` makes it one. What says that a value is missing, such as the texts ``NA`` and
        the empty one, names no group.
    angle, logit, weight
        The names of columns, if they are not ``angle``, ``logit`` and ``weight``. Without logits and weights all points
        weigh the same.
    target_columns
        With `by`: the columns of the target of each group, the lower and the upper ends, or the observed angles.
    no_weights
        Whether a column named ``weight`` is ignored, since it holds no weights.
    target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options, see `kdegrad.Problem`; `at` stands in place of the nodes also beside a target. The rule ``exact``
        is for groups alone.

    Raises
    ------
    KdegradError
        At the call, for columns that do not exist and settings out of range. When a result is computed, for cells that
        are no numbers: ``partition 3:18`` is ``ddf.partitions[3].compute().iloc[18]``; and for points or groups
        without a positive weight.

    Warns
    -----
    InputWarning
        At the call, for what may not be meant, such as columns that are not used.
    """
    plan = planned(ddf, locals())  # first: later there are other names than the parameters
    if by is None:
        summed = delayed(partitions.series_of_loss, pure=True)(_whole(ddf, plan))
        # Dask makes a scalar by an aggregation alone: the largest of the one number is it.
        return dd.from_delayed([summed], meta=partitions.NUMBER, verify_meta=False, prefix="kdegrad-loss").max()
    meta = partitions.losses_of_groups(ddf._meta[list(plan.columns)], plan)
    return _grouped(ddf[list(plan.columns)], plan, partitions.losses_of_groups, meta)


def grad(
    ddf: Any,
    by: str | None = None,
    *,
    angle: str | None = None,
    logit: str | None = None,
    weight: str | None = None,
    target_columns: str | tuple[str, ...] | None = None,
    no_weights: bool | None = None,
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
    wrt: str | Iterable[str] = "logits",
) -> Any:
    """Return a Dask DataFrame with the gradients of the loss beside the points. Parameters as for `loss`.

    It is `ddf` with the columns

    - ``weight``: S_i, the softmax weight among the points of the problem;
    - ``responsibility``: R_i;
    - ``gradient``: ∂L/∂z_i = S_i - R_i, of a point that has a weight w in place of a logit that of log w;
    - ``gradient_per_weight``: ∂L/∂z_i / S_i;
    - ``gradient_angle``: ∂L/∂x_i, if `wrt` has ``angles``;
    - ``gradient_log_bandwidth``: ∂L/∂log h, the same in all rows of a problem, if `wrt` has ``bandwidth``.

    All but the weight are NaN in a problem whose loss is infinite. Where a column ``weight`` gives the weights, S_i
    takes its place, and a column ``logit`` with their logarithms is added. No other column is replaced: one that has
    such a name already is an error.

    Index and rows are those of `ddf`, with its partitions and divisions. With `by` each group is in one partition, and
    the rows may be in any order. Each row depends on the sums of all: also ``len()``, ``head()`` and ``partitions[]``
    of the result take every partition of `ddf`.

    Of one problem the partitions are loaded twice, or three times for ∂L/∂log h, so that they need not be in memory
    together. Where that takes long, or gives other rows each time, persist first: ``ddf = ddf.persist()``. What Dask
    cannot load on its own for one partition, as after a shuffle or by ``from_delayed``, is made once and held until the
    gradients are known: write it to files first, or load it by ``dask.dataframe.from_map``.

    Parameters
    ----------
    wrt
        Any of ``logits``, ``angles`` and ``bandwidth``, or one of them. The gradient of the logits is always there.
    """
    plan = planned(ddf, locals())  # first, as above
    meta = partitions.with_columns(ddf._meta, plan)
    if by is not None:
        return _grouped(ddf, plan, partitions.gradients_of_groups, meta)
    whole = _whole(ddf, plan)
    if "bandwidth" in plan.wrt:
        slopes = _each(ddf[list(plan.columns)], partitions.slope, whole, _constant(plan))
        whole = delayed(partitions.with_slope, pure=True)(whole, _joined(slopes))
    return ddf.map_partitions(partitions.gradients, whole, _constant(plan), meta=meta)


def _constant(plan: Plan) -> Any:
    """Return the plan as one task that all others depend on: its target may be many points, which are sent once."""
    return delayed(plan, traverse=False, pure=True)


def _whole(ddf: Any, plan: Plan) -> Any:
    """Return the problem of all rows, its sums known, as a task: the same one for `loss` and `grad`."""
    constant = _constant(replace(plan, wrt=(), added=()))
    sums = _each(ddf[list(plan.columns)], partitions.sums, constant)
    return delayed(partitions.whole, pure=True)(_joined(sums), constant)


def _each(ddf: Any, function: Callable[..., Any], *more: Any) -> list[Any]:
    """Return what a function makes of each partition, which is no frame, as tasks.

    Dask makes one task of the function and of all that is done with one partition before, from its file on. So no pass
    holds partitions for the next one, which loads them again. `map_partitions` wants to be told of some frame that it
    makes; only as tasks is what it makes used, so that any will do.
    """
    made: list[Any] = ddf.map_partitions(function, *more, meta=partitions.NUMBER, enforce_metadata=False).to_delayed()
    return made


def _joined(parts: list[Any]) -> Any:
    """Return the sum of all parts as a tree of tasks."""
    task = delayed(partitions.joined, pure=True)
    while len(parts) > 1:
        parts = [task(parts[start : start + _JOINED]) for start in range(0, len(parts), _JOINED)]
    return parts[0]


def _grouped(ddf: Any, plan: Plan, function: Callable[..., Any], meta: Any) -> Any:
    """Return what a function makes of the rows of each group, brought together."""
    constant = _constant(plan)
    # Cells are checked here, where messages can name their rows, and read again after the shuffle.
    checked = ddf.map_partitions(partitions.checked, constant, meta=ddf._meta)
    return checked.shuffle(on=plan.group).map_partitions(function, constant, meta=meta)
