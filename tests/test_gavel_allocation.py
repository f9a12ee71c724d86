"""Gavel's allocations: against the paper, an independent program and hand-made cases (runs: test_gavel_rounds)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from rl_sched.errors import SimulationError, WorkloadError
from rl_sched.policies.gavel.active import ActiveJobs
from rl_sched.policies.gavel.allocation import (
    RHO_TOLERANCE,
    finish_time_fairness,
    max_min_fairness,
    min_makespan,
)
from rl_sched.policies.gavel.solver import Allocation, AllocationSolver, Choice

CHOICES = pytest.mark.parametrize("choice", Choice)


def random_jobs(rng: np.random.Generator, n: int, types: int = 3) -> ActiveJobs:
    gpus = rng.integers(2, 13, types)
    throughput = rng.uniform(0.1, 10, (n, types)) * (rng.random((n, types)) < 0.8)
    throughput[:, 0] = np.maximum(throughput[:, 0], 0.1)
    gang = np.minimum(rng.choice([1, 2, 4, 8], n), gpus[0])
    return ActiveJobs.build(throughput, gang, gpus, weight=rng.choice([1.0, 2.0], n))


def assert_fits(active: ActiveJobs, x: np.ndarray) -> None:
    assert x.shape == active.throughput.shape and (x >= 0).all()
    assert (x[active.throughput == 0] == 0).all()
    assert (x.sum(axis=1) <= 1 + 1e-12).all()
    assert (active.gang @ x <= active.gpus * (1 + 1e-12)).all()


def best_level(rate: np.ndarray, active: ActiveJobs) -> float:
    """max min_j rate_j . X_j by another solver and another way of writing the program."""
    n, types = rate.shape
    level = np.zeros((n, n * types + 1))
    whole_time = np.zeros((n, n * types + 1))
    for j in range(n):
        level[j, j * types : (j + 1) * types] = -rate[j]
        whole_time[j, j * types : (j + 1) * types] = 1
    level[:, -1] = 1
    room = np.hstack([np.tile(np.eye(types), n) * np.repeat(active.gang, types), np.zeros((types, 1))])
    found = linprog(
        np.append(np.zeros(n * types), -1.0),
        A_ub=np.vstack([level, whole_time, room]),
        b_ub=np.concatenate([np.zeros(n), np.ones(n), active.gpus]),
        method="highs-ipm",
    )
    return float(-found.fun)


def las_rate(active: ActiveJobs) -> np.ndarray:
    equal_split = (active.throughput * active.gpus).sum(axis=1) / active.gpus.sum()
    return active.throughput * (active.gang / active.weight / equal_split)[:, None]


# --- max-min fairness ------------------------------------------------------------------------------------------------


def test_the_paper_s_example() -> None:
    """Section 4.1: three jobs on one V100 and one K80 receive 8 / 11 of what an equal split of both would give."""
    active = ActiveJobs.build([[40, 10], [12, 4], [100, 50]], [1, 1, 1], [1, 1])
    found = max_min_fairness(active)
    assert found.objective == pytest.approx(8 / 11, rel=1e-6)
    np.testing.assert_allclose(found.time_frac, [[0.4545, 0], [0.4545, 0.0909], [0.0909, 0.9091]], atol=1e-3)


@CHOICES
def test_equal_jobs_share_equally(choice: Choice) -> None:
    found = max_min_fairness(ActiveJobs.build(np.ones((4, 1)), [1, 1, 1, 1], [2]), choice=choice)
    np.testing.assert_allclose(found.time_frac, 0.5, atol=1e-5)


@CHOICES
def test_weights_and_gangs_divide_the_time(choice: Choice) -> None:
    """On one full type a job's time is proportional to its weight over its gang."""
    active = ActiveJobs.build(np.full((3, 1), 5.0), [1, 2, 2], [2], weight=[1, 1, 3])
    found = max_min_fairness(active, choice=choice)
    np.testing.assert_allclose(found.time_frac[:, 0], [0.4, 0.2, 0.6], atol=1e-5)


