"""The checks of ``verify-props``: each claim of the note, what stands behind it and what any loss must satisfy.

`base.py` says what a property is; `claims.py`, `sharper.py`, `far_field.py`, `ground.py` and `convergence.py` hold the
twenty; `cases.py` draws problems; `evaluators.py` answers them; `judge.py` decides. `reference.py` is a second
implementation, on the formulas of `reference_kernels.py`; it shares nothing with the first. README.md has the theory.
"""

from __future__ import annotations

from kdegrad.properties.base import Case, Comparison, Property, Verdict
from kdegrad.properties.judge import PROPERTIES, chosen, judge, passed, verify

IDS = tuple(property_.id for property_ in PROPERTIES)

__all__ = ["IDS", "PROPERTIES", "Case", "Comparison", "Property", "Verdict", "chosen", "judge", "passed", "verify"]
