"""Lower bounds that hold for every schedule, in O(n log n): a million jobs in seconds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.policies.bounds.relaxation import components, costs
from rl_sched.policies.bounds.single_machine import shortest_first, shortest_remaining_first
from rl_sched.workload import Workload


class LowerBounds(NamedTuple):
    """What every schedule needs at least."""

    total_jct_s: float  #: sum over jobs of finish - submission
    makespan_s: float  #: from the first submission to the last finish


def lower_bounds(workload: Workload, cluster: ClusterSpec) -> LowerBounds:
    """Bounds for any schedule of the workload: preempting or not, migrating or not, with any placement in a pool.

    Overheads (restarts, locality, failures, rounds) only make schedules longer, so that the bounds hold with them too.
    Parts of the cluster that share no job are bounded one by one; several relaxations are tried, the largest counts.
    Proofs: ``relaxation`` for the step to one machine, ``_total_jct`` and ``_last_finish`` for the rest.
    """
    duration = workload.duration_on(cluster)
    demand_milli = workload.num_gpus * workload.gpu_milli
    job_part, pool_part = components(duration)
    total, last = 0.0, 0.0
    for part in range(int(pool_part.max()) + 1):
        jobs, pools = np.flatnonzero(job_part == part), np.flatnonzero(pool_part == part)
        if not jobs.size:
            continue
        submit, runs = workload.submit_s[jobs], duration[np.ix_(jobs, pools)]
        shortest = runs.min(axis=1)
        machine = list(costs(runs, demand_milli[jobs], cluster.pool_gpus[pools]))
        # Scheduling one machine is what takes time: the relaxation with most work and the plain one promise most.
        heavy = max(machine[1:], key=lambda q: float(q.sum()))
        total += max(_total_jct(submit, shortest, q) for q in (machine[0], heavy))
        last = max(last, *(_last_finish(submit, shortest, q) for q in machine))
    return LowerBounds(total, last - float(workload.submit_s[0]))


def _total_jct(submit_s: np.ndarray, shortest_s: np.ndarray, work_s: np.ndarray) -> float:
    """A lower bound of the sum of completion times of jobs that cost ``work_s`` of one machine. All (n,).

    Three bounds hold for any set of jobs, here for each busy period of the one machine (whose schedule is the same
    with and without the jobs of other periods), and the largest counts:

    1. No job is faster than on its fastest pool: ``sum_j shortest_j``.
    2. The machine finishes the jobs no earlier than by shortest remaining work: ``sum_j C_j - submit_j``.
    3. Let ``M_j`` be the mean of the times at which the job makes progress. It makes at most ``1 / shortest_j`` of its
       work per second, up to its finish, so that ``finish_j >= M_j + shortest_j / 2``. And ``sum_j M_j`` is at least
       what it is on the machine by shortest work. (Eastman, Even and Isaacs, 1964; Goemans, 1997.)
    """
    by_remaining = shortest_remaining_first(submit_s, work_s)
    by_work = shortest_first(submit_s, work_s)
    each = (shortest_s, by_remaining.finish_s - submit_s, by_work.mean_busy_s - submit_s + shortest_s / 2)
    begins = np.flatnonzero(np.diff(by_remaining.period, prepend=-1))
    return float(np.max([np.add.reduceat(jct, begins) for jct in each], axis=0).sum())


def _last_finish(submit_s: np.ndarray, shortest_s: np.ndarray, work_s: np.ndarray) -> float:
    """A lower bound of the last finish time, (n,) columns sorted by submission.

    Each job takes its shortest run time after its submission; and the jobs submitted at or after any moment keep the
    one machine busy for the sum of their works from then on.
    """
    from_then = np.cumsum(work_s[::-1])[::-1]
    return float(max((submit_s + shortest_s).max(), (submit_s + from_then).max()))
