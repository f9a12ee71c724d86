"""Workloads and clusters: columns, slices, hashes, run times per type."""

from __future__ import annotations

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, WorkloadError
from rl_sched.workload import Workload


def jobs() -> Workload:
    return Workload.build(
        [5, 0, 5, 9], [1, 2, 3, 4], [1, 2, 1, 4], job_id=["a", "b", "c", "d"], vc=[0, 1, 0, 1], vc_names=["x", "y"]
    )


def test_rows_are_sorted_by_submission_and_keep_file_order_on_ties() -> None:
    workload = jobs()
    assert workload.job_id == ("b", "a", "c", "d")
    assert workload.submit_s.tolist() == [0, 5, 5, 9]
    assert workload.num_gpus.tolist() == [2, 1, 1, 4]
    with pytest.raises(ValueError, match="read-only"):
        workload.submit_s[0] = 1


def test_slices() -> None:
    workload = jobs()
    assert workload.between(5, 9).job_id == ("a", "c")
    assert workload.between(5, 9).submit_s.tolist() == [0, 0]
    assert workload.in_vc("y").job_id == ("b", "d")
    assert workload.scale_load(2).submit_s.tolist() == [0, 2.5, 2.5, 4.5]
    assert workload.take(np.array([3]), rebase=False).submit_s.tolist() == [9]
    with pytest.raises(WorkloadError, match="Unknown virtual cluster 'z'. Known: x, y"):
        workload.in_vc("z")
    with pytest.raises(WorkloadError, match="holds no job"):
        workload.between(100, 200)
    with pytest.raises(WorkloadError, match="load factor"):
        workload.scale_load(0)


def test_hash_depends_on_content_alone() -> None:
    assert jobs().content_hash() == jobs().content_hash()
    assert jobs().content_hash() != jobs().scale_load(2).content_hash()


def test_offered_load() -> None:
    # 2*2 + 1 + 3 + 4*4 = 24 GPU-seconds on 8 GPUs in 9 s
    assert jobs().offered_load(ClusterSpec.of(gpu=8)) == pytest.approx(24 / 72)


def test_run_times_per_type() -> None:
    cluster = ClusterSpec.of(a100=4, t4=2)
    plain = Workload.build([0, 1], [10, 10], [1, 3])
    slow = 1.95e13 / 8.1e12  # FLOPS of the two types
    assert plain.duration_on(cluster).tolist() == [[10, pytest.approx(10 * slow)], [10, np.inf]]
    table = Workload.build(
        [0, 1], [10, 10], [1, 1], job_class=[0, 1], speed=[[1, 0.5], [2, 0]], gpu_types=("a100", "t4")
    )
    assert table.duration_on(cluster).tolist() == [[10, 20], [5, np.inf]]
    with pytest.raises(WorkloadError, match=r"also has \['v100'\]"):
        table.duration_on(ClusterSpec.of(a100=4, v100=2))


def test_bad_tables_are_refused() -> None:
    with pytest.raises(WorkloadError, match="speed must be"):
        Workload.build([0], [1], [1], speed=[[1, 2]], gpu_types=("a100",))
    with pytest.raises(WorkloadError, match="finite and >= 0"):
        Workload.build([0], [1], [1], speed=[[-1]], gpu_types=("a100",))
    with pytest.raises(WorkloadError, match=r"job_class must be in \[0, 1\); it is 3"):
        Workload.build([0], [1], [1], job_class=[3], speed=[[1]], gpu_types=("a100",))
    with pytest.raises(WorkloadError, match="at least one job"):
        Workload.build([], [], [])
    with pytest.raises(WorkloadError, match=r"'duration_s' must have shape \(1,\)"):
        Workload.build([0], [1, 2], [1])


@pytest.mark.parametrize("column", ["submit_s", "duration_s", "num_gpus", "job_class", "user", "vc", "priority"])
def test_text_columns_are_refused(column: str) -> None:
    columns: dict = {"submit_s": [0, 1], "duration_s": [1, 1], "num_gpus": [1, 1], column: ["1", "many"]}
    with pytest.raises(WorkloadError, match=f"Column '{column}' must hold numbers: .*'many'"):
        Workload.build(**columns)


@pytest.mark.parametrize("column", ["job_class", "user", "vc"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_numbers_of_classes_and_users_are_whole(column: str, value: float) -> None:
    with pytest.raises(WorkloadError, match=rf"Row 1 \(job 'b'\): {column} must be a whole number; it is {value}"):
        Workload.build([0, 1], [1, 1], [1, 1], job_id=["a", "b"], **{column: [0, value]})


def test_a_class_that_runs_nowhere_is_named_and_not_its_gang() -> None:
    table = Workload.build([0, 1], [1, 1], [1, 3], job_class=[0, 1], speed=[[1, 1], [1, 0]], gpu_types=("a100", "t4"))
    with pytest.raises(WorkloadError, match="Row 1: job_class must be a class with a speed above 0, in the speed tab"):
        table.duration_on(ClusterSpec.of(t4=8))
    with pytest.raises(WorkloadError, match="Row 1: num_gpus must be a gang that fits .* on which the job's class"):
        table.duration_on(ClusterSpec.of(a100=2, t4=8))


def test_clusters() -> None:
    cluster = ClusterSpec((NodeGroup("a100", 2, 4), NodeGroup("t4", 1, 2), NodeGroup("a100", 1, 8)))
    assert cluster.type_names == ("a100", "t4")
    assert cluster.type_gpus.tolist() == [16, 2]
    assert cluster.gpu_node.tolist() == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 8
    assert cluster.describe() == "16 x a100 + 2 x t4"
    assert ClusterSpec.of(gpu=20).node_size.tolist() == [8, 8, 4]
    for bad, message in (
        ((), "at least one group"),
        ((NodeGroup("a1000", 1, 8),), "Unknown GPU type 'a1000'"),
        ((NodeGroup("a100", 0, 8),), "nodes >= 1"),
        ((NodeGroup("a100", 1, 65),), "gpus <= 64"),
    ):
        with pytest.raises(ConfigError, match=message):
            ClusterSpec(bad)
