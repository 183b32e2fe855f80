"""Pins down --engine dask on a real cluster of two worker processes.

The numbers are those of --stream to the last byte, also where workers die; errors are those of the same parts without
a cluster.
"""

from __future__ import annotations

import csv
import gc
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import psutil
import pytest
from distributed.scheduler import NoWorkerError

import kdegrad as kg
from kdegrad import output
from kdegrad.dask.cluster import Cluster, cluster
from kdegrad.errors import InputError, SettingError
from kdegrad.problem import Problem
from kdegrad.reading.parts import Part, parts_of
from kdegrad.settings import ReadingOptions
from kdegrad.streams import InTurn, ahead, summed, write_gradients
from kdegrad.text import option_text, speaking_of_flags
from tests.conftest import COMMAND
from tests.on_workers import deadly, dying, failing, late

PARTS = 6
ROWS = 400  # of a part
TARGET = ("--target", "-30", "30", "--bandwidth", "10")
LIKE = Problem([0.0], target=(-30, 30), bandwidth=10)
PLAIN = ReadingOptions()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start two worker processes, of which two may die at a part."""
    space = tmp_path_factory.mktemp("space")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", local_directory=str(space)
        ) as of,
    ):
        yield of.scheduler_address


@pytest.fixture
def engine(address: str) -> Iterator[Cluster]:
    with cluster(address, PARTS) as of:
        yield of


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of parts."""
    folder, rng = tmp_path_factory.mktemp("parts") / "swarm", np.random.default_rng(7)
    folder.mkdir()
    for number in range(PARTS):
        rows = zip(rng.normal(0, 40, ROWS).tolist(), rng.normal(0, 2, ROWS).tolist(), strict=True)
        text = "angle,logit\n" + "".join(f"{angle!r},{logit!r}\n" for angle, logit in rows)
        (folder / f"part-{number}.csv").write_text(text)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def listed(folder: Path) -> tuple[Part, ...]:
    return parts_of(str(folder), PLAIN)


def nobody(size: int) -> None:
    """Watch, and do nothing."""


# --- one problem ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_loss_is_that_of_a_stream_to_the_last_byte(kdegrad, swarm: Path, address: str, form: str) -> None:
    ways = [kdegrad("loss", swarm, *TARGET, *way, "--format", form) for way in (["--stream"], dask_at(address))]
    assert (ways[1].code, ways[1].out, ways[1].err) == (0, ways[0].out, "")


def dask_at(address: str) -> tuple[str, ...]:
    return "--engine", "dask", "--scheduler", address


def test_the_parts_are_those_of_a_stream_to_the_last_byte(kdegrad, folder: Path, swarm: Path, address: str) -> None:
    """Paths are relative, and the workers have another current folder."""
    here, every = os.path.relpath(swarm), ("--wrt", "logits,angles,bandwidth", "--format", "json")
    done = [
        kdegrad("grad", here, *TARGET, *every, *way, "-o", f"way-{number}")
        for number, way in enumerate((["--stream"], dask_at(address)))
    ]
    assert (done[1].code, done[1].err) == (0, "")
    assert done[1].out == done[0].out.replace("way-0", "way-1")
    assert files(folder / "way-1") == files(folder / "way-0")
    assert len(files(folder / "way-1")) == PARTS


def test_parts_that_are_done_in_another_order_come_back_in_their_own(engine: Cluster, swarm: Path) -> None:
    parts, watched = listed(swarm), []
    found = list(engine.each(late, parts, watched.append))
    assert found == [part.name for part in parts]
    assert sum(watched) == sum(part.size for part in parts)


# --- workers that die -------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_in_the_middle_of_a_part(
    engine: Cluster, swarm: Path, address: str, tmp_path: Path
) -> None:
    """The numbers and files are as without it, and of the file that it had begun nothing is left."""
    parts, made = listed(swarm), {}
    whole, _ = summed(parts, LIKE, PLAIN, InTurn(), nobody, "swarm")
    marker = tmp_path / "died"
    for name, run in (("stream", InTurn()), ("cluster", engine)):
        with output.filling(str(tmp_path / name), [part.name for part in parts]) as hidden:
            write: Any = partial(write_gradients, folder=hidden, whole=whole, options=PLAIN, wrt=("logits",))
            if run is engine:
                write = partial(dying, marker=marker, folder=hidden, then=write)
            made[name] = list(run.each(write, parts, nobody))
    assert marker.exists()
    assert made["cluster"] == made["stream"]
    assert files(tmp_path / "cluster") == files(tmp_path / "stream")


