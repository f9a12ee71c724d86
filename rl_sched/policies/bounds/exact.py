"""Optima of small instances, with the solver's certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies.bounds import OBJECTIVES
from rl_sched.policies.bounds.instance import Instance, Schedule
from rl_sched.policies.bounds.lower import lower_bounds
from rl_sched.policies.bounds.objectives import Objective
from rl_sched.policies.bounds.ordering import OrderingModel
from rl_sched.policies.bounds.time_indexed import TimeIndexedModel, num_starts
from rl_sched.workload import Workload

#: An objective within this of its bound, relative, is called optimal.
CERTIFIED_GAP = 1e-6
#: Most starts of a time-indexed model; beyond, the ordering model is the faster one.
_MAX_STARTS = 20_000


@dataclass(frozen=True)
class Optimum:
    """The best non-preemptive schedule found, and what is proven about it. n jobs."""

    objective_s: float  #: its value
    bound_s: float  #: no non-preemptive schedule has a smaller value
    start_s: np.ndarray  # (n,) float64
    finish_s: np.ndarray  # (n,) float64
    pool: np.ndarray  # (n,) int64 index into the cluster's pools
    status: str  #: how the solver ended, in its own words
    wall_s: float

    @property
    def gap(self) -> float:
        """How far the value may be above the best possible one, relative."""
        return max(0.0, self.objective_s - self.bound_s) / self.objective_s

    @property
    def certified(self) -> bool:
        """Whether the schedule is proven to be optimal."""
        return self.gap <= CERTIFIED_GAP


def optimum(
    workload: Workload, cluster: ClusterSpec, objective: str = "total_jct", time_limit_s: float = 60.0
) -> Optimum:
    """The best schedule of gangs that run without a break, each on one pool, on any of its GPUs.

    Instances of up to about 8 jobs are solved in seconds, more where times are small whole numbers. The value returned
    is that of a schedule whose times were computed anew in the order that the solver found, so that the solver's
    tolerances cannot make it too small; it is optimal if and only if ``certified``.

    Args:
        workload: The jobs, on whole GPUs.
        cluster: The pools.
        objective: A name of ``OBJECTIVES``: ``total_jct`` or ``makespan``.
        time_limit_s: When the search ends, proven or not.

    Raises:
        ConfigError: The objective is unknown or the limit not positive.
        WorkloadError: A job shares a GPU or fits no pool.
    """
    if not time_limit_s > 0:
        raise ConfigError(f"time_limit_s must be > 0; it is {time_limit_s}. Give the search some seconds.")
    begin = time.perf_counter()
    goal: Objective = OBJECTIVES.create(objective)
    instance = Instance.of(workload, cluster)
    best, value = _first_schedule(instance, goal)
    least = lower_bounds(workload, cluster)
    bound = goal.each * least.total_jct_s + goal.last * least.makespan_s
    status = "Lower bound met"
    if value - bound > CERTIFIED_GAP * value:
        model, unit = _model(instance, goal, value * (1 + CERTIFIED_GAP))
        result = model.program.solve(time_limit_s, CERTIFIED_GAP / 2)
        status = result.status
        # The model has no schedule worse than the first one: a bound beyond says no more than that this is the best.
        bound = max(bound, min((result.bound - model.offset) * unit, value))
        if result.x is not None:
            found = instance.in_order(*model.order_and_pool(result.x))
            if goal.value(instance.submit_s, found.finish_s) < value:
                best, value = found, goal.value(instance.submit_s, found.finish_s)
    return Optimum(value, bound, *best, status, time.perf_counter() - begin)


def _first_schedule(instance: Instance, goal: Objective) -> tuple[Schedule, float]:
    """The best of a few orders of placement, each job where it finishes first, and its value."""
    submit, shortest = instance.submit_s, instance.shortest_s
    ranks = (submit, shortest, shortest * instance.gang, submit + shortest, -shortest, -shortest * instance.gang)
    schedules = [instance.in_order(np.argsort(rank, kind="stable")) for rank in ranks]
    values = [goal.value(submit, schedule.finish_s) for schedule in schedules]
    return schedules[int(np.argmin(values))], min(values)


def _model(instance: Instance, goal: Objective, upper: float) -> tuple[OrderingModel | TimeIndexedModel, float]:
    """The model of an instance, and the seconds of its unit of time; its time 0 is the first submission."""
    zero = instance.submit_s.min()
    times = np.concatenate([instance.submit_s - zero, instance.duration_s[np.isfinite(instance.duration_s)]])
    if (times == np.floor(times)).all():
        unit = float(np.gcd.reduce(times.astype(np.int64)))
        whole = _scaled(instance, zero, unit)
        if num_starts(whole, goal, upper / unit) <= _MAX_STARTS:
            return TimeIndexedModel(whole, goal, upper / unit), unit
    unit = float(instance.shortest_s.mean())
    return OrderingModel(_scaled(instance, zero, unit), goal, upper / unit), unit


def _scaled(instance: Instance, zero_s: float, unit_s: float) -> Instance:
    """The same instance with other times: the solver's tolerances suit numbers near 1."""
    submit, duration = (instance.submit_s - zero_s) / unit_s, instance.duration_s / unit_s
    return Instance(submit, duration, instance.gang, instance.gpus)
