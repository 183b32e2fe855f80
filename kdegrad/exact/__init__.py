"""The rule ``exact``: the integral over the target itself, to round-off.

`kinks.py` finds where p is not smooth, `refinement.py` halves Gauss panels between these places until all is known and
returns nodes and weights, `edges.py` adds what those cannot see of a compact edge.
"""

from __future__ import annotations

from kdegrad.exact.edges import EdgeTerms, edge_terms
from kdegrad.exact.refinement import exact_rule

__all__ = ["EdgeTerms", "edge_terms", "exact_rule"]
