"""Losses that `verify-props --loss` is to judge, written as users write them, and what it must find in each.

`CATALOGUE` lists them: the right ones must pass, and each faulty one must fail on the properties that name its fault.
The modules of PyTorch and JAX are imported by who calls their losses.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, eq=False)
class Entry:
    """A loss and the verdict that it must get.

    Attributes
    ----------
    name
        What a test is called by: the backend and the function.
    loss
        MODULE:NAME, as for --loss.
    backend
        numpy, torch or jax.
    kernel, bandwidth
        What it is meant to compute.
    options
        Further options of that, and of the judge (wrt, batched).
    caught_by
        The properties that name its fault, each of which must fail; none for a right loss, which must pass all.
    note
        What the loss stands for.
    cause
        Words with which the report must name the fault, where it can.
    dtypes
        In which it is judged.
    """

    name: str
    loss: str
    backend: str
    kernel: str
    bandwidth: float
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    caught_by: tuple[str, ...] = ()
    note: str = ""
    cause: str = ""
    dtypes: tuple[str, ...] = ("float64", "float32")

    @property
    def batched(self) -> bool:
        """Whether it takes many problems at once."""
        return bool(self.options.get("batched"))

    @property
    def is_right(self) -> bool:
        """Whether it must pass."""
        return not self.caught_by

    def function(self) -> Callable[..., Any]:
        """Import it; a class is called without arguments."""
        module, _, name = self.loss.partition(":")
        found = getattr(importlib.import_module(module), name)
        return found() if isinstance(found, type) else found


def right(backend: str, name: str, kernel: str, note: str, bandwidth: float = 10.0, **options: Any) -> Entry:
    """Return the entry of a right loss."""
    kind = "batched" if "batched" in options else "right"
    loss = f"tests.losses.{kind}_{backend}:{name}"
    more = f"-{options['df']}" if "df" in options else "-batched" if "batched" in options else ""
    return Entry(f"{backend}-{name}-{kernel}{more}", loss, backend, kernel, bandwidth, options, (), note)


def faulty(
    backend: str,
    name: str,
    *caught_by: str,
    note: str,
    cause: str = "",
    kernel: str = "gaussian",
    bandwidth: float = 10.0,
    dtypes: tuple[str, ...] = ("float64", "float32"),
    **options: Any,
) -> Entry:
    """Return the entry of a faulty loss."""
    kind = "batched" if "batched" in options else "faulty"
    loss = f"tests.losses.{kind}_{backend}:{name}"
    return Entry(
        f"{backend}-{name}{'-batched' if 'batched' in options else ''}",
        loss,
        backend,
        kernel,
        bandwidth,
        options,
        caught_by,
        note,
        cause,
        dtypes,
    )


CIRCLE = {"circular": True}
ALL = {"wrt": ("logits", "angles", "bandwidth")}
BATCHED = {"batched": True}
ONLY_64 = ("float64",)
OTHERS = "depends on the others of its batch: alone "

CATALOGUE: tuple[Entry, ...] = (
    right("numpy", "gaussian", "gaussian", "returns the loss alone"),
    right("numpy", "laplace", "laplace", "returns (loss, gradient); options with defaults"),
    right("numpy", "cauchy", "cauchy", "returns all gradients by name; keywords only", **ALL),
    right("numpy", "StudentT", "student-t", "a class; its bins are its own", bins=36),
    right("numpy", "StudentT", "student-t", "the option df", bins=36, df=1.5),
    right("numpy", "epanechnikov", "epanechnikov", "compact; takes no option", bins=24),
    right("numpy", "geodesic_laplace", "laplace", "on the circle, all gradients", **CIRCLE, **ALL),
    right("numpy", "von_mises", "von-mises", "on the circle, all gradients", **CIRCLE, **ALL),
    right("numpy", "wrapped_cauchy", "wrapped-cauchy", "takes circular and unit", **CIRCLE),
    right("numpy", "any_kernel", "logistic", "dispatches by kernel"),
    right("numpy", "any_kernel", "sigmoid", "dispatches by kernel", 0.3),
    right("numpy", "everything", "laplace", "takes **options"),
    right("numpy", "everything", "gaussian", "takes **options, on a circle in radians", 0.5, unit="radians", **CIRCLE),
    right("torch", "gaussian", "gaussian", "the bandwidth is learned", **ALL),
    right("torch", "laplace", "laplace", "takes no option", bins=24),
    right("torch", "Cauchy", "cauchy", "an nn.Module class", bins=36),
    right("torch", "cauchy", "cauchy", "an nn.Module", bins=24),
    right("torch", "student_t", "student-t", "a kernel of torch.distributions, with df", df=4.0),
    right("torch", "logistic", "logistic", "takes scale and background"),
    right("torch", "epanechnikov", "epanechnikov", "compact"),
    right("torch", "geodesic_laplace", "laplace", "on the circle", **CIRCLE),
    right("torch", "von_mises", "von-mises", "on the circle, the bandwidth is learned", **CIRCLE, **ALL),
    right("torch", "any_kernel", "gaussian", "dispatches by kernel", 0.5),
    right("torch", "everything", "laplace", "takes **options"),
    right("jax", "gaussian", "gaussian", "the bandwidth is learned", **ALL),
    right("jax", "student_t", "student-t", "compiled, with static bins"),
    right("jax", "triangular", "triangular", "compact"),
    right("jax", "geodesic_laplace", "laplace", "on the circle; takes no option", bins=24, **CIRCLE),
    right("jax", "von_mises", "von-mises", "on the circle", **CIRCLE),
    faulty(
        "numpy",
        "epsilon_in_log",
        "far-start",
        note="a floor in the logarithm",
        cause="stops growing at 18.42 = -log(1e-8)",
    ),
    faulty("numpy", "clamped_log", "far-start", note="a clamp", cause="stops growing at 500"),
    faulty("numpy", "plain_density", "far-start", note="underflow", cause="infinite far out"),
    faulty("numpy", "cut_exponent", "far-start", note="distances cut", cause="stops growing at 203.2"),
    faulty(
        "numpy",
        "dropped_mass",
        "far-start",
        note="uncovered nodes dropped",
        cause="the loss is 0 where",
        kernel="epanechnikov",
    ),
    faulty(
        "numpy",
        "bessel_overflows",
        "far-start",
        note="overflow",
        cause="infinite far out",
        kernel="von-mises",
        period=360.0,
    ),
    faulty("numpy", "softmax_without_peak", "steep-logits", note="overflow"),
    faulty("numpy", "unnormalised_weights", "logit-offset", note="weights that do not sum to 1"),
    faulty("numpy", "smoothed_weights", "masked-point", note="masked points have weight"),
    faulty("numpy", "last_point_dropped", "permutation", note="a slice too short"),
    faulty("numpy", "unique_angles", "merge", note="equal angles made one"),
    faulty("numpy", "log_of_mean", "agrees", note="the mean inside the logarithm"),
    faulty("numpy", "nodes_at_ends", "agrees", note="nodes on the edges"),
    faulty("numpy", "left_edges", "reflection", note="nodes on the left of their bins"),
    faulty("numpy", "trapezoid_over_midpoints", "agrees", note="weights that do not sum to 1"),
    faulty("numpy", "renormalised_bins", "equal-distance-moved", note="relative to the target's own bins"),
    faulty("numpy", "strongest_point_alone", "merge", note="max for logsumexp"),
    faulty("numpy", "bits", "equal-distance-moved", note="the wrong logarithm"),
    faulty("numpy", "lopsided_window", "reflection", note="a kernel that is not even"),
    faulty("numpy", "normaliser_of_two_dimensions", "unit", note="a wrong power of h"),
    faulty("numpy", "deviation_for_scale", "laplace-one-side", note="another scale", kernel="laplace"),
    faulty("numpy", "one_degree_less", "equal-distance-moved", note="another tail", kernel="student-t", df=3.0),
    faulty("numpy", "single_precision", "agrees", note="half the digits", dtypes=ONLY_64),
    faulty("numpy", "no_wrap", "rotation", note="a line in place of a circle", kernel="laplace", period=360.0),
    faulty(
        "numpy", "folded_at_half_turn", "agrees", note="axes in place of directions", kernel="laplace", period=360.0
    ),
    faulty("numpy", "target_ends_wrapped", "rotation", note="a target across the wrap", kernel="laplace", period=360.0),
    faulty("numpy", "ascent", "derivative", note="the sign of the gradient"),
    faulty("numpy", "clipped_gradient", "derivative", note="no gradient above 0.1"),
    faulty("numpy", "sorted_gradient", "permutation", note="the gradient of another point"),
    faulty("numpy", "slope_without_scale", "derivative", note="∂/∂u for ∂/∂x"),
    faulty("numpy", "slope_of_log_bandwidth", "derivative", note="∂/∂log h for ∂/∂h", wrt=("logits", "bandwidth")),
    faulty(
        "torch",
        "epsilon_in_log",
        "far-start",
        note="a floor in the logarithm",
        cause="stops growing at 18.42 = -log(1e-8)",
    ),
    faulty(
        "torch",
        "tiny_epsilon_in_log",
        "far-start",
        note="a floor in the logarithm",
        cause="stops growing at 36.84 = -log(1e-16)",
    ),
    faulty("torch", "clamped_log", "far-start", note="a clamp", cause="stops growing at 500"),
    faulty("torch", "straight_through_clamp", "derivative", note="a gradient where the loss is flat"),
    faulty("torch", "truncated_kernel", "far-start", note="a kernel cut off", cause="infinite far out"),
    faulty("torch", "log_of_softmax", "masked-point", note="NaN"),
    faulty("torch", "epsilon_in_softmax", "logit-offset", note="weights that do not sum to 1"),
    faulty("torch", "clamped_logits", "steep-logits", note="a clamp"),
    faulty("torch", "temperature", "agrees", note="a constant left over"),
    faulty("torch", "detached_normaliser", "zero-sum", note="a detached part"),
    faulty("torch", "kernel_without_gradient", "derivative", note="no gradient of the angles"),
    faulty("torch", "rounded_angles", "translation", note="a grid"),
    faulty("torch", "clipped_angles", "translation", note="a range"),
    faulty("torch", "root_of_square", "masked-point", note="NaN", kernel="laplace"),
    faulty("torch", "smooth_distance", "laplace-shift", note="another kernel", kernel="laplace"),
    faulty("torch", "bandwidth_for_variance", "unit", note="a wrong power of h"),
    faulty("torch", "FixedBandwidth", "unit", note="an option that is not used"),
    faulty("torch", "single_precision", "agrees", note="half the digits", dtypes=ONLY_64),
    faulty("torch", "degrees_in_sine", "agrees", note="degrees for radians", kernel="von-mises", period=360.0),
    faulty("torch", "sum_over_bins", "agrees", note="a sum for a mean"),
    faulty(
        "jax",
        "epsilon_in_log",
        "far-start",
        note="a floor in the logarithm",
        cause="stops growing at 18.42 = -log(1e-8)",
    ),
    faulty("jax", "clipped_log", "far-start", note="a clamp", cause="stops growing at 500"),
    faulty("jax", "sum_of_exponentials", "far-start", note="underflow", cause="infinite far out"),
    faulty("jax", "log_of_softmax", "masked-point", note="NaN"),
    faulty("jax", "log_of_maximum", "masked-point", note="NaN", kernel="triangular"),
    faulty("jax", "stopped_distance", "derivative", note="a detached part"),
    faulty("jax", "fixed_bins", "agrees", note="an option that is not used", bins=12),
    faulty(
        "jax",
        "mass_of_line",
        "equal-distance-moved",
        note="a line's constant on a circle",
        kernel="laplace",
        bandwidth=60.0,
        period=360.0,
    ),
    right("numpy", "gaussian", "gaussian", "returns the losses alone", **BATCHED),
    right("numpy", "laplace", "laplace", "returns (losses, gradients)", **BATCHED),
    right("numpy", "cauchy", "cauchy", "returns all gradients by name", **BATCHED, **ALL),
    right("numpy", "epanechnikov", "epanechnikov", "compact; takes no option", bins=24, **BATCHED),
    right("numpy", "von_mises", "von-mises", "on the circle", **BATCHED, **CIRCLE),
    right("torch", "gaussian", "gaussian", "the bandwidth is learned", **BATCHED, **ALL),
    right("torch", "Laplace", "laplace", "a module; takes no option", bins=24, **BATCHED),
    right("torch", "geodesic_laplace", "laplace", "on the circle", **BATCHED, **CIRCLE),
    right("jax", "gaussian", "gaussian", "by vmap; the bandwidth is learned", **BATCHED, **ALL),
    right("jax", "triangular", "triangular", "compact; takes no option", bins=24, **BATCHED),
    faulty("numpy", "softmax_over_problems", "batch", "agrees", note="a wrong axis", cause=OTHERS, **BATCHED),
    faulty("numpy", "softmax_over_all", "batch", "equal-distance-moved", note="a wrong axis", cause=OTHERS, **BATCHED),
    faulty(
        *("numpy", "mean_of_batch", "agrees"),
        note="a mean over the batch",
        cause="not 2 losses of shape (2,)",
        **BATCHED,
    ),
    faulty("numpy", "mean_for_each", "batch", "agrees", note="a mean over the batch", cause=OTHERS, **BATCHED),
    faulty("numpy", "gradient_of_mean", "batch", "derivative", note="a mean over the batch", cause=OTHERS, **BATCHED),
    faulty("numpy", "mask_times_logarithm", "batch", "masked-point", note="NaN of the padding", **BATCHED),
    faulty("numpy", "padded_length", "batch", "masked-point", note="padding is counted", **BATCHED),
    faulty("numpy", "peak_of_batch", "batch", "far-start", note="underflow", cause=OTHERS, **BATCHED),
    faulty("numpy", "one_target", "batch", "agrees", note="one target for all", cause=OTHERS, **BATCHED),
    faulty(
        "numpy",
        "one_bandwidth_gradient",
        "batch",
        "agrees",
        kernel="cauchy",
        note="a sum over the batch",
        cause=OTHERS,
        **BATCHED,
        **ALL,
    ),
    faulty(
        "numpy", "longest_as_first", "batch", note="losses in another order", cause="are in another order", **BATCHED
    ),
    faulty("torch", "softmax_over_problems", "batch", "zero-sum", note="a wrong axis", cause=OTHERS, **BATCHED),
    faulty(
        *("torch", "mean_of_batch", "agrees"),
        note="a mean over the batch",
        cause="not 2 losses of shape (2,)",
        **BATCHED,
    ),
    faulty("torch", "batch_normalised", "batch", "agrees", note="a mean over the batch", cause=OTHERS, **BATCHED),
    faulty("torch", "mask_times_logarithm", "batch", "masked-point", note="NaN of the padding", **BATCHED),
    faulty("torch", "detached_others", "batch", "derivative", note="a detached part", cause=OTHERS, **BATCHED),
    faulty(
        "jax",
        "softmax_over_problems",
        "batch",
        "zero-sum",
        kernel="triangular",
        bins=24,
        note="a wrong axis",
        cause=OTHERS,
        **BATCHED,
    ),
    faulty(
        *("jax", "mean_of_batch", "agrees"), note="a mean over the batch", cause="not 2 losses of shape (2,)", **BATCHED
    ),
    faulty("jax", "visible_padding", "batch", "masked-point", note="padding with weight", **BATCHED),
)
