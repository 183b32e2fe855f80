"""One problem whose points come in parts: its loss is made of sums of the parts, and each part then has its gradients.

With S the softmax of the logits of all points, p(t) = Σ_j S_j K_h(t ⊖ x_j) at a node is a quotient of two sums, to
which each part adds its own:

    p(t_m) = P_m / Z,    P_m = Σ_j exp(z_j) K_h(t_m ⊖ x_j),    Z = Σ_j exp(z_j)

`partial_sums` forms these of a part, and two of them are added by ``+``, in any order and in any tree. With P and Z
known, `Whole` gives the loss, and of each part the gradients of its points, R_i = S_i Σ_m (q_m/p_m) K_h(t_m ⊖ x_i).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.crossentropy import CrossEntropy, Gradients, loss_at_nodes
from kdegrad.errors import InputError, SettingError
from kdegrad.evaluation import input_rounding
from kdegrad.mixture import mixed
from kdegrad.problem import Problem
from kdegrad.sums import make_sums
from kdegrad.sums.portion import portion_of, totals_of
from kdegrad.sums.totals import Totals
from kdegrad.weights import NO_WEIGHT

_EXACT: Final = "its nodes depend on all points, which are never together in parts: choose midpoint or gauss"


@final
@dataclass(frozen=True, eq=False)
class Partial:
    """The sums of some of the points.

    Attributes
    ----------
    points
        How many there are.
    totals
        What they add up to; None where none has a positive weight.
    """

    points: int = 0
    totals: Totals | None = None

    def __add__(self, other: Partial) -> Partial:
        """Return the sums of both points together."""
        both = [partial.totals for partial in (self, other) if partial.totals is not None]
        return Partial(self.points + other.points, both[0] + both[1] if len(both) == 2 else next(iter(both), None))


@np.errstate(all="ignore")  # as in `kdegrad.evaluation.evaluation_of`
def partial_sums(like: Problem, angles: FloatArray, logits: FloatArray) -> Partial:
    """Return the sums of some points, angles and logits (N,), N ≥ 0; target and settings are those of `like`."""
    if not (logits > -np.inf).any():
        return Partial(len(angles))
    return Partial(len(angles), totals_of(make_sums(like.settings.sums, like.kernel, angles, like.rule.nodes), logits))


@final
class Whole:
    """The problem of all points, of which the sums are known.

    Parameters
    ----------
    like
        A problem with the target and the settings; its own points are not used.
    sums
        Those of all parts.

    Attributes
    ----------
    points
        How many points there are.
    loss
        L, in nats; infinite if the density is 0 at a node.
    log_density
        log p̃ at the nodes, shape (B,).

    Raises
    ------
    SettingError
        For the rule ``exact``.
    InputError
        If no point has a positive weight.
    """

    @np.errstate(all="ignore")  # as in `partial_sums`
    def __init__(self, like: Problem, sums: Partial) -> None:
        require_nodes(like)
        if sums.totals is None:
            raise InputError(NO_WEIGHT if sums.points else "there are no points: give at least one")
        self.like, self.points, self._totals = like, sums.points, sums.totals
        log_p = sums.totals.log_density() - like.kernel.log_norm
        self.log_density = mixed(like.settings, like.background_width, log_p)
        self.loss = float(loss_at_nodes(like.rule.weights, self.log_density))

    @property
    def kl(self) -> float | None:
        """L - log(b-a), the divergence from the target; None where that is no interval."""
        return None if self.like.target is None else self.loss - math.log(self.like.target.width)

    @property
    def is_finite(self) -> bool:
        """Whether the loss is finite."""
        return math.isfinite(self.loss)

    @cached_property
    def uncovered(self) -> FloatArray:
        """The nodes where the density is 0, in the unit of the angles: these make a loss infinite."""
        return np.asarray(self.like.rule.nodes[np.isneginf(self.log_density)])

    @np.errstate(all="ignore")  # as in `partial_sums`
    def weights(self, logits: FloatArray) -> FloatArray:
        """Return S_i of some points, (N,)."""
        return np.asarray(np.exp(self._totals.log_weights(logits)))

    @np.errstate(all="ignore")  # as in `partial_sums`
    def gradients(self, angles: FloatArray, logits: FloatArray, wrt: Collection[str] = ("logits",)) -> Gradients:
        """Return the gradients of some of the points, each (N,), N ≥ 0; and what they add to that of log h.

        Of an infinite loss they are NaN.
        """
        like, rule = self.like, self.like.rule
        if self.is_finite and len(angles):
            sums = make_sums(like.settings.sums, like.kernel, angles, rule.nodes)
            density = portion_of(sums, logits, self._totals)
            at_nodes = CrossEntropy(density, rule.weights, like.settings, like.background_width)
            found = at_nodes.gradients(lambda: self.weights(logits), wrt)
            slope = float(at_nodes.log_bandwidth()) if "bandwidth" in wrt else None
        else:
            undefined = np.full(len(angles), np.nan)
            found = Gradients(undefined, undefined, undefined, undefined if "angles" in wrt else None)
            slope = (0.0 if self.is_finite else math.nan) if "bandwidth" in wrt else None
        return replace(found, log_bandwidth=slope, wrt=tuple(wrt))

    def input_rounding(self, angles: FloatArray, responsibilities: FloatArray) -> float:
        """Return by what part of itself a share of some points may move when the angles are rounded."""
        return input_rounding(self.like, self.like.rule, angles, responsibilities)


@final
@dataclass(frozen=True)
class Sizes:
    """How large some numbers are.

    Attributes
    ----------
    l1, largest
        The sum of their sizes, and the largest of them.
    squares
        The sum of the squares of the sizes over the largest: their own may be outside the range of a float64.
    """

    l1: float = 0.0
    largest: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Sizes) -> Sizes:
        """Return those of both together."""
        largest = max(self.largest, other.largest)
        squares = sum(of.squares * (of.largest / largest) ** 2 for of in (self, other) if of.largest > 0.0)
        return Sizes(self.l1 + other.l1, largest, squares)

    @staticmethod
    def of(values: FloatArray) -> Sizes:
        """Return those of an array."""
        sizes = np.abs(values)
        l1, largest = float(sizes.sum()), float(sizes.max(initial=0.0))
        sizes /= largest if 0.0 < largest < math.inf else 1.0
        return Sizes(l1, largest, float((sizes * sizes).sum()))

    @property
    def norms(self) -> dict[str, float]:
        """The norms of the numbers."""
        return {"l1": self.l1, "l2": self.largest * math.sqrt(self.squares), "max": self.largest}


@final
@dataclass(frozen=True)
class Tally:
    """What the gradients of some points come to.

    Attributes
    ----------
    points
        How many points.
    total
        The sum of ∂L/∂z.
    logits, angles
        The sizes of ∂L/∂z and, where it was asked for, of ∂L/∂x.
    log_bandwidth
        What the points add to ∂L/∂log h.
    rounding
        By what part of itself a responsibility may move when the angles are rounded.
    is_finite
        Whether all gradients that were asked for are finite.
    """

    points: int = 0
    total: float = 0.0
    logits: Sizes = Sizes()
    angles: Sizes = Sizes()
    log_bandwidth: float = 0.0
    rounding: float = 0.0
    is_finite: bool = True

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of both."""
        return Tally(
            self.points + other.points,
            self.total + other.total,
            self.logits + other.logits,
            self.angles + other.angles,
            self.log_bandwidth + other.log_bandwidth,
            max(self.rounding, other.rounding),
            self.is_finite and other.is_finite,
        )

    @staticmethod
    def of(found: Gradients, rounding: float) -> Tally:
        """Return the tally of the gradients of a block."""
        angles = np.empty(0) if found.angles is None else found.angles
        slope = found.log_bandwidth or 0.0
        is_finite = bool(np.isfinite(found.logits).all() and np.isfinite(angles).all() and math.isfinite(slope))
        total = float(found.logits.sum())
        return Tally(len(found.logits), total, Sizes.of(found.logits), Sizes.of(angles), slope, rounding, is_finite)


def require_nodes(like: Problem) -> None:
    """Raise a SettingError for the rule ``exact``."""
    if like.rule_name == "exact":
        raise SettingError("rule", _EXACT)
