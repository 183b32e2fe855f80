"""The engine of ``--engine dask``: parts that the workers of a Dask cluster read and write, each on its own.

Without an address the cluster is one of processes on this machine, which ends with the run. A worker that dies is no
error: the scheduler has its part done again, by another one or by its successor.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from multiprocessing import resource_tracker
from typing import Any, Final, TypeVar, final

import dask
from dask.system import CPU_COUNT
from distributed import CancelledError, Client, KilledWorker, LocalCluster, as_completed
from distributed.comm.addressing import get_address_host_port, parse_address
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoWorkerError

from kdegrad import __version__
from kdegrad.errors import InputError, SettingError
from kdegrad.output import exiting_on_signals
from kdegrad.reading.parts import Part
from kdegrad.streams import elsewhere, elsewhere_named, unchanged
from kdegrad.text import shown

_Result = TypeVar("_Result")

PATIENCE: Final = 5.0  # seconds, for a scheduler to answer, and for its first worker to be there
_LONGEST: Final = 1 << 20  # bytes of what a scheduler says first, which are about 100
LOST: Final = 20  # workers that may die one after the other, beside those there are, without anything being done
_DIED: Final = "its worker died {} times at it: give the workers more memory, or make smaller parts"
_LOCAL: Final = {
    # No part waits at a worker while another is done there: the one that kills its worker is the one that is blamed.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.no-workers-timeout": "60s",  # a worker that dies while it starts has no successor
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.nanny.pre-spawn-environ": {
        "DASK_LOGGING__DISTRIBUTED": "critical",
        "OMP_NUM_THREADS": 1,  # and so for what else starts threads: a worker has one core
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
        # What is freed is kept for the next block of rows, as it is without Dask: new pages cost half the time.
        "MALLOC_MMAP_THRESHOLD_": 32 << 20,
        "MALLOC_TRIM_THRESHOLD_": 64 << 20,
        "PYTHONWARNINGS": "ignore",
    },
}


@final
class Cluster:
    """The workers of a Dask cluster, which see the same files as this process: a `kdegrad.streams.Engine`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def each(
        self, function: Callable[[Part], _Result], parts: Sequence[Part], watch: Callable[[int], None]
    ) -> Iterator[_Result]:
        """Yield what the function returns for each part, in their order; `watch` is told the bytes of each one done.

        What is wrong with a part is raised as the function raises it, and the parts that are not done are left.

        Raises
        ------
        ChildProcessError
            If a part killed several workers.
        ConnectionError
            If the scheduler is gone.
        """
        # A task of its own: so it is sent once and not with each part, and is there again when its worker has died.
        shared = self._client.submit(unchanged, function, pure=False)
        there = [elsewhere_named(part) for part in parts]
        futures = self._client.map(elsewhere, there, function=shared, pure=False)
        found: dict[int, _Result] = {}
        following = 0
        for number, result in self._done(futures, [[part] for part in parts]):
            found[number] = result
            watch(parts[number].size)
            while following in found:
                yield found.pop(following)
                following += 1

    def computed(self, tasks: Sequence[Any], parts: Sequence[Part]) -> Iterator[tuple[int, Any]]:
        """Yield the numbers of tasks, which are Dask's, and what they return, as they are done; all are about `parts`.

        Raises
        ------
        ChildProcessError, ConnectionError
            As `each`.
        """
        yield from self._done(self._client.compute(list(tasks)), [parts] * len(tasks))

    def _done(self, futures: Sequence[Any], about: Sequence[Sequence[Part]]) -> Iterator[tuple[int, Any]]:
        """Yield the number of each future and its result, as they are done; each is about some parts."""
        number_of = {future.key: number for number, future in enumerate(futures)}
        left = len(futures)
        lost, most = 0, LOST + len(self._client.nthreads())

        def count(event: tuple[float, Any]) -> Any:
            """Count workers that die; more than enough end the run, as a shuffle that loses one begins again."""
            nonlocal lost
            if isinstance(event[1], dict) and event[1].get("action") == "remove-worker":
                lost += not event[1].get("expected", True)
            return self._client.cancel(futures, force=True) if lost == most else None  # to be awaited by Dask

        self._client.subscribe_topic("all", count)
        try:
            for future in as_completed(futures, loop=self._client.loop):
                number = number_of[future.key]
                with _naming(about[number]):
                    if lost >= most and future.status == "cancelled":
                        raise ChildProcessError(errno.ECHILD, _DIED.format(lost), "the parts")
                    result = future.result()
                future.release()
                left -= 1
                lost = 0
                yield number, result
        finally:
            with suppress(Exception):  # the error that is on its way says more
                self._client.unsubscribe_topic("all")
                if left:
                    self._client.cancel(futures, force=True)


@contextmanager
def cluster(address: str | None, most: int, note: Callable[[str], None] = lambda text: None) -> Iterator[Cluster]:
    """Yield the cluster at an address, or a new one on this machine, of at most so many workers, which ends after it.

    `note` is told what the user should know.

    Raises
    ------
    SettingError
        If no scheduler answers at the address, or if it or a worker has another version of kdegrad.
    ChildProcessError
        If the workers of a new cluster do not start.
    """
    with ExitStack() as stack:
        stack.enter_context(exiting_on_signals())  # so that a cluster of its own ends, and its folder is removed
        _quieten(stack)
        if address is None:
            client = stack.enter_context(_local(stack, most))
        else:
            client = stack.enter_context(_remote(address))
            stack.enter_context(_noting_no_workers(client, address, note))
        yield Cluster(client)


