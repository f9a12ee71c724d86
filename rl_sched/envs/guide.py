"""A registered rule that guides a learner: its action as a feature, its exact cost-to-go as a potential."""

from __future__ import annotations

import numpy as np

from rl_sched.config import GuideConfig
from rl_sched.envs import kernels
from rl_sched.envs.window import Shown
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.policies.look import Look
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.record import State

#: More arrivals than a workload has.
EVERY_JOB = 1 << 40


class Guide:
    """The rule of a ``GuideConfig``, compiled; ``code`` is -1 where there is none.

    Args:
        config: The settings.
        scenario: Where it guides; it holds the parameters of ``NAME_tuned``.

    Raises:
        ConfigError: The policy is not a compiled rule, or arrivals are to be cut that lie in an event heap.
    """

    def __init__(self, config: GuideConfig, scenario: Scenario) -> None:
        self.code = -1
        self.params = np.zeros(1)
        self.active = config.policy is not None
        self.feature = self.active and config.feature
        self._first, self._growing = config.arrivals, config.arrivals_frac
        self.set_progress(0.0)
        if config.policy is not None:
            name, fitted = scenario.rule(config.policy)
            rule = POLICIES.create(name, **{**fitted, **config.params})
            if not hasattr(rule, "code"):
                known = [name for name in POLICIES if hasattr(POLICIES.load(name), "code")]
                raise ConfigError(f"A guide must be a compiled rule ({', '.join(known)}); got {config.policy!r}.")
            self.code = int(rule.code)
            self.params = rule.params()
        if config.arrivals is not None and scenario.rules.tie_order == "heapq":
            raise ConfigError(
                f"env.guide.arrivals must be null where rules.tie_order is heapq; it is {config.arrivals} on "
                f"{scenario.name!r}. Leave it out."
            )

    def advise(self, state: State, shown: Shown, look: Look, jobs: np.ndarray, out: np.ndarray) -> None:
        """Writes the rule's action in every environment, to ``out`` (N,) and, if a feature, to the last columns."""
        column = jobs.shape[2] - len(shown.kinds) if self.feature else -1
        kernels.advise_all(*state.views, self.code, self.params, column, jobs, out, *shown, *look)

    def set_progress(self, frac: float) -> None:
        """Decides, by the part of the training that is done, how many arrivals to come a cost-to-go counts.

        The difference that an action makes to the cost-to-go hides in what the two futures have different by chance,
        the more the longer they go on: among few arrivals it shows in a tenth of the samples. But what is put off until
        after them counts for nothing, so that in the end all must count.
        """
        self._arrivals = EVERY_JOB
        if self._first is not None and frac < self._growing:
            self._arrivals = int(min(self._first / (1.0 - frac / self._growing) ** 2, EVERY_JOB))

    def horizon(self, state: State, n: int) -> np.ndarray:
        """(N,) int64: the number of the workload's first arrivals that a cost-to-go from now on counts."""
        return state.views.head["num_arrived"][:n].astype(np.int64) + self._arrivals

    def costs_to_go(self, state: State, wanted: np.ndarray, horizon: np.ndarray, look: Look) -> np.ndarray:
        """(N,) where ``wanted (N,)``, the job-seconds until the end under the rule, with the true arrivals; else 0."""
        out = np.zeros(len(wanted))
        kernels.costs_to_go(*state.views, state.raw, wanted, horizon, self.code, self.params, out, *look)
        return out
