"""Scenarios made of slices of a log: consecutive jobs, learned on early ones and judged on later ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario, SeedRanges
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload

_NO_SEEDS = SeedRanges(range(0), range(0), range(0))


class Periods(NamedTuple):
    """The jobs of the three splits, each in order of time; those that judge come after those of TRAIN."""

    train: Workload
    val: Workload
    report: Workload

    @classmethod
    def last(cls, jobs: Workload, val: int, report: int) -> Periods:
        """The last ``report`` jobs of a log for REPORT, the ``val`` before them for VAL, all others for TRAIN."""
        rows = np.split(np.arange(len(jobs)), [len(jobs) - val - report, len(jobs) - report])
        return cls(*(jobs.take(part) for part in rows))


def sliced(
    name: str,
    cluster: ClusterSpec,
    periods: Callable[[], Periods],
    missing: str | None,
    *,
    num_jobs: int,
    load: float,
    window: int,
    time_scale_s: float,
    lookahead_s: float,
    tuned: Mapping[str, Mapping[str, float]],
) -> Scenario:
    """A scenario of ``num_jobs`` consecutive jobs a workload; the seed is the row of the slice's first job.

    TRAIN slices may start at any job, and overlap. Those of VAL and REPORT are disjoint, so that their episodes are
    independent.

    Args:
        name: Of the scenario.
        cluster: The hardware.
        periods: Reads the log; called when the first seed or workload is asked for.
        missing: None, or why the log cannot be read here.
        num_jobs: Jobs of a slice.
        load: Every slice's arrival times are scaled to this offered load, each job counted on its fastest type.
        window, time_scale_s, lookahead_s, tuned: See ``Scenario``.
    """

    @functools.cache
    def cut() -> tuple[SeedRanges, Callable[[int], Workload]]:
        return _cut(periods(), cluster, num_jobs, load)

    return Scenario(
        name=name,
        cluster=cluster,
        rules=Rules(window=window),
        num_jobs=num_jobs,
        make=lambda seed: cut()[1](seed),
        splits=_NO_SEEDS if missing else lambda: cut()[0],
        time_scale_s=time_scale_s,
        lookahead_s=lookahead_s,
        tuned=tuned,
        missing=missing,
    )


def _cut(
    periods: Periods, cluster: ClusterSpec, num_jobs: int, load: float
) -> tuple[SeedRanges, Callable[[int], Workload]]:
    # Seeds number the rows of the three periods one after the other, so that the ranges cannot overlap.
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in periods])])
    steps = (1, num_jobs, num_jobs)
    ranges = [range(int(offsets[i]), int(offsets[i + 1]) - num_jobs + 1, step) for i, step in enumerate(steps)]

    def make(seed: int) -> Workload:
        part = int(np.searchsorted(offsets, seed, side="right")) - 1
        first = seed - int(offsets[part])
        jobs = periods[part].take(np.arange(first, first + num_jobs))
        return jobs.scale_load(load / jobs.offered_load(cluster))

    return SeedRanges(*ranges), make
