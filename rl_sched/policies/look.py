"""What a compiled rule looks at: the scratch arrays of one decision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper
from rl_sched.sim.record import IDLE

#: Rows that a planning rule passes over at once.
BLOCK = 64


class Look(NamedTuple):
    """Scratch arrays of one decision; W rows of the window of which ``n`` are used, T types, G GPUs."""

    job: np.ndarray  # (W,) int64
    gang: np.ndarray  # (W,) int64
    submit: np.ndarray  # (W,) s
    duration: np.ndarray  # (W, T) s
    feasible: np.ndarray  # (W, T) bool
    free_at: np.ndarray  # (T, G) s from now until 1, 2, ... GPUs of the type are free; inf beyond its size
    plan: np.ndarray  # (T, G) copy of free_at that a planning rule changes
    done: np.ndarray  # (W,) bool scratch
    bound: np.ndarray  # (W,) scratch
    block: np.ndarray  # (W / BLOCK,) scratch: least ``bound`` of BLOCK rows
    free: np.ndarray  # (T,) int64 idle GPUs
    when: np.ndarray  # (3, W) s scratch: starts of the jobs in a plan and in a trial of it, and their least run times
    turn: np.ndarray  # (4, W) int64 scratch: types of the jobs in a plan and in a trial of it, and the orders of both


def num_blocks(rows: int) -> int:
    """How many blocks hold ``rows`` rows."""
    return -(-rows // BLOCK)


def new_look(rows: int, num_types: int, num_gpus: int) -> Look:
    """Scratch for windows up to ``rows`` jobs."""
    return Look(
        job=np.zeros(rows, np.int64),
        gang=np.zeros(rows, np.int64),
        submit=np.zeros(rows),
        duration=np.zeros((rows, num_types)),
        feasible=np.zeros((rows, num_types), np.bool_),
        free_at=np.full((num_types, num_gpus), np.inf),
        plan=np.zeros((num_types, num_gpus)),
        done=np.zeros(rows, np.bool_),
        bound=np.zeros(rows),
        block=np.zeros(num_blocks(rows)),
        free=np.zeros(num_types, np.int64),
        when=np.zeros((3, rows)),
        turn=np.zeros((4, rows), np.int64),
    )


@helper
def fill_free_at(s, e, look):
    """Writes sorted times from now until 1, 2, ... GPUs of each type are free; ``look.free`` is scratch.

    Slots beyond the GPUs of a type are never written: they stay inf.
    """
    now = s.head[e].now
    for t in range(s.types.shape[1]):
        free = s.types[e, t].free
        look.free[t] = free
        for k in range(free):
            look.free_at[t, k] = 0.0
    for g in range(s.gpus.shape[1]):
        r = s.gpus[e, g]
        if r.job != IDLE:
            left = max(r.end_s - now, 0.0)
            k = look.free[r.type]
            look.free[r.type] = k + 1
            while k > 0 and look.free_at[r.type, k - 1] > left:
                look.free_at[r.type, k] = look.free_at[r.type, k - 1]
                k -= 1
            look.free_at[r.type, k] = left
