"""What a learner is shown of a plan with reservations: when each waiting job would start, and where."""

from __future__ import annotations

import numpy as np

from rl_sched.config import EnvConfig
from rl_sched.envs import kernels
from rl_sched.envs.observation import JOB_PLAN, ObsSpec, first_column
from rl_sched.envs.window import Shown
from rl_sched.policies.look import Look
from rl_sched.policies.min_min import MinMin
from rl_sched.sim.record import State


class Plan:
    """The plan of ``min_min`` as in the textbook, fitted to nothing: of all jobs in the window, of no arrival to come.

    Args:
        config: Whether it is shown.
        spec: Shapes.
        scale_s: The scenario's typical duration.
        num_envs: N.
        pays: Whether the reward is made of it.

    Attributes:
        loss_s: (N,) time that the present plans lose.
    """

    def __init__(self, config: EnvConfig, spec: ObsSpec, scale_s: float, num_envs: int, *, pays: bool) -> None:
        self.loss_s = np.zeros(num_envs)
        self._active = config.plan or pays
        self._column = first_column(config, JOB_PLAN, spec.num_types) if config.plan else -1
        self._params, self._scale_s = MinMin().params(), scale_s

    def show(
        self, state: State, shown: Shown, look: Look, fresh: np.ndarray, step: np.ndarray, jobs: np.ndarray
    ) -> None:
        """Writes its columns of ``jobs`` (N, W, Fj) and ``planned_s`` of ``step``; ``fresh`` as for the kernel."""
        if self._active:
            kernels.plan_jobs(
                *state.views, self._params, self._scale_s, self._column, fresh, step, self.loss_s, jobs,
                *shown, *look,
            )  # fmt: skip
