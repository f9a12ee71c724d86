"""How a sweep scales: its throughput against workers and trials, the platform's share apart from training.

Simulated workers run trials that sleep instead of training: they need no CPU, so that one machine can play many. The
platform under them (Tune, ledger, spools, MLflow) is the real one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rl_sched.config import build
from rl_sched.errors import SweepError
from rl_sched.sweeps.engine import execute
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.progress import ProgressLine
from rl_sched.sweeps.tracking import SweepTracking
from rl_sched.tracking.spool import read_spool
from rl_sched.tracking.store import Store

#: A trial that sleeps a millisecond for each environment step, so that workers on other machines know how long.
SLEEPER = "rl_sched.testing.toy_trials:sleeper"
#: VAL points of a trial.
NUM_VALS = 4


class Span(NamedTuple):
    """One trial on the clock; seconds since 1970 and seconds."""

    start_s: float
    end_s: float
    training_s: float  #: of it, what the trial itself needed


class Point(NamedTuple):
    """What was measured with some workers and some trials."""

    workers: int
    trials: int
    trial_s: float  #: training of one trial, mean
    start_s: float  #: from the command to the start of the last worker's first trial
    wall_s: float  #: from the first trial's start to the last one's end
    trials_per_min: float  #: over ``wall_s``
    efficiency: float  #: training / (workers x time), while all workers have something to do
    inside_s: float  #: platform's time inside a trial, mean: spool, ledger, reports
    between_s: float  #: a worker's time between two trials, mean
    driver_cpu_s: float  #: of the driver, a trial


def measure(folder: Path, workers: int, trials: int, trial_s: float) -> Point:
    """Runs a sweep of sleeping trials.

    Args:
        folder: For the sweep and its MLflow store; must not exist. On a cluster, on shared storage.
        workers: Trials at a time: processes of a local Ray, or CPUs of the cluster that ``RAY_ADDRESS`` names.
        trials: How many; at least twice the workers, so that there is a time in which all of them are busy.
        trial_s: Seconds that a trial sleeps.

    Raises:
        SweepError: There are too few trials, or the sweep did not finish.
    """
    if trials < 2 * workers:
        raise SweepError(f"trials must be at least 2 x workers = {2 * workers}; there are {trials}.")
    plan = _plan(workers, trials, trial_s)
    store = Store(folder)
    store.ensure()
    ledger = Ledger(store.sweeps / plan.name)
    begin_s, begin_cpu_s = time.time(), time.process_time()
    with ledger.lock():
        tracking = SweepTracking(plan, plan.scenarios, ledger, store)
        summary = execute(
            *(plan, list(plan.scenarios), ledger, tracking.run),
            body=SLEEPER,
            progress=ProgressLine(),
            at_most=workers,
        )
        tracking.finish(plan.question, [], "FINISHED")
        tracking.close()
    if summary.interrupted or summary.failures or summary.lost:
        raise SweepError("A measured sweep must finish; it was interrupted or trials failed.")
    return summarise(spans(plan, ledger), workers, begin_s, time.process_time() - begin_cpu_s)


def spans(plan: Plan, ledger: Ledger) -> list[Span]:
    """All trials of a finished sweep on the clock, from their spools, by start."""
    out = []
    for cell in plan.cells():
        records = [record for record, _ in read_spool(ledger.folder(cell) / "spool.jsonl")]
        outcome = ledger.outcome(cell)
        if outcome is not None and records:
            out.append(Span(records[0]["time_s"], records[-1]["time_s"], outcome.seconds))
    return sorted(out)


def summarise(trials: Sequence[Span], workers: int, begin_s: float, driver_cpu_s: float) -> Point:
    """The figures of a sweep, from its trials on the clock.

    Args:
        trials: By start; at least twice the workers.
        workers: Trials at a time.
        begin_s: When the command began, seconds since 1970.
        driver_cpu_s: CPU seconds of the driver in all.
    """
    n = len(trials)
    first_s, all_busy_s, queue_empty_s = trials[0].start_s, trials[workers - 1].start_s, trials[-1].start_s
    wall_s = max(span.end_s for span in trials) - first_s
    window_s = queue_empty_s - all_busy_s
    trained_s = sum(
        span.training_s
        * max(min(span.end_s, queue_empty_s) - max(span.start_s, all_busy_s), 0.0)
        / (span.end_s - span.start_s)
        for span in trials
    )
    return Point(
        workers=workers,
        trials=n,
        trial_s=statistics.fmean(span.training_s for span in trials),
        start_s=all_busy_s - begin_s,
        wall_s=wall_s,
        trials_per_min=60 * n / wall_s,
        efficiency=trained_s / (workers * window_s),
        inside_s=statistics.fmean(span.end_s - span.start_s - span.training_s for span in trials),
        between_s=statistics.fmean(_gaps(trials, workers)),
        driver_cpu_s=driver_cpu_s / n,
    )


def _gaps(trials: Sequence[Span], workers: int) -> list[float]:
    """Seconds between the end of a trial and the start of the next on a worker: a start ends the oldest gap."""
    ends = sorted(span.end_s for span in trials)
    starts = [span.start_s for span in trials[workers:]]
    return [start - end for start, end in zip(starts, ends, strict=False)]


def _plan(workers: int, trials: int, trial_s: float) -> Plan:
    steps = round(1000 * trial_s)
    train = {"steps": steps, "num_envs": 1, "val_every": max(steps // NUM_VALS, 1), "checkpoint_every": steps}
    return build(
        Plan,
        {
            "name": f"scaling-{workers}-{trials}",
            "question": "How does a sweep scale?",
            "base": {"train": train},
            "arms": {},
            "seeds": list(range(1, trials + 1)),
            "max_concurrent": workers,
        },
    )
