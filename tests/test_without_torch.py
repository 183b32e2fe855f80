"""Pins down what holds without PyTorch: nothing but kdegrad.torch asks for it, and that says how to install it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdegrad.cli import app
from tests.readme import ROOT

MESSAGE = "kdegrad.torch needs PyTorch: pip install 'kdegrad[torch]'"
EVERYTHING_ELSE = """
import sys
import kdegrad as kg
from kdegrad.cli import app

for name in kg.__all__:
    getattr(kg, name)
for line in ("--help", "loss", "verify-props --cases 0 --only unit", "verify-props --loss mine:loss --cases 1"):
    app.run(line.split())
print([name for name in sys.modules if name.startswith(("torch", "kdegrad.torch"))])
"""


@pytest.fixture
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("kdegrad.torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed


def test_nothing_else_imports_torch(tmp_path: Path) -> None:
    """There is a module of that name, so that an import inside try would be seen too."""
    (tmp_path / "torch.py").touch()
    (tmp_path / "mine.py").write_text("def loss(angles, logits, target): return float((angles * logits).sum())\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING_ELSE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Judged mine:loss" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("_no_torch")
def test_the_import_says_what_to_install() -> None:
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module("kdegrad.torch")
    assert (str(error.value), error.value.name) == (MESSAGE, "torch")


@pytest.mark.usefixtures("_no_torch")
@pytest.mark.parametrize("backend", [[], ["--backend", "torch"]])
@pytest.mark.parametrize(
    ("loss", "place"), [("kdegrad.torch:kde_cross_entropy", ""), ("mine:loss", " (mine.py, line 2)")]
)
def test_the_command_says_it_in_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], loss: str, place: str, backend: list[str]
) -> None:
    (folder / "mine.py").write_text("\nfrom kdegrad.torch import kde_cross_entropy as loss\n")
    assert app.run(["verify-props", "--loss", loss, "--kernel", "laplace", "--bandwidth", "1", *backend]) == 2
    assert tuple(capfd.readouterr()) == ("", f"error: --loss: {MESSAGE}{place}\n")
