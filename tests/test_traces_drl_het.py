"""The normalised CSV of arrival_time, runtime, gpus, priority."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.drl_het import NOT_WHOLE, TOO_SHORT, DrlHetTrace
from rl_sched.traces.reading import NO_GPU

SMALL = str(Path(__file__).parent / "fixtures" / "drl_het_small.csv")


def test_fractions_become_shares_of_one_gpu() -> None:
    jobs = DrlHetTrace(SMALL).load()
    check_invariants(jobs)
    assert jobs.submit_s.tolist() == [0, 10.5, 50, 70]
    assert jobs.duration_s.tolist() == [3600, 60, 30, 30]
    assert jobs.num_gpus.tolist() == [1, 1, 4, 1]
    assert jobs.gpu_milli.tolist() == [250, 1000, 1000, 1]
    assert jobs.priority.tolist() == [1, 0.5, 2.5, 1]


def test_rows_without_gpus_and_short_ones_are_counted() -> None:
    audit = DrlHetTrace(SMALL).audit()
    assert audit.dropped == {TOO_SHORT: 1, NO_GPU: 1, NOT_WHOLE: 1}
    assert (audit.rows_read, audit.rows_kept, audit.notes) == (7, 4, ())


def test_columns_may_be_absent(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("runtime,arrival_time,extra\n5,3,a\n7,2,b\n")
    trace = DrlHetTrace(str(path))
    jobs, audit = trace.load(), trace.audit()
    assert jobs.duration_s.tolist() == [7, 5] and (jobs.num_gpus == 1).all() and (jobs.priority == 1).all()
    assert audit.notes == ("No column gpus: 1 for every job.", "No column priority: 1 for every job.")
    assert audit.ignored_columns == ("extra",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arrival_time,runtime\n1,x\n", "line 2, field 'runtime': .* 'x'"),
        ("arrival_time,runtime\n-1,5\n", "line 2, field 'arrival_time'"),
        ("arrival_time,runtime,gpus\n1,5,-1\n", "line 2, field 'gpus'"),
        ("arrival_time,runtime,gpus\n1,5,1e300\n", "line 2, field 'gpus'"),
        ("arrival_time,runtime,priority\n1,5,nan\n", "line 2, field 'priority'"),
        ("arrival_time,duration\n1,5\n", "one column 'runtime'"),
        ("arrival_time,runtime,gpus,gpus\n1,5,1,1\n", "'gpus'; it has two"),
        ("arrival_time,runtime\n1,0.5\n", "at least one usable job"),
    ],
)
def test_broken_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=message) as caught:
        DrlHetTrace(str(path)).load()
    assert str(path) in str(caught.value)


def test_needs_a_file_which_may_be_zipped(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs path="):
        DrlHetTrace()
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(Path(SMALL).read_bytes()))
    assert DrlHetTrace(str(path)).load().content_hash() == DrlHetTrace(SMALL).load().content_hash()
