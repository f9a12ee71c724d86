"""What a learner works on: an environment to play and the number that decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rl_sched.config import EnvConfig, ExperimentConfig
from rl_sched.rl.rollout import EnvFactory, RawVectorEnv


@dataclass(frozen=True, slots=True)
class Task:
    """An environment factory and an objective."""

    make_env: EnvFactory
    objective: str = "mean_jct_s"  #: a column of the statistics of finished episodes
    maximize: bool = False
    num_val_seeds: int | None = None  #: VAL workloads there are; None = any number

    def score(self, episodes: list[dict[str, Any]]) -> float:
        """Mean objective of finished episodes; an episode without one (unfinished jobs) makes it infinitely bad."""
        value = float(np.mean([row[self.objective] for row in episodes]))
        if np.isnan(value):
            return -np.inf if self.maximize else np.inf
        return value

    def better(self, new: float, old: float | None) -> bool:
        """Whether a score beats another (None = there is none yet)."""
        return old is None or (new > old if self.maximize else new < old)

    @classmethod
    def of(cls, experiment: ExperimentConfig) -> Task:
        """The task of an experiment: its scenario with its environment settings.

        Raises:
            ConfigError: The scenario is unknown, or its data are not on this machine.
        """
        from rl_sched.errors import ConfigError
        from rl_sched.scenarios import SCENARIOS

        scenario = SCENARIOS.create(experiment.scenario)
        missing = scenario.available()
        if missing:
            raise ConfigError(missing)
        return cls(ScenarioEnvs(experiment), scenario.objective, scenario.maximize, len(scenario.seeds.val))


def judged(env: EnvConfig) -> EnvConfig:
    """The same observations, paid by the scenario's own reward: returns are comparable, whatever paid in training."""
    return replace(env, reward=None)


@dataclass(frozen=True, slots=True)
class ScenarioEnvs:
    """The environments of an experiment (a class, not a closure: RLlib stores it in its checkpoints).

    The experiment's reward pays on TRAIN only.
    """

    experiment: ExperimentConfig

    def __call__(self, num_envs: int, seed: int, split: str) -> RawVectorEnv:
        from rl_sched.envs.vector import SchedulingVectorEnv

        env = self.experiment.env if split == "train" else judged(self.experiment.env)
        return SchedulingVectorEnv(self.experiment.scenario, env, num_envs, seed, split)
