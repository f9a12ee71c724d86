"""The generator of the ``ppo-jobs`` system, draw by draw: a seed gives that system's episode.

The order of the draws, the legacy ``RandomState`` stream and the casts to float32 are part of the definition: the
published scores belong to these very episodes. Do not tidy them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean
from rl_sched.workload import Workload

# Constants of that generator.
_TINY_FRAC = (0.01, 0.08)  # uniform body of the heavy-tailed law, in units of max_duration_s
_UNIFORM_FRAC = (0.05, 0.2)  # the uniform law
_MAX_TAIL_FRAC = 0.9
_MIN_DURATION_S = 1e-6
_GANG_EXPONENT = 0.6
_PRIORITY_EXPONENT = 0.8
_MAX_GANG = 8  # of a job when max_gpus_per_job is not given


@dataclass(frozen=True)
class PpoJobsTrace:
    """Jobs for one pool of equal GPUs: heavy-tailed durations, gangs that grow with the duration, bursts.

    Jobs are handed to ``Workload`` in the order they were generated, and ``job_id`` is that index as text: the
    original numbers its jobs by it, and ties in time are served in an order that depends on it.

    Raises:
        ConfigError: A mode is unknown or a number is out of range.
    """

    num_jobs: int = 400
    num_gpus: int = 8  # of the cluster; bounds the gangs
    max_duration_s: float = 10_000.0
    arrival_mode: str = "bursty"  # a name of ARRIVALS
    arrival_span_s: float | None = None  # None: max_duration_s
    num_bursts: int = 6
    burst_prob: float = 0.8
    burst_std_frac: float = 0.03  # of the span
    duration_mode: str = "heavy_tail"  # a name of DURATIONS
    heavy_tail_frac: float = 0.15
    max_gpus_per_job: int | None = None  # None: min(num_gpus, 8)
    gpus_duration_corr: float = 0.7
    priority_duration_corr: str = "inverse"  # a name of PRIORITY_SIGNALS
    priority_corr_strength: float = 0.6
    max_priority: int = 10

    def __post_init__(self) -> None:
        for field, table in (
            ("arrival_mode", ARRIVALS),
            ("duration_mode", DURATIONS),
            ("priority_duration_corr", PRIORITY_SIGNALS),
        ):
            name = getattr(self, field)
            if name not in table:
                raise ConfigError(f"ppo-jobs has no {field} {name!r}. {did_you_mean(name, table)}")
        for field in ("num_jobs", "num_gpus", "num_bursts", "max_priority", "max_duration_s", "max_gang", "span_s"):
            if not getattr(self, field) > 0:
                raise ConfigError(f"ppo-jobs needs {field} > 0; it is {getattr(self, field)}.")

    @property
    def max_gang(self) -> int:
        """Largest gang that is drawn."""
        return min(self.num_gpus, _MAX_GANG) if self.max_gpus_per_job is None else self.max_gpus_per_job

    @property
    def span_s(self) -> float:
        """Seconds over which jobs arrive."""
        return self.max_duration_s if self.arrival_span_s is None else self.arrival_span_s

    def load(self, seed: int) -> Workload:
        """Returns the episode that the original generates after ``np.random.seed(seed)``."""
        rng = np.random.RandomState(seed)
        duration = DURATIONS[self.duration_mode](self, rng)
        x = duration / self.max_duration_s
        gang = self._gangs(rng, x)
        priority = self._priorities(rng, x)
        submit = ARRIVALS[self.arrival_mode](self, rng)
        return Workload.build(
            submit,
            duration,
            gang,
            priority=priority,
            job_id=[str(i) for i in range(self.num_jobs)],
            source=f"ppo-jobs, seed {seed}",
        )

    def _gangs(self, rng: np.random.RandomState, x: np.ndarray) -> np.ndarray:
        drawn = rng.randint(1, self.max_gang + 1, size=self.num_jobs)
        # Whole numbers make the blend below a float64 one; as float32, 7 % of the gangs would come out different.
        tied = 1 + np.floor(x**_GANG_EXPONENT * (self.max_gang - 1)).astype(np.int64)
        c = self.gpus_duration_corr
        return np.clip(np.rint((1 - c) * drawn + c * tied), 1, self.max_gang)  # rint: halves to even

    def _priorities(self, rng: np.random.RandomState, x: np.ndarray) -> np.ndarray:
        drawn = rng.randint(1, self.max_priority + 1, size=self.num_jobs)
        signal = PRIORITY_SIGNALS[self.priority_duration_corr]
        if signal is None:
            return drawn
        tied = 1 + np.floor(signal(x) ** _PRIORITY_EXPONENT * (self.max_priority - 1)).astype(np.int64)
        k = self.priority_corr_strength
        return np.clip(np.rint((1 - k) * drawn + k * tied), 1, self.max_priority)


def _heavy_tail(p: PpoJobsTrace, rng: np.random.RandomState) -> np.ndarray:
    """A uniform body and a log-uniform tail: (n,) float32 seconds."""
    n, longest = p.num_jobs, p.max_duration_s
    in_tail = rng.uniform(size=n) < np.clip(p.heavy_tail_frac, 0.0, _MAX_TAIL_FRAC)
    tiny = rng.uniform(_TINY_FRAC[0] * longest, _TINY_FRAC[1] * longest, size=n)
    huge = np.exp(rng.uniform(np.log(_TINY_FRAC[1] * longest), np.log(longest), size=n))
    return np.clip(np.where(in_tail, huge, tiny), _MIN_DURATION_S, longest).astype(np.float32)


def _uniform(p: PpoJobsTrace, rng: np.random.RandomState) -> np.ndarray:
    """(n,) float32 seconds."""
    low, high = (frac * p.max_duration_s for frac in _UNIFORM_FRAC)
    return rng.uniform(low, high, size=p.num_jobs).astype(np.float32)


def _bursty(p: PpoJobsTrace, rng: np.random.RandomState) -> np.ndarray:
    """(n,) float32 seconds; clipping leaves ties at 0 and at the end of the span."""
    n, span = p.num_jobs, p.span_s
    centres = rng.uniform(0.0, span, size=p.num_bursts)
    std = max(1e-6, p.burst_std_frac * span)
    in_burst = rng.uniform(size=n) < p.burst_prob
    burst = rng.randint(0, p.num_bursts, size=n)
    in_bursts = centres[burst] + rng.normal(0.0, std, size=n)
    background = rng.uniform(0.0, span, size=n)
    return np.clip(np.where(in_burst, in_bursts, background), 0.0, span).astype(np.float32)


def _all_at_zero(p: PpoJobsTrace, rng: np.random.RandomState) -> np.ndarray:
    return np.zeros(p.num_jobs, dtype=np.float32)


_Law = Callable[[PpoJobsTrace, np.random.RandomState], np.ndarray]
DURATIONS: dict[str, _Law] = {"heavy_tail": _heavy_tail, "uniform": _uniform}
ARRIVALS: dict[str, _Law] = {"bursty": _bursty, "all_at_zero": _all_at_zero}
#: What the priority follows, as a function of x = duration / max_duration_s; None: nothing.
PRIORITY_SIGNALS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
    "none": None,
    "inverse": lambda x: 1.0 - x,
    "positive": lambda x: x,
}