@CHOICES
def test_a_job_alone_gets_all_its_time_on_the_fastest_type_that_fits(choice: Choice) -> None:
    found = max_min_fairness(ActiveJobs.build([[9, 2, 3]], [4], [2, 8, 8]), choice=choice)
    np.testing.assert_allclose(found.time_frac, [[0, 0, 1]], atol=1e-5)


@CHOICES
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_least_share_is_the_largest_possible(choice: Choice, seed: int, n: int) -> None:
    active = random_jobs(np.random.default_rng(seed), n)
    found = max_min_fairness(active, choice=choice)
    assert_fits(active, found.time_frac)
    rate = las_rate(active)
    assert found.objective == pytest.approx((rate * found.time_frac).sum(axis=1).min())
    assert found.objective == pytest.approx(best_level(rate, active), rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 15))
def test_second_stages_improve_on_the_first(seed: int, n: int) -> None:
    active = random_jobs(np.random.default_rng(seed), n)
    rate = las_rate(active)
    shares = {c: (rate * max_min_fairness(active, choice=c).time_frac).sum(axis=1) for c in Choice}
    for other in Choice:
        assert shares[Choice.TOTAL].sum() >= shares[other].sum() * (1 - 1e-6)
        # Water filling: the sorted shares are lexicographically largest. (What others lack within the tolerance they
        # may gain many times over further up.)
        gain = np.sort(shares[Choice.LEVELS]) - np.sort(shares[other])
        differing = np.flatnonzero(np.abs(gain) > 1e-3 * np.sort(shares[other]))
        assert not differing.size or gain[differing[0]] > 0


def test_water_filling_by_hand() -> None:
    """A gang that only fits the small type shares it; the others need not stay at its level."""
    active = ActiveJobs.build([[1, 0], [1, 0], [0, 1]], [1, 1, 1], [1, 1])
    corner = max_min_fairness(active, choice=Choice.CORNER)
    levels = max_min_fairness(active, choice=Choice.LEVELS)
    assert corner.objective == pytest.approx(1.0)
    np.testing.assert_allclose(levels.time_frac, [[0.5, 0], [0.5, 0], [0, 1]], atol=1e-5)


@CHOICES
def test_a_solver_that_has_seen_other_jobs_finds_the_same_share(choice: Choice) -> None:
    """Jobs come and go, types grow and shrink: the share is that of a new solver."""
    rng = np.random.default_rng(3)
    everyone = random_jobs(rng, 60)
    solver = AllocationSolver()
    here = set(range(20))
    for step in range(25):
        here = (here | set(rng.choice(60, 3).tolist())) - set(rng.choice(60, 2).tolist())
        rows = sorted(here)
        gpus = everyone.gpus + (step % 4 == 3)
        active = ActiveJobs.build(
            everyone.throughput[rows], everyone.gang[rows], gpus, weight=everyone.weight[rows], keys=rows
        )
        warm = max_min_fairness(active, solver, choice)
        assert_fits(active, warm.time_frac)
        assert warm.objective == pytest.approx(max_min_fairness(active, AllocationSolver(), choice).objective, rel=1e-5)
    fewer_types = ActiveJobs.build(np.ones((3, 1)), [1, 1, 1], [2])
    assert max_min_fairness(fewer_types, solver, choice).objective == pytest.approx(2 / 3, rel=1e-5)


@CHOICES
def test_equal_sequences_give_equal_bytes(choice: Choice) -> None:
    def play() -> list[bytes]:
        rng, solver = np.random.default_rng(8), AllocationSolver()
        return [max_min_fairness(random_jobs(rng, 12), solver, choice).time_frac.tobytes() for _ in range(5)]

    assert play() == play()


def test_the_centre_does_not_depend_on_history() -> None:
    rng, solver = np.random.default_rng(8), AllocationSolver()
    for _ in range(5):
        active = random_jobs(rng, 12)
        fresh = max_min_fairness(active, choice=Choice.CENTRE).time_frac
        assert max_min_fairness(active, solver, Choice.CENTRE).time_frac.tobytes() == fresh.tobytes()
        max_min_fairness(active, solver, Choice.CORNER)


