"""The training step of algorithms that learn from remembered transitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_UPDATE_TIMER,
    TIMERS,
)

from rl_sched.config import ExperimentConfig
from rl_sched.rl.algorithms.local import LocalAlgorithm
from rl_sched.rl.replay import Replay

#: Environment steps of one call of ``train``: RLlib's own bookkeeping costs milliseconds a call.
STEPS_PER_CALL = 4096

#: File of the remembered transitions.
REPLAY_STATE = "replay.npz"

#: For RLlib: no buffer of its own.
NO_BUFFER = {"type": "EpisodeReplayBuffer", "no_local_replay_buffer": True}


class ReplayAlgorithm(LocalAlgorithm):
    """Rounds of: play, remember, learn from a fixed number of transitions per step played."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        experiment = self.experiment
        self.replay = Replay(experiment.replay.capacity, self.runner.observation, experiment.seed)
        self._owed = 0.0  # transitions that are still to be learned from

    @property
    def experiment(self) -> ExperimentConfig:
        """The resolved experiment."""
        return self.config.env_config["experiment"]

    @property
    def progress(self) -> float:
        """Part of the steps that are done, 0 to 1."""
        return min(1.0, self.steps / self.experiment.train.steps)

    def store(self, folder: Path) -> None:
        super().store(folder)
        arrays = {"owed": np.array(self._owed), **self.replay.get_state()}
        np.savez(folder / REPLAY_STATE, **arrays)  # type: ignore[arg-type]

    def resume(self, folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
        super().resume(folder, weights)
        with np.load(folder / REPLAY_STATE, allow_pickle=False) as arrays:
            self._owed = float(arrays["owed"])
            self.replay.set_state(arrays)

    def anneal(self) -> None:
        """Sets what the learner does by ``progress``; called before every round."""

    def training_step(self) -> None:
        until = self.steps + STEPS_PER_CALL
        while self.steps < min(until, self.experiment.train.steps):
            self.anneal()
            with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
                before = self.steps
                rollout = self.play()
                self.runner.return_scale.update(
                    rollout.rewards.numpy(),
                    rollout.done.numpy(),
                    rollout.reset.numpy(),
                    self.config.gamma * rollout.discounts.numpy(),
                )
                self.replay.add(rollout)
            if self.steps >= self.experiment.replay.starts:
                self._owed += (self.steps - before) * self.experiment.replay.ratio
                with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
                    self._learn()
        self.metrics.aggregate([self.runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        self.metrics.log_value("return_std", float(self.runner.return_scale.std.mean()), window=1)

    def _learn(self) -> None:
        settings = self.experiment.replay
        rounds = int(self._owed // settings.minibatch)
        if rounds == 0:
            return
        self._owed -= rounds * settings.minibatch
        sample = self.replay.sample(
            rounds * settings.minibatch,
            n_step=settings.n_step,
            gamma=self.config.gamma,
            beta=settings.priority_beta + self.progress * (1.0 - settings.priority_beta),
        )
        std = self.runner.return_scale.std[self.replay.env_of(sample.where)]
        columns = {
            Columns.OBS: sample.obs,
            Columns.NEXT_OBS: sample.next_obs,
            Columns.ACTIONS: sample.actions,
            Columns.REWARDS: sample.rewards / torch.from_numpy(std),
            "discounts": sample.discounts,
            "weights": sample.weights,
        }
        self.learn(columns, len(sample.where), settings.minibatch)
        errors = torch.cat(self.learner.pop_errors())
        self.replay.set_priorities(sample.where, errors.numpy(), settings.priority)
        self.copy_weights()
