"""Pins down the lines of Python that show a failure: pasted, they call the loss on the very same numbers."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdegrad.properties.losses import Loss, imported

ANGLES, LOGITS, TARGET = np.array([1.0, 2.0, 4.0]), np.array([0.5, -0.25, 0.0]), (-1.0, 1.0)


PASTED = """
import math
import numpy as np

def summed(angles, logits, target, *, bandwidth, kernel="laplace"):
    assert angles.dtype == np.dtype(DTYPE) and kernel == "gaussian"
    top = logits[np.isfinite(logits)].sum()
    return float(angles.sum() + top + 10 * target[0] + 100 * bandwidth), logits

class Kind:
    def __call__(self, angles, logits, target):
        return float(angles.sum())
"""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_lines_to_paste_print_the_same_loss(folder: Path, dtype: str) -> None:
    (folder / "pasted.py").write_text(PASTED.replace("DTYPE", repr(dtype)))
    function, name = imported("pasted:summed")
    loss = Loss(function, name=name, dtype=dtype)
    rng = np.random.default_rng(0)
    angles = (1e3 * rng.standard_normal(5)).astype(dtype).astype(float)
    logits = np.array([1.0 / 3.0, -np.inf, 1e-30, -2.5, 0.1]).astype(dtype).astype(float)
    options = {"bandwidth": np.float64(2.5), "kernel": "gaussian", "bins": 3}
    text = loss.example(angles, logits, (np.float64(-0.5), 1.0), options, "1.5")
    lines = text.split("\n")
    assert lines[0] == "import numpy as np; from pasted import summed"
    assert "-np.inf, 1e-30, -2.5" in lines[1]
    assert lines[2] == "print(summed(angles, logits, (-0.5, 1.0), bandwidth=2.5, kernel='gaussian'))  # right: 1.5"
    shown = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"({loss(angles, logits, (-0.5, 1.0), options).loss!r}, array(")
    namespace: dict[str, Any] = {}
    exec("\n".join(lines[:2]), namespace)  # the very numbers, not only their sum
    assert namespace["angles"].tolist() == angles.tolist()
    assert namespace["logits"].tolist() == logits.tolist()


def test_digits_are_the_fewest_that_read_back() -> None:
    loss = Loss(lambda angles, logits, target: 0.0, name="", dtype="float32")
    text = loss.example(np.array([np.float32(0.1), np.float32(1e20)]), np.array([np.nan, np.inf]), 0.25, {}, "0")
    assert text.split("\n") == [
        "import numpy as np",
        "angles, logits = np.array([0.1, 1e+20], dtype=np.float32), np.array([np.nan, np.inf], dtype=np.float32)",
        "print(my_loss(angles, logits, 0.25))  # right: 0",
    ]


def test_the_name_in_the_lines_to_paste(folder: Path) -> None:
    (folder / "pasted.py").write_text(PASTED)
    imported("pasted:summed")
    pasted = importlib.import_module("pasted")

    def local(angles: Any, logits: Any, target: Any) -> float:
        return 0.0

    def lines(function: Any, name: str = "mine") -> tuple[str, str]:
        first, _, last = Loss(function, name=name).example(ANGLES, LOGITS, TARGET, {}, "0").split("\n")
        return first.removeprefix("import numpy as np").removeprefix("; "), last.split("(angles")[0]

    assert lines(pasted.Kind) == ("from pasted import Kind", "print(Kind()")
    assert lines(pasted.Kind, "pasted:Kind") == ("from pasted import Kind", "print(Kind()")
    assert lines(pasted.summed) == ("from pasted import summed", "print(summed")
    assert lines(pasted.Kind(), "pasted:kind.mine") == ("from pasted import kind", "print(kind.mine")
    assert lines(pasted.Kind()) == ("", "print(Kind")
    assert lines(local) == ("", "print(local")
    assert lines(functools.partial(local)) == ("", "print(partial")
