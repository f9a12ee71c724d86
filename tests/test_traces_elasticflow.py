"""ElasticFlow's traces and scaling curves."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.elasticflow import NO_THROUGHPUT, ElasticFlowTrace
from rl_sched.traces.feasibility import deadlines
from rl_sched.traces.scaling import read_curves

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = str(FIXTURES / "elasticflow_small.csv")
WIDE = str(FIXTURES / "elasticflow_wide_small.csv")
CURVES = str(FIXTURES / "elasticflow_curves")


def test_deadlines_are_absolute() -> None:
    jobs = ElasticFlowTrace(SMALL).load()
    check_invariants(jobs)
    assert jobs.job_id == ("0", "2", "1", "3")
    assert jobs.submit_s.tolist() == [0, 5, 10, 20]
    assert jobs.deadline_s.tolist() == [150, np.inf, 100, 100]  # none is stated for job 2
    assert jobs.duration_s.tolist() == [100, 25, 200, 25]
    assert jobs.num_gpus.tolist() == [1, 1, 2, 1]
    assert jobs.job_class.tolist() == [0, 1, 0, 2]  # model and batch size
    assert jobs.estimate_s is None
    assert deadlines(jobs) == (3, 1)  # job 1 would end at 210
    same_clock = ElasticFlowTrace(SMALL, rebase=False).load()
    assert same_clock.deadline_s.tolist() == [1150, np.inf, 1100, 1100]
    audit = ElasticFlowTrace(SMALL).audit()
    assert (audit.rows_read, audit.dropped, audit.ignored_columns) == (5, {"empty line": 1}, ("iteration",))


def test_the_wide_variant_tells_stated_from_real_run_times() -> None:
    trace = ElasticFlowTrace(WIDE)
    jobs = trace.load()
    assert jobs.duration_s.tolist() == [110, 150]
    assert jobs.estimate_s is not None and jobs.estimate_s.tolist() == [100, 200]
    assert jobs.deadline_s.tolist() == [220, np.inf]  # b is best effort
    audit = trace.audit()
    assert audit.dropped == {"run time not above 0": 1}
    assert audit.ignored_columns == ("real_iteration", "iteration")


def test_curves_give_run_times_on_another_type() -> None:
    trace = ElasticFlowTrace(SMALL, throughputs=CURVES)
    jobs = trace.load()
    assert jobs.job_id == ("0", "2", "1")
    assert jobs.duration_s.tolist() == [100 / 2, 50 / 0.5, 300 / 3]
    assert trace.audit().dropped == {"empty line": 1, NO_THROUGHPUT: 1}  # lm with batch 64
    wide = ElasticFlowTrace(WIDE, throughputs=CURVES).load()
    assert wide.duration_s.tolist() == [55, 100] and wide.estimate_s is None  # the real iterations


def test_empty_nan_and_zero_are_not_measured() -> None:
    rates = read_curves(CURVES).rates
    assert rates == {("lm", 32): {1: 0.5}, ("net", 64): {1: 2.0, 2: 3.0}, ("net", 128): {1: 1.0}}


def test_broken_files_are_named(tmp_path: Path) -> None:
    def bad(text: str) -> str:
        path = tmp_path / "bad.csv"
        path.write_text(text)
        return str(path)

    small = Path(SMALL).read_text()
    for old, new, message in (
        ("1,1010,", "1,later,", "line 3, field 'submit_time': .* 'later'"),
        (",1150,", ",-1,", "line 2, field 'ddl'"),
        (",64,2,200", ",64,2,forever", "line 3, field 'duration'"),
        (",64,2,", ",64,0,", "line 3, field 'num_gpu'"),
        ("1,1010", "0,1010", "line 3, field 'job_id': .* '0' is also on line 2"),
        ("ddl", "deadline", "one column 'ddl'"),
    ):
        with pytest.raises(TraceError, match=message):
            ElasticFlowTrace(bad(small.replace(old, new, 1))).load()
    with pytest.raises(TraceError, match="one column 'iteration'"):
        ElasticFlowTrace(bad(small.replace("iteration", "steps")), throughputs=CURVES).load()
    with pytest.raises(TraceError, match="must exist"):
        ElasticFlowTrace(SMALL, throughputs=str(tmp_path / "none")).load()
    folder = tmp_path / "curves"
    folder.mkdir()
    with pytest.raises(TraceError, match="holds none"):
        read_curves(str(folder))
    for text, message in (("global_batch_size,one\n1,2\n", "'one'"), ("global_batch_size,1\n1,-2\n", "line 2, .*'1'")):
        (folder / "net.csv").write_text(text)
        with pytest.raises(TraceError, match=message):
            read_curves(str(folder))
    zipped = tmp_path / "small.csv.gz"
    zipped.write_bytes(gzip.compress(small.encode()))
    assert ElasticFlowTrace(str(zipped)).load().content_hash() == ElasticFlowTrace(SMALL).load().content_hash()


def test_real_trace(traces_dir: Path) -> None:
    path = str(traces_dir / ElasticFlowTrace.default_file)
    jobs = ElasticFlowTrace(path).load()
    assert len(jobs) == 195
    with_deadline, hopeless = deadlines(jobs)
    assert with_deadline == 195 and hopeless / 195 == pytest.approx(0.48, abs=0.01)
    folder = traces_dir / "throughputs" / "elasticflow_T4"
    trace = ElasticFlowTrace(path, throughputs=str(folder))
    assert trace.audit().rows_kept == 195  # the trace's run times are those of this table, rounded up
    long = jobs.duration_s > 1000
    np.testing.assert_allclose(trace.load().duration_s[long], jobs.duration_s[long], rtol=1e-3)
    curves = read_curves(str(traces_dir / "throughputs" / "elasticflow_A100")).rates
    assert curves["deepspeech2", 32].keys() == {1, 2, 4, 8, 16, 32}  # the last cell is empty
    assert curves["resnet50_cifar10", 64].keys() == {1, 2, 4, 8}  # further cells are 0
