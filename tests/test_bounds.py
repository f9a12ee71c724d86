"""Bounds and optima: lower bound <= certified optimum = brute force <= any schedule, on random tiny instances."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, WorkloadError
from rl_sched.policies import POLICIES
from rl_sched.policies.bounds import OBJECTIVES
from rl_sched.policies.bounds.exact import CERTIFIED_GAP, Optimum, optimum
from rl_sched.policies.bounds.instance import Instance
from rl_sched.policies.bounds.lower import lower_bounds
from rl_sched.policies.bounds.objectives import Objective
from rl_sched.policies.bounds.ordering import OrderingModel
from rl_sched.policies.bounds.relaxation import SHAPES, components, fitted_prices, weights
from rl_sched.policies.bounds.single_machine import shortest_first, shortest_remaining_first
from rl_sched.policies.bounds.time_indexed import TimeIndexedModel
from rl_sched.sim.simulator import simulate
from rl_sched.workload import Workload
from tests.rule_worlds import World, turns_are_long_enough, worlds

GOALS = pytest.mark.parametrize("goal", sorted(OBJECTIVES))
TWO_TYPES = ClusterSpec((NodeGroup("v100", 1, 4), NodeGroup("k80", 1, 3)))


def random_workload(seed: int, n: int, *, whole: bool = False) -> Workload:
    """Jobs on v100 and k80, some of which run on one of them only; all at once or spread over time."""
    rng = np.random.default_rng(seed)
    speed = rng.choice([0.5, 1.0, 2.0], (3, 2)) if whole else rng.uniform(0.3, 1, (3, 2))
    speed[2, rng.integers(2)] = 0
    submit_s = rng.exponential(30, n).cumsum() * rng.choice([0, 0.3, 1])
    duration_s = rng.lognormal(3, 1, n) + 1
    if whole:
        submit_s, duration_s = np.round(submit_s / 5), 2 * np.ceil(duration_s / 10)
    gang = rng.integers(1, 4, n)
    return Workload.build(
        submit_s, duration_s, gang, job_class=rng.integers(0, 3, n), speed=speed, gpu_types=("v100", "k80")
    )


def value(goal: str, submit_s: np.ndarray, finish_s: np.ndarray) -> float:
    return float((finish_s - submit_s).sum() if goal == "total_jct" else finish_s.max() - submit_s.min())


def brute_force(workload: Workload, cluster: ClusterSpec, goal: str) -> float:
    """Every order of starts and every choice of pools; each job starts when the one before has and its gang fits.

    Some best schedule is among these: any schedule, sorted by its start times, is not beaten by it.
    """
    duration_s = workload.duration_on(cluster)
    n, pools = duration_s.shape
    best = float("inf")
    for order in itertools.permutations(range(n)):
        for chosen in itertools.product(range(pools), repeat=n):
            if not all(np.isfinite(duration_s[job, chosen[job]]) for job in range(n)):
                continue
            running: list[tuple[float, int, int]] = []  # finish, pool, gang
            finish_s = np.zeros(n)
            now = 0.0
            for job in order:
                pool, gang = chosen[job], int(workload.num_gpus[job])
                now = max(now, float(workload.submit_s[job]))
                while sum(g for end, p, g in running if p == pool and end > now) + gang > cluster.pool_gpus[pool]:
                    now = min(end for end, p, _ in running if p == pool and end > now)
                finish_s[job] = now + duration_s[job, pool]
                running.append((finish_s[job], pool, gang))
            best = min(best, value(goal, workload.submit_s, finish_s))
    return best


def assert_is_a_schedule(found: Optimum, workload: Workload, cluster: ClusterSpec, goal: str) -> None:
    duration_s = workload.duration_on(cluster)
    np.testing.assert_allclose(found.finish_s - found.start_s, duration_s[np.arange(len(workload)), found.pool])
    assert (found.start_s >= workload.submit_s).all()
    for moment in found.start_s:
        running = (found.start_s <= moment) & (found.finish_s > moment)
        use = np.bincount(found.pool[running], weights=workload.num_gpus[running], minlength=cluster.num_pools)
        assert (use <= cluster.pool_gpus).all()
    assert found.objective_s == value(goal, workload.submit_s, found.finish_s)


# --- optima ----------------------------------------------------------------------------------------------------------


@GOALS
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_optimum_is_that_of_brute_force(goal: str, seed: int, n: int, whole: bool) -> None:
    workload = random_workload(seed, n, whole=whole)
    found = optimum(workload, TWO_TYPES, goal)
    assert found.certified
    assert_is_a_schedule(found, workload, TWO_TYPES, goal)
    assert found.objective_s == pytest.approx(brute_force(workload, TWO_TYPES, goal), rel=1e-9)
    assert found.bound_s <= found.objective_s * (1 + 1e-9)
    least = getattr(lower_bounds(workload, TWO_TYPES), f"{goal}_s")
    assert 0 < least <= found.bound_s * (1 + 1e-9)


@GOALS
@pytest.mark.parametrize("seed", range(3))
def test_optimum_of_five_jobs_is_that_of_brute_force(goal: str, seed: int) -> None:
    workload = random_workload(seed, 5)
    found = optimum(workload, TWO_TYPES, goal)
    assert found.certified
    assert found.objective_s == pytest.approx(brute_force(workload, TWO_TYPES, goal), rel=1e-9)


@GOALS
@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_both_models_agree_on_whole_times(goal: str, seed: int, n: int) -> None:
    instance = Instance.of(random_workload(seed, n, whole=True), TWO_TYPES)
    objective: Objective = OBJECTIVES.create(goal)
    upper = objective.value(instance.submit_s, instance.in_order(range(n)).finish_s)
    values = []
    for kind in (OrderingModel, TimeIndexedModel):
        model = kind(instance, objective, upper)
        result = model.program.solve(30, 1e-7)
        assert result.x is not None
        schedule = instance.in_order(*model.order_and_pool(result.x))
        values.append(objective.value(instance.submit_s, schedule.finish_s))
        assert result.bound - model.offset == pytest.approx(values[-1], rel=1e-6)
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_whole_seconds_over_days_take_the_ordering_model() -> None:
    """As in most logs: whole numbers, but too many of them for one variable each."""
    workload = Workload.build([0, 7, 11], [400_009, 300_007, 500_009], [3, 2, 2])
    cluster = ClusterSpec.of(v100=4)
    found = optimum(workload, cluster)
    assert found.certified and found.wall_s < 5
    assert found.objective_s == brute_force(workload, cluster, "total_jct")


@GOALS
def test_eight_jobs_of_arbitrary_length(goal: str) -> None:
    workload = random_workload(5, 8)
    found = optimum(workload, TWO_TYPES, goal)
    assert found.certified
    assert_is_a_schedule(found, workload, TWO_TYPES, goal)


def test_a_limit_too_short_is_told() -> None:
    """Without a proof there still are a schedule, a bound and the gap between them."""
    rng = np.random.default_rng(0)
    workload = Workload.build(np.zeros(16), rng.lognormal(3, 1, 16), rng.integers(1, 4, 16))
    found = optimum(workload, TWO_TYPES, time_limit_s=0.2)
    assert not found.certified and found.gap > CERTIFIED_GAP
    assert found.status == "Time limit reached"
    assert_is_a_schedule(found, workload, TWO_TYPES, "total_jct")
    assert lower_bounds(workload, TWO_TYPES).total_jct_s <= found.bound_s < found.objective_s


def test_optimum_by_hand() -> None:
    """A long gang of 2 and two short jobs on two GPUs: the short ones first, side by side."""
    workload = Workload.build([0, 0, 0], [10, 2, 2], [2, 1, 1])
    cluster = ClusterSpec.of(v100=2)
    found = optimum(workload, cluster)
    assert found.objective_s == 2 + 2 + 12 and found.start_s.tolist() == [2, 0, 0]
    assert optimum(workload, cluster, "makespan").objective_s == 12


def test_waiting_for_the_fast_type_is_best() -> None:
    workload = Workload.build([0, 0], [4, 4], [1, 1], speed=[[1, 0.25]], gpu_types=("v100", "k80"))
    found = optimum(workload, ClusterSpec.of(v100=1, k80=1))
    assert found.objective_s == 4 + 8 and found.pool.tolist() == [0, 0]


def test_what_optimum_refuses() -> None:
    workload = random_workload(0, 2)
    with pytest.raises(ConfigError, match="Unknown objective 'jct'"):
        optimum(workload, TWO_TYPES, "jct")
    with pytest.raises(ConfigError, match="time_limit_s must be > 0"):
        optimum(workload, TWO_TYPES, time_limit_s=0)
    with pytest.raises(WorkloadError, match="row 1 takes 500 thousandths"):
        optimum(Workload.build([0, 0], [1, 1], [1, 1], gpu_milli=[1000, 500]), ClusterSpec.of(v100=1))


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_placing_in_the_order_of_starts_delays_nothing(seed: int, n: int) -> None:
    """The promise of ``Instance.in_order`` that makes the solver's times exact."""
    rng = np.random.default_rng(seed)
    instance = Instance.of(random_workload(seed, n), TWO_TYPES)
    first = instance.in_order(rng.permutation(n))
    again = instance.in_order(np.argsort(first.start_s, kind="stable"), first.pool)
    assert (again.start_s <= first.start_s).all()


