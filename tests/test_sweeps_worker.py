"""What a worker leaves behind, without Ray: marks on disk, spool, and news for the driver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rl_sched.config import build
from rl_sched.sweeps.cell import arm_run
from rl_sched.sweeps.ledger import Ledger, write_json
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.worker import CURVE_POINTS, VAL_METRIC, run_cell
from rl_sched.tracking.spool import read_spool

TOY = "rl_sched.testing.toy_trials:"
STEPS = 2000


@pytest.fixture
def plan() -> Plan:
    train = {"steps": STEPS, "num_envs": 10, "val_every": 500, "checkpoint_every": 500}
    data = {"name": "toy", "question": "?", "base": {"train": train}, "arms": {"network.name": ["mlp"]}, "seeds": [1]}
    return build(Plan, {**data, "report": {"episodes": 2}})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "root")


def _run(ledger: Ledger, cell: Cell, body: str, tell=lambda news: None) -> list[dict]:
    run_cell(cell, ledger.open_cell(cell), body, "S", tell)
    return [record for record, _ in read_spool(ledger.folder(cell) / "spool.jsonl")]


def test_finished_cell(plan: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_sched.testing.toy_trials.SLEEP_S", 0.0)
    (cell,) = plan.cells()
    news: list[Mapping[str, float]] = []
    records = _run(ledger, cell, f"{TOY}steady", news.append)
    outcome = ledger.outcome(cell)
    assert outcome is not None and outcome.steps == STEPS and outcome.cpu_s > 0
    assert [n["steps"] for n in news if "val" in n] == [500, 1000, 1500, 2000]
    assert [r["step"] for r in records if VAL_METRIC in r.get("values", {})] == [500, 1000, 1500, 2000]
    assert sum(r["op"] == "metrics" for r in records) <= CURVE_POINTS + 4 + 2
    assert records[0]["parent"] == arm_run("S", cell.arm, cell.scenario)
    assert records[0]["tags"]["arm"] == "network.name=mlp"
    params = next(r["values"] for r in records if r["op"] == "params")
    assert params["train.steps"] == "2000" and params["network.name"] == "mlp"
    assert records[-1]["status"] == "FINISHED"
    # Again: nothing happens.
    assert _run(ledger, cell, f"{TOY}steady") == records


def test_exception_becomes_a_failure_and_is_forgotten_by_the_next_attempt(plan: Plan, ledger: Ledger) -> None:
    (cell,) = plan.cells()
    records = _run(ledger, cell, f"{TOY}broken")
    failure = ledger.failure(cell)
    assert failure is not None and failure.kind == "ValueError" and "not to my taste" in failure.traceback
    assert records[-1]["status"] == "FAILED" and ledger.outcome(cell) is None
    _run(ledger, cell, f"{TOY}steady")
    assert ledger.failure(cell) is None and ledger.outcome(cell) is not None


@pytest.mark.parametrize("body", ["no.such.module:f", f"{TOY}nothing", "nonsense"])
def test_unknown_body_is_a_failure_like_any_other(plan: Plan, ledger: Ledger, body: str) -> None:
    (cell,) = plan.cells()
    _run(ledger, cell, body)
    failure = ledger.failure(cell)
    assert failure is not None and failure.kind == "ConfigError"
    assert "importable module:function" in failure.message and body in failure.message


@pytest.mark.parametrize("pruned", [False, True])
def test_a_stopped_trial_says_why_and_continues_from_its_checkpoint(plan: Plan, ledger: Ledger, pruned: bool) -> None:
    (cell,) = plan.cells()

    def stop(news: Mapping[str, float]) -> None:
        if news["steps"] >= 1000:
            if pruned:
                write_json(ledger.folder(cell) / "stopped.json", {})
            raise SystemExit

    with pytest.raises(SystemExit):
        _run(ledger, cell, f"{TOY}steady", stop)
    records = [record for record, _ in read_spool(ledger.folder(cell) / "spool.jsonl")]
    assert records[-2]["values"] == {"outcome": "pruned" if pruned else "interrupted"}
    assert records[-1]["status"] == "KILLED"
    assert ledger.outcome(cell) is None and ledger.failure(cell) is None
    records = _run(ledger, cell, f"{TOY}steady")
    assert records[-1]["status"] == "FINISHED"
    executed = (ledger.folder(cell) / "executed.txt").read_text().split()
    assert len(executed) == STEPS // 10
    vals = [r["step"] for r in records if VAL_METRIC in r.get("values", {})]
    assert vals == [500, 1000, 1500, 2000]


GREEDY_TRIAL = """
import sys, threading
from unittest.mock import patch
from rl_sched.rl.runtime import give_back_freed_memory, keep_freed_memory
from rl_sched.sweeps import worker

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

held, kept = [], []

def greedy(*args):
    keep_freed_memory()
    blocks = [b"x" * 100_000 for _ in range(4_000)]
    kept.extend(blocks[::40])  # all over the heap: what is between is free, and yet not the heap's end
    held.append(resident_mb())
    del blocks
    held.append(resident_mb())

import ray.tune
with patch.object(worker, "run_cell", greedy), patch("ray.tune.report", lambda news: None):
    give_back_freed_memory()
    before_mb = resident_mb()
    trial = threading.Thread(target=worker.trainable, args=({"folder": sys.argv[1], "body": "", "sweep": "S"},))
    trial.start()
    trial.join()
print(*(mb - before_mb for mb in (*held, resident_mb())))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_a_trial_leaves_no_freed_memory_behind(plan: Plan, ledger: Ledger) -> None:
    """Trials of one worker are threads, and each left a heap of its own. In a process without earlier tests' heaps."""
    (cell,) = plan.cells()
    command = [sys.executable, "-c", GREEDY_TRIAL, str(ledger.open_cell(cell))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    full_mb, freed_mb, after_mb = map(float, done.stdout.split())
    assert full_mb > 350 and freed_mb > 300  # kept, although free
    assert after_mb < 100  # glibc keeps the last heap of an arena, 64 MiB
