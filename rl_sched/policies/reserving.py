"""Base of the backfilling rules with reservations: from a snapshot, or inside a record."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from rl_sched.policies.profile_kernels import Profile, new_profile
from rl_sched.policies.record_player import play_record
from rl_sched.policies.reserving_kernels import Queue, choose_in_record, choose_once
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload


class ReservingRule(ABC):
    """Jobs in order of submission; the first that cannot start reserve GPUs, the others disturb no reservation.

    A reservation is made on the pool where the job is expected to finish first, from the earliest time at which enough
    GPUs are expected to be free there beside the jobs that run and the reservations made before; a job whose time is
    now starts. Nothing is remembered: all reservations are made anew at every decision.

    Where the textbooks are silent: a job that fits by number but not by placement, and one that shares GPUs, reserve
    from when the next GPU of the pool is free, a shared one counting as a whole GPU. A job that has run longer than
    expected is expected to end now: what waits for its GPUs has a reservation that begins now. Jobs for which not
    enough GPUs are in service reserve nothing.
    """

    @property
    @abstractmethod
    def reservations(self) -> int:
        """Jobs of each virtual cluster that may reserve at a time."""

    @property
    def shortest_first(self) -> bool:
        """Are the other jobs tried in order of their run times, instead of submission?"""
        return False

    def decide(self, snapshot: Snapshot) -> Decision:
        n, pools = snapshot.duration_s.shape
        queue = Queue(
            job=snapshot.job.copy(),
            gang=snapshot.num_gpus.copy(),
            submit=snapshot.submit_s.copy(),
            duration=snapshot.duration_s.copy(),
            feasible=snapshot.feasible.copy(),
            vc=snapshot.vc.copy(),
            order=np.empty(n, np.int64),
            reserved=np.empty(pools + 1, np.int64),
        )
        gpus = snapshot.gpu_type.copy(), snapshot.running_job != -1, snapshot.remaining_s.copy()
        profile = self._new_profile(snapshot.gpu_type, pools, n)
        row, pool = choose_once(n, self.reservations, self.shortest_first, *queue, *gpus, *profile)
        return Start(int(snapshot.job[row]), int(pool)) if row >= 0 else Wait()

    def can_compile(self, rules: Rules) -> bool:
        """Under all rules: the compiled run takes the same steps as the simulator."""
        return True

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        views = state.views
        pools, gpus = views.types.shape[1], views.gpus.shape[1]
        rows = min(state.rules.window or len(workload), len(workload))
        scratch = (
            *Queue(
                job=np.empty(rows, np.int64),
                gang=np.empty(rows, np.int64),
                submit=np.empty(rows),
                duration=np.empty((rows, pools)),
                feasible=np.empty((rows, pools), np.bool_),
                vc=np.empty(rows, np.int64),
                order=np.empty(rows, np.int64),
                reserved=np.empty(pools + 1, np.int64),
            ),
            *(np.empty(gpus, np.int64), np.empty(gpus, np.bool_), np.empty(gpus)),
            *self._new_profile(views.gpus["type"][e], pools, rows),
        )

        def choose() -> tuple[int, int]:
            return choose_in_record(*views, e, self.reservations, self.shortest_first, *scratch)

        play_record(choose, state, e, watch)

    def _new_profile(self, gpu_pool: np.ndarray, pools: int, rows: int) -> Profile:
        return new_profile(np.bincount(gpu_pool, minlength=pools), min(self.reservations, rows))
