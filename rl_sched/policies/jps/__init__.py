"""Sampling-based placement of several jobs on heterogeneous workers, after JPS.

Liu, Wang, Huang and Pan: Sampling-based multi-job placement for heterogeneous deep learning clusters, IEEE TPDS 35(6),
2024. ``place`` places S jobs on K workers; ``certify`` says how far from the best the result may be; ``policy.Jps`` is
the scheduling policy of the simulator. Method and results: docs/jps.md.
"""

from rl_sched.registry import Registry

#: Where the search starts: ``(problem, relaxation, samples, alpha, rng) -> (n, K)`` owners of the workers.
SAMPLERS = Registry(
    "sampler",
    {
        "promise": "rl_sched.policies.jps.samplers:promise",
        "uniform": "rl_sched.policies.jps.samplers:uniform",
        "random": "rl_sched.policies.jps.samplers:random",
    },
)
