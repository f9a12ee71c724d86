"""What spools and marks of a sweep tell, a trial that is run again, and training logs that are read back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl_sched import curves as curves_verb
from rl_sched import reproduce as verb
from rl_sched.config import ExperimentConfig, build, to_dict
from rl_sched.errors import CheckpointError, ConfigError, SweepError
from rl_sched.evaluation.scores import COLUMNS
from rl_sched.sweeps import repeat as repeating
from rl_sched.sweeps.facts import collect, stretches_of
from rl_sched.sweeps.importance import LEAST_CONFIGURATIONS, importance
from rl_sched.sweeps.ledger import Ledger, Outcome, write_json, write_outcome
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.repeat import Number, compare, find
from rl_sched.sweeps.run_logs import read_runs
from rl_sched.sweeps.trial import CURVE, ROWS_BEST
from rl_sched.tracking.store import Store
from tests.sweep_cases import searched

ARM = "network.name=mlp"
ROWS = pd.DataFrame([(ARM, "default", 1, 5, "mean_jct_s", v) for v in (3.0, 5.0)], columns=list(COLUMNS))


@pytest.fixture
def plan() -> Plan:
    search = {"ppo.lr": {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True}}
    data = {"name": "toy", "question": "?", "arms": {"network.name": ["mlp"]}, "seeds": [1, 2], "search": search}
    return build(Plan, {**data, "max_concurrent": 3})


def _write(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps({"run": "r", **record}) + "\n" for record in records))


def test_stretches_are_read_from_the_spool(plan: Plan, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    folder = ledger.open_cell(plan.cell(ARM, "default", 1, {"ppo.lr": 1e-3}))
    start = {"op": "start", "tags": {"host": "a"}, "time_s": 10.0}
    again = {"op": "continue", "tags": {}}
    _write(
        folder / "spool.jsonl",
        [
            start, {"op": "metrics", "step": 1, "values": {}, "time_s": 15.0},  # its process died
            {**again, "time_s": 20.0}, {"op": "tags", "values": {"outcome": "pruned"}, "time_s": 22.0},
            {"op": "end", "status": "KILLED", "time_s": 23.0},
            {**again, "time_s": 30.0}, {"op": "end", "status": "FAILED", "time_s": 31.0},
            {**again, "time_s": 35.0}, {"op": "end", "status": "KILLED", "time_s": 36.0},
            {**again, "time_s": 40.0}, {"op": "end", "status": "FINISHED", "time_s": 45.0},
            {**again, "time_s": 90.0}, {"op": "end", "status": "FINISHED", "time_s": 91.0},  # judged by a search
        ],
    )  # fmt: skip
    found = list(stretches_of(folder / "spool.jsonl", ledger))
    assert [(s.begin_s, s.end_s, s.end) for s in found] == [
        (10, 15, "lost"), (20, 23, "pruned"), (30, 31, "failed"), (35, 36, "interrupted"), (40, 45, "done"),
    ]  # fmt: skip
    assert found[0].place == "a" and found[1].place == "" and found[0].arm == ARM
    _write(folder / "spool.jsonl", [start])
    with ledger.lock():
        assert [s.end for s in stretches_of(folder / "spool.jsonl", ledger)] == ["running"]
    (folder / "cell.json").unlink()
    assert list(stretches_of(folder / "spool.jsonl", ledger)) == []


def test_only_configurations_with_all_seeds_enter_a_search(plan: Plan, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for k, lr in enumerate((1e-4, 1e-3, 1e-2)):
        for cell in [plan.cell(ARM, "default", seed, {"ppo.lr": lr}) for seed in plan.seeds]:
            folder = ledger.open_cell(cell)
            if (lr, cell.seed) != (1e-2, 2):  # stopped after its first seed
                write_outcome(folder, Outcome(100.0 * k + cell.seed, {}))
    done = plan.cell(ARM, "default", 2, {"ppo.lr": 1e-3})
    found = collect(plan, ["default"], [(done, ROWS)], ledger)
    (search,) = found.searches
    table = search.configurations.sort_values("value")
    assert table["ppo.lr"].tolist() == [1e-4, 1e-3] and table["value"].tolist() == [1.5, 101.5]
    assert search.log == ("ppo.lr",) and search.importance == () and found.slots == 3
    (run,) = found.runs
    assert (run.val, run.report, run.seed) == (102.0, 4.0, 2)
    unfinished = ROWS.assign(value=[3.0, math.nan])
    assert math.isnan(collect(plan, ["default"], [(done, unfinished)], ledger).runs[0].report)


def test_the_importance_finds_what_matters() -> None:
    space = build(
        Plan,
        {
            "name": "x", "question": "?", "arms": {}, "seeds": [1],
            "search": {
                "ppo.lr": {"kind": "float", "low": 1e-4, "high": 1e-2, "log": True},
                "ppo.minibatch": {"kind": "int", "low": 64, "high": 512},
                "act": {"kind": "categorical", "choices": ["relu", "gelu"]},
            },
        },
    ).search  # fmt: skip
    table = searched(30).configurations
    shares, method = importance(table, space, resamples=4)
    by = {i.param: i for i in shares}
    assert by["ppo.lr"].share > 0.7 and all(i.low <= i.share <= i.high for i in shares) and "4 resamples" in method
    assert sum(i.share for i in shares) == pytest.approx(1.0)
    assert importance(table, space, resamples=4) == (shares, method)
    assert importance(table[: LEAST_CONFIGURATIONS - 1], space) == ((), "")
    assert importance(table.assign(value=1.0), space) == ((), "")


def test_numbers_are_compared_one_by_one() -> None:
    then = {Number("a", "at 1"): 2.0, Number("a", "at 2"): math.nan, Number("old"): 1.0, Number("b"): 0.0}
    assert compare(then, {**then, Number("new"): 5.0}, 0.0) == (4, [], 0.0, [])
    more = compare(then, {**then, Number("a", "at 3"): 5.0}, 0.0)
    assert more.compared == 5 and [name for name, *_ in more.differences] == ["a at 3"]
    only_then = {k: v for k, v in then.items() if k.kind != "old"}
    assert compare(then, only_then, 0.0).differences == []  # another version of the code measures other things
    close = compare(then, {**then, Number("a", "at 1"): 2.0 + 1e-9}, 1e-6)
    assert close.differences == [] and close.largest == pytest.approx(5e-10)
    gone = compare(then, {k: v for k, v in then.items() if k != Number("a", "at 1")}, 1e-6)
    assert gone.largest == math.inf and gone.differences[0][0] == "a at 1"
    assert compare(then, {**then, Number("a", "at 2"): 1.0}, 1e-6).largest == math.inf


def _curve(lr: float) -> str:
    return pd.DataFrame([{"steps": 5, "seconds": 1.0 + lr, "val_score": 7.0}]).to_csv(index=False)


def test_a_trial_is_run_again_and_compared(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "data")
    ledger = Ledger(store.sweeps / "toy")
    cell = plan.cell(ARM, "default", 1)
    drift = {"by": 0.0}

    def body(cell, folder: Path, report) -> Outcome:
        report(5, {})
        ROWS.assign(value=ROWS["value"] + drift["by"], eval_seed=[5, 6]).to_csv(folder / ROWS_BEST, index=False)
        (folder / CURVE).write_text(_curve(drift["by"]))
        return Outcome(7.0, {}, 5)

    monkeypatch.setattr(repeating, "run_trial", body)
    folder = ledger.open_cell(cell)
    data = ["--data", str(store.data_dir)]
    with pytest.raises(SweepError, match="Only a finished trial can be compared"):
        verb.main([cell.id, *data])
    write_outcome(folder, body(cell, folder, lambda step, metrics: None))
    write_json(folder / "spool.sync.json", {"runs": {cell.id: "f00d"}})
    assert find(store, "f00d") == find(store, cell.id)
    about = (folder / "cell.json").read_text()
    write_json(folder / "cell.json", {**json.loads(about), "parent": "another"})
    with pytest.raises(SweepError, match="'f00d' is of a population"):
        find(store, "f00d")
    (folder / "cell.json").write_text(about)
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    assert verb.main([cell.id, *data]) == 0
    assert "Reproduced: all 6 numbers agree (largest relative difference 0" in capsys.readouterr().out
    drift["by"] = 0.5
    assert verb.main(["f00d", *data, "--json", "--out", str(tmp_path / "kept")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["compared"] == 6 and len(found["differences"]) == 2 and found["largest"] == pytest.approx(0.5 / 3)
    assert found["differences"][0] == ["rows_best.csv: mean_jct_s of workload 5", 3.0, 3.5]
    assert (tmp_path / "kept" / ROWS_BEST).is_file() and {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert verb.main(["f00d", *data, "--tolerance", "0.2"]) == 0
    for wrong, message in (
        (["nobody"], "RUN_ID must be the id of a trial"),
        ([cell.id, "--tolerance", "-1"], "--tolerance must be"),
        ([cell.id, "--out", str(tmp_path)], "--out must be a new folder"),
    ):
        with pytest.raises((SweepError, ConfigError), match=message):
            verb.main([*wrong, *data])


def _run(folder: Path, experiment: ExperimentConfig, metric: str = "mean_jct_s") -> Path:
    (folder / "last").mkdir(parents=True)
    rng = np.random.default_rng(experiment.seed)
    rows = [{"steps": k, "seconds": k, "val_score": 100 + rng.normal(), "val_noop_share": 0.4} for k in range(1, 6)]
    (folder / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn')
    (folder / "last" / "experiment.json").write_text(json.dumps(to_dict(experiment)))
    (folder / "last" / "meta.json").write_text(json.dumps({"objective": metric}))
    return folder


def test_training_logs_are_read_back_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ExperimentConfig(seed=1)
    dqn = replace(one, algo="dqn")
    runs = [_run(tmp_path / f"{e.algo}{e.seed}" / "train", e) for e in (one, replace(one, seed=2), dqn)]
    table, objective = read_runs([runs[0].parent, *runs[1:]])
    assert list(dict.fromkeys(table["arm"])) == ["algo=ppo", "algo=dqn"] and len(table) == 15
    assert objective.metric == "mean_jct_s" and read_runs(runs[:2])[0]["arm"].unique().tolist() == ["ppo"]
    out = tmp_path / "made" / "figure.svg"
    assert curves_verb.main([*map(str, runs), "--out", str(out)]) == 0
    assert out.read_text().startswith("<?xml") and "n = 3 training runs" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="given once"):
        read_runs([runs[0], runs[0]])
    with pytest.raises(CheckpointError, match="holds no curve.jsonl"):
        read_runs([tmp_path])
    other = _run(tmp_path / "other", replace(one, scenario="ppo-jobs"), "episode_return")
    with pytest.raises(ConfigError, match="judged by one metric"):
        read_runs([runs[0], other])
    with pytest.raises(ConfigError, match="must end in .png"):
        curves_verb.main([str(runs[0]), "--out", "figure.gif"])
