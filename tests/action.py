"""The action of .github/actions/verify-props, run as GitHub's runner does it.

A step's text is a file that its shell runs; its environment variables hold what the expressions ``${{ inputs.NAME }}``
stand for; GITHUB_ACTION_PATH is the action's folder in a checkout of the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.readme import ROOT

FOLDER = ".github/actions/verify-props"
SHELLS = {"bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"), "python": ("python",)}
_INPUT = re.compile(r"\$\{\{ inputs\.(\w+) \}\}")


class Action:
    """The action in a checkout: its inputs and its two steps."""

    def __init__(self, checkout: Path = ROOT) -> None:
        self.folder = checkout / FOLDER
        self.text = (self.folder / "action.yml").read_text("utf-8")
        data = yaml.safe_load(self.text)
        self.defaults: dict[str, str] = {name: given["default"] for name, given in data["inputs"].items()}
        self.steps: list[dict[str, Any]] = data["runs"]["steps"]
        self.install, self.check = self.steps

    def run(
        self, step: dict[str, Any], inputs: Mapping[str, object], folder: Path, path: Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a step in `folder`, with the commands in `path` first."""
        assert inputs.keys() <= self.defaults.keys(), inputs
        values = self.defaults | {name: str(value) for name, value in inputs.items()}
        environment = {name: _INPUT.sub(lambda found: values[found[1]], text) for name, text in step["env"].items()}
        search = os.pathsep.join([str(path), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment |= {"GITHUB_ACTION_PATH": str(self.folder), "PATH": search}
        with tempfile.TemporaryDirectory() as name:
            script = Path(name) / "step"
            script.write_text(step["run"], "utf-8")
            return subprocess.run(
                [*SHELLS[step["shell"]], script], cwd=folder, env=os.environ | environment | variables, check=False,
                text=True, encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
