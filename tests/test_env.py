"""The environment: Gymnasium's contract, exact masks, bounded observations, rewards that add up."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl_sched.cluster import ClusterSpec
from rl_sched.config import EnvConfig, GuideConfig, build
from rl_sched.envs import LOOKAHEADS, registration
from rl_sched.envs.single import SchedulingEnv
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import ConfigError, SimulationError
from rl_sched.evaluation.tuning import RulePlayer
from rl_sched.policies import POLICIES
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.workload import Workload

GUIDE = GuideConfig(policy="min_min", params={"alpha": 1.25, "theta": 1.2, "depth": 4})


def random_legal(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (mask * rng.random(mask.shape)).argmax(axis=1)


@pytest.fixture(params=list(SCENARIOS))
def scenario(request: pytest.FixtureRequest) -> str:
    missing = SCENARIOS.create(request.param).available()
    if missing:
        pytest.skip(missing)
    return str(request.param)


def test_gymnasium_finds_it_by_name_alone(tmp_path: Path) -> None:
    code = "import gymnasium as g; print(g.make('rl_sched.envs.registration:rl_sched/Scheduling-v0').action_space.n)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "151", run.stderr


def test_check_env(scenario: str) -> None:
    check_env(gym.make(registration.ENV_ID, scenario=scenario).unwrapped)
    vector = gym.make_vec(registration.ENV_ID, num_envs=3, vectorization_mode="vector_entry_point", scenario=scenario)
    observation, _ = vector.reset(seed=1)
    assert vector.observation_space.contains(observation)


@pytest.mark.parametrize("lookahead", list(LOOKAHEADS))
def test_observations_stay_in_their_space(scenario: str, lookahead: str) -> None:
    rng = np.random.default_rng(0)
    world = SCENARIOS.create(scenario)
    env = SchedulingVectorEnv(world, EnvConfig(lookahead=lookahead, guide=replace(GUIDE, potential=False)), 4, seed=3)
    shapes = {key: value.shape for key, value in env.reset()[0].items()}
    assert shapes["gpus"] == (4, world.cluster.num_gpus, 2 + world.cluster.num_types)
    for i in range(250):
        observation, *_ = env.step(random_legal(env.observation["action_mask"], rng))
        assert observation["action_mask"].any(axis=1).all()
        if i % 10 == 0:
            assert env.observation_space.contains(observation)


def test_lookahead_modes() -> None:
    remaining = np.array([[0.5, 0.0, 1.0, 0.25]], np.float32)
    assert LOOKAHEADS.load("off")(remaining).tolist() == [[0, 0, 0, 0]]
    assert LOOKAHEADS.load("per_gpu")(remaining).tolist() == remaining.tolist()
    assert LOOKAHEADS.load("sorted")(remaining).tolist() == [[0, 0.25, 0.5, 1]]
    assert LOOKAHEADS.load("cdf")(remaining).tolist() == [[0.5, 0.75, 0.75, 1]]
    with pytest.raises(ConfigError, match="sorted"):
        SchedulingVectorEnv("default", EnvConfig(lookahead="sortd"))


def test_masks_are_exact(scenario: str) -> None:
    """An action is legal if and only if the simulator would accept it, and the no-op wherever time may pass."""
    rng = np.random.default_rng(1)
    env = SchedulingEnv(scenario, seed=5)
    observation, _ = env.reset(seed=5)
    num_types = len(env.snapshot().type_gpus)
    done = False
    steps = 0
    while not done and steps < 300:
        snapshot = env.snapshot()
        expected = np.zeros_like(observation["action_mask"])
        expected[1 : 1 + snapshot.feasible.size] = snapshot.feasible.ravel()
        expected[0] = snapshot.can_wait or not snapshot.feasible.any()
        assert (observation["action_mask"] == expected).all()
        assert (observation["jobs"][:, 0] > 0).sum() == len(snapshot.job)
        assert not observation["jobs"][len(snapshot.job) :].any()
        observation, _, terminated, truncated, info = env.step(random_legal(expected[None], rng)[0])
        assert info["illegal"] is False
        done = terminated or truncated
        steps += 1
    assert steps > 50
    assert num_types >= 1


def test_an_illegal_action_is_a_counted_no_op_and_strict_mode_raises() -> None:
    env = SchedulingEnv("default", seed=1)
    observation, _ = env.reset(seed=1)
    illegal = int(np.flatnonzero(observation["action_mask"] == 0)[-1])
    before = env.snapshot()
    _, _, _, _, info = env.step(illegal)
    assert info["illegal"] is True
    assert env.snapshot().now_s > before.now_s
    strict = SchedulingEnv("default", seed=1, strict=True)
    strict.reset(seed=1)
    with pytest.raises(SimulationError, match="action mask"):
        strict.step(illegal)


def test_equal_seeds_give_equal_bytes_on_any_batch_size() -> None:
    def trail(n: int) -> list[bytes]:
        env = SchedulingVectorEnv("default", EnvConfig(), n, seed=7)
        obs = env.reset_raw(7)
        out = []
        for _ in range(500):
            mask = obs["action_mask"]
            obs, reward, _, _ = env.step_raw(mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1))
            out.append(b"".join(value[0].tobytes() for value in obs.values()) + reward[0].tobytes())
        return out

    assert trail(1) == trail(5) == trail(1)


def test_next_step_autoreset() -> None:
    env = SchedulingVectorEnv("default", EnvConfig(), 2, seeds=[2_000_000, 2_000_001, 2_000_002, 2_000_003])
    rng = np.random.default_rng(0)
    obs = env.reset_raw(0)
    seen = []
    for _ in range(2000):
        obs, reward, done, was_reset = env.step_raw(random_legal(obs["action_mask"], rng))
        assert (reward[was_reset] == 0).all()
        if was_reset.any():
            assert not done[was_reset].any()
            assert (obs["globals"][was_reset, 8] < 0.2).all()  # the clock is near the start again
        seen += [episode["seed"] for episode in env.pop_finished()]
        if len(seen) >= 4:
            break
    assert sorted(seen[:4]) == [2_000_000, 2_000_001, 2_000_002, 2_000_003]


def test_shaped_rewards_sum_to_the_gain_over_the_guide() -> None:
    """Sum of the shaped rewards = (guide's cost - own cost) on the same workload; obeying the guide pays exactly 0."""
    seed = SCENARIOS.create("default").seeds.train[0]
    world = SCENARIOS.create("default")
    rule = POLICIES.create("min_min", **GUIDE.params)
    rng = np.random.default_rng(3)
    for obey in (True, False):
        env = SchedulingVectorEnv(world, EnvConfig(guide=GUIDE), 1, seeds=[seed], shaped=True)
        obs = env.reset_raw(0)
        total, done = 0.0, np.zeros(1, np.bool_)
        while not done[0]:
            action = obs["guide"].copy() if obey else random_legal(obs["action_mask"], rng)
            obs, reward, done, _ = env.step_raw(action)
            total += float(reward[0])
            assert not obey or reward[0] == 0.0
        workload = world.workload(seed)
        guide = simulate(rule, workload, world.cluster, world.rules).jct_s.mean()
        gain = (guide - env.result().jct_s.mean()) / world.time_scale_s
        assert total == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize(("unit", "power"), [("workload", 1.0), ("geometric", 0.5)])
@pytest.mark.parametrize("guide", [GuideConfig(), GUIDE])
def test_rewards_in_units_of_the_workload(guide: GuideConfig, unit: str, power: float) -> None:
    """The same episodes, each paid relative to the mean run time of its own jobs, also after a reset and a restore."""
    world = SCENARIOS.create("default")
    units = ("scenario", unit)
    one, two = (SchedulingVectorEnv(world, EnvConfig(guide=guide, reward_unit=name), 3, seed=5) for name in units)
    obs, _ = one.reset_raw(0), two.reset_raw(0)
    rng = np.random.default_rng(0)
    compared, episodes = 0, set()
    for step in range(900):
        if step == 400:
            other = SchedulingVectorEnv(world, EnvConfig(guide=guide, reward_unit=unit), 3, seed=9)
            other.reset_raw(9)
            other.set_state(two.get_state())
            two = other
        action = random_legal(obs["action_mask"], rng)
        obs, reward, _, _ = one.step_raw(action)
        _, relative, _, _ = two.step_raw(action)
        if step % 50 == 0:
            for e, seed in enumerate(one.episode_seed):
                mean_run_s = world.workload(int(seed)).duration_on(world.cluster).min(axis=1).mean()
                assert relative[e] == pytest.approx(reward[e] * (world.time_scale_s / mean_run_s) ** power, rel=1e-5)
                compared += reward[e] != 0.0
                episodes.add(int(seed))
    assert compared > 10 and len(episodes) > 3


def test_the_potential_shapes_training_alone() -> None:
    for options, shaped in (({}, True), ({"split": "val"}, False), ({"seeds": [2_000_000]}, False)):
        env = SchedulingVectorEnv("default", EnvConfig(guide=GUIDE), 1, **options)
        obs = env.reset_raw(0)
        rewards = []
        for _ in range(50):
            obs, reward, _, _ = env.step_raw(obs["guide"].copy())
            rewards.append(float(reward[0]))
        assert (not any(rewards)) is shaped


def test_the_guide_is_the_rule() -> None:
    world = SCENARIOS.create("default")
    seeds = list(world.seeds.val[:3])
    for name in ("min_min", "index", "local_search"):
        rule = POLICIES.create(name)
        scores = RulePlayer(world, name, seeds).scores(rule)
        direct = [simulate(rule, world.workload(s), world.cluster, world.rules).jct_s.mean() for s in seeds]
        assert scores == pytest.approx(direct, rel=1e-12)


def test_a_potential_needs_the_reward_that_it_continues() -> None:
    with pytest.raises(ConfigError, match="shapes the rewards jct, lost, planned only; the reward is 'ppo-jobs'"):
        SchedulingVectorEnv("ppo-jobs", EnvConfig(reward="ppo-jobs", guide=GUIDE))
    SchedulingVectorEnv("ppo-jobs", EnvConfig(reward="ppo-jobs", guide=GuideConfig(policy="min_min", potential=False)))


@pytest.mark.parametrize("name", ["philly", "philly-mixed", "openb", "google", "gavel"])
def test_missing_data_are_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RL_SCHED_TRACES", raising=False)
    with pytest.raises(ConfigError, match="RL_SCHED_TRACES"):
        SchedulingVectorEnv(name)


def test_held_environments_cost_no_rollouts_and_pay_nothing() -> None:
    env = SchedulingVectorEnv("default", EnvConfig(guide=GUIDE), 3, seed=2)
    before = {key: value.copy() for key, value in env.reset_raw(2).items()}
    asked: list[np.ndarray] = []
    costs_to_go = env.guide.costs_to_go
    env.guide.costs_to_go = lambda state, wanted, *rest: (asked.append(wanted), costs_to_go(state, wanted, *rest))[1]
    obs, reward, done, _ = env.step_raw(np.full(3, -1))
    assert not reward.any() and not done.any() and asked and not np.any(asked)
    assert all((obs[key] == before[key]).all() for key in before)


def test_a_ranking_cannot_guide() -> None:
    with pytest.raises(ConfigError, match="compiled rule"):
        SchedulingVectorEnv("default", EnvConfig(guide=GuideConfig(policy="fifo")))


@pytest.mark.parametrize("scenario", ["default", "ppo-jobs"])
@pytest.mark.parametrize("guided", [False, True])
def test_a_copied_state_goes_on_alike(scenario: str, guided: bool) -> None:
    guide = GuideConfig(policy="min_min", potential=scenario == "default") if guided else GuideConfig()
    config = EnvConfig(guide=guide, lookahead="cdf" if guided else "per_gpu")
    one, other = (SchedulingVectorEnv(scenario, config, 5, seed=seed) for seed in (3, 4))
    rng = np.random.default_rng(0)
    obs = one.reset_raw(3)
    other.reset_raw(4)
    for _ in range(900):  # some episodes end, and one may end in the last step before the copy
        one.step_raw(random_legal(obs["action_mask"], rng))
    for _ in range(200):
        other.step_raw((other.observation["action_mask"] > 0).argmax(axis=1))
    while not one.step_raw(random_legal(obs["action_mask"], rng))[2].any():
        pass
    one.pop_finished()
    other.pop_finished()
    other.set_state(one.get_state())
    for _ in range(1_500):
        actions = random_legal(obs["action_mask"], rng)
        a, b = one.step_raw(actions), other.step_raw(actions)
        assert all((a[0][key] == b[0][key]).all() for key in a[0])
        assert all((x == y).all() for x, y in zip(a[1:], b[1:], strict=True))
    finished = one.pop_finished()
    assert finished and repr(finished) == repr(other.pop_finished())  # nan == nan


def test_discounting_by_elapsed_time_is_that_of_a_semi_markov_process() -> None:
    tau = 90.0
    env = SchedulingVectorEnv("default", EnvConfig(discount_s=tau), 3, seeds=[2_000_000, 2_000_001, 2_000_002])
    plain = SchedulingVectorEnv("default", EnvConfig(), 3, seeds=[2_000_000, 2_000_001, 2_000_002])
    scale = env.scenario.num_jobs * env.scenario.time_scale_s
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    plain.reset_raw()
    weight, total, over = np.ones(3), np.zeros(3), np.zeros(3, bool)
    expected = np.zeros(3)
    while not over.all():
        actions = random_legal(obs["action_mask"], rng)
        _, reward, done, _ = env.step_raw(actions)
        assert (plain.step_raw(actions)[2] == done).all() and (plain.discounts == 1.0).all()
        total += np.where(over, 0.0, weight * reward * scale)
        weight *= env.discounts
        for e in np.flatnonzero(done & ~over):
            run = env.result(e)
            begin = run.submit_s.min()  # before the first arrival nothing costs
            expected[e] = -tau * (np.exp((begin - run.submit_s) / tau) - np.exp((begin - run.finish_s) / tau)).sum()
        over |= done
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    with pytest.raises(ConfigError, match="undiscounted cost; .* Set one of"):
        SchedulingVectorEnv("default", EnvConfig(guide=GUIDE, discount_s=60.0))


@pytest.mark.parametrize("paid", ["lost", "planned"])
def test_the_reward_of_lost_time_is_that_of_jct_up_to_a_constant(paid: str) -> None:
    seeds = list(SCENARIOS.create("default").seeds.val[:3])
    env = SchedulingVectorEnv("default", EnvConfig(reward=paid), 3, seeds=seeds)
    scale = env.scenario.num_jobs * env.scenario.time_scale_s
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    total, over = -env._plan.loss_s, np.zeros(3, bool)  # what is planned to be lost is paid for already
    while not over.all():
        _, reward, done, _ = env.step_raw(random_legal(obs["action_mask"], rng))
        total += np.where(over, 0.0, reward * scale)
        for e in np.flatnonzero(done & ~over):
            fastest_s = env.scenario.workload(seeds[e]).duration_on(env.scenario.cluster).min(axis=1)
            assert total[e] == pytest.approx(-(env.result(e).jct_s - fastest_s).sum(), rel=1e-4)
        over |= done
    with pytest.raises(ConfigError, match=f"env.discount_s discounts the reward 'jct' only; the reward is '{paid}'"):
        SchedulingVectorEnv("default", EnvConfig(reward=paid, discount_s=60.0))


def test_the_reward_of_drl_het_is_its_formula() -> None:
    """Every step's reward, from the times of the finished run alone."""
    plain = SCENARIOS.create("default")
    levels = np.array([0.5, 1.0, 2.5, 5.0])

    def make(seed: int) -> Workload:
        workload = plain.make(seed)
        return replace(workload, priority=levels[np.random.default_rng(seed).integers(0, 4, len(workload))])

    env = SchedulingVectorEnv(replace(plain, make=make), EnvConfig(reward="drl-het"), 1, seeds=[2_000_000])
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    times, rewards, done = [env.snapshot().now_s], [], np.zeros(1, np.bool_)
    while not done[0]:
        obs, reward, done, _ = env.step_raw(random_legal(obs["action_mask"], rng))
        times.append(env.snapshot().now_s)
        rewards.append(float(reward[0]))
    run = env.result()
    begin, end = np.array(times[:-1])[:, None], np.array(times[1:])[:, None]

    def overlap(since: np.ndarray, until: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = np.clip(since, begin, end)
        return low, np.maximum(np.clip(until, begin, end), low)

    low, high = overlap(run.submit_s, run.start_s)
    ages = ((high - run.submit_s) ** 2 - (low - run.submit_s) ** 2).sum(axis=1) / 2
    present = np.subtract(*overlap(run.submit_s, run.finish_s)[::-1]).sum(axis=1)
    busy = (np.subtract(*overlap(run.start_s, run.finish_s)[::-1]) * run.num_gpus).sum(axis=1) / run.cluster.num_gpus
    finished = (((run.finish_s > begin) & (run.finish_s <= end)) * run.priority).sum(axis=1)
    expected = 50 * finished - (0.05 / 1000 * ages + 0.3 * present - 1.5 * busy)
    np.testing.assert_allclose(rewards, expected, rtol=1e-5, atol=1e-4)
    assert finished.sum() == run.priority.sum()


def test_jobs_that_share_gpus_are_played_like_any_other() -> None:
    """A guide sees what the rule sees, and more jobs than GPUs may run."""
    shares = [1000, 250, 250, 500, 300, 300, 300, 1000, 700, 600]
    gangs = np.where(np.arange(60) % 10 == 7, 3, 1)
    workload = Workload.build(
        np.arange(60) * 2.0, 20.0 + np.arange(60) % 17, gangs, gpu_milli=np.tile(shares, 6), priority=np.zeros(60)
    )
    world = replace(
        SCENARIOS.create("ppo-jobs"), cluster=ClusterSpec.of(gpu=4), rules=Rules(window=20, debug=True), num_jobs=60,
        make=lambda seed: workload, reward="jct", objective="mean_jct_s", maximize=False,
    )  # fmt: skip
    for name in ("min_min", "index"):
        rule = POLICIES.create(name)
        direct = simulate(rule, workload, world.cluster, world.rules)
        assert RulePlayer(world, name, [1, 2]).scores(rule) == pytest.approx([direct.jct_s.mean()] * 2, rel=1e-12)
    env = SchedulingVectorEnv(world, EnvConfig(), 1, seeds=[1], strict=True)
    obs = env.reset_raw()
    rng = np.random.default_rng(0)
    most, done = 0, np.zeros(1, np.bool_)
    while not done[0]:
        obs, _, done, _ = env.step_raw(random_legal(obs["action_mask"], rng))
        snapshot = env.snapshot()
        n = len(snapshot.job)
        most = max(most, snapshot.num_running)
        rows = obs["jobs"][0, :n]
        np.testing.assert_allclose(
            rows[:, 1], np.log(snapshot.num_gpus * snapshot.gpu_milli / 1000) / np.log(4), atol=1e-6
        )
        free_s = np.sort(snapshot.remaining_s)[snapshot.num_gpus - 1]
        wait_s = np.where(snapshot.feasible[:, 0], 0.0, free_s)
        np.testing.assert_allclose(rows[:, 7], wait_s / (wait_s + world.time_scale_s), atol=1e-6)
    assert most > 4


def test_forced_waits_inside_a_step_change_nothing_but_the_number_of_steps() -> None:
    """The same decisions at the real choices give the same return and the same end."""

    def most_gpus(obs: dict[str, np.ndarray]) -> np.ndarray:
        legal = obs["action_mask"][:, 1:].astype(bool)
        best = np.where(legal, 1.0 + obs["jobs"][:, :, 1], 0.0).argmax(axis=1)
        return np.where(legal.any(axis=1), 1 + best, 0)

    def episodes(config: EnvConfig) -> tuple[dict[int, dict], int, np.ndarray]:
        env = SchedulingVectorEnv("ppo-jobs", config, 3, split="val")
        obs, rows, steps = env.reset_raw(), {}, 0
        paid = np.zeros(3)
        while len(rows) < 3:
            if config.settle:
                going = ~env._done
                assert obs["action_mask"][going, 1:].any(axis=1).all()
            obs, reward, done, was_reset = env.step_raw(most_gpus(obs))
            paid += np.where([e in rows for e in range(3)], 0.0, reward)
            steps += 1
            for row in env.pop_finished():
                rows.setdefault(row["env"], row)
        return rows, steps, paid

    plain, many, _ = episodes(EnvConfig())
    settled, few, paid = episodes(EnvConfig(settle=True, idle_waits=False, globals="idle"))
    assert few < 0.7 * many
    for e, row in plain.items():
        assert settled[e]["episode_return"] == pytest.approx(row["episode_return"], abs=1e-9)
        assert settled[e]["length"] == row["length"] and settled[e]["num_unfinished"] == row["num_unfinished"]
        assert paid[e] == pytest.approx(row["episode_return"], abs=0.05)  # less what passes before the first choice


@pytest.mark.parametrize("settle", [False, True])
def test_shaped_reward_of_ppo_jobs_is_the_same_up_to_a_constant(settle: bool) -> None:
    """Whether an episode ends by itself (seed 2_000_001) or at the deadline, under random play."""
    paid: dict[str, list[float]] = {}
    steps: list[tuple[float, float]] = []  # what was paid, and the share of idle GPUs x dt / deadline
    for reward in ("ppo-jobs", "ppo-jobs-shaped"):
        config = EnvConfig(reward=reward, settle=settle)
        env = SchedulingVectorEnv("ppo-jobs", config, 4, seeds=[2_000_001, 2_000_002, 2_000_003, 2_000_004])
        obs, sums, over = env.reset_raw(), np.zeros(4), np.zeros(4, bool)
        rng = np.random.default_rng(5)
        head = env._state.views.head[:4].copy()
        while not over.all():
            obs, step_reward, done, _ = env.step_raw(random_legal(obs["action_mask"], rng))
            sums += np.where(over, 0.0, step_reward)
            over |= done
            if reward == "ppo-jobs-shaped" and not settle:
                step, horizon_s = env._step, env._state.views.head["horizon_s"][:4]
                idle = 1.0 - step["busy_gpu_s"] / np.maximum(8.0 * step["span_s"], 1e-9)
                waited = step["waited"] & step["could_start"]
                rows = np.column_stack([step_reward, idle * step["span_s"] / horizon_s])
                steps += rows[~(done | over | waited)].tolist()
        paid[reward] = sums.tolist()
    alone = head["total_work"] / 8 / head["horizon_s"]
    constant = 1.0 - alone / 2 + 1.0 - alone
    if not settle:  # settled, something has passed before the first decision
        np.testing.assert_allclose(np.array(paid["ppo-jobs-shaped"]), np.array(paid["ppo-jobs"]) - constant, atol=1e-5)
        got, lost = np.array(steps).T
        assert len(got) > 1_000 and (got < 0.01).all()
        assert (got >= -2 * lost - 0.01).all() and np.corrcoef(got, lost)[0, 1] < -0.9
    else:
        gap = np.array(paid["ppo-jobs-shaped"]) - (np.array(paid["ppo-jobs"]) - constant)
        assert np.abs(gap).max() < 0.05


def test_globals_and_waits_can_be_taken_away() -> None:
    config = EnvConfig(globals="idle", idle_waits=False)
    env = SchedulingVectorEnv("default", config, 2, seed=1)
    rng = np.random.default_rng(1)
    obs = env.reset_raw(1)
    for _ in range(200):
        starts = obs["action_mask"][:, 1:].any(axis=1)
        assert (obs["action_mask"][:, 0] == ~starts).all()
        assert (obs["globals"][:, :10] == 0).all() and (obs["globals"][:, 10:] <= 1).all()
        obs, *_ = env.step_raw(random_legal(obs["action_mask"], rng))
    assert (obs["globals"][:, 10:] > 0).any()


def test_globals_of_rows_tell_nothing_that_the_rows_do_not() -> None:
    config = EnvConfig(globals="rows", lookahead="sorted")
    env = SchedulingVectorEnv("ppo-jobs", config, 2, seed=1)
    rng = np.random.default_rng(1)
    obs = env.reset_raw(1)
    scale = env.scenario.time_scale_s
    waits = []
    for _ in range(300):
        shown = obs["globals"]
        assert (shown[:, [1, 3, 4, 5, 6, 8]] == 0).all()
        jobs, remaining = obs["jobs"], obs["gpus"][:, :, 0].astype(float) * env.scenario.lookahead_s
        assert shown[:, 0] == pytest.approx(jobs[:, :, 0].sum(axis=1) / 50)
        for e in range(2):
            busy = np.unique(remaining[e][remaining[e] > 0])
            assert shown[e, 2] == pytest.approx(len(busy) / 8)
            first_s = busy[0] if len(busy) else np.inf
            assert shown[e, 7] == pytest.approx(first_s / (first_s + scale) if len(busy) else 1.0, abs=1e-5)
            waited = jobs[e, 0, 3].astype(float)
            waits.append((waited * 2 * scale / (1 - waited), shown[e, 9]))
        obs, *_ = env.step_raw(random_legal(obs["action_mask"], rng))
    seconds, fractions = np.array(waits[2::2]).T  # of the first environment: one episode, one deadline
    horizon_s = seconds[-1] / fractions[-1]
    assert seconds[-1] > 1_000 and fractions == pytest.approx(seconds / horizon_s, abs=1e-4)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"globals": "none"}, "must be all, rows or idle"),
        ({"settle": True, "guide": {"policy": "min_min"}}, "settle must be false"),
        ({"guide": {"imitation": 10}}, "needs a policy to copy"),
    ],
)
def test_settings_that_exclude_each_other(config: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build(EnvConfig, config)
