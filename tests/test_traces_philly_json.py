"""The official Philly log: attempts to run times and gangs, what is dropped, what is an error."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.json_text import read_json
from rl_sched.traces.philly import DEFAULT_FILE, PhillyTrace
from rl_sched.traces.philly_json import PhillyJsonTrace

SMALL = Path(__file__).parent / "fixtures" / "philly_jobs_small.json"


def test_run_time_is_the_sum_of_attempts_and_the_gang_that_of_the_last() -> None:
    w = PhillyJsonTrace(str(SMALL)).load()
    assert w.job_id == ("app_3", "app_1", "app_8")  # by time of submission
    assert w.status == ("Failed", "Pass", "Pass")
    assert w.duration_s.tolist() == [60, 1200, 7200]
    assert w.num_gpus.tolist() == [2, 4, 1]  # app_3: its second attempt has no start
    assert w.submit_s[:2].tolist() == [0, 25 * 3600]
    assert [w.vc_names[v] for v in w.vc] == ["alpha", "beta", "gamma"]
    assert w.user.tolist() == [0, 0, 1]


def test_span_counts_the_time_between_attempts() -> None:
    assert PhillyJsonTrace(str(SMALL), run_time="span").load().duration_s.tolist() == [60, 1210, 7200]
    with pytest.raises(ConfigError, match="Did you mean 'span'"):
        PhillyJsonTrace(str(SMALL), run_time="spam")


def test_audit_gives_every_reason() -> None:
    audit = PhillyJsonTrace(str(SMALL)).audit()
    assert audit.unit == "jobs" and (audit.rows_read, audit.rows_kept) == (9, 3)
    assert audit.dropped == {
        "name given before": 1,
        "never started": 1,
        "censored: no end in the log": 1,
        "no attempt with a start and an end": 1,
        "no GPU asked for": 1,
        "run time not above 0": 1,
    }
    assert audit.notes[0].startswith("2 attempts of kept jobs have no usable times")
    assert "steps back by one hour on 2017-11-05" in audit.notes[1]


def test_selection_by_date_and_virtual_cluster() -> None:
    trace = PhillyJsonTrace(str(SMALL), vc="alpha", start="2017-10-01", end="2017-11-01")
    assert trace.load().job_id == ("app_3",)
    assert trace.audit().dropped["other virtual cluster"] == 2
    assert PhillyJsonTrace(str(SMALL), end="2017-10-02").audit().dropped["at or after end"] == 2


def test_gzip_and_json_lines(tmp_path: Path) -> None:
    jobs = [dict(found.fields) for found in read_json(str(SMALL))]
    lines = tmp_path / "lines.json.gz"
    lines.write_bytes(gzip.compress("\n".join(json.dumps(job) for job in jobs).encode()))
    assert PhillyJsonTrace(str(lines)).load().content_hash() == PhillyJsonTrace(str(SMALL)).load().content_hash()


def changed(path: Path, job: int, **fields: Any) -> str:
    """The small log with fields of one job replaced (or, by ..., removed), one job a line."""
    jobs = json.loads(SMALL.read_text())
    jobs[job].update(fields)
    jobs[job] = {name: value for name, value in jobs[job].items() if value is not ...}
    path.write_text("[\n" + ",\n".join(json.dumps(found) for found in jobs) + "\n]\n")
    return str(path)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"vc": 3}, "line 4, field 'vc'.*it is 3"),
        ({"jobid": ""}, "line 4, field 'jobid'"),
        ({"jobid": "\ud800"}, "line 4, field 'jobid'"),
        ({"user": ...}, "line 4, field 'user': the value must be given"),
        ({"status": None}, "line 4, field 'status'"),
        ({"submitted_time": "2017-10-01"}, "line 4, field 'submitted_time'.*'2017-10-01'"),
        ({"submitted_time": None}, "line 4, field 'submitted_time'.*None"),
        ({"attempts": {}}, "line 4, field 'attempts'"),
        ({"attempts": [3]}, r"line 4, field 'attempts\[0\]': the value must be an object"),
        ({"attempts": [{"start_time": 5, "end_time": None, "detail": []}]}, r"'attempts\[0\]\.start_time'"),
        ({"attempts": [{"start_time": None, "end_time": "soon", "detail": []}]}, r"'attempts\[0\]\.end_time'.*'soon'"),
        ({"attempts": [{"start_time": None, "end_time": None}]}, r"'attempts\[0\]\.detail'.*given"),
        (
            {"attempts": [{"start_time": None, "end_time": None, "detail": [{"gpus": "gpu0"}]}]},
            r"'attempts\[0\]\.detail\[0\]\.gpus'.*'gpu0'",
        ),
    ],
)
def test_broken_field_is_named(fields: dict[str, Any], part: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "log.json", 2, **fields)
    with pytest.raises(TraceError, match=part) as caught:
        PhillyJsonTrace(path).load()
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the file is empty"),
        ("[]", "the file is empty"),
        ("[\n{},\n{]", "line 3: not valid JSON"),
        ("[{}\n", "must be separated by ',' and end with ']'"),
        ('[{"a": 1} {"a": 2}]', "must be separated by ','"),
        ("[{}] {}", "nothing after it"),
        ("[{},", "line 1: not valid JSON"),
        ('{"a": 1}\n\n7', "line 3: the file must be a list of JSON objects.*'7'"),
        ('{"a": NaN}', "line 1: not readable JSON"),
        ('{"a": ' + "[" * 100_000, "line 1: not readable JSON"),
        ('{"a": ' + "9" * 5000 + "}", "line 1: not readable JSON"),
    ],
)
def test_broken_json_is_named(text: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(text)
    with pytest.raises(TraceError, match=part):
        list(read_json(str(path)))
        PhillyJsonTrace(str(path)).load()


def test_example_job_agrees_with_the_flattened_log(traces_dir: Path) -> None:
    path = str(traces_dir / "philly" / "cluster_job_log.readme_example.json")
    w = PhillyJsonTrace(path).load()
    check_invariants(w)
    assert (w.duration_s[0], w.num_gpus[0], w.vc_names) == (193_256, 8, ("ee9e8c",))
    assert PhillyJsonTrace(path, run_time="span").load().duration_s[0] == 193_263
    own_clock = PhillyJsonTrace(path, rebase=False).load()
    flat = PhillyTrace(str(traces_dir / DEFAULT_FILE), vc="ee9e8c", rebase=False).load()
    twin = (flat.submit_s == own_clock.submit_s[0]) & (flat.duration_s == 193_256) & (flat.num_gpus == 8)
    assert twin.sum() == 1
