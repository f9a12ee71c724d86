"""Gavel's round-based scheduler once more, in plain Python: dictionaries and loops, slow and obvious.

Written from the stated rules of that simulator ("Engine gavel" of the reference cases) and independent of the real
one; imports nothing of ``rl_sched``. A round lasts at most ``ROUND_S``; allocations are computed at most every
``MIN_RESET_S``; in between, each GPU type runs the jobs that are furthest behind their allocation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROUND_S = 360.0
MIN_RESET_S = 1920.0
MAX_FAILURES = 5
#: The order in which GPU types are filled in a round.
FILL_ORDER = ("v100", "p100", "k80")
#: Priority of a job that has an allocation on a type where no time was counted yet is its allocation times this.
UNSERVED = 1e9


@dataclass(frozen=True)
class Job:
    """``throughput[type]``: steps per second of the whole gang; 0 = impossible."""

    job_id: int
    job_type: str
    gang: int
    total_steps: int
    weight: float
    arrival_s: float
    throughput: dict[str, float]


@dataclass
class Live:
    """An active job's counters. Times are per type, since the last reset."""

    job: Job
    steps_left: int
    received_s: dict[str, float]
    deficit_s: dict[str, float]
    failures: int = 0


#: (active jobs in the order of their ids, GPUs per type, now) -> {job id: {type: fraction of time}}
Allocate = Callable[[list[Live], dict[str, int], float], dict[int, dict[str, float]]]


@dataclass
class Outcome:
    """Per job id; ``finish_s`` lacks the dropped jobs."""

    first_dispatch_s: dict[int, float] = field(default_factory=dict)
    finish_s: dict[int, float] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    end_s: float = 0.0
    rounds: int = 0
    microtasks: int = 0
    allocations: int = 0


def read_trace(trace: Path, throughputs: Path, types: Sequence[str]) -> list[Job]:
    """Jobs of a tab-separated trace with the throughputs of their (job type, gang)."""
    table = json.loads(throughputs.read_text())
    jobs = []
    for row, line in enumerate(trace.read_text().splitlines()):
        job_type, _, _, _, _, steps, gang, weight, _, arrival = line.split("\t")
        key = f"('{job_type}', {int(gang)})"
        rates = {kind: float(table[kind][key]) for kind in types}
        jobs.append(Job(row, job_type, int(gang), int(steps), float(weight), float(arrival), rates))
    return jobs


def fifo_perf(active: list[Live], gpus: dict[str, int], now_s: float) -> dict[int, dict[str, float]]:
    """Strict arrival order, each job whole on the fastest type that still has GPUs; the first misfit blocks."""
    del now_s
    free = dict(gpus)
    allocation: dict[int, dict[str, float]] = {}
    for live in active:
        fitting = [kind for kind in sorted(free) if free[kind] >= live.job.gang]
        if not fitting:
            break
        best = max(fitting, key=lambda kind: live.job.throughput[kind])
        if live.job.throughput[best] == 0:
            continue
        free[best] -= live.job.gang
        allocation[live.job.job_id] = {kind: float(kind == best) for kind in gpus}
    return allocation


