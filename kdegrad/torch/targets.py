"""The targets of G problems on a device: nodes t_m and weights q_m, formed for a block of them at a time.

On a circle places are reduced to half a turn of 0, without rounding. In float32 they are relative to a node of
their problem, of target points the heaviest, near which they would else have few digits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch

from kdegrad.torch.layouts import Layout


class Targets(ABC):
    """Nodes and weights.

    Parameters
    ----------
    dtype
        In which pairs are formed: that of the angles.
    circumference
        P, or None on the line.

    Attributes
    ----------
    count
        The number of nodes of each problem, B.
    origins
        The node of each problem that places are relative to in float32, (G, 1).
    widths
        What a background is spread over, (G, 1).
    is_wrong
        Which of them are no targets, (G,).
    """

    count: int
    origins: torch.Tensor
    widths: torch.Tensor
    is_wrong: torch.Tensor

    def __init__(self, dtype: torch.dtype, circumference: float | None) -> None:
        self.dtype, self.circumference = dtype, circumference

    @abstractmethod
    def places(self, problems: slice, nodes: slice) -> torch.Tensor:
        """Return some nodes of some of the problems, (g, b), where the target has them."""

    @abstractmethod
    def weights(self, problems: slice, nodes: slice) -> torch.Tensor:
        """Return their weights, (g, b)."""

    @final
    def nodes(self, problems: slice, nodes: slice) -> torch.Tensor:
        """Return some nodes of some of the problems, (g, b)."""
        return self._placed(self.places(problems, nodes), self._origin(problems))

    @final
    def points(self, layout: Layout, angles: torch.Tensor) -> torch.Tensor:
        """Return the places of the points."""
        return self._placed(angles.to(self.widths.dtype), layout.of_problems(self._origin(slice(None))[:, 0]))

    def _origin(self, problems: slice) -> torch.Tensor:
        """Return the place that others are relative to, (g, 1)."""
        origin = self.reduced(self.origins[problems])
        return origin if self.dtype == torch.float32 else torch.zeros_like(origin)

    def _placed(self, places: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
        places = self.reduced(places)  # first: the difference of places many turns apart would round
        return (places if self.dtype != torch.float32 else self.reduced(places - origin)).to(self.dtype)

    @final
    def reduced(self, places: torch.Tensor) -> torch.Tensor:
        """Return places within half a turn of 0 on a circle, without rounding."""
        if self.circumference is None:
            return places
        places = torch.fmod(places, self.circumference)  # exact, as many turns times P are not; one may be left
        return places - self.circumference * torch.round(places / self.circumference)


@final
class Intervals(Targets):
    """Intervals from `low` to `high`, each (G,), with the midpoint rule: t_m = a + (m + ½)(b - a)/B, q_m = 1/B."""

    def __init__(
        self, low: torch.Tensor, high: torch.Tensor, bins: int, dtype: torch.dtype, circumference: float | None
    ) -> None:
        super().__init__(dtype, circumference)
        width = high - low
        good = (low < high) & width.isfinite()
        if circumference is not None:
            rounding = 2.0 * torch.finfo(dtype).eps * torch.maximum(low.abs(), high.abs())
            good &= width <= circumference + rounding
            low = torch.fmod(low, circumference)  # exact: else t_m = a + ... rounds many turns out
        self.low, self.widths, self.is_wrong, self.count = low[:, None], width[:, None], ~good, bins
        self.steps = torch.arange(0.5, bins, dtype=low.dtype, device=low.device)
        self.origins = self.places(slice(None), slice(0, 1))

    def places(self, problems: slice, nodes: slice) -> torch.Tensor:
        return self.steps[nodes] * (self.widths[problems] / self.count) + self.low[problems]

    def weights(self, problems: slice, nodes: slice) -> torch.Tensor:
        return torch.full_like(self.widths[:1], 1.0 / self.count, dtype=self.dtype)


@final
class WeightedPoints(Targets):
    """Nodes and weights, each (G, K), or (K,) for all of `problems`."""

    def __init__(
        self, nodes: torch.Tensor, weights: torch.Tensor, problems: int, dtype: torch.dtype, circumference: float | None
    ) -> None:
        super().__init__(dtype, circumference)
        nodes, weights = torch.atleast_2d(nodes), torch.atleast_2d(weights)
        good = (nodes.isfinite() & (weights >= 0.0) & weights.isfinite()).all(dim=1) & (weights > 0.0).any(dim=1)
        weights = weights / weights.amax(dim=1, keepdim=True)  # first, as the sum may overflow
        weights = weights / weights.sum(dim=1, keepdim=True)
        self.count, self.is_wrong = nodes.shape[1], ~good.expand(problems)
        self.node_places, self.node_weights = nodes.expand(problems, -1), weights.to(dtype).expand(problems, -1)
        heaviest = nodes.gather(1, weights.argmax(dim=1, keepdim=True))  # not the first: padding may be anywhere
        self.origins = heaviest.expand(problems, -1)
        width = circumference or math.nan  # on a line `check_quadrature` has refused a background
        self.widths = torch.full_like(nodes[:1, :1], width).expand(problems, -1)

    def places(self, problems: slice, nodes: slice) -> torch.Tensor:
        return self.node_places[problems, nodes]

    def weights(self, problems: slice, nodes: slice) -> torch.Tensor:
        return self.node_weights[problems, nodes]
