"""What only the value of a state is told, and in training alone: the arrivals to come.

The value is what PPO's returns are compared with. It may know what no policy can: arrivals do not depend on what the
policy does, so a baseline that knows them leaves the gradient's mean as it is and takes their luck out of its noise
(Mao et al., 2019, "Variance reduction for reinforcement learning in input-driven environments").
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import kernel
from rl_sched.sim.record import FUTURE, State

#: Horizons in units of the scenario's typical duration: each twice as long as the one before.
FIRST_HORIZON, NUM_HORIZONS = 0.25, 8
_HORIZONS = tuple(FIRST_HORIZON * 2**k for k in range(NUM_HORIZONS))
#: So many jobs are half as many as there can be.
SOME_JOBS = 5.0
#: Columns of ``arrivals``, all 0 when nothing is to come.
ARRIVALS = (
    *(f"n jobs arrive within {h:g} scale: n / (n + 5)" for h in _HORIZONS),
    *(f"work w (GPU-seconds on the fastest type) of these: w / (w + {h:g} G scale)" for h in _HORIZONS),
    "share of the jobs that are still to arrive",
    "work w of these: w / (w + G scale)",
    "the same by the time t until the last one arrives: w / (w + G (t + scale / 4))",
)


@kernel
def foresee_all(head, jobs, scale, num_gpus, out):
    """Writes the arrivals to come in the first N = len(out) records.

    Args:
        head, jobs: Of the records.
        scale: The scenario's typical duration, s.
        num_gpus: G.
        out: Output (N, Fa) float32, see ``ARRIVALS``.
    """
    for e in range(len(out)):
        now, num_jobs = head[e].now, head[e].num_jobs
        for k in range(out.shape[1]):
            out[e, k] = 0.0
        left, work, last_s = 0, 0.0, 0.0
        for i in range(num_jobs):
            job = jobs[e, i]
            if job.state == FUTURE:
                wait_s = job.submit_s - now
                left += 1
                work += job.work
                last_s = max(last_s, wait_s)
                k, horizon_s = 0, FIRST_HORIZON * scale
                while k < NUM_HORIZONS and wait_s > horizon_s:
                    k += 1
                    horizon_s *= 2.0
                if k < NUM_HORIZONS:
                    out[e, k] += 1.0
                    out[e, NUM_HORIZONS + k] += job.work
        count, within, horizon_s = 0.0, 0.0, FIRST_HORIZON * scale
        for k in range(NUM_HORIZONS):
            count += out[e, k]
            within += out[e, NUM_HORIZONS + k]
            out[e, k] = count / (count + SOME_JOBS)
            out[e, NUM_HORIZONS + k] = within / (within + num_gpus * horizon_s)
            horizon_s *= 2.0
        out[e, 2 * NUM_HORIZONS] = left / num_jobs
        out[e, 2 * NUM_HORIZONS + 1] = work / (work + num_gpus * scale)
        out[e, 2 * NUM_HORIZONS + 2] = work / (work + num_gpus * (last_s + 0.25 * scale))


def show_arrivals(state: State, scale_s: float, out: np.ndarray) -> None:
    """Writes the arrivals to come in the first N records.

    Args:
        state: The records.
        scale_s: The scenario's typical duration.
        out: Output (N, Fa) float32, see ``ARRIVALS``.
    """
    foresee_all(state.views.head, state.views.jobs, scale_s, state.views.gpus.shape[1], out)
