"""Fixtures and settings of all tests."""

from __future__ import annotations

import os

# Before numpy, torch or Ray are imported by any test: see the Makefile.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import pytest
from hypothesis import settings

# A first call into a numba kernel compiles it: a deadline per example would only measure that.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


#: The files that take longest, in this order: with two workers and one file each at a time, neither is left alone with
#: a long one at the end, and while one compiles kernels the other starts Ray.
LONG = (
    "test_policies", "test_sweeps_engine", "test_sweeps_kill", "test_env", "test_simulator", "test_differential_rules",
    "test_simulate_verb", "test_reference_cases", "test_rl_training", "test_gavel_player", "test_gavel_policies",
    "test_benchmark_latency", "test_verbs", "test_scenarios",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


def _folder_of(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"needs {what}: set {variable} to their folder")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"needs {what}: {variable} is {value!r}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def traces_dir() -> Path:
    """The folder of real logs."""
    return _folder_of("RL_SCHED_TRACES", "the real logs")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of other simulators' results."""
    return _folder_of("RL_SCHED_REFERENCE_CASES", "the reference cases")


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with empty tables, to be copied: made once for all test processes, since it takes seconds."""
    from rl_sched.tracking.store import Store

    root = tmp_path_factory.getbasetemp()
    store = Store((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "empty_mlflow")
    store.ensure()
    return store.database


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root folder of the project."""
    return Path(__file__).resolve().parents[1]
