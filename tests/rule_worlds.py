"""Random small worlds for the comparison with the SimPy model: cluster, workload and rules of all kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.sim.loading import visible_factors
from rl_sched.sim.rules import PLACEMENTS, Rules
from rl_sched.workload import Workload
from tests.reference.simpy_model import Model
from tests.reference.simpy_placement import Cluster, Job, Node

TYPE_NAMES = ("a100", "v100", "k80")
VC_NAMES = ("blue", "red")
MILLI = (100, 250, 300, 500, 700, 1000)


@dataclass(frozen=True)
class World:
    """One random instance, for both simulators."""

    cluster: ClusterSpec
    workload: Workload
    rules: Rules

    def nodes(self) -> list[Node]:
        return [Node(int(p), int(s)) for p, s in zip(self.cluster.node_pool, self.cluster.node_size, strict=True)]

    def jobs(self) -> list[Job]:
        w, durations = self.workload, self.workload.duration_on(self.cluster)
        visible = visible_factors(w, self.rules)
        names = self.cluster.vc_names
        return [
            Job(
                float(w.submit_s[row]),
                int(w.num_gpus[row]),
                int(w.gpu_milli[row]),
                tuple(map(float, durations[row])),
                float(visible[row]),
                names.index(w.vc_names[w.vc[row]]) if names else -1,
            )
            for row in range(len(w))
        ]

    def model(self, policy: Any) -> Model:
        return Model(self.nodes(), self.jobs(), self.rules, policy)


def turns_are_long_enough(world: World, turn_s: float) -> bool:
    """Whether jobs that take turns of this length get on."""
    rules = world.rules
    cost_s = max((cost_s for _, cost_s in rules.restart_s), default=0.0) + rules.preemptive_tail_s
    return not rules.preemption or cost_s < (rules.round_s or turn_s)


def _some(rnd: Random, usual: Any, *others: Any, often: float = 0.3) -> Any:
    """The usual value, or now and then one of the others. Hypothesis shrinks towards the usual one."""
    return rnd.choice(others) if rnd.random() >= 1 - often else usual


def _cluster(rnd: Random) -> ClusterSpec:
    names = TYPE_NAMES[: rnd.randint(1, 3)]
    vcs = _some(rnd, (None,), VC_NAMES)
    groups = [
        NodeGroup(rnd.choice(names), rnd.randint(1, 3), rnd.choice((1, 2, 2, 3, 4)), rnd.choice(vcs))
        for _ in range(rnd.randint(1, 4))
    ]
    return ClusterSpec(tuple(groups))


def _speeds(rnd: Random, cluster: ClusterSpec, exact: bool) -> list[list[float]]:
    """(classes, types); powers of two keep times exact in binary, so that equal times are common and really equal."""
    values = (0.0, 0.25, 0.5, 1.0, 2.0) if exact else (0.0, 0.3, 0.7, 1.0, 1.9)
    rows = [[rnd.choice(values) for _ in cluster.type_names] for _ in range(3)]
    return [row if any(row) else [1.0] * len(row) for row in rows]


def _workload(rnd: Random, cluster: ClusterSpec, placement: str, exact: bool) -> Workload:
    n = rnd.randint(1, 9)
    table = _speeds(rnd, cluster, exact) if rnd.random() >= 0.4 else None
    sharing = rnd.random() >= 0.6
    nodes = [Node(int(p), int(s)) for p, s in zip(cluster.node_pool, cluster.node_size, strict=True)]
    columns: dict[str, list] = {name: [] for name in ("job_class", "vc", "num_gpus", "gpu_milli")}
    for _ in range(n):
        while True:  # until a job that fits the idle cluster is found
            klass, vc, gang = rnd.randint(0, 2), rnd.randint(0, 1), rnd.choice((1, 1, 2, 2, 3, 4, 5, 6, 8))
            able = tuple(
                1.0
                if (table is None or table[klass][cluster.pool_type[p]] > 0)
                and (not cluster.vc_names or cluster.vc_names[cluster.pool_vc[p]] == VC_NAMES[vc])
                else math.inf
                for p in range(cluster.num_pools)
            )
            idle = Cluster(nodes, [Job(0.0, gang, 1000, able)], placement)
            if any(idle.place(0, p) for p in idle.pools):
                break
        for name, value in (("job_class", klass), ("vc", vc), ("num_gpus", gang)):
            columns[name].append(value)
        columns["gpu_milli"].append(rnd.choice(MILLI) if sharing and gang == 1 else 1000)
    if exact:
        submit: list[float] = [rnd.randint(0, 9) for _ in range(n)]
        duration: list[float] = [rnd.randint(1, 12) for _ in range(n)]
    else:
        submit = [rnd.uniform(0.0, 20.0) for _ in range(n)]
        duration = [rnd.uniform(0.5, 20.0) for _ in range(n)]
    return Workload.build(
        submit,
        duration,
        columns["num_gpus"],
        job_class=columns["job_class"],
        gpu_milli=columns["gpu_milli"],
        vc=columns["vc"] if cluster.vc_names else None,
        vc_names=VC_NAMES if cluster.vc_names else (),
        estimate_s=[rnd.choice((0.5, 1.0, 2.0, 3.0)) * d for d in duration],
        speed=table,
        gpu_types=cluster.type_names if table else (),
    )


def _rules(rnd: Random, cluster: ClusterSpec, placement: str, exact: bool) -> dict[str, Any]:
    outages: tuple[tuple[int, float, float], ...] = tuple(
        (rnd.randrange(cluster.num_nodes), from_s, from_s + length)
        for from_s, length in (
            (rnd.randint(0, 15), rnd.choice((1, 1, 2, 3, 5, 8, math.inf))) for _ in range(rnd.randint(1, 5))
        )
    )
    outages = outages if rnd.random() >= 0.6 else ()
    mtbf_s = _some(rnd, None, 5.0, 20.0, 60.0)
    endless = mtbf_s is not None and any(to_s == math.inf for _, _, to_s in outages)
    return {
        "placement": placement,
        "window": _some(rnd, None, 1, 2, 3, 5),
        "preemption": rnd.random() >= 0.4,
        "restart_s": _some(rnd, (), ((1, 1.0),), ((1, 0.5), (3, 2.0)), ((2, 0.0), (4, 3.0), (6, 0.25)), often=0.5),
        "preemptive_tail_s": _some(rnd, 0.0, 1.0, 0.5),
        "round_s": _some(rnd, None, 1.0, 2.5, 4.0, often=0.2),
        "mtbf_s": mtbf_s,
        "mttr_s": rnd.choice((2.0, 10.0)),
        "outages": outages,
        "checkpoint_interval_s": _some(rnd, None, 1.0, 0.75, 3.0, often=0.5),
        "seed": rnd.randint(0, 1000),
        "estimates": _some(rnd, "true", "stated"),
        "estimate_noise": 0.0 if exact else _some(rnd, 0.0, 0.3, 1.5),
        "locality_slowdown": _some(rnd, 1.0, 1.25, 2.0),
        "straggler_share": _some(rnd, 0.0, 0.3, 1.0),
        "straggler_slowdown": _some(rnd, 1.0, 1.5, 2.0, often=0.7),
        # Where nodes fail often, or for ever, a job may never get through: those episodes are cut.
        "horizon_factor": _some(rnd, 6.0 if endless or (mtbf_s or 60.0) < 60.0 else None, 0.5, 2.0),
        "max_steps": _some(rnd, None, 1, 4, 12, often=0.15),
        "debug": rnd.random() >= 0.8,
    }


@st.composite
def worlds(draw: st.DrawFn, **rules: Any) -> World:
    """Random worlds; fields of the rules may be given."""
    rnd = draw(st.randoms(use_true_random=False))
    exact = rnd.random() < 0.6
    cluster = _cluster(rnd)
    placement = rules.get("placement") or rnd.choice(tuple(PLACEMENTS))
    workload = _workload(rnd, cluster, placement, exact)
    return World(cluster, workload, Rules(**{**_rules(rnd, cluster, placement, exact), **rules}))
