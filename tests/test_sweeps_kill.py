"""A driver that is interrupted or killed loses nothing but what its trials did since their last checkpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.sweep

ITERATIONS, CHECKPOINT, CELLS = 60, 6, 4


class Driver:
    """The command in a process of its own."""

    def __init__(self, repository: Path, tmp_path: Path) -> None:
        self.root = tmp_path / "data" / "sweeps" / "toy"
        self._log = tmp_path / "driver.log"
        env = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "RL_SCHED_TOY_SLEEP_S": "0.03"}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "experiments/ablation.py", "--plan", str(_plan(tmp_path))),
                    *("--data", str(tmp_path / "data"), "--body", "rl_sched.testing.toy_trials:steady"),
                ],
                cwd=repository,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)

    def end(self) -> int:
        return self.process.wait(timeout=180)

    def output(self) -> str:
        return self._log.read_text()

    def executed(self) -> dict[str, int]:
        files = self.root.glob("cells/*/executed.txt")
        return {file.parent.name: len(file.read_text().splitlines()) for file in files}

    def done(self) -> dict[str, int]:
        """Cell id -> time of its end."""
        return {file.parent.name: file.stat().st_mtime_ns for file in self.root.glob("cells/*/done.json")}


def _plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    train = {"steps": 10 * ITERATIONS, "num_envs": 10, "val_every": 100, "checkpoint_every": 10 * CHECKPOINT}
    plan = {
        "name": "toy",
        "question": "?",
        "base": {"train": train},
        "arms": {"network.name": ["mlp", "cross_attention"]},
        "seeds": [1, 2],
        "report": {"episodes": 4, "policies": ["fifo_backfill"]},
    }
    file.write_text(json.dumps(plan))
    return file


def test_sigkill_loses_only_what_came_after_the_last_checkpoints(repository: Path, tmp_path: Path) -> None:
    first = Driver(repository, tmp_path)
    # In the middle of the third and the fourth trial.
    first.wait_until(lambda: len(first.done()) >= 2 and sum(first.executed().values()) > 2.4 * ITERATIONS)
    os.kill(first.process.pid, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    time.sleep(0.5)  # the workers notice
    done, executed = first.done(), first.executed()
    assert 2 <= len(done) < CELLS

    second = Driver(repository, tmp_path)
    assert second.end() == 0, second.output()
    assert f"{len(done)} of {CELLS} trials are finished already" in second.output()
    after = second.executed()
    assert {cell: after[cell] for cell in done} == {cell: executed[cell] for cell in done}, "nothing is repeated"
    assert {cell: second.done()[cell] for cell in done} == done
    assert len(second.done()) == CELLS
    assert sum(after.values()) <= CELLS * ITERATIONS + 2 * (CHECKPOINT + 1)


@pytest.mark.slow
def test_ctrl_c_summarises_and_a_second_driver_is_refused(repository: Path, tmp_path: Path) -> None:
    first = Driver(repository, tmp_path)
    first.wait_until(lambda: (first.root / "sweep.jsonl").exists())
    other = subprocess.run(
        [sys.executable, "experiments/ablation.py", "--plan", str(_plan(tmp_path)), "--data", str(tmp_path / "data")],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert other.returncode == 2 and "Only one process may run the sweep" in other.stderr
    assert f"process {first.process.pid} " in other.stderr

    first.wait_until(lambda: len(first.done()) >= 2 and sum(first.executed().values()) > 2.4 * ITERATIONS)
    # As a terminal does: to the whole group.
    os.killpg(first.process.pid, signal.SIGINT)
    assert first.end() == 130, first.output()
    assert "This report is partial" in (first.root / "report" / "report.md").read_text()
    assert "Interrupted. The same command continues" in first.output() and "Best on VAL" in first.output()

    second = Driver(repository, tmp_path)
    assert second.end() == 0, second.output()
    assert len(second.done()) == CELLS
    assert sum(second.executed().values()) <= CELLS * ITERATIONS + 2 * (CHECKPOINT + 1)
    assert "partial" not in (second.root / "report" / "report.md").read_text()


def _children(pid: int, name: str) -> list[int]:
    """Processes that a process has started, by name."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if fields["Name"].strip() == name and int(fields["PPid"]) == pid:
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_a_dead_raylet_costs_at_most_a_second_command(repository: Path, tmp_path: Path) -> None:
    first = Driver(repository, tmp_path)
    first.wait_until(lambda: sum(first.executed().values()) > 0.5 * ITERATIONS)
    (raylet,) = _children(first.process.pid, "raylet")
    os.kill(raylet, signal.SIGKILL)
    # Workers that live on may finish a short sweep without their raylet; else the driver ends.
    code, done = first.end(), first.done()
    assert (code == 0) == (len(done) == CELLS), first.output()
    second = Driver(repository, tmp_path)
    assert second.end() == 0, second.output()
    assert len(second.done()) == CELLS and {cell: second.done()[cell] for cell in done} == done
    assert sum(second.executed().values()) <= CELLS * ITERATIONS + 2 * (CHECKPOINT + 1) + ITERATIONS
