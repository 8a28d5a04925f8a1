# `make demo` and `make test` are all that a newcomer needs: both make `.venv` first.

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
SOURCES = $(wildcard src tests benchmarks scripts)
WORKERS ?= 2

# The first interpreter that is new enough; `make PYTHON=/path/to/python` overrides the search.
PYTHON ?= $(shell for p in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: venv
venv: ## Make or refresh .venv (tools, dependencies and shoal itself)
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		echo "shoal needs Python 3.11 or newer: install one, or name it with make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	"$$python" scripts/bootstrap.py

.PHONY: demo
demo: venv ## Watch a live cluster form, lose members and heal
	@$(BIN)/shoal demo

.PHONY: test
test: venv ## Run the whole test suite (WORKERS=2)
	@$(PY) -m pytest -n $(WORKERS)

.PHONY: lint
lint: venv ## Check style and likely bugs
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m ruff format --check $(SOURCES)

.PHONY: types
types: venv ## Check types
	@$(PY) -m mypy $(SOURCES)

.PHONY: check
check: lint types ## lint and types

.PHONY: lock
UV := build/uv
lock: venv ## Pin every dependency again (requirements/*.lock)
	@$(PY) -m venv $(UV)
	@$(UV)/$(notdir $(BIN))/python -m pip install --quiet uv
	$(UV)/$(notdir $(BIN))/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade --all-extras --group dev pyproject.toml \
		--no-emit-package shoal -o requirements/dev.lock
	$(UV)/$(notdir $(BIN))/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade --group bench \
		-c requirements/dev.lock -o requirements/bench.lock
