"""What all figures of the sweep benchmark are given."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_sched.config import build
from rl_sched.sweeps.plan import Plan

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of the measurements."""

    trials: tuple[int, ...] = (500, 2000)  #: no-op trials of the overhead
    mlflow_trials: int = 100  #: of these, for the slow peer with its MLflow callback
    kills: int = 20
    seed: int = 0


def toy_plan(seeds: int, arms: int = 1, *, name: str = "toy", iterations: int = 20, **change: Any) -> Plan:
    """A plan of toy trials: ``seeds x arms`` cells."""
    train = {"steps": 10 * iterations, "num_envs": 10, "val_every": 100, "checkpoint_every": 60}
    data = {
        "name": name,
        "question": "What does the platform cost?",
        "base": {"train": train},
        "arms": {"network.hidden": [8 * (i + 1) for i in range(arms)]},
        "seeds": list(range(1, seeds + 1)),
        "report": {"episodes": 2, "policies": ["fifo_backfill"]},
    }
    return build(Plan, {**data, **change})


def in_own_process(module: str, *arguments: str) -> str:
    """Standard output of ``python -m MODULE ARGUMENTS``: CPU time and Ray are then of this measurement alone."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RL_SCHED_TOY_SLEEP_S": "0"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout
