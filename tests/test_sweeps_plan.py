"""Plans are strict, cells are identified by their content, and the ledger survives what happens to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rl_sched.errors import ConfigError, SweepError
from rl_sched.sweeps import objectives
from rl_sched.sweeps.ledger import Ledger, Outcome, read_json, write_json, write_outcome
from rl_sched.sweeps.plan import Plan, load_plan, merge
from rl_sched.sweeps.source import Grid

PLAN = {
    "name": "toy",
    "question": "Does it run?",
    "base": {"train": {"steps": 1000}},
    "arms": {"network.name": ["mlp", "cross_attention"], "env.lookahead": ["off", "cdf"]},
    "seeds": [1, 2, 3],
    "scenarios": ["default", "philly"],
    "per_scenario": {"philly": {"train": {"steps": 500}, "ppo": {"gamma": 0.9}}},
    "quick": {"base": {"train": {"steps": 10}}, "arms": {"env.lookahead": ["cdf"]}, "seeds": [1]},
}


#: Plans of another form: experiments/jps_search.py reads its own.
OTHER_PLANS = {"jps"}
SHIPPED = sorted(
    {file.stem for file in (Path(__file__).resolve().parents[1] / "tune_configs").glob("*.yaml")} - OTHER_PLANS
)


def _load(tmp_path: Path, change: dict | None = None, **kwargs) -> Plan:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(merge(PLAN, change or {}), sort_keys=False))
    return load_plan(file, **kwargs)


def test_cells_are_the_product_seed_by_seed(tmp_path: Path) -> None:
    plan = _load(tmp_path)
    cells = plan.cells()
    assert len(cells) == 2 * 2 * 3 * 2 and len({c.id for c in cells}) == 24
    assert [c.seed for c in cells] == [1] * 8 + [2] * 8 + [3] * 8
    assert cells[0].arm == "network.name=mlp,env.lookahead=off"
    assert cells[0].experiment["env"]["lookahead"] == "off" and cells[0].experiment["seed"] == 1
    assert {(c.scenario, c.steps, c.experiment["ppo"]["gamma"]) for c in cells} == {
        ("default", 1000, 1.0),
        ("philly", 500, 0.9),
    }


def test_ids_depend_on_content_alone(tmp_path: Path) -> None:
    ids = {c.id for c in _load(tmp_path).cells()}
    more = _load(tmp_path, {"seeds": [1, 2, 3, 4], "question": "Another?", "max_concurrent": 1, "name": "other"})
    assert ids < {c.id for c in more.cells()}
    assert not ids & {c.id for c in _load(tmp_path, overrides=["train.steps=999"]).cells()}
    assert _load(tmp_path, {"seeds": [1, 2, 3, 4]}).sweep_id == _load(tmp_path).sweep_id
    assert _load(tmp_path, overrides=["train.steps=999"]).sweep_id != _load(tmp_path).sweep_id


def test_quick_and_overrides(tmp_path: Path) -> None:
    quick = _load(tmp_path, quick=True)
    assert quick.name == "toy-quick" and len(quick.cells(["default"])) == 2 and quick.cells()[0].steps == 10
    plan = _load(tmp_path, overrides=["train.steps=77", "plan.seeds=[5]", "plan.report.episodes=3"])
    assert {c.steps for c in plan.cells()} == {77}, "the command line is stronger than per_scenario"
    assert plan.seeds == (5,) and plan.report.episodes == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, "Unknown key 'sedes'. Did you mean 'seeds'"),
        ({"base": {"ppo": {"lrr": 1}}}, "Unknown key 'ppo.lrr'. Did you mean 'lr'"),
        ({"arms": {"env.lookahed": ["off"]}}, "Unknown key 'env.lookahed'. Did you mean 'lookahead'"),
        ({"arms": {"env.lookahead": [False]}}, "env.lookahead must be of type str; it is False"),
        ({"arms": {"env.lookahead": []}}, "at least one value"),
        ({"seeds": [1, 1]}, "none twice"),
        ({"seeds": []}, "at least one value"),
        ({"name": "a/b"}, "name must be letters"),
        ({"objective": "beauty"}, "Unknown key 'objective'"),
        ({"scenarios": ["defualt"]}, "Unknown scenario 'defualt'. Did you mean 'default'"),
        ({"report": {"policies": ["sfj"]}}, "unknown policy 'sfj'. Did you mean 'sjf'"),
        ({"report": {"policies": ["fifo_tuned"]}}, "unknown policy 'fifo_tuned'"),
        ({"base": {"env": {"reward": "jtc"}}}, "Unknown reward 'jtc'. Did you mean 'jct'"),
        ({"base": {"env": {"guide": {"policy": "minmin"}}}}, "Unknown policy 'minmin'. Did you mean 'min_min'"),
        ({"arms": {"env.lookahead": ["pergpu"]}}, "Unknown lookahead mode 'pergpu'. Did you mean 'per_gpu'"),
        ({"arms": {"network.name": ["mpl"]}}, "Unknown network 'mpl'. Did you mean 'mlp'"),
        ({"max_concurrent": 0}, "must be at least 1"),
        ({"search": {"ppo.lr": {"kind": "float", "low": 1}}}, "must have low <= high"),
        ({"search": {"ppo.lr": {"kind": "float", "low": 0, "high": 1, "log": True}}}, "must|above 0"),
        ({"search": {"ppo.lr": {"kind": "normal"}}}, "kind must be float, int or categorical"),
        ({"search": {"ppo.lr": {"kind": "categorical"}}}, "at least one value"),
        ({"search": {"network.name": {"kind": "categorical", "choices": ["mlp"]}}}, "in both"),
        ({"search": {"ppo.lrr": {"kind": "float", "low": 0, "high": 1}}}, "Did you mean 'lr'"),
        ({"report": {"reference": "nobody"}}, "report.reference must be one of the arms"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, change)


@pytest.mark.parametrize("key", ["env.lookahead", "seed", "scenario"])
def test_what_the_plan_varies_cannot_be_set(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"--set {key} must not be given"):
        _load(tmp_path, overrides=[f"{key}=1"])


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("quick", [False, True])
def test_shipped_plans_are_valid(repository: Path, name: str, quick: bool) -> None:
    file = repository / "tune_configs" / f"{name}.yaml"
    plan = load_plan(file, quick=quick)
    assert plan.name == (f"{name}-quick" if quick else name)
    assert len(plan.seeds) >= (2 if quick else 3)
    cells = [] if plan.search else plan.cells()
    assert len({c.id for c in cells}) == len(cells)
    if plan.search:
        dimensions = {path: d.choices[-1] if d.choices else d.high for path, d in plan.search.items()}
        cells = [plan.cell(arm, s, plan.seeds[0], dimensions) for arm in plan.arm_settings() for s in plan.scenarios]
    assert len(cells) >= 1 and all(cell.steps > 0 and len(cell.id) == 16 for cell in cells)
    head = file.read_text()[:800]
    assert all(word in head for word in ("# Question", "# Command", "# Expectation"))


@pytest.mark.parametrize("script", ["ablation", "ppo_search"])
def test_dry_run_prints_and_writes_nothing(repository: Path, tmp_path: Path, script: str) -> None:
    command = [sys.executable, f"experiments/{script}.py", "--dry-run", "--no-pilot", "--data", str(tmp_path / "data")]
    env = {"PYTHONPATH": ".", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "environment steps" in done.stdout and "default" in done.stdout
    assert not (tmp_path / "data").exists()
    assert "Scenario philly is skipped" in done.stdout or script == "ppo_search"


def test_misspelt_setting_exits_with_2_and_one_line(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "experiments/ablation.py", "--dry-run", "--set", "train.stepps=3"]
    done = subprocess.run(command, cwd=repository, env={"PYTHONPATH": "."}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: Plan 'ablation': Unknown key 'train.stepps'. Did you mean 'steps'?"


def test_ledger_marks(tmp_path: Path) -> None:
    plan = _load(tmp_path)
    ledger = Ledger(tmp_path / "root")
    cell, other = plan.cells()[:2]
    folder = ledger.open_cell(cell)
    assert ledger.outcome(cell) is None and ledger.failure(cell) is None
    outcome = Outcome(1.5, {"report/mean_jct_s": 2.0}, 10, 1.0, "best", ("best",))
    write_outcome(folder, outcome)
    assert ledger.outcome(cell) == outcome and len(ledger.code_hash(cell)) == 16
    grid = Grid([cell, other, cell], ledger)
    assert grid.amount()[:2] == (1, 2)
    assert grid.next() == other and grid.next() is None
    grid.on_failed(other)
    assert grid.amount() == (1, 2, "trials", 0)


def test_half_written_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text('{"outcome": {"objec')
    assert read_json(tmp_path / "done.json") is None
    write_json(tmp_path / "done.json", {"a": 1})
    assert read_json(tmp_path / "done.json") == {"a": 1} and len(list(tmp_path.iterdir())) == 1


def test_second_driver_gets_one_sentence(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "root")
    with ledger.lock():
        assert ledger.is_running()
        with pytest.raises(SweepError, match="Only one process may run the sweep"), Ledger(ledger.root).lock():
            pass
    assert not ledger.is_running()
    with ledger.lock():
        pass


def test_costs_stand_for_objectives() -> None:
    assert objectives.cost("default", 112.04) == 112.04 and objectives.cost("ppo-jobs", 0.8125) == -0.8125
    assert objectives.text("default", 112.04) == "mean JCT 112.0 s"
    assert objectives.text("ppo-jobs", -0.8125) == "episode return 0.812"
