"""What learners see of a task and of the machine: (k, 15), all finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl_sched.hybrid.strategy import AT, Situations

#: Those of the ``hybrid`` system, raw.
RAW = ("size", "intensity", "memory_mb", "memory_per_size", "intensity_per_memory")
#: Ours, each in [-1, 1]: what decides is how times compare with the task's own time on a CPU, in whatever unit.
RELATIVE = (
    "duration", "intensity_share", "gpu_time", "copy_time", "cpu_wait", "gpu_wait", "link_wait", "room", "fits",
    "gpu_lead",
)  # fmt: skip
NAMES = RAW + RELATIVE

_SECONDS = ("gpu_s", "copy_s", "cpu_wait_s", "gpu_wait_s", "link_wait_s")
_AT_SECONDS = [AT[name] for name in _SECONDS]


def features(situations: Situations) -> NDArray[np.float64]:
    """(k, 15) in the order of ``NAMES``; a time of x task durations is x / (1 + |x|)."""
    v = situations.values
    size, intensity, memory, duration = (v[:, AT[n]] for n in ("size", "intensity", "memory_mb", "duration_s"))
    out = np.empty((len(v), len(NAMES)))
    out[:, :3] = v[:, :3]
    out[:, 3] = memory / (size + 1.0)
    out[:, 4] = intensity / (memory + 1.0)
    out[:, 5] = duration / (1.0 + duration)
    out[:, 6] = intensity
    times = v[:, _AT_SECONDS]
    out[:, 7:12] = times / (times + duration[:, None])
    out[:, 12] = v[:, AT["room_fraction"]]
    out[:, 13] = v[:, AT["max_fraction"]]
    # When the GPU is free before the CPU: in a crowd both waits are long, and only their difference matters.
    lead = v[:, AT["cpu_wait_s"]] - np.maximum(v[:, AT["gpu_wait_s"]], v[:, AT["link_wait_s"]])
    out[:, 14] = lead / (np.abs(lead) + duration)
    return out


def columns(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Places of features in ``NAMES``."""
    return np.array([NAMES.index(name) for name in names])
