"""What the page is told of a lane: numbers read off the simulator's record. n jobs, T GPU types, P pools, G GPUs."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from rl_sched.dashboard.bars import Bars
from rl_sched.dashboard.lane import KINDS, Lane
from rl_sched.evaluation.energy import gpu_cost_usd, pool_energy_kwh
from rl_sched.evaluation.fairness import jain_index
from rl_sched.evaluation.metrics import bounded_slowdown
from rl_sched.policies.bounds.lower import LowerBounds
from rl_sched.sim.record import DOWN
from rl_sched.sim.result import RunResult

#: Decisions that one update tells; of more, the newest. The report page shows them all.
MAX_LOG = 40
#: Time between two looks at what takes longer to compute, s.
SLOW_S = 2.0


class Sampler:
    """Reads one lane; ``sample`` tells what is new since the last call."""

    def __init__(self, lane: Lane, bounds: LowerBounds) -> None:
        self._lane, self._bounds = lane, bounds
        course = lane.course
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
        self._bars = Bars(self._lane)
        self._slow: dict[str, Any] = {}
        self._complete = False  # the lane is over and everything has been told

    def sample(self) -> dict[str, Any]:
        """One update of the lane, JSON-ready; times in s, shares from 0 to 1, ``null`` = not known yet."""
        lane, follower = self._lane, self._bars
        bars, log = follower.follow(), self._new_log()
        views, running = lane.state.views, follower.running
        head, jobs, types = views.head[0], views.jobs[0], views.types[0]
        now_s = float(head["now"])
        since = jobs["start_s"][running] if lane.rules.plain else views.life["segment_s"][0, running]
        pool_busy = types["busy_gpu_s"] + np.bincount(
            jobs["type"][running], weights=(now_s - since) * self._demand[running], minlength=len(types)
        )
        busy = np.bincount(self._pool_type, weights=pool_busy, minlength=len(self._type_gpus))
        passed_s = now_s - self._at_s
        interval = (busy - self._busy) / (self._type_gpus * passed_s) if passed_s > 0 else None
        self._at_s, self._busy = now_s, busy
        elapsed_s = now_s - self._first_s
        so_far = busy / (self._type_gpus * elapsed_s) if elapsed_s > 0 else np.zeros(len(busy))
        return {
            "id": lane.entrant.id,
            "now_s": now_s,
            "decisions": len(lane.log),
            "arrived": int(head["num_arrived"]),
            "waiting": int(head["num_waiting"]),
            "running": int(head["num_running"]),
            "done": follower.done,
            "waiting_gpus": follower.waiting_gpus,
            "busy_gpus": float(self._demand[running].sum()),
            "down_gpus": int((views.gpus["job"][0] == DOWN).sum()) if head["num_down"] else 0,
            "mean_jct_s": follower.done_jct_s / follower.done if follower.done else None,
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

    def _new_log(self) -> list[list[Any]]:
        """New decisions ``[index, time, kind, job, pool, waiting]``, and from now on they are known."""
        log = self._lane.log
        first = max(self._told, len(log) - MAX_LOG)
        self._told = len(log)
        columns = (log.time_s, log.kind, log.job, log.pool, log.waiting)
        new = zip(*(column[first:] for column in columns), strict=True)
        return [[i, time_s, KINDS[kind], *rest] for i, (time_s, kind, *rest) in enumerate(new, first)]


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
