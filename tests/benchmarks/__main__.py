"""Run every benchmark, print its tables, and write them into the README between its two marks."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator

import numpy as np

from tests.benchmarks import files, growth, peers, startup
from tests.readme import README

MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")
GROUPS = {"growth": growth, "peers": peers, "files": files, "startup": startup}


def lines(names: list[str]) -> Iterator[str]:
    """Yield the machine and the tables of the named groups."""
    yield f"Python {platform.python_version()}, NumPy {np.__version__}, {_processor()}, medians of one run."
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


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(GROUPS)
    printed = []
    for line in lines(chosen):
        print(line, flush=True)
        printed.append(line)
    text = README.read_text("utf-8")
    if not sys.argv[1:] and all(mark in text for mark in MARKS):
        before, rest = text.split(MARKS[0])
        README.write_text(before + MARKS[0] + "\n".join(printed) + rest[rest.index(MARKS[1]) :], "utf-8")
