"""Tables in parts: one problem that is larger than memory, beside pyarrow reading and writing it; and groups of rows.

The files are made in a temporary folder, which takes 7 GB for a while. PARTS_SHARE=0.1 takes a tenth of the rows, to
try it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

import kdegrad as kg
from tests.benchmarks.peers import BANDWIDTH
from tests.benchmarks.table import seconds, table

SHARE = float(os.environ.get("PARTS_SHARE", "1"))
PARTS, PART_POINTS = 50, int(2_000_000 * SHARE)
FEW = 5  # parts: the other size of the extrapolation
SPACE = 0.5 + 7.0 * SHARE  # GB of disk: the input, and one output at a time
KERNELS = {"laplace": 3, "gaussian": 1}  # and how often each is measured
AIM = ("--target", "-30", "30", "--bandwidth", f"{BANDWIDTH:g}")
MOST_BESIDE_ARROW = 2.5
MOST_MEMORY = 1000  # MB

GROUP_PARTS, PART_GROUPS, GROUP_POINTS, BINS = 10, int(100_000 * SHARE), 10, 36

# Runs the command that its arguments are, and prints seconds and MB of the largest process. (The peak of a process is
# never below that of the one that starts it: this one is small.)
_MEASURED = """
import os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
seconds = time.perf_counter() - start
print(seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)
sys.exit(os.waitstatus_to_exitcode(status))
"""

_READ = """
import pathlib, sys
import pyarrow.parquet
for part in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    pyarrow.parquet.read_table(part, columns=["angle", "logit"])
"""

# What is computed comes from one of kdegrad's own parts, and is written as it writes it: without dictionaries.
_READ_AND_WRITE = """
import pathlib, sys
import pyarrow.parquet
result = pyarrow.parquet.read_table(sys.argv[2])
for part in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    points = pyarrow.parquet.read_table(part, columns=["angle", "logit"])
    for name in points.column_names:
        result = result.set_column(result.column_names.index(name), name, points[name])
    pyarrow.parquet.write_table(result, pathlib.Path(sys.argv[3], part.name), use_dictionary=False)
"""

_DASK = """
import logging, sys
import dask.dataframe
import kdegrad.dask
from distributed import Client, LocalCluster
if __name__ == "__main__":
    options = {"dashboard_address": ":0", "silence_logs": logging.ERROR}
    with LocalCluster(threads_per_worker=1, **options) as cluster, Client(cluster):
        rows = dask.dataframe.read_parquet(sys.argv[1])
        options = {"bins": int(sys.argv[2]), "bandwidth": float(sys.argv[3])}
        found = kdegrad.dask.loss(rows, by="group", target_columns=("low", "high"), **options)
        found.loss.mean().compute()
"""

# Prints the seconds of a group where each is a call of the library.
_BY_HAND = """
import sys, time
import pandas
import kdegrad as kg
rows = pandas.read_parquet(sys.argv[1])
rows = rows[rows.group < 2000]
options = {"bins": int(sys.argv[2]), "bandwidth": float(sys.argv[3])}
def loss(of):
    return kg.loss(of.angle.to_numpy(), of.logit.to_numpy(), target=(of.low.iat[0], of.high.iat[0]), **options)
