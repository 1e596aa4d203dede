# `make help` lists what there is. Everything runs in .venv, which `make setup` makes and keeps up to date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
# A process a core; what starts servers goes one after the other in one of them (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n auto
# For Python 3.11 and newer and all platforms in one file, with the hash of every wheel that may be taken.
COMPILE := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help setup demo run quick test faults nightly soak bench check lock format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "emberline needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP) ## put everything into .venv

demo: $(STAMP) ## the whole of emberline here, a minute under a simulated fleet, and an account of it
	@$(BIN)/emberline demo

run: $(STAMP) ## the same stack until Ctrl-C
	@$(BIN)/emberline run

quick: $(STAMP) ## the tests that start no server, and the static checks: six minutes on two cores
	@$(PYTEST) -m 'quick and not nightly'

test: $(STAMP) ## all tests but the nightly ones, against the embedded broker, ClickHouse and three brokers of Kafka
	@$(PYTEST)

faults: $(STAMP) ## of these only the fault suite: kills, pauses, lost brokers (needs Java 17 and Maven)
	@$(BIN)/python -m pytest tests/faults

nightly: $(STAMP) ## all tests, then 200 random kills among changes, then the soak: two hours
	@$(PYTEST) -m ''
	@$(BIN)/python -m tests.faults.kills --changes --kills 200 --seed $$(date +%Y%j)
	@$(BIN)/python -m benchmarks soak --kafka 1

soak: $(STAMP) ## an hour under load: memory, descriptors and threads must stay flat
	@$(BIN)/python -m benchmarks soak --kafka 1

bench: $(STAMP) ## every benchmark but the soak, an hour and a half or so; results, tables and plots in benchmarks/results
	@$(INSTALL) --require-hashes --requirement requirements-bench.lock
	@$(BIN)/python -m benchmarks all

check: $(STAMP) ## ruff and strict type checking
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(STAMP) ## pin what pyproject.toml asks for anew; with UPGRADE=--upgrade the newest of everything
	@$(INSTALL) uv
	@$(COMPILE) --extra embedded --extra dev --output-file requirements.lock
	@$(COMPILE) --all-extras --constraint requirements.lock --output-file requirements-bench.lock

format: $(STAMP) ## put the code into its form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

clean: ## remove .venv and what tools left; data in .emberline stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
