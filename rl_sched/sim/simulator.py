"""The first door: a simulation driven by Python, one decision at a time; and ``simulate``, which picks a door."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import SimulationError
from rl_sched.sim import kernels
from rl_sched.sim.invariants import check
from rl_sched.sim.loading import state_for
from rl_sched.sim.record import State
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start
from rl_sched.workload import Workload


class Policy(Protocol):
    """Anything that decides."""

    def decide(self, snapshot: Snapshot) -> Decision:
        """Starts one waiting job or waits. Asked again at once after a start, as long as anything fits."""
        ...


@runtime_checkable
class CompiledPolicy(Protocol):
    """A policy that can also run a whole record inside a kernel; same result as ``decide``, much faster."""

    def decide(self, snapshot: Snapshot) -> Decision: ...

    def run_compiled(self, state: State, e: int, workload: Workload) -> None:
        """Runs record ``e``, which holds ``workload`` at its first decision, to its end."""
        ...


def snapshot_of(state: State, e: int, priority: np.ndarray) -> Snapshot:
    """The snapshot of record ``e``; ``priority`` is the workload's column."""
    v = state.views
    head = v.head[e]
    n, t = int(head["window_len"]), v.types.shape[1]
    job, gang = np.empty(n, np.int64), np.empty(n, np.int64)
    submit, duration, feasible = np.empty(n), np.empty((n, t)), np.empty((n, t), np.bool_)
    kernels.window(*v, e, job, gang, submit, duration, feasible)
    gpus = v.gpus[e]
    busy = gpus["job"] >= 0
    snapshot = Snapshot(
        now_s=float(head["now"]),
        decision=int(head["decisions"]),
        can_wait=bool(head["num_running"] > 0 or head["num_arrived"] < head["num_jobs"]),
        job=job,
        submit_s=submit,
        num_gpus=gang,
        priority=priority[job],
        duration_s=duration,
        feasible=feasible,
        free_gpus=v.types["free"][e].astype(np.int64),
        type_gpus=v.types["total"][e].astype(np.int64),
        gpu_type=gpus["type"].astype(np.int64),
        remaining_s=np.where(busy, gpus["end_s"] - head["now"], 0.0),
        running_job=gpus["job"].astype(np.int64),
        num_waiting=int(head["num_waiting"]),
        num_running=int(head["num_running"]),
        num_arrived=int(head["num_arrived"]),
    )
    for value in snapshot:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return snapshot


class Simulator:
    """A simulated cluster: ``reset``, then ``step`` until ``done``, then ``result``.

    Args:
        cluster: The hardware.
        rules: The rules; the defaults are pooled placement and dispatch until wait.
    """

    def __init__(self, cluster: ClusterSpec, rules: Rules | None = None) -> None:
        self.cluster = cluster
        self.rules = rules or Rules()
        self._state: State | None = None
        self._workload: Workload | None = None

    @property
    def state(self) -> State:
        if self._state is None:
            raise SimulationError("The simulator holds no workload yet. Call reset(workload) first.")
        return self._state

    @property
    def workload(self) -> Workload:
        if self._workload is None:
            raise SimulationError("The simulator holds no workload yet. Call reset(workload) first.")
        return self._workload

    @property
    def done(self) -> bool:
        """All jobs are done, or the rules cut the episode."""
        head = self.state.views.head[0]
        return bool(
            head["num_done"] == head["num_jobs"]
            or head["now"] >= head["horizon_s"]
            or 0 < head["max_steps"] <= head["decisions"]
        )

    def reset(self, workload: Workload) -> Snapshot:
        """Loads a workload and goes to its first decision.

        Raises:
            WorkloadError: A job fits no GPU type of the cluster.
        """
        self._state = state_for(workload, self.cluster, self.rules)
        self._workload = workload
        return self._look(0.0)

    def step(self, decision: Decision) -> Snapshot:
        """Carries out one decision and goes to the next one.

        Raises:
            SimulationError: The job does not wait in the window, does not fit, or waiting would last for ever.
        """
        if self.done:
            raise SimulationError("The episode is over. Call reset(workload) before the next step.")
        starts = isinstance(decision, Start)
        job, gpu_type = (int(decision.job), int(decision.gpu_type)) if starts else (-1, -1)  # type: ignore[union-attr]
        now_s = float(self.state.views.head["now"][0])
        outcome = kernels.step(*self.state.views, 0, job, gpu_type)
        if outcome == kernels.NOT_WAITING:
            raise SimulationError(f"A policy may start only waiting jobs of the window; job {job} is not one of them.")
        if outcome == kernels.DOES_NOT_FIT:
            raise SimulationError(f"Job {job} does not fit now on GPU type {gpu_type}. Start only what is feasible.")
        if outcome == kernels.CANNOT_WAIT:
            raise SimulationError("The policy waits, but nothing runs and nothing will arrive. Start a job.")
        return self._look(now_s)

    def _look(self, previous_now_s: float) -> Snapshot:
        if self.rules.debug:
            check(self.state, 0, previous_now_s)
        return snapshot_of(self.state, 0, self.workload.priority)

    def result(self) -> RunResult:
        """The jobs' starts, finishes and GPUs so far."""
        return RunResult.of(self.state, 0, self.workload, self.rules)


def simulate(
    policy: Policy, workload: Workload, cluster: ClusterSpec, rules: Rules | None = None, *, compiled: bool = True
) -> RunResult:
    """Runs a policy on a workload, inside the kernel if the policy can and ``compiled`` is set."""
    rules = rules or Rules()
    if compiled and isinstance(policy, CompiledPolicy) and not rules.debug:
        state = state_for(workload, cluster, rules)
        policy.run_compiled(state, 0, workload)
        return RunResult.of(state, 0, workload, rules)
    simulator = Simulator(cluster, rules)
    snapshot = simulator.reset(workload)
    while not simulator.done:
        snapshot = simulator.step(policy.decide(snapshot))
    return simulator.result()
