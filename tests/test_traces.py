"""The traces: conformance of every name, known figures of the generators, readers against small files and the log."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, TraceError, WorkloadError
from rl_sched.testing.traces import TraceConformance, check_invariants
from rl_sched.traces import TRACES, Trace
from rl_sched.traces.csv_file import CsvTrace
from rl_sched.traces.drl_het_jobs import DrlHetJobs
from rl_sched.traces.log import TRACES_VARIABLE
from rl_sched.traces.philly import DEFAULT_FILE, PhillyTrace
from rl_sched.traces.ppo_jobs import PpoJobsTrace
from rl_sched.traces.synthetic import ARRIVALS, DURATIONS, SyntheticTrace
from tests.trace_cases import CASES, Case, conformance_params

FIXTURES = Path(__file__).parent / "fixtures"
JOBS = str(FIXTURES / "jobs_small.csv")
SPEEDS = str(FIXTURES / "jobs_small_speeds.csv")
PHILLY = str(FIXTURES / "philly_small.csv")

DEFAULT_CLUSTER = ClusterSpec((NodeGroup("a100", 1, 8), NodeGroup("v100", 1, 4), NodeGroup("t4", 1, 4)))


class TestConformance(TraceConformance):
    @pytest.fixture(params=sorted(TRACES))
    def trace_name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def trace(self, trace_name: str) -> Trace:
        return TRACES.create(trace_name, **conformance_params(trace_name))  # a generator: with its defaults


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layout_keeps_its_promises(case: Case) -> None:
    trace = TRACES.create(case.trace, **case.where())
    jobs = trace.load(0)
    check_invariants(jobs)
    assert trace.audit().rows_kept == len(jobs)


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


# --- synthetic ---------------------------------------------------------------------------------------------------


def test_synthetic_bytes_are_known() -> None:
    assert SyntheticTrace().load(1).content_hash() == "2724c7fd50fa0a57"
    assert SyntheticTrace(arrivals="poisson", durations="pareto", gang_duration_corr=0.5).load(1).content_hash() == (
        "b32dd732fc5f09ad"
    )


def test_synthetic_defaults_are_the_default_workload() -> None:
    """Figures stated for that workload: mean 46 s, median 20 s, p99 414 s, load 0.63, and 0.85 with slow-downs."""
    loads = [SyntheticTrace().load(seed) for seed in range(400)]
    duration = np.concatenate([w.duration_s for w in loads])
    gang = np.concatenate([w.num_gpus for w in loads])
    assert duration.mean() == pytest.approx(46, abs=1)
    assert np.median(duration) == pytest.approx(20, abs=0.5)
    assert np.quantile(duration, 0.99) == pytest.approx(414, rel=0.05)
    assert (duration.min(), duration.max()) == (2.0, 1500.0)
    shares = [(gang == size).mean() for size in (1, 2, 4, 8)]
    np.testing.assert_allclose(shares, (0.45, 0.25, 0.20, 0.10), atol=0.006)
    capacity_gpu_s = 16 * 2400.0
    work = np.mean([(w.duration_s * w.num_gpus).sum() for w in loads])
    assert work / capacity_gpu_s == pytest.approx(0.63, abs=0.02)
    submit = np.array([w.submit_s for w in loads])
    assert submit.min() == 0.0 and submit.max() == 2400.0  # clipped into the span
    assert submit.mean() == pytest.approx(1200, abs=40)


def test_synthetic_slowdowns_share_one_draw_per_job() -> None:
    w = SyntheticTrace().load(3)
    slowdown = w.duration_on(DEFAULT_CLUSTER) / w.duration_s[:, None]
    x = slowdown[:, 1] - 1.15
    can = np.isfinite(slowdown).all(axis=1)
    assert can.sum() > 150
    np.testing.assert_allclose(slowdown[can, 0], 1.0)
    np.testing.assert_allclose(slowdown[can, 2], 1.3 + 3 * x[can])
    assert 0 <= x[can].min() < 0.05 and 0.95 < x[can].max() <= 1


@pytest.mark.parametrize("arrivals", sorted(ARRIVALS))
@pytest.mark.parametrize("durations", sorted(DURATIONS))
@pytest.mark.parametrize("offered", [0.5, 1.3])
def test_synthetic_offered_load_is_the_realised_one(arrivals: str, durations: str, offered: float) -> None:
    trace = SyntheticTrace(arrivals=arrivals, durations=durations, offered_load=offered, load_gpus=16)
    w = trace.load(11)
    check_invariants(w)
    assert w.offered_load(DEFAULT_CLUSTER) == pytest.approx(offered, rel=1e-6)


def test_synthetic_arrivals_and_load_leave_the_jobs_alone() -> None:
    """Sorting by arrival reorders rows, so the jobs are compared as sets."""
    some = SyntheticTrace().load(5)
    other = SyntheticTrace(arrivals="poisson", offered_load=0.9).load(5)
    for name in ("duration_s", "num_gpus", "user"):
        np.testing.assert_array_equal(np.sort(getattr(some, name)), np.sort(getattr(other, name)))


def test_synthetic_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(SyntheticTrace(num_jobs=20_000, span_s=20_000, arrivals="poisson").load(0).submit_s)
    assert gaps.mean() == pytest.approx(1.0, abs=0.01)
    assert gaps.std() == pytest.approx(1.0, abs=0.03)


def test_synthetic_bursts_crowd() -> None:
    def dispersion(name: str) -> float:
        counts = np.concatenate(
            [np.histogram(SyntheticTrace(arrivals=name).load(s).submit_s, 40, (0, 2400))[0] for s in range(50)]
        )
        return counts.var() / counts.mean()

    assert dispersion("poisson") == pytest.approx(1.0, abs=0.15)
    assert dispersion("bursty") > 3


@pytest.mark.parametrize("corr", [-0.8, 0.0, 0.6])
def test_synthetic_gangs_follow_durations_as_asked(corr: float) -> None:
    trace = SyntheticTrace(num_jobs=20_000, gang_duration_corr=corr, gang_sizes=(1, 2, 3, 4, 5, 6, 7, 8),
                           gang_probs=(0.125,) * 8)  # fmt: skip
    w = trace.load(0)
    ranks = np.array([np.argsort(np.argsort(column, kind="stable")) for column in (w.duration_s, w.num_gpus)])
    expected = 6 / np.pi * np.arcsin(corr / 2)  # Spearman's rank correlation of a Gaussian copula
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(expected, abs=0.03)


def test_synthetic_priorities_and_users() -> None:
    w = SyntheticTrace(num_jobs=5000, priorities=(0.5, 2.0), priority_probs=(0.9, 0.1), num_users=3).load(0)
    assert set(w.priority) == {0.5, 2.0}
    assert (w.priority == 2.0).mean() == pytest.approx(0.1, abs=0.02)
    assert set(w.user) == {0, 1, 2}


@pytest.mark.parametrize(
    "params",
    [
        {"arrivals": "posson"},
        {"durations": "normal"},
        {"gang_probs": (0.5, 0.5)},
        {"gang_probs": (0.5, 0.5, 0.5, -0.5)},
        {"num_jobs": 0},
        {"gang_duration_corr": 1.5},
        {"offered_load": 0.0},
        {"max_duration_s": 1.0},
        {"gpu_types": ("a100",)},
    ],
)
def test_synthetic_refuses_nonsense(params: dict[str, object]) -> None:
    name = next(iter(params))
    with pytest.raises(ConfigError, match=name.replace("gpu_types", "slowdown")):
        SyntheticTrace(**params)  # type: ignore[arg-type]


def test_synthetic_load_of_one_job_is_refused() -> None:
    with pytest.raises(ConfigError, match="two times"):
        SyntheticTrace(num_jobs=1, offered_load=0.5).load(0)


@given(
    num_jobs=st.integers(1, 60),
    arrivals=st.sampled_from(sorted(ARRIVALS)),
    durations=st.sampled_from(sorted(DURATIONS)),
    corr=st.floats(-1, 1),
    seed=st.integers(0, 2**32),
)
def test_synthetic_holds_for_any_parameters(
    num_jobs: int, arrivals: str, durations: str, corr: float, seed: int
) -> None:
    trace = SyntheticTrace(num_jobs, arrivals=arrivals, durations=durations, gang_duration_corr=corr)
    w = trace.load(seed)
    check_invariants(w)
    assert len(w) == num_jobs
    assert w.duration_s.min() >= trace.min_duration_s and w.duration_s.max() <= trace.max_duration_s
    assert set(w.num_gpus) <= set(trace.gang_sizes)


# --- drl-het-jobs ------------------------------------------------------------------------------------------------


def test_drl_het_jobs_follow_the_laws_of_that_system() -> None:
    jobs = DrlHetJobs(num_jobs=20_000).load(3)
    gaps = np.diff(jobs.submit_s)
    assert gaps.mean() == pytest.approx(240, rel=0.03) and gaps.std() == pytest.approx(240, rel=0.04)
    assert (jobs.duration_s == 1).mean() == pytest.approx(0.115, abs=0.01)  # N(3000, 2500) below 1 s
    assert np.median(jobs.duration_s) == pytest.approx(3000, rel=0.02)
    assert np.bincount(jobs.num_gpus)[1:] == pytest.approx(np.full(8, 2500), rel=0.08)
    levels, counts = np.unique(jobs.priority, return_counts=True)
    assert levels.tolist() == [0.5, 1, 2.5, 5] and counts == pytest.approx(np.full(4, 5000), rel=0.05)
    assert set(jobs.user) == {0, 1, 2}


def test_classes_of_drl_het_jobs_run_from_bound_by_memory_to_bound_by_arithmetic() -> None:
    jobs = DrlHetJobs(num_jobs=5).load(0)
    assert jobs.gpu_types == ("a100", "v100", "t4", "rtx4090")
    assert jobs.speed is not None
    assert jobs.speed[0].tolist() == [1, 1, 1, 1]
    assert jobs.speed[3] == pytest.approx([1, 15.7 / 19.5, 8.1 / 19.5, 82.6 / 19.5], abs=1e-6)
    assert jobs.speed[1] == pytest.approx(jobs.speed[3] ** (1 / 3), abs=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gpu_types": ("a100", "t5")}, "unknown GPU type 't5'"),
        ({"mean_gap_s": 0.0}, "mean_gap_s is out of range"),
        ({"betas": ()}, "betas is out of range"),
    ],
)
def test_drl_het_jobs_refuse_nonsense(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TRACES.create("drl-het-jobs", **params)


# --- ppo-jobs ----------------------------------------------------------------------------------------------------


def test_ppo_jobs_matches_the_published_measurements() -> None:
    """20 VAL seeds: W/G 184,500 +- 21,000 s, last arrival 9,930 s, gang 2.78, priority 7.4, tail 72 % of the work."""
    loads = [PpoJobsTrace().load(seed) for seed in range(2_000_001, 2_000_021)]
    work = np.array([w.duration_s * w.num_gpus for w in loads])
    lower_bound_s = work.sum(axis=1) / 8
    assert lower_bound_s.mean() == pytest.approx(184_500, abs=50)
    assert lower_bound_s.std() == pytest.approx(21_000, abs=500)
    assert np.mean([w.submit_s[-1] for w in loads]) == pytest.approx(9_930, abs=10)
    assert np.mean([w.num_gpus.mean() for w in loads]) == pytest.approx(2.78, abs=0.005)
    assert np.mean([w.priority.mean() for w in loads]) == pytest.approx(7.4, abs=0.05)
    in_tail = np.array([w.duration_s for w in loads]) > 800
    assert in_tail.mean() == pytest.approx(0.15, abs=0.01)
    assert np.mean((work * in_tail).sum(axis=1) / work.sum(axis=1)) == pytest.approx(0.72, abs=0.005)
    horizons = [w.submit_s[-1] + 1.3 * (w.duration_s * w.num_gpus).sum() / 8 for w in loads]
    assert np.mean(horizons) == pytest.approx(250_000, rel=0.01)


def test_ppo_jobs_draws_in_the_stated_order() -> None:
    """The text of the generator, written out a second time with the global stream it used."""
    n, longest = 400, 10_000.0
    np.random.seed(2_000_001)  # noqa: NPY002
    tail = np.random.rand(n) < 0.15  # noqa: NPY002
    tiny = 100.0 + (800.0 - 100.0) * np.random.rand(n)  # noqa: NPY002
    low, high = np.log(800.0), np.log(longest)
    huge = np.exp(low + (high - low) * np.random.rand(n))  # noqa: NPY002
    d = np.clip(np.where(tail, huge, tiny), 1e-6, longest).astype(np.float32)
    x = d / longest
    g = np.round((1 - 0.7) * np.random.randint(1, 9, n) + 0.7 * (1 + np.floor(x**0.6 * 7)).astype(int))  # noqa: NPY002
    s = (1 - x) ** 0.8
    p = np.round((1 - 0.6) * np.random.randint(1, 11, n) + 0.6 * (1 + np.floor(s * 9)).astype(int))  # noqa: NPY002
    centres = longest * np.random.rand(6)  # noqa: NPY002
    in_burst = np.random.rand(n) < 0.8  # noqa: NPY002
    where = centres[np.random.randint(0, 6, n)] + np.random.normal(0, 300.0, n)  # noqa: NPY002
    submit = np.clip(np.where(in_burst, where, longest * np.random.rand(n)), 0, longest).astype(np.float32)  # noqa: NPY002

    w = PpoJobsTrace().load(2_000_001)
    assert w.job_id is not None
    index = np.array([int(name) for name in w.job_id])  # generated index of each row
    np.testing.assert_array_equal(w.duration_s, d[index])
    np.testing.assert_array_equal(w.num_gpus, np.clip(g, 1, 8)[index])
    np.testing.assert_array_equal(w.priority, np.clip(p, 1, 10)[index])
    np.testing.assert_array_equal(w.submit_s, submit[index])
    np.testing.assert_array_equal(index, np.argsort(submit, kind="stable"))


def test_ppo_jobs_modes() -> None:
    batch = PpoJobsTrace(arrival_mode="all_at_zero").load(1)
    assert batch.submit_s.max() == 0
    assert batch.job_id == tuple(str(i) for i in range(400))
    np.testing.assert_array_equal(np.sort(batch.duration_s), np.sort(PpoJobsTrace().load(1).duration_s))
    flat = PpoJobsTrace(duration_mode="uniform").load(1)
    assert 500 <= flat.duration_s.min() < 520 and 1980 < flat.duration_s.max() <= 2000
    small = PpoJobsTrace(num_gpus=4).load(1)
    assert set(small.num_gpus) <= {1, 2, 3, 4}
    assert PpoJobsTrace(num_gpus=64).max_gang == 8 and PpoJobsTrace(max_gpus_per_job=3).max_gang == 3


@pytest.mark.parametrize(("mode", "sign"), [("none", 0), ("inverse", -1), ("positive", 1)])
def test_ppo_jobs_priority_follows_the_duration(mode: str, sign: int) -> None:
    w = PpoJobsTrace(num_jobs=5000, priority_duration_corr=mode).load(1)
    corr = np.corrcoef(w.priority, w.duration_s)[0, 1]
    assert abs(corr) < 0.05 if sign == 0 else corr * sign > 0.3


@pytest.mark.parametrize(
    "params", [{"arrival_mode": "burst"}, {"duration_mode": ""}, {"priority_duration_corr": "x"}, {"num_jobs": 0}]
)
def test_ppo_jobs_refuses_nonsense(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        PpoJobsTrace(**params)  # type: ignore[arg-type]


# --- csv ---------------------------------------------------------------------------------------------------------


def test_csv_reads_by_header() -> None:
    w = CsvTrace(JOBS).load()
    assert w.job_id == ("a-2", "a-3", "a-1", "b-1", "b-2")  # by time, ties in file order
    assert w.submit_s.tolist() == [0, 0, 12.5, 100, 100]
    assert w.duration_s.tolist() == [3600, 30.25, 60, 7.5, 1000]
    assert w.num_gpus.tolist() == [4, 2, 1, 8, 1]
    assert w.user.tolist() == [1, 0, 0, 2, 1]  # ann, bob, cid in order of first appearance
    assert w.job_class.tolist() == [1, 0, 0, 1, 2]
    assert w.vc_names == ("lab", "shop")
    assert w.in_vc("shop").job_id == ("a-3", "b-1")
    assert w.priority.tolist() == [2, 1, 0, -1.5, 0]


def test_csv_audit_reports_what_was_left_out() -> None:
    audit = CsvTrace(JOBS, max_gpus=4).audit()
    assert (audit.rows_read, audit.rows_kept) == (6, 4)
    assert audit.dropped == {"empty line": 1, "gang larger than max_gpus": 1}
    assert audit.ignored_columns == ("comment",)
    assert "4 of 6 rows kept" in audit.describe() and "comment" in audit.describe()
    assert len(CsvTrace(JOBS, max_gpus=4).load()) == 4


def test_csv_throughputs_give_speeds() -> None:
    w = CsvTrace(JOBS, throughputs=SPEEDS).load()
    on = w.duration_on(DEFAULT_CLUSTER)
    assert on[0].tolist() == [3600, 6000, 14400]  # bert on a100, v100, t4
    assert on[4].tolist() == [1000, 2000, np.inf]  # lm: an empty cell = cannot run


def test_csv_rebase_and_load_scale(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "num_gpus,job_id,duration_s,submit_s", "1,b,5,1400", "2,a,5,1000")
    assert CsvTrace(path).load().submit_s.tolist() == [1000, 1400]
    assert CsvTrace(path, rebase=True, load_scale=2.0).load().submit_s.tolist() == [0, 200]


def test_csv_reads_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    zipped = tmp_path / "jobs.csv.gz"
    zipped.write_bytes(gzip.compress(b"\xef\xbb\xbf" + Path(JOBS).read_bytes()))
    assert CsvTrace(str(zipped)).load().content_hash() == CsvTrace(JOBS).load().content_hash()


def test_csv_sees_an_edited_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write(path, "job_id,submit_s,duration_s,num_gpus", "a,0,5,1")
    assert len(CsvTrace(str(path)).load()) == 1
    write(path, "job_id,submit_s,duration_s,num_gpus", "a,0,5,1", "b,0,5,1")
    assert len(CsvTrace(str(path)).load()) == 2


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["job_id,submit_s,duration,num_gpus", "a,0,5,1"], ["'duration_s'", "Did you mean 'duration'?"]),
        (["job_id,submit_s,submit_s,duration_s,num_gpus", "a,0,0,5,1"], ["'submit_s'", "two of them"]),
        (["job_id,submit_s,duration_s,num_gpus"], ["at least one row"]),
        ([""], ["one column 'job_id'", "no header"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,5,1", "b,-1,5,1"], ["line 3", "'submit_s'", "'-1'"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,0,1"], ["line 2", "'duration_s'", "> 0", "'0'"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,nan,1"], ["line 2", "'duration_s'", "'nan'"]),
        (["job_id,submit_s,duration_s,num_gpus", "", "a,0,5,1.5"], ["line 3", "'num_gpus'", "'1.5'"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,5,0"], ["line 2", "'num_gpus'", "'0'"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,5"], ["line 2", "4 fields", "it has 3"]),
        (["job_id,submit_s,duration_s,num_gpus", "a,0,5,1", "b,0,5,1", "a,1,5,1"], ["line 4", "'a'", "line 2"]),
        (["job_id,submit_s,duration_s,num_gpus,user", "a,0,5,1,"], ["line 2", "'user'", "''"]),
        (["job_id,submit_s,duration_s,num_gpus,priority", "a,0,5,1,high"], ["line 2", "'priority'", "'high'"]),
    ],
)
def test_csv_says_what_is_wrong_and_where(lines: list[str], parts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "bad.csv", *lines)
    with pytest.raises(TraceError) as caught:
        CsvTrace(path).load()
    for part in (path, *parts):
        assert part in str(caught.value)


def test_csv_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs path="):
        TRACES.create("csv")
    with pytest.raises(TraceError, match="must exist"):
        CsvTrace(str(tmp_path / "none.csv")).load()
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(Path(JOBS).read_bytes())[:-20])
    with pytest.raises(TraceError, match="cannot be read"):
        CsvTrace(str(cut)).load()
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"job_id\xff\xfe")
    with pytest.raises(TraceError, match="UTF-8"):
        CsvTrace(str(binary)).load()
    with pytest.raises(WorkloadError, match="holds no job"):
        CsvTrace(JOBS, max_gpus=0).load()


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (["job_class,a100", "resnet,1"], "line 3, field 'job_class'"),
        (["job_class,a100", "resnet,1", "bert,1", "lm,fast"], "line 4, field 'a100'"),
        (["job_class,a100", "resnet,1", "resnet,2"], "one row"),
        (["job_class", "resnet"], "a column per GPU type"),
        (["class,a100", "resnet,1"], "'job_class'"),
    ],
)
def test_csv_checks_the_throughputs(lines: list[str], part: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=part):
        CsvTrace(JOBS, throughputs=write(tmp_path / "speeds.csv", *lines)).load()


# --- philly ------------------------------------------------------------------------------------------------------


def test_philly_small_file() -> None:
    w = PhillyTrace(PHILLY).load()
    assert len(w) == 7  # the twin rows are kept
    assert w.vc_names == ("alpha", "beta", "gamma")
    assert w.submit_s[:4].tolist() == [0, 21_601, 23_401, 23_401]  # from the first arrival, 2017-09-30 23:59:59
    assert w.num_gpus.tolist() == [4, 16, 1, 1, 2, 1, 8]
    alpha = PhillyTrace(PHILLY, vc="alpha", start="2017-10-01 06:30:00", end="2017-10-03 12:00:01").load()
    assert alpha.submit_s.tolist() == [0, 0, 2 * 86_400 + 5.5 * 3600]
    assert alpha.duration_s.tolist() == [100, 100, 86_400]
    assert PhillyTrace(PHILLY, load_scale=2.0).load().submit_s[1] == 10_800.5


def test_philly_audit_counts_every_row_once() -> None:
    audit = PhillyTrace(PHILLY, vc="alpha", start="2017-10-01", end="2017-10-03", max_gpus=8).audit()
    assert audit.dropped == {
        "empty line": 1,
        "other virtual cluster": 3,
        "at or after end": 1,
        "gang larger than max_gpus": 1,
    }
    assert audit.rows_kept == 2
    assert audit.rows_read == audit.rows_kept + sum(audit.dropped.values()) == 8
    assert audit.ignored_columns == ("gpu_time",)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("2017-10-01,60.0,1,60.0,alpha", ["line 3", "'timestamp'", "'2017-10-01'"]),
        ("2017-13-01 00:00:00,60.0,1,60.0,alpha", ["line 3", "'timestamp'"]),
        ("2017-10-01 00:00:00,-60.0,1,60.0,alpha", ["line 3", "'duration'", "'-60.0'"]),
        ("2017-10-01 00:00:00,60.0,,60.0,alpha", ["line 3", "'num_gpus'", "''"]),
        ("2017-10-01 00:00:00,60.0,1,60.0", ["line 3", "it has 4"]),
    ],
)
def test_philly_names_the_broken_row(row: str, parts: list[str], tmp_path: Path) -> None:
    header, first = Path(PHILLY).read_text().splitlines()[:2]
    path = write(tmp_path / "philly.csv", header, first, row)
    with pytest.raises(TraceError) as caught:
        PhillyTrace(path).load()
    for part in (path, *parts):
        assert part in str(caught.value)


def test_philly_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'alpha'"):
        PhillyTrace(PHILLY, vc="alpah").load()
    with pytest.raises(ConfigError, match="ISO date"):
        PhillyTrace(PHILLY, start="October").load()
    with pytest.raises(ConfigError, match="ISO date"):
        PhillyTrace(PHILLY, end="2017-10-01T00:00:00+02:00").load()
    with pytest.raises(WorkloadError, match="holds no job"):
        PhillyTrace(PHILLY, start="2018-01-01").load()


def test_philly_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(TRACES_VARIABLE, raising=False)
    reason = PhillyTrace().available()
    assert reason is not None and TRACES_VARIABLE in reason and DEFAULT_FILE in reason
    with pytest.raises(TraceError, match=f"Set {TRACES_VARIABLE}"):
        PhillyTrace().load()
    home = tmp_path / DEFAULT_FILE
    home.parent.mkdir()
    home.write_bytes(gzip.compress(Path(PHILLY).read_bytes()))
    monkeypatch.setenv(TRACES_VARIABLE, str(tmp_path))
    assert PhillyTrace().available() is None
    assert PhillyTrace().load().content_hash() == PhillyTrace(PHILLY).load().content_hash()


def test_philly_whole_log(traces_dir: Path) -> None:
    path = str(traces_dir / DEFAULT_FILE)
    began = time.perf_counter()
    w = PhillyTrace(path).load()
    assert time.perf_counter() - began < 3.0  # 0.15 s on a free core
    check_invariants(w)
    assert len(w) == 52_849
    assert len(w.vc_names) == 12
    assert w.submit_s[-1] / 86_400 == pytest.approx(57.6, abs=0.05)
    assert (w.duration_s * w.num_gpus).sum() / 3600 == pytest.approx(642_409, abs=1)
    for vc, jobs, gpus, load in (("103959", 565, 20, 0.88), ("6c71a0", 7846, 72, 0.89), ("11cb48", 6134, 16, 0.68)):
        part = PhillyTrace(path, vc=vc, start="2017-10-01", end="2017-11-01").load()
        assert len(part) == jobs
        cluster = ClusterSpec((NodeGroup("gpu", gpus // 4, 4),))
        assert part.offered_load(cluster) == pytest.approx(load, abs=0.006)
