"""The scheduling rules once more, as plain functions of the model's ``View``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.reference.model import INF, Job, Policy, View


def _fastest(job: Job) -> float:
    return min(job.durations)


def _on_fastest_fitting_type(view: View, row: int) -> tuple[int, int] | None:
    types = view.fits(row)
    if not types:
        return None
    return row, min(types, key=lambda t: (view.jobs[row].durations[t], t))


def ranked(key: Callable[[Job], tuple[float, ...]], *, strict: bool) -> Policy:
    """Lowest key first, the older job on ties; strict = the first in order blocks all others."""

    def decide(view: View) -> tuple[int, int] | None:
        places = sorted(range(len(view.window)), key=lambda i: (*key(view.jobs[view.window[i]]), i))
        for i in places:
            choice = _on_fastest_fitting_type(view, view.window[i])
            if choice is not None or strict:
                return choice
        return None

    return decide


def min_min(alpha: float = 1.0, theta: float = 1.0, depth: int | None = None, b: float = 0.0) -> Policy:
    """Earliest planned finish first, with reservations for the first ``depth`` blocked jobs (None = all).

    Args:
        alpha: Weight of the wait in a planned finish.
        theta: A job may take a type that is free now if it runs there at most ``theta`` times as long as its planned
            finish.
        depth: How many blocked jobs reserve.
        b: Exponent of the gang size in the order of the jobs.
    """

    def decide(view: View) -> tuple[int, int] | None:
        avail = _free_after(view)
        unplanned = list(view.window)
        reserved = 0
        while unplanned:
            best: tuple[float, int, int, float] | None = None  # order, row, type, planned start
            for row in unplanned:
                plan = _plan(view.jobs[row], view.fits(row), avail, alpha, theta)
                if plan is None:
                    continue
                score, t, start = plan
                order = score * view.jobs[row].gang ** b
                if best is None or order < best[0]:
                    best = (order, row, t, start)
            if best is None:
                break
            _, row, t, start = best
            if start == 0:
                return row, t
            if depth is None or reserved < depth:
                gang = view.jobs[row].gang
                avail[t] = sorted(avail[t][gang:] + [start + view.jobs[row].durations[t]] * gang)
                reserved += 1
            unplanned.remove(row)
        return _forced(view)

    return decide


def local_search(alpha: float = 1.0, theta: float = 1.0, moves: int = 100, depth: int = 16, seed: int = 0) -> Policy:
    """Min-min's plan, its order improved by moves of single jobs; parameters as for the rule."""

    def reserve(view: View, avail: list[list[float]], row: int, t: int, start: float) -> None:
        job = view.jobs[row]
        avail[t] = sorted(avail[t][job.gang :] + [start + job.durations[t]] * job.gang)

    def earliest_first(view: View, avail: list[list[float]], rows: list[int]) -> Iterator[tuple[int, int, float]]:
        """Row, type and start of the jobs as min-min plans them, every one reserving."""
        unplanned = list(rows)
        while unplanned:
            plans = {row: _plan(view.jobs[row], view.fits(row), avail, alpha, theta) for row in unplanned}
            able = {row: plan for row, plan in plans.items() if plan is not None}
            if not able:
                return
            row = min(able, key=lambda row: able[row][0])
            _, t, start = able[row]
            yield row, t, start
            reserve(view, avail, row, t, start)
            unplanned.remove(row)

    def cost_of(view: View, order: list[int], limit: float = INF) -> tuple[float, dict[int, tuple[int, float]]]:
        avail, total, plan = _free_after(view), 0.0, {}
        rest = sum(_fastest(view.jobs[row]) for row in order)
        for row in order:
            job = view.jobs[row]
            found = _plan(job, view.fits(row), avail, alpha, theta)
            if found is None:  # first in this order, it has no place yet
                return INF, {}
            score, t, start = found
            total += score
            rest -= _fastest(job)
            if total + rest >= limit:  # matters among sums that are equal but for rounding
                return INF, {}
            plan[row] = t, start
            reserve(view, avail, row, t, start)
        return total, plan

    def area(view: View, row: int) -> float:
        return _fastest(view.jobs[row]) * view.jobs[row].gang

    def decide(view: View) -> tuple[int, int] | None:
        order = [row for row, _, _ in earliest_first(view, _free_after(view), view.window)][:depth]
        least, plan = cost_of(view, order)
        if len(order) > 1 and moves > 0:
            draw = view.decision ^ _splitmix(seed)
            for move in range(moves + 1):
                trial = sorted(order, key=lambda row: area(view, row))
                if move > 0:
                    draw = _splitmix(draw)
                    source, target = (draw & 0xFFFFFFFF) % len(order), (draw >> 32) % (len(order) - 1)
                    target += target >= source
                    trial = list(order)
                    trial.insert(target, trial.pop(source))
                total, other = cost_of(view, trial, least)
                if total < least:
                    least, plan, order = total, other, trial
        avail = _free_after(view)
        for row in order:
            t, start = plan[row]
            if start == 0:
                return row, t
            reserve(view, avail, row, t, start)
        for row, t, start in earliest_first(view, avail, [row for row in view.window if row not in order]):
            if start == 0:
                return row, t
        return _forced(view)

    return decide


def _splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def _free_after(view: View) -> list[list[float]]:
    """[t][k - 1]: time from now until k GPUs of type t are free."""
    cluster, avail = view.cluster, []
    for t in range(cluster.num_types):
        until = [cluster.busy_until[g] for node in cluster.nodes_of(t) for g in cluster.node_gpus[node]]
        avail.append(sorted(0.0 if end is None else end - view.now_s for end in until))
    return avail


def _forced(view: View) -> tuple[int, int] | None:
    """What starts where the rule would wait: None if it may, else the first job that fits."""
    if not view.can_wait:
        for row in view.window:
            choice = _on_fastest_fitting_type(view, row)
            if choice is not None:
                return choice
    return None


def _plan(
    job: Job, fits: list[int], avail: list[list[float]], alpha: float, theta: float
) -> tuple[float, int, float] | None:
    """Score, type and planned start of one job; None if it can be planned nowhere."""
    best: tuple[float, int, float] | None = None
    now: tuple[float, int] | None = None  # shortest duration on a type that is free now
    for t, slots in enumerate(avail):
        if job.durations[t] == INF or len(slots) < job.gang:
            continue
        start = slots[job.gang - 1]
        if start == 0 and t not in fits:
            # Enough GPUs are free, but not in the nodes where placement wants them: when the next one is free.
            later = [time for time in slots if time > 0]
            if not later:
                continue
            start = later[0]
        score = alpha * start + job.durations[t]
        if best is None or score < best[0]:
            best = (score, t, start)
        if start == 0 and (now is None or job.durations[t] < now[0]):
            now = (job.durations[t], t)
    if best is not None and best[2] > 0 and now is not None and now[0] <= theta * best[0]:
        return now[0], now[1], 0.0
    return best


RULES: dict[str, Policy] = {
    "fifo": ranked(lambda job: (), strict=True),
    "fifo_backfill": ranked(lambda job: (), strict=False),
    "sjf": ranked(lambda job: (_fastest(job),), strict=True),
    "sjf_backfill": ranked(lambda job: (_fastest(job),), strict=False),
    "smallest_area": ranked(lambda job: (_fastest(job) * job.gang,), strict=False),
    "most_gpus": ranked(lambda job: (-job.gang, _fastest(job)), strict=False),
    "fewest_gpus": ranked(lambda job: (job.gang, _fastest(job)), strict=False),
    "priority": ranked(lambda job: (-job.priority,), strict=False),
    "min_min": min_min(),
    "local_search": local_search(),
}
