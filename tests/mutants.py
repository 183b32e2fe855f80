"""Mutants: one small fault at a time in kdegrad's mathematics, and whether a test notices: `make mutants`.

`python -m tests.mutants [WORD …]` makes every mutant of the files in `SCOPE` (those with a WORD in their path), runs
against each the tests that reach its line, the quick and deadly ones first, and prints the survivors and the score.
`--tests=sums,fast_sums` runs the tests of those modules alone: a first look, as others may kill what they leave.
A survivor is in order if `mutants.txt` beside this file says why; any other makes the exit code 1.

A mutant is a node of the syntax tree replaced by another: an operator, a comparison, a sign, a condition, a number, a
`max` by a `min`, a keyword argument or a statement left out. Strings, annotations, decorators, asserts and the words of
an error are left alone. The tests are collected once; each mutant is a fork of that process, in which the functions,
constants and class attributes of the mutated module are put into the place of the true ones. What a test module made
when it was collected stays true. (mutmut 3.8 skips decorated functions, `evaluate` among them, and whatever stands
outside of functions; cosmic-ray starts Python, scipy and the collection anew for each of 3,000 mutants.)
"""

from __future__ import annotations

import ast
import copy
import functools
import os
import re
import resource
import sys
import time
import types
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parent.parent
SCOPE = (
    "kernel/*.py",
    "sums/*.py",
    "exact/*.py",
    "objective.py",
    "problem.py",
    "domain.py",
    "quadrature.py",
    "weights.py",
    "logs.py",
)
TESTS = (
    "kernels",
    "sums",
    "fast_sums",
    "chebyshev",
    "refinement",
    "objective",
    "quadrature",
    "exact",
    "exact_rule",
    "accuracy",
    "problem",
    "options",
    "descent",
)
EXPLAINED = Path(__file__).with_suffix(".txt")
MOST_SECONDS = 10.0  # of tests against one mutant: what survives them is called a survivor
MEMORY = 4 << 30
ENOUGH = 0.9

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    **{
        a: (b,)
        for pair in ((ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn))
        for a, b in (pair, pair[::-1])
    },
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_PAIRS = "maximum minimum|max min|any all|floor ceil|sin cos|fmax fmin|isneginf isposinf|argmax argmin"
NAMES = {a: b for pair in _PAIRS.split("|") for a, b in (pair.split(), pair.split()[::-1])}
UNTOUCHED = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)
UNTOUCHED_FIELDS = ("annotation", "returns", "decorator_list", "bases", "type_params")
PERFORMANCE = ("out", "dtype")  # keywords without which NumPy does the same on other memory


