"""The jobs of one lane as its decisions move them: bars of the Gantt chart, and sums that would else need all jobs.

An update is made 22 times a second for every lane, so it looks only at jobs that arrived, began or ended since the last
one and at those that run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_sched.dashboard.lane import PREEMPT, START, Lane
from rl_sched.sim.record import DONE, RUNNING

#: The first GPUs of a cluster are drawn; more rows cannot be told apart on a screen.
MAX_GANTT_GPUS = 128
#: New bars that one update tells; of more, the newest. The report page shows them all.
MAX_BARS = 400

#: ``[job, pool, start, end or None, first GPU, GPUs, first GPU, ...]``, times in s.
Bar = list[Any]


class Bars:
    """Follows a lane from its first decision on.

    Attributes:
        running: (r,) numbers of the jobs that run.
        done: Jobs that have finished.
        done_jct_s: The sum of their completion times.
        waiting_gpus: GPUs that the waiting jobs ask for.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._demand: NDArray[np.float64] = lane.course.workload.gpu_demand
        self._seen = 0  # decisions
        self._arrived = 0
        self._arrived_gpus = self._done_gpus = 0.0
        self._open: dict[int, Bar] = {}
        self._drawn: set[int] = set()  # open ones that have been told
        self.running: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.done, self.done_jct_s, self.waiting_gpus = 0, 0.0, 0.0

    def follow(self) -> list[Bar]:
        """Looks at what has happened since the last call; returns new and changed bars."""
        ended: list[Bar] = []  # of those that the page draws as open: none may be left out
        fresh: list[Bar] = []
        self._begin(ended, fresh)
        self._end(ended, fresh)
        self._arrive()
        fresh = [bar for bar in fresh if len(bar) > 4][-MAX_BARS:]
        self._drawn.update(bar[0] for bar in fresh if bar[3] is None)
        return ended + fresh

    def _close(self, job: int, end_s: float, ended: list[Bar], fresh: list[Bar]) -> None:
        bar = self._open.pop(job, None)
        if bar is not None:
            bar[3] = end_s
            (ended if job in self._drawn else fresh).append(bar)
            self._drawn.discard(job)

    def _begin(self, ended: list[Bar], fresh: list[Bar]) -> None:
        """Starts and preemptions of the log."""
        log = self._lane.log
        for i in range(self._seen, len(log)):
            kind, job = log.kind[i], log.job[i]
            if kind == PREEMPT:
                self._close(job, log.time_s[i], ended, fresh)
            elif kind == START:
                if job in self._open:  # killed by a failure in between
                    self._close(job, self._killed_s(job), ended, fresh)
                self._open[job] = [job, log.pool[i], log.time_s[i], None]
        self._seen = len(log)

    def _end(self, ended: list[Bar], fresh: list[Bar]) -> None:
        """What has become of the open ones."""
        views, plain = self._lane.state.views, self._lane.rules.plain
        open_jobs = np.fromiter(self._open, np.int64, len(self._open))
        rows = views.jobs[0].take(open_jobs)
        runs, finished = rows["state"] == RUNNING, rows["state"] == DONE
        self.running = open_jobs[runs]
        now_s, alloc = float(views.head["now"][0]), views.alloc[0]
        columns = [runs.tolist(), finished.tolist(), *(rows[name].tolist() for name in ("alloc", "gang", "finish_s"))]
        still: list[Bar] = []
        for bar, run, done, first, gang, finish_s in zip(list(self._open.values()), *columns, strict=True):
            if len(bar) == 4:
                bar += _blocks(alloc[first : first + gang].tolist())
                if run:
                    still.append(bar)
            if not run:
                self._close(bar[0], finish_s if done else now_s if plain else self._killed_s(bar[0]), ended, fresh)
        fresh += still
        jct_s = rows["finish_s"] - rows["submit_s"]
        self.done += int(finished.sum())
        self.done_jct_s += float(jct_s[finished].sum())
        self._done_gpus += float(self._demand[open_jobs[finished]].sum())

    def _killed_s(self, job: int) -> float:
        """When a job that no longer runs went back to the queue."""
        return float(self._lane.state.views.life["since_s"][0, job])

    def _arrive(self) -> None:
        views = self._lane.state.views
        arrived = int(views.head["num_arrived"][0])
        self._arrived_gpus += float(self._demand[views.order[0, self._arrived : arrived]].sum())
        self._arrived = arrived
        waiting = self._arrived_gpus - self._done_gpus - float(self._demand[self.running].sum())
        self.waiting_gpus = round(max(waiting, 0.0), 6)  # shares of GPUs do not cancel to the last bit


def _blocks(gpus: list[int]) -> list[int]:
    """``first, count, first, count, ...`` of neighbouring GPUs among those that are drawn."""
    out: list[int] = []
    for gpu in sorted(gpus) if len(gpus) > 1 else gpus:
        if gpu >= MAX_GANTT_GPUS:
            break
        if out and out[-2] + out[-1] == gpu:
            out[-1] += 1
        else:
            out += [gpu, 1]
    return out
