# The two commands: `make run` sets everything up and ends with the service open; `make test` sets up and passes the tests.
# All paths are relative, so that a checkout may lie in a folder with a space in its name.

.DELETE_ON_ERROR:
.PHONY: help run test check format assets accuracy slow soak repeatability calibrated overhead browser explore ray clean

VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP := $(PY) -m pip --disable-pip-version-check
CONSTRAINTS := -c constraints/lock.txt
# TORCH=cpu takes torch's CPU build from an index or folder that you name with PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.
TORCH_PIN := $(if $(filter cpu,$(TORCH)),'torch==2.13.0+cpu','torch==2.13.0')
WORKERS ?= 3
ASSETS := planner/web/static/vendor/.installed

# What pip installs names this folder and this Python; where either has moved away the environment is made anew.
ifneq ($(shell [ "$$(cat $(VENV)/made-in 2>/dev/null)" = "$$(pwd -P)" ] && $(PY) -c 'print("works")' 2>/dev/null),works)
.PHONY: $(VENV)/made-in
endif

# The service and the tests start this package as processes of their own, some hundred times in `make test`: with this
# set, as some images have it, each of them would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make run     set up, calibrate this machine, print a first estimate and open the service"
	@echo "make test    set up and pass the tests (make check first)"
	@echo "make check   lint, format and types"
	@echo "make format  rewrite the code in the project's format"
	@echo "make assets  the pages' stylesheet and scripts from pinned npm packages"
	@echo "make accuracy TABLES=FOLDER  score the estimator on tables of measured runs into docs/accuracy.md"
	@echo "make soak    a thousand calibration runs; fails where memory, descriptors or processes grow"
	@echo "make repeatability  the quick suite twice on this CPU: do the two agree (on an idle machine)"
	@echo "make calibrated [ROUNDS=N] [RECORD=FILE | REPLAY=FILE]  runs that no calibration saw beside their estimates (on an idle machine)"
	@echo "make overhead  what telemetry and bookkeeping take of a calibration"
	@echo "make browser  every page in a real browser, in light and in dark"
	@echo "make explore  the tests of properties with examples that no run has tried"
	@echo "make slow    the tests that measure this machine for a minute each"
	@echo "make ray     calibrations on a local Ray cluster, one node of which is killed"
	@echo "make clean   remove what the other commands made, except your data in var/"

run: $(VENV)/run.stamp
	@$(MAKE) --silent --no-print-directory assets || echo "Going on with plain pages."
	@$(PY) -m planner run

# One thread each for arithmetic: threads of several test processes would wait for each other on a few cores.
test: export OMP_NUM_THREADS ?= 1
test: export OPENBLAS_NUM_THREADS ?= 1
test: $(VENV)/dev.stamp assets check
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not ray and not slow"

check: $(VENV)/dev.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/dev.stamp
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

assets: $(ASSETS)

accuracy: $(VENV)/run.stamp
	@test -n "$(TABLES)" || { echo "Name the folder with training_runs.csv: make accuracy TABLES=FOLDER" >&2; exit 2; }
	$(PY) -m benchmarks.accuracy "$(TABLES)"

soak: $(VENV)/run.stamp
	$(PY) -m benchmarks.soak $(RUNS)

repeatability: $(VENV)/run.stamp
	$(PY) -m benchmarks.repeatability $(SUITE)

calibrated: $(VENV)/run.stamp
	$(PY) -m benchmarks.calibrated_accuracy $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(RECORD),--record "$(RECORD)") $(if $(REPLAY),--replay "$(REPLAY)")

browser: $(VENV)/dev.stamp assets
	PLANNER_TEST_WHOLE_BROWSER_MATRIX=1 $(PY) -m pytest -n 0 tests/browser

explore: $(VENV)/dev.stamp
	$(PY) -m pytest -n $(WORKERS) --hypothesis-profile=exploring -m "hypothesis and not ray and not slow"

slow: $(VENV)/dev.stamp
	$(PY) -m pytest -n 0 -m slow

ray: $(VENV)/dev.stamp
	@$(PIP) install --quiet $(CONSTRAINTS) -e '.[ray]'
	$(PY) -m pytest -n 0 -m ray

overhead: $(VENV)/run.stamp
	$(PY) -m benchmarks.calibration_overhead $(SUITE)

clean:
	rm -rf $(VENV) .make node_modules planner/web/static/vendor dist build

$(VENV)/made-in:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one with: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@"$(PYTHON)" -m venv $(if $(wildcard $@),--clear) $(VENV)
	@pwd -P > $@

$(VENV)/run.stamp: $(VENV)/made-in pyproject.toml constraints/lock.txt
	@echo "Installing the planner and what it needs, torch among it; about a minute …"
	@$(PIP) install --quiet $(CONSTRAINTS) $(TORCH_PIN) -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "Installing what the tests and checks need …"
	@$(PIP) install --quiet $(CONSTRAINTS) -e '.[dev]'
	@touch $@

$(ASSETS): package.json package-lock.json .npmrc scripts/assets.py | $(VENV)/run.stamp
	@echo "Installing the pages' stylesheet and scripts …"
	@$(PY) scripts/assets.py
	@touch $@
