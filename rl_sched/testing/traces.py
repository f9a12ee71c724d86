"""What every entry of ``TRACES`` must do. A test module subclasses ``TraceConformance`` and supplies ``trace``."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import ConfigError
from rl_sched.traces import TRACES, Trace
from rl_sched.traces.csv_file import CsvTrace, write_csv, write_throughputs
from rl_sched.traces.log import LogTrace
from rl_sched.workload import WHOLE_GPU, Workload

_COLUMNS = (
    "submit_s", "duration_s", "num_gpus", "job_class", "user", "vc", "priority", "gpu_milli", "deadline_s",
)  # fmt: skip
_SEEDS = (0, 1, 2_000_001)


def check_invariants(workload: Workload) -> None:
    """Asserts what every workload promises: shapes, order, ranges, read-only columns, a usable speed table."""
    n = len(workload)
    assert n > 0
    for name in _COLUMNS:
        column = getattr(workload, name)
        assert column.shape == (n,), name
        assert not np.isnan(column).any(), name
        assert name == "deadline_s" or np.isfinite(column).all(), name
        assert not column.flags.writeable, name
    assert (workload.submit_s >= 0).all()
    assert (np.diff(workload.submit_s) >= 0).all()
    assert (workload.duration_s > 0).all()
    assert (workload.num_gpus >= 1).all()
    assert ((workload.gpu_milli >= 1) & (workload.gpu_milli <= WHOLE_GPU)).all()
    assert (workload.num_gpus[workload.gpu_milli < WHOLE_GPU] == 1).all()
    if workload.estimate_s is not None:
        assert workload.estimate_s.shape == (n,)
        assert (np.isfinite(workload.estimate_s) & (workload.estimate_s > 0)).all()
    if workload.status is not None:
        assert len(workload.status) == n
    assert workload.submit_s.dtype == workload.duration_s.dtype == np.float64
    if workload.vc_names:
        assert workload.vc.min() >= 0
        assert workload.vc.max() < len(workload.vc_names)
    if workload.job_id is not None:
        assert len(set(workload.job_id)) == n
    if workload.speed is not None:
        assert workload.speed.shape == (workload.speed.shape[0], len(workload.gpu_types))
        assert (workload.speed[workload.job_class].max(axis=1) > 0).all()


def assert_same_jobs(left: Workload, right: Workload) -> None:
    """Asserts that two workloads hold the same jobs, value for value; virtual clusters are compared by name."""
    for name in _COLUMNS:
        if name != "vc" or not left.vc_names:
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    assert left.status == right.status
    if left.estimate_s is not None:
        np.testing.assert_array_equal(left.estimate_s, right.estimate_s)
    if left.vc_names:
        assert [left.vc_names[v] for v in left.vc] == [right.vc_names[v] for v in right.vc]
    if left.speed is not None:
        assert right.speed is not None
        np.testing.assert_array_equal(left.speed, right.speed)
        assert left.gpu_types == right.gpu_types


class TraceConformance:
    """Subclass it and give a fixture ``trace`` that runs over every registered name."""

    @pytest.fixture
    def trace(self) -> Trace:
        """The entry under test."""
        raise NotImplementedError("A subclass of TraceConformance supplies the fixture 'trace'.")

    def test_is_a_frozen_dataclass(self, trace: Trace) -> None:
        assert is_dataclass(trace)
        first = fields(trace)[0].name
        with pytest.raises(FrozenInstanceError):
            setattr(trace, first, getattr(trace, first))

    @pytest.mark.parametrize("seed", _SEEDS)
    def test_workload_keeps_its_promises(self, trace: Trace, seed: int) -> None:
        check_invariants(trace.load(seed))

    @pytest.mark.parametrize("seed", _SEEDS)
    def test_same_seed_same_bytes(self, trace: Trace, seed: int) -> None:
        np.random.seed(5)  # noqa: NPY002 - the global stream must play no part
        first = trace.load(seed)
        np.random.seed(6)  # noqa: NPY002
        again = trace.load(seed)
        assert first.content_hash() == again.content_hash()
        assert first.job_id == again.job_id

    def test_does_not_touch_the_global_stream(self, trace: Trace) -> None:
        np.random.seed(7)  # noqa: NPY002
        expected = np.random.random(3)  # noqa: NPY002
        np.random.seed(7)  # noqa: NPY002
        trace.load(1)
        np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002

    def test_comes_back_from_csv(self, trace: Trace, tmp_path: Path) -> None:
        workload = trace.load(1)
        jobs, speeds = tmp_path / "jobs.csv", None
        write_csv(workload, str(jobs))
        if workload.speed is not None:
            speeds = str(tmp_path / "speeds.csv")
            write_throughputs(workload, speeds)
        back = CsvTrace(str(jobs), throughputs=speeds).load(1)
        assert_same_jobs(workload, back)
        if not workload.vc_names:
            assert back.content_hash() == workload.content_hash()

    def test_audit_accounts_for_every_row(self, trace: Trace) -> None:
        if not isinstance(trace, LogTrace):
            pytest.skip("a generator reads no rows")
        audit = trace.audit()
        assert audit.rows_kept == len(trace.load())
        assert audit.rows_read == audit.rows_kept + sum(audit.dropped.values())
        assert all(audit.dropped.values())
        assert f"{audit.rows_kept} of {audit.rows_read} {audit.unit} kept" in audit.describe()

    def test_load_can_be_scaled(self, trace: Trace) -> None:
        workload = trace.load(1)
        np.testing.assert_allclose(workload.scale_load(2.0).submit_s * 2.0, workload.submit_s)

    def test_rejects_an_unknown_parameter(self, trace_name: str) -> None:
        with pytest.raises(ConfigError, match="no parameter 'num_jbos'"):
            TRACES.create(trace_name, num_jbos=3)
