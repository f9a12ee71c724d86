"""Jobs to machines by min-cost matching, as AlloX does, extended to gangs. A pure function.

AlloX (Le, Sun, Chowdhury and Liu: AlloX: Compute allocation in hybrid clusters, EuroSys 2020) minimises the sum of
completion times of waiting jobs on machines of different speeds: a job that is k-th from the end on a machine delays
itself and the k - 1 jobs behind it by its run time there, thus costs k times that run time, and the best assignment of
jobs to (machine, position from the end) is a bipartite matching (Horn, 1973; Bruno, Coffman and Sethi, 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from rl_sched.errors import WorkloadError


class Slots(NamedTuple):
    """Groups of GPUs that take one job of full width at a time. S slots."""

    gpu_type: np.ndarray  # (S,) int64
    share_gpus: np.ndarray  # (S,) float64 GPUs of the type over its slots: the width, and the slot's part of the rest
    free_in_s: np.ndarray  # (S,) float64 time from now until enough GPUs for the slot's width are free


class Matching(NamedTuple):
    """The plan for n waiting jobs."""

    gpu_type: np.ndarray  # (n,) int64 type that the job shall run on
    slot: np.ndarray  # (n,) int64 row of ``slots``
    start_in_s: np.ndarray  # (n,) float64 planned start, from now
    slots: Slots
    total_completion_s: float  #: sum over jobs of the planned time from now until completion
    run_now: np.ndarray  # (k,) int64 rows of the jobs to start now, in this order


def match(duration_s: np.ndarray, gang: np.ndarray, free_in_s: Sequence[np.ndarray]) -> Matching:
    """Assigns every waiting job to a GPU type and a place in its queue, and names the jobs to start now.

    GPUs of a type are grouped, in the order in which they become free, into slots as wide as the widest gang that may
    run there; GPUs that do not fill a slot are shared out among the slots. A job that is as wide as its slot fills it.
    For a narrower one this is an approximation: it holds up the jobs behind it by its area over the slot's GPUs, as if
    the slot were divisible, but takes its whole run time itself.
    The plan is optimal if all gangs that may run on a type are equally wide, divide its GPUs, and its GPUs become free
    in such groups; for 1-GPU jobs it is AlloX without its fairness filter.

    Jobs start now in the order of their planned starts, on each type until the first that does not fit: it keeps its
    place, no later job overtakes it.

    Args:
        duration_s: (n, T) run time of each job on each type, inf where it cannot run.
        gang: (n,) GPUs of each job.
        free_in_s: T arrays, one entry a GPU: time from now until it is free, 0 = idle.

    Returns:
        The plan; n = 0 gives an empty one.

    Raises:
        WorkloadError: A job fits no type on which it can run, or a shape is wrong.
    """
    width = np.asarray(gang, dtype=np.int64)
    n = len(width)
    pools = [np.sort(np.asarray(times, dtype=np.float64)) for times in free_in_s]
    size = np.array([len(times) for times in pools])
    run_s = np.array(duration_s, dtype=np.float64).reshape(n, len(pools))
    if not ((run_s > 0).all() and (width > 0).all() and all((times >= 0).all() for times in pools)):
        raise WorkloadError(
            "A matching needs run times > 0 (inf = impossible), gangs > 0 and free times >= 0; some value is not. "
            "Mend it."
        )
    run_s[width[:, None] > size[None, :]] = np.inf
    stuck = np.flatnonzero(~np.isfinite(run_s).any(axis=1))
    if stuck.size:
        raise WorkloadError(
            f"Every job to match needs a GPU type with room for its gang on which it can run; row {stuck[0]} "
            f"({width[stuck[0]]} GPUs) has none among types of {size.tolist()} GPUs. Leave it out."
        )
    slots = _slots(run_s, width, pools)
    if n == 0:
        none = np.zeros(0, np.int64)
        return Matching(none, none, np.zeros(0), slots, 0.0, none)
    own_s = run_s[:, slots.gpu_type]  # (n, S)
    hold_s = own_s * (width[:, None] / slots.share_gpus[None, :])  # (n, S) delay of each job behind
    slot, from_end = _assign(slots.free_in_s + own_s, hold_s)
    rows = np.arange(n)
    start = slots.free_in_s[slot] + _delay(slot, from_end, hold_s[rows, slot])
    total = float((start + own_s[rows, slot]).sum())
    gpu_type = slots.gpu_type[slot]
    idle = np.array([(times == 0).sum() for times in pools])
    return Matching(gpu_type, slot, start, slots, total, _startable(gpu_type, start, width, idle))


def _slots(run_s: np.ndarray, width: np.ndarray, pools: list[np.ndarray]) -> Slots:
    """Groups each type's GPUs in the order of their free times."""
    kinds: list[int] = []
    shares: list[float] = []
    times: list[float] = []
    for kind, pool in enumerate(pools):
        able = np.isfinite(run_s[:, kind])
        if able.any():
            wide = int(width[able].max())
            last = pool[wide - 1 :: wide]
            kinds += [kind] * len(last)
            shares += [len(pool) / len(last)] * len(last)
            times += last.tolist()
    return Slots(np.array(kinds, np.int64), np.array(shares), np.array(times))


