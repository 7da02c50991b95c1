# Needs Python >= 3.11 (with venv), git, make and a C compiler; everything else goes into .venv.
#
#   make demo              the whole story on bundled real data, in under two minutes
#   make test              every test, and every branch of the trusted core
#   make coverage          the same, with every line of the product traced (long)
#   make lint              style, types, layers, dependencies
#   make fuzz SECONDS=60   all fuzz targets, that long together (RUNS=2000: each so often; JOBS=2 at a time)
#   make bench             speed and memory, as ratios
#   make mutation          mutation score of the trusted core (long)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
SECONDS ?= 60
WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Python compiles what is imported, when it first is; most of torch and transformers never is. It has
# to be kept, though: hundreds of processes import the same.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PIP) install --no-compile -c constraints.txt
# Named with == on the command line: any looser form lets pip prefer a build with CUDA.
TORCH := $(shell sed -n 's/^\(torch==.*\)$$/\1/p' constraints.txt)

export HF_HUB_OFFLINE := 1
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt

# The folders whose every branch a test must reach.
CORE := seedpack/container seedpack/crypto seedpack/trust seedpack/seed

.PHONY: help demo test coverage lint fuzz bench mutation clean

help:
	@sed -n 's/^#   //p' Makefile

# A second call installs nothing, unless the list of what to install has changed. The pip that comes
# with Python is of that Python's age: that of 3.11 takes three times as long to choose packages.
$(VENV)/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seedpack needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade --no-compile -c constraints.txt pip
	touch $@

$(VENV)/demo: $(VENV)/made pyproject.toml constraints.txt
	$(INSTALL) $(TORCH) -e '.[torch,demo]'
	touch $@

$(VENV)/dev: $(VENV)/made pyproject.toml constraints.txt
	$(INSTALL) $(TORCH) -e '.[all,dev]'
	touch $@ $(VENV)/demo

# At once, as a second look for what goes with what takes as long as a small suite of tests.
$(VENV)/fuzz: $(VENV)/made pyproject.toml constraints.txt
	$(INSTALL) $(TORCH) -e '.[all,dev,fuzz]'
	touch $@ $(VENV)/dev $(VENV)/demo

$(VENV)/mutation: $(VENV)/dev
	$(INSTALL) -e '.[mutation]'
	touch $@

demo: $(VENV)/demo
	@$(BIN)/seedpack demo

# One thread each: workers that all take all cores wait for each other. Neighbours go to one worker,
# which builds what they share once, until another has nothing left to do. Tracing doubles the time
# that some tests take, so that it is left out where the core is not what a folder's tests are about.
test: $(VENV)/dev
	@mkdir -p build
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --trace-core-only \
	  $(CORE:%=--cov=%) --cov-report=
	@$(BIN)/coverage report --fail-under=100 > build/coverage-core.txt \
	  || { cat build/coverage-core.txt; exit 1; }

coverage: $(VENV)/dev
	@mkdir -p build
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=
	@$(BIN)/coverage report | tee build/coverage.txt

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

fuzz: $(VENV)/fuzz
	$(BIN)/python -m fuzz.run $(if $(RUNS),--runs $(RUNS),--seconds $(SECONDS)) $(if $(JOBS),--jobs $(JOBS))

bench: $(VENV)/dev
	$(BIN)/python -m bench

mutation: $(VENV)/mutation
	$(BIN)/mutmut run
	$(BIN)/mutmut results

clean:
	rm -rf $(VENV) build dist mutants .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
