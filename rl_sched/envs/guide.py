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


class Guide:
    """The rule of a ``GuideConfig``, compiled; ``code`` is -1 where there is none.

    Args:
        config: The settings.
        scenario: Where it guides; it holds the parameters of ``NAME_tuned``.

    Raises:
        ConfigError: The policy is not a compiled rule.
    """

    def __init__(self, config: GuideConfig, scenario: Scenario) -> None:
        self.code = -1
        self.params = np.zeros(1)
        self.active = config.policy is not None
        self.feature = self.active and config.feature
        if config.policy is not None:
            name, fitted = scenario.rule(config.policy)
            rule = POLICIES.create(name, **{**fitted, **config.params})
            if not hasattr(rule, "code"):
                known = [name for name in POLICIES if hasattr(POLICIES.load(name), "code")]
                raise ConfigError(f"A guide must be a compiled rule ({', '.join(known)}); got {config.policy!r}.")
            self.code = int(rule.code)
            self.params = rule.params()

    def advise(self, state: State, shown: Shown, look: Look, jobs: np.ndarray, out: np.ndarray) -> None:
        """Writes the rule's action in every environment, to ``out`` (N,) and, if a feature, to the last columns."""
        column = jobs.shape[2] - len(shown.kinds) if self.feature else -1
        kernels.advise_all(*state.views, self.code, self.params, column, jobs, out, *shown, *look)

    def costs_to_go(self, state: State, wanted: np.ndarray, look: Look, out: np.ndarray) -> None:
        """Writes, where ``wanted (N,)``, the job-seconds until the end under the rule, with the true arrivals."""
        kernels.costs_to_go(*state.views, state.raw, wanted, self.code, self.params, out, *look)