def _assign(alone_s: np.ndarray, hold_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slot and position from the end (0 = last) of each job, at least cost ``alone_s + position * hold_s``.

    A matching with K positions per slot whose last position is free on every slot is best for any number: in the dual
    program these free columns have price 0, and further ones, no cheaper, may be given price 0 as well. So the search
    begins with a few more positions than an even spread needs.

    Args:
        alone_s: (n, S) completion time of each job if it were alone on each slot, inf where it cannot run.
        hold_s: (n, S) what it adds to the completion of each job behind it.
    """
    n, num_slots = alone_s.shape
    positions = min(n, 2 + -(-n // num_slots))
    while True:
        cost = alone_s[:, :, None] + np.where(np.isfinite(hold_s), hold_s, 0.0)[:, :, None] * np.arange(positions)
        # Solvers of assignments raise on too many forbidden pairs; a job that cannot be placed takes a last resort.
        finite = cost[np.isfinite(cost)]
        dear = finite.max() * (n + 1)
        _, column = linear_sum_assignment(np.where(np.isfinite(cost), cost, dear).reshape(n, -1))
        slot, from_end = np.divmod(column, positions)
        allowed = np.isfinite(alone_s[np.arange(n), slot]).all()
        if positions >= n or (allowed and from_end.max() < positions - 1):
            return slot, from_end
        positions = min(n, 2 * positions)


def _delay(slot: np.ndarray, from_end: np.ndarray, hold_s: np.ndarray) -> np.ndarray:
    """(n,) what the jobs ahead of each in its slot hold it up, from what each of them does. All (n,)."""
    order = np.lexsort((-from_end, slot))  # slot by slot, the first to start first
    ahead = np.cumsum(hold_s[order]) - hold_s[order]
    begins = np.flatnonzero(np.diff(slot[order], prepend=-1))
    delay = np.empty(len(slot))
    delay[order] = ahead - np.repeat(ahead[begins], np.diff(np.append(begins, len(slot))))
    return delay


def _startable(gpu_type: np.ndarray, start_in_s: np.ndarray, gang: np.ndarray, idle: np.ndarray) -> np.ndarray:
    """Rows that start now: per type the prefix, in the order of planned starts, that fits the idle GPUs."""
    order = np.argsort(start_in_s, kind="stable")
    ranked = gpu_type[order]
    now = np.zeros(len(order), bool)
    for kind, free in enumerate(idle):
        mine = np.flatnonzero(ranked == kind)
        now[mine[np.cumsum(gang[order[mine]]) <= free]] = True
    return order[now]
