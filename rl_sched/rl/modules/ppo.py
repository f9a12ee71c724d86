"""A network as an RLlib module for PPO."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from torch import Tensor

from rl_sched.rl.masking import masked_logits
from rl_sched.rl.modules.build import SchedulingModule, build_network


class PPOModule(SchedulingModule, ValueFunctionAPI):
    """Wraps one network; the batch is read, never changed. ``model_config`` is that of ``build_network``."""

    values_last = True

    def setup(self) -> None:
        self.network = build_network(self.model_config)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs = batch[Columns.OBS]
        out = self.network(obs)
        return {
            Columns.ACTION_DIST_INPUTS: masked_logits(out.logits, obs["action_mask"]),
            Columns.VF_PREDS: out.value,
        }

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        return self.network(batch[Columns.OBS]).value
