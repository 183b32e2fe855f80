"""A table in parts, each a file: what is done with one part, and what all of them come to.

    parts → `sums_of` each → their sum → `Whole` → `gradients_to` each → a file for each part, and a `Tally`

One block of rows is in memory at a time. The functions that work on one part take and return plain data, so that a
machine of a cluster can run them: who maps them over the parts is an `Engine`. Target and settings reach them as
`like`, a `Problem` whose one point is never used.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any, Final, Protocol, TypeVar, final

import numpy as np

from kdegrad import output
from kdegrad.arrays import FloatArray, Texts, threads_of
from kdegrad.errors import InputError
from kdegrad.parts import Partial, Tally, Whole, partial_sums
from kdegrad.problem import Problem
from kdegrad.reading import files
from kdegrad.reading.parts import Part, blocks_of
from kdegrad.reading.points import Source, counted_notes
from kdegrad.reports import as_csv, as_parquet
from kdegrad.reports.records import Block, Table, measured_columns, without_infinities
from kdegrad.settings import ReadingOptions
from kdegrad.text import counted, enumerated, speaking_of_flags
from kdegrad.weights import NO_WEIGHT, NOT_COUNTED, Counts

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
Watch = Callable[[int], None]  # is told how many bytes are done since it was last told

_MOST_THREADS: Final = 4  # more of them wait for the one that reads


def unwatched(size: int) -> None:
    """Tell nobody how many bytes are done."""


class Engine(Protocol):
    """What runs a function for each part."""

    def each(self, function: Callable[..., _Result], parts: Sequence[Part], watch: Watch) -> Iterator[_Result]:
        """Yield what the function returns for each part, in their order.

        `watch` is told the bytes that are done: in this process by the function while it works, since it gets it as its
        second argument; on a cluster, where functions get the part alone, by the engine after each part.
        """
        ...


@final
class InTurn:
    """One part after the other, in this process."""

    def each(self, function: Callable[..., _Result], parts: Sequence[Part], watch: Watch) -> Iterator[_Result]:
        for part in parts:
            yield function(part, watch)


# What engines use that compute in other processes, maybe on other machines.


def elsewhere_named(part: Part) -> Part:
    """Return a part as a process names it whose current folder is another one."""
    return replace(part, path=os.path.abspath(part.path))


@contextmanager
def naming_this_machine() -> Iterator[None]:
    """Give a FileNotFoundError the name of this machine as its text: another one may see the file, or the folder."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, socket.gethostname(), error.filename) from None


def elsewhere(part: Part, function: Callable[[Part], _Result]) -> _Result:
    """Return what the function returns for a part, in another process and maybe on a machine without its file.

    Messages name flags, as they do in the process of the command line that asks for it.
    """
    with speaking_of_flags(), naming_this_machine():
        os.stat(part.path)
        return function(part)


def unchanged(value: _Result) -> _Result:
    """Return the same: a task that many others share."""
    return value


@final
@dataclass(frozen=True)
class Seen:
    """What the user should know about a part.

    Attributes
    ----------
    columns
        What its columns hold, which is the same in all parts.
    odd
        The largest angle and one that is no whole number, if the domain is a circle: enough to see whether the unit may
        be wrong, without all angles.
    notes, counts
        As those of `kdegrad.reading.points.Source`.
    weights
        Whether the weights are counts, where that is asked; those of none without weights.
    """

    columns: tuple[str, ...]
    odd: FloatArray
    notes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    weights: Counts = NOT_COUNTED

    @staticmethod
    def of(last: Source, odd: FloatArray, weights: Counts = NOT_COUNTED) -> Seen:
        """Return it of a part by its last block."""
        has = {"logit": last.weights is None and last.logits is not None, "weight": last.weights is not None}
        columns = ("angle", *(name for name in has if has[name]), *(() if last.labels is None else ("label",)))
        return Seen(columns, odd, last.notes, last.counts, weights)


