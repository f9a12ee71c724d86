"""Objectives of a whole schedule: weighted sums of completion times and of the last one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Objective:
    """``each * sum_j (finish_j - submit_j) + last * (max_j finish_j - min_j submit_j)``, in seconds."""

    each: float
    last: float

    def value(self, submit_s: np.ndarray, finish_s: np.ndarray) -> float:
        """The objective of a schedule."""
        return float(self.each * (finish_s - submit_s).sum() + self.last * (finish_s.max() - submit_s.min()))

    def offset(self, submit_s: np.ndarray) -> float:
        """What ``value`` subtracts from the weighted finish times: known before anything is scheduled."""
        return float(self.each * submit_s.sum() + self.last * submit_s.min())

    def latest_finish(self, submit_s: np.ndarray, shortest_s: np.ndarray, upper: float) -> np.ndarray:
        """(n,) the latest finish of each job in any schedule of at most the value ``upper``.

        All other jobs take at least their shortest run times, and the last finish is no earlier than any.
        """
        others = shortest_s.sum() - shortest_s
        late = np.full(len(submit_s), np.inf)
        if self.each:
            late = np.minimum(late, submit_s + upper / self.each - others)
        if self.last:
            late = np.minimum(late, submit_s.min() + upper / self.last)
        return late


def total_jct() -> Objective:
    """The sum of job completion times (finish - submission): n times their mean."""
    return Objective(each=1.0, last=0.0)


def makespan() -> Objective:
    """From the first submission to the last finish."""
    return Objective(each=0.0, last=1.0)
