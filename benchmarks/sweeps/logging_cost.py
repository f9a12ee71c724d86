"""What a report of 150 scalars costs the trial that makes it: CPU of its process, spool on disk included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report import figure
from benchmarks.sweeps.options import Options, toy_plan
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.worker import run_cell

LIMIT_MS = 2.0
REPEATS = 20


def figures(options: Options) -> list[dict[str, Any]]:
    """The median over trials of the milliseconds of one report."""
    times = []
    with tempfile.TemporaryDirectory(prefix="rl_sched_bench_") as name:
        ledger = Ledger(Path(name))
        for cell in toy_plan(REPEATS).cells():
            run_cell(cell, ledger.open_cell(cell), "rl_sched.testing.toy_trials:logging", "sweep", lambda news: None)
            outcome = ledger.outcome(cell)
            assert outcome is not None
            times.append(outcome.metrics["time/report_cpu_ms"])
    return [figure("a report of 150 scalars, CPU", "ms", sorted(times)[len(times) // 2], LIMIT_MS, "limit")]
