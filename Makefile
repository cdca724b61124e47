# make train: everything from nothing, then logistic regression on MNIST.
# make test: the same, then the tests. Other targets: see README.md.

VENV := .venv
# The first interpreter that runs; theano_tutorials/machine.py says whether it will do.
PYTHON ?= $(shell for p in python3.11 python3.10 python3.9 python3; do \
	$$p -c '' 2>/dev/null && echo $$p && break; done)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/installed
# The peers of the benchmarks, which need NumPy 2.
PEERS := .venv-bench
KILLS ?= 100

.PHONY: setup train test fuzz soak bench lint format wheel clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python: install python3.11, python3.11-dev and python3.11-venv" >&2; exit 1; }
	@$(PYTHON) theano_tutorials/machine.py
	@echo "Setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable '.[test]'
	@touch $@

train: setup
	@$(VENV)/bin/python scripts/train_logreg.py

test: setup
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

# Longer: thousands of mutations of every kind of file, and of killed trainings.
fuzz: setup
	HYPOTHESIS_PROFILE=fuzz $(VENV)/bin/python -m pytest -m fuzz tests

soak: setup
	KILLS=$(KILLS) $(VENV)/bin/python -m pytest -k killed_runs tests/test_run.py

# Some forty minutes on an idle machine of two cores; writes docs/performance.md.
bench: setup $(PEERS)/installed
	$(VENV)/bin/python -m benchmarks.bench --peers $(PEERS)/bin/python

$(PEERS)/installed: benchmarks/requirements.txt
	@echo "Setting up $(PEERS) with $(PYTHON)"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

lint: setup
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .

format: setup
	$(VENV)/bin/python -m ruff check --fix .
	$(VENV)/bin/python -m ruff format .

wheel: setup
	$(VENV)/bin/python -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) $(PEERS) dist build .pytest_cache .ruff_cache .hypothesis