@final
class SeenOfParts:
    """What the user should know about parts, which are added one after the other.

    Parameters
    ----------
    needs_labels
        Whether all parts must have labels, or none.

    Attributes
    ----------
    odd
        As that of `Seen`, of all parts.
    counts, weights
        As those of `Seen`, added up.
    """

    def __init__(self, *, needs_labels: bool = True) -> None:
        self._needs_labels = needs_labels
        self.odd = np.empty(0)
        self.counts: dict[str, tuple[int, ...]] = {}
        self.weights = Counts()
        self._parts = 0
        self._first: tuple[Part, Seen] | None = None
        self._notes: dict[str, list[Part]] = {}  # the parts that have each

    def add(self, part: Part, seen: Seen) -> None:
        """Add a part; InputError if it has other columns than the first."""
        self._parts += 1
        self._first = self._first or (part, seen)
        ours, first = (
            [name for name in of.columns if name != "label" or self._needs_labels] for of in (seen, self._first[1])
        )
        if ours != first:
            here, there = (files.display_name(of.path) for of in (part, self._first[0]))
            has, other = enumerated(ours), enumerated(first)
            raise InputError(f"{here}: has columns for {has}, and {there} for {other}: give all parts the same ones")
        self.odd = np.concatenate([self.odd, seen.odd])
        self.weights += seen.weights
        for note in seen.notes:
            self._notes.setdefault(note, []).append(part)
        for note, numbers in seen.counts.items():
            before = self.counts.get(note, (0,) * len(numbers))
            self.counts[note] = tuple(map(sum, zip(before, numbers, strict=True)))

    def like(self, like: Problem) -> Problem:
        """Return a problem whose points show what those of all parts are like."""
        if not len(self.odd):
            return like
        return like.replace(angles=odd_angles(like, self.odd), logits=None, labels=None)

    def notes(self, name: str) -> list[str]:
        """Return the notes; `name` is what messages call all parts together."""
        said = [f"{name if len(of) == self._parts else _some(of)} {note}" for note, of in self._notes.items()]
        return [*said, *(f"{name} {note}" for note in counted_notes(self.counts))]


@final
@dataclass(frozen=True)
class Summed:
    """What a part adds to the sums, and what the user should know about it."""

    sums: Partial
    seen: Seen


def sums_of(part: Part, watch: Watch = unwatched, *, like: Problem, options: ReadingOptions) -> Summed:
    """Return the sums of the points of a part; `watch` is told how many bytes are done."""
    sums, odd, weights, last = Partial(), np.empty(0), Counts(), None

    def blocks() -> Iterator[Source]:
        nonlocal last
        for block in blocks_of(part, options, watch):
            last = block
            yield block

    def summed_block(block: Source) -> tuple[Partial, FloatArray, Counts]:
        counts = Counts() if block.weights is None else Counts.of(block.weights)
        return partial_sums(like, block.angles, logits_of(block)), odd_angles(like, block.angles), counts

    for of_block, odd_of_block, weights_of_block in ahead(summed_block, blocks()):
        sums += of_block
        weights += weights_of_block
        odd = odd_angles(like, np.concatenate([odd, odd_of_block]))
    assert last is not None  # a part has a block, if without rows
    return Summed(sums, Seen.of(last, odd, weights))


def odd_angles(like: Problem, angles: FloatArray) -> FloatArray:
    """Return the few angles that `Seen.odd` is."""
    if like.settings.circumference is None or not len(angles):
        return np.empty(0)
    fractions = np.flatnonzero(angles != np.rint(angles))[:1]
    return np.asarray(angles[[np.abs(angles).argmax(), *fractions]])


