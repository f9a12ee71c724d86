"""The rules of a simulation: how gangs are placed, who may start, when the policy is asked, what goes wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

# Names of the YAML files -> codes of the kernels. Codes are stored in the record.
PLACEMENTS = {"pooled": 0, "consolidated": 1, "best_fit": 2, "worst_fit": 3, "fragmentation": 4}
DISPATCHES = {"until_wait": 0, "one_start_per_event": 1}
TIE_ORDERS = {"file": 0, "heapq": 1}
ESTIMATES = ("true", "stated")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a scheduler may do, when it is asked, and what befalls the jobs. docs/simulator.md is the full text.

    Attributes:
        placement: Which nodes a gang gets. ``pooled``: node by node in index order. ``consolidated``: on the fullest
            node that holds it, a gang larger than a node on whole free nodes; else it does not fit.
            ``best_fit``, ``worst_fit``: on the fullest (freest) node that holds it, else on the freest nodes.
            ``fragmentation``: where it leaves the least free capacity that the jobs of this workload cannot use
            (Weng et al., USENIX ATC 2023).
        window: Only the first ``window`` jobs of the queue may be started; None = all.
        dispatch: ``until_wait``: starting a job takes no time, the clock moves when the policy waits or nothing
            fits. ``one_start_per_event``: after every decision exactly one event is processed (the compatibility
            preset of the ``ppo-jobs`` scenario).
        tie_order: Order of arrivals with equal times: ``file`` order, or the order in which a binary heap without
            a tie-break counter (Python's heapq) yields them. ``heapq`` needs ``one_start_per_event``.
        horizon_factor: None, or the episode is cut at last arrival + factor * (GPU-seconds of work / GPUs).
        max_steps: None, or the episode is cut after that many decisions.
        debug: Check the invariants (GPUs neither lost nor shared, clock monotone, ...) after every decision.
        preemption: Policies may take GPUs from running jobs. A preempted job keeps its progress.
        restart_s: Restart cost by gang size: pairs (largest gang, seconds), ascending; a gang beyond the last pair
            pays the last. Paid after a preemption or a failure, before the work goes on.
        preemptive_tail_s: With preemption, GPUs are held that long after the work of a job is done.
        round_s: None, or policies are asked only at multiples of it.
        mtbf_s: None, or each node fails after an exponential time with this mean, counted from its last repair.
        mttr_s: Mean of the exponential time to repair.
        outages: Outages from a log: (node, from s, to s; inf = for ever).
        checkpoint_interval_s: Running jobs save their progress this often; None = only when they are preempted.
        seed: Of failures, stragglers and estimate noise.
        estimates: What policies take for run times: the ``true`` ones, or those ``stated`` by the users.
        estimate_noise: Policies see run times times exp(noise * z), z standard normal per job.
        locality_slowdown: Run-time factor (>= 1) of a gang that lies on more nodes than it needs.
        straggler_share: Share of starts that run slower without anybody knowing.
        straggler_slowdown: Their run-time factor (>= 1).
        tariff: Electricity price in $ per kWh by GPU type: one number, or 24 for the hours of the day; ``*`` = the
            types not named. Time 0 is midnight.
    """

    placement: str = "pooled"
    window: int | None = None
    dispatch: str = "until_wait"
    tie_order: str = "file"
    horizon_factor: float | None = None
    max_steps: int | None = None
    debug: bool = False
    preemption: bool = False
    restart_s: tuple[tuple[int, float], ...] = ()
    preemptive_tail_s: float = 0.0
    round_s: float | None = None
    mtbf_s: float | None = None
    mttr_s: float = 3600.0
    outages: tuple[tuple[int, float, float], ...] = ()
    checkpoint_interval_s: float | None = None
    seed: int = 0
    estimates: str = "true"
    estimate_noise: float = 0.0
    locality_slowdown: float = 1.0
    straggler_share: float = 0.0
    straggler_slowdown: float = 1.0
    tariff: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __post_init__(self) -> None:
        for name, table in (
            ("placement", PLACEMENTS),
            ("dispatch", DISPATCHES),
            ("tie_order", TIE_ORDERS),
            ("estimates", ESTIMATES),
        ):
            value = getattr(self, name)
            if value not in table:
                raise ConfigError(f"Unknown {name} {value!r}. {did_you_mean(value, table)}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"window must be at least 1 or None; it is {self.window}.")
        one_start = self.dispatch == "one_start_per_event"
        if self.tie_order == "heapq" and not one_start:
            raise ConfigError("tie_order='heapq' exists only together with dispatch='one_start_per_event'.")
        if one_start and not self.plain:
            raise ConfigError(
                "dispatch='one_start_per_event' exists only without preemption, rounds, failures, estimates, "
                "slow-downs and stragglers. Use dispatch='until_wait'."
            )
        for name in ("round_s", "mtbf_s", "checkpoint_interval_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be a finite time > 0 or None; it is {value}.")
        for name, least in (
            ("mttr_s", 0.0),
            ("preemptive_tail_s", 0.0),
            ("estimate_noise", 0.0),
            ("locality_slowdown", 1.0),
            ("straggler_slowdown", 1.0),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ConfigError(f"{name} must be a finite number >= {least:g}; it is {value}.")
        if not 0 <= self.straggler_share <= 1:
            raise ConfigError(f"straggler_share must be between 0 and 1; it is {self.straggler_share}.")
        if self.seed < 0:
            raise ConfigError(f"seed must be >= 0; it is {self.seed}.")
        gangs = [gang for gang, _ in self.restart_s]
        if gangs != sorted(set(gangs)) or any(gang < 1 or not 0 <= s < math.inf for gang, s in self.restart_s):
            raise ConfigError(
                "restart_s must be pairs (largest gang, seconds >= 0) with ascending gangs >= 1; it is "
                f"{self.restart_s}."
            )
        for node, down_s, up_s in self.outages:
            if not 0 <= down_s <= up_s or not math.isfinite(down_s):
                raise ConfigError(f"An outage lasts from s >= 0 to s >= that; node {node} has {down_s} to {up_s}.")
        if self.mtbf_s and self.horizon_factor is None and any(up_s == math.inf for _, _, up_s in self.outages):
            raise ConfigError(
                "Outages without end together with mtbf_s need a horizon_factor: a gang that fits nowhere any more "
                "would wait for ever. Give the outages an end, or set horizon_factor."
            )
        for name, prices in self.tariff:
            if len(prices) not in (1, 24) or not all(0 <= price < math.inf for price in prices):
                raise ConfigError(f"tariff of {name!r} must be 1 or 24 prices >= 0 ($/kWh); it is {prices}.")

    @property
    def plain(self) -> bool:
        """Every job runs once, from start to finish, for the time that everybody knows."""
        return not (
            self.preemption
            or self.round_s
            or self.mtbf_s
            or self.outages
            or self.estimates != "true"
            or self.estimate_noise
            or self.locality_slowdown > 1
            or (self.straggler_share and self.straggler_slowdown > 1)
        )