def _quieten(stack: ExitStack) -> None:
    """Leave what is said on standard error to kdegrad."""
    stack.callback(logging.disable, logging.root.manager.disable)
    logging.disable(logging.CRITICAL)
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")


def _local(stack: ExitStack, most: int) -> Client:
    """Return a client of a new cluster of processes, with one thread each."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kdegrad-", ignore_cleanup_errors=True))
    stack.enter_context(dask.config.set(_LOCAL | {"temporary-directory": folder}))
    with _without_interrupts():
        try:
            of = LocalCluster(
                n_workers=max(1, min(CPU_COUNT, most)),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # with None it has a port too, and that is the usual one
                local_directory=folder,
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError:  # of a nanny, whose worker died
            told = "a worker died while it started, maybe for want of memory: run again"
            raise ChildProcessError(errno.ECHILD, told, "the cluster on this machine") from None
        stack.enter_context(of)  # before an interrupt can come
    return Client(of, set_as_default=False)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let no thread and no process that is begun in the block have Ctrl-C; this thread has it after the block."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # else begun in the block, which would let its thread have Ctrl-C again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remote(address: str) -> Client:
    """Return a client of the cluster at an address, whose processes have kdegrad as this one has it."""
    client = Client.__new__(Client)  # made in two steps, so that one that is made in half can be closed
    try:
        _require_scheduler(address)
        client.__init__(address.rstrip("/"), timeout=PATIENCE, set_as_default=False)
        _require_same_version(client, address)
    except BaseException as error:
        if hasattr(client, "status"):
            with suppress(Exception):  # the error that is on its way says more
                client.close(PATIENCE)
        if isinstance(error, SettingError) or not isinstance(error, Exception):
            raise
        said = getattr(error, "strerror", None) or " ".join(str(error).split()).partition("; maybe")[0]
        raise SettingError(
            "scheduler",
            f"{shown(address)}: no Dask scheduler answers there ({said or type(error).__name__}): give the address "
            "that it printed, such as tcp://HOST:8786",
        ) from None
    return client


def _require_scheduler(address: str) -> None:
    """Raise an error if nothing, or something else than a scheduler, listens at an address.

    Dask would go on asking where nothing listens, wait without end where nothing is said, and take the first bytes of
    anything for the length of a message.
    """
    try:
        place = get_address_host_port(address.rstrip("/"))
    except ValueError as error:
        raise ValueError("its port is no number") if "int()" in str(error) else error from None
    with socket.create_connection(place, PATIENCE) as probe, probe.makefile("rb") as stream:
        if parse_address(address)[0] == "tcp":  # a scheduler speaks first
            length = stream.read(8)
            if len(length) < 8:
                raise ConnectionError("the connection is closed")
            if not 8 <= int.from_bytes(length, sys.byteorder) <= _LONGEST:
                raise ConnectionError("something else does")


@contextmanager
def _noting_no_workers(client: Client, address: str, note: Callable[[str], None]) -> Iterator[None]:
    """Say after a while that the cluster has no workers; they may still come, some clusters start them for work."""

    def look() -> None:
        with suppress(Exception):  # the connection may be gone, which the block finds itself
            if not client.nthreads():
                note(f"the cluster at {address} has no workers yet: waiting for them (Ctrl-C ends it)")

    timer = threading.Timer(PATIENCE, copy_context().run, [look])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _require_same_version(client: Client, address: str) -> None:
    found = client.get_versions(packages=["kdegrad"])
    for place, info in [("its scheduler", found["scheduler"]), *found["workers"].items()]:
        version = info["packages"].get("kdegrad")
        if version != __version__:
            has = "no kdegrad" if version is None else f"kdegrad {version}"
            raise SettingError(
                "scheduler", f"{shown(address)}: {place} has {has}, and this is {__version__}: install the same there"
            )


@contextmanager
def _naming(parts: Sequence[Part]) -> Iterator[None]:
    """Make an error that a worker had with one of some parts one that can be told here."""
    try:
        yield
    except InputError as error:
        faults = error.faults
        for part in parts:
            if any(elsewhere_named(part).path in fault for fault in faults):
                faults = [fault.replace(elsewhere_named(part).path, part.path) for fault in faults]
        raise InputError(faults, error.total) from None
    except FileNotFoundError as error:
        for part in parts:
            part.require_unchanged()
        raise InputError(
            f"{error.filename}: is not there for a worker on {error.strerror}, and is there for this machine: "
            "name folders that all machines of the cluster share"
        ) from None
    except KilledWorker as error:
        of = parts[0].path if len(parts) == 1 else "a part"
        raise ChildProcessError(errno.ECHILD, _DIED.format(error.allowed_failures + 1), of) from None
    except NoWorkerError:
        told = "no worker is left of it, all died, maybe for want of memory: run again"
        raise ChildProcessError(errno.ECHILD, told, "the cluster") from None
    except (CancelledError, CommClosedError):
        raise ConnectionError(errno.ECONNRESET, "the connection to it is lost", "the Dask scheduler") from None
