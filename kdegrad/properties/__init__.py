"""The checks of ``verify-props``: each claim of the note, what stands behind it and what any loss must satisfy.

`base.py` says what a property is; `claims.py`, `sharper.py`, `far_field.py`, `ground.py`, `convergence.py` and
`training.py` hold them; `cases.py` draws problems; `evaluators.py` answers them; `judge.py` decides; `runs.py` runs all
of them, and `verdicts.py` is what comes of it. `reference.py` is a second implementation, on the formulas of
`reference_kernels.py`; it shares nothing with the first. A loss that is not kdegrad's is imported by `user_code.py` and
called by `losses.py`, with the arrays and gradients of `backends.py`; `explanation.py` and `far_out.py` say what its
failures mean. README.md has the theory.
"""

from __future__ import annotations

from kdegrad.properties.base import Case, Comparison, Property
from kdegrad.properties.judge import PROPERTIES, judge
from kdegrad.properties.runs import IDS, chosen, matching, verify, verify_loss
from kdegrad.properties.verdicts import Verdict, Verdicts

__all__ = [
    "IDS",
    "PROPERTIES",
    "Case",
    "Comparison",
    "Property",
    "Verdict",
    "Verdicts",
    "chosen",
    "judge",
    "matching",
    "verify",
    "verify_loss",
]
