"""A million rows in and out: ``kdegrad grad --format csv --output`` beside pyarrow, which reads and writes them too."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.peers import swarm
from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import medians

ROWS = 1_000_000


def lines() -> Iterator[str]:
    """Yield the table, or nothing without pyarrow."""
    if not find_spec("pyarrow"):
        yield "(pyarrow is not installed: reading and writing are not compared)"
        return
    import pyarrow.csv

    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder) / name for name in ("points.csv", "ours.csv", "theirs.csv"))
        angles, logits = swarm(ROWS)
        source.write_text(
            "angle,logit\n" + "".join(f"{a!r},{z!r}\n" for a, z in zip(angles.tolist(), logits.tolist(), strict=True))
        )
        command = [
            "grad",
            str(source),
            "--target",
            "-30",
            "30",
            "--bandwidth",
            "10",
            "--format",
            "csv",
            "--output",
            str(ours),
        ]
        run = partial(subprocess.run, [sys.executable, "-m", "kdegrad", *command], check=True)
        run()
        result = pyarrow.csv.read_csv(ours)

        def arrow() -> None:
            pyarrow.csv.read_csv(source)
            pyarrow.csv.write_csv(result, theirs)

        taken = medians({"kdegrad, the whole command": run, "pyarrow, read and write": arrow}, 3)
    base = taken["pyarrow, read and write"]
    rows = [(name, seconds(time), f"{time / base:.2f}") for name, time in taken.items()]
    yield from table(f"{ROWS:,} rows of CSV in, six columns out", ("by", "time", "ratio"), rows)
