"""A race: lanes on one clock, moved a little at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rl_sched.cluster import ClusterSpec
from rl_sched.dashboard.bars import MAX_GANTT_GPUS
from rl_sched.dashboard.choices import Setup
from rl_sched.dashboard.course import course_of, policy_of
from rl_sched.dashboard.explain import explain
from rl_sched.dashboard.frames import Sampler
from rl_sched.dashboard.lane import Lane
from rl_sched.errors import ConfigError
from rl_sched.evaluation.metrics import run_metrics
from rl_sched.evaluation.report import plain
from rl_sched.plots import style
from rl_sched.policies.bounds.lower import lower_bounds
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision

RUNNING, PAUSED, FINISHED = "running", "paused", "finished"
#: Decisions of one lane between two looks at the clock on the wall.
CHUNK = 8
#: Most decisions that one step makes in every lane.
MAX_STEP = 1000


class Race:
    """Lanes, and where their common clock is.

    Args:
        setup: What races.
        speed: Simulated seconds per second; 0 = as fast as possible.
        clock: Wall-clock seconds.

    Raises:
        RlSchedError: The jobs, the cluster or a policy cannot be.
    """

    def __init__(self, setup: Setup, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.setup, self._clock = setup, clock
        self.course = course = course_of(setup)
        self.lanes = [Lane(e, policy_of(e, course.scenario), course) for e in setup.entrants]
        self.bounds = lower_bounds(course.workload, course.cluster)
        self._samplers = [Sampler(lane, self.bounds) for lane in self.lanes]
        self.state = PAUSED
        self.speed = speed
        self._begin()

    def _begin(self) -> None:
        self.now_s = min(lane.now_s for lane in self.lanes)
        self._from_s, self._since = self.now_s, self._clock()

    def resume(self) -> None:
        """Lets the clock run."""
        if self.state == PAUSED:
            self.state = RUNNING
            self.set_speed(self.speed)

    def pause(self) -> None:
        """Stops the clock."""
        if self.state == RUNNING:
            self.state = PAUSED

    def set_speed(self, speed: float) -> None:
        """Simulated seconds per second from now on; 0 = as fast as possible."""
        self.speed = speed
        self._from_s, self._since = self.now_s, self._clock()

    def reset(self) -> None:
        """Back to the first decision of all lanes, paused."""
        for lane, sampler in zip(self.lanes, self._samplers, strict=True):
            lane.reset()
            sampler.restart()
        self.state = PAUSED
        self._begin()

    def step(self, decisions: int) -> None:
        """Makes some decisions in every lane."""
        for lane in self.lanes:
            for _ in range(min(decisions, MAX_STEP)):
                if lane.over:
                    break
                lane.decide()
        self._end_of_move()

    def move(self, until: float) -> bool:
        """Plays until a moment on the wall's clock, or until the race is ahead of its speed; True if it is ahead."""
        while self.state == RUNNING:
            limit_s = self._from_s + self.speed * (self._clock() - self._since) if self.speed else float("inf")
            going = [lane for lane in self.lanes if not lane.over]
            behind = min(going, key=lambda lane: lane.now_s, default=None)
            if behind is not None and behind.now_s > limit_s:
                self.now_s = limit_s
                return True
            if behind is not None:
                for _ in range(CHUNK):
                    behind.decide()
                    if behind.over or behind.now_s > limit_s:
                        break
            self._end_of_move()
            if self._clock() >= until:
                return False
        return True

    def _end_of_move(self) -> None:
        going = [lane.now_s for lane in self.lanes if not lane.over]
        self.now_s = min(going) if going else max(lane.now_s for lane in self.lanes)
        if not going:
            self.state = FINISHED

    def describe(self) -> dict[str, Any]:
        """What does not change during the race, JSON-ready."""
        cluster, workload = self.course.cluster, self.course.workload
        return {
            "workload": self.setup.workload,
            "about": self.course.about,
            "seed": self.setup.seed,
            "jobs": len(workload),
            "cluster": _cluster(cluster),
            "bounds": {
                "mean_jct_s": self.bounds.total_jct_s / len(workload),
                "makespan_s": self.bounds.makespan_s,
            },
            "lanes": [
                {"id": lane.entrant.id, "name": lane.entrant.name, **look_of(lane.entrant.name)}
                | {"preemption": lane.rules.preemption}
                for lane in self.lanes
            ],
        }

    def update(self) -> dict[str, Any]:
        """What is new, JSON-ready."""
        return {
            "state": self.state,
            "speed": self.speed,
            "clock_s": self.now_s,
            "lanes": [sampler.sample() for sampler in self._samplers],
        }

    def results(self) -> list[dict[str, Any]]:
        """All metrics of the lanes that came to an end by themselves."""
        rows = []
        for lane in self.lanes:
            if lane.over and lane.error is None:
                metrics = run_metrics(lane.result(), lane.rules, bounds=self.bounds)
                rows.append({"id": lane.entrant.id, "policy": lane.entrant.name, "metrics": plain(metrics)})
        return rows

    def explain(self, lane_id: str, index: int) -> dict[str, Any]:
        """One decision, taken apart.

        Raises:
            ConfigError: There is no such lane or decision.
        """
        lane = next((lane for lane in self.lanes if lane.entrant.id == lane_id), None)
        if lane is None:
            raise ConfigError(f"The race has the lanes {', '.join(x.entrant.id for x in self.lanes)}; not {lane_id!r}.")
        if not 0 <= index < len(lane.log):
            raise ConfigError(f"{lane_id} has made {len(lane.log):,} decisions, numbers from 0; not {index:,}.")
        return plain(explain(lane, index, self.lanes))

    def record(self) -> dict[str, tuple[Rules, list[Decision]]]:
        """Of every lane, by its id, its rules and all its decisions: enough to make its run again."""
        return {lane.entrant.id: (lane.rules, list(lane.log.decisions())) for lane in self.lanes}


def look_of(name: str) -> dict[str, Any]:
    """The colour and the dashes (lengths in line widths; [] = solid) of a policy, as in every figure."""
    look = style.look(name)
    return {"color": look.color, "dashes": list(look.dashes[1]) if isinstance(look.dashes, tuple) else []}


def _cluster(cluster: ClusterSpec) -> dict[str, Any]:
    types = [cluster.type_names[t] for t in range(cluster.num_types)]
    return {
        "text": cluster.describe(),
        "spec": ",".join(f"{g.gpu_type}:{g.nodes}x{g.gpus}" for g in cluster.groups),
        "types": [{"name": name, "gpus": int(n)} for name, n in zip(types, cluster.type_gpus, strict=True)],
        "pools": list(cluster.pool_names),
        "gpus": cluster.num_gpus,
        "nodes": cluster.num_nodes,
        "gpu_node": cluster.gpu_node[:MAX_GANTT_GPUS].tolist(),
        "gpu_pool": cluster.gpu_pool[:MAX_GANTT_GPUS].tolist(),
    }
