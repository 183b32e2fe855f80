"""Run every benchmark, print its tables, and write them into this folder's README.md between its two marks.

Names of groups as arguments run only these and write nothing.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import kdegrad as kg
from tests.benchmarks import batches, files, gpu, growth, parts, peers, startup, training

PAGE = Path(__file__).with_name("README.md")
MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")
GROUPS = {
    "growth": growth,
    "peers": peers,
    "batches": batches,
    "training": training,
    "files": files,
    "parts": parts,
    "startup": startup,
    "gpu": gpu,
}
COMPARED = ("numpy", "scipy", "scikit-learn", "KDEpy", "torch", "pyarrow", "pandas", "dask")


def lines(names: list[str]) -> Iterator[str]:
    """Yield the date, the machine, the versions and the tables of the named groups."""
    today = datetime.datetime.now(datetime.UTC).date()
    yield f"Measured on {today} on {_processor()}, {os.cpu_count()} cores, {platform.system()}."
    yield "Medians of one run; least times where the title says so."
    yield f"kdegrad {kg.__version__}, Python {platform.python_version()}, {', '.join(_versions())}."
    yield ""
    for name in names:
        yield from GROUPS[name].lines()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            found = re.search(r"model name\s*: (.*)", info.read())
        return found.group(1) if found else platform.machine()
    except OSError:
        return platform.machine()


def _versions() -> Iterator[str]:
    for name in COMPARED:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"no {name}"


def written(page: str, tables: str) -> str:
    """Return the page with the text between its marks replaced by `tables`."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return before + MARKS[0] + tables + MARKS[1] + after


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # commands are timed as they run from the second time on
    chosen = sys.argv[1:] or list(GROUPS)
    printed = []
    for line in lines(chosen):
        print(line, flush=True)
        printed.append(line + "\n")
    if not sys.argv[1:]:
        PAGE.write_text(written(PAGE.read_text("utf-8"), "".join(printed)), "utf-8")
