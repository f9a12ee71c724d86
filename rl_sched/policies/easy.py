"""EASY backfilling."""

from __future__ import annotations

from dataclasses import dataclass

from rl_sched.errors import ConfigError
from rl_sched.policies.reserving import ReservingRule
from rl_sched.registry import did_you_mean

#: Order in which the jobs behind the first are tried -> shortest first?
ORDERS = {"fifo": False, "sjf": True}


@dataclass(frozen=True)
class Easy(ReservingRule):
    """First come, first served; jobs behind the first may start if that does not put off its expected start.

    The first job that does not fit (of each virtual cluster) gets a reservation at the *shadow time*, when enough GPUs
    are expected to be free; the GPUs that it will leave over are *extra*. A job behind it starts now if it is expected
    to end by the shadow time or needs extra GPUs only. Lifka: The ANL/IBM SP scheduling system, JSSPP 1995; Mu'alem and
    Feitelson: Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with
    backfilling, IEEE TPDS 12(6), 2001. With several GPU types there is a shadow time on the pool where the first job
    is expected to finish first; the others start on the fastest pool where they may.

    Attributes:
        order: In which the jobs behind the first are tried: ``fifo``, or ``sjf``, the shortest first (SJBF of Tsafrir,
            Etsion and Feitelson: Backfilling using system-generated predictions, IEEE TPDS 18(6), 2007).

    Raises:
        ConfigError: The order is unknown.
    """

    order: str = "fifo"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ConfigError(f"Unknown order {self.order!r}. {did_you_mean(self.order, ORDERS)}")

    @property
    def reservations(self) -> int:
        return 1

    @property
    def shortest_first(self) -> bool:
        return ORDERS[self.order]
