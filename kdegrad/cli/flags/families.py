"""The options of ``sweep`` and ``descend``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from kdegrad import grammar
from kdegrad.cli.flags.report import PARQUET
from kdegrad.cli.flags.words import count, names, option, parsed
from kdegrad.errors import SettingError

SWEEP, DESCENT = "Sweep", "Descent"


@dataclass(eq=False, repr=False)
class SweepFlags:
    """What a sweep runs along."""

    over: Annotated[
        str | None,
        option("--over", SWEEP, "distance, bandwidth, bins, kernel, background or scale.", "NAME", words="sweeps.OVER"),
    ] = None
    from_: Annotated[str | None, option("--from", SWEEP, "The first value.", "A")] = None
    to: Annotated[str | None, option("--to", SWEEP, "The last value.", "B")] = None
    steps: Annotated[str | None, option("--steps", SWEEP, "How many values. [default: 11]", "K")] = None
    log: Annotated[
        bool, typer.Option("--log", help="Values at equal ratios, logarithmic axes.", rich_help_panel=SWEEP)
    ] = False

    def values(self) -> list[float] | None:
        """Return the values of the parameter; None for kernels, which have names.

        Raises
        ------
        SettingError
            For a parameter that is not named, or without its range.
        """
        from kdegrad.sweeps import OVER, STEPS, spaced

        if self.over is None:
            raise SettingError("over", f"say what to sweep over: {', '.join(OVER)}", "--over")
        ends = {"from": self.from_, "to": self.to}
        if self.over == "kernel":
            given = [name for name, text in {**ends, "steps": self.steps}.items() if text is not None]
            if given or self.log:
                unfit = f"--{given[0]}" if given else "--log"
                raise SettingError("over", "kernel has names, no range: give --kernel NAME, more than once", unfit)
            return None
        for name, text in ends.items():
            if self.over in OVER and text is None:
                raise SettingError(
                    name, f"give both ends of the range: --over {self.over} --from A --to B", f"--{name}"
                )
        start, stop = (parsed(name, grammar.number, text or "0") for name, text in ends.items())
        return spaced(self.over, start, stop, STEPS if self.steps is None else count("steps", self.steps), log=self.log)


@dataclass(eq=False, repr=False)
class DescentFlags:
    """How a descent goes."""

    steps: Annotated[str | None, option("--steps", DESCENT, "The most steps to take. [default: 100]", "K")] = None
    rate: Annotated[str | None, option("--rate", DESCENT, "The length of a step. [default: 1]", "R")] = None
    wrt: Annotated[
        list[str] | None,
        option(
            "--wrt",
            DESCENT,
            "What moves: logits, angles, bandwidth, by commas. [default: logits]",
            "NAMES",
            words="objective.WRT",
        ),
    ] = None
    optimizer: Annotated[
        str,
        option("--optimizer", DESCENT, "gradient, em or adam. [default: gradient]", "NAME", words="descent.OPTIMIZERS"),
    ] = "gradient"
    tolerance: Annotated[
        str | None,
        option("--tolerance", DESCENT, "Stop at this duality gap, or norm of the gradient. [default: 1e-8]", "T"),
    ] = None
    trace: Annotated[str | None, option("--trace", DESCENT, "Write every step there, as CSV.", "FILE")] = None

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of `kdegrad.descend` that the flags give.

        Raises
        ------
        SettingError
            For a text that is no number, for a rate where there is none, and for a trace that would be no CSV.
        """
        if self.trace is not None and self.trace.lower().endswith(PARQUET):
            raise SettingError("trace", "is written as CSV: name a .csv", "--trace")
        if self.optimizer == "em" and self.rate is not None:
            raise SettingError("rate", "em has none, its step is exact: leave it out", "--rate")
        numbers = {"rate": self.rate, "tolerance": self.tolerance}
        keywords = {name: parsed(name, grammar.number, text) for name, text in numbers.items() if text is not None}
        if self.steps is not None:
            keywords["steps"] = parsed("steps", grammar.integer, self.steps)
        return {**keywords, "wrt": names(*self.wrt or ["logits"]), "optimizer": self.optimizer}
