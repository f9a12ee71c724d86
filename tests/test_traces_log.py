"""Parameters that all readers of logs share, and the parsers of cells."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import ConfigError, TraceError
from rl_sched.testing.traces import assert_same_jobs, check_invariants
from rl_sched.traces import TRACES
from rl_sched.traces.csv_file import CsvTrace, write_csv
from rl_sched.traces.log import Drops, seen_before
from rl_sched.traces.philly import DEFAULT_FILE, PhillyTrace
from rl_sched.traces.reading import date_time, finite, gang_size, read_headerless, read_text, whole
from rl_sched.workload import Workload

FIXTURES = Path(__file__).parent / "fixtures"
PHILLY = str(FIXTURES / "philly_small.csv")


def test_clipped_gangs_are_counted() -> None:
    trace = PhillyTrace(PHILLY, clip_gpus=4)
    assert trace.load().num_gpus.tolist() == [4, 4, 1, 1, 2, 1, 4]
    assert trace.audit().notes == ("2 gangs were clipped to 4 GPUs.",)
    assert trace.audit().rows_kept == 7
    assert "2 gangs were clipped" in trace.audit().describe()
    both = PhillyTrace(PHILLY, clip_gpus=4, max_gpus=8)  # what is dropped is not clipped
    assert both.load().num_gpus.tolist() == [4, 1, 1, 2, 1, 4]
    assert both.audit().notes == ("1 gangs were clipped to 4 GPUs.",)


def test_without_rebase_times_are_the_logs_own() -> None:
    own = PhillyTrace(PHILLY, vc="beta", rebase=False).load()
    assert own.submit_s.tolist() == [date_time("2017-09-30 23:59:59"), date_time("2017-10-02 07:00:00")]
    assert (own.submit_s - own.submit_s[0]).tolist() == PhillyTrace(PHILLY, vc="beta").load().submit_s.tolist()


def test_sample_is_a_repeatable_share_of_what_was_selected(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    header = "job_id,submit_s,duration_s,num_gpus"
    path.write_text("\n".join([header, *(f"j{i},{i},1,{1 + i % 2}" for i in range(1000))]))
    half = CsvTrace(str(path), max_gpus=1, sample=0.5)
    jobs = half.load()
    check_invariants(jobs)
    assert len(jobs) == 250
    assert half.audit().dropped == {"gang larger than max_gpus": 500, "not in the sample": 250}
    assert half.load(7).job_id == jobs.job_id  # the seed of load plays no part
    assert CsvTrace(str(path), max_gpus=1, sample=0.5, sample_seed=1).load().job_id != jobs.job_id
    assert jobs.num_gpus.tolist() == [1] * 250 and (np.diff(jobs.submit_s) > 0).all()


@pytest.mark.parametrize(
    "params", [{"sample": 0.0}, {"sample": 1.5}, {"sample_seed": -1}, {"clip_gpus": 0}, {"load_scale": 0.0}]
)
def test_parameters_out_of_range(params: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"; {next(iter(params))} is"):
        TRACES.create("philly", path=PHILLY, **params)


def test_available_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PhillyTrace(PHILLY).available() is None
    reason = PhillyTrace(str(tmp_path / "none.csv")).available()
    assert reason is not None and "none.csv" in reason
    monkeypatch.setenv("RL_SCHED_TRACES", str(tmp_path))
    reason = PhillyTrace().available()
    assert reason is not None and DEFAULT_FILE in reason


def test_drops_count_the_first_reason() -> None:
    drops = Drops(4)
    drops.drop("a", [True, True, False, False])
    drops.drop("b", np.array([True, False, True, False]))
    assert drops.counts == {"a": 2, "b": 1}
    assert drops.left("x.csv").tolist() == [3]
    drops.drop("c", [True] * 4)
    with pytest.raises(TraceError, match=r"x\.csv: .* of 4 none is: 2 \(a\), 1 \(b\), 1 \(c\)"):
        drops.left("x.csv")
    with pytest.raises(TraceError, match="the file is empty"):
        Drops(0).left("x.csv")
    assert seen_before(["a", "b", "a", "a", "b"]).tolist() == [False, False, True, True, True]


def full() -> Workload:
    """A workload that uses every column of the CSV form."""
    return Workload.build(
        [0.1, 2.0, 1e9 / 3],
        [1 / 3, 5e-324, 7e300],
        [1, 1, 64],
        job_class=[2, 0, 1],
        user=[0, 5, 5],
        vc=[1, 0, 1],
        priority=[-0.5, 0.0, 1e-9],
        gpu_milli=[1, 999, 1000],
        deadline_s=[np.inf, 17.25, -1 / 3],
        estimate_s=[1.5, 0.1, 3.0],
        status=["Pass", "", "killed, by hand "],
        job_id=["a", "b", 'c"d'],
        vc_names=("lab", "shop"),
    )


def test_every_column_comes_back_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    write_csv(full(), str(path))
    back = CsvTrace(str(path)).load()
    assert_same_jobs(full(), back)
    assert path.read_text().splitlines()[1].split(",")[9] == ""  # no deadline
    assert CsvTrace(str(path)).audit().ignored_columns == ()


def test_columns_that_say_nothing_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    write_csv(Workload.build([0, 1], [1, 1], [1, 2]), str(path))
    assert path.read_text().splitlines()[0] == "job_id,submit_s,duration_s,num_gpus,job_class,user,vc,priority"


@pytest.mark.parametrize(
    ("column", "cells", "part"),
    [
        ("gpu_milli", ("500", "1000"), "line 2, field 'gpu_milli'.*for a gang of 2; it is '?500"),
        ("gpu_milli", ("1000", "1001"), "line 3, field 'gpu_milli'"),
        ("gpu_milli", ("1000", "0"), "line 3, field 'gpu_milli'"),
        ("deadline_s", ("", "soon"), "line 3, field 'deadline_s'.*'soon'"),
        ("deadline_s", ("nan", "1"), "line 2, field 'deadline_s'"),
        ("estimate_s", ("1", ""), "line 3, field 'estimate_s'"),
        ("estimate_s", ("0", "1"), "line 2, field 'estimate_s'"),
    ],
)
def test_optional_columns_are_checked(column: str, cells: tuple[str, str], part: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(f"job_id,submit_s,duration_s,num_gpus,{column}\na,0,1,2,{cells[0]}\nb,0,1,1,{cells[1]}\n")
    with pytest.raises(TraceError, match=part):
        CsvTrace(str(path)).load()


def test_optional_column_must_not_be_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,submit_s,duration_s,num_gpus,user,user\na,0,1,2,x,y\n")
    with pytest.raises(TraceError, match="one column 'user'; it has two"):
        CsvTrace(str(path)).load()


def test_huge_numbers_of_users_are_names(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,submit_s,duration_s,num_gpus,user\na,0,1,2," + "9" * 5000 + "\nb,0,1,2,7\n")
    assert CsvTrace(str(path)).load().user.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (finite, "1_000"),
        (finite, "inf"),
        (whole, "-1"),
        (whole, "1.5"),
        (whole, "9" * 20),
        (whole, "9" * 5000),
        (whole, "1e19"),
        (gang_size, "0"),
        (date_time, "2017-10-01"),
        (date_time, "2017-W01-1T00:00:00"),
        (date_time, "1969-12-31 23:59:59"),
        (date_time, "2017-02-29 00:00:00"),
    ],
)
def test_cells_that_are_not_of_their_kind(parse: object, text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)  # type: ignore[operator]


def test_whole_numbers_are_exact() -> None:
    assert whole("9223372036854775807") == 2**63 - 1
    assert whole(" 4.0 ") == 4


def archive(path: Path, *contents: bytes) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for i, content in enumerate(contents):
            member = tarfile.TarInfo(f"file-{i}.csv")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(path)


def test_text_is_unpacked(tmp_path: Path) -> None:
    assert read_text(archive(tmp_path / "one.tar.gz", b"a,b\n")) == "a,b\n"
    with pytest.raises(TraceError, match="one file; it holds 2"):
        read_text(archive(tmp_path / "two.tar.gz", b"a", b"b"))
    cut = tmp_path / "cut.tar.gz"
    unpacked = gzip.decompress(Path(archive(tmp_path / "x.tar.gz", b"a" * 5000)).read_bytes())
    cut.write_bytes(gzip.compress(unpacked[:700]))
    with pytest.raises(TraceError, match="cannot be read"):
        read_text(str(cut))


def test_headerless_layouts(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('\n1\t"two, quoted\t3\n4\t5\t6\n')
    table = read_headerless(str(path), [("a", "b"), ("x", "y", "z")], delimiter="\t", quoted=False, keep=("z", "y"))
    assert table.header == ("z", "y")
    assert table.rows == [["3", '"two, quoted'], ["6", "5"]]
    assert table.lines == [2, 3] and table.empty_lines == 1
    with pytest.raises(TraceError, match="line 2: a row must have 2 or 4 fields; it has 3"):
        read_headerless(str(path), [("a", "b"), ("w", "x", "y", "z")], delimiter="\t", quoted=False)
    path.write_text('1,2\n3,"4\n5,6\n')
    with pytest.raises(TraceError, match="line 3: not valid CSV"):
        read_headerless(str(path), [("a", "b")])
    path.write_text("1,2\n3,4,5\n")
    with pytest.raises(TraceError, match=r"line 2: .* 2 fields of the layout \(a, b\); it has 3"):
        read_headerless(str(path), [("a", "b")])
    path.write_text("\n\n")
    with pytest.raises(TraceError, match="at least one row; it has none"):
        read_headerless(str(path), [("a", "b")])
