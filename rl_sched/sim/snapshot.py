"""What a policy sees, and what it may answer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Running(NamedTuple):
    """The running jobs, in order of their last starts. m jobs, P pools."""

    job: np.ndarray  # (m,) row of the job in the workload
    submit_s: np.ndarray  # (m,)
    num_gpus: np.ndarray  # (m,)
    gpu_milli: np.ndarray  # (m,)
    priority: np.ndarray  # (m,)
    user: np.ndarray  # (m,)
    pool: np.ndarray  # (m,) where it runs
    segment_s: np.ndarray  # (m,) time of its last start
    end_s: np.ndarray  # (m,) when it is expected to end where it runs; in the past if it is overdue
    duration_s: np.ndarray  # (m, P) whole run time on each pool, inf = impossible
    left_frac: np.ndarray  # (m,) share of the work that was left at its last start
    before_s: np.ndarray  # (m,) time it had run before its last start
    attained_s: np.ndarray  # (m,) time it has run so far


class Snapshot(NamedTuple):
    """A read-only view of the cluster at a decision. n waiting jobs in the window, P pools, G GPUs.

    A pool is the GPUs of one type in one virtual cluster; without virtual clusters, of one type. The rows of the
    waiting jobs are in order of the queue. Run times are what policies may know: estimates, where the rules say so.
    """

    now_s: float
    decision: int  # 0, 1, 2, ... within the episode
    can_wait: bool  # False where nothing runs and nothing will arrive: waiting would last for ever
    preemptive: bool  # whether ``Preempt`` is allowed
    job: np.ndarray  # (n,) row of the job in the workload
    submit_s: np.ndarray  # (n,)
    num_gpus: np.ndarray  # (n,)
    gpu_milli: np.ndarray  # (n,) thousandths of each GPU
    priority: np.ndarray  # (n,) larger = more urgent
    deadline_s: np.ndarray  # (n,) absolute, inf = none
    user: np.ndarray  # (n,)
    vc: np.ndarray  # (n,) its virtual cluster, -1 = the cluster has none
    total_s: np.ndarray  # (n,) whole run time on its fastest pool
    attained_s: np.ndarray  # (n,) time it has run so far
    left_frac: np.ndarray  # (n,) share of its work that is left
    duration_s: np.ndarray  # (n, P) time it would run on each pool if started now, inf = impossible
    feasible: np.ndarray  # (n, P) bool: could start now on that pool
    free_gpus: np.ndarray  # (P,)
    type_gpus: np.ndarray  # (P,) GPUs of each pool in service, busy or not
    gpu_type: np.ndarray  # (G,) pool of each GPU
    remaining_s: np.ndarray  # (G,) expected time until the GPU is free, 0 = idle or overdue, inf = out of order
    running_job: np.ndarray  # (G,) row of the job on the GPU, -1 = idle, -2 = shared by several, -3 = out of order
    running: Running
    num_waiting: int  # in the window and beyond
    num_running: int
    num_arrived: int


class Start(NamedTuple):
    """Start a waiting job now."""

    job: int  # row in the workload, from ``Snapshot.job``
    gpu_type: int  # pool


class Preempt(NamedTuple):
    """Take its GPUs from a running job now; it keeps its progress and goes to the end of the queue."""

    job: int


class Wait(NamedTuple):
    """Let time pass until at least one event has happened, or until a time that comes before it."""

    until_s: float = math.inf


Decision = Start | Preempt | Wait
