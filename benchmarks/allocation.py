"""A decision of Gavel's max-min fairness with 300 active jobs on 3 GPU types (part of ``benchmarks.simulator``).

Jobs of ten classes, whose speeds on the three types differ, hold 108 GPUs in turns; one more comes in every round, and
shares are made anew each time. Counted is all of the first decision of a round: the snapshot's jobs, the program, the
choice of who runs. The peer solves the same program alone, by SciPy, anew each time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, eye_array, kron

from benchmarks.report import figure
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.policies.gavel.active import ActiveJobs
from rl_sched.policies.gavel.allocation import max_min_fairness
from rl_sched.policies.gavel.solver import Choice
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Simulator, player_of
from rl_sched.workload import Workload

CLUSTER = ClusterSpec((NodeGroup("v100", 9, 4), NodeGroup("p100", 9, 4), NodeGroup("k80", 9, 4)))
CLASSES, ROUND_S = 10, 360.0
PEER = "scipy.optimize.linprog (HiGHS), the program alone"


class AllocationSizes(NamedTuple):
    """How much is measured."""

    active: int = 300
    rounds: int = 40


def jobs(sizes: AllocationSizes) -> Workload:
    """So many long jobs at once, and then one a round."""
    rng = np.random.default_rng(0)
    count = sizes.active + sizes.rounds
    speed = np.stack([np.ones(CLASSES), rng.uniform(0.5, 1.0, CLASSES), rng.uniform(0.1, 0.5, CLASSES)], axis=1)
    return Workload.build(
        np.concatenate([np.zeros(sizes.active), ROUND_S * np.arange(1, sizes.rounds + 1)]),
        rng.uniform(1e6, 1e7, count),
        rng.choice((1, 2, 4), count, p=(0.7, 0.2, 0.1)),
        job_class=rng.integers(0, CLASSES, count),
        speed=speed,
        gpu_types=CLUSTER.type_names,
    )


def decisions_s(sizes: AllocationSizes, choice: Choice) -> list[float]:
    """CPU seconds of the first decision of each round."""
    workload, rules = jobs(sizes), Rules(preemption=True, round_s=ROUND_S)
    policy = POLICIES.create("max_min_fairness", choice=choice.value, min_reset_s=0.0)
    simulator = Simulator(CLUSTER, rules)
    snapshot, player = simulator.reset(workload), player_of(policy, workload, CLUSTER, rules)
    found: list[float] = []
    looked_s = -np.inf
    while len(found) < sizes.rounds:
        start = time.process_time()
        decision = player.decide(snapshot)
        if snapshot.now_s > looked_s:
            found.append(time.process_time() - start)
        looked_s = snapshot.now_s
        snapshot = simulator.step(decision)
    return found


def active_sets(sizes: AllocationSizes) -> Iterator[ActiveJobs]:
    """The programs of these rounds."""
    workload = jobs(sizes)
    run_s = workload.duration_on(CLUSTER)
    for last in range(sizes.active, sizes.active + sizes.rounds):
        yield ActiveJobs.build(1.0 / run_s[:last], workload.num_gpus[:last], CLUSTER.pool_gpus)


def by_scipy(active: ActiveJobs) -> float:
    """The least share that the worst-off job gets, by the peer."""
    n, types = active.throughput.shape
    share = active.throughput * (active.gang / (active.weight * active.proportional_throughput))[:, None]
    own = kron(eye_array(n), np.ones((1, types)))
    pools = kron(active.gang[None, :], eye_array(types))
    rows = block_array([[-own.multiply(share.ravel()), np.ones((n, 1))], [own, None], [pools, None]], format="csr")
    limits = np.concatenate([np.zeros(n), np.ones(n), active.gpus])
    return float(-linprog(np.append(np.zeros(n * types), -1.0), A_ub=rows, b_ub=limits, method="highs").fun)


def allocation_figures(sizes: AllocationSizes) -> list[dict[str, Any]]:
    """Median milliseconds of a decision, for the usual allocation and for the warm-started one."""
    took: list[float] = []
    for active in active_sets(sizes):
        start = time.process_time()
        peer = by_scipy(active)
        took.append(time.process_time() - start)
        ours = max_min_fairness(active).objective
        assert abs(ours - peer) <= 1e-6 * peer, f"{ours} is not the optimum {peer}"
    rows = []
    for choice, name in ((Choice.CENTRE, "centre of the optima"), (Choice.CORNER, "a corner, warm-started")):
        own = decisions_s(sizes, choice)
        title = f"max-min fairness decision, {sizes.active} active jobs, 3 types, {name}"
        rows.append(figure(title, "ms", 1e3 * statistics.median(own), 1e3 * statistics.median(took), PEER))
    return rows
