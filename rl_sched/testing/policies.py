"""What every registered policy must do. A suite subclasses ``PolicyConformance`` and gives a fixture ``name``."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Planner, Simulator, player_of, simulate
from rl_sched.sim.snapshot import Snapshot, Start, Wait
from rl_sched.traces import TRACES
from rl_sched.workload import WHOLE_GPU, Workload

CLUSTER = ClusterSpec.of(a100=8, v100=4, t4=4)
#: Small nodes, so that gangs lie on several of them, and two virtual clusters with two types each.
NODES = ClusterSpec((NodeGroup("a100", 4, 2), NodeGroup("v100", 1, 3), NodeGroup("v100", 2, 2), NodeGroup("t4", 2, 4)))
VIRTUAL = ClusterSpec(
    (
        NodeGroup("a100", 2, 4, "red"),
        NodeGroup("v100", 2, 4, "red"),
        NodeGroup("v100", 1, 8, "blue"),
        NodeGroup("t4", 2, 4, "blue"),
    )
)


def small_workload(seed: int, num_jobs: int = 60) -> Workload:
    """A contended workload of the synthetic trace."""
    return TRACES.create("synthetic", num_jobs=num_jobs, span_s=300.0).load(seed)


def _with(workload: Workload, **columns: Any) -> Workload:
    """The same jobs with further columns."""
    w = workload
    kept = {"job_class": w.job_class, "user": w.user, "speed": w.speed, "gpu_types": w.gpu_types}
    return Workload.build(w.submit_s, w.duration_s, w.num_gpus, **{**kept, **columns})


#: No small world takes so many; a policy that goes on deciding without letting time pass does.
MAX_DECISIONS = 10_000


class World(NamedTuple):
    """One small simulation."""

    cluster: ClusterSpec
    workload: Workload
    rules: Rules


def _plain(seed: int) -> World:
    return World(CLUSTER, small_workload(seed, 40), Rules(window=20))


def _placed(placement: str) -> Callable[[int], World]:
    return lambda seed: World(NODES, small_workload(seed, 24), Rules(placement=placement))


def _virtual(seed: int) -> World:
    jobs = small_workload(seed, 24)
    vc = np.random.default_rng(seed).integers(0, 2, len(jobs))
    return World(VIRTUAL, _with(jobs, vc=vc, vc_names=("red", "blue")), Rules())


def _shared(seed: int) -> World:
    jobs = small_workload(seed, 30)
    milli = np.random.default_rng(seed).choice([100, 250, 500, 700, WHOLE_GPU], len(jobs))
    return World(NODES, _with(jobs, gpu_milli=np.where(jobs.num_gpus == 1, milli, WHOLE_GPU)), Rules(window=12))


def _failures(seed: int) -> World:
    rules = Rules(mtbf_s=400.0, mttr_s=40.0, checkpoint_interval_s=10.0, restart_s=((1, 1.0), (8, 4.0)), seed=seed)
    return World(NODES, small_workload(seed, 24), rules)


def _outage(seed: int) -> World:
    """All GPUs of one type are out of order for long, some for ever; large gangs can run on the last type alone."""
    rules = Rules(outages=((0, 10.0, math.inf), (1, 20.0, 600.0), (2, 20.0, 300.0), (3, 0.0, 500.0), (7, 40.0, 200.0)))
    return World(NODES, small_workload(seed, 24), rules)


def _guessed(seed: int) -> World:
    """Run times are badly known, and gangs that are spread run longer."""
    return World(NODES, small_workload(seed, 24), Rules(estimate_noise=1.0, locality_slowdown=1.5, seed=seed))


def _rounds(seed: int) -> World:
    return World(CLUSTER, small_workload(seed, 24), Rules(round_s=30.0))


def _preemptive(seed: int) -> World:
    rules = Rules(preemption=True, restart_s=((1, 1.0), (4, 3.0), (8, 5.0)), preemptive_tail_s=0.5)
    return World(CLUSTER, small_workload(seed, 24), rules)


def _everything(seed: int) -> World:
    jobs = small_workload(seed, 24)
    rng = np.random.default_rng(seed)
    columns = {
        "vc": rng.integers(0, 2, len(jobs)),
        "vc_names": ("red", "blue"),
        "gpu_milli": np.where(jobs.num_gpus == 1, rng.choice([300, 500, WHOLE_GPU], len(jobs)), WHOLE_GPU),
        "deadline_s": jobs.submit_s + rng.uniform(20.0, 400.0, len(jobs)),
    }
    rules = Rules(
        placement="best_fit", preemption=True, restart_s=((8, 2.0),), mtbf_s=600.0, mttr_s=50.0,
        checkpoint_interval_s=5.0, round_s=15.0, estimate_noise=0.5, straggler_share=0.2, straggler_slowdown=2.0,
        seed=seed,
    )  # fmt: skip
    return World(VIRTUAL, _with(jobs, **columns), rules)


#: Small worlds under every kind of rule, by name; each takes a seed.
WORLDS: dict[str, Callable[[int], World]] = {
    "plain": _plain,
    "consolidated": _placed("consolidated"),
    "best_fit": _placed("best_fit"),
    "worst_fit": _placed("worst_fit"),
    "fragmentation": _placed("fragmentation"),
    "virtual_clusters": _virtual,
    "shared_gpus": _shared,
    "failures": _failures,
    "outage": _outage,
    "guessed_run_times": _guessed,
    "rounds": _rounds,
    "preemption": _preemptive,
    "everything": _everything,
}


def assert_same_bytes(one: RunResult, two: RunResult) -> None:
    """Every start, finish, pool and GPU is the same, bit for bit."""
    for column in ("start_s", "finish_s", "gpu_type", "waited_s", "ran_s", "preemptions", "kills"):
        assert getattr(one, column).tobytes() == getattr(two, column).tobytes(), column
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one.gpus, two.gpus, strict=True))
    assert one.decisions == two.decisions


def _columns(snapshot: Snapshot) -> list[np.ndarray]:
    """All that a policy sees."""
    own = [value for field, value in snapshot._asdict().items() if field != "running"]
    return [np.asarray(value) for value in (*own, *snapshot.running)]


class PolicyConformance:
    """Feasible, pure, deterministic, the same through every door, and it ends."""

    @pytest.mark.parametrize("world_name", WORLDS)
    def test_all_jobs_finish_and_both_doors_agree(self, name: str, world_name: str) -> None:
        # The simulator refuses an infeasible decision, and debug checks every invariant of its state.
        cluster, workload, rules = WORLDS[world_name](1)
        policy = POLICIES.create(name)
        simulator = Simulator(cluster, replace(rules, debug=True))
        snapshot, player = simulator.reset(workload), player_of(policy, workload, cluster, rules)
        while not simulator.done:
            assert snapshot.decision < MAX_DECISIONS, f"still deciding at t = {snapshot.now_s} s"
            snapshot = simulator.step(player.decide(snapshot))
        result = simulator.result()
        assert result.num_unfinished == 0
        assert (result.wait_s >= 0).all()
        assert_same_bytes(result, simulate(policy, workload, cluster, rules))

    def test_pure_and_picklable(self, name: str) -> None:
        world = _plain(2)
        policy = POLICIES.create(name)
        twin = pickle.loads(pickle.dumps(policy))
        players = [player_of(one, world.workload, world.cluster, world.rules) for one in (policy, twin)]
        if not isinstance(policy, Planner):  # a planner may remember what it has said
            players.append(policy)
        simulator = Simulator(world.cluster, world.rules)
        snapshot = simulator.reset(world.workload)
        for _ in range(40):
            before = [value.copy() for value in _columns(snapshot)]
            decision, *others = [player.decide(snapshot) for player in players]
            assert all(decision == other for other in others)
            for old, new in zip(before, _columns(snapshot), strict=True):
                np.testing.assert_array_equal(old, new)
            snapshot = simulator.step(decision)

    def test_waits_when_nothing_waits(self, name: str) -> None:
        world = World(CLUSTER, small_workload(3, num_jobs=2), Rules())
        snapshot = Simulator(world.cluster).reset(world.workload)
        assert len(snapshot.job) == 1  # and nothing else is of that length
        empty: dict[str, Any] = {
            field: value[:0]
            for field, value in snapshot._asdict().items()
            if isinstance(value, np.ndarray) and value.shape[:1] == (1,)
        }
        assert {"job", "duration_s", "feasible"} <= set(empty)
        player = player_of(POLICIES.create(name), world.workload, world.cluster, world.rules)
        assert isinstance(player.decide(snapshot._replace(**empty)), Wait)

    def test_starts_where_waiting_would_last_for_ever(self, name: str) -> None:
        world = World(CLUSTER, Workload.build([0.0, 0.0], [5.0, 3.0], [2, 4]), Rules())
        snapshot = Simulator(world.cluster).reset(world.workload)
        assert not snapshot.can_wait
        player = player_of(POLICIES.create(name), world.workload, world.cluster, world.rules)
        assert isinstance(player.decide(snapshot), Start)

    def test_gives_up_on_a_gang_that_can_never_run(self, name: str) -> None:
        workload = Workload.build([0.0, 0.0, 9.0], [50.0, 7.0, 5.0], [6, 2, 6])
        rules = Rules(preemption=getattr(POLICIES.load(name), "preemptive", False), outages=((0, 10.0, math.inf),))
        cluster, policy = ClusterSpec((NodeGroup("a100", 2, 4),)), POLICIES.create(name)
        simulator = Simulator(cluster, rules)
        snapshot, player = simulator.reset(workload), player_of(policy, workload, cluster, rules)
        while not simulator.done:
            assert snapshot.decision < MAX_DECISIONS, f"still deciding at t = {snapshot.now_s} s"
            snapshot = simulator.step(player.decide(snapshot))
        assert np.isnan(simulator.result().finish_s).tolist() == [True, False, True]
        assert_same_bytes(simulator.result(), simulate(policy, workload, cluster, rules))


class TimeScaleConformance:
    """For policies without a time scale of their own."""

    def test_scaling_all_times_scales_all_completion_times(self, name: str) -> None:
        # A power of two changes no rounding, so even ties stay ties.
        workload = small_workload(4)
        slow = Workload.build(
            workload.submit_s * 4, workload.duration_s * 4, workload.num_gpus, job_class=workload.job_class,
            user=workload.user, priority=workload.priority, speed=workload.speed, gpu_types=workload.gpu_types,
        )  # fmt: skip
        one = simulate(POLICIES.create(name), workload, CLUSTER)
        two = simulate(POLICIES.create(name), slow, CLUSTER)
        assert np.array_equal(one.jct_s * 4, two.jct_s)
