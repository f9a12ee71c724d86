"""What all algorithms share: one runner and one learner in this process, and RLlib's settings for that."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.metrics import LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from rl_sched.config import ExperimentConfig
from rl_sched.errors import CheckpointError, TrainingError
from rl_sched.rl.gae import ReturnScale
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.rollout import EnvFactory, Rollout
from rl_sched.rl.runner import SchedulingRunner
from rl_sched.rl.runtime import num_gpus

#: Folder of RLlib's own state (weights, optimiser, counters, episodes), and the file of the remote runners' in it.
RLLIB_STATE, RUNNERS_STATE = "rllib", "runners.pkl"

#: Points of a schedule that is not linear: between them it is, and no rate is off by more than 0.1 %.
SCHEDULE_POINTS = 64

C = TypeVar("C", bound=AlgorithmConfig)
T = TypeVar("T")


def _groups(runner: SchedulingRunner) -> NDArray[np.int64]:
    return runner.env.groups


def _play(runner: SchedulingRunner, steps: int, exploration: dict[str, float]) -> tuple[Rollout, list[dict[str, Any]]]:
    """What a remote runner does; ``steps`` are those of all runners so far."""
    runner.num_env_steps_sampled_lifetime = steps
    for name, value in exploration.items():
        setattr(runner.module, name, value)
    return runner.sample(), runner.pop_finished()


class LocalAlgorithm(Algorithm):
    """An RLlib algorithm whose training step passes [T, N] arrays from runners to a local learner.

    The runner is the local one; with ``train.env_runners`` it only counts, and remote ones play.
    """

    def setup(self, config: Any) -> None:
        super().setup(config)
        train = self.config.env_config["experiment"].train
        self._remote: int = train.env_runners
        self._averaged = copy.deepcopy(self.runner.module.network) if train.average_steps else None
        self._averaged_at = 0  # environment steps
        if self._remote:
            groups = self._everywhere(_groups)
            self.runner.return_scale = ReturnScale(np.concatenate(groups))

    @property
    def runner(self) -> SchedulingRunner:
        """The local environment runner."""
        return self.env_runner

    @property
    def exploration(self) -> dict[str, float]:
        """Attributes of the module that say how it explores."""
        return {}

    def play(self) -> Rollout:
        """Plays T steps of all N environments; those of several runners lie side by side.

        Raises:
            TrainingError: A remote runner has died.
        """
        for name, value in self.exploration.items():
            setattr(self.runner.module, name, value)
        if not self._remote:
            return self.runner.sample()
        steps, exploration = self.steps, self.exploration
        parts = self._everywhere(lambda runner: _play(runner, steps, exploration))
        rollouts = [rollout for rollout, _ in parts]
        obs = {key: torch.cat([part.obs[key] for part in rollouts], dim=1) for key in rollouts[0].obs}
        columns = (torch.cat(column, dim=1) for column in zip(*(part[1:] for part in rollouts), strict=True))
        joined = Rollout(obs, *columns)
        self.runner.count(joined, [row for _, rows in parts for row in rows])
        return joined

    def _everywhere(self, function: Callable[[SchedulingRunner], T]) -> list[T]:
        """Calls a function with every remote runner."""
        out: list[T] = self.env_runner_group.foreach_env_runner(function, local_env_runner=False)
        if len(out) < self._remote:
            raise TrainingError(
                f"All {self._remote} environment runners must answer; {len(out)} did. Look for the machine or the "
                "process that died, then continue with --resume."
            )
        return out

    @property
    def learner(self) -> Any:
        """The one local learner."""
        return self.learner_group._learner

    @property
    def network(self) -> torch.nn.Module:
        """What is judged and kept, on the CPU: the network that acts, or the average of its past weights."""
        return self.runner.module.network if self._averaged is None else self._averaged

    @torch.no_grad()
    def average(self) -> None:
        """Takes the newest weights into the average, with ``train.average_steps`` as its time constant."""
        if self._averaged is None:
            return
        steps = self.steps - self._averaged_at
        kept = math.exp(-steps / self.config.env_config["experiment"].train.average_steps) if self._averaged_at else 0.0
        for mean, new in zip(self._averaged.parameters(), self.runner.module.network.parameters(), strict=True):
            mean.lerp_(new, 1.0 - kept)
        self._averaged_at = self.steps

    @property
    def steps(self) -> int:
        """Environment steps so far, over all resumptions."""
        return self.runner.num_env_steps_sampled_lifetime

    def store(self, folder: Path) -> None:
        """Writes everything that ``resume`` needs; averaged weights are those of the checkpoint itself."""
        self.save_to_path(str((folder / RLLIB_STATE).resolve()))
        if self._remote:
            (folder / RLLIB_STATE / RUNNERS_STATE).write_bytes(
                pickle.dumps(self._everywhere(SchedulingRunner.get_state))
            )

    def resume(self, folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
        """Continues exactly from what ``store`` wrote.

        Args:
            folder: Of the checkpoint.
            weights: Its own: those of ``network``.

        Raises:
            CheckpointError: There is no such state.
        """
        state = folder / RLLIB_STATE
        if not state.is_dir():
            raise CheckpointError(f"{str(folder)!r} holds no state to resume from. Train without resuming.")
        self.restore_from_path(str(state.resolve()))
        self.learner.catch_up(self.steps)
        if self._remote:
            states = pickle.loads((state / RUNNERS_STATE).read_bytes())
            self._everywhere(lambda runner: runner.set_state(states[runner.worker_index - 1]))
        self.copy_weights()
        if self._averaged is not None:
            self._averaged.load_state_dict(weights)
            self._averaged_at = self.steps

    def copy_weights(self) -> None:
        """Gives the runners the learner's weights; in one process as a plain copy, without the object store."""
        learned = self.learner.module[DEFAULT_MODULE_ID].network.state_dict()
        weights = {name: part.cpu() for name, part in learned.items()}
        self.runner.module.network.load_state_dict(weights)
        if self._remote:
            kept = ray.put(weights)
            self._everywhere(lambda runner: runner.module.network.load_state_dict(ray.get(kept)) is None)

    def learn(self, columns: dict[str, Any], num_steps: int, minibatch_size: int, num_epochs: int = 1) -> None:
        """One update of the learner from plain columns, without RLlib's connectors."""
        experiment: ExperimentConfig = self.config.env_config["experiment"]
        self.learner.imitating = self.steps <= experiment.env.guide.imitation
        results = self.learner_group.update(
            batch=MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=num_steps),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.steps},
            num_epochs=num_epochs,
            minibatch_size=minibatch_size,
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)


