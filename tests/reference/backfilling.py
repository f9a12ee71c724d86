"""EASY and conservative backfilling as the textbooks have them: one pool of equal GPUs, lists and loops.

After Mu'alem and Feitelson (IEEE TPDS 12(6), 2001). Imports nothing of ``rl_sched``. Jobs are (submitted at, run time,
estimate, GPUs) in order of submission; both functions return the times of their starts. At one instant jobs end first,
then others are submitted, then some start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Job(NamedTuple):
    submit_s: float
    run_s: float
    estimate_s: float
    gang: int


def _play(jobs: Sequence[Job], size: int, schedule: Callable[[float, list[int], dict[int, float], int], None]) -> None:
    """Calls ``schedule(now, waiting, running row -> start, idle GPUs)``, which moves rows, at every instant."""
    waiting: list[int] = []
    running: dict[int, float] = {}
    ahead = list(range(len(jobs)))
    while ahead or running:
        ends = [start + jobs[row].run_s for row, start in running.items()]
        now_s = min([*ends, *(jobs[row].submit_s for row in ahead[:1])])
        for row in [row for row, start in running.items() if start + jobs[row].run_s == now_s]:
            del running[row]
        while ahead and jobs[ahead[0]].submit_s == now_s:
            waiting.append(ahead.pop(0))
        schedule(now_s, waiting, running, size - sum(jobs[row].gang for row in running))
    assert not waiting


def easy(jobs: Sequence[Job], size: int) -> list[float]:
    """Only the first job that does not fit has a reservation."""
    starts = [float("nan")] * len(jobs)

    def schedule(now_s: float, waiting: list[int], running: dict[int, float], idle: int) -> None:
        def start(row: int) -> None:
            nonlocal idle
            starts[row] = running[row] = now_s
            waiting.remove(row)
            idle -= jobs[row].gang

        while waiting and jobs[waiting[0]].gang <= idle:
            start(waiting[0])
        if not waiting:
            return
        # Who has run longer than estimated is taken to end at once.
        ends = sorted((max(begun + jobs[row].estimate_s, now_s), jobs[row].gang) for row, begun in running.items())
        head = jobs[waiting[0]]
        free, shadow_s = idle, now_s
        for end_s, gang in ends:
            if free >= head.gang and end_s > shadow_s:
                break
            free, shadow_s = free + gang, end_s
        extra = free - head.gang
        for row in waiting[1:]:
            job = jobs[row]
            if job.gang > idle:
                continue
            if now_s + job.estimate_s <= shadow_s:
                start(row)
            elif job.gang <= extra:
                extra -= job.gang
                start(row)

    _play(jobs, size, schedule)
    return starts


def conservative(jobs: Sequence[Job], size: int) -> list[float]:
    """Every job gets a reservation when it is submitted, and keeps it: the estimates must be true."""
    assert all(job.run_s == job.estimate_s for job in jobs)
    booked: list[tuple[float, float, int]] = []  # from, to, GPUs
    starts = []
    for job in jobs:

        def fits(start_s: float, job: Job = job) -> bool:
            end_s = start_s + job.run_s
            moments = [start_s, *(begin for begin, _, _ in booked if start_s < begin < end_s)]
            return all(
                sum(gang for begin, end, gang in booked if begin <= moment < end) + job.gang <= size
                for moment in moments
            )

        candidates = sorted([job.submit_s, *(end for _, end, _ in booked if end > job.submit_s)])
        start_s = next(moment for moment in candidates if fits(moment))
        booked.append((start_s, start_s + job.run_s, job.gang))
        starts.append(start_s)
    return starts
