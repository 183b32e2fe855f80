"""How long a command takes to start, beside the bare import of what it stands on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.timing import medians
from tests.readme import ROOT

ROUNDS = 21
PAIRS = (
    (
        "kdegrad loss",
        ["-m", "kdegrad", "loss", "sample_inputs/two_sided.yaml"],
        "import numpy, typer, rich.table, yaml",
        1.35,
    ),
    ("kdegrad --help", ["-m", "kdegrad", "--help"], "import typer, rich.table", 1.6),
)


def lines() -> Iterator[str]:
    """Yield the start-up times, their bare imports, and the ratio against its limit."""
    yield "start-up, median of a run as a process"
    for name, arguments, imports, limit in PAIRS:
        seconds = medians({"ours": partial(_run, *arguments), "bare": partial(_run, "-c", imports)}, ROUNDS)
        ratio = seconds["ours"] / seconds["bare"]
        yield (
            f"  {name:16} {seconds['ours'] * 1e3:5.0f} ms   {imports:38} {seconds['bare'] * 1e3:5.0f} ms"
            f"   ratio {ratio:.2f} (limit {limit})"
        )


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
