"""RLlib's SAC learner with the losses of this project, over discrete masked actions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from ray.rllib.algorithms.sac.torch.sac_torch_learner import SACTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from torch import Tensor

from rl_sched.rl import masking
from rl_sched.rl.learners.imitation import copy_loss
from rl_sched.rl.learners.replaying import ReplayLearner


def sac_losses(
    out: dict[str, Tensor],
    batch: dict[str, Any],
    log_alpha: Tensor,
    entropy_frac: float,
    entropy_backup: bool = True,
    guide: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The sum of the losses of policy, twin values and temperature (Christodoulou, 2019, equations 10 to 12).

    The policy is drawn to the Boltzmann distribution of the smaller values, softmax(value / temperature), by the
    forward Kullback-Leibler divergence (Chan et al., 2022) instead of the reverse one. Both have the same minimum; but
    where values differ little, and they do, the reverse one hardly moves the policy. The temperature aims at the
    entropy of that distribution, which it decides, and not at that of the policy, whose errors it cannot mend.

    The expectations over actions are exact sums over the legal ones. Over the first n - 1 of the n steps of a target
    the entropies are left out; without ``entropy_backup`` all are. Where the number of legal actions is in the policy's
    hand, counting them pays for keeping choices open: for waiting.

    Args:
        out: ``log_probs``, ``q``, ``q_twin`` of the state; ``next_log_probs``, ``next_q`` (the smaller one of the
            target networks) of the state n steps later, all (B, A).
        batch: As for ``dqn_loss``.
        log_alpha: Logarithm of the temperature, a parameter.
        entropy_frac: The entropy aimed at is this part of the logarithm of the number of legal actions, per state.
        entropy_backup: Whether the next state's value counts its entropy.
        guide: (B,) actions that the policy copies instead of improving, at a fixed temperature; None = it improves.

    Returns:
        The loss, the absolute errors (B,) (mean of both), and parts, the latter detached.
    """
    alpha = log_alpha.detach().exp()
    action = batch["actions"].unsqueeze(1)
    with torch.no_grad():
        bonus = alpha * out["next_log_probs"] if entropy_backup else 0.0
        soft = masking.expectation(out["next_log_probs"], out["next_q"] - bonus)
        target = batch["rewards"] + batch["discounts"] * soft
    one, two = out["q"].gather(1, action).squeeze(1), out["q_twin"].gather(1, action).squeeze(1)
    errors = [F.smooth_l1_loss(value, target, reduction="none") for value in (one, two)]
    value_loss = (batch["weights"] * (errors[0] + errors[1])).mean()
    log_probs = out["log_probs"]
    boltzmann = _boltzmann(torch.minimum(out["q"], out["q_twin"]).detach(), alpha)
    if guide is None:
        policy_loss = -masking.expectation(boltzmann, log_probs).mean()
    else:
        policy_loss = copy_loss(log_probs, guide)
    entropy = masking.entropy(boltzmann)
    aim = entropy_frac * masking.num_legal(log_probs).log()
    alpha_loss = (log_alpha * (entropy - aim)).mean() * (guide is None)
    with torch.no_grad():
        error = 0.5 * ((one - target).abs() + (two - target).abs())
        parts = {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "value_mean": one.mean(),
            "error_mean": error.mean(),
            "entropy": masking.entropy(log_probs).mean(),
            "entropy_tuned": entropy.mean(),
            "entropy_aim": aim.mean(),
            "temperature": alpha,
        }
    return value_loss + policy_loss + alpha_loss, error, parts


def _boltzmann(values: Tensor, alpha: Tensor) -> Tensor:
    """(B, A) log-probabilities of softmax(values / alpha) over the legal actions; safe at any small ``alpha``."""
    below = (values - values.amax(dim=1, keepdim=True)) / alpha
    return masking.log_probs(below, values > 0.5 * masking.MASKED)


class SchedulingSACLearner(ReplayLearner, SACTorchLearner):
    """One optimiser over policy and values, which share no parameter, and one over the temperature.

    Attributes:
        entropy_frac: See ``sac_losses``; the algorithm anneals it.
    """

    entropy_frac = 1.0

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        module = self._module[module_id]
        networks = (module.network, module.q, module.q_twin)
        params = [param for network in networks for param in network.parameters()]
        self.add_adam(module_id, params, config.actor_lr)
        self.add_adam(module_id, [module.log_alpha], config.alpha_lr, "temperature")

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        loss, error, parts = sac_losses(
            fwd_out,
            batch,
            self._module[module_id].log_alpha,
            self.entropy_frac,
            self.experiment.sac.entropy_backup,
            guide=batch[Columns.OBS]["guide"] if self.imitating else None,
        )
        self.errors.append(error)
        self.parts.append(parts)
        return loss

    def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
        return TorchLearner.compute_gradients(self, *args, **kwargs)  # of the sum, not RLlib's loss by loss
