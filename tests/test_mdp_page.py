"""docs/mdp.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rl_sched.config import EnvConfig, GuideConfig
from rl_sched.envs import LOOKAHEADS, REWARDS, observation
from rl_sched.envs.vector import SchedulingVectorEnv

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "mdp.md").read_text()


def table(heading: str) -> list[tuple[str, str]]:
    """The rows of the first table under a heading, without its head."""
    part = re.split(r"^#+ ", PAGE.split(f"\n### {heading}\n")[1], maxsplit=1, flags=re.M)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip() for cell in line[2:-2].split(" | ", 1)) for line in lines]  # type: ignore[misc]


def numbered(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(str(k), name) for k, name in enumerate(names)]


def test_tables_of_features() -> None:
    assert table("jobs") == [
        *numbered(observation.JOB_FEATURES),
        *(("per type", name) for name in observation.JOB_PER_TYPE),
        *(("per type, `finish_times`", name) for name in observation.JOB_FINISH),
        *(("per type, `plan`", name) for name in observation.JOB_PLAN),
        *(("per type, with a guide", name) for name in observation.JOB_GUIDE),
    ]
    assert table("gpus") == [*numbered(observation.GPU_FEATURES), ("per type", "one-hot of the GPU's type")]
    assert table("globals") == [
        *numbered(observation.GLOBALS),
        *(("per type", name) for name in observation.GLOBALS_PER_TYPE),
    ]
    assert table("arrivals") == numbered(observation.ARRIVALS)


def test_tables_of_names() -> None:
    assert all(f"`{mode}`" in PAGE for mode in LOOKAHEADS)
    reward_rows = re.findall(r"^\| `([^`]+)` \| ", PAGE.split("## Reward")[1].split("## End")[0], flags=re.M)
    assert reward_rows == list(REWARDS)
    keys = re.findall(r"^\| `([^`]+)` \| \(", PAGE, flags=re.M)
    env = SchedulingVectorEnv("default", EnvConfig(guide=GuideConfig(policy="min_min")), 1, foresight=True)
    assert sorted(keys) == sorted(env.single_observation_space)  # type: ignore[call-overload]


def planned(remaining: list[np.ndarray], gang: np.ndarray, duration_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When and where the page's plan starts each job, by lists: an independent model."""
    free = [sorted(times) for times in remaining]
    start, kind = np.full(len(gang), np.inf), np.full(len(gang), -1)
    while True:
        options = [
            (free[t][gang[i] - 1] + duration_s[i, t], i, t, free[t][gang[i] - 1])
            for i in np.flatnonzero(kind < 0)
            for t in range(len(free))
            if gang[i] <= len(free[t])
        ]
        if not options:
            return start, kind
        finish, i, t, begin = min(options)
        start[i], kind[i] = begin, t
        free[t] = sorted([finish] * gang[i] + free[t][gang[i] :])


@pytest.mark.parametrize("guided", [False, True])
def test_the_plan_is_the_pages(guided: bool) -> None:
    guide = GuideConfig(policy="min_min") if guided else GuideConfig()
    config = EnvConfig(plan=True, reward=None if guided else "planned", guide=guide)
    env = SchedulingVectorEnv("default", config, 2, seed=1)
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    scale = env.scenario.time_scale_s
    later, loss_s = 0, 0.0
    for k in range(300):
        _, reward, done, _ = env.step_raw((rng.random(obs["action_mask"].shape) * obs["action_mask"]).argmax(axis=1))
        snapshot = env.snapshot(0)
        n = len(snapshot.job)
        remaining = [snapshot.remaining_s[snapshot.gpu_type == t] for t in range(3)]
        start, kind = planned(remaining, snapshot.num_gpus, snapshot.duration_s)
        expected = np.zeros((env.scenario.window, 3))
        expected[np.arange(n), kind] = scale / (start + scale)
        np.testing.assert_allclose(obs["jobs"][0, :, 18:21], expected, atol=1e-6)
        later += int(np.count_nonzero(start > 0))
        before_s = loss_s
        loss_s = float((start + snapshot.duration_s[np.arange(n), kind] - snapshot.duration_s.min(axis=1)).sum())
        if not guided and k > 0:
            cost_s = env._step["lost_s"][0] + loss_s - before_s
            assert reward[0] == pytest.approx(-cost_s / (env.scenario.num_jobs * scale), abs=1e-5)
        if done[0]:
            break
        if guided:
            # Of the jobs that are planned to start now the guide takes one, or waits where there is none.
            guide = int(obs["guide"][0])
            assert guide > 0 or not (start == 0).any() or obs["action_mask"][0, 0] == 0
            assert guide == 0 or obs["jobs"][0, (guide - 1) // 3, 18 + (guide - 1) % 3] == 1
    assert later > 500


@pytest.mark.parametrize("guided", [False, True])
def test_columns_hold_what_the_page_says(guided: bool) -> None:
    """Formulas of the page, evaluated on snapshots of a random play."""
    config = EnvConfig(guide=GuideConfig(policy="min_min") if guided else GuideConfig())
    env = SchedulingVectorEnv("default", config, 2, seed=1)
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    scale, cluster = env.scenario.time_scale_s, env.scenario.cluster
    seen = 0
    for _ in range(150):
        actions = (rng.random(obs["action_mask"].shape) * obs["action_mask"]).argmax(axis=1)
        env.step_raw(actions)
        snapshot = env.snapshot(0)
        n = len(snapshot.job)
        rows = obs["jobs"][0]
        assert (rows[:n, 0] == 1).all() and (rows[n:] == 0).all()
        if n == 0:
            continue
        seen += n
        fastest = snapshot.duration_s.min(axis=1)
        waited = snapshot.now_s - snapshot.submit_s
        small = snapshot.num_gpus <= cluster.pool_gpus.min()
        times = [np.sort(snapshot.remaining_s[snapshot.gpu_type == t]) for t in range(3)]
        free = np.stack([t[np.minimum(snapshot.num_gpus, len(t)) - 1] for t in times], axis=1)
        expected = [
            np.log(snapshot.num_gpus) / np.log(cluster.pool_gpus.max()),
            np.log(fastest * snapshot.num_gpus / scale) / 4,
            waited / (waited + 2 * scale),
            snapshot.feasible.any(axis=1),
        ]
        for column, values in enumerate(expected, start=1):
            np.testing.assert_allclose(rows[:n, column], values, atol=1e-5)
        finite = np.where(np.isfinite(snapshot.duration_s), np.log(snapshot.duration_s / scale) / 4, 2.0)
        np.testing.assert_allclose(rows[:n, 6:9], np.minimum(finite, 2.0), atol=1e-5)
        wait = free[small]
        finish = wait + snapshot.duration_s[small]
        planned = [wait / (wait + scale), finish / (finish + scale), finish.min(axis=1, keepdims=True) / finish]
        for column, values in enumerate(planned, start=9):
            np.testing.assert_allclose(rows[:n, column:18:3][small], values, atol=1e-5)
        if guided:
            marks = rows[:n, 21:24]
            guide = int(obs["guide"][0])
            assert marks.sum() == (guide > 0) and (guide == 0 or marks.ravel()[guide - 1] == 1)
        glob = obs["globals"][0]
        assert glob[0] == pytest.approx(n / env.scenario.window)
        np.testing.assert_allclose(glob[10:], snapshot.free_gpus / cluster.pool_gpus, atol=1e-6)
    assert seen > 100
