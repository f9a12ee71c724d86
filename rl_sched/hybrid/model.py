"""The machine that runs split tasks: what it is made of, how long work takes on it, what it draws and costs."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from rl_sched.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Machine:
    """CPUs, and GPUs with a memory and a link each.

    A task that takes d seconds on a CPU takes ``d / (1 + gpu_speedup * intensity)`` on a GPU. Of a task of which the
    fraction f goes to a GPU, f of its data travel over that GPU's link, f of the GPU's time is needed, and 1 - f of the
    CPU's.

    With ``queues`` every device serves one part at a time, in the order in which tasks were decided. Data travel while
    the GPU computes something else, once the GPU's memory has room; they leave it when their part is computed. Without,
    every task finds a machine of its own, and one that keeps all data.

    With ``overlap`` both parts of a task are computed at the same time, without one after the other.

    Energy is the power of a device times the seconds it works, and cost its price times the same; devices that are
    there but idle draw ``idle_w`` (counted for a whole run, not for a task). With ``blended_power``, as the ``hybrid``
    system had it, power and price are instead those of both devices, weighted by f and 1 - f, for the whole time. The
    best fraction of a task is the one with the lowest score of its time and energy.

    Raises:
        ConfigError: A number is out of range.
    """

    num_cpus: int = 4
    num_gpus: int = 2
    gpu_speedup: float = 3.0
    gpu_memory_mb: float = 8000.0  # a fraction whose data do not fit is cut to what does
    link_mb_per_s: float = 16_000.0
    launch_s: float = 0.002  # until a GPU begins with its part
    merge_s: float = 0.001  # to join two parts
    queues: bool = True
    overlap: bool = True
    dependencies: bool = True
    cpu_busy_w: float = 100.0
    gpu_busy_w: float = 200.0
    link_busy_w: float = 30.0
    cpu_idle_w: float = 20.0
    gpu_idle_w: float = 30.0
    cpu_usd_per_s: float = 2e-5
    gpu_usd_per_s: float = 1e-4
    blended_power: bool = False
    energy_weight: float = 0.0  # w of the score: (1 - w) * time / score_time_s + w * energy / score_energy_j
    score_time_s: float = 10.0
    score_energy_j: float = 500.0

    def __post_init__(self) -> None:
        positive = ("num_cpus", "num_gpus", "gpu_memory_mb", "link_mb_per_s", "score_time_s", "score_energy_j")
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if name in positive and not value > 0:
                raise ConfigError(f"The machine needs {name} > 0; it is {value}.")
            if not value >= 0:
                raise ConfigError(f"The machine needs {name} >= 0; it is {value}.")
        if self.blended_power and (self.queues or self.overlap):
            raise ConfigError(
                "blended_power is a law for tasks alone: set queues and overlap to False, or leave it out."
            )
        if self.energy_weight > 1:
            raise ConfigError(f"energy_weight must lie between 0 and 1; it is {self.energy_weight}.")

    def record(self) -> np.ndarray:
        """The fields as one record, (1,), for the kernels."""
        out = np.zeros(1, MACHINE)
        for field in fields(self):
            out[field.name] = getattr(self, field.name)
        return out


MACHINE = np.dtype([(f.name, "f8" if f.type == "float" else "i8") for f in fields(Machine)])