def set_up(
    config: C,
    experiment: ExperimentConfig,
    make_env: EnvFactory,
    *,
    module: type[TorchRLModule],
    learner: type[TorchLearner],
    rollout: int,
    gamma: float,
    model: dict[str, Any] | None = None,
) -> C:
    """Writes the settings that do not depend on the algorithm into RLlib's configuration.

    The network is built once here, outside RLlib: RLlib reports an error inside a module's ``setup`` as
    something else.

    Args:
        config: RLlib's configuration of the algorithm.
        experiment: The resolved experiment.
        make_env: Makes the training environment.
        module: Wraps the network.
        learner: Holds the loss.
        rollout: Steps per environment and sample.
        gamma: Discount per decision.
        model: What the module is told besides.
    """
    # RLlib announces at every start that its new API stack is in use; its own logger level overrides Ray's.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    num_envs = experiment.train.num_envs
    probe = make_env(1, experiment.seed, "train")
    spec = probe.spec_obs
    prior = experiment.env.guide.prior
    NETWORKS.load(experiment.network.name)(spec, experiment.network, prior)
    spaces = {"observation_space": probe.single_observation_space, "action_space": probe.single_action_space}
    config.environment(
        env="rl_sched/raw",
        env_config={"make_env": make_env, "rollout": rollout, "experiment": experiment},
        **spaces,
    )
    config.env_runners(
        env_runner_cls=SchedulingRunner,
        num_env_runners=experiment.train.env_runners,
        num_envs_per_env_runner=-(-num_envs // max(1, experiment.train.env_runners)),
        create_local_env_runner=True,
        rollout_fragment_length=rollout,
    )
    # An error must be told: RLlib's default is to let the runner die in silence and begin another one.
    config.fault_tolerance(restart_failed_env_runners=False, ignore_env_runner_failures=False)
    config.learners(num_learners=0, learner_class=learner, num_gpus_per_learner=num_gpus())
    config.rl_module(
        rl_module_spec=RLModuleSpec(
            module_class=module,
            **spaces,
            model_config={"spec": spec, "network": experiment.network, "guide_prior": prior, **(model or {})},
        )
    )
    config.training(gamma=gamma)
    # One training step a call: with RLlib's defaults of DQN and SAC their number depends on the machine's speed.
    config.reporting(
        min_time_s_per_iteration=None, min_sample_timesteps_per_iteration=0, min_train_timesteps_per_iteration=0
    )
    config.debugging(seed=experiment.seed, log_level="ERROR")
    return config


def schedule(start: float, end: float, steps: int, shape: str = "linear") -> Any:
    """A schedule in RLlib's form: points between which it is linear; ``shape`` is linear or exponential."""
    if start == end:
        return start
    steps = max(1, steps)
    if shape == "linear":
        return [[0, start], [steps, end]]
    points = np.unique(np.linspace(0, steps, SCHEDULE_POINTS, dtype=int))
    return [[int(at), float(start * (end / start) ** (at / steps))] for at in points]
