"""Loading a workload into a record: run times on this cluster, job classes, and the reset to time 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.sim import kernels
from rl_sched.sim.record import Sizes, State
from rl_sched.sim.rules import Rules
from rl_sched.workload import WHOLE_GPU, Workload

#: Bits that hold a share of a GPU (1 to 1000).
_MILLI_BITS = 10
#: Stream of the noise of estimates, beside those of ``draws``.
_NOISE_STREAM = 4
#: Rows of the event log beyond those that one decision may need.
LOG_ROWS = 1 << 16


class ClassTable(NamedTuple):
    """Job classes that behave alike when it comes to fitting: one per (gang, share of a GPU, possible pools)."""

    gang: np.ndarray  # (C,)
    milli: np.ndarray  # (C,) thousandths of each GPU
    types: np.ndarray  # (C,) bit mask
    vc: np.ndarray  # (C,) virtual cluster, -1 = none
    num_jobs: np.ndarray  # (C,) jobs of the class in the workload

    @classmethod
    def of(cls, workload: Workload, cluster: ClusterSpec, dur: np.ndarray) -> tuple[ClassTable, np.ndarray]:
        """The classes of jobs with run times ``dur (n, P)``, and the class of each job (n,)."""
        pools = np.int64(dur.shape[1])
        mask = (np.isfinite(dur).astype(np.int64) << np.arange(pools)).sum(axis=1)
        # One number per triple: sorting triples would cost more than simulating the jobs.
        codes = (((workload.num_gpus << _MILLI_BITS) | workload.gpu_milli) << pools) | mask
        unique, klass, count = np.unique(codes, return_inverse=True, return_counts=True)
        types = unique & ((1 << pools) - 1)
        demand = unique >> pools
        home = cluster.pool_vc[[(int(bits) & -int(bits)).bit_length() - 1 for bits in types]]
        table = cls(
            demand >> _MILLI_BITS,
            demand & ((1 << _MILLI_BITS) - 1),
            types.astype(np.uint64),
            home,
            count.astype(float),
        )
        return table, klass


def sizes_for(workload: Workload, cluster: ClusterSpec, classes: int, *, log: bool = False) -> Sizes:
    """Capacities of a record that holds just this workload."""
    n = len(workload)
    least = int((workload.num_gpus * workload.gpu_milli).min())
    running = min(n, cluster.num_gpus * WHOLE_GPU // least)
    room = 2 * n + 4 * running + 2 * cluster.num_nodes + LOG_ROWS if log else 0
    return Sizes(n, classes, int(workload.num_gpus.sum()), running, room)


def run_times(workload: Workload, cluster: ClusterSpec, rules: Rules) -> np.ndarray:
    """(n, P) run time of every job on every pool where the placement rule could ever start it, else inf.

    Raises:
        WorkloadError: A job could start nowhere, not even on the idle cluster.
    """
    dur = workload.duration_on(cluster)
    if rules.placement == "consolidated":
        for t in range(cluster.num_pools):
            sizes = cluster.node_size[cluster.node_pool == t]
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


def visible_factors(workload: Workload, rules: Rules) -> np.ndarray:
    """(n,) what policies take a job's run time for, as a factor of the true one.

    Raises:
        WorkloadError: Stated estimates are asked for and the workload has none.
    """
    factor = np.ones(len(workload))
    if rules.estimates == "stated":
        if workload.estimate_s is None:
            raise WorkloadError(
                "estimates='stated' needs a workload with the column estimate_s; this one has none. Use "
                "estimates='true', or a trace that states them."
            )
        factor = workload.estimate_s / workload.duration_s
    if rules.estimate_noise:
        normal = np.random.default_rng([rules.seed, _NOISE_STREAM]).standard_normal(len(workload))
        factor = factor * np.exp(rules.estimate_noise * normal)
    return factor


def restart_costs(num_gpus: np.ndarray, rules: Rules) -> np.ndarray:
    """(n,) restart cost of gangs ``(n,)`` in seconds."""
    if not rules.restart_s:
        return np.zeros(len(num_gpus))
    largest, cost = (np.array(column, float) for column in zip(*rules.restart_s, strict=True))
    return cost[np.minimum(np.searchsorted(largest, num_gpus), len(cost) - 1)]


def load(state: State, e: int, workload: Workload, dur: np.ndarray, table: ClassTable, klass: np.ndarray) -> None:
    """Writes a workload into record ``e`` and takes it to its first decision.

    Args:
        state: Where.
        e: Record number.
        workload: n <= J jobs.
        dur: (n, P) seconds, from ``run_times``.
        table: Classes that cover this workload.
        klass: (n,) class of each job in ``table``.
    """
    v, n, rules = state.views, len(workload), state.rules
    jobs = v.jobs[e]
    jobs["submit_s"][:n] = workload.submit_s
    jobs["gang"][:n] = workload.num_gpus
    jobs["klass"][:n] = klass
    jobs["work"][:n] = dur.min(axis=1) * workload.gpu_demand
    jobs["priority"][:n] = workload.priority
    jobs["alloc"][:n] = np.cumsum(workload.num_gpus) - workload.num_gpus
    v.dur[e, :n] = dur
    # Nothing reads these before a job has arrived or started, but touching their pages now keeps it out of the run.
    v.order[e] = v.alloc[e] = -1
    if not rules.plain:
        v.life["visible"][e, :n] = visible_factors(workload, rules)
    if rules.tie_order == "heapq":
        # That heap is filled in the order in which the jobs were generated, which their names tell.
        names = workload.job_id or [str(i) for i in range(n)]
        jobs["pushed"][:n] = np.argsort([int(name) for name in names], kind="stable")
    for name, column in table._asdict().items():
        v.classes[name][e, : len(column)] = column
    v.classes["restart_s"][e, : len(table.gang)] = restart_costs(table.gang, rules)
    head = v.head[e : e + 1]
    head["num_jobs"] = n
    head["num_classes"] = len(table.gang)
    head["logging"] = state.sizes.log > 0
    head["shared"] = (table.milli < WHOLE_GPU).any()
    head["total_work"] = float(jobs["work"][:n].sum())
    head["horizon_s"] = np.inf
    if rules.horizon_factor is not None:
        head["horizon_s"] = workload.submit_s[-1] + rules.horizon_factor * head["total_work"] / state.cluster.num_gpus
    kernels.reset(*v, e)


def state_for(workload: Workload, cluster: ClusterSpec, rules: Rules, *, log: bool = False) -> State:
    """A state of one environment, holding ``workload``; with ``log`` it keeps the event log.

    Raises:
        WorkloadError: A job could start nowhere.
    """
    dur = run_times(workload, cluster, rules)
    table, klass = ClassTable.of(workload, cluster, dur)
    state = State(cluster, rules, 1, sizes_for(workload, cluster, len(table.gang), log=log))
    load(state, 0, workload, dur, table, klass)
    return state
