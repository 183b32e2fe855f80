# Everything a newcomer or a CI needs; `make` alone lists it. The virtual environment in .venv is made on the way.

PYTHON ?= python3
BIN := .venv/bin
SAMPLE := sample_inputs/mallards.csv --target 270 360 --circular --kernel von-mises --bandwidth 20 --bins 90

.PHONY: help demo test test-frameworks check coverage mutants bench dist matrix readme gallery clean

help:
	@echo "make demo      set up .venv and run the main job on a real sample"
	@echo "make test      set up .venv and run the tests"
	@echo "make test-frameworks"
	@echo "               set up .venv-frameworks with PyTorch and JAX (2 GB) and run the tests that need them"
	@echo "make check     lint, types, the README pages, and verify-props on every sample and kernel, kdegrad.torch too"
	@echo "               (it sets up .venv-frameworks too)"
	@echo "make coverage  list the lines and branches that no test reaches"
	@echo "make mutants   break the mathematics at 4,400 places and list what no test notices (an hour and more;"
	@echo "               MUTANTS='--sample 300': 300 of them, in ten minutes)"
	@echo "make bench     measure speed, as ratios side by side, and write tests/benchmarks/README.md"
	@echo "make dist      build wheel and sdist into dist/, and try each in a bare environment; and the hook and the action"
	@echo "make matrix    test on every Python here, with the lowest and the newest dependencies (needs uv)"
	@echo "make readme    rewrite the outputs of the README pages"
	@echo "make gallery   redraw the pictures of the README pages"
	@echo "make clean     remove the environments and caches"

# $(call install,FOLDER,GROUPS,WHAT): an environment in FOLDER, by uv where it is found, else by venv and pip. It says what
# it does, as each step may take a minute. Neither compiles modules, most of which nobody imports: Python does it then.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kdegrad needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
@if command -v uv >/dev/null 2>&1; then \
	echo "setting up $(1), which happens once: the environment, by uv" && \
	uv venv --quiet --allow-existing --python $(PYTHON) $(1) && \
	echo "setting up $(1): kdegrad with numpy, rich, typer and PyYAML, and $(3), from the package index" && \
	uv pip install --quiet --python $(1)/bin/python $(2) --editable .; \
else \
	echo "setting up $(1), which happens once and takes a minute or two: the environment, by venv" && \
	$(PYTHON) -m venv $(1) && \
	echo "setting up $(1): a pip that is new enough" && \
	$(1)/bin/python -m pip install --quiet --upgrade "pip>=25.1" && \
	echo "setting up $(1): kdegrad with numpy, rich, typer and PyYAML, and $(3), from the package index" && \
	$(1)/bin/python -m pip install --quiet --no-compile $(2) --editable .; \
fi
@touch $(1)/stamp
endef

# A stamp is older than pyproject.toml when its environment is out of date. Only the benchmarks need what they compare with,
# and only the tests of losses in PyTorch and JAX need these.
.venv/stamp: pyproject.toml
	$(call install,.venv,--group dev,what the tests need)

.venv-bench/stamp: pyproject.toml
	$(call install,.venv-bench,--group dev --group bench,what it is compared with)

# PyTorch on the CPU is enough. pip takes a CUDA build of several GB on Linux, unless it is told of the small one:
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test-frameworks
.venv-frameworks/stamp: export UV_TORCH_BACKEND = cpu
.venv-frameworks/stamp: pyproject.toml
	$(call install,.venv-frameworks,--group frameworks,PyTorch and JAX)

demo: .venv/stamp
	$(BIN)/kdegrad loss $(SAMPLE)
	$(BIN)/kdegrad grad $(SAMPLE) --top 8

test: .venv/stamp
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-frameworks: .venv-frameworks/stamp
	OMP_NUM_THREADS=1 .venv-frameworks/bin/python -m pytest --numprocesses auto \
		tests/test_frameworks*.py tests/test_*torch*.py tests/test_training_example.py
	.venv-frameworks/bin/python -m pytest tests/test_readme.py -k backend

# $(call two_at_a_time,COMMAND): run COMMAND with each line of standard input for LINE; what it prints comes at its end.
two_at_a_time = xargs -P 2 -I LINE sh -c 'said=$$($(1) 2>&1); code=$$?; echo "$(1)"; echo "$$said"; exit $$code'

check: .venv/stamp .venv-frameworks/stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto tests/test_readme.py tests/test_citations.py tests/test_layout.py
	@{ ls sample_inputs/*.yaml; $(BIN)/kdegrad kernels --format csv | sed '1d; s/,.*//; s/^/--kernel /'; } | \
		$(call two_at_a_time,$(BIN)/kdegrad verify-props LINE --format github)
	@printf '%s\n' float64 float32 | \
		$(call two_at_a_time,OMP_NUM_THREADS=1 .venv-frameworks/bin/python -m tests.judged_torch LINE)

coverage: .venv/stamp
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

mutants: .venv/stamp
	OPENBLAS_NUM_THREADS=1 nice -n 19 $(BIN)/python -m tests.mutants $(MUTANTS)

bench: .venv-bench/stamp
	.venv-bench/bin/python -m tests.benchmarks

dist: .venv/stamp
	$(BIN)/python -m tests.release dist

matrix: .venv/stamp
	$(BIN)/python -m tests.release matrix

readme: .venv/stamp
	$(BIN)/python -m tests.readme

gallery: .venv/stamp
	$(BIN)/python -m tests.gallery >/dev/null

clean:
	rm -rf .venv .venv-bench .venv-frameworks .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
