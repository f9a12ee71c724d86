"""FIFO on a pool of GPUs as one would write it in SimPy: a container, and a process per job."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import simpy


def fifo_starts(submit_s: Sequence[float], duration_s: Sequence[float], gang: Sequence[int], gpus: int) -> list[float]:
    """The start of every job, in seconds; the head of the queue blocks. Rows are in order of submission."""
    env = simpy.Environment()
    pool = simpy.Container(env, capacity=gpus, init=gpus)
    starts = [0.0] * len(submit_s)

    def job(row: int) -> Generator[simpy.Event, None, None]:
        yield pool.get(gang[row])
        starts[row] = env.now
        yield env.timeout(duration_s[row])
        yield pool.put(gang[row])

    def arrivals() -> Generator[simpy.Event, None, None]:
        for row, time in enumerate(submit_s):
            yield env.timeout(time - env.now)
            env.process(job(row))

    env.process(arrivals())
    env.run()
    return starts
