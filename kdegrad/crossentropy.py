"""The cross-entropy at the nodes and its derivatives, on logarithms: of one problem, or of a block of problems.

With S_j the softmax of the logits, t_m, q_m the nodes and weights of the target and
p̃(x) = (1-E) C Σ_j S_j K_h(x ⊖ x_j) + E/(b-a),

    L          = -Σ_m q_m log p̃(t_m)
    R_i        = Σ_m q_m r_i(t_m),  r_i = (1-E) C S_i K_h/p̃
    ∂L/∂z_i    = S_i Σ_j R_j - R_i
    ∂L/∂x_i    = S_i (1-E) C Σ_m (q_m/p̃_m) ∂K_h/∂d (t_m ⊖ x_i)
    ∂L/∂log h  = -Σ_i S_i (1-E) C Σ_m (q_m/p̃_m) ∂K_h/∂log h (t_m ⊖ x_i)

so the loss is one kernel sum at the nodes, and each gradient is one more at the points. Every product is formed as exp
of a sum of logarithms: S_i may be 0 where its factor is infinite. All sums run along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.logs import log_or_minus_infinity
from kdegrad.mixture import log_share, mixed
from kdegrad.settings import Settings
from kdegrad.sums import Density
from kdegrad.text import nine_digits, summary


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """The derivatives of the loss; NaN where the loss is infinite. Of a batch each has the shape of its angles.

    Attributes
    ----------
    logits
        ∂L/∂z_i, shape (N,).
    per_weight
        ∂L/∂z_i / S_i = Σ_j R_j - R_i/S_i, shape (N,), defined for a point of weight 0 too; infinite where it overflows.
    responsibilities
        R_i, shape (N,), each point's mean share in the density over the target.
    angles
        ∂L/∂x_i, shape (N,), per unit of the angles; None unless asked for.
    log_bandwidth
        ∂L/∂log h; None unless asked for, and of a batch, each of whose problems has its own.
    wrt
        What was asked for, in that order: some of ``logits``, ``angles``, ``bandwidth``.
    """

    logits: FloatArray
    per_weight: FloatArray
    responsibilities: FloatArray
    angles: FloatArray | None = None
    log_bandwidth: float | None = None
    wrt: tuple[str, ...] = ("logits",)

    def __repr__(self) -> str:
        of_bandwidth = "" if self.log_bandwidth is None else f"log bandwidth {nine_digits(self.log_bandwidth)}"
        return summary("Gradients", f"of {', '.join(self.wrt)}", f"shape {self.logits.shape}", of_bandwidth)

    @property
    def first_of_points(self) -> tuple[str, FloatArray] | None:
        """The first of `wrt` that each point has, and its gradient: reports sort by it. None for a bandwidth alone."""
        of_points = {"logits": self.logits, "angles": self.angles}
        return next(((name, v) for name in self.wrt if (v := of_points.get(name)) is not None), None)


@final
class CrossEntropy:
    """The loss and its gradients from the density at the nodes.

    Parameters
    ----------
    density
        The density p at the nodes: of one problem, or of a block of g.
    weights
        q_m, shape (B,), or (g, B) where they differ; 0 for a node that only fills a row.
    settings
        Scale and background.
    width
        What a background is spread over: one number, or (g, 1).

    Attributes
    ----------
    log_density
        log p̃ at the nodes, shape (B,) or (g, B).
    """

    def __init__(self, density: Density, weights: FloatArray, settings: Settings, width: float | FloatArray) -> None:
        self.density, self.weights, self.settings = density, weights, settings
        self.log_density = mixed(settings, width, density.log)

    @property
    def loss(self) -> FloatArray:
        """The loss L, of each problem; infinite where the density is 0 at a node."""
        return loss_at_nodes(self.weights, self.log_density)

    @property
    def node_shares(self) -> FloatArray:
        """q_m (1-E) C p_m/p̃_m: what all points together have in the mixture at a node."""
        if self.settings.background == 0.0:
            return self.weights
        logs = self.density.log + log_share(self.settings) - self.log_density
        return np.asarray(self.weights * np.exp(logs))

    @property
    def total(self) -> float | FloatArray:
        """Σ_j R_j over all points, what they have at all nodes: 1 without a background, else (1,) or (g, 1)."""
        if self.settings.background == 0.0:
            return 1.0
        return np.asarray(self.node_shares.sum(axis=-1, keepdims=True))

    @cached_property
    def pulls(self) -> tuple[FloatArray, FloatArray]:
        """The shares of the nodes, and log(q_m/p_m) = log(q_m (1-E) C/p̃_m)."""
        log_shares = log_or_minus_infinity(self.weights) + log_share(self.settings)
        return self.node_shares, log_shares - self.log_density

    def gradients(self, weights: Callable[[], FloatArray], wrt: Collection[str]) -> Gradients:
        """Return the gradient of the logits, and that of the angles if `wrt` names it.

        `weights` gives the S_i, (N,) or (g, N). It is asked last: they need not be held while the shares are summed.
        """
        responsibilities, ratios = self.density.shares(*self.pulls)
        per_weight = np.subtract(self.total, ratios, out=ratios)
        angles = self.density.slopes(*self.pulls) if "angles" in wrt else None
        return Gradients(self._of_logits(weights(), responsibilities), per_weight, responsibilities, angles)

    def log_bandwidth(self) -> FloatArray:
        """Return ∂L/∂log h, of each problem."""
        return np.asarray(-self.density.bandwidth_slope(*self.pulls))

    def excess(self, weights: Callable[[], FloatArray]) -> FloatArray:
        """Return the gradient of the logits alone; only beside a background it asks for the S_i, as above."""
        if self.settings.background == 0.0:  # one array of N is all it takes
            return self.density.excess(*self.pulls)
        return self._of_logits(weights(), self.density.shares(*self.pulls).shares)

    def _of_logits(self, weights: FloatArray, responsibilities: FloatArray) -> FloatArray:
        """Return S_i Σ_j R_j - R_i."""
        total = self.total
        return (weights if isinstance(total, float) else weights * total) - responsibilities


def loss_at_nodes(weights: FloatArray, log_density: FloatArray) -> FloatArray:
    """Return L = -Σ_m q_m log p̃_m, of each problem, for arrays (B,) or (g, B)."""
    terms = weights * log_density
    total = terms.sum(axis=-1)  # not @, for which BLAS starts its threads
    if np.isnan(total).any():  # a node that only fills a row, where the density is 0
        total = np.where(weights > 0.0, terms, 0.0).sum(axis=-1)
    return np.asarray(-total)
