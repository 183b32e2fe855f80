"""Print the largest ratio of error and bound by kernel and domain: `python -m tests.accuracy_report`."""

from __future__ import annotations

from tests import problems
from tests.measure import measure

NUMBERS = ("loss", "logits", "angles", "bandwidth", "sum of shares")


def report() -> None:
    """Print a line per kernel: the largest ratio of each quantity over all cases, and the case of the largest."""
    print(f"{'':8}{'':20}{'cases':>6}" + "".join(f"{name:>15}" for name in NUMBERS) + "   worst in")
    for domain, cases, kernels in (
        ("line", problems.LINE, problems.ON_LINE),
        ("circle", problems.CIRCLE, problems.ON_CIRCLE),
    ):
        for label, kernel in kernels.items():
            found = {name: measure(case.problem(**kernel)) for name, case in cases.items()}
            largest = {number: max(f.get(number, 0.0) for f in found.values()) for number in NUMBERS}
            worst = max(found, key=lambda name: max(found[name].values()))
            ratios = "".join(f"{largest[number]:15.2g}" for number in NUMBERS)
            print(f"{domain:8}{label:20}{len(cases):>6}{ratios}   {worst}", flush=True)


if __name__ == "__main__":
    report()
