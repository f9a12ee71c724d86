"""Made-up workloads: arrival processes, duration laws, gangs, users, GPU types. Defaults: the ``default`` scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean
from rl_sched.workload import Workload

_TICKS_PER_S = 1e6


def to_ticks(seconds: np.ndarray) -> np.ndarray:
    """Rounds to whole microseconds.

    Mathematics libraries differ in the last bit of exp, log and power from machine to machine; after rounding to a
    grid a billion times coarser, the same seed gives the same bytes on all of them.
    """
    return np.rint(seconds * _TICKS_PER_S) / _TICKS_PER_S


@dataclass(frozen=True)
class SyntheticTrace:
    """A generator of jobs. n jobs, T GPU types.

    Draws are made in a fixed order (durations, gangs, slow-downs, users, priorities, copula, arrivals), so that
    another arrival process or load meets the same jobs.

    Raises:
        ConfigError: A name is unknown, a number is out of range, or two tuples do not belong together.
    """

    num_jobs: int = 200
    span_s: float = 2400.0  # jobs arrive in [0, span_s] (before the load is set)
    arrivals: str = "bursty"  # a name of ARRIVALS
    num_bursts: int = 6
    burst_prob: float = 0.7
    burst_std_frac: float = 0.03  # of the span
    durations: str = "lognormal"  # a name of DURATIONS; seconds on the first GPU type
    duration_mu: float = 3.0  # lognormal: mean and standard deviation of ln(seconds)
    duration_sigma: float = 1.3
    pareto_shape: float = 1.1  # pareto: tail exponent; at most 2 = infinite variance but for the clipping
    min_duration_s: float = 2.0  # every law is clipped to this range; loguniform spans it, pareto starts at its foot
    max_duration_s: float = 1500.0
    gang_sizes: tuple[int, ...] = (1, 2, 4, 8)
    gang_probs: tuple[float, ...] = (0.45, 0.25, 0.20, 0.10)
    gang_duration_corr: float = 0.0  # Gaussian copula between the ranks of gang and duration
    priorities: tuple[float, ...] = (0.0,)
    priority_probs: tuple[float, ...] | None = None  # None: equal
    num_users: int = 8
    gpu_types: tuple[str, ...] = ("a100", "v100", "t4")  # (T,); empty: no speed table
    slowdown_base: tuple[float, ...] = (1.0, 1.15, 1.3)  # (T,) slow-down on a type = base + slope * x,
    slowdown_slope: tuple[float, ...] = (0.0, 1.0, 3.0)  # (T,) one x ~ U(0, 1) a job
    offered_load: float | None = None  # wanted on load_gpus GPUs of the first type; None: times as drawn
    load_gpus: int = 16

    def __post_init__(self) -> None:
        _require_known("arrivals", self.arrivals, ARRIVALS)
        _require_known("durations", self.durations, DURATIONS)
        _require_probs("gang_probs", self.gang_probs, "gang_sizes", self.gang_sizes)
        if self.priority_probs is not None:
            _require_probs("priority_probs", self.priority_probs, "priorities", self.priorities)
        in_range = {
            "num_jobs": self.num_jobs >= 1,
            "span_s": self.span_s > 0,
            "num_bursts": self.num_bursts >= 1,
            "burst_prob": 0 <= self.burst_prob <= 1,
            "burst_std_frac": self.burst_std_frac >= 0,
            "duration_sigma": self.duration_sigma >= 0,
            "pareto_shape": self.pareto_shape > 0,
            "min_duration_s": self.min_duration_s * _TICKS_PER_S >= 1,
            "max_duration_s": self.max_duration_s >= self.min_duration_s,
            "gang_sizes": bool(self.gang_sizes) and all(size >= 1 for size in self.gang_sizes),
            "gang_duration_corr": -1 <= self.gang_duration_corr <= 1,
            "priorities": bool(self.priorities),
            "num_users": self.num_users >= 1,
            "slowdown_base": len(self.slowdown_base) == len(self.gpu_types) and all(b > 0 for b in self.slowdown_base),
            "slowdown_slope": len(self.slowdown_slope) == len(self.gpu_types)
            and all(s >= 0 for s in self.slowdown_slope),
            "offered_load": self.offered_load is None or self.offered_load > 0,
            "load_gpus": self.load_gpus >= 1,
        }
        for name, ok in in_range.items():
            if not ok:
                raise ConfigError(
                    f"synthetic: {name} is out of range or does not match its neighbours; it is "
                    f"{getattr(self, name)!r}. Counts and sizes must be >= 1, probabilities in [0, 1], correlations in "
                    "[-1, 1], times > 0, slow-downs one per GPU type."
                )

    def load(self, seed: int) -> Workload:
        """Returns the workload of this seed."""
        rng = np.random.default_rng(seed)
        n = self.num_jobs
        duration = np.clip(DURATIONS[self.durations](self, rng), self.min_duration_s, self.max_duration_s)
        gang = _choose(rng, self.gang_sizes, self.gang_probs, n)
        speed = self._speed(rng)
        user = rng.integers(0, self.num_users, n)
        priority = _choose(rng, self.priorities, self.priority_probs, n)
        if self.gang_duration_corr:
            duration, gang = _coupled(rng, duration, gang, self.gang_duration_corr)
        duration = to_ticks(duration)
        submit = ARRIVALS[self.arrivals](self, rng)
        if self.offered_load is not None:
            submit = submit * self._stretch(submit, float((duration * gang).sum()))
        return Workload.build(
            to_ticks(submit),
            duration,
            gang,
            job_class=None if speed is None else np.arange(n),
            user=user,
            priority=priority,
            speed=speed,
            gpu_types=self.gpu_types,
            source=f"synthetic, seed {seed}",
        )

    def _speed(self, rng: np.random.Generator) -> np.ndarray | None:
        """(n, T) speeds, one class a job; None without types."""
        x = rng.random(self.num_jobs)
        if not self.gpu_types:
            return None
        return 1.0 / (np.asarray(self.slowdown_base) + np.asarray(self.slowdown_slope) * x[:, None])

    def _stretch(self, submit_s: np.ndarray, work_gpu_s: float) -> float:
        """By what to multiply submission times so that work / (load_gpus * arrival window) is ``offered_load``."""
        window_s = float(submit_s.max() - submit_s.min())
        if window_s <= 0 or self.offered_load is None:
            raise ConfigError("synthetic: a load needs jobs that arrive at two times at least. Draw more jobs.")
        return work_gpu_s / (self.load_gpus * self.offered_load * window_s)


def _choose(rng: np.random.Generator, values: Sequence[float], probs: Sequence[float] | None, n: int) -> np.ndarray:
    """(n,) draws from ``values``; a single value costs no draw."""
    table = np.asarray(values)
    if len(table) == 1:
        return np.repeat(table, n)
    if probs is None:
        return table[rng.integers(0, len(table), n)]
    # The last bound is left out: cumulated probabilities may end a hair below 1.
    return table[np.searchsorted(np.cumsum(probs)[:-1], rng.random(n), side="right")]


def _coupled(
    rng: np.random.Generator, duration: np.ndarray, gang: np.ndarray, corr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Re-orders both columns so that their ranks follow a Gaussian copula; each keeps exactly the values it has."""
    z_duration = rng.standard_normal(len(duration))
    z_gang = corr * z_duration + np.sqrt(1.0 - corr**2) * rng.standard_normal(len(gang))
    ranks = (np.argsort(np.argsort(z, kind="stable"), kind="stable") for z in (z_duration, z_gang))
    return np.sort(duration)[next(ranks)], np.sort(gang)[next(ranks)]


