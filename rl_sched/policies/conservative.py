"""Conservative backfilling."""

from __future__ import annotations

from dataclasses import dataclass

from rl_sched.errors import ConfigError
from rl_sched.policies.reserving import ReservingRule


@dataclass(frozen=True)
class Conservative(ReservingRule):
    """Every waiting job has a reservation; a job may start out of turn if it disturbs none made before its own.

    Mu'alem and Feitelson: Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2
    with backfilling, IEEE TPDS 12(6), 2001, section 2.2. There reservations are kept, and when a job ends early the
    schedule is *compressed*: in order of submission jobs move forward where they can. Here all are made anew in that
    order, which is the same while run times are known; if they are not, a hole goes to the oldest job that can use it
    even where a younger one must then start later than it had been told.

    Attributes:
        depth: How many jobs (of each virtual cluster) may hold reservations; the others must disturb none. With 1 it
            is ``easy``.

    Raises:
        ConfigError: ``depth`` is below 1.
    """

    depth: int = 1_000_000

    def __post_init__(self) -> None:
        if not self.depth >= 1:
            raise ConfigError(f"depth must be >= 1; it is {self.depth}.")

    @property
    def reservations(self) -> int:
        return self.depth
