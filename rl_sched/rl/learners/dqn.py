"""RLlib's DQN learner with the loss of this project."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from ray.rllib.algorithms.dqn.dqn_learner import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.core.columns import Columns
from torch import Tensor

from rl_sched.rl import masking
from rl_sched.rl.learners.imitation import margin_loss
from rl_sched.rl.learners.replaying import ReplayLearner


def dqn_loss(
    q: Tensor, q_next: Tensor, q_target_next: Tensor, batch: dict[str, Any], *, double: bool
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Huber loss of the temporal-difference error with n-step targets.

    Args:
        q: (B, A) values under the present weights; illegal actions ``MASKED``, here and below.
        q_next: (B, A) of the state n steps later, present weights; chooses the action if ``double`` (van Hasselt et
            al., 2016).
        q_target_next: (B, A) of that state, target network.
        batch: ``actions`` (B,) int64, ``rewards`` (B,) summed over n steps, ``discounts`` (B,) of the state n steps
            later, 0 where the episode ended before, ``weights`` (B,) of importance.
        double: See ``q_next``.

    Returns:
        The loss, the absolute errors (B,) and parts, the latter detached.
    """
    chosen = masking.best(q_next if double else q_target_next)
    after = q_target_next.gather(1, chosen.unsqueeze(1)).squeeze(1)
    target = batch["rewards"] + batch["discounts"] * after
    value = q.gather(1, batch["actions"].unsqueeze(1)).squeeze(1)
    loss = (batch["weights"] * F.smooth_l1_loss(value, target, reduction="none")).mean()
    with torch.no_grad():
        error = (value - target).abs()
        parts = {"value_loss": loss.detach(), "value_mean": value.mean(), "error_mean": error.mean()}
    return loss, error, parts


class SchedulingDQNLearner(ReplayLearner, DQNTorchLearner):
    """One optimiser over the network; the target network follows by RLlib's own hand."""

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        self.add_adam(module_id, list(self._module[module_id].network.parameters()), config.lr)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        loss, error, parts = dqn_loss(
            fwd_out[QF_PREDS], fwd_out[QF_NEXT_PREDS], fwd_out[QF_TARGET_NEXT_PREDS], batch, double=config.double_q
        )
        if self.imitating:
            loss = loss + margin_loss(fwd_out[QF_PREDS], batch[Columns.OBS]["guide"])
        self.errors.append(error)
        self.parts.append(parts)
        return loss
