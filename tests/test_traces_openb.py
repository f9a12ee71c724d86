"""The openb log: shares of GPUs, allowed models, packing lists, the cluster, and the figures of the real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError, TraceError, WorkloadError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.openb import TYPES, OpenbTrace, openb_cluster

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = str(FIXTURES / "openb_small.csv")
PACKING = str(FIXTURES / "openb_packing_small.csv")
NODES = str(FIXTURES / "openb_nodes_small.csv")


def test_pods_become_jobs() -> None:
    w = OpenbTrace(SMALL).load()
    assert w.job_id == ("pod-0", "pod-1", "pod-3", "pod-5", "pod-7")
    assert w.submit_s.tolist() == [0, 86_400, 172_800, 259_200, 345_600]
    assert w.duration_s.tolist() == [3_000_000, 3590, 7199.5, 2_740_740, 3599]
    assert w.num_gpus.tolist() == [1, 1, 2, 1, 8]
    assert w.gpu_milli.tolist() == [1000, 460, 1000, 50, 1000]
    assert w.status == ("Running", "Succeeded", "Failed", "Running", "Running")


def test_models_become_classes() -> None:
    w = OpenbTrace(SMALL).load()
    assert w.gpu_types == TYPES
    assert w.speed is not None
    allowed = [{t for t, speed in zip(TYPES, w.speed[c], strict=True) if speed == 1} for c in w.job_class]
    assert allowed == [set(TYPES), {"t4"}, {"v100m16", "v100m32"}, {"v100m16", "v100m32"}, {"g3"}]
    assert w.job_class[2] == w.job_class[3]  # the same set in another order
    assert set(np.unique(w.speed)) == {0.0, 1.0}


def test_audit_gives_every_reason() -> None:
    audit = OpenbTrace(SMALL).audit()
    assert audit.unit == "pods" and (audit.rows_read, audit.rows_kept) == (9, 5)
    assert audit.dropped == {
        "name given before": 1,
        "no GPU asked for": 1,
        "never started": 1,
        "run time not above 0": 1,
    }
    assert audit.ignored_columns == ("cpu_milli", "memory_mib", "qos")
    assert audit.notes == (
        "Models named in gpu_spec that are not among gpu_types: a100.",
        "2 pods ran until the log's last time: their run time is what was seen of it.",
    )


def test_slices_and_cuts() -> None:
    trace = OpenbTrace(SMALL, start_day=1, end_day=4, max_duration_s=30 * 86_400)
    assert trace.load().job_id == ("pod-1", "pod-3")
    assert trace.load().submit_s.tolist() == [0, 86_400]
    dropped = trace.audit().dropped
    assert (dropped["before start_day"], dropped["at or after end_day"]) == (1, 1)
    assert dropped["longer than max_duration_s"] == 1
    own = OpenbTrace(SMALL, start_day=1, end_day=4, max_duration_s=30 * 86_400, rebase=False)
    assert own.load().submit_s.tolist() == [86_400, 172_800]


def test_types_can_be_chosen() -> None:
    only = OpenbTrace(SMALL, gpu_types=("t4", "g2"))
    assert only.load().job_id == ("pod-0", "pod-1")
    assert only.audit().dropped["gpu_spec names none of gpu_types"] == 3
    free = OpenbTrace(SMALL, gpu_types=()).load()
    assert free.speed is None and len(free) == 5
    assert free.duration_on(ClusterSpec.of(gpu=8)).shape == (5, 1)
    with pytest.raises(ConfigError, match="every type once"):
        OpenbTrace(SMALL, gpu_types=("t4", "t4"))


def test_list_without_constraints_runs_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    rows = [line.split(",") for line in Path(SMALL).read_text().splitlines()]
    path.write_text("\n".join(",".join(row[:5] + [row[5] if i == 0 else ""] + row[6:]) for i, row in enumerate(rows)))
    w = OpenbTrace(str(path)).load()
    assert w.speed is None and w.gpu_types == ()
    assert OpenbTrace(str(path), gpu_types=("t4",)).load().speed is not None


def test_packing_list_arrives_at_once() -> None:
    trace = OpenbTrace(PACKING, packing_duration_s=60.0)
    w = trace.load()
    assert w.job_id == ("pod-0", "pod-1", "pod-3")
    assert (w.submit_s.tolist(), w.duration_s.tolist()) == ([0] * 3, [60] * 3)
    assert w.gpu_demand.tolist() == [1, 0.46, 8]
    assert w.status is None
    assert trace.audit().notes == ("The file has no times: all pods arrive at time 0 and run 60 s.",)
    with pytest.raises(ConfigError, match="packing_duration_s"):
        OpenbTrace(PACKING, packing_duration_s=0)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (",1,1,1,1000,,LS,Running,0,9,0", "field 'name'"),
        ("p,1,1,-1,1000,,LS,Running,0,9,0", "field 'num_gpu'.*'-1'"),
        ("p,1,1,1,1001,,LS,Running,0,9,0", "field 'gpu_milli'.*1001"),
        ("p,1,1,1,0,,LS,Running,0,9,0", "field 'gpu_milli'.*it is 0"),
        ("p,1,1,2,500,,LS,Running,0,9,0", "field 'gpu_milli'.*num_gpu is 2; it is 500"),
        ("p,1,1,1,500,,LS,Running,,9,0", "field 'creation_time'"),
        ("p,1,1,1,500,,LS,Running,0,soon,0", "field 'deletion_time'.*'soon'"),
        ("p,1,1,1,500,,LS,Running,0,9,-5", "field 'scheduled_time'"),
        ("p,1,1,1,500,,LS,Running,0,9", "11 fields"),
    ],
)
def test_broken_row_is_named(row: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text("\n".join([*Path(SMALL).read_text().splitlines()[:2], row]))
    with pytest.raises(TraceError, match=f"{path}, line 3.*{part}"):
        OpenbTrace(str(path)).load()


def test_half_a_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text("name,num_gpu,gpu_milli,creation_time\np,1,1000,0\n")
    with pytest.raises(TraceError, match="one column 'gpu_spec'"):
        OpenbTrace(str(path)).load()


def test_cluster_of_a_node_list(tmp_path: Path) -> None:
    cluster = openb_cluster(NODES)
    assert cluster.describe() == "8 x g2 + 4 x p100 + 4 x t4"
    assert [(g.gpu_type, g.nodes, g.gpus) for g in cluster.groups] == [("g2", 1, 8), ("p100", 2, 2), ("t4", 1, 4)]
    assert [kind.name for kind in cluster.types] == ["g2"]
    for row, part in (("n,1,1,2,Z9", "field 'model'.*'z9'"), ("n,1,1,65,T4", "field 'gpu'.*at most 64"), ("", "none")):
        path = tmp_path / "nodes.csv"
        path.write_text(f"sn,cpu_milli,memory_mib,gpu,model\nm,1,1,0,\n{row}\n")
        with pytest.raises(TraceError, match=part):
            openb_cluster(str(path))


def test_small_log_on_its_cluster() -> None:
    with pytest.raises(WorkloadError, match="pod-3"):  # no V100 there
        OpenbTrace(SMALL).load().duration_on(openb_cluster(NODES))
    runs = OpenbTrace(SMALL, gpu_types=("g2", "p100", "t4")).load().duration_on(openb_cluster(NODES))
    assert runs.tolist() == [[3_000_000] * 3, [np.inf, np.inf, 3590]]


def test_real_lists(traces_dir: Path) -> None:
    folder = traces_dir / "alibaba_openb_2023"
    trace = OpenbTrace(str(folder / "openb_pod_list_default.csv.gz"))
    audit, w = trace.audit(), trace.load()
    check_invariants(w)
    assert (audit.rows_read, audit.dropped) == (8152, {"no GPU asked for": 1088, "never started": 861})
    assert len(w) == 7064 - 861  # 7,064 GPU pods, of which 861 never ran
    assert w.speed is None
    for start, end, jobs, gpus, load in ((135, 150, 2843, 24, 0.96), (120, 130, 1617, 16, 0.90)):
        part = OpenbTrace(str(folder / "openb_pod_list_default.csv.gz"), start_day=start, end_day=end).load()
        assert len(part) == jobs
        assert part.offered_load(ClusterSpec.of(gpu=gpus)) == pytest.approx(load, abs=0.005)
    constrained = OpenbTrace(str(folder / "openb_pod_list_gpuspec10.csv.gz")).load()
    check_invariants(constrained)
    assert len(constrained) == len(w) and constrained.speed is not None
    cluster = openb_cluster(str(folder / "openb_node_list_all_node.csv"))
    assert (cluster.num_gpus, cluster.num_nodes, cluster.num_types) == (6212, 1213, 7)
    assert np.isfinite(constrained.duration_on(cluster)).any(axis=1).all()
    packing = OpenbTrace(str(folder / "openb_pod_list_multigpu20.csv.gz")).load()
    assert len(packing) == 8324 - 1088 and packing.submit_s.max() == 0
