"""Rewards: pure functions of a batch of steps, (N,) each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Constants of the ppo-jobs reward.
_NOOP_SCALE = 0.05
_MAX_HORIZONS = 10.0


class Before(NamedTuple):
    """What rewards need of the heads (``record.HEAD``) before the step, (N,) each."""

    now: np.ndarray
    job_seconds: np.ndarray
    done_work: np.ndarray

    @classmethod
    def of(cls, heads: np.ndarray) -> Before:
        """Copies of these fields."""
        return cls(*(heads[name].copy() for name in cls._fields))


class Steps(NamedTuple):
    """One step of N environments."""

    before: Before
    after: np.ndarray  # (N,) ``record.HEAD``
    waited: np.ndarray  # (N,) bool: no job was started
    could_start: np.ndarray  # (N,) bool: some job could have been started
    remaining: np.ndarray  # (N, G) after the step: time until the GPU is free over ``lookahead_s``, in [0, 1]
    terminated: np.ndarray  # (N,) bool: all jobs are done
    truncated: np.ndarray  # (N,) bool: cut by a deadline or a step limit
    time_scale_s: float
    lookahead_s: float


def jct(steps: Steps) -> np.ndarray:
    """Minus the integral of the number of jobs in the system over the step, per job and typical duration.

    Its sum over an episode in which all jobs finish is minus the mean JCT divided by ``time_scale_s``.
    """
    cost = steps.after["job_seconds"] - steps.before.job_seconds
    return -cost / (steps.after["num_jobs"] * steps.time_scale_s)


def ppo_jobs(steps: Steps) -> np.ndarray:
    """The reward of the ppo-jobs benchmark, evaluated after the event.

    Progress (share of the work completed) minus time pressure (dt / horizon x share of the work in the system, at
    the right end of the step) minus 0.05 x that share for waiting while a job could have started; at the end plus
    the share of the horizon that is left, or minus the share of the work that is unfinished.
    """
    before, after = steps.before, steps.after
    total = after["total_work"]
    progress = (after["done_work"] - before.done_work) / total
    running = steps.lookahead_s * steps.remaining.sum(axis=1, dtype=np.float64)
    open_work = after["waiting_work"] + running
    pressure = np.clip((after["now"] - before.now) / after["horizon_s"], 0.0, _MAX_HORIZONS) * open_work / total
    idle = np.where(steps.waited & steps.could_start, _NOOP_SCALE * open_work / total, 0.0)
    early = np.where(steps.terminated, np.maximum(after["horizon_s"] - after["now"], 0.0) / after["horizon_s"], 0.0)
    # GPU-seconds of jobs that have not arrived yet: all work less what is done, waits or runs.
    not_arrived = total - after["done_work"] - after["waiting_work"] - after["running_work"]
    missed = np.where(steps.truncated, (open_work + not_arrived) / total, 0.0)
    return progress - pressure - idle + early - missed
