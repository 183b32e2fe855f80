"""Points of G problems in rows (G, N) or one after the other (M,), and what runs over the points of each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch


class Layout(ABC):
    """How the points of G problems stand in a tensor, and so how pairs of points and nodes do."""

    @abstractmethod
    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the points as a tensor that pairs are combined with."""

    @abstractmethod
    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the nodes (g, b) as a tensor that pairs are combined with."""

    @abstractmethod
    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return the largest over the points of each problem, for pairs (g, b)."""

    @abstractmethod
    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return the sum over the points of each problem, for pairs (g, b)."""

    @final
    def of_problems(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the problems (G,) as a tensor that values of the points are combined with."""
        return self.of_nodes(values[:, None])[..., 0]

    @final
    def any_of_points(self, flags: torch.Tensor) -> torch.Tensor:
        """Return whether a point of each problem has its flag set, (G,), as the largest of 0 and 1."""
        return self.largest(self.of_points(flags.float()))[:, 0] > 0.0

    @final
    def log_softmax(self, logits: torch.Tensor) -> torch.Tensor:
        """Return log S; NaN in a problem with a logit of +inf, or where all are -inf."""
        logits = logits - self.of_problems(self.largest(self.of_points(logits))[:, 0])
        return logits - self.of_problems(self.total(self.of_points(logits.exp()))[:, 0].log())


@final
class Rows(Layout):
    """Points (g, N), pairs (g, N, b)."""

    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, :, None]

    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None, :]

    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.amax(dim=1)

    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.sum(dim=1)


@final
class Ragged(Layout):
    """Points (M,), pairs (M, b); `problem` is that of each point, (M,), and `count` is G."""

    def __init__(self, problem: torch.Tensor, count: int) -> None:
        self.problem, self.count = problem, count

    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None]

    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        return values.expand(self.count, -1).index_select(0, self.problem)

    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        lowest = pairs.new_full((self.count, pairs.shape[1]), -math.inf)
        return lowest.scatter_reduce(0, self.problem[:, None].expand_as(pairs), pairs, "amax")

    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.new_zeros(self.count, pairs.shape[1]).index_add(0, self.problem, pairs)


def problems_of(offsets: torch.Tensor, size: int) -> torch.Tensor:
    """Return the problem of each of `size` points; whatever the offsets, it is one that there is."""
    return torch.searchsorted(offsets[1:-1], torch.arange(size, device=offsets.device), right=True)


def is_csr(offsets: torch.Tensor, size: int) -> torch.Tensor:
    """Return whether offsets rise from 0 to `size`, shape ()."""
    return (offsets[0] == 0) & (offsets[-1] == size) & (offsets.diff() > 0).all()
