"""The simulator: what it refuses, what it guarantees, and that its three doors lead to the same room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.config import EnvConfig
from rl_sched.envs.actions import encode
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import ConfigError, SimulationError, WorkloadError
from rl_sched.policies import POLICIES
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, simulate
from rl_sched.sim.snapshot import Start, Wait
from rl_sched.testing.policies import CLUSTER, small_workload
from rl_sched.workload import Workload


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"submit_s": [0, -1]}, r"Row 1: submit_s must be a finite time >= 0; it is -1"),
        ({"submit_s": [0, np.nan]}, r"Row 1: submit_s"),
        ({"duration_s": [1, 0]}, r"Row 1: duration_s must be a finite time > 0; it is 0"),
        ({"duration_s": [np.inf, 1]}, r"Row 0: duration_s"),
        ({"num_gpus": [1, 0]}, r"Row 1: num_gpus must be a whole number >= 1; it is 0"),
        ({"num_gpus": [1.5, 1]}, r"Row 0: num_gpus"),
        ({"num_gpus": [1, 1], "job_id": ["a", "b"], "submit_s": [0, -2]}, r"Row 1 \(job 'b'\)"),
    ],
)
def test_impossible_rows_are_refused_by_name(columns: dict, message: str) -> None:
    good = {"submit_s": [0, 1], "duration_s": [1, 1], "num_gpus": [1, 1]}
    with pytest.raises(WorkloadError, match=message):
        Workload.build(**(good | columns))


def test_a_gang_that_fits_no_type_is_refused_by_name() -> None:
    workload = Workload.build([0, 1], [1, 1], [1, 9])
    with pytest.raises(WorkloadError, match=r"Row 1: num_gpus must be a gang that fits one GPU type .*it is 9"):
        Simulator(CLUSTER).reset(workload)


def test_a_gang_that_no_node_can_hold_is_refused_with_consolidated_placement() -> None:
    cluster = ClusterSpec((NodeGroup("gpu", 3, 2),))
    workload = Workload.build([0], [1], [5])
    assert simulate(POLICIES.create("fifo"), workload, cluster).start_s.tolist() == [0]
    assert simulate(POLICIES.create("fifo"), workload, cluster, Rules(placement="consolidated")).start_s[0] == 0
    odd = ClusterSpec((NodeGroup("gpu", 1, 4), NodeGroup("gpu", 3, 1)))
    with pytest.raises(WorkloadError, match="Row 0: a gang of 6 GPUs can never be placed"):
        simulate(POLICIES.create("fifo"), Workload.build([0], [1], [6]), odd, Rules(placement="consolidated"))


def test_decisions_are_checked() -> None:
    simulator = Simulator(ClusterSpec.of(gpu=4))
    simulator.reset(Workload.build([0, 5], [10, 10], [3, 2]))
    with pytest.raises(SimulationError, match="job 1 is not one of them"):
        simulator.step(Start(1, 0))
    with pytest.raises(SimulationError, match="does not fit now on pool 1"):
        simulator.step(Start(0, 1))
    simulator.step(Start(0, 0))
    # Time passed by itself until the second job had room.
    assert simulator.done is False
    snapshot = simulator.step(Start(1, 0))
    assert simulator.done
    assert snapshot.now_s == 20
    assert simulator.result().start_s.tolist() == [0, 10]
    with pytest.raises(SimulationError, match="over"):
        simulator.step(Wait())


def test_waiting_for_ever_is_refused() -> None:
    simulator = Simulator(ClusterSpec.of(gpu=4))
    simulator.reset(Workload.build([0], [10], [1]))
    with pytest.raises(SimulationError, match="nothing will arrive"):
        simulator.step(Wait())


@pytest.mark.parametrize("ties", ["file", "heapq"])
def test_one_event_per_decision_even_at_equal_times(ties: str) -> None:
    simulator = Simulator(ClusterSpec.of(gpu=4), Rules(dispatch="one_start_per_event", tie_order=ties, debug=True))
    snapshot = simulator.reset(Workload.build([0, 2, 2, 2], [2, 2, 2, 2], [4, 1, 1, 1]))
    snapshot = simulator.step(Start(0, 0))  # its end and three arrivals share t = 2
    seen = [(snapshot.num_arrived, snapshot.num_running)]
    for _ in range(3):
        snapshot = simulator.step(Wait())
        seen.append((snapshot.num_arrived, snapshot.num_running))
    completion_first, arrivals_first = [(1, 0), (2, 0), (3, 0), (4, 0)], [(2, 1), (3, 1), (4, 1), (4, 0)]
    assert seen == (completion_first if ties == "file" else arrivals_first)
    assert snapshot.now_s == 2


def test_snapshots_are_read_only() -> None:
    snapshot = Simulator(CLUSTER).reset(small_workload(1))
    with pytest.raises(ValueError, match="read-only"):
        snapshot.num_gpus[0] = 1


def test_rules_are_checked() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'pooled'"):
        Rules(placement="poled")
    with pytest.raises(ConfigError, match="tie_order"):
        Rules(tie_order="heapq")


def test_consolidated_takes_the_fullest_node_and_pooled_the_first() -> None:
    cluster = ClusterSpec((NodeGroup("gpu", 2, 4),))
    # A takes 1 of node 0; B (2 GPUs) fits both nodes, node 0 is fuller; C (4) needs node 1; D (1) fits node 0.
    workload = Workload.build([0, 1, 2, 3], [9, 9, 9, 9], [1, 2, 4, 1])
    fifo = POLICIES.create("fifo")
    consolidated = simulate(fifo, workload, cluster, Rules(placement="consolidated"))
    assert [g.tolist() for g in consolidated.gpus] == [[0], [1, 2], [4, 5, 6, 7], [3]]
    spread = Workload.build([0, 1], [9, 9], [3, 3])
    assert [g.tolist() for g in simulate(fifo, spread, cluster).gpus] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("scenario", ["default", "ppo-jobs"])
@pytest.mark.parametrize("name", ["fifo", "sjf_backfill", "min_min", "random", "best_fit"])
def test_three_doors(scenario: str, name: str) -> None:
    """The Python loop, the kernel and the environment give identical starts, finishes and GPUs."""
    world = SCENARIOS.create(scenario)
    policy = POLICIES.create(name)
    seed = world.seeds.val[0]
    env = SchedulingVectorEnv(world, EnvConfig(reward=world.reward), seeds=[seed], strict=True)
    env.reset_raw(0)
    done = np.zeros(1, np.bool_)
    while not done[0]:
        snapshot = env.snapshot()
        _, _, done, _ = env.step_raw(np.array([encode(policy.decide(snapshot), snapshot)]))
    third = env.result()
    for compiled in (True, False):
        other = simulate(policy, world.workload(seed), world.cluster, world.rules, compiled=compiled)
        assert other.start_s.tobytes() == third.start_s.tobytes()
        assert other.finish_s.tobytes() == third.finish_s.tobytes()
        assert all(a.tobytes() == b.tobytes() for a, b in zip(other.gpus, third.gpus, strict=True))
        assert other.decisions == third.decisions


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=25),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_more_gpus_never_delay_single_gpu_jobs_under_fifo(jobs: list[tuple[int, int]], gpus: int, more: int) -> None:
    workload = Workload.build([a for a, _ in jobs], [d for _, d in jobs], np.ones(len(jobs)))
    few = simulate(POLICIES.create("fifo"), workload, ClusterSpec.of(gpu=gpus))
    many = simulate(POLICIES.create("fifo"), workload, ClusterSpec.of(gpu=gpus + more))
    assert (many.start_s <= few.start_s).all()


def test_job_seconds_are_the_sum_of_completion_times() -> None:
    env = SchedulingVectorEnv("default", EnvConfig(), seeds=[2_000_000])
    env.reset_raw(0)
    done = np.zeros(1, np.bool_)
    total = 0.0
    while not done[0]:
        mask = env.observation["action_mask"]
        _, reward, done, _ = env.step_raw(mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1))
        total += float(reward[0])
    mean = env.result().jct_s.mean()
    assert env.pop_finished()[0]["mean_jct_s"] == pytest.approx(mean, rel=1e-12)
    assert total == pytest.approx(-mean / env.scenario.time_scale_s, rel=1e-4)
