"""The learning environment once more, one at a time, in pure Python with ``heapq``: the peer of the kernel.

Same rules (pooled placement, dispatch until wait), same reward (``jct``), same numbers in the observation (lookahead
``per_gpu``, with or without finish times, no guide), delivered as arrays, as any learner needs them. A test compares
every number along an episode.
"""

from __future__ import annotations

import heapq
import math
from array import array
from typing import NamedTuple

import numpy as np

BOUND = 2.0
INF = math.inf
Observation = dict[str, np.ndarray]


class World(NamedTuple):
    """Everything about a cluster and its episodes that never changes."""

    type_of: list[int]  # (G,) type of each GPU
    speed: list[float]  # (T,) relative to the fastest
    window: int
    time_scale_s: float
    lookahead_s: float
    finish_times: bool = True  #: whether job rows hold when GPUs are free and when the job would finish


class Jobs(NamedTuple):
    """The jobs of one episode, by row, with the features that never change."""

    submit_s: list[float]
    gang: list[int]
    duration_s: list[list[float]]  # per type, inf = impossible
    types: list[list[int]]  # types on which the job can run
    static: list[tuple[float, float, float, list[float]]]  # gang, work, priority, run time per type


def _clip(x: float) -> float:
    return min(max(x, -BOUND), BOUND)


def prepare(
    world: World, submit_s: list[float], gang: list[int], priority: list[float], duration_s: list[list[float]]
) -> Jobs:
    """Computes once what every reset of an episode can share."""
    sizes = [world.type_of.count(t) for t in range(len(world.speed))]
    largest = math.log(max(*sizes, 2))
    scale = world.time_scale_s
    static = []
    for g, p, row in zip(gang, priority, duration_s, strict=True):
        times = [_clip(0.25 * math.log(d / scale)) if d < INF else BOUND for d in row]
        static.append((math.log(g) / largest, _clip(0.25 * math.log(min(row) * g / scale)), p / (1.0 + abs(p)), times))
    types = [[t for t, d in enumerate(row) if d < INF] for row in duration_s]
    return Jobs(submit_s, gang, duration_s, types, static)


