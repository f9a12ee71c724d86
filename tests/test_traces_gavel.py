"""Gavel's traces and throughputs: both layouts, speeds, drops, broken files, the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces.gavel import FITS_NOWHERE, NO_THROUGHPUT, GavelTrace
from rl_sched.traces.log import TRACES_VARIABLE
from rl_sched.traces.throughputs import DEFAULT_FILE, JobClass, read_throughputs

FIXTURES = Path(__file__).parent / "fixtures"
MSR = str(FIXTURES / "gavel_msr_small.trace")
PHYSICAL = str(FIXTURES / "gavel_physical_small.trace")
RATES = str(FIXTURES / "gavel_throughputs_small.json")
NET, LM = "net (batch size 8)", "lm (batch size 4)"


def test_msr_layout() -> None:
    trace = GavelTrace(MSR, throughputs=RATES)
    jobs = trace.load()
    check_invariants(jobs)
    assert jobs.job_id == ("1", "0", "2", "5")  # rows of the file, from 0; in order of arrival
    assert jobs.submit_s.tolist() == [0, 5, 5, 7]
    assert jobs.num_gpus.tolist() == [1, 1, 2, 1]
    assert jobs.duration_s.tolist() == [30, 100, 20, 50]  # steps over steps/s on V100; `big` does not fit: P100
    assert (jobs.priority == 0).all() and np.isinf(jobs.deadline_s).all()
    assert jobs.gpu_types == ("v100", "p100", "k80")
    speed = {name: jobs.speed[jobs.job_class[i]].tolist() for i, name in enumerate(jobs.job_id or ())}  # type: ignore[index]
    assert speed == {"1": [1, 1.5, 0.25], "0": [1, 0.8, 0.25], "2": [1, 2 / 3, 0.25], "5": [0, 1, 0.5]}


def test_run_times_come_from_steps_and_throughputs() -> None:
    jobs = GavelTrace(MSR, throughputs=RATES).load()
    on = jobs.duration_on(ClusterSpec.parse("k80:1x2,v100:1x2"))
    np.testing.assert_allclose(on, [[120, 30], [400, 100], [80, 20], [100, np.inf]])


def test_what_no_throughput_covers_is_dropped_and_counted() -> None:
    audit = GavelTrace(MSR, throughputs=RATES).audit()
    assert (audit.rows_read, audit.rows_kept) == (7, 4)
    assert audit.dropped == {"empty line": 1, NO_THROUGHPUT: 1, FITS_NOWHERE: 1}
    assert audit.ignored_columns == ("command", "num_steps_arg", "needs_data_dir")


def test_physical_layout_has_weights_and_deadlines() -> None:
    jobs = GavelTrace(PHYSICAL, throughputs=RATES, rebase=False).load()
    assert jobs.submit_s.tolist() == [0, 40, 40]
    assert jobs.num_gpus.tolist() == [1, 2, 1]
    assert jobs.priority.tolist() == [1, 2.5, 0]
    assert jobs.duration_s.tolist() == [30, 10, 10]
    assert jobs.deadline_s.tolist() == [np.inf, 40 + 1.5 * 10, 40 + 2 * 10]


def test_details_are_those_of_the_loaded_jobs() -> None:
    trace = GavelTrace(MSR, throughputs=RATES)
    details = trace.details()
    assert details.total_steps.tolist() == [600, 1000, 360, 400]
    jobs = trace.load()
    assert [details.classes[k] for k in jobs.job_class] == [(LM, 1), (NET, 1), (NET, 2), ("big", 1)]
    rates = details.reference_steps_per_s[jobs.job_class]
    np.testing.assert_allclose(details.total_steps / rates, jobs.duration_s)
    pair = details.classes.index(JobClass(NET, 2))
    assert details.spread_speed[pair].tolist() == [0.5, 0, 0]  # measured on V100 only
    small = GavelTrace(MSR, throughputs=RATES, max_gpus=1)
    assert small.details().total_steps.tolist() == [600, 1000, 400]
    assert len(small.load()) == 3


def test_types_and_reference_can_be_chosen() -> None:
    jobs = GavelTrace(MSR, throughputs=RATES, gpu_types=("k80",), reference="p100").load()
    assert jobs.gpu_types == ("k80",)
    assert jobs.duration_s.tolist() == [20, 125, 30, 50]  # on P100
    np.testing.assert_allclose(jobs.speed[jobs.job_class][:, 0], [1 / 6, 2.5 / 8, 4.5 / 12, 0.5])  # type: ignore[index]
    no_big = GavelTrace(MSR, throughputs=RATES, gpu_types=("v100",)).audit()
    assert no_big.dropped[FITS_NOWHERE] == 2
    with pytest.raises(ConfigError, match="no throughputs of GPU type 'v10'. Did you mean 'v100'"):
        GavelTrace(MSR, throughputs=RATES, gpu_types=("v10",)).load()
    with pytest.raises(ConfigError, match="'a100'"):
        GavelTrace(MSR, throughputs=RATES, reference="a100").load()
    for types in ((), ("v100", "v100")):
        with pytest.raises(ConfigError, match="each once"):
            GavelTrace(MSR, gpu_types=types)


def test_gzip_reads_the_same(tmp_path: Path) -> None:
    trace, rates = tmp_path / "t.gz", tmp_path / "r.gz"
    trace.write_bytes(gzip.compress(Path(MSR).read_bytes()))
    rates.write_bytes(gzip.compress(Path(RATES).read_bytes()))
    zipped = GavelTrace(str(trace), throughputs=str(rates)).load()
    assert zipped.content_hash() == GavelTrace(MSR, throughputs=RATES).load().content_hash()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (f"{NET}\trun\t-n\t1\tmany\t5\t1", ["line 2", "'total_steps'", "'many'"]),
        (f"{NET}\trun\t-n\t1\t0\t5\t1", ["line 2", "'total_steps'", "'0'"]),
        (f"{NET}\trun\t-n\t1\t10\t-5\t1", ["line 2", "'arrival_time'", "'-5'"]),
        (f"{NET}\trun\t-n\t1\t10\tnan\t1", ["line 2", "'arrival_time'", "'nan'"]),
        (f"{NET}\trun\t-n\t1\t10\t5\t1.5", ["line 2", "'scale_factor'", "'1.5'"]),
        ("\trun\t-n\t1\t10\t5\t1", ["line 2", "'job_type'", "''"]),
        (f"{NET}\trun\t-n\t1\t10\t5", ["line 2", "7 fields", "it has 6"]),
    ],
)
def test_broken_rows_are_named(row: str, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.trace"
    path.write_text(f"{NET}\trun\t-n\t1\t10\t5\t1\n{row}\n")
    with pytest.raises(TraceError) as caught:
        GavelTrace(str(path), throughputs=RATES).load()
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(TraceError, match="line 1: a row must have 7 or 10 fields; it has 1"):
        GavelTrace(str(path), throughputs=RATES).load()
    path.write_text(f"{NET}\trun\t-n\t1\t10\t5\t64\n")
    with pytest.raises(TraceError, match=f"none is: 1 \\({NO_THROUGHPUT}\\)"):
        GavelTrace(str(path), throughputs=RATES).load()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("[1, 2]", "JSON object"),
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ({"v100": 3}, "key 'v100'"),
        ({"v100_unconsolidated": {}}, "without the ending"),
        ({"v100": {"net": 1.0}}, "key 'v100', 'net': a job class must be written"),
        ({"v100": {"('net', 0)": 1.0}}, "GPUs >= 1"),
        ({"v100": {"('net', True)": 1.0}}, "GPUs >= 1"),
        ({"v100": {"__import__('os').getcwd()": 1.0}}, "a job class must be written"),
        ({"v100": {"('net', 1)": {}}}, "must have the key 'null'"),
        ({"v100": {"('net', 1)": {"null": -1}}}, "a finite number of steps per second >= 0; it is -1"),
        ({"v100": {"('net', 1)": {"null": "fast"}}}, "it is 'fast'"),
        ({"v100": {"('net', 1)": float("nan")}}, "it is nan"),
        ({"v100": {"('net', 1)": 10**400}}, "too large"),
        ({"v100": {"('net', 1)": {"null": 1, "('lm', 1)": [1]}}}, "a pair"),
        ({"v100": {"('net', 1)": {"null": 1, "lm": [1, 2]}}}, "'lm': a job class"),
    ],
)
def test_broken_throughputs_are_named(content: Any, part: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(TraceError) as caught:
        GavelTrace(MSR, throughputs=str(path)).load()
    assert str(path) in str(caught.value) and part in str(caught.value)


def test_throughputs_alone_spread_and_shared(tmp_path: Path) -> None:
    rates = read_throughputs(RATES)
    assert list(rates.alone) == ["v100", "p100", "k80"] and list(rates.spread) == ["v100"]
    assert rates.alone["v100"][JobClass(NET, 2)] == 18 and rates.spread["v100"] == {JobClass(NET, 2): 9}
    assert rates.shared["v100"][JobClass(NET, 1)] == {JobClass(LM, 1): (6, 15)}
    plain = tmp_path / "plain.json"  # a table without shared GPUs may hold bare numbers
    plain.write_text(json.dumps({"k80": {f"('{NET}', 1)": 2.5}}))
    assert read_throughputs(str(plain)).alone == {"k80": {JobClass(NET, 1): 2.5}}


def test_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(TRACES_VARIABLE, raising=False)
    with pytest.raises(TraceError, match=f"{DEFAULT_FILE}.*{TRACES_VARIABLE}, which is not set"):
        GavelTrace(MSR).load()
    home = tmp_path / DEFAULT_FILE
    home.parent.mkdir()
    home.write_bytes(Path(RATES).read_bytes())
    monkeypatch.setenv(TRACES_VARIABLE, str(tmp_path))
    assert len(GavelTrace(MSR).load()) == 4


# --- the real files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "kept", "rows", "gpu_hours", "days"),
    [
        ("msr_seed0_6c71a0.trace.gz", 1937, 2000, 72_287, 30.0),
        ("msr_seed0_ee9e8c.trace.gz", 1627, 2000, 112_109, 52.2),
        ("msr_seed0_ed69ec.trace.gz", 951, 951, 30_233, 75.9),
        ("msr_seed0_2869ce.trace", 354, 533, 16_815, None),
        ("msr_seed0_e13805.trace", 504, 607, 24_037, None),
        ("physical_max_min_fairness.trace", 96, 96, 393, 0.54),
    ],
)
def test_real_traces(traces_dir: Path, file: str, kept: int, rows: int, gpu_hours: float, days: float | None) -> None:
    trace = GavelTrace(str(traces_dir / "gavel" / file), throughputs=str(traces_dir / DEFAULT_FILE))
    jobs, audit = trace.load(), trace.audit()
    check_invariants(jobs)
    assert (audit.rows_kept, audit.rows_read) == (kept, rows)
    assert sum(audit.dropped.values()) == audit.dropped.get(NO_THROUGHPUT, 0)
    assert (jobs.duration_s * jobs.num_gpus).sum() / 3600 == pytest.approx(gpu_hours, abs=1)
    if days is not None:
        assert jobs.submit_s[-1] / 86_400 == pytest.approx(days, abs=0.05)


def test_seeds_change_models_only(traces_dir: Path) -> None:
    first, second = (
        GavelTrace(str(traces_dir / "gavel" / f"msr_seed{seed}_6c71a0.trace.gz"),
                   throughputs=str(traces_dir / DEFAULT_FILE)).load()
        for seed in (0, 1)
    )  # fmt: skip
    times = [dict(zip(jobs.job_id or (), jobs.submit_s, strict=True)) for jobs in (first, second)]
    both = times[0].keys() & times[1].keys()
    assert len(both) > 1800 and all(times[0][name] == times[1][name] for name in both)


def test_real_throughputs_agree(traces_dir: Path, reference_dir: Path) -> None:
    whole = read_throughputs(str(traces_dir / DEFAULT_FILE))
    cut = read_throughputs(str(reference_dir / "traces" / "gavel_throughputs.json"))
    assert {gpu: len(entries) for gpu, entries in whole.alone.items()} == {"k80": 83, "p100": 83, "v100": 83}
    assert {gpu: len(entries) for gpu, entries in whole.spread.items()} == {"k80": 77, "p100": 83, "v100": 83}
    assert cut.alone.keys() == whole.alone.keys() and not cut.spread
    for gpu, entries in cut.alone.items():
        assert entries == pytest.approx(whole.alone[gpu])
    v100 = whole.shared["v100"]
    pairs = [(a, b) for a, others in v100.items() for b in others]
    assert len(pairs) > 1500 and all(v100[b][a] == v100[a][b][::-1] for a, b in pairs)


def test_the_reference_simulators_trace_loads(reference_dir: Path) -> None:
    folder = reference_dir / "traces"
    rates = str(folder / "gavel_throughputs.json")
    jobs = GavelTrace(str(folder / "gavel_het_300.trace"), throughputs=rates).load()
    assert len(jobs) == 300 and jobs.speed is not None and (jobs.speed[:, 0] == 1).all()
