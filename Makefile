# `make` alone lists the targets.

PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
JOBS ?= 2
ARGS ?=

# Several processes on few cores: more than one thread each is 5 to 30 times slower.
export OMP_NUM_THREADS := 1

# Real logs and the results of other simulators, where this checkout has them beside it.
ifneq ($(wildcard ../shared/traces),)
export RL_SCHED_TRACES ?= $(abspath ../shared/traces)
endif
ifneq ($(wildcard ../shared/reference_cases),)
export RL_SCHED_REFERENCE_CASES ?= $(abspath ../shared/reference_cases)
endif

.DEFAULT_GOAL := help
.PHONY: help setup ablation figures test test-slow test-cluster lint dashboard mlflow-ui benchmark clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment with the pinned packages

$(STAMP): pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 is needed and '$(PYTHON)' is not it. Install it, or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; \
	  exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@# torch alone and first: pinned, so that an index that offers a CPU build of this version gives that one.
	$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

ablation: setup ## train and compare networks and lookahead modes (ARGS="--quick" for a short one)
	$(PY) experiments/ablation.py $(ARGS)

figures: setup ## draw all figures and tables of JPS (ARGS="--quick" for a short one)
	$(PY) experiments/run_all.py $(ARGS)

test: setup ## run the fast tests on two processes
	$(PY) -m pytest -m "not slow" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: setup ## run the slow tests
	$(PY) -m pytest -m "slow and not cluster" -o faulthandler_timeout=0 $(ARGS)

test-cluster: setup ## run a sweep on three machines in namespaces, and pull a plug (needs root, sshd, rsync)
	$(PY) -m pytest tests/test_cluster.py -rs -o faulthandler_timeout=0 $(ARGS)

lint: setup ## run ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m mypy

dashboard: setup ## watch policies race in a browser, on this machine only (ARGS="--port 0" for any free port)
	$(PY) -m rl_sched.dashboard $(ARGS)

mlflow-ui: setup ## open the trials in MLflow's user interface, on this machine only
	$(PY) -m rl_sched.mlflow_ui $(ARGS)

benchmark: setup ## measure simulator and training against their peers (ARGS="--json")
	$(PY) -m benchmarks.simulator $(ARGS)
	$(PY) -m benchmarks.training $(ARGS)

clean: ## remove caches and build outputs; keeps the environment and all results
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .numba_cache
	find rl_sched tests benchmarks experiments -type d -name __pycache__ -prune -exec rm -rf {} +
