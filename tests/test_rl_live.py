"""A network beside the rules: the same run as in its own environment, and its reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rl_sched.config import EnvConfig, ExperimentConfig, NetworkConfig
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import CheckpointError
from rl_sched.rl.learned_policy import LearnedPolicy
from rl_sched.rl.live import LivePlanner
from rl_sched.rl.networks import NETWORKS
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.result import RunResult
from rl_sched.sim.simulator import Simulator
from rl_sched.sim.snapshot import Decision

SEED = 2_000_000


def policy(network: str = "cross_attention", env: EnvConfig | None = None, heads: int = 2) -> LearnedPolicy:
    """Random weights: any function of the observation will do."""
    config = NetworkConfig(name=network, hidden=8, heads=heads)
    experiment = ExperimentConfig(network=config, env=env or EnvConfig())
    spec = SchedulingVectorEnv("default", experiment.env).spec_obs
    torch.manual_seed(1)
    made = NETWORKS.load(network)(spec, config, 0.0)
    with torch.no_grad():
        made.state_dict()["noop_head.bias" if network == "cross_attention" else next(iter(made.state_dict()))] -= 0.4
    return LearnedPolicy(experiment, made.eval(), spec, {})


def run(one: LearnedPolicy, rules: object = None) -> tuple[RunResult, list[Decision], list[Decision]]:
    """The run, its decisions, and what a fresh player thinks at every 23rd of them."""
    scenario = SCENARIOS.create("default")
    workload = scenario.workload(SEED)
    planner = LivePlanner(one, scenario)
    world = (workload, scenario.cluster, rules or scenario.rules)
    player = planner.player(*world)  # type: ignore[arg-type]
    simulator = Simulator(scenario.cluster, world[2])  # type: ignore[arg-type]
    snapshot = simulator.reset(workload)
    made: list[Decision] = []
    while not simulator.done:
        made.append(player.decide(snapshot))
        snapshot = simulator.step(made[-1])
    back = [planner.player(*world).look_back(made[:k]).decision for k in range(0, len(made), 23)]  # type: ignore[arg-type]
    return simulator.result(), made, back


@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.parametrize("env", [EnvConfig(), EnvConfig(lookahead="cdf", settle=True, idle_waits=False)])
def test_it_plays_as_in_its_own_environment(network: str, env: EnvConfig) -> None:
    one = policy(network, env)
    ((own, _),) = one.play_episodes("default", [SEED])
    live, made, back = run(one)
    np.testing.assert_array_equal(live.finish_s, own.finish_s)
    if not env.settle:  # there the environment waits by itself where nothing fits
        assert back == made[::23]


def test_attention_and_probabilities_are_the_networks_own() -> None:
    one = policy()
    scenario = SCENARIOS.create("default")
    workload = scenario.workload(SEED)
    _, made, _ = run(one)
    player = LivePlanner(one, scenario).player(workload, scenario.cluster, scenario.rules)
    seen = {}
    network = one.network
    with network.layers[-1].attended.register_forward_hook(lambda m, i, o: seen.update(mean=i[0])):  # type: ignore[union-attr]
        with network.gpu_in.register_forward_hook(lambda m, i, o: seen.update(gpu=o)):  # type: ignore[union-attr]
            thoughts = player.look_back(made[:150])
    assert thoughts.probs.sum() + thoughts.wait_prob == pytest.approx(1.0, abs=1e-5)
    assert (np.isnan(thoughts.logits) == (thoughts.probs == 0)).all()
    weights = thoughts.attention
    assert weights is not None
    rows = weights[weights.sum(axis=1) > 0]
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-5)
    # The network goes on with the weighted mean of the GPU tokens, per head; ours is the mean over heads.
    tokens = seen["gpu"][0].relu().numpy()
    per_head = seen["mean"].reshape(len(rows) + 1, 2, -1).mean(dim=1).numpy()[:-1]
    np.testing.assert_allclose(rows @ tokens, per_head, rtol=1e-4, atol=1e-5)


def test_what_it_cannot_play_is_refused() -> None:
    scenario = SCENARIOS.create("default")
    workload = scenario.workload(SEED)
    with pytest.raises(CheckpointError, match="never preempts"):
        LivePlanner(policy(), scenario).player(workload, scenario.cluster, replace(scenario.rules, preemption=True))
    with pytest.raises(CheckpointError, match="smaller cluster"):
        LivePlanner(policy("mlp"), scenario).player(
            workload, scenario.cluster, replace(scenario.rules, window=scenario.window + 1)
        )
