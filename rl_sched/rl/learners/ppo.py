"""RLlib's PPO learner with the loss and the minibatches of this project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from torch import Tensor

from rl_sched.config import PPOConfig
from rl_sched.rl import masking
from rl_sched.rl.learners.imitation import copy_loss
from rl_sched.rl.learners.parts import PartsMixin, take

#: Columns that the loss may need besides RLlib's: of the policy that acted.
VALUES, ENTROPIES = "values", "entropies"
#: Observations of one forward pass without gradients.
CHUNK = 2048


def ppo_loss(
    log_probs: Tensor,
    value: Tensor,
    batch: dict[str, Tensor],
    settings: PPOConfig,
    *,
    entropy_coef: float,
    guide: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate (Schulman et al., 2017, equation 7) with a value loss and an entropy bonus.

    Args:
        log_probs: (B, A) masked log-probabilities under the present weights.
        value: (B,) in the scale of the value targets.
        batch: ``actions``, ``action_logp``, ``advantages``, ``value_targets``, each (B,); of the acting policy with
            ``value_clip`` the ``values`` and with ``entropy_jump`` the ``entropies``.
        settings: ``clip``, ``value_coef``, ``value_clip``, ``entropy_jump``, and what advantages are normalised over.
        entropy_coef: Weight of the entropy bonus.
        guide: (B,) actions to copy instead of improving the policy; None = improve it.

    Returns:
        The loss and its parts, detached.
    """
    clip, advantage = settings.clip, batch["advantages"]
    if settings.advantages == "minibatch":
        advantage = normalised(advantage)
    new = log_probs.gather(1, batch["actions"].unsqueeze(1)).squeeze(1)
    log_ratio = new - batch["action_logp"]
    ratio = log_ratio.exp()
    policy_loss = -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip)).mean()
    targets = batch["value_targets"]
    if settings.value_clip:
        held = batch[VALUES] + (value - batch[VALUES]).clamp(-clip, clip)
        value_loss = 0.5 * torch.maximum((value - targets).square(), (held - targets).square()).mean()
    else:
        value_loss = F.smooth_l1_loss(value, targets)
    entropies = masking.entropy(log_probs)
    bonus = entropies
    if settings.entropy_jump is not None:
        old = batch[ENTROPIES]
        bonus = torch.clamp(entropies, old - settings.entropy_jump, old + settings.entropy_jump)
    if guide is not None:
        policy_loss = copy_loss(log_probs, guide)
    loss = policy_loss + settings.value_coef * value_loss - entropy_coef * bonus.mean()
    with torch.no_grad():
        parts = {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropies.mean(),
            "approx_kl": (ratio - 1 - log_ratio).mean(),
            "clip_frac": ((ratio - 1).abs() > clip).float().mean(),
        }
    return loss, parts


def normalised(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and standard deviation 1."""
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


class SchedulingPPOLearner(PartsMixin, PPOTorchLearner):
    """Minibatches without reset rows, one fused Adam."""

    def build(self) -> None:
        super().build()
        self._shuffle = torch.Generator().manual_seed(self.config.seed)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_state(*args, **kwargs), "shuffle": self._shuffle.get_state().numpy()}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "shuffle" in state:
            self._shuffle.set_state(torch.from_numpy(state["shuffle"]))

    def catch_up(self, steps: int) -> None:
        """Sets what follows a schedule and is not part of RLlib's state to where it stands after ``steps``."""
        for module_id in self.module.keys():  # schedules are made on first use
            self.entropy_coeff_schedulers_per_module[module_id].update(timestep=steps)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        self.add_adam(module_id, self.get_parameters(self._module[module_id]), config.lr)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        loss, parts = ppo_loss(
            torch.log_softmax(fwd_out[Columns.ACTION_DIST_INPUTS], dim=1),
            fwd_out[Columns.VF_PREDS],
            batch,
            self.experiment.ppo,
            entropy_coef=self.entropy_coeff_schedulers_per_module[module_id].get_current_value(),
            guide=batch[Columns.OBS]["guide"] if self.imitating else None,
        )
        self.parts.append(parts)
        return loss

    def _create_iterator_if_necessary(
        self,
        *,
        training_data: TrainingData,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        **kwargs: Any,
    ) -> Iterator[MultiAgentBatch]:
        """Shuffled minibatches of nearly equal size; each valid row is used exactly once per epoch.

        RLlib's own iterator does not shuffle before the first epoch, repeats rows where sizes do not divide, and
        copies the whole batch to shuffle it.
        """
        assert training_data.batch is not None and minibatch_size is not None
        ((module_id, batch),) = training_data.batch.policy_batches.items()
        valid = batch[Columns.LOSS_MASK].nonzero().squeeze(1)
        num_minibatches = max(1, round(len(valid) / minibatch_size))
        columns = {key: value for key, value in batch.items() if key != Columns.LOSS_MASK}
        settings = self.experiment.ppo
        if settings.entropy_jump is not None:
            columns[ENTROPIES] = self._entropies(module_id, columns[Columns.OBS])
        for _ in range(num_epochs):
            shuffled = valid[torch.randperm(len(valid), generator=self._shuffle)]
            for rows in shuffled.tensor_split(num_minibatches):
                yield MultiAgentBatch({module_id: SampleBatch(take(columns, rows, self.device))}, env_steps=len(rows))
                # The learner has taken its step on these rows by now.
                if settings.target_kl is not None and self.parts[-1]["approx_kl"] > settings.target_kl:
                    return

    @torch.no_grad()
    def _entropies(self, module_id: str, obs: dict[str, Tensor]) -> Tensor:
        """(B,) entropies of the policy that acted: the one before the first step of an update."""
        module = self._module[module_id]
        parts = []
        for start in range(0, len(obs["action_mask"]), CHUNK):
            out = module.forward_train({Columns.OBS: take(obs, slice(start, start + CHUNK), self.device)})
            parts.append(masking.entropy(torch.log_softmax(out[Columns.ACTION_DIST_INPUTS], dim=1)).cpu())
        return torch.cat(parts)
