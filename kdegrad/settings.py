"""The table of options: the name, type, range, default and help of each, and where it may be given.

A group of options is a frozen dataclass, and a row of the table is a field of it: its name, type and default, with an
`Option` for the rest. These are made from the rows:

- the check of every value (`kdegrad.option`), wherever it comes from;
- the flags of the command line and their help (`kdegrad.cli.options`), under the heading of the group;
- the keys of a YAML problem (`kdegrad.reading.document`), but for each `Flag`;
- the field ``problem`` of a report (`kdegrad.reports.records`), from `Settings`.

The keywords of the library are written out in its signatures, where ``help(kdegrad.loss)`` and editors find them, and a
test compares them with the rows. The table is read at every start of the command, so eq and repr are disabled:
generating them slows the start.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from kdegrad import grammar
from kdegrad.errors import SettingError
from kdegrad.option import Flag, Group, Option, Range, Row
from kdegrad.text import NARROWEST, WIDEST, option_text, shortened, shown, spoken

CIRCUMFERENCE: Final[Mapping[str, float]] = {"degrees": 360.0, "radians": 2.0 * math.pi, "turns": 1.0}
UNITS: Final = tuple(CIRCUMFERENCE)
_UNIT_ALIASES: Final = {"degree": "degrees", "deg": "degrees", "radian": "radians", "rad": "radians", "turn": "turns"}
_MOST_TURNS: Final = 6  # axes have the period 180 in degrees, a four-stroke engine 720
_TURN_ROUNDING: Final = 1e-3  # of a circumference that is written with three digits, 6.28
RULES: Final = ("midpoint", "gauss", "exact")
SUMS: Final = ("auto", "dense", "fast")
WRT: Final = ("logits", "angles", "bandwidth")
OVER: Final = ("distance", "bandwidth", "bins", "kernel", "background", "scale")
MISSING: Final = ("error", "skip")
SIDES: Final = ("E", "N", "S", "W")
DECIMALS: Final = (".", ",")
ENGINES: Final = ("dask",)
OPTIMIZERS: Final = ("gradient", "em", "adam")
INPUT_FORMATS: Final = ("csv", "tsv", "yaml", "json", "jsonl", "parquet")
INPUT_FORMAT_ALIASES: Final = {"yml": "yaml", "ndjson": "jsonl"}
FORMATS: Final = ("table", "json", "csv", "tsv", "parquet", "html")
CHECK_FORMATS: Final = (*FORMATS, "junit", "github")
BACKENDS: Final = ("numpy", "torch", "jax")
DTYPES: Final = ("float64", "float32")
GROUPED: Final = ("loss", "grad")  # the commands that take many problems at once
COMPUTING: Final = ("loss", "grad", "sweep", "descend", "verify-props")  # the commands that have a result to draw
_BY_SUFFIX: Final = "by the suffix of --output, else table"
MOST_BINS: Final = 10_000_000
MOST_GAUSS_BINS: Final = 10_000
POSITIVE: Final = Range(0, open_low=True)
NOT_NEGATIVE: Final = Range(0)
SHARE: Final = Range(0, 1, open_high=True)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TargetOptions(Group):
    """What the model's density is compared with; `kdegrad.targets` checks the interval.

    Attributes
    ----------
    target
        The interval (a, b) that the target density is uniform on, in the unit of the angles.
    at
        The single node that replaces the quadrature: the note's "only one of the bins".
    target_points
        The table of weighted angles that stands for the interval, on the command line.
    """

    panel: ClassVar = "Target"
    target: Annotated[tuple[float, float] | None, Option("LOW HIGH", "The interval [a, b].")] = None
    at: Annotated[float | None, Option("X", "One bin only, at X.", Range())] = None
    target_points: Annotated[str | None, Flag("FILE", "Weighted angles instead: a table of angle, weight.")] = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings(Group):
    """The options of a problem but for its target.

    Attributes
    ----------
    kernel
        A name or alias of one of the kernels.
    bandwidth
        The kernel's scale h, in the unit of the angles.
    df
        Degrees of freedom ν of ``student-t``; nothing else reads it.
    rule, bins
        The quadrature: where its nodes are (``midpoint``, ``gauss`` or ``exact``), and how many.
    scale
        C, a factor on the kernel.
    background
        E, the share of the target's own uniform density that is mixed into the model's.
    circular, period, unit
        The domain: a line, or a circle whose circumference is `period` or, without one, a full turn in `unit`.
    sums
        Which summation: ``auto``, ``dense`` or ``fast``. The numbers are the same.

    Raises
    ------
    SettingError
        Naming the option, the value and the remedy.
    """

    panel: ClassVar = "Problem"
    kernel: Annotated[str, Option("NAME", "See kdegrad kernels.", words="kernel.BY_NAME", short="-k")] = "laplace"
    bandwidth: Annotated[float, Option("H", "Kernel scale, in the angles' unit.", POSITIVE)] = 1.0
    df: Annotated[float, Option("NU", "Degrees of freedom of student-t.", POSITIVE)] = 3.0
    rule: Annotated[str, Option("NAME", "midpoint, gauss or exact.", RULES)] = "midpoint"
    bins: Annotated[int, Option("B", "How many bins.", Range(1, MOST_BINS))] = 360
    scale: Annotated[float, Option("C", "Multiply the kernel by C.", POSITIVE)] = 1.0
    background: Annotated[float, Option("E", "Share of the target's uniform density mixed in.", SHARE)] = 0.0
    circular: Annotated[bool, Option("", "Angles are positions on a circle.", reported="domain")] = False
    period: Annotated[float | None, Option("P", "The circle's circumference.", POSITIVE)] = None
    unit: Annotated[
        str,
        Option("NAME", "degrees, radians or turns: the circle's circumference.", UNITS, aliases=_UNIT_ALIASES),
    ] = "degrees"
    sums: Annotated[str, Option("NAME", "How to sum: auto, dense, fast.", SUMS)] = "auto"

    def __repr__(self) -> str:
        """Return what makes the same settings: those that are not the default."""
        given = [(row.name, getattr(self, row.name)) for row in self.rows if getattr(self, row.name) != row.default]
        return f"Settings({', '.join(f'{name}={shortened(value)}' for name, value in given)})"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit != "degrees":  # which is also the unit of those who say nothing about it: --period 24
            self.require_one_circumference()

    def require_one_circumference(self) -> None:
        """Refuse a period that is neither a full turn of the unit nor a few of them, nor a simple part of one."""
        if self.period is not None:
            turn = CIRCUMFERENCE[self.unit]
            ratio = max(self.period, turn) / min(self.period, turn)
            if ratio > _MOST_TURNS + 0.5 or abs(ratio - round(ratio)) > _TURN_ROUNDING * ratio:
                raise SettingError(
                    "period",
                    f"{self.period:g} contradicts the unit {self.unit}, in which a full turn is {turn:.6g}: leave one "
                    "of the two out",
                )

    @property
    def circumference(self) -> float | None:
        """The circle's circumference P in the unit of the angles; None on the line."""
        if self.period is not None:
            return self.period
        return CIRCUMFERENCE[self.unit] if self.circular else None

    @property
    def note_on_unit(self) -> str | None:
        """What to say of a unit without a circle, on which alone it changes numbers; None where there is nothing."""
        if self.circumference is not None or self.unit == "degrees":
            return None
        circle = spoken("--circular or --period P", "circular=True or period=P")
        unit = option_text("unit", spoken(self.unit, repr(self.unit)))
        return f"{unit} changes no number on a line: {circle} makes a circle"


