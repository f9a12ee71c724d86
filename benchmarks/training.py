"""How fast learners learn and decide: ``python -m benchmarks.training [--json]``.

PPO through RLlib beside a hand-written loop: both train the same network on the default scenario with the same
environments and batch sizes, one torch thread, taking turns in one process: update by update, ours, then the peer's. A
figure is the median over updates of environment steps per CPU second (``time.process_time``: what the machine's other
work costs does not count), from the observation to the optimiser's step, without validation and checkpoints.

DQN and SAC with their defaults, beside what was once measured of an earlier system's (one environment, an update of 128
and 256 transitions a step): constants, not run here. And the time of one greedy decision with a full window, one
observation at a time, beside the limit that was asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.report import emit, figure
from rl_sched.config import ExperimentConfig, NetworkConfig, TrainConfig
from rl_sched.rl import runtime
from rl_sched.verbs import run_verb

#: Steps per side and repeat; an episode of the default scenario has about 300 to 600 steps in each of 128 environments.
STEPS = 120_000
REPEATS = 3
#: Environment steps per CPU second of an earlier system's D3QN and discrete SAC.
EARLIER = {"dqn": 289.0, "sac": 112.0}
#: Decisions timed, after as many that are not, and their p99 asked for, in ms.
DECISIONS = 1_000
LATENCY_MS = 2.0
#: Jobs arrive this many times as fast as in the default scenario, so that the window is full.
RUSH = 50.0


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--steps", type=int, default=STEPS, help="environment steps per side and repeat")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="fresh starts per network")
    args = parser.parse_args(argv)
    runtime.single_thread()
    runtime.keep_freed_memory()
    with runtime.embedded_ray():
        figures = [measure(name, args.steps, args.repeats) for name in ("cross_attention", "mlp")]
        figures += [throughput(algo, args.steps // 2) for algo in EARLIER]
    figures += [latency(name) for name in ("cross_attention", "mlp")]
    emit(figures, args.json)
    return 0


def measure(network: str, steps: int, repeats: int) -> dict[str, Any]:
    """One figure: PPO on one network, both sides in turns."""
    ours: list[float] = []
    peer: list[float] = []
    for seed in range(1, repeats + 1):
        experiment = ExperimentConfig(seed=seed, network=NetworkConfig(name=network), train=TrainConfig(steps=steps))
        algo, our_update, peer_update = _sides(experiment)
        done = 0
        _timed(our_update), _timed(peer_update)  # the first update warms up
        while done < steps:
            count, rate = _timed(our_update)
            ours.append(rate)
            peer.append(_timed(peer_update)[1])
            done += count
        algo.stop()
    return figure(
        f"PPO end to end, {network}",
        "env steps per CPU second",
        statistics.median(ours),
        statistics.median(peer),
        "hand-written loop",
    )


def throughput(algo: str, steps: int) -> dict[str, Any]:
    """One figure: an algorithm that learns from a replay, from the first update on."""
    from rl_sched.rl.algorithms import ALGORITHMS
    from rl_sched.rl.task import Task

    experiment = ExperimentConfig(algo=algo, train=TrainConfig(steps=10 * steps))
    experiment = dataclasses.replace(experiment, replay=dataclasses.replace(experiment.replay, starts=1))
    running = ALGORITHMS.load(algo)(experiment, Task.of(experiment).make_env).build_algo()
    running.train()
    begin, before = time.process_time(), running.steps
    while running.steps - before < steps:
        running.train()
    rate = (running.steps - before) / (time.process_time() - begin)
    running.stop()
    return figure(
        f"{algo} end to end", "env steps per CPU second", rate, EARLIER[algo], "earlier system, as measured then"
    )


def latency(network: str) -> dict[str, Any]:
    """One figure: p99 of the time from an observation to its greedy action, 50 waiting jobs, 16 GPUs."""
    import numpy as np

    from rl_sched.envs.vector import SchedulingVectorEnv
    from rl_sched.rl.deciding import decision_of
    from rl_sched.rl.networks import NETWORKS
    from rl_sched.rl.playing import acting

    experiment = ExperimentConfig(network=NetworkConfig(name=network))
    env = SchedulingVectorEnv("default", experiment.env, 1)
    env.set_difficulty(RUSH)
    act = acting(NETWORKS.load(network)(env.spec_obs, experiment.network, 0.0), decision_of(experiment))
    rng, obs = np.random.default_rng(0), env.reset_raw(0)
    times: list[float] = []
    while len(times) < 2 * DECISIONS:
        if obs["jobs"][0, -1, 0] == 1:
            begin = time.perf_counter()
            act(obs)
            times.append(1e3 * (time.perf_counter() - begin))
        obs, *_ = env.step_raw((obs["action_mask"] * rng.random(obs["action_mask"].shape)).argmax(axis=1))
    p99 = float(np.quantile(times[DECISIONS:], 0.99))
    return figure(f"greedy decision, p99, {network}", "ms", p99, LATENCY_MS, "limit")


def _sides(experiment: ExperimentConfig) -> tuple[Any, Callable[[], int], Callable[[], int]]:
    import numpy as np

    from benchmarks.handwritten_ppo import HandwrittenPPO
    from rl_sched.rl.algorithms.ppo import ppo_config
    from rl_sched.rl.networks import NETWORKS
    from rl_sched.rl.runner import stagger
    from rl_sched.rl.task import Task

    task = Task.of(experiment)
    algo = ppo_config(experiment, task.make_env).build_algo()

    def our_update() -> int:
        before = algo.steps
        algo.train()
        return int(algo.steps - before)

    env = task.make_env(experiment.train.num_envs, experiment.seed, "train")
    network = NETWORKS.load(experiment.network.name)(env.spec_obs, experiment.network, experiment.env.guide.prior)
    first = stagger(env, env.reset_raw(experiment.seed), np.random.default_rng(experiment.seed))
    peer = HandwrittenPPO(env, network, experiment.ppo, experiment.train.steps, experiment.seed, first)
    return algo, our_update, peer.update


def _timed(update: Callable[[], int]) -> tuple[int, float]:
    """Steps of one update, and steps per CPU second."""
    start = time.process_time()
    steps = update()
    return steps, steps / (time.process_time() - start)


if __name__ == "__main__":
    sys.exit(run_verb(main))
