"""Many tasks under several strategies, measured, drawn and recorded: what ``experiments/heavy_simulation.py`` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.errors import ConfigError
from rl_sched.hybrid.race import Race
from rl_sched.hybrid.records import (
    TaskWriter,
    Totals,
    latencies,
    write_speedups,
    write_totals,
)
from rl_sched.hybrid.strategy import Notice, Strategy
from rl_sched.plots import FIGURES, style
from rl_sched.provenance import package_hash
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import Store
from rl_sched.tracking.tracker import Status

#: MLflow's experiment.
EXPERIMENT = "heavy_simulation"
#: Tasks between two reports.
CHUNK = 250
#: The strategy whose total time speed-ups are measured against.
BASELINE = "cpu_only"
SPOOL, TASKS = "runs.jsonl", "tasks.csv"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated.

    Raises:
        ConfigError: There is nothing to simulate.
    """

    preset: str = "default"
    tasks: int = 10_000
    seed: int = 999

    def __post_init__(self) -> None:
        if self.tasks < 1:
            raise ConfigError(f"There must be at least one task; {self.tasks} were asked for.")
        if self.seed < 0:
            raise ConfigError(f"The seed must be 0 or more; it is {self.seed}.")


class Progress(NamedTuple):
    """How far a run is."""

    decided: int  #: tasks, by every strategy
    tasks: int
    elapsed_s: float
    mean_latency_s: Mapping[str, float]  #: of each strategy so far
    notices: list[Notice]  #: since the last report


class Outcome(NamedTuple):
    """What a run has left behind."""

    totals: dict[str, Totals]
    decided: int
    stopped: bool  #: before all tasks were decided
    files: list[Path]


def run(
    plan: Plan,
    strategies: Mapping[str, Strategy],
    out: Path,
    on_progress: Callable[[Progress], bool] = lambda progress: True,
) -> Outcome:
    """Plays all tasks, writes CSVs, figures and the spool into ``out``.

    Args:
        plan: What is simulated.
        strategies: By name, ready to decide.
        out: A folder, made if there is none.
        on_progress: Is told after every chunk; False ends the run with what has been done.
    """
    out.mkdir(parents=True, exist_ok=True)
    race = Race(strategies, plan.preset, plan.seed, plan.tasks)
    spool = JsonlSpool(out / SPOOL)
    try:
        keys = _start(spool, plan, race)
        decided = _play(plan, race, spool, keys, out, on_progress)
        stopped = decided < plan.tasks
        totals = race.totals()
        files = [out / TASKS, *_write(out, totals, race)]
        _end(spool, keys, totals, files, "KILLED" if stopped else "FINISHED")
    finally:
        spool.close()
    return Outcome(totals, decided, stopped, files)


def to_mlflow(out: Path, store: Store) -> None:
    """Replays the spool of a run into MLflow.

    Raises:
        Exception: Whatever MLflow raises; the spool keeps everything, so that the call can be repeated.
    """
    MlflowSink(store, EXPERIMENT).sync([out / SPOOL])


def _play(
    plan: Plan,
    race: Race,
    spool: JsonlSpool,
    keys: Mapping[str, str],
    out: Path,
    on_progress: Callable[[Progress], bool],
) -> int:
    """Plays until the end or until ``on_progress`` says no; returns how many tasks every strategy has decided."""
    latency_s, retrainings = dict.fromkeys(race.names, 0.0), dict.fromkeys(race.names, 0)
    begin_s, decided, go_on = time.monotonic(), 0, True
    writer = TaskWriter(out / TASKS)
    try:
        while decided < plan.tasks and go_on:
            steps = race.step(min(CHUNK, plan.tasks - decided))
            for name, step in steps.items():
                writer.write(step.results)
                latency_s[name] += sum(row.latency_s for row in step.results)
            decided += len(next(iter(steps.values())).results)
            means = {name: value / decided for name, value in latency_s.items()}
            for name, value in means.items():
                spool.log_metrics(keys[name], {"mean_latency_so_far_s": value}, decided)
            for name, step in steps.items():
                retrainings[name] += len(step.notices)
                if step.notices:
                    spool.log_metrics(keys[name], {"retrainings": float(retrainings[name])}, decided)
            notices = [notice for step in steps.values() for notice in step.notices]
            go_on = on_progress(Progress(decided, plan.tasks, time.monotonic() - begin_s, means, notices))
    finally:
        writer.close()
    return decided


def _write(out: Path, totals: dict[str, Totals], race: Race) -> list[Path]:
    files = [out / "totals.csv"]
    write_totals(files[0], list(totals.values()))
    n = next(iter(totals.values())).tasks
    latency = {name: latencies(race.engine(name)) for name in totals}
    drawn: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "hybrid_latency_cdf": ((latency,), {}),
        "hybrid_latency_box": ((latency,), {}),
        "hybrid_cost": (({name: (t.cost_usd,) for name, t in totals.items()},), {"tasks": n}),
        "hybrid_energy": (
            ({name: (t.energy_j / 1e3, t.idle_energy_j / 1e3) for name, t in totals.items()},),
            {"tasks": n},
        ),
        "hybrid_makespan": (({name: (t.makespan_s,) for name, t in totals.items()},), {"tasks": n}),
    }
    if BASELINE in totals:
        speedups = {name: totals[BASELINE].total_time_s / t.total_time_s for name, t in totals.items()}
        drawn["hybrid_speedup"] = (({name: (value,) for name, value in speedups.items()},), {"tasks": n})
        files.append(out / "speedups.csv")
        write_speedups(files[-1], speedups)
    for name, (args, kwargs) in drawn.items():
        files.append(style.save(FIGURES.load(name)(*args, **kwargs), out / f"{name}.png"))
    return files


def _start(spool: JsonlSpool, plan: Plan, race: Race) -> dict[str, str]:
    """Opens a run for the whole ("") and one for each strategy; returns their keys."""
    name = f"{plan.preset}, {plan.tasks:,} tasks, seed {plan.seed}"
    key = f"heavy-{plan.preset}-{plan.seed}-{plan.tasks}-{time.time_ns():x}"
    tags = {"code": package_hash()}
    keys = {"": spool.start_run(key, name=name, kind="hybrid", tags=tags)}
    settings = {"plan": asdict(plan), "machine": asdict(race.preset.machine), "law": asdict(race.preset.law)}
    spool.log_params(key, settings)
    for strategy in race.names:
        keys[strategy] = spool.start_run(
            f"{key}-{strategy}", name=strategy, kind="strategy", parent=key, tags={"preset": plan.preset}
        )
        spool.log_params(keys[strategy], {"strategy": strategy, **settings["plan"]})
    return keys


def _end(
    spool: JsonlSpool, keys: Mapping[str, str], totals: Mapping[str, Totals], files: list[Path], status: Status
) -> None:
    for name, total in totals.items():
        values = {key: float(value) for key, value in asdict(total).items() if key != "strategy"}
        spool.log_metrics(keys[name], values, total.tasks)
        spool.end_run(keys[name], status)
    for file in files:
        spool.log_file(keys[""], file, "figures" if file.suffix == ".png" else "")
    spool.end_run(keys[""], status)