# --- lower bounds ----------------------------------------------------------------------------------------------------


def random_preemptive_finish(workload: Workload, cluster: ClusterSpec, seed: int) -> np.ndarray:
    """(n,) finish times of a random schedule that stops, continues and moves jobs between pools at any moment."""
    rng = np.random.default_rng(seed)
    duration_s = workload.duration_on(cluster)
    left, finish_s, now = np.ones(len(workload)), np.full(len(workload), np.nan), 0.0
    while np.isnan(finish_s).any():
        waiting = workload.submit_s[(workload.submit_s > now) & np.isnan(finish_s)]
        until = min([now + rng.exponential(10), *waiting])
        free, rate = cluster.pool_gpus * 1000, np.zeros(len(workload))
        for job in rng.permutation(np.flatnonzero((workload.submit_s <= now) & np.isnan(finish_s))):
            need = workload.num_gpus[job] * workload.gpu_milli[job]
            able = np.flatnonzero(np.isfinite(duration_s[job]) & (free >= need))
            if able.size:
                pool = rng.choice(able)
                free[pool] -= need
                rate[job] = 1 / duration_s[job, pool]
        with np.errstate(divide="ignore", invalid="ignore"):
            end_s = np.where(rate > 0, now + left / rate, np.inf)
        until = min(until, float(end_s.min()))
        left -= rate * (until - now)
        now = until
        finish_s[end_s <= until] = now
    return finish_s


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_bounds_hold_for_schedules_that_preempt_and_migrate(seed: int, n: int, shared: bool) -> None:
    workload = random_workload(seed, n)
    if shared:
        share = np.where(workload.num_gpus == 1, 1 + np.arange(n) * 80, 1000)
        workload = Workload.build(
            workload.submit_s,
            workload.duration_s,
            workload.num_gpus,
            gpu_milli=share,
            job_class=workload.job_class,
            speed=workload.speed,
            gpu_types=workload.gpu_types,
        )
    bounds = lower_bounds(workload, TWO_TYPES)
    finish_s = random_preemptive_finish(workload, TWO_TYPES, seed)
    assert bounds.total_jct_s <= value("total_jct", workload.submit_s, finish_s) * (1 + 1e-9)
    assert bounds.makespan_s <= value("makespan", workload.submit_s, finish_s) * (1 + 1e-9)


