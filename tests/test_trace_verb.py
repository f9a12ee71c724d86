"""``python -m rl_sched.trace``: every subcommand, every mistake, and downloads from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_sched import trace as verb
from rl_sched.errors import ConfigError, RlSchedError, TraceError
from rl_sched.testing.traces import assert_same_jobs
from rl_sched.traces import fetching, public
from rl_sched.traces.csv_file import CsvTrace
from rl_sched.traces.fetching import fetch, plan
from rl_sched.traces.gavel import GavelTrace
from rl_sched.traces.log import TRACES_VARIABLE
from rl_sched.traces.public import PUBLIC, PublicFile, PublicTrace

FIXTURES = Path(__file__).parent / "fixtures"
MSR = str(FIXTURES / "gavel_msr_small.trace")
RATES = f"throughputs={FIXTURES / 'gavel_throughputs_small.json'}"
GAVEL = [MSR, "--format", "gavel", "--param", RATES]


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert verb.main(list(args)) == 0
    return capsys.readouterr().out


# --- looking at traces -------------------------------------------------------------------------------------------


def test_audit(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "audit", *GAVEL, "--cluster", "v100:1x1,k80:1x4")
    assert MSR in text and "rows read  7" in text and "no throughput for this model" in text
    assert "on 1 x v100 + 4 x k80 (5 GPUs)" in text and "cannot run there: 0 of 4" in text
    data = json.loads(run(capsys, "audit", *GAVEL, "--cluster", "v100:1x1", "--json"))
    assert data["audit"]["rows_read"] == 7 and data["audit"]["rows_kept"] == 4
    assert data["feasibility"]["impossible"] == {
        "its class has no speed above 0 on the cluster's GPU types": 1,
        "its gang is larger than every pool that it may use": 1,
    }
    assert data["feasibility"]["offered_load"] == pytest.approx(130 / 5)
    assert json.loads(run(capsys, "audit", *GAVEL, "--json"))["feasibility"] is None


def test_stats(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "stats", str(FIXTURES / "swf_small.txt"), "--format", "swf", "--param", "procs_per_gpu=8")
    assert "GPU-hours" in text and re.search(r"p50 +55 s", text) and re.search(r"completed +2 +50.0 %", text)
    data = json.loads(run(capsys, "stats", *GAVEL, "--json"))
    assert data["statistics"]["num_jobs"] == 4 and data["statistics"]["span_s"] == 7
    made = json.loads(run(capsys, "stats", "--format", "synthetic", "--param", "num_jobs=7", "--seed", "3", "--json"))
    assert made["statistics"]["num_jobs"] == 7 and made["source"] == "synthetic, seed 3"


def test_convert_gives_the_same_jobs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "a new one" / "jobs.csv"
    text = run(capsys, "convert", *GAVEL, "--out", str(out))
    speeds = tmp_path / "a new one" / "jobs_speeds.csv"
    assert f"4 jobs written to {out} and {speeds}" in text
    back = CsvTrace(str(out), throughputs=str(speeds)).load()
    assert_same_jobs(GavelTrace(MSR, throughputs=RATES.partition("=")[2]).load(), back)
    command = shlex.split(text.splitlines()[-1].partition("-m rl_sched.trace ")[2])
    assert re.search(r"^jobs +4$", run(capsys, *command), re.M)
    with pytest.raises(ConfigError, match="--overwrite"):
        verb.main(["convert", *GAVEL, "--out", str(out)])
    run(capsys, "convert", *GAVEL, "--out", str(out), "--overwrite")
    plain = tmp_path / "plain.csv"
    run(capsys, "convert", str(FIXTURES / "drl_het_small.csv"), "--format", "drl-het", "--out", str(plain))
    assert CsvTrace(str(plain)).load().gpu_milli.tolist() == [250, 1000, 1000, 1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a new one", "plain.csv"]


def test_plot_draws_three_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = run(capsys, "plot", *GAVEL, "--out", str(tmp_path / "figures"))
    files = [Path(line) for line in text.splitlines()]
    assert [file.name for file in files] == ["trace_arrivals.png", "trace_durations.png", "trace_gangs.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["audit", "x", "--format", "gavl"], "Unknown trace 'gavl'. Did you mean 'gavel'"),
        (["audit", "none.csv", "--format", "philly"], "'none.csv' must exist"),
        (["audit", "--format", "swf"], "must be given a file in the Standard Workload Format"),
        (["audit", "--format", "synthetic"], "nothing to audit"),
        (["stats", "x", "--format", "synthetic"], "reads no file"),
        (["stats", MSR, "--format", "gavel", "--param", RATES, "--param", "gpu_typs=v100"], "Did you mean 'gpu_types'"),
        (["audit", *GAVEL, "--cluster", "v100:8"], "TYPE:NODESxGPUS"),
        (["audit", *GAVEL, "--cluster", "t4:1x8"], "the cluster also has t4"),
        (["plot", *GAVEL, "--out", MSR], "cannot be written"),
        (["convert", *GAVEL, "--out", f"{MSR}/x.csv"], "cannot be written"),
        (["fetch"], "Say which trace"),
        (["fetch", "gavl"], "Unknown public trace 'gavl'. Did you mean 'gavel'"),
    ],
)
def test_mistakes_are_one_sentence(args: list[str], message: str) -> None:
    with pytest.raises(RlSchedError, match=re.escape(message)) as caught:
        verb.main(args)
    assert "\n" not in str(caught.value)


def test_a_broken_file_leaves_with_code_2_and_names_the_place(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("arrival_time,runtime\n1,5\n2,long\n")
    command = [sys.executable, "-m", "rl_sched.trace", "audit", str(path), "--format", "drl-het"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {path}, line 3, field 'runtime': ") and "'long'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [[], ["audit"], ["audit", "--format"], ["stats", "a", "b", "--format", "csv"], ["x"]])
def test_wrong_flags_show_the_usage(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        verb.main(args)
    assert caught.value.code == 2 and "usage: python -m rl_sched.trace" in capsys.readouterr().err


def test_the_default_file_is_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "shockwave" / "120_dynamic.trace"
    place.parent.mkdir()
    place.write_bytes((FIXTURES / "shockwave_small.trace").read_bytes())
    monkeypatch.setenv(TRACES_VARIABLE, str(tmp_path))
    assert "rows read  4" in run(capsys, "audit", "--format", "shockwave")


def test_real_files(traces_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACES_VARIABLE, str(traces_dir))
    data = json.loads(run(capsys, "audit", "--format", "gavel", "--cluster", "v100:14x8", "--json"))
    assert (data["audit"]["rows_kept"], data["audit"]["rows_read"]) == (1937, 2000)
    assert data["feasibility"]["offered_load"] == pytest.approx(0.90, abs=0.005)
    slice_a = ["--param", "vc=103959", "--param", "start=2017-10-01", "--param", "end=2017-11-01"]
    text = run(capsys, "audit", "--format", "philly", *slice_a, "--cluster", "gpu:5x4")
    assert "kept          565" in text and "offered load: 0.88" in text


# --- fetch -------------------------------------------------------------------------------------------------------

GOOD = b"a line\n" * 40_000  # more than one piece
#: Path on the server -> status, headers, body.
PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/good": (200, {}, GOOD),
    "/a%20b": (200, {}, GOOD),
    "/changed": (200, {}, GOOD[:-1] + b"!"),
    "/longer": (200, {}, GOOD + b"more"),
    "/shorter": (200, {}, GOOD[:100]),
    "/cut": (200, {"Content-Length": str(len(GOOD))}, GOOD[:50_000]),
    "/moved": (302, {"Location": "/good"}, b""),
    "/broken": (500, {}, b"oops"),
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = PAGES.get(self.path, (404, {}, b"nothing here"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/cut":
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def file_at(address: str, page: str, path: str = "some/log.csv") -> PublicFile:
    return PublicFile(path, f"{address}{page}", len(GOOD), hashlib.sha256(GOOD).hexdigest())


def left_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("page", ["/good", "/a%20b", "/moved"])
def test_a_good_file_is_fetched_once(page: str, address: str, tmp_path: Path) -> None:
    file = file_at(address, page)
    seen: list[int] = []
    assert plan([file], tmp_path).missing == (file,)
    place = fetch(file, tmp_path, lambda _, done: seen.append(done))
    assert place == tmp_path / "some" / "log.csv" and place.read_bytes() == GOOD
    assert seen[-1] == len(GOOD) and len(seen) > 1
    assert left_in(tmp_path) == ["some/log.csv"]
    assert plan([file], tmp_path) == (tmp_path, (file,), ())


def test_a_file_is_zipped_where_readers_want_it_so(address: str, tmp_path: Path) -> None:
    file = file_at(address, "/good", "log.csv.gz")
    place = fetch(file, tmp_path)
    assert gzip.decompress(place.read_bytes()) == GOOD and len(place.read_bytes()) < 10_000
    again = fetch(file, tmp_path / "again")
    assert again.read_bytes() == place.read_bytes()  # no time and no name in it
    assert plan([file], tmp_path).there == (file,)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("/changed", "Nothing was kept"),
        ("/longer", "it served more than 280,000 bytes"),
        ("/shorter", "it served 100 bytes"),
        ("/cut", "the connection ended after 50,000 of 280,000 bytes"),
        ("/none", "answered 404 Not Found"),
        ("/broken", "answered 500"),
    ],
)
def test_what_is_not_the_file_leaves_nothing(page: str, message: str, address: str, tmp_path: Path) -> None:
    for path in ("some/log.csv", "some/log.csv.gz"):
        with pytest.raises(TraceError, match=message) as caught:
            fetch(file_at(address, page, path), tmp_path)
        assert page in str(caught.value) and "\n" not in str(caught.value)
        assert left_in(tmp_path) == []
        assert not list((tmp_path / "some").iterdir())


def test_an_interruption_leaves_nothing(address: str, tmp_path: Path) -> None:
    def stop(file: PublicFile, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(file_at(address, "/good"), tmp_path, stop)
    assert left_in(tmp_path) == []


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for address in (nobody, "http://no-such-host.invalid"):
        with pytest.raises(TraceError, match="cannot be reached .* Check the network"):
            fetch(file_at(address, "/good"), tmp_path)
    assert left_in(tmp_path) == []


def test_other_content_is_never_overwritten(address: str, tmp_path: Path) -> None:
    place = tmp_path / "some" / "log.csv"
    place.parent.mkdir()
    place.write_text("mine")
    with pytest.raises(TraceError, match="there already with another content"):
        plan([file_at(address, "/good")], tmp_path)
    zipped = tmp_path / "log.csv.gz"
    for content in (b"mine", gzip.compress(b"mine"), gzip.compress(GOOD)[:-20]):
        zipped.write_bytes(content)
        with pytest.raises(TraceError, match="another content"):
            plan([file_at(address, "/good", "log.csv.gz")], tmp_path)
    assert place.read_text() == "mine"
    with pytest.raises(TraceError, match="it is a folder"):
        plan([file_at(address, "/good", "some")], tmp_path)


def test_trouble_with_the_disk_is_one_sentence(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="cannot be read or written \\(Not a directory\\)"):
        fetch(file_at(address, "/good"), tmp_path / "file")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(TraceError, match="room for 280,000 bytes; 1,000 are free"):
        fetch(file_at(address, "/good"), tmp_path)
    assert left_in(tmp_path) == ["file"]


@pytest.fixture
def toy(address: str, monkeypatch: pytest.MonkeyPatch) -> PublicTrace:
    files = (file_at(address, "/good", "toy/a.csv"), file_at(address, "/a%20b", "toy/b.csv.gz"))
    trace = PublicTrace("a toy", "CC0", "nobody", files)
    monkeypatch.setitem(public.PUBLIC, "toy", trace)
    return trace


def test_fetch_shows_asks_and_keeps(
    toy: PublicTrace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["fetch", "toy", "--dir", str(tmp_path)]
    monkeypatch.setattr("builtins.input", lambda question: print(question) or "n")
    text = run(capsys, *args)
    for file in toy.files:
        assert file.address in text and file.sha256 in text and f"{file.size:,} bytes" in text
    assert "CC0" in text and "Fetch 2 files, 560 kB?" in text and "Nothing was fetched." in text
    assert left_in(tmp_path) == []
    monkeypatch.setattr("builtins.input", lambda _: "y")
    text = run(capsys, *args)
    assert left_in(tmp_path) == ["toy/a.csv", "toy/b.csv.gz"]
    assert f"export {TRACES_VARIABLE}={tmp_path}" in text
    (tmp_path / "toy" / "a.csv").unlink()
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("--yes must not ask"))
    text = run(capsys, *args, "--yes")
    assert "there    toy/b.csv.gz" in text and "to fetch toy/a.csv" in text
    assert "All files are there" in run(capsys, *args)


def test_fetch_goes_where_readers_look(
    toy: PublicTrace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACES_VARIABLE, str(tmp_path / "home"))
    text = run(capsys, "fetch", "toy", "--yes")
    assert left_in(tmp_path / "home") == ["toy/a.csv", "toy/b.csv.gz"] and "export" not in text
    monkeypatch.delenv(TRACES_VARIABLE)
    monkeypatch.chdir(tmp_path)
    run(capsys, "fetch", "toy", "--yes")
    assert left_in(tmp_path / "traces") == ["toy/a.csv", "toy/b.csv.gz"]


def test_nobody_to_answer(toy: PublicTrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(ConfigError, match="give --yes"):
        verb.main(["fetch", "toy", "--dir", str(tmp_path)])


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "fetch", "--list")
    for name, trace in PUBLIC.items():
        assert name in text and trace.about in text and trace.licence in text


def test_the_table_of_public_traces_is_sound() -> None:
    files = [file for trace in PUBLIC.values() for file in trace.files]
    assert len({file.path for file in files}) == len(files) == len({file.address for file in files})
    for file in files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.size > 0
        assert re.match(r"https://(raw|media)\.githubusercontent\.com/|https://storage\.googleapis\.com/", file.address)
        assert " " not in file.address and not file.path.startswith("/") and ".." not in file.path
        if "githubusercontent" in file.address:  # pinned to a commit
            assert re.search(r"/[0-9a-f]{12,40}/", file.address), file.address


def test_the_table_of_public_traces_is_that_of_the_files(traces_dir: Path) -> None:
    there = [file for trace in PUBLIC.values() for file in trace.files if os.path.exists(traces_dir / file.path)]
    assert len(there) > 40
    assert plan(there, traces_dir).missing == ()  # a wrong checksum is an error
    for file in there:
        raw = (traces_dir / file.path).read_bytes()
        assert len(gzip.decompress(raw) if file.zipped_here else raw) == file.size, file.path