@CHOICES
def test_300_jobs_in_30_ms(choice: Choice) -> None:
    """One decision on 3 types and one core, with a new solver and with one that knows all but three of the jobs."""
    rng = np.random.default_rng(0)
    speed = np.sort(rng.uniform(0.1, 1, (26, 3)), axis=1)[:, ::-1]
    throughput, gang = speed[rng.integers(0, 26, 340)], rng.choice([1, 2, 4, 8], 340, p=[0.7, 0.1, 0.15, 0.05])
    known = AllocationSolver()
    cold_s, warm_s = [], []
    for first in range(0, 30, 3):
        rows = np.arange(first, first + 300)
        active = ActiveJobs.build(throughput[rows], gang[rows], [36, 36, 36], keys=rows.tolist())
        for solver, times in ((AllocationSolver(), cold_s), (known, warm_s)):
            begin = time.process_time()  # of this process: others share the cores
            max_min_fairness(active, solver, choice)
            times.append(time.process_time() - begin)
    assert np.median(cold_s) < 0.03
    assert np.median(warm_s[1:]) < 0.03
    if choice is not Choice.CENTRE:  # which starts from no basis
        assert np.median(warm_s[1:]) < 0.6 * np.median(cold_s)


# --- makespan --------------------------------------------------------------------------------------------------------


