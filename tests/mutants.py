"""Mutation tests: small faults put into kdegrad's mathematics one at a time, and whether a test fails: `make mutants`.

`python -m tests.mutants [WORD …]` makes every mutant of the files in `SCOPE` (with WORDs: of those with one in their
path), runs against each the tests that reach its line, fast ones and frequent killers first, and prints the survivors
and the score. All of them take up to two hours on two cores; `--sample 300` draws 300 of them at random (`--seed 1`
draws others), which takes about ten minutes and gives the score with a standard error of 2 %. `--tests sums,objective`
runs the tests of those modules alone.

`mutants.txt` beside this file explains survivors. A mutant is keyed by its function (or constant) and the kind of
change, as in `exact.kinks:breakpoints: < -> <=`, so that an explanation outlasts a change of the layout or of a local
name; where several changes of one kind are explained in one function, `×2` is their count. The exit code is 1 if more
survive than are explained, or if less than `ENOUGH` are killed.

A mutant is a node of the syntax tree replaced by another: an operator, a comparison, a sign, a condition, a number, a
`max` by a `min`, a keyword argument or a statement left out. Strings, annotations, decorators, asserts and the text of
an error are left alone. The tests are collected once; each mutant is a fork of that process, in which the functions,
constants and class attributes of the mutated module replace the original ones. What a test module computed when it was
collected stays as it was. (mutmut 3.8 skips decorated functions, `evaluate` among them, and all code outside functions;
cosmic-ray starts Python, scipy and the collection anew for each of 3,000 mutants.)
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import os
import random
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
SCOPE = (  # all that computes, but for torch/: what it is tested with is not installed here
    "kernel/*.py",
    "sums/*.py",
    "exact/*.py",
    "mixture.py",
    "targets.py",
    "objective.py",
    "crossentropy.py",
    "evaluation.py",
    "blockwise.py",
    "parts.py",
    "batch.py",
    "problem.py",
    "domain.py",
    "quadrature.py",
    "weights.py",
    "logs.py",
    "arrays.py",
)
TESTS = (
    "logs",
    "kernels",
    "sums",
    "fast_sums",
    "chebyshev",
    "refinement",
    "blocks",
    "windows",
    "targets",
    "batch",
    "objective",
    "quadrature",
    "exact",
    "exact_rule",
    "accuracy",
    "problem",
    "bad_input",
    "options",
    "descent",
    "sketch",
    "parts",
)
EXPLAINED = Path(__file__).with_suffix(".txt")
MOST_SECONDS = 10.0  # of tests against one mutant: one that passes them is counted as a survivor
MEMORY = 4 << 30
ENOUGH = 0.9

SYMBOLS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.And: "and",
    ast.Or: "or",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Not: "not",
    ast.Invert: "~",
}
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
    """One fault: its key in `mutants.txt`, how it reads, and how the tests are found that reach it."""

    key: str
    change: str
    lines: range
    name: str  # of the constant or class attribute that it changes, which is reached through its readers


def replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what a node may be replaced by, each with the kind of the change."""

    def changed(**fields: Any) -> ast.AST:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    kind = f"{SYMBOLS[type(op)]} -> {SYMBOLS[other]}"
                    yield kind, changed(ops=[*ops[:i], other(), *ops[i + 1 :]])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            other = OPERATORS[type(op)]
            yield f"{SYMBOLS[type(op)]} -> {SYMBOLS[other]}", changed(op=other())
        case ast.UnaryOp(op=op, operand=operand):
            yield f"{SYMBOLS[type(op)]} left out", operand
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", changed(value=not value)
        case ast.Constant(value=int(value) | float(value)) if value + 1 != value:
            yield f"{value} -> {value + 1}", changed(value=value + 1)
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield f"{name} -> {NAMES[name]}", changed(id=NAMES[name])
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMES:
            yield f"{name} -> {NAMES[name]}", changed(attr=NAMES[name])
        case ast.Call(keywords=keywords):
            for keyword in keywords:
                if keyword.arg and keyword.arg not in PERFORMANCE:
                    yield f"{keyword.arg}= left out", changed(keywords=[k for k in keywords if k is not keyword])
        case ast.Expr(value=ast.Call(func=function)):
            yield f"{ast.unparse(function).rpartition('.')[2]}() left out", ast.Pass()
        case ast.Break():
            yield "break -> continue", ast.Continue()
        case ast.Continue():
            yield "continue -> break", ast.Break()
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(
            test, ast.Compare | ast.UnaryOp
        ):
            yield "condition negated", changed(test=ast.UnaryOp(ast.Not(), test))


