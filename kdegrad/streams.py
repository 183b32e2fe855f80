"""A table in parts, each a file: what is done with one part, and what all of them come to.

    parts → `sums_of` each → their sum → `Whole` → `gradients_to` each → a file for each part, and a `Tally`

One block of rows is in memory at a time. The functions that work on one part take and return plain data, so that a
machine of a cluster can run them: who maps them over the parts is an `Engine`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Protocol, TypeVar, final

import numpy as np

from kdegrad import output
from kdegrad.arrays import FloatArray, Texts
from kdegrad.errors import InputError
from kdegrad.parts import Partial, Tally, Whole, partial_sums
from kdegrad.problem import Problem
from kdegrad.reading.parts import Part, blocks_of
from kdegrad.reading.points import Source
from kdegrad.reports import as_csv, as_parquet
from kdegrad.reports.records import Block, Table, without_infinities
from kdegrad.settings import ReadingOptions

_Result = TypeVar("_Result")


class Engine(Protocol):
    """What runs a function for each part."""

    def each(
        self, function: Callable[[Part], _Result], parts: Sequence[Part], watch: Callable[[int], None]
    ) -> Iterator[_Result]:
        """Yield what the function returns for each part, in their order; `watch` is told the bytes of each one done."""
        ...


@final
class InTurn:
    """One part after the other, in this process."""

    def each(
        self, function: Callable[[Part], _Result], parts: Sequence[Part], watch: Callable[[int], None]
    ) -> Iterator[_Result]:
        for part in parts:
            found = function(part)
            watch(part.size)
            yield found


@final
@dataclass(frozen=True)
class Summed:
    """What a part adds to the sums, and what the user should know about it."""

    sums: Partial
    columns: tuple[bool, bool, bool]  # whether it has logits, weights, labels: in all parts the same
    notes: tuple[str, ...]


def sums_of(part: Part, like: Problem, options: ReadingOptions) -> Summed:
    """Return the sums of the points of a part."""
    sums, last = Partial(), None
    for block in blocks_of(part, options):
        sums += partial_sums(like, block.angles, logits_of(block))
        last = block
    assert last is not None  # a part has a block, if without rows
    columns = last.logits is not None, last.weights is not None, last.labels is not None
    return Summed(sums, columns, last.notes)


def logits_of(block: Source) -> FloatArray:
    """Return the logits of a block, all 0 where there are none."""
    return np.zeros(len(block.angles)) if block.logits is None else block.logits


def gradients_to(stream: IO[bytes], part: Part, whole: Whole, options: ReadingOptions, wrt: tuple[str, ...]) -> Tally:
    """Write the points of a part with their gradients, in the part's own format, and return what they come to."""
    tally = Tally()

    def blocks() -> Iterator[dict[str, Any]]:
        nonlocal tally
        for block in blocks_of(part, options):
            columns, found = _columns(block, whole, wrt)
            tally += found
            yield columns

    each = blocks()
    first = next(each)

    def values() -> Iterator[Block]:
        yield tuple(first.values())
        yield from (tuple(columns.values()) for columns in each)

    table = Table("points", tuple(first), values)
    if part.format == "parquet":
        as_parquet.write(table, stream)
    else:
        stream.writelines(piece.encode() for piece in as_csv.text(table, "\t" if part.format == "tsv" else ","))
    return tally


def write_gradients(part: Part, folder: str, whole: Whole, options: ReadingOptions, wrt: tuple[str, ...]) -> Tally:
    """Write a part with its gradients to a folder, whole or not at all, and return what they come to."""
    with output.replacing(os.path.join(folder, part.name)) as stream:
        return gradients_to(stream, part, whole, options, wrt)


def _columns(block: Source, whole: Whole, wrt: tuple[str, ...]) -> tuple[dict[str, Any], Tally]:
    """Return the columns of ``grad`` for a block, and what the gradients come to."""
    logits = logits_of(block)
    found = whole.gradients(block.angles, logits, wrt)
    columns: dict[str, Any] = {"angle": block.angles, "logit": logits}
    if block.labels is not None:
        columns["label"] = Texts(block.labels, np.arange(len(block.labels)))
    columns |= {
        "weight": whole.weights(logits),
        "responsibility": found.responsibilities,
        "gradient": found.logits,
        "gradient_per_weight": found.per_weight,
    }
    if found.angles is not None:
        columns["gradient_angle"] = found.angles
    return without_infinities(columns), Tally.of(found, whole.input_rounding(block.angles, found.responsibilities))


def summed(
    parts: Sequence[Part], like: Problem, options: ReadingOptions, engine: Engine, watch: Callable[[int], None]
) -> tuple[Whole, tuple[str, ...]]:
    """Return the problem of all parts, and the notes; `watch` is told how many bytes are done."""
    sums, notes, first = Partial(), dict[str, None](), None
    each = engine.each(partial(sums_of, like=like, options=options), parts, watch)
    for part, found in zip(parts, each, strict=True):
        first = first or (part, found.columns)
        if found.columns != first[1]:
            raise InputError(f"{part.path}: has other columns than {first[0].path}: give all parts the same ones")
        sums += found.sums
        notes |= dict.fromkeys(found.notes)
    whole = Whole(like, sums)
    return whole, tuple(notes)
