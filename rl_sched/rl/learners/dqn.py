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
from rl_sched.rl.modules.dqn import QF_TARGET

#: The logarithm of the policy is cut here, in units of values, before it is added to a reward.
LEAST_LOG_POLICY = -1.0


def dqn_target(
    q_next: Tensor | None,
    q_target_next: Tensor,
    q_target: Tensor | None,
    batch: dict[str, Any],
    *,
    double: bool,
    munchausen: float,
    temperature: float,
) -> Tensor:
    """(B,) n-step targets; see ``dqn_loss``.

    With ``munchausen`` (Vieillard et al., 2020, equation 3) the policy is softmax(target values / temperature): the
    reward gets ``munchausen`` times its scaled log-probability of the action, and the next state is worth the mean over
    it, entropy included. That is value iteration held close to the policy before, so that the errors of the updates
    average out instead of being maximised over.
    """
    if q_target is None:
        assert q_next is not None, "Plain targets need the values of the next state."
        chosen = masking.best(q_next if double else q_target_next)
        after = q_target_next.gather(1, chosen.unsqueeze(1)).squeeze(1)
        return batch["rewards"] + batch["discounts"] * after
    soft = temperature * torch.logsumexp(q_target_next / temperature, dim=1)
    log_policy = torch.log_softmax(q_target / temperature, dim=1).gather(1, batch["actions"].unsqueeze(1)).squeeze(1)
    bonus = munchausen * (temperature * log_policy).clamp(LEAST_LOG_POLICY, 0.0)
    return batch["rewards"] + bonus + batch["discounts"] * soft


def dqn_loss(
    q: Tensor,
    q_next: Tensor | None,
    q_target_next: Tensor,
    batch: dict[str, Any],
    *,
    double: bool,
    q_target: Tensor | None = None,
    munchausen: float = 0.0,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Huber loss of the temporal-difference error with n-step targets.

    Args:
        q: (B, A) values under the present weights; illegal actions ``MASKED``, here and below.
        q_next: (B, A) of the state n steps later, present weights; chooses the action if ``double`` (van Hasselt et
            al., 2016). Not needed with ``q_target``.
        q_target_next: (B, A) of that state, target network.
        batch: ``actions`` (B,) int64, ``rewards`` (B,) summed over n steps, ``discounts`` (B,) of the state n steps
            later, 0 where the episode ended before, ``weights`` (B,) of importance.
        double: See ``q_next``.
        q_target: (B, A) of the state, target network; given for Munchausen targets (``dqn_target``) only.
        munchausen, temperature: See there.

    Returns:
        The loss, the absolute errors (B,) and parts, the latter detached.
    """
    with torch.no_grad():
        target = dqn_target(
            q_next, q_target_next, q_target, batch, double=double, munchausen=munchausen, temperature=temperature
        )
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
        settings = self.experiment.dqn
        loss, error, parts = dqn_loss(
            fwd_out[QF_PREDS],
            fwd_out[QF_NEXT_PREDS],
            fwd_out[QF_TARGET_NEXT_PREDS],
            batch,
            double=settings.double,
            q_target=fwd_out.get(QF_TARGET),
            munchausen=settings.munchausen,
            temperature=settings.temperature,
        )
        if self.imitating:
            loss = loss + margin_loss(fwd_out[QF_PREDS], batch[Columns.OBS]["guide"])
        self.errors.append(error)
        self.parts.append(parts)
        return loss
