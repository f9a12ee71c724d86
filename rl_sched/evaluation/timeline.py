"""What a run looked like over time: segments of jobs on GPUs, and numbers that change in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.sim.eventlog import FINISH, KILL, PREEMPT, START, LogPart
from rl_sched.workload import WHOLE_GPU

if TYPE_CHECKING:
    from rl_sched.sim.result import RunResult


class Segments(NamedTuple):
    """Stretches of jobs on their GPUs, in order of their starts. k segments."""

    job: np.ndarray  # (k,) row of the job
    pool: np.ndarray  # (k,)
    start_s: np.ndarray  # (k,)
    end_s: np.ndarray  # (k,) completion, preemption, failure, or the end of the run
    kind: np.ndarray  # (k,) which of these: FINISH, PREEMPT, KILL, or -1
    busy_gpus: np.ndarray  # (k,) GPUs kept busy, a fraction where one is shared
    log_row: np.ndarray  # (k,) row of its start in the log; -1 without a log


class Steps(NamedTuple):
    """A number that changes in steps: it is ``value[i]`` from ``time_s[i]`` to the next time."""

    time_s: np.ndarray  # (k,) ascending, all different
    value: np.ndarray  # (k,)

    def mean(self, edges_s: np.ndarray) -> np.ndarray:
        """(len(edges) - 1,) means over the intervals between the edges; 0 before the first time."""
        area = np.concatenate([[0.0], np.cumsum(self.value[:-1] * np.diff(self.time_s))])
        beyond = np.maximum(edges_s - self.time_s[-1], 0.0) * self.value[-1]
        total = np.interp(edges_s, self.time_s, area) + beyond
        return np.diff(total) / np.diff(edges_s)


def end_of(result: RunResult) -> float:
    """Time of the last event."""
    return float(result.submit_s[0] + result.makespan_s)


def one_segment_each(result: RunResult) -> bool:
    """Did every job run in one piece? Then the columns of the result tell the whole story."""
    return not (result.preemptions.any() or result.kills.any())


def segments(result: RunResult, log: LogPart | None = None) -> Segments:
    """All segments of a run.

    Raises:
        ConfigError: Jobs were interrupted and there is no log to tell when.
    """
    if log is None:
        return _from_columns(result)
    rows = log.rows
    closing = (rows["kind"] == FINISH) | (rows["kind"] == PREEMPT) | (rows["kind"] == KILL)
    own = np.flatnonzero((rows["kind"] == START) | closing)
    own = own[np.argsort(rows["job"][own], kind="stable")]  # start, close, start, ... of job after job
    is_start = rows["kind"][own] == START
    starts = own[is_start]
    position = np.flatnonzero(is_start)
    following = np.append(own, -1)[position + 1]
    closed = (following >= 0) & np.append(~is_start, False)[position + 1]
    by_time = np.argsort(starts, kind="stable")
    starts, following, closed = starts[by_time], following[by_time], closed[by_time]
    job = rows["job"][starts].astype(np.int64)
    return Segments(
        job=job,
        pool=rows["type"][starts].astype(np.int64),
        start_s=rows["time_s"][starts],
        end_s=np.where(closed, rows["time_s"][following], end_of(result)),
        kind=np.where(closed, rows["kind"][following], -1),
        busy_gpus=_busy_gpus(result)[job],
        log_row=starts,
    )


def _busy_gpus(result: RunResult) -> np.ndarray:
    return result.num_gpus * (result.gpu_milli / WHOLE_GPU)


def _from_columns(result: RunResult) -> Segments:
    if not one_segment_each(result):
        raise ConfigError("Jobs of this run were interrupted, so its event log must be kept; there is none.")
    started = np.flatnonzero(np.isfinite(result.start_s))
    job = started[np.argsort(result.start_s[started], kind="stable")]
    done = np.isfinite(result.finish_s[job])
    return Segments(
        job=job,
        pool=result.gpu_type[job].astype(np.int64),
        start_s=result.start_s[job],
        end_s=np.where(done, result.finish_s[job], end_of(result)),
        kind=np.where(done, FINISH, -1),
        busy_gpus=_busy_gpus(result)[job],
        log_row=np.full(len(job), -1),
    )


def steps(time_s: np.ndarray, change: np.ndarray, from_s: float) -> Steps:
    """The sum of all changes up to each time, from ``from_s`` on."""
    times, first = np.unique(np.append(time_s, from_s), return_inverse=True)
    return Steps(times, np.cumsum(np.bincount(first[:-1], weights=change, minlength=len(times))))


def busy_gpus(result: RunResult, parts: Segments) -> Steps:
    """Busy GPUs over time, a shared one counted by the share in use."""
    time_s = np.concatenate([parts.start_s, parts.end_s])
    return steps(time_s, np.concatenate([parts.busy_gpus, -parts.busy_gpus]), float(result.submit_s[0]))


def running_jobs(result: RunResult, parts: Segments) -> Steps:
    """Running jobs over time."""
    change = np.repeat([1.0, -1.0], len(parts.job))
    return steps(np.concatenate([parts.start_s, parts.end_s]), change, float(result.submit_s[0]))


def waiting_jobs(result: RunResult, parts: Segments) -> Steps:
    """Jobs in the queue over time: those that have arrived and neither run nor are done."""
    arrived = result.submit_s[result.submit_s <= end_of(result)]
    back = parts.end_s[(parts.kind == PREEMPT) | (parts.kind == KILL)]
    time_s = np.concatenate([arrived, back, parts.start_s])
    change = np.concatenate([np.ones(len(arrived) + len(back)), -np.ones(len(parts.start_s))])
    return steps(time_s, change, float(result.submit_s[0]))
