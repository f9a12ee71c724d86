"""How fast the simulator is, beside peers in the same run: ``python -m benchmarks.simulator [--json]``.

CPU seconds on one core, medians over repeats in which ours and the peers take turns.

1. Environment steps with observations written (``default``: W = 50, G = 16, 3 GPU types, 256 environments), against
   the same environment in pure Python and on SimPy. All play the same recorded, uniformly random legal actions.
2. Long logs: see ``benchmarks.logs``.
3. Decisions by linear program: see ``benchmarks.allocation``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.allocation import AllocationSizes, allocation_figures
from benchmarks.logs import LogSizes, log_figures
from benchmarks.peers.python_env import Jobs, PythonEnv, World, prepare
from benchmarks.peers.simpy_env import SimpyEnv
from benchmarks.report import emit, figure
from rl_sched.config import EnvConfig
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.scenarios.base import Scenario


class Sizes(NamedTuple):
    """How much is measured."""

    envs: int = 256
    steps: int = 600  #: of all environments together; an episode takes about 300
    peer_episodes: int = 8
    repeats: int = 5
    logs: LogSizes = LogSizes()
    allocation: AllocationSizes = AllocationSizes()


QUICK = Sizes(
    envs=4,
    steps=30,
    peer_episodes=1,
    repeats=1,
    logs=LogSizes(jobs=5_000, peer_jobs=500, repeats=1),
    allocation=AllocationSizes(12, 3),
)


class Recorded(NamedTuple):
    """The actions of one episode of one workload."""

    seed: int
    actions: list[int]


def world_of(scenario: Scenario, *, finish_times: bool = True) -> World:
    """The scenario's cluster and scales, for the peers."""
    cluster = scenario.cluster
    speed = cluster.type_flops / cluster.type_flops.max()
    return World(
        cluster.gpu_pool.tolist(),
        speed.tolist(),
        scenario.window,
        scenario.time_scale_s,
        scenario.lookahead_s,
        finish_times,
    )


def jobs_of(scenario: Scenario, seed: int) -> Jobs:
    """One workload of the scenario, for the peers."""
    w = scenario.workload(seed)
    durations = w.duration_on(scenario.cluster).tolist()
    return prepare(world_of(scenario), w.submit_s.tolist(), w.num_gpus.tolist(), w.priority.tolist(), durations)


def random_legal(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One uniformly random legal action for each row of a mask (N, A)."""
    return np.argmax(rng.random(mask.shape) * mask, axis=1)


def record(env: SchedulingVectorEnv, steps: int) -> tuple[np.ndarray, list[Recorded]]:
    """Plays random legal actions; returns them (steps, N), and the complete episodes among them."""
    rng = np.random.default_rng(1)
    obs = env.reset_raw(1)
    running: list[list[int]] = [[] for _ in range(env.num_envs)]
    actions = np.empty((steps, env.num_envs), np.int64)
    episodes = []
    for k in range(steps):
        actions[k] = random_legal(obs["action_mask"], rng)
        seeds = env.episode_seed.copy()
        obs, _, done, was_reset = env.step_raw(actions[k])
        for e in range(env.num_envs):
            if was_reset[e]:
                running[e] = []
            else:
                running[e].append(int(actions[k, e]))
            if done[e]:
                episodes.append(Recorded(int(seeds[e]), running[e]))
    return actions, episodes


def _cpu_s(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _replay(env: SchedulingVectorEnv, actions: np.ndarray) -> None:
    env.reset_raw(1)
    for row in actions:
        env.step_raw(row)


def _replay_peer(env: PythonEnv, episodes: list[tuple[Jobs, list[int]]]) -> None:
    for jobs, actions in episodes:
        env.reset(jobs)
        for action in actions:
            env.step(action)


def env_figures(sizes: Sizes, *, finish_times: bool) -> list[dict[str, Any]]:
    """Environment steps per CPU second, with or without the features of finish times."""
    env = SchedulingVectorEnv("default", EnvConfig(finish_times=finish_times, plan=False), sizes.envs, seed=1)
    # Episodes end at different times: this many steps contain a whole one in every environment.
    actions, episodes = record(env, max(sizes.steps, 450))
    actions = actions[: sizes.steps]
    played = [(jobs_of(env.scenario, episode.seed), episode.actions) for episode in episodes[: sizes.peer_episodes]]
    peer_steps = sum(len(p[1]) for p in played)
    world = world_of(env.scenario, finish_times=finish_times)
    rates: dict[str, list[float]] = {"ours": [], "python": [], "simpy": []}
    for _ in range(sizes.repeats):
        rates["ours"].append(actions.size / _cpu_s(lambda: _replay(env, actions)))
        rates["python"].append(peer_steps / _cpu_s(lambda: _replay_peer(PythonEnv(world), played)))
        rates["simpy"].append(peer_steps / _cpu_s(lambda: _replay_peer(SimpyEnv(world), played)))
    ours, python, simpy = (statistics.median(rates[name]) for name in ("ours", "python", "simpy"))
    observation = "plain observation" if not finish_times else "with finish times"
    name = f"environment steps, W=50, G=16, T=3, N={sizes.envs}, {observation}"
    return [
        figure(name, "steps/s", ours, python, "pure Python with heapq"),
        figure(name, "steps/s", ours, simpy, "SimPy"),
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    plain, full = (env_figures(sizes, finish_times=finish_times) for finish_times in (False, True))
    emit(plain + full + log_figures(sizes.logs) + allocation_figures(sizes.allocation), arguments.json)


if __name__ == "__main__":
    main()
