"""Judge the catalogue in many cases: ``python -m tests.losses [CASES [BACKEND]]`` prints a line for each loss.

A right loss that fails is a false alarm of the judge, a faulty one that passes what it is to be caught by a gap. It is
the tests' own judgement, in as many cases as wanted: 200 take a quarter of an hour for each of NumPy and PyTorch.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.losses import CATALOGUE
from tests.losses.judging import complaint, verdicts_of


def main(cases: str = "20", backend: str = "") -> int:
    """Print the verdicts; return 1 if one is not as the catalogue says."""
    wrong = 0
    for entry in CATALOGUE:
        for dtype in entry.dtypes if backend in ("", entry.backend) else ():
            start = time.perf_counter()
            verdicts = verdicts_of(entry, dtype, int(cases))
            seconds = time.perf_counter() - start
            count = Counter(verdict.verdict for verdict in verdicts)
            failed = Counter(verdict.property for verdict in verdicts if verdict.verdict == "fail")
            what = complaint(entry, verdicts)
            wrong += bool(what)
            of_properties = " ".join(f"{name}:{number}" for name, number in failed.items())
            print(
                f"{entry.name} {dtype}: {count['pass']} passed, {count['skip']} skipped, {count['fail']} failed "
                f"{of_properties} {seconds:.1f} s {what and 'WRONG: ' + what}",
                flush=True,
            )
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
