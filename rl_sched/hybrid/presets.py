"""Presets: a law of tasks and a machine under one name."""

from __future__ import annotations

from dataclasses import dataclass

from rl_sched.hybrid.features import RAW, RELATIVE
from rl_sched.hybrid.model import Machine
from rl_sched.hybrid.tasks import TaskLaw, TaskStream


@dataclass(frozen=True, slots=True)
class Preset:
    """What is simulated, apart from the seed."""

    name: str
    law: TaskLaw
    machine: Machine
    forest_features: tuple[str, ...]  #: what the forest of ``hybrid_ml`` is asked about, of ``features.NAMES``

    def stream(self, seed: int) -> TaskStream:
        """The tasks of a seed."""
        return TaskStream(self.law, seed)


def default() -> Preset:
    """Queues, memory, links, dependencies, overlapping parts."""
    return Preset("default", TaskLaw(), Machine(), RELATIVE)


def compatibility() -> Preset:
    """The ``hybrid`` system: every task alone, parts one after the other; its formulas, its energy, its cost."""
    machine = Machine(
        launch_s=0.0, merge_s=0.0, queues=False, overlap=False, dependencies=False, blended_power=True,
        gpu_memory_mb=float("inf"), cpu_idle_w=0.0, gpu_idle_w=0.0,
    )  # fmt: skip
    return Preset("compatibility", TaskLaw(), machine, RAW)