class PythonEnv:
    """One environment. ``reset(jobs)``, then ``step(action)`` until done."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.num_types = len(world.speed)
        self.num_gpus = len(world.type_of)
        self.gpus_of = [[g for g, kind in enumerate(world.type_of) if kind == t] for t in range(self.num_types)]
        self.features = 6 + (4 if world.finish_times else 1) * self.num_types
        self.shown = 0
        self.out: Observation = {
            "jobs": np.zeros((world.window, self.features), np.float32),
            "gpus": np.zeros((self.num_gpus, 2 + self.num_types), np.float32),
            "globals": np.zeros(10 + self.num_types, np.float32),
            "action_mask": np.zeros(1 + world.window * self.num_types, np.int8),
        }
        self.out["gpus"][:, 1] = [world.speed[kind] for kind in world.type_of]
        self.out["gpus"][range(self.num_gpus), [2 + kind for kind in world.type_of]] = 1.0
        # Writing through memory views is several times faster than assigning lists to arrays.
        self.jobs_view = self.out["jobs"].reshape(-1).data
        self.globals_view = self.out["globals"].data
        self.mask_view = self.out["action_mask"].data.cast("B")
        self.lookahead = self.out["gpus"][:, 0]
        self.zeros = array("f", bytes(4 * world.window * self.features))

    def reset(self, jobs: Jobs) -> Observation:
        """Starts an episode at its first decision."""
        self.jobs = jobs
        self.now = 0.0
        self.arrived = 0
        self.done_jobs = 0
        self.job_seconds = 0.0
        self.waiting: list[int] = []
        self.free = [len(gpus) for gpus in self.gpus_of]
        self.end_s: list[float | None] = [None] * self.num_gpus
        self.gpus: dict[int, list[int]] = {}  # of the running jobs
        self._begin()
        self._settle()
        return self.observe()

    # The event queue: what the SimPy peer does in its own way.

    def _begin(self) -> None:
        self.completions: list[tuple[float, int]] = []
        self._arrive_until(0.0)

    def _arrive_until(self, time: float) -> None:
        submit = self.jobs.submit_s
        while self.arrived < len(submit) and submit[self.arrived] <= time:
            self.waiting.append(self.arrived)
            self.arrived += 1

    def _launch(self, job: int, finish: float) -> None:
        heapq.heappush(self.completions, (finish, job))

    def _advance(self) -> bool:
        time = self.completions[0][0] if self.completions else INF
        if self.arrived < len(self.jobs.submit_s):
            time = min(time, self.jobs.submit_s[self.arrived])
        if time == INF:
            return False
        self._move_clock(time)
        while self.completions and self.completions[0][0] == time:
            self._finish(heapq.heappop(self.completions)[1])
        self._arrive_until(time)
        return True

    # The cluster.

    def _move_clock(self, time: float) -> None:
        self.job_seconds += (time - self.now) * (len(self.waiting) + len(self.gpus))
        self.now = time

    def _start(self, slot: int, kind: int) -> None:
        job = self.waiting.pop(slot)
        gang = self.jobs.gang[job]
        finish = self.now + self.jobs.duration_s[job][kind]
        taken = []
        for gpu in self.gpus_of[kind]:
            if self.end_s[gpu] is None:
                self.end_s[gpu] = finish
                taken.append(gpu)
                if len(taken) == gang:
                    break
        self.free[kind] -= gang
        self.gpus[job] = taken
        self._launch(job, finish)

    def _finish(self, job: int) -> None:
        taken = self.gpus.pop(job)
        for gpu in taken:
            self.end_s[gpu] = None
        self.free[self.world.type_of[taken[0]]] += len(taken)
        self.done_jobs += 1

    def _anything_fits(self) -> bool:
        free, gang, types = self.free, self.jobs.gang, self.jobs.types
        if not any(free):
            return False
        for job in self.waiting[: self.world.window]:
            g = gang[job]
            for t in types[job]:
                if free[t] >= g:
                    return True
        return False

    def _settle(self) -> None:
        while not self._anything_fits():
            if not self._advance():
                return

    # The environment.

    def step(self, action: int) -> tuple[Observation, float, bool]:
        """0 = wait, 1 + slot * T + type = start. Returns observation, reward, done. Illegal actions wait."""
        before = self.job_seconds
        slot, kind = divmod(action - 1, self.num_types)
        if action > 0 and slot < min(len(self.waiting), self.world.window) and self._can_start(slot, kind):
            self._start(slot, kind)
        else:
            self._advance()
        self._settle()
        n = len(self.jobs.gang)
        reward = -(self.job_seconds - before) / (n * self.world.time_scale_s)
        return self.observe(), reward, self.done_jobs == n

    def _can_start(self, slot: int, kind: int) -> bool:
        job = self.waiting[slot]
        return self.jobs.duration_s[job][kind] < INF and self.free[kind] >= self.jobs.gang[job]

    def _free_at(self) -> list[list[float]]:
        """Per type: sorted seconds until 1, 2, ... GPUs are free."""
        now = self.now
        out = []
        for gpus in self.gpus_of:
            times = [0.0 if (end := self.end_s[g]) is None else end - now for g in gpus]
            times.sort()
            out.append(times)
        return out

    def observe(self) -> Observation:
        """The observation; its arrays are rewritten by the next call."""
        jobs, world, now, free = self.jobs, self.world, self.now, self.free
        scale = world.time_scale_s
        kinds = range(self.num_types)
        with_finish = world.finish_times
        free_at = self._free_at() if with_finish else []
        shown = self.waiting[: world.window]
        flat: list[float] = []
        mask = bytearray(len(self.mask_view))
        action = 1
        any_fits = False
        for job in shown:
            gang, duration = jobs.gang[job], jobs.duration_s[job]
            size, work, priority, times = jobs.static[job]
            waited = now - jobs.submit_s[job]
            fits = 0.0
            finishes = []
            for t in kinds:
                d = duration[t]
                if d < INF:
                    if with_finish:
                        finishes.append(free_at[t][gang - 1] + d)
                    if free[t] >= gang:
                        mask[action + t] = 1
                        fits = 1.0
                elif with_finish:
                    finishes.append(INF)
            if fits:
                any_fits = True
            flat += (1.0, size, work, waited / (waited + 2.0 * scale), fits, priority, *times)
            if with_finish:
                best = min(finishes)
                for t in kinds:
                    finish = finishes[t]
                    if finish < INF:
                        wait = free_at[t][gang - 1]
                        flat += (wait / (wait + scale), finish / (finish + scale), best / finish)
                    else:
                        flat += (1.0, 1.0, 0.0)
            action += self.num_types
        can_wait = bool(self.gpus) or self.arrived < len(jobs.gang)
        mask[0] = can_wait or not any_fits
        used, before = len(flat), self.shown * self.features
        self.jobs_view[:used] = array("f", flat)
        if used < before:
            self.jobs_view[used:before] = self.zeros[used:before]
        self.shown = len(shown)
        self.mask_view[:] = mask
        self.globals_view[:] = array("f", self._globals(len(shown)))
        far = world.lookahead_s
        self.lookahead[:] = [0.0 if end is None else min((end - now) / far, 1.0) for end in self.end_s]
        return self.out

    def _next_completion(self) -> float:
        return self.completions[0][0]

    def _globals(self, shown: int) -> list[float]:
        jobs, world, now, scale = self.jobs, self.world, self.now, self.world.time_scale_s
        beyond = len(self.waiting) - shown
        out = [
            shown / world.window,
            beyond / (beyond + world.window),
            len(self.gpus) / self.num_gpus,
            self.arrived / len(jobs.gang),
        ]
        for back in (1, 5, 20):
            if self.arrived >= back:
                since = now - jobs.submit_s[self.arrived - back]
                out.append(since / (since + scale))
            else:
                out.append(1.0)
        if self.gpus:
            left = self._next_completion() - now
            out.append(left / (left + scale))
        else:
            out.append(1.0)
        out += (now / (now + 50.0 * scale), 0.0)
        out += [f / len(gpus) for f, gpus in zip(self.free, self.gpus_of, strict=True)]
        return out
