"""Samplers, objectives, stages and stoppers of a search, without Ray."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from rl_sched.config import build
from rl_sched.errors import ConfigError, SweepError
from rl_sched.sweeps import search_notes, studies
from rl_sched.sweeps.goals import Goal, costs_of, dominates, dominators
from rl_sched.sweeps.ledger import Ledger, Outcome, write_outcome
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.samplers import SAMPLERS, make_sampler
from rl_sched.sweeps.settings import Budget, SamplerConfig
from rl_sched.sweeps.stoppers import STOPPERS, best_until, halving, median
from rl_sched.sweeps.study import StudySource
from rl_sched.testing.toy_trials import quality

ARM = "network.name=mlp"
LR = {"ppo.lr": {"kind": "float", "low": 1e-5, "high": 1e-1, "log": True}}
TWO = {**LR, "ppo.clip": {"kind": "float", "low": 0.1, "high": 0.3}}


def _plan(**change) -> Plan:
    data = {
        "name": "search",
        "question": "?",
        "base": {"train": {"steps": 1000, "val_every": 100}},
        "arms": {"network.name": ["mlp"]},
        "search": TWO,
        "seeds": [1],
        "budget": {"configurations": 12},
    }
    return build(Plan, {**data, **change})


def _outcome(cell: Cell) -> Outcome:
    """Completion time against energy: the clip range buys one for the other."""
    clip, value = cell.experiment["ppo"]["clip"], quality(cell)
    return Outcome(value, {"val/mean_jct_s": value + 100 * clip, "val/energy_kwh": 100 - 100 * clip})


def _run(plan: Plan, ledger: Ledger, at_a_time: int = 1, stop_after: int = 10**9) -> list[Cell]:
    source = StudySource(plan, ["default"], ledger)
    running: list[Cell] = []
    seen: list[Cell] = []
    while len(seen) < stop_after:
        while len(running) < at_a_time and (cell := source.next()) is not None:
            running.append(cell)
            seen.append(cell)
        if not running:
            break
        cell = running.pop(0)
        write_outcome(ledger.open_cell(cell), outcome := _outcome(cell))
        source.on_done(cell, outcome)
    return seen


def _trials(ledger: Ledger, plan: Plan) -> list[optuna.trial.FrozenTrial]:
    storage = studies.open_storage(plan, ledger)
    return optuna.load_study(study_name=studies.study_name(plan, ARM, "default"), storage=storage).trials


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "root").mkdir()
    return Ledger(tmp_path / "root")


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_searches_and_is_reported(ledger: Ledger, name: str) -> None:
    space = {path: {**d, "points": 3} for path, d in TWO.items()}
    params = {"members": 4} if name == "nsga2" else {}
    budget = {"configurations": 8}
    plan = _plan(sampler={"name": name, "random_first": 4, "params": params}, search=space, budget=budget)
    cells = _run(plan, ledger, at_a_time=2)
    trials = _trials(ledger, plan)
    assert {t.state for t in trials} == {TrialState.COMPLETE} and len(trials) == 8
    informed = studies.suggestions(plan, ARM, "default", ledger)
    assert len({c.id for c in cells}) == len(cells) == informed.total - informed.repeated
    assert informed.total == len(trials) and informed.informed == [t.user_attrs["informed"] for t in trials].count(True)
    # Two at a time: one of the first four is not judged yet when the fifth is asked for.
    expected = {"tpe": 3, "gp": 3, "cma_es": 3, "nsga2": 3, "random": 0, "grid": 0}
    assert informed.informed == expected[name]
    (note,) = search_notes.notes_of(plan, ["default"], ledger)
    assert f"(sampler {name})" in note and f"{informed.informed} were suggested by a sampler that" in note
    assert search_notes.front_tables(plan, ["default"], ledger) == []


def _late_mean(name: str, seed: int, at_a_time: int = 8, total: int = 48) -> float:
    """Mean of the second half of the suggestions, asked for several at a time, on a bowl with its bottom at 1e-3."""
    space = build(Plan, {"name": "n", "question": "?", "seeds": [1], "search": LR}).search
    sampler = make_sampler(SamplerConfig(name, random_first=8), space, seed, 1)
    study = optuna.create_study(sampler=sampler.optuna)
    running: list[tuple[optuna.Trial, float]] = []
    values = []
    for _ in range(total):
        if len(running) == at_a_time:
            trial, value = running.pop(0)
            study.tell(trial, value)
        trial = study.ask()
        values.append(abs(math.log10(trial.suggest_float("ppo.lr", 1e-5, 1e-1, log=True)) + 3))
        running.append((trial, values[-1]))
    return statistics.fmean(values[total // 2 :])


def test_suggestions_side_by_side_do_not_become_random() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    late, chance = (statistics.fmean(_late_mean(name, seed) for seed in range(3)) for name in ("tpe", "random"))
    assert late < 0.7 * chance


def test_several_objectives_have_a_front(ledger: Ledger) -> None:
    plan = _plan(objectives=[{"metric": "mean_jct_s"}, {"metric": "energy_kwh"}], sampler={"name": "nsga2"})
    cells = _run(plan, ledger)
    assert all(cell.goals == ("mean_jct_s", "energy_kwh") for cell in cells)
    front = studies.pareto_front(plan, ARM, "default", ledger)
    vectors = [tuple(t.values) for t in _trials(ledger, plan)]
    assert [one.values for one in front] == sorted({v for v in vectors if not any(dominates(o, v) for o in vectors)})
    assert studies.best_configuration(plan, ARM, "default", ledger) == front[0].searched
    (table,) = search_notes.front_tables(plan, ["default"], ledger)
    assert "mean_jct_s (minimize)" in table and len(table.splitlines()) == 3 + len(front)
    assert _plan(search=LR, objectives=[{"metric": "energy_kwh"}]).sweep_id != _plan(search=LR).sweep_id


def test_several_objectives_prune_by_dominance_and_fail_without_a_metric(ledger: Ledger) -> None:
    goals = [{"metric": "mean_jct_s"}, {"metric": "energy_kwh"}]
    plan = _plan(objectives=goals, seeds=[1, 2, 3], budget={"configurations": 10, "survivors": 0.3})
    _run(plan, ledger)
    states = [t.state for t in _trials(ledger, plan)]
    assert states.count(TrialState.PRUNED) >= 3 and states.count(TrialState.COMPLETE) >= 1
    assert all(t.user_attrs["steps"] == 1000 for t in _trials(ledger, plan) if t.state == TrialState.PRUNED)
    other = _plan(objectives=goals, base={"train": {"steps": 2000}})
    source = StudySource(other, ["default"], ledger)
    cell = source.next()
    assert cell is not None
    source.on_done(cell, Outcome(1.0, {"val/mean_jct_s": 1.0}))
    assert [t.state for t in _trials(ledger, other)] == [TrialState.FAIL]


def test_seeds_widen_by_stages_for_survivors(ledger: Ledger) -> None:
    plan = _plan(search=LR, seeds=[1, 2, 3, 4, 5], budget={"configurations": 14, "survivors": 0.4})
    cells = _run(plan, ledger)
    per: dict[float, int] = {}
    for cell in cells:
        per[cell.searched["ppo.lr"]] = per.get(cell.searched["ppo.lr"], 0) + 1
    assert set(per.values()) == {1, 3, 5} and list(per.values()).count(1) > list(per.values()).count(3)
    for trial in _trials(ledger, plan):
        seeds = per[trial.params["ppo.lr"]]
        assert (trial.state == TrialState.COMPLETE) == (seeds == 5)
        assert [n for n in (1, 3) if f"promoted_after_{n}" in trial.user_attrs] == [n for n in (1, 3) if n <= seeds]


def test_more_seeds_and_configurations_extend_a_search(ledger: Ledger) -> None:
    plan = _plan(search=LR, seeds=[1, 2], budget={"configurations": 6, "survivors": 0.5})
    before = _run(plan, ledger)
    old = studies.complete_of(_trials(ledger, plan))
    longer = _plan(search=LR, seeds=[1, 2, 3], budget={"configurations": 8, "survivors": 0.5})
    assert longer.sweep_id == plan.sweep_id
    after = _run(longer, ledger, stop_after=1) + _run(longer, ledger)
    assert not {c.id for c in before} & {c.id for c in after}, "what is done is not repeated"
    trials = _trials(ledger, longer)
    extended = [t for t in trials if "extends" in t.user_attrs]
    assert len(extended) == max(1, -(-len(old) // 2)) and len(trials) == 8 + len(extended)
    best = min(old, key=lambda t: t.value)
    assert extended[0].params == best.params and len(extended[0].user_attrs["cells"]) == 3
    assert {c.seed for c in after if c.searched == best.params} == {3}
    assert len(studies.complete_of(trials)) >= len(extended)
    assert studies.pareto_front(longer, ARM, "default", ledger)[0].seeds == 3


def test_arms_of_a_search_get_equal_budgets_at_any_time(ledger: Ledger) -> None:
    plan = _plan(search=LR, arms={"network.name": ["mlp", "cross_attention"]}, budget={"configurations": 5})
    arms = [cell.arm for cell in _run(plan, ledger)]
    for end in range(len(arms)):
        assert abs(arms[:end].count(ARM) - arms[:end].count("network.name=cross_attention")) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": {"name": "tpee"}}, "Unknown sampler 'tpee'. Did you mean 'tpe'"),
        ({"sampler": {"params": {"liar": 1}}}, "The sampler 'tpe' has no parameter 'liar'"),
        ({"sampler": {"name": "cma_es"}, "search": LR}, "at least two dimensions"),
        ({"objectives": [{"metric": "mean_jct"}]}, r"objectives\[0\].metric: unknown metric .* 'mean_jct_s'"),
        ({"objectives": [{"metric": "energy_kwh", "direction": "down"}]}, "minimize or maximize"),
        ({"objectives": [{"metric": "energy_kwh"}] * 2}, "every metric once"),
        ({"objectives": [{"metric": "energy_kwh"}], "search": {}}, "has no search"),
        ({"early_stop": {"rule": "mean"}}, "Unknown stopper 'mean'. Did you mean 'median'"),
        ({"budget": {"trials": 0}}, "budget.trials must be above 0"),
        ({"budget": {"stages": [3, 1]}}, "growing numbers of seeds"),
        ({"design": "leave_one"}, "unknown design 'leave_one'. Did you mean 'leave_one_out'"),
        ({"storage": "postgresql://me:secret@host/db"}, "must hold no password"),
        ({"population": {"space": LR, "members": 2}}, "a population or a search"),
    ],
)
def test_mistakes_are_named(change: dict, message: str) -> None:
    from rl_sched.sweeps.plan_checks import check_plan

    with pytest.raises(ConfigError, match=message):
        check_plan(_plan(**change))


def test_a_storage_that_is_away_is_named(ledger: Ledger) -> None:
    with pytest.raises(SweepError, match="needs a database driver|must be reachable"):
        studies.open_storage(_plan(storage="postgresql://127.0.0.1:1/none"), ledger)


def test_stages_and_expected_trials() -> None:
    assert [Budget().stages_of(n) for n in (1, 2, 3, 5, 8)] == [[1], [1, 2], [1, 3], [1, 3, 5], [1, 3, 5, 8]]
    assert Budget(stages=(2, 4)).stages_of(5) == [2, 4, 5]
    assert Budget(survivors=0.5).trials_per_configuration(5) == 1 + 2 * 0.5 + 2 * 0.25


def test_stoppers() -> None:
    others = [{1: 10.0, 2: float(value)} for value in range(10)]
    assert list(STOPPERS) == ["none", "median", "halving"]
    assert median({1: 5.0, 2: 4.6}, others, 2, 0.5) and not median({1: 5.0, 2: 4.4}, others, 2, 0.5)
    assert median({2: 1.5}, others, 2, 0.1), "keep is the fraction that goes on"
    assert halving({2: 6.0}, others, 2, 0.5) and not halving({2: 2.0}, others, 2, 0.5)
    assert not halving({3: 99.0}, [{3: 1.0}] * 4, 3, 0.5), "only at powers of two"
    assert best_until({1: 3.0, 2: 5.0}, 2) == 3.0 and best_until({}, 2) == float("inf")


vectors = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


@given(vectors)
def test_what_nothing_dominates_is_there_and_nothing_dominates_itself(points: list[tuple[int, int]]) -> None:
    front = [p for p in points if dominators(p, points) == 0]
    assert front and not any(dominates(p, p) for p in points)
    for p in points:
        assert dominators(p, points) == 0 or any(dominates(f, p) for f in front)


def test_costs_of_goals() -> None:
    metrics = {"val/jain_user_frac": 0.9, "val/energy_kwh": 2.0}
    assert costs_of((), 7.0, metrics) == (7.0,)
    assert costs_of((Goal("jain_user_frac"), Goal("energy_kwh", "maximize")), 7.0, metrics) == (-0.9, -2.0)
