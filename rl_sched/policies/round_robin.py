"""Round robin over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.policies.record_player import play_record
from rl_sched.policies.turn_kernels import choose_in_record, choose_once
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.sim.watching import Watch
from rl_sched.workload import Workload


@dataclass(frozen=True)
class RoundRobin:
    """Users take turns: the next start belongs to the user with the fewest running jobs.

    Among equals it belongs to the one whose last start (of a job that still runs) lies furthest back, then to the one
    whose job was submitted first. A user's jobs are tried in order of submission; one that does not fit is passed by
    the others, and a user none of whose jobs fits by the next user. A job starts on the fastest pool where it fits.
    Whose turn it is follows from the running jobs alone; nothing is remembered.
    """

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> Turns:
        """The rule with the users of this workload."""
        return Turns(workload)


class Turns:
    """Plays ``RoundRobin`` on one workload."""

    def __init__(self, workload: Workload) -> None:
        users, self._user = np.unique(workload.user, return_inverse=True)
        self._num_users = len(users)

    def decide(self, snapshot: Snapshot) -> Decision:
        user = self._user[snapshot.running.job]
        running = np.bincount(user, minlength=self._num_users)
        last = np.full(self._num_users, -np.inf)
        np.maximum.at(last, user, snapshot.running.segment_s)
        row, pool = choose_once(
            len(snapshot.job),
            snapshot.job.copy(),
            snapshot.submit_s.copy(),
            snapshot.duration_s.copy(),
            snapshot.feasible.copy(),
            self._user,
            running,
            last,
        )
        return Start(int(snapshot.job[row]), int(pool)) if row >= 0 else Wait()

    def can_compile(self, rules: Rules) -> bool:
        """Under all rules: the compiled run takes the same steps as the simulator."""
        return True

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        views = state.views
        pools = views.types.shape[1]
        rows = min(state.rules.window or len(workload), len(workload))
        users = np.empty(self._num_users, np.int64), np.empty(self._num_users)
        queue = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows)
        tables = np.empty((rows, pools)), np.empty((rows, pools), np.bool_)

        def choose() -> tuple[int, int]:
            return choose_in_record(*views, e, self._user, *users, *queue, *tables)

        play_record(choose, state, e, watch)
