"""The machine that runs split tasks: against a slow model, and the exact best fraction against a fine grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.errors import ConfigError, SimulationError
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.model import Machine
from rl_sched.hybrid.presets import compatibility, default
from rl_sched.hybrid.rules import CpuOnly, Oracle, Rule
from rl_sched.hybrid.strategy import Situations
from rl_sched.hybrid.tasks import TaskLaw, TaskStream
from tests.reference import hybrid_model

N = 70
GRID = np.linspace(0.0, 1.0, 1001)

LAWS = st.builds(
    TaskLaw,
    rate_per_s=st.sampled_from([3.0, 30.0, 300.0]),
    parent_prob=st.sampled_from([0.0, 0.2, 0.9]),
    parent_window=st.sampled_from([3, 50]),
    size_shape=st.sampled_from([0.5, 1.5]),
)
QUEUES = st.builds(
    Machine,
    num_cpus=st.integers(1, 3),
    num_gpus=st.integers(1, 3),
    gpu_memory_mb=st.sampled_from([150.0, 1500.0, 12_000.0]),
    link_mb_per_s=st.sampled_from([500.0, 16_000.0]),
    launch_s=st.sampled_from([0.0, 0.002, 0.2]),
    merge_s=st.sampled_from([0.0, 0.05]),
    overlap=st.booleans(),
    dependencies=st.booleans(),
)
WEIGHTS = st.sampled_from([0.0, 0.2, 1.0])
ALONE = st.builds(
    Machine, queues=st.just(False), overlap=st.booleans(), launch_s=st.sampled_from([0.0, 0.1]),
    merge_s=st.sampled_from([0.0, 0.1]), gpu_memory_mb=st.sampled_from([1500.0, float("inf")]),
    dependencies=st.booleans(),
)  # fmt: skip
BLENDED = st.builds(
    Machine, queues=st.just(False), overlap=st.just(False), blended_power=st.just(True), energy_weight=WEIGHTS,
    gpu_busy_w=st.sampled_from([50.0, 100.0, 200.0]),
)  # fmt: skip


class Table(Rule):
    """Fractions by the number of the task."""

    def __init__(self, fractions: np.ndarray) -> None:
        self.fractions = fractions

    def decide(self, situations: Situations) -> np.ndarray:
        return self.fractions[situations.task]


def fractions(seed: int) -> np.ndarray:
    """All kinds of fractions, the two ends among them."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(N) < 0.4, rng.integers(0, 2, N), rng.random(N))


def run(machine: Machine, law: TaskLaw, seed: int, table: np.ndarray) -> Engine:
    engine = Engine(machine, TaskStream(law, seed), N)
    engine.play(Table(table), N)
    return engine


@settings(max_examples=60)
@given(machine=st.one_of(QUEUES, ALONE, BLENDED), law=LAWS, seed=st.integers(0, 10_000))
def test_equals_the_slow_model(machine: Machine, law: TaskLaw, seed: int) -> None:
    table = fractions(seed)
    rows = run(machine, law, seed, table).tasks
    slow = hybrid_model.simulate(machine, TaskStream(law, seed).take(N), lambda t: float(table[t]))
    for t, row in enumerate(rows):
        expected = slow[t]
        assert row["ready_s"] == pytest.approx(expected.ready, abs=1e-9)
        assert row["finish_s"] == pytest.approx(expected.finish, abs=1e-9)
        assert row["energy_j"] == pytest.approx(expected.energy)
        assert row["cost_usd"] == pytest.approx(expected.cost)
        assert row["gpu"] == expected.gpu


@settings(max_examples=30)
@given(machine=QUEUES, law=LAWS, seed=st.integers(0, 10_000))
def test_devices_are_not_shared_and_memory_is_not_exceeded(machine: Machine, law: TaskLaw, seed: int) -> None:
    tasks = run(machine, law, seed, fractions(seed)).tasks
    for g in range(machine.num_gpus):
        on = tasks[tasks["gpu"] == g]
        on = on[np.argsort(on["gpu_start_s"], kind="stable")]
        assert (on["gpu_start_s"][1:] >= on["gpu_end_s"][:-1] - 1e-9).all()
        for time in on["copy_start_s"]:
            held = (on["copy_start_s"] <= time) & (time < on["gpu_end_s"])
            assert on["gpu_mb"][held].sum() <= machine.gpu_memory_mb + 1e-3
    for c in range(machine.num_cpus):
        on = tasks[tasks["cpu"] == c]
        on = on[np.argsort(on["cpu_start_s"], kind="stable")]
        assert (on["cpu_start_s"][1:] >= on["cpu_end_s"][:-1] - 1e-9).all()
    assert (tasks["ready_s"] >= tasks["arrival_s"]).all()
    assert (tasks["finish_s"] > tasks["ready_s"]).all()