def ahead(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield what a function returns for each item, in their order; threads compute it while the next items are read.

    One item for each thread is in memory, and the one that was read last.
    """
    threads = threads_of(_MOST_THREADS)
    waiting = deque[Future[_Result]]()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(copy_context().run, function, item))  # its messages speak as those here
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C what waits is not computed any more


def logits_of(block: Source) -> FloatArray:
    """Return the logits of a block, all 0 where there are none."""
    return np.zeros(len(block.angles)) if block.logits is None else block.logits


def gradients_to(
    stream: IO[bytes],
    part: Part,
    watch: Watch = unwatched,
    *,
    whole: Whole,
    options: ReadingOptions,
    wrt: tuple[str, ...],
) -> Tally:
    """Write the points of a part with their gradients, in the part's own format, and return what they come to."""
    tally = Tally()

    def blocks() -> Iterator[dict[str, Any]]:
        nonlocal tally
        for columns, found in ahead(partial(_columns, whole=whole, wrt=wrt), blocks_of(part, options, watch)):
            tally += found
            yield columns

    each = blocks()
    first = next(each)  # names the columns

    def values() -> Iterator[Block]:  # can be called once, and CSV and Parquet ask once
        yield tuple(first.values())
        yield from (tuple(columns.values()) for columns in each if len(columns["angle"]))  # the last may be empty

    write_rows(Table("points", tuple(first), values), stream, part.format)
    return tally


def write_rows(table: Table, stream: IO[bytes], format_: str) -> None:
    """Write the rows of a part in one of the formats of parts."""
    if format_ == "parquet":
        as_parquet.write(table, stream)
    else:
        stream.writelines(piece.encode() for piece in as_csv.text(table, "\t" if format_ == "tsv" else ","))


def write_gradients(
    part: Part, watch: Watch = unwatched, *, folder: str, whole: Whole, options: ReadingOptions, wrt: tuple[str, ...]
) -> Tally:
    """Write a part with its gradients to a folder, whole or not at all, and return what they come to."""
    with output.replacing(os.path.join(folder, part.name)) as stream:
        return gradients_to(stream, part, watch, whole=whole, options=options, wrt=wrt)


def _columns(block: Source, whole: Whole, wrt: tuple[str, ...]) -> tuple[dict[str, Any], Tally]:
    """Return the columns of ``grad`` for a block, and what the gradients come to."""
    logits = logits_of(block)
    found = whole.gradients(block.angles, logits, wrt)
    columns: dict[str, Any] = {"angle": block.angles, "logit": logits}
    if block.labels is not None:
        columns["label"] = Texts(block.labels, np.arange(len(block.labels)))
    columns |= measured_columns(whole.weights(logits), found)
    return without_infinities(columns), Tally.of(found, whole.input_rounding(block.angles, found.responsibilities))


def summed(
    parts: Sequence[Part],
    like: Problem,
    options: ReadingOptions,
    engine: Engine,
    watch: Watch,
    name: str,
    *,
    needs_labels: bool = True,
) -> tuple[Whole, SeenOfParts]:
    """Return the problem of all parts, and what was seen of them; `name` is what messages call all of them together.

    `needs_labels` is that of `SeenOfParts`. The points of `Whole.like` are angles that show what all of them are like.

    Raises
    ------
    InputError
        If parts have other columns than the rest, or all together no point of positive weight.
    """
    sums, seen = Partial(), SeenOfParts(needs_labels=needs_labels)
    each = engine.each(partial(sums_of, like=like, options=options), parts, watch)
    for part, found in zip(parts, each, strict=True):
        seen.add(part, found.seen)
        sums += found.sums
    if sums.totals is None:
        raise InputError(f"{name}: {NO_WEIGHT if sums.points else no_points(seen.counts)}")
    return Whole(seen.like(like), sums), seen


def _some(parts: Sequence[Part]) -> str:
    """Return what messages call some of the parts."""
    others = f" (and {counted(len(parts) - 1, 'other part')})" if len(parts) > 1 else ""
    return files.display_name(parts[0].path) + others


def no_points(counts: Mapping[str, tuple[int, ...]]) -> str:
    """Return what is said of parts without any point."""
    if any(numbers[0] for numbers in counts.values()):
        return f"no points are left (it {' and '.join(counted_notes(counts))})"
    return "has no points: write a row for each"
