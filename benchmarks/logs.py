"""Long logs: jobs per CPU second and memory, beside SimPy in the same run (part of ``benchmarks.simulator``).

A million jobs (bursts of lognormal run times, gangs of 1, 2, 4 and 8) on 1,024 and 16,384 equal GPUs, at loads of 0.85
and 1.1, under FIFO with backfill, SJF with backfill, SRTF and LAS. The peer is FIFO in SimPy on 64 GPUs. Both start
from jobs in memory; ours is also given with the loading of its record.
"""

from __future__ import annotations

import functools
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers.simpy_fifo import fifo_starts
from benchmarks.report import figure
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.sim.loading import state_for
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import player_of
from rl_sched.workload import Workload

LOAD, OVERLOAD = 0.85, 1.1
GANGS, GANG_SHARES = (1, 2, 4, 8), (0.45, 0.25, 0.20, 0.10)
PEER = "SimPy, FIFO, 64 GPUs"


class LogSizes(NamedTuple):
    """How much is measured."""

    jobs: int = 1_000_000
    peer_jobs: int = 20_000
    repeats: int = 3
    #: The published simulators' reference case has so many jobs; strict FIFO.
    reference_jobs: int = 1_000


class Run(NamedTuple):
    """One kind of run."""

    label: str
    policy: str
    gpus: int
    load: float

    @property
    def rules(self) -> Rules:
        """Preemption for the policies that preempt."""
        return Rules(preemption=getattr(POLICIES.load(self.policy), "preemptive", False))

    @property
    def cluster(self) -> ClusterSpec:
        """Nodes of 8 equal GPUs; one object for all runs, as for a user who simulates one cluster again and again."""
        return _cluster_of(self.gpus)


