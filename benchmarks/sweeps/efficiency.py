"""How busy 16 workers are with trials of a minute: in simulated time, with the real coordinator, ledger and search.

Tune and Ray are played by an event loop. Whatever the coordinator does takes the time that it takes (measured, and all
workers wait for it), and Tune is given the whole of the budget of a trial's overhead besides. Start-up is not counted,
nor the end, when fewer trials are left than there are workers.
"""

from __future__ import annotations

import heapq
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import figure
from benchmarks.sweeps.options import Options, toy_plan
from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.engine import make_source
from rl_sched.sweeps.ledger import Ledger, Outcome, write_outcome
from rl_sched.sweeps.limits import Limits
from rl_sched.sweeps.plan import Plan

WORKERS, TRIAL_S, SPREAD, WAVES = 16, 60.0, 0.2, 10
#: Seconds of the driver that Tune is given for each trial: the limit of the whole platform.
TUNE_S = 0.020
TARGET = 0.95


def figures(options: Options) -> list[dict[str, Any]]:
    """Busy share of the workers, for a grid and for a search."""
    search = {"ppo.lr": {"kind": "float", "low": 1e-5, "high": 1e-1, "log": True}}
    budget = {"configurations": 80, "survivors": 0.34}
    plans = {
        "grid": toy_plan(WORKERS * WAVES, max_concurrent=WORKERS),
        "search": toy_plan(3, max_concurrent=WORKERS, search=search, budget=budget),
    }
    return [
        figure(f"efficiency of {WORKERS} workers, {kind} of trials of a minute", "share", _share(plan), TARGET, "limit")
        for kind, plan in plans.items()
    ]


def _share(plan: Plan) -> float:
    from rl_sched.sweeps.searcher import Coordinator
    from rl_sched.testing.toy_trials import quality

    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="rl_sched_bench_") as name:
        ledger = Ledger(Path(name))
        source = make_source(plan, ["default"], ledger)
        limits = Limits(plan.budget, ledger)
        boss = Coordinator(source, ledger, "body", "sweep", WORKERS, lambda text: None, plan.retries, limits)
        now_s = first_s = busy_s = 0.0
        running: list[tuple[float, float, str, Cell]] = []
        number = 0
        while True:
            while len(running) < WORKERS:
                began = time.perf_counter()
                given = boss.suggest(f"t{number}")
                now_s += time.perf_counter() - began
                if not isinstance(given, dict):
                    break
                now_s += TUNE_S
                duration_s = TRIAL_S * rng.uniform(1 - SPREAD, 1 + SPREAD)
                heapq.heappush(running, (now_s + duration_s, now_s, f"t{number}", boss.live[f"t{number}"]))
                number += 1
            if len(running) < WORKERS:
                # The rest is the end. What runs now was busy until now.
                busy_s += sum(min(now_s, end_s) - max(begin_s, first_s) for end_s, begin_s, _, _ in running)
                return busy_s / (WORKERS * (now_s - first_s))
            first_s = first_s or now_s
            end_s, begin_s, trial, cell = heapq.heappop(running)
            busy_s += end_s - max(begin_s, first_s)
            now_s = max(now_s, end_s)
            outcome = Outcome(quality(cell), {}, cell.steps, TRIAL_S)
            began = time.perf_counter()
            write_outcome(ledger.folder(cell), outcome)
            boss.on_trial_complete(trial)
            now_s += time.perf_counter() - began
