"""The kernels as the library lists them; no command waits for this."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

from kdegrad.kernel import KERNELS
from kdegrad.text import summary


@final
@dataclass(frozen=True, repr=False)
class KernelFacts:
    """A kernel as `kernels` lists it.

    Attributes
    ----------
    name, aliases
        By which it is asked for.
    formula
        K(u), u in bandwidths.
    support
        Where it is positive.
    tail
        ``light``, ``exponential``, ``heavy`` or ``compact``.
    domains
        Where it is defined: ``line``, ``circle`` or both.
    parameters
        The options that it takes beside the bandwidth.
    """

    name: str
    aliases: tuple[str, ...]
    formula: str
    support: str
    tail: str
    domains: tuple[str, ...]
    parameters: tuple[str, ...]

    def __repr__(self) -> str:
        return summary(f"Kernel {self.name}", self.formula, f"{self.tail} tail", f"on {' and '.join(self.domains)}")


def kernels() -> list[KernelFacts]:
    """Return the kernels that there are, those of the line first.

    Examples
    --------
    >>> import kdegrad as kg
    >>> [kernel.name for kernel in kg.kernels() if kernel.tail == "heavy"]
    ['cauchy', 'student-t', 'wrapped-cauchy']
    """
    return [KernelFacts(*(getattr(kind, fact.name) for fact in fields(KernelFacts))) for kind in KERNELS]
