"""One policy of a race: its own simulator, and every decision it has made."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from rl_sched.dashboard.choices import Entrant
from rl_sched.dashboard.course import Course, rules_of
from rl_sched.errors import RlSchedError
from rl_sched.sim.following import follow
from rl_sched.sim.loading import state_for
from rl_sched.sim.record import State
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, player_of
from rl_sched.sim.snapshot import Decision, Preempt, Start, Wait
from rl_sched.sim.watching import Watch

#: Codes of recorded decisions.
WAIT, START, PREEMPT = range(3)
KINDS = ("wait", "start", "preempt")


class Log:
    """All decisions of a lane, about 30 bytes each."""

    def __init__(self) -> None:
        self.time_s, self.until_s = array("d"), array("d")
        self.kind, self.pool, self.job, self.waiting = array("b"), array("b"), array("i"), array("i")

    def __len__(self) -> int:
        return len(self.kind)

    def add(self, decision: Decision, time_s: float, waiting: int) -> None:
        """Appends one."""
        kind = START if isinstance(decision, Start) else PREEMPT if isinstance(decision, Preempt) else WAIT
        self.time_s.append(time_s)
        self.kind.append(kind)
        self.job.append(getattr(decision, "job", -1))
        self.pool.append(getattr(decision, "gpu_type", -1))
        self.until_s.append(getattr(decision, "until_s", float("inf")))
        self.waiting.append(waiting)

    def decisions(self, count: int | None = None) -> Iterator[Decision]:
        """The first ``count`` (None = all), as a policy gave them."""
        for i in range(len(self) if count is None else count):
            if self.kind[i] == START:
                yield Start(self.job[i], self.pool[i])
            elif self.kind[i] == PREEMPT:
                yield Preempt(self.job[i])
            else:
                yield Wait(self.until_s[i])


class Lane:
    """A policy at work. Its world is the same as ``simulate`` would give it, decision by decision.

    Attributes:
        entrant: Who runs.
        policy: What was made of it.
        rules: Its rules: those of the race, with preemption where the policy is made for it.
        error: Why it cannot go on; None = it can.
    """

    def __init__(self, entrant: Entrant, policy: Any, course: Course) -> None:
        self.entrant, self.policy, self.course = entrant, policy, course
        self.rules: Rules = rules_of(policy, course.rules)
        self.reset()

    def reset(self) -> None:
        """Back to the first decision."""
        course = self.course
        self.log = Log()
        self.error: str | None = None
        self._simulator = Simulator(course.cluster, self.rules)
        self._player = player_of(self.policy, course.workload, course.cluster, self.rules)
        self._snapshot = self._simulator.reset(course.workload)

    @property
    def state(self) -> State:
        return self._simulator.state

    @property
    def now_s(self) -> float:
        """Time of its next decision."""
        return self._snapshot.now_s

    @property
    def over(self) -> bool:
        """All jobs are done, the rules cut the run, or the policy failed."""
        return self.error is not None or self._simulator.done

    def decide(self) -> None:
        """Makes one decision; what goes wrong is kept in ``error``."""
        snapshot = self._snapshot
        try:
            decision = self._player.decide(snapshot)
            self._snapshot = self._simulator.step(decision)
        except RlSchedError as error:
            self.error = str(error)
            return
        self.log.add(decision, snapshot.now_s, snapshot.num_waiting)

    def result(self) -> RunResult:
        """The run so far."""
        return self._simulator.result()


def state_after(course: Course, rules: Rules, decisions: Iterable[Decision], watch: Watch | None = None) -> State:
    """The world after recorded decisions.

    Args:
        course: Of the race.
        rules: Of the lane.
        decisions: From the first one on.
        watch: Keeps the event log.
    """
    state = state_for(course.workload, course.cluster, rules, log=watch is not None)
    if watch is not None:
        watch.look(state, 0)
    follow(state, 0, decisions, watch)
    return state
