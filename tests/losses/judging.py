"""The judge's verdicts on the losses of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from kdegrad.properties import Verdict
from kdegrad.properties.evaluators import judged_loss
from kdegrad.properties.losses import imported
from kdegrad.properties.runs import verify_loss
from kdegrad.settings import JudgedOptions, Settings
from tests.losses import Entry


def verdicts_of(
    entry: Entry, dtype: str, cases: int, only: Sequence[str] = (), floor: float | None = None
) -> list[Verdict]:
    """Return what `verify-props --loss` finds in a loss, declared as its entry says, and meant to have a floor."""
    options = {"kernel": entry.kernel, "bandwidth": entry.bandwidth, **entry.options}
    of_judge = {name: options.pop(name) for name in ("wrt", "batched") if name in options}
    like, how = Settings(**options), JudgedOptions(backend=entry.backend, dtype=dtype, floor=floor, **of_judge)
    return verify_loss(judged_loss(*imported(entry.loss), how, like), like, cases=cases, only=only)


def complaint(entry: Entry, verdicts: Sequence[Verdict]) -> str:
    """Return what is wrong with the verdicts, a right loss that fails, a fault not found or not named; else empty."""
    failed = {verdict.property: verdict for verdict in verdicts if verdict.verdict == "fail"}
    if not entry.is_right:
        found = [f"passes {name}" for name in entry.caught_by if name not in failed]
        if not any(entry.cause in verdict.difference for verdict in verdicts):
            found.append(f"does not say {entry.cause!r}")
        return ", ".join(found)
    if not failed and not any(verdict.verdict == "pass" for verdict in verdicts):
        return "nothing is checked"
    return "; ".join(f"fails {name} in {found.case}: {found.reason}" for name, found in failed.items())
