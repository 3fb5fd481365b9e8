# One command for each thing one does here. Needs git, make and Python 3.11 or 3.12; everything else is fetched.
#   make testnet ARGS="--validators 7"      make test PYTHON=3.12      make sim SEED=7

PYTHON ?=
ARGS ?=
SEED ?= 1
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .cache/uv-venv/bin/uv)
BIN := .venv/bin
STAMP := .venv/.synced$(PYTHON)

.DEFAULT_GOAL := help
.PHONY: help testnet test check bench bench-gas bench-net sim docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

testnet: $(STAMP)  ## four validators, a settlement chain, traders and a live table; Ctrl-C ends it
	@$(BIN)/hansa testnet up $(ARGS)

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)  ## lint, types, architecture, freshness of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy engine consensus
	$(BIN)/python -m pytest tests/test_tidy.py

clean:  ## remove the environment, caches and local networks
	rm -rf .venv .cache .hansa-testnet .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml uv.lock | $(UV)
	@echo "installing the pinned packages into .venv (under a minute on a fast line)" >&2
	$(UV) sync --frozen $(if $(PYTHON),--python $(PYTHON))
	@touch $@

# Debian's python3 comes without ensurepip unless python3-venv is installed; then pip's user folder has to do.
.cache/uv-venv/bin/uv:
	@echo "fetching uv $(UV_VERSION), the package installer" >&2
	@mkdir -p .cache
	@rm -rf .cache/uv-venv
	@if python3 -m venv .cache/uv-venv >/dev/null 2>&1; then \
	    .cache/uv-venv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); \
	elif python3 -m pip install -q --target .cache/uv-pip uv==$(UV_VERSION); then \
	    rm -rf .cache/uv-venv; mkdir -p .cache/uv-venv/bin; ln -s ../../uv-pip/bin/uv .cache/uv-venv/bin/uv; \
	else \
	    rm -rf .cache/uv-venv; \
	    echo "python3 has neither venv nor pip: install python3-venv, or put uv on the PATH" >&2; exit 1; \
	fi
