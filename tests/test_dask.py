"""Pins down Dask DataFrames: the numbers of memory on every scheduler, nothing read early, partitions read anew.

The rows are spread over partitions, one of which is empty. Expected values come from the same rows in memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import numpy as np
import pandas
import pytest

import kdegrad as kg
import kdegrad.dask as kd

SIZES = (200, 0, 1, 399)  # rows of the partitions
EVERY = ("logits", "angles", "bandwidth")
PROBLEM: dict[str, Any] = {"target": (-30, 30), "bandwidth": 10, "bins": 90}


def table() -> pandas.DataFrame:
    """Return points in 37 groups whose rows stand apart, one of them masked, with the target of each group."""
    rng, count = np.random.default_rng(5), sum(SIZES)
    camera = rng.integers(0, 37, count)
    frame = pandas.DataFrame(
        {
            "camera": [f"c{number}" for number in camera],
            "angle": rng.normal(0, 40, count),
            "logit": rng.normal(0, 2, count),
            "begin": camera - 20.0,
            "end": camera + 5.0,
        },
        index=np.arange(count) * 2,
    )
    frame.loc[10, "logit"] = -math.inf
    return frame


TABLE = table()


def parts(frame: pandas.DataFrame = TABLE) -> list[pandas.DataFrame]:
    ends = np.cumsum(SIZES)
    return [frame.iloc[end - size : end] for end, size in zip(ends, SIZES, strict=True)]


def spread(frame: pandas.DataFrame = TABLE, loads: Path | None = None) -> dd.DataFrame:
    """Return a frame as partitions; a file in `loads` has a line for each time that one is loaded."""
    return dd.from_map(_load, parts(frame), loads=loads, meta=frame.iloc[:0])


def _load(part: pandas.DataFrame, loads: Path | None) -> pandas.DataFrame:
    if loads is not None:
        with loads.open("a") as stream:
            stream.write(f"{len(part)} {os.getpid()}\n")
    return part


def in_memory(frame: pandas.DataFrame = TABLE, **options: Any) -> Any:
    """Return the evaluation of the rows in memory, with all gradients; of groups with ``group``."""
    return kg.evaluate(kg.from_frame(frame, **options), EVERY)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.Client]:
    """Return the client of two worker processes."""
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "60s"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made,
        distributed.Client(made, set_as_default=False) as client,  # else other schedulers would shuffle by it too
    ):
        yield client


@pytest.fixture(params=["sync", "threads", "distributed"])
def compute(request: pytest.FixtureRequest) -> Any:
    """Return what computes a collection."""
    if request.param == "distributed":
        client = request.getfixturevalue("cluster")

        def by_cluster(collection: Any) -> Any:
            with client.as_current():
                return collection.compute()

        return by_cluster
    return lambda collection: collection.compute(scheduler=request.param)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
def test_one_problem_is_that_in_memory(compute: Any, kernel: str) -> None:
    options = {**PROBLEM, "kernel": kernel}
    expected, lazy = in_memory(**options), kd.loss(spread(), **options)
    found = compute(lazy)
    assert isinstance(found, float)
    assert found == pytest.approx(expected.loss, rel=1e-13)
    gradients = compute(kd.grad(spread(), **options, wrt=EVERY))
    pandas.testing.assert_frame_equal(gradients[list(TABLE)].astype(TABLE.dtypes), TABLE)
    of = expected.gradients
    for name, values in {
        "weight": expected.weights,
        "responsibility": of.responsibilities,
        "gradient": of.logits,
        "gradient_per_weight": of.per_weight,
        "gradient_angle": of.angles,
        "gradient_log_bandwidth": np.full(len(TABLE), of.log_bandwidth),
    }.items():
        np.testing.assert_allclose(gradients[name], values, rtol=1e-12, atol=1e-15)


def test_groups_are_those_in_memory(compute: Any) -> None:
    options = {"bandwidth": 10, "target_columns": ("begin", "end")}
    expected = in_memory(**options, group="camera")
    of = expected.gradients
    losses = compute(kd.loss(spread(), by="camera", **options)).set_index("group").loc[list(expected.batch.names)]
    np.testing.assert_array_equal(losses.points, expected.batch.counts)
    np.testing.assert_allclose(losses.loss, expected.losses, rtol=1e-12)
    np.testing.assert_allclose(losses.kl, expected.kl, rtol=1e-12, atol=1e-12)
    gradients = compute(kd.grad(spread(), by="camera", wrt=EVERY, **options)).sort_index()
    pandas.testing.assert_frame_equal(gradients[list(TABLE)].astype(TABLE.dtypes), TABLE)
    for name, values in {
        "weight": expected.weights,
        "responsibility": of.responsibilities,
        "gradient": of.logits,
        "gradient_per_weight": of.per_weight,
        "gradient_angle": of.angles,
        "gradient_log_bandwidth": expected.log_bandwidth[expected.batch.problem_of_point],
    }.items():
        np.testing.assert_allclose(gradients[name], values, rtol=1e-12, atol=1e-15)
