# `make demo` and `make test` are all that a newcomer needs: both make `.venv` first.

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
SOURCES = $(wildcard src tests benchmarks scripts examples)
WORKERS ?= 2
SEEDS ?= 1000

# The first interpreter that is new enough; `make PYTHON=/path/to/python` overrides the search.
PYTHON ?= $(shell for p in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

.PHONY: sweep
sweep: venv ## Play random scenarios in the simulator (SEEDS=1000)
	@SIM_SEEDS=$(SEEDS) $(PY) -m pytest tests/sim/test_sweep.py -n $(WORKERS)

.PHONY: drills
drills: venv ## Partitions, power cuts, rolling restarts and more in the simulator (SEEDS=1000: 40 minutes of CPU)
	@$(PY) -m benchmarks.drills --seeds $(SEEDS) --jobs $(WORKERS)

.PHONY: lint
lint: venv ## Check style and likely bugs
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m ruff format --check $(SOURCES)

.PHONY: types
types: venv ## Check types
	@$(PY) -m mypy $(SOURCES)

.PHONY: check
check: lint types ## lint and types

.PHONY: coverage
coverage: venv ## Run the suite and list the lines that no test reaches
	@$(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest -n $(WORKERS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

.PHONY: fuzz
fuzz: venv ## Throw mutated packets at the decoders
	@$(PY) -m tests.fuzz.decode

.PHONY: hostile
hostile: venv ## Attack a live cluster with 1,000,000 datagrams and 10,000 streams (5 minutes)
	@$(PY) -m benchmarks.hostile

.PHONY: bench bench-formation bench-leave bench-steady bench-decode bench-table bench-table-size
bench: bench-formation bench-leave bench-steady bench-decode bench-table bench-table-size ## Run the benchmarks of shoal itself that have a target
bench-formation: venv ## Time until every view of a new cluster is complete
	@$(PY) -m benchmarks.formation
bench-leave: venv ## Time until a graceful leave is seen by all
	@$(PY) -m benchmarks.leave
bench-steady: venv ## CPU, datagrams and bytes of an idle cluster
	@$(PY) -m benchmarks.steady --peers shoal
bench-decode: venv ## Decode random and mutated datagrams
	@$(PY) -m benchmarks.decode
bench-table: venv ## Memory of a member, and the time of the member table's work
	@$(PY) -m benchmarks.table
bench-table-size: venv ## What a quiet node's core costs, by how many members its view holds
	@$(PY) -m benchmarks.table_size

# The peers of the comparison; what has no toolchain here is skipped.
PEERS ?= shoal-uvloop,shoal-encrypted,kinship,memberlist,memberlist-encrypted,foca,floor-uvloop

.PHONY: bench-peers bench-detection peers-lock
peers-lock: venv
	@$(PY) -m pip install --quiet --require-hashes --no-deps -r requirements/bench.lock
bench-peers: peers-lock ## Cost, formation and detection beside other implementations (20 minutes)
	@failed=0; compare="$(PY) -m benchmarks.steady --nodes 50,200,500 --rounds 1 --peers $(PEERS) --form-seconds 120"; \
	$$compare --measures formation,detection || failed=1; \
	$$compare --measures cpu,wire,memory --spread 15 --settle 25 --seconds 12 || failed=1; \
	exit $$failed
bench-detection: peers-lock ## Kill a node of 100 thirty times, side by side with kinship (10 minutes)
	@$(PY) -m benchmarks.detection

.PHONY: scale
scale: NODES ?= 10000
scale: SCALE ?= --formed --kill 3 --detect-timeout 120
scale: venv ## Run that many real nodes on loopback (NODES=10000; SCALE= lets them join one by one)
	@$(BIN)/shoal bench scale --nodes $(NODES) $(SCALE)

.PHONY: tables
tables: venv ## Repeat the published experiments in the simulator (about an hour; goes on where it was)
	@$(PY) -m shoal.study --jobs $(WORKERS)

.PHONY: lock
lock: UV := build/uv
lock: COMPILE := $(UV)/$(notdir $(BIN))/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header
lock: venv ## Pin every dependency again, to the newest that pyproject.toml allows
	@$(PY) -m venv $(UV)
	@$(UV)/$(notdir $(BIN))/python -m pip install --quiet uv
	$(COMPILE) --all-extras --group dev --no-emit-package shoal pyproject.toml -o requirements/dev.lock
	$(COMPILE) --group bench -c requirements/dev.lock -o requirements/bench.lock

.PHONY: clean
clean: ## Remove .venv and whatever else was made
	@rm -rf .cache .venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
