"""RLlib's PPO for one experiment: the configuration and the training step."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibPPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from rl_sched.config import ExperimentConfig
from rl_sched.rl.gae import gae
from rl_sched.rl.learner import SchedulingPPOLearner
from rl_sched.rl.modules.ppo import PPOModule
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.rollout import EnvFactory, Rollout
from rl_sched.rl.runner import SchedulingRunner

#: The entropy bonus reaches 0 at this fraction of the steps.
ENTROPY_END = 0.8


class SchedulingPPO(PPO):
    """PPO whose training step passes [T, N] arrays from a local runner to a local learner."""

    @property
    def runner(self) -> SchedulingRunner:
        """The one local environment runner."""
        return self.env_runner

    @property
    def network(self) -> torch.nn.Module:
        """The network with the newest weights (the learner's)."""
        return self.learner_group._learner.module[DEFAULT_MODULE_ID].network

    @property
    def steps(self) -> int:
        """Environment steps so far, over all resumptions."""
        return self.runner.num_env_steps_sampled_lifetime

    def resume(self, path: str) -> None:
        """Continues from the state that ``save_to_path`` wrote; the environments start fresh episodes."""
        self.restore_from_path(path)
        self.runner.module.network.load_state_dict(self.network.state_dict())
        torch.manual_seed(int(np.random.SeedSequence([self.config.seed, self.steps]).generate_state(1)[0]))

    def training_step(self) -> None:
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            rollout = self.runner.sample()
            self.metrics.aggregate([self.runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=self._batch(rollout),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.steps},
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            # Runner and learner live in one process: a plain copy, no object store.
            self.runner.module.network.load_state_dict(self.network.state_dict())

    def _batch(self, rollout: Rollout) -> MultiAgentBatch:
        """Advantages, targets and a mask over reset rows; observations are views of the runner's buffers."""
        rewards, done, reset = rollout.rewards.numpy(), rollout.done.numpy(), rollout.reset.numpy()
        scale = self.runner.return_scale
        scale.update(rewards, done, reset)
        values = rollout.values.numpy()
        advantages, targets = gae(
            rewards / np.float32(scale.std), values, done, reset, self.config.gamma, self.config.lambda_
        )
        counted = ~reset
        unexplained = np.var((targets - values[:-1])[counted]) / max(np.var(targets[counted]), 1e-12)
        self.metrics.log_value("explained_variance_frac", float(1 - unexplained), window=1)
        self.metrics.log_value("return_std", scale.std, window=1)
        columns = {
            Columns.OBS: {key: part.flatten(0, 1) for key, part in rollout.obs.items()},
            Columns.ACTIONS: rollout.actions.flatten(),
            Columns.ACTION_LOGP: rollout.log_probs.flatten(),
            Postprocessing.ADVANTAGES: torch.from_numpy(advantages).flatten(),
            Postprocessing.VALUE_TARGETS: torch.from_numpy(targets).flatten(),
            Columns.LOSS_MASK: ~rollout.reset.flatten(),
        }
        return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=rollout.num_steps)


def ppo_config(experiment: ExperimentConfig, make_env: EnvFactory) -> RLlibPPOConfig:
    """RLlib's configuration of one experiment.

    The network is built once here, outside RLlib: RLlib reports an error inside a module's ``setup`` as
    something else.

    Args:
        experiment: The resolved experiment.
        make_env: Makes the training environment.
    """
    # RLlib announces at every start that its new API stack is in use; its own logger level overrides Ray's.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    ppo, train = experiment.ppo, experiment.train
    probe = make_env(1, experiment.seed, "train")
    spec = probe.spec_obs
    prior = experiment.env.guide.prior
    NETWORKS.load(experiment.network.name)(spec, experiment.network, prior)
    batch = ppo.rollout * train.num_envs
    config = RLlibPPOConfig(algo_class=SchedulingPPO)
    config.environment(
        env="rl_sched/raw",
        env_config={
            "make_env": make_env,
            "num_envs": train.num_envs,
            "rollout": ppo.rollout,
            "seed": experiment.seed,
        },
        observation_space=probe.single_observation_space,
        action_space=probe.single_action_space,
    )
    config.env_runners(
        env_runner_cls=SchedulingRunner,
        num_env_runners=0,
        num_envs_per_env_runner=train.num_envs,
        rollout_fragment_length=ppo.rollout,
    )
    config.learners(num_learners=0, learner_class=SchedulingPPOLearner)
    config.rl_module(
        rl_module_spec=RLModuleSpec(
            module_class=PPOModule,
            observation_space=probe.single_observation_space,
            action_space=probe.single_action_space,
            model_config={"spec": spec, "network": experiment.network, "guide_prior": prior},
        )
    )
    config.training(
        gamma=ppo.gamma,
        lambda_=ppo.gae_lambda,
        lr=_schedule(ppo.lr, ppo.lr * ppo.lr_final, train.steps),
        entropy_coeff=_schedule(ppo.entropy, 0.0, int(train.steps * ENTROPY_END)),
        clip_param=ppo.clip,
        vf_loss_coeff=ppo.value_coef,
        use_kl_loss=False,
        grad_clip=ppo.max_grad_norm,
        grad_clip_by="global_norm",
        num_epochs=ppo.epochs,
        minibatch_size=min(ppo.minibatch, batch),
        train_batch_size_per_learner=batch,
    )
    config.debugging(seed=experiment.seed, log_level="ERROR")
    return config


def _schedule(start: float, end: float, steps: int) -> Any:
    """A linear schedule in RLlib's form."""
    return start if start == end else [[0, start], [max(1, steps), end]]
