"""Both Google logs: the life of a job, the stated mapping to GPUs, parts, JSON and CSV."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.google_2011 import Google2011Trace
from rl_sched.traces.google_2019 import Google2019Trace

FIXTURES = Path(__file__).parent / "fixtures"
OLD = FIXTURES / "google_2011_small"
NEW = FIXTURES / "google_2019_small"
NEW_CSV = FIXTURES / "google_2019_csv_small"


def test_2011_jobs_live_from_first_schedule_to_last_end() -> None:
    w = Google2011Trace(str(OLD)).load()
    assert w.job_id == ("2", "3")
    assert w.submit_s.tolist() == [0, 20]
    assert w.duration_s.tolist() == [30.5, 100]  # job 3 was evicted at 650 and started again at 700
    assert w.num_gpus.tolist() == [2, 4]  # distinct task numbers of both parts
    assert w.priority.tolist() == [2, 11]
    assert w.status == ("FINISH", "KILL")
    assert w.user.tolist() == [0, 1]
    assert Google2011Trace(str(OLD), rebase=False).load().submit_s.tolist() == [600, 620]


def test_2011_audit_gives_every_reason() -> None:
    audit = Google2011Trace(str(OLD)).audit()
    assert audit.unit == "jobs" and (audit.rows_read, audit.rows_kept) == (7, 2)
    assert audit.dropped == {
        "submitted before the log begins": 1,
        "never started": 1,
        "no submission in the log": 1,
        "censored: no end in the log": 1,  # its end lies after the log: 2^63 - 1
        "no task in the log": 1,
    }
    assert "at most 8" in audit.notes[0]


def test_2011_first_parts_only() -> None:
    trace = Google2011Trace(str(OLD), parts=1, max_gang=1)
    w = trace.load()
    assert w.job_id == ("2", "3")
    assert w.duration_s.tolist() == [30.5, 20]  # within this part job 3 ends when it is evicted
    assert w.status == ("FINISH", "EVICT")
    assert w.num_gpus.tolist() == [1, 1]
    assert trace.audit().notes[1] == "1 further parts are not read."
    with pytest.raises(ConfigError, match="parts"):
        Google2011Trace(str(OLD), parts=0)
    with pytest.raises(ConfigError, match="max_gang"):
        Google2011Trace(str(OLD), max_gang=0)


def test_2011_one_file_per_table(tmp_path: Path) -> None:
    for table in ("job_events", "task_events"):
        parts = [path.read_bytes() for path in sorted((OLD / table).iterdir())]
        (tmp_path / f"{table}.csv.gz").write_bytes(gzip.compress(b"".join(parts)))
    assert Google2011Trace(str(tmp_path)).load().content_hash() == Google2011Trace(str(OLD)).load().content_hash()


def test_2011_tables_must_match(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="must hold job_events"):
        Google2011Trace(str(tmp_path)).load()
    for table, part in (("job_events", "00000"), ("task_events", "00001")):
        (tmp_path / table).mkdir()
        shutil.copy(OLD / table / f"part-{part}-of-00500.csv", tmp_path / table)
    with pytest.raises(TraceError, match="parts of the same name"):
        Google2011Trace(str(tmp_path)).load()


@pytest.mark.parametrize(
    ("table", "row", "part"),
    [
        ("job_events", "soon,,2,0,u,0,n,l", "field 'time'.*'soon'"),
        ("job_events", "9223372036854775808,,2,0,u,0,n,l", "field 'time'"),
        ("job_events", "5,,-2,0,u,0,n,l", "field 'job_id'.*'-2'"),
        ("job_events", "5,,2,9,u,0,n,l", "field 'event_type'.*'9'"),
        ("job_events", "5,,2,0,u,0,n", "8 fields"),
        ("task_events", "5,,2,0,,0,u,0,high,,,,", "field 'priority'.*'high'"),
        ("task_events", "5,,2,,,0,u,0,1,,,,", "field 'task_index'"),
        ("task_events", "5,,2,0,,12,u,0,1,,,,", "field 'event_type'.*'12'"),
    ],
)
def test_2011_broken_row_is_named(table: str, row: str, part: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD, tmp_path / "log"))
    path = folder / table / "part-00001-of-00500.csv"
    path.write_text(path.read_text() + row + "\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(TraceError, match=f"{path}, line {line}.*{part}"):
        Google2011Trace(str(folder)).load()


def test_2011_real_parts(traces_dir: Path) -> None:
    trace = Google2011Trace(str(traces_dir / "google_2011"), parts=4)
    w, audit = trace.load(), trace.audit()
    check_invariants(w)
    assert len(w) == 4242
    assert audit.dropped["censored: no end in the log"] == 239
    assert audit.dropped["submitted before the log begins"] == 3986
    assert (w.duration_s * w.num_gpus).sum() / 3600 == pytest.approx(1667, abs=1)
    assert w.num_gpus.mean() == pytest.approx(2.17, abs=0.005)
    assert np.quantile(w.duration_s, [0.1, 0.5, 0.9, 0.99]) == pytest.approx([24, 124, 947, 6974], rel=0.02)
    assert w.offered_load(ClusterSpec.of(gpu=336)) == pytest.approx(0.89, abs=0.005)
    assert Google2011Trace(str(traces_dir / "google_2011")).load().content_hash() == w.content_hash()


@pytest.mark.parametrize("folder", [NEW, NEW_CSV], ids=["json", "csv"])
def test_2019_json_and_csv_say_the_same(folder: Path) -> None:
    w = Google2019Trace(str(folder)).load()
    assert w.job_id == ("2", "4")
    assert w.submit_s.tolist() == [0, 5]
    assert w.duration_s.tolist() == [60, 94]
    assert w.num_gpus.tolist() == [2, 1]
    assert w.status == ("FINISH", "KILL")
    assert w.user.tolist() == [0, 1]
    dropped = Google2019Trace(str(folder)).audit().dropped
    assert dropped["reservation (alloc set), not a job"] == 1
    assert dropped["submitted before the log begins"] == 1  # a time that is left out is 0


def test_2019_priorities_and_censoring() -> None:
    audit = Google2019Trace(str(NEW)).audit()
    assert (audit.rows_read, audit.rows_kept) == (5, 2)
    assert audit.dropped["censored: no end in the log"] == 1
    assert Google2019Trace(str(NEW)).load().priority.tolist() == [205, 0]


def test_2019_one_list_is_read_too(tmp_path: Path) -> None:
    for source in NEW.iterdir():
        lines = [json.loads(line) for line in source.read_text().splitlines()]
        (tmp_path / (source.name + ".gz")).write_bytes(gzip.compress(json.dumps(lines).encode()))
    assert Google2019Trace(str(tmp_path)).load().content_hash() == Google2019Trace(str(NEW)).load().content_hash()


@pytest.mark.parametrize(
    ("file", "row", "part"),
    [
        ("collection_events", '{"time":"-1","collection_id":"2"}', "field 'time'.*'-1'"),
        ("collection_events", '{"time":1.5,"collection_id":"2"}', "field 'time'.*1.5"),
        ("collection_events", '{"time":true,"collection_id":"2"}', "field 'time'.*True"),
        ("collection_events", '{"time":"5","type":"11","collection_id":"2"}', "field 'type'.*'11'"),
        ("collection_events", '{"time":"5","type":"BEGIN","collection_id":"2"}', "field 'type'.*'BEGIN'"),
        ("collection_events", '{"time":"5","collection_type":"2","collection_id":"2"}', "field 'collection_type'"),
        ("collection_events", '{"time":"5","user":7,"collection_id":"2"}', "field 'user'.*7"),
        ("collection_events", '{"time":"5"}', "field 'collection_id': the value must be given"),
        ("instance_events", '{"collection_id":"2","instance_index":[1]}', "field 'instance_index'"),
        ("instance_events", '{"collection_id":"2","priority":"high"}', "field 'priority'.*'high'"),
        ("instance_events", '{"collection_id":"2"', "not valid JSON"),
    ],
)
def test_2019_broken_object_is_named(file: str, row: str, part: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(NEW, tmp_path / "log"))
    path = folder / f"{file}-000000000000.json"
    path.write_text(path.read_text() + row + "\n")
    line = len(path.read_text().splitlines())
    with pytest.raises(TraceError, match=f"{path}, line ({line}|{line + 1}).*{part}"):
        Google2019Trace(str(folder)).load()


def test_2019_tables_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"must hold a file collection_events\*"):
        Google2019Trace(str(tmp_path)).load()
    (tmp_path / "collection_events.json").write_text('{"time":"5","collection_id":"2","collection_type":1}')
    (tmp_path / "instance_events.json").write_text('{"collection_id":"2"}')
    with pytest.raises(TraceError, match="all 1 collections are alloc sets"):
        Google2019Trace(str(tmp_path)).load()
    (tmp_path / "collection_events.json").write_text("time,type,collection_id,user\n5,0,2,u\n")
    with pytest.raises(TraceError, match="one column 'collection_type'"):
        Google2019Trace(str(tmp_path)).load()
