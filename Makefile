# `make` lists the targets. Only Python 3.10-3.12 and make are needed; setup brings the rest, Java included.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
DEMO := out/demo
SEEDS := 10000
N := 1000000
FAST := not flink and not kafka and not model and not browser and not slow

# One thread for each numeric library: with more they fight over the cores and everything is slower.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

# The first Python that starts, is 3.10-3.12 and can make environments (Debian ships that part apart).
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: help setup jars check test simulate fuzz demo demo-live clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(READY)  ## make .venv with everything in it (about 3 minutes, 6 GB; at once when nothing changed)

$(READY): pyproject.toml
	@python='$(PYTHON)'; \
	if [ -z "$$python" ] || ! "$$python" -c '$(FITS)' >/dev/null 2>&1; then \
	  echo "error: no usable Python: found $${python:-none of python3.11, python3.12, python3.10 and $$(python3 --version 2>&1 | tail -1)};" \
	    "expected 3.10, 3.11 or 3.12 with venv and ensurepip (apache-flink has no wheels for others);" \
	    "install one (Debian: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	$(BIN)/python -c '$(FITS)' >/dev/null 2>&1 || { echo "Making .venv with $$python"; "$$python" -m venv --clear .venv; }
	@echo "Installing into .venv"
	@$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

jars: $(READY)  ## fetch and verify the Kafka connector and broker (57 MB, once for all projects)
	@$(BIN)/python -m jobs.jars

check: $(READY)  ## format, lint, types and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m '$(FAST)' --durations=10

test: $(READY) jars  ## the whole suite, real Flink, Kafka and language model included
	$(BIN)/python -m pytest -m 'not flink' --durations=10
	@status=0; for file in $$(grep -lE 'mark\.flink' -r tests --include='test_*.py' | sort); do \
	  echo "$$file: Flink, a JVM of its own"; \
	  $(BIN)/python -m pytest "$$file" -m flink --durations=5 || status=1; \
	done; exit $$status

simulate: $(READY)  ## the job in one thread, SEEDS=10000 schedules of crashes and restores, judged by the oracle
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

fuzz: $(READY)  ## N=1000000 mutated records through everything that reads bytes
	$(BIN)/python -m tests.fuzz --records $(N)

demo: $(READY)  ## replay 141,695 real events through Flink; lists, metrics and a report in out/demo
	$(BIN)/headwater replay --config examples/movietweetings/job.toml --why --out $(DEMO)
	@echo "Report: $(DEMO)/report.html (figures: $(DEMO)/report.json, lists: $(DEMO)/recommendations/)"
	@echo "Look at its users and lists: $(BIN)/headwater serve --replay $(DEMO) --open"

demo-live: $(READY)  ## the same live on this machine: broker, encoder, job, visitors and a page, until Ctrl-C
	@$(BIN)/headwater demo

clean:  ## remove outputs and caches (.venv and the fetched jars stay)
	rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
