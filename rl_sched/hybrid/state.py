"""The record of a machine at work, for the kernels: tasks, devices, the heap of tasks that wait for their turn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.hybrid.model import MACHINE
from rl_sched.hybrid.tasks import MAX_PARENTS
from rl_sched.sim.heaps import ENTRY

#: One task: what it is, and what became of it. Times in seconds; -1 in a column of numbers means none or not yet.
TASK = np.dtype(
    [
        ("size", "f8"), ("intensity", "f8"), ("memory_mb", "f8"), ("arrival_s", "f8"), ("duration_s", "f8"),
        ("pending", "i8"),  # parents that have not been decided
        ("first_edge", "i8"),  # list of children: edge 3 * child + slot
        ("ready_s", "f8"), ("fraction", "f8"), ("finish_s", "f8"), ("energy_j", "f8"), ("cost_usd", "f8"),
        ("cpu", "i8"), ("cpu_start_s", "f8"), ("cpu_end_s", "f8"),
        ("gpu", "i8"), ("copy_start_s", "f8"), ("gpu_start_s", "f8"), ("gpu_end_s", "f8"), ("gpu_mb", "f8"),
        ("next", "i8"),  # the task behind this one in the GPU's memory
    ]
)  # fmt: skip
CPU = np.dtype([("free_s", "f8"), ("busy_s", "f8")])
GPU = np.dtype(
    [("free_s", "f8"), ("busy_s", "f8"), ("link_free_s", "f8"), ("used_mb", "f8"), ("first", "i8"), ("last", "i8")]
)
HEAD = np.dtype([("num_tasks", "i8"), ("heap", "i8"), ("decided", "i8"), ("now_s", "f8"), ("end_s", "f8")])

#: What a strategy may know of a task when it decides: columns of ``Situations.values``.
COLUMNS = (
    "size", "intensity", "memory_mb", "duration_s", "gpu_s", "copy_s", "max_fraction",
    "cpu_wait_s", "gpu_wait_s", "link_wait_s", "room_fraction",
)  # fmt: skip

NONE = -1


class State(NamedTuple):
    """Everything of one machine at work. N tasks, C CPUs, G GPUs."""

    machine: np.ndarray  # (1,) MACHINE
    head: np.ndarray  # (1,) HEAD
    tasks: np.ndarray  # (N,) TASK
    parents: np.ndarray  # (N, 3) i8
    edges: np.ndarray  # (N, 3) i8, the next edge of the same parent
    heap: np.ndarray  # (N,) ENTRY, tasks that only wait for their turn, by time and number
    cpus: np.ndarray  # (C,) CPU
    gpus: np.ndarray  # (G,) GPU


def new_state(machine: np.ndarray, capacity: int) -> State:
    """An idle machine with room for ``capacity`` tasks."""
    assert machine.dtype == MACHINE
    gpus = np.zeros(int(machine["num_gpus"][0]), GPU)
    gpus["first"] = gpus["last"] = NONE
    return State(
        machine, np.zeros(1, HEAD), np.zeros(capacity, TASK), np.full((capacity, MAX_PARENTS), NONE),
        np.full((capacity, MAX_PARENTS), NONE), np.zeros(capacity, ENTRY),
        np.zeros(int(machine["num_cpus"][0]), CPU), gpus,
    )  # fmt: skip
