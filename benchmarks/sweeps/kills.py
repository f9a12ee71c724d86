"""A sweep of 24 cells whose driver is killed again and again, beside the same sweep left alone.

After each SIGKILL the same command is given again. Checked: the same cells, each done once, none repeated after it was
done, the same table of results; and how much work was repeated per kill and running trial.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import figure
from benchmarks.sweeps.options import ROOT, Options, toy_plan
from rl_sched.config import to_dict

ARMS, SEEDS, ITERATIONS, CHECKPOINT, CONCURRENT = 4, 6, 60, 6, 2
#: Seconds of an iteration: the sweep must be long enough to be killed so often.
SLEEP_S = 0.15
#: A driver that lives this long after its first trials have begun has been lucky.
LIFE_S = (1.0, 8.0)


def figures(options: Options) -> list[dict[str, Any]]:
    """Cells that are not as they should be, and iterations lost per kill and running trial."""
    with tempfile.TemporaryDirectory(prefix="rl_sched_bench_") as name:
        calm = _Sweep(Path(name) / "calm", sleep_s=0.0)
        calm.finish()
        hit = _Sweep(Path(name) / "hit", sleep_s=SLEEP_S)
        rng = random.Random(options.seed)
        kills = 0
        while kills < options.kills and hit.kill_after(rng.uniform(*LIFE_S)):
            kills += 1
        hit.finish()
        wrong = len(set(calm.table()) ^ set(hit.table())) + (calm.rows() != hit.rows()) + hit.repeated
        expected = ARMS * SEEDS * ITERATIONS
        lost = (hit.executed() - expected) / max(kills * CONCURRENT, 1)
        assert calm.executed() == expected
    return [
        figure(f"cells or tables that differ after {kills} kills of the driver", "number", float(wrong), 1.0, "limit"),
        figure("iterations lost per kill and running trial", "iterations", lost, float(CHECKPOINT), "a checkpoint"),
    ]


class _Sweep:
    def __init__(self, data: Path, sleep_s: float) -> None:
        self._data, self.root, self.repeated = data, data / "sweeps" / "toy", 0
        data.mkdir(parents=True)
        plan = to_dict(toy_plan(SEEDS, ARMS, iterations=ITERATIONS, max_concurrent=CONCURRENT))
        (data / "plan.yaml").write_text(json.dumps({k: v for k, v in plan.items() if k != "overrides"}))
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), "RL_SCHED_TOY_SLEEP_S": str(sleep_s)}

    def kill_after(self, seconds: float) -> bool:
        """Starts the command and kills its driver some time after a trial has gone on; False if it ended before."""
        before, work = self._done(), self.executed()
        driver = self._start()
        deadline_s = None
        while driver.poll() is None:
            if deadline_s is None and self.executed() > work:
                deadline_s = time.monotonic() + seconds
            if deadline_s is not None and time.monotonic() >= deadline_s:
                os.kill(driver.pid, signal.SIGKILL)
                driver.wait()
                time.sleep(1.0)  # its workers notice
                self._count_repeated(before)
                return True
            time.sleep(0.02)
        self._count_repeated(before)
        return False

    def finish(self) -> None:
        before, driver = self._done(), self._start()
        if driver.wait() != 0:
            raise RuntimeError(f"The sweep failed: {(self._data / 'log').read_text()[-3000:]}")
        self._count_repeated(before)

    def table(self) -> list[tuple[str, float]]:
        """Id and objective of every cell that is done."""
        marks = {file.parent.name: json.loads(file.read_text()) for file in self.root.glob("cells/*/done.json")}
        return sorted((cell, mark["outcome"]["objective"]) for cell, mark in marks.items())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the report's table."""
        report = json.loads((self.root / "report" / "report.json").read_text())
        return [row for scenario in report["scenarios"] for row in scenario["rows"]]

    def executed(self) -> int:
        """Iterations of all attempts."""
        return sum(len(file.read_text().splitlines()) for file in self.root.glob("cells/*/executed.txt"))

    def _done(self) -> dict[str, int]:
        return {file.parent.name: file.stat().st_mtime_ns for file in self.root.glob("cells/*/done.json")}

    def _count_repeated(self, before: dict[str, int]) -> None:
        after = self._done()
        self.repeated += sum(after.get(cell) != when for cell, when in before.items())

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._data / "log").open("a") as log:
            command = ["experiments/ablation.py", "--plan", str(self._data / "plan.yaml"), "--data", str(self._data)]
            return subprocess.Popen(
                [sys.executable, *command, "--body", "rl_sched.testing.toy_trials:steady"],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
