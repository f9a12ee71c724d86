"""Static JPS: golden values, brute force, HiGHS, properties on random instances, degenerate ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError, PlacementError
from rl_sched.policies.jps import SAMPLERS
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.categories import best_categories, costs, count_categories, random_categories
from rl_sched.policies.jps.certificates import certify, optimum
from rl_sched.policies.jps.generate import FAMILIES, earlier_instance, generate
from rl_sched.policies.jps.instance import IDLE, Instance
from rl_sched.policies.jps.market import exact_assignment, market
from rl_sched.policies.jps.milp import by_milp
from rl_sched.policies.jps.placement import measured, place
from rl_sched.policies.jps.relaxation import relax
from rl_sched.policies.jps.shares import imbalance, split
from rl_sched.policies.jps.subsets import best_subsets
from rl_sched.traces import TRACES

#: Seed of the earlier implementation -> (exact mean JCT, bound of the relaxation), to two decimals.
GOLDEN = {2: (195.77, 195.38), 3: (232.58, 231.85), 8: (264.60, 263.35)}


def brute_force(instance: Instance, beta: float = 1.0) -> float:
    """The least score over all owners of all workers, each measured from the instance."""
    s, k = instance.throughput.shape
    owners = range(IDLE if instance.communicates else 0, s)
    best = np.inf
    for owner in itertools.product(owners, repeat=k):
        try:
            best = min(best, measured(instance, np.array(owner), beta).score)
        except PlacementError:
            continue  # a job without a worker
    return best


@pytest.mark.parametrize("seed", GOLDEN)
def test_the_earlier_implementations_instances(seed: int) -> None:
    instance = earlier_instance(seed)
    exact_s, bound_s = GOLDEN[seed]
    best = optimum(instance)
    assert best.proven and best.best.mean_jct_s == pytest.approx(exact_s, abs=0.005)
    found = place(instance)
    assert found.mean_jct_s == pytest.approx(exact_s, abs=0.005)
    assert found.bound_s == pytest.approx(bound_s, abs=0.005)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(2, 5), (3, 6), (3, 3)])
def test_the_optimum_is_that_of_brute_force(family: str, size: tuple[int, int]) -> None:
    for seed in (0, 1):
        instance = generate(family, *size, seed)
        expected = brute_force(instance)
        assert optimum(instance).best.mean_jct_s == pytest.approx(expected, rel=1e-8)
        assert best_subsets(problem_of(instance))[1] / size[0] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("family", ["base", "affinity"])
def test_the_optimum_is_that_of_highs(family: str) -> None:
    instance = generate(family, 4, 9, 3)
    best = optimum(instance).best.mean_jct_s
    owner, below = by_milp(instance, 200, relative_gap=1e-6, limit_s=60.0)
    assert below <= best * (1 + 1e-6) and below == pytest.approx(best, rel=1e-3)
    assert best * (1 - 1e-9) <= measured(instance, owner).mean_jct_s <= best * (1 + 2e-3)


@pytest.mark.parametrize("seed", [21, 27])
def test_highs_leaves_no_job_without_a_worker(seed: int) -> None:
    instance = generate(FAMILIES[seed % len(FAMILIES)], 5, 16, seed)
    owner, _ = by_milp(instance, 6)
    assert measured(instance, owner).mean_jct_s >= optimum(instance).best.mean_jct_s * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_with_communication_sets_and_brute_force_agree(seed: int) -> None:
    instance = generate(("base", "affinity")[seed % 2], 2, 6, seed, communication=True)
    best = certify(instance, place(instance))
    expected = brute_force(instance)
    assert best.proven and best.best.mean_jct_s == pytest.approx(expected, rel=1e-8)
    bound = certify(instance, best.best, exact=False)
    assert not bound.proven and bound.bound_s <= expected * (1 + 1e-9)
    assert place(instance, samples=20).mean_jct_s <= expected * 1.03


@pytest.mark.parametrize("beta", [0.25, 0.5, 1.0])
def test_fair_placements_against_brute_force(beta: float) -> None:
    for seed in range(3):
        instance = generate("base", 3, 6, seed)
        expected = brute_force(instance, beta)
        found = place(instance, beta=beta, rng=seed)
        assert expected * (1 - 1e-9) <= found.score <= expected * 1.02
    assert found.fairness <= 1.0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(0, 9), st.integers(0, 2**20), st.floats(0, 1), st.sampled_from(list(SAMPLERS)),
    st.booleans(),
)  # fmt: skip
def test_every_placement_is_feasible_and_above_its_bound(
    jobs: int, more: int, seed: int, beta: float, sampler: str, communication: bool
) -> None:
    rng = np.random.default_rng(seed)
    throughput = rng.integers(0, 4, (jobs, jobs + more)) * rng.uniform(0.5, 100.0)
    traffic = rng.uniform(0, 1e9, jobs) if communication else 0.0
    link = rng.choice([1e8, 1e9, 1e10], jobs + more)
    try:
        instance = Instance.build(throughput, rng.uniform(1e3, 1e6, jobs), traffic, link)
    except PlacementError as error:
        # Koenig and Hall: right only where no assignment of different workers to all jobs exists.
        possible = throughput > 0
        assert (
            not any(
                all(possible[i, w] for i, w in enumerate(workers))
                for workers in itertools.permutations(range(jobs + more), jobs)
            )
            if jobs + more <= 6
            else "can run" in str(error)
        )
        return
    found = place(instance, beta=beta, samples=6, rng=seed, sampler=sampler)
    again = place(instance, beta=beta, samples=6, rng=seed, sampler=sampler)
    assert found.owner.tolist() == again.owner.tolist()
    assert (found.counts >= 1).all() and np.isfinite(found.jct_s).all() and 0 < found.fairness <= 1 + 1e-12
    assert communication or (found.owner != IDLE).all()
    assert found.mean_jct_s >= found.bound_s * (1 - 1e-9)
    for worker, owner in enumerate(found.owner):  # one owner each: what no result of the earlier implementation had
        assert owner == IDLE or 0 <= owner < jobs, worker


@pytest.mark.parametrize(
    ("throughput", "match"),
    [
        ([[1.0], [1.0]], "2 jobs and 1 workers"),
        ([[1.0, 0.0], [1.0, 0.0]], "job 1 can run on 1 of 2"),
        ([[0.0, 0.0]], "job 0 can run on 0"),
        ([[np.nan]], "finite"),
        ([[-1.0]], "finite"),
        ([], "shape"),
    ],
)
def test_where_no_placement_exists_the_error_says_so(throughput: object, match: str) -> None:
    with pytest.raises(PlacementError, match=match):
        Instance.build(throughput, 1.0)


def test_parameters_out_of_range() -> None:
    instance = earlier_instance(2)
    for kwargs in ({"alpha": 1.0}, {"beta": 1.5}, {"samples": 0}):
        with pytest.raises(ConfigError):
            place(instance, **kwargs)
    with pytest.raises(ConfigError, match="promise"):
        place(instance, sampler="promize")
    with pytest.raises(ConfigError, match="affinity"):
        generate("affinty", 2, 4, 0)
    with pytest.raises(PlacementError, match="none"):
        measured(instance, np.zeros(15, np.int64))


@pytest.mark.parametrize("communication", [False, True])
@pytest.mark.parametrize("size", [(1, 4), (3, 3), (3, 8), (4, 9)])
def test_categories_come_in_the_order_of_their_promise(size: tuple[int, int], communication: bool) -> None:
    problem = problem_of(generate("base", *size, 5, communication=communication))
    relaxation = relax(problem)
    total = count_categories(problem)
    every = best_categories(problem, relaxation, total)
    assert len({tuple(row) for row in every}) == len(every) == total
    assert (every.sum(axis=1) == size[1]).all() and (every[:, :-1] >= 1).all() and (every >= 0).all()
    cost = np.take_along_axis(costs(problem, relaxation), every.T, axis=1).sum(axis=0)
    assert (np.diff(cost) >= -1e-9 * cost.max()).all()
    assert best_categories(problem, relaxation, 3).tolist() == every[:3].tolist()
    drawn = random_categories(problem, total, np.random.default_rng(0))
    assert {tuple(row) for row in drawn} == {tuple(row) for row in every}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_market_clears_within_its_certificate(family: str) -> None:
    problem = problem_of(generate(family, 4, 12, 7))
    relaxation = relax(problem)
    for category in random_categories(problem, 12, np.random.default_rng(1)):
        _, best = exact_assignment(problem, relaxation.v, category)
        cleared = market(problem, relaxation.v, category, step=1e-4)
        assert np.bincount(cleared.owner, minlength=4).tolist() == category[:4].tolist()
        assert best * (1 - 2e-4) <= cleared.value <= best * (1 + 1e-9) <= cleared.bound * (1 + 2e-9)
        assert cleared.bound <= cleared.value * (1 + 1e-3)  # prices within the step of those of the best assignment


def test_the_relaxation_is_solved_and_below_the_optimum() -> None:
    for family in FAMILIES:
        problem = problem_of(generate(family, 4, 16, 2))
        relaxation = relax(problem)
        # The rates that the dual's own shares give must cost what the bound says, or it is not at its top.
        assert (problem.work_s / relaxation.rate).sum() == pytest.approx(relaxation.bound_s, rel=5e-3)
        assert relaxation.workers.sum() == pytest.approx(16)


@given(st.integers(0, 10**6), st.lists(st.floats(0, 1e4), min_size=1, max_size=9))
def test_shares_are_whole_proportional_and_sum_up(samples: int, throughput: list[float]) -> None:
    if not sum(throughput) > 1e-3:
        return
    speed = np.array(throughput)
    share = split(samples, speed)
    assert share.sum() == samples and (np.abs(share - samples * speed / speed.sum()) <= 1 + 1e-6).all()
    assert (share[speed == 0] == 0).all()


def test_shares_balance_the_load() -> None:
    speed = np.array([300.0, 700.0, 1500.0])
    assert imbalance(split(100_000, speed), speed) < 1e-4
    with pytest.raises(PlacementError):
        split(5, np.zeros(2))


def test_communication_that_matters_leaves_workers_idle() -> None:
    # A model so large that one worker alone beats any two.
    instance = Instance.build(np.full((2, 6), 100.0), 1e5, 1e10, 1e9)
    assert place(instance).counts.tolist() == [1, 1]


def test_more_samples_and_a_right_order_help() -> None:
    """What the samplers are worth, in per cent above the optimum, over 24 instances."""
    above = {name: [] for name in ("one", "promise", "late")}
    for seed in range(24):
        instance = generate("base", 5, 16, seed)
        best = optimum(instance)
        above["one"].append(best.gap(place(instance, samples=1)))
        above["promise"].append(best.gap(place(instance, rng=seed)))
        above["late"].append(best.gap(place(instance, alpha=0.5, rng=seed)))
    mean = {name: float(np.mean(gaps)) for name, gaps in above.items()}
    assert mean["promise"] < mean["one"] and mean["promise"] <= 5e-4 and mean["promise"] <= mean["late"] + 1e-4


def test_jobs_of_a_trace_on_a_cluster() -> None:
    workload = TRACES.create("synthetic", num_jobs=5).load(1)
    cluster = ClusterSpec.of(a100=8, v100=4, t4=4)
    found = place(Instance.from_workload(workload, cluster))
    assert len(found.owner) == 16 and (found.counts >= 1).all() and found.gap < 0.3