def test_bounds_that_are_met() -> None:
    one = ClusterSpec.of(v100=1)
    # One GPU, preempting: by shortest remaining time 2 + 9 = 11 is the best; an order without breaks cannot reach it.
    assert lower_bounds(Workload.build([0, 1], [7, 2], [1, 1]), one) == (9 + 2, 9)
    # Alone on the cluster: each job's own run time.
    assert lower_bounds(Workload.build([0, 100], [7, 2], [1, 1]), one) == (9, 102)
    # Four equal jobs on two GPUs at once: 2 x 5 + 2 x 10; the mean busy times prove 5 + 10 - 2.5 + 2.5 each pair.
    four = Workload.build([0] * 4, [5] * 4, [1] * 4)
    assert lower_bounds(four, ClusterSpec.of(v100=2)).makespan_s == 10
    assert 27.5 <= lower_bounds(four, ClusterSpec.of(v100=2)).total_jct_s <= 30


def test_gangs_of_more_than_half_a_pool_run_one_by_one() -> None:
    """Areas alone would allow 3 x 5 x 5 / 8 = 9.4 s."""
    workload = Workload.build([0, 0, 0], [5, 5, 5], [5, 5, 5])
    bounds = lower_bounds(workload, ClusterSpec.of(v100=8))
    assert bounds.makespan_s == 15
    assert bounds.total_jct_s == pytest.approx(5 + 10 + 15)


