"""The release, tested as a user installs it: ``python -m tests.release dist`` and ``... matrix``, run by make.

`dist` builds wheel and sdist into dist/, checks their metadata and contents, installs each into an empty environment
outside the checkout and uses it there. From a repository of what the sdist holds, pre-commit runs the hook, and the
action for GitHub installs and checks. `matrix` runs the tests of the outer layers on every Python found, with the
lowest and the newest versions that pyproject.toml allows, and all tests with the lowest versions on the oldest Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import yaml

from tests.action import Action, project
from tests.readme import README, ROOT, blocks

DIST = ROOT / "dist"
RUNTIME = {"numpy", "pyyaml", "rich", "typer"}
# What a wheel contains beside kdegrad/*.py, and what an sdist must contain for its own tests to run.
WHEEL = [
    "kdegrad/py.typed",
    "kdegrad/LICENSE",
    "kdegrad/README.md",
    "kdegrad/properties/README.md",
    "kdegrad/sample_inputs/two_sided.yaml",
    "kdegrad/sample_inputs/wind.csv",
    "kdegrad/sample_inputs/headings.csv",
]
SDIST = [
    ".github/actions/verify-props/action.yml",
    ".pre-commit-hooks.yaml",
    "Makefile",
    "README.md",
    "kdegrad/README.md",
    "kdegrad/properties/README.md",
    "pyproject.toml",
    "sample_inputs/README.md",
    "sample_inputs/gallery/em.svg",
    "tests/benchmarks/README.md",
    "tests/release.py",
]
# Arguments, exit code, and a part of the output on either stream.
SMOKE = [
    ("--version", 0, "kdegrad "),
    ("--help", 0, "verify-props"),
    ("loss", 0, "loss 7.81144871263 nats"),
    ("grad --format csv", 0, "far left,0.190414"),
    ("grad --wrt angles,bandwidth --format json", 0, "gradient_log_bandwidth"),
    ("verify-props --cases 1", 0, " 0 failed"),
    ("sweep --over kernel --format csv", 0, "cauchy"),
    ("descend --steps 2 --output end.csv", 0, "2 steps"),
    ("loss end.csv --target -30 30 --format csv", 0, "laplace"),
    ("kernels", 0, "wrapped-cauchy"),
    ("loss --kernel epanechnikov", 3, "the density is 0 at 360 of 360 nodes"),
    ("loss --plot figure.svg", 2, "pip install 'kdegrad[plot]'"),
    ("loss --output loss.parquet", 2, "pip install 'kdegrad[parquet]'"),
    ("verify-props --loss kdegrad.torch:kde_cross_entropy --backend torch", 2, "pip install 'kdegrad[torch]'"),
    ("loss no.csv", 2, "no such file"),
]
LIBRARY = """
import kdegrad as kg
loss, gradient = kg.loss_and_grad([-75.0, 50.0], [0.4, -0.2], target=(-30, 30), bandwidth=10)
assert abs(loss - 8.197135780693687) < 1e-12 and abs(gradient.sum()) < 1e-12
assert all(verdict.verdict != "fail" for verdict in kg.verify(kg.Problem([-75.0, 50.0], target=(-30, 30)), cases=1))
"""
TYPED = """
import kdegrad as kg
reveal_type(kg.evaluate(kg.Problem([1.0], target=(0, 1))).loss)
kg.loss([1.0], target=(0, 1), bandwith=3)
"""
# The tests of the outer layers: the command, files, reports, figures, which the versions of dependencies may affect.
OUTER = [
    "cli",
    "cli_families",
    "dask",
    "faults",
    "frames",
    "library",
    "objective",
    "parquet",
    "plot",
    "problem",
    "reading",
    "readme",
    "verify_cli",
]
CORES = ("--numprocesses", "auto", "--dist", "loadfile")


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; both streams are captured as one text."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    return subprocess.run([str(word) for word in command], check=False, **streams | options)  # type: ignore[call-overload]


def must(*command: object, **options: object) -> str:
    """Run a command that has to succeed, and return its output."""
    done = run(*command, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}exit code {done.returncode}")
    return done.stdout


def environment(folder: Path, *packages: object) -> Path:
    """Make a new virtual environment of `packages`, by uv where it is found, and return its Python."""
    python = folder / "bin" / "python"
    if shutil.which("uv"):
        must("uv", "venv", "--quiet", "--python", sys.executable, folder)
        must("uv", "pip", "install", "--quiet", "--python", python, *packages)
    else:
        must(sys.executable, "-m", "venv", folder)
        must(python, "-m", "pip", "install", "--quiet", *packages)
    return python


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def smoke(python: Path, folder: Path) -> None:
    """Use the installed package in an empty folder: the command and the library, with its dependencies only."""
    free = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"COLUMNS": "80"}
    free["PYTHONUTF8"] = "1"
    folder.mkdir()
    for line, code, part in SMOKE:
        done = run(python.with_name("kdegrad"), *line.split(), cwd=folder, env=free)
        if done.returncode != code or part not in done.stdout:
            sys.exit(f"kdegrad {line}\n{done.stdout}exit code {done.returncode}, not {code} and {part!r}")
    must(python, "-W", "error", "-c", LIBRARY, cwd=folder, env=free)
    script = "import importlib.metadata as m; print(*(d.metadata['Name'].lower() for d in m.distributions()))"
    names = set(must(python, "-c", script, cwd=folder).split())
    assert names >= RUNTIME | {"kdegrad"}, names
    assert not names & {"scipy", "matplotlib", "narwhals", "pandas", "pyarrow", "pytest", "torch"}, names
    place = must(python, "-c", "import kdegrad; print(kdegrad.__file__)", cwd=folder)
    assert str(ROOT) not in place, place


def check_types(mypy: Path, python: Path, folder: Path) -> None:
    """Check with mypy that the installed package has types: that of a result, and an error for a misspelt option."""
    script = folder / "typed.py"
    script.write_text(TYPED)
    output = run(mypy, "-m", "mypy", "--strict", "--python-executable", python, script, cwd=folder).stdout
    assert 'Revealed type is "float"' in output.replace("builtins.", ""), output
    assert 'Unexpected keyword argument "bandwith"' in output, output


def commit(folder: Path) -> str:
    """Commit all files of a folder to a new repository in it, and return the commit."""
    identity = ("-c", "user.name=kdegrad", "-c", "user.email=kdegrad@example.org")
    must("git", "-C", folder, "init", "--quiet")
    must("git", "-C", folder, "add", "--all")
    must("git", "-C", folder, *identity, "commit", "--quiet", "--message", "All files")
    return must("git", "-C", folder, "rev-parse", "HEAD").strip()


def offered(checkout: Path, tools: Path, work: Path) -> None:
    """Use the hook and the action from a checkout as a project with a right loss and a wrong one does."""
    here = work / "project"
    here.mkdir()
    project(here)
    config = yaml.safe_load(blocks(README.read_text("utf-8"), "yaml")[1])  # with the right loss
    [[hook]] = [repository["hooks"] for repository in config["repos"]]
    wrong = hook | {"alias": "wrong", "args": [word.replace("my_loss", "floored") for word in hook["args"]]}
    config = {"repos": [{"repo": str(checkout), "rev": commit(checkout), "hooks": [hook | {"alias": "right"}, wrong]}]}
    (here / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    commit(here)
    must(tools, "-m", "pre_commit", "validate-manifest", checkout / ".pre-commit-hooks.yaml")
    cache = os.environ | {"PRE_COMMIT_HOME": str(work / "hooks")}
    for line, code, part in [
        ("right --all-files", 0, "Passed"),
        ("wrong --all-files", 1, "far-start"),
        ("wrong --files notes.txt", 0, "Skipped"),
    ]:
        done = run(tools, "-m", "pre_commit", "run", *line.split(), cwd=here, env=cache)
        if done.returncode != code or part not in done.stdout:
            sys.exit(f"pre-commit run {line}\n{done.stdout}exit code {done.returncode}, not {code} and {part!r}")
    action, commands = Action(checkout), environment(work / "ci", "pip", *hook["additional_dependencies"]).parent
    done = action.run(action.install, {}, here, commands)
    if done.returncode:
        sys.exit(f"the action's installation\n{done.stdout}exit code {done.returncode}")
    for name, code, part in [("my_loss", 0, "::notice "), ("floored", 1, "title=kdegrad far-start")]:
        inputs = {"loss": f"mypkg.losses:{name}", "kernel": "gaussian", "bandwidth": 10}
        done = action.run(action.check, inputs, here, commands)
        if done.returncode != code or part not in done.stdout:
            sys.exit(f"the action with {name}\n{done.stdout}exit code {done.returncode}, not {code} and {part!r}")
    print("the hook runs by pre-commit, the action installs and checks: a right loss passes, a wrong one fails")


def dist() -> None:
    """Build, check, install and use wheel and sdist; print their sizes."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tools = environment(work / "tools", "build", "twine", "mypy", "pre-commit")
        must(tools, "-m", "build", "--outdir", DIST, ROOT)  # the wheel is built from the sdist
        must(tools, "-m", "build", "--wheel", "--outdir", work, ROOT)
        [wheel], [sdist], [straight] = DIST.glob("*.whl"), DIST.glob("*.tar.gz"), work.glob("*.whl")
        print(must(tools, "-m", "twine", "check", "--strict", wheel, sdist), end="")
        held = contents(wheel)
        assert held == contents(straight), "the wheels from the sdist and from the checkout differ"
        assert set(WHEEL) <= held.keys(), sorted(held)
        assert not [file for file in held if re.search(r"tests|gallery|__pycache__", file)], sorted(held)
        with tarfile.open(sdist) as archive:
            packed = {member.name.partition("/")[2] for member in archive}
            archive.extractall(work / "unpacked", filter="data")
        assert set(SDIST) <= packed, sorted(packed)
        for artifact in (wheel, sdist):
            bare = work / f"bare{artifact.suffix}"
            python = environment(bare, artifact)
            smoke(python, work / f"use{artifact.suffix}")
            check_types(tools, python, work)
            [package] = bare.glob("lib/python*/site-packages/kdegrad")
            print(f"{artifact.name}: {artifact.stat().st_size:,} bytes; {len(SMOKE)} commands, library and types work")
        [checkout] = (work / "unpacked").iterdir()
        offered(checkout, tools, work)
        print(f"installed: {size_of(package):,} bytes; with all it depends on {size_of(bare) / 1e6:.0f} MB")