def _lognormal(p: SyntheticTrace, rng: np.random.Generator) -> np.ndarray:
    return rng.lognormal(p.duration_mu, p.duration_sigma, p.num_jobs)


def _pareto(p: SyntheticTrace, rng: np.random.Generator) -> np.ndarray:
    """P(duration > d) = (min_duration_s / d) ** pareto_shape."""
    return p.min_duration_s * (1.0 - rng.random(p.num_jobs)) ** (-1.0 / p.pareto_shape)


def _loguniform(p: SyntheticTrace, rng: np.random.Generator) -> np.ndarray:
    return np.exp(rng.uniform(np.log(p.min_duration_s), np.log(p.max_duration_s), p.num_jobs))


def _poisson(p: SyntheticTrace, rng: np.random.Generator) -> np.ndarray:
    """A Poisson process given that ``num_jobs`` fall into the span: independent uniform times."""
    return rng.random(p.num_jobs) * p.span_s


def _bursty(p: SyntheticTrace, rng: np.random.Generator) -> np.ndarray:
    """Each job is in one of the bursts with ``burst_prob``, else uniform; clipped into the span."""
    n = p.num_jobs
    centres = rng.random(p.num_bursts) * p.span_s
    in_burst = rng.random(n) < p.burst_prob
    centre = centres[rng.integers(0, p.num_bursts, n)]
    offset = rng.standard_normal(n) * (p.burst_std_frac * p.span_s)
    background = rng.random(n) * p.span_s
    return np.clip(np.where(in_burst, centre + offset, background), 0.0, p.span_s)


_Law = Callable[[SyntheticTrace, np.random.Generator], np.ndarray]
DURATIONS: dict[str, _Law] = {"lognormal": _lognormal, "pareto": _pareto, "loguniform": _loguniform}
ARRIVALS: dict[str, _Law] = {"poisson": _poisson, "bursty": _bursty}


def _require_known(field: str, name: str, table: dict[str, _Law]) -> None:
    if name not in table:
        raise ConfigError(f"synthetic: unknown {field} {name!r}. {did_you_mean(name, table)}")


def _require_probs(field: str, probs: Sequence[float], values_field: str, values: Sequence[float]) -> None:
    if len(probs) != len(values) or min(probs, default=-1.0) < 0 or abs(sum(probs) - 1.0) > 1e-9:
        raise ConfigError(
            f"synthetic: {field} must hold one probability >= 0 for each of {values_field} {tuple(values)}, "
            f"with sum 1; it is {tuple(probs)}."
        )
