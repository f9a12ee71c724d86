"""How long policies take for a decision: ``python -m benchmarks.latency [--json] [--policy NAME ...]``.

Wall-clock time of ``decide`` in Python for every registered policy with 1,000 and 10,000 waiting jobs on 1,024 GPUs of
3 types, all of them busy but for those that a job has just given back: what a scheduler in front of a real cluster
would wait for. p50 and p99 are over moments of the simulation; of the decisions of one moment the slowest counts, since
some policies plan them all with the first. Planners decide through their players, whose making is not counted;
preemptive policies are asked under rules with preemption.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import emit
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import Policy, Simulator, player_of
from rl_sched.sim.snapshot import Snapshot
from rl_sched.workload import Workload

CLUSTER = ClusterSpec((NodeGroup("a100", 42, 8), NodeGroup("v100", 43, 8), NodeGroup("t4", 43, 8)))
GANGS, GANG_SHARES = (1, 2, 4, 8), (0.45, 0.25, 0.20, 0.10)
SPEEDS = np.array([[1.0, 0.87, 0.77], [1.0, 0.6, 0.4], [1.0, 0.47, 0.24]])
USERS = 50


class Sizes(NamedTuple):
    """How much is measured."""

    waiting: tuple[int, ...] = (1_000, 10_000)
    moments: int = 100  #: at which each policy is asked, one after the other
    limit_s: float = 120.0  #: for all decisions of one policy


#: Fewer moments than this say nothing about a p99.
LEAST_MOMENTS = 30
QUICK = Sizes(waiting=(60,), moments=LEAST_MOMENTS)


def jobs(count: int) -> Workload:
    """Lognormal jobs of three classes, all submitted at once."""
    rng = np.random.default_rng(0)
    duration_s = np.clip(rng.lognormal(7.0, 1.3, count), 60.0, 1e6)
    return Workload.build(
        np.zeros(count),
        duration_s,
        rng.choice(GANGS, count, p=GANG_SHARES),
        job_class=rng.integers(0, len(SPEEDS), count),
        user=rng.integers(0, USERS, count),
        priority=rng.integers(0, 3, count),
        deadline_s=duration_s * rng.uniform(1.0, 20.0, count),
        speed=SPEEDS,
        gpu_types=CLUSTER.type_names,
    )


class Scene(NamedTuple):
    """A full cluster with so many waiting jobs."""

    workload: Workload
    simulator: Simulator
    snapshot: Snapshot

    @classmethod
    def of(cls, waiting: int, *, preemption: bool) -> Scene:
        """Fills the cluster with the first jobs that fit; the others wait."""
        workload = jobs(waiting + CLUSTER.num_gpus // 2)  # more than fit at a time
        simulator = Simulator(CLUSTER, Rules(preemption=preemption))
        fill = POLICIES.create("fifo_backfill")
        snapshot = simulator.reset(workload)
        while snapshot.num_waiting > waiting:
            snapshot = simulator.step(fill.decide(snapshot))
        return cls(workload, simulator, snapshot)

    def player(self, name: str) -> Policy:
        """The policy, or its player."""
        return player_of(POLICIES.create(name), self.workload, CLUSTER, self.simulator.rules)


def _decide(scene: Scene, name: str, moments: int, pipe: Connection) -> None:
    """Sends the time and the seconds of every decision until the policy has been asked at so many moments."""
    snapshot, player = scene.snapshot, scene.player(name)
    last_s = snapshot.now_s
    while moments > 0:
        start = time.perf_counter()
        decision = player.decide(snapshot)
        pipe.send((snapshot.now_s, time.perf_counter() - start))
        snapshot = scene.simulator.step(decision)
        moments -= snapshot.now_s > last_s
        last_s = snapshot.now_s


def latencies_s(scene: Scene, name: str, sizes: Sizes) -> np.ndarray:
    """Seconds of the slowest decision of up to ``sizes.moments`` moments, as many as are over within the limit.

    Raises:
        RuntimeError: The policy failed; what it raised has been printed.
    """
    context = multiprocessing.get_context("fork")  # the scene is inherited, and what does not come back can be ended
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_decide, args=(scene, name, sizes.moments, sender))
    child.start()
    sender.close()
    slowest: dict[float, float] = {}
    until = time.monotonic() + sizes.limit_s
    with contextlib.suppress(EOFError):
        while receiver.poll(max(until - time.monotonic(), 0.0)):
            now_s, took_s = receiver.recv()
            slowest[now_s] = max(took_s, slowest.get(now_s, 0.0))
        child.kill()
    child.join()
    if child.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"The policy {name!r} failed at moment {len(slowest)}; what it raised is printed above.")
    return np.array(list(slowest.values()))


def figures_of(scene: Scene, name: str, waiting: int, sizes: Sizes) -> list[dict[str, Any]]:
    """p50 and p99 of one policy, or one row that says why there are none."""
    took_s = latencies_s(scene, name, sizes)
    title = f"{name}, {waiting:,} waiting jobs"
    alone = {"peer": None, "peer_name": None, "ratio": None}
    if len(took_s) < LEAST_MOMENTS:
        title += f": skipped, {len(took_s)} of {LEAST_MOMENTS} moments within {sizes.limit_s:g} s"
        return [{"name": title, "unit": "ms", "ours": None, **alone}]
    p50, p99 = (float(1e3 * q) for q in np.percentile(took_s, [50, 99]))
    return [{"name": f"{title}, {q}", "unit": "ms", "ours": ms, **alone} for q, ms in (("p50", p50), ("p99", p99))]


def measure(names: list[str], sizes: Sizes) -> list[dict[str, Any]]:
    """All figures."""
    preemptive = {name: bool(getattr(POLICIES.load(name), "preemptive", False)) for name in names}
    for preemption in sorted(set(preemptive.values())):  # compiles
        tiny = Scene.of(QUICK.waiting[0], preemption=preemption)
        for name in names:
            if preemptive[name] == preemption:
                tiny.player(name).decide(tiny.snapshot)
    rows = []
    for waiting in sizes.waiting:
        scenes = {p: Scene.of(waiting, preemption=p) for p in set(preemptive.values())}
        for name in names:
            rows += figures_of(scenes[preemptive[name]], name, waiting, sizes)
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="a tiny queue: shows that it runs, measures nothing")
    parser.add_argument("--policy", nargs="+", metavar="NAME", default=list(POLICIES), help="default: all")
    arguments = parser.parse_args()
    emit(measure(arguments.policy, QUICK if arguments.quick else Sizes()), arguments.json)


if __name__ == "__main__":
    main()
