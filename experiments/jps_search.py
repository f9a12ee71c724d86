"""Search for alpha, beta and N of JPS, static and dynamic: ``python experiments/jps_search.py [--quick]``.

Ray Tune runs the trials, Optuna suggests them: TPE and NSGA-II over (mean JCT, unfairness), random and grid beside.

The studies are on disk: the same command goes on where it ended. Every trial is a run in MLflow; history.csv and
verdict.csv are written beside the studies.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # experiments/ is no installed package

from experiments.jps_judge import KINDS, Dynamic, Judgement, Static, judge
from rl_sched.config import apply_overrides, build, read_yaml, to_dict
from rl_sched.errors import ConfigError
from rl_sched.plots.jps_front import front
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import merge
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

PLAN = Path(__file__).resolve().parents[1] / "tune_configs" / "jps.yaml"
SAMPLERS = ("tpe", "nsga2", "random", "grid")
#: What JPS uses unless told otherwise: alpha, beta, N.
DEFAULT = (0.0, 1.0, 40)
#: Points of a front that are judged anew.
JUDGED = 6
#: (anything surely smaller, anything surely larger) than the default's -> what a point of the front is.
VERDICTS = {(True, False): "dominates", (False, False): "level", (False, True): "worse", (True, True): "trades"}


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """``tune_configs/jps.yaml``."""

    name: str
    question: str
    samplers: tuple[str, ...]
    trials: int  #: of each sampler and kind
    space: dict[str, tuple[float, ...]]  #: alpha, beta, samples -> (low, high)
    static: Static
    dynamic: Dynamic
    max_concurrent: int = 2
    quick: dict[str, Any] = field(default_factory=dict)


def load_search(path: Path = PLAN, *, quick: bool = False, overrides: list[str] | None = None) -> SearchPlan:
    """Reads the plan.

    Raises:
        ConfigError: A key or a value is wrong.
    """
    data = read_yaml(path)
    if quick:
        data = merge(data, data.get("quick") or {})
        data["name"] += "-quick"
    plan = build(SearchPlan, apply_overrides(data, overrides or []))
    unknown = [name for name in plan.samplers if name not in SAMPLERS]
    if unknown or not plan.samplers or plan.trials < 1 or set(plan.space) != {"alpha", "beta", "samples"}:
        raise ConfigError(
            f"A search needs samplers of {', '.join(SAMPLERS)}, trials >= 1 and a space of alpha, beta and samples; it "
            f"has {', '.join(plan.samplers)}, {plan.trials} and {', '.join(plan.space)}."
        )
    return plan


def grid(plan: SearchPlan) -> list[dict[str, Any]]:
    """As many points as trials: a square grid of alpha and beta at the default N."""
    side = max(1, int(np.sqrt(plan.trials)))
    alphas, betas = (np.linspace(plan.space[name][0], plan.space[name][1], side) for name in ("alpha", "beta"))
    least, most = plan.space["samples"][:2]
    samples = int(min(max(DEFAULT[2], least), most))
    return [{"alpha": float(a), "beta": float(b), "samples": samples} for a, b in itertools.product(alphas, betas)]


@contextlib.contextmanager
def ray_running(cpus: int) -> Iterator[None]:
    """A local Ray, unless one runs in this process already."""
    os.environ.update(
        OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0", RAY_AIR_NEW_OUTPUT="0",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        PYTHONPATH=os.pathsep.join([str(PLAN.parents[1]), os.environ.get("PYTHONPATH", "")]),
    )  # fmt: skip
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        object_store_memory=100 * 1024 * 1024,
    )  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()


def run_search(plan: SearchPlan, store: Store) -> pd.DataFrame:
    """Runs what is not done yet and returns the history: one row a finished trial.

    Raises:
        SweepError: Another process runs this search.
    """
    folder = store.sweeps / f"{plan.name}-search"
    with Ledger(folder).lock():
        return _run_locked(plan, store, folder)


def _run_locked(plan: SearchPlan, store: Store, folder: Path) -> pd.DataFrame:
    spool = JsonlSpool(folder / "search.jsonl")
    parent = spool.start_run(f"{plan.name}-search", name=plan.name, kind="sweep", tags={"question": plan.question})
    from experiments.jps_searcher import StudySearcher

    searcher = StudySearcher(
        plan.samplers, plan.trials, plan.space, grid(plan), folder, spool, parent, plan.max_concurrent
    )
    status: Any = "FAILED"
    try:
        if any(searcher.left(key) > 0 for key in searcher.studies):
            with ray_running(plan.max_concurrent):
                from ray import tune

                from experiments.jps_judge import trial

                tuner = tune.Tuner(
                    tune.with_resources(tune.with_parameters(trial, plan=to_dict(plan)), {"CPU": 1}),
                    tune_config=tune.TuneConfig(
                        search_alg=searcher,
                        num_samples=-1,
                        max_concurrent_trials=plan.max_concurrent,
                        reuse_actors=True,
                    ),
                    run_config=tune.RunConfig(name="tune", storage_path=str(folder.resolve()), verbose=0),
                )
                tuner.fit()
        history = history_of(searcher.studies)
        history.to_csv(folder / "history.csv", index=False)
        spool.log_file(parent, folder / "history.csv")
        status = "FINISHED"
    finally:
        spool.end_run(parent, status)
        spool.close()
        MlflowSink(store, plan.name).sync([folder / "search.jsonl"])
    return history


def history_of(studies: dict[tuple[str, str], Any]) -> pd.DataFrame:
    """Finished trials of all studies."""
    rows = [
        {"kind": kind, "sampler": name, "trial": t.number, **t.params, "cost": t.values[0], "unfairness": t.values[1]}
        for (kind, name), study in studies.items()
        for t in study.get_trials(deepcopy=False)
        if t.values is not None
    ]
    return pd.DataFrame(rows)


def verdict(plan: SearchPlan, history: pd.DataFrame) -> pd.DataFrame:
    """Points of each kind's front against the default, paired on fresh instances, with 95 % intervals.

    ``JUDGED`` of them, from the cheapest to the fairest.

    Of the two differences, cost and unfairness: if the interval of one is below 0 and that of neither above, a point
    dominates the default; if none is on either side, it is level with it; a front with such a point holds the default
    or better. If one is above and none below, the point is worse; else it trades one for the other.
    """
    rows = []
    for kind, trials in history.groupby("kind", sort=False):
        found = trials[front(trials["cost"].to_numpy(), trials["unfairness"].to_numpy())]
        task = (plan.static, plan.dynamic, str(kind))
        base = judge(*task, *DEFAULT, fresh=True)
        chosen = np.unique(np.linspace(0, len(found) - 1, JUDGED).round().astype(int))
        for point in found.sort_values("cost").iloc[chosen].to_dict("records"):
            row: dict[str, Any] = {name: point[name] for name in ("kind", "sampler", "alpha", "beta", "samples")}
            tuned = judge(*task, point["alpha"], point["beta"], point["samples"], fresh=True)
            below, above = [], []
            for name in Judgement._fields:
                difference = getattr(tuned, name) - getattr(base, name)
                half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
                low, high = difference.mean() - half, difference.mean() + half
                row |= {f"{name}_default": getattr(base, name).mean(), f"{name}_found": getattr(tuned, name).mean()}
                row |= {f"{name}_low": low, f"{name}_high": high}
                below.append(bool(high < 0))
                above.append(bool(low > 0))
            rows.append({**row, "n": len(base.cost), "verdict": VERDICTS[any(below), any(above)]})
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Parses, searches, prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute's version, to see that it runs")
    parser.add_argument("--dry-run", action="store_true", help="print what would be tried, run nothing")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    args = parser.parse_args(argv)
    plan = load_search(quick=args.quick, overrides=args.overrides)
    print(f"Search {plan.name}: {plan.question}", flush=True)
    print(f"{len(KINDS)} kinds x {len(plan.samplers)} samplers x {plan.trials} trials; {plan.space}", flush=True)
    if args.dry_run:
        return 0
    store = Store(args.data)
    history = run_search(plan, store)
    table = verdict(plan, history)
    folder = store.sweeps / f"{plan.name}-search"
    table.to_csv(folder / "verdict.csv", index=False)
    print(table.to_string(index=False, float_format="{:.4g}".format))
    for kind, points in table.groupby("kind", sort=False):
        holds = int(points["verdict"].isin(["dominates", "level"]).sum())
        print(f"{kind}: of {len(points)} points of the front, {holds} are level with the default or dominate it.")
    print(f"History: {folder / 'history.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
