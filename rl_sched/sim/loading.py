"""Loading a workload into a record: run times on this cluster, job classes, and the reset to time 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.sim import kernels
from rl_sched.sim.record import Sizes, State
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


class ClassTable(NamedTuple):
    """Job classes that behave alike when it comes to fitting: one per (gang, set of possible GPU types)."""

    gang: np.ndarray  # (C,)
    types: np.ndarray  # (C,) bit mask

    @classmethod
    def of(cls, gang: np.ndarray, dur: np.ndarray) -> tuple[ClassTable, np.ndarray]:
        """The classes of jobs with ``gang (n,)`` and ``dur (n, T)``, and the class of each job (n,)."""
        num_types = np.int64(dur.shape[1])
        mask = (np.isfinite(dur).astype(np.int64) << np.arange(num_types)).sum(axis=1)
        # One number per pair: sorting pairs would cost more than simulating the jobs.
        codes, klass = np.unique((gang.astype(np.int64) << num_types) | mask, return_inverse=True)
        return cls(codes >> num_types, (codes & ((1 << num_types) - 1)).astype(np.uint64)), klass


def run_times(workload: Workload, cluster: ClusterSpec, rules: Rules) -> np.ndarray:
    """(n, T) run time of every job on every type where the placement rule could ever start it, else inf.

    Raises:
        WorkloadError: A job could start nowhere, not even on the idle cluster.
    """
    dur = workload.duration_on(cluster)
    if rules.placement == "consolidated":
        for t in range(cluster.num_types):
            sizes = cluster.node_size[cluster.node_type == t]
            whole, rest = np.divmod(workload.num_gpus, sizes.max())
            full_nodes = int((sizes == sizes.max()).sum())
            smaller = sizes[sizes < sizes.max()]
            holds_rest = (rest == 0) | (full_nodes > whole) | (rest <= (smaller.max() if smaller.size else 0))
            large = workload.num_gpus > sizes.max()
            dur[large & ~((whole <= full_nodes) & holds_rest), t] = np.inf
        stuck = np.flatnonzero(~np.isfinite(dur).any(axis=1))
        if stuck.size:
            row = int(stuck[0])
            raise WorkloadError(
                f"Row {row}: a gang of {workload.num_gpus[row]} GPUs can never be placed on whole nodes of this "
                f"cluster ({cluster.describe()}) with consolidated placement. Drop the job, or use pooled placement."
            )
    return dur


def load(state: State, e: int, workload: Workload, dur: np.ndarray, table: ClassTable, klass: np.ndarray) -> None:
    """Writes a workload into record ``e`` and takes it to its first decision.

    Args:
        state: Where.
        e: Record number.
        workload: n <= J jobs.
        dur: (n, T) seconds, from ``run_times``.
        table: Classes that cover this workload.
        klass: (n,) class of each job in ``table``.
    """
    v, n, rules = state.views, len(workload), state.rules
    jobs = v.jobs[e]
    jobs["submit_s"][:n] = workload.submit_s
    jobs["gang"][:n] = workload.num_gpus
    jobs["klass"][:n] = klass
    jobs["work"][:n] = dur.min(axis=1) * workload.num_gpus
    v.dur[e, :n] = dur
    if rules.tie_order == "heapq":
        # That heap is filled in the order in which the jobs were generated, which their names tell.
        names = workload.job_id or [str(i) for i in range(n)]
        jobs["pushed"][:n] = np.argsort([int(name) for name in names], kind="stable")
    v.classes["gang"][e, : len(table.gang)] = table.gang
    v.classes["types"][e, : len(table.gang)] = table.types
    head = v.head[e : e + 1]
    head["num_jobs"] = n
    head["num_classes"] = len(table.gang)
    head["total_work"] = float(jobs["work"][:n].sum())
    head["horizon_s"] = np.inf
    if rules.horizon_factor is not None:
        head["horizon_s"] = workload.submit_s[-1] + rules.horizon_factor * head["total_work"] / state.cluster.num_gpus
    kernels.reset(*v, e)


def state_for(workload: Workload, cluster: ClusterSpec, rules: Rules) -> State:
    """A state of one environment, holding ``workload``.

    Raises:
        WorkloadError: A job could start nowhere.
    """
    dur = run_times(workload, cluster, rules)
    table, klass = ClassTable.of(workload.num_gpus, dur)
    state = State(cluster, rules, 1, Sizes(len(workload), len(table.gang), int(workload.num_gpus.sum())))
    load(state, 0, workload, dur, table, klass)
    return state
