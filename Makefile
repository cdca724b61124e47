# make train: everything from nothing, then logistic regression on MNIST.
# make test: the same, then the tests. make check: the quick ones. Other targets: see README.md.

VENV := .venv
# The newest Python that will do; where none will, one that says why.
PYTHON ?= $(shell \
	for p in python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3; do \
		$$p theano_tutorials/backend/machine.py >/dev/null 2>&1 && echo $$p && exit; \
	done; \
	for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do \
		$$p -c '' 2>/dev/null && echo $$p && exit; \
	done)
# A Python that is named takes the place of another one in $(VENV).
VERSION := import sys; print(sys.version, sys.base_prefix)
ifneq ($(filter command environment,$(origin PYTHON)),)
OTHER_PYTHON = $(shell test -x $(VENV)/bin/python || exit 0; \
	test "$$($(VENV)/bin/python -c '$(VERSION)')" = "$$($(PYTHON) -c '$(VERSION)')" || echo anew)
endif
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/installed
# The peers of the benchmarks, which need NumPy 2.
PEERS := .venv-bench
KILLS ?= 20
PYGPU := /usr/lib/python3/dist-packages/pygpu
OPENCL_PACKAGES := python3-pygpu libgpuarray-dev libclblast-dev ocl-icd-libopencl1 pocl-opencl-icd

.PHONY: anew setup train check test test-search opencl test-opencl test-theano fuzz soak bench docs notebooks lint format wheel clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml hatch_build.py $(OTHER_PYTHON)
	@python="$(PYTHON)"; \
	test -n "$$python" || { echo "error: no Python: install python3, python3-dev and python3-venv" >&2; exit 1; }; \
	$$python theano_tutorials/backend/machine.py || exit; \
	echo "Setting up $(VENV) with $$python: $$($$python --version)"; \
	$$python -m venv --clear $(VENV)
	@$(PIP) install --editable '.[test]'
	@touch $@

train: setup
	@$(VENV)/bin/python scripts/train_logreg.py

# For every save of a file.
check: setup
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not slow and not fuzz"

test: setup
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal

# The search, with a server of PostgreSQL that is started on loopback.
test-search: setup
	@ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 \
		|| { echo "error: no PostgreSQL: apt-get install postgresql" >&2; exit 1; }
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal tests/test_search.py

# pygpu is not on PyPI: Debian's is linked into the environment, and nothing else of Debian's Python.
opencl: $(VENV)/opencl

$(VENV)/opencl: $(INSTALLED)
	@command -v apt-get >/dev/null || { echo "error: no apt-get: install pygpu, libgpuarray, an OpenCL driver and CLBlast as docs/gpu.md says" >&2; exit 1; }
	@missing=; for package in $(OPENCL_PACKAGES); do \
		dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	test -z "$$missing" && exit; \
	if [ $$(id -u) -eq 0 ]; then as_root=; else as_root=sudo; fi; \
	if [ -n "$$as_root" ] && ! command -v sudo >/dev/null; then \
		echo "error: packages are missing, and there is no sudo: as root, apt-get install$$missing" >&2; exit 1; \
	fi; \
	$$as_root apt-get update --quiet && $$as_root apt-get install --quiet --yes --no-install-recommends $$missing \
		|| { echo "error: apt-get install$$missing failed" >&2; exit 1; }
	@$(PIP) install --editable '.[test,test-gpu]'
	@ln -sfn $(PYGPU) "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')/pygpu"
	@$(VENV)/bin/python -c 'import pygpu' || { echo "error: Debian's pygpu is for its own Python: make clean opencl PYTHON=/usr/bin/python3" >&2; exit 1; }
	@touch $@

# Theano's own tests on this Python and NumPy; see docs/install.md.
test-theano: setup
	@$(PIP) install --editable '.[test-theano]'
	@$(VENV)/bin/python tests/theano_suite.py --folder build/theano_suite

# On OpenCL by the processor: PoCL alone, whatever other drivers there are.
test-opencl: opencl
	@mkdir -p .pytest_cache/pocl
	@OCL_ICD_VENDORS=pocl.icd POCL_CACHE_DIR=$(CURDIR)/.pytest_cache/pocl \
		THEANO_FLAGS=$${THEANO_FLAGS:+$$THEANO_FLAGS,}device=opencl0:0 \
		$(VENV)/bin/python -m pytest tests/gpu tests/test_layers.py tests/test_training.py

# Longer: thousands of mutations of every kind of file, and hundreds of killed trainings.
fuzz: setup
	HYPOTHESIS_PROFILE=fuzz $(VENV)/bin/python -m pytest -m fuzz tests

soak: setup
	KILLS=$(KILLS) $(VENV)/bin/python -m pytest --numprocesses 2 -k killed tests/runs tests/test_own_model.py

# About 70 minutes on an idle machine of two cores; writes docs/performance.md.
bench: setup $(PEERS)/installed
	$(VENV)/bin/python -m benchmarks.bench --peers $(PEERS)/bin/python

$(PEERS)/installed: benchmarks/requirements.txt
	@echo "Setting up $(PEERS) with $(PYTHON)"
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

# The site in both languages, build/docs/index.html. Every reference is checked.
docs: $(VENV)/docs
	@$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet --tag zh --conf-dir docs docs/zh build/docs/zh
	@echo "build/docs/index.html"

$(VENV)/docs: $(INSTALLED)
	@$(PIP) install --editable '.[test,docs]'
	@$(VENV)/bin/python -c 'import sphinx' 2>/dev/null \
		|| { echo "error: the site needs Python 3.12 or newer: make clean docs PYTHON=python3.12" >&2; exit 1; }
	@touch $@

# Executes the notebooks anew, after a change of their text, notebooks/*.md.
notebooks: setup
	@$(VENV)/bin/python notebooks/execute.py

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