@CHOICES
def test_makespan_on_one_type(choice: Choice) -> None:
    """The longest job, or all GPU-seconds over all GPUs."""
    long = ActiveJobs.build([[2.0], [2.0]], [1, 1], [4])
    assert min_makespan(long, [10, 100], choice=choice).objective == pytest.approx(50, rel=1e-5)
    full = ActiveJobs.build([[2.0]] * 4, [1, 2, 2, 2], [2])
    assert min_makespan(full, [10, 20, 30, 40], choice=choice).objective == pytest.approx(95 / 2, rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_makespan_is_the_shortest_possible(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    active, work = random_jobs(rng, n), rng.lognormal(5, 2, n)
    found = min_makespan(active, work)
    assert_fits(active, found.time_frac)
    served = (active.throughput * found.time_frac).sum(axis=1)
    assert (work / served).max() == pytest.approx(found.objective)
    level = best_level(active.throughput / work[:, None], active)
    assert found.objective == pytest.approx(1 / level, rel=1e-4)


# --- finish-time fairness --------------------------------------------------------------------------------------------


def test_isolated_share() -> None:
    """1/2 of 4 + 2 GPUs: a gang of 2 could run all its time on the first type; a job of 1 GPU cannot use 3 at once."""
    active = ActiveJobs.build([[10, 4], [10, 4]], [2, 1], [4, 2])
    np.testing.assert_allclose(active.isolated_throughput, [(10 * 1 + 4 * 0.5) / 1.5, (10 * 2 + 4 * 1) / 3])


def test_fairness_of_equal_jobs_is_that_of_isolation() -> None:
    active = ActiveJobs.build([[3.0]] * 4, [1] * 4, [2])
    found = finish_time_fairness(active, [30.0] * 4, [0.0] * 4, [0.0] * 4)
    assert found.objective == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(found.time_frac, 0.5, atol=1e-4)


def rho(active: ActiveJobs, x: np.ndarray, work: np.ndarray, elapsed: np.ndarray, isolated: np.ndarray) -> float:
    finish = elapsed + work / (active.throughput * x).sum(axis=1)
    return float((finish / (isolated + work / active.isolated_throughput)).max())


@CHOICES
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_largest_rho_is_the_least_possible(choice: Choice, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    active, work = random_jobs(rng, n), rng.lognormal(5, 2, n)
    elapsed = rng.lognormal(4, 2, n) * (rng.random(n) < 0.7)
    isolated = elapsed * rng.uniform(0, 1, n)
    found = finish_time_fairness(active, work, elapsed, isolated, choice=choice)
    assert_fits(active, found.time_frac)
    assert found.objective == pytest.approx(rho(active, found.time_frac, work, elapsed, isolated))
    alone = isolated + work / active.isolated_throughput

    def can_reach(target: float) -> bool:
        if (target * alone <= elapsed).any():
            return False
        need = work / (target * alone - elapsed)
        return best_level(active.throughput / need[:, None], active) >= 1

    assert can_reach(found.objective * (1 + 1e-5))
    assert not can_reach(found.objective * (1 - 10 * RHO_TOLERANCE))


# --- borders ---------------------------------------------------------------------------------------------------------


@CHOICES
def test_no_jobs(choice: Choice) -> None:
    nobody = ActiveJobs.build(np.zeros((0, 2)), [], [4, 4])
    solver = AllocationSolver()
    found: list[Allocation] = [
        max_min_fairness(nobody, solver, choice),
        min_makespan(nobody, [], solver, choice),
        finish_time_fairness(nobody, [], [], [], solver, choice),
    ]
    assert [a.time_frac.shape for a in found] == [(0, 2)] * 3
    assert [a.objective for a in found] == [np.inf, 0, 0]


@pytest.mark.parametrize(
    ("args", "params", "message"),
    [
        (([[1.0, 1.0]], [8], [4, 4]), {}, "job 0 .8 GPUs. has none"),
        (([[1.0], [0.0]], [1, 1], [4]), {"keys": ["a", "b"]}, "job 'b'"),
        (([[-1.0]], [1], [4]), {}, "throughputs >= 0"),
        (([[float("nan")]], [1], [4]), {}, "finite"),
        (([[1.0]], [1], [4]), {"weight": [0.0]}, "weights > 0"),
        (([[1.0]], [1], [4]), {"weight": [1.0, 1.0]}, "one weight"),
        (([[1.0], [1.0]], [1, 1], [4]), {"keys": ["a", "a"]}, "distinct key"),
    ],
)
def test_bad_jobs_are_refused(args: tuple[Any, ...], params: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        ActiveJobs.build(*args, **params)


@pytest.mark.parametrize("work", [[0.0], [1.0, 1.0], [float("nan")]])
def test_bad_work_is_refused(work: list[float]) -> None:
    active = ActiveJobs.build([[1.0]], [1], [4])
    with pytest.raises(WorkloadError, match="work_left must hold one number > 0 for each of the 1 jobs"):
        min_makespan(active, work)


def test_an_interior_point_that_gets_stuck_is_replaced_by_a_corner() -> None:
    """HiGHS ends 1e-5 below this program's optimum and calls that optimal."""
    active = random_jobs(np.random.default_rng(456750618), 5)
    centre, corner = (max_min_fairness(active, choice=choice) for choice in (Choice.CENTRE, Choice.CORNER))
    assert centre.objective == pytest.approx(corner.objective, rel=1e-9)


def test_work_over_ten_powers_of_ten() -> None:
    rng = np.random.default_rng(918143173)
    active, work = random_jobs(rng, 26), rng.lognormal(5, 4, 26)
    elapsed = rng.lognormal(4, 4, 26) * (rng.random(26) < 0.7)
    isolated = elapsed * rng.uniform(0, 1, 26)
    found = [finish_time_fairness(active, work, elapsed, isolated, choice=choice) for choice in Choice]
    for one in found:
        assert_fits(active, one.time_frac)
    np.testing.assert_allclose([one.objective for one in found], found[0].objective, rtol=1e-5)


def test_a_program_without_optimum_is_an_error() -> None:
    active = ActiveJobs.build([[1.0]], [1], [4])
    solver = AllocationSolver()
    solver._highs.setOptionValue("simplex_iteration_limit", 0)
    with pytest.raises(SimulationError, match="must have an optimum; HiGHS ended with"):
        max_min_fairness(active, solver, Choice.CORNER)
