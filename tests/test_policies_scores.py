"""Score functions, turns, deadlines and cheap pools: numbers by hand, other simulators, and restatements."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, GpuType, NodeGroup
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.policies.ranking import JobTable
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.workload import Workload
from tests.reference import simpy_scores
from tests.reference.simpy_orders import Policy
from tests.rule_worlds import World, worlds
from tests.test_differential_rules import assert_same_result

FOUR = ClusterSpec.of(gpu=4)


def run(name: str, workload: Workload, cluster: ClusterSpec = FOUR, rules: Rules | None = None, **params) -> RunResult:
    """Through the compiled door; the conformance suite compares it with the other."""
    return simulate(POLICIES.create(name, **params), workload, cluster, rules)


@pytest.mark.parametrize(
    ("name", "score"), [("f1", 2618.0), ("f2", 76_840.0), ("f3", 20_580_400.0), ("f4", 1_590_200.0)]
)
def test_scores_of_the_paper(name: str, score: float) -> None:
    # r = 100 s, n = 4, s = 1,000 s: log10(100) = 2, sqrt(100) = 10, log10(1,000) = 3, sqrt(4) = 2.
    one = np.ones(1)
    (key,) = POLICIES.create(name).keys(JobTable(1000 * one, 4 * one, 4 * one, one, one, 100 * one))
    assert key.tolist() == [score]
    (early,) = POLICIES.create(name).keys(JobTable(0 * one, 4 * one, 4 * one, one, one, 100 * one))
    assert early[0] == pytest.approx(score - 3 * {"f1": 870, "f2": 25_600, "f3": 6_860_000, "f4": 530_000}[name])


@pytest.mark.parametrize(("name", "turning_s"), [("f1", None), ("f2", 1e5), ("f3", 1e5), ("f4", 1e5)])
def test_how_long_a_job_may_be_to_go_before_one_submitted_a_second_later(name: str, turning_s: float | None) -> None:
    # B (submitted at 10, 4 GPUs) and C (at 11, 4 GPUs, 1 s) wait until 100. log10(11) - log10(10) = 0.0414. If B runs
    # 10,000 s, F1: 16 < 36 + 0; F2: 400 < 1,060 + 4; F3: 40,000 < 283,955 + 4; F4: 20,000 < 21,938 + 2.
    # If it runs 100,000 s, F1: 20 < 36; F2: 1,265 > 1,064; F3: 400,000 > 283,959; F4: 200,000 > 21,940.
    for run_s in (1e4, 1e5):
        workload = Workload.build([0, 10, 11], [100.0, run_s, 1.0], [4, 4, 4])
        expected = [0, 101, 100] if run_s == turning_s else [0, 100, 100 + run_s]
        assert run(name, workload).start_s.tolist() == expected


# A holds all GPUs until 100. Then B (4 GPUs, waited 100, runs 50) has 2 ** 3 * 4 = 32 under WFP3 and 2 / log2(4) = 1
# under UNICEP, D (2 GPUs, waited 99, runs 45) 2.2 ** 3 * 2 = 21.3 and 2.2 / log2(2) = 2.2.
AGED = Workload.build([0, 0, 1], [100.0, 50.0, 45.0], [4, 4, 2])


def test_wfp3_and_unicep_by_hand() -> None:
    assert run("wfp3", AGED).start_s.tolist() == [0, 100, 150]
    assert run("unicep", AGED).start_s.tolist() == [0, 145, 100]
    # Ratios of scores: (2.2 / 2) ** p * 2 / 4 is above 1 from p = 7.3 on.
    assert run("wfp3", AGED, power=7.2).start_s.tolist() == [0, 100, 150]
    assert run("wfp3", AGED, power=7.4).start_s.tolist() == [0, 145, 100]


def test_unicep_puts_single_gpus_first_once_they_wait() -> None:
    # E (1 GPU) has waited 1 second; F (1 GPU) has waited 1 second too and is longer.
    workload = Workload.build([0, 0, 1, 99, 99], [100.0, 50.0, 45.0, 70.0, 60.0], [4, 4, 3, 1, 1])
    assert run("unicep", workload).start_s.tolist() == [0, 205, 160, 100, 100]
    # Nobody has waited: all score 0, the queue decides.
    assert run("unicep", Workload.build([0, 0, 0], [5.0, 5.0, 5.0], [3, 4, 1])).start_s.tolist() == [0, 5, 0]


def test_earliest_deadline_first() -> None:
    workload = Workload.build([0, 1, 2, 3, 3], [10.0] * 5, [4] * 5, deadline_s=[np.inf, np.inf, 90.0, 50.0, np.inf])
    assert run("edf", workload).start_s.tolist() == [0, 30, 20, 10, 40]


def test_qssf_is_strict_and_orders_by_gpu_time() -> None:
    # At 10: B 4 GPUs x 3 s, C 1 GPU x 20 s, D 2 GPUs x 6 s: equal services go to the smaller gang, D.
    workload = Workload.build([0, 1, 2, 3], [10.0, 3.0, 20.0, 6.0], [4, 4, 1, 2])
    assert run("qssf", workload).start_s.tolist() == [0, 16, 19, 10]


def test_qssf_sees_estimates_only() -> None:
    workload = Workload.build([0, 1, 2], [10.0, 3.0, 5.0], [4, 4, 4], estimate_s=[10.0, 30.0, 5.0])
    assert run("qssf", workload).start_s.tolist() == [0, 10, 13]
    assert run("qssf", workload, rules=Rules(estimates="stated")).start_s.tolist() == [0, 15, 10]


@pytest.mark.parametrize("placement", ["pool", "consolidate"])
def test_qssf_is_that_of_helios_on_the_tiny_cases(reference_dir: Path, placement: str) -> None:
    result, expected, _ = _helios_case(reference_dir, f"tiny_qssf_{placement}")
    assert result.start_s.tolist() == [float(row["start"]) for row in expected]
    assert result.finish_s.tolist() == [float(row["finish"]) for row in expected]


def test_qssf_is_close_to_that_of_helios(reference_dir: Path) -> None:
    # There the queue is put in order a second late, and not before some job has waited for a second. So some jobs
    # swap places; estimates below 0 are those of the shortest jobs here.
    result, _, case = _helios_case(reference_dir, "helios_qssf_consolidate_600")
    assert result.jct_s.mean() == pytest.approx(case["expected"]["avg_jct"], rel=0.01)
    assert result.makespan_s == pytest.approx(case["expected"]["makespan"], rel=0.02)


def _helios_case(folder: Path, name: str) -> tuple[RunResult, list[dict[str, str]], dict]:
    case = json.loads((folder / name / "case.json").read_text())

    def read(path: Path) -> list[dict[str, str]]:
        with path.open() as file:
            return list(csv.DictReader(file))

    jobs = read(folder / case["trace"])
    columns = [[float(job[column]) for job in jobs] for column in ("submit", "duration", "gpus")]
    estimate = None
    if "priority" in case:
        guess = {row["job_id"]: float(row["priority"]) for row in read(folder / case["priority"])}
        estimate = [max(guess[job["job_id"]], 1e-3) for job in jobs]
    rules = Rules(
        placement={"pool": "pooled", "consolidate": "consolidated"}[case["placer"]],
        estimates="true" if estimate is None else "stated",
    )
    cluster = ClusterSpec((NodeGroup("gpu", case["vcs"]["*"], 8),))
    result = run("qssf", Workload.build(*columns, estimate_s=estimate), cluster, rules)
    return result, read(folder / name / "expected.csv"), case


def test_users_take_turns() -> None:
    # User 0 submits three jobs, then user 1 two. One GPU of two is free after each job of 10 s.
    cluster = ClusterSpec.of(gpu=2)
    workload = Workload.build([0, 0, 0, 1, 1], [10.0, 15.0, 10.0, 10.0, 10.0], [1] * 5, user=[7, 7, 7, 3, 3])
    # At 10 user 7 runs one job, user 3 none; at 15 user 7 runs none.
    assert run("round_robin", workload, cluster).start_s.tolist() == [0, 0, 15, 10, 20]
    assert run("fifo_backfill", workload, cluster).start_s.tolist() == [0, 0, 10, 15, 20]


def test_of_equal_users_the_one_whose_start_lies_back_comes_first() -> None:
    # When a GPU becomes free at 5 every user runs one job: user 0 since 0, user 1 since 1, user 2 since 2.
    workload = Workload.build(
        [0, 0, 1, 2, 3, 3, 3], [100.0, 5.0, 100.0, 100.0, 9.0, 9.0, 9.0], [1] * 7, user=[0, 2, 1, 2, 2, 1, 0]
    )
    assert run("round_robin", workload).start_s.tolist() == [0, 0, 1, 2, 23, 14, 5]


def test_round_robin_passes_a_user_whose_jobs_do_not_fit() -> None:
    workload = Workload.build([0, 1, 2, 3], [10.0, 5.0, 5.0, 5.0], [3, 4, 1, 1], user=[0, 1, 0, 0])
    assert run("round_robin", workload).start_s.tolist() == [0, 12, 2, 7]


#: thirsty: fast, 300 W above idle, $4; frugal: half as fast, 60 W above idle, $3.
KINDS = ClusterSpec(
    (NodeGroup("thirsty", 1, 4), NodeGroup("frugal", 1, 4)),
    (GpuType("thirsty", 2e13, 80, 100, 400, 4.0), GpuType("frugal", 1e13, 80, 90, 150, 3.0)),
)


def test_the_cheapest_pool_within_the_bound() -> None:
    workload = Workload.build([0], [10.0], [4])
    # 300 W x 10 s against 60 W x 20 s; $4 x 10 s against $3 x 20 s.
    assert run("power_aware", workload, KINDS).gpu_type.tolist() == [1]
    assert run("cost_aware", workload, KINDS).gpu_type.tolist() == [0]
    assert run("power_aware", workload, KINDS, max_slowdown=1.9).gpu_type.tolist() == [0]
    with pytest.raises(ConfigError, match="max_slowdown"):
        POLICIES.create("power_aware", max_slowdown=0.5)


def test_a_pool_that_is_not_free_is_no_choice() -> None:
    # B takes what is free although A's pool would be cheaper; it does not wait.
    result = run("power_aware", Workload.build([0, 1], [10.0, 10.0], [4, 4]), KINDS)
    assert (result.start_s.tolist(), result.gpu_type.tolist()) == ([0, 1], [1, 0])


def test_without_slowdown_the_cheapest_pool_is_fifo_backfill() -> None:
    workload = Workload.build([0, 0, 1, 2, 3], [10.0, 4.0, 6.0, 8.0, 3.0], [3, 2, 4, 1, 2])
    one = run("power_aware", workload, KINDS, max_slowdown=1.0)
    two = run("fifo_backfill", workload, KINDS)
    assert one.start_s.tolist() == two.start_s.tolist() and one.gpu_type.tolist() == two.gpu_type.tolist()


def _prices(world: World, price: Callable[[GpuType], float]) -> list[float]:
    names = [world.cluster.type_names[t] for t in world.cluster.pool_type]
    return [price(world.cluster.catalogue[name]) for name in names]


RESTATED: dict[str, Callable[[World], Policy]] = {
    "f1": lambda world: simpy_scores.f_score(1),
    "f2": lambda world: simpy_scores.f_score(2),
    "f3": lambda world: simpy_scores.f_score(3),
    "f4": lambda world: simpy_scores.f_score(4),
    "wfp3": lambda world: simpy_scores.wfp3(),
    "unicep": lambda world: simpy_scores.unicep(),
    "edf": lambda world: simpy_scores.edf(world.workload.deadline_s.tolist()),
    "qssf": lambda world: simpy_scores.qssf(),
    "round_robin": lambda world: simpy_scores.round_robin(world.workload.user.tolist()),
    "power_aware": lambda world: simpy_scores.cheapest(_prices(world, lambda kind: kind.busy_w - kind.idle_w), 2.0),
    "cost_aware": lambda world: simpy_scores.cheapest(_prices(world, lambda kind: kind.price_per_h), 2.0),
}


@pytest.mark.parametrize("name", RESTATED)
def test_agrees_with_the_restatement_under_all_rules(name: str) -> None:
    @settings(max_examples=120)
    @given(world=worlds(), rnd=st.randoms(use_true_random=False))
    def compare(world: World, rnd: Random) -> None:
        rows = range(len(world.workload))
        jobs = replace(
            world.workload,
            user=np.array([rnd.randint(0, 2) for _ in rows]),
            deadline_s=np.array([rnd.choice((5.0, 8.0, 20.0, np.inf)) for _ in rows]),
        )
        world = replace(world, workload=jobs)
        model = world.model(RESTATED[name](world)).play()
        for compiled in (True, False):
            result = simulate(POLICIES.create(name), jobs, world.cluster, world.rules, compiled=compiled)
            assert_same_result(result, model)

    compare()
