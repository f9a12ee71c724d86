"""Advantages over rollouts of a NEXT_STEP vector environment, and the scale of the rewards.

Row ``t`` of environment ``i`` holds the observation, the action and what followed. A step whose action ends an
episode has ``done``; the step after it is a *reset row* (``reset``): its observation is the finished episode's
last, its action was ignored, its reward is 0. Reset rows are in no loss and nothing is carried across them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


def gae(
    rewards: Float, values: Float, done: Bool, reset: Bool, gamma: float | Float, lam: float
) -> tuple[Float, Float]:
    """Generalised advantage estimation (Schulman et al., 2016, equation 16).

    Args:
        rewards: (T, N).
        values: (T + 1, N); the last row is the value of the observation after the rollout.
        done: (T, N), True where the step ended an episode: the future is worth exactly 0 there.
        reset: (T, N), True for reset rows.
        gamma: Discount per decision, one or (T, N); 1 is allowed.
        lam: Decay of the trace.

    Returns:
        Advantages and value targets, each (T, N); both are 0 in reset rows.
    """
    steps = rewards.shape[0]
    alive = (~done).astype(np.float32)
    counted = (~reset).astype(np.float32)
    delta = rewards + gamma * alive * values[1:] - values[:-1]
    decay = (gamma * lam) * alive
    advantages = np.empty_like(rewards)
    carry = np.zeros_like(rewards[0])
    for t in range(steps - 1, -1, -1):
        carry = (delta[t] + decay[t] * carry) * counted[t]
        advantages[t] = carry
    return advantages, (advantages + values[:-1]) * counted


class ReturnScale:
    """Running standard deviation of the discounted return so far; rewards are divided by it.

    It keeps the size of value targets and gradients the same for every workload and reward. Variances of
    batches are merged as in Chan, Golub and LeVeque (1983).
    """

    def __init__(self, num_envs: int) -> None:
        self.count = 0.0
        self.mean = 0.0
        self.variance = 1.0
        self._running = np.zeros(num_envs)

    @property
    def std(self) -> float:
        """The present divisor; 1 before the first update."""
        return max(float(np.sqrt(self.variance)), 1e-8)

    def update(self, rewards: Float, done: Bool, reset: Bool, discounts: Float) -> None:
        """Takes in one rollout, all arguments (T, N); ``discounts`` of what follows each step."""
        seen = np.empty(rewards.shape)
        for t in range(rewards.shape[0]):
            self._running += rewards[t]
            seen[t] = self._running
            self._running *= discounts[t]
            self._running[done[t]] = 0.0
        values = seen[~reset]
        if values.size == 0:
            return
        count, mean, variance = float(values.size), float(values.mean()), float(values.var())
        total = self.count + count
        shift = mean - self.mean
        spread = self.variance * self.count + variance * count + shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.variance = spread / total
        self.count = total

    def get_state(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "mean": self.mean,
            "variance": self.variance,
            "running": self._running.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.count, self.mean, self.variance = float(state["count"]), float(state["mean"]), float(state["variance"])
        self._running[:] = state["running"]
