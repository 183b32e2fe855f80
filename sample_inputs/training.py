"""Mixture heads that learn angles, twice: with kdegrad's loss, and with the same loss by hand and a floor of 1e-8.

    python -m sample_inputs.training                     # a table of both courses
    python -m sample_inputs.training --plot course.svg   # and their picture

An image shows a bar that is upright within 20 degrees. The bar points up or down, which the image does not show: of the
eight heads of the network, an angle and a logit each, two have to find the two ways. As in most new networks all heads
start near 0: here that is more than ten bandwidths from every target. Data, network, seed, optimizer and steps are the
same in both runs: only the floor differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch

from kdegrad.torch import kde_cross_entropy

SIDE, HEADS = 16, 8  # pixels; an angle and a logit each
BANDWIDTH = 5.0  # degrees
STEPS, BATCH = 200, 100
FLOORED = "-log(p + 1e-8)"
Row = tuple[int, float, float]


def bars(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of bars, and where each bar points to, in degrees: 70 to 110, or -110 to -70."""
    random = torch.Generator().manual_seed(seed)
    upward = 90.0 + 20.0 * (2.0 * torch.rand(count, generator=random) - 1.0)
    points_down = torch.rand(count, generator=random) < 0.5
    angle = torch.deg2rad(upward)[:, None, None]
    x, y = torch.linspace(-1.0, 1.0, SIDE), torch.linspace(1.0, -1.0, SIDE)[:, None]
    across = y * torch.cos(angle) - x * torch.sin(angle)  # how far a pixel is from the axis of the bar
    noise = torch.randn(count, SIDE, SIDE, generator=random)
    return torch.exp(-0.5 * (across / 0.15) ** 2) + 0.1 * noise, torch.where(points_down, upward - 180.0, upward)


class Heads(torch.nn.Module):
    """Images to angles in degrees and their logits, each (..., HEADS)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(SIDE * SIDE, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2 * HEADS)
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angles, logits = self.layers(images).chunk(2, dim=-1)
        return torch.rad2deg(angles), logits


def right_loss(angles: torch.Tensor, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return kde_cross_entropy(angles, logits, target, kernel="gaussian", bandwidth=BANDWIDTH, circular=True)


def floored_loss(angles: torch.Tensor, logits: torch.Tensor, target: torch.Tensor, floor: float = 1e-8) -> torch.Tensor:
    d = torch.remainder(target[:, None] - angles + 180.0, 360.0) - 180.0  # the shorter way round
    kernel = torch.exp(-0.5 * (d / BANDWIDTH) ** 2) / (BANDWIDTH * (2.0 * torch.pi) ** 0.5)
    density = (torch.softmax(logits, dim=-1) * kernel).sum(dim=-1)
    return -torch.log(density + floor).mean()


def median_error(angles: torch.Tensor, logits: torch.Tensor, target: torch.Tensor) -> float:
    """Return the median angle, over the images, between the bar, up or down, and the head of the largest weight."""
    heaviest = angles.gather(-1, logits.argmax(dim=-1, keepdim=True))[:, 0]
    return float((torch.remainder(heaviest - target + 90.0, 180.0) - 90.0).abs().median())


def train(loss_of: Callable[..., torch.Tensor], steps: int, count: int = 1000) -> tuple[Heads, list[Row]]:
    """Return the trained network; and step, loss and median error, of other images than it is trained with."""
    images, directions = bars(count, seed=1)
    others, answers = bars(count, seed=2)
    torch.manual_seed(0)
    network = Heads()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rows = []
    for step in range(steps + 1):
        if step % 2 == 0:
            with torch.no_grad():
                found = network(others)
            rows.append((step, float(loss_of(*found, answers)), median_error(*found, answers)))
        batch = torch.randint(count, (BATCH,))
        loss = loss_of(*network(images[batch]), directions[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network, rows


def heaviest_heads(network: Heads) -> str:
    """Return the mean weights of the two heads that weigh most, and their median angles."""
    with torch.no_grad():
        angles, logits = network(bars(1000, seed=2)[0])
    weights, angles = torch.softmax(logits, dim=-1).mean(dim=0), angles.median(dim=0).values
    return " and ".join(f"{weights[head]:.2f} at {angles[head]:.0f}" for head in weights.argsort(descending=True)[:2])


def draw(right: list[Row], floored: list[Row], file: str) -> None:
    """Draw both courses in the style of kdegrad's figures."""
    from matplotlib.axes import Axes

    from kdegrad.figures import save
    from kdegrad.figures.picture import Picture
    from kdegrad.figures.placing import name_ends
    from kdegrad.figures.style import PULLED, PUSHED, log_ticks

    (last, loss, error), (_, floored_end, floored_error) = right[-1], floored[-1]

    def curves(axes: Axes, column: int, names: Sequence[str]) -> None:
        axes.set_xlim(0, last)
        for rows, colour in ((right, PULLED), (floored, PUSHED)):
            axes.plot([row[0] for row in rows], [row[column] for row in rows], color=colour)
        name_ends(axes, [(last, right[-1][column]), (last, floored[-1][column])], names, (PULLED, PUSHED))

    def losses(axes: Axes) -> None:
        axes.set_yscale("log")
        axes.set_ylim(2.0, 200.0)
        log_ticks(axes.yaxis, 2.0, 200.0)
        axes.set_ylabel("loss (nats)")
        curves(axes, 1, (f"kdegrad.torch\n{loss:.2f}", f"{FLOORED}\n{floored_end:.2f} = -log 1e-8"))

    def errors(axes: Axes) -> None:
        axes.set_ylim(0.0, 95.0)
        axes.set_yticks([0, 30, 60, 90])
        axes.set_ylabel("median error (degrees)")
        curves(axes, 2, (f"kdegrad.torch\n{error:.1f}", f"{FLOORED}\n{floored_error:.1f}"))

    title = "eight heads learn where a bar points  ·  gaussian, h = 5 degrees"
    save(Picture(panels=[losses, errors], height=3.9, title=title, xlabel="step of Adam", legend=0), file)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train twice, print a table of the courses, and draw them where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m sample_inputs.training")
    parser.add_argument("--plot", metavar="FILE", help="draw the courses, as .svg, .png or .pdf")
    file = parser.parse_args(arguments).plot
    (network, right), (floored_network, floored) = (train(loss_of, STEPS) for loss_of in (right_loss, floored_loss))
    print(f"      {'kdegrad.torch':>18}{FLOORED:>20}\n step      loss   error      loss   error")
    for (step, *of_right), (_, *of_floored) in zip(right, floored, strict=True):
        if step % 20 == 0:
            print(f"{step:5}" + "".join(f"{loss:10.2f}{error:8.2f}" for loss, error in (of_right, of_floored)))
    print(f"the two heaviest heads of kdegrad.torch: {heaviest_heads(network)} degrees")
    print(f"the two heaviest heads of {FLOORED}: {heaviest_heads(floored_network)} degrees")
    if file:
        draw(right, floored, file)


if __name__ == "__main__":
    main()
