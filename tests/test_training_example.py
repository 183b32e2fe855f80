"""The example that trains, in short: kdegrad's loss falls, and the same loss by hand with a floor never moves.

It needs PyTorch, which `make test-frameworks` installs; without it these tests are skipped.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-frameworks")

from sample_inputs import training  # noqa: E402  # it imports torch

STEPS, COUNT = 80, 300
CEILING = -math.log(1e-8)


def test_the_loss_falls_to_two_heads_and_again_in_the_same_way() -> None:
    network, course = training.train(training.right_loss, STEPS, COUNT)
    assert course[0][1] > 100.0
    assert course[0][2] > 60.0
    least = math.log(2.0) + math.log(training.BANDWIDTH * math.sqrt(2.0 * math.pi))  # of two heads that hit all bars
    assert least < course[-1][1] < least + 0.5
    assert course[-1][2] < 4.0
    with torch.no_grad():
        angles, logits = network(training.bars(COUNT, seed=2)[0])
    weights = torch.softmax(logits, dim=-1)
    for low in (60.0, -120.0):  # up, and down
        assert 0.3 < float((weights * (angles > low) * (angles < low + 60.0)).sum(dim=-1).mean()) < 0.7
    assert training.train(training.right_loss, 20, COUNT)[1] == course[:11]


def test_with_a_floor_nothing_moves() -> None:
    network, course = training.train(training.floored_loss, STEPS, COUNT)
    assert [loss for _, loss, _ in course] == pytest.approx([CEILING] * len(course), rel=1e-6)
    torch.manual_seed(0)
    pairs = zip(network.parameters(), training.Heads().parameters(), strict=True)
    assert max(float((end - start).detach().abs().max()) for end, start in pairs) < 1e-9  # the right one's are at 0.08


def test_the_floor_is_the_only_difference() -> None:
    """In float64, as in float32 the density by hand is 0 far out: without a floor its loss is infinite at the start."""
    images, directions = training.bars(COUNT, seed=1)
    torch.manual_seed(0)
    start = training.Heads()(images)
    assert training.floored_loss(*start, directions, floor=0.0).isinf()
    exact = [values.detach().double().requires_grad_() for values in start]
    right = training.right_loss(*exact, directions.double())
    by_hand = training.floored_loss(*exact, directions.double(), floor=0.0)
    torch.testing.assert_close(right, by_hand, rtol=1e-12, atol=0.0)
    for own, other in zip(torch.autograd.grad(right, exact), torch.autograd.grad(by_hand, exact), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-12)


def test_it_prints_a_table_and_draws_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "STEPS", 4)
    file = tmp_path / "course.svg"
    training.main(["--plot", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["0", "129.48", "80.81", "18.42", "80.81"]
    texts = {text for element in ET.parse(file).iter() if (text := (element.text or "").strip())}
    assert {"loss (nats)", "median error (degrees)", "step of Adam", "18.42 = -log 1e-8"} <= texts
