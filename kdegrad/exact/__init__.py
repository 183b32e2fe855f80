"""The rule ``exact``: the integral over the target itself, to round-off.

`kinks.py` finds where p is not smooth, `panels.py` judges a Gauss rule on one panel between, `refinement.py` halves
panels until all is known and hands out nodes and weights, `edges.py` says what those cannot see of a compact edge.
"""

from __future__ import annotations

from kdegrad.exact.edges import EdgeTerms, edge_terms
from kdegrad.exact.refinement import exact_rule

__all__ = ["EdgeTerms", "edge_terms", "exact_rule"]
