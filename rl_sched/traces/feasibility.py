"""What a workload asks of a cluster: jobs that cannot run there, offered load, deadlines that cannot be met."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.workload import Workload

#: Reasons why a job cannot run on a cluster; a job counts for the first that applies.
UNKNOWN_VC = "its virtual cluster is not one of the cluster's"
NO_SPEED = "its class has no speed above 0 on the cluster's GPU types"
TOO_LARGE = "its gang is larger than every pool that it may use"


class Feasibility(NamedTuple):
    """A workload on a cluster."""

    cluster: str
    num_gpus: int
    impossible: dict[str, int]  # reason -> jobs, only reasons that occur
    able_jobs: int
    offered_load: float  # of the jobs that can run, each on its fastest type; inf if all arrive at once; nan: none can


class Deadlines(NamedTuple):
    """Jobs with a deadline, and those that would miss it even if they started at once."""

    jobs: int
    hopeless: int


def feasibility(jobs: Workload, cluster: ClusterSpec) -> Feasibility:
    """Judges every job by the rules of ``Workload.duration_on``, which refuses the whole workload instead.

    Raises:
        WorkloadError: The workload's speed table lacks a GPU type of the cluster.
    """
    n = len(jobs)
    runs = np.ones((n, cluster.num_pools), dtype=bool)
    reasons: dict[str, np.ndarray] = {}  # reason -> (n,) mask
    if cluster.vc_names:
        names = jobs.vc_names or tuple(str(v) for v in range(int(jobs.vc.max()) + 1))
        home = np.array([cluster.vc_names.index(v) if v in cluster.vc_names else -1 for v in names])[jobs.vc]
        runs &= home[:, None] == cluster.pool_vc[None, :]
        reasons[UNKNOWN_VC] = home < 0
    if jobs.speed is not None:
        missing = [t for t in cluster.type_names if t not in jobs.gpu_types]
        if missing:
            raise WorkloadError(
                f"The jobs' speeds are known on {', '.join(jobs.gpu_types)}; the cluster also has "
                f"{', '.join(missing)}. Choose a cluster of known types."
            )
        columns = [jobs.gpu_types.index(t) for t in cluster.type_names]
        runs &= (jobs.speed[jobs.job_class][:, columns] > 0)[:, cluster.pool_type]
        reasons[NO_SPEED] = np.logical_not(runs.any(axis=1))
    runs &= jobs.num_gpus[:, None] <= cluster.pool_gpus[None, :]
    reasons[TOO_LARGE] = np.logical_not(runs.any(axis=1))
    able = np.ones(n, dtype=bool)
    impossible: dict[str, int] = {}
    for reason, bad in reasons.items():
        if count := int((able & bad).sum()):
            impossible[reason] = count
        able &= ~bad
    load = jobs.take(able, rebase=False).offered_load(cluster) if able.any() else float("nan")
    return Feasibility(cluster.describe(), cluster.num_gpus, impossible, int(able.sum()), load)


def deadlines(jobs: Workload) -> Deadlines:
    """Counts deadlines; a run time is the one at speed 1."""
    has = np.isfinite(jobs.deadline_s)
    # Readers add and subtract times: a deadline that is met to the microsecond is met.
    hopeless = has & (jobs.submit_s + jobs.duration_s > jobs.deadline_s + 1e-6)
    return Deadlines(int(has.sum()), int(hopeless.sum()))
