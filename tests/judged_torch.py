"""`verify-props` on kdegrad.torch with every kernel, by make check: ``python -m tests.judged_torch float64``.

It judges what runs on the CPU, on the line where the kernel is one of the line, and on the circle the operations on
tensors that run on a GPU. One process judges all kernels, since importing PyTorch takes longer than judging one.
"""

from __future__ import annotations

import sys
from typing import Final

import kdegrad as kg
from kdegrad.cli import app

LOSSES: Final = {"kdegrad.torch:kde_cross_entropy": "line", "tests.losses.tensors_torch:on_tensors": "circle"}
GRADIENTS: Final = "logits,angles,bandwidth"
CASES: Final = 3  # random problems for each; the tests compare more of them with the library


def main(dtype: str) -> int:
    """Judge each loss with each kernel, those of the line on the line; print each command, and what it finds."""
    failed = 0
    for loss, domain in LOSSES.items():
        for kernel in kg.kernels():
            circular = [] if domain == "line" in kernel.domains else ["--circular"]
            declared = f"--kernel {kernel.name} --bandwidth 10 --dtype {dtype} --wrt {GRADIENTS}".split()
            command = ["verify-props", "--loss", loss, "--backend", "torch", "--batched", *declared, *circular]
            print(*command, flush=True)
            failed = max(failed, app.run([*command, "--cases", str(CASES), "--format", "github"]))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