def pythons() -> dict[tuple[int, int], str]:
    """Return the Pythons of this machine that kdegrad supports, by version: those on the PATH and of pyenv."""
    names = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    kept = sorted(map(str, Path.home().glob(".pyenv/versions/3.*/bin/python")))
    found = {}
    for path in [*kept, *filter(None, names)]:
        done = run(path, "-c", "import sys; print(*sys.version_info[:2])")
        if done.returncode == 0 and (version := tuple(map(int, done.stdout.split()))) >= (3, 11):
            found[version] = path
    return dict(sorted(found.items()))


def matrix() -> None:
    """Run the tests on every Python with the lowest and the newest versions; print what passed."""
    if not shutil.which("uv"):
        sys.exit("make matrix needs uv, which can choose the lowest versions: pip install uv")
    failed = False
    for version, path in pythons().items():
        for resolution in ("lowest-direct", "highest"):
            with tempfile.TemporaryDirectory() as name:
                python = Path(name) / "bin" / "python"
                wheels = ["--only-binary", ":all:", "--no-binary", "kdegrad"]  # the lowest with a wheel for this Python
                chosen = ["--resolution", resolution, *wheels, "--group", "dev", "--editable", "."]
                must("uv", "venv", "--quiet", "--python", path, name)
                must("uv", "pip", "install", "--quiet", "--python", python, *chosen, cwd=ROOT)
                listed = json.loads(must("uv", "pip", "list", "--quiet", "--python", python, "--format", "json"))
                shown = [
                    f"{p['name']} {p['version']}" for p in listed if p["name"] in {*RUNTIME, "matplotlib", "pyarrow"}
                ]
                whole = resolution == "lowest-direct" and version == min(pythons())
                files = [] if whole else [f"tests/test_{part}.py" for part in OUTER]
                done = run(python, "-m", "pytest", *CORES, "-p", "no:cacheprovider", *files, cwd=ROOT)
                last = done.stdout.splitlines()[-1]
                print(f"{'.'.join(map(str, version))} {resolution}: {', '.join(shown)}: {last}", flush=True)
                if done.returncode:
                    failed = True
                    print(done.stdout)
    sys.exit(failed)


if __name__ == "__main__":
    {"dist": dist, "matrix": matrix}[sys.argv[1]]()
