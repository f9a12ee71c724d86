"""What a learner sees: shapes, names of the features, and the kernel that writes them.

Everything is scale-free: times are shown relative to the scenario's ``time_scale_s``, as x / (x + scale) or as a
quarter of a logarithm; all floats lie in [-2, 2]. Rows of padding are all zero.

The columns are named by ``JOB_FEATURES`` and what follows it here; docs/mdp.md shows the tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.config import EnvConfig
from rl_sched.envs.foresight import ARRIVALS
from rl_sched.envs.window import append, free_after, next_job
from rl_sched.sim.jit import helper
from rl_sched.sim.kernels import can_wait
from rl_sched.sim.record import IDLE

BOUND = 2.0
NUM_STATIC = 3  # gang, work, priority come from the workload and are computed once
#: Columns of a job; then per type ``JOB_PER_TYPE``; with finish times ``JOB_FINISH``, with a plan ``JOB_PLAN``,
#: with a guide's feature ``JOB_GUIDE`` per type.
JOB_FEATURES = (
    "exists: 1",
    "gang: log(gang, or share of a GPU) / log(GPUs of the largest type)",
    "work: log(GPU-seconds on the fastest type / scale) / 4",
    "waited: t / (t + 2 scale)",
    "fits now on some type: 0 or 1",
    "priority: p / (1 + |p|)",
)
JOB_PER_TYPE = ("run time: log(run time / scale) / 4; 2 = impossible",)
JOB_FINISH = (
    "time until enough GPUs are free: t / (t + scale); 1 = never",
    "planned finish f = that + run time: f / (f + scale); 1 = never",
    "best planned finish of all types over f; 0 = never",
)
JOB_PLAN = ("the plan starts this job on this type in t: scale / (t + scale); 1 = now, 0 = not on this type",)
JOB_GUIDE = ("the guide starts this job on this type: 0 or 1",)
NUM_PLAIN = len(JOB_FEATURES)
#: Columns of a GPU; then a one-hot of its type.
GPU_FEATURES = ("lookahead, by mode", "speed (FLOPS) over that of the fastest type")
#: Columns of the globals; then ``GLOBALS_PER_TYPE`` per type.
GLOBALS = (
    "share of the window in use",
    "b jobs beyond the window: b / (b + W)",
    "jobs running over GPUs, at most 2",
    "share of the jobs that have arrived",
    "time since the last arrival: t / (t + scale)",
    "time since the 5th last arrival: t / (t + scale); 1 = there is none",
    "time since the 20th last arrival: t / (t + scale); 1 = there is none",
    "time until the next completion: t / (t + scale); 1 = nothing runs",
    "clock: t / (t + 50 scale)",
    "share of the deadline used (0 without one)",
)
GLOBALS_PER_TYPE = ("free GPUs over all of the type",)
_RECENT = (1, 5, 20)


class ObsSpec(NamedTuple):
    """Shapes of an observation."""

    window: int  # W
    job_features: int  # Fj
    num_gpus: int  # G
    gpu_features: int  # Fg
    global_features: int  # Fx
    num_types: int  # T
    guided: bool
    arrival_features: int = 0  # Fa: of the arrivals to come, which only a value in training is told; 0 = nothing

    @property
    def num_actions(self) -> int:
        """0 = wait, 1 + slot * T + type = start the job of that slot on that type."""
        return self.window * self.num_types + 1


class Block(NamedTuple):
    """Columns of a job row that every GPU type has, type by type."""

    names: tuple[str, ...]
    never: tuple[float, ...]  # what they show of a type on which no job can run


def per_type_blocks(config: EnvConfig) -> tuple[Block, ...]:
    """The blocks that follow the ``NUM_PLAIN`` plain columns of a job row, in their order."""
    blocks = [Block(JOB_PER_TYPE, (BOUND,))]
    if config.finish_times:
        blocks.append(Block(JOB_FINISH, (1.0, 1.0, 0.0)))
    if config.plan:
        blocks.append(Block(JOB_PLAN, (0.0,)))
    if config.guide.policy is not None and config.guide.feature:
        blocks.append(Block(JOB_GUIDE, (0.0,)))
    return tuple(blocks)


def first_column(config: EnvConfig, names: tuple[str, ...], num_types: int) -> int:
    """Where in a job row the block with these names begins."""
    blocks = [block.names for block in per_type_blocks(config)]
    return NUM_PLAIN + num_types * sum(len(block) for block in blocks[: blocks.index(names)])


def spec_of(num_types: int, num_gpus: int, window: int, config: EnvConfig, foresight: bool = False) -> ObsSpec:
    """The shapes for T types, G GPUs and a window of W jobs; with ``foresight`` the arrivals to come are told."""
    return ObsSpec(
        window=window,
        job_features=NUM_PLAIN + num_types * sum(len(block.names) for block in per_type_blocks(config)),
        num_gpus=num_gpus,
        gpu_features=len(GPU_FEATURES) + num_types,
        global_features=len(GLOBALS) + num_types * len(GLOBALS_PER_TYPE),
        num_types=num_types,
        guided=config.guide.policy is not None,
        arrival_features=len(ARRIVALS) if foresight else 0,
    )


def static_features(
    gpus: np.ndarray, priority: np.ndarray, dur: np.ndarray, type_gpus: np.ndarray, time_scale_s: float
) -> np.ndarray:
    """Features that never change: (n, 3 + T) float32 = gang, work, priority, run time per type.

    Args:
        gpus: (n,) GPUs that each job keeps busy; below 1 for a share.
        priority: (n,).
        dur: (n, T) seconds, inf = impossible.
        type_gpus: (T,) GPUs of each type.
        time_scale_s: Seconds.
    """
    fastest = dur.min(axis=1)
    largest = max(int(type_gpus.max()), 2)
    out = np.empty((len(gpus), NUM_STATIC + dur.shape[1]), np.float32)
    out[:, 0] = np.log(gpus) / np.log(largest)
    out[:, 1] = 0.25 * np.log(fastest * gpus / time_scale_s)
    out[:, 2] = priority / (1.0 + np.abs(priority))
    with np.errstate(divide="ignore"):
        out[:, NUM_STATIC:] = 0.25 * np.log(dur / time_scale_s)
    return np.clip(out, -BOUND, BOUND, out=out)


@helper
def _squash(x, scale):
    return np.float32(x / (x + scale))


@helper
def write_globals(s, e, out, window, scale):
    """Writes row ``e`` of the globals (N, Fx)."""
    head = s.head[e]
    n = head.window_len
    beyond = head.num_waiting - n
    out[e, 0] = n / window
    out[e, 1] = beyond / (beyond + window)
    out[e, 2] = min(head.num_running / s.gpus.shape[1], BOUND)
    out[e, 3] = head.num_arrived / head.num_jobs
    for i in range(3):
        back = head.num_arrived - _RECENT[i]
        out[e, 4 + i] = 1.0
        if back >= 0:
            out[e, 4 + i] = _squash(head.now - s.jobs[e, s.order[e, back]].submit_s, scale)
    out[e, 7] = 1.0
    if head.num_running > 0:
        # The heap also holds what nobody may see: arrivals to come with ``heapq_ties``, failures and true ends
        # where the world is not plain.
        first = s.heap[e, 0].time
        if head.heapq_ties == 1 or head.plain == 0:
            first = np.inf
            for g in range(s.gpus.shape[1]):
                if s.gpus[e, g].job != IDLE:
                    first = min(first, s.gpus[e, g].end_s)
        out[e, 7] = _squash(max(first - head.now, 0.0), scale)
    out[e, 8] = _squash(head.now, 50.0 * scale)
    out[e, 9] = min(head.now / head.horizon_s, 1.0)
    for t in range(s.types.shape[1]):
        out[e, 10 + t] = s.types[e, t].free / s.types[e, t].total


@helper
def enter_window(s, e, shown, jobs, static):
    """Adds the rows of the jobs that have entered the window, with the features that never change.

    Args:
        s, e: Views and number of the record.
        shown: The rows; those of jobs that have left the window are gone already.
        jobs: (N, W, Fj) output.
        static: (N, J, 3 + T) see ``static_features``.
    """
    while shown.used[e] < s.head[e].window_len:
        job = next_job(s, e, shown)
        i = append(s, e, shown, job)
        jobs[e, i, 0] = 1.0
        jobs[e, i, 1] = static[e, job, 0]
        jobs[e, i, 2] = static[e, job, 1]
        jobs[e, i, 5] = static[e, job, 2]
        for t in range(len(shown.kinds)):
            jobs[e, i, NUM_PLAIN + t] = static[e, job, NUM_STATIC + t]


@helper
def _wait_s(s, e, shown, t, klass):
    """Seconds until a job of this class could start on type ``t``; a share may fit although no GPU is idle."""
    if klass.fits >> np.uint64(t) & np.uint64(1):
        return 0.0
    return free_after(s, e, shown, t, klass.gang)


@helper
def _write_finish(s, e, shown, jobs, i, klass, column, scale):
    """Writes the features of finish times of row ``i``, from ``column`` on."""
    num_types = len(shown.kinds)
    best = np.inf
    for t in range(num_types):
        best = min(best, _wait_s(s, e, shown, t, klass) + shown.duration[e, i, t])
    for t in range(num_types):
        wait = _wait_s(s, e, shown, t, klass)
        finish = wait + shown.duration[e, i, t]
        k = column + 3 * t
        if finish < np.inf:
            # wait / (wait + scale), finish / (finish + scale), best / finish with a single division
            a, b = wait + scale, finish + scale
            inverse = 1.0 / (a * b * finish)
            jobs[e, i, k] = wait * b * finish * inverse
            jobs[e, i, k + 1] = finish * finish * a * inverse
            jobs[e, i, k + 2] = best * a * b * inverse
        else:
            jobs[e, i, k] = 1.0
            jobs[e, i, k + 1] = 1.0
            jobs[e, i, k + 2] = 0.0


@helper
def write_jobs(s, e, jobs, mask, shown, any_fits, finish_times, scale, previous):
    """Writes the mask of environment ``e`` and what changes in the job rows.

    Args:
        s, e: Views and number of the record.
        jobs: (N, W, Fj) output, as is ``mask`` (N, A).
        shown: The rows, after ``enter_window``.
        any_fits: Result of ``mark_fits``, called just before.
        finish_times: Whether the features of finish times are part of the row.
        scale: Seconds.
        previous: Number of rows that the last call left non-zero.
    """
    head = s.head[e]
    num_types = len(shown.kinds)
    n = head.window_len
    base = NUM_PLAIN + num_types
    for i in range(n):
        row = shown.rows[e, i]
        klass = s.classes[e, row.klass]
        types = klass.fits
        jobs[e, i, 3] = _squash(head.now - row.submit_s, 2.0 * scale)
        jobs[e, i, 4] = types != np.uint64(0)
        for t in range(num_types):
            mask[e, 1 + i * num_types + t] = (types >> np.uint64(t)) & np.uint64(1)
        if finish_times:
            _write_finish(s, e, shown, jobs, i, klass, base, scale)
    for i in range(n, previous):
        for k in range(jobs.shape[2]):
            jobs[e, i, k] = 0.0
        for t in range(num_types):
            mask[e, 1 + i * num_types + t] = 0
    # Waiting is a choice wherever time may bring something; the last observation keeps one legal action.
    mask[e, 0] = can_wait(s, e) or not any_fits


@helper
def write_plan(jobs, e, n, num_types, column, start, kind, scale):
    """Writes how soon each of the first ``n`` rows is planned to start, ``start[0]`` s on type ``kind[0]``."""
    for i in range(n):
        for t in range(num_types):
            jobs[e, i, column + t] = scale / (start[0, i] + scale) if t == kind[0, i] else 0.0


@helper
def write_advice(jobs, e, n, num_types, column, row, kind):
    """Marks a guide's choice, type ``kind`` for ``row`` (-1 = wait), in the first ``n`` rows, from ``column`` on."""
    for i in range(n):
        for t in range(num_types):
            jobs[e, i, column + t] = i == row and t == kind


@helper
def write_remaining(s, e, out, horizon_s):
    """Writes row ``e`` of (N, G): time until each GPU is free over the horizon, at most 1, 0 = idle."""
    now = s.head[e].now
    for g in range(s.gpus.shape[1]):
        r = s.gpus[e, g]
        out[e, g] = min(max((r.end_s - now) / horizon_s, 0.0), 1.0) if r.job != IDLE else 0.0
