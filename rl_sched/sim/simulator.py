"""The first door: a simulation driven by Python, one decision at a time; and ``simulate``, which picks a door."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import SimulationError
from rl_sched.sim import kernels
from rl_sched.sim.invariants import check
from rl_sched.sim.loading import state_for
from rl_sched.sim.record import DOWN, IDLE, RUNNING, State
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Running, Snapshot, Start
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload


class Policy(Protocol):
    """Anything that decides."""

    def decide(self, snapshot: Snapshot) -> Decision:
        """Starts or preempts one job, or waits. Asked again at once after a start, as long as there is a choice."""
        ...


@runtime_checkable
class CompiledPolicy(Protocol):
    """A policy that can also run a whole record inside a kernel; same result as ``decide``, much faster."""

    def decide(self, snapshot: Snapshot) -> Decision: ...

    def can_compile(self, rules: Rules) -> bool:
        """Does the compiled run know these rules?"""
        ...

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        """Runs record ``e``, which holds ``workload`` at its first decision, to its end."""
        ...


@runtime_checkable
class Planner(Protocol):
    """A policy that keeps a plan between decisions: every run gets a player of its own."""

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> Policy:
        """Returns what decides during one run."""
        ...


def player_of(policy: Policy | Planner, workload: Workload, cluster: ClusterSpec, rules: Rules) -> Policy:
    """What decides during one run: the policy itself, or the player that a planner makes."""
    return policy.player(workload, cluster, rules) if isinstance(policy, Planner) else policy


def snapshot_of(state: State, e: int, workload: Workload) -> Snapshot:
    """The snapshot of record ``e``, which holds ``workload``."""
    v = state.views
    head = v.head[e]
    n, t = int(head["window_len"]), v.types.shape[1]
    job, gang = np.empty(n, np.int64), np.empty(n, np.int64)
    submit, duration, feasible = np.empty(n), np.empty((n, t)), np.empty((n, t), np.bool_)
    kernels.window(*v, e, job, gang, submit, duration, feasible)
    gpus = v.gpus[e]
    held = gpus["job"] != IDLE
    in_service = np.bincount(gpus["type"][gpus["job"] != DOWN], minlength=t)
    total_s = v.dur[e, job].min(axis=1, initial=np.inf)
    attained_s, left_frac = np.zeros(n), np.ones(n)
    if not state.rules.plain:
        life = v.life[e, job]
        left_frac = life["left_s"] / total_s
        attained_s, total_s = life["attained_s"], total_s * life["visible"]
    snapshot = Snapshot(
        now_s=float(head["now"]),
        decision=int(head["decisions"]),
        can_wait=bool(head["num_running"] > 0 or head["num_arrived"] < head["num_jobs"] or head["num_down"] > 0),
        preemptive=bool(head["preemptive"]),
        job=job,
        submit_s=submit,
        num_gpus=gang,
        gpu_milli=workload.gpu_milli[job],
        priority=workload.priority[job],
        deadline_s=workload.deadline_s[job],
        user=workload.user[job],
        vc=v.classes["vc"][e][v.jobs["klass"][e, job]].astype(np.int64),
        total_s=total_s,
        attained_s=attained_s,
        left_frac=left_frac,
        duration_s=duration,
        feasible=feasible,
        free_gpus=v.types["free"][e].astype(np.int64),
        type_gpus=in_service,
        gpu_type=gpus["type"].astype(np.int64),
        remaining_s=np.where(held, np.maximum(gpus["end_s"] - head["now"], 0.0), 0.0),
        running_job=gpus["job"].astype(np.int64),
        running=_running(state, e, workload),
        num_waiting=int(head["num_waiting"]),
        num_running=int(head["num_running"]),
        num_arrived=int(head["num_arrived"]),
    )
    for value in (*snapshot, *snapshot.running):
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return snapshot


def _running(state: State, e: int, workload: Workload) -> Running:
    v, n = state.views, len(workload)
    now_s = float(v.head["now"][e])
    job = np.flatnonzero(v.jobs["state"][e, :n] == RUNNING)
    jobs, duration = v.jobs[e, job], v.dur[e, job]
    segment_s, end_s = jobs["start_s"], jobs["finish_s"]
    left_frac, attained_s = np.ones(len(job)), np.zeros(len(job))
    if not state.rules.plain:
        life = v.life[e, job]
        segment_s, end_s, attained_s = life["segment_s"], life["end_s"], life["attained_s"]
        left_frac = life["left_s"] / duration.min(axis=1, initial=np.inf)
        duration = duration * life["visible"][:, None]
    order = np.lexsort((jobs["seq"], segment_s))
    columns = Running(
        job=job,
        submit_s=jobs["submit_s"],
        num_gpus=workload.num_gpus[job],
        gpu_milli=workload.gpu_milli[job],
        priority=workload.priority[job],
        user=workload.user[job],
        pool=jobs["type"].astype(np.int64),
        segment_s=segment_s,
        end_s=end_s,
        duration_s=duration,
        left_frac=left_frac,
        before_s=attained_s,
        attained_s=attained_s + (now_s - segment_s),
    )
    return Running(*(column[order] for column in columns))


class Simulator:
    """A simulated cluster: ``reset``, then ``step`` until ``done``, then ``result``.

    Args:
        cluster: The hardware.
        rules: The rules; the defaults are pooled placement and dispatch until wait.
        watch: Keeps the event log, reports progress.
    """

    def __init__(self, cluster: ClusterSpec, rules: Rules | None = None, *, watch: Watch | None = None) -> None:
        self._watch = watch
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
            or head["stuck"]
        )

    def reset(self, workload: Workload) -> Snapshot:
        """Loads a workload and goes to its first decision.

        Raises:
            WorkloadError: A job fits no GPU type of the cluster.
        """
        log = self._watch is not None and self._watch.record
        self._state = state_for(workload, self.cluster, self.rules, log=log)
        self._workload = workload
        return self._look(0.0)

    def step(self, decision: Decision) -> Snapshot:
        """Carries out one decision and goes to the next one.

        Raises:
            SimulationError: The job does not wait in the window, does not fit or does not run, preemption is off, or
                waiting would last for ever.
        """
        if self.done:
            raise SimulationError("The episode is over. Call reset(workload) before the next step.")
        views = self.state.views
        now_s = float(views.head["now"][0])
        job = int(getattr(decision, "job", -1))
        if isinstance(decision, Start):
            outcome = kernels.step(*views, 0, kernels.START, job, int(decision.gpu_type), math.inf)
        elif isinstance(decision, Preempt):
            outcome = kernels.step(*views, 0, kernels.PREEMPT, job, -1, math.inf)
        else:
            outcome = kernels.step(*views, 0, kernels.WAIT, -1, -1, float(decision.until_s))
        if outcome == kernels.NOT_WAITING:
            raise SimulationError(f"A policy may start only waiting jobs of the window; job {job} is not one of them.")
        if outcome == kernels.DOES_NOT_FIT:
            kind = decision.gpu_type if isinstance(decision, Start) else None
            raise SimulationError(f"Job {job} does not fit now on pool {kind}. Start only what is feasible.")
        if outcome == kernels.NOT_RUNNING:
            raise SimulationError(
                f"A policy may preempt only running jobs, and only where the rules say preemption; job {job}, "
                f"preemption={self.rules.preemption}."
            )
        if outcome == kernels.CANNOT_WAIT:
            raise SimulationError("The policy waits, but nothing runs and nothing will arrive. Start a job.")
        return self._look(now_s)

    def _look(self, previous_now_s: float) -> Snapshot:
        if self._watch is not None:
            self._watch.look(self.state, 0)
        if self.rules.debug:
            check(self.state, 0, previous_now_s)
        return snapshot_of(self.state, 0, self.workload)

    def result(self) -> RunResult:
        """The jobs' starts, finishes and GPUs so far."""
        return RunResult.of(self.state, 0, self.workload, self.rules)


def simulate(
    policy: Policy | Planner,
    workload: Workload,
    cluster: ClusterSpec,
    rules: Rules | None = None,
    *,
    compiled: bool = True,
    watch: Watch | None = None,
) -> RunResult:
    """Runs a policy on a workload, inside the kernel if the policy can and ``compiled`` is set.

    Args:
        policy: A policy, or a planner that makes one for this run.
        workload: The jobs.
        cluster: The hardware.
        rules: The rules; None = the defaults.
        compiled: False = one Python decision at a time.
        watch: Keeps the event log, reports progress.
    """
    rules = rules or Rules()
    policy = player_of(policy, workload, cluster, rules)
    if compiled and isinstance(policy, CompiledPolicy) and policy.can_compile(rules) and not rules.debug:
        state = state_for(workload, cluster, rules, log=watch is not None and watch.record)
        policy.run_compiled(state, 0, workload, watch)
        return RunResult.of(state, 0, workload, rules)
    simulator = Simulator(cluster, rules, watch=watch)
    snapshot = simulator.reset(workload)
    while not simulator.done:
        snapshot = simulator.step(policy.decide(snapshot))
    return simulator.result()