@functools.cache
def _cluster_of(gpus: int) -> ClusterSpec:
    return ClusterSpec((NodeGroup("gpu", gpus // 8, 8),))


BACKFILL = Run("FIFO with backfill", "fifo_backfill", 1_024, LOAD)
RUNS = [
    Run(label, policy, gpus, load)
    for label, policy in (("FIFO with backfill", "fifo_backfill"), ("SJF with backfill", "sjf_backfill"))
    for gpus in (1_024, 16_384)
    for load in (LOAD, OVERLOAD)
] + [Run("SRTF", "srtf", 1_024, LOAD), Run("SRTF", "srtf", 1_024, OVERLOAD), Run("LAS", "las", 1_024, LOAD)]


def log_of(num_jobs: int, num_gpus: int, load: float = LOAD) -> Workload:
    """Poisson-like arrivals of lognormal jobs at ``load`` on ``num_gpus`` equal GPUs."""
    rng = np.random.default_rng(0)
    gang = rng.choice(GANGS, num_jobs, p=GANG_SHARES)
    duration_s = np.clip(rng.lognormal(3.0, 1.3, num_jobs), 2.0, 1500.0)
    span_s = float((gang * duration_s).sum()) / (num_gpus * load)
    return Workload.build(np.sort(rng.uniform(0.0, span_s, num_jobs)), duration_s, gang)


class Cost(NamedTuple):
    """CPU seconds of one simulated log."""

    load_s: float  #: from a workload to a state at its first decision
    run_s: float  #: from there to every start and finish


def cost_of(run: Run, workload: Workload) -> Cost:
    """Plays a workload to its end inside the kernel."""
    cluster, rules = run.cluster, run.rules
    policy: Any = player_of(POLICIES.create(run.policy), workload, cluster, rules)
    start = time.process_time()
    state = state_for(workload, cluster, rules)
    loaded = time.process_time()
    policy.run_compiled(state, 0, workload)
    end = time.process_time()
    assert state.views.head["num_done"][0] == len(workload)
    return Cost(loaded - start, end - loaded)


def simpy_s(workload: Workload, num_gpus: int = 64) -> float:
    """CPU seconds of the peer."""
    columns = workload.submit_s.tolist(), workload.duration_s.tolist(), workload.num_gpus.tolist()
    start = time.process_time()
    fifo_starts(*columns, num_gpus)
    return time.process_time() - start


_MEMORY = """
import re, sys
from benchmarks.logs import RUNS, log_of
from rl_sched.policies import POLICIES
from rl_sched.sim.simulator import simulate

def kib(field):
    return int(re.search(field + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

run = RUNS[int(sys.argv[1])]
policy = POLICIES.create(run.policy)
simulate(policy, log_of(100, run.gpus), run.cluster, run.rules)
workload = log_of(int(sys.argv[2]), run.gpus, run.load)
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = kib("VmRSS")
simulate(policy, workload, run.cluster, run.rules)
print(1024 * (kib("VmHWM") - before))
"""


def peak_bytes(run: Run, num_jobs: int) -> float:
    """Peak memory of a whole simulation, result included, beyond that of the workload: bytes a job."""
    command = [sys.executable, "-c", _MEMORY, str(RUNS.index(run)), str(num_jobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / num_jobs


def log_figures(sizes: LogSizes) -> list[dict[str, Any]]:
    """Jobs per CPU second of long logs, how the cost grows with the cluster, and memory."""
    small = Run("FIFO with backfill", "fifo_backfill", 64, LOAD)
    strict = Run("FIFO, strict", "fifo", 64, LOAD)
    peer_log, reference = log_of(sizes.peer_jobs, 64), log_of(sizes.reference_jobs, 64)
    for run in (*RUNS, strict):
        cost_of(run, log_of(100, run.gpus))  # compiles
    costs: dict[Run, list[Cost]] = {run: [] for run in (*RUNS, small)}
    peer: list[float] = []
    ours_reference: list[Cost] = []
    peer_reference: list[float] = []
    for _ in range(sizes.repeats):
        for run, measured in costs.items():
            measured.append(cost_of(run, log_of(sizes.jobs, run.gpus, run.load)))
        peer.append(simpy_s(peer_log))
        # The reference case is over in a millisecond: the clock needs many of them.
        ours_reference += [cost_of(strict, reference) for _ in range(20)]
        peer_reference += [simpy_s(reference) for _ in range(5)]
    peer_rate = sizes.peer_jobs / statistics.median(peer)
    run_s = {run: statistics.median(c.run_s for c in measured) for run, measured in costs.items()}
    loaded_s = statistics.median(c.load_s + c.run_s for c in costs[BACKFILL])
    figures = [
        figure(
            f"{run.label}, {sizes.jobs:,} jobs, {run.gpus:,} GPUs, load {run.load}",
            "jobs/s",
            sizes.jobs / run_s[run],
            peer_rate,
            PEER,
        )
        for run in RUNS
    ]
    name = f"{BACKFILL.label}, {sizes.jobs:,} jobs, 1,024 GPUs, load {LOAD}, loading included"
    figures.append(figure(name, "jobs/s", sizes.jobs / loaded_s, peer_rate, PEER))
    us = {run: 1e6 * run_s[run] / sizes.jobs for run in (small, RUNS[2])}
    name = "cost per job, 16,384 GPUs over 64"
    figures.append(figure(name, "us", us[RUNS[2]], us[small], "ours at 64 GPUs"))
    peer_rate = sizes.reference_jobs / statistics.median(peer_reference)
    for took_s, what in (
        ([cost.run_s for cost in ours_reference], ""),
        ([sum(cost) for cost in ours_reference], ", loading included"),
    ):
        name = f"FIFO, strict, {sizes.reference_jobs:,} jobs, 64 GPUs{what}"
        figures.append(figure(name, "jobs/s", sizes.reference_jobs / statistics.median(took_s), peer_rate, PEER))
    for run in (BACKFILL, Run("SRTF", "srtf", 1_024, LOAD)):
        name = f"peak memory beyond the workload, {run.label}, {sizes.jobs:,} jobs"
        figures.append(figure(name, "bytes/job", peak_bytes(run, sizes.jobs), 200.0, "limit"))
    return figures
