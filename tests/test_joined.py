"""Several scenarios in one environment, larger shapes, easier workloads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rl_sched.config import EnvConfig, ExperimentConfig, GuideConfig, NetworkConfig, TrainConfig
from rl_sched.envs.joined import JoinedVectorEnv
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import ConfigError
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.runner import CURRICULUM_STEPS
from rl_sched.rl.task import Task, paid, shares
from rl_sched.scenarios import SCENARIOS

GUIDED = EnvConfig(guide=GuideConfig(policy="min_min", potential=False))
NAMES = ("default", "ppo-jobs")  # three types, one type


def made(config: EnvConfig, *names: str, num_envs: int = 3) -> list[SchedulingVectorEnv]:
    return [SchedulingVectorEnv(name, config, num_envs, seed=5) for name in names]


@pytest.mark.parametrize("config", [GUIDED, EnvConfig(finish_times=False), replace(GUIDED, types=4, plan=True)])
def test_joined_environments_play_what_they_play_alone(config: EnvConfig) -> None:
    alone, inside = made(config, *NAMES), made(config, *NAMES)
    joined = JoinedVectorEnv(inside, config)
    types = joined.spec_obs.num_types
    assert types == (config.types or 3) and joined.groups.tolist() == [0, 0, 0, 1, 1, 1]
    rng = np.random.default_rng(0)
    obs = joined.reset_raw(5)
    parts = [env.reset_raw(5) for env in alone]
    ended = 0
    for _ in range(400):
        assert joined.single_observation_space.contains({key: value[4] for key, value in obs.items()})
        choices = (obs["action_mask"] * rng.random(obs["action_mask"].shape)).argmax(axis=1)
        obs, rewards, done, was_reset = joined.step_raw(choices)
        for k, env in enumerate(alone):
            rows, t = slice(3 * k, 3 * k + 3), env.spec_obs.num_types
            slot, kind = np.divmod(choices[rows] - 1, types)
            own = np.where(choices[rows] == 0, 0, 1 + slot * t + kind)
            parts[k], *rest = env.step_raw(own)
            for mine, theirs in zip((rewards, done, was_reset), rest, strict=True):
                assert (mine[rows] == theirs).all()
            # The mask: the same entries, and nothing where the scenario has no type.
            mask = obs["action_mask"][rows, 1:].reshape(3, -1, types)
            assert (mask[:, : env.spec_obs.window, :t].reshape(3, -1) == parts[k]["action_mask"][:, 1:]).all()
            assert mask.sum() == parts[k]["action_mask"][:, 1:].sum()
            assert (obs["jobs"][rows, : env.spec_obs.window, :6] == parts[k]["jobs"][:, :, :6]).all()
            if env.spec_obs.guided:
                guide = parts[k]["guide"]
                slot, kind = np.divmod(guide - 1, t)
                assert (obs["guide"][rows] == np.where(guide == 0, 0, 1 + slot * types + kind)).all()
        ended += len(joined.pop_finished())
    assert ended > 0


def test_absent_types_look_impossible() -> None:
    config = EnvConfig(types=3)
    obs = JoinedVectorEnv(made(config, "ppo-jobs"), config).reset_raw(5)
    exists = obs["jobs"][:, :, 0] == 1
    names = np.array(["run"] * 3 + ["wait", "finish", "best"] * 3)
    shown = obs["jobs"][:, :, 6:]
    for name, never in {"run": 2.0, "wait": 1.0, "finish": 1.0, "best": 0.0}.items():
        absent = shown[:, :, np.flatnonzero(names == name)[1:]]
        assert (absent[exists] == never).all() and (absent[~exists] == 0).all()
    assert (obs["gpus"][:, :, 3:] == 0).all() and (obs["globals"][:, -2:] == 0).all()


def test_gpus_that_are_not_there_change_nothing() -> None:
    """The same observation in a larger shape gets the same answers."""
    config = EnvConfig()
    own = SchedulingVectorEnv("default", config, 4, seed=1)
    room = own.spec_obs._replace(num_gpus=40, window=70)
    joined = JoinedVectorEnv([SchedulingVectorEnv("default", config, 4, seed=1)], config, room)
    torch.manual_seed(0)
    network = NETWORKS.load("cross_attention")(own.spec_obs, NetworkConfig(hidden=16), 0.0)
    small = {key: torch.from_numpy(value) for key, value in own.reset_raw(1).items()}
    large = {key: torch.from_numpy(value) for key, value in joined.reset_raw(1).items()}
    assert large["gpus"].shape[1] == 40 and large["jobs"].shape[1] == 70
    a, b = network(small), network(large)
    torch.testing.assert_close(a.value, b.value)
    torch.testing.assert_close(a.logits, b.logits[:, : a.logits.shape[1]])


def test_fewer_types_than_there_are() -> None:
    config = EnvConfig(types=2)
    with pytest.raises(ConfigError, match="env.types must be at least 3"):
        JoinedVectorEnv(made(config, "default"), config)


def test_state_comes_back() -> None:
    joined = JoinedVectorEnv(made(EnvConfig(), *NAMES), EnvConfig())
    joined.reset_raw(5)
    rng = np.random.default_rng(3)

    def play(steps: int) -> list[np.ndarray]:
        out = []
        for _ in range(steps):
            mask = joined._obs["action_mask"]
            _, rewards, *_ = joined.step_raw((mask * rng.random(mask.shape)).argmax(axis=1))
            out.append(rewards.copy())
        return out

    play(50)
    kept, draws = joined.get_state(), rng.bit_generator.state
    first = play(200)
    joined.set_state(kept)
    rng.bit_generator.state = draws
    assert all((a == b).all() for a, b in zip(first, play(200), strict=True))


def test_easier_workloads_come_and_go() -> None:
    scenario = SCENARIOS.create("default")
    env = SchedulingVectorEnv(scenario, EnvConfig(), 2, seed=0)
    env.set_difficulty(0.5, 0.1)
    env.reset_raw(0)
    easy = env.snapshot(0)
    whole = scenario.workload(int(env.episode_seed[0]))
    assert easy.now_s == pytest.approx(whole.submit_s[0] / 0.5)
    env.set_difficulty()
    rng = np.random.default_rng(0)
    lengths = []
    obs = env.observation
    while len(lengths) < 6:
        obs, *_ = env.step_raw((obs["action_mask"] * rng.random(obs["action_mask"].shape)).argmax(axis=1))
        lengths += [row["length"] for row in env.pop_finished()]
    assert max(lengths[:2]) < 100 < min(lengths[2:])  # twenty jobs, then two hundred


def test_a_curriculum_ends_at_the_scenario_itself() -> None:
    assert CURRICULUM_STEPS >= 2
    assert shares(10, [None, None, None]) == [4, 3, 3] and shares(10, [2, None]) == [2, 5] and shares(1, [None] * 2)


def test_mixtures() -> None:
    assert [part.name for part in SCENARIOS.parts("ppo-jobs + default mtbf_s:1e+3")] == [
        "ppo-jobs",
        "default mtbf_s:1e+3",
    ]
    experiment = ExperimentConfig(scenario="default+default mtbf_s:3600", train=TrainConfig(num_envs=7))
    task = Task.of(experiment)
    env = task.make_env(7, 1, "train")
    assert env.groups.tolist() == [0, 0, 0, 0, 1, 1, 1]
    rows = [
        {"scenario": "a", "mean_jct_s": 10.0},
        {"scenario": "a", "mean_jct_s": 30.0},
        {"scenario": "b", "mean_jct_s": 500.0},
    ]
    assert task.score(rows) == pytest.approx(100.0)  # the geometric mean of 20 and 500
    assert task.score([*rows, {"scenario": "b", "mean_jct_s": float("nan")}]) == float("inf")
    for wrong, sentence in {
        "default+default": "more than once",
        "default+ppo-jobs": "must all be judged by mean_jct_s",
        "default+defualt": "default",
    }.items():
        with pytest.raises(ConfigError, match=sentence):
            Task.of(replace(experiment, scenario=wrong))
    with pytest.raises(ConfigError, match="num_envs must be at least 2"):
        Task.of(replace(experiment, train=TrainConfig(num_envs=1)))


def test_what_pays_depends_on_the_learner() -> None:
    default, published = SCENARIOS.create("default"), SCENARIOS.create("ppo-jobs")
    by_algo = {algo: ExperimentConfig(algo=algo) for algo in ("ppo", "dqn", "sac")}
    assert [paid(e, default).reward for e in by_algo.values()] == ["lost", "planned", "planned"]
    assert {paid(e, published).reward for e in by_algo.values()} == {"ppo-jobs-shaped"}
    told = ExperimentConfig(algo="dqn", env=EnvConfig(reward="jct"))
    assert paid(told, default) == told.env
