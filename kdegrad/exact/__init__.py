"""The rule ``exact``: the integral over the target itself, to round-off.

`kinks.py` finds where p is not smooth, `refinement.py` halves Gauss panels between these places until all is known and
returns nodes and weights, `steps.py` does the same for a kernel that jumps, `edges.py` adds what those cannot see of a
compact edge, and `errors.py` says how far all of it may be off.
"""

from __future__ import annotations

from kdegrad.exact.edges import EdgeTerms, edge_terms
from kdegrad.exact.errors import GradientError, gradient_error, loss_error
from kdegrad.exact.refinement import ExactRule, exact_rule

__all__ = ["EdgeTerms", "ExactRule", "GradientError", "edge_terms", "exact_rule", "gradient_error", "loss_error"]