def test_speeds_are_priced() -> None:
    """A type of a quarter of the speed is worth a quarter of the GPUs: 10 jobs of 4 s on 1 + 1/4 fast GPUs."""
    workload = Workload.build([0] * 10, [4] * 10, [1] * 10, speed=[[1, 0.25]], gpu_types=("v100", "k80"))
    bounds = lower_bounds(workload, ClusterSpec.of(v100=1, k80=1))
    assert bounds.makespan_s == pytest.approx(40 / 1.25)


def test_virtual_clusters_are_bounded_one_by_one() -> None:
    cluster = ClusterSpec((NodeGroup("v100", 1, 1, vc="a"), NodeGroup("v100", 1, 1, vc="b")))
    workload = Workload.build([0] * 4, [1] * 4, [1] * 4, vc=[0, 0, 0, 1], vc_names=("a", "b"))
    assert lower_bounds(workload, cluster) == (1 + 2 + 3 + 1, 3)
    everywhere = workload.take(np.array([3]))
    assert lower_bounds(everywhere, cluster) == (1, 1)


def test_components() -> None:
    inf = float("inf")
    jobs, pools = components(np.array([[1, inf, inf, inf], [1, 1, inf, inf], [inf, inf, 2, inf]]))
    assert jobs[0] == jobs[1] == pools[0] == pools[1] != jobs[2] == pools[2] != pools[3]


@given(st.lists(st.integers(1, 8000), min_size=1, max_size=20), st.integers(1, 8), st.sampled_from(SHAPES))
def test_weights_are_dual_feasible(demands_milli: list[int], gpus: int, shape: int) -> None:
    """Whatever fits the pool weighs at most 1."""
    chosen, used = [], 0
    for demand in demands_milli:
        if used + demand <= 1000 * gpus:
            chosen.append(demand)
            used += demand
    weight = weights(np.array(chosen, dtype=np.int64), np.array([gpus]), shape)
    assert (weight >= 0).all() and weight.sum() <= 1 + 1e-12


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_fitted_prices_are_best(seed: int, pools: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.lognormal(0, 1, (20, pools))
    price = fitted_prices(cost)
    assert (price >= 0).all() and price.sum() == pytest.approx(1)
    others = rng.dirichlet(np.ones(pools), 50)
    assert (cost * price).min(axis=1).sum() >= max((cost * v).min(axis=1).sum() for v in others) * (1 - 1e-9)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=12), st.booleans())
