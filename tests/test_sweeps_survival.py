"""What a sweep does when numbers, disks and budgets give out: on a real Ray, with toy trials."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_sched.config import build
from rl_sched.errors import SweepError
from rl_sched.sweeps.engine import ENVIRONMENT, RunSummary, execute
from rl_sched.sweeps.failures import NUMERICS
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.progress import ProgressLine

pytestmark = pytest.mark.sweep

ITERATIONS = 10


@pytest.fixture(scope="module", autouse=True)
def ray_for_all(repository: Path) -> Iterator[None]:
    """One local Ray for this file: it takes seconds to start."""
    os.environ.update({**ENVIRONMENT, "PYTHONPATH": str(repository), "RL_SCHED_TOY_SLEEP_S": "0.002"})
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    yield
    ray.shutdown()


def _plan(**change) -> Plan:
    train = {"steps": 10 * ITERATIONS, "num_envs": 10, "val_every": 50, "checkpoint_every": 20}
    data = {"name": "toy", "question": "?", "base": {"train": train}, "seeds": [1, 2, 3], "report": {"episodes": 2}}
    return build(Plan, {**data, **change})


def _execute(plan: Plan, root: Path, body: str) -> tuple[RunSummary, str]:
    ledger, out = Ledger(root), io.StringIO()
    with ledger.lock():
        name = f"rl_sched.testing.toy_trials:{body}"
        summary = execute(plan, ["default"], ledger, "S", body=name, progress=ProgressLine(out))
    return summary, out.getvalue()


def test_numbers_that_are_not_finite_have_a_budget_of_their_own(tmp_path: Path) -> None:
    plan = _plan()
    summary, out = _execute(plan, tmp_path, "not_finite_once")
    first, second, third = plan.cells()
    ledger = Ledger(tmp_path)
    assert [cell.seed for cell in summary.lost] == [2] and not summary.failures, "one bad seed does not stop a sweep"
    assert ledger.outcome(first) is not None and ledger.outcome(third) is not None
    failure = ledger.failure(second)
    assert failure is not None and failure.cause == NUMERICS and failure.kind == "FloatingPointError"
    assert out.count("(restart 1 of 1)") == 2 and "failed again and is given up: FloatingPointError" in out


def test_a_full_disk_stops_clearly_and_the_same_command_continues(tmp_path: Path) -> None:
    plan, ledger = _plan(max_concurrent=1), Ledger(tmp_path)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "full").touch()
    with pytest.raises(SweepError, match="The disk that holds .* must have room; it is full. Nothing is lost"):
        _execute(plan, tmp_path, "no_room")
    first, second, third = plan.cells()
    assert ledger.outcome(first) is not None and ledger.outcome(third) is None
    assert ledger.outcome(second) is None and ledger.failure(second) is None, "nothing is wrong with the cell"
    (tmp_path / "full").unlink()
    summary, _ = _execute(plan, tmp_path, "no_room")
    assert summary == RunSummary() and all(ledger.outcome(cell) is not None for cell in plan.cells())


def test_too_little_room_stops_before_a_trial_starts(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="must have room"):
        _execute(_plan(budget={"keep_free_gb": 1e9}), tmp_path, "steady")
    assert not (tmp_path / "cells").exists()


def test_a_budget_ends_a_sweep_and_a_larger_one_continues_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    summary, _ = _execute(_plan(budget={"trials": 2}), tmp_path, "steady")
    assert summary.limit == "2 trials (budget.trials)" and not summary.interrupted
    assert sum(ledger.outcome(cell) is not None for cell in _plan().cells()) == 2
    summary, _ = _execute(_plan(), tmp_path, "steady")
    assert summary.limit is None and all(ledger.outcome(cell) is not None for cell in _plan().cells())


def test_a_population_trains_on_ray(tmp_path: Path) -> None:
    space = {"ppo.lr": {"kind": "float", "low": 1e-5, "high": 1e-1, "log": True}}
    plan = _plan(seeds=[1], population={"space": space, "members": 2, "generations": 2, "replaced": 0.5})
    summary, out = _execute(plan, tmp_path, "member")
    assert summary == RunSummary() and Ledger(tmp_path).outcome(plan.cells()[0]) is not None
    assert "1/1 populations done" in out
