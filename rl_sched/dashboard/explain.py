"""One decision taken apart: the candidates, what the policy made of each, what the others would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_sched.dashboard.lane import Lane, state_after
from rl_sched.errors import RlSchedError
from rl_sched.policies.ranking import JobTable, RankingPolicy
from rl_sched.policies.rule import KernelRule
from rl_sched.sim.simulator import player_of, snapshot_of
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start
from rl_sched.workload import WHOLE_GPU

#: Candidates that are told, the policy's favourites first; and how often a rule is asked for its next choice.
MAX_CANDIDATES, MAX_ASKED = 60, 12


def explain(lane: Lane, index: int, lanes: Sequence[Lane]) -> dict[str, Any]:
    """Takes decision ``index`` of ``lane`` apart.

    The world is brought back to that moment by carrying out the lane's decisions before it again.

    Args:
        lane: Whose decision.
        index: Which, from 0.
        lanes: All lanes; the others are asked what they would have done there.
    """
    course = lane.course
    state = state_after(course, lane.rules, lane.log.decisions(index))
    snapshot = snapshot_of(state, 0, course.workload)
    taken = list(lane.log.decisions(index + 1))[-1]
    order, scores, meaning, extra = _opinion(lane, index, snapshot)
    rank = {job: k for k, job in enumerate(order)}
    rows = sorted(range(len(snapshot.job)), key=lambda i: rank.get(int(snapshot.job[i]), len(rank) + i))
    pools = course.cluster.pool_names
    return {
        "lane": lane.entrant.id,
        "index": index,
        "time_s": snapshot.now_s,
        "taken": action(taken, snapshot, pools),
        "waiting": snapshot.num_waiting,
        "running": snapshot.num_running,
        "free_gpus": dict(zip(pools, snapshot.free_gpus.tolist(), strict=True)),
        "pools": list(pools),
        "score_names": [name for name, _ in scores],
        "score_meaning": meaning,
        "candidates": [
            {
                "job": int(snapshot.job[i]),
                "gpus": float(snapshot.num_gpus[i] * snapshot.gpu_milli[i] / WHOLE_GPU),
                "waited_s": snapshot.now_s - float(snapshot.submit_s[i]),
                "priority": float(snapshot.priority[i]),
                "run_s": snapshot.duration_s[i].tolist(),
                "fits": snapshot.feasible[i].tolist(),
                "chosen": isinstance(taken, Start) and taken.job == int(snapshot.job[i]),
                "rank": rank.get(int(snapshot.job[i])),
                "scores": [float(column[i]) for _, column in scores],
            }
            for i in rows[:MAX_CANDIDATES]
        ],
        "not_shown": max(len(rows) - MAX_CANDIDATES, 0),
        "others": [_other(other, lane, index, snapshot, taken) for other in lanes if other is not lane],
        **extra,
    }


def action(decision: Decision, snapshot: Snapshot, pools: Sequence[str]) -> dict[str, Any]:
    """A decision, JSON-ready."""
    if isinstance(decision, Start):
        gpus = snapshot.num_gpus[snapshot.job == decision.job]
        return {"kind": "start", "job": decision.job, "pool": pools[decision.gpu_type], "gpus": int(gpus[0])}
    if isinstance(decision, Preempt):
        return {"kind": "preempt", "job": decision.job}
    return {"kind": "wait"}


Scores = list[tuple[str, np.ndarray]]


def _opinion(lane: Lane, index: int, snapshot: Snapshot) -> tuple[list[int], Scores, str, dict[str, Any]]:
    """Jobs from the best on, columns of scores (n,), what they mean, and more for the page."""
    policy = lane.policy
    if lane.entrant.checkpoint is not None:
        return _learned(lane, index, snapshot)
    if isinstance(policy, RankingPolicy) and len(snapshot.job):
        demand = snapshot.num_gpus * (snapshot.gpu_milli / WHOLE_GPU)
        table = JobTable(
            snapshot.submit_s, snapshot.num_gpus, demand, snapshot.priority, snapshot.deadline_s, snapshot.total_s
        )
        keys = policy.keys(table)
        order = snapshot.job[np.lexsort(keys[::-1])].tolist()
        columns = [(f"key {k + 1}", np.broadcast_to(key, len(order))) for k, key in enumerate(keys)]
        blocks = " The first one blocks the others until it fits." if policy.strict else ""
        return order, columns, f"Sorted by these keys, the lowest first; ties in order of the queue.{blocks}", {}
    if hasattr(policy, "waiting_keys") and len(snapshot.job):
        keys = policy.waiting_keys(snapshot)
        order = snapshot.job[np.argsort(keys, kind="stable")].tolist()
        meaning = "Waiting and running jobs get GPUs in the order of this key, the lowest first."
        return order, [("key", keys)], meaning, {}
    if isinstance(policy, KernelRule):
        text = "Asked again and again: what the rule starts if the choices before it were not there."
        return _asked_again(policy, snapshot), [], text, {}
    return [], [], "This policy plans ahead and keeps its plan between decisions: it has no score for a single job.", {}


def _asked_again(policy: KernelRule, snapshot: Snapshot) -> list[int]:
    order: list[int] = []
    while len(order) < MAX_ASKED:
        decision = policy.decide(snapshot)
        if not isinstance(decision, Start):
            break
        order.append(decision.job)
        snapshot = without(snapshot, decision.job)
    return order


def without(snapshot: Snapshot, job: int) -> Snapshot:
    """The snapshot as it would be without a waiting job."""
    keep = snapshot.job != job
    n = len(keep)
    rows = {"job", "submit_s", "num_gpus", "gpu_milli", "priority", "deadline_s", "user", "vc", "total_s"}
    rows |= {"attained_s", "left_frac", "duration_s", "feasible"}
    changed = {name: getattr(snapshot, name)[keep] for name in rows}
    assert all(len(getattr(snapshot, name)) == n for name in rows)
    return snapshot._replace(**changed, num_waiting=snapshot.num_waiting - 1)


def _learned(lane: Lane, index: int, snapshot: Snapshot) -> tuple[list[int], Scores, str, dict[str, Any]]:
    thoughts = _player(lane, lane).look_back(lane.log.decisions(index))
    n, pools = len(snapshot.job), lane.course.cluster.pool_names
    probs = thoughts.probs[:n].sum(axis=1)
    order = snapshot.job[np.argsort(-probs, kind="stable")].tolist()
    columns: Scores = [("probability", probs)]
    columns += [(f"logit {pool}", thoughts.logits[:n, t]) for t, pool in enumerate(pools)]
    extra: dict[str, Any] = {
        "wait": {"logit": thoughts.wait_logit, "probability": thoughts.wait_prob},
        "value": thoughts.value,
    }
    if thoughts.attention is not None:
        extra["attention"] = {
            "jobs": snapshot.job[:n].tolist(),
            "weights": np.round(thoughts.attention[:n], 4).tolist(),
            "gpu_pool": lane.course.cluster.gpu_pool.tolist(),
        }
    text = (
        "The network's logits for starting a job on a GPU type (none where that is impossible), and the probability of "
        "starting it at all. It waits if waiting is at least as probable as all starts together."
    )
    return order, columns, text, extra


def _player(lane: Lane, world: Lane) -> Any:
    """A fresh player of ``lane`` in the world of another one."""
    return player_of(lane.policy, world.course.workload, world.course.cluster, world.rules)


def _other(other: Lane, lane: Lane, index: int, snapshot: Snapshot, taken: Decision) -> dict[str, Any]:
    """What another policy would have done at this moment."""
    note = ""
    try:
        player = _player(other, lane)
        if other.entrant.checkpoint is not None:
            decision = player.look_back(lane.log.decisions(index)).decision
        else:
            decision = player.decide(snapshot)
            if player is not other.policy:
                note = "asked without its memory of the run"
        if isinstance(decision, Preempt) and not snapshot.preemptive:
            return {"id": other.entrant.id, "name": other.entrant.name, "error": "It would preempt; here nobody may."}
    except RlSchedError as error:
        return {"id": other.entrant.id, "name": other.entrant.name, "error": str(error)}
    same = decision == taken or (type(decision) is type(taken) and not hasattr(taken, "job"))
    does = action(decision, snapshot, lane.course.cluster.pool_names)
    return {"id": other.entrant.id, "name": other.entrant.name, "does": does, "same": bool(same), "note": note}
