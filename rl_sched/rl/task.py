"""What a learner works on: an environment to play and the number that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_sched.config import EnvConfig, ExperimentConfig
from rl_sched.errors import ConfigError
from rl_sched.rl.rollout import EnvFactory, RawVectorEnv

if TYPE_CHECKING:
    from rl_sched.scenarios.base import Scenario

#: What scenarios that are trained on at once are judged by.
MIXED_OBJECTIVE = "mean_jct_s"


@dataclass(frozen=True, slots=True)
class Task:
    """An environment factory and an objective."""

    make_env: EnvFactory
    objective: str = "mean_jct_s"  #: a column of the statistics of finished episodes
    maximize: bool = False
    num_val_seeds: int | None = None  #: VAL workloads there are; None = any number

    def score(self, episodes: list[dict[str, Any]]) -> float:
        """Mean objective of finished episodes; an episode without one (unfinished jobs) makes it infinitely bad.

        Of several scenarios the geometric mean, in which a per cent counts the same in each of them.
        """
        scores: dict[str, list[float]] = {}
        for row in episodes:
            scores.setdefault(row.get("scenario", ""), []).append(row[self.objective])
        means = [float(np.mean(values)) for values in scores.values()]
        if np.isnan(means).any():
            return -np.inf if self.maximize else np.inf
        return means[0] if len(means) == 1 else float(np.exp(np.mean(np.log(means))))

    def better(self, new: float, old: float | None) -> bool:
        """Whether a score beats another (None = there is none yet)."""
        return old is None or (new > old if self.maximize else new < old)

    @classmethod
    def of(cls, experiment: ExperimentConfig) -> Task:
        """The task of an experiment: its scenario, or several, with its environment settings.

        Raises:
            ConfigError: A scenario is unknown, its data are not on this machine, or it cannot be mixed with the others.
        """
        parts = scenarios_of(experiment)
        first = parts[0]
        for part in parts:
            if (missing := part.available()) is not None:
                raise ConfigError(missing)
            if len(parts) > 1 and (part.objective != MIXED_OBJECTIVE or part.maximize):
                raise ConfigError(
                    f"Scenarios that are trained on at once must all be judged by {MIXED_OBJECTIVE}; {part.name!r} is "
                    f"judged by {part.objective}. Leave it out."
                )
        if experiment.train.num_envs < len(parts):
            raise ConfigError(
                f"train.num_envs must be at least {len(parts)}, one a scenario; it is {experiment.train.num_envs}."
            )
        num_val = sum(len(part.seeds.val) for part in parts)
        return cls(ScenarioEnvs(experiment), first.objective, first.maximize, num_val)


def scenarios_of(experiment: ExperimentConfig) -> list[Scenario]:
    """The scenarios that an experiment trains on."""
    from rl_sched.scenarios import SCENARIOS

    return SCENARIOS.parts(experiment.scenario)


#: Training reward -> the same objective for learners that bootstrap from one value: what an action costs shows at once.
PAID_AT_ONCE = {"lost": "planned"}


def paid(experiment: ExperimentConfig, scenario: Scenario) -> EnvConfig:
    """The settings of training on a scenario: paid as the experiment says, else by the scenario's training reward."""
    env, reward = experiment.env, scenario.training_reward
    if env.reward is not None or env.discount_s is not None:
        return env
    return replace(env, reward=reward if experiment.algo == "ppo" else PAID_AT_ONCE.get(reward, reward))


def judged(env: EnvConfig) -> EnvConfig:
    """The same observations, paid by the scenario's own reward: returns are comparable, whatever paid in training."""
    return replace(env, reward=None)


def shares(num_envs: int, most: Sequence[int | None]) -> list[int]:
    """Splits environments among scenarios, as evenly as possible, at least one each.

    Args:
        num_envs: In all.
        most: Of each scenario; None = any number.
    """
    split = [max(1, len(part)) for part in np.array_split(np.arange(num_envs), len(most))]
    return [count if limit is None else min(count, limit) for count, limit in zip(split, most, strict=True)]


@dataclass(frozen=True, slots=True)
class ScenarioEnvs:
    """The environments of an experiment (a class, not a closure: RLlib stores it in its checkpoints).

    The experiment's reward pays on TRAIN only.
    """

    experiment: ExperimentConfig

    def __call__(self, num_envs: int, seed: int, split: str) -> RawVectorEnv:
        from rl_sched.envs.joined import JoinedVectorEnv
        from rl_sched.envs.vector import SchedulingVectorEnv

        config = self.experiment.env
        parts = scenarios_of(self.experiment)
        most = [None if split == "train" else len(part.seeds.of(split)) for part in parts]
        counts = shares(num_envs, most) if len(parts) > 1 else [num_envs]
        shown = [paid(self.experiment, part) if split == "train" else judged(config) for part in parts]
        foresight = split == "train" and self.experiment.algo == "ppo" and self.experiment.ppo.foresight
        made = [
            SchedulingVectorEnv(part, env, n, seed, split, foresight=foresight)
            for part, env, n in zip(parts, shown, counts, strict=True)
        ]
        return made[0] if len(made) == 1 and config.types is None else JoinedVectorEnv(made, config)
