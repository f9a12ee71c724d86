"""Random small worlds under all rules, through the simulator and through the SimPy model: every event agrees."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.sim import snapshot as ours
from rl_sched.sim.eventlog import KIND_NAMES
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, simulate
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload
from tests.reference.simpy_model import Decision, Model, Preempt, Start, Wait
from tests.reference.simpy_orders import PLAIN, Policy, las, tiresias
from tests.reference.simpy_view import see
from tests.rule_worlds import World, turns_are_long_enough, worlds


@dataclass
class Dice:
    """Random legal decisions on the model, and what was seen before each."""

    rnd: Random
    weights: tuple[float, float, float]  #: of starting, preempting and waiting
    seen: list[dict[str, Any]] = field(default_factory=list)
    said: list[Decision] = field(default_factory=list)

    def __call__(self, model: Model) -> Decision:
        self.seen.append(see(model))
        self.said.append(self._choose(model))
        return self.said[-1]

    def _choose(self, model: Model) -> Decision:
        starts = [Start(row, pool) for row in model.window() for pool in model.cluster.pools if model.fits(row, pool)]
        preempts = [Preempt(row) for row in model.running] if model.rules.preemption else []
        kinds: list[list] = [starts, preempts, [Wait()] if model.can_wait else []]
        if model.decisions >= 120 and starts:  # come to an end
            return starts[0]
        if model.decisions >= 120 and model.can_wait:
            return Wait()
        weights = [weight if some else 0.0 for weight, some in zip(self.weights, kinds, strict=True)]
        choice = self.rnd.choice(self.rnd.choices(kinds, weights)[0])
        if isinstance(choice, Wait) and self.rnd.random() < 0.4:
            return Wait(model.now_s + self.rnd.choice((0.5, 1.0, 2.0, 3.0, self.rnd.uniform(0.01, 10.0))))
        return choice


def in_our_words(decision: Decision) -> ours.Decision:
    if isinstance(decision, Start):
        return ours.Start(*decision)
    return ours.Preempt(*decision) if isinstance(decision, Preempt) else ours.Wait(*decision)


def assert_same_view(snapshot: ours.Snapshot, expected: dict[str, Any]) -> None:
    def compare(found: Any, name: str, value: Any) -> None:
        wanted = np.asarray(value).reshape(found.shape) if value == [] else value
        np.testing.assert_array_equal(found, wanted, name)

    for name, value in expected.items():
        if name != "running":
            compare(getattr(snapshot, name), name, value)
    for name, value in expected["running"].items():
        compare(getattr(snapshot.running, name), f"running.{name}", value)


def assert_same_events(watch: Watch, model: Model) -> None:
    rows, gpus = watch.log()
    found = [
        (
            float(row["time_s"]),
            KIND_NAMES[row["kind"]],
            int(row["job"]),
            int(row["type"]) if KIND_NAMES[row["kind"]] == "start" else -1,
            sorted(gpus[row["first"] : row["first"] + row["gpus"]].tolist()),
        )
        for row in rows
    ]
    for left, right in zip(_ordered(found), _ordered(model.events), strict=False):
        assert left == right, f"simulator {left}, model {right}"
    assert len(found) == len(model.events)


def _ordered(events: list[tuple]) -> list[tuple]:
    """Completions of one instant happen in any order: here, in order of the rows."""
    out: list[tuple] = []
    for _, group in itertools.groupby(events, lambda event: (event[0], event[1])):
        rows = list(group)
        out += sorted(rows) if rows[0][1] == "finish" else rows
    return out


def assert_same_result(result: RunResult, model: Model) -> None:
    lives, rows = model.lives, range(len(model.jobs))
    np.testing.assert_array_equal(result.start_s, [life.first_start_s for life in lives])
    np.testing.assert_array_equal(result.finish_s, [life.finish_s for life in lives])
    np.testing.assert_array_equal(result.gpu_type, [life.last.pool if life.last else -1 for life in lives])
    assert [sorted(result.gpus_of(row).tolist()) for row in rows] == [
        sorted(life.last.gpus) if life.last else [] for life in lives
    ]
    np.testing.assert_array_equal(result.preemptions, [life.preemptions for life in lives])
    np.testing.assert_array_equal(result.kills, [life.kills for life in lives])
    assert result.decisions == model.decisions
    assert result.makespan_s == model.now_s - model.jobs[0].submit_s


def assert_replay(world: World, dice: Dice) -> None:
    """Plays the model, then the same decisions in the simulator."""
    model = world.model(dice).play()
    watch = Watch(record=True)
    simulator = Simulator(world.cluster, world.rules, watch=watch)
    snapshot = simulator.reset(world.workload)
    for expected, decision in zip(dice.seen, dice.said, strict=True):
        assert not simulator.done
        assert_same_view(snapshot, expected)
        snapshot = simulator.step(in_our_words(decision))
    assert simulator.done
    assert_same_events(watch, model)
    assert_same_result(simulator.result(), model)


def dice() -> st.SearchStrategy[Dice]:
    weights = st.sampled_from([(1.0, 0.3, 0.5), (3.0, 0.2, 0.2), (1.0, 1.0, 1.0), (1.0, 0.1, 1.0)])
    return st.builds(Dice, st.integers(0, 2**32).map(Random), weights)


@settings(max_examples=300)
@given(world=worlds(), dice=dice())
def test_any_decisions_lead_to_the_same_events(world: World, dice: Dice) -> None:
    assert_replay(world, dice)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_policies_without_parameters_agree(name: str) -> None:
    @settings(max_examples=60)
    @given(world=worlds())
    def run(world: World) -> None:
        assert_agreement(world, POLICIES.create(name), PLAIN[name]())

    run()


@settings(max_examples=60)
@given(world=worlds(), quantum_s=st.sampled_from([0.75, 1.5, 3.5]))
def test_las_agrees(world: World, quantum_s: float) -> None:
    assume(turns_are_long_enough(world, quantum_s))
    assert_agreement(world, POLICIES.create("las", quantum_s=quantum_s), las(quantum_s))


@settings(max_examples=60)
@given(world=worlds(), quantum_gpu_s=st.sampled_from([1.0, 4.0, 10.0]))
def test_tiresias_agrees(world: World, quantum_gpu_s: float) -> None:
    assert_agreement(world, POLICIES.create("tiresias", quantum_gpu_s=quantum_gpu_s), tiresias(quantum_gpu_s))


def assert_agreement(world: World, policy: Any, theirs: Policy) -> None:
    """Both doors of the simulator against the model."""
    model = world.model(theirs).play()
    for compiled in (True, False):
        watch = Watch(record=True)
        result = simulate(policy, world.workload, world.cluster, world.rules, compiled=compiled, watch=watch)
        assert_same_events(watch, model)
        assert_same_result(result, model)


@pytest.mark.parametrize(
    ("submit_s", "num_gpus", "gpus"),
    [
        # Two jobs that started 2e-309 s apart have run equally long at 0.05 s, as far as doubles tell.
        ([0.0, 2.2e-309, 0.05], [1, 1, 2], 2),
        # Two that start at the same time, of which the one that had joined the queue first had run 3e-74 s before.
        ([5e-324, 8e-85, 3e-74, 1e-6, 3.0], [5, 3, 1, 3, 4], 6),
    ],
)
def test_las_orders_what_rounding_makes_equal(submit_s: list[float], num_gpus: list[int], gpus: int) -> None:
    workload = Workload.build(submit_s, np.full(len(submit_s), 9.0), num_gpus)
    world = World(ClusterSpec((NodeGroup("a100", 1, gpus),)), workload, Rules(preemption=True))
    assert_agreement(world, POLICIES.create("las", quantum_s=0.75), las(0.75))


def test_a_job_without_work_left_appears_to_need_the_same_everywhere() -> None:
    """Preempted in its tail, so that the pool of the lowest number counts as its fastest."""
    speed = [[0.5, 1.0], [0.0, 1.0]]
    workload = Workload.build(
        [0.0, 1.25], [1.0, 0.125], [2, 2], job_class=[0, 1], speed=speed, gpu_types=("k80", "v100")
    )
    cluster = ClusterSpec((NodeGroup("k80", 1, 2), NodeGroup("v100", 1, 2)))
    world = World(cluster, workload, Rules(preemption=True, preemptive_tail_s=1.0))
    model = world.model(las(2.0)).play()
    assert [event[2:4] for event in model.events if event[1] == "start"] == [(0, 1), (1, 1), (0, 0)]
    assert_agreement(world, POLICIES.create("las", quantum_s=2.0), las(2.0))
