"""The protocol: common random numbers, tidy rows, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl_sched.config import ExperimentConfig
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.evaluation import protocol
from rl_sched.evaluation.openings import LEDGER, openings, record_opening
from rl_sched.evaluation.scores import ALL_WORKLOADS, COLUMNS, check_table, objective_of, policies_of
from rl_sched.policies import POLICIES
from rl_sched.policies.bounds.lower import lower_bounds
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.result import RunResult
from rl_sched.sim.simulator import simulate
from tests.evaluation_cases import ablation


@dataclass
class Trained:
    """A learned policy in the eyes of the protocol: a rule with a training seed."""

    rule: str
    experiment: ExperimentConfig = field(default_factory=lambda: ExperimentConfig(seed=7))
    shift: int = 0

    def play_episodes(self, scenario, seeds) -> list[tuple[RunResult, dict]]:
        policy = POLICIES.create(self.rule)
        workloads = [scenario.workload(seed + self.shift) for seed in seeds]
        return [(simulate(policy, w, scenario.cluster, scenario.rules), {"episode_return": 0.5}) for w in workloads]


def test_bounds_are_computed_once_a_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = SCENARIOS.create("default")
    seeds = list(scenario.seeds.val[-3:])
    rules = protocol.baselines(scenario, ("fifo_backfill",))
    first = protocol.evaluate(rules, scenario, seeds)
    monkeypatch.setattr("rl_sched.policies.bounds.lower.lower_bounds", lambda workload, cluster: 1 / 0)
    pd.testing.assert_frame_equal(protocol.evaluate(rules, scenario, seeds), first)
    with pytest.raises(ZeroDivisionError):
        protocol.evaluate(rules, scenario, [seeds[0] - 100])


def test_rules_and_learned_policies_face_the_same_workloads() -> None:
    scenario = SCENARIOS.create("default")
    seeds = protocol.choose_seeds(scenario, "val", 3)
    assert seeds == list(scenario.seeds.val[:3])
    order: list[str] = []
    policies = {"learned": Trained("sjf_backfill"), **protocol.baselines(scenario, ("sjf_backfill", "min_min"))}
    table = protocol.evaluate(policies, scenario, seeds, on_policy=order.append)
    assert order == ["learned", "sjf_backfill", "min_min"]
    assert tuple(table.columns) == COLUMNS
    check_table(table)
    found = policies_of(table)
    assert found["learned"].seed_scores.keys() == {7} and found["min_min"].seed_scores.keys() == {-1}
    assert found["learned"].learned and not found["min_min"].learned
    pd.testing.assert_series_equal(found["learned"].workload_scores, found["sjf_backfill"].workload_scores)
    assert list(found["min_min"].workloads) == seeds
    assert 60 < found["min_min"].seed_scores[-1] < found["sjf_backfill"].seed_scores[-1] < 300
    run = simulate(POLICIES.create("min_min"), scenario.workload(seeds[1]), scenario.cluster, scenario.rules)
    assert found["min_min"].workload_scores[seeds[1]] == pytest.approx(run.jct_s.mean())
    cdf = table[(table["eval_seed"] == ALL_WORKLOADS) & (table["policy"] == "min_min")]
    assert cdf["value"].is_monotonic_increasing and cdf["value"].iloc[-1] == 1.0
    (least_s,) = table.query("eval_seed == @seeds[1] and metric == 'mean_jct_bound_s'")["value"].unique()
    assert least_s * len(run.jct_s) == lower_bounds(scenario.workload(seeds[1]), scenario.cluster).total_jct_s
    assert (table.loc[table["metric"].isin(["mean_jct_gap_frac", "makespan_gap_frac"]), "value"] > 0).all()
    assert protocol.summary(table[table["policy"] == "min_min"])["mean_jct_s"] == found["min_min"].seed_scores[-1]


def test_another_workload_for_the_same_seed_is_refused() -> None:
    scenario = SCENARIOS.create("default")
    policies = {"rule": POLICIES.create("fifo_backfill"), "cheat": Trained("sjf_backfill", shift=1)}
    with pytest.raises(ConfigError, match="'cheat' faced another one"):
        protocol.evaluate(policies, scenario, [scenario.seeds.val[0]])


def test_a_scenario_with_its_own_objective_is_judged_by_it() -> None:
    scenario = SCENARIOS.create("ppo-jobs")
    trained = Trained("sjf_backfill", ExperimentConfig(seed=3))
    policies = {"learned": trained, "sjf_backfill": POLICIES.create("sjf_backfill")}
    table = protocol.evaluate(policies, scenario, protocol.choose_seeds(scenario, "val", 2))
    objective = objective_of(table)
    assert (objective.metric, objective.lower_is_better) == ("episode_return", False)
    scores = policies_of(table, objective.metric)
    assert scores["learned"].seed_scores == {3: 0.5}
    assert 0.3 < scores["sjf_backfill"].seed_scores[-1] < 0.7


def test_a_planner_plays_for_returns_too() -> None:
    """Every workload gets a player of its own: alone or side by side they play the same."""
    scenario = replace(SCENARIOS.create("ppo-jobs"), num_jobs=12)
    whole = scenario.make
    scenario = replace(scenario, make=lambda seed: whole(seed).take(np.arange(12)))
    seeds = protocol.choose_seeds(scenario, "val", 3)
    planner = POLICIES.create("jps", samples=4)
    table = protocol.evaluate({"jps": planner, "again": planner}, scenario, seeds)
    returns = table[table.metric == "episode_return"].pivot(index="eval_seed", columns="policy", values="value")
    assert np.isfinite(returns.to_numpy()).all() and returns["jps"].equals(returns["again"])
    alone = protocol.evaluate({"jps": planner}, scenario, seeds[1:2])
    assert returns["jps"][seeds[1]] == alone[alone.metric == "episode_return"].value.item()


@pytest.mark.slow
def test_published_returns_of_the_ppo_jobs_benchmark() -> None:
    scenario = SCENARIOS.create("ppo-jobs")
    policies = protocol.baselines(scenario, ("fifo_backfill", "sjf_backfill"))
    table = protocol.evaluate(policies, scenario, list(scenario.seeds.val))
    found = policies_of(table, "episode_return")
    assert round(found["fifo_backfill"].seed_scores[-1], 3) == 0.369
    assert round(found["sjf_backfill"].seed_scores[-1], 3) == 0.529


@pytest.mark.parametrize("episodes", [0, -3, 100_000])
def test_number_of_episodes_is_checked(episodes: int) -> None:
    scenario = SCENARIOS.create("default")
    with pytest.raises(ConfigError, match=r"between 1 and 1024, the VAL seeds of scenario 'default'"):
        protocol.choose_seeds(scenario, "val", episodes)


def test_baselines_are_registered_and_unknown_ones_are_named() -> None:
    assert protocol.SJF in protocol.BASELINES
    scenario = SCENARIOS.create("default")
    rules = protocol.baselines(scenario)
    assert list(rules) == [*protocol.BASELINES, *(f"{name}_tuned" for name in scenario.tuned)]
    assert rules["min_min_tuned"] == POLICIES.create("min_min", **scenario.tuned["min_min"])
    with pytest.raises(ConfigError, match="Did you mean 'min_min'"):
        protocol.baselines(scenario, ["min_mim"])


def test_evaluation_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs policies and seeds"):
        protocol.evaluate({}, SCENARIOS.create("default"), [1])


def test_tables_that_are_not_tidy_are_refused() -> None:
    table = ablation(seeds=2, episodes=2)
    with pytest.raises(ConfigError, match="train_seed is missing"):
        check_table(table.drop(columns="train_seed"))
    with pytest.raises(ConfigError, match="is there twice"):
        check_table(pd.concat([table, table.iloc[:1]]))
    with pytest.raises(ConfigError, match="at least one row"):
        check_table(table.iloc[:0])
    with pytest.raises(ConfigError, match="metric 'nonsense'"):
        policies_of(table, "nonsense")
    first = table["policy"].iloc[0]
    hole = (table["policy"] == first) & (table["eval_seed"] == 1001) & (table["train_seed"] == 2)
    with pytest.raises(ConfigError, match="same workloads; some results are missing"):
        policies_of(table[~hole])
    fewer = (table["policy"] == "min_min") & (table["eval_seed"] == 1001)
    with pytest.raises(ConfigError, match="common random numbers"):
        policies_of(table[~fewer])


def test_openings_are_counted_in_the_checkpoint(tmp_path: Path) -> None:
    assert openings(tmp_path) == []
    assert record_opening(tmp_path, "default", 128) == 1
    (tmp_path / LEDGER).open("a").write('{"time": "20')  # a crash in the middle of a line
    (tmp_path / LEDGER).open("a").write("\n")
    assert record_opening(tmp_path, "philly", 64) == 3
    assert [e.get("scenario") for e in openings(tmp_path)] == ["default", None, "philly"]
    with pytest.raises(CheckpointError, match="must be recorded"):
        record_opening(tmp_path / "missing", "default", 1)


def test_trained_stand_in_is_what_the_protocol_expects() -> None:
    from rl_sched.rl.learned_policy import LearnedPolicy

    assert isinstance(Trained("fifo"), protocol.EpisodePolicy)
    assert callable(LearnedPolicy.play_episodes)
    assert not isinstance(POLICIES.create("fifo"), protocol.EpisodePolicy)
    assert replace(ExperimentConfig(), seed=2).seed == 2
