"""What several test modules share: the command line, run in this process, and how hypothesis draws.

Hypothesis draws the same examples in every run, so that a green commit stays green; KDEGRAD_EXPLORE=1 draws new ones.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable

import pytest
from hypothesis import settings

from kdegrad import cli

settings.register_profile("steady", derandomize=True)
if not os.environ.get("KDEGRAD_EXPLORE"):
    settings.load_profile("steady")


class Run:
    """What a command did: exit code, standard output, standard error."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: object) -> None:
        capfd.readouterr()
        self.code = cli.run([str(argument) for argument in arguments])
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
