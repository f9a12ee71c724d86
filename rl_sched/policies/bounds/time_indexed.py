"""The exact model for whole-numbered times: one variable per job, pool and start time.

With whole numbers as submissions and run times some best schedule starts jobs at whole times only: moved to the left as
far as possible, every job starts at a submission or at another's finish. This model's bounds are much tighter than
those of ``ordering`` (Sousa and Wolsey, 1992), but its size grows with the horizon.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.bounds.instance import Instance
from rl_sched.policies.bounds.mip import Program
from rl_sched.policies.bounds.objectives import Objective


class TimeIndexedModel:
    """The program of an instance whose times are whole numbers; ``order_and_pool`` reads a solution."""

    def __init__(self, instance: Instance, objective: Objective, upper: float) -> None:
        """Builds the program.

        Args:
            instance: The instance.
            objective: What to minimise.
            upper: The value of some schedule: none that is worse is searched.
        """
        self.instance = instance
        self.program = program = Program()
        job, self.pool, self.time = _starts(instance, objective, upper)
        submit, length = instance.submit_s, instance.duration_s[job, self.pool]
        finish = self.time + length
        self.offset = objective.offset(submit)
        columns = program.columns(len(job), integer=True, cost=objective.each * finish)
        (last,) = program.columns(1, lower=submit.min(), upper=np.inf, cost=objective.last)
        program.row([*columns, last], [*(objective.each * finish), objective.last], upper=upper + self.offset)
        for j in range(len(instance)):
            mine = columns[job == j]
            program.row(mine, 1.0, lower=1.0, upper=1.0)
            program.row([last, *mine], [1.0, *(-finish[job == j])], lower=0.0)
        for pool in range(len(instance.gpus)):
            here = self.pool == pool
            # The use of a pool rises at possible starts only.
            for moment in np.unique(self.time[here]):
                busy = np.flatnonzero(here & (self.time <= moment) & (finish > moment))
                program.row(columns[busy], instance.gang[job[busy]], upper=float(instance.gpus[pool]))

    def order_and_pool(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the jobs in the order of their starts, and (n,) the pool of each, of a solution."""
        chosen = np.flatnonzero(x[: len(self.time)] > 0.5)  # job by job, as the columns are
        return np.argsort(self.time[chosen], kind="stable"), self.pool[chosen]


def num_starts(instance: Instance, objective: Objective, upper: float) -> int:
    """How many starts a schedule of at most the value ``upper`` may contain: the size of the program."""
    return int(_windows(instance, objective, upper)[2].sum())


def _starts(instance: Instance, objective: Objective, upper: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Job, pool and time of each of them, job by job."""
    job, pool, count = _windows(instance, objective, upper)
    times = [instance.submit_s[j] + np.arange(k) for j, k in zip(job, count, strict=True)]
    return np.repeat(job, count), np.repeat(pool, count), np.concatenate(times)


def _windows(instance: Instance, objective: Objective, upper: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Job, pool and number of starts of each pair that may be; the first start is the job's submission."""
    job, pool = np.nonzero(np.isfinite(instance.duration_s))
    latest = np.floor(objective.latest_finish(instance.submit_s, instance.shortest_s, upper) + 1e-6)
    count = latest[job] - instance.duration_s[job, pool] - instance.submit_s[job] + 1
    return job, pool, np.maximum(count, 0).astype(np.int64)
