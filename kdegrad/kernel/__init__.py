"""The registry of kernels: which there are (SPEC section 3), by which names, and how to make one."""

from __future__ import annotations

from typing import Final

from kdegrad.domain import Circle, Domain
from kdegrad.errors import SettingError
from kdegrad.kernel import circle, line
from kdegrad.kernel.base import CompactKernel, Kernel, LineKernel, UnboundedKernel
from kdegrad.logs import Scaled
from kdegrad.text import nearest

LINE_KERNELS: Final[tuple[type[LineKernel], ...]] = (
    line.Gaussian,
    line.Laplace,
    line.Logistic,
    line.Sigmoid,
    line.Cauchy,
    line.StudentT,
    line.Epanechnikov,
    line.Biweight,
    line.Triweight,
    line.Tricube,
    line.Triangular,
    line.Cosine,
    line.Uniform,
)
CIRCLE_KERNELS: Final[tuple[type[circle.NativeCircleKernel], ...]] = (
    circle.VonMises,
    circle.WrappedGaussian,
    circle.WrappedLaplace,
    circle.WrappedCauchy,
)
KERNELS: Final[tuple[type[LineKernel] | type[circle.NativeCircleKernel], ...]] = (*LINE_KERNELS, *CIRCLE_KERNELS)
BY_NAME: Final = {name: kind for kind in KERNELS for name in (kind.name, *kind.aliases)}


def make_kernel(name: str, bandwidth: float, domain: Domain, df: float = 3.0) -> Kernel:
    """Return the kernel called `name` (or an alias) on `domain`.

    Parameters
    ----------
    name
        A name or alias of SPEC section 3.
    bandwidth
        The scale h, in the unit of the angles.
    domain
        On a `Circle` a line kernel is taken at the geodesic distance and normalised over the circle.
    df
        Degrees of freedom of ``student-t``.

    Raises
    ------
    SettingError
        For an unknown name, with the nearest ones; for a native circle kernel on the line; for a bandwidth so far from
        the circle's circumference that their ratio is no float64.
    """
    kind = BY_NAME.get(str(name).lower())
    if kind is None:
        raise SettingError(
            "kernel", f"unknown kernel {name!r}{nearest(str(name), BY_NAME)} (kdegrad kernels lists them)"
        )
    if issubclass(kind, circle.NativeCircleKernel) and not isinstance(domain, Circle):
        raise SettingError("kernel", f"{kind.name} lives on a circle: add --circular or --period P")
    try:
        return _made(kind, bandwidth, domain, df)
    except (ArithmeticError, ValueError):
        raise SettingError(
            "bandwidth", f"{bandwidth:g} on a domain of {domain.measure:g} is beyond a float64: bring them closer"
        ) from None


def _made(
    kind: type[LineKernel] | type[circle.NativeCircleKernel], bandwidth: float, domain: Domain, df: float
) -> Kernel:
    if issubclass(kind, circle.NativeCircleKernel):
        assert isinstance(domain, Circle)  # the caller saw to it
        return kind(bandwidth, domain)
    on_line = line.StudentT(bandwidth, domain, df) if kind is line.StudentT else kind(bandwidth, domain)
    return circle.Geodesic(on_line, domain) if isinstance(domain, Circle) else on_line


__all__ = [
    "BY_NAME",
    "CIRCLE_KERNELS",
    "KERNELS",
    "LINE_KERNELS",
    "CompactKernel",
    "Kernel",
    "LineKernel",
    "Scaled",
    "UnboundedKernel",
    "make_kernel",
]
