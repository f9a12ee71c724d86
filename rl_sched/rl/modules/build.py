"""What the modules share: the network of a ``model_config``, and one mode."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from rl_sched.config import NetworkConfig
from rl_sched.rl.networks import NETWORKS


class SchedulingModule(TorchRLModule):
    """RLlib's module for networks without layers that behave differently in training.

    Attributes:
        values_last: Whether a rollout ends with the values of the states that it leads to.
    """

    values_last = False

    def train(self, mode: bool = True) -> SchedulingModule:
        """Only takes note: RLlib calls it around every forward pass, and walking all layers cost 6 % of DQN's time."""
        self.training = mode
        return self


def build_network(model_config: dict[str, Any], guide_prior: float | None = None) -> nn.Module:
    """A fresh network.

    Args:
        model_config: ``spec`` (observation shapes), ``network`` (a ``NetworkConfig``) and ``guide_prior``.
        guide_prior: Instead of that of ``model_config``.
    """
    config: NetworkConfig = model_config["network"]
    prior = model_config["guide_prior"] if guide_prior is None else guide_prior
    return NETWORKS.load(config.name)(model_config["spec"], config, prior)
