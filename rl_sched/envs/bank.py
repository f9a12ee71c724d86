"""Loaded records of a scenario's workloads, made on first use: resetting an environment is one copy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.envs.observation import static_features
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.loading import ClassTable, load, run_times, visible_factors
from rl_sched.sim.record import Sizes, State
from rl_sched.workload import Workload

#: Decisions per job after which an episode is cut: a policy that waits for ever must not hang its learner.
MAX_DECISIONS_PER_JOB = 50


class Loaded(NamedTuple):
    """One workload, ready to play."""

    workload: Workload
    record: np.ndarray  # (bytes,) at its first decision
    static: np.ndarray  # (J, 3 + T) static features
    mean_run_s: float  # mean run time of its jobs, each on its fastest type


class Bank:
    """Records by workload seed."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        largest = int(scenario.cluster.pool_gpus.max())
        jobs = scenario.num_jobs
        self.sizes = Sizes(jobs, jobs, jobs * largest, jobs)  # where GPUs are shared, all jobs may run at one time
        self._stage = State(scenario.cluster, scenario.rules, 1, self.sizes)
        if scenario.rules.max_steps is None:
            self._stage.views.head["max_steps"] = MAX_DECISIONS_PER_JOB * jobs
        self._loaded: dict[tuple[int, float, float], Loaded] = {}

    def __getitem__(self, seed: int) -> Loaded:
        return self.at(seed)

    def at(self, seed: int, load_factor: float = 1.0, jobs_frac: float = 1.0) -> Loaded:
        """The workload of a seed, or an easier form of it.

        Args:
            seed: Of the workload.
            load_factor: Its jobs arrive this many times as fast.
            jobs_frac: Only this part of its jobs, the first ones; at least one.
        """
        key = (seed, load_factor, jobs_frac)
        if key not in self._loaded:
            scenario = self.scenario
            workload = scenario.workload(seed).scale_load(load_factor)
            if jobs_frac < 1.0:
                workload = workload.take(np.arange(max(1, round(jobs_frac * len(workload)))), rebase=False)
            dur = run_times(workload, scenario.cluster, scenario.rules)
            table, klass = ClassTable.of(workload, scenario.cluster, dur)
            load(self._stage, 0, workload, dur, table, klass)
            seen = dur * visible_factors(workload, scenario.rules)[:, None]
            static = static_features(
                workload.gpu_demand, workload.priority, seen, scenario.cluster.pool_gpus, scenario.time_scale_s
            )
            self._loaded[key] = Loaded(workload, self._stage.raw[0].copy(), static, float(dur.min(axis=1).mean()))
        return self._loaded[key]

    def forget(self) -> None:
        """Frees all workloads; they are made again where they are asked for."""
        self._loaded.clear()
