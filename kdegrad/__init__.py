"""kdegrad: the gradient of the cross-entropy between a uniform target and a kernel density.

    import kdegrad as kg
    kg.loss(angles, logits, target=(-30, 30), kernel="laplace", bandwidth=10)
    kg.grad(angles, logits, target=(-30, 30), kernel="von-mises", bandwidth=10, circular=True)

The public names are imported when they are first used, so that ``kdegrad --help`` does not import NumPy.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers; importing `typing` here would delay the handling of Ctrl-C

if TYPE_CHECKING:
    from typing import Any

    from kdegrad.batch import Batch
    from kdegrad.crossentropy import Gradients
    from kdegrad.descent import Descent, descend
    from kdegrad.errors import InputError, InputWarning, KdegradError, SettingError
    from kdegrad.evaluation import BatchEvaluation, Diagnostics, Evaluation
    from kdegrad.figures import plot
    from kdegrad.kernel.listing import kernels
    from kdegrad.mixture import density
    from kdegrad.objective import evaluate, grad, loss, loss_and_grad
    from kdegrad.problem import Problem
    from kdegrad.properties import Verdict, Verdicts, verify
    from kdegrad.reading import load
    from kdegrad.reading.frames import from_frame
    from kdegrad.settings import Settings
    from kdegrad.sweeps import Sweep, sweep
    from kdegrad.targets import Points

__version__ = "0.1.0"

_NAMES = {  # what each module offers
    "batch": ("Batch",),
    "crossentropy": ("Gradients",),
    "descent": ("Descent", "descend"),
    "errors": ("InputError", "InputWarning", "KdegradError", "SettingError"),
    "evaluation": ("BatchEvaluation", "Diagnostics", "Evaluation"),
    "figures": ("plot",),
    "kernel.listing": ("kernels",),
    "mixture": ("density",),
    "objective": ("evaluate", "grad", "loss", "loss_and_grad"),
    "problem": ("Problem",),
    "properties": ("Verdict", "Verdicts", "verify"),
    "reading": ("load",),
    "reading.frames": ("from_frame",),
    "settings": ("Settings",),
    "sweeps": ("Sweep", "sweep"),
    "targets": ("Points",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Batch",
    "BatchEvaluation",
    "Descent",
    "Diagnostics",
    "Evaluation",
    "Gradients",
    "InputError",
    "InputWarning",
    "KdegradError",
    "Points",
    "Problem",
    "SettingError",
    "Settings",
    "Sweep",
    "Verdict",
    "Verdicts",
    "__version__",
    "density",
    "descend",
    "evaluate",
    "from_frame",
    "grad",
    "kernels",
    "load",
    "loss",
    "loss_and_grad",
    "plot",
    "sweep",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'kdegrad' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"kdegrad.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
