"""How long a command takes to start, beside the mere import of its dependencies."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial

from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import medians
from tests.readme import ROOT

ROUNDS = 21
PAIRS = (
    (
        "kdegrad loss, CSV",
        ["loss", "TWO_POINTS", "--target", "-30", "30"],
        "import numpy, typer, rich.table, yaml",
        1.35,
    ),
    ("kdegrad loss, YAML", ["loss", "sample_inputs/two_sided.yaml"], "import numpy, typer, rich.table, yaml", 1.35),
    ("kdegrad --help", ["--help"], "import typer, rich.table", 1.6),
)


def lines() -> Iterator[str]:
    """Yield the start-up times beside those of the imports, and the ratio beside its limit."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as two_points:
        two_points.write("angle,logit\n-75,0.4\n50,-0.2\n")
        two_points.flush()
        rows = [_row(*pair, two_points.name) for pair in PAIRS]
    yield from table("Start-up of a process", ("command", "time", "beside", "time", "ratio", "aim"), rows)


def _row(name: str, arguments: list[str], imports: str, limit: float, two_points: str) -> tuple[str, ...]:
    ours = [two_points if argument == "TWO_POINTS" else argument for argument in arguments]
    tasks = {"ours": partial(_run, "-m", "kdegrad", *ours), "bare": partial(_run, "-c", imports)}
    taken = medians(tasks, ROUNDS)
    ratio = f"{taken['ours'] / taken['bare']:.2f}"
    return name, seconds(taken["ours"]), imports, seconds(taken["bare"]), ratio, str(limit)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
