"""EASY and conservative backfilling: small examples, the textbooks, and all rules at once against a restatement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, SimulationError
from rl_sched.policies import POLICIES
from rl_sched.policies.record_player import play_record
from rl_sched.sim.loading import state_for
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload
from tests.reference import backfilling
from tests.reference.simpy_backfilling import reserving
from tests.rule_worlds import World, worlds
from tests.test_differential_rules import assert_same_result

FOUR = ClusterSpec.of(gpu=4)
STATED = Rules(estimates="stated")
DOORS = (True, False)


def starts(name: str, workload: Workload, cluster: ClusterSpec = FOUR, rules: Rules | None = None, **params) -> list:
    """The starts by name of the policy, the same through both doors."""
    one, two = (
        simulate(POLICIES.create(name, **params), workload, cluster, rules, compiled=compiled).start_s.tolist()
        for compiled in DOORS
    )
    assert one == two
    return one


# A holds 3 of 4 GPUs until 10. B (3 GPUs) gets them then, C (4 GPUs) after B, at 15. D (1 GPU, 30 s) fits all the time.
PAIR = Workload.build([0, 1, 2, 3], [10.0, 5.0, 5.0, 30.0], [3, 3, 4, 1])


def test_easy_protects_the_first_job_only_and_conservative_all() -> None:
    assert starts("easy", PAIR) == [0, 10, 33, 3]
    assert starts("conservative", PAIR) == [0, 10, 15, 20]
    assert starts("fifo", PAIR) == [0, 10, 15, 20]


def test_conservative_with_depth_1_is_easy_and_more_depth_protects_more() -> None:
    assert starts("conservative", PAIR, depth=1) == starts("easy", PAIR)
    assert starts("conservative", PAIR, depth=2) == starts("conservative", PAIR)


def test_a_short_job_passes_and_a_long_one_only_on_extra_gpus() -> None:
    # A holds 3 of 4 GPUs until 10; the first job B wants 4 (no extra GPU) or 3 (one extra).
    for gang, expected in ((4, [0, 10, 15, 3]), (3, [0, 10, 2, 15])):
        workload = Workload.build([0, 1, 2, 3], [10.0, 5.0, 13.0, 7.0], [3, gang, 1, 1])
        assert starts("easy", workload) == expected


def test_a_job_that_ends_at_the_shadow_time_may_pass() -> None:
    for run_s, start_s in ((8.0, 2), (9.0, 15)):
        assert starts("easy", Workload.build([0, 1, 2], [10.0, 5.0, run_s], [3, 4, 1]))[2] == start_s


def test_order_of_the_others() -> None:
    # One GPU is idle until 10; C (6 s) and D (2 s) both fit before the first job B.
    workload = Workload.build([0, 1, 2, 2], [10.0, 1.0, 6.0, 2.0], [3, 4, 1, 1])
    assert starts("easy", workload, order="fifo") == [0, 10, 2, 8]
    assert starts("easy", workload, order="sjf") == [0, 10, 4, 2]
    with pytest.raises(ConfigError, match="'sjf'"):
        POLICIES.create("easy", order="sfj")
    with pytest.raises(ConfigError, match="depth"):
        POLICIES.create("conservative", depth=0)


def test_the_first_job_waits_for_a_faster_pool_if_that_ends_earlier() -> None:
    # The a100 is free again at 10. B: there until 14, on the slow v100 until 16. C fits the v100 and disturbs nobody.
    workload = Workload.build(
        [0, 0, 0], [10.0, 4.0, 1.0], [4, 4, 4], speed=np.array([[1.0, 0.25]]), gpu_types=("a100", "v100")
    )
    for name in ("easy", "conservative"):
        result = simulate(POLICIES.create(name), workload, ClusterSpec.of(a100=4, v100=4))
        assert (result.start_s.tolist(), result.gpu_type.tolist()) == ([0, 10, 0], [0, 0, 1])


def test_every_virtual_cluster_has_a_first_job() -> None:
    # Red: B waits for 4 GPUs, D must not pass it. Blue: E waits likewise, F is short and passes.
    cluster = ClusterSpec((NodeGroup("gpu", 1, 4, "red"), NodeGroup("gpu", 1, 4, "blue")))
    workload = Workload.build(
        [0, 0, 1, 1, 2, 2], [10.0, 10.0, 5.0, 5.0, 20.0, 3.0], [3, 3, 4, 4, 1, 1],
        vc=[0, 1, 0, 1, 0, 1], vc_names=("red", "blue"),
    )  # fmt: skip
    assert starts("easy", workload, cluster) == starts("conservative", workload, cluster) == [0, 0, 10, 10, 15, 2]


def test_a_job_that_runs_longer_than_estimated_is_expected_to_end_now() -> None:
    # A (2 of 4 GPUs) should end at 2 and ends at 10. From 2 on the first job B may start any moment.
    for gang, expected in ((4, [0, 10, 15]), (3, [0, 10, 3])):
        workload = Workload.build([0, 1, 3], [10.0, 5.0, 5.0], [2, gang, 1], estimate_s=[2.0, 5.0, 5.0])
        for name in ("easy", "conservative"):
            assert starts(name, workload, FOUR, STATED) == expected


def test_a_share_of_a_gpu_starts_beside_a_reservation_that_it_does_not_put_off() -> None:
    # A and B share GPU 0 until 10; C waits for 2 GPUs. D shares if it ends by 10 or leaves 2 GPUs to C.
    for gpus, run_s, start_s in ((2, 7.0, 3), (2, 9.0, 15), (3, 9.0, 3)):
        workload = Workload.build(
            [0, 0, 1, 3], [10.0, 10.0, 5.0, run_s], [1, gpus - 1, gpus, 1] if gpus == 2 else [1, 2, 2, 1],
            gpu_milli=[400, 1000, 1000, 400],
        )  # fmt: skip
        assert starts("easy", workload, ClusterSpec.of(gpu=gpus))[3] == start_s


def test_both_doors_write_the_same_log() -> None:
    logs = []
    for compiled in DOORS:
        watch = Watch(record=True)
        simulate(POLICIES.create("easy"), PAIR, FOUR, compiled=compiled, watch=watch)
        logs.append([column.tobytes() for column in watch.log()])
    assert logs[0] == logs[1]
    assert len(logs[0][0]) > 0


def test_a_compiled_rule_may_not_wait_for_ever() -> None:
    state = state_for(Workload.build([0], [1.0], [1]), FOUR, Rules())
    with pytest.raises(SimulationError, match="was refused"):
        play_record(lambda: (-1, -1), state, 0, None)


@st.composite
def queues(draw: st.DrawFn, *, noisy: bool) -> tuple[list[backfilling.Job], int]:
    """Jobs of whole seconds, so that equal times are common and really equal, and the GPUs of the pool."""
    size = draw(st.integers(1, 8))
    times = st.tuples(
        st.integers(0, 15), st.integers(1, 12), st.sampled_from((0.25, 0.5, 1.0, 1.0, 2.0, 3.0)), st.integers(1, size)
    )
    rows = sorted(draw(st.lists(times, min_size=1, max_size=14)), key=lambda row: row[0])
    return [backfilling.Job(at, run, run * (factor if noisy else 1.0), gang) for at, run, factor, gang in rows], size


def workload_of(jobs: list[backfilling.Job]) -> Workload:
    submit, run, estimate, gang = zip(*jobs, strict=True)
    return Workload.build(submit, run, gang, estimate_s=estimate)


@settings(max_examples=300)
@given(queues(noisy=True))
def test_easy_is_the_textbook_s(queue: tuple[list[backfilling.Job], int]) -> None:
    jobs, size = queue
    assert starts("easy", workload_of(jobs), ClusterSpec.of(gpu=size), STATED) == backfilling.easy(jobs, size)


@settings(max_examples=300)
@given(queues(noisy=False))
def test_conservative_is_the_textbook_s_where_run_times_are_known(queue: tuple[list[backfilling.Job], int]) -> None:
    jobs, size = queue
    cluster = ClusterSpec.of(gpu=size)
    assert starts("conservative", workload_of(jobs), cluster) == backfilling.conservative(jobs, size)


@pytest.mark.parametrize(
    ("name", "params", "depth", "shortest_first"),
    [
        ("easy", {}, 1, False),
        ("easy", {"order": "sjf"}, 1, True),
        ("conservative", {}, 1_000_000, False),
        ("conservative", {"depth": 2}, 2, False),
    ],
)
def test_agrees_with_the_restatement_under_all_rules(name: str, params: dict, depth: int, shortest_first: bool) -> None:
    @settings(max_examples=150)
    @given(worlds())
    def run(world: World) -> None:
        model = world.model(reserving(depth, shortest_first=shortest_first)).play()
        for compiled in DOORS:
            policy = POLICIES.create(name, **params)
            assert_same_result(simulate(policy, world.workload, world.cluster, world.rules, compiled=compiled), model)

    run()