class Mutant(NamedTuple):
    """One fault: where it is, how it reads, and the lines by which tests are found that reach it."""

    place: str
    change: str
    lines: range
    name: str  # of the constant or class attribute that it changes, which is reached through its readers


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be replaced by."""

    def changed(**fields: Any) -> ast.AST:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield changed(ops=[*ops[:i], other(), *ops[i + 1 :]])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield changed(op=OPERATORS[type(op)]())
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield changed(value=not value)
        case ast.Constant(value=int(value) | float(value)) if value + 1 != value:
            yield changed(value=value + 1)
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield changed(id=NAMES[name])
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMES:
            yield changed(attr=NAMES[name])
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                if keyword.arg and keyword.arg not in PERFORMANCE:
                    yield changed(keywords=[k for k in keywords if k is not keyword])
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(
            test, ast.Compare | ast.UnaryOp
        ):
            yield changed(test=ast.UnaryOp(ast.Not(), test))


def mutants(tree: ast.Module, module: str) -> Iterator[Mutant]:
    """Yield the mutants of a module one after the other; while one is out, `tree` is its syntax tree."""
    seen: Counter[str] = Counter()

    def visit(node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for i, child in enumerate(children):
                if not isinstance(child, ast.AST) or field in UNTOUCHED_FIELDS or isinstance(child, UNTOUCHED):
                    continue
                if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                    continue
                path = (*above, node, child)
                for other in replacements(child):
                    shown = next(
                        (n for n in reversed(path[:-1]) if isinstance(n, ast.stmt) or len(ast.unparse(n)) > 30), node
                    )
                    shown = child if isinstance(child, ast.stmt) else shown
                    was = head(shown)
                    ast.copy_location(other, child)
                    put(node, field, i, other)
                    place = ".".join(n.name for n in path if isinstance(n, ast.FunctionDef | ast.ClassDef))
                    change = f"{was} -> {head(other if shown is child else shown)}"
                    seen[place + change] += 1
                    number = f" #{seen[place + change]}" if seen[place + change] > 1 else ""
                    yield Mutant(f"{module}:{place}", change + number, *reach(path))
                    put(node, field, i, child)
                yield from visit(child, (*above, node))

    def put(node: ast.AST, field: str, i: int, child: ast.AST) -> None:
        if isinstance(getattr(node, field), list):
            getattr(node, field)[i] = child
        else:
            setattr(node, field, child)

    return visit(tree, ())


def head(node: ast.AST) -> str:
    """Return an expression or a simple statement as text, of a compound one its first line."""
    return ast.unparse(ast.fix_missing_locations(node)).split("\n")[0]


def reach(path: tuple[ast.AST, ...]) -> tuple[range, str]:
    """Return the lines that a test must run to meet a mutant, and the name it must read if it is run at import."""
    statement = next(n for n in reversed(path) if isinstance(n, ast.stmt))
    if isinstance(statement, ast.FunctionDef):  # a default
        return range(statement.lineno, (statement.end_lineno or 0) + 1), ""
    last = statement.body[0].lineno - 1 if hasattr(statement, "body") else statement.end_lineno or 0
    if any(isinstance(n, ast.FunctionDef) for n in path):
        return range(statement.lineno, max(last, statement.lineno) + 1), ""
    target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
    return range(0), getattr(target, "id", "")


def graft(module: types.ModuleType, tree: ast.Module) -> None:
    """Put what `tree` makes of a module into the place of what it holds, for everyone who has it already."""
    new = types.ModuleType(module.__name__)
    new.__dict__.update({k: v for k, v in vars(module).items() if k.startswith("__")})
    exec(compile(ast.fix_missing_locations(tree), module.__file__ or "", "exec"), vars(new))

    def function(value: Any) -> types.FunctionType | None:
        for inner in ("fget", "func", "__func__", "__wrapped__"):
            value = getattr(value, inner, value)
        return value if isinstance(value, types.FunctionType) else None

    def exchange(old: Any, new: Any) -> None:
        for name, value in list(vars(new).items()):
            was, body = vars(old).get(name), function(value)
            if body and function(was) and body.__module__ == module.__name__:
                function(was).__code__, function(was).__defaults__ = body.__code__, body.__defaults__
                function(was).__kwdefaults__ = body.__kwdefaults__
            elif isinstance(value, type) and value.__module__ == module.__name__:
                exchange(was, value)
            elif not name.startswith("__") and isinstance(value, int | float | tuple | dict | bool) and value != was:
                holders = list(sys.modules.values()) if isinstance(old, types.ModuleType) else [old]
                for holder in holders:
                    ours = holder is old or getattr(holder, "__name__", "").startswith("kdegrad")
                    if ours and vars(holder).get(name) is was:
                        setattr(holder, name, value)

    exchange(module, new)


def forget() -> None:
    """Clear the caches of kdegrad, so that what they hold is made anew."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kdegrad"):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


