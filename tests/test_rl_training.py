"""Training runs on a toy task: learning, keep-best, checkpoints, interruption, resumption."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_sched.config import (
    EnvConfig,
    ExperimentConfig,
    GuideConfig,
    NetworkConfig,
    PPOConfig,
    ReplayConfig,
    TrainConfig,
    build,
)
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.rl import checkpoint
from rl_sched.rl.algorithms import ALGORITHMS
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.task import Task
from rl_sched.rl.training import Progress, train
from rl_sched.rl.validation import Validator
from rl_sched.testing.toy_env import ToySpec, ToyVectorEnv

TASK = Task(ToyVectorEnv)
#: The best policy of the toy task scores 19.9, a random one 55, each +- 1 in a mean over 32 episodes.
SMALL = ExperimentConfig(
    seed=3,
    network=NetworkConfig(hidden=16),
    ppo=PPOConfig(rollout=16, minibatch=128, lr=3e-3, epochs=2),
    train=TrainConfig(steps=2_000, num_envs=16, val_every=500, val_episodes=8, checkpoint_every=1_000),
)


@pytest.fixture(scope="module", autouse=True)
def ray_session():  # type: ignore[no-untyped-def]
    """One Ray for all runs of this file."""
    from rl_sched.rl.runtime import embedded_ray

    with embedded_ray(3):
        yield


def test_validation_plays_each_val_seed_once() -> None:
    network = NETWORKS.load("mlp")(ToySpec(), NetworkConfig("mlp", 8), 0.0)
    played: list[int] = []

    def make_env(num_envs: int, seed: int, split: str) -> ToyVectorEnv:
        played.append(num_envs)
        return ToyVectorEnv(num_envs, seed, split)

    Validator(Task(make_env, num_val_seeds=5), decision_of(ExperimentConfig()), 128, seed=1)(network)
    assert played == [5, 5]
    assert Task.of(ExperimentConfig(scenario="ppo-jobs")).num_val_seeds == 60


# The flat network has to learn the rule anew for every slot.
@pytest.mark.parametrize(("name", "limit"), [("cross_attention", 25.0), ("mlp", 42.0)])
def test_learns_the_toy_task(name: str, limit: float, tmp_path: Path) -> None:
    experiment = dataclasses.replace(
        SMALL,
        network=NetworkConfig(name, hidden=16),
        train=TrainConfig(steps=12_000, num_envs=32, val_every=6_000, val_episodes=32, checkpoint_every=12_000),
    )
    torch.use_deterministic_algorithms(False)
    result = train(experiment, tmp_path, task=TASK)
    assert result.curve[-1]["val_mean_jct_s"] < limit
    assert not result.stopped_early and result.steps >= 12_000
    assert sys.float_info.min / 2 > 0  # the run has not changed the arithmetic of others
    assert not torch.are_deterministic_algorithms_enabled()  # RLlib leaves it on
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_guided_run_starts_at_the_guide(tmp_path: Path) -> None:
    def guided(num_envs: int, seed: int, split: str) -> ToyVectorEnv:
        return ToyVectorEnv(num_envs, seed, split, guided=True)

    experiment = dataclasses.replace(SMALL, env=EnvConfig())
    result = train(experiment, tmp_path, task=Task(guided))
    assert result.curve[0]["val_mean_jct_s"] < 25.0


@pytest.mark.parametrize("algo", list(ALGORITHMS))
def test_imitation_copies_the_guide(algo: str, tmp_path: Path) -> None:
    """From the guide's action alone: the environment pays nothing here."""

    class Unpaid(ToyVectorEnv):
        def step_raw(self, actions):  # type: ignore[no-untyped-def]
            obs, reward, done, was_reset = super().step_raw(actions)
            return obs, 0.0 * reward, done, was_reset

    def guided(num_envs: int, seed: int, split: str) -> ToyVectorEnv:
        return Unpaid(num_envs, seed, split, guided=True)

    steps = 4_000
    guide = GuideConfig(policy="min_min", feature=False, prior=0.0, potential=False, imitation=steps)
    experiment = dataclasses.replace(
        SMALL,
        algo=algo,
        env=EnvConfig(guide=guide),
        replay=ReplayConfig(starts=200, minibatch=128, ratio=4.0, n_step=1),
        train=dataclasses.replace(SMALL.train, steps=steps, val_every=steps, val_episodes=32),
    )
    result = train(experiment, tmp_path, task=Task(guided))
    assert result.curve[-1]["val_mean_jct_s"] < 27.0  # the guide reaches 19.9, random play 55


