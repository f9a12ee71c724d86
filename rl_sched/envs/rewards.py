"""Rewards: pure functions of a batch of steps, (N,) each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Part that a workload's own typical duration has in the unit of rewards, the rest being the scenario's: exponents.
WORKLOAD_SHARE = {"scenario": 0.0, "geometric": 0.5, "workload": 1.0}

# Constants of the ppo-jobs reward.
_NOOP_SCALE = 0.05
_MAX_HORIZONS = 10.0
# Constants of the drl-het reward.
_FINISHED = 50.0  # per unit of priority
_AGE_PER_S = 0.05 / 1000.0  # per second of a waiting job's age, each second
_IN_SYSTEM = 0.3  # per job, each second
_BUSY = 1.5  # for all GPUs busy, each second


class Steps(NamedTuple):
    """One step of N environments."""

    step: np.ndarray  # (N,) ``kernels.STEP``
    after: np.ndarray  # (N,) ``record.HEAD``
    remaining: np.ndarray  # (N, G) after the step: time until the GPU is free over ``lookahead_s``, in [0, 1]
    num_jobs: int  # of an episode
    unit_s: np.ndarray  # (N,) s that count as 1: the typical duration of the scenario, of the workload or between
    lookahead_s: float


def jct(steps: Steps) -> np.ndarray:
    """Minus the integral of the number of jobs in the system over the step, per job and typical duration.

    Its sum over an episode in which all jobs finish is minus the mean JCT divided by ``unit_s``. With
    ``env.discount_s`` the integral is discounted to the step's beginning, as is right for a semi-Markov process.
    """
    return steps.step["cost_s"] / -(steps.num_jobs * steps.unit_s)


def lost(steps: Steps) -> np.ndarray:
    """Minus the time lost: waiting of all jobs, and what the job that starts takes longer than on its fastest type.

    A job's completion time is its run time on the fastest type, which no decision changes, plus what it loses. So the
    sum over an episode in which all jobs finish, each in one run, is that of ``jct`` plus a constant of the workload,
    paid earlier and with less noise: where a job starts, not while it runs.
    """
    return steps.step["lost_s"] / -(steps.num_jobs * steps.unit_s)


def planned(steps: Steps) -> np.ndarray:
    """``lost`` plus the change of a potential: minus the time that the waiting jobs would lose by the plan.

    The plan is the one of ``env.plan``, without arrivals to come. Such a potential changes no policy's rank (Ng et al.,
    1999). What it does: an action that the plan has not foreseen pays at once for all that it delays, and one that
    follows the plan pays nothing; the rest is what arrivals cost. The sum over an episode is that of ``lost`` plus the
    loss that is planned at its beginning.
    """
    lost_s = steps.step["lost_s"] + steps.step["planned_s"]
    return lost_s / -(steps.num_jobs * steps.unit_s)


def ppo_jobs(steps: Steps) -> np.ndarray:
    """The reward of the ppo-jobs benchmark, evaluated after the event.

    Progress (share of the work completed) minus time pressure (dt / horizon x share of the work in the system, at
    the right end of the step) minus 0.05 x that share for waiting while a job could have started; at the end plus
    the share of the horizon that is left, or minus the share of the work that is unfinished.
    """
    step, after = steps.step, steps.after
    total = after["total_work"]
    progress = step["done_work"] / total
    in_system, not_arrived = _open_work(steps)
    pressure = np.clip(step["span_s"] / after["horizon_s"], 0.0, _MAX_HORIZONS) * in_system / total
    idle = np.where(step["waited"] & step["could_start"], _NOOP_SCALE * in_system / total, 0.0)
    early = np.where(step["terminated"], np.maximum(after["horizon_s"] - after["now"], 0.0) / after["horizon_s"], 0.0)
    missed = np.where(step["truncated"], (in_system + not_arrived) / total, 0.0)
    return progress - pressure - idle + early - missed


def ppo_jobs_shaped(steps: Steps) -> np.ndarray:
    """``ppo_jobs`` plus the change of a potential: what it would still pay if no GPU were ever idle again.

    The potential is that of a fluid which all G GPUs work off in parallel: the progress that is left, the pressure of
    R GPU-seconds of open work that melt in R / G, and the time left after that; 0 where the episode is over. Such a
    potential changes no policy's rank (Ng et al., 1999). What remains is close to minus the share of GPUs that are
    idle x dt / horizon x (1 + share of the work that is open): waste is paid for while it happens, not at the end.
    The sum over an episode is that of ``ppo_jobs`` minus the potential at its beginning.
    """
    step, after = steps.step, steps.after
    num_gpus = steps.remaining.shape[1]
    total, horizon_s = after["total_work"], after["horizon_s"]

    def potential(now_s: np.ndarray, left: np.ndarray, done: np.ndarray) -> np.ndarray:
        alone_s = left / num_gpus
        pressure = alone_s / horizon_s * left / (2.0 * total)
        return (total - done) / total - pressure + (horizon_s - now_s - alone_s) / horizon_s

    in_system, not_arrived = _open_work(steps)
    left = in_system + not_arrived
    over = step["terminated"] | step["truncated"]
    behind = np.where(over, 0.0, potential(after["now"], left, after["done_work"]))
    before = potential(after["now"] - step["span_s"], left + step["busy_gpu_s"], after["done_work"] - step["done_work"])
    return ppo_jobs(steps) + behind - before


def _open_work(steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """(N,) each: GPU-seconds left of the jobs in the system, and those of jobs that have not arrived yet."""
    after = steps.after
    running = steps.lookahead_s * steps.remaining.sum(axis=1, dtype=np.float64)
    not_arrived = after["total_work"] - after["done_work"] - after["waiting_work"] - after["running_work"]
    return after["waiting_work"] + running, not_arrived


def drl_het(steps: Steps) -> np.ndarray:
    """The reward of the drl-het system, which pays once a second, in continuous time.

    50 x the priorities of the jobs that finished, minus the integral over the step of 0.05 / 1000 x the ages (time
    since submission, s) of all waiting jobs + 0.3 x jobs in the system - 1.5 x share of busy GPUs. The integrals are
    exact. That system's fine for choosing a slot beyond the queue is left out: the mask forbids it.
    """
    step = steps.step
    busy_s = step["busy_gpu_s"] / steps.remaining.shape[1]
    cost = _AGE_PER_S * step["age_s2"] + _IN_SYSTEM * step["job_seconds"] - _BUSY * busy_s
    return _FINISHED * step["done_priority"] - cost
