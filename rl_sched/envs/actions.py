"""Actions: 0 = wait, 1 + slot * T + type = start the job in that slot of the window on that GPU type."""

from __future__ import annotations

import numpy as np

from rl_sched.sim.snapshot import Decision, Snapshot, Start


def encode(decision: Decision, snapshot: Snapshot) -> int:
    """The action that means ``decision`` in the environment whose snapshot this is."""
    if not isinstance(decision, Start):
        return 0
    slot = int(np.flatnonzero(snapshot.job == decision.job)[0])
    return 1 + slot * len(snapshot.type_gpus) + int(decision.gpu_type)
