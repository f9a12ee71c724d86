"""What a sweep leaves in the model registry: the best checkpoint of each scenario."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rl_sched.errors import RlSchedError
from rl_sched.sweeps.plan import Cell
from rl_sched.sweeps.results import Best
from rl_sched.tracking.registering import register
from rl_sched.tracking.store import Store


def model_name(sweep: str, scenario: str) -> str:
    """The registered model of a sweep and a scenario: ``ablation-default``, ``ablation-default-mtbf_s-3600``."""
    return f"{sweep}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', scenario)}"


def register_winners(
    sweep: str, winners: Sequence[Best], store: Store, run_id: Callable[[Cell], str | None]
) -> list[str]:
    """Registers the winners; the alias ``champion`` of each model moves if its new version is at least as good.

    Args:
        sweep: Name of the sweep.
        winners: One a scenario.
        store: Where the registry is.
        run_id: MLflow's run of a cell, if there is one.

    Returns:
        A sentence for each: what became of it, or why it is not registered.
    """
    sentences = []
    for best in winners:
        cell = next(c for c in best.candidate.done if c.seed == best.seed)
        name = model_name(sweep, best.scenario)
        try:
            sentences.append(f"Registered: {register(store, best.checkpoint, name, run_id=run_id(cell)).sentence}")
        except RlSchedError as error:
            # The sweep is done whatever becomes of this, and the same command tries it again.
            sentences.append(f"Not registered as {name}: {error}")
    return sentences
