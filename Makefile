# Set-up is part of every target: a fresh machine needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

# Tests and experiments on real data look here; without the folder, tests that need it say that they were skipped.
VFL_JAX_DATA ?= $(wildcard $(CURDIR)/../shared/data)
export VFL_JAX_DATA

# The lowest versions that pyproject.toml names have an environment of their own, and run what depends on them most.
LOWEST = .venv-lowest
LOWEST_TESTS = $(addprefix tests/test_, $(addsuffix .py, files netcdf atomic damage checkpoints code changed_code \
	arrays tables table_errors data_sets results statistics grid cases cache lowest))

AUDIT = .venv-audit
LONG = .long.xml

TEST = env -u PYTHONPATH $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-shuffled test-long test-lowest audit-dependencies lint types docs check clean

demo: $(READY)
	@echo "Installation took $$(cat $(READY)) s; it is done once."
	$(BIN)/vfl-jax demo

test: $(READY)
	$(TEST) -m "not long"

# No test may need another before it, nor the real data: another order at each run, and no folder of data.
test-shuffled: $(READY)
	VFL_JAX_DATA= $(TEST) -m "not long" --random-order

# What the last run found is written into tests/LONG.md, failures too.
test-long: $(READY)
	$(TEST) -m long --junitxml=$(LONG); code=$$?; $(BIN)/python tests/long_record.py $(LONG) && exit $$code

test-lowest: $(LOWEST)/.ready
	env -u PYTHONPATH $(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -W default $(LOWEST_TESTS)

# Asks for advisories about the pinned versions. No answer about a package is a failure, too.
audit-dependencies:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.9'
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

# Pages are staged, then built; notebooks are executed where a cell changed. A warning is an error.
docs: $(READY)
	$(BIN)/python -m docs.staging docs/_build/source
	JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(BIN)/sphinx-build -q -W --keep-going -b html -c docs -d docs/_build/doctrees docs/_build/source docs/_build/html
	@echo "the site is docs/_build/html; open its index.html"

check: lint types test

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "vfl_jax needs Python 3.11 or newer; set PYTHON=..."'
	start=$$(date +%s) && $(PYTHON) -m venv $(VENV) \
		&& $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' \
		&& echo $$(( $$(date +%s) - start )) > $(READY)

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(AUDIT) docs/_build demo .mypy_cache .ruff_cache .pytest_cache