def test_what_a_run_leaves(tmp_path: Path) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return True

    result = train(SMALL, tmp_path, on_progress=watch, task=TASK)
    assert seen[-1].steps == result.steps >= SMALL.train.steps and seen[-1].seconds_left == 0
    assert [p.steps for p in seen] == sorted(p.steps for p in seen)
    assert seen[0].val_mean_jct_s is None and seen[-1].val_mean_jct_s is not None
    assert seen[-1].best_val_score == pytest.approx(result.best_val)
    assert all(p.steps_per_s > 0 and 0 <= p.metrics["entropy_nats"] < 4 for p in seen)
    assert result.curve == [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert min(row["val_score"] for row in result.curve) == result.best_val
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best", "curve.jsonl", "last"]
    for folder in (result.checkpoint, result.last):
        loaded = checkpoint.read(folder)
        assert loaded.experiment == SMALL and loaded.meta["spec"]["window"] == 6
    assert checkpoint.locate(tmp_path) == result.checkpoint


def test_learning_rate_and_entropy_decay(tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(SMALL, tmp_path, on_progress=lambda p: seen.append(p) is None, task=TASK)
    first, last = seen[0], seen[-1]
    done = first.steps / SMALL.train.steps
    assert first.metrics["lr"] == pytest.approx(SMALL.ppo.lr * (1 - 0.95 * done), rel=1e-4)
    assert first.metrics["entropy_coef"] == pytest.approx(SMALL.ppo.entropy * (1 - done / 0.8), rel=1e-4)
    assert last.metrics["lr"] == pytest.approx(SMALL.ppo.lr * SMALL.ppo.lr_final, rel=1e-4)
    assert last.metrics["entropy_coef"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("target_kl", "steps"), [(None, 4), (1e-6, 2)])
def test_published_ppo_and_the_early_end_of_an_update(target_kl: float | None, steps: int) -> None:
    ppo = dataclasses.replace(
        SMALL.ppo, lr_shape="exponential", entropy_final=1.0, entropy_jump=0.5, value_clip=True,
        advantages="rollout", target_kl=target_kl,
    )  # fmt: skip
    algo = ALGORITHMS.load("ppo")(dataclasses.replace(SMALL, ppo=ppo), TASK.make_env).build_algo()
    try:
        result = algo.train()
        ((_, optimizer),) = algo.learner.get_optimizers_for_module("default_policy")
        taken = {int(state["step"]) for state in optimizer.state.values()}
    finally:
        algo.stop()
    # 256 steps are two minibatches an epoch. The first one diverges by rounding alone: the second ends the update.
    assert taken == {steps}
    learner = result["learners"]["default_policy"]
    assert learner["curr_entropy_coeff"] == pytest.approx(SMALL.ppo.entropy)


def test_same_seed_same_run(tmp_path: Path) -> None:
    runs = [train(SMALL, tmp_path / str(i), task=TASK) for i in range(2)]
    weights = [checkpoint.read(run.last).weights for run in runs]
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])
    other = train(dataclasses.replace(SMALL, seed=4), tmp_path / "other", task=TASK)
    changed = checkpoint.read(other.last).weights
    assert any((weights[0][key] != changed[key]).any() for key in changed)


