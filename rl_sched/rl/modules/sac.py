"""Networks as an RLlib module for SAC over discrete actions: a policy, twin values, and their copies."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from ray.rllib.algorithms.dqn.dqn_learner import QF_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import QNetAPI, TargetNetworkAPI
from torch import Tensor, nn

from rl_sched.rl import masking
from rl_sched.rl.modules.build import SchedulingModule, build_network
from rl_sched.rl.networks.types import Obs


class SACModule(SchedulingModule, QNetAPI, TargetNetworkAPI):
    """Three networks of one kind that share no parameter; the batch is read, never changed.

    ``model_config`` is that of ``build_network``, and ``alpha``, the temperature at the start. A guide's prior is added
    to the logits of the policy only.
    """

    def setup(self) -> None:
        self.network = build_network(self.model_config)
        self.q = build_network(self.model_config, guide_prior=0.0)
        self.q_twin = build_network(self.model_config, guide_prior=0.0)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(self.model_config["alpha"])))

    def log_probs(self, obs: Obs) -> Tensor:
        """(B, A) of the policy, ``MASKED`` where illegal."""
        return masking.log_probs(self.network(obs).logits, obs["action_mask"])

    @staticmethod
    def values(network: nn.Module, obs: Obs) -> Tensor:
        """(B, A) values of the actions, ``MASKED`` where illegal."""
        out = network(obs)
        return masking.action_values(out.logits, out.value, obs["action_mask"])

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs = batch[Columns.OBS]
        out = self.network(obs)
        return {
            Columns.ACTION_DIST_INPUTS: masking.masked_logits(out.logits, obs["action_mask"]),
            Columns.VF_PREDS: out.value.detach(),
        }

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs, following = batch[Columns.OBS], batch[Columns.NEXT_OBS]
        with torch.no_grad():
            next_log_probs = self.log_probs(following)
        return {
            "log_probs": self.log_probs(obs),
            "q": self.values(self.q, obs),
            "q_twin": self.values(self.q_twin, obs),
            "next_log_probs": next_log_probs,
            **self.forward_target(batch),
        }

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        obs = batch[Columns.OBS]
        return {QF_PREDS: torch.minimum(self.values(self.q, obs), self.values(self.q_twin, obs))}

    def make_target_networks(self) -> None:
        self.target_q, self.target_q_twin = (
            copy.deepcopy(network).requires_grad_(False) for network in (self.q, self.q_twin)
        )

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.q, self.target_q), (self.q_twin, self.target_q_twin)]

    @torch.no_grad()
    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        obs = batch[Columns.NEXT_OBS]
        return {"next_q": torch.minimum(self.values(self.target_q, obs), self.values(self.target_q_twin, obs))}
