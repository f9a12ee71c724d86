"""The PAI log: two tables joined to gangs, shares of GPUs, what is dropped, the cluster."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.pai import JOB_COLUMNS, TASK_COLUMNS, TYPES, PaiTrace, pai_cluster

SMALL = Path(__file__).parent / "fixtures" / "pai_small"


def test_tasks_become_one_gang() -> None:
    w = PaiTrace(str(SMALL)).load()
    assert w.job_id == ("job-a", "job-b")
    assert w.submit_s.tolist() == [0, 100]
    assert w.num_gpus.tolist() == [3, 1]  # 4 x 50 % + 1 x 25 %, rounded up
    assert w.gpu_milli.tolist() == [1000, 250]
    assert w.duration_s.tolist() == [840, 80]  # GPU tasks only: 1010 to 1850
    assert w.status == ("Terminated", "Failed")
    assert w.user.tolist() == [0, 1]
    assert w.gpu_types == TYPES and w.speed is not None
    assert w.speed[w.job_class].tolist() == [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert PaiTrace(str(SMALL), rebase=False).load().submit_s.tolist() == [1000, 1100]


def test_audit_gives_every_reason() -> None:
    audit = PaiTrace(str(SMALL)).audit()
    assert audit.unit == "jobs" and (audit.rows_read, audit.rows_kept) == (11, 2)
    assert audit.dropped == {
        "name given before": 1,
        "no task in the log": 1,
        "GPU task without a number of instances": 1,
        "no GPU asked for": 1,
        "tasks on different GPU types": 1,
        "no submission time": 1,
        "never started": 1,
        "censored: no end in the log": 1,
        "run time not above 0": 1,
    }
    assert audit.notes == (
        "1 jobs ask for more than one GPU but no whole number of them, and were rounded up.",
        "1 task rows belong to no job of the job table.",
    )


def test_types_can_be_chosen() -> None:
    trace = PaiTrace(str(SMALL), gpu_types=("p100",))
    assert trace.load().job_id == ("job-b",)
    assert trace.audit().dropped["gpu_type is none of gpu_types"] == 1
    assert PaiTrace(str(SMALL), gpu_types=()).load().speed is None


def test_tables_are_found_as_published(tmp_path: Path) -> None:
    for table in ("pai_job_table", "pai_task_table"):
        content = (SMALL / f"{table}.csv").read_bytes()
        with tarfile.open(tmp_path / f"{table}.tar.gz", "w:gz") as tar:
            member = tarfile.TarInfo(f"{table}.csv")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert PaiTrace(str(tmp_path)).load().content_hash() == PaiTrace(str(SMALL)).load().content_hash()
    (tmp_path / "pai_task_table.tar.gz").unlink()
    with pytest.raises(TraceError, match="must hold pai_task_table"):
        PaiTrace(str(tmp_path)).load()
    with pytest.raises(TraceError, match="must hold pai_job_table"):
        PaiTrace(str(tmp_path / "none")).load()


def test_shares_of_one_gpu_add_up(tmp_path: Path) -> None:
    """Ten tasks of a tenth of a GPU are one GPU, though 10 x 0.1 is not exactly 1 in floating point."""
    (tmp_path / "pai_job_table.csv").write_text("a,i,u,Terminated,0,\nb,i,u,Terminated,0,\nc,i,u,Terminated,0,\n")
    rows = [f"a,t{i},1,Terminated,5,9,,,10.0,T4" for i in range(10)]
    rows += ["b,t,1,Terminated,5,9,,,0.01,T4", "c,t,3,Terminated,5,9,,,100,T4"]
    (tmp_path / "pai_task_table.csv").write_text("\n".join(rows))
    w = PaiTrace(str(tmp_path)).load()
    assert w.num_gpus.tolist() == [1, 1, 3]
    assert w.gpu_milli.tolist() == [1000, 1, 1000]
    assert PaiTrace(str(tmp_path)).audit().notes == ()


@pytest.mark.parametrize(
    ("table", "row", "part"),
    [
        ("pai_job_table", ",i,u,Terminated,0,9", "field 'job_name'"),
        ("pai_job_table", "j,i,u,Terminated,early,9", "field 'start_time'.*'early'"),
        ("pai_job_table", "j,i,u,Terminated,9", "6 fields of the layout"),
        ("pai_task_table", "j,w,1.5,Terminated,0,9,600,29,50,T4", "field 'inst_num'.*'1.5'"),
        ("pai_task_table", "j,w,1,Terminated,-3,9,600,29,50,T4", "field 'start_time'.*'-3'"),
        ("pai_task_table", "j,w,1,Terminated,3,nan,600,29,50,T4", "field 'end_time'.*'nan'"),
        ("pai_task_table", "j,w,1,Terminated,3,4,600,29,-50,T4", "field 'plan_gpu'.*'-50'"),
    ],
)
def test_broken_row_is_named(table: str, row: str, part: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SMALL, tmp_path / "pai"))
    path = folder / f"{table}.csv"
    path.write_text(path.read_text() + row + "\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(TraceError, match=f"{path}, line {line}.*{part}"):
        PaiTrace(str(folder)).load()


def test_layouts_are_the_published_ones(traces_dir: Path) -> None:
    folder = traces_dir / "alibaba_pai_2020"
    for table, columns in (("pai_job_table", JOB_COLUMNS), ("pai_task_table", TASK_COLUMNS)):
        assert tuple((folder / f"{table}.header").read_text().strip().split(",")) == columns


def test_example_rows(traces_dir: Path, tmp_path: Path) -> None:
    """The official example rows are of two jobs; the task is given the name of the job here."""
    folder = traces_dir / "alibaba_pai_2020"
    job = (folder / "pai_job_table.readme_example.csv").read_text()
    task = (folder / "pai_task_table.readme_example.csv").read_text()
    (tmp_path / "pai_job_table.csv").write_text(job)
    (tmp_path / "pai_task_table.csv").write_text(task.replace(task.split(",")[0], job.split(",")[0]))
    w = PaiTrace(str(tmp_path)).load()
    check_invariants(w)
    assert (w.duration_s[0], w.num_gpus[0], w.gpu_milli[0]) == (38, 1, 500)
    assert w.speed is not None and w.speed[0].tolist() == [1, 0, 0, 0, 0]


def test_small_cluster(tmp_path: Path) -> None:
    cluster = pai_cluster(str(SMALL))
    assert cluster.describe() == "8 x misc + 4 x t4"
    runs = PaiTrace(str(SMALL)).load().duration_on(cluster)
    assert runs.tolist() == [[np.inf, 840], [80, 80]]
    path = tmp_path / "machines.csv"
    path.write_text("m,A9000,96,512,2\n")
    with pytest.raises(TraceError, match="line 1, field 'gpu_type'.*'a9000'"):
        pai_cluster(str(path))


def test_real_cluster(traces_dir: Path) -> None:
    cluster = pai_cluster(str(traces_dir / "alibaba_pai_2020"))
    assert (cluster.num_gpus, cluster.num_nodes) == (6742, 1897 - 83)
    sizes = {(g.gpu_type, g.gpus): g.nodes for g in cluster.groups}
    assert sizes == {("misc", 8): 280, ("p100", 2): 798, ("t4", 2): 497, ("v100", 8): 104, ("v100m32", 8): 135}
