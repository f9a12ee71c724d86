"""How fast the simulator is, beside peers in the same run: ``python -m benchmarks.simulator [--json]``.

CPU seconds on one core, medians over repeats in which ours and the peers take turns.

1. Environment steps with observations written (``default``: W = 50, G = 16, 3 GPU types, 256 environments), against
   the same environment in pure Python and on SimPy. All play the same recorded, uniformly random legal actions.
2. A million jobs under FIFO with backfill on 1,024 GPUs at load 0.85, against FIFO in SimPy on 64 GPUs, jobs per
   second, both from jobs in memory (ours also with the loading of its record); and the cost per job at 16,384 GPUs
   over that at 64.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers.python_env import Jobs, PythonEnv, World, prepare
from benchmarks.peers.simpy_env import SimpyEnv
from benchmarks.peers.simpy_fifo import fifo_starts
from benchmarks.report import emit, figure
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.config import EnvConfig
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.loading import state_for
from rl_sched.sim.ranked import run_ranked
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload

LOAD = 0.85
GANGS, GANG_SHARES = (1, 2, 4, 8), (0.45, 0.25, 0.20, 0.10)


class Sizes(NamedTuple):
    """How much is measured."""

    envs: int = 256
    steps: int = 600  #: of all environments together; an episode takes about 300
    peer_episodes: int = 8
    jobs: int = 1_000_000
    peer_jobs: int = 20_000
    repeats: int = 5


QUICK = Sizes(envs=4, steps=30, peer_episodes=1, jobs=5_000, peer_jobs=500, repeats=1)


class Recorded(NamedTuple):
    """The actions of one episode of one workload."""

    seed: int
    actions: list[int]


def world_of(scenario: Scenario, *, finish_times: bool = True) -> World:
    """The scenario's cluster and scales, for the peers."""
    cluster = scenario.cluster
    speed = cluster.type_flops / cluster.type_flops.max()
    return World(
        cluster.gpu_type.tolist(),
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
    env = SchedulingVectorEnv("default", EnvConfig(finish_times=finish_times), num_envs=sizes.envs, seed=1)
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


def log_of(num_jobs: int, num_gpus: int) -> Workload:
    """Poisson-like arrivals of lognormal jobs at ``LOAD`` on ``num_gpus`` equal GPUs."""
    rng = np.random.default_rng(0)
    gang = rng.choice(GANGS, num_jobs, p=GANG_SHARES)
    duration_s = np.clip(rng.lognormal(3.0, 1.3, num_jobs), 2.0, 1500.0)
    span_s = float((gang * duration_s).sum()) / (num_gpus * LOAD)
    return Workload.build(np.sort(rng.uniform(0.0, span_s, num_jobs)), duration_s, gang)


class Cost(NamedTuple):
    """CPU seconds of one simulated log."""

    load_s: float  #: from a workload to a state at its first decision
    run_s: float  #: from there to every start and finish


def _fifo_backfill(num_jobs: int, num_gpus: int) -> Cost:
    workload = log_of(num_jobs, num_gpus)
    cluster = ClusterSpec((NodeGroup("gpu", num_gpus // 8, 8),))
    rank = np.zeros(num_jobs, np.int64)  # all equal: in the order of arrival
    start = time.process_time()
    state = state_for(workload, cluster, Rules())
    loaded = time.process_time()
    run_ranked(state, 0, rank, strict=False)
    end = time.process_time()
    assert state.views.head["num_done"][0] == num_jobs
    return Cost(loaded - start, end - loaded)


def _simpy_fifo_s(num_jobs: int) -> float:
    w = log_of(num_jobs, 64)
    columns = w.submit_s.tolist(), w.duration_s.tolist(), w.num_gpus.tolist()
    return _cpu_s(lambda: fifo_starts(*columns, 64))


def log_figures(sizes: Sizes) -> list[dict[str, Any]]:
    """Jobs per CPU second of long logs, and how the cost per job grows with the cluster."""
    _fifo_backfill(100, 64)  # compiles
    costs: dict[int, list[Cost]] = {1_024: [], 16_384: [], 64: []}
    peer = []
    for _ in range(sizes.repeats):
        for num_gpus, measured in costs.items():
            measured.append(_fifo_backfill(sizes.jobs, num_gpus))
        peer.append(_simpy_fifo_s(sizes.peer_jobs))
    run_s = {num_gpus: statistics.median(c.run_s for c in measured) for num_gpus, measured in costs.items()}
    all_s = statistics.median(c.load_s + c.run_s for c in costs[1_024])
    peer_rate = sizes.peer_jobs / statistics.median(peer)
    name = f"FIFO with backfill, {sizes.jobs:,} jobs, 1,024 GPUs, load {LOAD}"
    us = {num_gpus: 1e6 * seconds / sizes.jobs for num_gpus, seconds in run_s.items()}
    return [
        figure(name, "jobs/s", sizes.jobs / run_s[1_024], peer_rate, "SimPy, FIFO, 64 GPUs"),
        figure(f"{name}, loading included", "jobs/s", sizes.jobs / all_s, peer_rate, "SimPy, FIFO, 64 GPUs"),
        figure("cost per job, 16,384 GPUs over 64", "us", us[16_384], us[64], "ours at 64 GPUs"),
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else Sizes()
    plain, full = (env_figures(sizes, finish_times=finish_times) for finish_times in (False, True))
    emit(plain + full + log_figures(sizes), arguments.json)


if __name__ == "__main__":
    main()