def test_the_single_machine_second_by_second(jobs: list[tuple[int, int]], by_remaining: bool) -> None:
    release, work = np.array(sorted(jobs), dtype=float).T
    found = (shortest_remaining_first if by_remaining else shortest_first)(release, work)
    left, finish = work.copy(), np.where(work == 0, release, np.nan)
    busy: list[list[float]] = [[] for _ in work]
    for second in range(int(release.max() + work.sum()) + 1):
        ready = [j for j in range(len(work)) if release[j] <= second and left[j] > 0]
        if ready:
            key = left if by_remaining else work
            job = min(ready, key=lambda j: key[j])
            left[job] -= 1
            busy[job].append(second + 0.5)
            if left[job] == 0:
                finish[job] = second + 1
    # However ties are broken, these sums are the same: each rule minimises its own.
    if by_remaining:
        assert found.finish_s.sum() == pytest.approx(finish.sum())
    else:
        mean_busy = [np.mean(b) if b else found.finish_s[j] for j, b in enumerate(busy)]
        assert found.mean_busy_s.sum() == pytest.approx(sum(mean_busy))
    assert (np.diff(found.period) >= 0).all() and found.period[0] == 0
    boundary = np.flatnonzero(np.diff(found.period)) + 1
    for first in boundary:  # a new period begins when everything before is finished
        assert found.finish_s[:first].max() <= release[first]


def test_bounds_are_near_the_optimum() -> None:
    """Half of the optima are at most 20 % above the bound of their total JCT, 10 % above that of their makespan."""
    ratios: dict[str, list[float]] = {"total_jct": [], "makespan": []}
    for seed in range(25):
        workload = random_workload(seed, 5)
        bounds = lower_bounds(workload, TWO_TYPES)
        for goal, of_goal in ratios.items():
            of_goal.append(getattr(bounds, f"{goal}_s") / optimum(workload, TWO_TYPES, goal).objective_s)
    assert np.median(ratios["total_jct"]) > 0.8
    assert np.median(ratios["makespan"]) > 0.9


def test_a_million_jobs_in_seconds() -> None:
    rng = np.random.default_rng(0)
    n = 1_000_000
    workload = Workload.build(
        np.cumsum(rng.exponential(4, n)),
        rng.lognormal(6, 1.5, n),
        rng.choice([1, 2, 4, 8], n),
        job_class=rng.integers(0, 26, n),
        speed=rng.uniform(0.2, 1, (26, 3)),
        gpu_types=("v100", "p100", "k80"),
    )
    cluster = ClusterSpec.parse("v100:16x8,p100:16x8,k80:16x8")
    lower_bounds(workload.take(np.arange(100)), cluster)  # compiles
    begin = time.process_time()
    bounds = lower_bounds(workload, cluster)
    assert time.process_time() - begin < 10
    # Overloaded: far above the sum of the run times.
    assert bounds.total_jct_s > 10 * workload.duration_on(cluster).min(axis=1).sum()


@settings(max_examples=150)
@given(world=worlds(max_steps=None), name=st.sampled_from(["fifo", "sjf_backfill", "min_min", "srtf", "las", "allox"]))
def test_no_run_is_below_the_bounds(world: World, name: str) -> None:
    """Under any rules: preemption, failures, shared GPUs, virtual clusters, slow-downs."""
    assume(name != "las" or turns_are_long_enough(world, POLICIES.create(name).quantum_s))
    result = simulate(POLICIES.create(name), world.workload, world.cluster, world.rules)
    assume(result.num_unfinished == 0)
    least = lower_bounds(world.workload, world.cluster)
    assert result.jct_s.sum() >= least.total_jct_s * (1 - 1e-9)
    assert result.makespan_s >= least.makespan_s * (1 - 1e-9)
