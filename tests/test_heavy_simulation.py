"""``experiments/heavy_simulation.py``: what it writes, mistakes, Ctrl-C, MLflow."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import hybrid as benchmark
from experiments import heavy_simulation
from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.hybrid import STRATEGIES, heavy
from rl_sched.hybrid.prepared import ready
from rl_sched.plots.style import SPLITTERS, look
from rl_sched.tracking.runs import read_curves, read_runs
from rl_sched.tracking.spool import read_spool
from rl_sched.tracking.store import Store

RULES = "round_robin,random,greedy,cpu_only,gpu_only,oracle"
FIGURES = {"latency_cdf", "latency_box", "cost", "energy", "makespan", "speedup"}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_writes_records_figures_and_runs(
    tmp_path: Path, mlflow_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    shutil.copy(mlflow_database, data / "mlflow.db")
    args = ["--tasks", "600", "--seed", "7", "--strategies", RULES, "--out", str(out), "--data", str(data)]
    assert heavy_simulation.main(args) == 0
    assert {p.name for p in out.glob("*.png")} == {f"hybrid_{name}.png" for name in FIGURES}
    tasks, totals, speedups = (rows(out / f"{name}.csv") for name in ("tasks", "totals", "speedups"))
    assert len(tasks) == 6 * 600 and [row["strategy"] for row in totals] == RULES.split(",")
    by_name = {row["strategy"]: row for row in totals}
    for name, row in by_name.items():
        own = np.array([float(task["latency_s"]) for task in tasks if task["strategy"] == name])
        assert float(row["total_time_s"]) == pytest.approx(own.sum())
        assert float(row["p99_latency_s"]) == pytest.approx(np.percentile(own, 99))
    baseline, oracle = (float(by_name[name]["total_time_s"]) for name in ("cpu_only", "oracle"))
    assert float(next(r["speedup"] for r in speedups if r["strategy"] == "oracle")) == pytest.approx(baseline / oracle)
    printed = capsys.readouterr()
    assert "600 of 600 tasks" in printed.out and printed.out.splitlines()[1].startswith("oracle")
    assert "600 / 600 tasks" in printed.err

    from rl_sched.tracking.store import connect

    client = connect(Store(data).uri)
    experiment = client.get_experiment_by_name(heavy.EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.data.tags["kind"] == "hybrid")
    children = {run.info.run_name: run for run in runs if run.data.tags["kind"] == "strategy"}
    assert set(children) == set(RULES.split(","))
    assert children["oracle"].data.metrics["total_time_s"] == pytest.approx(oracle)
    assert children["oracle"].data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.params["machine.num_gpus"] == "2" and parent.info.status == "FINISHED"

    # The dashboard reads the same without MLflow.
    read = {run.id: run for run in read_runs(Store(data).database, 100)}
    assert set(read) == {run.info.run_id for run in runs}
    for run in runs:
        own = read[run.info.run_id]
        assert own.experiment == heavy.EXPERIMENT and own.metrics == run.data.metrics
        assert (own.name, own.kind, own.status) == (run.info.run_name, run.data.tags["kind"], run.info.status)
        assert own.parent == run.data.tags.get("mlflow.parentRunId")
        assert own.duration_s == pytest.approx((run.info.end_time - run.info.start_time) / 1e3)
    oracle_id = children["oracle"].info.run_id
    curve = read_curves(Store(data).database, oracle_id, 100)["mean_latency_so_far_s"]
    theirs = client.get_metric_history(oracle_id, "mean_latency_so_far_s")
    assert curve == [(point.step, point.value) for point in theirs] and len(curve) == 3
    assert [p.step for p in read_curves(Store(data).database, oracle_id, 1)["mean_latency_so_far_s"]] == [250, 600]
    with pytest.raises(ConfigError, match="No run of this id"):
        read_curves(Store(data).database, "0" * 32, 1)

    with pytest.raises(ConfigError, match="holds an earlier run"):
        heavy_simulation.main(args)
    before = (out / "totals.csv").read_text()
    assert heavy_simulation.main([*args, "--overwrite", "--no-mlflow"]) == 0
    assert (out / "totals.csv").read_text() == before


def test_a_database_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "mlflow.db", 10) == []
    (tmp_path / "mlflow.db").write_text("this is no database")
    with pytest.raises(RlSchedError, match="cannot be read"):
        read_runs(tmp_path / "mlflow.db", 10)


def test_stopped_by_ctrl_c_it_leaves_what_is_done(tmp_path: Path) -> None:
    told = []

    def stop_after_two(progress: heavy.Progress) -> bool:
        told.append(progress.decided)
        return len(told) < 2

    plan = heavy.Plan(tasks=10_000, seed=1)
    outcome = heavy.run(plan, ready(["greedy", "oracle"], folder=tmp_path), tmp_path / "out", stop_after_two)
    assert outcome.stopped and outcome.decided == told[-1] == 2 * heavy.CHUNK
    assert len(rows(tmp_path / "out" / "tasks.csv")) == 2 * outcome.decided
    ends = [r for r, _ in read_spool(tmp_path / "out" / heavy.SPOOL) if r["op"] == "end"]
    assert {end["status"] for end in ends} == {"KILLED"} and len(ends) == 3
    assert (tmp_path / "out" / "hybrid_energy.png").is_file()
    assert not (tmp_path / "out" / "hybrid_speedup.png").exists()  # there is no cpu_only to compare with


def test_ctrl_c_on_the_command_line(repository: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "experiments/heavy_simulation.py", "--tasks", "10000000", "--strategies", "cpu_only,oracle",
        "--out", str(tmp_path / "out"), "--no-mlflow",
    ]  # fmt: skip
    run = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    spool = tmp_path / "out" / heavy.SPOOL
    try:
        while run.poll() is None and (not spool.is_file() or '"metrics"' not in spool.read_text()):
            time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 130, out
    done = int(out.splitlines()[-1].split(" of ")[0].replace(",", ""))
    assert done >= heavy.CHUNK and len(rows(tmp_path / "out" / "tasks.csv")) == 2 * done


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--tasks", "0"], "at least one task"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--preset", "compatability"], "Did you mean 'compatibility'"),
        (["--strategies", "oracle,gredy"], "Did you mean 'greedy'"),
        (["--strategies", " , "], "at least one strategy"),
    ],
)
def test_mistakes_are_told(args: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        heavy_simulation.main([*args, "--out", str(tmp_path), "--no-mlflow"])


def test_mlflow_that_is_away_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(out: Path, store: Store) -> None:
        raise OSError("the disk is full\nmore")

    monkeypatch.setattr(heavy, "to_mlflow", away)
    args = ["--tasks", "20", "--strategies", "greedy", "--out", str(tmp_path / "out")]
    assert heavy_simulation.main(args) == 0
    assert "not up to date (the disk is full); nothing is lost" in capsys.readouterr().out


def test_every_strategy_has_a_colour_of_its_own() -> None:
    looks = {name: look(name) for name in STRATEGIES}
    assert len({shown.color for shown in looks.values()}) == len(STRATEGIES)
    assert set(SPLITTERS) <= set(STRATEGIES)


def test_the_benchmark_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--json", "--seeds", "1", "--no-agents", "--tasks", "300"]) == 0
    out = json.loads(capsys.readouterr().out)
    names = [f["name"] for f in out["figures"]]
    assert len(names) == 6 and sum("online with retraining" in name for name in names) == 2
    assert all(f["ours"] > 0 and f["ratio"] == pytest.approx(f["ours"] / f["peer"]) for f in out["figures"])


def test_the_page_names_every_strategy_and_preset(repository: Path) -> None:
    text = (repository / "docs" / "hybrid.md").read_text()
    for name in [*STRATEGIES, "default", "compatibility"]:
        assert f"`{name}`" in text, name
