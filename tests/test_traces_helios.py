"""The Helios logs: both layouts, what is dropped, virtual clusters whose size changes by the day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import ConfigError, TraceError, WorkloadError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.helios import HeliosTrace, helios_cluster

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = str(FIXTURES / "helios_small.csv")
SECONDS = str(FIXTURES / "helios_seconds_small.csv")
GPUS = str(FIXTURES / "helios_gpus_small.csv")


def test_log_with_dates() -> None:
    w = HeliosTrace(SMALL).load()
    assert w.job_id == ("104", "101", "106")
    assert w.submit_s.tolist() == [0, 18 * 3600, 48 * 3600]
    assert w.duration_s.tolist() == [60, 3600, 86_400]
    assert w.num_gpus.tolist() == [16, 8, 1]
    assert w.status == ("FAILED", "COMPLETED", "TIMEOUT")
    assert [w.vc_names[v] for v in w.vc] == ["vcA", "vcB", "vcB"]


def test_audit_gives_every_reason() -> None:
    audit = HeliosTrace(SMALL, vc="vcB", end="2020-06-03").audit()
    assert (audit.rows_read, audit.rows_kept) == (7, 1)
    assert audit.dropped == {
        "name given before": 1,
        "no GPU asked for": 1,
        "no run time in the log": 1,
        "run time not above 0": 1,
        "other virtual cluster": 1,
        "at or after end": 1,
    }
    assert audit.ignored_columns == ("cpu_num", "node_num", "start_time", "end_time", "queue")


def test_layout_in_seconds() -> None:
    w = HeliosTrace(SECONDS).load()
    assert w.job_id == ("1", "2", "0")
    assert w.submit_s.tolist() == [0, 10, 50]
    assert w.duration_s.tolist() == [30.5, 60, 100]
    assert w.status is None and w.vc_names == ("vc0", "vc1")
    assert HeliosTrace(SECONDS, vc="vc1").load().num_gpus.tolist() == [8]
    with pytest.raises(ConfigError, match="need a log with dates"):
        HeliosTrace(SECONDS, start="2020-06-01").load()


@pytest.mark.parametrize(
    ("source", "row", "part"),
    [
        (SMALL, "107,a,v,1.5,4,1,COMPLETED,2020-06-01 00:00:00,,,9,0", "field 'gpu_num'.*'1.5'"),
        (SMALL, "107,a,v,1,4,1,COMPLETED,2020-06-01T00:00,,,9,0", "field 'submit_time'"),
        (SMALL, "107,a,v,1,4,1,COMPLETED,2020-06-01 00:00:00,,,-9,0", "field 'duration'.*'-9'"),
        (SMALL, "107,a,,1,4,1,COMPLETED,2020-06-01 00:00:00,,,9,0", "field 'vc'"),
        (SMALL, "107,a,v,1,4,1,,2020-06-01 00:00:00,,,9,0", "field 'state'"),
        (SMALL, "107,a,v,1,4,1", "12 fields"),
        (SECONDS, "3,vc0,-1,1,9", "field 'submit'.*'-1'"),
        (SECONDS, "3,vc0,2020-06-01 00:00:00,1,9", "field 'submit'"),
        (SECONDS, "3,vc0,0,many,9", "field 'gpus'.*'many'"),
    ],
)
def test_broken_row_is_named(source: str, row: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(Path(source).read_text() + row + "\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(TraceError, match=f"{path}, line {line}.*{part}"):
        HeliosTrace(str(path)).load()


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("job_id,vc,submit,gpu,duration", "'gpu_num'.*Did you mean 'gpu'"),
        ("job_id,vc,start,gpus,duration", "'submit'"),
        ("id,vc,submit,gpus,duration", "'job_id'"),
    ],
)
def test_header_is_checked(header: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"{header}\n1,a,0,1,5\n")
    with pytest.raises(TraceError, match=part):
        HeliosTrace(str(path)).load()


def test_cluster_of_a_day(tmp_path: Path) -> None:
    cluster = helios_cluster(GPUS, "2020-06-01", gpu_type="v100")
    assert [(g.vc, g.nodes, g.gpus) for g in cluster.groups] == [("vcA", 2, 8), ("vcA", 1, 4), ("vcB", 1, 8)]
    assert cluster.vc_names == ("vcA", "vcB")
    runs = HeliosTrace(SMALL).load().duration_on(cluster)
    assert runs.tolist() == [[60, np.inf], [np.inf, 3600], [np.inf, 86_400]]
    with pytest.raises(WorkloadError, match="vcA, vcC"):  # vcB has no GPUs on that day
        HeliosTrace(SMALL).load().duration_on(helios_cluster(GPUS, "2020-06-02"))
    with pytest.raises(TraceError, match="line 4: .* none has"):
        helios_cluster(GPUS, "2020-06-03")
    with pytest.raises(ConfigError, match="has no date '2020-07-01'"):
        helios_cluster(GPUS, "2020-07-01")
    path = tmp_path / "gpus.csv"
    path.write_text("date,vcA,total\n2020-06-01,99999999999,8\n")
    with pytest.raises(TraceError, match="line 2, field 'vcA'.*at most"):
        helios_cluster(str(path), "2020-06-01")


def test_real_examples(traces_dir: Path) -> None:
    w = HeliosTrace(str(traces_dir / "helios" / "cluster_log.readme_example.csv")).load()
    check_invariants(w)
    assert w.duration_s.tolist() == [36_848, 249, 675_233]
    assert w.submit_s.tolist() == [0, 26, 27]
    assert w.status == ("COMPLETED", "FAILED", "CANCELLED")
    cluster = helios_cluster(str(traces_dir / "helios" / "Earth" / "cluster_gpu_number.csv"), "2020-05-01")
    pools = dict(zip(cluster.pool_names, cluster.pool_gpus.tolist(), strict=True))
    assert pools["vc6YE/gpu"] == 208
    assert (cluster.num_gpus, len(cluster.vc_names)) == (856, 16)


@pytest.mark.parametrize(("name", "jobs"), [("tiny_8", 8), ("philly_a_1000", 1000), ("philly_b_2000", 2000)])
def test_reference_cases_are_read(name: str, jobs: int, reference_dir: Path) -> None:
    w = HeliosTrace(str(reference_dir / "traces" / f"{name}.csv")).load()
    check_invariants(w)
    assert len(w) == jobs and w.submit_s[0] == 0
