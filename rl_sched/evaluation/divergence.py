"""Where two policies part: the first decision in which their logs differ, and what it led to."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from rl_sched.config import content_id
from rl_sched.errors import ConfigError
from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.occupancy import Event, Occupancy, events
from rl_sched.sim.eventlog import KIND_NAMES, NODE_DOWN, PREEMPT, START
from rl_sched.sim.record import LOG
from rl_sched.sim.result import RunResult

#: Completion times that differ by less count as equal.
_SAME_S = 1e-6
DECISIONS = (START, PREEMPT)


class Act(NamedTuple):
    """One thing that a policy did, or that happened."""

    kind: str  # of ``eventlog.KIND_NAMES``
    job: int  # or node
    name: str  # of the job in its source
    pool: str  # "" = none
    gpus: list[int]


class Parting(NamedTuple):
    """A time at which two runs decide differently, and the state that the first had reached by then. P pools."""

    time_s: float
    is_decision: bool  # False: the rules differ, and something happened in one run only
    only_order: bool  # both decide the same for the same jobs, one after the other in another order
    first: list[Act]  # what the first run did then, from the difference on; [] = it waited
    second: list[Act]
    waiting: list[int]  # jobs, in order of the queue
    running: list[int]  # jobs, in order of their starts
    free_gpus: dict[str, int]  # pool -> idle GPUs


class Change(NamedTuple):
    """What the second run was to one job."""

    job: int
    name: str
    first_jct_s: float
    second_jct_s: float
    difference_s: float  # second - first


class Downstream(NamedTuple):
    """Completion times of the second run against the first, over the jobs that finished in both."""

    total_s: float
    mean_s: float
    better: int  # jobs that finished earlier in the second run
    worse: int
    same: int
    only_first: int  # jobs that finished in that run only
    only_second: int
    neither: int
    gained: list[Change]  # most first
    lost: list[Change]


def check_comparable(first: RunLog, second: RunLog) -> None:
    """Raises unless both runs are of the same jobs on the same cluster.

    Raises:
        ConfigError: The jobs or the clusters differ.
    """
    if first.outcome.workload_hash != second.outcome.workload_hash:
        raise ConfigError(
            f"Two logs can be compared if they are of the same jobs; the first has {len(first.workload)} of content "
            f"{first.outcome.workload_hash}, the second {len(second.workload)} of {second.outcome.workload_hash}."
        )
    if content_id(first.cluster) != content_id(second.cluster):
        raise ConfigError(
            f"Two logs can be compared if they are of the same cluster; the first has {first.cluster.describe()}, "
            f"the second {second.cluster.describe()}, or their nodes differ."
        )


def part(first: RunLog, second: RunLog, *, ordered: bool = True) -> Parting | None:
    """The first difference of two runs of the same jobs on the same cluster; None if there is none.

    Args:
        first: A log.
        second: Another.
        ordered: False = only decisions are compared, those of one instant as sets of (start or preempt, job, pool):
            neither their order nor the GPUs that follow from it count.
    """
    time_s = _ordered_difference(first, second) if ordered else _unordered_difference(first, second)
    if time_s is None:
        return None
    (row, one), (_, two) = (_instant(log, time_s) for log in (first, second))
    if ordered:
        known = _common(one, two)
        rest = [one[known:], two[known:]]
    else:
        known = _events_only(one)
        rest = [_decisions_without(found, other) for found, other in ((one, two), (two, one))]
    acts = [[_act(log, event) for event in found] for log, found in ((first, rest[0]), (second, rest[1]))]
    decisions = all(event.kind in DECISIONS for found in rest for event in found)
    state = Occupancy(first.workload, first.cluster)
    for event in events(first.events, 0, row + known):
        state.apply(event)
    return Parting(
        time_s=time_s,
        is_decision=decisions,
        only_order=decisions and sorted(map(_bare, one)) == sorted(map(_bare, two)),
        first=acts[0],
        second=acts[1],
        waiting=list(state.waiting),
        running=list(state.running),
        free_gpus=dict(zip(first.cluster.pool_names, state.idle, strict=True)),
    )


def _ordered_difference(first: RunLog, second: RunLog) -> float | None:
    """Time of the first row that differs in anything; None if none does."""
    one, two = first.events.rows, second.events.rows
    n = min(len(one), len(two))
    differs = np.zeros(n, np.bool_)
    for name in LOG.names or ():
        differs |= one[name][:n] != two[name][:n]
    row = int(differs.argmax()) if differs.any() else n
    # Starts of the same job on other GPUs differ too.
    used = min(len(first.events.gpus), len(second.events.gpus))
    other = np.flatnonzero(first.events.gpus[:used] != second.events.gpus[:used])
    if other.size:
        row = min(row, int(np.searchsorted(one["first"][:n] + one["gpus"][:n], other[0], side="right")))
    return _earlier(one["time_s"], two["time_s"], row)


def _unordered_difference(first: RunLog, second: RunLog) -> float | None:
    """Time of the first instant with other decisions; None if there is none."""
    decided = (log.events.rows[np.isin(log.events.rows["kind"], DECISIONS)] for log in (first, second))
    one, two = (rows[np.lexsort((rows["type"], rows["job"], rows["kind"], rows["time_s"]))] for rows in decided)
    n = min(len(one), len(two))
    differs = np.zeros(n, np.bool_)
    for name in ("time_s", "kind", "job", "type"):
        differs |= one[name][:n] != two[name][:n]
    return _earlier(one["time_s"], two["time_s"], int(differs.argmax()) if differs.any() else n)


def _earlier(one_s: np.ndarray, two_s: np.ndarray, row: int) -> float | None:
    """The earlier of two times of a row, which one log may lack; None if both do."""
    return min((float(times[row]) for times in (one_s, two_s) if row < len(times)), default=None)


def _instant(log: RunLog, time_s: float) -> tuple[int, list[Event]]:
    """What happened at a time, and the row where that begins."""
    begin, end = np.searchsorted(log.events.rows["time_s"], [time_s, np.nextafter(time_s, np.inf)])
    return int(begin), list(events(log.events, int(begin), int(end)))


def _common(one: list[Event], two: list[Event]) -> int:
    """How many events both have in common before the first that differs."""
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def _events_only(found: list[Event]) -> int:
    """How many events come before the first decision."""
    return next((i for i, event in enumerate(found) if event.kind in DECISIONS), len(found))


def _bare(event: Event) -> tuple[int, int, int]:
    """An event without its GPUs."""
    return event.kind, event.job, event.pool


def _decisions_without(found: list[Event], other: list[Event]) -> list[Event]:
    """The decisions that the other does not have, wherever."""
    there = Counter(map(_bare, other))
    out = []
    for event in found:
        if there[_bare(event)]:
            there[_bare(event)] -= 1
        elif event.kind in DECISIONS:
            out.append(event)
    return out


def _act(log: RunLog, event: Event) -> Act:
    name = str(event.job) if event.kind >= NODE_DOWN else job_name(log, event.job)
    pool = log.cluster.pool_names[event.pool] if event.kind == START else ""
    return Act(KIND_NAMES[event.kind], event.job, name, pool, event.gpus)


def job_name(log: RunLog, job: int) -> str:
    """What the source calls a job, or its row."""
    return str(job) if log.workload.job_id is None else log.workload.job_id[job]


def downstream(log: RunLog, first: RunResult, second: RunResult, most: int = 5) -> Downstream:
    """Completion times of the second run against the first.

    Args:
        log: Of either run, for the names of its jobs.
        first, second: Results of the same jobs.
        most: How many jobs that gained (lost) most are named.
    """
    done = [np.isfinite(result.finish_s) for result in (first, second)]
    both = done[0] & done[1]
    difference = np.where(both, second.finish_s - first.finish_s, 0.0)
    order = np.argsort(difference, kind="stable")

    def change(job: int) -> Change:
        jcts = float(first.jct_s[job]), float(second.jct_s[job])
        return Change(job, job_name(log, job), *jcts, float(difference[job]))

    gained = [change(int(job)) for job in order[:most] if difference[job] < -_SAME_S]
    lost = [change(int(job)) for job in order[::-1][:most] if difference[job] > _SAME_S]
    better, worse = int((difference < -_SAME_S).sum()), int((difference > _SAME_S).sum())
    total = float(difference.sum())
    return Downstream(
        total_s=total,
        mean_s=total / max(int(both.sum()), 1),
        better=better,
        worse=worse,
        same=int(both.sum()) - better - worse,
        only_first=int((done[0] & ~done[1]).sum()),
        only_second=int((done[1] & ~done[0]).sum()),
        neither=int((~done[0] & ~done[1]).sum()),
        gained=gained,
        lost=lost,
    )
