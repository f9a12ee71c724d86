"""What every registered policy must do. A suite subclasses ``PolicyConformance`` and gives a fixture ``name``."""

from __future__ import annotations

import pickle

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.policies import POLICIES
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, simulate
from rl_sched.sim.snapshot import Snapshot, Start, Wait
from rl_sched.traces import TRACES
from rl_sched.workload import Workload

CLUSTER = ClusterSpec.of(a100=8, v100=4, t4=4)


def small_workload(seed: int, num_jobs: int = 60) -> Workload:
    """A contended workload of the synthetic trace."""
    return TRACES.create("synthetic", num_jobs=num_jobs, span_s=300.0).load(seed)


def _columns(snapshot: Snapshot) -> list[np.ndarray]:
    """All that a policy sees."""
    return [np.asarray(value) for value in (*snapshot._replace(running=()), *snapshot.running)]


class PolicyConformance:
    """Feasible, pure, deterministic, the same through every door, and it ends."""

    def test_decisions_are_feasible_and_all_jobs_finish(self, name: str) -> None:
        # The simulator refuses an infeasible decision, and debug checks every invariant of its state.
        for placement in ("pooled", "consolidated"):
            rules = Rules(placement=placement, window=20, debug=True)
            result = simulate(POLICIES.create(name), small_workload(1), CLUSTER, rules)
            assert result.num_unfinished == 0
            assert (result.wait_s >= 0).all()

    def test_same_through_python_and_kernel(self, name: str) -> None:
        for seed in range(3):
            workload = small_workload(seed)
            policy = POLICIES.create(name)
            one = simulate(policy, workload, CLUSTER, Rules(window=20), compiled=False)
            two = simulate(policy, workload, CLUSTER, Rules(window=20), compiled=True)
            assert one.start_s.tobytes() == two.start_s.tobytes()
            assert one.finish_s.tobytes() == two.finish_s.tobytes()
            assert one.gpu_type.tobytes() == two.gpu_type.tobytes()
            assert all(a.tobytes() == b.tobytes() for a, b in zip(one.gpus, two.gpus, strict=True))
            assert one.decisions == two.decisions

    def test_pure_and_picklable(self, name: str) -> None:
        policy = POLICIES.create(name)
        twin = pickle.loads(pickle.dumps(policy))
        simulator = Simulator(CLUSTER, Rules(window=20))
        snapshot = simulator.reset(small_workload(2))
        for _ in range(40):
            before = [value.copy() for value in _columns(snapshot)]
            decision = policy.decide(snapshot)
            assert decision == policy.decide(snapshot) == twin.decide(snapshot)
            for old, new in zip(before, _columns(snapshot), strict=True):
                np.testing.assert_array_equal(old, new)
            snapshot = simulator.step(decision)

    def test_waits_when_nothing_waits(self, name: str) -> None:
        simulator = Simulator(CLUSTER)
        snapshot = simulator.reset(small_workload(3, num_jobs=2))
        per_job = ("job", "submit_s", "num_gpus", "gpu_milli", "priority", "deadline_s", "vc", "total_s", "attained_s")
        rows = (*per_job, "left_frac", "duration_s", "feasible")
        empty = snapshot._replace(**{field: getattr(snapshot, field)[:0] for field in rows})
        assert isinstance(POLICIES.create(name).decide(empty), Wait)

    def test_starts_where_waiting_would_last_for_ever(self, name: str) -> None:
        workload = Workload.build([0.0, 0.0], [5.0, 3.0], [2, 4])
        simulator = Simulator(CLUSTER)
        snapshot = simulator.reset(workload)
        assert not snapshot.can_wait
        assert isinstance(POLICIES.create(name).decide(snapshot), Start)


class TimeScaleConformance:
    """For policies without a time scale of their own."""

    def test_scaling_all_times_scales_all_completion_times(self, name: str) -> None:
        # A power of two changes no rounding, so even ties stay ties.
        workload = small_workload(4)
        slow = Workload.build(
            workload.submit_s * 4, workload.duration_s * 4, workload.num_gpus, job_class=workload.job_class,
            priority=workload.priority, speed=workload.speed, gpu_types=workload.gpu_types,
        )  # fmt: skip
        one = simulate(POLICIES.create(name), workload, CLUSTER)
        two = simulate(POLICIES.create(name), slow, CLUSTER)
        assert np.array_equal(one.jct_s * 4, two.jct_s)
