"""A network as an RLlib module for DQN: its logits are advantages, its value is the value of the state."""

from __future__ import annotations

import copy
from typing import Any

import torch
from ray.rllib.algorithms.dqn.dqn_learner import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import QNetAPI, TargetNetworkAPI
from torch import Tensor

from rl_sched.rl import masking
from rl_sched.rl.modules.build import SchedulingModule, build_network
from rl_sched.rl.networks.types import Obs


class DQNModule(SchedulingModule, QNetAPI, TargetNetworkAPI):
    """Wraps one network and its slowly following copy; the batch is read, never changed.

    ``model_config`` is that of ``build_network``, and ``dueling``.

    Attributes:
        epsilon: Share of random legal actions in exploration.
    """

    epsilon = 0.0

    def setup(self) -> None:
        self.network = build_network(self.model_config)
        self._dueling: bool = self.model_config["dueling"]

    def values(self, network: torch.nn.Module, obs: Obs) -> Tensor:
        """(B, A) values of the actions, ``MASKED`` where illegal."""
        out = network(obs)
        return masking.action_values(out.logits, out.value if self._dueling else None, obs["action_mask"])

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs = batch[Columns.OBS]
        q = self.values(self.network, obs)
        return {
            Columns.ACTION_DIST_INPUTS: masking.epsilon_greedy(q, self.epsilon),
            Columns.VF_PREDS: q.amax(dim=1),
        }

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        q = self.values(self.network, batch[Columns.OBS])
        return {Columns.ACTIONS: masking.best(q), QF_PREDS: q}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            q_next = self.values(self.network, batch[Columns.NEXT_OBS])
        return {
            QF_PREDS: self.values(self.network, batch[Columns.OBS]),
            QF_NEXT_PREDS: q_next,
            **self.forward_target(batch),
        }

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {QF_PREDS: self.values(self.network, batch[Columns.OBS])}

    def make_target_networks(self) -> None:
        self.target_network = copy.deepcopy(self.network).requires_grad_(False)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.network, self.target_network)]

    @torch.no_grad()
    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {QF_TARGET_NEXT_PREDS: self.values(self.target_network, batch[Columns.NEXT_OBS])}
