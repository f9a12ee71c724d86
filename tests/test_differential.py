"""Random small worlds through the simulator and through the reference model: every start, finish and GPU agrees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import WorkloadError
from rl_sched.policies import POLICIES
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Policy, simulate
from rl_sched.workload import Workload
from tests.reference import model
from tests.reference.rules import RULES, local_search, min_min

TYPE_NAMES = ("a100", "v100", "k80")
# Powers of two: durations stay exact in binary, so equal times are common and really equal.
SPEEDS = (0.0, 0.25, 0.5, 1.0, 2.0)
EXAMPLES = 80  #: random worlds for each test


@dataclass(frozen=True)
class World:
    """One random instance in both tongues."""

    cluster: ClusterSpec
    workload: Workload
    rules: Rules

    def jobs(self) -> list[model.Job]:
        w, durations = self.workload, self.workload.duration_on(self.cluster)
        return [
            model.Job(float(w.submit_s[i]), int(w.num_gpus[i]), tuple(map(float, durations[i])), float(w.priority[i]))
            for i in range(len(w))
        ]

    def nodes(self) -> list[model.Node]:
        return [
            model.Node(int(t), int(size))
            for t, size in zip(self.cluster.node_pool, self.cluster.node_size, strict=True)
        ]

    def by_model(self, policy: model.Policy) -> model.Outcome:
        r = self.rules
        return model.run(self.jobs(), self.nodes(), policy, placement=r.placement, window=r.window, dispatch=r.dispatch)


def _placeable(nodes: list[model.Node], placement: str, gang: int, gpu_type: int) -> bool:
    return model.Cluster(nodes, placement).place(gang, gpu_type) is not None


@st.composite
def worlds(draw: st.DrawFn, dispatch: str = "until_wait", exact: bool = True) -> World:
    names = draw(st.sampled_from([TYPE_NAMES[:1], TYPE_NAMES[:2], TYPE_NAMES]))
    group = st.builds(NodeGroup, st.sampled_from(names), st.integers(1, 3), st.integers(1, 5))
    cluster = ClusterSpec(tuple(draw(st.lists(group, min_size=1, max_size=4))))
    placement = draw(st.sampled_from(["pooled", "consolidated"]))
    n = draw(st.integers(1, 16))
    if exact:
        submit = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
        duration: list[Any] = draw(st.lists(st.integers(1, 8), min_size=n, max_size=n))
    else:
        times = st.floats(0.0, 50.0, allow_subnormal=False)
        submit = draw(st.lists(times, min_size=n, max_size=n))
        duration = draw(st.lists(st.floats(0.1, 40.0), min_size=n, max_size=n))
    num_types = cluster.num_types
    speed = [
        [draw(st.sampled_from(SPEEDS if exact else (0.0, 0.3, 0.7, 1.0, 1.9))) for _ in range(num_types)]
        for _ in range(3)
    ]
    for row in speed:
        if not any(row):
            row[draw(st.integers(0, num_types - 1))] = 1.0
    job_class = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    nodes = [model.Node(int(t), int(s)) for t, s in zip(cluster.node_pool, cluster.node_size, strict=True)]
    gangs = []
    for i in range(n):
        # A job that fits nowhere even on the idle cluster would never start.
        fits = [
            g
            for g in range(1, 13)
            if any(s > 0 and _placeable(nodes, placement, g, t) for t, s in enumerate(speed[job_class[i]]))
        ]
        gangs.append(draw(st.sampled_from(fits)))
    workload = Workload.build(
        submit,
        duration,
        gangs,
        job_class=job_class,
        priority=draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)),
        speed=speed,
        gpu_types=cluster.type_names,
    )
    rules = Rules(
        placement=placement,
        window=draw(st.sampled_from([None, 1, 2, 3, 6])),
        dispatch=dispatch,
        tie_order="heapq" if dispatch == "one_start_per_event" else "file",
    )
    return World(cluster, workload, rules)


def assert_same(world: World, ours: RunResult, theirs: model.Outcome) -> None:
    assert ours.start_s.tolist() == theirs.start_s
    assert ours.finish_s.tolist() == theirs.finish_s
    assert ours.gpu_type.tolist() == theirs.gpu_type
    assert [tuple(sorted(g.tolist())) for g in ours.gpus] == [tuple(sorted(g)) for g in theirs.gpus]
    assert ours.decisions == theirs.decisions


def assert_agreement(world: World, policy: Policy, theirs: model.Policy) -> None:
    expected = world.by_model(theirs)
    for compiled in (True, False):
        assert_same(world, simulate(policy, world.workload, world.cluster, world.rules, compiled=compiled), expected)


@pytest.mark.parametrize("dispatch", ["until_wait", "one_start_per_event"])
@pytest.mark.parametrize("name", sorted(RULES))
def test_rules_agree(name: str, dispatch: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(worlds(dispatch))
    def run(world: World) -> None:
        assert_agreement(world, POLICIES.create(name), RULES[name])

    run()


@pytest.mark.parametrize("name", ["fifo_backfill", "sjf", "min_min", "local_search"])
def test_rules_agree_on_uneven_times(name: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(worlds(exact=False))
    def run(world: World) -> None:
        assert_agreement(world, POLICIES.create(name), RULES[name])

    run()


@settings(max_examples=EXAMPLES)
@given(
    world=worlds(),
    alpha=st.sampled_from([0.5, 1.0, 1.25]),
    theta=st.sampled_from([0.75, 1.0, 1.25]),
    depth=st.integers(0, 4),
    b=st.sampled_from([-1.0, 0.0, 1.0]),
)
def test_min_min_agrees_for_any_parameters(world: World, alpha: float, theta: float, depth: int, b: float) -> None:
    policy = POLICIES.create("min_min", alpha=alpha, theta=theta, depth=depth, power=b)
    assert_agreement(world, policy, min_min(alpha, theta, depth, b))


@settings(max_examples=EXAMPLES)
@given(
    world=worlds(),
    alpha=st.sampled_from([0.5, 1.0, 1.25]),
    theta=st.sampled_from([0.75, 1.0, 1.25]),
    moves=st.integers(0, 12),
    depth=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_local_search_agrees_for_any_parameters(
    world: World, alpha: float, theta: float, moves: int, depth: int, seed: int
) -> None:
    policy = POLICIES.create("local_search", alpha=alpha, theta=theta, moves=moves, depth=depth, seed=seed)
    assert_agreement(world, policy, local_search(alpha, theta, moves, depth, seed))


def test_local_search_plans_gangs_that_have_no_place_yet() -> None:
    """At 12 all GPUs are free or about to be: gangs of 8 have no slot to wait for until others have reserved."""
    workload = Workload.build(
        [0, 0, 0, 0, 0, 3, 4, 5, 5, 6, 7, 10, 10, 11],
        [1, 8, 6, 6, 8, 1, 1, 1, 5, 6, 1, 1, 1, 1],
        [4, 5, 6, 7, 2, 8, 8, 9, 3, 4, 1, 8, 5, 6],
        job_class=[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        speed=[[1.0], [0.25]],
        gpu_types=("a100",),
    )
    rules = Rules(dispatch="one_start_per_event", tie_order="heapq")
    world = World(ClusterSpec((NodeGroup("a100", 3, 3),)), workload, rules)
    assert_agreement(world, POLICIES.create("local_search"), RULES["local_search"])


@pytest.mark.parametrize("name", ["min_min", "local_search"])
def test_a_reservation_may_end_before_what_a_misplaced_gang_waits_for(name: str) -> None:
    """At 5 ten GPUs are idle, in two halves: the gang of 10 waits for one at 16, or at 12 behind the last job."""
    workload = Workload.build(
        [0, 0, 0, 0, 0, 0, 0, 1, 3, 6, 6, 7, 8, 8, 8],
        [8, 8, 1, 3, 6, 5, 8, 1, 1, 1, 3, 4, 1, 1, 1],
        [12, 3, 1, 5, 10, 7, 5, 2, 1, 1, 1, 1, 1, 1, 7],
        job_class=[1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        speed=[[0.5], [2.0], [0.25]],
        gpu_types=("a100",),
    )
    groups = (*(NodeGroup("a100", 1, size) for size in (2, 2, 3)), NodeGroup("a100", 2, 5))
    rules = Rules(placement="consolidated", dispatch="one_start_per_event", tie_order="heapq")
    assert_agreement(World(ClusterSpec(groups), workload, rules), POLICIES.create(name), RULES[name])


@pytest.mark.parametrize("times", [(2.21, 3.92), (1.14, 3.24), (2.35, 3.49)])
def test_plans_that_differ_by_rounding(times: tuple[float, float]) -> None:
    workload = Workload.build(
        [0] * 8 + [1],
        [1, times[0], 4.5, 1, 1, 1, 1, 1, times[1]],
        [1, 1, 2, 1, 1, 1, 1, 1, 3],
        job_class=[0, 0, 1, 0, 0, 0, 0, 0, 0],
        speed=[[1.0], [0.3]],
        gpu_types=("a100",),
    )
    world = World(ClusterSpec((NodeGroup("a100", 1, 5),)), workload, Rules())
    assert_agreement(world, POLICIES.create("local_search"), RULES["local_search"])


@settings(max_examples=EXAMPLES)
@given(world=worlds())
def test_invariants_hold(world: World) -> None:
    rules = replace(world.rules, debug=True)
    expected = world.by_model(RULES["sjf_backfill"])
    assert_same(world, simulate(POLICIES.create("sjf_backfill"), world.workload, world.cluster, rules), expected)


# By hand: two nodes of 2 GPUs.
HAND = ClusterSpec((NodeGroup("v100", 2, 2),))


@pytest.mark.parametrize(("name", "starts"), [("fifo", [0.0, 4.0, 4.0, 6.0]), ("fifo_backfill", [0.0, 4.0, 1.0, 1.0])])
def test_order_by_hand(name: str, starts: list[float]) -> None:
    # 2 GPUs until 4; then a gang of 3 that must wait for them; then 1 GPU for 2 s and 1 GPU for 4 s.
    workload = Workload.build([0, 1, 1, 1], [4, 3, 2, 4], [2, 3, 1, 1])
    world = World(HAND, workload, Rules())
    assert world.by_model(RULES[name]).start_s == starts
    assert simulate(POLICIES.create(name), workload, HAND).start_s.tolist() == starts


@pytest.mark.parametrize(("placement", "gpus"), [("pooled", [(0,), (1, 2)]), ("consolidated", [(0,), (2, 3)])])
def test_placement_by_hand(placement: str, gpus: list[tuple[int, ...]]) -> None:
    workload = Workload.build([0, 0], [4, 2], [1, 2])
    world = World(HAND, workload, Rules(placement=placement))
    assert world.by_model(RULES["fifo"]).gpus == gpus
    ours = simulate(POLICIES.create("fifo"), workload, HAND, world.rules)
    assert [tuple(g.tolist()) for g in ours.gpus] == gpus


@settings(max_examples=30)
@given(times=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=30))
def test_equal_times_in_the_order_of_heapq(times: list[float]) -> None:
    """The queue order of ``ppo-jobs``: one GPU, one class, so that FIFO starts jobs in the order of the heap."""
    n = len(times)
    workload = Workload.build(times, np.ones(n), np.ones(n, int))
    cluster = ClusterSpec((NodeGroup("v100", 1, 1),))
    world = World(cluster, workload, Rules(dispatch="one_start_per_event", tie_order="heapq"))
    assert_agreement(world, POLICIES.create("fifo"), RULES["fifo"])


@settings(max_examples=EXAMPLES)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    gang=st.integers(1, 14),
    placement=st.sampled_from(["pooled", "consolidated"]),
)
def test_a_gang_that_fits_no_idle_cluster_is_refused(sizes: list[int], gang: int, placement: str) -> None:
    cluster = ClusterSpec(tuple(NodeGroup("v100", 1, size) for size in sizes))
    nodes = [model.Node(0, size) for size in sizes]
    workload = Workload.build([0], [1], [gang])
    if _placeable(nodes, placement, gang, 0):
        assert simulate(POLICIES.create("fifo"), workload, cluster, Rules(placement=placement)).makespan_s == 1.0
    else:
        with pytest.raises(WorkloadError, match=f"{gang}"):
            simulate(POLICIES.create("fifo"), workload, cluster, Rules(placement=placement))


def test_model_refuses_an_endless_wait() -> None:
    with pytest.raises(RuntimeError, match="nothing can ever happen"):
        model.run([model.Job(0.0, 1, (1.0,))], [model.Node(0, 1)], lambda view: None)
