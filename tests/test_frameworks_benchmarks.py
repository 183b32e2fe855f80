"""Pins down what the benchmarks of training compare: kdegrad and a formula by hand that give the same for every kernel.

The table of a GPU is made on the CPU here, by the operations on tensors.
"""

from __future__ import annotations

import pytest

import kdegrad as kg
from tests.benchmarks import gpu, training
from tests.benchmarks.batches import Shape
from tests.benchmarks.peers import TORCH_KERNELS

torch = pytest.importorskip("torch", reason="torch is not installed")
SHAPE = Shape(3, 64, 12)


def test_all_kernels_are_compared() -> None:
    assert set(TORCH_KERNELS) == {kernel.name for kernel in kg.kernels()}


@pytest.mark.parametrize("kernel", TORCH_KERNELS)
def test_losses_and_gradients_by_hand_are_those_of_kdegrad(kernel: str) -> None:
    ours, by_hand = (task() for task in training.tasks(SHAPE, kernel, "float64").values())
    assert ours[0].isfinite().all()
    assert training.largest_error(ours, by_hand) < 1e-11


def test_a_gpu_has_a_row_for_each_kernel() -> None:
    from kdegrad.torch.operator import losses_and_gradients

    with losses_and_gradients.set_kernel_enabled("cpu", False):  # as on a GPU, by operations on tensors
        rows = [line for line in gpu.lines("cpu", SHAPE) if line.startswith("| ")][1:]
    assert [row.split()[1] for row in rows] == list(TORCH_KERNELS)
    assert not any("nan" in row or "does not fit" in row for row in rows)