def test_a_part_that_kills_every_worker_is_named(engine: Cluster, swarm: Path) -> None:
    with pytest.raises(ChildProcessError, match="its worker died 2 times at it: give") as caught:
        list(engine.each(deadly, listed(swarm), nobody))
    assert caught.value.filename == str(swarm / "part-1.csv")
    assert list(engine.each(late, listed(swarm), nobody))  # the cluster is as good as before


def test_workers_that_go_on_dying_end_the_run(swarm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where no part is blamed for it, as none is where a shuffle begins again."""
    monkeypatch.setattr("kdegrad.dask.cluster.LOST", 1)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1000}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", local_directory=str(tmp_path)
        ) as of,
        cluster(of.scheduler_address, 1) as engine,
        pytest.raises(ChildProcessError, match="its worker died 2 times at it: give"),
    ):
        list(engine.each(deadly, [part for part in listed(swarm) if part.name == "part-1.csv"], nobody))


# --- groups -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make parts with rows of the same 40 groups, one of them without rows, and a file with the rows of all."""
    folder, rng = tmp_path_factory.mktemp("groups"), np.random.default_rng(11)
    header, lines = "image,angle,logit,label,from,to\n", []
    for group in rng.integers(0, 40, 900).tolist():
        angle, logit = rng.normal(0, 40), rng.normal(0, 2) if rng.random() > 0.1 else -np.inf
        lines.append(f"img{group},{angle!r},{logit!r},p{len(lines) % 7},{group - 40},{group + 20}\n")
    (folder / "parts").mkdir()
    for number, (begin, end) in enumerate([(0, 300), (300, 300), (300, 350), (350, 900)]):
        (folder / "parts" / f"{number}.csv").write_text(header + "".join(lines[begin:end]))
    (folder / "all.csv").write_text(header + "".join(lines))
    return folder / "parts", folder / "all.csv"


OF_GROUPS = ("--group-by", "image", "--target-columns", "from,to", "--bandwidth", "10")


def table(file: Path) -> list[dict[str, str]]:
    with file.open() as stream:
        return list(csv.DictReader(stream))


def assert_same_rows(found: list[dict[str, str]], expected: list[dict[str, str]]) -> None:
    """Compare texts exactly, numbers to 1e-12."""
    assert len(found) == len(expected) > 0
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() & {"group", "label", "points"}:
            assert row[name] == other[name]
        numbers = [[float(of[name]) for name in row if name not in ("group", "label")] for of in (row, other)]
        np.testing.assert_allclose(*numbers, rtol=1e-12, atol=1e-12)


def test_losses_of_groups_across_parts_are_those_of_memory(kdegrad, grouped: tuple[Path, Path], address: str) -> None:
    """In the order in which the groups first appear; the table is that of one file."""
    parts, whole = grouped
    for form in ("csv", "table"):
        expected = kdegrad("loss", whole, *OF_GROUPS, "--format", form)
        done = kdegrad("loss", parts, *OF_GROUPS, *dask_at(address), "--format", form)
        assert (done.code, done.err) == (0, "")
        if form == "csv":
            assert_same_rows(done.rows, expected.rows)
        else:
            assert done.out.partition("losses:")[2] == expected.out.partition("losses:")[2] != ""
            assert "900 points in 4 parts" in done.out


def test_gradients_of_groups_across_parts_are_those_of_memory(
    kdegrad, folder: Path, grouped: tuple[Path, Path], address: str
) -> None:
    """Each part has its own rows, in their order, a part without rows a header."""
    parts, whole = grouped
    every = (*OF_GROUPS, "--wrt", "logits,angles,bandwidth")
    assert kdegrad("grad", whole, *every, "-o", "all.csv").code == 0
    done = kdegrad("grad", os.path.relpath(parts), *every, *dask_at(address), "-o", "out")
    assert (done.code, done.err) == (0, "")
    made = [table(Path("out", f"{number}.csv")) for number in range(4)]
    assert list(map(len, made)) == [300, 0, 50, 550]
    assert sorted(os.listdir("out")) == ["0.csv", "1.csv", "2.csv", "3.csv"]
    assert_same_rows([row for part in made for row in part], table(folder / "all.csv"))
    header = Path("out", "1.csv").read_text()
    assert header == Path("out", "0.csv").read_text().splitlines(keepends=True)[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a,1,2,0,9", "a,1,2,0,8"], "column 'to': 8 for group 'a', which has 9 in bad/0.csv: give one target for a"),
        (["a,1,2,0,9", "a,1,x,0,9"], "bad/1.csv:2: column 'logit': 'x' is not a number"),
        (["a,1,-inf,0,9", "a,1,-inf,0,9"], "group 'a': no point has a positive weight"),
    ],
)
def test_what_is_wrong_with_groups_across_parts(
    kdegrad, folder: Path, address: str, rows: list[str], said: str
) -> None:
    Path("bad").mkdir()
    for number, row in enumerate(rows):
        Path("bad", f"{number}.csv").write_text(f"image,angle,logit,from,to\n{row}\nb,1,2,0,9\n")
    done = kdegrad("grad", "bad", *OF_GROUPS, *dask_at(address), "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert os.listdir() == ["bad"]


def test_a_group_that_is_masked_in_one_part_alone(kdegrad, folder: Path, address: str) -> None:
    for number, logit in enumerate(("-inf", "1")):
        Path(f"{number}.csv").write_text(f"image,angle,logit\na,1,{logit}\n")
    done = kdegrad("loss", "*.csv", "--group-by", "image", *TARGET, *dask_at(address), "--format", "csv")
    assert (done.code, done.err) == (0, "")
    assert done.rows[0]["loss"] == repr(kg.loss([1.0], [1.0], target=(-30, 30), bandwidth=10))


def test_parts_with_other_columns_and_losses_to_a_folder(kdegrad, folder: Path, address: str) -> None:
    for number, column in enumerate(("logit", "weight")):
        Path(f"{number}.csv").write_text(f"image,angle,{column}\na,1,1\n")
    done = kdegrad("loss", "*.csv", "--group-by", "image", *TARGET, *dask_at(address))
    assert (done.code, done.out) == (2, "")
    assert "1.csv: has columns for 'angle', 'weight', and 0.csv for 'angle', 'logit'" in done.err
    done = kdegrad("loss", "*.csv", "--group-by", "image", *TARGET, *dask_at(address), "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert "--output: 'out' is a folder, and with --engine dask a group is in no part alone: name a file" in done.err


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(folder: Path) -> Path:
    """Make parts of which the last has a row that cannot be used."""
    bad = folder / "bad"
    bad.mkdir()
    for number in range(4):
        (bad / f"{number}.csv").write_text("angle,logit\n1,2\n" + ("x,2\n" if number == 3 else ""))
    return bad


@pytest.mark.parametrize("command", ["loss", "grad"])
def test_a_bad_row_is_one_error_with_its_line(kdegrad, spoilt: Path, address: str, command: str) -> None:
    to = ("-o", "out") if command == "grad" else ()
    ways = [kdegrad(command, spoilt.name, *TARGET, *to, *way) for way in (["--stream"], dask_at(address))]
    assert (ways[1].code, ways[1].out, ways[1].err) == (2, "", ways[0].err)
    assert ways[1].err.startswith("error: bad/3.csv:3: column 'angle': 'x' is not a number")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("rows", "options", "code", "flag"),
    [
        ("a,1,2\n", ("--angle-column", "x", *TARGET), 2, "--angle-column"),
        ("a,1,2\n", ("--group-by", "image", *TARGET, "--kernel", "uniform"), 3, "--background"),
    ],
)
def test_what_workers_say_names_flags(
    kdegrad, folder: Path, address: str, rows: str, options: tuple[str, ...], code: int, flag: str
) -> None:
    Path("0.csv").write_text("image,angle,logit\n" + rows)
    ways = [kdegrad("loss", "*.csv", *options, *way) for way in (["--stream"], dask_at(address))]
    assert (ways[1].code, ways[1].err) == (code, ways[0].err)
    assert flag in ways[1].err + ways[1].out


def test_threads_say_what_the_thread_that_asks_says() -> None:
    with speaking_of_flags():
        assert list(ahead(lambda number: option_text(f"a-{number}"), [1, 2])) == ["--a-1", "--a-2"]


def test_a_part_that_changes_between_the_passes(engine: Cluster, spoilt: Path, tmp_path: Path) -> None:
    (spoilt / "3.csv").write_text("angle,logit\n1,2\n")
    parts = listed(spoilt)
    whole, _ = summed(parts, LIKE, PLAIN, engine, nobody, "bad")
    write = partial(write_gradients, folder=str(tmp_path), whole=whole, options=PLAIN, wrt=("logits",))
    (spoilt / "2.csv").write_text("angle,logit\n1,2\n3,4\n")
    said = []
    for run in (InTurn(), engine):
        with pytest.raises(InputError, match=r"2\.csv: has changed since the parts were listed") as caught:
            list(run.each(write, parts, nobody))
        said.append(str(caught.value))
    assert said[0] == said[1]
    (spoilt / "2.csv").unlink()
    with pytest.raises(InputError, match=r"2\.csv: is gone"):
        list(engine.each(write, parts, nobody))


def test_a_file_that_workers_do_not_see(engine: Cluster, swarm: Path) -> None:
    parts = listed(swarm)
    for file in (parts[0].path, "/mnt/nowhere/part-0.csv"):
        error = FileNotFoundError(2, "", file)
        with pytest.raises(
            InputError, match=f"{file}: is not there for a worker on .*: name folders that all machines"
        ):
            list(engine.each(partial(failing, error=error), parts, nobody))


@pytest.mark.parametrize(
    "error",
    [
        SettingError("missing", "is odd", "a.csv"),
        InputError(["a", "b"], total=30),
        MemoryError(),
        OSError(28, "full", "x"),
    ],
)
def test_an_error_of_a_worker_is_the_same_here(engine: Cluster, swarm: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        list(engine.each(partial(failing, error=error), listed(swarm), nobody))
    assert str(caught.value) == str(error)
    here, there = ({**vars(of), "__notes__": None} for of in (error, caught.value))
    assert here == there


def test_a_cluster_that_has_lost_its_workers(engine: Cluster, swarm: Path) -> None:
    with pytest.raises(ChildProcessError, match=r"no worker is left of it, all died, .*: run again"):
        list(engine.each(partial(failing, error=NoWorkerError("key", 60.0)), listed(swarm), nobody))


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers there (Connection refused)"),
        ("tcp://127.0.0.1:1/", "no Dask scheduler answers there (Connection refused)"),
        ("tcp://127.0.0.1:abc", "no Dask scheduler answers there (its port is no number)"),
        ("", "no Dask scheduler answers there (missing port number"),
        ("localhost", "no Dask scheduler answers there (missing port number in address 'localhost')"),
        ("abc://localhost:1", "no Dask scheduler answers there (unknown address scheme 'abc'"),
    ],
)
def test_no_scheduler_at_the_address(kdegrad, swarm: Path, scheduler: str, said: str) -> None:
    begun = time.monotonic()
    done = kdegrad("loss", swarm, *TARGET, *dask_at(scheduler))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: --scheduler: '{scheduler}': {said}")
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("speech", [b"SSH-2.0-OpenSSH_9.2\r\n", bytes(8), b""])
def test_something_else_at_the_address(kdegrad, swarm: Path, speech: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        speaker = threading.Thread(target=lambda: server.accept()[0].sendall(speech))
        speaker.start()
        done = kdegrad("loss", swarm, *TARGET, *dask_at(f"tcp://127.0.0.1:{server.getsockname()[1]}"))
        speaker.join()
    assert (done.code, done.out) == (2, "")
    said = "something else does" if speech else "the connection is closed"
    (error,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert f"no Dask scheduler answers there ({said})" in error


def test_a_scheduler_without_the_certificates_of_its_protocol(kdegrad, swarm: Path, address: str) -> None:
    done = kdegrad("loss", swarm, *TARGET, *dask_at(address.replace("tcp://", "tls://")))
    assert (done.code, done.out) == (2, "")
    assert "no Dask scheduler answers there (TLS expects a `ssl_context`" in done.err
    gc.collect()  # what is left of the client says nothing either
    assert len(done.err.splitlines()) == 1


def test_a_scheduler_without_workers_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdegrad.dask.cluster.PATIENCE", 2.0)
    said = queue.Queue[str]()
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as of,
        cluster(of.scheduler_address, 1, said.put),
    ):
        assert "has no workers yet: waiting for them" in said.get(timeout=30)


@pytest.mark.parametrize("one_file", [False, True])
def test_a_scheduler_needs_the_engine(kdegrad, swarm: Path, one_file: bool) -> None:
    source = min(swarm.iterdir()) if one_file else swarm
    done = kdegrad("loss", source, *TARGET, "--scheduler", "tcp://127.0.0.1:8786")
    assert (done.code, done.out) == (2, "")
    assert "--scheduler: is that of a Dask cluster: give --engine dask too" in done.err


def test_another_version_of_kdegrad(kdegrad, swarm: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdegrad.dask.cluster.__version__", "0.0")
    done = kdegrad("loss", swarm, *TARGET, *dask_at(address))
    assert (done.code, done.out) == (2, "")
    assert f"its scheduler has kdegrad {kg.__version__}, and this is 0.0: install the same there" in done.err


def test_without_dask_the_error_says_what_to_install(kdegrad, swarm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("kdegrad.dask")]:
        monkeypatch.delitem(sys.modules, name)
    done = kdegrad("loss", swarm, *TARGET, "--engine", "dask")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --engine: dask needs dask: pip install 'kdegrad[dask]'\n"


# --- a cluster of its own ---------------------------------------------------------------------------------------------


def test_a_cluster_of_its_own_leaves_nothing_behind(kdegrad, folder: Path, swarm: Path) -> None:
    """Not even where the cluster is interrupted while it writes: its workers end, and nothing of theirs is printed."""
    (folder / "temporary").mkdir()
    expected = kdegrad("grad", swarm, *TARGET, "--stream", "-o", "expected")
    command = [COMMAND, "grad", str(swarm), *TARGET, "--engine", "dask", "-o", "out"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    options["env"] = os.environ | {"TMPDIR": str(folder / "temporary")}
    done = subprocess.run(command, check=False, **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected.out.replace("expected", "out")
    assert files(folder / "out") == files(folder / "expected")
    assert sorted(os.listdir()) == ["expected", "out", "temporary"]
    assert os.listdir("temporary") == []


def test_an_interrupt_ends_the_workers_too(folder: Path, swarm: Path) -> None:
    for number in range(100):
        (folder / "many").mkdir(exist_ok=True)
        (folder / "many" / f"{number}.csv").write_bytes((swarm / "part-0.csv").read_bytes())
    command = [COMMAND, "grad", "many", *TARGET, "--engine", "dask", "-o", "out"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while not list(folder.glob("out/*.csv")) and time.monotonic() < until and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does, to all processes
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert [line for line in said.splitlines() if not line.startswith("warning: ")] == ["interrupted"]
    while (left := running(run.pid)) and time.monotonic() < until + 60:
        time.sleep(0.1)
    assert left == []


def test_workers_that_die_while_they_start(kdegrad, folder: Path, swarm: Path) -> None:
    Path("dying.py").write_text("import os; os._exit(1)")
    with dask.config.set({"distributed.worker.preload": [os.path.abspath("dying.py")]}):
        done = kdegrad("loss", swarm, *TARGET, "--engine", "dask")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: the cluster on this machine: a worker died while it started, maybe for want of")
    assert len(done.err.splitlines()) == 1


def running(group: int) -> list[psutil.Process]:
    """Return the processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
