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
    """Running standard deviation of the discounted return so far, per scenario; rewards are divided by it.

    It keeps the size of value targets and gradients the same for every workload and reward. Variances of
    batches are merged as in Chan, Golub and LeVeque (1983).

    Args:
        groups: (N,) number of the scenario of each environment, 0 to S - 1.
    """

    def __init__(self, groups: NDArray[np.int64]) -> None:
        self._groups = groups
        count = int(groups.max()) + 1
        self._count, self._mean, self._variance = np.zeros(count), np.zeros(count), np.ones(count)
        self._running = np.zeros(len(groups))

    @property
    def std(self) -> Float:
        """(N,) the present divisors; 1 before the first update."""
        return np.maximum(np.sqrt(self._variance), 1e-8)[self._groups].astype(np.float32)

    def update(self, rewards: Float, done: Bool, reset: Bool, discounts: Float) -> None:
        """Takes in one rollout, all arguments (T, N); ``discounts`` of what follows each step."""
        seen = np.empty(rewards.shape)
        for t in range(rewards.shape[0]):
            self._running += rewards[t]
            seen[t] = self._running
            self._running *= discounts[t]
            self._running[done[t]] = 0.0
        for group in range(len(self._count)):
            mine = self._groups == group
            self._merge(group, seen[:, mine][~reset[:, mine]])

    def _merge(self, group: int, values: NDArray[np.float64]) -> None:
        if values.size == 0:
            return
        before, mean, variance = self._count[group], values.mean(), values.var()
        total = before + values.size
        shift = mean - self._mean[group]
        spread = self._variance[group] * before + variance * values.size + shift**2 * before * values.size / total
        self._mean[group] += shift * values.size / total
        self._variance[group] = spread / total
        self._count[group] = total

    def get_state(self) -> dict[str, Any]:
        return {
            "count": self._count.copy(),
            "mean": self._mean.copy(),
            "variance": self._variance.copy(),
            "running": self._running.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        for name in ("count", "mean", "variance", "running"):
            getattr(self, f"_{name}")[:] = state[name]