class Hunt:
    """The pytest plugin that takes over once the tests are collected."""

    def __init__(self, words: list[str]) -> None:
        paths = sorted(path for pattern in SCOPE for path in (ROOT / "kdegrad").glob(pattern))
        self.paths = [path for path in paths if not words or any(word in str(path) for word in words)]
        self.survivors: list[Mutant] = []
        self.score: dict[str, Counter[str]] = defaultdict(Counter)
        self.running: dict[int, tuple[Mutant, int]] = {}
        self.kills: Counter[int] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def run(self, index: int) -> bool:
        """Return whether a test passes."""
        self.failed = False
        forget()
        item = self.items[index]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed

    def run_in_time(self, index: int) -> bool:
        """Return whether a test passes; this process is ended if it takes much longer than on the true code."""
        seconds = int(time.process_time() + 5.0 + 5.0 * self.seconds[index])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        return self.run(index)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = session.items
        self.look()
        for path in self.paths:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for mutant in mutants(tree, module.removeprefix("kdegrad.")):
                while len(self.running) >= (os.cpu_count() or 1):
                    self.wait()
                self.start(mutant, sys.modules[module], tree, path)
        while self.running:
            self.wait()
        return True

    def look(self) -> None:
        """Run all tests on the true code: how long each takes and which lines it reaches."""
        seen = coverage.Coverage(data_file=None, include=[str(ROOT / "kdegrad/*")], config_file=False)
        self.seconds = []
        seen.start()
        for index, item in enumerate(self.items):
            seen.switch_context(str(index))
            start = time.process_time()
            if not self.run(index):
                sys.exit(f"{item.nodeid} fails on the true code")
            self.seconds.append(time.process_time() - start)
        seen.stop()
        files = {Path(file): seen.get_data().contexts_by_lineno(file) for file in seen.get_data().measured_files()}
        self.contexts = {p: {n: {int(c) for c in cs if c} for n, cs in lines.items()} for p, lines in files.items()}
        print(f"{len(self.items)} tests pass on the true code in {sum(self.seconds):.0f} s", flush=True)

    def tests(self, mutant: Mutant, path: Path) -> list[int]:
        """Return the tests that meet a mutant, the most promising first, as many as there is time for."""
        found: set[int] = set()
        if mutant.name:
            for file, lines in self.contexts.items():
                for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
                    if re.search(rf"\b{mutant.name}\b", line):
                        found |= lines.get(number, set())
        else:
            found = set().union(*(self.contexts.get(path, {}).get(line, set()) for line in mutant.lines))
        promising = sorted(found, key=lambda i: self.seconds[i] / (1.0 + self.kills[i]))
        chosen, spent = [], 0.0
        for index in promising:
            if spent + self.seconds[index] <= MOST_SECONDS:
                chosen.append(index)
                spent += self.seconds[index]
        return chosen

    def start(self, mutant: Mutant, module: types.ModuleType, tree: ast.Module, path: Path) -> None:
        """Set a process on a mutant; what it tells is which test failed."""
        chosen = self.tests(mutant, path)
        read, write = os.pipe()
        if pid := os.fork():
            os.close(write)
            self.running[pid] = mutant, read
            return
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            graft(module, tree)
            killer = next((i for i in chosen if not self.run_in_time(i)), None)
        except BaseException:  # it does not even load
            os._exit(1)
        if killer is not None:
            os.write(write, str(killer).encode())
        os._exit(0 if killer is None else 1)

    def wait(self) -> None:
        """Count one mutant that has come to its end."""
        pid, status = os.wait()
        mutant, read = self.running.pop(pid)
        with os.fdopen(read) as pipe:
            self.kills.update(int(killer) for killer in pipe.read().split())
        module = mutant.place.partition(":")[0]
        self.score[module]["made"] += 1
        self.score[module]["killed"] += status != 0
        if status == 0:
            self.survivors.append(mutant)
            if f"{mutant.place}: {mutant.change}" not in explained():
                print(f"{mutant.place}: {mutant.change}", flush=True)


@functools.cache
def explained() -> set[str]:
    """Return the mutants that `mutants.txt` explains: the lines below each reason."""
    lines = EXPLAINED.read_text(encoding="utf-8").splitlines() if EXPLAINED.exists() else []
    return {line for line in lines if line and not line.startswith("#")}


def main(words: list[str]) -> int:
    """Hunt, print the score, and return the exit code."""
    settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
    chosen = [word.removeprefix("--tests=").split(",") for word in words if word.startswith("--tests=")]
    hunt = Hunt([word for word in words if not word.startswith("--")])
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in (chosen[0] if chosen else TESTS)]
    files += [] if chosen else [str(ROOT / "tests" / "properties")]
    options = ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there already
    pytest.main([*files, *options], plugins=[hunt])
    print(f"{'':24}{'made':>6}{'killed':>8}{'survived':>10}{'score':>8}")
    total: Counter[str] = sum(hunt.score.values(), Counter())
    for module, score in [*hunt.score.items(), ("together", total)]:
        made, killed = score["made"], score["killed"]
        print(f"{module:24}{made:>6}{killed:>8}{made - killed:>10}{killed / made:>8.1%}")
    survived = {f"{mutant.place}: {mutant.change}" for mutant in hunt.survivors}
    print(f"explained in {EXPLAINED.name}: {len(survived & explained())} of {len(survived)}")
    for line in sorted(line for line in explained() - survived if line.partition(":")[0] in hunt.score):
        print(f"explained in vain: {line}")
    return int(bool(survived - explained()) or total["killed"] < ENOUGH * total["made"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
