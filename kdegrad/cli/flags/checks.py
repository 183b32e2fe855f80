"""The options of ``verify-props``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from kdegrad import grammar
from kdegrad.cli.flags.words import count, names, option, parsed

CHECKS = "Checks"


@dataclass(eq=False, repr=False)
class CheckFlags:
    """What ``verify-props`` checks, and how strictly."""

    cases: Annotated[str, option("--cases", CHECKS, "Random problems beside the input's. [default: 20]", "N")] = "20"
    seed: Annotated[str, option("--seed", CHECKS, "What they are drawn from. [default: 0]", "S")] = "0"
    only: Annotated[
        list[str] | None,
        option("--only", CHECKS, "Only these properties, by commas or repeated.", "IDS", words="properties.IDS"),
    ] = None
    tolerance: Annotated[
        str | None, option("--tolerance", CHECKS, "What rounding may do. [default: each check's own estimate]", "T")
    ] = None
    list_: Annotated[
        bool, typer.Option("--list", help="List the properties, check nothing.", rich_help_panel=CHECKS)
    ] = False

    def options(self) -> dict[str, Any]:
        """Return the keywords of `kdegrad.verify` that the flags give."""
        return {
            "cases": count("cases", self.cases, least=0),
            "seed": count("seed", self.seed, least=0),
            "only": tuple(names(*self.only or ())),
            "tolerance": self.tolerance and parsed("tolerance", grammar.number, self.tolerance),
        }
