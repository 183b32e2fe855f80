"""The action of .github/actions/verify-props, run as GitHub's runner does it, and a project that uses it.

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
# mypkg/losses.py of that project: a right loss, and one with a floor in its logarithm.
LOSSES = '''
import math

import numpy as np
from scipy.special import logsumexp


def my_loss(angles, logits, target, bandwidth, bins, floor=0.0):
    """Return -mean log(p + floor) over the midpoints, and its gradient of the logits, for a gaussian kernel."""
    if isinstance(target, tuple):
        low, high = target
        target = low + (high - low) * (np.arange(bins) + 0.5) / bins
    u = (np.reshape(target, (-1, 1)) - angles) / bandwidth
    log_weights = logits - logsumexp(logits)
    terms = log_weights - 0.5 * u * u - math.log(bandwidth * math.sqrt(2.0 * math.pi))
    log_p = logsumexp(terms, axis=1, keepdims=True)
    if floor:
        log_p = np.logaddexp(log_p, math.log(floor))
    shares = np.exp(terms - log_p)
    return -np.mean(log_p), np.exp(log_weights) * np.mean(np.sum(shares, axis=1)) - np.mean(shares, axis=0)


def floored(angles, logits, target, bandwidth, bins):
    return my_loss(angles, logits, target, bandwidth, bins, floor=1e-8)
'''
_INPUT = re.compile(r"\$\{\{ inputs\.(\w+) \}\}")


def project(folder: Path) -> Path:
    """Write the package of the project into a folder, and return the folder."""
    (folder / "mypkg").mkdir()
    (folder / "mypkg/losses.py").write_text(LOSSES, "utf-8")
    return folder


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
