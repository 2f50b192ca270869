# `make demo` and `make test` set up everything they need; nothing has to be done before.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# One thread a process: two ranks share two cores. Nothing is fetched from a model hub by tests.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help setup demo studies test test-scale test-faults test-fuzz soak audit check-k8s lint types pytest format lock clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## the environment in .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## train three strategies on the embedded sample and compare them
	$(BIN)/hbt demo

test: lint types pytest ## everything that must pass

lint: $(READY) ## style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## strict type check
	$(BIN)/mypy

pytest: $(READY) ## the tests
	HF_HUB_OFFLINE=1 $(BIN)/pytest

test-scale: $(READY) ## the large versions of tests (needs the real data; many minutes)
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m scale tests/scale

test-faults: $(READY) ## kill runs 108 times and compare what they leave with undisturbed ones (half an hour)
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.faults.run

test-fuzz: $(READY) ## thousands of damaged inputs (many minutes)
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m fuzz tests/fuzz

soak: $(READY) ## 2,000 steps beside evaluations: does memory, open files or threads grow? (some minutes)
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.soak

audit: ## ask the Python advisory database about constraints.txt; needs the network
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt || { echo "audit: what was found stands above; 'could not be audited' means that no database answered" >&2; exit 1; }

check-k8s: $(READY) ## render the Kubernetes manifests and check them; needs kubectl, no cluster
	$(BIN)/python -m k8s.check

studies: $(READY) ## all studies in their small form (needs the real data; an hour); goes on where it was stopped
	for study in launchers/studies/*_small.yaml; do $(BIN)/hbt study $$study || exit; done

format: $(READY) ## rewrite to style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY) ## rewrite constraints.txt from the environment
	$(BIN)/python -m pip freeze --exclude-editable | grep -v -E '^(pip|setuptools|wheel)==|@ ' | sed 's/+cpu//' > constraints.txt

clean: ## remove the environment and caches
	rm -rf $(VENV) .venv-audit .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
