"""A slow model of the machine of ``rl_sched.hybrid``, written from its description with plain lists; no kernels.

Tasks are decided in the order in which they become ready. Every device keeps the list of all intervals that it has
promised, and memory is looked up by adding up who holds some at a time, at every time at which somebody lets go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rl_sched.hybrid.model import Machine
from rl_sched.hybrid.tasks import Tasks


@dataclass
class Gpu:
    """What one GPU has promised."""

    compute_end: float = 0.0
    link_end: float = 0.0
    held: list[tuple[float, float, float]] = field(default_factory=list)  # from, until, megabytes

    def used_after(self, time: float) -> float:
        """Megabytes that are still promised to somebody after this time."""
        return sum(mb for _, until, mb in self.held if until > time)


@dataclass
class Done:
    """What became of one task."""

    ready: float
    finish: float
    energy: float
    cost: float
    gpu: int
    copy_start: float
    gpu_end: float
    mb: float


def part_on(machine: Machine, gpu: Gpu, seconds: float, mb: float, now: float) -> tuple[float, float, float]:
    """(copying starts, is over, computing is over) of a part."""
    start = max(now, gpu.link_end)
    times = sorted({start, *(until for _, until, _ in gpu.held if until > start)})
    start = next(t for t in times if gpu.used_after(t) + mb <= machine.gpu_memory_mb + 1e-6)
    copied = start + mb / machine.link_mb_per_s
    return start, copied, max(copied, gpu.compute_end) + machine.launch_s + seconds


def finish_of(
    machine: Machine, cpus: list[float], gpus: list[Gpu], d: float, c: float, mb: float, f: float, now: float
) -> tuple[float, int, float, float, float, float]:
    """(finish, GPU or -1, copying starts, copied, GPU's end, CPU's end or -1) of a task, promising nothing."""
    cpu = max(now, min(cpus))
    if f == 0.0:
        return cpu + d, -1, now, now, now, cpu + d
    seconds = f * d / (1.0 + machine.gpu_speedup * c)
    options = [(part_on(machine, gpu, seconds, f * mb, now), g) for g, gpu in enumerate(gpus)]
    (start, copied, end), g = min(options, key=lambda option: (option[0][2], option[1]))
    if f == 1.0:
        return end, g, start, copied, end, -1.0
    begin = cpu if machine.overlap else max(cpu, end)
    cpu_end = begin + (1.0 - f) * d
    return max(end, cpu_end) + machine.merge_s, g, start, copied, end, cpu_end


def simulate(machine: Machine, tasks: Tasks, decide: Callable[[int], float]) -> dict[int, Done]:
    """Runs all tasks with the fraction that ``decide`` gives each."""
    cpus, gpus = [0.0] * machine.num_cpus, [Gpu() for _ in range(machine.num_gpus)]
    done: dict[int, Done] = {}
    left = set(range(len(tasks)))
    while left:
        ready = {}
        for t in left:
            parents = [int(p) for p in tasks.parents[t] if p >= 0] if machine.dependencies else []
            if all(p in done for p in parents):
                ready[t] = max([float(tasks.arrival_s[t]), *(done[p].finish for p in parents)])
        t = min(ready, key=lambda task: (ready[task], task))
        left.remove(t)
        now = ready[t]
        d, c, mb = float(tasks.duration_s[t]), float(tasks.intensity[t]), float(tasks.memory_mb[t])
        f = min(decide(t), 1.0, machine.gpu_memory_mb / mb)
        if machine.queues:
            finish, g, start, copied, end, cpu_end = finish_of(machine, cpus, gpus, d, c, mb, f, now)
            if g >= 0:
                gpus[g].compute_end, gpus[g].link_end = end, copied
                gpus[g].held.append((start, end, f * mb))
            if cpu_end >= 0:
                cpus[cpus.index(min(cpus))] = cpu_end
        else:
            finish, g, start, end = now + alone(machine, d, c, mb, f), -1, now, now
        gpu_s = (machine.launch_s + f * d / (1.0 + machine.gpu_speedup * c)) if f > 0 else 0.0
        if machine.blended_power:
            energy = (machine.gpu_busy_w * f + machine.cpu_busy_w * (1 - f)) * (finish - now)
            cost = (machine.gpu_usd_per_s * f + machine.cpu_usd_per_s * (1 - f)) * (finish - now)
        else:
            energy = machine.cpu_busy_w * (1 - f) * d + machine.gpu_busy_w * gpu_s
            energy += machine.link_busy_w * f * mb / machine.link_mb_per_s
            cost = machine.cpu_usd_per_s * (1 - f) * d + machine.gpu_usd_per_s * gpu_s
        done[t] = Done(now, finish, energy, cost, g, start, end, f * mb)
    return done


def alone(machine: Machine, d: float, c: float, mb: float, f: float) -> float:
    """Seconds of a task that meets nobody."""
    if f == 0.0:
        return d
    gpu = machine.launch_s + f * d / (1.0 + machine.gpu_speedup * c) + f * mb / machine.link_mb_per_s
    merge = machine.merge_s if f < 1.0 else 0.0
    cpu = (1.0 - f) * d
    return merge + (max(gpu, cpu) if machine.overlap else gpu + cpu)
