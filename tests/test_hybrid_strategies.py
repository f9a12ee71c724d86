"""Strategies that split tasks: conformance of every name, the published totals, races, records."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import ConfigError
from rl_sched.hybrid import PRESETS, STRATEGIES
from rl_sched.hybrid.agent import RlAgent
from rl_sched.hybrid.features import RELATIVE
from rl_sched.hybrid.prepared import TRAIN_SEED, ready
from rl_sched.hybrid.race import SIX, Race
from rl_sched.hybrid.records import TaskResult, write_tasks, write_totals
from rl_sched.hybrid.rules import Random
from rl_sched.hybrid.tasks import TaskStream
from rl_sched.rl.plain_dqn import WEIGHTS
from rl_sched.testing.strategies import Make, StrategyConformance, check_features

#: Sums of times of 20,000 tasks of seed 999 in the ``hybrid`` system, as published (whole seconds).
GOLDEN_S = {
    "round_robin": 3863, "random": 3729, "greedy": 3518, "cpu_only": 4418, "gpu_only": 3037, "oracle": 2732,
}  # fmt: skip


def some_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """A network as small as possible that knows nothing."""
    rng = np.random.default_rng(seed)
    shapes = [(8, len(RELATIVE)), (8,), (8, 8), (8,), (5, 8), (5,), (1, 8), (1,)]
    return {n: rng.normal(size=shape).astype(np.float32) for n, shape in zip(WEIGHTS, shapes, strict=True)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an agent that knows nothing; what else has to be trained will be, into it."""
    folder = tmp_path_factory.mktemp("models")
    for preset in PRESETS:
        RlAgent(some_weights()).save(folder / f"rl_agent-{preset}-{TRAIN_SEED}.npz")
    return folder


class TestStrategies(StrategyConformance):
    @pytest.fixture(params=list(STRATEGIES))
    def make(self, request: pytest.FixtureRequest, models: Path) -> Make:
        return lambda preset: ready([request.param], preset, models)[request.param]


@pytest.mark.parametrize("preset", list(PRESETS))
def test_features_are_finite(preset: str) -> None:
    check_features(preset)


def test_published_totals_of_the_compatibility_preset() -> None:
    names = [name for name in GOLDEN_S if name != "random"]
    race = Race(names, "compatibility", 999, 20_000)
    race.step(20_000)
    totals = race.totals()
    for name in names:
        assert round(totals[name].total_time_s) == GOLDEN_S[name], name
    fractions = race.engine("oracle").tasks["fraction"]
    assert (fractions == 0).sum() == 6851 and (fractions == 1).sum() == 13_149


def test_published_total_of_random_draws_on_from_the_tasks() -> None:
    preset = PRESETS.create("compatibility")
    strategy = Random()
    stream = TaskStream(preset.law, 999)
    stream.take(20_000)
    strategy.rng = stream.rng
    race = Race({"random": strategy}, "compatibility", 999, 20_000)
    race.step(20_000)
    assert round(race.totals()["random"].total_time_s) == GOLDEN_S["random"]


def test_a_race_is_run_on_the_same_tasks() -> None:
    race = Race(["cpu_only", "greedy", "oracle"], "default", 3)
    rows: dict[str, dict[int, TaskResult]] = {name: {} for name in race.names}
    for n in (1, 2, 300, 97):
        for name, step in race.step(n).items():
            assert len(step.results) == n
            rows[name].update({row.task: row for row in step.results})
    assert {len(of) for of in rows.values()} == {400}
    common = set.intersection(*(set(of) for of in rows.values()))
    assert len(common) > 300
    for task in common:
        assert len({(of[task].arrival_s, of[task].size, of[task].memory_mb) for of in rows.values()}) == 1
    assert all(row.fraction == 0 and row.gpu == -1 for row in rows["cpu_only"].values())
    assert all(row.fraction == row.best_fraction for row in rows["oracle"].values())


def test_the_oracle_has_the_smallest_total_and_totals_add_up() -> None:
    race = Race([name for name in SIX if name not in ("hybrid_ml", "rl_agent")], "default", 999, 2000)
    assert race.totals() == {}
    results = race.step(2000)
    totals = race.totals()
    assert min(totals, key=lambda name: totals[name].total_time_s) == "oracle"
    for name, total in totals.items():
        rows = results[name].results
        assert total.tasks == 2000
        assert total.total_time_s == pytest.approx(sum(row.latency_s for row in rows))
        assert total.cost_usd == pytest.approx(sum(row.cost_usd for row in rows))
        assert total.energy_j == pytest.approx(sum(row.energy_j for row in rows))
        span = max(row.finish_s for row in rows) - min(row.arrival_s for row in rows)
        assert total.makespan_s == pytest.approx(span)
        assert total.throughput_per_s == pytest.approx(2000 / span)
        assert 0 < total.cpu_busy_frac < 1 and 0 < total.gpu_busy_frac < 1
        idle_w = 4 * 20 * (1 - total.cpu_busy_frac) + 2 * 30 * (1 - total.gpu_busy_frac)
        assert total.idle_energy_j == pytest.approx(idle_w * span)


def test_records_go_to_csv(tmp_path: Path) -> None:
    race = Race(["greedy", "oracle"], "default", 1, 30)
    rows = [row for step in race.step(30).values() for row in step.results]
    write_tasks(tmp_path / "tasks.csv", rows)
    write_totals(tmp_path / "totals.csv", list(race.totals().values()))
    with (tmp_path / "tasks.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["strategy"] for row in read] == ["greedy"] * 30 + ["oracle"] * 30
    assert float(read[7]["finish_s"]) == rows[7].finish_s
    with (tmp_path / "totals.csv").open() as file:
        assert [row["tasks"] for row in csv.DictReader(file)] == ["30", "30"]


def test_unknown_names_are_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'oracle'"):
        Race(["orakle"])
    with pytest.raises(ConfigError, match="Did you mean 'default'"):
        Race(["oracle"], "defualt")
    with pytest.raises(ConfigError, match="low <= high"):
        Random(low=0.9)


def test_random_draws_by_its_seed(tmp_path: Path) -> None:
    rows = []
    for seed in (0, 0, 1):
        race = Race(ready(["random"], "default", tmp_path, seed=seed), "default", 2, 20)
        rows.append([row.fraction for row in race.step(20)["random"].results])
    assert rows[0] == rows[1] != rows[2]
