"""The kernels by name."""

from __future__ import annotations

from typing import Final, TypeVar

from kdegrad.domain import Domain
from kdegrad.errors import SettingError
from kdegrad.kernel.base import Kernel, LineKernel, NativeCircleKernel
from kdegrad.text import nearest, shortened, spoken

KernelClass = type[LineKernel] | type[NativeCircleKernel]
_Registered = TypeVar("_Registered", bound=KernelClass)

KERNELS: Final[list[KernelClass]] = []  # those of the line first, each sort in the order of definition
BY_NAME: Final[dict[str, KernelClass]] = {}  # by name and by alias


def register(kind: _Registered) -> _Registered:
    """Make a kernel available under its name and aliases (a decorator for its class)."""
    KERNELS.append(kind)
    KERNELS.sort(key=lambda kind: "line" not in kind.domains)
    BY_NAME.update(dict.fromkeys((kind.name, *kind.aliases), kind))
    return kind


def make_kernel(name: str, bandwidth: float, domain: Domain, df: float = 3.0) -> Kernel:
    """Return the kernel called `name` (or an alias) on `domain`.

    Parameters
    ----------
    name
        A name or alias of a registered kernel, in any case.
    bandwidth
        The scale h, in the unit of the angles.
    domain
        On a `Circle` a line kernel is taken at the geodesic distance and normalised over the circle.
    df
        Degrees of freedom, for the kernels that take them.

    Raises
    ------
    SettingError
        For an unknown name, with the nearest ones; for a native circle kernel on the line; for a bandwidth so far from
        the circle's circumference that their ratio is outside the range of float64.
    """
    kind = BY_NAME.get(name.lower()) if isinstance(name, str) else None
    if kind is None:
        lists = spoken("kdegrad kernels", "kdegrad.kernels()")
        known = f"{nearest(str(name), BY_NAME)} ({lists} lists them)"
        raise SettingError("kernel", f"unknown kernel {shortened(name)}{known}")
    if domain.name not in kind.domains:
        remedy = spoken("add --circular or --period P", "add circular=True or period=P")
        raise SettingError("kernel", f"{kind.name} is defined on a circle only: {remedy}")
    try:
        return kind.make(bandwidth, domain, df=df)
    except (ArithmeticError, ValueError):
        raise SettingError(
            "bandwidth",
            f"{bandwidth:g} on a domain of {domain.measure:g} is outside the range of float64: bring them closer",
        ) from None
