"""The verdict of one property on one case, and those of a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from kdegrad.notebook import InNotebook
from kdegrad.properties.base import Expectation, Outcome
from kdegrad.text import counted, shortened, summary


@final
@dataclass(frozen=True, repr=False)
class Verdict:
    """The result of one property on one case; the fields are those of a check in the reports.

    Attributes
    ----------
    case
        The name of the file (in the library ``input``), or that with ``#K`` for the random problem K.
    expectation
        What theory says of this kernel, domain and data; empty where nothing was measured.
    observed
        ``holds``, ``breaks``, ``error: ...``, or empty for a skip.
    residual, tolerance
        Of the comparison that was worst in units of its tolerance; None where nothing was compared.
    verdict
        ``pass`` where what was observed is what theory says; ``fail``, ``skip``.
    reason
        What was compared, with the two values if it failed; why it was skipped.
    reproduce
        A line to paste that runs this check alone, in a shell or, from the library, in Python.
    difference
        Of a judged loss that failed: what is wrong with its numbers.
    names_fault
        Whether that names the fault: a floor, a clamp, NaN, a wrong sign.
    meaning
        What it means for training.
    details, example
        For its first failure of a property: a table or a remedy; lines of Python that show it.
    about
        What the case is: its kind, points, kernel and target.
    seconds
        How long the check took.
    """

    property: str
    case: str
    expectation: Expectation | Literal[""] = ""
    observed: str = ""
    residual: float | None = None
    tolerance: float | None = None
    verdict: Outcome = "skip"
    reason: str = ""
    reproduce: str = ""
    difference: str = ""
    names_fault: bool = False
    meaning: str = ""
    details: str = ""
    example: str = ""
    about: str = ""
    seconds: float = field(default=0.0, compare=False)

    def __repr__(self) -> str:
        return summary("Verdict", f"{self.property} [{self.case}] {self.verdict}", shortened(self.said()))

    def said(self) -> str:
        """Return what is wrong and what that means, in one sentence; without an explanation what was compared."""
        return ": ".join(filter(None, (self.difference, self.meaning))) or self.reason


@final
class Verdicts(InNotebook, list[Verdict]):
    """The verdicts of a run: a list, by case, and in a case by property.

    Parameters
    ----------
    verdicts
        The list.
    seed
        Of the random problems.
    inputs
        The names of the problems that were given; the first one's settings are those of the random problems.
    kernels
        Their kernels, or that of the random problems.
    bandwidths
        Of a judged loss: the bandwidths that it was judged with.
    case
        The one case that was asked for; empty: all.
    planned
        How many checks there were to do: more than there are verdicts, if the run was to end at the first failure.
    """

    def __init__(
        self,
        verdicts: Iterable[Verdict] = (),
        *,
        seed: int = 0,
        inputs: Sequence[str] = (),
        kernels: Sequence[str] = (),
        bandwidths: Sequence[float] = (),
        case: str = "",
        planned: int = 0,
    ) -> None:
        super().__init__(verdicts)
        self.seed, self.inputs = seed, tuple(inputs)
        self.kernels, self.bandwidths = tuple(kernels), tuple(bandwidths)
        self.case, self.planned = case, max(planned, len(self))

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and something was checked; one case that was asked for may be skipped."""
        number = self.counts
        return number["failed"] == 0 and (number["passed"] > 0 or (self.case != "" and number["skipped"] > 0))

    @property
    def failed(self) -> list[Verdict]:
        """The verdicts that are failures: of the problems that were given first."""
        return [verdict for verdict in self if verdict.verdict == "fail"]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ``passed``, ``failed`` and were ``skipped``."""
        tally = Counter(verdict.verdict for verdict in self)
        return {"passed": tally["pass"], "failed": tally["fail"], "skipped": tally["skip"]}

    @property
    def unchecked(self) -> bool:
        """Whether nothing was checked that should have been."""
        number = self.counts
        return not self.passed and number["failed"] == 0

    @property
    def unchecked_inputs(self) -> dict[str, str]:
        """Why every check was skipped, by the names of the problems that were given of which nothing was checked.

        Empty in a run of one case, which was asked for.
        """
        found: dict[str, str] = {}
        for name in self.inputs if not self.case else ():
            of = [verdict for verdict in self if verdict.case == name]
            if of and not any(verdict.observed for verdict in of):  # what was expected to fail was observed
                ((found[name], _),) = Counter(verdict.reason for verdict in of).most_common(1)
        return found

    @property
    def cases(self) -> list[str]:
        """The names of the cases, in their order."""
        return list(dict.fromkeys(verdict.case for verdict in self if verdict.about))

    @property
    def left_out(self) -> int:
        """How many checks were not done after the first failure."""
        return self.planned - len(self)

    def __repr__(self) -> str:
        told = [f"{number} {word}" for word, number in self.counts.items()]
        return summary("Verdicts", f"{counted(len(self), 'check')} of {counted(len(self.cases), 'case')}", *told)