@settings(max_examples=40)
@given(machine=st.one_of(QUEUES, ALONE, BLENDED), weight=WEIGHTS, law=LAWS, seed=st.integers(0, 10_000))
def test_no_fraction_of_a_fine_grid_beats_the_best_one(
    machine: Machine, weight: float, law: TaskLaw, seed: int
) -> None:
    machine = replace(machine, energy_weight=weight)
    engine = Engine(machine, TaskStream(law, seed), N)
    table = fractions(seed)
    while len(s := engine.look(1)):
        task = int(s.task[0])
        if task % 7 == 0:  # the queues get long by then
            _, best = engine.trial(task, float(s.best[0]))
            on_grid = min(engine.trial(task, f)[1] for f in GRID)
            assert best <= on_grid + 1e-9
            near = [engine.trial(task, min(1.0, max(0.0, float(s.best[0]) + step)))[1] for step in (-1e-5, 1e-5)]
            assert best <= min(near) + 1e-9
        engine.carry_out(s, table[s.task])


def test_the_best_fraction_is_neither_0_nor_1_for_most_tasks() -> None:
    preset = default()
    engine = Engine(preset.machine, preset.stream(1), 2000)
    engine.play(Oracle(), 2000)
    best = engine.best(np.arange(2000))
    assert ((0.05 < best) & (best < 0.95)).mean() > 0.5
    np.testing.assert_array_equal(best, engine.tasks["fraction"])


def test_closed_form_of_the_compatibility_preset() -> None:
    preset = compatibility()
    engine = Engine(preset.machine, preset.stream(3), 3000)
    s = engine.look(3000)
    on_gpu = s.column("duration_s") / (1 + 3 * s.column("intensity")) + s.column("memory_mb") / 16_000
    np.testing.assert_array_equal(s.best, np.where(on_gpu < s.column("duration_s"), 1.0, 0.0))


def test_formulas_of_the_compatibility_preset() -> None:
    preset = compatibility()
    engine = Engine(preset.machine, preset.stream(5), N)
    f = fractions(5)
    engine.play(Table(f), N)
    t = engine.tasks
    d = (t["size"] / 1000) ** 1.5 / (t["intensity"] + 0.5)
    gpu = d / (1 + 3 * t["intensity"]) + t["memory_mb"] / 16_000
    time = f * gpu + (1 - f) * d
    np.testing.assert_allclose(t["finish_s"] - t["arrival_s"], time, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(t["energy_j"], (200 * f + 100 * (1 - f)) * time, rtol=1e-9)
    np.testing.assert_allclose(t["cost_usd"], (1e-4 * f + 2e-5 * (1 - f)) * time, rtol=1e-9)


def test_step_sizes_change_nothing() -> None:
    preset, table = default(), np.random.default_rng(0).random(900)
    whole = Engine(preset.machine, preset.stream(2), 900)
    whole.play(Table(table), 900)
    pieces = Engine(preset.machine, preset.stream(2))  # endless: it must look ahead by itself
    while pieces.decided < 600:
        ids, _ = pieces.play(Table(np.resize(table, 5000)), 7)
        assert len(ids) == 7
    decided = pieces.tasks["fraction"] >= 0
    decided[900:] = False
    np.testing.assert_array_equal(
        pieces.tasks["finish_s"][decided], whole.tasks["finish_s"][: len(decided)][decided[:900]]
    )


def test_load_is_what_the_rows_say() -> None:
    preset = default()
    engine = Engine(replace(preset.machine, gpu_memory_mb=2000.0), preset.stream(4), 200)
    engine.play(Table(np.full(200, 0.7)), 150)
    load = engine.load()
    assert load.cpu_busy.shape == (4,) and load.gpu_memory_mb.shape == (2,)
    assert (load.gpu_memory_mb <= 2000.0 + 1e-6).all()
    assert ((load.gpu_wait_s > 0) | ~load.gpu_busy).all()


@pytest.mark.parametrize("wrong", [np.array([1.5]), np.array([-0.1]), np.array([np.nan]), np.zeros(2)])
def test_wrong_fractions_are_told(wrong: np.ndarray) -> None:
    preset = default()
    engine = Engine(preset.machine, preset.stream(1), 5)
    with pytest.raises(SimulationError, match="1 fractions between 0 and 1"):
        engine.carry_out(engine.look(1), wrong)


def test_a_stream_ends() -> None:
    preset = compatibility()
    engine = Engine(preset.machine, preset.stream(1), 300)
    ids, _ = engine.play(CpuOnly(), 1000)
    assert len(ids) == 300 and engine.finished and len(engine.look(5)) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_cpus": 0}, "num_cpus > 0"),
        ({"launch_s": -1.0}, "launch_s >= 0"),
        ({"gpu_memory_mb": float("nan")}, "gpu_memory_mb > 0"),
        ({"energy_weight": 1.5}, "between 0 and 1"),
        ({"blended_power": True}, "tasks alone"),
    ],
)
def test_impossible_machines_are_told(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Machine(**changes)


@pytest.mark.parametrize("changes", [{"rate_per_s": 0.0}, {"min_size": 0}, {"max_size": 50}, {"parent_prob": 1.1}])
def test_impossible_laws_are_told(changes: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        TaskLaw(**changes)
