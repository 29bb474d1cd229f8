# make nightly · make test · make soak · make check · make bench · make bench-arrival; each sets everything up first
MAKEFLAGS += --no-print-directory
.SILENT:
.PHONY: setup nightly test soak check format bench bench-arrival migration logic catalogue clean

BIN := .venv/bin

nightly: setup
	$(BIN)/opsmart nightly --sample

test: setup
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# what the tests try a few times, tried for an hour or more: docs/proofs.md
soak: setup
	$(BIN)/pytest -n 2 --timeout 0 -m soak

check: setup
	$(BIN)/ruff format --check --quiet || { echo "do: make format" >&2; exit 1; }
	$(BIN)/ruff check --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo --cache-dir .cache/imports >.cache/imports.log 2>&1 || { cat .cache/imports.log >&2; exit 1; }
	$(BIN)/sqlfluff lint --quiet sql
	echo "check: all good"

format: setup
	$(BIN)/ruff check --quiet --fix || true
	$(BIN)/ruff format --quiet
	$(BIN)/sqlfluff fix --quiet sql

# make bench, or a part of it: make bench BENCH=day SIZE=0.05
bench: setup
	$(BIN)/python -m tests.benchmarks $(BENCH) $(if $(SIZE),--size $(SIZE))

bench-arrival: setup
	$(BIN)/python -m tests.benchmarks arrival $(if $(SIZE),--size $(SIZE))

# make migration m="why the tables change": writes the next revision from the contracts
migration: setup
	$(BIN)/python -m flows.io.revisions "$(m)"
	$(BIN)/ruff check --quiet --fix sql/migrations
	$(BIN)/ruff format --quiet sql/migrations

# after the logic of a fact changed: records what its logic_version stands for
logic: setup
	$(BIN)/python -m tests.contracts.logic

# after a metric's card changed: writes the catalogue in docs/metrics.md
catalogue: setup
	$(BIN)/python -m tests.contracts.metric_catalogue

setup: .venv/.synced
	mkdir -p .cache

.venv/.synced: uv.lock pyproject.toml
	.ci/setup

clean:
	rm -rf .cache .hypothesis
