"""Nodes that fail and come back, at random or as a log says. A failure kills every job that has GPUs on the node."""

from __future__ import annotations

from rl_sched.sim.draws import time_to_failure_s, time_to_repair_s
from rl_sched.sim.eventlog import NODE_DOWN, NODE_UP, note
from rl_sched.sim.events import COMPLETION, FAILURE, REPAIR, push
from rl_sched.sim.jit import helper, routine
from rl_sched.sim.nodes import close_node, open_node
from rl_sched.sim.record import RUNNING, SHARED
from rl_sched.sim.segments import kill


@routine
def _kill_sharers(s, e, node):
    """Kills the jobs that share GPUs of the node, in order of their rows."""
    while True:
        victim = -1
        for i in range(s.head[e].heap_len):
            event = s.heap[e, i]
            if event.kind != COMPLETION or (victim >= 0 and event.job > victim):
                continue
            j = s.jobs[e, event.job]
            number = s.alloc[e, j.alloc]
            if j.state == RUNNING and s.gpus[e, number].job == SHARED and s.gpus[e, number].node == node:
                victim = event.job
        if victim < 0:
            return
        kill(s, e, victim)


@routine
def _break_node(s, e, node):
    n = s.nodes[e, node]
    n.down += 1
    if n.down > 1:
        return
    note(s, e, NODE_DOWN, node, 0)
    _kill_sharers(s, e, node)
    for g in range(n.first, n.first + n.size):
        if s.gpus[e, g].job >= 0:
            kill(s, e, s.gpus[e, g].job)
    close_node(s, e, node)
    s.head[e].num_down += 1


@routine
def _mend_node(s, e, node):
    n = s.nodes[e, node]
    n.down -= 1
    if n.down == 0:
        open_node(s, e, node)
        s.head[e].num_down -= 1
        note(s, e, NODE_UP, node, 0)


@routine
def plan_failures(s, e):
    """At the reset: every node's first random failure enters the heap."""
    head = s.head[e]
    if head.mtbf_s > 0.0:
        for node in range(s.nodes.shape[1]):
            push(s, e, time_to_failure_s(head.failure_seed, node, 0, head.mtbf_s), FAILURE, node)


@routine
def node_event(s, e, kind, node):
    """A random failure or repair happens, and the next one of the node is drawn."""
    head = s.head[e]
    n = s.nodes[e, node]
    if kind == FAILURE:
        push(s, e, head.now + time_to_repair_s(head.failure_seed, node, n.outages, head.mttr_s), REPAIR, node)
        _break_node(s, e, node)
    else:
        n.outages += 1
        push(s, e, head.now + time_to_failure_s(head.failure_seed, node, n.outages, head.mtbf_s), FAILURE, node)
        _mend_node(s, e, node)


@helper
def outages_at(s, e, time):
    """All rows of the outage log up to ``time`` happen."""
    head = s.head[e]
    while head.next_outage < head.num_outages and s.outages[e, head.next_outage].time <= time:
        row = s.outages[e, head.next_outage]
        head.next_outage += 1
        if row.down == 1:
            _break_node(s, e, row.node)
        else:
            _mend_node(s, e, row.node)
