"""Finds what the user interface should open on."""

from __future__ import annotations

from typing import NamedTuple

from rl_sched.tracking.store import Store, connect


class NewestSweep(NamedTuple):
    """The sweep that was started last."""

    experiment_id: str
    name: str
    sweep: str  #: value of the tag ``sweep`` of its trials
    num_trials: int


def newest_sweep(store: Store) -> NewestSweep | None:
    """The sweep that was started last, or None if the store holds none."""
    client = connect(store.uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(
        experiments, filter_string="tags.kind = 'sweep'", order_by=["attributes.start_time DESC"], max_results=1
    )
    if not found:
        return None
    run = found[0]
    sweep = run.data.tags.get("sweep", "")
    trials = client.search_runs(
        [run.info.experiment_id], filter_string=f"tags.kind = 'trial' and tags.sweep = '{sweep}'", max_results=1000
    )
    return NewestSweep(run.info.experiment_id, run.info.run_name or "", sweep, len(trials))