def test_stop_and_resume(tmp_path: Path) -> None:
    stopped = train(SMALL, tmp_path, on_progress=lambda p: p.steps < 900, task=TASK)
    assert stopped.stopped_early and 900 <= stopped.steps < SMALL.train.steps
    before = checkpoint.read(stopped.last)
    assert before.meta["steps"] == stopped.steps
    steps: list[int] = []
    resumed = train(SMALL, tmp_path, on_progress=lambda p: steps.append(p.steps) is None, resume=True, task=TASK)
    assert not resumed.stopped_early and resumed.steps >= SMALL.train.steps
    assert stopped.steps < steps[0] <= stopped.steps + 256
    assert [row["steps"] for row in resumed.curve] == sorted({row["steps"] for row in resumed.curve})
    assert resumed.curve[: len(stopped.curve)] == stopped.curve
    assert resumed.seconds > stopped.seconds
    finished = train(SMALL, tmp_path, resume=True, task=TASK)
    assert finished.steps == resumed.steps and finished.best_val == resumed.best_val


def test_resumption_restores_everything(tmp_path: Path) -> None:
    from rl_sched.rl.algorithms.ppo import ppo_config

    algo = ppo_config(SMALL, TASK.make_env).build_algo()
    for _ in range(3):
        algo.train()
    algo.store(tmp_path)
    other = ppo_config(SMALL, TASK.make_env).build_algo()
    other.resume(tmp_path, algo.network.state_dict())
    try:
        assert other.steps == algo.steps > 0
        mine, theirs = (a.runner.return_scale.get_state() for a in (algo, other))
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
        for mine, theirs in zip(algo.network.parameters(), other.network.parameters(), strict=True):
            assert (mine == theirs).all()
        for mine, theirs in zip(algo.runner.module.parameters(), other.runner.module.parameters(), strict=True):
            assert (mine == theirs).all()
        adam, again = (next(iter(a.learner_group._learner._named_optimizers.values())) for a in (algo, other))
        for mine, theirs in zip(adam.state.values(), again.state.values(), strict=True):
            assert (mine["exp_avg"] == theirs["exp_avg"]).all() and mine["step"] == theirs["step"] == 12
        assert other.train()["learners"]["default_policy"]["entropy"] > 0
        assert adam.param_groups[0]["eps"] == again.param_groups[0]["eps"] == 1e-5
    finally:
        algo.stop()
        other.stop()


def test_averaged_weights_are_judged_and_kept() -> None:
    experiment = dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, average_steps=400))
    algo = ALGORITHMS.load("ppo")(experiment, TASK.make_env).build_algo()
    try:
        expected, before = None, 0
        for _ in range(3):
            algo.train()
            algo.average()
            newest = [part.clone() for part in algo.runner.module.network.parameters()]
            share = np.exp(-(algo.steps - before) / 400)
            pairs = zip(expected or newest, newest, strict=True)
            expected = [share * mean + (1 - share) * new for mean, new in pairs] if expected else newest
            before = algo.steps
        assert not torch.equal(newest[0], expected[0])
        for mean, wanted in zip(algo.network.parameters(), expected, strict=True):
            torch.testing.assert_close(mean, wanted)
    finally:
        algo.stop()


