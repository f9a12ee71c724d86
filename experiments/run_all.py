"""All figures and tables of JPS, in one folder and in MLflow: ``python experiments/run_all.py [--quick]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # experiments/ is no installed package

from experiments.jps_judge import Static, judge_static
from rl_sched.evaluation.markdown import markdown_table
from rl_sched.plots import FIGURES, style
from rl_sched.policies.jps import SAMPLERS
from rl_sched.policies.jps.certificates import optimum
from rl_sched.policies.jps.communication import equal_share_s
from rl_sched.policies.jps.generate import FAMILIES, generate
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

DEFAULT_OUT = Path("results/jps")


class Sizes(NamedTuple):
    """How much is computed."""

    instances: int = 60
    grid: int = 24  #: instances a cell of the grid
    grid_side: int = 10
    trials: int = 60  #: random trials of alpha and beta, where no search has been run
    workers: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48, 64)
    gbps: tuple[float, ...] = (1, 2.5, 5, 10, 25, 50, 100, 200, 400)
    topologies: int = 24  #: instances a bandwidth


QUICK = Sizes(4, 2, 3, 4, (4, 8), (1, 100), 2)


def instances(count: int, jobs: int = 6, workers: int = 24, *, communication: bool = False) -> list[Instance]:
    """The families in turns."""
    return [generate(FAMILIES[n % len(FAMILIES)], jobs, workers, n, communication=communication) for n in range(count)]


def figures(sizes: Sizes, history: pd.DataFrame) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every figure by its file's name, not made yet."""
    some = instances(sizes.instances)
    alphas = np.round(np.linspace(0, 0.9, sizes.grid_side), 2)
    betas = np.round(np.linspace(0.05, 1, sizes.grid_side), 2)
    yield "jps_grid", lambda: FIGURES.load("jps_grid")(instances(sizes.grid, 4, 15), alphas, betas)
    yield "jps_front", lambda: FIGURES.load("jps_front")(some, betas)
    yield "jps_cdf", lambda: FIGURES.load("jps_cdf")(instances(4 * sizes.instances))
    yield "jps_categories", lambda: FIGURES.load("jps_categories")(generate("base", 4, 15, 2))
    yield "jps_workers", lambda: FIGURES.load("jps_workers")(generate("base", 4, 15, 2))
    yield (
        "jps_workers_communication",
        lambda: FIGURES.load("jps_workers")(generate("base", 6, 24, 2, communication=True)),
    )
    yield "jps_scaling", lambda: FIGURES.load("jps_scaling")(sizes.workers)
    yield "jps_topology", lambda: FIGURES.load("jps_topology")(sizes.gbps, seeds=sizes.topologies)
    yield "jps_samplers", lambda: FIGURES.load("jps_samplers")(some, (1, 5, 10, 20, 40))
    yield "jps_gap_time", lambda: FIGURES.load("jps_gap_time")(instances(sizes.instances, 5, 16))
    yield "jps_trials", lambda: FIGURES.load("jps_trials")(history)


def trials_of(sizes: Sizes, data: Path) -> pd.DataFrame:
    """The static trials of ``experiments/jps_search.py``, if it was run; else random ones, made here."""
    found = data / "sweeps" / "jps-search" / "history.csv"
    if found.is_file():
        history = pd.read_csv(found)
        return history[history["kind"] == "static"].reset_index(drop=True)
    rng = np.random.default_rng(3)
    task = Static(("base", "affinity", "wide_weights"), 4, 15, 12, 100)
    rows = []
    for _ in range(sizes.trials):
        alpha, beta, samples = (
            rng.uniform(0, 0.9),
            rng.uniform(0.25, 1.0),
            int(np.exp(rng.uniform(np.log(5), np.log(100)))),
        )
        judged = judge_static(task, alpha, beta, samples)
        cost, unfairness = float(judged.cost.mean()), float(judged.unfairness.mean())
        rows.append(("random", alpha, beta, samples, cost, unfairness))
    return pd.DataFrame(rows, columns=["sampler", "alpha", "beta", "samples", "cost", "unfairness"])


def _sampled(sampler: str) -> Callable[[int, Instance], Any]:
    return lambda n, instance: place(instance, rng=n, sampler=sampler)


def summary(sizes: Sizes) -> pd.DataFrame:
    """One row a method: mean JCT, gap to the proven optimum, fairness (Jain, spread), and the gap's 95 % interval."""
    some = instances(sizes.instances)
    best = [optimum(i) for i in some]
    methods: dict[str, Callable[[int, Instance], Any]] = {f"JPS, {name}": _sampled(name) for name in SAMPLERS}
    methods["JPS, promise, beta = 0.5"] = lambda n, i: place(i, beta=0.5, rng=n)
    methods["JPS, promise, alpha = 0.5"] = lambda n, i: place(i, alpha=0.5, rng=n)
    methods["optimum"] = lambda n, i: best[n].best
    rows = []
    for name, method in methods.items():
        found = [method(n, i) for n, i in enumerate(some)]
        gaps = np.array([100.0 * b.gap(p) for b, p in zip(best, found, strict=True)])
        ratios = [p.jct_s / equal_share_s(i) for p, i in zip(found, some, strict=True)]
        rows.append(
            {
                "method": name,
                "n": len(found),
                "mean_jct_s": np.mean([p.mean_jct_s for p in found]),
                "gap_percent": gaps.mean(),
                "gap_half_interval": 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps)),
                "gap_max_percent": gaps.max(),
                "jain": np.mean([p.fairness for p in found]),
                "spread": np.mean([r.max() / r.min() for r in ratios]),
            }
        )
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Parses, draws, writes, tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few instances, to see that it runs")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=f"where files go (default {DEFAULT_OUT})")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    args = parser.parse_args(argv)
    sizes = QUICK if args.quick else Sizes()
    args.out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    print("trials of alpha and beta ...", flush=True)
    jobs = list(figures(sizes, trials_of(sizes, args.data)))
    for n, (name, make) in enumerate(jobs, 1):
        print(f"[{n}/{len(jobs) + 1}] {name} ({time.monotonic() - begin:.0f} s)", flush=True)
        style.save(make(), args.out / f"{name}.png")
    print(f"[{len(jobs) + 1}/{len(jobs) + 1}] summary ({time.monotonic() - begin:.0f} s)", flush=True)
    rows = summary(sizes)
    rows.to_csv(args.out / "jps_summary.csv", index=False)
    cells = [[v if isinstance(v, str) else f"{v:.4g}" for v in row] for row in rows.itertuples(index=False)]
    (args.out / "jps_summary.md").write_text("\n".join(markdown_table(list(rows.columns), cells)) + "\n")
    args.data.mkdir(parents=True, exist_ok=True)
    file = args.data / "jps-figures.jsonl"
    spool = JsonlSpool(file)
    run = spool.start_run(f"jps-figures-{time.time_ns()}", name="JPS: figures and tables", kind="figures")
    spool.log_file(run, args.out.resolve())
    spool.end_run(run, "FINISHED")
    spool.close()
    MlflowSink(Store(args.data), "jps-figures").sync([file])
    print(f"{len(jobs)} figures and the summary are in {args.out} ({time.monotonic() - begin:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
