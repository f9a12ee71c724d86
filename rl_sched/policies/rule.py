"""Base of the compiled rules: the same kernel serves a snapshot, a record, and a batch of records."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from rl_sched.policies import rule_kernels
from rl_sched.policies.look import Look, new_look, num_blocks
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.sim.watching import Watch, play_in_slices
from rl_sched.workload import Workload


class KernelRule:
    """A rule whose decision is a kernel; subclasses are frozen dataclasses and give ``code``.

    The dataclass fields, in order, are the kernel's parameters. ``SPACE`` gives for each tunable field the bounds
    that ``tune_rule`` searches.
    """

    code: ClassVar[int]
    SPACE: ClassVar[dict[str, tuple[float, float]]] = {}

    def params(self) -> np.ndarray:
        """(P,) float64: the fields in order."""
        values = [float(getattr(self, f.name)) for f in dataclasses.fields(self)]  # type: ignore[arg-type]
        return np.array(values or [0.0])

    def decide(self, snapshot: Snapshot) -> Decision:
        n, num_types = snapshot.duration_s.shape
        free_at = np.full((num_types, len(snapshot.gpu_type)), np.inf)
        for t in range(num_types):
            times = np.sort(snapshot.remaining_s[snapshot.gpu_type == t])
            free_at[t, : len(times)] = times
        look = Look(
            job=snapshot.job.copy(),
            gang=snapshot.num_gpus.copy(),
            submit=snapshot.submit_s.copy(),
            duration=snapshot.duration_s.copy(),
            feasible=snapshot.feasible.copy(),
            free_at=free_at,
            plan=free_at.copy(),
            done=np.zeros(n, np.bool_),
            bound=np.zeros(n),
            block=np.zeros(num_blocks(n)),
            free=snapshot.free_gpus.copy(),
            when=np.zeros((3, n)),
            turn=np.zeros((4, n), np.int64),
        )
        row, gpu_type = rule_kernels.choose_once(
            self.code, self.params(), n, snapshot.now_s, snapshot.decision, snapshot.can_wait, *look
        )
        return Start(int(snapshot.job[row]), int(gpu_type)) if row >= 0 else Wait()

    def can_compile(self, rules: Rules) -> bool:
        """These rules never preempt, so with preemption on they are asked one by one."""
        return not rules.preemption

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        look = self._new_look(state)
        params = self.params()

        def play(mark: int, budget: int) -> int:
            return int(rule_kernels.run_slice(*state.views, e, self.code, params, *look, budget))

        play_in_slices(play, state, e, watch)

    def run_records(self, state: State, first: int, last: int) -> None:
        """Plays the records ``first <= e < last``, each at its first decision, to their ends."""
        rule_kernels.run(*state.views, first, last, self.code, self.params(), *self._new_look(state))

    @staticmethod
    def _new_look(state: State) -> Look:
        views = state.views
        rows = min(state.rules.window or views.jobs.shape[1], views.jobs.shape[1])
        return new_look(rows, views.types.shape[1], views.gpus.shape[1])
