"""A result from an event log alone, bit for bit: no policy is asked and no event is computed. n jobs, P pools."""

from __future__ import annotations

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.outcome import result_hash
from rl_sched.sim.eventlog import ARRIVE, FINISH, KILL, KIND_NAMES, NODE_DOWN, PREEMPT, START
from rl_sched.sim.loading import run_times
from rl_sched.sim.result import RunResult
from rl_sched.workload import WHOLE_GPU

#: The integral of busy GPUs over the clock is added up in other steps than in the run, so its last digits may differ.
_BUSY_TOLERANCE = 1e-9


def replay(log: RunLog) -> RunResult:
    """The result of a logged run.

    Raises:
        SimulationError: The log does not lead to the result that it says it does: it has been changed or cut.
    """
    result = _Player(log).result()
    _must(result.workload_hash == log.outcome.workload_hash, "its jobs are not those that were simulated")
    _must(result_hash(result) == log.outcome.result_hash, "its events lead to another result")
    return result


def _must(ok: bool, what: str) -> None:
    if not ok:
        raise SimulationError(f"An event log must lead to the result that it holds; here {what}. Simulate again.")


class _Player:
    """Goes through the rows; does to plain lists what the kernels do to a record, in the same operations."""

    def __init__(self, log: RunLog) -> None:
        n = len(log.workload)
        self.log = log
        self.plain = log.rules.plain
        self.gang = log.workload.num_gpus.tolist()
        self.milli = log.workload.gpu_milli.tolist()
        self.start_s, self.finish_s = [np.nan] * n, [np.nan] * n
        self.since_s, self.segment_s = [np.nan] * n, [np.nan] * n  # last entry into the queue; last start
        self.waited_s, self.ran_s = [0.0] * n, [0.0] * n
        self.pool = [-1] * n
        self.running = [False] * n
        self.preemptions, self.kills = [0] * n, [0] * n
        self.first_gpus = [-1] * n  # of the last segment, in the log
        self.pool_busy_gpu_s = [0.0] * log.cluster.num_pools
        self.busy = self.busy_gpu_s = self.now_s = 0.0
        self._play()

    def _play(self) -> None:
        rows = self.log.events.rows
        columns = (rows[name].tolist() for name in ("time_s", "kind", "job", "type", "first"))
        waiting = [False] * len(self.gang)
        for time_s, kind, job, pool, first in zip(*columns, strict=True):
            self._move_clock(time_s)
            if kind >= NODE_DOWN:
                continue
            _must(0 <= job < len(waiting), f"job {job} does not exist")
            legal = waiting[job] if kind == START else self.running[job] if kind != ARRIVE else self.pool[job] < 0
            _must(legal, f"job {job} cannot {KIND_NAMES[kind]} at t = {time_s:g} s")
            waiting[job] = kind not in (START, FINISH)
            if kind == ARRIVE:
                self.since_s[job] = time_s
            elif kind == START:
                self._start(job, pool, first)
            else:
                self._stop(job, kind)
        self._move_clock(self.log.outcome.end_s)

    def _move_clock(self, time_s: float) -> None:
        _must(time_s >= self.now_s, f"time runs backwards at t = {time_s:g} s")
        self.busy_gpu_s += (time_s - self.now_s) * self.busy
        self.now_s = time_s

    def _start(self, job: int, pool: int, first: int) -> None:
        if self.pool[job] < 0:
            self.start_s[job] = self.now_s
        self.pool[job] = pool
        self.running[job] = True
        self.segment_s[job] = self.now_s
        self.waited_s[job] += self.now_s - self.since_s[job]
        self.first_gpus[job] = first
        self.busy += self.gang[job] if self.milli[job] == WHOLE_GPU else self.milli[job] / WHOLE_GPU

    def _stop(self, job: int, kind: int) -> None:
        held_s = self.now_s - self.segment_s[job]
        self.running[job] = False
        self.pool_busy_gpu_s[self.pool[job]] += held_s * (self.gang[job] * (self.milli[job] * 0.001))
        self.busy -= self.gang[job] if self.milli[job] == WHOLE_GPU else self.milli[job] / WHOLE_GPU
        self.ran_s[job] += held_s
        if kind == FINISH:
            self.finish_s[job] = self.now_s
        else:
            self.preemptions[job] += kind == PREEMPT
            self.kills[job] += kind == KILL
            self.since_s[job] = self.now_s

    def result(self) -> RunResult:
        log, workload, outcome = self.log, self.log.workload, self.log.outcome
        close = np.isclose(self.busy_gpu_s, outcome.busy_gpu_s, rtol=_BUSY_TOLERANCE, atol=_BUSY_TOLERANCE)
        _must(bool(close), f"the GPUs were busy for {self.busy_gpu_s:g} s and not {outcome.busy_gpu_s:g} s")
        running = np.array(self.running)
        pool = np.array(self.pool, np.int16)
        held = (self.now_s - np.array(self.segment_s)[running]) * workload.gpu_demand[running]
        pool_busy = np.array(self.pool_busy_gpu_s)
        pool_busy += np.bincount(pool[running], weights=held, minlength=len(pool_busy))
        start, finish = np.array(self.start_s), np.array(self.finish_s)
        waited, ran = np.array(self.waited_s), np.array(self.ran_s)
        if self.plain:
            waited, ran = start - workload.submit_s, finish - start
        alloc, alloc_at = self._gpus()
        return RunResult(
            submit_s=workload.submit_s,
            start_s=start,
            finish_s=finish,
            duration_s=run_times(workload, log.cluster, log.rules).min(axis=1),
            num_gpus=workload.num_gpus,
            gpu_milli=workload.gpu_milli,
            gpu_type=pool,
            user=workload.user,
            priority=workload.priority,
            deadline_s=workload.deadline_s,
            waited_s=waited,
            ran_s=ran,
            preemptions=np.array(self.preemptions, np.int32),
            kills=np.array(self.kills, np.int32),
            alloc=alloc,
            alloc_at=alloc_at,
            makespan_s=float(self.now_s - workload.submit_s[0]),
            busy_gpu_s=outcome.busy_gpu_s,
            pool_busy_gpu_s=pool_busy,
            cluster=log.cluster,
            decisions=outcome.decisions,
            workload_hash=workload.content_hash(),
            rules_hash=outcome.rules_hash,
        )

    def _gpus(self) -> tuple[np.ndarray, np.ndarray]:
        """GPU numbers of the last segments, and where those of each job begin."""
        gangs = self.log.workload.num_gpus
        at = np.cumsum(gangs) - gangs
        alloc = np.full(int(gangs.sum()), -1, np.int32)  # -1: of a job that never started
        first = np.array(self.first_gpus)
        started = np.flatnonzero(first >= 0)
        # Slot k of a job's list is GPU k from the first one of its last start.
        within = np.arange(int(gangs[started].sum())) - np.repeat(
            np.cumsum(gangs[started]) - gangs[started], gangs[started]
        )
        source = np.repeat(first[started], gangs[started]) + within
        alloc[np.repeat(at[started], gangs[started]) + within] = self.log.events.gpus[source]
        return alloc, at.astype(np.int32)
