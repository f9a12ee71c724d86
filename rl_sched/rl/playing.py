"""Plays episodes with a network and no learning: validation and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rl_sched.errors import ConfigError
from rl_sched.rl import masking
from rl_sched.rl.deciding import Decision
from rl_sched.rl.rollout import RawVectorEnv

#: Observations (n, ...) -> legal actions (n,) int64.
Act = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.int64]]


def acting(network: nn.Module, decision: Decision, *, greedy: bool = True, seed: int = 0) -> Act:
    """A network as a function from observations to actions.

    Args:
        network: A network of the NETWORKS table.
        decision: What is done with its answers.
        greedy: Decide by ``decision.greedy``; otherwise draw from ``decision.log_probs``.
        seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(seed)

    @torch.inference_mode()
    def act(obs: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        tensors = {key: torch.from_numpy(part) for key, part in obs.items()}
        logits = network(tensors).logits
        mask = tensors["action_mask"]
        if greedy:
            return decision.greedy(logits, mask).numpy()
        return masking.sample(decision.log_probs(logits, mask), generator)[0].numpy()

    return act


def play(act: Act, env: RawVectorEnv, on_end: Callable[[int], None] | None = None) -> list[dict[str, Any]]:
    """Plays one episode in each environment.

    Args:
        act: Chooses the actions.
        env: Fresh episodes start in all its environments, each time the same ones.
        on_end: Called with the number of an environment right after its episode's last step.

    Returns:
        The statistics of the N episodes, by environment.

    Raises:
        ConfigError: Two environments played the same workload: there are more environments than seeds.
    """
    obs = env.reset_raw(seed=0)  # from the first of its workloads on, whatever has been played before
    env.pop_finished()
    rows: dict[int, dict[str, Any]] = {}
    playing = np.arange(env.num_envs)
    while playing.size:
        # Environments that are through still step, with any legal action; the network does not see them.
        actions = obs["action_mask"].argmax(axis=1)
        actions[playing] = act({key: part[playing] for key, part in obs.items()})
        obs, _, done, _ = env.step_raw(actions)
        if not done.any():
            continue
        for row in env.pop_finished():
            e = int(row["env"])
            if e not in rows:
                rows[e] = row
                if on_end is not None:
                    on_end(e)
        playing = np.array([e for e in playing if e not in rows], dtype=np.int64)
    num_seeds = len({(row.get("scenario"), row["seed"]) for row in rows.values()})
    if num_seeds < env.num_envs:
        raise ConfigError(
            f"One episode an environment needs as many workload seeds; {env.num_envs} environments played {num_seeds}. "
            "Use fewer environments."
        )
    return [rows[e] for e in range(env.num_envs)]
