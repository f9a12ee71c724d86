"""The peers of ``benchmarks.simulator`` do the same work as the real thing; otherwise its ratios mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import simulator as benchmark
from benchmarks.logs import RUNS, log_of
from benchmarks.peers.python_env import PythonEnv
from benchmarks.peers.simpy_env import SimpyEnv
from benchmarks.peers.simpy_fifo import fifo_starts
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.config import EnvConfig
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.policies import POLICIES
from rl_sched.sim.simulator import simulate
from rl_sched.workload import Workload

PARTS = ("jobs", "gpus", "globals", "action_mask")


def assert_same_observation(obs: dict[str, np.ndarray], peer_obs: dict[str, np.ndarray], step: int) -> None:
    for part in PARTS:
        np.testing.assert_allclose(obs[part][0], peer_obs[part], rtol=0, atol=1e-6, err_msg=f"{part}, step {step}")


@pytest.mark.parametrize("peer", [PythonEnv, SimpyEnv])
@pytest.mark.parametrize(("seed", "finish_times"), [(3, True), (4, False)])
def test_peer_environments_play_the_same_episode(peer: type[PythonEnv], seed: int, finish_times: bool) -> None:
    ours = SchedulingVectorEnv("default", EnvConfig(finish_times=finish_times, plan=False), num_envs=1, seed=seed)
    theirs = peer(benchmark.world_of(ours.scenario, finish_times=finish_times))
    obs = ours.reset_raw(seed)
    peer_obs = theirs.reset(benchmark.jobs_of(ours.scenario, int(ours.episode_seed[0])))
    assert set(peer_obs) == set(obs) == set(PARTS)
    rng = np.random.default_rng(seed)
    steps = 0
    for _ in range(2):  # episodes: the second begins by autoreset, in the buffers of the first
        done = False
        while not done:
            assert_same_observation(obs, peer_obs, steps)
            action = benchmark.random_legal(obs["action_mask"], rng)
            obs, reward, finished, _ = ours.step_raw(action)
            peer_obs, peer_reward, done = theirs.step(int(action[0]))
            assert reward[0] == pytest.approx(peer_reward, abs=1e-6)
            assert bool(finished[0]) == done
            steps += 1
        assert_same_observation(obs, peer_obs, steps)
        obs, reward, _, was_reset = ours.step_raw(np.array([0]))
        assert was_reset[0] and reward[0] == 0
        peer_obs = theirs.reset(benchmark.jobs_of(ours.scenario, int(ours.episode_seed[0])))
    assert steps > 400


def test_recorded_actions_are_whole_episodes() -> None:
    env = SchedulingVectorEnv("default", num_envs=3, seed=1)
    _, episodes = benchmark.record(env, 450)
    assert len(episodes) >= 3
    peer = PythonEnv(benchmark.world_of(env.scenario))
    for episode in episodes:
        peer.reset(benchmark.jobs_of(env.scenario, episode.seed))
        dones = [peer.step(action)[2] for action in episode.actions]
        assert dones[-1] and not any(dones[:-1])


def test_simpy_fifo_starts_every_job_when_ours_does() -> None:
    log = log_of(2_000, 64)
    # Whole seconds: SimPy adds up differences of times, which is exact for them alone.
    workload = Workload.build(np.floor(log.submit_s), np.ceil(log.duration_s), log.num_gpus)
    cluster = ClusterSpec((NodeGroup("gpu", 8, 8),))
    ours = simulate(POLICIES.create("fifo"), workload, cluster).start_s
    columns = workload.submit_s.tolist(), workload.duration_s.tolist(), workload.num_gpus.tolist()
    assert ours.tolist() == fifo_starts(*columns, 64)
    assert (ours > workload.submit_s).any()


def test_benchmark_prints_one_json_object(repository: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.simulator", "--quick", "--json"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"machine", "figures"}
    assert len(printed["figures"]) == 4 + len(RUNS) + 8
    for figure in printed["figures"]:
        assert set(figure) == {"name", "unit", "ours", "peer", "peer_name", "ratio"}
        assert figure["ratio"] == pytest.approx(figure["ours"] / figure["peer"])
