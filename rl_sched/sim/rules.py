"""The rules of a simulation: how gangs are placed, who may start, when the policy is asked."""

from __future__ import annotations

from dataclasses import dataclass

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

# Names of the YAML files -> codes of the kernels. Codes are stored in the record.
PLACEMENTS = {"pooled": 0, "consolidated": 1}
DISPATCHES = {"until_wait": 0, "one_start_per_event": 1}
TIE_ORDERS = {"file": 0, "heapq": 1}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a scheduler may do, and when it is asked.

    Attributes:
        placement: ``pooled`` takes free GPUs of the type node by node in index order; ``consolidated`` puts a gang
            on the fullest node that still fits, and a gang larger than a node on whole free nodes.
        window: Only the ``window`` oldest waiting jobs may be started; None = all.
        dispatch: ``until_wait``: starting a job takes no time, the clock moves when the policy waits or nothing
            fits. ``one_start_per_event``: after every decision exactly one event is processed (the compatibility
            preset of the ``ppo-jobs`` scenario).
        tie_order: Order of arrivals with equal times: ``file`` order, or the order in which a binary heap without
            a tie-break counter (Python's heapq) yields them. ``heapq`` needs ``one_start_per_event``.
        horizon_factor: None, or the episode is cut at last arrival + factor * (GPU-seconds of work / GPUs).
        max_steps: None, or the episode is cut after that many decisions.
        debug: Check the invariants (GPUs neither lost nor shared, clock monotone, ...) after every decision.
    """

    placement: str = "pooled"
    window: int | None = None
    dispatch: str = "until_wait"
    tie_order: str = "file"
    horizon_factor: float | None = None
    max_steps: int | None = None
    debug: bool = False

    def __post_init__(self) -> None:
        for name, table in (("placement", PLACEMENTS), ("dispatch", DISPATCHES), ("tie_order", TIE_ORDERS)):
            value = getattr(self, name)
            if value not in table:
                raise ConfigError(f"Unknown {name} {value!r}. {did_you_mean(value, table)}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"window must be at least 1 or None; it is {self.window}.")
        if self.tie_order == "heapq" and self.dispatch != "one_start_per_event":
            raise ConfigError("tie_order='heapq' exists only together with dispatch='one_start_per_event'.")
