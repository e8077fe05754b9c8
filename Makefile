# make test | quick | torture | soak | demo | bench | lint | docs | pictures | lock: each sets up what it needs first, on a bare Debian 12 or 13 too.

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?= -n auto

.PHONY: test quick torture soak demo bench lint docs pictures lock clean

test: $(READY) lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

quick: $(READY) lint
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

# every point of the sweeps, every disk after a power cut, every mutant: hours. TORTURE_ARGS="kill --every 50" tries a part
torture: $(READY)
	$(BIN)/python -m tests.torture $(TORTURE_ARGS)

# the daemon under random life and random kills, for so many minutes
soak: $(READY)
	$(BIN)/python -m tests.torture.soak --minutes $(or $(MINUTES),30)

demo: $(READY)
	$(BIN)/exchanged demo $(DIR)

bench: $(READY)
	$(BIN)/python -m tests.bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python .ci/reference

pictures: $(READY)
	$(BIN)/python .ci/pictures/make.py

lock:
	sh .ci/lock

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): requirements-dev.lock pyproject.toml .ci/setup
	sh .ci/setup $(VENV)
