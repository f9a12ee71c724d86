"""RLlib's SAC over discrete actions for one experiment."""

from __future__ import annotations

from ray.rllib.algorithms.sac import SAC
from ray.rllib.algorithms.sac import SACConfig as RLlibSACConfig

from rl_sched.config import ExperimentConfig
from rl_sched.rl.algorithms.local import schedule, set_up
from rl_sched.rl.algorithms.replaying import NO_BUFFER, ReplayAlgorithm
from rl_sched.rl.learners.sac import SchedulingSACLearner
from rl_sched.rl.modules.sac import SACModule
from rl_sched.rl.rollout import EnvFactory


class SchedulingSAC(ReplayAlgorithm, SAC):
    """Aims at an entropy that falls linearly with the steps."""

    def anneal(self) -> None:
        sac = self.experiment.sac
        self.learner.entropy_frac = sac.entropy_frac + self.progress * (sac.entropy_frac_final - sac.entropy_frac)


def sac_config(experiment: ExperimentConfig, make_env: EnvFactory) -> RLlibSACConfig:
    """RLlib's configuration of one experiment.

    Args:
        experiment: The resolved experiment.
        make_env: Makes the training environment.
    """
    sac, replay = experiment.sac, experiment.replay
    config = set_up(
        RLlibSACConfig(algo_class=SchedulingSAC),
        experiment,
        make_env,
        module=SACModule,
        learner=SchedulingSACLearner,
        rollout=replay.rollout,
        gamma=sac.gamma,
        model={"alpha": sac.alpha},
    )
    config.training(
        actor_lr=schedule(sac.lr, sac.lr * sac.lr_final, experiment.train.steps),
        alpha_lr=sac.alpha_lr,
        initial_alpha=sac.alpha,
        twin_q=True,
        tau=sac.tau,
        target_network_update_freq=0,
        grad_clip=sac.max_grad_norm,
        grad_clip_by="global_norm",
        train_batch_size_per_learner=replay.minibatch,
        replay_buffer_config=NO_BUFFER,
    )
    return config
