"""Event logs of a race, made by carrying its decisions out once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl_sched.dashboard.choices import Setup
from rl_sched.dashboard.course import course_of
from rl_sched.dashboard.lane import state_after
from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.outcome import Recorder
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision

#: Per lane, its id: the rules it ran under and its decisions.
Record = Mapping[str, tuple[Rules, Sequence[Decision]]]


def logs_of(setup: Setup, record: Record) -> list[RunLog]:
    """One log a lane, in the order of the race."""
    course = course_of(setup)
    logs = []
    for entrant in setup.entrants:
        rules, decisions = record[entrant.id]
        watch = Recorder(record=True)
        state = state_after(course, rules, decisions, watch)
        result = RunResult.of(state, 0, course.workload, rules)
        params: dict[str, Any] = {}
        logs.append(
            RunLog(
                entrant.name, params, course.workload, course.cluster, rules, setup.seed, watch.log(),
                watch.outcome(result),
            )
        )  # fmt: skip
    return logs