@pytest.mark.parametrize("algo", list(ALGORITHMS))
def test_interrupted_and_resumed_equals_uninterrupted(algo: str, tmp_path: Path) -> None:
    experiment = dataclasses.replace(
        SMALL,
        algo=algo,
        network=NetworkConfig("mlp" if algo == "sac" else "cross_attention", hidden=8),
        replay=ReplayConfig(capacity=1_500, starts=4_200, minibatch=64, ratio=0.5, n_step=3),
        train=dataclasses.replace(
            SMALL.train, steps=3_000 if algo == "ppo" else 12_000, average_steps=800 if algo == "ppo" else 0
        ),
    )
    whole = train(experiment, tmp_path / "whole", task=TASK)
    # After 5,000 steps of DQN and SAC the ring has gone round; a stop falls between any two updates.
    for stop in (0.3, 0.6):
        limit = stop * experiment.train.steps
        part = train(experiment, tmp_path / "parts", on_progress=lambda p, s=limit: p.steps < s, resume=True, task=TASK)
        assert limit <= part.steps < experiment.train.steps
    parts = train(experiment, tmp_path / "parts", resume=True, task=TASK)
    assert parts.steps == whole.steps and not parts.stopped_early
    one, other = (checkpoint.read(run.last).weights for run in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)
    timed = {"seconds", "steps_per_s"}
    assert [{k: v for k, v in row.items() if k not in timed} for row in whole.curve] == [
        {k: v for k, v in row.items() if k not in timed} for row in parts.curve
    ]


def test_ctrl_c_leaves_a_usable_checkpoint(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> bool:
        if progress.steps > 300:
            raise KeyboardInterrupt
        return True

    result = train(SMALL, tmp_path, on_progress=interrupt, task=TASK)
    assert result.stopped_early and 300 < result.steps < 900
    assert np.isnan(result.best_val)
    assert [checkpoint.read(f).meta["steps"] for f in (result.checkpoint, result.last)] == [result.steps] * 2
    assert train(SMALL, tmp_path, resume=True, task=TASK).steps >= SMALL.train.steps


def test_resume_refuses_another_experiment(tmp_path: Path) -> None:
    train(SMALL, tmp_path, on_progress=lambda p: False, task=TASK)
    with pytest.raises(CheckpointError, match="another experiment"):
        train(dataclasses.replace(SMALL, seed=9), tmp_path, resume=True, task=TASK)


def test_resume_refuses_other_observations(tmp_path: Path) -> None:
    train(SMALL, tmp_path, on_progress=lambda p: False, task=TASK)
    about = tmp_path / "last" / "meta.json"
    about.write_text(about.read_text().replace('"arrival_features": 0', '"arrival_features": 19'))
    with pytest.raises(CheckpointError, match=r"observations of other shape .*'arrival_features': 19"):
        train(SMALL, tmp_path, resume=True, task=TASK)


def test_wrong_network_fails_before_rllib(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cross_attention'"):
        train(dataclasses.replace(SMALL, network=NetworkConfig("cross_atention")), tmp_path, task=TASK)


def remote(algo: str, steps: int) -> ExperimentConfig:
    return dataclasses.replace(
        SMALL,
        algo=algo,
        replay=ReplayConfig(starts=200, minibatch=128),
        train=dataclasses.replace(SMALL.train, steps=steps, env_runners=2, val_every=steps, checkpoint_every=steps),
    )


@pytest.mark.slow
def test_remote_runners_stopped_and_resumed(tmp_path: Path) -> None:
    """Two processes play; after an interruption they go on as if nothing had happened."""
    experiment = remote("ppo", 4_000)
    whole = train(experiment, tmp_path / "whole", task=TASK)
    part = train(experiment, tmp_path / "part", task=TASK, on_progress=lambda p: p.steps < 2_000)
    assert part.stopped_early and part.steps < whole.steps
    train(experiment, tmp_path / "part", task=TASK, resume=True)
    one, two = (checkpoint.read(tmp_path / name / "last").weights for name in ("whole", "part"))
    assert all((one[key] == two[key]).all() for key in one)


def test_remote_runners_play_the_environments(tmp_path: Path) -> None:
    result = train(remote("dqn", 1_500), tmp_path, task=TASK)
    assert result.steps >= 1_500 and result.curve[-1]["train_mean_jct_s"] > 0


def test_more_runners_than_environments() -> None:
    with pytest.raises(ConfigError, match="env_runners must be at most num_envs"):
        build(ExperimentConfig, {"train": {"num_envs": 2, "env_runners": 3}})
