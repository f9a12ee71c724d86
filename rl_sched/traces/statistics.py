"""Figures of a workload: arrivals, work, run times, GPU demand. Pure functions of the jobs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.workload import Workload

QUANTILES = (10, 50, 90, 99)


class Demand(NamedTuple):
    """The jobs that ask for the same number of GPUs."""

    gpus: float  # below 1: a share of one GPU
    jobs: int
    job_share: float
    gpu_hour_share: float


class Statistics(NamedTuple):
    """A workload in figures. Run times are those at speed 1."""

    num_jobs: int
    span_s: float  # from the first arrival to the last
    arrivals_per_h: float  # nan if all arrive at once, as the next one
    gpu_hours: float
    gpus_at_load_1: float  # GPUs that the work would just keep busy over the span; inf if all arrive at once
    mean_gpus: float
    mean_duration_s: float
    duration_s: dict[str, float]  # p10, p50, p90, p99
    interarrival_cv: float  # standard deviation over mean of the gaps: 1 for Poisson, more for bursts
    demands: tuple[Demand, ...]  # in order of the number of GPUs


def statistics(jobs: Workload) -> Statistics:
    """The figures of a workload."""
    demand = jobs.gpu_demand
    gpu_hours = jobs.duration_s * demand / 3600
    total = float(gpu_hours.sum())
    span_s = float(jobs.submit_s[-1] - jobs.submit_s[0])
    gaps = np.diff(jobs.submit_s)
    sizes, of = np.unique(demand, return_inverse=True)
    counts = np.bincount(of)
    hours = np.bincount(of, weights=gpu_hours)
    return Statistics(
        num_jobs=len(jobs),
        span_s=span_s,
        arrivals_per_h=len(jobs) / span_s * 3600 if span_s > 0 else float("nan"),
        gpu_hours=total,
        gpus_at_load_1=total * 3600 / span_s if span_s > 0 else float("inf"),
        mean_gpus=float(demand.mean()),
        mean_duration_s=float(jobs.duration_s.mean()),
        duration_s={f"p{q}": float(np.percentile(jobs.duration_s, q)) for q in QUANTILES},
        interarrival_cv=float(gaps.std() / gaps.mean()) if span_s > 0 else float("nan"),
        demands=tuple(
            Demand(float(size), int(count), float(count) / len(jobs), float(h) / total)
            for size, count, h in zip(sizes, counts, hours, strict=True)
        ),
    )
