"""What a policy sees, and what it may answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Snapshot(NamedTuple):
    """A read-only view of the cluster at a decision. n waiting jobs in the window, T GPU types, G GPUs.

    The rows of the waiting jobs are in order of arrival.
    """

    now_s: float
    decision: int  # 0, 1, 2, ... within the episode
    can_wait: bool  # False where nothing runs and nothing will arrive: waiting would last for ever
    job: np.ndarray  # (n,) row of the job in the workload
    submit_s: np.ndarray  # (n,)
    num_gpus: np.ndarray  # (n,)
    priority: np.ndarray  # (n,) larger = more urgent
    duration_s: np.ndarray  # (n, T) run time on each type, inf = impossible
    feasible: np.ndarray  # (n, T) bool: could start now on that type
    free_gpus: np.ndarray  # (T,)
    type_gpus: np.ndarray  # (T,) GPUs of each type, busy or not
    gpu_type: np.ndarray  # (G,)
    remaining_s: np.ndarray  # (G,) time until the GPU is free, 0 = idle
    running_job: np.ndarray  # (G,) row of the job on the GPU, -1 = idle
    num_waiting: int  # in the window and beyond
    num_running: int
    num_arrived: int


class Start(NamedTuple):
    """Start a waiting job now."""

    job: int  # row in the workload, from ``Snapshot.job``
    gpu_type: int


class Wait(NamedTuple):
    """Let time pass until at least one event has happened."""


Decision = Start | Wait
