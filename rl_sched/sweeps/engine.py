"""Runs the cells of a plan with Ray Tune, and always ends with a summary.

A fresh ``Tuner`` is made over the ledger each time; Tune's own restore is not used (it repeats work). Ctrl-C stops all
trials and summarises; the same plan again continues. A driver that is killed loses what its running trials did since
their last checkpoints.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_sched.errors import SweepError
from rl_sched.evaluation.comparison import display
from rl_sched.rl.runtime import interruptible
from rl_sched.sweeps.failures import Failure, full_disk, is_full_disk
from rl_sched.sweeps.ledger import Ledger, Outcome
from rl_sched.sweeps.limits import Limits
from rl_sched.sweeps.nodes import ADDRESS, joined
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.progress import ProgressLine
from rl_sched.sweeps.source import Grid, Source
from rl_sched.sweeps.worker import DEFAULT_BODY

#: Read by Ray and torch when they are imported or when a worker starts.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # several processes with several threads each are many times slower
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours tells an interruption from an end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is never restored, and costs more with every trial
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # A stopped trial gets this long to clean up; with the default of 2 s the next trial would fail in its place.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
}
#: Trials exchange nothing through Ray's object store; its default is a third of the machine's memory.
OBJECT_STORE_BYTES = 100 * 1024 * 1024
#: Shortest time between two looks at how far the sweep is: a search asks its database.
SHOW_EVERY_S = 1.0


@dataclass
class RunSummary:
    """How the execution of a sweep ended."""

    interrupted: bool = False
    limit: str | None = None  #: what of the budget is used up
    failures: list[tuple[Cell, Failure]] = field(default_factory=list)
    lost: list[Cell] = field(default_factory=list)


def make_source(plan: Plan, scenarios: list[str], ledger: Ledger) -> Source:
    """The cells of a plan, fixed or searched."""
    if plan.population is not None:
        from rl_sched.sweeps.population import PopulationSource

        return PopulationSource(plan, scenarios, ledger)
    if not plan.search:
        return Grid(plan.cells(scenarios), ledger)
    from rl_sched.sweeps.study import StudySource

    return StudySource(plan, scenarios, ledger)


def execute(
    plan: Plan,
    scenarios: list[str],
    ledger: Ledger,
    sweep: str,
    *,
    body: str = DEFAULT_BODY,
    progress: ProgressLine,
    at_most: int | None = None,
) -> RunSummary:
    """Runs what is not done yet. The caller holds the ledger's lock.

    Args:
        plan: The plan.
        scenarios: Its scenarios that can run.
        ledger: The sweep's folder.
        sweep: Key of the sweep's run.
        body: The trial's body as ``module:function``.
        progress: Where progress is shown.
        at_most: Trials at a time, if not all that a cluster has CPUs for.

    Returns:
        How it ended; what was measured is in the ledger.
    """
    source = make_source(plan, scenarios, ledger)
    amount = source.amount()
    if amount.done >= amount.total:
        return RunSummary()
    os.environ.update({**ENVIRONMENT, "PYTHONPATH": _python_path()})
    with interruptible() as interruption:
        with _ray(plan.max_concurrent, ledger.root) as offered:
            slots = min(offered, at_most or offered)
            from ray import tune

            from rl_sched.sweeps.searcher import Coordinator, Pruner, Watcher
            from rl_sched.sweeps.worker import trainable

            # After the import, which sets its own level: "trials did not complete" is ours to say.
            logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

            limits = Limits(plan.budget, ledger)
            coordinator = Coordinator(source, ledger, body, sweep, slots, progress.note, plan.retries, limits)
            interruption.on_first = coordinator.stop
            best = _best_of(source.finished) if isinstance(source, Grid) else {}

            shown_s = float("-inf")

            def show(force: bool = False) -> None:
                nonlocal shown_s
                now_s = time.monotonic()
                if not force and now_s - shown_s < SHOW_EVERY_S:
                    return
                shown_s = now_s
                for cell, value in coordinator.vals.values():
                    if cell.scenario not in best or value < best[cell.scenario][1]:
                        best[cell.scenario] = (display(cell.arm), value)
                running = {c.id: (c, coordinator.steps.get(c.id, 0.0)) for c in coordinator.live.values()}
                failed = len(coordinator.failures) + len(coordinator.lost)
                progress.update(source.amount(), running, failed, best, force=force)

            scratch = ledger.root / "tune"
            shutil.rmtree(scratch, ignore_errors=True)
            tuner = tune.Tuner(
                tune.with_resources(trainable, {"CPU": 1}),
                tune_config=tune.TuneConfig(
                    search_alg=coordinator,
                    num_samples=-1,  # the coordinator alone ends the sweep
                    max_concurrent_trials=slots,
                    reuse_actors=True,
                    trial_dirname_creator=_trial_folder,
                ),
                run_config=tune.RunConfig(
                    name=f"run_{time.time_ns()}",
                    storage_path=str(scratch.resolve()),
                    verbose=0,
                    stop=Pruner(coordinator),
                    callbacks=[Watcher(coordinator, show)],
                    failure_config=tune.FailureConfig(max_failures=0),  # the coordinator restarts what is worth it
                ),
            )
            try:
                tuner.fit()
            except Exception as error:
                if is_full_disk(error) or limits.disk_is_full():
                    raise full_disk(ledger.root) from error
                raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            show(force=True)
            progress.close()
    if coordinator.crash is not None:
        raise coordinator.crash
    amount = source.amount()
    # A budget that sufficed to the last trial is no reason to complain.
    limit = coordinator.limit if amount.done < amount.total else None
    return RunSummary(interruption.seen, limit, coordinator.failures, coordinator.lost)


@contextlib.contextmanager
def _ray(num_cpus: int, root: Path) -> Iterator[int]:
    """Ray for as long as it is needed: the cluster of ``RAY_ADDRESS``, else a local one; yields the trials at a time.

    One that runs in this process already is used and left alone. A plan's number is for one machine: a cluster runs as
    many trials as it has CPUs, or the plan's number if that is more (nodes may come when there is work).
    """
    import ray

    if ray.is_initialized():
        yield num_cpus
        return
    if address := os.environ.get(ADDRESS):
        with joined(address, root, ENVIRONMENT) as cluster_cpus:
            yield max(num_cpus, cluster_cpus)
        return
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    except Exception as error:
        raise SweepError(f"Ray must start on this machine; it did not: {str(error).splitlines()[0]}") from error
    try:
        yield num_cpus
    finally:
        ray.shutdown()


def _best_of(finished: Sequence[tuple[Cell, Outcome]]) -> dict[str, tuple[str, float]]:
    best: dict[str, tuple[str, float]] = {}
    for cell, outcome in finished:
        if cell.scenario not in best or outcome.objective < best[cell.scenario][1]:
            best[cell.scenario] = (display(cell.arm), outcome.objective)
    return best


def _python_path() -> str:
    """PYTHONPATH for workers: they must import this very package, installed or not."""
    root = str(Path(__file__).resolve().parents[2])
    known = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != root]
    return os.pathsep.join([root, *known])


def _trial_folder(trial: Any) -> str:
    return str(trial.trial_id)
