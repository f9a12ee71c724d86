"""A policy trained for seconds on the default scenario, loaded and judged without RLlib."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rl_sched import evaluate
from rl_sched.config import ExperimentConfig, NetworkConfig, PPOConfig, TrainConfig
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.learned_policy import LearnedPolicy
from rl_sched.rl.playing import acting, play
from rl_sched.rl.task import Task
from rl_sched.rl.training import TrainResult, train
from rl_sched.rl.validation import Validator
from rl_sched.scenarios import SCENARIOS

EXPERIMENT = ExperimentConfig(
    network=NetworkConfig(hidden=8),
    ppo=PPOConfig(rollout=16, minibatch=128, epochs=1),
    train=TrainConfig(steps=512, num_envs=8, val_every=512, val_episodes=2, checkpoint_every=512),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(EXPERIMENT, tmp_path_factory.mktemp("run"))


def test_results_are_complete_and_repeatable(run: TrainResult) -> None:
    policy = LearnedPolicy.load(run.checkpoint)
    assert policy.experiment == EXPERIMENT and policy.meta["scenario"] == "default"
    seeds = list(SCENARIOS.create("default").seeds.report[:5])
    results = [result for result, _ in policy.play_episodes("default", seeds)]
    again = [result for result, _ in policy.play_episodes("default", seeds[::-1])][::-1]
    for one, two in zip(results, again, strict=True):
        assert one.workload_hash == two.workload_hash
        np.testing.assert_array_equal(one.finish_s, two.finish_s)
    assert len({r.workload_hash for r in results}) == 5
    assert all(len(r.jct_s) == 200 for r in results)
    (_, row) = policy.play_episodes("default", seeds[:1])[0]
    if results[0].num_unfinished == 0:
        assert row["mean_jct_s"] == pytest.approx(results[0].jct_s.mean())
    assert row["illegal"] == 0


def test_sampled_play_differs_from_greedy(run: TrainResult) -> None:
    policy = LearnedPolicy.load(run.last)
    seeds = list(SCENARIOS.create("default").seeds.report[:2])
    greedy, sampled = (policy.play_episodes("default", seeds, greedy=flag) for flag in (True, False))
    assert any((a.start_s != b.start_s).any() for (a, _), (b, _) in zip(greedy, sampled, strict=True))


def test_returns_are_the_scenarios_whatever_was_paid_in_training(run: TrainResult) -> None:
    policy = LearnedPolicy.load(run.checkpoint)
    seeds = list(SCENARIOS.create("default").seeds.val[:1])
    ((result, row),) = policy.play_episodes("default", seeds)
    paid = dataclasses.replace(EXPERIMENT, env=dataclasses.replace(EXPERIMENT.env, reward="progress"))
    policy.experiment = paid
    assert policy.play_episodes("default", seeds)[0][1]["episode_return"] == row["episode_return"]
    validator = Validator(Task.of(paid), decision_of(paid), 1, seed=1)
    (judged,) = play(acting(policy.network, decision_of(paid)), validator._env)
    assert judged["episode_return"] == row["episode_return"] != 0 and judged["seed"] == seeds[0]


def test_each_play_begins_with_the_same_seeds() -> None:
    env = SchedulingVectorEnv("default", EXPERIMENT.env, 3, seed=5, split="val")
    plays = [[row["seed"] for row in play(lambda obs: obs["action_mask"].argmax(axis=1), env)] for _ in range(3)]
    assert plays == [list(SCENARIOS.create("default").seeds.val[:3])] * 3


def test_a_seed_is_played_once(run: TrainResult) -> None:
    with pytest.raises(ConfigError, match="2 environments played 1. Use fewer"):
        LearnedPolicy.load(run.checkpoint).play_episodes("default", [2_000_001] * 2)


def test_validation_is_the_evaluation_of_val_seeds(run: TrainResult) -> None:
    seeds = list(SCENARIOS.create("default").seeds.val[:2])
    rows = [row for _, row in LearnedPolicy.load(run.checkpoint).play_episodes("default", seeds)]
    assert np.mean([row["mean_jct_s"] for row in rows]) == pytest.approx(run.best_val, nan_ok=True)


def test_a_cluster_with_fewer_types_can_be_played(run: TrainResult) -> None:
    ((result, row),) = LearnedPolicy.load(run.checkpoint).play_episodes("ppo-jobs", [2_000_001])
    assert row["illegal"] == 0 and result.gpu_type.max() == 0


def test_more_types_than_there_is_room_for_are_refused(tmp_path: Path) -> None:
    one_type = train(dataclasses.replace(EXPERIMENT, scenario="ppo-jobs"), tmp_path)
    with pytest.raises(CheckpointError, match="trained with job_features = .* and the scenario 'default' needs"):
        LearnedPolicy.load(one_type.last).play_episodes("default", [2_000_001])


def test_one_policy_of_two_scenarios(tmp_path: Path) -> None:
    """Trained on both at once, it plays each of them, and any other with no more types."""
    both = dataclasses.replace(EXPERIMENT, scenario="default + default mtbf_s:3600")
    result = train(both, tmp_path)
    policy = LearnedPolicy.load(result.checkpoint)
    for name in ("default", "default mtbf_s:3600", "ppo-jobs"):
        ((_, row),) = policy.play_episodes(name, [2_000_001])
        assert row["illegal"] == 0
    with pytest.raises(ConfigError, match="trained on default, default mtbf_s:3600. Name one with --scenario"):
        evaluate.main(["--checkpoint", str(result.checkpoint)])


def test_weights_of_another_network_are_refused(run: TrainResult, tmp_path: Path) -> None:
    import json
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(run.checkpoint, folder)
    data = json.loads((folder / "experiment.json").read_text())
    data["network"]["hidden"] = 16
    (folder / "experiment.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="do not fit the network"):
        LearnedPolicy.load(folder)


def test_unknown_scenario(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'default'"):
        train(ExperimentConfig(scenario="defualt"), tmp_path)
