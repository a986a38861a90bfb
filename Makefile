# The two commands: `make run` sets everything up and ends with the service open; `make test` sets up and passes the tests.
# All paths are relative, so that a checkout may lie in a folder with a space in its name.

.DELETE_ON_ERROR:
.PHONY: run test check format assets lock-check clean help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := -c constraints/lock.txt
# TORCH=cpu takes torch's CPU build from an index or folder that you name with PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.
TORCH_PIN := $(if $(filter cpu,$(TORCH)),'torch==2.13.0+cpu','torch==2.13.0')
WORKERS ?= 2

help:
	@echo "make run     set up, calibrate this machine, print a first estimate and open the service"
	@echo "make test    set up and pass the tests (make check first)"
	@echo "make check   lint, format and types"
	@echo "make format  rewrite the code in the project's format"
	@echo "make assets  the pages' stylesheet and scripts from pinned npm packages"
	@echo "make clean   remove what the other commands made, except your data in var/"

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one with: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/run.stamp: $(VENV)/python.stamp pyproject.toml constraints/lock.txt
	$(PIP) install --quiet $(CONSTRAINTS) $(TORCH_PIN) -e .
	touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) install --quiet $(CONSTRAINTS) -e '.[dev]'
	touch $@

run: $(VENV)/run.stamp assets
	$(BIN)/planner run

test: $(VENV)/dev.stamp assets check
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) node_modules planner/web/static/vendor dist build
