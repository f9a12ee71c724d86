"""What must hold in every state; checked after every decision when ``Rules.debug`` is on."""

from __future__ import annotations

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.sim.record import State


def check(state: State, e: int, previous_now_s: float) -> None:
    """Checks one record against its own redundancies.

    Raises:
        SimulationError: Names the invariant and the numbers that break it.
    """
    v = state.views
    head, gpus, nodes, types = v.head[e], v.gpus[e], v.nodes[e], v.types[e]
    jobs = v.jobs[e][: head["num_jobs"]]

    def must(ok: bool, what: str) -> None:
        if not ok:
            raise SimulationError(f"Invariant broken at t = {head['now']:.6f} s in record {e}: {what}.")

    must(head["now"] >= previous_now_s, f"time runs backwards (from {previous_now_s})")
    started = jobs["type"] >= 0
    running = started & (jobs["finish_s"] > head["now"])
    holders = np.bincount(gpus["job"][gpus["job"] >= 0], minlength=len(jobs))
    must(bool((holders[running] == jobs["gang"][running]).all()), "a running job does not hold exactly its gang")
    ended = ~running
    if head["one_start"] == 1:  # several events may share a time and only some of them have been handled
        ended &= jobs["finish_s"] != head["now"]
    must(bool((holders[ended] == 0).all()), "a job that does not run holds GPUs")
    for t in range(len(types)):
        idle = int(((gpus["job"] < 0) & (gpus["type"] == t)).sum())
        must(idle == types["free"][t], f"type {t} has {idle} idle GPUs but counts {types['free'][t]}")
        of_type = gpus["type"][gpus["job"] >= 0] == t
        must(
            bool((jobs["type"][gpus["job"][gpus["job"] >= 0]][of_type] == t).all()), f"a gang is spread beyond type {t}"
        )
    for m in range(len(nodes)):
        first, size = int(nodes["first"][m]), int(nodes["size"][m])
        idle_mask = sum(1 << k for k in range(size) if gpus["job"][first + k] < 0)
        must(int(nodes["mask"][m]) == idle_mask, f"node {m}'s mask of free GPUs is wrong")
        must(int(nodes["free"][m]) == idle_mask.bit_count(), f"node {m}'s number of free GPUs is wrong")
    rows = int(head["max_node"]) + 1
    for t in range(len(types)):
        for free in range(rows):
            members = (nodes["type"] == t) & ((nodes["free"] == free) if free else (nodes["free"] > 0))
            row = sum(int(word) << (64 * i) for i, word in enumerate(v.bits[e, t * rows + free]))
            expected = sum(1 << int(m) for m in np.flatnonzero(members))
            must(row == expected, f"bucket ({t}, {free}) holds the wrong nodes")
            must(int(v.counts[e, t * rows + free]) == int(members.sum()), f"bucket ({t}, {free}) counts wrong")
    arrived = jobs["seq"] >= 0
    waiting = arrived & ~started
    must(int(arrived.sum()) == head["num_arrived"], "arrived jobs are miscounted")
    must(int(waiting.sum()) == head["num_waiting"], "waiting jobs are miscounted")
    must(
        head["num_arrived"] == head["num_waiting"] + head["num_running"] + head["num_done"],
        "arrived jobs are not waiting + running + done",
    )
    must(head["window_len"] == min(head["num_waiting"], head["window"]), "the window has the wrong length")
    work = float(jobs["work"][waiting].sum())
    must(bool(np.isclose(work, head["waiting_work"], rtol=1e-9, atol=1e-6)), "the waiting work is miscounted")
    must(bool((jobs["start_s"][started] >= jobs["submit_s"][started]).all()), "a job started before it was submitted")
    index = np.flatnonzero(started)
    served = jobs["finish_s"][index] - jobs["start_s"][index]
    planned = v.dur[e, index, jobs["type"][index]]
    must(bool(np.isclose(served, planned, rtol=1e-9, atol=1e-9).all()), "a job does not run exactly its duration")
