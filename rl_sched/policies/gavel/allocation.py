"""Gavel's objectives: max-min fairness, finish-time fairness, makespan. Pure functions of the active jobs.

Sources: Narayanan, Santhanam, Kazhamiaka, Phanishayee and Zaharia: Heterogeneity-aware cluster scheduling policies for
deep learning workloads, OSDI 2020, section 4, and the policies ``max_min_fairness_perf``,
``finish_time_fairness_perf`` and ``min_total_duration_perf`` that were published with it. Pass one ``AllocationSolver``
to all calls of a run: it starts each search where the last one ended.
"""

from __future__ import annotations

import numpy as np

from rl_sched.errors import WorkloadError
from rl_sched.policies.gavel.active import ActiveJobs
from rl_sched.policies.gavel.solver import Allocation, AllocationSolver, Choice

#: Relative gap between the finish-time fairness found and what is proven to be the best.
RHO_TOLERANCE = 1e-6
#: Programs solved per finish-time fairness at most; the gap halves at least with every second one.
_MAX_PROGRAMS = 100


def max_min_fairness(
    active: ActiveJobs, solver: AllocationSolver | None = None, choice: Choice = Choice.CENTRE
) -> Allocation:
    """Least attained service across GPU types: the worst-off job gets as much as possible.

    A job's share is its throughput over that of an equal split (its time spread over the types in proportion to their
    GPUs), times its gang, over its weight: a job on one GPU gets g times the time of one on g GPUs.

    Returns:
        The allocation; its objective is the least share.
    """
    scale = active.gang / (active.weight * active.proportional_throughput)
    return (solver or AllocationSolver()).max_min(active.throughput * scale[:, None], active, choice)


def min_makespan(
    active: ActiveJobs,
    work_left: object,
    solver: AllocationSolver | None = None,
    choice: Choice = Choice.CENTRE,
) -> Allocation:
    """The last job ends as early as possible, if fractions of time were given for ever.

    All end by T if ``throughput_j . X_j >= work_j / T``: one program that maximises 1 / T, where the published policy
    bisects on T to within 5 %.

    Args:
        active: The jobs.
        work_left: (n,) > 0, in the unit of the throughputs (steps for steps/s).
        solver: The solver of this run.
        choice: Which of the optimal allocations.

    Returns:
        The allocation; its objective is T in s, 0 without jobs.

    Raises:
        WorkloadError: Some work is not positive.
    """
    work = _column(work_left, active, "work_left", positive=True)
    found = (solver or AllocationSolver()).max_min(active.throughput / work[:, None], active, choice)
    return Allocation(found.time_frac, 1.0 / found.objective)


def finish_time_fairness(
    active: ActiveJobs,
    work_left: object,
    elapsed_s: object,
    isolated_s: object,
    solver: AllocationSolver | None = None,
    choice: Choice = Choice.CENTRE,
) -> Allocation:
    """The largest ratio of a job's finish time to the one it would have had alone on 1/n of the cluster is least.

    ``rho_j = (elapsed_j + work_j / (throughput_j . X_j)) / (isolated_j + work_j / isolated_throughput_j)``. For a
    target r, all rho are <= r if every job's rate is at least ``need_j = work_j / (r alone_j - elapsed_j)``, where
    alone is the denominator. Let z be the largest common multiple of ``need`` that can be served. Its allocation
    attains some rho, which bounds the optimum from above. From below: rates above z need are impossible, thus at the
    optimum some job j has ``r* alone_j - elapsed_j >= (r alone_j - elapsed_j) / z``. The search moves r to the rho
    attained (Dinkelbach's step), or to the middle of both bounds where that halved nothing, until they meet.

    Args:
        active: The jobs.
        work_left: (n,) > 0, in the unit of the throughputs.
        elapsed_s: (n,) >= 0 since the job was submitted.
        isolated_s: (n,) >= 0 that the work done so far would have taken alone: the sum, over the times between two
            allocations, of the work done then over ``isolated_throughput`` then.
        solver: The solver of this run.
        choice: Which of the optimal allocations.

    Returns:
        The allocation; its objective is the largest rho, within ``RHO_TOLERANCE`` of the least one; 0 without jobs.

    Raises:
        WorkloadError: A column is not of the stated sign.
    """
    work = _column(work_left, active, "work_left", positive=True)
    elapsed = _column(elapsed_s, active, "elapsed_s")
    programs = solver or AllocationSolver()
    if len(active) == 0:
        return Allocation(programs.max_min(active.throughput, active).time_frac, 0.0)
    alone = _column(isolated_s, active, "isolated_s") + work / active.isolated_throughput
    least = elapsed / alone  # no job's rho can be smaller

    def rho(found: Allocation) -> float:
        served = (active.throughput * found.time_frac).sum(axis=1)
        return float(((elapsed + work / served) / alone).max())

    def serve(target: float, choice: Choice) -> Allocation:
        need = work / (target * alone - elapsed)
        return programs.max_min(active.throughput / need[:, None], active, choice)

    best = programs.max_min(active.throughput / work[:, None], active)
    low, high = float(least.max()), rho(best)
    target = high
    for _ in range(_MAX_PROGRAMS):
        gap = high - low
        if gap <= RHO_TOLERANCE * high:
            break
        trial = serve(target, Choice.CORNER)
        low = max(low, float((least + (target - least) / trial.objective).min()))
        if rho(trial) < high:
            best, high = trial, rho(trial)
        target = high if high - low <= gap / 2 else (low + high) / 2
    if choice is not Choice.CORNER:
        best = serve(high, choice)
    return Allocation(best.time_frac, rho(best))


def _column(values: object, active: ActiveJobs, name: str, *, positive: bool = False) -> np.ndarray:
    """(n,) float64, checked."""
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (len(active),) or not ((column > 0) if positive else (column >= 0)).all():
        raise WorkloadError(
            f"{name} must hold one number {'> 0' if positive else '>= 0'} for each of the {len(active)} jobs; it has "
            f"shape {column.shape} and the smallest is {column.min() if column.size else None}. Leave out other jobs."
        )
    return column
