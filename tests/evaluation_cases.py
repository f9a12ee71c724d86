"""Hand-made results for the tests of evaluation and plots: no simulation is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from rl_sched.cluster import ClusterSpec
from rl_sched.evaluation.protocol import run_rows
from rl_sched.evaluation.scores import COLUMNS
from rl_sched.sim.result import RunResult

CLUSTER = ClusterSpec.of(v100=4)
#: Mean slow-down of a run against the best one: arms, then rules.
ARMS = {
    ("mlp", "off"): 1.30,
    ("mlp", "per_gpu"): 1.26,
    ("mlp", "sorted"): 1.25,
    ("mlp", "cdf"): 1.25,
    ("cross_attention", "off"): 1.12,
    ("cross_attention", "per_gpu"): 1.04,
    ("cross_attention", "sorted"): 1.035,
    ("cross_attention", "cdf"): 1.04,
}
RULES = {"fifo": 20.0, "fifo_backfill": 1.66, "random": 1.65, "sjf_backfill": 1.34, "min_min": 1.0}


def run(
    submit_s: object, start_s: object, finish_s: object, num_gpus: object, user: object = None, **columns: object
) -> RunResult:
    """A result of jobs that ran in one piece, from its columns; nan = did not happen. Other columns may be given."""
    submit, start, finish = (np.asarray(x, dtype=float) for x in (submit_s, start_s, finish_s))
    gpus, n = np.asarray(num_gpus), len(submit)
    end = np.nanmax(finish) if np.isfinite(finish).any() else submit.max()
    ran = np.where(np.isfinite(start), np.where(np.isfinite(finish), finish, np.maximum(start, end)) - start, 0.0)
    busy_gpu_s = float((ran * gpus).sum())
    result = RunResult(
        submit_s=submit,
        start_s=start,
        finish_s=finish,
        duration_s=finish - start,
        num_gpus=gpus,
        gpu_milli=np.full(n, 1000),
        gpu_type=np.where(np.isfinite(start), 0, -1),
        user=np.zeros(n, dtype=int) if user is None else np.asarray(user),
        priority=np.zeros(n),
        deadline_s=np.full(n, np.inf),
        waited_s=start - submit,
        ran_s=finish - start,
        preemptions=np.zeros(n, np.int32),
        kills=np.zeros(n, np.int32),
        alloc=np.concatenate([np.arange(g) for g in gpus]),
        alloc_at=np.cumsum(gpus) - gpus,
        makespan_s=float(end - submit.min()),
        busy_gpu_s=busy_gpu_s,
        pool_busy_gpu_s=np.array([busy_gpu_s]),
        cluster=CLUSTER,
        decisions=2 * n,
        workload_hash="0",
        rules_hash="0",
    )
    return replace(result, **{name: np.asarray(column) for name, column in columns.items()})


def random_run(rng: np.random.Generator, slow: float, jobs: int = 40) -> RunResult:
    """A finished run whose completion times scale with ``slow``."""
    submit = np.sort(rng.uniform(0, 1000, jobs))
    wait, duration = slow * rng.exponential(60, jobs), rng.lognormal(3, 1, jobs)
    return run(
        submit, submit + wait, submit + wait + duration * slow, np.ones(jobs, dtype=int), rng.integers(0, 4, jobs)
    )


def arm(network: str, lookahead: str) -> str:
    """An arm's name as a sweep writes it."""
    return f"network.name={network},env.lookahead={lookahead}"


def ablation(seeds: int = 3, episodes: int = 24, noise: float = 0.02, scenario: str = "default") -> pd.DataFrame:
    """Tidy rows of 8 arms and 5 rules; arms differ by ``ARMS``, training seeds by ``noise``."""
    rng = np.random.default_rng(7)
    evals = range(1000, 1000 + episodes)
    rows = []
    for (network, lookahead), slow in ARMS.items():
        for seed in range(1, seeds + 1):
            factor = slow * (1 + noise * rng.standard_normal())
            runs = [random_run(np.random.default_rng(e), factor) for e in evals]
            rows += run_rows(runs, arm(network, lookahead), scenario, seed, evals)
    for rule, slow in RULES.items():
        runs = [random_run(np.random.default_rng(e), slow) for e in evals]
        rows += run_rows(runs, rule, scenario, -1, evals)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def learning_curves(seeds: int = 3) -> pd.DataFrame:
    """Rows of learning curves of all arms."""
    rng = np.random.default_rng(3)
    rows = []
    for (network, lookahead), slow in ARMS.items():
        for seed in range(1, seeds + 1):
            for k in range(1, 16):
                value = 100 * slow * (1 + 1.5 * np.exp(-k / 3)) * (1 + 0.02 * rng.standard_normal())
                rows.append((arm(network, lookahead), seed, k * 100_000, k * 9.5 + seed, value))
    return pd.DataFrame(rows, columns=["arm", "train_seed", "steps", "seconds", "val_score"])


def costs(seeds: int = 3) -> pd.DataFrame:
    """One finished run an arm and seed, and a failed one."""
    rows = [(arm(*key), "done", 140.0) for key in ARMS for _ in range(seeds)]
    return pd.DataFrame([*rows, (arm("mlp", "cdf"), "failed", 3.0)], columns=["arm", "status", "cpu_s"])
