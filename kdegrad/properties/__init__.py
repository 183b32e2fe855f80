"""The checks of SPEC section 5: each of the note's claims, and what stands behind and under them, pass or fail.

`base.py` says what a property is, `claims.py`, `sharper.py`, `far_field.py`, `ground.py` and `convergence.py` hold the
twenty, `cases.py` draws problems, `verify.py` judges. `reference.py` is a second implementation, on the formulas of
`reference_kernels.py`; it shares nothing with the first.
"""

from __future__ import annotations

from kdegrad.properties.base import Case, Comparison, Property, Verdict
from kdegrad.properties.judge import PROPERTIES, chosen, judge, passed, verify

IDS = tuple(property_.id for property_ in PROPERTIES)

__all__ = ["IDS", "PROPERTIES", "Case", "Comparison", "Property", "Verdict", "chosen", "judge", "passed", "verify"]
