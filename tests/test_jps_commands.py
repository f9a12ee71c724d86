"""The commands of JPS: benchmark, search, figures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from experiments.jps_judge import Dynamic, Static, judge
from experiments.jps_search import VERDICTS, grid, history_of, load_search, main
from rl_sched.errors import ConfigError
from rl_sched.tracking.spool import JsonlSpool, read_spool
from rl_sched.tracking.store import Store


def run(repository: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=repository, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_benchmark_prints_one_json_object(repository: Path) -> None:
    figures = json.loads(run(repository, "-m", "benchmarks.jps", "--quick", "--json"))["figures"]
    assert {row["name"] for row in figures if row["holds"] is False} <= {
        row["name"] for row in figures if row["unit"] == "ms"  # a loaded machine is slow, never wrong
    }  # fmt: skip


def test_the_plan_of_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    for quick in (False, True):
        plan = load_search(quick=quick)
        assert len(grid(plan)) <= plan.trials and set(plan.space) == {"alpha", "beta", "samples"}
    assert main(["--dry-run"]) == 0 and "40 trials" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="tpe"):
        load_search(overrides=["samplers=[tpf]"])


def test_a_trial_is_judged_by_what_does_not_depend_on_beta() -> None:
    tasks = Static(("base",), 3, 8, 4), Dynamic("default", 1)
    plain, fair = (judge(*tasks, "static", 0.0, beta, 20) for beta in (1.0, 0.25))
    assert plain.cost.mean() <= fair.cost.mean() and plain.unfairness.mean() >= fair.unfairness.mean()
    played = judge(*tasks, "dynamic", 0.0, 1.0, 2)
    assert played.cost[0] > 10.0 and 0 < played.unfairness[0] < 1


@pytest.mark.slow
@pytest.mark.sweep
def test_the_search_goes_on_where_it_ended(repository: Path, tmp_path: Path) -> None:
    command = ("experiments/jps_search.py", "--quick", "--data", str(tmp_path))
    run(repository, *command, "--set", "trials=2")
    run(repository, *command, "--set", "trials=3")
    folder = tmp_path / "sweeps" / "jps-quick-search"
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == 2 * 2 * 3 and not history.duplicated(["kind", "sampler", "alpha"]).any()
    verdict = pd.read_csv(folder / "verdict.csv")
    assert set(verdict["kind"]) == {"static", "dynamic"} and set(verdict["verdict"]) <= set(VERDICTS.values())


@pytest.mark.slow
@pytest.mark.sweep
def test_a_killed_search_loses_only_the_trials_that_ran(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "experiments/jps_search.py", "--quick", "--data", str(tmp_path), "--set", "trials=3"]
    folder = tmp_path / "sweeps" / "jps-quick-search"
    env = {**os.environ, "PYTHONPATH": str(repository)}
    driver = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL, env=env, start_new_session=True)
    try:
        deadline = time.monotonic() + 280
        while len(ended(folder)) < 3:
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # Ray's processes with it
        driver.wait()
    before = {name for name, status in ended(folder).items() if status == "FINISHED"}
    run(repository, *command[1:])
    history = pd.read_csv(folder / "history.csv")
    assert (history.groupby(["kind", "sampler"]).size() == 3).all() and len(history) == 2 * 2 * 3
    finished = {name for name, status in ended(folder).items() if status == "FINISHED" and name.count("/") == 3}
    tried = {f"jps-quick-search/{row.kind}/{row.sampler}/{row.trial}" for row in history.itertuples()}
    assert tried == finished  # a trial, a run; the runs of those that were killed have failed
    assert len(before - finished) <= 1  # recorded and not yet told
    assert Store(tmp_path).database.is_file()


def test_a_searcher_that_is_killed_goes_on_from_its_studies(tmp_path: Path) -> None:
    from experiments.jps_searcher import StudySearcher

    plan = load_search(quick=True)

    def opened() -> StudySearcher:
        spool = JsonlSpool(tmp_path / "search.jsonl")
        parent = spool.start_run("search", name="search", kind="sweep")
        return StudySearcher(("random", "grid"), 2, plan.space, grid(plan), tmp_path, spool, parent, 4)

    first = opened()
    asked = {name: first.suggest(name) for name in "abcd"}
    first.on_trial_complete("a", {"cost": 1.0, "unfairness": 0.5})
    first.on_trial_complete("b", error=True)
    del first  # c and d were running
    again = opened()
    assert sum(again.left(key) for key in again.studies) == 2 * 2 * 2 - 1
    statuses = list(ended(tmp_path).values())
    assert len(statuses) == len(asked) and statuses.count("FINISHED") == 1 and statuses.count("FAILED") == 3
    number = 0
    while (config := again.suggest(str(number))) != StudySearcher.FINISHED:
        assert set(config) == {"kind", "alpha", "beta", "samples"}
        again.on_trial_complete(str(number), {"cost": 1.0 + number, "unfairness": 0.5})
        number += 1
    history = history_of(again.studies)
    assert number == 7 and len(history) == 8 and (history.groupby(["kind", "sampler"]).size() == 2).all()
    finished = {run for run, status in ended(tmp_path).items() if status == "FINISHED"}
    assert finished == {f"search/{row.kind}/{row.sampler}/{row.trial}" for row in history.itertuples()}


def ended(folder: Path) -> dict[str, str]:
    """Key -> status of the runs that a search's spool has ended."""
    file = folder / "search.jsonl"
    return {r["run"]: r["status"] for r, _ in read_spool(file) if r["op"] == "end"} if file.is_file() else {}


