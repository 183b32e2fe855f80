"""Alternatives on the same problem: textbook NumPy, PyTorch, and density estimators for the density.

They are written as their users write them; torch, scipy, scikit-learn and KDEpy are compared where installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np

import kdegrad as kg
from tests.benchmarks.table import seconds, table
from tests.benchmarks.timing import medians

BANDWIDTH, TARGET = 10.0, (-30.0, 30.0)
FAR = 400.0  # bandwidths between the data and the node at which the error of the density is measured


def lines() -> Iterator[str]:
    """Yield the tables of this module."""
    yield from laplace_against_peers()
    yield from kernels_against_dense()
    yield from density_estimators()


def swarm(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return angles and logits of `count` points."""
    random = np.random.default_rng(0)
    return random.normal(0.0, 60.0, count), random.normal(size=count)


def laplace_against_peers() -> Iterator[str]:
    """Yield times of the loss and all logit gradients with Laplace and 360 bins, beside the alternatives."""
    rows = []
    for count, rounds in ((1_000, 21), (20_000, 5), (100_000, 3)):
        angles, logits = swarm(count)
        tasks: dict[str, Callable[[], object]] = {
            "kdegrad": partial(kg.loss_and_grad, angles, logits, target=TARGET, bandwidth=BANDWIDTH),
            "textbook NumPy": partial(textbook, angles, logits),
        }
        if find_spec("torch"):
            tasks["PyTorch autograd, 1 thread"] = partial(torch_autograd, angles, logits, "laplace")
        if count > 20_000:
            del tasks["textbook NumPy"]  # its N·B arrays of 300 MB would measure the memory of the machine
        taken = medians(tasks, rounds)
        rows += [(f"{count:,}", name, seconds(time), f"{time / taken['kdegrad']:,.0f}") for name, time in taken.items()]
    yield from table("Loss and all logit gradients, Laplace, 360 bins", ("points", "by", "time", "ratio"), rows)


def kernels_against_dense() -> Iterator[str]:
    """Yield the same for other kernels, beside the dense sum in blocks and PyTorch."""
    rows = []
    for name in ("gaussian", "cauchy", "logistic", "von-mises", "epanechnikov"):
        for bins in (2_000, 360):
            options = {
                "target": TARGET,
                "bandwidth": BANDWIDTH,
                "bins": bins,
                "kernel": name,
                "circular": name == "von-mises",
            }
            angles, logits = swarm(100_000)
            tasks: dict[str, Callable[[], object]] = {
                "fast": partial(kg.loss_and_grad, angles, logits, **options),
                "dense": partial(kg.loss_and_grad, angles, logits, **options, sums="dense"),
            }
            if find_spec("torch") and bins == 360:
                tasks["torch"] = partial(torch_autograd, angles, logits, name)
            taken = medians(tasks, 3)
            torch_ratio = f"{taken['torch'] / taken['fast']:.0f}" if "torch" in taken else "-"
            ratio = f"{taken['dense'] / taken['fast']:.0f}"
            rows.append((name, str(bins), seconds(taken["fast"]), seconds(taken["dense"]), ratio, torch_ratio))
    header = ("kernel", "bins", "kdegrad", "its dense sum", "ratio", "PyTorch / kdegrad")
    yield from table("Other kernels, 100,000 points", header, rows)


