"""A search without Ray: configurations, seeds, promotions and states as Optuna sees them."""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from rl_sched.config import build
from rl_sched.sweeps.ledger import Ledger, Outcome, write_outcome
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.study import StudySource, best_configuration
from rl_sched.testing.toy_trials import quality

STEPS, VAL_EVERY = 1000, 100


def _plan(**change) -> Plan:
    data = {
        "name": "search",
        "question": "?",
        "base": {"train": {"steps": STEPS, "val_every": VAL_EVERY}},
        "arms": {"network.name": ["mlp"]},
        "search": {"ppo.lr": {"kind": "float", "low": 1e-5, "high": 1e-1, "log": True}},
        "seeds": [1, 2, 3],
        "budget": {"configurations": 12, "survivors": 0.34},
    }
    return build(Plan, {**data, **change})


def _finish(ledger: Ledger, source: StudySource, cell: Cell, value: float) -> None:
    write_outcome(ledger.open_cell(cell), outcome := Outcome(value))
    source.on_done(cell, outcome)


def _run(plan: Plan, ledger: Ledger, *, curve: bool = False, stop_after: int = 10**9) -> list[Cell]:
    """Runs cells one after the other, as the engine does with one worker; returns those that were started."""
    source = StudySource(plan, ["default"], ledger)
    started: list[Cell] = []
    while len(started) < stop_after and (cell := source.next()) is not None:
        started.append(cell)
        value = quality(cell)
        points = range(VAL_EVERY, STEPS + 1, VAL_EVERY) if curve else ()
        if not any(source.on_val(cell, step, value * (2 - step / STEPS)) for step in points):
            _finish(ledger, source, cell, value)
    return started


def _trials(ledger: Ledger) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{ledger.root / 'study.db'}"
    (name,) = optuna.study.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "root").mkdir()
    return Ledger(tmp_path / "root")


def test_survivors_get_all_seeds_and_the_others_are_pruned(ledger: Ledger) -> None:
    plan = _plan()
    started = _run(plan, ledger)
    trials = _trials(ledger)
    states = Counter(t.state for t in trials)
    assert len(trials) == 12 and states[TrialState.COMPLETE] + states[TrialState.PRUNED] == 12
    assert 2 <= states[TrialState.COMPLETE] <= 8
    assert len(started) == 12 + 2 * states[TrialState.COMPLETE] == len({c.id for c in started})
    for trial in trials:
        cells = [plan.cell("network.name=mlp", "default", seed, trial.params) for seed in plan.seeds]
        assert trial.user_attrs["cells"] == [c.id for c in cells]
        if trial.state == TrialState.COMPLETE:
            assert trial.value == pytest.approx(statistics.fmean(quality(c) for c in cells))
        else:
            assert trial.user_attrs["promoted_after_1"] is False and trial.value == pytest.approx(quality(cells[0]))
    best = best_configuration(plan, "network.name=mlp", "default", ledger)
    assert best == min((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.value).params


def test_bad_curves_are_stopped_half_way(ledger: Ledger) -> None:
    _run(_plan(), ledger, curve=True)
    pruned = [t for t in _trials(ledger) if t.state == TrialState.PRUNED]
    half_way = [t for t in pruned if "promoted_after_1" not in t.user_attrs]
    assert half_way
    for trial in half_way:
        assert STEPS * 0.34 <= max(trial.intermediate_values) == trial.user_attrs["steps"] < STEPS


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5, 9])
def test_a_killed_search_goes_on_where_it_was(ledger: Ledger, stop_after: int) -> None:
    plan = _plan(budget={"configurations": 6})
    before = _run(plan, ledger, stop_after=stop_after)
    source = StudySource(plan, ["default"], ledger)
    lost = source.next()  # started, and then the driver is killed
    after = _run(plan, ledger)
    trials = _trials(ledger)
    assert len(trials) == 6 and not [t for t in trials if t.state in (TrialState.RUNNING, TrialState.FAIL)]
    assert lost is not None and lost.id in {c.id for c in after}
    assert not {c.id for c in before} & {c.id for c in after}, "finished cells are not repeated"


def test_a_killed_ask_is_closed(ledger: Ledger) -> None:
    plan = _plan(budget={"configurations": 3})
    StudySource(plan, ["default"], ledger)
    storage = f"sqlite:///{ledger.root / 'study.db'}"
    (name,) = optuna.study.get_all_study_names(storage)
    optuna.load_study(study_name=name, storage=storage).ask()  # killed before it had its values
    _run(plan, ledger)
    states = [t.state for t in _trials(ledger)]
    assert states[0] == TrialState.FAIL and len(states) == 4


def test_failures_and_nan_are_fail_and_do_not_use_up_the_budget(ledger: Ledger) -> None:
    plan = _plan(budget={"configurations": 4}, seeds=[1])
    source = StudySource(plan, ["default"], ledger)
    assert not source.tolerant
    source.on_failed(source.next())
    _finish(ledger, source, source.next(), float("nan"))
    while (cell := source.next()) is not None:
        _finish(ledger, source, cell, quality(cell))
    assert source.tolerant, "after a success, one bad configuration does not stop a search"
    states = Counter(t.state for t in _trials(ledger))
    assert states == {TrialState.FAIL: 2, TrialState.COMPLETE: 4}


def test_everything_failing_ends(ledger: Ledger) -> None:
    source = StudySource(_plan(budget={"configurations": 2}), ["default"], ledger)
    count = 0
    while (cell := source.next()) is not None:
        source.on_failed(cell)
        count += 1
    assert 2 < count < 100


def test_repeated_configurations_are_not_run_twice(ledger: Ledger) -> None:
    plan = _plan(
        search={"ppo.epochs": {"kind": "categorical", "choices": [1, 2]}}, seeds=[1], budget={"configurations": 8}
    )
    started = _run(plan, ledger)
    assert len(started) == 2 == len({c.id for c in started})
    complete = [t for t in _trials(ledger) if t.state == TrialState.COMPLETE]
    assert len(complete) == 8 and {t.params["ppo.epochs"] for t in complete} == {1, 2}


def test_two_at_a_time_and_arms_have_their_own_studies(ledger: Ledger) -> None:
    plan = _plan(arms={"network.name": ["mlp", "cross_attention"]}, budget={"configurations": 3}, seeds=[1, 2])
    source = StudySource(plan, ["default"], ledger)
    running = [source.next(), source.next()]
    seen = [c.id for c in running]
    while running:
        cell = running.pop(0)
        _finish(ledger, source, cell, quality(cell))
        while len(running) < 2 and (cell := source.next()) is not None:
            running.append(cell)
            seen.append(cell.id)
    assert len(seen) == len(set(seen))
    assert source.amount()[:2] == (6, 6)
    storage = f"sqlite:///{ledger.root / 'study.db'}"
    assert len(optuna.study.get_all_study_names(storage)) == 2
