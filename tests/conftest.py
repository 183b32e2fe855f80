"""Shared by several test modules: the command run in this process, and the settings of hypothesis.

Hypothesis draws the same examples in every run, so that results can be repeated; KDEGRAD_EXPLORE=1 draws new ones.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kdegrad.cli import app
from kdegrad.text import speaking_of_flags

for name in (
    "COLUMNS",
    "FORCE_COLOR",
    "NO_COLOR",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_WORKSPACE",
):  # a CI may set them
    os.environ.pop(name, None)
settings.register_profile("steady", derandomize=True)
if not os.environ.get("KDEGRAD_EXPLORE"):
    settings.load_profile("steady")


COMMAND = str(Path(sys.executable).with_name("kdegrad"))  # as installed


def installed(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the installed command in its own process; `options` are those of `subprocess.run`."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.run([COMMAND, *map(str, arguments)], check=False, **streams | options)  # type: ignore[call-overload]


class Run:
    """The result of a command: exit code, standard output, standard error."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: object) -> None:
        capfd.readouterr()
        self.code = app.run([str(argument) for argument in arguments])
        self.out, self.err = capfd.readouterr()

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.out)

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


@pytest.fixture
def kdegrad(capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    return lambda *arguments: Run(capfd, *arguments)


@pytest.fixture
def speaks_of_flags() -> Iterator[None]:
    """Have messages name flags, as the command line has them."""
    with speaking_of_flags():
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
