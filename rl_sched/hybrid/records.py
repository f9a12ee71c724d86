"""What came out: a row per task, and totals of a whole run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_sched.hybrid.engine import Engine


class TaskResult(NamedTuple):
    """One task of one strategy; times in seconds since the beginning of the stream."""

    strategy: str
    task: int
    size: int
    intensity: float
    memory_mb: float
    arrival_s: float
    ready_s: float  #: when its parents had finished and it was decided
    finish_s: float
    latency_s: float  #: from arrival to finish
    fraction: float  #: on a GPU, as carried out
    best_fraction: float  #: the oracle's, in this strategy's situation
    cpu: int  #: -1 = no part on a CPU, or a machine without queues
    gpu: int
    energy_j: float
    cost_usd: float


def task_results(strategy: str, engine: Engine, tasks: NDArray[np.int64]) -> list[TaskResult]:
    """The rows of tasks that have been decided, in the given order."""
    rows, best = engine.tasks[tasks], engine.best(tasks)
    return [
        TaskResult(
            strategy, int(task), int(row["size"]), float(row["intensity"]), float(row["memory_mb"]),
            float(row["arrival_s"]), float(row["ready_s"]), float(row["finish_s"]),
            float(row["finish_s"] - row["arrival_s"]), float(row["fraction"]), float(at_best),
            int(row["cpu"]), int(row["gpu"]), float(row["energy_j"]), float(row["cost_usd"]),
        )
        for task, row, at_best in zip(tasks, rows, best, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Totals:
    """A whole run of one strategy."""

    strategy: str
    tasks: int
    total_time_s: float  #: sum of latencies
    makespan_s: float  #: from the first arrival to the last finish
    mean_latency_s: float
    p50_latency_s: float
    p95_latency_s: float
    p99_latency_s: float
    throughput_per_s: float  #: tasks over makespan
    energy_j: float  #: of devices at work
    idle_energy_j: float  #: of devices that wait for work, until the last finish
    cost_usd: float
    gpu_fraction: float  #: mean over tasks
    cpu_busy_frac: float  #: of all CPUs over the makespan; 0 on a machine without queues
    gpu_busy_frac: float


def totals(strategy: str, engine: Engine) -> Totals:
    """Sums up what has been decided so far (at least one task)."""
    done = engine.tasks[engine.tasks["fraction"] >= 0.0]
    latency = done["finish_s"] - done["arrival_s"]
    makespan = float(done["finish_s"].max() - done["arrival_s"].min())
    cpu_busy, gpu_busy = (float(devices["busy_s"].sum()) for devices in engine.devices)
    m = engine.machine
    idle = 0.0
    if m.queues:
        idle = m.cpu_idle_w * max(0.0, m.num_cpus * makespan - cpu_busy)
        idle += m.gpu_idle_w * max(0.0, m.num_gpus * makespan - gpu_busy)
    p50, p95, p99 = (float(q) for q in np.percentile(latency, [50, 95, 99]))
    return Totals(
        strategy=strategy,
        tasks=len(done),
        total_time_s=float(latency.sum()),
        makespan_s=makespan,
        mean_latency_s=float(latency.mean()),
        p50_latency_s=p50,
        p95_latency_s=p95,
        p99_latency_s=p99,
        throughput_per_s=len(done) / makespan,
        energy_j=float(done["energy_j"].sum()),
        idle_energy_j=idle,
        cost_usd=float(done["cost_usd"].sum()),
        gpu_fraction=float(done["fraction"].mean()),
        cpu_busy_frac=cpu_busy / (m.num_cpus * makespan),
        gpu_busy_frac=gpu_busy / (m.num_gpus * makespan),
    )


def latencies(engine: Engine) -> NDArray[np.float64]:
    """(n,) seconds from arrival to finish of the tasks decided so far."""
    done = engine.tasks[engine.tasks["fraction"] >= 0.0]
    return done["finish_s"] - done["arrival_s"]


def write_tasks(path: Path, rows: Iterable[TaskResult]) -> None:
    """A CSV with a line per task and strategy."""
    _write(path, TaskResult._fields, rows)


def write_totals(path: Path, rows: Sequence[Totals]) -> None:
    """A CSV with a line per strategy."""
    _write(path, [f.name for f in fields(Totals)], (asdict(row).values() for row in rows))


def write_speedups(path: Path, speedups: Mapping[str, float]) -> None:
    """A CSV with a line per strategy."""
    _write(path, ("strategy", "speedup"), speedups.items())


def _write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