start = time.perf_counter()
losses = rows.groupby("group")[["angle", "logit", "low", "high"]].apply(loss)
print((time.perf_counter() - start) / len(losses))
"""


class Run(NamedTuple):
    """What a command takes: seconds, and MB of memory in its largest process."""

    seconds: float
    memory: float


def lines() -> Iterator[str]:
    """Yield the tables, or why there are none."""
    if not find_spec("pyarrow"):
        yield "(pyarrow is not installed: tables in parts are not measured)"
        return
    with tempfile.TemporaryDirectory() as name:
        free = shutil.disk_usage(name).free / 1e9
        if free < SPACE:
            yield f"({name} has {free:.1f} GB free, tables in parts need {SPACE:.1f}: they are not measured)"
            return
        yield from one_problem(Path(name))
    with tempfile.TemporaryDirectory() as name:
        yield from groups(Path(name))


def one_problem(folder: Path) -> Iterator[str]:
    """Yield times and memory of loss and grad of all points, beside pyarrow that reads and writes them."""
    make_points(folder)
    every, few, output, sample = folder / "points", folder / "few", folder / "output", folder / "sample.parquet"

    def loss(source: Path, kernel: str) -> Run:
        return kdegrad("loss", source, *AIM, "--kernel", kernel)

    def grad(source: Path, kernel: str) -> Run:
        run = kdegrad("grad", source, *AIM, "--kernel", kernel, "--output", output)
        shutil.move(output / "part-00.parquet", sample)
        shutil.rmtree(output)
        return run

    def read() -> Run:
        return python(_READ, every)

    def read_and_write() -> Run:
        output.mkdir()
        run = python(_READ_AND_WRITE, every, sample, output)
        shutil.rmtree(output)
        return run

    rows = []
    for kernel, rounds in KERNELS.items():
        tasks = {
            "loss of few": partial(loss, few, kernel),  # first, so that a sample is there
            "grad of few": partial(grad, few, kernel),
            "loss": partial(loss, every, kernel),
            "read": read,
            "grad": partial(grad, every, kernel),
            "read and write": read_and_write,
        }
        taken = in_turn(tasks, rounds)
        for command, beside in (("loss", "read"), ("grad", "read and write")):
            ours, theirs = taken[command], taken[beside]
            a_part = (ours.seconds - taken[f"{command} of few"].seconds) / (PARTS - FEW)
            rows.append(
                (
                    f"kdegrad {command}, {kernel}",
                    seconds(ours.seconds),
                    f"{beside}: {seconds(theirs.seconds)}",
                    f"{ours.seconds / theirs.seconds:.2f}",
                    f"{MOST_BESIDE_ARROW:g}" if kernel == "laplace" else "",
                    f"{ours.memory:.0f} MB",
                    f"{MOST_MEMORY} MB",
                    f"{(ours.seconds + 9 * PARTS * a_part) / 60:.1f} min",
                )
            )
    ten_times = f"{10 * PARTS * PART_POINTS:,} points, extrapolated"
    header = ("command", "time", "pyarrow", "ratio", "at most", "memory", "at most", ten_times)
    yield from table(f"One problem of {PARTS * PART_POINTS:,} points in {PARTS} Parquet parts", header, rows)


def groups(folder: Path) -> Iterator[str]:
    """Yield times and memory of the losses of many groups, by what the table can be held in and worked on."""
    mean = make_groups(folder)
    parts, whole, losses = folder / "parts", folder / "whole.parquet", folder / "losses.parquet"
    numbers, count = (str(BINS), f"{BANDWIDTH:g}"), GROUP_PARTS * PART_GROUPS

    def command(*arguments: str | Path) -> Run:
        flags = ("--group-by", "group", "--target-columns", "low,high", "--bins", numbers[0], "--bandwidth", numbers[1])
        run = kdegrad("loss", *arguments, *flags, "--output", losses)
        import pyarrow.parquet

        np.testing.assert_allclose(np.mean(pyarrow.parquet.read_table(losses)["loss"]), mean, rtol=1e-12)
        losses.unlink()
        return run

    workers = f"{os.cpu_count()} workers"
    tasks = {
        "kdegrad loss of one file, in memory": partial(command, whole),
        f"kdegrad loss of {GROUP_PARTS} parts, a part in memory": partial(command, parts),
    }
    if find_spec("distributed"):
        tasks |= {
            f"kdegrad loss of the parts --engine dask, {workers}": partial(command, parts, "--engine", "dask"),
            f"kdegrad.dask.loss, {workers}": partial(python, _DASK, parts, *numbers),
        }
    taken = in_turn(tasks, 1)
    by_hand = float(subprocess.check_output([sys.executable, "-c", _BY_HAND, parts / "part-0.parquet", *numbers]))
    base = taken["kdegrad loss of one file, in memory"].seconds
    rows = [(name, seconds(t.seconds), f"{t.seconds / base:.1f}", f"{t.memory:.0f} MB") for name, t in taken.items()]
    by_hand *= count
    rows.append(("pandas, kg.loss a group, extrapolated", seconds(by_hand), f"{by_hand / base:.1f}", ""))
    title = f"Losses of {count:,} groups in {count * GROUP_POINTS:,} rows of Parquet; memory of the largest process"
    yield from table(title, ("by", "time", "ratio", "memory"), rows)


def make_points(folder: Path) -> None:
    """Write the points to `folder`/points, and link some of the parts into `folder`/few."""
    import pyarrow
    import pyarrow.parquet

    random = np.random.default_rng(0)
    for name in ("points", "few"):
        (folder / name).mkdir()
    for number in range(PARTS):
        points = {"angle": random.normal(0.0, 60.0, PART_POINTS), "logit": random.normal(size=PART_POINTS)}
        part = folder / "points" / f"part-{number:02}.parquet"
        pyarrow.parquet.write_table(pyarrow.table(points), part)
        if number < FEW:
            (folder / "few" / part.name).hardlink_to(part)


def make_groups(folder: Path) -> float:
    """Write the groups as `folder`/parts and as `folder`/whole.parquet, and return the mean of their losses."""
    import pyarrow
    import pyarrow.parquet

    random = np.random.default_rng(1)
    (folder / "parts").mkdir()
    every, losses = [], []
    for number in range(GROUP_PARTS):
        angles = random.normal(0.0, 60.0, (PART_GROUPS, GROUP_POINTS))
        logits, lows = random.normal(size=angles.shape), random.uniform(-90.0, 60.0, PART_GROUPS)
        target = lows, lows + 30.0
        losses.append(kg.loss(angles, logits, target=target, bins=BINS, bandwidth=BANDWIDTH))
        names = np.arange(number * PART_GROUPS, (number + 1) * PART_GROUPS)
        each = {"group": names, "low": target[0], "high": target[1]}
        columns = {name: np.repeat(column, GROUP_POINTS) for name, column in each.items()}
        columns |= {"angle": angles.ravel(), "logit": logits.ravel()}
        every.append(pyarrow.table(columns))
        pyarrow.parquet.write_table(every[-1], folder / "parts" / f"part-{number}.parquet")
    pyarrow.parquet.write_table(pyarrow.concat_tables(every), folder / "whole.parquet")
    return float(np.mean(losses))


def in_turn(tasks: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, Run]:
    """Return the median seconds and the most memory of each task; the tasks take turns."""
    runs: dict[str, list[Run]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            runs[name].append(task())
    return {name: Run(statistics.median(r.seconds for r in of), max(r.memory for r in of)) for name, of in runs.items()}


def kdegrad(*arguments: str | Path) -> Run:
    """Run kdegrad and return what it takes."""
    return measured("-m", "kdegrad", *arguments)


def python(code: str, *arguments: str | Path) -> Run:
    """Run lines of Python and return what they take."""
    return measured("-c", code, *arguments)


def measured(*arguments: str | Path) -> Run:
    """Run Python in a process of its own and return what it takes."""
    command = [sys.executable, "-c", _MEASURED, sys.executable, *map(str, arguments)]
    return Run(*map(float, subprocess.check_output(command, text=True).split()))
