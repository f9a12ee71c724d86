"""Fragmentation: idle GPUs that a waiting job could use if they lay elsewhere."""

from __future__ import annotations

from collections import Counter

from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.occupancy import Occupancy, events, pools_of
from rl_sched.sim.eventlog import ARRIVE, KILL, PREEMPT, START
from rl_sched.sim.loading import run_times
from rl_sched.workload import WHOLE_GPU

Demand = tuple[int, int, tuple[int, ...]]  # gang, thousandths of each GPU, pools on which the job can run


def fragmentation_frac(log: RunLog) -> float:
    """Share of the cluster's GPU time that is idle in fragmented pools; nan if no time passed.

    A pool is fragmented while a job waits that can run there and has too few GPUs by their places, not by their
    number: its gang is at most the number of idle GPUs but does not fit (possible with ``consolidated`` placement
    only), or its share of a GPU is at most what all GPUs have left together but no GPU has that much. Counted from the
    first submission to the end, rounds and failures included.
    """
    cluster, workload = log.cluster, log.workload
    begin_s, end_s = float(workload.submit_s[0]), log.outcome.end_s
    if end_s <= begin_s:
        return float("nan")
    consolidated = log.rules.placement == "consolidated"
    if not consolidated and (workload.gpu_milli == WHOLE_GPU).all():
        return 0.0  # what fits by number fits
    demands = _demands(log)
    node_sizes = [int(cluster.node_size[cluster.node_pool == pool].max()) for pool in range(cluster.num_pools)]
    state, waiting = Occupancy(workload, cluster), Counter[Demand]()
    wasted_gpu_s, now_s = 0.0, begin_s
    for event in events(log.events):
        if event.time_s > now_s:
            wasted_gpu_s += (event.time_s - now_s) * _blocked_gpus(state, waiting, consolidated, node_sizes)
            now_s = event.time_s
        state.apply(event)
        if event.kind in (ARRIVE, PREEMPT, KILL):
            waiting[demands[event.job]] += 1
        elif event.kind == START:
            waiting[demands[event.job]] -= 1
    wasted_gpu_s += (end_s - now_s) * _blocked_gpus(state, waiting, consolidated, node_sizes)
    return wasted_gpu_s / (cluster.num_gpus * (end_s - begin_s))


def _demands(log: RunLog) -> list[Demand]:
    w = log.workload
    pools = pools_of(run_times(w, log.cluster, log.rules))
    return list(zip(w.num_gpus.tolist(), w.gpu_milli.tolist(), pools, strict=True))


def _blocked_gpus(state: Occupancy, waiting: Counter[Demand], consolidated: bool, node_sizes: list[int]) -> float:
    """Idle GPUs, left shares included, of the pools that are fragmented now."""
    total = 0.0
    for pool, node_size in enumerate(node_sizes):
        idle, left = state.idle[pool], [WHOLE_GPU - used for used in state.shared[pool].values()]
        for (gang, milli, pools), count in waiting.items():
            if count == 0 or pool not in pools:
                continue
            if milli < WHOLE_GPU:
                blocked = idle == 0 and max(left, default=0) < milli <= sum(left)
            else:
                blocked = consolidated and gang <= idle and not _fits(state.counts[pool], node_size, gang)
            if blocked:
                total += idle + sum(left) / WHOLE_GPU
                break
    return total


def _fits(counts: list[int], node_size: int, gang: int) -> bool:
    """Does a gang fit whole nodes? ``counts[k]`` nodes have k idle GPUs; docs/simulator.md, ``consolidated``."""
    if gang <= node_size:
        return any(counts[gang : node_size + 1])
    whole, rest = divmod(gang, node_size)
    if counts[node_size] < whole:
        return False
    return rest == 0 or counts[node_size] > whole or any(counts[rest:node_size])
