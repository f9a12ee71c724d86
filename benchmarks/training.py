"""How fast PPO learns through RLlib, beside a hand-written loop: ``python -m benchmarks.training [--json]``.

Both train the same network on the default scenario with the same environments and batch sizes, one torch thread,
taking turns in one process: update by update, ours, then the peer's. A figure is the median over updates of
environment steps per CPU second (``time.process_time``: what the machine's other work costs does not count), from
the observation to the optimiser's step. Validation and checkpoints are left out on both sides.
"""

from __future__ import annotations

import argparse
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
