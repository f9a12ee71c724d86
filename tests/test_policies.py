"""Every registered policy through the conformance suite, and the schedules of tiny instances by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.testing.policies import PolicyConformance, TimeScaleConformance
from rl_sched.workload import Workload


@pytest.fixture(params=list(POLICIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestPolicies(PolicyConformance):
    pass


#: ``random`` hashes the clock, F1 to F4 weigh seconds against logarithms of them; ``index`` takes logarithms too, whose
#: rounding may break ties otherwise.
UNSCALED = {"random", "index", "f1", "f2", "f3", "f4"}


def has_a_time_of_its_own(name: str) -> bool:
    """Is one of its parameters a time, such as a quantum?"""
    return any(field.name.endswith("_s") for field in fields(POLICIES.load(name)))


class TestTimeScale(TimeScaleConformance):
    @pytest.fixture(params=[n for n in POLICIES if n not in UNSCALED and not has_a_time_of_its_own(n)])
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


# Three jobs on 4 equal GPUs, all there at time 0: A 4 GPUs 10 s, B 1 GPU 2 s, C 3 GPUs 6 s.
GANGS, DURATIONS = [4, 1, 3], [10.0, 2.0, 6.0]
BY_HAND = {
    "fifo": [0, 10, 10],
    "fifo_backfill": [0, 10, 10],
    "sjf": [6, 0, 0],
    "sjf_backfill": [6, 0, 0],
    "smallest_area": [6, 0, 0],
    "most_gpus": [0, 10, 10],
    "fewest_gpus": [6, 0, 0],
    "priority": [6, 0, 0],
    "best_fit": [0, 10, 10],
    "min_min": [6, 0, 0],
    "local_search": [6, 0, 0],
    "index": [6, 0, 0],
    "easy": [0, 10, 10],
    "conservative": [0, 10, 10],
    "round_robin": [0, 10, 10],
    "edf": [6, 0, 0],
    "qssf": [6, 0, 0],
    "f1": [6, 0, 0],
    "f2": [6, 0, 0],
    "f3": [6, 0, 0],
    "f4": [6, 0, 0],
    "wfp3": [0, 10, 10],
    "unicep": [0, 10, 10],
    "power_aware": [0, 10, 10],
    "cost_aware": [0, 10, 10],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_schedule_by_hand(name: str) -> None:
    workload = Workload.build([0, 0, 0], DURATIONS, GANGS, priority=[1, 2, 3], deadline_s=[30, 20, 10])
    assert simulate(POLICIES.create(name), workload, ClusterSpec.of(gpu=4)).start_s.tolist() == BY_HAND[name]


def test_strict_blocks_and_backfill_does_not() -> None:
    # A holds 3 of 4 GPUs until 10; B wants 4; C wants 1 and is short.
    workload = Workload.build([0, 1, 2], [10.0, 5.0, 3.0], [3, 4, 1])
    cluster = ClusterSpec.of(gpu=4)
    assert simulate(POLICIES.create("fifo"), workload, cluster).start_s.tolist() == [0, 10, 15]
    assert simulate(POLICIES.create("fifo_backfill"), workload, cluster).start_s.tolist() == [0, 10, 2]


def test_min_min_keeps_the_slots_of_a_waiting_gang() -> None:
    # B (4 GPUs, 1 s) would finish at 11. C (1 GPU, 20 s) fits now but would delay B to 22: it waits for B.
    workload = Workload.build([0, 1, 2], [10.0, 1.0, 20.0], [3, 4, 1])
    cluster = ClusterSpec.of(gpu=4)
    assert simulate(POLICIES.create("min_min"), workload, cluster).start_s.tolist() == [0, 10, 11]
    assert simulate(POLICIES.create("min_min", depth=0), workload, cluster).start_s.tolist() == [0, 22, 2]


def test_local_search_finds_a_better_plan_than_min_min() -> None:
    # B, which finishes first, keeps both GPUs from A and C until 8. With A and C before B it is 7 s less in all.
    workload = Workload.build([0, 0, 0], [9.0, 8.0, 8.0], [1, 2, 1])
    cluster = ClusterSpec.of(gpu=2)
    assert simulate(POLICIES.create("min_min"), workload, cluster).start_s.tolist() == [8, 0, 8]
    assert simulate(POLICIES.create("local_search", moves=0), workload, cluster).start_s.tolist() == [8, 0, 8]
    assert simulate(POLICIES.create("local_search"), workload, cluster).start_s.tolist() == [0, 9, 0]


def test_window_hides_younger_jobs() -> None:
    workload = Workload.build([0, 1, 2, 3], [10.0, 9.0, 8.0, 1.0], [4, 4, 4, 4])
    cluster = ClusterSpec.of(gpu=4)
    wide = simulate(POLICIES.create("sjf_backfill"), workload, cluster)
    narrow = simulate(POLICIES.create("sjf_backfill"), workload, cluster, Rules(window=2))
    assert wide.start_s.tolist() == [0, 19, 11, 10]
    assert narrow.start_s.tolist() == [0, 19, 10, 18]


def test_fastest_free_type() -> None:
    speed = np.array([[1.0, 0.5]])
    workload = Workload.build([0, 0], [10.0, 10.0], [4, 4], speed=speed, gpu_types=("a100", "v100"))
    result = simulate(POLICIES.create("fifo"), workload, ClusterSpec.of(a100=4, v100=4))
    assert result.gpu_type.tolist() == [0, 1]
    assert result.finish_s.tolist() == [10, 20]


PATIENT = (
    "random", "fifo_backfill", "best_fit", "min_min", "local_search", "index", "easy", "conservative", "round_robin",
    "wfp3",
)  # fmt: skip


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", PATIENT)
def test_a_job_whose_only_pool_is_lost_holds_up_nobody(name: str, compiled: bool) -> None:
    # A runs on the a100 alone, whose node is out of order for ever: the episode ends without it.
    speed = np.array([[1.0, 0.0], [1.0, 0.5]])
    workload = Workload.build(
        [0, 1, 2], [4.0, 5.0, 6.0], [2, 2, 1], job_class=[0, 1, 1], speed=speed, gpu_types=("a100", "v100")
    )
    rules = Rules(outages=((0, 0.0, np.inf),))
    result = simulate(POLICIES.create(name), workload, ClusterSpec.of(a100=2, v100=2), rules, compiled=compiled)
    np.testing.assert_array_equal(result.start_s, [np.nan, 1, 11])
    np.testing.assert_array_equal(result.finish_s, [np.nan, 11, 23])


@pytest.mark.parametrize("name", PATIENT)
def test_jobs_meet_on_a_shared_gpu(name: str) -> None:
    workload = Workload.build([0, 1, 2], [10.0, 5.0, 4.0], [1, 1, 1], gpu_milli=[400, 600, 100])
    assert simulate(POLICIES.create(name), workload, ClusterSpec.of(gpu=1)).start_s.tolist() == [0, 1, 6]


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'alpha'"):
        POLICIES.create("min_min", alhpa=1.0)
