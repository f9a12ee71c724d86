"""The matching of jobs to machines: against all assignments, by hand, and what it promises to start."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.errors import WorkloadError
from rl_sched.policies.matching import Matching, match

INF = float("inf")


def best_total_s(duration_s: np.ndarray, machines: list[tuple[int, float]]) -> float:
    """Least sum of completion times of 1-machine jobs: all assignments, the shortest first on each machine."""
    best = INF
    for choice in itertools.product(range(len(machines)), repeat=len(duration_s)):
        total = 0.0
        for number, (kind, free_in_s) in enumerate(machines):
            runs = sorted(duration_s[job, kind] for job, picked in enumerate(choice) if picked == number)
            total += sum(free_in_s + done for done in itertools.accumulate(runs))
        best = min(best, total)
    return best


def random_case(seed: int, n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    types = int(rng.integers(1, 4))
    duration_s = rng.uniform(1, 10, (n, types))
    duration_s[:, 1:][rng.random((n, types - 1)) < 0.2] = INF
    free_in_s = [np.round(rng.uniform(-3, 5, rng.integers(1, 3)).clip(0)) for _ in range(types)]
    return duration_s, free_in_s


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_single_gpus_are_matched_optimally(seed: int, n: int) -> None:
    duration_s, free_in_s = random_case(seed, n)
    machines = [(kind, wait) for kind, times in enumerate(free_in_s) for wait in times]
    found = match(duration_s, np.ones(n, int), free_in_s)
    assert found.total_completion_s == pytest.approx(best_total_s(duration_s, machines))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([2, 3]))
def test_equal_gangs_on_whole_groups_are_matched_optimally(seed: int, n: int, gang: int) -> None:
    """Gangs of g on GPUs that become free g by g are jobs on machines of g GPUs."""
    duration_s, groups = random_case(seed, n)
    machines = [(kind, wait) for kind, times in enumerate(groups) for wait in times]
    found = match(duration_s, np.full(n, gang), [np.repeat(times, gang) for times in groups])
    assert found.total_completion_s == pytest.approx(best_total_s(duration_s, machines))
    now = {kind: times.tolist().count(0.0) for kind, times in enumerate(groups)}
    for kind, groups_free in now.items():
        assert (found.gpu_type[found.run_now] == kind).sum() <= groups_free


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_the_plan_is_consistent(seed: int, n: int) -> None:
    """Mixed gangs: jobs are on types that can run them, the total is that of the plan, what starts fits, in order."""
    duration_s, free_in_s = random_case(seed, n)
    rng = np.random.default_rng(seed)
    free_in_s = [np.concatenate([times, np.zeros(3)]) for times in free_in_s]
    gang = rng.integers(1, 4, n)
    found = match(duration_s, gang, free_in_s)
    rows = np.arange(n)
    own_s = duration_s[rows, found.gpu_type]
    assert np.isfinite(own_s).all()
    assert found.total_completion_s == pytest.approx((found.start_in_s + own_s).sum())
    assert (found.slots.gpu_type[found.slot] == found.gpu_type).all()
    # In each slot the first job starts when the slot is free, the next one after the first one's part of the slot.
    for slot in set(found.slot.tolist()):
        order = sorted(np.flatnonzero(found.slot == slot), key=lambda job: found.start_in_s[job])
        begin = found.slots.free_in_s[slot]
        for job in order:
            assert found.start_in_s[job] == pytest.approx(begin)
            begin += own_s[job] * gang[job] / found.slots.share_gpus[slot]
    assert_starts_what_fits(found, gang, free_in_s)


def assert_starts_what_fits(found: Matching, gang: np.ndarray, free_in_s: list[np.ndarray]) -> None:
    for kind, times in enumerate(free_in_s):
        queue = sorted(np.flatnonzero(found.gpu_type == kind), key=lambda job: (found.start_in_s[job], job))
        left = (times == 0).sum()
        expected = []
        for job in queue:
            if gang[job] > left:
                break
            left -= gang[job]
            expected.append(job)
        assert [job for job in found.run_now if found.gpu_type[job] == kind] == expected


def test_a_long_queue_on_one_machine_is_optimal() -> None:
    """All jobs on the one fast GPU, shortest first: more positions than an even spread would give."""
    duration_s = np.column_stack([np.arange(1.0, 9), np.full(8, 1e6), np.full(8, 1e6)])
    found = match(duration_s, np.ones(8, int), [np.zeros(1), np.zeros(1), np.zeros(1)])
    assert (found.gpu_type == 0).all()
    np.testing.assert_allclose(found.start_in_s, np.cumsum(np.arange(0, 8)))
    assert found.total_completion_s == np.cumsum(np.arange(1, 9)).sum()
    assert found.run_now.tolist() == [0]


def test_forbidden_types_are_not_used_even_where_few_positions_are_left() -> None:
    duration_s = np.array([[1.0, INF], [2.0, INF], [3.0, INF], [4.0, INF], [5.0, INF], [6.0, 1.0]])
    found = match(duration_s, np.ones(6, int), [np.zeros(1), np.zeros(1)])
    assert found.gpu_type.tolist() == [0, 0, 0, 0, 0, 1]
    assert sorted(found.run_now.tolist()) == [0, 5]


def test_by_hand() -> None:
    """A fast and a slow GPU, one job that gains much from the fast one: it gets it though another is shorter there."""
    found = match(np.array([[4.0, 5.0], [5.0, 50.0]]), np.array([1, 1]), [np.zeros(1), np.zeros(1)])
    assert found.gpu_type.tolist() == [1, 0]
    assert found.total_completion_s == 10.0


def test_a_wide_gang_keeps_its_place() -> None:
    """Two of four GPUs are free: the gang of four is first in line and is not overtaken."""
    short_and_wide, long_and_narrow = 1.0, 100.0
    found = match(np.array([[short_and_wide], [long_and_narrow]]), np.array([4, 1]), [np.array([0.0, 0.0, 5.0, 5.0])])
    assert found.run_now.tolist() == []
    found = match(np.array([[short_and_wide], [long_and_narrow]]), np.array([4, 1]), [np.zeros(4)])
    assert found.run_now.tolist() == [0]


def test_gpus_beside_the_slots_are_shared_out() -> None:
    found = match(np.array([[3.0], [3.0]]), np.array([2, 1]), [np.array([0.0, 1.0, 2.0, 3.0, 4.0])])
    assert found.slots.share_gpus.tolist() == [2.5, 2.5]
    assert found.slots.free_in_s.tolist() == [1.0, 3.0]


def test_no_jobs() -> None:
    found = match(np.zeros((0, 2)), np.zeros(0, int), [np.zeros(1), np.zeros(1)])
    assert found.total_completion_s == 0 and found.run_now.tolist() == []


def test_100_jobs_on_36_gpus_quickly() -> None:
    rng = np.random.default_rng(0)
    duration_s = rng.lognormal(7, 1.5, 100)[:, None] * rng.uniform(1, 10, (100, 3))
    free_in_s = [rng.exponential(3000, 12) for _ in range(3)]
    begin = time.process_time()
    for _ in range(5):
        match(duration_s, np.ones(100, int), free_in_s)
    assert (time.process_time() - begin) / 5 < 0.05


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([[1.0, 1.0]], [3], [np.zeros(2), np.zeros(2)]), r"row 0 \(3 GPUs\) has none among types of \[2, 2\]"),
        (([[INF, INF]], [1], [np.zeros(2), np.zeros(2)]), "on which it can run"),
        (([[0.0, 1.0]], [1], [np.zeros(2), np.zeros(2)]), "run times > 0"),
        (([[float("nan")]], [1], [np.zeros(2)]), "run times > 0"),
        (([[1.0]], [0], [np.zeros(2)]), "gangs > 0"),
        (([[1.0]], [1], [np.array([-1.0])]), "free times >= 0"),
    ],
)
def test_bad_input_is_refused(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        match(*args)
