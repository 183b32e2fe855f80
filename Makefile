# Everything a newcomer or a CI needs; `make` alone lists it. The virtual environment in .venv is made on the way.

PYTHON ?= python3
BIN := .venv/bin
SAMPLE := sample_inputs/mallards.csv --target 270 360 --circular --kernel von-mises --bandwidth 20 --bins 90

.PHONY: help demo test check coverage mutants bench dist matrix readme gallery clean

help:
	@echo "make demo      set up .venv and run the main job on a real sample"
	@echo "make test      set up .venv and run the tests"
	@echo "make check     lint, types, the README's commands, and verify-props on every sample and kernel"
	@echo "make coverage  list the lines and branches that no test reaches"
	@echo "make mutants   break the mathematics at 2,500 places and list what no test notices (up to an hour)"
	@echo "make bench     measure speed, as ratios side by side"
	@echo "make dist      build wheel and sdist into dist/, and try each in a bare environment"
	@echo "make matrix    test on every Python here, with the lowest and the newest dependencies (needs uv)"
	@echo "make readme    write the README's outputs anew"
	@echo "make gallery   draw the README's pictures anew"
	@echo "make clean     remove .venv and caches"

# uv where it is found, else venv and pip; the stamp is older than pyproject.toml when the environment is out of date.
.venv/stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kdegrad needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) .venv && uv pip install --quiet --python $(BIN)/python --group dev --editable .; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" && $(BIN)/python -m pip install --quiet --group dev --editable .; \
	fi
	@touch $@

demo: .venv/stamp
	$(BIN)/kdegrad loss $(SAMPLE)
	$(BIN)/kdegrad grad $(SAMPLE) --top 8

test: .venv/stamp
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: .venv/stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_readme.py
	@for sample in sample_inputs/*.yaml; do echo "verify-props $$sample"; \
		$(BIN)/kdegrad verify-props $$sample --format github || exit 1; done
	@for kernel in $$($(BIN)/kdegrad kernels --format csv | tail -n +2 | cut -d, -f1); do echo "verify-props --kernel $$kernel"; \
		$(BIN)/kdegrad verify-props --kernel $$kernel --format github || exit 1; done

coverage: .venv/stamp
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

mutants: .venv/stamp
	OPENBLAS_NUM_THREADS=1 nice -n 19 $(BIN)/python -m tests.mutants

bench: .venv/stamp
	$(BIN)/python -m tests.benchmarks

dist: .venv/stamp
	$(BIN)/python -m tests.release dist

matrix: .venv/stamp
	$(BIN)/python -m tests.release matrix

readme: .venv/stamp
	$(BIN)/python -m tests.readme

gallery: .venv/stamp
	$(BIN)/python -m tests.gallery >/dev/null

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
