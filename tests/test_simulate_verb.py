"""``python -m rl_sched.simulate``: what it prints and writes, every mistake, and Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_sched import simulate as verb
from rl_sched.config import content_id, to_dict
from rl_sched.errors import ConfigError, RlSchedError, SimulationError, TraceError, WorkloadError
from rl_sched.evaluation import solo
from rl_sched.evaluation.files import replacing
from rl_sched.evaluation.logfile import read_log
from rl_sched.evaluation.replay import replay
from rl_sched.policies.params import build_policies
from rl_sched.sim.presets import PRESETS, read_outages, read_rules, rules_from
from rl_sched.sim.rules import Rules

FIXTURES = Path(__file__).parent / "fixtures"
HELIOS = ["--trace", str(FIXTURES / "helios_seconds_small.csv"), "--format", "helios", "--cluster", "gpu:2x8"]
MADE = ["--format", "synthetic", "--trace-param", "num_jobs=40", "--cluster", "a100:1x8,v100:1x4,t4:1x2"]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert verb.main(list(words)) == 0
    return capsys.readouterr().out


def data(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    return json.loads(said(capsys, *words, "--json"))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- what it prints and writes -----------------------------------------------------------------------------------


def test_a_table_of_policies_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *MADE, "--policy", "fifo, sjf_backfill,fifo", "--seed", "3")
    lines = text.splitlines()
    assert lines[0].startswith("jobs     40 of synthetic: content ") and "seed 3, offered load " in lines[0]
    assert lines[1] == "cluster  8 x a100 + 4 x v100 + 2 x t4 on 3 nodes"
    assert lines[2].startswith("bound    no schedule has a mean JCT below ")
    assert lines[3] == "rules    default: nothing but the defaults; seed 0"
    assert [line.split()[0] for line in lines[7:9]] == ["fifo", "sjf_backfill"]
    assert all(name in text for name in ("mean JCT (s)", "p99", "util. %", "worst rho", "energy (kWh)", "no-op %"))


def test_json_holds_the_same_and_all_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    out = data(capsys, *MADE, "--policy", "sjf_backfill,min_min", "--param", "alpha=1.5", "--seed", "3")
    again = data(capsys, *MADE, "--policy", "sjf_backfill", "--seed", "3")
    other = data(capsys, *MADE, "--policy", "sjf_backfill", "--seed", "4")
    assert [run["policy"] for run in out["runs"]] == ["sjf_backfill", "min_min"]
    assert out["runs"][0]["params"] == {} and out["runs"][1]["params"]["alpha"] == 1.5
    assert out["runs"][0]["metrics"] == again["runs"][0]["metrics"]
    assert out["workload"]["content_hash"] == again["workload"]["content_hash"] != other["workload"]["content_hash"]
    assert out["workload"]["seed"] == 3 and out["workload"]["jobs"] == 40 and out["workload"]["offered_load"] > 0
    assert out["cluster"] == {"gpus": 14, "nodes": 3, "pools": {"a100": 8, "v100": 4, "t4": 2}}
    assert out["runs"][0]["rules_hash"] == content_id(Rules()) and len(out["code_hash"]) == 16


def test_one_row_a_job(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "a new folder" / "jobs.csv"
    files = data(capsys, *HELIOS, "--policy", "srtf,fifo", "--rules", "helios", "--jobs-out", str(out))
    paths = [Path(run["files"][0]) for run in files["runs"]]
    assert [path.name for path in paths] == ["jobs_srtf.csv", "jobs_fifo.csv"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["jobs_fifo.csv", "jobs_srtf.csv"]
    source = table(FIXTURES / "helios_seconds_small.csv")
    for path, run in zip(paths, files["runs"], strict=True):
        rows = table(path)
        assert list(rows[0]) == [
            "job_id", "submit_s", "start_s", "finish_s", "num_gpus", "wait_s", "preemptions", "nodes",
        ]  # fmt: skip
        kept = [row for row in source if row["job_id"] in {row["job_id"] for row in rows}]
        assert sorted((row["job_id"], float(row["submit_s"])) for row in rows) == sorted(
            (row["job_id"], float(row["submit"])) for row in kept
        )
        waits = [float(row["wait_s"]) for row in rows]
        assert np.mean(waits) == pytest.approx(run["metrics"]["mean_wait_s"])
        for row in rows:
            assert sum(count for _, count in json.loads(row["nodes"])) == int(row["num_gpus"])
    said(capsys, *HELIOS, "--policy", "fifo", "--jobs-out", str(out))
    assert table(out) == table(paths[1])


def test_times_are_those_of_the_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, out = FIXTURES / "helios_small.csv", tmp_path / "jobs.csv"
    said(capsys, "--trace", str(trace), "--format", "helios", "--cluster", "gpu:8x8", "--policy", "fifo",
         "--jobs-out", str(out))  # fmt: skip
    names = {row["job_id"]: row["submit_time"] for row in reversed(table(trace))}  # of two rows the first counts
    rows = table(out)
    for row in rows:
        stamp = np.datetime64(names[row["job_id"]], "s").astype("int64")
        assert float(row["submit_s"]) == stamp and float(row["start_s"]) >= stamp
    assert [float(row["submit_s"]) for row in rows] == sorted(float(row["submit_s"]) for row in rows)


def test_unfinished_jobs_have_empty_cells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, out = tmp_path / "jobs.csv", tmp_path / "out.csv"
    trace.write_text("job_id,submit_s,duration_s,num_gpus\na,0.5,4,1\nb,1,9.25,1\nc,2,1,1\n")
    words = ["--trace", str(trace), "--format", "csv", "--cluster", "gpu:1x1", "--policy", "fifo"]
    run = data(capsys, *words, "--set", "outages=[[0, 6, .inf]]", "--jobs-out", str(out))["runs"][0]
    assert out.read_text().splitlines()[1:] == [
        'a,0.5,0.5,4.5,1,0,0,"[[0,1]]"', 'b,1,4.5,,1,,0,"[[0,1]]"', "c,2,,,1,,0,",
    ]  # fmt: skip
    assert run["metrics"]["num_unfinished"] == 2 and run["metrics"]["mean_jct_s"] is None
    assert "–" in said(capsys, *words, "--set", "outages=[[0, 6, .inf]]")


def test_logs_and_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*MADE, "--policy", "sjf,las", "--param", "quantum_s=20", "--set", "mtbf_s=20000", "--set", "mttr_s=60"]
    words += ["--log", str(tmp_path / "run.parquet"), "--plot", str(tmp_path / "figures")]
    out = data(capsys, *words)
    assert [Path(file).name for file in out["figures"]] == [
        "run_jct.png", "run_timeline.png", "run_gantt_sjf.png", "run_gantt_las.png",
    ]  # fmt: skip
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for file in out["figures"])
    for run in out["runs"]:
        log = read_log(Path(run["files"][0]))
        assert (log.policy, log.params) == (run["policy"], run["params"])
        assert replay(log).jct_s.mean() == run["metrics"]["mean_jct_s"]
        assert run["metrics"]["fragmentation_frac"] == 0
    assert out["runs"][1]["params"] == {"quantum_s": 20}


def test_large_clusters_have_no_gantt_chart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = data(capsys, *HELIOS[:-1], "gpu:20x8", "--policy", "fifo", "--plot", str(tmp_path))
    assert len(out["figures"]) == 2
    assert out["notes"] == ["No Gantt chart of fifo: a Gantt chart shows at most 128 GPUs and 5,000 segments; "
                            f"here are 160 and {out['workload']['jobs']}."]  # fmt: skip


def test_decision_latency(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MADE, "--policy", "sjf,srtf"]
    fast, slow = (data(capsys, *words, *more)["runs"] for more in ([], ["--latency"]))
    for one, two in zip(fast, slow, strict=True):
        latency = {name: two["metrics"].pop(name) for name in ("p50_decision_latency_s", "p99_decision_latency_s")}
        assert 0 < latency["p50_decision_latency_s"] <= latency["p99_decision_latency_s"] < 10
        assert one["metrics"]["mean_jct_s"] == two["metrics"]["mean_jct_s"]


def test_progress_is_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from rl_sched.sim.watching import Progress

    monkeypatch.setattr(verb, "LINE_S", 0.0)
    real = solo.play

    def reporting(name: str, policy: Any, task: solo.Task, **options: Any) -> solo.SoloRun:
        options["progress"](Progress(1, 40, 5.0))
        time.sleep(0.01)
        options["progress"](Progress(21, 40, 50.0))
        return real(name, policy, task, **options)

    monkeypatch.setattr(solo, "play", reporting)
    assert verb.main([*MADE, "--policy", "fifo", "--progress", "--json"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["runs"]) == 1
    lines = captured.err.splitlines()
    assert lines[0] == "fifo: 1 of 40 jobs, t = 5 s"
    assert lines[1].startswith("fifo: 21 of 40 jobs, t = 50 s, ") and lines[1].endswith(" jobs/s, 0:00 left")
    assert verb.main([*MADE, "--policy", "fifo", "--json"]) == 0
    assert capsys.readouterr().err == ""


# --- rules and preemption ----------------------------------------------------------------------------------------


def test_preemption_is_on_for_those_who_need_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MADE, "--policy", "fifo,srtf,las"]
    out = data(capsys, *words)
    assert [run["preemption"] for run in out["runs"]] == [False, True, True]
    assert out["notes"] == ["srtf, las need preemption, of which the rules say nothing: it is on, at no cost "
                            "(--set preemption=false: off)."]  # fmt: skip
    assert out["runs"][1]["metrics"]["num_preemptions"] > 0
    off = data(capsys, *words, "--set", "preemption=false")
    assert [run["preemption"] for run in off["runs"]] == [False] * 3
    assert "srtf, las may not preempt: they are rankings" in off["notes"][0]
    assert off["runs"][1]["metrics"]["num_preemptions"] == 0
    on = data(capsys, *words, "--rules", "helios")
    assert [run["preemption"] for run in on["runs"]] == [False, True, True] and on["notes"] == []
    text = said(capsys, *MADE, "--policy", "srtf", "--set", "restart_s=[[1, 5]]")
    assert "note     srtf needs preemption, of which the rules say nothing: it is on, at the costs restart_s" in text
    assert "rules    default: restart_s=[[1, 5.0]]; seed 0" in text


def test_rules_from_a_file_and_outages_from_another(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rules, outages = tmp_path / "rules.yaml", tmp_path / "outages.csv"
    rules.write_text("window: 5\nplacement: consolidated\nrestart_s: {1: 7, 8: 30}\ntariff: {'*': 0.2, a100: 0.5}\n")
    outages.write_text("node,down_s,up_s\n0,100,200.5\n\n2,300,\n")
    words = [*MADE, "--policy", "fifo", "--rules", str(rules), "--outages", str(outages), "--set", "window=6"]
    out = data(capsys, *words, "--placement", "best_fit")
    assert out["rules"]["window"] == 6 and out["rules"]["placement"] == "best_fit"
    assert out["rules"]["restart_s"] == [[1, 7], [8, 30]]
    assert out["rules"]["outages"][0] == [0, 100, 200.5] and out["rules"]["outages"][1][:2] == [2, 300]
    assert out["runs"][0]["metrics"]["electricity_cost_usd"] > 0
    assert data(capsys, *words, "--set", "preemption=false", "--policy", "srtf")["notes"]


def test_hourly_tariffs_need_no_log_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    hours = ", ".join(["0.1"] * 12 + ["0.2"] * 12)
    words = [*MADE, "--policy", "fifo,srtf", "--set", f"tariff=[['*', [{hours}]]]"]
    for run in data(capsys, *words)["runs"]:
        m = run["metrics"]
        assert m["electricity_cost_usd"] == pytest.approx(0.1 * m["energy_kwh"])  # all before noon


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_way_through_a_file(name: str) -> None:
    rules = PRESETS.create(name)
    assert rules_from(to_dict(rules)) == rules
    assert content_id(rules_from(to_dict(rules))) == content_id(rules)
    assert read_rules(name) == (rules, rules.preemption)


def test_presets_are_those_of_the_page() -> None:
    helios, gavel = read_rules("helios").rules, read_rules("gavel").rules
    assert (helios.restart_s, helios.preemptive_tail_s) == (((1, 7), (8, 30), (9, 60)), 1)
    assert (gavel.round_s, gavel.preemption, gavel.restart_s) == (360, True, ())
    assert read_rules("default", ["tariff=0.3"]).rules.tariff == (("*", (0.3,)),)
    assert read_rules("default", ["preemption=true"]) == (Rules(preemption=True), True)


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ([], ConfigError, "The following arguments are required: --format, --cluster, --policy. See"),
        ([*HELIOS, "--policy", "fifo", "--polcy", "x"], ConfigError, "Unrecognized arguments: --polcy x"),
        ([*HELIOS, "--policy", "fifo", "--seed", "x"], ConfigError, "Argument --seed: invalid int value: 'x'"),
        ([*HELIOS, "--policy", "fifo", "--seed", "-1"], ConfigError, "--seed must be >= 0; it is -1"),
        ([*HELIOS, "--policy", "fif"], ConfigError, "Unknown policy 'fif'. Did you mean 'fifo'?"),
        ([*HELIOS, "--policy", ","], ConfigError, "At least one policy must be named"),
        ([*HELIOS, "--policy", "fifo", "--param", "x=1"], ConfigError, "'fifo' has no parameter 'x'. It takes none."),
        ([*HELIOS, "--policy", "fifo,las", "--param", "quantum=1"], ConfigError, "None of .* mean 'quantum_s'"),
        (
            [*HELIOS, "--policy", "las", "--param", "quantum_s=61", "--rules", "helios"],
            ConfigError,
            "pays 61 s",
        ),
        ([*HELIOS, "--policy", "allox,min_makespan", "--set", "restart_s=[[1, 360]]"], ConfigError, "round_s is 360 s"),
        (
            [*HELIOS, "--policy", "las", "--set", "restart_s=[[1, 9]]", "--set", "round_s=9"],
            ConfigError,
            "of the rules",
        ),
        ([*HELIOS, "--policy", "fifo", "--rules", "helio"], ConfigError, "Did you mean 'helios'?"),
        ([*HELIOS, "--policy", "fifo", "--rules", "no.yaml"], ConfigError, "'no.yaml' does not exist"),
        ([*HELIOS, "--policy", "fifo", "--set", "windw=1"], ConfigError, "Did you mean 'window'?"),
        ([*HELIOS, "--policy", "fifo", "--set", "window"], ConfigError, "must look like a.b=value"),
        ([*HELIOS, "--policy", "fifo", "--placement", "poled"], ConfigError, "Did you mean 'pooled'?"),
        ([*HELIOS, "--policy", "fifo", "--set", "outages=[[9, 0, 5]]"], SimulationError, "An outage must name a node"),
        ([*HELIOS, "--policy", "fifo", "--set", "tariff={v1: 0.1}"], ConfigError, "A tariff must name GPU types"),
        ([*HELIOS, "--policy", "fifo", "--outages", "no.csv"], ConfigError, "'no.csv' cannot be read .No such file"),
        ([*HELIOS, "--policy", "fifo", "--jobs-out", HELIOS[1]], ConfigError, "holds the trace and cannot be written"),
        ([*HELIOS, "--policy", "fifo", "--jobs-out", "/proc/x.csv"], ConfigError, "/proc/x.csv cannot be written"),
        ([*HELIOS, "--policy", "fifo", "--log", str(FIXTURES)], ConfigError, "cannot be written .it is a folder"),
        ([*HELIOS[:-1], "gpu:2by8", "--policy", "fifo"], ConfigError, "A cluster is written TYPE:NODESxGPUS"),
        ([*HELIOS[:-1], "gpus:2x8", "--policy", "fifo"], ConfigError, "Did you mean 'gpu'?"),
        ([*HELIOS[:-1], "gpu:1x1", "--policy", "fifo"], WorkloadError, "a gang that fits one GPU type of the cluster"),
        (["--trace", "no.csv", *HELIOS[2:], "--policy", "fifo"], TraceError, "'no.csv' must exist"),
        ([*HELIOS, "--policy", "fifo", "--format", "helio"], ConfigError, "Did you mean 'helios'?"),
        ([*HELIOS, "--policy", "fifo", "--trace-param", "vcc=1"], ConfigError, "Did you mean 'vc'?"),
        ([*MADE, "--trace", "x.csv", "--policy", "fifo"], ConfigError, "makes its jobs and reads no file"),
    ],
)
def test_mistakes(words: Sequence[str], error: type[RlSchedError], message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        verb.main(words)


def test_a_mistake_is_one_sentence_and_code_2(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "rl_sched.simulate", "--policy", "fifo", "--frmat", "csv"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr == (
        "error: The following arguments are required: --format, --cluster. See python -m rl_sched.simulate --help.\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node,down_s\n0,1\n", "line 2: outages need the columns node,down_s,up_s"),
        ("node,down_s,up_s\nx,1,2\n", "line 2: node must be a whole number; it is 'x'"),
        ("node,down_s,up_s\n0,1,2\n\n0,a,2\n", "line 4: down_s must be a time in seconds; it is 'a'"),
        ("node,down_s,up_s\n0,1,later\n", "line 2: up_s must be a time in seconds, or empty; it is 'later'"),
    ],
)
def test_outages_are_read_strictly(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "outages.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_outages(path)


def test_parameters_go_to_those_who_have_them() -> None:
    made = build_policies(["las", "fifo", "tiresias"], ["quantum_s=30", "quantum_gpu_s=1e3"])
    assert (made["las"].quantum_s, made["tiresias"].quantum_gpu_s) == (30.0, 1000.0)
    with pytest.raises(ConfigError, match="None of the policies fifo, sjf has a parameter 'x'. They take none."):
        build_policies(["fifo", "sjf"], ["x=1"])
    with pytest.raises(ConfigError, match="las.quantum_s must be a number; it is 'x'"):
        build_policies(["las"], ["quantum_s=x"])


# --- Ctrl-C ------------------------------------------------------------------------------------------------------


def test_an_interrupted_file_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["x.csv"]


def test_what_was_done_before_ctrl_c_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = solo.play

    def stopped(name: str, policy: Any, task: solo.Task, **options: Any) -> solo.SoloRun:
        if name == "sjf":
            options["progress"](solo.Progress(3, 40, 12.0))
            signal.raise_signal(signal.SIGINT)
        return real(name, policy, task, **options)

    monkeypatch.setattr(solo, "play", stopped)
    before = signal.getsignal(signal.SIGINT)
    words = [*MADE, "--policy", "fifo,sjf", "--jobs-out", str(tmp_path / "jobs.csv")]
    assert verb.main(words) == 130
    captured = capsys.readouterr()
    assert captured.err.strip() == (
        "interrupted during sjf: 3 of 40 jobs, t = 12 s; policies done: fifo. Nothing is half written."
    )
    assert "fifo" in captured.out and "sjf" not in captured.out
    assert [file.name for file in tmp_path.iterdir()] == ["jobs_fifo.csv"]
    assert len(table(tmp_path / "jobs_fifo.csv")) == 40
    assert verb.main([*words, "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["interrupted"] == "during sjf: 3 of 40 jobs, t = 12 s"
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_that_got_lost_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    real = solo.play

    def swallowing(name: str, policy: Any, task: solo.Task, **options: Any) -> solo.SoloRun:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        return real(name, policy, task, **options)

    monkeypatch.setattr(solo, "play", swallowing)
    assert verb.main([*MADE, "--policy", "fifo"]) == 130


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_long_run(tmp_path: Path) -> None:
    words = ["--format", "synthetic", "--trace-param", "num_jobs=200000", "--trace-param", "span_s=1000000"]
    words += ["--cluster", "a100:4x8", "--policy", "sjf,min_min", "--jobs-out", "jobs.csv"]
    run = subprocess.Popen(
        [sys.executable, "-m", "rl_sched.simulate", *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(Path(verb.__file__).parents[1])},
    )  # fmt: skip
    deadline_s = time.monotonic() + 240
    while not (tmp_path / "jobs_sjf.csv").exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=200)
    assert run.returncode == 130
    assert "interrupted during min_min" in err and "policies done: sjf" in err
    assert [file.name for file in tmp_path.iterdir()] == ["jobs_sjf.csv"]
