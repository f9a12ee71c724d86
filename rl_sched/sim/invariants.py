"""What must hold in every state; checked after every decision when ``Rules.debug`` is on.

Everything is counted again from what the jobs themselves say: slow, and independent of how the kernels keep it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.sim.events import COMPLETION, FAILURE, REPAIR
from rl_sched.sim.record import DONE, DOWN, FUTURE, IDLE, RUNNING, SHARED, WAITING, State
from rl_sched.workload import WHOLE_GPU

#: Sums of times are compared with this tolerance: relative, and absolute in seconds.
_RTOL, _ATOL = 1e-9, 1e-6


def check(state: State, e: int, previous_now_s: float) -> None:
    """Checks one record against its own redundancies.

    Args:
        state: At a decision, or at the end of an episode.
        e: Record number.
        previous_now_s: Time of the decision before.

    Raises:
        SimulationError: Names the invariant and the numbers that break it.
    """
    look = _Look(state, e)
    look.must(
        previous_now_s <= look.head["now"] < math.inf, f"the clock goes from {previous_now_s} to {look.head['now']}"
    )
    _check_queue(look)
    _check_jobs(look)
    _check_gpus(look)
    _check_nodes(look)
    _check_events(look)
    _check_integrals(look)
    if not state.rules.plain:
        _check_lives(look)


class _Look:
    """One record, and what follows from the states and GPU lists of its jobs alone. n jobs, P pools."""

    def __init__(self, state: State, e: int) -> None:
        v = state.views
        self.e, self.state, self.rules = e, state, state.rules
        self.head, self.gpus, self.nodes, self.types = v.head[e], v.gpus[e], v.nodes[e], v.types[e]
        n = int(self.head["num_jobs"])
        self.jobs, self.classes, self.alloc = v.jobs[e, :n], v.classes[e], v.alloc[e]
        self.dur = v.dur[e, :n]  # (n, P)
        self.fastest_s = self.dur.min(axis=1)
        self.milli = self.classes["milli"][self.jobs["klass"]]
        self.demand = self.jobs["gang"] * (self.milli / WHOLE_GPU)
        self.by_state = [np.flatnonzero(self.jobs["state"] == s) for s in (FUTURE, WAITING, RUNNING, DONE)]
        self.life = None if state.rules.plain else v.life[e, :n]
        self.segment_s = self.jobs["start_s"] if self.life is None else self.life["segment_s"]
        self.expected_end_s = self.jobs["finish_s"] if self.life is None else self.life["end_s"]
        self.heap = v.heap[e, : self.head["heap_len"]]

    def must(self, ok: Any, what: str) -> None:
        if not np.all(ok):
            raise SimulationError(f"Invariant broken at t = {self.head['now']:.6f} s in record {self.e}: {what}.")

    def each(self, rows: np.ndarray, ok: np.ndarray, what: str) -> None:
        """``ok`` must hold for each of the jobs ``rows``."""
        bad = rows[~ok]
        self.must(bad.size == 0, f"{what} (job {bad[:1]})")

    def close(self, a: Any, b: Any) -> Any:
        return np.isclose(a, b, rtol=_RTOL, atol=_ATOL)

    def most(self, a: Any, b: Any) -> Any:
        """a <= b up to rounding."""
        return a <= b * (1 + _RTOL) + _ATOL


def _check_queue(look: _Look) -> None:
    """States, their counts, the chain of waiting jobs, the window."""
    head, jobs, must = look.head, look.jobs, look.must
    future, waiting, running, done = (len(rows) for rows in look.by_state)
    must(future + waiting + running + done == len(jobs), "a job is in no known state")
    for name, count in (("arrived", len(jobs) - future), ("waiting", waiting), ("running", running), ("done", done)):
        must(head[f"num_{name}"] == count, f"{count} jobs are {name}, but {head[f'num_{name}']} are counted")
    queue: list[int] = []
    job, before = int(head["first_waiting"]), -1
    while job >= 0 and len(queue) <= waiting:
        must(jobs["state"][job] == WAITING, f"job {job} lies in the queue without waiting")
        must(jobs["prev"][job] == before, f"the queue's chain breaks at job {job}")
        queue.append(job)
        job, before = int(jobs["next"][job]), job
    must(len(queue) == waiting and head["last_waiting"] == before, "the queue does not hold the waiting jobs")
    must(np.diff(jobs["seq"][queue]) > 0, "the queue is not in order of entry")
    length = min(waiting, int(head["window"]))
    must(head["window_len"] == length, f"the window holds {head['window_len']} jobs, not {length}")
    must(head["window_last"] == (queue[length - 1] if length else -1), "the window ends at the wrong job")
    inside = np.bincount(jobs["klass"][queue[:length]], minlength=len(look.classes))
    must(look.classes["waiting"] == inside, "a class counts the wrong number of jobs in the window")


def _check_jobs(look: _Look) -> None:
    """Times and pools of the jobs."""
    jobs, each, now = look.jobs, look.each, look.head["now"]
    future, waiting, running, done = look.by_state
    each(future, np.isnan(jobs["start_s"][future]) & (jobs["type"][future] < 0), "a job started before it arrived")
    arrived = np.concatenate([waiting, running, done])
    each(arrived, jobs["submit_s"][arrived] <= now, "a job has arrived before its time")
    started = arrived[jobs["type"][arrived] >= 0]
    first_s = jobs["start_s"][started]
    each(started, (jobs["submit_s"][started] <= first_s) & (first_s <= now), "a job's first start is out of order")
    each(waiting, np.isnan(jobs["finish_s"][waiting]), "a waiting job has an end")
    each(running, (jobs["finish_s"][running] >= now) & (jobs["type"][running] >= 0), "a running job is over")
    each(done, (jobs["finish_s"][done] <= now) & (jobs["type"][done] >= 0), "a job is done before its end")
    held = np.concatenate([running, done])
    each(held, np.isfinite(look.dur[held, jobs["type"][held]]), "a job runs on a pool where it cannot")
    if look.life is None:
        planned = first_s + look.dur[started, jobs["type"][started]]
        each(started, look.close(jobs["finish_s"][started], planned), "a job does not run exactly its run time")


def _check_gpus(look: _Look) -> None:
    """GPUs are neither lost nor held twice."""
    gpus, jobs, must = look.gpus, look.jobs, look.must
    holder = np.full(len(gpus), IDLE)
    share, end_s = np.zeros(len(gpus), int), np.zeros(len(gpus))
    for job in look.by_state[RUNNING]:
        first = int(jobs["alloc"][job])
        for number in look.alloc[first : first + int(jobs["gang"][job])]:
            must(gpus["type"][number] == jobs["type"][job], f"job {job} has a GPU of another pool")
            whole = look.milli[job] == WHOLE_GPU
            must(holder[number] == (IDLE if whole or share[number] == 0 else SHARED), f"GPU {number} is held twice")
            holder[number] = job if whole else SHARED
            share[number] += 0 if whole else look.milli[job]
            end_s[number] = max(end_s[number], look.expected_end_s[job])
    broken = look.nodes["down"][gpus["node"]] > 0
    must(holder[broken] == IDLE, "a job runs on a node that is out of order")
    holder[broken], end_s[broken] = DOWN, np.inf
    wrong = np.flatnonzero(gpus["job"] != holder)
    must(wrong.size == 0, f"GPU {wrong[:1]} says {gpus['job'][wrong[:1]]}, its jobs say {holder[wrong[:1]]}")
    must((gpus["share"] == share) & (share <= WHOLE_GPU), "a shared GPU counts its shares wrongly")
    must(gpus["end_s"] == end_s, "a GPU is expected to be free at a time that is not that of its jobs")
    for t, pool in enumerate(look.types):
        mine = gpus["type"] == t
        idle = int((holder[mine] == IDLE).sum())
        must(idle == pool["free"], f"pool {t} has {idle} idle GPUs but counts {pool['free']}")
        room = WHOLE_GPU - share[mine & (holder == SHARED)].min(initial=WHOLE_GPU)
        must(room == pool["room"], f"pool {t} has room for a share of {room} but counts {pool['room']}")
    busy = float(look.demand[look.by_state[RUNNING]].sum())
    must(look.close(look.head["busy"], busy), f"{busy} GPUs are busy but {look.head['busy']} are counted")


def _check_nodes(look: _Look) -> None:
    """Masks and buckets of the nodes."""
    nodes, types, must, v = look.nodes, look.types, look.must, look.state.views
    must(look.nodes["down"] >= 0, "a node has been repaired more often than it failed")
    must(look.head["num_down"] == (nodes["down"] > 0).sum(), "nodes out of order are miscounted")
    for m, node in enumerate(nodes):
        first, size = int(node["first"]), int(node["size"])
        mask = sum(1 << k for k in range(size) if look.gpus["job"][first + k] == IDLE)
        must(int(node["mask"]) == mask, f"node {m}'s mask of idle GPUs is wrong")
        must(int(node["free"]) == mask.bit_count(), f"node {m}'s number of idle GPUs is wrong")
    rows = int(look.head["max_node"]) + 1
    for t in range(len(types)):
        for free in range(rows):
            members = (nodes["type"] == t) & ((nodes["free"] == free) if free else (nodes["free"] > 0))
            row = sum(int(word) << (64 * i) for i, word in enumerate(v.bits[look.e, t * rows + free]))
            must(row == sum(1 << int(m) for m in np.flatnonzero(members)), f"bucket ({t}, {free}) holds other nodes")
            must(v.counts[look.e, t * rows + free] == members.sum(), f"bucket ({t}, {free}) counts wrong")


def _check_events(look: _Look) -> None:
    """The heap is one, nothing in it is past, and every running job and breaking node has its event."""
    heap, must = look.heap, look.must
    keys = list(zip(heap["time"].tolist(), heap["kind"].tolist(), strict=True))
    must([keys[(i - 1) // 2] <= keys[i] for i in range(1, len(keys))], "the heap of events is out of order")
    must(heap["time"] >= look.head["now"], "an event of the past has not been handled")
    ends = {(row["job"], row["time"]) for row in heap if row["kind"] == COMPLETION}
    running = look.by_state[RUNNING]
    coming = np.array([(job, look.jobs["finish_s"][job]) in ends for job in running], np.bool_)
    look.each(running, coming, "the end of a running job is not among the events")
    if look.life is not None:
        stale = np.bincount(heap["job"][heap["kind"] == COMPLETION], minlength=len(look.jobs))
        stale[running] -= 1
        must(stale.sum() == look.head["num_stale"], "ends of segments that were cut short are miscounted")
        cut = look.life["preemptions"] + look.life["kills"]
        look.each(np.arange(len(stale)), stale <= cut, "the end of a segment that was not cut short is there in vain")
    own = heap["job"][(heap["kind"] == FAILURE) | (heap["kind"] == REPAIR)]
    expected = np.arange(len(look.nodes) if look.head["mtbf_s"] > 0 else 0)
    must(np.array_equal(np.sort(own), expected), "a node does not have exactly one random failure or repair ahead")
    if look.head["round_s"] > 0 and look.head["num_done"] < look.head["num_jobs"]:
        must(look.head["now"] == look.head["round_no"] * look.head["round_s"], "the time is no boundary of rounds")


def _check_integrals(look: _Look) -> None:
    """Sums over time, against the jobs that make them up."""
    head, jobs, must = look.head, look.jobs, look.must
    _, waiting, running, done = look.by_state
    for name, rows in (("waiting_work", waiting), ("running_work", running), ("done_work", done)):
        must(look.close(head[name], jobs["work"][rows].sum()), f"{name} is {head[name]}, not the sum over its jobs")
    must(
        look.close(head["done_priority"], jobs["priority"][done].sum()),
        f"done_priority is {head['done_priority']}, not the sum over the jobs that are done",
    )
    must(
        look.close(head["waiting_age_s"], (head["now"] - jobs["submit_s"])[waiting].sum()),
        f"waiting_age_s is {head['waiting_age_s']}, not the time since the waiting jobs were submitted",
    )
    arrived = np.concatenate([waiting, running, done])
    end_s = np.where(jobs["state"] == DONE, jobs["finish_s"], head["now"])
    must(
        look.close(head["job_seconds"], (end_s - jobs["submit_s"])[arrived].sum()),
        f"{head['job_seconds']} job-seconds are not the time that the jobs have been in the system",
    )
    held = ((head["now"] - look.segment_s) * look.demand)[running].sum()
    gpu_s = float(look.types["busy_gpu_s"].sum() + held)
    must(look.close(head["busy_gpu_s"], gpu_s), f"{head['busy_gpu_s']} GPU-seconds are counted, segments make {gpu_s}")


def _check_lives(look: _Look) -> None:
    """Time and work are conserved through preemptions and failures."""
    life, jobs, each, now = look.life, look.jobs, look.each, look.head["now"]
    assert life is not None
    _, waiting, running, done = look.by_state
    arrived = np.concatenate([waiting, running, done])
    on = np.isin(jobs["state"], (RUNNING, DONE))
    ended = life["preemptions"] + life["kills"]
    each(arrived, (life["segments"] == ended + on)[arrived], "a job's segments are miscounted")
    since_s = np.select(
        [jobs["state"] == WAITING, jobs["state"] == RUNNING], [now - life["since_s"], now - look.segment_s]
    )
    end_s = np.where(jobs["state"] == DONE, jobs["finish_s"], now)
    whole_s = life["waited_s"] + life["attained_s"] + since_s
    each(arrived, look.close(whole_s, end_s - jobs["submit_s"])[arrived], "waiting and running do not fill the time")
    sane = (life["left_s"] >= 0) & (life["left_s"] <= look.fastest_s) & (life["overhead_s"] >= 0)
    each(arrived, sane[arrived], "a job has less than no work or restart cost left, or more than all")
    _check_work(look, life)


def _check_work(look: _Look, life: np.ndarray) -> None:
    jobs, each, head = look.jobs, look.each, look.head
    every, running = np.arange(len(jobs)), look.by_state[RUNNING]
    done = jobs["state"] == DONE
    ratio = np.where(np.isfinite(look.dur), look.dur, 0.0) / look.fastest_s[:, None]
    slowest = np.where(jobs["gang"] > 1, head["locality"], 1.0)
    slowest = slowest * (head["straggler_slowdown"] if head["straggler_share"] > 0 else 1.0)
    # In the segments that have ended the job cannot have worked faster than on its fastest pool, nor, if no failure
    # destroyed its work, slower than on its slowest one with all slow-downs, beside restart costs and tails. Where
    # there was only one such segment, its pool is known.
    worked_s = np.where(done, look.fastest_s, look.fastest_s - life["left_s"])
    least_ratio, most_ratio = np.ones(len(jobs)), ratio.max(axis=1)
    once = np.flatnonzero((life["segments"] == 1) & np.isin(jobs["state"], (WAITING, DONE)))
    least_ratio[once] = most_ratio[once] = ratio[once, jobs["type"][once]]
    each(every, look.most(worked_s * least_ratio, life["attained_s"]), "a job has done more work than it has run")
    paid_s = life["preemptions"] * look.classes["restart_s"][jobs["klass"]] - np.where(done, 0.0, life["overhead_s"])
    tails_s = np.where(done | (life["left_s"] == 0), life["segments"] * head["tail_s"], 0.0)
    longest_s = worked_s * most_ratio * slowest + paid_s + tails_s
    kept = (life["kills"] > 0) | look.most(life["attained_s"], longest_s)
    each(every, kept, "a job has lost work or restart cost although no node failed under it")
    # The present segment is as long as the work that is left, on this pool.
    held_s = jobs["finish_s"][running] - life["segment_s"][running]
    run_s = held_s - life["overhead_s"][running] - head["tail_s"]
    least_s = life["left_s"][running] * ratio[running, jobs["type"][running]]
    fits = look.most(least_s, run_s) & look.most(run_s, least_s * slowest[running])
    each(running, fits, "a running job's segment is not as long as its work")
    speed = life["speed"][running] * run_s
    each(running, look.close(speed, life["left_s"][running]), "a running job's speed does not finish its work")
