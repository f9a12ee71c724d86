"""RLlib's PPO for one experiment: the configuration and the training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_UPDATE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from rl_sched.config import ExperimentConfig
from rl_sched.rl.algorithms.local import LocalAlgorithm, schedule, set_up
from rl_sched.rl.gae import gae
from rl_sched.rl.learners.ppo import VALUES, SchedulingPPOLearner, normalised
from rl_sched.rl.modules.ppo import PPOModule
from rl_sched.rl.rollout import EnvFactory, Rollout

#: The entropy bonus has reached its last value at this fraction of the steps.
ENTROPY_END = 0.8


class SchedulingPPO(LocalAlgorithm, PPO):
    """PPO on whole rollouts."""

    def training_step(self) -> None:
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            rollout = self.play()
            self.metrics.aggregate([self.runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            columns = self._columns(rollout)
            self.learn(columns, rollout.num_steps, self.config.minibatch_size, self.config.num_epochs)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.copy_weights()

    def _columns(self, rollout: Rollout) -> dict[str, Any]:
        """Advantages, targets and a mask over reset rows; observations are views of the runner's buffers."""
        rewards, done, reset = rollout.rewards.numpy(), rollout.done.numpy(), rollout.reset.numpy()
        scale = self.runner.return_scale
        discounts = np.float32(self.config.gamma) * rollout.discounts.numpy()
        scale.update(rewards, done, reset, discounts)
        values = rollout.values.numpy()
        advantages, targets = gae(rewards / scale.std, values, done, reset, discounts, self.config.lambda_)
        counted = ~reset
        unexplained = np.var((targets - values[:-1])[counted]) / max(np.var(targets[counted]), 1e-12)
        self.metrics.log_value("explained_variance_frac", float(1 - unexplained), window=1)
        self.metrics.log_value("return_std", float(scale.std.mean()), window=1)
        credit = torch.from_numpy(advantages)
        if self.config.env_config["experiment"].ppo.advantages == "rollout":
            credit[torch.from_numpy(counted)] = normalised(credit[torch.from_numpy(counted)])
        return {
            Columns.OBS: {key: part.flatten(0, 1) for key, part in rollout.obs.items()},
            Columns.ACTIONS: rollout.actions.flatten(),
            Columns.ACTION_LOGP: rollout.log_probs.flatten(),
            Postprocessing.ADVANTAGES: credit.flatten(),
            Postprocessing.VALUE_TARGETS: torch.from_numpy(targets).flatten(),
            VALUES: rollout.values[:-1].flatten(),
            Columns.LOSS_MASK: ~rollout.reset.flatten(),
        }


def ppo_config(experiment: ExperimentConfig, make_env: EnvFactory) -> RLlibPPOConfig:
    """RLlib's configuration of one experiment.

    Args:
        experiment: The resolved experiment.
        make_env: Makes the training environment.
    """
    ppo, train = experiment.ppo, experiment.train
    config = set_up(
        RLlibPPOConfig(algo_class=SchedulingPPO),
        experiment,
        make_env,
        module=PPOModule,
        learner=SchedulingPPOLearner,
        rollout=ppo.rollout,
        gamma=ppo.gamma,
    )
    batch = ppo.rollout * train.num_envs
    config.training(
        lambda_=ppo.gae_lambda,
        lr=schedule(ppo.lr, ppo.lr * ppo.lr_final, train.steps, ppo.lr_shape),
        entropy_coeff=schedule(ppo.entropy, ppo.entropy * ppo.entropy_final, int(train.steps * ENTROPY_END)),
        clip_param=ppo.clip,
        vf_loss_coeff=ppo.value_coef,
        use_kl_loss=False,
        grad_clip=ppo.max_grad_norm,
        grad_clip_by="global_norm",
        num_epochs=ppo.epochs,
        minibatch_size=min(ppo.minibatch, batch),
        train_batch_size_per_learner=batch,
    )
    return config
