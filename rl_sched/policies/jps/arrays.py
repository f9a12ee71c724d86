"""What kernels read: an instance in numbers near 1, with links as classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.jps.instance import Instance


class Problem(NamedTuple):
    """S jobs, K workers, L classes of links, class 0 the slowest. Throughputs of a job have mean 1 over the workers."""

    rate: np.ndarray  # (S, K) float64 throughput over the job's mean throughput
    work_s: np.ndarray  # (S,) float64 JCT on one worker of mean throughput
    sync_s: np.ndarray  # (S, L) float64 time of the gradients of all iterations; times (m - 1) / m on m workers
    link: np.ndarray  # (K,) int64 class of the worker's link
    twin: np.ndarray  # (K,) int64 equal numbers = equal workers for all jobs
    reserved: np.ndarray  # (S,) int64 worker that makes the job feasible
    equal_s: np.ndarray  # (S,) float64 JCT on an equal, fractional share of every worker
    idle: bool  # whether a worker may serve nobody


def problem_of(instance: Instance) -> Problem:
    """The arrays of an instance. Its relations to the instance are exact up to rounding; times are in seconds."""
    mean = instance.throughput.mean(axis=1)
    rate = instance.throughput / mean[:, None]
    work_s = instance.work_samples / mean
    idle = instance.communicates
    if idle:
        links, link = np.unique(instance.link_bytes_per_s, return_inverse=True)
        iterations = instance.work_samples / instance.batch
        sync_s = np.ascontiguousarray(iterations[:, None] * 2.0 * instance.traffic_bytes[:, None] / links[None, :])
    else:
        sync_s, link = np.zeros((len(work_s), 1)), np.zeros(rate.shape[1], np.int64)
    columns: dict[tuple[bytes, int], int] = {}
    alike = [
        columns.setdefault(key, len(columns)) for key in zip(map(bytes, rate.T.copy()), link.tolist(), strict=True)
    ]
    share = rate.shape[1] / rate.shape[0]  # workers of an equal share
    equal_s = work_s / share + sync_s[:, 0] * max(0.0, 1.0 - 1.0 / share)
    return Problem(rate, work_s, sync_s, link, np.array(alike), instance.reserved, equal_s, idle)
