"""How long a command takes to start, beside the bare import of what it stands on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import medians
from tests.readme import ROOT

ROUNDS = 21
PAIRS = (
    ("kdegrad loss", ["loss", "sample_inputs/two_sided.yaml"], "import numpy, typer, rich.table, yaml", 1.35),
    ("kdegrad --help", ["--help"], "import typer, rich.table", 1.6),
)


def lines() -> Iterator[str]:
    """Yield the start-up times beside their bare imports, and the ratio beside its limit."""
    rows = []
    for name, arguments, imports, limit in PAIRS:
        tasks = {"ours": partial(_run, "-m", "kdegrad", *arguments), "bare": partial(_run, "-c", imports)}
        taken = medians(tasks, ROUNDS)
        ratio = taken["ours"] / taken["bare"]
        rows.append((name, seconds(taken["ours"]), imports, seconds(taken["bare"]), f"{ratio:.2f}", str(limit)))
    yield from table("Start-up of a process", ("command", "time", "beside", "time", "ratio", "limit"), rows)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
