"""RLlib's DQN, double, dueling, with n-step returns and prioritised replay, for one experiment."""

from __future__ import annotations

from ray.rllib.algorithms.dqn import DQN
from ray.rllib.algorithms.dqn import DQNConfig as RLlibDQNConfig

from rl_sched.config import ExperimentConfig
from rl_sched.rl.algorithms.local import schedule, set_up
from rl_sched.rl.algorithms.replaying import NO_BUFFER, ReplayAlgorithm
from rl_sched.rl.learners.dqn import SchedulingDQNLearner
from rl_sched.rl.modules.dqn import DQNModule
from rl_sched.rl.rollout import EnvFactory


class SchedulingDQN(ReplayAlgorithm, DQN):
    """Explores with a share of random actions that falls linearly."""

    @property
    def exploration(self) -> dict[str, float]:
        dqn = self.experiment.dqn
        part = min(1.0, self.progress / dqn.epsilon_frac) if dqn.epsilon_frac else 1.0
        return {"epsilon": dqn.epsilon + part * (dqn.epsilon_final - dqn.epsilon)}


def dqn_config(experiment: ExperimentConfig, make_env: EnvFactory) -> RLlibDQNConfig:
    """RLlib's configuration of one experiment.

    Args:
        experiment: The resolved experiment.
        make_env: Makes the training environment.
    """
    dqn, replay = experiment.dqn, experiment.replay
    config = set_up(
        RLlibDQNConfig(algo_class=SchedulingDQN),
        experiment,
        make_env,
        module=DQNModule,
        learner=SchedulingDQNLearner,
        rollout=replay.rollout,
        gamma=dqn.gamma,
        model={"dueling": dqn.dueling},
    )
    config.training(
        lr=schedule(dqn.lr, dqn.lr * dqn.lr_final, experiment.train.steps),
        double_q=dqn.double,
        dueling=dqn.dueling,
        num_atoms=1,
        tau=dqn.tau,
        target_network_update_freq=0,
        grad_clip=dqn.max_grad_norm,
        grad_clip_by="global_norm",
        train_batch_size_per_learner=replay.minibatch,
        replay_buffer_config=NO_BUFFER,
    )
    return config
