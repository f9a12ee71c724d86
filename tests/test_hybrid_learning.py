"""What learns to split tasks: the forest, its file, its retraining; the environment and the agent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rl_sched.errors import CheckpointError, ConfigError, TrainingError
from rl_sched.hybrid import PRESETS, registration
from rl_sched.hybrid.agent import RlAgent
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.env import HybridEnv
from rl_sched.hybrid.forest import NODE, Forest, ForestSettings, Report, Scaler, grow
from rl_sched.hybrid.forest_strategy import HybridMl, collect, train_forest
from rl_sched.hybrid.presets import compatibility, default
from rl_sched.hybrid.race import Race
from rl_sched.rl import plain_dqn
from rl_sched.rl.plain_dqn import DqnSettings, action_values

SMALL = ForestSettings(trees=4, rows=600, window=300)


def total_s(strategy: object, preset_name: str, n: int, seed: int = 999) -> float:
    race = Race({"it": strategy}, preset_name, seed, n)  # type: ignore[dict-item]
    race.step(n)
    return race.totals()["it"].total_time_s


def test_trees_in_arrays_say_what_scikit_learn_says() -> None:
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)).astype(np.float32)
    y, weight = np.sin(x[:, 0]) * x[:, 1].astype(float), rng.random(500)
    nodes, importances = grow(x, y, weight, SMALL, trees=7, seed=3)
    model = RandomForestRegressor(7, max_depth=15, min_samples_split=5, random_state=3).fit(x, y, sample_weight=weight)
    new = rng.normal(size=(200, 4))
    forest = Forest(Scaler(np.zeros(4), np.ones(4)), nodes, Report(0, 0.0, 0.0, importances))
    np.testing.assert_allclose(forest.predict(new), model.predict(new.astype(np.float32)), atol=1e-12)
    np.testing.assert_array_equal(importances, model.feature_importances_)


def test_the_scaler_is_fitted_on_what_the_forest_is_grown_on() -> None:
    preset = default()
    forest, window = train_forest(preset, 1, SMALL)
    rows = collect(preset, SMALL.rows, 1)
    order = np.random.default_rng(1).permutation(SMALL.rows)
    grown_on = rows.x[order[int(0.2 * SMALL.rows) :]]
    np.testing.assert_array_equal(forest.scaler.mean, grown_on.mean(axis=0))
    assert not np.array_equal(forest.scaler.mean, rows.x.mean(axis=0))
    assert forest.report.held_out == 120 and 0.8 < forest.report.r2 <= 1.0
    assert len(window.best) == 300


def test_retrains_every_50_tasks_and_renews_the_oldest_trees() -> None:
    preset = default()
    strategy = HybridMl(preset, *train_forest(preset, 1, SMALL), SMALL)
    first = strategy.forest
    race = Race({"it": strategy}, "default", 7)
    assert race.step(49)["it"].notices == [] and strategy.forest is first
    (notice,) = race.step(1)["it"].notices
    assert notice.decided == 50 and "retraining 1" in notice.text and "1 of 4 trees" in notice.text
    old, new = first.nodes, strategy.forest.nodes
    width = min(old.shape[1], new.shape[1])
    np.testing.assert_array_equal(new[:3, :width], old[1:, :width])
    assert not np.array_equal(new[3, :width], old[0, :width])
    assert [n.decided for n in race.step(151)["it"].notices] == [100, 150, 200]
    np.testing.assert_array_equal(strategy.forest.scaler.mean, first.scaler.mean)


def test_the_window_slides() -> None:
    preset = compatibility()
    settings = replace(SMALL, window=120)
    strategy = HybridMl(preset, *train_forest(preset, 1, settings), settings)
    engine = Engine(preset.machine, preset.stream(7), 200)
    engine.play(strategy, 200)
    np.testing.assert_array_equal(strategy._window.best, engine.best(np.arange(80, 200)))


def test_without_going_on_learning_the_forest_stays() -> None:
    preset = default()
    strategy = HybridMl(preset, *train_forest(preset, 1, SMALL), SMALL, online=False)
    first = strategy.forest
    assert Race({"it": strategy}, "default", 7).step(120)["it"].notices == [] and strategy.forest is first


@pytest.mark.parametrize(("preset", "within"), [("compatibility", 1.01), ("default", 1.05)])
def test_the_forest_comes_close_to_the_oracle(preset: str, within: float) -> None:
    made = PRESETS.create(preset)
    strategy = HybridMl(made, *train_forest(made, 1))
    race = Race({"hybrid_ml": strategy}, preset, 999, 3000)
    race.step(3000)
    oracle = Race(["oracle"], preset, 999, 3000)
    oracle.step(3000)
    assert race.totals()["hybrid_ml"].total_time_s < within * oracle.totals()["oracle"].total_time_s


@pytest.mark.parametrize("field", ["left", "right", "feature"])
def test_a_file_whose_trees_point_elsewhere_is_refused(field: str, tmp_path: Path) -> None:
    preset = default()
    strategy = HybridMl(preset, *train_forest(preset, 1, SMALL), SMALL)
    strategy.forest.nodes[field][1, 0] = 10**6
    strategy.save(tmp_path / "bad.npz")
    with pytest.raises(CheckpointError, match="point outside"):
        HybridMl.load(tmp_path / "bad.npz", preset)
    with pytest.raises(CheckpointError, match="not 5"):
        good = HybridMl(preset, *train_forest(preset, 1, SMALL), SMALL)
        good.save(tmp_path / "other.npz")
        HybridMl.load(tmp_path / "other.npz", compatibility())


def test_an_object_in_a_file_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", format=np.array([print], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        HybridMl.load(tmp_path / "evil.npz", default())


@pytest.mark.parametrize(
    "changes", [{"trees": 0}, {"min_split": 1}, {"held_out_frac": 1.0}, {"renewed": 30}, {"every": 0}]
)
def test_impossible_forests_are_told(changes: dict) -> None:
    with pytest.raises(ConfigError):
        ForestSettings(**changes)


def test_a_leaf_is_enough() -> None:
    nodes = np.zeros((1, 1), NODE)
    nodes["left"], nodes["value"] = -1, 0.25
    forest = Forest(Scaler.fit(np.ones((3, 2))), nodes, Report(0, 0.0, 0.0, np.zeros(2)))
    np.testing.assert_array_equal(forest.predict(np.ones((2, 2))), [0.25, 0.25])


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_environment_keeps_gymnasiums_rules(preset: str) -> None:
    env = gym.make(registration.ENV_ID, preset=preset, tasks=60)
    check_env(env.unwrapped, skip_render_check=True)
    obs, _ = env.reset(seed=4)
    for step in range(60):
        assert env.observation_space.contains(obs)
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert np.isfinite(reward) and not terminated and truncated == (step == 59)


def test_the_reward_is_minus_the_logarithm_of_the_tasks_slowdown() -> None:
    env = HybridEnv("default", actions=3, tasks=40)
    env.reset(seed=2)
    for _ in range(40):
        situation = env._situation
        *_, info = out = env.step(np.int64(1))
        row = env._engine.tasks[info["task"]]
        assert info["time_s"] == pytest.approx(row["finish_s"] - row["ready_s"])
        slowdown = info["time_s"] / situation.column("duration_s")[0]
        assert out[1] == pytest.approx(-np.log(slowdown))


def test_the_same_seed_gives_the_same_episode() -> None:
    episodes = []
    for _ in range(2):
        env = HybridEnv(tasks=30)
        obs, _ = env.reset(seed=9)
        episodes.append([obs, *(env.step(np.int64(k % 11))[0] for k in range(30))])
    np.testing.assert_array_equal(*episodes)


def test_impossible_environments_are_told() -> None:
    with pytest.raises(ConfigError, match="actions >= 2"):
        HybridEnv(actions=1)
    with pytest.raises(ConfigError, match="minibatch"):
        DqnSettings(minibatch=0)
    with pytest.raises(ConfigError, match="gamma"):
        DqnSettings(gamma=1.5)


def test_values_in_numpy_are_those_of_torch() -> None:
    rng = np.random.default_rng(1)
    shapes = [(6, 4), (6,), (6, 6), (6,), (3, 6), (3,), (1, 6), (1,)]
    w = {n: rng.normal(size=s).astype(np.float32) for n, s in zip(plain_dqn.WEIGHTS, shapes, strict=True)}
    obs = rng.normal(size=(9, 4)).astype(np.float32)
    t = {n: torch.from_numpy(a) for n, a in w.items()}
    hidden = torch.relu(torch.nn.functional.linear(torch.from_numpy(obs), t["w1"], t["b1"]))
    hidden = torch.relu(torch.nn.functional.linear(hidden, t["w2"], t["b2"]))
    advantage = torch.nn.functional.linear(hidden, t["advantage_w"], t["advantage_b"])
    value = torch.nn.functional.linear(hidden, t["value_w"], t["value_b"])
    expected = value + advantage - advantage.mean(dim=1, keepdim=True)
    np.testing.assert_allclose(action_values(w, obs), expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_dqn_learns_to_split() -> None:
    told: list[str] = []
    settings = DqnSettings(steps=12_000, learn_ratio=4.0)
    agent = RlAgent.trained(compatibility(), 3, told.append, settings)
    assert "12,032 of 12,000 steps" in told[-1]
    oracle = Race(["oracle"], "compatibility", 999, 3000)
    oracle.step(3000)
    assert total_s(agent, "compatibility", 3000) < 1.1 * oracle.totals()["oracle"].total_time_s


@pytest.mark.slow
def test_weights_that_are_not_finite_end_the_training() -> None:
    settings = DqnSettings(steps=4000, num_envs=4, lr=float("inf"), starts=64, minibatch=64)
    with pytest.raises(TrainingError, match="must stay finite"):
        plain_dqn.train_dqn(registration.ENV_ID, {"preset": "compatibility"}, settings, 0)
