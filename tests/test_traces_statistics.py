"""Figures, endings and feasibility of workloads, and how they read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, WorkloadError
from rl_sched.traces.endings import FAILED, FINISHED, STOPPED, UNKNOWN, endings
from rl_sched.traces.feasibility import NO_SPEED, TOO_LARGE, UNKNOWN_VC, deadlines, feasibility
from rl_sched.traces.params import build_trace
from rl_sched.traces.philly import DEFAULT_FILE, PhillyTrace
from rl_sched.traces.reading import CENSORED, Audit
from rl_sched.traces.report import TraceAudit, audit_text, plain, statistics_text
from rl_sched.traces.statistics import statistics
from rl_sched.workload import Workload


def jobs() -> Workload:
    return Workload.build(
        [0, 1800, 3600, 7200],
        [3600, 7200, 60, 36],
        [1, 4, 1, 1],
        gpu_milli=[1000, 1000, 500, 1000],
        status=["Pass", "KILLED", "Failed", "odd"],
        deadline_s=[np.inf, 1800 + 7200, 3600 + 59, 1e9],
    )


def test_statistics_by_hand() -> None:
    found = statistics(jobs())
    assert (found.num_jobs, found.span_s, found.arrivals_per_h) == (4, 7200, 2)
    assert found.gpu_hours == pytest.approx(1 + 8 + 0.5 / 60 + 0.01)
    assert found.gpus_at_load_1 == pytest.approx(found.gpu_hours / 2)
    assert found.mean_gpus == (1 + 4 + 0.5 + 1) / 4
    assert found.duration_s["p50"] == (3600 + 60) / 2
    assert [(d.gpus, d.jobs, d.job_share) for d in found.demands] == [(0.5, 1, 0.25), (1, 2, 0.5), (4, 1, 0.25)]
    assert sum(d.gpu_hour_share for d in found.demands) == pytest.approx(1)
    assert found.interarrival_cv == pytest.approx(np.std([1800, 1800, 3600]) / 2400)


def test_all_at_once_has_no_rate() -> None:
    found = statistics(Workload.build([5, 5], [10, 10], [1, 1]))
    assert np.isnan(found.arrivals_per_h) and np.isinf(found.gpus_at_load_1)
    text = statistics_text(found, endings(Workload.build([5, 5], [10, 10], [1, 1])), "x")
    assert "all at once" in text and "nan" not in text and "inf" not in text
    assert json.loads(json.dumps(plain(found)))["gpus_at_load_1"] is None


def test_figures_of_the_philly_log(traces_dir: Path) -> None:
    found = statistics(PhillyTrace(str(traces_dir / DEFAULT_FILE)).load())
    assert found.num_jobs == 52_849 and found.gpu_hours == pytest.approx(642_409, abs=1)
    assert found.gpus_at_load_1 == pytest.approx(465, abs=0.5) and found.mean_gpus == pytest.approx(1.20, abs=0.005)
    assert [round(value) for value in found.duration_s.values()] == [64, 1486, 10_536, 268_916]
    assert found.demands[0].job_share == pytest.approx(0.950, abs=0.0005)


def test_endings_tell_what_is_cut_short() -> None:
    audit = Audit("f", 9, 4, {CENSORED: 3, "empty line": 2})
    found = endings(jobs(), audit)
    assert {row.status: row.ending for row in found.rows} == {
        "Pass": FINISHED, "KILLED": STOPPED, "Failed": FAILED, "odd": UNKNOWN,
    }  # fmt: skip
    assert (found.censored_jobs, found.censored_job_share, found.dropped_without_end) == (1, 0.25, 3)
    assert found.censored_gpu_hour_share == pytest.approx(8 / statistics(jobs()).gpu_hours)
    none = endings(Workload.build([0], [1], [1]))
    assert none.rows == () and np.isnan(none.censored_job_share)


def test_feasibility_counts_instead_of_refusing() -> None:
    found = feasibility(jobs(), ClusterSpec.parse("v100:1x2"))
    assert found.impossible == {TOO_LARGE: 1} and found.able_jobs == 3
    assert found.offered_load == pytest.approx((3600 + 30 + 36) / (2 * 7200))
    whole = ClusterSpec.parse("v100:1x4")
    assert feasibility(jobs(), whole).impossible == {}
    assert feasibility(jobs(), whole).offered_load == pytest.approx(jobs().offered_load(whole))
    with pytest.raises(WorkloadError):
        jobs().offered_load(ClusterSpec.parse("v100:1x2"))


def test_feasibility_knows_speeds_and_virtual_clusters() -> None:
    work = Workload.build(
        [0, 1, 2, 3], [10, 10, 10, 10], [1, 1, 3, 1], job_class=[0, 1, 0, 0], vc=[0, 0, 0, 1],
        speed=[[1, 1], [0, 1]], gpu_types=("v100", "k80"), vc_names=("lab", "shop"),
    )  # fmt: skip
    lab = ClusterSpec((NodeGroup("v100", 1, 2, "lab"),))
    assert feasibility(work, lab).impossible == {UNKNOWN_VC: 1, NO_SPEED: 1, TOO_LARGE: 1}
    both = ClusterSpec((NodeGroup("v100", 1, 4, "lab"), NodeGroup("k80", 1, 1, "lab"), NodeGroup("k80", 1, 1, "shop")))
    assert feasibility(work, both).impossible == {}
    with pytest.raises(WorkloadError, match="also has t4"):
        feasibility(work, ClusterSpec.parse("t4:1x8"))
    none = feasibility(work.take([1]), ClusterSpec.parse("v100:1x8"))  # type: ignore[arg-type]
    assert none.able_jobs == 0 and np.isnan(none.offered_load)


def test_deadlines_that_no_scheduler_can_meet() -> None:
    assert deadlines(jobs()) == (3, 1)
    assert deadlines(Workload.build([0], [1], [1])) == (0, 0)


def test_audit_as_text_and_data() -> None:
    audit = Audit("log.csv", 9, 4, {CENSORED: 3, "empty line": 2}, ("comment",), "pods", ("A note.",))
    report = TraceAudit(
        audit, endings(jobs(), audit), deadlines(jobs()), feasibility(jobs(), ClusterSpec.parse("v100:1x2"))
    )
    text = audit_text(report)
    for part in (
        "pods read  9", "kept       4", "dropped    5", "3  censored: no end in the log", "columns not used: comment",
        "note: A note.", "jobs that cannot run there: 1 of 4", f"1  {TOO_LARGE}", "of the 3 others: 0.255",
        "jobs with a deadline: 3; 1 (33.3 %)", "KILLED     1  25.0 %", "censored (stopped): 25.0 % of the jobs, 88.7 %",
        "does not show their end: 3",
    ):  # fmt: skip
        assert part in text, part
    data = json.loads(json.dumps(plain(report)))
    assert data["audit"]["dropped"] == audit.dropped and data["feasibility"]["impossible"] == {TOO_LARGE: 1}
    assert data["endings"]["rows"][0].keys() == {"status", "jobs", "gpu_hours", "median_duration_s", "ending"}


def test_statistics_as_text() -> None:
    many = Workload.build(range(30), [10] * 30, range(1, 31))
    text = statistics_text(statistics(many), endings(many), "made up")
    assert "20 others" in text and "no status" in text
    assert len(text.splitlines()[-3].split()) >= 4


def test_parameters_are_read_by_their_types() -> None:
    trace = build_trace("philly", ["vc=103959", "max_gpus=8", "load_scale=2", "start=2017-10-01"], "f.csv")
    assert (trace.vc, trace.max_gpus, trace.load_scale, trace.start) == ("103959", 8, 2.0, "2017-10-01")  # type: ignore[attr-defined]
    for text in ("gpu_types=v100, k80", "gpu_types=[v100, k80]"):
        assert build_trace("gavel", [text]).gpu_types == ("v100", "k80")  # type: ignore[attr-defined]
    assert build_trace("synthetic", ["gang_sizes=1,2", "gang_probs=0.5,0.5"]).gang_probs == (0.5, 0.5)  # type: ignore[attr-defined]
    assert build_trace("philly", ["max_gpus=null"]).max_gpus is None  # type: ignore[attr-defined]
    for params, path, message in (
        (["max_gpu=8"], "f", "Unknown key 'philly.max_gpu'. Did you mean 'max_gpus'"),
        (["max_gpus=many"], "f", "philly.max_gpus must be a number"),
        (["max_gpus"], "f", "must look like name=value"),
        (["path=g"], "f", "given once"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_trace("philly", params, path)
    with pytest.raises(ConfigError, match="reads no file"):
        build_trace("synthetic", [], "f")
    with pytest.raises(ConfigError, match="must be given a file in the Standard Workload Format"):
        build_trace("swf")