@pytest.mark.slow
def test_one_command_draws_everything(repository: Path, tmp_path: Path) -> None:
    out = run(repository, "experiments/run_all.py", "--quick", "--out", str(tmp_path / "out"), "--data", str(tmp_path))
    assert "11 figures" in out and len(list((tmp_path / "out").glob("*.png"))) == 11
    summary = pd.read_csv(tmp_path / "out" / "jps_summary.csv").set_index("method")
    assert summary.loc["optimum", "gap_percent"] < 1e-5 and "| method" in (tmp_path / "out/jps_summary.md").read_text()


def test_the_searcher_continues_its_studies(tmp_path: Path) -> None:
    from experiments.jps_search import history_of
    from experiments.jps_searcher import StudySearcher
    from rl_sched.tracking.spool import JsonlSpool

    plan = load_search(quick=True, overrides=["samplers=[tpe,nsga2,grid]", "trials=4"])

    def play(most: int, spool: JsonlSpool) -> StudySearcher:
        searcher = StudySearcher(plan.samplers, 4, plan.space, grid(plan), tmp_path, spool, "s", 2)
        for n in range(most):
            config = searcher.suggest(str(n))
            if not isinstance(config, dict):
                assert config == StudySearcher.FINISHED
                break
            result = {"cost": config["alpha"], "unfairness": config["beta"]}
            searcher.on_trial_complete(str(n), None if n == 1 else result, error=n == 1)
        return searcher

    spool = JsonlSpool(tmp_path / "search.jsonl")
    first = play(7, spool)
    first.suggest("left running by a killed driver")
    searcher = play(100, spool)
    history = history_of(searcher.studies)
    assert history.groupby(["kind", "sampler"]).size().tolist() == [4] * 6
    assert not history.duplicated(["kind", "sampler", "alpha", "beta"]).any()
    points = {(row["alpha"], row["beta"]) for row in history[history["sampler"] == "grid"].to_dict("records")}
    assert len(points & {(p["alpha"], p["beta"]) for p in grid(plan)}) >= 3  # one was lost with its driver at most
    assert (tmp_path / "search.jsonl").read_text().count('"trial"') >= 24
    spool.close()
