"""What a policy sees of the SimPy model, by the names and in the units of ``rl_sched.sim.snapshot``."""

from __future__ import annotations

import math
from typing import Any

from tests.reference.simpy_model import Model


def see(model: Model) -> dict[str, Any]:
    """The columns of a ``Snapshot`` as lists; those of ``Running`` under ``running``."""
    cluster, rows, pools = model.cluster, model.window(), model.cluster.pools
    return {
        "now_s": model.now_s,
        "decision": model.decisions,
        "can_wait": model.can_wait,
        "preemptive": model.rules.preemption,
        "job": rows,
        "submit_s": [model.jobs[row].submit_s for row in rows],
        "num_gpus": [model.jobs[row].gang for row in rows],
        "gpu_milli": [model.jobs[row].milli for row in rows],
        "vc": [model.jobs[row].vc for row in rows],
        "total_s": [model.jobs[row].fastest_s * model.jobs[row].visible for row in rows],
        "attained_s": [model.attained_s(row) for row in rows],
        "left_frac": [model.lives[row].left_s / model.jobs[row].fastest_s for row in rows],
        "duration_s": [[model.appears_to_need_s(row, pool) for pool in pools] for row in rows],
        "feasible": [[model.fits(row, pool) for pool in pools] for row in rows],
        "free_gpus": [len(cluster.idle_in(pool)) for pool in pools],
        "type_gpus": [cluster.in_service(pool) for pool in pools],
        "gpu_type": [cluster.pool_of(gpu) for gpu in range(len(cluster.gpus))],
        "remaining_s": [_remaining_s(model, gpu) for gpu in range(len(cluster.gpus))],
        "running_job": [_holder(model, gpu) for gpu in range(len(cluster.gpus))],
        "running": _running(model),
        "num_waiting": len(model.queue),
        "num_running": len(model.running),
        "num_arrived": model.arrived,
    }


def _running(model: Model) -> dict[str, Any]:
    rows = model.running
    segments = [model.segment(row) for row in rows]
    return {
        "job": rows[:],
        "submit_s": [model.jobs[row].submit_s for row in rows],
        "num_gpus": [model.jobs[row].gang for row in rows],
        "gpu_milli": [model.jobs[row].milli for row in rows],
        "pool": [segment.pool for segment in segments],
        "segment_s": [segment.start_s for segment in segments],
        "end_s": [segment.looks_s for segment in segments],
        "duration_s": [[whole_s * model.jobs[row].visible for whole_s in model.jobs[row].durations] for row in rows],
        "left_frac": [segment.left_s / model.jobs[row].fastest_s for row, segment in zip(rows, segments, strict=True)],
        "before_s": [model.lives[row].attained_s for row in rows],
        "attained_s": [model.attained_s(row) for row in rows],
    }


def _holders(model: Model, number: int) -> list[int]:
    gpu = model.cluster.gpus[number]
    return [gpu.holder] if gpu.holder is not None else sorted(gpu.shares)


def _holder(model: Model, gpu: int) -> int:
    """Row of the job, -1 = idle, -2 = shared, -3 = out of order."""
    if not model.cluster.works(model.cluster.gpus[gpu].node):
        return -3
    if model.cluster.gpus[gpu].shares:
        return -2
    return next(iter(_holders(model, gpu)), -1)


def _remaining_s(model: Model, gpu: int) -> float:
    """Time until the GPU appears to be idle."""
    if not model.cluster.works(model.cluster.gpus[gpu].node):
        return math.inf
    return max((model.appears_to_end_in_s(row) for row in _holders(model, gpu)), default=0.0)
