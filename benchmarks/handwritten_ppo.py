"""The peer of the training benchmark: PPO in one plain loop, without RLlib.

Same network, same environment, same batch sizes and the same arithmetic; nothing but torch and NumPy between
the environment and the optimiser. It keeps no metrics and writes no checkpoints.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rl_sched.config import PPOConfig
from rl_sched.rl.masking import MASKED, sample
from rl_sched.rl.rollout import RawVectorEnv


class HandwrittenPPO:
    """One PPO run; ``update()`` samples one rollout, learns from it and returns its number of steps."""

    def __init__(
        self,
        env: RawVectorEnv,
        network: nn.Module,
        config: PPOConfig,
        total_steps: int,
        seed: int,
        first_obs: dict[str, np.ndarray],
    ) -> None:
        self.env, self.network, self.config, self.total_steps = env, network, config, total_steps
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, eps=1e-5, fused=True)
        torch.manual_seed(seed)
        steps, envs = config.rollout, env.num_envs
        self.obs = {
            key: torch.empty((steps + 1, *part.shape), dtype=torch.from_numpy(part).dtype)
            for key, part in first_obs.items()
        }
        self._store(0, first_obs)
        self.actions = torch.empty((steps, envs), dtype=torch.int64)
        self.log_probs = torch.empty((steps, envs))
        self.values = torch.empty((steps + 1, envs))
        self.rewards = np.empty((steps, envs), np.float32)
        self.done = np.empty((steps, envs), bool)
        self.reset = np.empty((steps, envs), bool)
        self.returns = np.zeros(envs)
        self.moments = np.array([1e-4, 0.0, 0.0])  # count, sum and sum of squares of the returns so far
        self.steps = 0

    def _store(self, t: int, obs: dict[str, np.ndarray]) -> None:
        for key, part in obs.items():
            self.obs[key][t] = torch.from_numpy(part)

    def update(self) -> int:
        """One rollout and its epochs."""
        self._sample()
        advantages, targets = self._advantages()
        self._learn(advantages, targets)
        steps = int(self.reset.size - self.reset.sum())
        self.steps += steps
        return steps

    @torch.inference_mode()
    def _sample(self) -> None:
        for t in range(self.config.rollout):
            obs = {key: part[t] for key, part in self.obs.items()}
            logits, self.values[t] = self.network(obs)
            log_probs = torch.log_softmax(logits.masked_fill(obs["action_mask"] == 0, MASKED), dim=1)
            self.actions[t], self.log_probs[t] = sample(log_probs)
            following, self.rewards[t], self.done[t], self.reset[t] = self.env.step_raw(self.actions[t].numpy())
            self._store(t + 1, following)
        _, self.values[-1] = self.network({key: part[-1] for key, part in self.obs.items()})

    def _advantages(self) -> tuple[torch.Tensor, torch.Tensor]:
        config, values = self.config, self.values.numpy()
        for t in range(config.rollout):
            self.returns = self.returns * config.gamma + self.rewards[t]
            seen = self.returns[~self.reset[t]]
            self.moments += [seen.size, seen.sum(), np.square(seen).sum()]
            self.returns[self.done[t]] = 0.0
        count, total, squares = self.moments
        rewards = self.rewards / np.float32(np.sqrt(squares / count - (total / count) ** 2) + 1e-8)
        advantages = np.zeros_like(rewards)
        carry = np.zeros_like(rewards[0])
        for t in reversed(range(config.rollout)):
            alive = np.float32(1.0) - self.done[t]
            delta = rewards[t] + config.gamma * alive * values[t + 1] - values[t]
            carry = delta + config.gamma * config.gae_lambda * alive * carry
            advantages[t] = carry
        return torch.from_numpy(advantages).flatten(), torch.from_numpy(advantages + values[:-1]).flatten()

    def _learn(self, advantages: torch.Tensor, targets: torch.Tensor) -> None:
        config = self.config
        done_frac = self.steps / self.total_steps
        self.optimizer.param_groups[0]["lr"] = config.lr * (1 - (1 - config.lr_final) * done_frac)
        entropy_coef = config.entropy * max(0.0, 1 - done_frac / 0.8)
        obs = {key: part[:-1].flatten(0, 1) for key, part in self.obs.items()}
        actions, old = self.actions.flatten(), self.log_probs.flatten()
        valid = torch.from_numpy(~self.reset).flatten().nonzero().squeeze(1)
        for _ in range(config.epochs):
            for rows in valid[torch.randperm(len(valid))].tensor_split(max(1, round(len(valid) / config.minibatch))):
                part = {key: value[rows] for key, value in obs.items()}
                logits, value = self.network(part)
                log_probs = torch.log_softmax(logits.masked_fill(part["action_mask"] == 0, MASKED), dim=1)
                entropy = -(torch.softmax(log_probs, dim=1) * log_probs).sum(dim=1).mean()
                log_ratio = log_probs.gather(1, actions[rows].unsqueeze(1)).squeeze(1) - old[rows]
                ratio = log_ratio.exp()
                adv = advantages[rows]
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                surrogate = torch.minimum(adv * ratio, adv * ratio.clamp(1 - config.clip, 1 + config.clip)).mean()
                loss = config.value_coef * F.smooth_l1_loss(value, targets[rows]) - surrogate - entropy_coef * entropy
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
                self.optimizer.step()
        for column in self.obs.values():
            column[0].copy_(column[-1])
