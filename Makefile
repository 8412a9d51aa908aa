# Everything a person or CI does with this repository. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help install check format test faults chaos bench demo up down agent deflake clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(READY) ## set up .venv from the hashed lock file

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Daywork needs Python 3.11 or newer; this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: $(READY) ## format, lint, types, floors, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

format: $(READY) ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY) ## every test, in random order, with the servers they need (JOBS=2 at once)
	$(BIN)/pytest -q -n $(or $(JOBS),2) --dist loadfile

faults: $(READY) ## only the fault tests
	$(BIN)/pytest -q tests/faults

chaos: $(READY) ## one long storm of kills and lost answers over a stack (SEED=7 ROUNDS=3)
	DAYWORK_CHAOS_SEED=$(or $(SEED),$(shell date +%s)) DAYWORK_CHAOS_ROUNDS=$(or $(ROUNDS),3) $(BIN)/pytest -v -rN tests/faults/chaos

deflake: $(READY) ## repeat the tests in new orders until one fails
	while $(BIN)/pytest -q -x; do :; done

bench: $(READY) ## measure side by side with peers (minutes)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.orchestration
	PYTHONPATH=tests $(BIN)/python -m benchmarks.recovery
	PYTHONPATH=tests $(BIN)/python -m benchmarks.waiting
	PYTHONPATH=tests $(BIN)/python -m benchmarks.scale
	PYTHONPATH=tests $(BIN)/python -m benchmarks.launching
	PYTHONPATH=tests $(BIN)/python -m benchmarks.calls
	$(BIN)/python -m benchmarks.data

demo: $(READY) ## the main job, end to end, on this machine, in a throw-away directory
	$(BIN)/python -m console.demo

up: $(READY) ## the whole stack on this machine, until Ctrl-C
	$(BIN)/daywork up

down: $(READY) ## stop a stack that runs in the background
	$(BIN)/daywork down

agent: $(READY) ## build dist/agent.pyz from agent/ alone
	$(BIN)/python deploy/worker/build.py

clean: ## remove what was built
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
