"""The coordinates in which a descent moves, and the rules by which it does.

What moves are the coordinates

    z_i,    x_i/h₀,    log h        (h₀ the bandwidth at the start)

so that one rate serves them all, and a change of unit changes no step. `gradient` takes rate·∂L off each coordinate,
`adam` does so with running moments of ∂L (Kingma and Ba 2015, β₁ = 0.9, β₂ = 0.999, ε = 1e-8), and `em` moves the
weights alone, by S_i ← R_i/Σ_j R_j.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.objective import Evaluation
from kdegrad.problem import Problem


@final
class Coordinates:
    """The vector of what moves: logits, angles in bandwidths of the start, the logarithm of the bandwidth.

    Parameters
    ----------
    problem
        The start, which keeps all that does not move.
    moving
        Names of `WRT`.
    """

    def __init__(self, problem: Problem, moving: Collection[str]) -> None:
        self._problem = problem
        self._moving = moving
        self._unit = problem.kernel.bandwidth

    def of(self, problem: Problem) -> FloatArray:
        """Return where a problem is."""
        return self._joined(problem.logits, problem.angles / self._unit, math.log(problem.kernel.bandwidth))

    def gradient(self, evaluation: Evaluation) -> FloatArray:
        """Return the gradient of the loss, by the chain rule from that of an evaluation."""
        of = evaluation.gradients
        angles = None if of.angles is None else of.angles * self._unit
        return self._joined(of.logits, angles, of.log_bandwidth)

    def problem(self, place: FloatArray) -> Problem:
        """Return the problem at a place.

        Raises
        ------
        KdegradError
            Where a coordinate is too large to be one.
        """
        changes: dict[str, FloatArray | float] = {}
        count = len(self._problem.angles)
        with np.errstate(over="ignore"):
            if "logits" in self._moving:
                changes["logits"], place = place[:count], place[count:]
            if "angles" in self._moving:
                changes["angles"], place = place[:count] * self._unit, place[count:]
            if "bandwidth" in self._moving:
                changes["bandwidth"] = float(np.exp(place[0]))
        return self._problem.replace(**changes)

    def _joined(self, logits: FloatArray | None, angles: FloatArray | None, log_bandwidth: float | None) -> FloatArray:
        parts = {"logits": logits, "angles": angles, "bandwidth": log_bandwidth}
        return np.concatenate([np.atleast_1d(np.asarray(parts[name], dtype=np.float64)) for name in self._moving])


class Mover(ABC):
    """A rule for the next step.

    Parameters
    ----------
    rate
        The length of a step.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @abstractmethod
    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        """Return the next place from this one, the gradient there and the evaluation that it came from."""


@final
class GradientMover(Mover):
    """Gradient descent: v ← v - rate·∂L/∂v."""

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        """Return v - rate·∂L/∂v."""
        return place - self.rate * gradient


@final
class AdamMover(Mover):
    """Adam: m ← β₁m + (1-β₁)g, s ← β₂s + (1-β₂)g², v ← v - rate·m̂/(√ŝ + ε), m̂ = m/(1-β₁ᵏ), ŝ = s/(1-β₂ᵏ)."""

    MEMORY, SQUARE_MEMORY, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self._count = 0
        self._mean: FloatArray | float = 0.0
        self._square: FloatArray | float = 0.0

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        """Return v - rate·m̂/(√ŝ + ε)."""
        self._count += 1
        self._mean = self.MEMORY * self._mean + (1.0 - self.MEMORY) * gradient
        self._square = self.SQUARE_MEMORY * self._square + (1.0 - self.SQUARE_MEMORY) * gradient**2
        mean = self._mean / (1.0 - self.MEMORY**self._count)
        square = self._square / (1.0 - self.SQUARE_MEMORY**self._count)
        return place - self.rate * mean / (np.sqrt(square) + self.EPSILON)


@final
class FixedPointMover(Mover):
    """The exact step for the weights: S_i ← R_i/Σ_j R_j, as z_i = log R_i - log Σ_j R_j; it has no rate."""

    def step(self, place: FloatArray, gradient: FloatArray, evaluation: Evaluation) -> FloatArray:
        """Return log R_i - log Σ_j R_j; -inf where R_i is 0: no bin then owes that point anything.

        Where all are 0, beside a background, no bin owes any point anything, and all stay.
        """
        assert evaluation.responsibilities is not None  # the gradient was asked for
        total = float(evaluation.responsibilities.sum())
        if total == 0.0:
            return place
        with np.errstate(divide="ignore"):
            logs: FloatArray = np.log(evaluation.responsibilities)
        logs -= math.log(total)
        return logs


MOVERS: Final[dict[str, type[Mover]]] = {"gradient": GradientMover, "em": FixedPointMover, "adam": AdamMover}