@dataclass(frozen=True, kw_only=True)
class DrawingOptions(Group):
    """How a circle is drawn; nothing is computed from it.

    Attributes
    ----------
    zero
        Where the angle 0 is: ``E`` right, ``N`` on top, ``W`` left, ``S`` below.
    clockwise
        Whether angles grow clockwise, as the bearings of a compass do.
    """

    panel: ClassVar = "Drawing"
    zero: Annotated[str, Option("NAME", "Where a circle has 0: E, N, S or W (N: on top).", SIDES, commands=GROUPED)] = (
        "E"
    )
    clockwise: Annotated[bool, Option("", "A circle's angles grow clockwise.", commands=GROUPED)] = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReadingOptions(Group):
    """How a file is read; None leaves it to the file, or to the default."""

    panel: ClassVar = "Reading"
    angle_column: Annotated[str | None, Option("NAME", "Column of the angles.", default="angle")] = None
    logit_column: Annotated[str | None, Option("NAME", "Column of the logits.", default="logit")] = None
    weight_column: Annotated[str | None, Option("NAME", "Column of the weights.", default="weight")] = None
    label_column: Annotated[str | None, Option("NAME", "Column of the labels.", default="label")] = None
    group_by: Annotated[
        str | None, Option("COLUMN", "Column of the groups, each a problem of its own.", commands=GROUPED)
    ] = None
    target_columns: Annotated[
        tuple[str, ...] | None, Option("NAMES", "Columns of each group's target: LOW,HIGH or AT.", commands=GROUPED)
    ] = None
    no_weights: Annotated[bool | None, Option("", "A column named weight holds no weights: ignore it.")] = None
    missing: Annotated[
        str | None, Option("NAME", "What to do with a row that lacks a value: error or skip.", MISSING, default="error")
    ] = None
    delimiter: Annotated[
        str | None, Option("C", "The character between cells, or the word whitespace.", default="from the file")
    ] = None
    decimal: Annotated[str | None, Option("C", "Decimal mark: a point or a comma.", DECIMALS, default=".")] = None
    input_format: Annotated[
        str | None,
        Flag(
            "NAME", "csv, tsv, yaml, json, jsonl or parquet.", INPUT_FORMATS, "by suffix", aliases=INPUT_FORMAT_ALIASES
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        columns = self.target_columns
        if columns is not None and (len(columns) not in (1, 2) or len(set(columns)) < len(columns) or "" in columns):
            listed = shown(",".join(columns))
            of_two, of_one = spoken("LOW,HIGH", "(low, high)"), spoken("AT", "(at,)")
            give = f"give {of_two}, or {of_one} for an observed angle"
            raise SettingError("target-columns", f"{listed} is not one column or two: {give}")
        if self.delimiter is not None:
            try:
                object.__setattr__(self, "delimiter", grammar.delimiter(self.delimiter))
            except ValueError as error:
                raise SettingError("delimiter", str(error)) from None
        if self.no_weights and self.weight_column is not None:
            raise SettingError("no-weights", "contradicts the column of weights that is named: leave one out")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ReportOptions(Group):
    """Where a report goes, in which format, and what goes with it."""

    panel: ClassVar = "Report"
    output: Annotated[str | None, Flag("FILE", "Write there, whole or not at all.", short="-o")] = None
    format: Annotated[
        str | None, Flag("NAME", "table, json, csv, tsv, parquet or html.", FORMATS, default=_BY_SUFFIX)
    ] = None
    width: Annotated[
        int | None, Flag("W", "Columns of a table.", Range(NARROWEST, WIDEST), default="the terminal's, else 80")
    ] = None
    top: Annotated[
        int | None,
        Flag("K", "Only the K largest, the largest first; of loss the groups.", Range(1), commands=GROUPED),
    ] = None
    plot: Annotated[str | None, Flag("FILE", "Draw a figure: .png, .svg or .pdf.", commands=COMPUTING)] = None
    exact: Annotated[
        bool | None,
        Flag(
            "",
            "Report how far the bins are from the integral.",
            default="in the table, up to 2000 points",
            commands=("loss",),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckReportOptions(ReportOptions):
    """The same for ``verify-props``, whose report has more formats."""

    format: Annotated[
        str | None,
        Flag("NAME", "table, json, csv, tsv, parquet, html, junit or github.", CHECK_FORMATS, default=_BY_SUFFIX),
    ] = None
    junit: Annotated[str | None, Flag("FILE", "Write JUnit XML there, beside the report.")] = None
    verbose: Annotated[bool, Flag("", "A row for every property; every failure in full.", short="-v")] = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PartsOptions(Group):
    """How a table in parts, or one that is larger than memory, is computed."""

    panel: ClassVar = "Parts"
    stream: Annotated[
        bool,
        Flag("", "Hold a block of rows at a time, of groups a part; grad writes a part for each to folder --output."),
    ] = False
    engine: Annotated[str | None, Flag("NAME", "What computes the parts: dask.", ENGINES, default="this process")] = (
        None
    )
    scheduler: Annotated[
        str | None, Flag("ADDRESS", "A Dask scheduler's.", default="of a new cluster on this machine")
    ] = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GradientOptions(Group):
    """What ``grad`` computes and shows."""

    panel: ClassVar = "Gradient"
    wrt: Annotated[tuple[str, ...], Flag("NAMES", "logits, angles, bandwidth, by commas.", WRT)] = ("logits",)
    per_bin: Annotated[bool, Flag("", "One row per bin and point.")] = False


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SweepOptions(Group):
    """What a sweep runs along."""

    panel: ClassVar = "Sweep"
    over: Annotated[str, Flag("NAME", "distance, bandwidth, bins, kernel, background or scale.", OVER)] = ""
    from_: Annotated[float | None, Flag("A", "The first value.", Range())] = None
    to: Annotated[float | None, Flag("B", "The last value.", Range())] = None
    steps: Annotated[int, Flag("K", "How many values.", Range(1))] = 11
    log: Annotated[bool, Flag("", "Space values logarithmically; logarithmic axes.")] = False

    def __post_init__(self) -> None:
        if isinstance(self.over, str) and not self.over:
            raise SettingError("over", f"say what to sweep over: {', '.join(OVER)}")
        super().__post_init__()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DescentOptions(Group):
    """How a descent goes."""

    panel: ClassVar = "Descent"
    steps: Annotated[int, Flag("K", "The most steps to take.", NOT_NEGATIVE)] = 100
    rate: Annotated[float | None, Flag("R", "The length of a step.", POSITIVE, default="1.0")] = None
    wrt: Annotated[tuple[str, ...], Flag("NAMES", "What moves: logits, angles, bandwidth, by commas.", WRT)] = (
        "logits",
    )
    optimizer: Annotated[str, Flag("NAME", "gradient, em or adam.", OPTIMIZERS)] = "gradient"
    tolerance: Annotated[
        float, Flag("T", "Stop at this duality gap, or norm of the gradient.", NOT_NEGATIVE, default="1e-8")
    ] = 1e-8
    trace: Annotated[str | None, Flag("FILE", "Write every step there, as CSV or TSV.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.wrt:
            raise SettingError("wrt", f"nothing moves: choose from {', '.join(WRT)}")
        if self.optimizer == "em" and self.rate is not None:
            raise SettingError("rate", "em has none, its step is exact: leave it out")
        if self.optimizer == "em" and self.wrt != ("logits",):
            raise SettingError("wrt", "em moves the logits alone: take the optimizer gradient or adam for the others")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckOptions(Group):
    """What ``verify-props`` checks, and how strictly."""

    panel: ClassVar = "Checks"
    cases: Annotated[int, Flag("N", "Random problems to draw.", NOT_NEGATIVE)] = 20
    seed: Annotated[int, Flag("S", "Seed of the random problems.", NOT_NEGATIVE)] = 0
    case: Annotated[str | None, Flag("K", "Random problem K alone, or the case of that name.", default="all")] = None
    only: Annotated[
        tuple[str, ...],
        Flag("IDS", "Only these, by commas or repeated; laplace-* is a pattern.", words="properties.IDS"),
    ] = ()
    skip: Annotated[tuple[str, ...], Flag("IDS", "All but these, likewise.", words="properties.IDS")] = ()
    tolerance: Annotated[
        float | None, Flag("T", "Allowed rounding error.", POSITIVE, default="each check's own estimate")
    ] = None
    exitfirst: Annotated[bool, Flag("", "Stop at the first failure.", short="-x")] = False
    list_: Annotated[bool, Flag("", "List the properties, check nothing.")] = False
    expect_fail: Annotated[
        tuple[str, ...],
        Flag("PATTERN=REASON", "Properties that may fail, and why; it must fail somewhere.", is_text=True),
    ] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class JudgedOptions(Group):
    """The loss that ``verify-props`` judges in place of kdegrad's own."""

    panel: ClassVar = "Judged loss"
    loss: Annotated[str | None, Flag("MODULE:NAME", "Check this Python function, not kdegrad's own loss.")] = None
    backend: Annotated[
        str | None,
        Flag("NAME", "Its arrays: numpy, torch or jax.", BACKENDS, default="numpy; torch for an nn.Module"),
    ] = None
    dtype: Annotated[str, Flag("NAME", "Their numbers: float64 or float32.", DTYPES)] = "float64"
    wrt: Annotated[
        tuple[str, ...], Flag("NAMES", "What autograd is asked for: logits, angles, bandwidth, by commas.", WRT)
    ] = ("logits", "angles")
    batched: Annotated[bool, Flag("", "It takes many problems at once, and returns their losses.")] = False
    floor: Annotated[float | None, Flag("EPS", "It is meant to be -log(p + EPS).", POSITIVE)] = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DebugOptions(Group):
    """What every command has."""

    panel: ClassVar = "Options"
    quiet: Annotated[bool, Flag("", "Print no notes; of checks the counts alone.", short="-q")] = False
    debug: Annotated[bool, Flag("", "Show the traceback of an error of kdegrad's own.")] = False


GROUPS: Final[tuple[type[Group], ...]] = (
    *(TargetOptions, Settings, DrawingOptions, ReadingOptions, PartsOptions, CheckReportOptions),
    GradientOptions,
    *(SweepOptions, DescentOptions, CheckOptions, JudgedOptions, DebugOptions),
)
PROBLEM: Final[tuple[Row, ...]] = (  # the options that make a problem
    *(row for row in TargetOptions.rows if row.option.key),
    *Settings.rows,
)