class _Simulation:
    def __init__(self, jobs: list[Job], gpus: dict[str, int], allocate: Allocate, zero_runs: bool) -> None:
        self.queue = sorted(jobs, key=lambda job: job.arrival_s)
        self.gpus = gpus
        self.allocate = allocate
        self.zero_runs = zero_runs
        self.active: dict[int, Live] = {}
        self.allocation: dict[int, dict[str, float]] = {}
        self.type_time_s = dict.fromkeys(gpus, 0.0)
        self.now_s = self.queue[0].arrival_s
        self.last_reset_s = 0.0
        self.changed = False
        self.out = Outcome()

    def run(self) -> Outcome:
        running: list[tuple[Live, str, int, float]] = []  # job, type, steps, finish
        while self.queue or self.active:
            if not self.queue and not running:
                self.last_reset_s = 0.0
            start_s = self.now_s
            if running:
                self.now_s = max(finish_s for *_, finish_s in running)
            elif self.queue:
                self.now_s = self.queue[0].arrival_s
            for live, kind, steps, finish_s in running:
                self._close(live, kind, steps, start_s, finish_s)
            self._admit()
            self._update_allocation()
            running = self._start_round()
            self.out.rounds += 1  # the last, empty one counts too
        self.out.end_s = self.now_s
        return self.out

    def _close(self, live: Live, kind: str, steps: int, start_s: float, finish_s: float) -> None:
        job = live.job
        if steps // job.gang == 0:  # the fault kept: a worker with no step fails the micro-task
            live.failures += 1
            self.changed = True
            if live.failures >= MAX_FAILURES:
                self.out.dropped.append(job.job_id)
                del self.active[job.job_id]
            return
        live.failures = 0
        live.steps_left -= steps
        live.received_s[kind] += finish_s - start_s
        self.type_time_s[kind] += finish_s - start_s
        if live.steps_left == 0:
            self.out.finish_s[job.job_id] = finish_s
            self.changed = True
            del self.active[job.job_id]

    def _admit(self) -> None:
        while self.queue and self.queue[0].arrival_s <= self.now_s:
            job = self.queue.pop(0)
            half = dict.fromkeys(self.gpus, ROUND_S / 2)
            self.active[job.job_id] = Live(job, job.total_steps, half, dict.fromkeys(self.gpus, 0.0))
            self.changed = True

    def _update_allocation(self) -> None:
        elapsed_s = self.now_s - self.last_reset_s
        if not self.changed or not (elapsed_s >= MIN_RESET_S or self.last_reset_s == 0):
            return
        for kind in self.gpus:
            for live in self.active.values():
                due = self.allocation.get(live.job.job_id, {}).get(kind, 0.0) * elapsed_s
                live.deficit_s[kind] += due - (live.received_s[kind] - ROUND_S / 2)
                live.received_s[kind] = ROUND_S / 2
            self.type_time_s[kind] = len(self.active) * ROUND_S / 2
        self.last_reset_s = self.now_s
        self.changed = False
        active = [self.active[i] for i in sorted(self.active)]
        self.allocation = self.allocate(active, self.gpus, self.now_s)
        self.out.allocations += 1

    def _start_round(self) -> list[tuple[Live, str, int, float]]:
        taken: set[int] = set()
        running = []
        for kind in (k for k in FILL_ORDER if k in self.gpus):
            free = self.gpus[kind]
            order = sorted(self.active.values(), key=lambda live: self._urgency(live, kind), reverse=True)
            for live in order:
                job = live.job
                rate = job.throughput[kind]
                unwanted = not self.zero_runs and self._urgency(live, kind)[0] <= 0
                if job.job_id in taken or rate <= 0 or job.gang > free or unwanted:
                    continue
                free -= job.gang
                taken.add(job.job_id)
                if job.job_id not in self.allocation:
                    continue  # arrived since the last allocation: holds its GPUs for the round but does not run
                steps = min(int(rate * ROUND_S), live.steps_left)
                running.append((live, kind, steps, self.now_s + steps / rate))
                self.out.first_dispatch_s.setdefault(job.job_id, self.now_s)
                self.out.microtasks += 1
        return running

    def _urgency(self, live: Live, kind: str) -> tuple[float, float, float]:
        share = self.allocation.get(live.job.job_id, {}).get(kind, 0.0)
        total = self.type_time_s[kind]
        fraction = live.received_s[kind] / total if total > 0 else 0.0
        if share == 0 or live.job.throughput[kind] == 0:
            priority = 0.0
        else:
            priority = share / fraction if fraction > 0 else share * UNSERVED
        return priority, live.deficit_s[kind], share


def simulate(jobs: list[Job], gpus: dict[str, int], allocate: Allocate, *, zero_runs: bool = True) -> Outcome:
    """Plays a trace to its end.

    Args:
        jobs: The jobs; the ids are in the order of arrival.
        gpus: GPUs per type.
        allocate: The policy.
        zero_runs: Whether a job without an allocation on a type may fill GPUs that are left there. Gavel's FIFO
            policies forbid it.
    """
    return _Simulation(jobs, gpus, allocate, zero_runs).run()
