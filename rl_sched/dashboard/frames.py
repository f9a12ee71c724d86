"""What the page is told of a lane: numbers read off the simulator's record. n jobs, T GPU types, P pools, G GPUs."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from rl_sched.dashboard.lane import KINDS, PREEMPT, START, Lane
from rl_sched.evaluation.energy import gpu_cost_usd, pool_energy_kwh
from rl_sched.evaluation.fairness import jain_index
from rl_sched.evaluation.metrics import bounded_slowdown
from rl_sched.policies.bounds.lower import LowerBounds
from rl_sched.sim.record import DONE, DOWN, RUNNING, WAITING
from rl_sched.sim.result import RunResult

#: The first GPUs of a cluster are drawn; more rows cannot be told apart on a screen.
MAX_GANTT_GPUS = 128
#: Decisions and new bars that one update tells; of more, the newest. The report page shows them all.
MAX_LOG, MAX_BARS = 40, 400
#: Time between two looks at what takes longer to compute, s.
SLOW_S = 1.0


class Sampler:
    """Reads one lane; ``sample`` tells what is new since the last call."""

    def __init__(self, lane: Lane, bounds: LowerBounds) -> None:
        self._lane, self._bounds = lane, bounds
        course = lane.course
        self._n = len(course.workload)
        self._demand = course.workload.gpu_demand
        self._pool_type = course.cluster.pool_type
        self._type_gpus = course.cluster.type_gpus
        self._first_s = float(course.workload.submit_s[0])
        self.restart()

    def restart(self) -> None:
        """The lane begins anew."""
        self._told, self._slow_at_s = 0, -math.inf
        self._at_s = self._first_s
        self._busy: np.ndarray = np.zeros(len(self._type_gpus))
        self._open: dict[int, list[Any]] = {}
        self._drawn: set[int] = set()
        self._slow: dict[str, Any] = {}
        self._complete = False  # the lane is over and everything has been told

    def sample(self) -> dict[str, Any]:
        """One update of the lane, JSON-ready; times in s, shares from 0 to 1, ``null`` = not known yet."""
        lane, n = self._lane, self._n
        head, jobs = lane.state.views.head[0], lane.state.views.jobs[0, :n]
        state, now_s = jobs["state"], float(head["now"])
        running = np.flatnonzero(state == RUNNING)
        done = np.flatnonzero(state == DONE)
        plain = lane.rules.plain
        since = jobs["start_s"][running] if plain else lane.state.views.life["segment_s"][0, running]
        types = lane.state.views.types[0]
        pool_busy = types["busy_gpu_s"] + np.bincount(
            jobs["type"][running], weights=(now_s - since) * self._demand[running], minlength=len(types)
        )
        busy = np.bincount(self._pool_type, weights=pool_busy, minlength=len(self._type_gpus))
        passed_s = now_s - self._at_s
        interval = (busy - self._busy) / (self._type_gpus * passed_s) if passed_s > 0 else None
        self._at_s, self._busy = now_s, busy
        elapsed_s = now_s - self._first_s
        so_far = busy / (self._type_gpus * elapsed_s) if elapsed_s > 0 else np.zeros(len(busy))
        waiting = np.flatnonzero(state == WAITING)
        bars, log = self._bars(jobs, now_s), self._new_log()
        return {
            "id": lane.entrant.id,
            "now_s": now_s,
            "decisions": len(lane.log),
            "arrived": int(head["num_arrived"]),
            "waiting": int(head["num_waiting"]),
            "running": int(head["num_running"]),
            "done": len(done),
            "waiting_gpus": float(self._demand[waiting].sum()),
            "busy_gpus": float(self._demand[running].sum()),
            "down_gpus": int((lane.state.views.gpus["job"][0] == DOWN).sum()),
            "mean_jct_s": float((jobs["finish_s"][done] - jobs["submit_s"][done]).mean()) if len(done) else None,
            "busy_frac": None if interval is None else [round(float(b), 4) for b in interval.clip(0.0, 1.0)],
            "utilisation_frac": [round(float(u), 4) for u in so_far],
            "busy_gpu_s": [round(float(b), 3) for b in busy],
            "bars": bars,
            "log": log,
            "over": lane.over,
            "error": lane.error,
            **self._slowly(float(head["job_seconds"]), elapsed_s),
        }

    def _slowly(self, job_seconds: float, elapsed_s: float) -> dict[str, Any]:
        if self._complete or (time.monotonic() - self._slow_at_s < SLOW_S and not self._lane.over):
            return self._slow
        self._complete = self._lane.over
        self._slow_at_s = time.monotonic()
        lane = self._lane
        result = RunResult.of(lane.state, 0, lane.course.workload, lane.rules, workload_hash="live")
        finished = np.isfinite(result.finish_s)
        slowdown = bounded_slowdown(result)[finished]
        users = _jain_so_far(result, finished)
        capacity = float(self._type_gpus.sum()) * elapsed_s
        use = result.busy_gpu_s / capacity if capacity > 0 else None
        mean_slowdown = float(slowdown.mean()) if len(slowdown) else None
        self._slow = {
            "energy_kwh": float(pool_energy_kwh(result).sum()),
            "gpu_cost_usd": gpu_cost_usd(result),
            "mean_bounded_slowdown": mean_slowdown,
            "p95_jct_s": float(np.percentile(result.jct_s[finished], 95)) if finished.any() else None,
            # Of what no schedule can beat, as much as is still possible: falls with time, exact at the end.
            "radar": {
                "jct": _at_most_1(self._bounds.total_jct_s, job_seconds),
                "makespan": _at_most_1(self._bounds.makespan_s, elapsed_s),
                "utilisation": use,
                "fairness": users,
                "slowdown": None if mean_slowdown is None else 1.0 / mean_slowdown,
            },
        }
        return self._slow

    def _bars(self, jobs: np.ndarray, now_s: float) -> list[list[Any]]:
        """New and changed bars ``[job, pool, start, end or null, first GPU, GPUs, first GPU, ...]``."""
        lane, log, state = self._lane, self._lane.log, self._lane.state
        plain, life = lane.rules.plain, state.views.life[0]
        ended: list[list[Any]] = []  # of those that the page draws as open: none may be left out
        fresh: list[list[Any]] = []

        def close(job: int, end_s: float) -> None:
            bar = self._open.pop(job, None)
            if bar is not None:
                bar[3] = end_s
                (ended if job in self._drawn else fresh).append(bar)
                self._drawn.discard(job)

        for i in range(self._told, len(log)):
            job = log.job[i]
            if log.kind[i] == PREEMPT:
                close(job, log.time_s[i])
            elif log.kind[i] == START:
                if job in self._open:  # killed by a failure in between
                    close(job, float(life["since_s"][job]))
                self._open[job] = [job, log.pool[i], log.time_s[i], None]
        for job, bar in list(self._open.items()):
            new = len(bar) == 4
            if new:
                first = int(jobs["alloc"][job])
                bar += _blocks(np.sort(state.views.alloc[0, first : first + int(jobs["gang"][job])]))
            now = jobs["state"][job]
            if now == DONE:
                close(job, float(jobs["finish_s"][job]))
            elif now != RUNNING:
                close(job, float(life["since_s"][job]) if not plain else now_s)
            elif new:
                fresh.append(bar)
        fresh = [bar for bar in fresh if len(bar) > 4][-MAX_BARS:]
        self._drawn.update(bar[0] for bar in fresh if bar[3] is None)
        return ended + fresh

    def _new_log(self) -> list[list[Any]]:
        """New decisions ``[index, time, kind, job, pool, waiting]``, and from now on they are known."""
        log = self._lane.log
        first = max(self._told, len(log) - MAX_LOG)
        self._told = len(log)
        rows = (log.made(i) for i in range(first, len(log)))
        return [[m.number, m.time_s, KINDS[m.kind], m.job, m.pool, m.waiting] for m in rows]


def _blocks(gpus: np.ndarray) -> list[int]:
    """``first, count, first, count, ...`` of neighbouring GPUs among those that are drawn; ``gpus`` ascend."""
    gpus = gpus[gpus < MAX_GANTT_GPUS]
    if not len(gpus):
        return []
    cuts = np.flatnonzero(np.diff(gpus) > 1) + 1
    return [int(x) for block in np.split(gpus, cuts) for x in (block[0], len(block))]


def _at_most_1(bound: float, spent: float) -> float:
    return 1.0 if spent <= bound else bound / spent


def _jain_so_far(result: RunResult, finished: np.ndarray) -> float | None:
    """Jain's index over users of running time over time in the system, of the jobs that have finished."""
    if not finished.any():
        return None
    _, user = np.unique(result.user[finished], return_inverse=True)
    ran = np.bincount(user, weights=result.ran_s[finished])
    index = jain_index(ran / np.bincount(user, weights=result.jct_s[finished]))
    return None if math.isnan(index) else index