def density_estimators() -> Iterator[str]:
    """Yield times of the density alone at 2000 nodes, beside density estimators, with the error of log p far away."""
    count = 20_000
    angles = np.clip(swarm(count)[0], -200.0, 200.0)
    near = np.linspace(*TARGET, 2_000)
    far = np.array([200.0 + FAR * BANDWIDTH])
    exact = _log_density(angles, far)
    tasks = {"kdegrad": partial(_log_density, angles, near)}
    errors = {"kdegrad": "0"}
    if find_spec("scipy"):
        from scipy.stats import gaussian_kde

        estimate = gaussian_kde(angles, bw_method=BANDWIDTH / float(np.std(angles, ddof=1)))
        tasks["scipy gaussian_kde"] = partial(estimate.logpdf, near)
        errors["scipy gaussian_kde"] = f"{abs(estimate.logpdf(far) - exact)[0]:.2g}"
    if find_spec("sklearn"):
        from sklearn.neighbors import KernelDensity

        fitted = KernelDensity(kernel="gaussian", bandwidth=BANDWIDTH, rtol=1e-12).fit(angles[:, None])
        tasks["scikit-learn KernelDensity"] = lambda: fitted.score_samples(near[:, None])
        errors["scikit-learn KernelDensity"] = f"{abs(fitted.score_samples(far[:, None]) - exact)[0]:.2g}"
    if find_spec("KDEpy"):
        from KDEpy import FFTKDE

        grid = np.linspace(-300.0, float(far[0]), 2**15)
        tasks["KDEpy FFTKDE, 32,768 nodes"] = lambda: FFTKDE(kernel="gaussian", bw=BANDWIDTH).fit(angles).evaluate(grid)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = abs(np.log(tasks["KDEpy FFTKDE, 32,768 nodes"]()[-1]) - exact[0])
        errors["KDEpy FFTKDE, 32,768 nodes"] = f"{error:.2g}"
    taken = medians(tasks, 3)
    rows = [(name, seconds(time), f"{time / taken['kdegrad']:.1f}", errors[name]) for name, time in taken.items()]
    title = f"The density alone, gaussian, {count:,} points, 2,000 nodes; error of log p at {FAR:.0f} bandwidths"
    yield from table(title, ("by", "time", "ratio", "error far out"), rows)


def _log_density(angles: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    from kdegrad.domain import Line
    from kdegrad.kernel import make_kernel
    from kdegrad.sums import make_sums

    kernel = make_kernel("gaussian", BANDWIDTH, Line())
    return make_sums("auto", kernel, angles, nodes).at_nodes(np.full(len(angles), -math.log(len(angles))))


def textbook(angles: np.ndarray, logits: np.ndarray, bins: int = 360) -> tuple[float, np.ndarray]:
    """Return loss and gradient as in a textbook, in the log domain: all pairs at once."""
    low, high = TARGET
    nodes = low + (np.arange(bins) + 0.5) * (high - low) / bins
    log_weights = logits - np.logaddexp.reduce(logits)
    exponents = log_weights - np.abs(nodes[:, None] - angles) / BANDWIDTH - math.log(2.0 * BANDWIDTH)
    peak = exponents.max(axis=1, keepdims=True)
    log_density = peak[:, 0] + np.log(np.exp(exponents - peak).sum(axis=1))
    responsibilities = np.exp(exponents - log_density[:, None])
    return -log_density.mean(), np.exp(log_weights) - responsibilities.mean(axis=0)


KAPPA = math.degrees(1.0 / BANDWIDTH) ** 2
I0E = float(np.i0(KAPPA)) * math.exp(-KAPPA)
TORCH_KERNELS = {
    "laplace": lambda u: -u.abs() - math.log(2.0),
    "gaussian": lambda u: -0.5 * u * u - 0.5 * math.log(2.0 * math.pi),
    "cauchy": lambda u: -(u * u).log1p() - math.log(math.pi),
    "logistic": lambda u: -u.abs() - 2.0 * (-u.abs()).exp().log1p(),
    "epanechnikov": lambda u: (0.75 * (1.0 - u * u).clamp(min=0.0)).log(),
    # u is in bandwidths of 1/√κ radians
    "von-mises": lambda u: KAPPA * ((u / math.sqrt(KAPPA)).cos() - 1.0) - math.log(2.0 * math.pi * I0E * KAPPA**0.5),
}


def torch_autograd(angles: np.ndarray, logits: np.ndarray, kernel: str, bins: int = 360) -> tuple[float, np.ndarray]:
    """Return loss and gradient by ten lines of PyTorch, on one thread."""
    import torch

    torch.set_num_threads(1)
    low, high = TARGET
    nodes = low + (torch.arange(bins, dtype=torch.float64) + 0.5) * (high - low) / bins
    z = torch.tensor(logits, requires_grad=True)
    log_kernel = TORCH_KERNELS[kernel]((nodes[:, None] - torch.tensor(angles)) / BANDWIDTH) - math.log(BANDWIDTH)
    loss = -torch.logsumexp(torch.log_softmax(z, 0) + log_kernel, dim=1).mean()
    loss.backward()
    return float(loss.detach()), z.grad.numpy()
