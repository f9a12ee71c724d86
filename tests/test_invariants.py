"""The checks of ``Rules.debug``: a sound record passes, and whatever is changed in it is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import SimulationError
from rl_sched.sim.invariants import check
from rl_sched.sim.record import DONE, FUTURE, RUNNING, WAITING
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator
from rl_sched.sim.snapshot import Preempt, Start, Wait
from rl_sched.workload import Workload

CLUSTER = ClusterSpec((NodeGroup("v100", 3, 4), NodeGroup("k80", 1, 2)))
V100, K80 = 0, 1
RULES = Rules(
    debug=True,
    preemption=True,
    restart_s=((8, 2.0),),
    preemptive_tail_s=1.0,
    outages=((3, 3.0, 50.0),),
    checkpoint_interval_s=1.0,
    mtbf_s=1e6,
    locality_slowdown=1.25,
)
#: Rows of the workload below, by what has become of them at the time of the tests.
SPREAD, SHARER, OTHER_SHARER, KILLED, FINISHED, QUEUED, PREEMPTED, COMING = range(8)


@pytest.fixture
def simulator() -> Simulator:
    """At t = 4: of each kind of job one, a shared GPU, a node out of order, a queue of three."""
    workload = Workload.build(
        [0, 0, 0, 0, 0, 0, 1, 99],
        [90.0, 40.0, 60.0, 30.0, 1.0, 20.0, 8.0, 5.0],
        [7, 1, 1, 2, 1, 8, 1, 1],
        gpu_milli=[1000, 300, 600, 1000, 1000, 1000, 1000, 1000],
    )
    simulator = Simulator(CLUSTER, RULES)
    simulator.reset(workload)
    for job in (FINISHED, SPREAD, SHARER, OTHER_SHARER):
        simulator.step(Start(job, V100))
    simulator.step(Start(KILLED, K80))
    simulator.step(Wait())  # t = 1: one arrives
    simulator.step(Start(PREEMPTED, V100))
    simulator.step(Wait())  # t = 2: one is done, with its tail
    simulator.step(Wait())  # t = 3: a node fails
    simulator.step(Wait(4.0))
    simulator.step(Preempt(PREEMPTED))
    state = simulator.state.views.jobs["state"][0].tolist()
    assert state == [RUNNING, RUNNING, RUNNING, WAITING, DONE, WAITING, WAITING, FUTURE]
    assert simulator.state.views.life["kills"][0, KILLED] == 1
    return simulator


def test_a_sound_record_passes(simulator: Simulator) -> None:
    check(simulator.state, 0, 4.0)
    with pytest.raises(SimulationError, match="the clock goes from 5.0 to 4.0"):
        check(simulator.state, 0, 5.0)


SHARED_GPU = 8  # the first one behind the spread gang
#: (array, field, rows, what is added); every number of the record that other numbers imply.
CHANGES = [
    ("head", "busy", (), 1.0),
    ("head", "busy_gpu_s", (), 0.5),
    ("head", "job_seconds", (), 0.5),
    ("head", "waiting_work", (), 1.0),
    ("head", "running_work", (), -1.0),
    ("head", "done_work", (), 1.0),
    ("head", "done_priority", (), 1.0),
    ("head", "waiting_age_s", (), 1.0),
    ("head", "num_arrived", (), 1),
    ("head", "num_waiting", (), -1),
    ("head", "num_running", (), 1),
    ("head", "num_done", (), 1),
    ("head", "first_waiting", (), 1),
    ("head", "last_waiting", (), -1),
    ("head", "window_len", (), -1),
    ("head", "window_last", (), -1),
    ("head", "heap_len", (), -1),
    ("head", "num_down", (), -1),
    ("head", "num_stale", (), -1),
    ("jobs", "submit_s", SHARER, 5.0),
    ("jobs", "start_s", SHARER, 5.0),
    ("jobs", "start_s", SHARER, -1.0),
    ("jobs", "finish_s", SHARER, 1.0),
    ("jobs", "finish_s", FINISHED, 1.0),
    ("jobs", "finish_s", FINISHED, 9.0),
    ("jobs", "work", QUEUED, 1.0),
    ("jobs", "gang", SPREAD, -1),
    ("jobs", "klass", QUEUED, -1),
    ("jobs", "next", QUEUED, 1),
    ("jobs", "prev", KILLED, -1),
    ("jobs", "alloc", SPREAD, 1),
    ("jobs", "seq", QUEUED, 9),
    ("jobs", "type", SPREAD, 1),
    ("jobs", "type", COMING, 1),
    ("jobs", "state", QUEUED, 1),
    ("jobs", "state", COMING, 1),
    ("jobs", "state", SPREAD, 1),
    ("jobs", "state", SPREAD, 9),
    ("dur", None, (SPREAD, V100), 1.0),
    ("dur", None, (SPREAD, V100), np.inf),
    ("alloc", None, 0, 1),
    ("life", "left_s", SHARER, -1.0),
    ("life", "left_s", PREEMPTED, 1.0),
    ("life", "left_s", PREEMPTED, -1.0),
    ("life", "left_s", KILLED, -1.5),
    ("life", "overhead_s", SHARER, 1.0),
    ("life", "overhead_s", PREEMPTED, -3.0),
    ("life", "segment_s", SHARER, 1.0),
    ("life", "speed", SHARER, 0.1),
    ("life", "end_s", SHARER, 99.0),
    ("life", "attained_s", SHARER, 1.0),
    ("life", "waited_s", SHARER, 1.0),
    ("life", "since_s", PREEMPTED, -1.0),
    ("life", "segments", SHARER, 1),
    ("life", "preemptions", PREEMPTED, 1),
    ("life", "kills", KILLED, -1),
    ("gpus", "end_s", 0, 1.0),
    ("gpus", "end_s", SHARED_GPU, 1.0),
    ("gpus", "job", 0, 1),
    ("gpus", "job", SHARED_GPU, 1),
    ("gpus", "share", SHARED_GPU, 50),
    ("gpus", "type", 0, 1),
    ("nodes", "mask", 2, 1),
    ("nodes", "free", 2, -1),
    ("nodes", "down", 3, -1),
    ("nodes", "down", 0, -1),
    ("types", "free", V100, 1),
    ("types", "room", V100, 50),
    ("types", "busy_gpu_s", K80, 1.0),
    ("classes", "waiting", 0, 1),
    ("classes", "milli", 0, -1),
    ("bits", None, (4, 0), 1),
    ("counts", None, 4, 1),
    ("heap", "time", 0, -9.0),
    ("heap", "time", 0, 1e9),
    ("heap", "kind", 2, 1),
    ("heap", "job", 0, 1),
]


@pytest.mark.parametrize(("array", "column", "rows", "more"), CHANGES)
def test_a_broken_record_is_noticed(
    simulator: Simulator, array: str, column: str | None, rows: int | tuple[int, ...], more: float
) -> None:
    where = getattr(simulator.state.views, array)
    where = where if column is None else where[column]
    index = (0, *rows) if isinstance(rows, tuple) else (0, rows)
    where[index] += np.asarray(more).astype(where.dtype)
    with pytest.raises(SimulationError, match="Invariant broken at t = 4"):
        check(simulator.state, 0, 4.0)


def test_rounds_keep_to_their_boundaries() -> None:
    simulator = Simulator(CLUSTER, Rules(debug=True, round_s=3.0))
    simulator.reset(Workload.build([1.0, 2.0], [5.0, 5.0], [1, 1]))
    assert simulator.state.views.head["now"][0] == 3.0
    simulator.state.views.head["round_no"][0] += 1
    with pytest.raises(SimulationError, match="no boundary of rounds"):
        check(simulator.state, 0, 3.0)


def test_plain_jobs_run_exactly_their_run_time() -> None:
    simulator = Simulator(CLUSTER, Rules(debug=True))
    simulator.reset(Workload.build([0.0, 0.0], [5.0, 5.0], [12, 12]))
    simulator.step(Start(0, V100))
    simulator.state.views.dur[0, 0, V100] = 4.0
    with pytest.raises(SimulationError, match="does not run exactly its run time"):
        check(simulator.state, 0, 5.0)
