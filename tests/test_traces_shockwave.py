"""Shockwave's traces."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.shockwave import ShockwaveTrace

SMALL = str(Path(__file__).parent / "fixtures" / "shockwave_small.trace")


def test_run_times_are_the_stated_ones() -> None:
    jobs = ShockwaveTrace(SMALL).load()
    check_invariants(jobs)
    assert jobs.job_id == ("0", "3", "1")
    assert jobs.submit_s.tolist() == [0, 20, 30]
    assert jobs.duration_s.tolist() == [90, 7, 100.5]
    assert jobs.num_gpus.tolist() == [1, 2, 4]
    assert jobs.priority.tolist() == [1, 1, 2]
    assert jobs.deadline_s.tolist() == [np.inf, np.inf, 30 + 1.5 * 100.5]
    assert jobs.job_class.tolist() == [0, 0, 1]  # model and mode
    assert jobs.speed is None


def test_a_job_without_run_time_is_counted() -> None:
    audit = ShockwaveTrace(SMALL).audit()
    assert (audit.rows_read, audit.rows_kept, audit.dropped) == (4, 3, {"run time not above 0": 1})
    assert audit.ignored_columns == ("command", "working_directory", "num_steps_arg", "needs_data_dir", "total_steps")


def test_gzip_and_broken_rows(tmp_path: Path) -> None:
    text = Path(SMALL).read_text()
    zipped = tmp_path / "t.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    assert ShockwaveTrace(str(zipped)).load().content_hash() == ShockwaveTrace(SMALL).load().content_hash()
    for old, new, field in (
        ("\t90\t", "\t-90\t", "'duration'"),
        ("\t1.500000\t", "\tsoon\t", "'SLO'"),
        ("\tgns\t", "\t\t", "'mode'"),
        ("\t4\tstatic", "\t0\tstatic", "'scale_factor'"),
    ):
        broken = tmp_path / "broken"
        broken.write_text(text.replace(old, new, 1))
        with pytest.raises(TraceError, match=f"broken, line [12], field {field}"):
            ShockwaveTrace(str(broken)).load()


def test_real_trace(traces_dir: Path) -> None:
    trace = ShockwaveTrace(str(traces_dir / ShockwaveTrace.default_file))
    jobs = trace.load()
    assert len(jobs) == trace.audit().rows_read == 120
    assert (jobs.duration_s * jobs.num_gpus).sum() / 3600 == pytest.approx(198, abs=0.5)
    assert np.percentile(jobs.duration_s, [10, 50, 90, 99]) == pytest.approx([1226, 3164, 8417, 17_060], rel=0.001)
    assert jobs.num_gpus.mean() == pytest.approx(1.37, abs=0.005)
