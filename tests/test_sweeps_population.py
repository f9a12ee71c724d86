"""Population based training as cells: who continues from whom follows from the ledger alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rl_sched.config import build
from rl_sched.errors import ConfigError, SweepError
from rl_sched.sweeps.inheriting import inherit
from rl_sched.sweeps.ledger import Ledger, write_outcome
from rl_sched.sweeps.plan import Cell, Plan, load_plan
from rl_sched.sweeps.population import PopulationSource
from rl_sched.testing.toy_trials import member

MEMBERS, GENERATIONS, STEPS = 4, 3, 300


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_sched.testing.toy_trials.SLEEP_S", 0.0)


def _plan(**change) -> Plan:
    space = {"ppo.lr": {"kind": "float", "low": 1e-5, "high": 1e-1, "log": True}}
    data = {
        "name": "toy",
        "question": "?",
        "base": {"train": {"steps": STEPS, "num_envs": 10, "val_every": 40, "checkpoint_every": 50}},
        "seeds": [1],
        "population": {"space": space, "members": MEMBERS, "generations": GENERATIONS, "replaced": 0.25},
        "report": {"episodes": 2},
    }
    return build(Plan, {**data, **change})


def _run(plan: Plan, ledger: Ledger, stop_after: int = 10**9) -> list[Cell]:
    source = PopulationSource(plan, ["default"], ledger)
    started: list[Cell] = []
    while len(started) < stop_after and (cell := source.next()) is not None:
        started.append(cell)
        folder = ledger.open_cell(cell)
        write_outcome(folder, outcome := member(cell, folder, lambda step, metrics: None))
        source.on_done(cell, outcome)
    return started


def test_generations_continue_and_the_worst_are_replaced(tmp_path: Path) -> None:
    plan, ledger = _plan(), Ledger(tmp_path)
    cells = _run(plan, ledger)
    assert len(cells) == MEMBERS * GENERATIONS + 1 == len({c.id for c in cells})
    (result,) = plan.cells()
    assert cells[-1].id == result.id and ledger.outcome(result) is not None and result.title == "base; default, seed 1"
    by_generation = [cells[i * MEMBERS : (i + 1) * MEMBERS] for i in range(GENERATIONS)]
    assert [{c.until for c in generation} for generation in by_generation] == [{100}, {200}, {300}]
    for before, after in zip(by_generation, by_generation[1:], strict=False):
        order = sorted(before, key=lambda c: ledger.outcome(c).objective)  # type: ignore[union-attr]
        parents = [c.parent for c in after]
        assert order[-1].id not in parents and parents.count(order[0].id) == 2
        child = after[before.index(order[-1])]
        lr, of = child.searched["ppo.lr"], order[0].searched["ppo.lr"]
        assert min(abs(lr / of - 0.8), abs(lr / of - 1.25)) < 1e-9 and child.experiment["ppo"]["lr"] == lr
    executed = sum(len((ledger.folder(c) / "executed.txt").read_text().split()) for c in cells[:-1])
    assert executed == MEMBERS * STEPS // 10, "every generation continues, none starts from nothing"
    assert PopulationSource(plan, ["default"], ledger).amount()[:3] == (1, 1, "populations")


@pytest.mark.parametrize("stop_after", [1, 4, 6, 12])
def test_a_killed_population_goes_on_where_it_was(tmp_path: Path, stop_after: int) -> None:
    plan = _plan()
    whole = [c.id for c in _run(plan, Ledger(tmp_path / "a"))]
    before = _run(plan, Ledger(tmp_path / "b"), stop_after)
    after = _run(plan, Ledger(tmp_path / "b"))
    assert [c.id for c in [*before, *after]] == whole


def test_a_lost_member_ends_its_population_alone(tmp_path: Path) -> None:
    source = PopulationSource(_plan(seeds=[1, 2]), ["default"], Ledger(tmp_path))
    first = source.next()
    assert first is not None and source.amount().steps_left == 2 * MEMBERS * STEPS
    source.on_failed(first)
    others = []
    while (cell := source.next()) is not None:
        others.append(cell)
    assert len(others) == MEMBERS and {c.seed for c in others} == {2}
    assert source.amount().steps_left == MEMBERS * STEPS


def test_checkpoints_are_inherited_once_and_whole(tmp_path: Path) -> None:
    for part in ("best", "last"):
        folder = tmp_path / "p" / "train" / part
        folder.mkdir(parents=True)
        (folder / "experiment.json").write_text('{"seed": 1}')
    child = tmp_path / "c"
    (child / ".train.new").mkdir(parents=True)  # left by a kill
    inherit(child, "p", {"seed": 2})
    assert json.loads((child / "train/last/experiment.json").read_text()) == {"seed": 2}
    assert json.loads((child / "train/best/experiment.json").read_text()) == {"seed": 1}
    inherit(child, "gone", {"seed": 3})
    assert json.loads((child / "train/last/experiment.json").read_text()) == {"seed": 2}, "its own go first"
    with pytest.raises(SweepError, match="parent's checkpoints; .* does not hold them"):
        inherit(tmp_path / "d", "gone", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 1}, "members at least 2"),
        (
            {"space": {"ppo.lr": {"kind": "float", "low": 2, "high": 1}}},
            "population.space.ppo.lr must have low <= high",
        ),
        ({"space": {"ppo.lrr": {"kind": "float", "low": 1, "high": 2}}}, "Did you mean 'lr'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict, message: str) -> None:
    space = {"ppo.lr": {"kind": "float", "low": 1e-4, "high": 1e-3}}
    data = {"name": "p", "question": "?", "seeds": [1], "population": {"space": space, **change}}
    (tmp_path / "plan.yaml").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=message):
        load_plan(tmp_path / "plan.yaml")
