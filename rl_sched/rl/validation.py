"""The score that keeps the best checkpoint: greedy play on VAL seeds, and the alarms beside it."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from rl_sched.rl.deciding import Decision
from rl_sched.rl.playing import acting, play
from rl_sched.rl.task import Task

#: Episodes that are also played with sampled actions, for the gap between both.
SAMPLED_EPISODES = 64
#: The gap is a mean over this many validations: one alone is noisier than the alarm's threshold.
GAP_VALIDATIONS = 4


class Validation(NamedTuple):
    """Means over the VAL episodes."""

    score: float  #: the task's objective, greedy; decides which checkpoint is the best
    mean_jct_s: float  #: nan if an episode left jobs unfinished
    noop_share: float  #: voluntary waits per decision; above 0.6 is an alarm
    greedy_minus_sampled_frac: float  #: how much worse greedy play is than sampled; above 0.05: alarm


class Validator:
    """Plays the first ``episodes`` VAL seeds (all, if there are fewer) once each, the same ones every time."""

    def __init__(self, task: Task, decision: Decision, episodes: int, seed: int) -> None:
        self._task, self._decision, self._seed = task, decision, seed
        if task.num_val_seeds is not None:
            episodes = min(episodes, task.num_val_seeds)
        self._env = task.make_env(episodes, seed, "val")
        self._sampled_env = task.make_env(min(episodes, SAMPLED_EPISODES), seed, "val")
        self._pairs: deque[tuple[float, float]] = deque(maxlen=GAP_VALIDATIONS)

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Greedy and sampled scores of the newest validations, of which the gap is the mean."""
        return list(self._pairs)

    @pairs.setter
    def pairs(self, pairs: list[tuple[float, float]]) -> None:
        self._pairs.clear()
        self._pairs.extend((float(greedy), float(sampled)) for greedy, sampled in pairs)

    def __call__(self, network: nn.Module) -> Validation:
        """Scores a network."""
        greedy = play(acting(network, self._decision), self._env)
        sampled = play(acting(network, self._decision, greedy=False, seed=self._seed), self._sampled_env)
        both = {_workload(row) for row in sampled}
        compared = [row for row in greedy if _workload(row) in both]
        self._pairs.append((self._task.score(compared), self._task.score(sampled)))
        one, other = np.mean(self._pairs, axis=0)
        gap = (one - other) / abs(other) if np.isfinite(one) and np.isfinite(other) and other else np.nan
        gap = -gap if self._task.maximize else gap
        return Validation(
            score=self._task.score(greedy),
            mean_jct_s=_mean(greedy, "mean_jct_s"),
            noop_share=_mean(greedy, "noop_share"),
            greedy_minus_sampled_frac=float(gap),
        )


def _workload(row: dict[str, Any]) -> tuple[str, int]:
    return row.get("scenario", ""), row["seed"]


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
