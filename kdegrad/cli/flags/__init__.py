"""The options of the command line, each declared once; a command takes the groups that it needs.

`words` says what an option is made of, `problem` has INPUT and what makes a problem, `report` where a result goes,
`families` what ``sweep`` and ``descend`` add, `checks` what ``verify-props`` does.
"""

from kdegrad.cli.flags.checks import CheckFlags
from kdegrad.cli.flags.families import DescentFlags, SweepFlags
from kdegrad.cli.flags.problem import PROBLEM, READING, CheckProblemFlags, ProblemFlags, SweepProblemFlags
from kdegrad.cli.flags.report import REPORT, PlotFlags, ReportFlags, VerdictReportFlags
from kdegrad.cli.flags.words import COMPLETING, count, flattened, names, option

__all__ = [
    "COMPLETING",
    "PROBLEM",
    "READING",
    "REPORT",
    "CheckFlags",
    "CheckProblemFlags",
    "DescentFlags",
    "PlotFlags",
    "ProblemFlags",
    "ReportFlags",
    "SweepFlags",
    "SweepProblemFlags",
    "VerdictReportFlags",
    "count",
    "flattened",
    "names",
    "option",
]
