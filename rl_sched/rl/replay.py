"""Remembered steps of N environments, from which transitions over n steps are drawn by priority."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl_sched.rl.rollout import Rollout
from rl_sched.rl.sum_tree import SumTree

#: Floats of observations are kept in half: a relative error of 5e-4, half the memory.
KEPT = np.float16
_COLUMNS = ("actions", "rewards", "discounts", "done", "reset")
#: Added to errors, so that no transition is never drawn again.
LEAST_PRIORITY = 1e-3

Arrays = dict[str, NDArray[Any]]


class Sample(NamedTuple):
    """B transitions."""

    obs: dict[str, Tensor]  #: (B, ...)
    next_obs: dict[str, Tensor]  #: (B, ...) n steps later; of a transition whose episode ended before, anything
    actions: Tensor  #: (B,) int64
    rewards: Tensor  #: (B,) discounted sum over the n steps, or up to the end of the episode
    discounts: Tensor  #: (B,) of the state n steps later; 0 if the episode ended before
    weights: Tensor  #: (B,) importance, at most 1
    where: NDArray[np.int64]  #: (B,) for ``set_priorities``


class Replay:
    """A ring of time rows, each a step of all N environments, with reset rows left out of every draw.

    Args:
        capacity: Steps remembered, over all environments.
        obs: Observations (N, ...) as an example of what comes.
        seed: Of the draws.
    """

    def __init__(self, capacity: int, obs: Mapping[str, NDArray[Any]], seed: int) -> None:
        self.num_envs = len(next(iter(obs.values())))
        self.rows = max(2, -(-capacity // self.num_envs))
        shape = (self.rows, self.num_envs)
        self._obs = {key: np.zeros((*shape, *part.shape[1:]), _kept(part.dtype)) for key, part in obs.items()}
        self._kinds = {key: part.dtype for key, part in obs.items()}
        self._actions = np.zeros(shape, np.int64)
        self._rewards = np.zeros(shape, np.float32)
        self._discounts = np.ones(shape, np.float32)
        self._done = np.zeros(shape, np.bool_)
        self._reset = np.zeros(shape, np.bool_)
        self._tree = SumTree(self.rows * self.num_envs)
        self._rng = np.random.default_rng([seed, 0x5E])
        self._highest = 1.0  # priority of what has not been learned from yet
        self._head = 0  # row that is written next
        self._waiting = 0  # newest rows whose n following steps are not all known
        self._count = 0  # rows written, at most ``rows``

    def __len__(self) -> int:
        """Steps remembered, reset rows included."""
        return self._count * self.num_envs

    def add(self, rollout: Rollout) -> None:
        """Takes in T rows; the oldest go."""
        steps = len(rollout.actions)
        rows = (self._head + np.arange(steps)) % self.rows
        for key, part in rollout.obs.items():
            self._obs[key][rows] = part.numpy()
        self._actions[rows] = rollout.actions.numpy()
        self._rewards[rows] = rollout.rewards.numpy()
        self._discounts[rows] = rollout.discounts.numpy()
        self._done[rows] = rollout.done.numpy()
        self._reset[rows] = rollout.reset.numpy()
        self._tree.set(self._leaves(rows), np.zeros(steps * self.num_envs))
        self._head = int((self._head + steps) % self.rows)
        self._count = min(self.rows, self._count + steps)
        self._waiting = min(self._count, self._waiting + steps)

    def sample(self, count: int, *, n_step: int, gamma: float, beta: float) -> Sample:
        """Draws transitions by priority.

        Args:
            count: B.
            n_step: Rewards that are summed.
            gamma: Discount per step, beside that by elapsed time.
            beta: Exponent of the weights of importance (Schaul et al., 2016, section 3.4).
        """
        self._admit(n_step)
        index = self._tree.draw(count, self._rng)
        row, e = np.divmod(index, self.num_envs)
        rewards, discount = np.zeros(count), np.ones(count)
        for k in range(n_step):
            at = (row + k) % self.rows
            rewards += discount * self._rewards[at, e]
            discount *= gamma * self._discounts[at, e] * ~self._done[at, e]
        after = (row + n_step) % self.rows
        share = self._tree.weights[index] / self._tree.total
        weights = (share * np.count_nonzero(self._tree.weights)) ** -beta
        return Sample(
            obs=self._observations(row, e),
            next_obs=self._observations(after, e),
            actions=torch.from_numpy(self._actions[row, e]),
            rewards=torch.from_numpy(rewards.astype(np.float32)),
            discounts=torch.from_numpy(discount.astype(np.float32)),
            weights=torch.from_numpy((weights / weights.max()).astype(np.float32)),
            where=index,
        )

    def env_of(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) environment in which drawn transitions happened."""
        return index % self.num_envs

    def set_priorities(self, index: NDArray[np.int64], errors: NDArray[np.floating[Any]], exponent: float) -> None:
        """Gives drawn transitions the priority that their errors (B,) deserve; ``exponent`` 0 = all alike."""
        priority = (np.abs(errors.astype(np.float64)) + LEAST_PRIORITY) ** exponent
        self._highest = max(self._highest, float(priority.max()))
        self._tree.set(index, priority)

    def _admit(self, n_step: int) -> None:
        """Lets rows be drawn that n steps have followed by now."""
        ready = self._waiting - n_step
        if ready <= 0:
            return
        rows = (self._head - self._waiting + np.arange(ready)) % self.rows
        self._tree.set(self._leaves(rows), np.where(self._reset[rows], 0.0, self._highest).ravel())
        self._waiting = n_step

    def _leaves(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return (rows[:, None] * self.num_envs + np.arange(self.num_envs)).ravel()

    def _observations(self, row: NDArray[np.int64], e: NDArray[np.int64]) -> dict[str, Tensor]:
        return {key: torch.from_numpy(part[row, e].astype(self._kinds[key])) for key, part in self._obs.items()}

    def get_state(self) -> Arrays:
        """All that has been remembered, and the state of the draws; of parts not written yet nothing."""
        arrays = {f"obs.{key}": part[: self._count] for key, part in self._obs.items()}
        for name in _COLUMNS:
            arrays[name] = getattr(self, f"_{name}")[: self._count]
        arrays["priorities"] = self._tree.weights[: len(self)]
        arrays["counters"] = np.array([self._head, self._waiting, self._count])
        arrays["highest"] = np.array(self._highest)
        arrays["draws"] = np.array(json.dumps(self._rng.bit_generator.state))
        return arrays

    def set_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continues from ``get_state`` of a replay of the same size."""
        self._head, self._waiting, self._count = (int(value) for value in arrays["counters"])
        self._highest = float(arrays["highest"])
        for key, part in self._obs.items():
            part[: self._count] = arrays[f"obs.{key}"]
        for name in _COLUMNS:
            getattr(self, f"_{name}")[: self._count] = arrays[name]
        self._tree.set(np.arange(len(self)), np.asarray(arrays["priorities"], np.float64))
        self._rng.bit_generator.state = json.loads(str(arrays["draws"]))


def _kept(kind: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(KEPT) if kind == np.float32 else kind
