"""Parts that change while they are read, and the blocks of rows that threads compute ahead of the one that reads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kdegrad import InputError
from kdegrad.reading.parts import blocks_of, parts_of
from kdegrad.settings import ReadingOptions
from kdegrad.streams import ahead

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

OPTIONS = ReadingOptions()
CHANGES: dict[str, Callable[[Path], None]] = {
    "touched": lambda path: os.utime(path, (1, 1)),
    "cut off": lambda path: os.truncate(path, 1_500_000),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_part_that_changes_between_two_blocks(tmp_path: Path, suffix: str, change: str) -> None:
    """Its file is open, so that its bytes may still be there, or look like those of a damaged file."""
    path, angles = tmp_path / f"part.{suffix}", np.random.default_rng(0).normal(size=200_000)
    if suffix == "csv":
        path.write_text("angle\n" + "\n".join(map(repr, angles.tolist())) + "\n")
    else:
        pq.write_table(pa.table({"angle": angles}), path, row_group_size=50_000)
    (part,) = parts_of(str(path), OPTIONS)
    blocks = blocks_of(part, OPTIONS, rows=20_000)
    next(blocks)
    CHANGES[change](path)
    with pytest.raises(
        InputError, match="is gone: " if change == "gone" else "has changed since the parts were listed"
    ):
        list(blocks)


def test_few_blocks_are_held_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    for number, item in enumerate(ahead(abs, items())):
        assert item == number
        assert len(taken) <= number + 3


def test_what_waits_is_not_computed_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = []

    def fail_first(item: int) -> None:
        time.sleep(0.02)
        done.append(item)
        if item == 0:
            raise InputError("the first")

    with pytest.raises(InputError, match="the first"):
        list(ahead(fail_first, range(100)))
    assert len(done) <= 2  # the one that was under way when the first failed
