# Set-up is part of every target: a fresh machine needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

# Tests and studies on real data look here; without the folder, tests that need it say that they were skipped.
VFL_JAX_DATA ?= $(wildcard $(CURDIR)/../shared/data)
export VFL_JAX_DATA

.PHONY: demo test lint types check clean

demo: $(READY)
	$(BIN)/vfl-jax demo

test: $(READY)
	env -u PYTHONPATH $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "vfl_jax needs Python 3.11 or newer; set PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache
