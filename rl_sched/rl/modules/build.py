"""The network of a module's ``model_config``."""

from __future__ import annotations

from typing import Any

from torch import nn

from rl_sched.config import NetworkConfig
from rl_sched.rl.networks import NETWORKS


def build_network(model_config: dict[str, Any], guide_prior: float | None = None) -> nn.Module:
    """A fresh network.

    Args:
        model_config: ``spec`` (observation shapes), ``network`` (a ``NetworkConfig``) and ``guide_prior``.
        guide_prior: Instead of that of ``model_config``.
    """
    config: NetworkConfig = model_config["network"]
    prior = model_config["guide_prior"] if guide_prior is None else guide_prior
    return NETWORKS.load(config.name)(model_config["spec"], config, prior)
