"""Alternatives on the same problem: textbook NumPy, PyTorch, and density estimators for the density.

They are written as their users write them; torch, scipy, scikit-learn and KDEpy are compared where installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from importlib.util import find_spec
from typing import Any

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
            given: dict[str, Any] = {"target": TARGET, "bandwidth": BANDWIDTH, "bins": bins, **options(name)}
            angles, logits = swarm(100_000)
            tasks: dict[str, Callable[[], object]] = {
                "fast": partial(kg.loss_and_grad, angles, logits, **given),
                "dense": partial(kg.loss_and_grad, angles, logits, **given, sums="dense"),
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
TURN, RADIANS = 360.0 / BANDWIDTH, math.radians(BANDWIDTH)
# log K(u) of a displacement of u bandwidths, with or without a circle of 360 degrees
TORCH_KERNELS: dict[str, Callable[[Any], Any]] = {
    "laplace": lambda u: -u.abs() - math.log(2.0),
    "gaussian": lambda u: -0.5 * u * u - 0.5 * math.log(2.0 * math.pi),
    "logistic": lambda u: -u.abs() - 2.0 * (-u.abs()).exp().log1p(),
    "sigmoid": lambda u: math.log(2.0 / math.pi) - u.logaddexp(-u),
    "cauchy": lambda u: -(u * u).log1p() - math.log(math.pi),
    "student-t": lambda u: -2.0 * (u * u / 3.0).log1p() + math.log(2.0 / (math.pi * math.sqrt(3.0))),
    "epanechnikov": lambda u: _floored_log(3.0 / 4.0 * (1.0 - u * u)),
    "biweight": lambda u: _floored_log(15.0 / 16.0 * (1.0 - u * u).clamp(min=0.0) ** 2),
    "triweight": lambda u: _floored_log(35.0 / 32.0 * (1.0 - u * u) ** 3),
    "tricube": lambda u: _floored_log(70.0 / 81.0 * (1.0 - u.abs() ** 3) ** 3),
    "triangular": lambda u: _floored_log(1.0 - u.abs()),
    "cosine": lambda u: _floored_log(math.pi / 4.0 * (0.5 * math.pi * u.clamp(-1.0, 1.0)).cos()),
    "uniform": lambda u: _floored_log(0.5 * (u.abs() <= 1.0).to(u.dtype)),
    # a bandwidth is 1/√κ radians
    "von-mises": lambda u: KAPPA * ((RADIANS * u).cos() - 1.0) - math.log(2.0 * math.pi * I0E * KAPPA**0.5),
    "wrapped-gaussian": lambda u: _log_sum(
        TORCH_KERNELS["gaussian"](_shorter(u) + turn) for turn in (-TURN, 0.0, TURN)
    ),
    "wrapped-laplace": lambda u: (
        _log_sum((-_shorter(u).abs(), _shorter(u).abs() - TURN)) - math.log(-2.0 * math.expm1(-TURN))
    ),
    "wrapped-cauchy": lambda u: (
        math.log(RADIANS * math.sinh(RADIANS) / (2.0 * math.pi)) - (math.cosh(RADIANS) - (RADIANS * u).cos()).log()
    ),
}


def options(kernel: str) -> dict[str, Any]:
    """Return a kernel as the options of kdegrad: those of the circle need one."""
    return {"kernel": kernel, "circular": kernel == "von-mises" or kernel.startswith("wrapped-")}


def by_hand(angles: Any, logits: Any, nodes: Any, kernel: str) -> Any:
    """Return the losses (...) of tensors (..., N), (..., N) and (..., B), in arrays (..., B, N)."""
    u = (nodes[..., :, None] - angles[..., None, :]) / BANDWIDTH
    log_kernel = TORCH_KERNELS[kernel](u) - math.log(BANDWIDTH)
    return -(logits.log_softmax(-1)[..., None, :] + log_kernel).logsumexp(-1).mean(-1)


def _floored_log(kernel: Any) -> Any:
    """Return log K; without a floor the gradient at K = 0 is 0/0."""
    return kernel.clamp(min=1e-37).log()


def _shorter(u: Any) -> Any:
    """Return the displacement the shorter way round."""
    return u - TURN * (u / TURN).round()


def _log_sum(logs: Iterable[Any]) -> Any:
    """Return the logarithm of the sum."""
    return reduce(lambda one, other: one.logaddexp(other), logs)


def torch_autograd(angles: np.ndarray, logits: np.ndarray, kernel: str, bins: int = 360) -> tuple[float, np.ndarray]:
    """Return loss and gradient by PyTorch's autograd, on one thread."""
    import torch

    torch.set_num_threads(1)
    low, high = TARGET
    nodes = low + (torch.arange(bins, dtype=torch.float64) + 0.5) * (high - low) / bins
    z = torch.tensor(logits, requires_grad=True)
    loss = by_hand(torch.tensor(angles), z, nodes, kernel)
    loss.backward()
    return float(loss.detach()), z.grad.numpy()