def mutants(tree: ast.Module, module: str) -> Iterator[Mutant]:
    """Yield the mutants of a module one after the other; until the next is asked for, `tree` is its syntax tree."""

    def visit(node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for i, child in enumerate(children):
                if not isinstance(child, ast.AST) or field in UNTOUCHED_FIELDS or isinstance(child, UNTOUCHED):
                    continue
                if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                    continue
                if isinstance(child, ast.Call) and ast.unparse(child.func) == "TypeVar":
                    continue
                path = (*above, node, child)
                for kind, other in replacements(child):
                    shown = next(
                        (n for n in reversed(path[:-1]) if isinstance(n, ast.stmt) or len(ast.unparse(n)) > 30), node
                    )
                    shown = child if isinstance(child, ast.stmt) else shown
                    was = head(shown)
                    ast.copy_location(other, child)
                    put(node, field, i, other)
                    lines, name = reach(path)
                    if name and isinstance(child, ast.Constant):  # the constant's name is enough, whatever its value
                        kind = kind if isinstance(child.value, bool) else "+ 1"
                    key = f"{module}:{place(path, name)}: {kind}"
                    line = getattr(child, "lineno", lines.start)
                    yield Mutant(key, f"line {line}: {was} -> {head(other if shown is child else shown)}", lines, name)
                    put(node, field, i, child)
                yield from visit(child, (*above, node))

    def put(node: ast.AST, field: str, i: int, child: ast.AST) -> None:
        if isinstance(getattr(node, field), list):
            getattr(node, field)[i] = child
        else:
            setattr(node, field, child)

    return visit(tree, ())


def module_of(path: Path) -> str:
    """Return the name of a module below `kdegrad`."""
    return ".".join(path.relative_to(ROOT / "kdegrad").with_suffix("").parts).removesuffix(".__init__")


def place(path: tuple[ast.AST, ...], name: str) -> str:
    """Return the qualified name of the function or constant that a node is part of."""
    names = [n.name for n in path if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return ".".join([*names, name] if name else names)


def reach(path: tuple[ast.AST, ...]) -> tuple[range, str]:
    """Return the lines that a test must run to reach a mutant, and the name it must read if it is run at import."""
    statement = next(n for n in reversed(path) if isinstance(n, ast.stmt))
    if isinstance(statement, ast.FunctionDef):  # a default
        return range(statement.lineno, (statement.end_lineno or 0) + 1), ""
    last = statement.body[0].lineno - 1 if hasattr(statement, "body") else statement.end_lineno or 0
    if any(isinstance(n, ast.FunctionDef) for n in path):
        return range(statement.lineno, max(last, statement.lineno) + 1), ""
    target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
    return range(0), getattr(target, "id", "")


def head(node: ast.AST) -> str:
    """Return an expression or a simple statement as text, of a compound one its first line."""
    return ast.unparse(ast.fix_missing_locations(node)).split("\n")[0]


def graft(module: types.ModuleType, tree: ast.Module) -> None:
    """Replace the functions and constants of a module by those of `tree`, also where they were imported already."""
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
    """Clear the caches of kdegrad, whose contents a mutant may change."""
    for name, module in list(sys.modules.items()):
        if name.startswith("kdegrad"):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


class Hunt:
    """The pytest plugin that takes over once the tests are collected."""

    def __init__(self, words: list[str], sample: int | None, seed: int) -> None:
        paths = sorted(path for pattern in SCOPE for path in (ROOT / "kdegrad").glob(pattern))
        self.paths = [path for path in paths if not words or any(word in str(path) for word in words)]
        self.sample, self.seed = sample, seed
        self.survivors: Counter[str] = Counter()
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
        """Return whether a test passes; this process is ended if it takes much longer than on the original code."""
        seconds = int(time.process_time() + 5.0 + 5.0 * self.seconds[index])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        return self.run(index)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = session.items
        self.measure()
        trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in self.paths}
        count = sum(1 for path in trees for _ in mutants(trees[path], module_of(path)))
        drawn = set(random.Random(self.seed).sample(range(count), min(self.sample or count, count)))
        print(f"{len(drawn)} of {count} mutants", flush=True)
        everything = ((path, mutant) for path in trees for mutant in mutants(trees[path], module_of(path)))
        for number, (path, mutant) in enumerate(everything):
            if number in drawn:
                while len(self.running) >= (os.cpu_count() or 1):
                    self.wait()
                self.start(mutant, sys.modules[f"kdegrad.{module_of(path)}"], trees[path], path)
        while self.running:
            self.wait()
        return True

    def measure(self) -> None:
        """Run all tests on the original code: how long each takes and which lines it reaches."""
        seen = coverage.Coverage(data_file=None, include=[str(ROOT / "kdegrad/*")], config_file=False)
        self.seconds = []
        seen.start()
        for index, item in enumerate(self.items):
            seen.switch_context(str(index))
            start = time.process_time()
            if not self.run(index):
                sys.exit(f"{item.nodeid} fails on the original code")
            self.seconds.append(time.process_time() - start)
        seen.stop()
        files = {Path(file): seen.get_data().contexts_by_lineno(file) for file in seen.get_data().measured_files()}
        self.contexts = {p: {n: {int(c) for c in cs if c} for n, cs in lines.items()} for p, lines in files.items()}
        print(f"{len(self.items)} tests pass on the original code in {sum(self.seconds):.0f} s", flush=True)

    def tests(self, mutant: Mutant, path: Path) -> list[int]:
        """Return the tests that reach a mutant, the most promising first, as many as there is time for."""
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
        """Start a process for a mutant; it writes the number of the first test that fails to a pipe."""
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
        except BaseException:  # the mutant does not even load
            os._exit(1)
        if killer is not None:
            os.write(write, str(killer).encode())
        os._exit(0 if killer is None else 1)

    def wait(self) -> None:
        """Count one mutant whose process has ended."""
        pid, status = os.wait()
        mutant, read = self.running.pop(pid)
        with os.fdopen(read) as pipe:
            self.kills.update(int(killer) for killer in pipe.read().split())
        module = mutant.key.partition(":")[0]
        self.score[module]["made"] += 1
        self.score[module]["killed"] += status != 0
        if status == 0:
            self.survivors[mutant.key] += 1
            self.score[module]["explained"] += self.survivors[mutant.key] <= explained()[mutant.key]
            if explained()[mutant.key] < self.survivors[mutant.key]:
                print(f"{mutant.key}\n    {mutant.change}", flush=True)


@functools.cache
def explained() -> Counter[str]:
    """Return how many survivors of each key `mutants.txt` explains: the lines below each reason."""
    counts: Counter[str] = Counter()
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            key, _, count = line.partition(" ×")
            counts[key] += int(count or 1)
    return counts


def main(arguments: list[str]) -> int:
    """Run the mutants that the command line asks for, print the score, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Mutation tests of the mathematics.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="only files with a WORD in their path")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", metavar="NAMES", help="only these test modules: sums,objective")
    asked = parser.parse_args(arguments)
    settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))
    hunt = Hunt(asked.words, asked.sample, asked.seed)
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in (asked.tests.split(",") if asked.tests else TESTS)]
    files += [] if asked.tests else [str(ROOT / "tests" / "properties")]
    options = ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is loaded before pytest here
    pytest.main([*files, *options], plugins=[hunt])
    print(f"{'':24}{'made':>6}{'killed':>8}{'explained':>11}{'left':>6}{'killed':>8}{'or explained':>14}")
    total: Counter[str] = sum(hunt.score.values(), Counter())
    for module, score in [*hunt.score.items(), ("together", total)]:
        made, killed, accounted = score["made"], score["killed"], score["killed"] + score["explained"]
        counts = f"{module:24}{made:>6}{killed:>8}{score['explained']:>11}{made - accounted:>6}"
        print(f"{counts}{killed / max(made, 1):>8.1%}{accounted / max(made, 1):>14.1%}")
    if asked.sample is None:
        for key, count in sorted((explained() - hunt.survivors).items()):
            if key.partition(":")[0] in hunt.score:
                print(f"explained in vain: {key} ×{count}")
    is_explained = total["killed"] + total["explained"] == total["made"]
    return int(not is_explained or total["killed"] < ENOUGH * total["made"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
