"""The generator of the ``drl-het`` system, at a load that a cluster can carry and with GPU types that matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.cluster import GPU_TYPES
from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean
from rl_sched.traces.flops_speeds import BETAS, flops_speeds
from rl_sched.traces.synthetic import to_ticks
from rl_sched.workload import Workload


@dataclass(frozen=True)
class DrlHetJobs:
    """Poisson arrivals; run time max(1 s, N(3000, 2500)); gangs uniform in 1..8; priorities uniform; three users.

    These laws are that system's. Two things are not. It drew 2.5 jobs a second for 56 GPUs, over 600 times what they
    can do; here ``mean_gap_s`` is stated. And its run times were the same on all GPU types; here each job is of one of
    the classes of ``betas``, drawn uniformly, whose speed on a type is its FLOPS over those of the first type, to the
    power beta. The law's run time is that on the first type.

    Raises:
        ConfigError: A GPU type is unknown, or a number is out of range.
    """

    num_jobs: int = 250
    mean_gap_s: float = 240.0  # between arrivals
    mean_duration_s: float = 3000.0
    std_duration_s: float = 2500.0
    min_duration_s: float = 1.0
    max_gang: int = 8
    priorities: tuple[float, ...] = (0.5, 1.0, 2.5, 5.0)
    num_users: int = 3
    gpu_types: tuple[str, ...] = ("a100", "v100", "t4", "rtx4090")
    betas: tuple[float, ...] = BETAS

    def __post_init__(self) -> None:
        for kind in self.gpu_types:
            if kind not in GPU_TYPES:
                raise ConfigError(f"drl-het-jobs: unknown GPU type {kind!r}. {did_you_mean(kind, GPU_TYPES)}")
        in_range = {
            "num_jobs": self.num_jobs >= 1,
            "mean_gap_s": 0 < self.mean_gap_s < float("inf"),
            "std_duration_s": self.std_duration_s >= 0,
            "min_duration_s": self.min_duration_s > 0,
            "max_gang": self.max_gang >= 1,
            "priorities": bool(self.priorities),
            "num_users": self.num_users >= 1,
            "gpu_types": bool(self.gpu_types),
            "betas": bool(self.betas),
        }
        for name, ok in in_range.items():
            if not ok:
                raise ConfigError(
                    f"drl-het-jobs: {name} is out of range; it is {getattr(self, name)!r}. Counts must be >= 1, times "
                    "> 0, lists not empty."
                )

    def load(self, seed: int) -> Workload:
        """Returns the workload of this seed."""
        rng = np.random.default_rng(seed)
        n = self.num_jobs
        submit = np.cumsum(rng.exponential(self.mean_gap_s, n))
        duration = np.maximum(rng.normal(self.mean_duration_s, self.std_duration_s, n), self.min_duration_s)
        return Workload.build(
            to_ticks(submit),
            to_ticks(duration),
            rng.integers(1, self.max_gang + 1, n),
            priority=np.asarray(self.priorities)[rng.integers(0, len(self.priorities), n)],
            user=rng.integers(0, self.num_users, n),
            job_class=rng.integers(0, len(self.betas), n),
            speed=flops_speeds(self.gpu_types, self.betas),
            gpu_types=self.gpu_types,
            source=f"drl-het-jobs, seed {seed}",
        )
