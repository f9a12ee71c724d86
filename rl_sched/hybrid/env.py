"""The Gymnasium environment of splitting tasks: one step decides one task.

Importing ``rl_sched.hybrid.registration`` registers it as ``rl_sched/HybridOffload-v0``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl_sched.errors import ConfigError
from rl_sched.hybrid import PRESETS
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.features import RELATIVE, columns, features
from rl_sched.hybrid.strategy import Situations

_COLUMNS = columns(RELATIVE)
#: The largest factor between a task's cost and its own time on a CPU that a reward tells apart.
_MAX_FACTOR = 1e4


def observe(situations: Situations) -> NDArray[np.float32]:
    """(k, 10) the features ``RELATIVE``, in [-1, 1]."""
    return features(situations)[:, _COLUMNS].astype(np.float32)


class HybridEnv(gym.Env[NDArray[np.float32], np.int64]):
    """Tasks of one stream after the other.

    Action a sends a / (actions - 1) of the task to a GPU. The reward is minus the logarithm of the task's cost over its
    time on an idle CPU, where the cost is the score that the machine's best fraction minimises, as a time: without
    weight on energy it is the time from the decision to the finish. So a percent counts the same for all tasks, and the
    action with the highest reward is the best one whatever the task.

    Args:
        preset: A name of ``PRESETS``.
        actions: How many fractions there are to choose from, at least 2.
        tasks: Tasks per episode.

    Raises:
        ConfigError: The preset is unknown, or a number is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, preset: str = "default", actions: int = 11, tasks: int = 512) -> None:
        if actions < 2 or tasks < 1:
            raise ConfigError(f"The environment needs actions >= 2 and tasks >= 1; given: {actions} and {tasks}.")
        self._preset = PRESETS.create(preset)
        self._tasks = tasks
        self.fractions = np.linspace(0.0, 1.0, actions)
        self.observation_space = spaces.Box(-1.0, 1.0, (len(RELATIVE),), np.float32)
        self.action_space = spaces.Discrete(actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins a new stream with idle devices."""
        super().reset(seed=seed)
        stream = self._preset.stream(int(self.np_random.integers(1 << 31)))
        self._engine = Engine(self._preset.machine, stream, self._tasks + 1)
        return self._look(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decides the task that was observed last; an episode is cut after so many tasks, it never ends by itself."""
        machine, task = self._engine.machine, int(self._situation.task[0])
        fraction = self.fractions[int(action)]
        time_s, score = self._engine.trial(task, fraction)
        cost = score * machine.score_time_s / float(self._situation.column("duration_s")[0])
        self._engine.carry_out(self._situation, np.array([fraction]))
        reward = -float(np.log(np.clip(cost, 1.0 / _MAX_FACTOR, _MAX_FACTOR)))
        truncated = self._engine.decided >= self._tasks
        return self._look(), reward, False, truncated, {"task": task, "time_s": time_s}

    def _look(self) -> NDArray[np.float32]:
        self._situation = self._engine.look(1)
        return observe(self._situation)[0]
