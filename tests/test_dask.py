"""Pins down Dask DataFrames: the numbers of memory on every scheduler, nothing read early, partitions read anew.

The rows are spread over partitions, one of which is empty. Expected values come from the same rows in memory.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
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
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as made,
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


# --- what is loaded, and when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "times"),
    [
        (lambda ddf: kd.loss(ddf, **PROBLEM), 1),
        (lambda ddf: kd.grad(ddf, **PROBLEM, wrt=("logits", "angles")), 2),
        (lambda ddf: kd.grad(ddf, **PROBLEM, wrt="bandwidth"), 3),
        (lambda ddf: kd.loss(ddf, by="camera", **PROBLEM), 1),
        (lambda ddf: kd.grad(ddf, by="camera", **PROBLEM), 1),
    ],
    ids=["loss", "grad", "of the bandwidth", "loss of groups", "grad of groups"],
)
def test_nothing_is_loaded_at_the_call_and_each_pass_loads_once(made: Any, times: int, tmp_path: Path) -> None:
    loads = tmp_path / "loads"
    lazy = made(spread(loads=loads))
    assert not loads.exists()
    found = lazy.compute(scheduler="sync")
    assert sorted(map(int, loads.read_text().split()[::2])) == sorted(times * SIZES)
    if isinstance(found, pandas.DataFrame):
        assert found.dtypes.equals(lazy.dtypes)
    persisted = spread(loads=loads).persist(scheduler="sync")
    loads.unlink()
    made(persisted).compute(scheduler="sync")
    assert not loads.exists()


def test_loss_and_grad_together_share_the_first_pass(tmp_path: Path) -> None:
    ddf = spread(loads=tmp_path / "loads")
    loss, gradients = dask.compute(kd.loss(ddf, **PROBLEM), kd.grad(ddf, **PROBLEM), scheduler="sync")
    assert len((tmp_path / "loads").read_text().splitlines()) == 2 * len(SIZES)
    assert (loss, len(gradients)) == (pytest.approx(in_memory(**PROBLEM).loss), len(TABLE))


def test_partitions_are_not_held_from_one_pass_to_the_next() -> None:
    """Files are read, and what is done with them before changes nothing: two threads hold a few partitions at most."""
    rows, count = 50_000, 32

    def load(number: int) -> pandas.DataFrame:
        return pandas.DataFrame({"angle": np.linspace(-9, 9, rows), "logit": np.full(rows, float(number))})

    ddf = dd.from_map(load, range(count), meta=load(0).iloc[:0])
    gradients = kd.grad(ddf[ddf.angle > -8.5].assign(logit=ddf.logit / 2), target=(-30, 30), bandwidth=10)
    tracemalloc.start()
    try:
        total = gradients.gradient.sum().compute(scheduler="threads", num_workers=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(total) < 1e-12
    assert peak < 0.75 * count * rows * 16  # with all that is made of the two partitions that are worked on


def test_tasks_are_small_and_their_number_is_in_proportion_to_the_partitions() -> None:
    """What is large, here a target of many points, stands apart from the work on each partition."""
    target = kg.Points(np.linspace(-30, 30, 20_000))
    ddf = dd.from_map(_points, range(40), meta=_points(0).iloc[:0])
    graph = dict(kd.grad(ddf, target=target, bandwidth=10).optimize().__dask_graph__())
    assert len(graph) < 3 * 40
    sizes = sorted(len(cloudpickle.dumps(task)) for task in graph.values())
    assert sizes[-1] > 20_000 * 8
    assert sizes[-4] < 20_000


def _points(number: int) -> pandas.DataFrame:
    return pandas.DataFrame({"angle": [float(number)], "logit": [0.0]})


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [None, "camera"])
def test_index_divisions_and_other_columns_stay(by: str | None) -> None:
    ddf = dd.from_pandas(TABLE.assign(label="x"), npartitions=3)
    gradients = kd.grad(ddf, by, **PROBLEM)
    added = ["weight", "responsibility", "gradient", "gradient_per_weight"]
    assert list(gradients.columns) == [*TABLE, "label", *added]
    if by is None:
        assert gradients.divisions == ddf.divisions
        assert gradients.compute().index.equals(TABLE.index)
    else:
        assert sorted(gradients.compute().index) == list(TABLE.index)


def test_weights_give_way_to_those_of_the_softmax_and_their_logarithms_stay() -> None:
    frame = TABLE.drop(columns="logit").assign(weight=np.arange(600) % 7)
    expected = in_memory(frame, **PROBLEM)
    for by in (None, "camera"):
        gradients = kd.grad(spread(frame), by, **PROBLEM).compute(scheduler="sync").sort_index()
        np.testing.assert_array_equal(gradients.logit, expected.problem.logits)
        if by is None:
            np.testing.assert_allclose(gradients.weight, expected.weights, rtol=1e-12)
        else:
            np.testing.assert_allclose(gradients.groupby("camera").weight.sum(), 1.0, rtol=1e-12)
    counts = frame.rename(columns={"weight": "count"})
    gradients = kd.grad(spread(counts), weight="count", **PROBLEM).compute(scheduler="sync")
    assert "logit" not in gradients
    np.testing.assert_array_equal(gradients["count"], counts["count"])
    np.testing.assert_allclose(gradients.gradient, expected.gradients.logits, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("columns", "options", "there"),
    [
        ({"gradient": 1}, {}, "a column that grad adds: 'gradient'"),
        ({"weight": 1}, {"no_weights": True}, "a column that grad adds: 'weight'"),
        ({"weight": 1}, {"logit": "logit"}, "a column that grad adds: 'weight'"),
        ({"weight": 1}, {"weight": "weight"}, "a column that grad adds: 'logit'"),
        ({"gradient_angle": 1, "responsibility": 1}, {"wrt": "angles"}, "'responsibility', 'gradient_angle'"),
    ],
)
def test_no_column_is_lost(columns: dict[str, Any], options: dict[str, Any], there: str) -> None:
    with pytest.raises(kg.InputError, match=there):
        kd.grad(spread(TABLE.assign(**columns)), **PROBLEM, **options)


NAMES = {
    "int": lambda number: number * 10,
    "float": lambda number: number / 2,
    "category": lambda number: pandas.Categorical([f"s{n}" for n in number]),
    "day": lambda number: pandas.Timestamp("2024-01-01", tz="UTC") + pandas.to_timedelta(number, unit="D"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_groups_have_the_values_of_their_column(kind: str) -> None:
    names = NAMES[kind](np.arange(600) % 5)
    frame = TABLE.assign(camera=names)
    lazy = kd.loss(dd.from_pandas(frame, npartitions=4), by="camera", **PROBLEM)
    found = lazy.compute(scheduler="sync")
    assert found.group.dtype == lazy.dtypes["group"] == frame.camera.dtype
    assert found.index.max() < 5  # of the groups of each partition, not of rows
    by_name = dict(zip(found.group, found.loss, strict=True))
    for name in frame.camera.unique():
        of = frame[frame.camera == name]
        assert by_name[name] == pytest.approx(kg.loss(of.angle, of.logit, **PROBLEM), rel=1e-12)


def test_an_infinite_loss_is_inf_and_its_gradients_are_nan() -> None:
    options = {"target": (300, 301), "kernel": "uniform", "wrt": EVERY}
    assert kd.loss(spread(), target=(300, 301), kernel="uniform").compute(scheduler="sync") == math.inf
    for by in (None, "camera"):
        found = kd.grad(spread(), by, **options).compute(scheduler="sync")
        assert found.weight.notna().all()
        assert found[[name for name in found if name.startswith(("gradient", "resp"))]].isna().all(axis=None)


def test_a_loss_is_a_number_of_dask() -> None:
    lazy = (spread().angle - 2 * kd.loss(spread(), **PROBLEM)).mean()
    assert lazy.compute(scheduler="sync") == pytest.approx(TABLE.angle.mean() - 2 * in_memory(**PROBLEM).loss)


# --- what cannot be used ----------------------------------------------------------------------------------------------

DROPPED = r"or leave such rows out with ddf.dropna\(subset=\[...\]\)"
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no angle": ({"angle": math.nan}, {}, rf"^partition 3:99: column 'angle': 'nan' .*{DROPPED}$"),
    "no angle in a group": ({"angle": math.nan}, {"by": "camera"}, r"^partition 3:99: column 'angle': 'nan'"),
    "infinite logit": ({"logit": math.inf}, {}, r"^partition 3:99: column 'logit': 'inf' is not a number"),
    "no group": ({"camera": None}, {"by": "camera"}, rf"^partition 3:99: column 'camera': .*{DROPPED}$"),
    "a group called NA": ({"camera": "NA"}, {"by": "camera"}, r"^partition 3:99: column 'camera': 'NA' is a missing"),
    "two targets": (
        {"end": 1000.0},
        {"by": "camera", "target_columns": ("begin", "end"), "target": None},
        r"^column 'end': .* for group 'c\d+', which has .*: give one target for a group$",
    ),
    "swapped": (
        {"camera": "alone", "end": -1000.0},
        {"by": "camera", "target_columns": ("begin", "end"), "target": None},
        "^group 'alone': target: low .* is not below high -1000",
    ),
    "masked group": (
        {"camera": "alone", "logit": -math.inf},
        {"by": "camera"},
        "^group 'alone': no point has a positive weight: one logit must be finite, or one weight above 0$",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_named_with_its_place(case: str) -> None:
    cells, options, message = BAD[case]
    frame = TABLE.copy()
    for column, cell in cells.items():
        frame.loc[300 * 2, column] = cell  # of partition 3 the row 99
    with pytest.raises(kg.InputError, match=message):
        kd.loss(spread(frame), **PROBLEM | options).compute(scheduler="sync")


def test_points_without_weight_are_refused() -> None:
    with pytest.raises(kg.InputError, match=r"^no point has a positive weight"):
        kd.grad(spread(TABLE.assign(logit=-math.inf)), **PROBLEM).compute(scheduler="sync")


def test_an_error_comes_back_from_another_process(cluster: distributed.Client) -> None:
    frame = TABLE.assign(angle=np.where(np.arange(600) == 300, math.nan, TABLE.angle))
    lazy = kd.loss(spread(frame), **PROBLEM)
    with pytest.raises(kg.InputError, match="partition 3:99: column 'angle'"):
        lazy.compute(scheduler="processes", num_workers=1)
    with cluster.as_current(), pytest.raises(kg.InputError, match=r"^partition 3:99: column 'angle'"):
        lazy.compute()


@pytest.mark.parametrize("name", [(1, 2), [1]])
def test_groups_named_by_nested_cells_are_refused(name: Any) -> None:
    frame = pandas.DataFrame({"camera": [name], "angle": [1.0], "logit": [0.0]})
    with dask.config.set({"dataframe.convert-string": False}):  # else the cells are texts
        lazy = kd.loss(dd.from_pandas(frame, npartitions=1), by="camera", **PROBLEM)
    with pytest.raises(
        kg.InputError, match=r"^partition 0: column 'camera': has cells of the type (list|tuple), which"
    ):
        lazy.compute(scheduler="sync")


def test_a_column_named_weight_of_groups_holds_no_weights() -> None:
    frame = TABLE.assign(weight=np.arange(600) % 3)
    found = kd.loss(spread(frame), by="weight", **PROBLEM).compute(scheduler="sync").set_index("group").loc[[0, 1, 2]]
    np.testing.assert_allclose(
        found.loss, in_memory(frame.drop(columns="weight").assign(g=frame.weight), group="g", **PROBLEM).losses
    )
    np.testing.assert_allclose(found.loss, in_memory(frame, group="weight", **PROBLEM).losses)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": None}, "target: no target is given"),
        ({"bandwidth": -1}, "bandwidth: -1 is out of range"),
        ({"rule": "exact"}, "rule: its nodes depend on all points"),
        ({"angle": "theta"}, "frame: no column 'theta' .* name the right one with angle="),
        ({"by": "image"}, "frame: no column 'image' for the groups .* with by="),
        ({"ddf": spread(TABLE.rename_axis("row")), "by": "row"}, "'row' is the index, .* ddf.reset_index()"),
        ({"ddf": spread(TABLE.assign(weight=1))}, "and grad adds a column for each: .* ddf.drop"),
        ({"by": 5}, "by: 5 is not text"),
        ({"angle": "camera", "logit": "camera"}, "cannot be both the angles and the logits"),
        ({"target_columns": ("begin", "end")}, "target_columns: gives every group its target: leave out target"),
        ({"target_columns": "begin", "target": None}, "target_columns: .* give by=COLUMN too"),
        ({"by": "camera", "target": (np.zeros(2), np.ones(2))}, "target: .* is not an interval"),
        ({"wrt": "logit"}, "wrt: unknown 'logit'"),
        ({"wrt": ()}, "wrt: names nothing"),
        ({"ddf": TABLE}, "DataFrame is not a Dask DataFrame: dask.dataframe.from_pandas makes one"),
    ],
)
def test_what_is_wrong_without_data_is_said_at_the_call(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(kg.KdegradError, match=message):
        kd.grad(**{"ddf": spread(loads=tmp_path / "loads")} | PROBLEM | options)
    assert not (tmp_path / "loads").exists()


def test_groups_take_the_rule_exact() -> None:
    found = kd.loss(spread(), by="camera", target=(-30, 30), bandwidth=10, rule="exact").compute(scheduler="sync")
    of = TABLE[TABLE.camera == "c5"]
    exact = kg.loss(of.angle, of.logit, target=(-30, 30), bandwidth=10, rule="exact")
    assert dict(zip(found.group, found.loss, strict=True))["c5"] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("columns", "options", "note"),
    [
        (["angle", "camera"], {}, "frame has neither logits nor weights: all points weigh the same; it has a column"),
        (["angle", "logit"], {"circular": True, "bandwidth": 999}, "the kernel is wider than the circle"),
    ],
)
def test_what_may_not_be_meant_is_a_warning_at_the_call(columns: list[str], options: Any, note: str) -> None:
    with pytest.warns(kg.InputWarning, match=note) as caught:
        lazy = kd.grad(spread(TABLE[columns]), **PROBLEM | options)
    assert [warning.filename for warning in caught] == [__file__]
    lazy.compute(scheduler="sync")  # and no more of it


def test_without_dask_the_message_says_what_to_install() -> None:
    code = "import sys; sys.modules['dask'] = None; import kdegrad.dask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: kdegrad.dask needs Dask: pip install 'kdegrad[dask]' (" in done.stderr
