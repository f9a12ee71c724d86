"""The flat baseline: the whole observation as one vector through two hidden layers."""

from __future__ import annotations

import torch
from torch import nn

from rl_sched.config import NetworkConfig
from rl_sched.rl.networks.types import (
    POLICY_GAIN,
    Obs,
    PolicyOutput,
    SpecLike,
    add_guide_prior,
    arrivals_layer,
    linear,
)

#: Hidden units per unit of token width, so that one ``hidden`` setting suits both networks.
WIDTH_FACTOR = 4


class FlatMLP(nn.Module):
    """Flattened jobs, GPUs and globals -> two hidden layers -> A logits; a separate trunk for the value.

    It is bound to the window and the number of GPUs it was trained with and knows nothing of symmetry.
    """

    any_size = False

    def __init__(self, spec: SpecLike, config: NetworkConfig, guide_prior: float) -> None:
        super().__init__()
        self.guided = spec.guided
        self.guide_prior = guide_prior
        self.width = width = WIDTH_FACTOR * config.hidden
        inputs = spec.window * spec.job_features + spec.num_gpus * spec.gpu_features + spec.global_features
        # The first layers of both trunks read the same long vector: one matrix product does both.
        self.first = linear(inputs, 2 * width)
        self.policy_hidden = linear(width, width)
        self.value_hidden = linear(width, width)
        self.value_arrivals = arrivals_layer(spec, width)
        self.policy_head = linear(width, 1 + spec.window * spec.num_types, gain=POLICY_GAIN)
        self.value_head = linear(width, 1, gain=1.0)

    def forward(self, obs: Obs) -> PolicyOutput:
        x = torch.cat([obs["jobs"].flatten(1), obs["gpus"].flatten(1), obs["globals"]], dim=1)
        policy, value = self.first(x).relu().split(self.width, dim=1)
        logits = self.policy_head(self.policy_hidden(policy).relu())
        if self.guided:
            logits = add_guide_prior(logits, obs, self.guide_prior)
        hidden = self.value_hidden(value)
        if self.value_arrivals is not None and "arrivals" in obs:
            hidden = hidden + self.value_arrivals(obs["arrivals"])
        return PolicyOutput(logits, self.value_head(hidden.relu()).squeeze(1))
