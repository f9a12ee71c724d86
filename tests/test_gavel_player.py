"""How shares are played: rounds, resets, leases, virtual clusters, failures; by hand and in random worlds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, WorkloadError
from rl_sched.policies import POLICIES
from rl_sched.policies.gavel.player import Manner, RoundPlayer
from rl_sched.policies.gavel.rounds import pick_round
from rl_sched.policies.gavel.shares import Claims
from rl_sched.sim.eventlog import FINISH, KILL, PREEMPT, START
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, simulate
from rl_sched.sim.snapshot import Preempt, Start
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload
from tests.rule_worlds import World, turns_are_long_enough, worlds

NAMES = ("max_min_fairness", "finish_time_fairness", "min_makespan", "gavel_fifo", "allox")
ONE = ClusterSpec.of(gpu=1)


# --- the choice of a round -------------------------------------------------------------------------------------------


def pick(share: list, received_s: list, **changes: Any) -> list[int]:
    rows = np.array(share, float)
    columns: dict[str, Any] = {
        "deficit_s": np.zeros_like(rows),
        "able": np.ones(rows.shape, bool),
        "need": np.ones(len(rows), int),
        "room": np.ones(rows.shape[1], int),
        "order": np.arange(rows.shape[1]),
    }
    received = np.broadcast_to(np.array(received_s, float)[:, None], rows.shape)
    return pick_round(rows, received, **{**columns, **changes}).tolist()


def test_the_job_furthest_behind_its_share_runs() -> None:
    assert pick([[0.6], [0.3]], [200, 90]) == [-1, 0]  # 0.6 / 200 < 0.3 / 90
    assert pick([[0.6], [0.3]], [170, 90]) == [0, -1]


def test_ties_go_to_the_deficit_then_to_the_share_then_to_the_first() -> None:
    assert pick([[0.5], [0.5]], [100, 100], deficit_s=np.array([[1.0], [2.0]])) == [-1, 0]
    assert pick([[0.25], [0.5]], [100, 200]) == [-1, 0]
    assert pick([[0.5], [0.5]], [100, 100]) == [0, -1]


def test_a_gang_that_does_not_fit_is_passed_by() -> None:
    assert pick([[0.9], [0.8], [0.1]], [100] * 3, need=np.array([1, 2, 1]), room=np.array([2])) == [0, -1, 0]


def test_pools_are_filled_in_order_and_a_job_runs_once() -> None:
    share = [[0.5, 0.5], [0.4, 0.1]]
    assert pick(share, [100, 100]) == [0, 1]
    assert pick(share, [100, 100], order=np.array([1, 0])) == [1, 0]


def test_jobs_without_a_share_may_fill_or_not() -> None:
    share = [[1.0, 0.0], [0.0, 0.0]]
    assert pick(share, [100, 100]) == [0, 1]
    assert pick(share, [100, 100], fill=False) == [0, -1]
    assert pick(share, [100, 100], able=np.array([[True, True], [True, False]])) == [0, -1]


# --- by hand ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """Given shares, and what they were asked from."""

    make: Callable[[Claims], Any]
    manner: Manner = Manner(min_reset_s=1000.0, round_s=100.0, fill=True, backfill=False, weighted=False)

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> RoundPlayer:
        return RoundPlayer(lambda claims: np.asarray(self.make(claims), float), self.manner, workload, cluster, rules)


def equally(claims: Claims) -> np.ndarray:
    return np.full(claims.active.throughput.shape, 1 / len(claims.active))


@pytest.mark.parametrize("rules", [Rules(preemption=True), Rules(preemption=True, round_s=100.0)])
def test_two_jobs_take_turns_on_one_gpu(rules: Rules) -> None:
    """100 s each in turn; no restart, thus no cost, where a job runs on."""
    workload = Workload.build([0, 0], [250.0, 250.0], [1, 1])
    rules = replace(rules, restart_s=((1, 10.0),))
    result = simulate(Played(equally), workload, ONE, rules)
    # A 0-100, B 100-200, A 200-300 (90 s of work), B 300-400 (90 s), then A needs 10 + 60 s, then B 10 + 60 s.
    # With the rounds of the rules B may start at the next boundary only.
    b_s = 500 if rules.round_s else 470
    assert result.preemptions.tolist() == [2, 2]
    assert result.finish_s.tolist() == [470, b_s + 70]


def test_one_job_runs_on_from_round_to_round() -> None:
    workload = Workload.build([0], [1000.0], [1])
    rules = Rules(preemption=True, round_s=100.0, restart_s=((1, 10.0),))
    for name in NAMES:
        result = simulate(POLICIES.create(name), workload, ONE, rules)
        assert (result.finish_s.tolist(), result.preemptions.tolist()) == ([1000], [0]), name


def test_shares_decide_how_often_a_job_has_its_turn() -> None:
    workload = Workload.build([0, 0], [3000.0, 3000.0], [1, 1])
    result = simulate(
        Played(lambda claims: [[0.75], [0.25]][: len(claims.active)]), workload, ONE, Rules(preemption=True)
    )
    # Three rounds of four are A's.
    assert result.finish_s.tolist() == [pytest.approx(4000, abs=100), 6000]


def test_newcomers_wait_for_the_next_reset_or_fill() -> None:
    workload = Workload.build([0, 50], [2000.0, 100.0], [1, 1])
    two = ClusterSpec.of(gpu=2)
    manner = Played(equally).manner
    for rules in (Rules(preemption=True), Rules()):
        published = simulate(Played(equally), workload, two, rules)
        assert published.start_s.tolist() == [0, 1000]  # min_reset_s after the first reset
        filled = simulate(Played(equally, manner._replace(backfill=True)), workload, two, rules)
        assert filled.start_s.tolist() == [0, 50]
    # Where nothing runs there is nothing to wait for.
    later = Workload.build([0, 150], [100.0, 100.0], [1, 1])
    assert simulate(Played(equally), later, two, Rules()).start_s.tolist() == [0, 150]


def test_without_preemption_waiting_jobs_go_by_their_shares() -> None:
    workload = Workload.build([0, 0, 0], [10.0, 20.0, 30.0], [1, 1, 1])
    shares = {0: 0.1, 1: 0.2, 2: 0.7}
    result = simulate(Played(lambda claims: [[shares[key]] for key in claims.active.keys]), workload, ONE)
    assert result.start_s.tolist() == [50, 30, 0]
    assert result.preemptions.sum() == 0


def test_between_rounds_idle_gpus_go_to_waiting_jobs_and_nobody_is_disturbed() -> None:
    """A and B run; A ends at 30 and C, which waits, starts then although B has received more than C."""
    workload = Workload.build([0, 0, 0], [30.0, 500.0, 500.0], [1, 1, 1])
    result = simulate(Played(equally), workload, ClusterSpec.of(gpu=2), Rules(preemption=True))
    assert result.start_s.tolist() == [0, 0, 30]
    assert result.preemptions.tolist() == [0, 0, 0]


def test_fifo_blocks_behind_the_first_gang_that_does_not_fit() -> None:
    workload = Workload.build([0, 0, 0], [100.0, 100.0, 100.0], [3, 4, 1])
    result = simulate(POLICIES.create("gavel_fifo", min_reset_s=0.0), workload, ClusterSpec.of(gpu=4))
    assert result.start_s.tolist() == [0, 100, 200]


def test_fifo_moves_to_the_faster_type_where_it_may() -> None:
    """B runs on the slow type until A ends; with preemption it goes on on the fast one."""
    workload = Workload.build([0, 0], [100.0, 100.0], [1, 1], speed=np.array([[1.0, 0.5]]), gpu_types=("v100", "k80"))
    cluster = ClusterSpec.of(v100=1, k80=1)
    for preemption, finish_s, moves in ((True, 150, 1), (False, 200, 0)):
        policy = POLICIES.create("gavel_fifo", min_reset_s=0.0, round_s=100.0)
        result = simulate(policy, workload, cluster, Rules(preemption=preemption))
        assert result.finish_s.tolist() == [100, finish_s]
        assert result.preemptions.tolist() == [0, moves]


def test_weights_are_priorities() -> None:
    workload = Workload.build([0, 0, 0], [1e4, 1e4, 1e4], [1, 1, 1], priority=[1, 1, 2])
    player = POLICIES.create("max_min_fairness", weighted=True)
    rules = Rules(preemption=True, round_s=100.0, horizon_factor=0.2)
    result = simulate(player, workload, ONE, rules)
    simulator = Simulator(ONE, rules)
    snapshot, playing = simulator.reset(workload), player.player(workload, ONE, rules)
    while not simulator.done:
        last, snapshot = snapshot, simulator.step(playing.decide(snapshot))
    attained = {int(job): float(s) for job, s in zip(last.job, last.attained_s, strict=True)}
    attained |= {int(job): float(s) for job, s in zip(last.running.job, last.running.attained_s, strict=True)}
    assert result.num_unfinished == 3
    assert attained[2] == pytest.approx(attained[0] + attained[1], abs=300)
    with pytest.raises(WorkloadError, match="row 0 has 0"):
        simulate(player, Workload.build([0], [1.0], [1]), ONE)


def test_what_shares_are_made_from() -> None:
    """Job 0 (2 GPUs) alone, then beside job 1: a fraction of work, the time since its arrival, time in isolation."""
    seen: list[Claims] = []

    def make(claims: Claims) -> np.ndarray:
        seen.append(claims)
        return equally(claims)

    speed = np.array([[1.0, 0.5], [0.0, 1.0]])
    workload = Workload.build(
        [100, 200, 1900], [4000.0, 1000.0, 10.0], [2, 1, 1], job_class=[0, 1, 1], speed=speed, gpu_types=("v100", "k80")
    )
    simulate(Played(make), workload, ClusterSpec.of(v100=2, k80=2), Rules(preemption=True))
    first, second = seen[:2]
    assert (first.active.keys, second.active.keys) == ((0,), (0, 1))
    np.testing.assert_allclose(first.active.throughput, [[1 / 4000, 1 / 8000]])
    assert first.active.gang.tolist() == [2] and first.active.gpus.tolist() == [2, 2]
    assert (first.work_left.tolist(), first.elapsed_s.tolist(), first.isolated_s.tolist()) == ([1], [0], [0])
    # Job 0 has run on the v100 from 100 to the reset at 1100: a quarter, which takes 1000 s at the rate that it had
    # alone: half its time on each type would be 3/4 of a v100.
    np.testing.assert_allclose(second.work_left, [0.75, 1.0])
    np.testing.assert_allclose(second.elapsed_s, [1000, 900])
    np.testing.assert_allclose(second.isolated_s, [1000 / 0.75, 0])
    np.testing.assert_allclose(second.active.throughput, [[1 / 4000, 1 / 8000], [0, 1 / 1000]])
    assert second.stays_on.tolist() == [-1, -1]


def test_a_gang_without_enough_gpus_in_service_has_no_claim_until_they_are_back() -> None:
    seen: list[tuple] = []

    def make(claims: Claims) -> np.ndarray:
        seen.append((claims.active.keys, claims.active.gpus.tolist()))
        return equally(claims)

    cluster = ClusterSpec((NodeGroup("gpu", 2, 2),))
    workload = Workload.build([0, 0], [3000.0, 3000.0], [4, 1])
    result = simulate(Played(make), workload, cluster, Rules(preemption=True, outages=((0, 500.0, 1500.0),)))
    assert seen[:3] == [((0, 1), [4]), ((1,), [2]), ((0, 1), [4])]
    assert result.num_unfinished == 0


# --- any world -------------------------------------------------------------------------------------------------------


def times_of(watch: Watch, n: int, pools: int, until_s: float) -> np.ndarray:
    """(n, pools) time that each job has run on each pool up to ``until_s``, from the event log."""
    total, since = np.zeros((n, pools)), {}
    rows = watch.log().rows
    for row in rows[rows["time_s"] <= until_s]:
        kind, job = row["kind"], int(row["job"])
        if kind == START:
            since[job] = (int(row["type"]), float(row["time_s"]))
        elif kind in (PREEMPT, KILL, FINISH):
            pool, start_s = since.pop(job)
            total[job, pool] += row["time_s"] - start_s
    for job, (pool, start_s) in since.items():
        total[job, pool] += until_s - start_s
    return total


@settings(max_examples=60)
@given(world=worlds(debug=False))
def test_the_ledger_is_that_of_the_event_log(world: World) -> None:
    """Time received, in a ledger that never forgets."""
    policy = Played(equally, Manner(0.0, 2.0, fill=True, backfill=True, weighted=False))
    player = policy.player(world.workload, world.cluster, world.rules)
    player._ledger.renew = lambda before, after, share, elapsed_s: None  # type: ignore[method-assign]
    watch = Watch(record=True)
    simulator = Simulator(world.cluster, world.rules, watch=watch)
    snapshot = simulator.reset(world.workload)
    assume(not simulator.done)  # a deadline before the first arrival
    while not simulator.done:
        assert snapshot.decision < 3000
        decision, last = player.decide(snapshot), snapshot
        received_s = player._ledger.received_s.copy()
        snapshot = simulator.step(decision)
    counted_s = times_of(watch, len(world.workload), world.cluster.num_pools, last.now_s)
    live = np.concatenate([last.job, last.running.job])
    np.testing.assert_allclose(received_s[live], counted_s[live], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_world_comes_to_an_end(name: str) -> None:
    @settings(max_examples=60)
    @given(world=worlds())
    def run(world: World) -> None:
        policy = replace(POLICIES.create(name), **SHORT.get(name, {}))
        assume(turns_are_long_enough(world, getattr(policy, "round_s", math.inf)))
        simulator = Simulator(world.cluster, replace(world.rules, debug=True))
        snapshot = simulator.reset(world.workload)
        player = policy.player(world.workload, world.cluster, world.rules)
        moved: set[tuple] = set()
        while not simulator.done:
            assert snapshot.decision < 3000
            decision = player.decide(snapshot)
            if isinstance(decision, (Start, Preempt)):  # a plan starts a job once and preempts it once, at one time
                move = (snapshot.now_s, type(decision), decision.job)
                assert move not in moved
                moved.add(move)
            snapshot = simulator.step(decision)
        head = simulator.state.views.head[0]
        cut = head["stuck"] or head["now"] >= head["horizon_s"] or 0 < head["max_steps"] <= head["decisions"]
        assert cut or simulator.result().num_unfinished == 0

    run()


#: Time scales of the small worlds.
SHORT: dict[str, dict[str, float]] = {name: {"min_reset_s": 3.0, "round_s": 2.5} for name in NAMES if name != "allox"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "allox"])
def test_virtual_clusters_are_independent(name: str) -> None:
    """Two virtual clusters in one run, and each by itself."""
    rng = np.random.default_rng(3)
    n = 24
    vc = rng.integers(0, 2, n)
    jobs = Workload.build(
        np.sort(rng.uniform(0, 2000, n)), rng.uniform(50, 2000, n), rng.choice([1, 2, 3], n), vc=vc,
        vc_names=("red", "blue"),
    )  # fmt: skip
    groups = {
        "red": (NodeGroup("v100", 1, 3, "red"), NodeGroup("k80", 2, 2, "red")),
        "blue": (NodeGroup("k80", 1, 4, "blue"), NodeGroup("v100", 1, 3, "blue")),
    }
    rules = Rules(preemption=True, round_s=60.0)
    policy = POLICIES.create(name, min_reset_s=300.0)
    both = simulate(policy, jobs, ClusterSpec((*groups["red"], *groups["blue"])), rules)

    def alone(vc_name: str) -> RunResult:
        mine = jobs.take(vc == ("red", "blue").index(vc_name), rebase=False)
        return simulate(policy, mine, ClusterSpec(groups[vc_name]), rules)

    for number, vc_name in enumerate(groups):
        np.testing.assert_allclose(both.finish_s[vc == number], alone(vc_name).finish_s, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("max_min_fairness", {"min_reset_s": -1.0}, "min_reset_s must be >= 0; it is -1"),
        ("gavel_fifo", {"round_s": 0.0}, "round_s must be a finite time > 0"),
        ("min_makespan", {"round_s": float("inf")}, "round_s must be a finite time > 0"),
        ("finish_time_fairness", {"choice": "center"}, "Unknown choice 'center'. Did you mean 'centre'"),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        POLICIES.create(name, **params)


def test_a_gang_does_not_wait_for_a_pool_whose_only_large_node_is_gone() -> None:
    """Six a100 GPUs are left, in threes: a gang of four fits the v100 alone (found by a random world)."""
    cluster = ClusterSpec((NodeGroup("a100", 1, 4), NodeGroup("v100", 2, 3), NodeGroup("a100", 2, 3)))
    workload = Workload.build([7.0], [11.0], [4], speed=[[1.0, 1.0]], gpu_types=("a100", "v100"))
    rules = Rules(placement="consolidated", preemption=True, restart_s=((1, 1.0),), outages=((0, 5, math.inf),))
    policy = replace(POLICIES.create("max_min_fairness"), min_reset_s=3.0, round_s=2.5)
    simulator = Simulator(cluster, rules)
    snapshot = simulator.reset(workload)
    player = policy.player(workload, cluster, rules)
    while not simulator.done:
        assert snapshot.decision < 100
        snapshot = simulator.step(player.decide(snapshot))
    assert simulator.result().num_unfinished == 0
