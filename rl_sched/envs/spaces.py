"""The observation of N environments as Gymnasium's space and as buffers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from rl_sched.envs.observation import BOUND, GLOBALS, ObsSpec
from rl_sched.envs.window import Shown

Obs = dict[str, np.ndarray]

#: ``env.globals`` -> columns of the globals that are hidden. What is left with ``rows`` can be read off the rows of
#: jobs and GPUs as well; of the deadline it shows what the oldest wait has used up, not the clock.
HIDDEN_GLOBALS: dict[str, list[int]] = {
    "rows": [1, 3, 4, 5, 6, 8],
    "idle": list(range(len(GLOBALS))),
}
DEADLINE_USED = 9


def space_of(spec: ObsSpec) -> gym.spaces.Dict:
    """The observation space of one environment of these shapes."""

    def box(*shape: int) -> gym.spaces.Box:
        return gym.spaces.Box(-BOUND, BOUND, shape, np.float32)

    spaces: dict[str, gym.Space] = {
        "jobs": box(spec.window, spec.job_features),
        "gpus": box(spec.num_gpus, spec.gpu_features),
        "globals": box(spec.global_features),
        "action_mask": gym.spaces.Box(0, 1, (spec.num_actions,), np.int8),
    }
    if spec.arrival_features:
        spaces["arrivals"] = box(spec.arrival_features)
    if spec.guided:
        spaces["guide"] = gym.spaces.Discrete(spec.num_actions)
    return gym.spaces.Dict(spaces)


def empty_observation(n: int, spec: ObsSpec) -> Obs:
    """Buffers of an observation of ``n`` environments; ``guide``, where there is one, is not among them."""
    obs: Obs = {
        "jobs": np.zeros((n, spec.window, spec.job_features), np.float32),
        "gpus": np.zeros((n, spec.num_gpus, spec.gpu_features), np.float32),
        "globals": np.zeros((n, spec.global_features), np.float32),
        "action_mask": np.zeros((n, spec.num_actions), np.int8),
    }
    if spec.arrival_features:
        obs["arrivals"] = np.zeros((n, spec.arrival_features), np.float32)
    return obs


def columns_of(member: np.ndarray) -> slice | np.ndarray:
    """Index of the true entries; a slice where they are neighbours, which is faster."""
    index = np.flatnonzero(member)
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == len(index) else index


def hide_globals(mode: str, out: np.ndarray, head: np.ndarray, shown: Shown) -> None:
    """Takes from the globals what ``env.globals`` does not show.

    Args:
        mode: all | rows | idle.
        out: (N, Fx) changed.
        head: (N,) ``record.HEAD``.
        shown: The windows.
    """
    if mode not in HIDDEN_GLOBALS:
        return
    if mode == "rows":
        wait_s = head["now"] - shown.rows["submit_s"][:, 0]
        out[:, DEADLINE_USED] = np.where(shown.used > 0, np.minimum(wait_s / head["horizon_s"], 1.0), 0.0)
    out[:, HIDDEN_GLOBALS[mode]] = 0.0
