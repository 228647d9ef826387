# Each target sets up what it needs in .venv, from nothing but Python 3.11 with pip and venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-all soak lint types format bench docs dist clean

help:
	@echo "make demo       start a small fleet on this machine, deploy it and follow its logs"
	@echo "make test       run the tests, but for those that are marked as slow"
	@echo "make test-slow  run these"
	@echo "make test-all   run the tests on each Python that this machine has (QUICK=1: a part of them)"
	@echo "make soak       kill, stop and cut off collectors, and let one live a week; no line may be lost"
	@echo "make lint       check style and types"
	@echo "make bench      measure against the official client and hand-written loops"
	@echo "make format     format the code"
	@echo "make docs       build the documentation in site/"
	@echo "make dist       build the wheel and the source distribution, and check them"
	@echo "make clean      remove everything that make created"

$(BIN)/python:
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "aioservices needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "Installing aioservices with its command line ..."
	@$(BIN)/python -m pip install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	@echo "Installing the development tools ..."
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/aioservices demo
	@command -v aioservices >/dev/null || \
		echo "The command is in $(BIN); to have it in this shell: source $(BIN)/activate"

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 6 -m 'not slow' \
		--durations 0 --durations-min 10  # none should be listed

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 6 -m slow

test-all: $(VENV)/.dev
	$(BIN)/nox --session $(if $(QUICK),quick,tests)

soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak

lint: $(VENV)/.dev types
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/basedpyright

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# The theme advertises its successor at each run.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html"

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) .nox site .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
