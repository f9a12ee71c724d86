"""The exact model for arbitrary times: which job hands its GPUs on to which.

Variables: ``y[j, p]`` job j runs on pool p, ``S[j]`` its start, ``x[i, j]`` job i ends before j starts, and
``f[i, j, p]`` the GPUs of pool p that j takes over from i. Every GPU of a job comes from those that are idle at the
beginning or from a job that ended before; since a gang may lie anywhere in a pool, such flows exist exactly for the
schedules that never use more GPUs than there are (Artigues, Michelon and Reusser, 2003). Inequalities on mean busy
times or on the transitivity of x were tried: they cost more than they save.
"""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from rl_sched.policies.bounds.instance import Instance
from rl_sched.policies.bounds.mip import Program
from rl_sched.policies.bounds.objectives import Objective


class OrderingModel:
    """The program of an instance; ``order_and_pool`` reads a solution."""

    def __init__(self, instance: Instance, objective: Objective, upper: float) -> None:
        """Builds the program.

        Args:
            instance: Its times should be near 1 (see ``exact``).
            objective: What to minimise.
            upper: The value of some schedule: none that is worse is searched.
        """
        n = len(instance)
        self.instance = instance
        self.program = Program()
        self.able = np.isfinite(instance.duration_s)
        self.latest = objective.latest_finish(instance.submit_s, instance.shortest_s, upper)
        self.offset = objective.offset(instance.submit_s)
        self.y = np.full(self.able.shape, -1)
        self.y[self.able] = self.program.columns(int(self.able.sum()), integer=True)
        self.start = self.program.columns(
            n, lower=instance.submit_s, upper=np.maximum(self.latest - instance.shortest_s, instance.submit_s)
        )
        self.before: dict[tuple[int, int], int] = {}
        self.flow: dict[tuple[int, int, int], int] = {}
        for j in range(n):
            self.program.row(self.y[j, self.able[j]], 1.0, lower=1.0, upper=1.0)
        self._minimise(objective, upper)
        for i, j in permutations(range(n), 2):
            self._hand_over(i, j)
        for i, j in combinations(range(n), 2):
            self._exclude(i, j)
        for pool in range(len(instance.gpus)):
            self._balance(pool)

    def _finish(self, job: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and values whose product is the job's finish."""
        able = self.able[job]
        return np.append(self.y[job, able], self.start[job]), np.append(self.instance.duration_s[job, able], 1.0)

    def _minimise(self, objective: Objective, upper: float) -> None:
        """Columns for the sum of finish times and for the last one, and the limit of the objective."""
        total, last = self.program.columns(2, upper=np.inf, cost=[objective.each, objective.last])
        finishes = [self._finish(j) for j in range(len(self.instance))]
        for columns, values in finishes:
            self.program.row([last, *columns], [1.0, *(-values)], lower=0.0)
        every, of_every = (np.concatenate(parts) for parts in zip(*finishes, strict=True))
        self.program.row([total, *every], [1.0, *(-of_every)], lower=0.0)
        self.program.row([total, last], [objective.each, objective.last], upper=upper + self.offset)

    def _hand_over(self, i: int, j: int) -> None:
        """Job j may take over GPUs from i if it starts after i's end, where it can."""
        instance = self.instance
        shared = np.flatnonzero(self.able[i] & self.able[j])
        too_late = instance.submit_s[i] + instance.shortest_s[i] > self.latest[j] - instance.shortest_s[j]
        if too_late or not shared.size:
            return
        self.before[i, j] = follows = int(self.program.columns(1, integer=True)[0])
        handed = self.program.columns(len(shared), upper=np.inf)
        self.flow.update(((i, j, int(pool)), int(column)) for pool, column in zip(shared, handed, strict=True))
        # With x = 1 start_j >= finish_i; with x = 0 nothing: finish_i - start_j is at most the slack anyway.
        slack = max(self.latest[i] - instance.submit_s[j], 0.0)
        columns, values = self._finish(i)
        self.program.row([self.start[j], follows, *columns], [1.0, -slack, *(-values)], lower=-slack)
        width = float(min(instance.gang[i], instance.gang[j]))
        self.program.row([*handed, follows], [*np.ones(len(handed)), -width], upper=0.0)

    def _exclude(self, i: int, j: int) -> None:
        """Not both before each other; one before the other if they share a pool that is too small for both."""
        instance = self.instance
        pair = [self.before[k] for k in ((i, j), (j, i)) if k in self.before]
        if len(pair) == 2:
            self.program.row(pair, 1.0, upper=1.0)
        tight = self.able[i] & self.able[j] & (instance.gang[i] + instance.gang[j] > instance.gpus)
        for pool in np.flatnonzero(tight):
            self.program.row([*pair, self.y[i, pool], self.y[j, pool]], [*np.ones(len(pair)), -1, -1], lower=-1.0)

    def _balance(self, pool: int) -> None:
        """No job gives or takes more GPUs than it has; what is not taken over comes from the idle ones, once each."""
        columns_of_all, values_of_all = [], []
        for job in np.flatnonzero(self.able[:, pool]):
            gang = float(self.instance.gang[job])
            into = [column for (_, j, p), column in self.flow.items() if (j, p) == (job, pool)]
            out = [column for (i, _, p), column in self.flow.items() if (i, p) == (job, pool)]
            for columns in (into, out):
                self.program.row([*columns, self.y[job, pool]], [*np.ones(len(columns)), -gang], upper=0.0)
            columns_of_all += [self.y[job, pool], *into]
            values_of_all += [gang, *(-np.ones(len(into)))]
        self.program.row(columns_of_all, values_of_all, upper=float(self.instance.gpus[pool]))

    def order_and_pool(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the jobs in the order of their starts, and (n,) the pool of each, of a solution."""
        pool = np.where(self.y >= 0, x[self.y], -1.0).argmax(axis=1)
        return np.argsort(x[self.start], kind="stable"), pool
