"""A second simulator, on SimPy: docs/simulator.md in plain Python, written from that page alone.

Imports nothing of ``rl_sched``; the rules are any object with the fields of ``rl_sched.sim.rules.Rules``. Jobs, nodes
and the log of outages are processes; what happens at one instant is ordered by the priorities of SimPy's events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple

import simpy

from tests.reference.simpy_draws import FAILURES, REPAIRS, STRAGGLERS, exponential, uniform
from tests.reference.simpy_placement import Cluster, Job, Node

INF = math.inf
# Order of what happens at one instant. 0 is SimPy's own: beginnings and interruptions of processes.
AT_ONCE, COMPLETION, REPAIR, FAILURE, LOG_REPAIR, LOG_FAILURE, LOG_AT_ONCE, ARRIVAL, DECISION = range(9)

Process = Generator[simpy.Event, Any, None]


class Start(NamedTuple):
    row: int
    pool: int


class Preempt(NamedTuple):
    row: int


class Wait(NamedTuple):
    until_s: float = INF


Decision = Start | Preempt | Wait


class At(simpy.Event):
    """Happens at a given time. SimPy adds delays to the present time; as fractions these sums are exact."""

    def __init__(self, env: simpy.Environment, time_s: float, priority: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, priority, Fraction(time_s) - env.now)  # type: ignore[arg-type]


@dataclass
class Segment:
    """A stretch of a job on its GPUs."""

    start_s: float
    pool: int
    gpus: list[int]
    left_s: float  # work at its start
    overhead_s: float
    run_s: float
    looks_s: float  # when it appears to end
    finish_s: float
    process: simpy.Process | None = None


@dataclass
class Life:
    """What has become of a job so far."""

    left_s: float
    overhead_s: float = 0.0
    joined_s: float = 0.0  # the queue
    ticket: int = 0  # the how-many-th to join it
    waited_s: float = 0.0
    attained_s: float = 0.0
    first_start_s: float = math.nan
    finish_s: float = math.nan
    segments: int = 0
    preemptions: int = 0
    kills: int = 0
    last: Segment | None = None


@dataclass
class Model:
    """One episode.

    Args:
        nodes: The cluster.
        jobs: Rows in order of submission.
        rules: An object with the fields of ``Rules``.
        policy: Asked at every decision.
    """

    nodes: list[Node]
    jobs: list[Job]
    rules: Any
    policy: Callable[[Model], Decision]
    queue: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)  # in order of their last starts, equal ones as they had queued
    events: list[tuple] = field(default_factory=list)  # (time, kind, row or node, pool, GPUs)
    busy_gpu_s: list[float] = field(default_factory=list)  # per pool
    arrived: int = 0
    done: int = 0
    decisions: int = 0
    turns: int = 0  # of the policy; it decides several times in each
    over: bool = False

    def __post_init__(self) -> None:
        self.env = simpy.Environment(initial_time=Fraction(0))  # type: ignore[arg-type]
        idle = Cluster(self.nodes, self.jobs, self.rules.placement)
        self.jobs = [  # a pool on which the gang could not even be placed if it were idle is one where it cannot run
            replace(job, durations=tuple(d if idle.place(row, p) else INF for p, d in enumerate(job.durations)))
            for row, job in enumerate(self.jobs)
        ]
        self.cluster = Cluster(self.nodes, self.jobs, self.rules.placement)
        self.busy_gpu_s = [0.0 for _ in self.cluster.pools]
        self.lives = [Life(left_s=job.fastest_s) for job in self.jobs]
        self.horizon_s = INF
        if self.rules.horizon_factor is not None:
            work = sum(job.fastest_s * job.demand for job in self.jobs)
            self.horizon_s = self.jobs[-1].submit_s + self.rules.horizon_factor * work / len(self.cluster.gpus)
        self._happened = False
        self._until_s = INF
        self._tickets = 0
        self._log_ahead = 0  # entries of the log that are still to happen

    @property
    def now_s(self) -> float:
        return float(self.env.now)

    def play(self) -> Model:
        """To the end of the episode."""
        self.env.process(self._arrivals())
        if self.rules.mtbf_s is not None:
            for node in range(len(self.nodes)):
                self.env.process(self._breaking(node))
        for node, from_s, to_s in self.rules.outages:
            repair = LOG_REPAIR if to_s > from_s else LOG_AT_ONCE
            for time_s, priority in ((from_s, LOG_FAILURE), (to_s, repair)):
                if time_s < INF:
                    self._log_ahead += 1
                    self.env.process(self._logged(node, time_s, priority))
        if self.rules.round_s is not None:
            self.env.process(self._rounds())
        if self.rules.dispatch == "one_start_per_event":
            self._ask(0.0)
        while not self.over:
            self.env.step()
        return self

    # What happens

    def _arrivals(self) -> Process:
        for row, job in enumerate(self.jobs):
            yield At(self.env, job.submit_s, ARRIVAL)
            self.arrived += 1
            self._note("arrive", row)
            self._join(row)
            self._happen()

    def _run(self, row: int, finish_s: float) -> Process:
        try:
            yield At(self.env, finish_s, COMPLETION)
        except simpy.Interrupt:
            return
        self._leave(row)
        self.lives[row].finish_s = self.now_s
        self.done += 1
        self._note("finish", row)
        self._happen()

    def _breaking(self, node: int) -> Process:
        count = 0
        while True:
            delay = exponential(self.rules.seed, FAILURES, node, count, self.rules.mtbf_s)
            yield At(self.env, self.now_s + delay, FAILURE)
            self._fail(node)
            delay = exponential(self.rules.seed, REPAIRS, node, count, self.rules.mttr_s)
            yield At(self.env, self.now_s + delay, REPAIR)
            self._repair(node)
            count += 1

    def _logged(self, node: int, time_s: float, priority: int) -> Process:
        yield At(self.env, time_s, priority)
        self._log_ahead -= 1
        if priority == LOG_FAILURE:
            self._fail(node)
        else:
            self._repair(node)

    def _rounds(self) -> Process:
        number = 0
        while True:
            yield At(self.env, number * self.rules.round_s, DECISION)
            self._turn(boundary=True)
            number += 1

    def _fail(self, node: int) -> None:
        if self.cluster.works(node):
            self._note("node_down", node)
        gpus = [self.cluster.gpus[number] for number in self.cluster.gpus_of(node)]
        killed = sorted(row for gpu in gpus for row in gpu.shares)
        killed += dict.fromkeys(gpu.holder for gpu in gpus if gpu.holder is not None)
        for row in killed:
            self._kill(row)
        self.cluster.outages[node] += 1
        self._happen()

    def _repair(self, node: int) -> None:
        self.cluster.outages[node] -= 1
        if self.cluster.works(node):
            self._note("node_up", node)
        self._happen()

    # Segments

    def run_s(self, row: int, pool: int) -> float:
        """Run time of what is left of a job on a pool, before slow-downs."""
        job, left_s = self.jobs[row], self.lives[row].left_s
        whole_s = job.durations[pool]
        return whole_s if left_s == job.fastest_s else left_s * (whole_s / job.fastest_s)

    def appears_to_need_s(self, row: int, pool: int) -> float:
        """Of a waiting job."""
        if self.jobs[row].durations[pool] == INF:
            return INF
        return self.lives[row].overhead_s + self.run_s(row, pool) * self.jobs[row].visible

    def appears_to_end_in_s(self, row: int) -> float:
        """Of a running job."""
        return max(self.segment(row).looks_s - self.now_s, 0.0)

    def attained_s(self, row: int) -> float:
        life = self.lives[row]
        return life.attained_s + (self.now_s - self.segment(row).start_s) if row in self.running else life.attained_s

    def segment(self, row: int) -> Segment:
        """The last segment of a job that has started."""
        segment = self.lives[row].last
        assert segment is not None
        return segment

    def start(self, row: int, pool: int) -> None:
        assert row in self.window(), "only waiting jobs of the window may start"
        gpus = self.cluster.place(row, pool)
        assert gpus is not None, "it does not fit"
        job, life, rules, now_s = self.jobs[row], self.lives[row], self.rules, self.now_s
        self.cluster.take(row, gpus)
        run_s = self.run_s(row, pool)
        seen_s = run_s * job.visible
        spread = len({self.cluster.gpus[gpu].node for gpu in gpus})
        if spread > math.ceil(job.gang / self.cluster.largest(pool)):
            run_s *= rules.locality_slowdown
            seen_s *= rules.locality_slowdown
        looks_s = now_s + (life.overhead_s + seen_s)
        if uniform(rules.seed, STRAGGLERS, row, life.segments) < rules.straggler_share:
            run_s *= rules.straggler_slowdown
        tail_s = rules.preemptive_tail_s if rules.preemption else 0.0
        finish_s = now_s + (life.overhead_s + run_s + tail_s)
        life.last = Segment(now_s, pool, gpus, life.left_s, life.overhead_s, run_s, looks_s, finish_s)
        life.last.process = self.env.process(self._run(row, finish_s))
        life.segments += 1
        life.waited_s += now_s - life.joined_s
        if math.isnan(life.first_start_s):
            life.first_start_s = now_s
        self.queue.remove(row)
        self.running.append(row)
        self.running.sort(key=lambda other: (self.segment(other).start_s, self.lives[other].ticket))
        self._note("start", row, pool, gpus)

    def preempt(self, row: int) -> None:
        assert self.rules.preemption, "only with preemption"
        life, elapsed_s = self.lives[row], self._stop(row)
        segment = self.segment(row)
        paid_s = min(elapsed_s, segment.overhead_s)
        life.overhead_s = segment.overhead_s - paid_s + self._restart_s(row)
        life.left_s = self._left(segment, elapsed_s - paid_s)
        life.preemptions += 1
        self._note("preempt", row)
        self._join(row)

    def _kill(self, row: int) -> None:
        life, elapsed_s = self.lives[row], self._stop(row)
        segment, interval_s = self.segment(row), self.rules.checkpoint_interval_s
        worked_s = max(elapsed_s - segment.overhead_s, 0.0)
        kept_s = 0.0 if interval_s is None else math.floor(worked_s / interval_s) * interval_s
        life.overhead_s = self._restart_s(row)
        life.left_s = self._left(segment, kept_s)
        life.kills += 1
        self._note("kill", row)
        self._join(row)

    @staticmethod
    def _left(segment: Segment, worked_s: float) -> float:
        if segment.left_s == 0:
            return 0.0
        return max(segment.left_s - worked_s * (segment.left_s / segment.run_s), 0.0)

    def _restart_s(self, row: int) -> float:
        for largest, cost_s in self.rules.restart_s:
            if self.jobs[row].gang <= largest:
                return float(cost_s)
        return float(self.rules.restart_s[-1][1]) if self.rules.restart_s else 0.0

    def _stop(self, row: int) -> float:
        """Ends a segment before its time. Returns how long it was."""
        process = self.segment(row).process
        assert process is not None
        process.interrupt()
        return self._leave(row)

    def _leave(self, row: int) -> float:
        """Takes a job off its GPUs."""
        life, segment = self.lives[row], self.segment(row)
        elapsed_s = self.now_s - segment.start_s
        life.attained_s += elapsed_s
        self.busy_gpu_s[segment.pool] += elapsed_s * self.jobs[row].demand
        self.cluster.give_back(row)
        self.running.remove(row)
        return elapsed_s

    def _join(self, row: int) -> None:
        self.queue.append(row)
        self._tickets += 1
        self.lives[row].ticket = self._tickets
        self.lives[row].joined_s = self.now_s

    def _note(self, kind: str, what: int, pool: int = -1, gpus: list[int] | None = None) -> None:
        self.events.append((self.now_s, kind, what, pool, sorted(gpus or [])))

    # Decisions

    def window(self) -> list[int]:
        """Rows of the jobs that may be started."""
        return self.queue[: self.rules.window]

    def fits(self, row: int, pool: int) -> bool:
        return self.cluster.place(row, pool) is not None

    @property
    def can_wait(self) -> bool:
        return bool(self.running) or self.arrived < len(self.jobs) or any(self.cluster.outages)

    def _has_choice(self) -> bool:
        if self.rules.preemption:
            return bool(self.queue or self.running)
        return any(self.fits(row, pool) for row in self.window() for pool in self.cluster.pools)

    def _happen(self) -> None:
        self._happened = True
        if self.turns and self.rules.dispatch == "one_start_per_event":
            self._ask(self.now_s, AT_ONCE)
        else:
            self._ask(self.now_s)

    def _ask(self, time_s: float, priority: int = DECISION) -> None:
        """Makes sure that it is looked, after the events of that time, whether the policy has its turn."""
        callbacks = At(self.env, time_s, priority).callbacks
        assert callbacks is not None
        callbacks.append(lambda _: self._turn())

    def _looks(self, boundary: bool) -> bool:
        """Is this a time at which it is looked whether the policy has a choice?"""
        if self.rules.dispatch == "one_start_per_event":
            return True
        if self.rules.round_s is not None:
            idle = not (self.queue or self.running)
            return boundary and (self._happened or (self.rules.preemption and not idle))
        return self._happened or self.now_s >= self._until_s

    def _turn(self, boundary: bool = False) -> None:
        """Gives the policy its turn if it has one now, or ends the episode."""
        self.over = self.over or self.done == len(self.jobs)
        if self.over or not self._looks(boundary):
            return
        self._happened, self._until_s = False, INF
        self.over = self.now_s >= self.horizon_s
        if not self.over and (self.rules.dispatch == "one_start_per_event" or self._has_choice()):
            self.turns += 1
            self._decide()
        nothing_ahead = not (self.running or self.arrived < len(self.jobs) or self.rules.mtbf_s or self._log_ahead)
        self.over = self.over or (nothing_ahead and self._until_s == INF)

    def _decide(self) -> None:
        """Asks until the policy waits or has no choice left."""
        while True:
            if self.decisions == self.rules.max_steps:
                self.over = True
                return
            decision = self.policy(self)
            self.decisions += 1
            if isinstance(decision, Start):
                self.start(*decision)
            elif isinstance(decision, Preempt):
                self.preempt(*decision)
            else:
                assert self.can_wait, "waiting would last for ever"
                if self.now_s < decision.until_s < INF and self.rules.round_s is None:
                    self._until_s = decision.until_s
                    self._ask(decision.until_s)
                return
            if self.rules.dispatch == "one_start_per_event" or not self._has_choice():
                return
