"""The Standard Workload Format."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.endings import FAILED, FINISHED, UNKNOWN, endings
from rl_sched.traces.reading import NO_RUN_TIME
from rl_sched.traces.swf import NO_PROCESSORS, NO_SUBMISSION, STATUS, SwfTrace

SMALL = str(Path(__file__).parent / "fixtures" / "swf_small.txt")


def test_columns() -> None:
    jobs = SwfTrace(SMALL).load()
    check_invariants(jobs)
    assert jobs.job_id == ("3", "1", "4", "5")
    assert jobs.submit_s.tolist() == [0, 10, 20, 30]
    assert jobs.duration_s.tolist() == [50, 100, 60.5, 10]
    assert jobs.num_gpus.tolist() == [9, 4, 1, 80]  # allocated, or requested where that is missing
    assert jobs.status == ("failed", "completed", "completed", "unknown")
    assert jobs.estimate_s is not None and jobs.estimate_s.tolist() == [50, 200, 60, 60]
    assert jobs.user.tolist() == [1, 0, 0, 2]  # 7, 9 and -1, numbered as they appear in the file
    assert jobs.job_class.tolist() == [0, 0, 1, 2]
    assert [jobs.vc_names[v] for v in jobs.vc] == ["partition 2", "partition 1", "partition 1", "no partition"]


def test_processors_become_gpus() -> None:
    assert SwfTrace(SMALL, procs_per_gpu=8).load().num_gpus.tolist() == [2, 1, 1, 10]
    assert SwfTrace(SMALL, procs_per_gpu=8, max_gpus=2).audit().dropped["gang larger than max_gpus"] == 1


def test_every_line_is_accounted_for() -> None:
    audit = SwfTrace(SMALL).audit()
    assert audit.dropped == {
        "empty line": 1, "status partial": 1, NO_SUBMISSION: 1, NO_RUN_TIME: 1, NO_PROCESSORS: 1,
    }  # fmt: skip
    assert audit.rows_read == audit.rows_kept + 5 == 9
    assert audit.notes == (
        "Header: Computer a small machine, MaxProcs 64 (in two partitions), UnixStartTime 1000000000.",
        "1 kept jobs had more processors than MaxProcs.",
        "1 kept jobs state no requested time: their run time stands for it.",
    )
    assert SwfTrace(SMALL).header()["Version"] == "2.2"


def test_statuses_can_be_chosen() -> None:
    trace = SwfTrace(SMALL, statuses=("completed",))
    assert trace.load().job_id == ("1", "4")
    dropped = trace.audit().dropped
    assert (dropped["status failed"], dropped["status cancelled"], dropped["status unknown"]) == (1, 1, 1)
    with pytest.raises(ConfigError, match="Did you mean 'completed'"):
        SwfTrace(SMALL, statuses=("complete",))
    with pytest.raises(ConfigError, match="procs_per_gpu"):
        SwfTrace(SMALL, procs_per_gpu=0)
    with pytest.raises(ConfigError, match="needs path="):
        SwfTrace()
    found = {row.status: row.ending for row in endings(SwfTrace(SMALL).load()).rows}
    assert found == {"completed": FINISHED, "failed": FAILED, "unknown": UNKNOWN}
    assert len(STATUS) == 7


def line(**changed: str) -> str:
    fields = {
        "job": "1", "submit": "0", "wait": "0", "run": "10", "procs": "1", "cpu": "-1", "memory": "-1", "asked": "1",
        "time": "20", "asked_memory": "-1", "status": "1", "user": "1", "group": "1", "app": "1", "queue": "1",
        "partition": "-1", "before": "-1", "think": "-1",
    }  # fmt: skip
    return " ".join({**fields, **changed}.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(submit="soon"), "line 2, field 'submit_time': .* 'soon'"),
        (line(run="-2"), "line 2, field 'run_time'"),
        (line(run="inf"), "line 2, field 'run_time'"),
        (line(procs="1.5"), "line 2, field 'allocated_procs'"),
        (line(procs="9" * 30), "line 2, field 'allocated_procs'"),
        (line(status="6"), "line 2, field 'status'"),
        (line(partition="--1"), "line 2, field 'partition'"),
        (line() + " 3", "line 2: a line must have 18 numbers .* it has 19"),
        (line() + "\n" + line(), "line 3, field 'job_number': .* also on line 2"),
        ("; only a comment", "at least one line"),
    ],
)
def test_broken_lines_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.swf"
    path.write_text(f"; MaxProcs: 4\n{text}\n")
    with pytest.raises(TraceError, match=message) as caught:
        SwfTrace(str(path)).load()
    assert str(path) in str(caught.value)


def test_gzip_line_ends_and_a_missing_last_one(tmp_path: Path) -> None:
    text = Path(SMALL).read_text()
    for name, raw in (("a", gzip.compress(text.encode())), ("b", text.replace("\n", "\r\n").encode()),
                      ("c", text.rstrip("\n").encode())):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(raw)
        assert SwfTrace(str(path)).load().content_hash() == SwfTrace(SMALL).load().content_hash()
        assert SwfTrace(str(path)).audit().dropped == SwfTrace(SMALL).audit().dropped


def test_a_log_without_partitions_and_requests(tmp_path: Path) -> None:
    path = tmp_path / "x.swf"
    path.write_text(line(time="-1"))
    jobs = SwfTrace(str(path)).load()
    assert jobs.vc_names == () and jobs.estimate_s is None
