"""What a run came to, in a few numbers: what its event log must lead to again."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from rl_sched import config
from rl_sched.cluster import ClusterSpec
from rl_sched.config import content_id
from rl_sched.provenance import package_hash
from rl_sched.sim.record import State
from rl_sched.sim.result import RunResult
from rl_sched.sim.watching import Watch


class Outcome(NamedTuple):
    """Sums and hashes of a run. The first three cannot be counted from its events alone."""

    decisions: int
    end_s: float  # the clock at the end; later than the last event where the rules cut the run
    busy_gpu_s: float  # its last digits depend on every stop of the clock, and not all of them are events
    result_hash: str
    workload_hash: str
    rules_hash: str
    code_hash: str


class Recorder(Watch):
    """Keeps the event log, and the time at which the run ended."""

    end_s: float = 0.0

    def look(self, state: State, e: int) -> None:
        super().look(state, e)
        self.end_s = float(state.views.head["now"][e])

    def outcome(self, result: RunResult) -> Outcome:
        """Of the run that was watched."""
        return Outcome(
            decisions=result.decisions,
            end_s=self.end_s,
            busy_gpu_s=result.busy_gpu_s,
            result_hash=result_hash(result),
            workload_hash=result.workload_hash,
            rules_hash=result.rules_hash,
            code_hash=package_hash(),
        )


def result_hash(result: RunResult) -> str:
    """16 hex digits that depend on every bit of every column of a result, and on its cluster."""
    digest = hashlib.sha256()
    for field in dataclasses.fields(result):
        digest.update(field.name.encode() + _bytes(getattr(result, field.name)))
    return digest.hexdigest()[:16]


def first_difference(one: RunResult, other: RunResult) -> str | None:
    """Name of the first column in which two results differ, in a bit at least; None if they are equal."""
    for field in dataclasses.fields(one):
        if _bytes(getattr(one, field.name)) != _bytes(getattr(other, field.name)):
            return field.name
    return None


def _bytes(value: object) -> bytes:
    if isinstance(value, ClusterSpec):
        # Whole numbers may stand for floats in a cluster made in Python, but not in one that was read.
        return content_id(config.build(ClusterSpec, config.to_dict(value))).encode()
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            value = np.where(np.isnan(value), np.nan, value)  # one nan for all
        return value.dtype.str.encode() + value.tobytes()
    return repr(value).encode()
