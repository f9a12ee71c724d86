"""Completion times by priority."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # columns are read; the simulator is not needed
    from rl_sched.sim.result import RunResult


class PriorityRow(NamedTuple):
    """The jobs of one priority; times of those that finished, nan if none did."""

    priority: float
    jobs: int
    unfinished: int
    mean_s: float
    median_s: float
    std_s: float  # of the population
    min_s: float
    max_s: float


def jct_by_priority(result: RunResult) -> list[PriorityRow]:
    """One row a priority, the most urgent first."""
    rows = []
    for priority in np.unique(result.priority)[::-1]:
        own = result.jct_s[result.priority == priority]
        done = own[np.isfinite(own)]
        if done.size:
            numbers = [done.mean(), np.median(done), done.std(), done.min(), done.max()]
        else:
            numbers = [np.nan] * 5
        rows.append(PriorityRow(float(priority), len(own), len(own) - len(done), *map(float, numbers)))
    return rows
