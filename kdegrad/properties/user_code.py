"""Code of the user: a loss imported by its name, and what it raises told in one line, with its own file and line."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from kdegrad.errors import SettingError
from kdegrad.text import enumerated, nearest, safe_text, shown

_LONGEST: Final = 200  # characters of another's message


def imported(text: str) -> tuple[object, str]:
    """Return what ``MODULE:NAME`` names, and the name as it is shown.

    The current folder comes first on the path, as with ``python -m``, pytest and uvicorn.

    Raises
    ------
    SettingError
        If the text, the module or the name in it is wrong, or if the module raises while it is imported.
    """
    text = text.strip()
    module_name, _, name = text.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), *name.split(".")]):
        raise SettingError("loss", f"{shown(text)} is not MODULE:NAME, such as mypkg.losses:my_loss{_meant(text)}")
    with suppress(FileNotFoundError):  # the current folder was deleted
        folder = os.getcwd()
        if sys.path[:1] != [folder]:
            sys.path.insert(0, folder)
    importlib.invalidate_caches()  # the file may be newer than what Python knows of the folder
    try:
        with quiet():
            found: Any = importlib.import_module(module_name)
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise SettingError("loss", _import_failure(module_name, error)) from error
    reached = module_name
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [known for known in dir(found) if not known.startswith("_")]
            offered = nearest(part, public) or (f"; it has {enumerated(public)}" if public else "")
            raise SettingError("loss", f"{reached} has no {shown(part)}{offered}") from None
        except Exception as error:  # a property, or __getattr__ of the module
            raise SettingError("loss", f"{reached}.{part} raises {described(error, None)}") from error
        reached += f".{part}"
    if not callable(found):
        raise SettingError("loss", f"{text} is of type {type(found).__name__}, not a function")
    return found, text


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of the user's code, and keep what it prints out of the report on standard output.

    Its `np.seterr` is undone: the judge's own sums would raise under it.
    """
    with warnings.catch_warnings(action="ignore"), redirect_stdout(sys.stderr), np.errstate():
        yield


def _meant(text: str) -> str:
    """Return what may be meant by a text that is not ``MODULE:NAME``: a path, a module, or a name without a colon."""
    path, _, name = text.replace("\\", "/").removeprefix("./").replace(".py:", ":").partition(":")
    parts = path.removesuffix(".py").replace("/", ".").split(".")
    if not all(part.isidentifier() for part in [*parts, *(name or "x").split(".")]):
        return ""
    folders = (Path(folder, *parts) for folder in (os.curdir, *sys.path))
    is_module = any(folder.is_dir() or folder.with_suffix(".py").is_file() for folder in folders)
    if not name and (is_module or path.endswith(".py")):
        return f"; NAME is missing, as in {'.'.join(parts)}:my_loss"
    if not name and len(parts) > 1:
        parts, name = parts[:-1], parts[-1]
    return f"; did you mean {'.'.join(parts)}:{name}?" if name else ""


def _import_failure(module: str, error: BaseException) -> str:
    """Return why a module could not be imported."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        if module == error.name or module.startswith(f"{error.name}."):
            parent, _, last = error.name.rpartition(".")
            beside = sys.modules[parent].__path__ if parent and hasattr(sys.modules.get(parent), "__path__") else None
            known = [found.name for found in pkgutil.iter_modules(beside or sys.path[:1])]
            where = f"in {parent}" if parent else f"in the folder {os.path.abspath(sys.path[0])} or installed"
            return f"there is no module {shown(error.name)} {where}{nearest(last, known)}"
        if not str(error).startswith("No module named"):  # it says itself what to install, as kdegrad.torch does
            return f"{one_line(error)}{place(error, None)}"
        missing = f"{shown(error.name)}, which is not installed where kdegrad is: install it"
        return f"importing {module} needs {missing}{place(error, None)}"
    if isinstance(error, SyntaxError):
        return f"{module} cannot be imported: {type(error).__name__}: {one_line(error)}"
    return f"importing {module} raises {described(error, None)}"


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, not too long."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # __str__ is the user's code too
        text = ""
    return safe_text(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")


def described(error: BaseException, function: Any, message: str | None = None) -> str:
    """Return the type, the message and the place of an error of the user's code."""
    text = one_line(error) if message is None else message
    return f"{type(error).__name__}{': ' if text else ''}{text}{place(error, function)}"


def place(error: BaseException, function: Any) -> str:
    """Return where in the user's code an error was raised, as `` (FILE, line N, in NAME)``, else where that begins."""
    not_theirs = (
        str(Path(__file__).parents[1]) + os.sep,
        sysconfig.get_path("stdlib") + os.sep,
        "<frozen ",
        "<__array",
    )
    written = _python_function(function)
    code: CodeType | None = None if written is None else written.__code__
    own, in_file = None, None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        installed = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
        if not installed and not file.startswith(not_theirs):
            own = frame.f_code, line
        if code is not None and file == code.co_filename:
            in_file = frame.f_code, line  # of a loss that is itself installed
    found = (
        own or in_file or (code and (code, code.co_firstlineno))
    )  # the last: the call failed, an argument is missing
    if not found:
        return ""
    name = "" if found[0].co_name == "<module>" else f", in {found[0].co_name}"
    return f" ({_file(found[0].co_filename)}, line {found[1]}{name})"


def library_of(function: Any) -> str:
    """Return ``torch`` or ``jax`` where the module of a function names something of it, else an empty string."""
    names = getattr(_python_function(function), "__globals__", {})
    for value in list(names.values()):
        if isinstance(value, ModuleType | FunctionType | type):
            origin = value.__name__ if isinstance(value, ModuleType) else value.__module__
            library = str(origin).partition(".")[0]
            if library in ("torch", "jax"):
                return library
    return ""


def source_of(function: Any) -> tuple[str, int] | None:
    """Return the file, as seen from the current folder, and the line where a function begins; None if not below it."""
    written = _python_function(function)
    file = "" if written is None else _file(written.__code__.co_filename)
    return (file, written.__code__.co_firstlineno) if os.path.isfile(file) and not os.path.isabs(file) else None


def _python_function(function: Any) -> Any:
    """Return what is Python's in a function, a partial, an nn.Module or an object that can be called; else None."""
    kinds = (function, getattr(function, "func", None), getattr(function, "forward", None))
    for called in (*kinds, getattr(type(function), "__call__", None)):  # noqa: B004
        found = inspect.unwrap(called) if called is not None else None
        if isinstance(getattr(found, "__code__", None), CodeType):
            return found
    return None


def _file(name: str) -> str:
    """Return the name of a file as seen from the current folder, in full where it is not below it."""
    with suppress(OSError, ValueError):
        return str(Path(name).relative_to(Path.cwd()))
    return name
